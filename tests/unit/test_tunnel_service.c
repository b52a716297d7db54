/* SPDX-License-Identifier: Apache-2.0 */
/* The whole tunnel against a proxy of the test's own: what programs get to see. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/tunnel_support.h"
#include "tunnel/service.h"

#define MANY 64

struct bench {
    struct world world;
    char directory[64]; /* identity ci-1, and sockets */
    struct tunnel_service *service;
    bool ready, stopped;
};

static void on_ready(void *owner)
{
    ((struct bench *)owner)->ready = true;
}

static void on_stopped(void *owner)
{
    ((struct bench *)owner)->stopped = true;
}

static const struct tunnel_service_events events = {on_ready, on_stopped};

/* One tunnel's JSON; `more` is further keys with a leading comma, or "". */
static const char *tunnel_json(const struct bench *bench, const char *name, const char *listen,
                               const char *more)
{
    static char text[1024];
    (void)snprintf(text, sizeof text,
                   "{\"name\":\"%s\",\"listen\":\"%s\",\"proxy\":\"127.0.0.1:%u\","
                   "\"server_name\":\"localhost\",\"database\":\"db-%s\",\"identity\":\"%s\"%s}",
                   name, listen, bench->world.proxy.port, name, bench->directory, more);
    return text;
}

static void config_of(const char *tunnels, const char *more, struct tunnel_config *config)
{
    static char text[MANY * 512];
    struct error err = {0};
    (void)snprintf(text, sizeof text, "{\"tunnels\":[%s]%s}", tunnels, more);
    cr_assert(tunnel_config_load_text(text, "/", config, &err), "%s: %s", text, err.message);
}

static void bench_prepare(struct bench *bench)
{
    *bench = (struct bench){0};
    world_open(&bench->world);
    identity_install(directory_make(bench->directory), "ci-1");
}

static bool bench_start(struct bench *bench, const char *tunnels, const char *more,
                        struct error *err)
{
    struct tunnel_config config;
    config_of(tunnels, more, &config);
    bool started =
        tunnel_service_start(&bench->world.loop, &config, &events, bench, &bench->service, err);
    tunnel_config_release(&config);
    return started;
}

/* A proxy and one tunnel at a port of the system's choice. */
static void bench_open(struct bench *bench, const char *more)
{
    struct error err = {0};
    bench_prepare(bench);
    cr_assert(bench_start(bench, tunnel_json(bench, "shop", "127.0.0.1:0", more), "", &err), "%s",
              err.message);
    cr_assert(bench->ready);
}

static void bench_close(struct bench *bench)
{
    tunnel_service_stop(bench->service);
    RUN_UNTIL(&bench->world, bench->stopped);
    for (int i = 0; i < 5; i++) /* what closes in the loop */
        (void)uv_run(&bench->world.loop, UV_RUN_ONCE);
    tunnel_service_destroy(bench->service);
    world_close(&bench->world);
    directory_remove(bench->directory);
}

static struct address local_port(const struct bench *bench, size_t index)
{
    return *port_address(tunnel_service_port(bench->service, index));
}

static void program_open(struct bench *bench, struct program *program, size_t index)
{
    struct address to = local_port(bench, index);
    program_connect(&bench->world, program, &to);
}

static struct port_statistics statistics(const struct bench *bench)
{
    struct port_statistics now;
    port_read_statistics(tunnel_service_port(bench->service, 0), &now);
    return now;
}

static size_t ready_count(const struct bench *bench)
{
    struct tunnel_service_summary now;
    tunnel_service_summarize(bench->service, &now);
    return now.ready;
}

/* Connects and gets the greeting. */
static void program_greeted(struct bench *bench, struct program *program, size_t index)
{
    program_open(bench, program, index);
    RUN_UNTIL(&bench->world, program->total >= strlen(GREETING "db-shop"));
}

/* Connects and gets an ERR packet with this code and text, then the end. */
static void program_refused(struct bench *bench, unsigned code, const char *text)
{
    struct program program;
    program_open(bench, &program, 0);
    RUN_UNTIL(&bench->world, program.ended || program.failed);
    cr_assert_not(program.failed, "closed in order");
    cr_assert_eq(program_error(&program), code, "%s", program_error_text(&program));
    cr_assert_eq(strncmp(program_error_text(&program), "sallyport: ", 11), 0);
    cr_assert(strstr(program_error_text(&program), text), "%s", program_error_text(&program));
    program_close(&bench->world, &program);
}

/* Relaying. */

Test(tunnel_service, carries_bytes_both_ways)
{
    struct bench bench;
    struct program program;
    bench_open(&bench, "");
    RUN_UNTIL(&bench.world, ready_count(&bench) == 2);
    program_greeted(&bench, &program, 0);
    cr_assert_str_eq(program.received, GREETING "db-shop");
    cr_assert_str_eq(bench.world.last.database, "db-shop");
    cr_assert_eq(strncmp(bench.world.last.local.address, "127.0.0.1:", 10), 0);
    program_write(&program, " and back", 9);
    RUN_UNTIL(&bench.world, program.total == strlen(GREETING "db-shop and back"));
    cr_assert_str_eq(program.received, GREETING "db-shop and back");
    program_close(&bench.world, &program);
    RUN_UNTIL(&bench.world, statistics(&bench).active == 0);
    cr_assert_eq(statistics(&bench).total, 1);
    bench_close(&bench);
}

Test(tunnel_service, tells_who_connects)
{
    struct bench bench;
    struct program program;
    char listen[128], executable[256];
    struct error err = {0};
    bench_prepare(&bench);
    (void)snprintf(listen, sizeof listen, "unix:%s/s.sock", bench.directory);
    cr_assert(bench_start(&bench, tunnel_json(&bench, "shop", listen, ""), "", &err), "%s",
              err.message);
    program_greeted(&bench, &program, 0);
    const struct hello_local *local = &bench.world.last.local;
    ssize_t length = readlink("/proc/self/exe", executable, sizeof executable - 1);
    cr_assert_gt(length, 0);
    executable[length] = '\0';
    cr_assert_str_eq(local->address, "unix");
    cr_assert(local->has_uid && local->has_gid && local->has_pid);
    cr_assert_eq(local->uid, geteuid());
    cr_assert_eq(local->gid, getegid());
    cr_assert_eq(local->pid, (uint32_t)getpid());
    cr_assert_str_eq(local->executable, executable);
    program_close(&bench.world, &program);
    bench_close(&bench);
}

Test(tunnel_service, keeps_what_a_program_says_before_the_greeting)
{
    struct bench bench;
    struct program program;
    bench_open(&bench, ",\"ready_connections\":0");
    program_open(&bench, &program, 0);
    program_write(&program, "!first", 6);
    RUN_UNTIL(&bench.world, program.total == strlen(GREETING "db-shop!first"));
    cr_assert_str_eq(program.received, GREETING "db-shop!first");
    program_close(&bench.world, &program);
    bench_close(&bench);
}

Test(tunnel_service, carries_much_more_than_its_buffers)
{
    enum { PART = 100000, PARTS = 200 };
    struct bench bench;
    struct program program;
    char *part = calloc(1, PART);
    bench_open(&bench, "");
    program_greeted(&bench, &program, 0);
    size_t before = program.total;
    for (int i = 0; i < PARTS; i++) {
        program_write(&program, part, PART);
        RUN_UNTIL(&bench.world, stream_backlog(program.stream) < STREAM_BACKLOG_HIGH);
    }
    RUN_UNTIL(&bench.world, program.total == before + (size_t)PART * PARTS);
    program_close(&bench.world, &program);
    bench_close(&bench);
    free(part);
}

Test(tunnel_service, stops_reading_a_program_when_the_proxy_does_not_read)
{
    struct bench bench;
    struct program program;
    static char part[65536];
    bench_open(&bench, "");
    bench.world.mode = PROXY_STALL;
    program_greeted(&bench, &program, 0);
    size_t written = 0;
    for (int still = 0; still < 5;) {
        while (stream_backlog(program.stream) < STREAM_BACKLOG_MAX / 2) {
            cr_assert_lt(written += sizeof part, (size_t)64 << 20, "it all went somewhere");
            program_write(&program, part, sizeof part);
            (void)uv_run(&bench.world.loop, UV_RUN_NOWAIT);
        }
        size_t backlog = stream_backlog(program.stream);
        world_run_for(&bench.world, 50);
        still = stream_backlog(program.stream) == backlog ? still + 1 : 0;
    }
    cr_assert_not(program.failed);
    program_close(&bench.world, &program);
    bench_close(&bench);
}

Test(tunnel_service, closes_the_program_when_the_proxy_goes)
{
    struct bench bench;
    struct program program;
    bench_open(&bench, "");
    program_greeted(&bench, &program, 0);
    size_t before = program.total;
    world_drop_sessions(&bench.world);
    RUN_UNTIL(&bench.world, program.ended || program.failed);
    cr_assert_eq(program.total, before, "nothing is put into a running session");
    program_close(&bench.world, &program);
    bench_close(&bench);
}

/* Ready connections. */

Test(tunnel_service, hides_a_ready_connection_that_turned_out_dead)
{
    struct bench bench;
    struct program program;
    bench_open(&bench, "");
    RUN_UNTIL(&bench.world, ready_count(&bench) == 2);
    /* The proxy ends them, but the tunnel does not get to hear of it before it uses one. */
    program_open(&bench, &program, 0);
    world_drop_sessions(&bench.world);
    RUN_UNTIL(&bench.world, program.total >= strlen(GREETING "db-shop"));
    cr_assert_str_eq(program.received, GREETING "db-shop");
    program_close(&bench.world, &program);
    bench_close(&bench);
}

Test(tunnel_service, tries_again_only_once)
{
    struct bench bench;
    bench_open(&bench, "");
    RUN_UNTIL(&bench.world, ready_count(&bench) == 2);
    bench.world.mode = PROXY_CLOSE_AT_HELLO;
    program_refused(&bench, 1159, "before the database's greeting");
    cr_assert_eq(bench.world.hellos, 2);
    cr_assert_eq(statistics(&bench).retried, 1);
    cr_assert_eq(statistics(&bench).refused, 1);
    bench_close(&bench);
}

Test(tunnel_service, serves_a_burst)
{
    struct bench bench;
    static struct program programs[50];
    bench_open(&bench, "");
    for (size_t i = 0; i < 50; i++)
        program_open(&bench, &programs[i], 0);
    for (size_t i = 0; i < 50; i++)
        RUN_UNTIL(&bench.world, programs[i].total >= strlen(GREETING "db-shop"));
    cr_assert_eq(statistics(&bench).active, 50);
    for (size_t i = 0; i < 50; i++)
        program_close(&bench.world, &programs[i]);
    RUN_UNTIL(&bench.world, statistics(&bench).active == 0);
    cr_assert_eq(bench.world.failures, 0);
    bench_close(&bench);
}

/* Refusals. */

Test(tunnel_service, says_that_the_proxy_is_down)
{
    struct bench bench;
    bench_open(&bench, "");
    world_stop_proxy(&bench.world);
    RUN_UNTIL(&bench.world, ready_count(&bench) == 0);
    program_refused(&bench, 1159, "cannot connect to the proxy 127.0.0.1:");
    bench_close(&bench);
}

Test(tunnel_service, says_that_the_proxy_does_not_answer)
{
    struct bench bench;
    bench_open(&bench, ",\"ready_connections\":0,\"connect_timeout\":\"200ms\"");
    bench.world.mode = PROXY_MUTE_TCP;
    program_refused(&bench, 1159, "within 0.2 s");
    bench_close(&bench);
}

Test(tunnel_service, says_that_the_certificate_expired)
{
    struct bench bench;
    bench_open(&bench, "");
    identity_install(bench.directory, "expired");
    program_refused(&bench, 1045, "expired: the certificate expired at ");
    identity_install(bench.directory, "not-yet-valid");
    program_refused(&bench, 1045, "not valid before");
    bench_close(&bench);
}

Test(tunnel_service, says_that_the_proxy_refuses_the_certificate)
{
    struct bench bench;
    bench_open(&bench, "");
    identity_install(bench.directory, "foreign");
    program_refused(&bench, 1045, "foreign: the proxy 127.0.0.1:");
    bench_close(&bench);
}

Test(tunnel_service, says_that_the_proxy_is_not_the_one_meant)
{
    struct bench bench;
    struct error err = {0};
    struct tunnel_config config;
    bench_open(&bench, "");
    tunnel_service_stop(bench.service);
    RUN_UNTIL(&bench.world, bench.stopped);
    (void)uv_run(&bench.world.loop, UV_RUN_ONCE);
    tunnel_service_destroy(bench.service);
    bench.stopped = false;
    char text[1024];
    (void)snprintf(text, sizeof text, "%s", tunnel_json(&bench, "shop", "127.0.0.1:0", ""));
    memcpy(strstr(text, "\"localhost\""), "\"otherhost\"", 11);
    config_of(text, "", &config);
    cr_assert(
        tunnel_service_start(&bench.world.loop, &config, &events, &bench, &bench.service, &err),
        "%s", err.message);
    tunnel_config_release(&config);
    program_refused(&bench, 1159, "not for otherhost");
    bench_close(&bench);
}

Test(tunnel_service, says_that_there_is_no_identity_and_recovers)
{
    struct bench bench;
    struct program program;
    struct error err = {0};
    char path[128];
    bench_prepare(&bench);
    (void)snprintf(path, sizeof path, "%s/key.pem", bench.directory);
    cr_assert_eq(unlink(path), 0);
    cr_assert(bench_start(&bench, tunnel_json(&bench, "shop", "127.0.0.1:0", ""), "", &err), "%s",
              err.message);
    cr_assert(bench.ready, "a port needs no identity to stand");
    program_refused(&bench, 1045, "key.pem");
    identity_install(bench.directory, "ci-1");
    program_greeted(&bench, &program, 0);
    program_close(&bench.world, &program);
    bench_close(&bench);
}

Test(tunnel_service, says_that_there_are_too_many)
{
    struct bench bench;
    struct program program;
    bench_open(&bench, ",\"max_connections\":1");
    program_greeted(&bench, &program, 0);
    program_refused(&bench, 1040, "max_connections");
    program_close(&bench.world, &program);
    RUN_UNTIL(&bench.world, statistics(&bench).active == 0);
    program_greeted(&bench, &program, 0);
    program_close(&bench.world, &program);
    bench_close(&bench);
}

Test(tunnel_service, survives_programs_that_leave_at_any_time)
{
    struct bench bench;
    struct program program;
    bench_open(&bench, ",\"ready_connections\":0");
    for (int i = 0; i < 30; i++) {
        program_open(&bench, &program, 0);
        RUN_UNTIL(&bench.world, program.connected);
        world_run_for(&bench.world, i % 10);
        program_close(&bench.world, &program);
    }
    RUN_UNTIL(&bench.world, statistics(&bench).active == 0);
    bench_close(&bench);
}

/* Starting, reloading, stopping. */

Test(tunnel_service, does_not_start_when_nothing_can_listen)
{
    struct bench first, second;
    struct error err = {0};
    char listen[64];
    bench_open(&first, "");
    second = first;
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", local_port(&first, 0).port);
    struct tunnel_config config;
    config_of(tunnel_json(&first, "b", listen, ""), "", &config);
    uv_loop_t loop;
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert_not(tunnel_service_start(&loop, &config, &events, &second, &second.service, &err));
    cr_assert(strstr(err.message, "another process"), "%s", err.message);
    cr_assert_eq(uv_loop_close(&loop), 0, "nothing is left of it");
    tunnel_config_release(&config);
    bench_close(&first);
}

Test(tunnel_service, one_bad_tunnel_does_not_stop_the_others_and_is_tried_again)
{
    struct bench bench;
    struct program program;
    struct error err = {0};
    char tunnels[2048], listen[128], path[96];
    bench_prepare(&bench);
    (void)snprintf(path, sizeof path, "%s/later", bench.directory);
    (void)snprintf(listen, sizeof listen, "unix:%s/s.sock", path);
    size_t used = (size_t)snprintf(tunnels, sizeof tunnels, "%s,",
                                   tunnel_json(&bench, "shop", "127.0.0.1:0", ""));
    (void)snprintf(tunnels + used, sizeof tunnels - used, "%s",
                   tunnel_json(&bench, "late", listen, ""));
    cr_assert(bench_start(&bench, tunnels, "", &err), "%s", err.message);
    cr_assert_not(bench.ready, "not all listen");
    program_greeted(&bench, &program, 0);
    program_close(&bench.world, &program);
    cr_assert_eq(mkdir(path, 0700), 0);
    RUN_UNTIL(&bench.world, bench.ready);
    program_greeted(&bench, &program, 1);
    cr_assert_str_eq(program.received, GREETING "db-late");
    program_close(&bench.world, &program);
    bench_close(&bench);
}

Test(tunnel_service, runs_64_tunnels_on_one_pool)
{
    struct bench bench;
    struct error err = {0};
    static struct program programs[MANY];
    static char tunnels[MANY * 400];
    size_t used = 0;
    bench_prepare(&bench);
    for (int i = 0; i < MANY; i++) {
        char name[16], listen[128];
        (void)snprintf(name, sizeof name, "t%02d", i);
        (void)snprintf(listen, sizeof listen, "unix:%s/%02d.sock", bench.directory, i);
        used += (size_t)snprintf(tunnels + used, sizeof tunnels - used, "%s%s", i ? "," : "",
                                 tunnel_json(&bench, name, i % 2 ? listen : "127.0.0.1:0", ""));
    }
    cr_assert(bench_start(&bench, tunnels, "", &err), "%s", err.message);
    cr_assert(bench.ready);
    RUN_UNTIL(&bench.world, ready_count(&bench) == 2);
    for (size_t i = 0; i < MANY; i++)
        program_open(&bench, &programs[i], i);
    for (size_t i = 0; i < MANY; i++) {
        char expected[64];
        (void)snprintf(expected, sizeof expected, GREETING "db-t%02zu", i);
        RUN_UNTIL(&bench.world, programs[i].total >= strlen(expected));
        cr_assert_str_eq(programs[i].received, expected);
    }
    for (size_t i = 0; i < MANY; i++)
        program_close(&bench.world, &programs[i]);
    bench_close(&bench);
}

static void reload(struct bench *bench, const char *tunnels)
{
    struct tunnel_config config;
    struct error err = {0};
    config_of(tunnels, "", &config);
    cr_assert(tunnel_service_reload(bench->service, &config, &err), "%s", err.message);
    tunnel_config_release(&config);
}

Test(tunnel_service, reloads_without_disturbing_what_runs)
{
    struct bench bench;
    struct program before, after;
    struct error err = {0};
    char listen[128], tunnels[1024];
    bench_prepare(&bench);
    (void)snprintf(listen, sizeof listen, "unix:%s/s.sock", bench.directory);
    (void)snprintf(tunnels, sizeof tunnels, "%s", tunnel_json(&bench, "shop", listen, ""));
    cr_assert(bench_start(&bench, tunnels, "", &err), "%s", err.message);
    program_greeted(&bench, &before, 0);
    reload(&bench, tunnel_json(&bench, "other", listen, ",\"mode\":\"0666\""));
    program_greeted(&bench, &after, 0);
    cr_assert_str_eq(after.received, GREETING "db-other");
    program_write(&before, "+", 1);
    RUN_UNTIL(&bench.world, before.total == strlen(GREETING "db-shop+"));
    cr_assert_eq(statistics(&bench).total, 2, "counts go on");
    program_close(&bench.world, &before);
    program_close(&bench.world, &after);
    bench_close(&bench);
}

Test(tunnel_service, reload_adds_and_removes_tunnels)
{
    struct bench bench;
    struct program program;
    struct error err = {0};
    struct stat info;
    char one[128], two[128];
    bench_prepare(&bench);
    (void)snprintf(one, sizeof one, "unix:%s/1.sock", bench.directory);
    (void)snprintf(two, sizeof two, "unix:%s/2.sock", bench.directory);
    cr_assert(bench_start(&bench, tunnel_json(&bench, "shop", one, ""), "", &err), "%s",
              err.message);
    program_greeted(&bench, &program, 0);
    reload(&bench, tunnel_json(&bench, "shop", two, ""));
    cr_assert_neq(lstat(one + 5, &info), 0, "its socket went");
    cr_assert_eq(lstat(two + 5, &info), 0);
    program_write(&program, "+", 1);
    RUN_UNTIL(&bench.world, program.total == strlen(GREETING "db-shop+"));
    program_close(&bench.world, &program);
    bench_close(&bench);
}

Test(tunnel_service, drains)
{
    struct bench bench;
    struct program program, late;
    bench_open(&bench, "");
    program_greeted(&bench, &program, 0);
    struct address to = local_port(&bench, 0);
    tunnel_service_drain(bench.service);
    program_connect(&bench.world, &late, &to);
    RUN_UNTIL(&bench.world, late.failed);
    program_close(&bench.world, &late);
    program_write(&program, "+", 1);
    RUN_UNTIL(&bench.world, program.total == strlen(GREETING "db-shop+"));
    world_run_for(&bench.world, 100);
    cr_assert_not(bench.stopped);
    program_close(&bench.world, &program);
    RUN_UNTIL(&bench.world, bench.stopped);
    bench_close(&bench);
}

Test(tunnel_service, tells_those_who_wait_that_it_drains)
{
    struct bench bench;
    struct program program;
    bench_open(&bench, ",\"ready_connections\":0");
    bench.world.mode = PROXY_MUTE_TCP;
    program_open(&bench, &program, 0);
    RUN_UNTIL(&bench.world, bench.world.accepted == 1);
    tunnel_service_drain(bench.service);
    RUN_UNTIL(&bench.world, program.ended);
    cr_assert_eq(program_error(&program), 1053);
    program_close(&bench.world, &program);
    RUN_UNTIL(&bench.world, bench.stopped);
    bench_close(&bench);
}

Test(tunnel_service, ends_what_is_left_when_the_drain_s_time_is_over)
{
    struct bench bench;
    struct program program;
    struct error err = {0};
    bench_prepare(&bench);
    cr_assert(bench_start(&bench, tunnel_json(&bench, "shop", "127.0.0.1:0", ""),
                          ",\"drain_timeout\":\"150ms\"", &err),
              "%s", err.message);
    program_greeted(&bench, &program, 0);
    tunnel_service_drain(bench.service);
    RUN_UNTIL(&bench.world, program.ended || program.failed);
    program_close(&bench.world, &program);
    RUN_UNTIL(&bench.world, bench.stopped);
    bench_close(&bench);
}

Test(tunnel_service, refuses_to_reload_while_it_drains)
{
    struct bench bench;
    struct program program;
    struct tunnel_config config;
    struct error err = {0};
    bench_open(&bench, "");
    program_greeted(&bench, &program, 0);
    tunnel_service_drain(bench.service);
    config_of(tunnel_json(&bench, "shop", "127.0.0.1:0", ""), "", &config);
    cr_assert_not(tunnel_service_reload(bench.service, &config, &err));
    tunnel_config_release(&config);
    tunnel_service_log_statistics(bench.service);
    program_close(&bench.world, &program);
    bench_close(&bench);
}

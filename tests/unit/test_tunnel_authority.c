/* SPDX-License-Identifier: Apache-2.0 */
/* The whole tunnel with an authority: programs' connections across joins and renewals. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "control/frame.h"
#include "control/peer.h"
#include "tests/unit/authority_peer.h"
#include "tunnel/service.h"

struct bench {
    const char *more; /* settings of the tunnel; NULL: none */
    struct world world;
    struct authority authority;
    char directory[64];
    struct tunnel_service *service;
    struct tunnel_config config;
    struct join_token token;
    bool ready, stopped;
    struct error hopeless;
    /* The proxy's side of announcements. */
    struct control_peer *control;
    int announced, refused;
    bool refuse;
    char announced_serial[64];
    uint8_t announced_family[HELLO_FAMILY_SIZE];
    int control_connections;
};

static void on_ready(void *owner)
{
    ((struct bench *)owner)->ready = true;
}

static void on_stopped(void *owner)
{
    ((struct bench *)owner)->stopped = true;
}

static void on_hopeless(void *owner, const struct error *err)
{
    ((struct bench *)owner)->hopeless = *err;
}

static const struct tunnel_service_events events = {
    .ready = on_ready, .stopped = on_stopped, .hopeless = on_hopeless};

/* The proxy that is announced to. */

static void on_announce(struct control_peer *peer, void *owner, const cJSON *message,
                        const struct control_head *head)
{
    struct bench *bench = owner;
    struct error err = {0};
    cJSON *ok = cJSON_CreateObject();
    const char *family = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(message, "family"));
    cr_assert_str_eq(head->name, "announce");
    cr_assert(family && hello_family_read(family, bench->announced_family, &err), "%s",
              err.message);
    (void)snprintf(bench->announced_serial, sizeof bench->announced_serial, "%s",
                   control_peer_identity(peer)->serial);
    cr_assert(control_put_unsigned(ok, "sessions", 1));
    if (bench->refuse) {
        bench->refused++;
        control_free(ok);
        cr_assert(
            control_peer_send_new(peer, control_error(head->id, CONTROL_INTERNAL, "not now"), &err),
            "%s", err.message);
        return;
    }
    bench->announced++;
    cr_assert(control_peer_send_new(peer, control_answer(head->id, ok), &err), "%s", err.message);
}

static void on_control_closed(struct control_peer *peer, void *owner, const struct error *reason)
{
    (void)peer;
    (void)reason;
    ((struct bench *)owner)->control_connections--;
}

static const struct control_peer_events control_events = {.message = on_announce,
                                                          .closed = on_control_closed};

static void on_control(void *owner, struct stream *stream)
{
    struct bench *bench = owner;
    struct error err = {0};
    bench->control_connections++;
    cr_assert(control_peer_adopt(stream, &bench->world.loop, CONTROL_ANSWERS, &control_events,
                                 bench, &bench->control, &err),
              "%s", err.message);
}

/* The bench. */

static void bench_open(struct bench *bench)
{
    *bench = (struct bench){0};
    world_open(&bench->world);
    bench->world.control = on_control;
    bench->world.control_owner = bench;
    authority_open(&bench->authority, &bench->world);
    cr_assert_eq(chmod(directory_make(bench->directory), 0700), 0);
    strcpy(bench->token.text, AUTHORITY_TOKEN);
}

static const char *pin_of(const struct bench *bench)
{
    static char text[80];
    int used = snprintf(text, sizeof text, "sha256:");
    for (size_t i = 0; i < TLS_PIN_SIZE; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%02x", bench->authority.pin[i]);
    return text;
}

static void load(struct bench *bench, const char *more, struct tunnel_config *config)
{
    char text[2048];
    struct error err = {0};
    (void)snprintf(text, sizeof text,
                   "{\"tunnels\":[{\"name\":\"shop\",\"listen\":\"127.0.0.1:0\","
                   "\"proxy\":\"127.0.0.1:%u\",\"server_name\":\"localhost\","
                   "\"database\":\"shop\",\"identity\":\"%s\"%s}],"
                   "\"authority\":{\"address\":\"127.0.0.1:%u\",\"ca_pin\":\"%s\"}}",
                   bench->world.proxy.port, bench->directory, more, bench->authority.address.port,
                   pin_of(bench));
    cr_assert(tunnel_config_load_text(text, "/", config, &err), "%s: %s", text, err.message);
}

static void bench_start(struct bench *bench)
{
    struct tunnel_config config;
    struct error err = {0};
    load(bench, bench->more ? bench->more : "", &config);
    cr_assert(tunnel_config_take_token(&config, &bench->token, &err), "%s", err.message);
    cr_assert(
        tunnel_service_start(&bench->world.loop, &config, &events, bench, &bench->service, &err),
        "%s", err.message);
    tunnel_config_release(&config);
}

static void bench_close(struct bench *bench)
{
    tunnel_service_stop(bench->service);
    RUN_UNTIL(&bench->world, bench->stopped);
    authority_close(&bench->authority);
    RUN_UNTIL(&bench->world, bench->control_connections == 0);
    world_run_for(&bench->world, 100); /* what closes in the loop */
    tunnel_service_destroy(bench->service);
    world_close(&bench->world);
    directory_remove(bench->directory);
}

static struct shared_status identity_of(const struct bench *bench)
{
    struct tunnel_service_summary now;
    tunnel_service_summarize(bench->service, &now);
    return now.identity;
}

static void program_open(struct bench *bench, struct program *program)
{
    struct address to = *port_address(tunnel_service_port(bench->service, 0));
    program_connect(&bench->world, program, &to);
}

static void program_greeted(struct bench *bench, struct program *program)
{
    program_open(bench, program);
    RUN_UNTIL(&bench->world, program->total >= strlen(GREETING "shop"));
    cr_assert_str_eq(program->received, GREETING "shop");
}

static void program_refused(struct bench *bench, const char *text)
{
    struct program program;
    program_open(bench, &program);
    RUN_UNTIL(&bench->world, program.ended || program.failed);
    cr_assert_eq(program_error(&program), 1045);
    cr_assert_not_null(strstr(program_error_text(&program), text), "%s",
                       program_error_text(&program));
    program_close(&bench->world, &program);
}

static void expect_echo(struct bench *bench, struct program *program)
{
    size_t before = program->total;
    program_write(program, "ping", 4);
    RUN_UNTIL(&bench->world, program->total == before + 4);
}

/* Joining. */

Test(tunnel_authority, programs_connect_once_the_bot_has_joined)
{
    struct bench bench;
    struct program program;
    bench_open(&bench);
    bench_start(&bench);
    cr_assert_not(bench.ready, "the port stands before there is an identity");
    program_greeted(&bench, &program); /* it has waited for the certificate */
    cr_assert(bench.ready);
    expect_echo(&bench, &program);
    cr_assert_gt(identity_of(&bench).renew_at_us, clock_wall_us());
    cr_assert_eq(bench.announced, 0, "nothing was renewed");
    program_close(&bench.world, &program);
    bench_close(&bench);
}

Test(tunnel_authority, who_waits_for_the_first_certificate_is_told_why_there_is_none)
{
    struct bench bench;
    struct program program;
    bench_open(&bench);
    bench.authority.token_used = true;
    bench_start(&bench);
    program_open(&bench, &program);
    RUN_UNTIL(&bench.world, program.ended || program.failed);
    cr_assert_not_null(strstr(program_error_text(&program), "a token is good for one join"), "%s",
                       program_error_text(&program));
    cr_assert_not(bench.ready, "an end is no readiness");
    program_close(&bench.world, &program);
    bench_close(&bench);
}

Test(tunnel_authority, who_waits_for_the_first_certificate_waits_no_longer_than_for_a_proxy)
{
    struct bench bench;
    struct program program;
    bench_open(&bench);
    bench.authority.mode = AUTHORITY_SILENT;
    bench.more = ",\"connect_timeout\":\"1s\"";
    bench_start(&bench);
    program_open(&bench, &program);
    RUN_UNTIL(&bench.world, program.ended || program.failed);
    cr_assert_eq(program_error(&program), 1045);
    cr_assert_not_null(strstr(program_error_text(&program), "has not come within"), "%s",
                       program_error_text(&program));
    program_close(&bench.world, &program);
    bench_close(&bench);
}

Test(tunnel_authority, without_an_authority_the_tunnel_is_ready_and_tells_why)
{
    struct bench bench;
    bench_open(&bench);
    authority_stop(&bench.authority);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.ready);
    program_refused(&bench, "joining failed: cannot connect");
    authority_start(&bench.authority);
    RUN_UNTIL(&bench.world, identity_of(&bench).not_after_us > 0);
    bench_close(&bench);
}

Test(tunnel_authority, a_refused_token_is_told_to_programs_and_to_the_owner)
{
    struct bench bench;
    bench_open(&bench);
    bench.authority.token_used = true;
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.hopeless.code != ERROR_NONE);
    cr_assert_not_null(strstr(bench.hopeless.message, "sallyport token add"), "%s",
                       bench.hopeless.message);
    program_refused(&bench, "sallyport token add --bot NAME");
    bench_close(&bench);
}

Test(tunnel_authority, ends_while_it_joins)
{
    for (int milliseconds = 0; milliseconds < 30; milliseconds += 3) {
        struct bench bench;
        bench_open(&bench);
        bench_start(&bench);
        world_run_for(&bench.world, milliseconds);
        bench_close(&bench);
    }
}

/* Renewing. */

static void bench_start_short(struct bench *bench)
{
    bench_open(bench);
    bench->authority.life_ms = 3000;
    bench_start(bench);
    RUN_UNTIL(&bench->world, identity_of(bench).not_after_us > 0);
}

Test(tunnel_authority, sessions_live_on_and_their_proxy_is_told)
{
    struct bench bench;
    struct program program;
    bench_start_short(&bench);
    program_greeted(&bench, &program);
    RUN_UNTIL(&bench.world, bench.announced == 1);
    cr_assert_str_eq(bench.announced_serial, bench.authority.serial, "with the new certificate");
    cr_assert(bench.world.last.has_family);
    cr_assert_arr_eq(bench.announced_family, bench.world.last.family, HELLO_FAMILY_SIZE);
    expect_echo(&bench, &program);
    RUN_UNTIL(&bench.world, bench.announced == 3);
    expect_echo(&bench, &program);
    cr_assert_eq(bench.authority.joins, 1);
    program_close(&bench.world, &program);
    bench_close(&bench);
}

Test(tunnel_authority, nothing_is_announced_without_sessions)
{
    struct bench bench;
    bench_start_short(&bench);
    RUN_UNTIL(&bench.world, bench.authority.renewals == 2 && bench.authority.confirmed);
    world_run_for(&bench.world, 200);
    cr_assert_eq(bench.announced, 0);
    cr_assert_eq(bench.control_connections, 0);
    bench_close(&bench);
}

Test(tunnel_authority, a_refused_announcement_is_tried_again)
{
    struct bench bench;
    struct program program;
    bench_open(&bench);
    bench.authority.life_ms = 20000;
    bench.authority.renew_ms = 2600;
    bench.refuse = true;
    bench_start(&bench);
    RUN_UNTIL(&bench.world, identity_of(&bench).not_after_us > 0);
    bench.authority.renew_ms = 0;
    program_greeted(&bench, &program);
    RUN_UNTIL(&bench.world, bench.refused >= 2);
    cr_assert_eq(bench.authority.renewals, 1);
    bench.refuse = false;
    RUN_UNTIL(&bench.world, bench.announced == 1);
    world_run_for(&bench.world, 800);
    cr_assert_eq(bench.announced, 1, "once is enough");
    program_close(&bench.world, &program);
    bench_close(&bench);
}

Test(tunnel_authority, an_announcement_ends_with_its_sessions)
{
    struct bench bench;
    struct program program;
    bench_open(&bench);
    bench.authority.life_ms = 20000;
    bench.authority.renew_ms = 2600;
    bench.refuse = true;
    bench_start(&bench);
    RUN_UNTIL(&bench.world, identity_of(&bench).not_after_us > 0);
    bench.authority.renew_ms = 0;
    program_greeted(&bench, &program);
    RUN_UNTIL(&bench.world, bench.refused >= 1);
    program_close(&bench.world, &program);
    world_run_for(&bench.world, 1200);
    int before = bench.refused;
    world_run_for(&bench.world, 1500);
    cr_assert_eq(bench.refused, before);
    bench_close(&bench);
}

/* New connections use the new certificate at once: the ready ones are of the new set. */
Test(tunnel_authority, ready_connections_are_renewed)
{
    struct bench bench;
    struct program program;
    bench_start_short(&bench);
    RUN_UNTIL(&bench.world, bench.world.handshakes >= 2);
    int before = bench.world.handshakes;
    RUN_UNTIL(&bench.world, bench.authority.renewals == 1);
    RUN_UNTIL(&bench.world, bench.world.handshakes >= before + 2);
    program_greeted(&bench, &program);
    program_close(&bench.world, &program);
    bench_close(&bench);
}

/* Reloading. */

static void reload(struct bench *bench, const char *more)
{
    struct tunnel_config config;
    struct error err = {0};
    load(bench, more, &config);
    cr_assert(tunnel_service_reload(bench->service, &config, &err), "%s", err.message);
    tunnel_config_release(&config);
}

Test(tunnel_authority, a_reload_keeps_the_renewal)
{
    struct bench bench;
    struct program program;
    bench_start_short(&bench);
    program_greeted(&bench, &program);
    reload(&bench, ",\"max_connections\":7");
    RUN_UNTIL(&bench.world, bench.announced >= 1);
    expect_echo(&bench, &program);
    cr_assert_eq(bench.authority.joins, 1);
    program_close(&bench.world, &program);
    bench_close(&bench);
}

Test(tunnel_authority, a_reload_brings_a_token_where_the_first_was_used_up)
{
    struct bench bench;
    char more[128], path[96];
    bench_open(&bench);
    bench.authority.token_used = true;
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.hopeless.code != ERROR_NONE);
    bench.authority.token_used = false;
    (void)snprintf(path, sizeof path, "%s/token", bench.directory);
    file_write(bench.directory, "token", AUTHORITY_TOKEN);
    (void)snprintf(more, sizeof more, ",\"join\":\"%s\"", path);
    reload(&bench, more);
    RUN_UNTIL(&bench.world, identity_of(&bench).not_after_us > 0);
    bench_close(&bench);
}

Test(tunnel_authority, sessions_are_of_one_family_across_reloads_and_never_of_anothers)
{
    struct bench bench;
    struct program program;
    uint8_t family[HELLO_FAMILY_SIZE];
    bench_start_short(&bench);
    program_greeted(&bench, &program);
    memcpy(family, bench.world.last.family, sizeof family);
    program_close(&bench.world, &program);
    reload(&bench, ",\"max_connections\":7");
    program_greeted(&bench, &program);
    cr_assert_arr_eq(bench.world.last.family, family, sizeof family);
    program_close(&bench.world, &program);
    bench_close(&bench);
    bench_start_short(&bench); /* another process would do no other than this */
    program_greeted(&bench, &program);
    cr_assert_arr_neq(bench.world.last.family, family, sizeof family);
    program_close(&bench.world, &program);
    bench_close(&bench);
}

/* While sessions drain, they are still kept alive. */
Test(tunnel_authority, renews_and_announces_while_it_drains)
{
    struct bench bench;
    struct program program;
    bench_start_short(&bench);
    program_greeted(&bench, &program);
    tunnel_service_drain(bench.service);
    RUN_UNTIL(&bench.world, bench.announced >= 2);
    expect_echo(&bench, &program);
    program_close(&bench.world, &program);
    RUN_UNTIL(&bench.world, bench.stopped);
    bench_close(&bench);
}

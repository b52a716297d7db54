/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/tunnel_support.h"
#include "tunnel/pool.h"

struct bench {
    struct world world;
    char directory[64];
    struct credentials *credentials;
    struct pool *pool;
};

static void bench_open(struct bench *bench, const char *bot, size_t ready)
{
    struct error err = {0};
    world_open(&bench->world);
    identity_install(directory_make(bench->directory), bot);
    cr_assert(credentials_create(bench->directory, &bench->credentials, &err), "%s", err.message);
    const struct pool_settings settings = {.proxy = bench->world.proxy,
                                           .server_name = "localhost",
                                           .credentials = bench->credentials,
                                           .ready = ready,
                                           .dial_timeout_ms = 5000};
    cr_assert(pool_create(bench->world.streams, &bench->world.loop, &settings, &bench->pool, &err),
              "%s", err.message);
}

static void bench_close(struct bench *bench)
{
    pool_destroy(bench->pool);
    credentials_unref(bench->credentials);
    world_close(&bench->world);
    directory_remove(bench->directory);
}

/* One who waits. */
struct waiter {
    struct pool_wait *wait;
    struct stream *stream;
    struct error error;
    bool done, closed;
};

static size_t waiter_data(struct stream *stream, void *owner, const uint8_t *data, size_t length)
{
    (void)stream;
    (void)owner;
    (void)data;
    return length;
}

static void waiter_ended(struct stream *stream, void *owner)
{
    (void)stream;
    (void)owner;
}

static void waiter_failed(struct stream *stream, void *owner, const struct error *err)
{
    (void)stream;
    ((struct waiter *)owner)->error = *err;
}

static void waiter_closed(struct stream *stream, void *owner)
{
    struct waiter *waiter = owner;
    (void)stream;
    waiter->stream = NULL;
    waiter->closed = true;
}

static const struct stream_events waiter_events = {
    .data = waiter_data, .ended = waiter_ended, .failed = waiter_failed, .closed = waiter_closed};

static void waiter_own(struct waiter *waiter, struct stream *stream)
{
    waiter->stream = stream;
    if (stream)
        stream_set_owner(stream, &waiter_events, waiter);
}

static void on_done(void *owner, struct stream *stream, const struct error *err)
{
    struct waiter *waiter = owner;
    cr_assert_not(waiter->done, "done comes once");
    waiter->done = true;
    waiter_own(waiter, stream);
    if (!stream)
        waiter->error = *err;
}

static void waiter_start(struct bench *bench, struct waiter *waiter, int64_t timeout_ms)
{
    struct error err = {0};
    cr_assert(pool_wait(bench->pool, timeout_ms, on_done, waiter, &waiter->wait, &err), "%s",
              err.message);
    cr_assert_not(waiter->done, "from the loop only");
}

Test(tunnel_pool, keeps_what_was_asked_for)
{
    struct bench bench;
    bench_open(&bench, "ci-1", 3);
    RUN_UNTIL(&bench.world, pool_ready_count(bench.pool) == 3);
    world_run_for(&bench.world, 100);
    cr_assert_eq(bench.world.accepted, 3);
    struct waiter taken = {0};
    waiter_own(&taken, pool_take(bench.pool));
    cr_assert_not_null(taken.stream);
    cr_assert_eq(pool_ready_count(bench.pool), 2);
    RUN_UNTIL(&bench.world, pool_ready_count(bench.pool) == 3);
    stream_close(taken.stream, 0);
    RUN_UNTIL(&bench.world, taken.closed);
    pool_tune(bench.pool, 1, 5000);
    cr_assert_eq(pool_ready_count(bench.pool), 1);
    bench_close(&bench);
}

Test(tunnel_pool, serves_a_burst_and_each_with_a_connection_of_its_own)
{
    struct bench bench;
    static struct waiter waiters[50];
    bench_open(&bench, "ci-1", 2);
    for (size_t i = 0; i < 50; i++)
        waiter_start(&bench, &waiters[i], 10000);
    cr_assert_leq(pool_dial_count(bench.pool), POOL_DIALS_MAX);
    for (size_t i = 0; i < 50; i++)
        RUN_UNTIL(&bench.world, waiters[i].done);
    for (size_t i = 0; i < 50; i++) {
        cr_assert_not_null(waiters[i].stream, "%s", waiters[i].error.message);
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(waiters[i].stream, waiters[j].stream);
    }
    RUN_UNTIL(&bench.world, pool_ready_count(bench.pool) == 2);
    cr_assert_eq(pool_dial_count(bench.pool), 0);
    for (size_t i = 0; i < 50; i++)
        stream_close(waiters[i].stream, 0);
    for (size_t i = 0; i < 50; i++)
        RUN_UNTIL(&bench.world, waiters[i].closed);
    bench_close(&bench);
}

Test(tunnel_pool, replaces_what_the_proxy_closed)
{
    struct bench bench;
    bench_open(&bench, "ci-1", 2);
    RUN_UNTIL(&bench.world, pool_ready_count(bench.pool) == 2);
    world_drop_sessions(&bench.world);
    RUN_UNTIL(&bench.world, pool_ready_count(bench.pool) < 2);
    RUN_UNTIL(&bench.world, pool_ready_count(bench.pool) == 2);
    cr_assert_geq(bench.world.accepted, 4);
    bench_close(&bench);
}

Test(tunnel_pool, does_not_hammer_a_proxy_that_closes_at_once)
{
    struct bench bench;
    bench_open(&bench, "ci-1", 4);
    bench.world.mode = PROXY_CLOSE_AT_HANDSHAKE;
    world_run_for(&bench.world, 1200);
    int tries = bench.world.accepted;
    cr_assert_geq(tries, 4);
    cr_assert_leq(tries, 10, "%d tries in 1.2 s", tries);
    bench.world.mode = PROXY_ECHO;
    RUN_UNTIL(&bench.world, pool_ready_count(bench.pool) >= 1);
    bench_close(&bench);
}

Test(tunnel_pool, does_not_hammer_a_proxy_that_refuses_the_certificate)
{
    struct bench bench;
    bench_open(&bench, "foreign", 4);
    world_run_for(&bench.world, 1200);
    cr_assert_eq(pool_ready_count(bench.pool), 0);
    cr_assert_leq(bench.world.accepted, 10, "%d tries in 1.2 s", bench.world.accepted);
    identity_install(bench.directory, "ci-1");
    cr_assert(credentials_check(bench.credentials));
    pool_refresh(bench.pool); /* a new identity ends the pause */
    RUN_UNTIL(&bench.world, pool_ready_count(bench.pool) >= 1);
    bench_close(&bench);
}

Test(tunnel_pool, fills_up_again_once_a_greeting_came)
{
    struct bench bench;
    bench_open(&bench, "ci-1", 3);
    bench.world.mode = PROXY_CLOSE_AT_HANDSHAKE;
    RUN_UNTIL(&bench.world, bench.world.handshakes >= 3);
    RUN_UNTIL(&bench.world, pool_ready_count(bench.pool) == 0 && pool_dial_count(bench.pool) == 0);
    bench.world.mode = PROXY_ECHO;
    RUN_UNTIL(&bench.world, pool_ready_count(bench.pool) == 1);
    pool_confirm(bench.pool);
    RUN_UNTIL(&bench.world, pool_ready_count(bench.pool) == 3);
    bench_close(&bench);
}

Test(tunnel_pool, does_not_keep_what_speaks_before_the_hello_frame)
{
    struct bench bench;
    bench_open(&bench, "ci-1", 1);
    bench.world.mode = PROXY_EARLY;
    RUN_UNTIL(&bench.world, bench.world.handshakes == 1);
    world_run_for(&bench.world, 100);
    cr_assert_eq(pool_ready_count(bench.pool), 0);
    bench_close(&bench);
}

Test(tunnel_pool, comes_back_when_the_proxy_does)
{
    struct bench bench;
    struct waiter waiter = {0};
    bench_open(&bench, "ci-1", 1);
    struct address gone = bench.world.proxy;
    world_stop_proxy(&bench.world);
    pool_destroy(bench.pool);
    const struct pool_settings settings = {.proxy = gone,
                                           .server_name = "localhost",
                                           .credentials = bench.credentials,
                                           .ready = 1,
                                           .dial_timeout_ms = 5000};
    cr_assert(pool_create(bench.world.streams, &bench.world.loop, &settings, &bench.pool, NULL));
    waiter_start(&bench, &waiter, 5000);
    RUN_UNTIL(&bench.world, waiter.done);
    cr_assert_null(waiter.stream);
    cr_assert(strstr(waiter.error.message, "refused"), "%s", waiter.error.message);
    bench_close(&bench);
}

Test(tunnel_pool, ends_a_wait_at_its_deadline)
{
    struct bench bench;
    struct waiter waiter = {0};
    bench_open(&bench, "ci-1", 0);
    bench.world.mode = PROXY_MUTE_TCP;
    waiter_start(&bench, &waiter, 150);
    int64_t before = clock_monotonic_us();
    RUN_UNTIL(&bench.world, waiter.done);
    cr_assert_eq(waiter.error.code, ERROR_TIMEOUT, "%s", waiter.error.message);
    cr_assert_lt(clock_monotonic_us() - before, 3000000);
    bench_close(&bench);
}

Test(tunnel_pool, ends_a_dial_at_its_deadline)
{
    struct bench bench;
    struct waiter waiter = {0};
    bench_open(&bench, "ci-1", 0);
    pool_tune(bench.pool, 0, 150);
    bench.world.mode = PROXY_MUTE_TCP;
    waiter_start(&bench, &waiter, 9000);
    RUN_UNTIL(&bench.world, waiter.done);
    cr_assert_eq(waiter.error.code, ERROR_TIMEOUT);
    cr_assert(strstr(waiter.error.message, "handshake"), "%s", waiter.error.message);
    bench_close(&bench);
}

Test(tunnel_pool, forgets_who_cancelled)
{
    struct bench bench;
    struct waiter waiter = {0};
    bench_open(&bench, "ci-1", 0);
    waiter_start(&bench, &waiter, 5000);
    pool_cancel(waiter.wait);
    world_run_for(&bench.world, 200);
    cr_assert_not(waiter.done);
    bench_close(&bench);
}

Test(tunnel_pool, tells_waiters_when_it_is_destroyed)
{
    struct bench bench;
    struct waiter waiter = {0};
    bench_open(&bench, "ci-1", 2);
    bench.world.mode = PROXY_MUTE_TCP;
    waiter_start(&bench, &waiter, 5000);
    world_run_for(&bench.world, 50);
    bench_close(&bench);
    cr_assert(waiter.done);
    cr_assert_eq(waiter.error.code, ERROR_CLOSED);
}

Test(tunnel_pool, drops_what_a_former_identity_made)
{
    struct bench bench;
    bench_open(&bench, "ci-1", 2);
    RUN_UNTIL(&bench.world, pool_ready_count(bench.pool) == 2);
    identity_install(bench.directory, "report-1");
    cr_assert(credentials_check(bench.credentials));
    cr_assert_null(pool_take(bench.pool));
    RUN_UNTIL(&bench.world, pool_ready_count(bench.pool) == 2);
    cr_assert_eq(bench.world.accepted, 4);
    bench_close(&bench);
}

Test(tunnel_pool, dials_nothing_with_a_certificate_out_of_its_time)
{
    struct bench bench;
    struct waiter waiter = {0};
    struct error err = {0};
    bench_open(&bench, "expired", 2);
    world_run_for(&bench.world, 200);
    cr_assert_eq(bench.world.accepted, 0);
    cr_assert_not(pool_wait(bench.pool, 1000, on_done, &waiter, &waiter.wait, &err));
    cr_assert_eq(err.code, ERROR_DENIED);
    identity_install(bench.directory, "ci-1");
    cr_assert(credentials_check(bench.credentials));
    pool_refresh(bench.pool);
    RUN_UNTIL(&bench.world, pool_ready_count(bench.pool) == 2);
    bench_close(&bench);
}

Test(tunnel_pool, is_told_apart_by_all_that_matters)
{
    struct bench bench;
    bench_open(&bench, "ci-1", 0);
    struct address other = bench.world.proxy;
    other.port ^= 1;
    cr_assert(pool_matches(bench.pool, &bench.world.proxy, "localhost", bench.credentials));
    cr_assert_not(pool_matches(bench.pool, &other, "localhost", bench.credentials));
    cr_assert_not(pool_matches(bench.pool, &bench.world.proxy, "localhos", bench.credentials));
    cr_assert_not(pool_matches(bench.pool, &bench.world.proxy, "localhost", NULL));
    bench_close(&bench);
}

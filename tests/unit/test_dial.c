/* SPDX-License-Identifier: Apache-2.0 */
/* What test_tunnel_pool.c and test_control_client.c do not show: whose the stream is. */
#include "tls/dial.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/tls_support.h"

struct bench {
    struct pair pair;
    struct dial *dial;
    bool done;
    bool close_at_once;
    struct stream *stream;
    struct error err;
};

static const char *const control_alpn[] = {TLS_ALPN_CONTROL, NULL};

static void on_done(void *owner, struct stream *stream, const struct error *err)
{
    struct bench *bench = owner;
    cr_assert_not(bench->done, "done came twice");
    cr_assert_neq(stream == NULL, err == NULL);
    bench->done = true;
    if (err)
        bench->err = *err;
    if (bench->close_at_once) {
        stream_close(stream, 0);
    } else if (stream) {
        bench->pair.client.stream = stream;
        stream_set_owner(stream, &side_events, &bench->pair.client);
        stream_resume(stream);
    }
}

/* Dials the listener of the pair, whose own connection is gone, and shakes hands. */
static void bench_run(struct bench *bench, const char *wanted)
{
    struct sockaddr_in address;
    int length = sizeof address;
    struct pair *pair = &bench->pair;
    pair_open(pair);
    stream_close(pair->client.stream, 0);
    stream_close(pair->server.stream, 0);
    pair_run_until(pair, &pair->client.closed);
    pair_run_until(pair, &pair->server.closed);
    pair->client.closed = pair->server.closed = pair->server.connected = false;
    cr_assert_eq(uv_tcp_getsockname(&pair->listener, (struct sockaddr *)&address, &length), 0);
    struct tls_settings client = settings_client("ci-1");
    struct tls_settings server = settings_server();
    client.alpn = server.alpn = control_alpn;
    struct tls_context *context = context_make(&client);
    const struct dial_request request = {
        .address = {.kind = ADDRESS_HOST, .host = "127.0.0.1", .port = ntohs(address.sin_port)},
        .server_name = "localhost",
        .alpn = wanted,
        .context = context,
        .timeout_ms = 5000,
    };
    cr_assert(dial_start(pair->shared, &pair->loop, &request, on_done, bench, &bench->dial, NULL));
    tls_context_unref(context);
    pair_run_until(pair, &pair->server.connected);
    context = context_make(&server);
    cr_assert(stream_start_tls(pair->server.stream, context, NULL, NULL));
    tls_context_unref(context);
    pair_run_until(pair, &bench->done);
}

Test(dial, hands_over_what_came_meanwhile)
{
    struct bench bench = {0};
    bench_run(&bench, TLS_ALPN_CONTROL);
    cr_assert_eq(bench.err.code, ERROR_NONE, "%s", bench.err.message);
    side_write(&bench.pair.server, "early", 5);
    pair_run_until_received(&bench.pair, &bench.pair.client, 5);
    pair_close(&bench.pair);
}

/* Without becoming its owner first: nobody is told, and nothing is freed twice (ASan). */
Test(dial, its_stream_may_be_closed_at_once)
{
    struct bench bench = {.close_at_once = true};
    bench_run(&bench, TLS_ALPN_CONTROL);
    pair_run_until(&bench.pair, &bench.pair.server.ended);
    pair_close(&bench.pair);
}

Test(dial, refuses_another_protocol_than_was_asked_for)
{
    struct bench bench = {0};
    bench_run(&bench, TLS_ALPN_MYSQL);
    cr_assert_eq(bench.err.code, ERROR_UNSUPPORTED);
    cr_assert_not_null(strstr(bench.err.message, "TLS-first listener"), "%s", bench.err.message);
    pair_close(&bench.pair);
}

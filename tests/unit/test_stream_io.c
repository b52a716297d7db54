/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes: order, backpressure, STARTTLS, hostile input. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/tls_support.h"

#define MEBIBYTE (1024u * 1024u)

static const enum tls_version versions[] = {TLS_VERSION_1_2, TLS_VERSION_1_3};

/* A byte that tells its place, so that loss, doubling and reordering show. */
static uint8_t byte_at(size_t at)
{
    return (uint8_t)((at * 2654435761u) >> 13);
}

static void fill(uint8_t *out, size_t from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        out[i] = byte_at(from + i);
}

/* In the clear. */

Test(stream_io, carries_bytes_in_the_clear)
{
    struct pair pair;
    pair_open(&pair);
    pair.server.echo = true;
    side_write(&pair.client, "one ", 4);
    side_write(&pair.client, "two", 3);
    pair_run_until_received(&pair, &pair.client, 7);
    cr_assert(side_received(&pair.client, "one two"));
    cr_assert_eq(stream_backlog(pair.client.stream), 0);
    pair_close(&pair);
}

Test(stream_io, writes_of_one_event_go_out_together)
{
    struct pair pair;
    pair_open_tls(&pair, TLS_VERSION_1_3);
    for (int i = 0; i < 10; i++)
        side_write(&pair.client, "0123456789", 10);
    cr_assert_gt(stream_backlog(pair.client.stream), 100, "nothing leaves before the event ends");
    pair_run_until_received(&pair, &pair.server, 100);
    cr_assert_eq(stream_backlog(pair.client.stream), 0);
    pair_close(&pair);
}

Test(stream_io, flush_sends_at_once)
{
    struct pair pair;
    pair_open(&pair);
    side_write(&pair.client, "x", 1);
    cr_assert_eq(stream_backlog(pair.client.stream), 1);
    stream_flush(pair.client.stream);
    cr_assert_eq(stream_backlog(pair.client.stream), 0);
    pair_run_until_received(&pair, &pair.server, 1);
    pair_close(&pair);
}

Test(stream_io, another_streams_write_flushes)
{
    struct pair pair;
    pair_open(&pair);
    side_write(&pair.client, "x", 1);
    side_write(&pair.server, "y", 1);
    cr_assert_eq(stream_backlog(pair.client.stream), 0);
    cr_assert_eq(stream_backlog(pair.server.stream), 1);
    pair_run_until_received(&pair, &pair.server, 1);
    pair_run_until_received(&pair, &pair.client, 1);
    pair_close(&pair);
}

Test(stream_io, writes_nothing)
{
    struct pair pair;
    pair_open_tls(&pair, TLS_VERSION_1_3);
    side_write(&pair.client, "", 0);
    cr_assert_eq(stream_backlog(pair.client.stream), 0);
    pair_close(&pair);
}

/* What is written before the handshake is done waits for it. */
Test(stream_io, write_during_the_handshake_comes_after_it)
{
    struct pair pair;
    pair_open(&pair);
    pair_start_tls(&pair, context_server(TLS_VERSION_ANY), context_client("ci-1", TLS_VERSION_ANY),
                   "localhost");
    side_write(&pair.client, "early", 5);
    cr_assert_eq(stream_backlog(pair.client.stream), 5);
    pair_run_until_received(&pair, &pair.server, 5);
    cr_assert(side_received(&pair.server, "early"));
    cr_assert(pair.server.secured);
    pair_close(&pair);
}

Test(stream_io, drained_comes_for_what_was_written_during_the_handshake)
{
    struct pair pair;
    static uint8_t bytes[STREAM_BACKLOG_HIGH + 1];
    pair_open(&pair);
    pair_start_tls(&pair, context_server(TLS_VERSION_ANY), context_client("ci-1", TLS_VERSION_ANY),
                   "localhost");
    side_write(&pair.client, bytes, sizeof bytes);
    pair_run_until(&pair, &pair.client.drained);
    pair_close(&pair);
}

/* Backpressure. */

struct bulk {
    size_t sent;
    size_t total;
    size_t checked;
    size_t most_backlog;
};

static void feed(struct side *side, struct bulk *bulk)
{
    static uint8_t chunk[100000];
    while (bulk->sent < bulk->total && stream_backlog(side->stream) <= STREAM_BACKLOG_HIGH) {
        size_t length = bulk->total - bulk->sent;
        if (length > sizeof chunk)
            length = sizeof chunk;
        fill(chunk, bulk->sent, length);
        side_write(side, chunk, length);
        bulk->sent += length;
        if (stream_backlog(side->stream) > bulk->most_backlog)
            bulk->most_backlog = stream_backlog(side->stream);
    }
}

static void check_bytes(struct side *side, const uint8_t *bytes, size_t length, size_t *taken)
{
    struct bulk *bulk = side->extra;
    for (size_t i = 0; i < *taken; i++)
        if (bytes[i] != byte_at(bulk->checked + i))
            cr_assert_fail("byte %zu is wrong", bulk->checked + i);
    bulk->checked += *taken;
    (void)length;
}

static long resident_kilobytes(void)
{
    struct rusage usage;
    cr_assert_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* The reader takes odd amounts and pauses after each; the writer stops above the high mark. */
static void pump_through(struct pair *pair, struct bulk *bulk, size_t take)
{
    pair->server.keep = false;
    pair->server.on_data = check_bytes;
    pair->server.extra = bulk;
    pair->server.take = take;
    int stalls = 0;
    while (bulk->checked < bulk->total) {
        feed(&pair->client, bulk);
        (void)uv_run(&pair->loop, UV_RUN_NOWAIT);
        if (stream_paused(pair->server.stream) && ++stalls % 3 != 0)
            stream_resume(pair->server.stream);
        cr_assert_not(pair->client.failed, "%s", pair->client.error.message);
        cr_assert_not(pair->server.failed, "%s", pair->server.error.message);
    }
}

static void carry_bulk(enum tls_version version, size_t take)
{
    struct pair pair;
    struct bulk bulk = {.total = 100 * MEBIBYTE};
    pair_open_tls(&pair, version);
    long before = resident_kilobytes();
    pump_through(&pair, &bulk, take);
    cr_assert_leq(bulk.most_backlog, STREAM_BACKLOG_HIGH + 128 * 1024);
#ifndef __SANITIZE_ADDRESS__ /* which keeps freed memory for a while */
    cr_assert_lt(resident_kilobytes() - before, 16 * 1024, "memory grew");
#else
    (void)before;
#endif
    pair_close(&pair);
}

Test(stream_io, carries_100_megabytes_over_tls_1_2, .timeout = 120)
{
    carry_bulk(TLS_VERSION_1_2, 60001);
}

Test(stream_io, carries_100_megabytes_over_tls_1_3, .timeout = 120)
{
    carry_bulk(TLS_VERSION_1_3, 0);
}

/* The smallest takes: each byte alone, with what is left kept and given again. */
Test(stream_io, gives_again_what_was_not_taken)
{
    for (size_t i = 0; i < 3; i++) {
        struct pair pair;
        struct bulk bulk = {.total = 20011};
        if (i == 2)
            pair_open(&pair);
        else
            pair_open_tls(&pair, versions[i]);
        pump_through(&pair, &bulk, 7);
        cr_assert_eq(pair.server.received_total, bulk.total);
        pair_close(&pair);
    }
}

Test(stream_io, paused_stream_gets_nothing)
{
    struct pair pair;
    pair_open_tls(&pair, TLS_VERSION_1_3);
    stream_pause(pair.server.stream);
    side_write(&pair.client, "hello", 5);
    pair_run_for(&pair, 50);
    cr_assert_eq(pair.server.received_total, 0);
    stream_resume(pair.server.stream);
    cr_assert_eq(pair.server.received_total, 0, "not from inside the call");
    pair_run_until_received(&pair, &pair.server, 5);
    pair_close(&pair);
}

static void take_half_and_yield(struct side *side, const uint8_t *bytes, size_t length,
                                size_t *taken)
{
    (void)bytes;
    *taken = length / 2;
    stream_yield(side->stream);
}

/* What an owner that yielded has left comes by itself, but not before other events had a turn. */
Test(stream_io, comes_again_by_itself_after_a_yield)
{
    struct pair pair;
    pair_open_tls(&pair, TLS_VERSION_1_3);
    pair.server.on_data = take_half_and_yield;
    side_write(&pair.client, "0123456789abcdef", 16);
    pair_run_until_received(&pair, &pair.server, 8);
    cr_assert(stream_paused(pair.server.stream));
    pair_run_until_received(&pair, &pair.server, 15);
    cr_assert(side_received(&pair.server, "0123456789abcde"));
    pair.server.on_data = NULL;
    pair_run_until_received(&pair, &pair.server, 16);
    cr_assert_not(stream_paused(pair.server.stream));
    pair_close(&pair);
}

Test(stream_io, a_pause_after_a_yield_stays)
{
    struct pair pair;
    pair_open(&pair);
    stream_yield(pair.server.stream);
    stream_pause(pair.server.stream);
    side_write(&pair.client, "hello", 5);
    pair_run_for(&pair, 50);
    cr_assert_eq(pair.server.received_total, 0);
    stream_resume(pair.server.stream);
    pair_run_until_received(&pair, &pair.server, 5);
    pair_close(&pair);
}

/* Each of the three alone waits for the loop's attention or ends that: together they once made its
 * list of those that wait a list without an end. */
Test(stream_io, survives_a_yield_a_pause_and_a_resume_in_a_row)
{
    struct pair pair;
    pair_open(&pair);
    for (int round = 0; round < 3; round++) {
        stream_yield(pair.server.stream);
        stream_pause(pair.server.stream);
        stream_resume(pair.server.stream);
        cr_assert_not(stream_paused(pair.server.stream));
    }
    side_write(&pair.client, "hello", 5);
    pair_run_until_received(&pair, &pair.server, 5);
    pair_close(&pair);
}

/* I9: a peer that never reads. */
Test(stream_io, bounds_what_waits_for_a_peer_that_never_reads)
{
    struct pair pair;
    static uint8_t chunk[65536];
    struct error err = {0};
    pair_open_tls(&pair, TLS_VERSION_1_3);
    stream_pause(pair.server.stream);
    size_t most = 0;
    for (int i = 0; i < 1000 && stream_write(pair.client.stream, chunk, sizeof chunk, &err); i++) {
        (void)uv_run(&pair.loop, UV_RUN_NOWAIT);
        if (stream_backlog(pair.client.stream) > most)
            most = stream_backlog(pair.client.stream);
    }
    cr_assert_eq(err.code, ERROR_LIMIT, "%s", err.message);
    cr_assert_leq(most, STREAM_BACKLOG_MAX);
    cr_assert_gt(most, STREAM_BACKLOG_MAX - 2 * sizeof chunk);
    cr_assert_not(pair.client.failed, "not from inside the call");
    pair_run_until(&pair, &pair.client.failed);
    cr_assert_eq(pair.client.error.code, ERROR_LIMIT);
    cr_assert_not(stream_write(pair.client.stream, "x", 1, &err));
    pair_close(&pair);
}

static void take_all_but_one(struct side *side, const uint8_t *bytes, size_t length, size_t *taken)
{
    (void)side;
    (void)bytes;
    *taken = length - 1;
}

Test(stream_io, owner_that_leaves_bytes_without_a_pause_is_a_failure)
{
    for (int secured = 0; secured < 2; secured++) {
        struct pair pair;
        if (secured)
            pair_open_tls(&pair, TLS_VERSION_1_3);
        else
            pair_open(&pair);
        pair.server.on_data = take_all_but_one;
        side_write(&pair.client, "hello", 5);
        pair_run_until(&pair, &pair.server.failed);
        cr_assert_eq(pair.server.error.code, ERROR_STATE);
        pair_close(&pair);
    }
}

/* STARTTLS. */

struct upgrade {
    size_t prefix; /* bytes in the clear before the switch */
    struct tls_context *context;
    const char *server_name;
};

static void upgrade_in_data(struct side *side, const uint8_t *bytes, size_t length, size_t *taken)
{
    struct upgrade *upgrade = side->extra;
    struct error err = {0};
    (void)bytes;
    if (!upgrade->context)
        return;
    cr_assert_geq(length, upgrade->prefix);
    *taken = upgrade->prefix;
    cr_assert(stream_start_tls(side->stream, upgrade->context, upgrade->server_name, &err), "%s",
              err.message);
    tls_context_unref(upgrade->context);
    upgrade->context = NULL;
}

static void await_switch(struct side *side, struct upgrade *upgrade)
{
    side->on_data = upgrade_in_data;
    side->extra = upgrade;
}

/* The server greets; the client asks for TLS and starts it; the server follows inside `data`. */
static void starttls(enum tls_version version)
{
    struct pair pair;
    struct upgrade upgrade = {.prefix = 4, .context = context_server(version)};
    pair_open(&pair);
    side_write(&pair.server, "greeting", 8);
    pair_run_until_received(&pair, &pair.client, 8);
    await_switch(&pair.server, &upgrade);
    side_write(&pair.client, "TLS!", 4);
    pair_start_tls(&pair, NULL, context_client("ci-1", version), "localhost");
    pair_run_until(&pair, &pair.client.secured);
    side_write(&pair.client, " and then", 9);
    pair_run_until_received(&pair, &pair.server, 13);
    cr_assert(side_received(&pair.server, "TLS! and then"));
    cr_assert(pair.server.secured);
    pair_close(&pair);
}

Test(stream_io, switches_to_tls_1_2_inside_data)
{
    starttls(TLS_VERSION_1_2);
}

Test(stream_io, switches_to_tls_1_3_inside_data)
{
    starttls(TLS_VERSION_1_3);
}

/* A client that does not wait sends its hello together with the request: that is TLS, not
 * injection. */
Test(stream_io, takes_a_hello_that_came_with_the_request)
{
    struct pair pair;
    struct upgrade upgrade = {.prefix = 4, .context = context_server(TLS_VERSION_ANY)};
    pair_open(&pair);
    stream_pause(pair.server.stream);
    side_write(&pair.client, "TLS!", 4);
    pair_start_tls(&pair, NULL, context_client("ci-1", TLS_VERSION_ANY), "localhost");
    pair_run_for(&pair, 30);
    await_switch(&pair.server, &upgrade);
    stream_resume(pair.server.stream);
    pair_run_until(&pair, &pair.server.secured);
    cr_assert_eq(pair.server.received_total, 4);
    pair_close(&pair);
}

/* CVE-2011-0411 and its kin: what an attacker puts behind the request must not count as encrypted.
 */
Test(stream_io, refuses_plaintext_injected_behind_the_request)
{
    struct pair pair;
    struct upgrade upgrade = {.prefix = 4, .context = context_server(TLS_VERSION_ANY)};
    pair_open(&pair);
    await_switch(&pair.server, &upgrade);
    side_write(&pair.client, "TLS!\x03SELECT 1", 13);
    pair_run_until(&pair, &pair.server.failed);
    cr_assert_eq(pair.server.error.code, ERROR_MALFORMED);
    cr_assert_not_null(strstr(pair.server.error.message, "plaintext where TLS is due"), "said: %s",
                       pair.server.error.message);
    cr_assert_eq(pair.server.received_total, 4);
    pair_close(&pair);
}

/* The client's leg: a server speaks second, so whatever is there at the switch was injected. */
Test(stream_io, refuses_bytes_before_the_clients_hello)
{
    struct pair pair;
    struct upgrade upgrade = {.prefix = 8,
                              .context = context_client("ci-1", TLS_VERSION_ANY),
                              .server_name = "localhost"};
    pair_open(&pair);
    await_switch(&pair.client, &upgrade);
    side_write(&pair.server, "greeting\x16\x03\x03", 11);
    pair_run_until(&pair, &pair.client.failed);
    cr_assert_eq(pair.client.error.code, ERROR_MALFORMED);
    pair_close(&pair);
}

Test(stream_io, refuses_bytes_that_were_kept_before_the_switch)
{
    struct pair pair;
    struct error err = {0};
    struct tls_context *client = context_client("ci-1", TLS_VERSION_ANY);
    pair_open(&pair);
    pair.client.take = 8;
    side_write(&pair.server, "greetingEVIL", 12);
    pair_run_until_received(&pair, &pair.client, 8);
    cr_assert(stream_paused(pair.client.stream));
    cr_assert(stream_start_tls(pair.client.stream, client, "localhost", &err));
    tls_context_unref(client);
    cr_assert_not(pair.client.failed, "not from inside the call");
    pair_run_until(&pair, &pair.client.failed);
    cr_assert_eq(pair.client.error.code, ERROR_MALFORMED);
    pair_close(&pair);
}

Test(stream_io, what_was_written_before_the_switch_goes_in_the_clear)
{
    struct pair pair;
    struct upgrade upgrade = {.prefix = 8,
                              .context = context_client("ci-1", TLS_VERSION_ANY),
                              .server_name = "localhost"};
    pair_open(&pair);
    await_switch(&pair.client, &upgrade);
    side_write(&pair.server, "greeting", 8);
    pair_start_tls(&pair, context_server(TLS_VERSION_ANY), NULL, NULL);
    pair_run_until(&pair, &pair.server.secured);
    pair_run_until(&pair, &pair.client.secured);
    cr_assert(side_received(&pair.client, "greeting"));
    pair_close(&pair);
}

/* Hostile bytes. */

static void assert_garbage_refused(const void *bytes, size_t length, enum error_code code,
                                   const char *words)
{
    struct pair pair;
    pair_open(&pair);
    pair_start_tls(&pair, context_server(TLS_VERSION_ANY), NULL, NULL);
    side_write(&pair.client, bytes, length);
    pair_run_until(&pair, &pair.server.failed);
    cr_assert_eq(pair.server.error.code, code, "%d: %s", (int)pair.server.error.code,
                 pair.server.error.message);
    cr_assert_not_null(strstr(pair.server.error.message, words), "said: %s",
                       pair.server.error.message);
    cr_assert_eq(pair.server.received_total, 0);
    pair_close(&pair);
}

Test(stream_io, refuses_plaintext_on_a_tls_port)
{
    assert_garbage_refused("GET / HTTP/1.0\r\n\r\n", 18, ERROR_MALFORMED,
                           "plaintext where TLS is due");
    assert_garbage_refused("\x4a\x00\x00\x01\x8d\xa6\xff\x00", 8, ERROR_MALFORMED,
                           "plaintext where TLS is due");
}

Test(stream_io, refuses_an_oversized_record)
{
    assert_garbage_refused("\x16\x03\x01\xff\xff\x01", 6, ERROR_MALFORMED, "TLS record");
}

Test(stream_io, refuses_a_record_of_unknown_version)
{
    assert_garbage_refused("\x16\x09\x09\x00\x05\x01\x00\x00\x01\x00", 10, ERROR_MALFORMED,
                           "malformed TLS record");
}

Test(stream_io, refuses_data_before_the_handshake)
{
    assert_garbage_refused("\x17\x03\x03\x00\x03xyz", 8, ERROR_MALFORMED, "out of place");
}

Test(stream_io, refuses_a_broken_hello)
{
    uint8_t hello[] = {0x16, 3, 1, 0, 12, 1, 0, 0, 8, 3, 3, 1, 2, 3, 4, 5, 6};
    assert_garbage_refused(hello, sizeof hello, ERROR_MALFORMED, "TLS");
}

/* Random bytes behind a record header: never a crash, always a failure. */
Test(stream_io, refuses_random_bytes)
{
    srand(4711);
    for (int round = 0; round < 200; round++) {
        struct pair pair;
        uint8_t bytes[600];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)rand();
        uint8_t header[] = {0x16, 3, (uint8_t)(rand() % 4), 2, 0x53, 1, 0, 2, 0x4f};
        if (round % 2)
            memcpy(bytes, header, sizeof header);
        pair_open(&pair);
        pair_start_tls(&pair, context_server(TLS_VERSION_ANY), NULL, NULL);
        side_write(&pair.client, bytes, sizeof bytes);
        stream_close(pair.client.stream, 1000);
        pair_run_until(&pair, &pair.server.failed);
        pair_close(&pair);
    }
}

/* Handshakes in pieces. */

/* Catches the bytes of a client's hello. */
static size_t catch_hello(uint8_t *out, size_t size)
{
    struct pair pair;
    pair_open(&pair);
    pair_start_tls(&pair, NULL, context_client("ci-1", TLS_VERSION_ANY), "localhost");
    pair_run_until_received(&pair, &pair.server, 100);
    pair_run_for(&pair, 20);
    size_t length = buffer_length(&pair.server.received);
    cr_assert_leq(length, size);
    memcpy(out, buffer_bytes(&pair.server.received), length);
    pair_close(&pair);
    return length;
}

Test(stream_io, survives_a_hello_cut_at_every_byte, .timeout = 120)
{
    uint8_t hello[2048];
    size_t length = catch_hello(hello, sizeof hello);
    for (size_t cut = 0; cut < length; cut++) {
        struct pair pair;
        pair_open(&pair);
        pair_start_tls(&pair, context_server(TLS_VERSION_ANY), NULL, NULL);
        side_write(&pair.client, hello, cut);
        stream_close(pair.client.stream, 1000);
        pair_run_until(&pair, &pair.server.failed);
        cr_assert_eq(pair.server.error.code, ERROR_CLOSED, "at %zu: %s", cut,
                     pair.server.error.message);
        cr_assert_not_null(strstr(pair.server.error.message, "during the TLS handshake"));
        pair_close(&pair);
    }
}

Test(stream_io, takes_a_hello_byte_by_byte)
{
    struct pair pair;
    uint8_t hello[2048];
    size_t length = catch_hello(hello, sizeof hello);
    pair_open(&pair);
    pair_start_tls(&pair, context_server(TLS_VERSION_ANY), NULL, NULL);
    for (size_t i = 0; i < length; i++) {
        cr_assert_eq(pair.client.received_total, 0, "answered before the end");
        side_write(&pair.client, hello + i, 1);
        stream_flush(pair.client.stream);
        (void)uv_run(&pair.loop, UV_RUN_NOWAIT);
        (void)uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    pair_run_until_received(&pair, &pair.client, 100);
    cr_assert_not(pair.server.failed);
    pair_close(&pair);
}

/* The other half: a server's answer (to another hello) that ends at each byte. */
Test(stream_io, survives_an_answer_cut_at_every_byte, .timeout = 120)
{
    uint8_t hello[2048];
    uint8_t answer[8192];
    size_t hello_length = catch_hello(hello, sizeof hello);
    struct pair pair;
    pair_open(&pair);
    pair_start_tls(&pair, context_server(TLS_VERSION_ANY), NULL, NULL);
    side_write(&pair.client, hello, hello_length);
    pair_run_for(&pair, 100);
    size_t length = buffer_length(&pair.client.received);
    cr_assert(length > 500 && length <= sizeof answer);
    memcpy(answer, buffer_bytes(&pair.client.received), length);
    pair_close(&pair);
    for (size_t cut = 0; cut <= length; cut++) {
        pair_open(&pair);
        pair_start_tls(&pair, NULL, context_client("ci-1", TLS_VERSION_ANY), "localhost");
        side_write(&pair.server, answer, cut);
        stream_close(pair.server.stream, 1000);
        pair_run_until(&pair, &pair.client.failed);
        cr_assert_not(pair.client.secured);
        pair_close(&pair);
    }
}

/* A man in the middle: `front` has the TLS client and a plain server, `back` a plain client and the
 * TLS server; the bytes are carried between the plain ends by hand. */
struct relay {
    struct pair front;
    struct pair back;
    size_t carried;
    int descriptors;
};

static size_t carry(struct side *from, struct side *to, size_t most)
{
    size_t length = buffer_length(&from->received);
    if (length > most)
        length = most;
    /* An end that is broken already loses them, as a network would. */
    if (length == 0 || !to->stream ||
        !stream_write(to->stream, buffer_bytes(&from->received), length, NULL))
        return 0;
    stream_flush(to->stream);
    buffer_consume(&from->received, length);
    return length;
}

static void relay_open(struct relay *relay, enum tls_version version)
{
    relay->carried = 0;
    pair_open(&relay->back);
    pair_open(&relay->front);
    relay->descriptors = relay->back.descriptors;
    relay->front.descriptors = relay->back.descriptors = -1;
    pair_start_tls(&relay->front, NULL, context_client("ci-1", version), "localhost");
    pair_start_tls(&relay->back, context_server(version), NULL, NULL);
}

static void relay_round(struct relay *relay, size_t most)
{
    (void)uv_run(&relay->front.loop, UV_RUN_NOWAIT);
    (void)uv_run(&relay->back.loop, UV_RUN_NOWAIT);
    relay->carried += carry(&relay->front.server, &relay->back.client, most);
    relay->carried += carry(&relay->back.client, &relay->front.server, most);
}

static void relay_close(struct relay *relay)
{
    pair_close(&relay->front);
    pair_close(&relay->back);
    cr_assert_eq(open_descriptors(), relay->descriptors, "a descriptor was left open");
}

static bool relay_done(const struct relay *relay)
{
    return relay->front.client.secured && relay->back.server.secured;
}

Test(stream_io, shakes_hands_byte_by_byte, .timeout = 120)
{
    for (size_t i = 0; i < 2; i++) {
        struct relay relay;
        relay_open(&relay, versions[i]);
        while (!relay_done(&relay))
            relay_round(&relay, 1);
        side_write(&relay.front.client, "hello", 5);
        while (relay.back.server.received_total < 5)
            relay_round(&relay, 1);
        cr_assert(side_received(&relay.back.server, "hello"));
        relay_close(&relay);
    }
}

/* Both ends are cut off after that many bytes. Neither may be secured without the other's last
 * word... */
static void cut_handshake(enum tls_version version, size_t limit)
{
    struct relay relay;
    relay_open(&relay, version);
    while (relay.carried < limit)
        relay_round(&relay, 16);
    cr_assert_not(relay_done(&relay));
    stream_close(relay.front.server.stream, 0);
    stream_close(relay.back.client.stream, 0);
    pair_run_until(&relay.front, &relay.front.client.failed);
    pair_run_until(&relay.back, &relay.back.server.failed);
    cr_assert_eq(relay.back.server.error.code, ERROR_CLOSED, "%s", relay.back.server.error.message);
    relay_close(&relay);
}

/* How many bytes a whole handshake carries. */
static size_t handshake_size(enum tls_version version)
{
    struct relay relay;
    relay_open(&relay, version);
    while (!relay_done(&relay))
        relay_round(&relay, 16);
    size_t carried = relay.carried;
    relay_close(&relay);
    return carried;
}

Test(stream_io, survives_a_handshake_cut_anywhere, .timeout = 120)
{
    for (size_t i = 0; i < 2; i++) {
        size_t size = handshake_size(versions[i]);
        cr_assert_gt(size, 1000);
        for (size_t limit = 1; limit < size - 150; limit += 61)
            cut_handshake(versions[i], limit);
    }
}

/* One bit of the handshake is turned on its way: it never comes to an end. */
Test(stream_io, notices_a_changed_bit, .timeout = 120)
{
    for (size_t i = 0; i < 2; i++) {
        size_t size = handshake_size(versions[i]) - 150;
        for (size_t at = 50; at < size; at += 97) {
            struct relay relay;
            relay_open(&relay, versions[i]);
            bool turned = false;
            for (int rounds = 0; rounds < 3000 && !relay.back.server.failed; rounds++) {
                if (!turned && relay.carried >= at &&
                    buffer_length(&relay.front.server.received) > 0) {
                    relay.front.server.received.storage[relay.front.server.received.start] ^= 0x10;
                    turned = true;
                }
                relay_round(&relay, 64);
                if (relay.front.client.failed && relay.front.client.stream)
                    stream_close(relay.front.client.stream, 0);
                if (relay.front.client.closed && relay.back.client.stream)
                    stream_close(relay.back.client.stream, 100);
            }
            cr_assert_not(relay_done(&relay) && turned, "bit %zu", at);
            relay_close(&relay);
        }
    }
}

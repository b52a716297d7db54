/* SPDX-License-Identifier: Apache-2.0 */
#include "control/peer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "control/frame.h"
#include "tests/unit/control_support.h"
#include "tests/unit/tls_support.h"

/* The server's side answers; the client is a stream that the test writes to. */
static void open_answering(struct pair *pair, struct owner *owner)
{
    memset(owner, 0, sizeof *owner);
    pair_open(pair);
    owner_adopt(owner, pair, &pair->server, CONTROL_ANSWERS);
}

/* The JSON of the one frame that the client got so far. */
static const char *received_json(const struct side *side)
{
    static char text[4096];
    size_t length = buffer_length(&side->received);
    cr_assert(length > CONTROL_HEADER_SIZE && length < sizeof text);
    memcpy(text, buffer_bytes(&side->received) + CONTROL_HEADER_SIZE, length - 4);
    text[length - 4] = '\0';
    return text;
}

/* Messages. */

Test(control_peer, answers_a_request)
{
    struct pair pair;
    struct owner owner;
    open_answering(&pair, &owner);
    side_send(&pair.client, "{\"id\":1,\"request\":\"hello\"}");
    owner_run_until(&owner, 1);
    cr_assert_str_eq(owner.last, "hello");
    pair_run_until_received(&pair, &pair.client, CONTROL_HEADER_SIZE + 16);
    cr_assert_str_eq(received_json(&pair.client), "{\"id\":1,\"ok\":{}}");
    cr_assert_eq(control_peer_waiting(owner.peer), 0);
    cr_assert_null(control_peer_identity(owner.peer));
    owner_finish(&owner, &pair);
    cr_assert_eq(owner.reason.code, ERROR_NONE);
    cr_assert_not_null(strstr(owner.address, "127.0.0.1:"));
}

Test(control_peer, takes_a_request_byte_by_byte)
{
    static const char text[] = "\0\0\0\x1A{\"id\":1,\"request\":\"hello\"}";
    struct pair pair;
    struct owner owner;
    open_answering(&pair, &owner);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        cr_assert_eq(owner.messages, 0);
        side_write(&pair.client, text + i, 1);
        stream_flush(pair.client.stream);
        for (int turn = 0; turn < 5; turn++)
            (void)uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    owner_run_until(&owner, 1);
    owner_finish(&owner, &pair);
}

/* More than one burst in one piece, over TLS too; others have their turn in between. */
static void answer_many(bool tls)
{
    struct pair pair;
    struct owner owner = {0};
    if (tls)
        pair_open_tls(&pair, TLS_VERSION_1_3);
    else
        pair_open(&pair);
    owner_adopt(&owner, &pair, &pair.server, CONTROL_ANSWERS);
    for (int i = 1; i <= 1000; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "{\"id\":%d,\"request\":\"hello\"}", i);
        side_send(&pair.client, text);
    }
    while (owner.messages < 1000 && !owner.closed) {
        int before = owner.messages;
        (void)uv_run(&pair.loop, UV_RUN_NOWAIT);
        cr_assert_leq(owner.messages - before, 2 * CONTROL_BURST);
    }
    cr_assert_eq(owner.last_id, 1000);
    cr_assert_eq(control_peer_identity(owner.peer) != NULL, tls);
    owner_finish(&owner, &pair);
}

Test(control_peer, answers_many_in_the_clear)
{
    answer_many(false);
}

Test(control_peer, answers_many_over_tls)
{
    answer_many(true);
}

/* Bytes that break the protocol: answered `malformed`, told to the owner, closed. */
static void expect_refusal(const void *bytes, size_t length, enum error_code code,
                           const char *answered)
{
    struct pair pair;
    struct owner owner;
    open_answering(&pair, &owner);
    side_write(&pair.client, bytes, length);
    pair_run_until(&pair, &pair.client.ended);
    cr_assert_eq(owner.messages, 0);
    cr_assert_not_null(strstr(received_json(&pair.client), answered), "%s",
                       received_json(&pair.client));
    cr_assert_not_null(strstr(received_json(&pair.client), "\"code\":\"malformed\""));
    owner_finish(&owner, &pair);
    cr_assert_eq(owner.reason.code, code, "%s", owner.reason.message);
}

static void expect_refused_text(const char *text, const char *answered)
{
    struct buffer frame;
    buffer_init(&frame, 1 << 20);
    append_frame(&frame, text);
    expect_refusal(buffer_bytes(&frame), buffer_length(&frame), ERROR_MALFORMED, answered);
    buffer_release(&frame);
}

Test(control_peer, refuses_frames_that_are_none)
{
    expect_refusal("\0\0\0\0", 4, ERROR_MALFORMED, "{\"id\":0,");
    expect_refusal("\0\x01\0\x01", 4, ERROR_LIMIT, "{\"id\":0,");
    expect_refusal("\xFF\xFF\xFF\xFF", 4, ERROR_LIMIT, "{\"id\":0,");
    expect_refusal("GET / HTTP/1.1\r\n\r\n", 18, ERROR_LIMIT, "{\"id\":0,");
    expect_refusal("\x16\x03\x01\x02\x00\x01\x00", 7, ERROR_LIMIT, "{\"id\":0,");
}

Test(control_peer, refuses_what_is_no_message)
{
    expect_refused_text("[]", "{\"id\":0,");
    expect_refused_text("{\"id\":1,\"request\":\"hello\"} ,", "{\"id\":0,");
    expect_refused_text("{\"id\":1,\"id\":2,\"request\":\"hello\"}", "stands twice");
    expect_refused_text("{\"id\":1,\"request\":\"\xFF\"}", "UTF-8");
    expect_refused_text("{\"id\":1}", "{\"id\":1,");
    expect_refused_text("{\"request\":\"hello\"}", "'id' is missing");
    expect_refused_text("{\"id\":\"1\",\"request\":\"hello\"}", "'id' is not a whole number");
    expect_refused_text("{\"id\":0,\"request\":\"hello\"}", "'id' is 0");
    expect_refused_text("{\"id\":3,\"request\":[]}", "'request' is not a text");
    expect_refused_text("{\"id\":1,\"ok\":{}}", "only requests");
    expect_refused_text("{\"event\":\"alive\"}", "only requests");
}

Test(control_peer, refuses_deep_nesting)
{
    static char text[60000];
    memset(text, '[', sizeof text - 1);
    memcpy(text, "{\"a\":", 5);
    struct buffer frame;
    buffer_init(&frame, 1 << 20);
    append_frame(&frame, text);
    expect_refusal(buffer_bytes(&frame), buffer_length(&frame), ERROR_LIMIT, "levels");
    buffer_release(&frame);
}

Test(control_peer, refuses_ids_that_do_not_rise)
{
    static const char *const second[] = {"{\"id\":4,\"request\":\"hello\"}",
                                         "{\"id\":5,\"request\":\"hello\"}"};
    for (size_t i = 0; i < 2; i++) {
        struct pair pair;
        struct owner owner;
        open_answering(&pair, &owner);
        side_send(&pair.client, "{\"id\":5,\"request\":\"hello\"}");
        side_send(&pair.client, second[i]);
        pair_run_until(&pair, &owner.closed);
        cr_assert_eq(owner.messages, 1);
        cr_assert_eq(owner.reason.code, ERROR_MALFORMED);
        owner_finish(&owner, &pair);
    }
}

/* What came behind the message that ends the connection is not looked at. */
Test(control_peer, takes_nothing_after_the_end)
{
    struct pair pair;
    struct owner owner;
    open_answering(&pair, &owner);
    owner.close_at_message = true;
    for (int i = 1; i < 10; i++)
        side_send(&pair.client, i == 5 ? "broken" : "{\"id\":1,\"request\":\"hello\"}");
    pair_run_until(&pair, &owner.closed);
    cr_assert_eq(owner.messages, 1);
    cr_assert_eq(owner.reason.code, ERROR_NONE);
    owner_finish(&owner, &pair);
}

/* Answers. */

Test(control_peer, reads_no_seventeenth_request_while_sixteen_wait)
{
    struct pair pair;
    struct owner owner;
    open_answering(&pair, &owner);
    owner.quiet = true;
    for (int i = 1; i <= CONTROL_REQUESTS_WAITING + 4; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "{\"id\":%d,\"request\":\"hello\"}", i);
        side_send(&pair.client, text);
    }
    owner_run_until(&owner, CONTROL_REQUESTS_WAITING);
    pair_run_for(&pair, 50);
    cr_assert_eq(owner.messages, CONTROL_REQUESTS_WAITING);
    cr_assert_eq(control_peer_waiting(owner.peer), CONTROL_REQUESTS_WAITING);
    for (uint64_t id = 1; id <= CONTROL_REQUESTS_WAITING + 4; id++) {
        owner_answer(&owner, id);
        cr_assert_eq(owner.messages < (int)id + CONTROL_REQUESTS_WAITING, true,
                     "not from inside the call");
        owner_run_until(&owner, id < 4 ? (int)id + CONTROL_REQUESTS_WAITING : 20);
    }
    cr_assert_eq(control_peer_waiting(owner.peer), 0);
    owner_finish(&owner, &pair);
}

Test(control_peer, refuses_answers_out_of_turn)
{
    struct pair pair;
    struct owner owner;
    struct error err = {0};
    open_answering(&pair, &owner);
    owner.quiet = true;
    cr_assert_not(control_peer_send_new(owner.peer, control_answer(1, NULL), &err));
    cr_assert_eq(err.code, ERROR_STATE);
    side_send(&pair.client, "{\"id\":1,\"request\":\"hello\"}");
    side_send(&pair.client, "{\"id\":3,\"request\":\"hello\"}");
    owner_run_until(&owner, 2);
    cr_assert_not(control_peer_send_new(owner.peer, control_answer(3, NULL), &err));
    cr_assert_not(control_peer_send_new(owner.peer, control_answer(2, NULL), &err));
    cr_assert_not(control_peer_send_new(owner.peer, control_request("hello"), &err));
    cr_assert_eq(err.code, ERROR_STATE);
    cr_assert_not(control_peer_send_new(owner.peer, NULL, &err));
    cr_assert_eq(err.code, ERROR_MEMORY);
    cr_assert(control_peer_send_new(owner.peer, control_event("alive"), &err), "any time");
    owner_answer(&owner, 1);
    owner_answer(&owner, 3);
    cr_assert_not(control_peer_send_new(owner.peer, control_answer(3, NULL), &err));
    owner_finish(&owner, &pair);
}

/* An event with `length` bytes of padding. */
static cJSON *big_event(size_t length)
{
    char *pad = malloc(length + 1);
    cr_assert_not_null(pad);
    memset(pad, 'x', length);
    pad[length] = '\0';
    cJSON *event = control_event("state");
    cr_assert(control_put_text(event, "pad", pad));
    free(pad);
    return event;
}

Test(control_peer, does_not_send_what_is_too_long_and_goes_on)
{
    struct pair pair;
    struct owner owner;
    struct error err = {0};
    open_answering(&pair, &owner);
    cr_assert_not(control_peer_send_new(owner.peer, big_event(CONTROL_ANSWER_MAX), &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    side_send(&pair.client, "{\"id\":1,\"request\":\"hello\"}");
    owner_run_until(&owner, 1);
    owner_finish(&owner, &pair);
}

static void exchange_states(bool tls)
{
    struct pair pair;
    struct owner server = {0}, client = {0};
    struct error err = {0};
    if (tls)
        pair_open_tls(&pair, TLS_VERSION_1_3);
    else
        pair_open(&pair);
    owner_adopt(&server, &pair, &pair.server, CONTROL_ANSWERS);
    owner_adopt(&client, &pair, &pair.client, CONTROL_ASKS);
    cr_assert(control_peer_send_new(client.peer, control_request("subscribe"), &err));
    owner_run_until(&client, 1);
    /* {"event":"state","pad":"…"} has 26 bytes around the padding. */
    for (int i = 1; i <= 3; i++) {
        cr_assert(control_peer_send_new(server.peer, big_event(CONTROL_ANSWER_MAX - 26), &err),
                  "%s", err.message);
        owner_run_until(&client, 1 + i);
        cr_assert_eq(client.last_length, CONTROL_ANSWER_MAX - 26);
        cr_assert_eq(control_peer_backlog(server.peer), 0);
    }
    control_peer_close(server.peer, NULL);
    pair_run_until(&pair, &client.closed);
    cr_assert_eq(client.reason.code, ERROR_CLOSED, "%s", client.reason.message);
    owner_finish(&server, &pair);
}

Test(control_peer, carries_the_greatest_state)
{
    exchange_states(false);
    exchange_states(true);
}

/* I9: what waits is bounded, and the connection ends. */
Test(control_peer, drops_a_peer_that_never_reads)
{
    struct pair pair;
    struct owner owner;
    struct error err = {0};
    open_answering(&pair, &owner);
    stream_pause(pair.client.stream);
    int sent = 0;
    for (; sent < 1000 && control_peer_send_new(owner.peer, big_event(1000000), &err); sent++) {
        (void)uv_run(&pair.loop, UV_RUN_NOWAIT);
        cr_assert_leq(control_peer_backlog(owner.peer), CONTROL_OUTPUT_MAX + STREAM_BACKLOG_MAX);
    }
    cr_assert(sent >= 32 && sent < 50, "%d", sent);
    cr_assert_eq(err.code, ERROR_LIMIT, "%s", err.message);
    cr_assert_not(owner.closed, "not from inside the call");
    cr_assert_not(control_peer_send_new(owner.peer, control_event("alive"), &err));
    cr_assert_eq(err.code, ERROR_CLOSED);
    pair_run_until(&pair, &owner.closed);
    cr_assert_eq(owner.reason.code, ERROR_LIMIT);
    cr_assert_not_null(strstr(owner.reason.message, "does not read"), "%s", owner.reason.message);
    owner_finish(&owner, &pair);
}

Test(control_peer, drops_a_peer_that_stops_reading)
{
    struct pair pair;
    struct owner owner;
    struct error err = {0};
    open_answering(&pair, &owner);
    side_send(&pair.client, "{\"id\":1,\"request\":\"subscribe\"}");
    owner_run_until(&owner, 1);
    control_peer_set_deadlines(owner.peer, CONTROL_FIRST_MS, 200);
    stream_pause(pair.client.stream);
    cr_assert(control_peer_send_new(owner.peer, big_event(15000000), &err));
    pair_run_until(&pair, &owner.closed);
    cr_assert_eq(owner.reason.code, ERROR_TIMEOUT, "%s", owner.reason.message);
    cr_assert_not_null(strstr(owner.reason.message, "does not read"));
    owner_finish(&owner, &pair);
}

static void limit_kernel_buffer(int fd, int which)
{
    const int size = 64 * 1024;
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, which, &size, sizeof size), 0);
}

/* Slow, but it moves: the deadline is for those that do not. */
Test(control_peer, keeps_a_peer_that_reads_slowly)
{
    struct pair pair;
    struct owner owner;
    struct error err = {0};
    open_answering(&pair, &owner);
    side_send(&pair.client, "{\"id\":1,\"request\":\"subscribe\"}");
    owner_run_until(&owner, 1);
    control_peer_set_deadlines(owner.peer, CONTROL_FIRST_MS, 400);
    pair.client.keep = false;
    pair.client.take = 1u << 20;
    /* The kernel's own buffers would take megabytes at a time, with long pauses in between. */
    limit_kernel_buffer(stream_fd(pair.client.stream), SO_RCVBUF);
    limit_kernel_buffer(stream_fd(control_peer_stream(owner.peer)), SO_SNDBUF);
    cr_assert(control_peer_send_new(owner.peer, big_event(16000000), &err));
    int64_t began = clock_monotonic_us();
    while (pair.client.received_total < 16000000 && !owner.closed) {
        if (stream_paused(pair.client.stream))
            stream_resume(pair.client.stream);
        for (int i = 0; i < 10; i++)
            (void)uv_run(&pair.loop, UV_RUN_NOWAIT);
        pair_run_for(&pair, 10);
    }
    cr_assert_not(owner.closed, "%s", owner.reason.message);
    cr_assert_gt(clock_monotonic_us() - began, 600000, "it took longer than the deadline");
    owner_finish(&owner, &pair);
}

/* Ends. */

Test(control_peer, says_where_the_peer_closed)
{
    static const char text[] = "\0\0\0\x1A{\"id\":1,\"request\":\"hello\"}";
    static const size_t sent[] = {0, 1, 4, 5, sizeof text - 2, sizeof text - 1, sizeof text};
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        struct pair pair;
        struct owner owner;
        open_answering(&pair, &owner);
        side_write(&pair.client, text, sent[i]); /* one past the text is the next header's NUL */
        stream_close(pair.client.stream, 1000);
        pair_run_until(&pair, &owner.closed);
        bool amid = sent[i] > 0 && sent[i] != sizeof text - 1;
        cr_assert_eq(owner.reason.code, ERROR_CLOSED);
        cr_assert_eq(strstr(owner.reason.message, "in the middle") != NULL, amid, "%zu: %s",
                     sent[i], owner.reason.message);
        cr_assert_eq(owner.messages, sent[i] >= sizeof text - 1);
        owner_finish(&owner, &pair);
    }
}

static void reset_connection(struct side *side)
{
    const struct linger now = {.l_onoff = 1};
    cr_assert_eq(setsockopt(stream_fd(side->stream), SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    stream_close(side->stream, 0);
}

Test(control_peer, tells_of_a_reset)
{
    struct pair pair;
    struct owner owner;
    open_answering(&pair, &owner);
    reset_connection(&pair.client);
    pair_run_until(&pair, &owner.closed);
    cr_assert_neq(owner.reason.code, ERROR_NONE);
    owner_finish(&owner, &pair);
}

Test(control_peer, the_first_reason_counts)
{
    struct pair pair;
    struct owner owner;
    struct error why = {0};
    open_answering(&pair, &owner);
    (void)error_set(&why, ERROR_DENIED, "locked");
    control_peer_close(owner.peer, &why);
    control_peer_close(owner.peer, NULL);
    control_peer_close(NULL, NULL);
    reset_connection(&pair.client);
    pair_run_until(&pair, &owner.closed);
    cr_assert_eq(owner.reason.code, ERROR_DENIED);
    owner_finish(&owner, &pair);
}

/* The last answer arrives although the connection was closed behind it. */
Test(control_peer, sends_what_was_written_before_the_end)
{
    struct pair pair;
    struct owner owner;
    open_answering(&pair, &owner);
    owner.quiet = true;
    side_send(&pair.client, "{\"id\":1,\"request\":\"hello\"}");
    owner_run_until(&owner, 1);
    owner_answer(&owner, 1);
    control_peer_close(owner.peer, NULL);
    pair_run_until(&pair, &pair.client.ended);
    cr_assert_str_eq(received_json(&pair.client), "{\"id\":1,\"ok\":{}}");
    owner_finish(&owner, &pair);
}

/* Deadlines. */

static void expect_timeout(struct pair *pair, struct owner *owner, int64_t least_ms,
                           const char *text)
{
    int64_t began = clock_monotonic_us();
    pair_run_until(pair, &owner->closed);
    cr_assert_eq(owner->reason.code, ERROR_TIMEOUT, "%s", owner->reason.message);
    cr_assert_not_null(strstr(owner->reason.message, text), "%s", owner->reason.message);
    cr_assert_geq(clock_monotonic_us() - began, least_ms * 1000);
    owner_finish(owner, pair);
}

Test(control_peer, waits_ten_seconds_for_the_first_request)
{
    struct pair pair;
    struct owner owner;
    open_answering(&pair, &owner);
    expect_timeout(&pair, &owner, CONTROL_FIRST_MS - 100, "no whole request");
}

/* Bytes that trickle in are no message. */
Test(control_peer, a_trickle_prolongs_nothing)
{
    struct pair pair;
    struct owner owner;
    open_answering(&pair, &owner);
    control_peer_set_deadlines(owner.peer, 300, CONTROL_STALL_MS);
    side_write(&pair.client, "\0\0\1\0{", 5);
    for (int i = 0; i < 100 && !owner.closed; i++) {
        side_write(&pair.client, " ", 1);
        pair_run_for(&pair, 20);
    }
    cr_assert(owner.closed);
    cr_assert_eq(owner.reason.code, ERROR_TIMEOUT);
    owner_finish(&owner, &pair);
}

Test(control_peer, ends_what_idles)
{
    struct pair pair;
    struct owner owner;
    open_answering(&pair, &owner);
    side_send(&pair.client, "{\"id\":1,\"request\":\"hello\"}");
    owner_run_until(&owner, 1);
    control_peer_set_idle(owner.peer, 300);
    pair_run_for(&pair, 200);
    side_send(&pair.client, "{\"id\":2,\"request\":\"hello\"}");
    owner_run_until(&owner, 2);
    expect_timeout(&pair, &owner, 250, "silent");
}

/* While it waits for an answer it is not the peer who is late. */
Test(control_peer, does_not_count_the_time_that_answers_take)
{
    struct pair pair;
    struct owner owner;
    open_answering(&pair, &owner);
    owner.quiet = true;
    control_peer_set_idle(owner.peer, 100);
    side_send(&pair.client, "{\"id\":1,\"request\":\"hello\"}");
    owner_run_until(&owner, 1);
    pair_run_for(&pair, 300);
    cr_assert_not(owner.closed, "%s", owner.reason.message);
    owner_answer(&owner, 1);
    expect_timeout(&pair, &owner, 90, "silent");
}

Test(control_peer, no_idle_limit_is_none)
{
    struct pair pair;
    struct owner owner;
    open_answering(&pair, &owner);
    side_send(&pair.client, "{\"id\":1,\"request\":\"hello\"}");
    owner_run_until(&owner, 1);
    control_peer_set_idle(owner.peer, 100);
    control_peer_set_idle(owner.peer, 0);
    pair_run_for(&pair, 300);
    cr_assert_not(owner.closed);
    owner_finish(&owner, &pair);
}

/* Without memory nothing leaks, and nothing is told to an owner that has no peer. */
static int allocations_left;

static void *run_out(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

Test(control_peer, survives_running_out_of_memory)
{
    for (int allowed = 0; allowed < 40; allowed++) {
        struct pair pair;
        struct owner owner;
        cJSON_Hooks hooks = {run_out, free};
        open_answering(&pair, &owner);
        owner.quiet = true;
        side_send(&pair.client, "{\"id\":1,\"request\":\"hello\",\"more\":[1,\"two\"]}");
        cJSON_InitHooks(&hooks);
        allocations_left = allowed;
        while (!owner.messages && !owner.closed)
            (void)uv_run(&pair.loop, UV_RUN_ONCE);
        cJSON_InitHooks(NULL);
        cr_assert(owner.messages == 1 || owner.reason.code == ERROR_MEMORY, "%d: %s", allowed,
                  owner.reason.message);
        owner_finish(&owner, &pair);
    }
}

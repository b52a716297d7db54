/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting, ending, closing, breaking, and memory that runs out. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/tls_support.h"

static const enum tls_version versions[] = {TLS_VERSION_1_2, TLS_VERSION_1_3};

/* So that little is hidden in the kernel. */
static void shrink_buffers(struct pair *pair)
{
    int size = 32 * 1024;
    cr_assert_eq(
        setsockopt(stream_fd(pair->client.stream), SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    cr_assert_eq(
        setsockopt(stream_fd(pair->server.stream), SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
}

/* A port that is taken and not listened on: connecting to it is refused. Close the descriptor. */
static int refusing_port(struct sockaddr_in *address)
{
    socklen_t size = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(uv_ip4_addr("127.0.0.1", 0, address), 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)address, &size), 0);
    return fd;
}

static void run_until_closed(struct pair *pair, struct side *side)
{
    pair_run_until(pair, &side->closed);
}

/* Closes so that the peer sees a reset, not an end. In the clear only: TLS would say goodbye first.
 */
static void reset(struct side *side)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    cr_assert_eq(
        setsockopt(stream_fd(side->stream), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    stream_close(side->stream, 0);
}

/* Ending in order. */

Test(stream_life, fin_in_the_clear_is_an_end)
{
    struct pair pair;
    pair_open(&pair);
    side_write(&pair.client, "bye", 3);
    stream_close(pair.client.stream, 1000);
    pair_run_until(&pair, &pair.server.ended);
    cr_assert(side_received(&pair.server, "bye"));
    cr_assert_not(pair.server.failed);
    pair_close(&pair);
}

static void assert_ends_in_order(bool server_closes, unsigned linger)
{
    for (size_t i = 0; i < 2; i++) {
        struct pair pair;
        pair_open_tls(&pair, versions[i]);
        struct side *closer = server_closes ? &pair.server : &pair.client;
        struct side *other = server_closes ? &pair.client : &pair.server;
        side_write(closer, "bye", 3);
        stream_close(closer->stream, linger);
        pair_run_until(&pair, &other->ended);
        cr_assert(side_received(other, "bye"));
        cr_assert_not(other->failed);
        stream_close(other->stream, 1000);
        run_until_closed(&pair, closer);
        run_until_closed(&pair, other);
        pair_close(&pair);
    }
}

Test(stream_life, close_notify_is_an_end)
{
    assert_ends_in_order(false, 1000);
    assert_ends_in_order(true, 1000);
}

/* Without linger what the socket takes at once is sent all the same. */
Test(stream_life, close_without_linger_says_close_notify)
{
    assert_ends_in_order(false, 0);
}

Test(stream_life, end_without_close_notify_is_a_failure)
{
    for (size_t i = 0; i < 2; i++) {
        struct pair pair;
        pair_open_tls(&pair, versions[i]);
        cr_assert_eq(shutdown(stream_fd(pair.client.stream), SHUT_WR), 0);
        pair_run_until(&pair, &pair.server.failed);
        cr_assert_eq(pair.server.error.code, ERROR_CLOSED);
        cr_assert_not_null(strstr(pair.server.error.message, "without TLS's close_notify"));
        cr_assert_not(pair.server.ended);
        pair_close(&pair);
    }
}

Test(stream_life, data_before_the_end_comes_first)
{
    struct pair pair;
    pair_open_tls(&pair, TLS_VERSION_1_3);
    stream_pause(pair.server.stream);
    side_write(&pair.client, "last words", 10);
    stream_close(pair.client.stream, 1000);
    pair_run_for(&pair, 50);
    cr_assert_not(pair.server.ended);
    stream_resume(pair.server.stream);
    pair_run_until(&pair, &pair.server.ended);
    cr_assert(side_received(&pair.server, "last words"));
    pair_close(&pair);
}

/* Taken in part while a close_notify is behind it in the same read. */
Test(stream_life, end_waits_for_data_that_was_kept)
{
    struct pair pair;
    pair_open_tls(&pair, TLS_VERSION_1_3);
    pair.server.take = 4;
    side_write(&pair.client, "12345678", 8);
    stream_close(pair.client.stream, 1000);
    pair_run_for(&pair, 50);
    cr_assert_not(pair.server.ended);
    cr_assert_eq(pair.server.received_total, 4);
    stream_resume(pair.server.stream);
    pair_run_until_received(&pair, &pair.server, 8);
    cr_assert_not(pair.server.ended, "the stream is paused again");
    stream_resume(pair.server.stream);
    pair_run_until(&pair, &pair.server.ended);
    pair_close(&pair);
}

Test(stream_life, one_side_may_end_and_still_be_written_to)
{
    struct pair pair;
    pair_open(&pair);
    cr_assert_eq(shutdown(stream_fd(pair.client.stream), SHUT_WR), 0);
    pair_run_until(&pair, &pair.server.ended);
    side_write(&pair.server, "answer", 6);
    pair_run_until_received(&pair, &pair.client, 6);
    cr_assert(side_received(&pair.client, "answer"));
    pair_close(&pair);
}

/* Closing. */

static void assert_closes_at(enum event event, bool tls, unsigned linger)
{
    struct pair pair;
    pair_open(&pair);
    pair.server.close_at = event;
    pair.server.close_linger = linger;
    if (tls)
        pair_start_tls(&pair, context_server(TLS_VERSION_ANY),
                       context_client("ci-1", TLS_VERSION_ANY), "localhost");
    side_write(&pair.client, "hello", 5);
    if (tls && (event == ENDED || event == FAILED))
        pair_run_until(&pair, &pair.server.secured);
    if (event == ENDED)
        stream_close(pair.client.stream, 1000);
    if (event == FAILED && tls)
        cr_assert_eq(shutdown(stream_fd(pair.client.stream), SHUT_WR), 0);
    else if (event == FAILED)
        reset(&pair.client);
    run_until_closed(&pair, &pair.server);
    pair_close(&pair);
}

Test(stream_life, closes_inside_every_event)
{
    static const enum event events[] = {SECURED, DATA, ENDED, FAILED};
    for (size_t i = 0; i < 4; i++)
        for (int tls = events[i] == SECURED; tls < 2; tls++)
            for (unsigned linger = 0; linger <= 1000; linger += 1000)
                assert_closes_at(events[i], tls, linger);
}

Test(stream_life, closes_inside_drained)
{
    struct pair pair;
    static uint8_t bytes[3 * 1024 * 1024];
    pair_open(&pair);
    shrink_buffers(&pair);
    stream_pause(pair.server.stream);
    pair.server.keep = false;
    pair.client.close_at = DRAINED;
    pair.client.close_linger = 1000;
    side_write(&pair.client, bytes, sizeof bytes);
    pair_run_for(&pair, 20);
    cr_assert_gt(stream_backlog(pair.client.stream), STREAM_BACKLOG_HIGH);
    stream_resume(pair.server.stream);
    pair_run_until(&pair, &pair.client.drained);
    pair_run_until(&pair, &pair.server.ended);
    cr_assert_eq(pair.server.received_total, sizeof bytes);
    stream_close(pair.server.stream, 0);
    run_until_closed(&pair, &pair.client);
    pair_close(&pair);
}

static void close_in_connected(struct stream *stream, void *owner)
{
    (void)owner;
    stream_close(stream, 0);
}

Test(stream_life, closes_inside_connected)
{
    struct pair pair;
    struct error err = {0};
    struct sockaddr_storage address = {0};
    int length = sizeof address;
    pair_open(&pair);
    struct stream_events events = side_events;
    events.connected = close_in_connected;
    struct side third = {.pair = &pair};
    stream_close(pair.server.stream, 0);
    run_until_closed(&pair, &pair.server);
    pair.server.closed = pair.server.connected = false;
    cr_assert_eq(uv_tcp_getsockname(&pair.listener, (struct sockaddr *)&address, &length), 0);
    cr_assert(stream_connect(pair.shared, (struct sockaddr *)&address, &events, &third,
                             &third.stream, &err));
    pair_run_until(&pair, &third.closed);
    pair_run_until(&pair, &pair.server.connected);
    pair_close(&pair);
}

Test(stream_life, closes_while_connecting)
{
    struct pair pair;
    struct error err = {0};
    struct sockaddr_in nowhere;
    pair_open(&pair);
    struct side third = {.pair = &pair};
    int taken = refusing_port(&nowhere);
    cr_assert(stream_connect(pair.shared, (struct sockaddr *)&nowhere, &side_events, &third,
                             &third.stream, &err));
    side_write(&third, "lost", 4);
    stream_close(third.stream, 1000);
    pair_run_until(&pair, &third.closed);
    cr_assert_not(third.failed);
    (void)close(taken);
    pair_close(&pair);
}

Test(stream_life, closes_in_the_handshake)
{
    struct pair pair;
    pair_open(&pair);
    pair_start_tls(&pair, context_server(TLS_VERSION_1_2), context_client("ci-1", TLS_VERSION_1_2),
                   "localhost");
    (void)uv_run(&pair.loop, UV_RUN_NOWAIT);
    stream_close(pair.server.stream, 0);
    run_until_closed(&pair, &pair.server);
    pair_run_until(&pair, &pair.client.failed);
    cr_assert_not(pair.client.secured);
    pair_close(&pair);
}

Test(stream_life, closing_nothing_is_allowed)
{
    stream_close(NULL, 0);
    stream_close(NULL, 100);
}

Test(stream_life, second_close_may_cut_the_linger_short)
{
    struct pair pair;
    static uint8_t bytes[3 * 1024 * 1024];
    pair_open(&pair);
    shrink_buffers(&pair);
    stream_pause(pair.server.stream);
    side_write(&pair.client, bytes, sizeof bytes);
    stream_close(pair.client.stream, 60000);
    pair_run_for(&pair, 30);
    cr_assert_not(pair.client.closed);
    stream_close(pair.client.stream, 60000);
    pair_run_for(&pair, 30);
    cr_assert_not(pair.client.closed);
    stream_close(pair.client.stream, 0);
    run_until_closed(&pair, &pair.client);
    pair_close(&pair);
}

Test(stream_life, lingers_until_all_is_sent)
{
    struct pair pair;
    static uint8_t bytes[3 * 1024 * 1024];
    pair_open_tls(&pair, TLS_VERSION_1_3);
    shrink_buffers(&pair);
    stream_pause(pair.server.stream);
    pair.server.keep = false;
    side_write(&pair.client, bytes, sizeof bytes);
    stream_close(pair.client.stream, 10000);
    pair_run_for(&pair, 100);
    cr_assert_not(pair.client.closed);
    stream_resume(pair.server.stream);
    pair_run_until(&pair, &pair.server.ended);
    cr_assert_eq(pair.server.received_total, sizeof bytes);
    stream_close(pair.server.stream, 0);
    run_until_closed(&pair, &pair.client);
    pair_close(&pair);
}

Test(stream_life, lingers_no_longer_than_it_may)
{
    struct pair pair;
    static uint8_t bytes[3 * 1024 * 1024];
    pair_open(&pair);
    shrink_buffers(&pair);
    stream_pause(pair.server.stream);
    side_write(&pair.client, bytes, sizeof bytes);
    uint64_t start = uv_hrtime();
    stream_close(pair.client.stream, 100);
    run_until_closed(&pair, &pair.client);
    uint64_t took = (uv_hrtime() - start) / 1000000;
    cr_assert(took >= 90 && took < 2000, "%llu ms", (unsigned long long)took);
    pair_close(&pair);
}

/* The peer keeps sending and never ends: unread input must not reset what was said last. */
Test(stream_life, last_words_arrive_although_input_is_unread)
{
    struct pair pair;
    static uint8_t bytes[1024 * 1024];
    pair_open(&pair);
    stream_pause(pair.server.stream);
    side_write(&pair.client, bytes, sizeof bytes);
    pair_run_for(&pair, 20);
    side_write(&pair.server, "no access", 9);
    stream_close(pair.server.stream, 5000);
    pair_run_until(&pair, &pair.client.ended);
    cr_assert(side_received(&pair.client, "no access"));
    cr_assert_not(pair.client.failed);
    pair_close(&pair);
}

Test(stream_life, says_nothing_after_close)
{
    struct pair pair;
    pair_open_tls(&pair, TLS_VERSION_1_3);
    side_write(&pair.client, "hello", 5);
    stream_flush(pair.client.stream);
    stream_close(pair.server.stream, 1000);
    pair_run_until(&pair, &pair.client.ended);
    cr_assert_eq(pair.server.received_total, 0);
    cr_assert_not(
        stream_write(pair.server.closed ? pair.client.stream : pair.server.stream, "x", 1, NULL) &&
        !pair.server.closed);
    pair_close(&pair);
}

/* Breaking. */

Test(stream_life, reset_is_a_failure)
{
    struct pair pair;
    pair_open(&pair);
    reset(&pair.client);
    pair_run_until(&pair, &pair.server.failed);
    cr_assert_eq(pair.server.error.code, ERROR_CLOSED, "%s", pair.server.error.message);
    cr_assert_not(pair.server.ended);
    pair_close(&pair);
}

Test(stream_life, reset_behind_data_is_a_failure)
{
    struct pair pair;
    pair_open(&pair);
    side_write(&pair.client, "hello", 5);
    reset(&pair.client);
    pair_run_until(&pair, &pair.server.failed);
    cr_assert(side_received(&pair.server, "hello"));
    cr_assert_not(pair.server.ended);
    pair_close(&pair);
}

Test(stream_life, refused_connection_is_a_failure)
{
    struct pair pair;
    struct error err = {0};
    struct sockaddr_in nowhere;
    pair_open(&pair);
    struct side third = {.pair = &pair};
    int taken = refusing_port(&nowhere);
    third.in_call = true;
    cr_assert(stream_connect(pair.shared, (struct sockaddr *)&nowhere, &side_events, &third,
                             &third.stream, &err));
    third.in_call = false;
    pair_run_until(&pair, &third.failed);
    cr_assert_eq(third.error.code, ERROR_SYSTEM);
    cr_assert_not_null(strstr(third.error.message, "cannot connect to 127.0.0.1:"), "said: %s",
                       third.error.message);
    stream_close(third.stream, 1000);
    pair_run_until(&pair, &third.closed);
    (void)close(taken);
    pair_close(&pair);
}

/* The reason that the peer gave is told, not that the next write found the connection gone. */
Test(stream_life, alert_is_told_although_writing_fails)
{
    for (int i = 0; i < 5; i++) {
        struct pair pair;
        struct tls_settings server = settings_server();
        server.crl_file = certs_path("bot.crl");
        pair_open(&pair);
        pair.server.close_at = FAILED;
        pair.server.close_linger = 200;
        pair_start_tls(&pair, context_make(&server), context_client("revoked", TLS_VERSION_1_3),
                       "localhost");
        pair_run_until(&pair, &pair.client.secured);
        for (int j = 0; j < i && !pair.client.failed; j++) {
            if (!stream_write(pair.client.stream, "SELECT 1", 8, NULL))
                break;
            stream_flush(pair.client.stream);
            (void)uv_run(&pair.loop, UV_RUN_NOWAIT);
        }
        pair_run_until(&pair, &pair.client.failed);
        cr_assert_not_null(strstr(pair.client.error.message, "certificate revoked"), "said: %s",
                           pair.client.error.message);
        pair_close(&pair);
    }
}

Test(stream_life, writing_to_a_reset_connection_fails)
{
    struct pair pair;
    struct error err = {0};
    pair_open(&pair);
    stream_pause(pair.server.stream);
    reset(&pair.client);
    pair_run_for(&pair, 20);
    for (int i = 0; i < 10 && !pair.server.failed; i++) {
        if (!stream_write(pair.server.stream, "x", 1, &err))
            break;
        pair_run_for(&pair, 5);
    }
    cr_assert(pair.server.failed);
    pair_close(&pair);
}

/* Moving a connection. */

Test(stream_life, changes_hands)
{
    struct pair pair;
    pair_open_tls(&pair, TLS_VERSION_1_3);
    struct side other = {.pair = &pair, .stream = pair.server.stream, .keep = true};
    buffer_init(&other.received, 1000);
    stream_set_owner(pair.server.stream, &side_events, &other);
    pair.server.stream = NULL;
    side_write(&pair.client, "hello", 5);
    pair_run_until_received(&pair, &other, 5);
    cr_assert_eq(pair.server.received_total, 0);
    stream_close(other.stream, 0);
    pair_run_until(&pair, &other.closed);
    buffer_release(&other.received);
    pair_close(&pair);
}

/* Unix sockets. */

struct unix_pair {
    struct pair pair;
    uv_pipe_t listener;
    char path[64];
    struct side accepted;
    struct side connected;
};

static void on_unix_connection(uv_stream_t *listener, int status)
{
    struct unix_pair *it = listener->data;
    struct error err = {0};
    cr_assert_eq(status, 0);
    cr_assert(stream_accept(it->pair.shared, listener, &side_events, &it->accepted,
                            &it->accepted.stream, &err));
    it->accepted.connected = true;
}

static void listen_on_path(struct unix_pair *it)
{
    (void)snprintf(it->path, sizeof it->path, "/tmp/sallyport-test-%d.sock", (int)getpid());
    (void)unlink(it->path);
    cr_assert_eq(uv_pipe_init(&it->pair.loop, &it->listener, 0), 0);
    it->listener.data = it;
    cr_assert_eq(uv_pipe_bind(&it->listener, it->path), 0);
    cr_assert_eq(uv_listen((uv_stream_t *)&it->listener, 8, on_unix_connection), 0);
}

Test(stream_life, talks_over_a_unix_socket)
{
    struct unix_pair it = {0};
    struct error err = {0};
    pair_open(&it.pair);
    listen_on_path(&it);
    buffer_init(&it.accepted.received, 100);
    it.accepted.keep = true;
    cr_assert(stream_connect_unix(it.pair.shared, it.path, &side_events, &it.connected,
                                  &it.connected.stream, &err));
    pair_run_until(&it.pair, &it.connected.connected);
    pair_run_until(&it.pair, &it.accepted.connected);
    side_write(&it.connected, "hello", 5);
    pair_run_until_received(&it.pair, &it.accepted, 5);
    cr_assert_str_eq(stream_peer_address(it.accepted.stream), "unix");
    struct ucred peer;
    socklen_t size = sizeof peer;
    cr_assert_eq(getsockopt(stream_fd(it.accepted.stream), SOL_SOCKET, SO_PEERCRED, &peer, &size),
                 0);
    cr_assert_eq(peer.pid, getpid());
    stream_close(it.connected.stream, 1000);
    pair_run_until(&it.pair, &it.accepted.ended);
    stream_close(it.accepted.stream, 1000);
    pair_run_until(&it.pair, &it.accepted.closed);
    pair_run_until(&it.pair, &it.connected.closed);
    uv_close((uv_handle_t *)&it.listener, NULL);
    buffer_release(&it.accepted.received);
    pair_close(&it.pair);
}

Test(stream_life, refuses_a_unix_path_that_would_be_cut)
{
    struct pair pair;
    struct error err = {0};
    char path[200];
    struct side third = {.pair = &pair};
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    pair_open(&pair);
    cr_assert_not(
        stream_connect_unix(pair.shared, path, &side_events, &third, &third.stream, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    pair_close(&pair);
}

Test(stream_life, missing_unix_socket_is_a_failure)
{
    struct pair pair;
    struct error err = {0};
    struct side third = {.pair = &pair};
    pair_open(&pair);
    cr_assert(stream_connect_unix(pair.shared, "/nonexistent/socket", &side_events, &third,
                                  &third.stream, &err));
    pair_run_until(&pair, &third.failed);
    cr_assert_eq(third.error.code, ERROR_SYSTEM);
    stream_close(third.stream, 0);
    pair_run_until(&pair, &third.closed);
    pair_close(&pair);
}

/* Memory that runs out: the nth allocation of a buffer fails. */

static int allocations_left;

static void *scarce(void *memory, size_t size)
{
    return allocations_left-- > 0 ? realloc(memory, size) : NULL;
}

Test(stream_life, survives_a_failed_allocation)
{
    static uint8_t bytes[1024 * 1024];
    for (int n = 0; n < 12; n++) {
        struct pair pair;
        pair_open_tls(&pair, TLS_VERSION_1_3);
        pair.server.keep = false;
        pair.server.take = 1000;
        allocations_left = n;
        buffer_set_allocator(scarce);
        bool written = stream_write(pair.client.stream, bytes, sizeof bytes, NULL);
        for (int i = 0; i < 50; i++) {
            (void)uv_run(&pair.loop, UV_RUN_NOWAIT);
            if (pair.server.stream && !pair.server.failed)
                stream_resume(pair.server.stream);
        }
        buffer_set_allocator(NULL);
        cr_assert(n > 0 || !written || pair.client.failed || pair.server.failed);
        if (pair.client.failed)
            cr_assert_eq(pair.client.error.code, ERROR_MEMORY, "%s", pair.client.error.message);
        if (pair.server.failed && !pair.client.failed)
            cr_assert_eq(pair.server.error.code, ERROR_MEMORY, "%s", pair.server.error.message);
        pair_close(&pair);
    }
}

/* One stream that has much to read does not starve another of the same loop. */
Test(stream_life, a_busy_stream_lets_others_go_on)
{
    struct pair pair;
    static uint8_t bytes[3 * 1024 * 1024];
    pair_open(&pair);
    pair.server.keep = false;
    int size = 4 * 1024 * 1024;
    (void)setsockopt(stream_fd(pair.client.stream), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    (void)setsockopt(stream_fd(pair.server.stream), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    stream_pause(pair.server.stream);
    side_write(&pair.client, bytes, sizeof bytes);
    pair_run_for(&pair, 50);
    stream_resume(pair.server.stream);
    size_t most = 0;
    for (int i = 0; i < 1000 && pair.server.received_total < sizeof bytes; i++) {
        size_t before = pair.server.received_total;
        (void)uv_run(&pair.loop, UV_RUN_NOWAIT);
        if (pair.server.received_total - before > most)
            most = pair.server.received_total - before;
    }
    cr_assert_eq(pair.server.received_total, sizeof bytes);
    cr_assert_leq(most, 256 * 1024 + STREAM_READ_CHUNK);
    pair_close(&pair);
}

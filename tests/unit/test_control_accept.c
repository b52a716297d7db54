/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that a listener accepts: in the clear over a Unix socket, and over TLS. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/peer.h"
#include "tests/unit/control_support.h"

struct door {
    struct pair pair;
    struct owner owner;
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } listener;
    struct tls_context *context;
    struct sockaddr_storage address;
    char path[64];
};

static void on_connection(uv_stream_t *listener, int status)
{
    struct door *door = listener->data;
    struct error err = {0};
    cr_assert_eq(status, 0);
    cr_assert(control_peer_accept(door->pair.shared, listener, door->context, &owner_events,
                                  &door->owner, &door->owner.peer, &err),
              "%s", err.message);
    door->owner.pair = &door->pair;
    control_peer_set_deadlines(door->owner.peer, 1000, CONTROL_STALL_MS);
}

/* A loop without connections, and a listener: TCP when there is a context, else a Unix socket. */
static void door_open(struct door *door, struct tls_context *context)
{
    struct sockaddr_in any;
    int length = sizeof door->address;
    memset(door, 0, sizeof *door);
    pair_open(&door->pair);
    stream_close(door->pair.client.stream, 0);
    stream_close(door->pair.server.stream, 0);
    pair_run_until(&door->pair, &door->pair.client.closed);
    pair_run_until(&door->pair, &door->pair.server.closed);
    door->pair.client.closed = door->pair.client.connected = false;
    door->context = context;
    if (context) {
        cr_assert_eq(uv_ip4_addr("127.0.0.1", 0, &any), 0);
        cr_assert_eq(uv_tcp_init(&door->pair.loop, &door->listener.tcp), 0);
        cr_assert_eq(uv_tcp_bind(&door->listener.tcp, (struct sockaddr *)&any, 0), 0);
        cr_assert_eq(
            uv_tcp_getsockname(&door->listener.tcp, (struct sockaddr *)&door->address, &length), 0);
    } else {
        (void)snprintf(door->path, sizeof door->path, "/tmp/control-%d.sock", (int)getpid());
        (void)unlink(door->path);
        cr_assert_eq(uv_pipe_init(&door->pair.loop, &door->listener.pipe, 0), 0);
        cr_assert_eq(uv_pipe_bind(&door->listener.pipe, door->path), 0);
    }
    door->listener.stream.data = door;
    cr_assert_eq(uv_listen(&door->listener.stream, 8, on_connection), 0);
}

/* The client's stream connects, and starts TLS with its context (which it drops). */
static void door_knock(struct door *door, struct tls_context *client)
{
    struct error err = {0};
    struct side *side = &door->pair.client;
    bool begun = door->path[0]
                     ? stream_connect_unix(door->pair.shared, door->path, &side_events, side,
                                           &side->stream, &err)
                     : stream_connect(door->pair.shared, (struct sockaddr *)&door->address,
                                      &side_events, side, &side->stream, &err);
    cr_assert(begun, "%s", err.message);
    pair_run_until(&door->pair, &side->connected);
    if (client)
        cr_assert(stream_start_tls(side->stream, client, "localhost", &err), "%s", err.message);
    tls_context_unref(client);
}

static void door_close(struct door *door)
{
    uv_close((uv_handle_t *)&door->listener.stream, NULL);
    owner_finish(&door->owner, &door->pair);
    tls_context_unref(door->context);
}

static const char *const control_alpn[] = {TLS_ALPN_CONTROL, NULL};
static const char *const mysql_alpn[] = {TLS_ALPN_MYSQL, NULL};

static struct tls_context *control_server(void)
{
    struct tls_settings settings = settings_server();
    settings.alpn = control_alpn;
    return context_make(&settings);
}

static struct tls_context *client_with(const char *bot, const char *const *alpn)
{
    struct tls_settings settings = settings_client(bot);
    settings.alpn = alpn;
    return context_make(&settings);
}

Test(control_accept, takes_a_unix_socket)
{
    struct door door;
    struct ucred who;
    socklen_t size = sizeof who;
    door_open(&door, NULL);
    door_knock(&door, NULL);
    side_send(&door.pair.client, "{\"id\":1,\"request\":\"hello\"}");
    while (!door.owner.pair)
        (void)uv_run(&door.pair.loop, UV_RUN_ONCE);
    owner_run_until(&door.owner, 1);
    cr_assert_not(door.owner.secured);
    cr_assert_eq(getsockopt(stream_fd(control_peer_stream(door.owner.peer)), SOL_SOCKET,
                            SO_PEERCRED, &who, &size),
                 0);
    cr_assert_eq(who.pid, getpid());
    door_close(&door);
    cr_assert_str_eq(door.owner.address, "unix");
}

Test(control_accept, takes_tls)
{
    struct door door;
    door_open(&door, control_server());
    door_knock(&door, client_with("ci-1", control_alpn));
    side_send(&door.pair.client, "{\"id\":1,\"request\":\"hello\"}");
    pair_run_until(&door.pair, &door.owner.secured);
    cr_assert_not_null(control_peer_identity(door.owner.peer));
    owner_run_until(&door.owner, 1);
    door_close(&door);
}

Test(control_accept, refuses_who_does_not_say_that_it_speaks_this)
{
    struct door door;
    door_open(&door, control_server());
    door_knock(&door, client_with("ci-1", NULL));
    pair_run_until(&door.pair, &door.owner.closed);
    cr_assert_not(door.owner.secured);
    cr_assert_eq(door.owner.reason.code, ERROR_UNSUPPORTED, "%s", door.owner.reason.message);
    door_close(&door);
}

Test(control_accept, refuses_another_protocol)
{
    struct door door;
    door_open(&door, control_server());
    door_knock(&door, client_with("ci-1", mysql_alpn));
    pair_run_until(&door.pair, &door.owner.closed);
    cr_assert_not(door.owner.secured);
    cr_assert_eq(door.owner.reason.code, ERROR_TLS, "%s", door.owner.reason.message);
    door_close(&door);
}

Test(control_accept, does_not_wait_for_a_handshake_for_ever)
{
    struct door door;
    door_open(&door, control_server());
    door_knock(&door, NULL);
    pair_run_until(&door.pair, &door.owner.closed);
    cr_assert_eq(door.owner.reason.code, ERROR_TIMEOUT);
    cr_assert_not_null(strstr(door.owner.reason.message, "handshake"));
    door_close(&door);
}

/* A plain request where TLS is due is no request. */
Test(control_accept, takes_nothing_in_the_clear_where_tls_is_due)
{
    struct door door;
    door_open(&door, control_server());
    door_knock(&door, NULL);
    side_send(&door.pair.client, "{\"id\":1,\"request\":\"hello\"}");
    pair_run_until(&door.pair, &door.owner.closed);
    cr_assert_eq(door.owner.messages, 0);
    cr_assert_neq(door.owner.reason.code, ERROR_NONE);
    door_close(&door);
}

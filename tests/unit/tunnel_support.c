/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/tunnel_support.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define TICK_MS 20

struct session {
    struct list node;
    struct world *world;
    struct stream *stream;
    uint8_t hello[HELLO_FRAME_MAX];
    size_t length;
    bool greeted;
};

static const char *const alpn[] = {TLS_ALPN_MYSQL, TLS_ALPN_CONTROL, NULL};

/* The proxy. */

static void session_closed(struct stream *stream, void *owner)
{
    struct session *session = owner;
    (void)stream;
    list_remove(&session->node);
    free(session);
}

/* A connection of another protocol: it is somebody else's from now on, or closed. */
static void hand_over(struct session *session, struct stream *stream)
{
    struct world *world = session->world;
    if (!world->control) {
        stream_close(stream, 0);
        return;
    }
    list_remove(&session->node);
    free(session);
    world->control(world->control_owner, stream);
}

static void session_secured(struct stream *stream, void *owner)
{
    struct session *session = owner;
    const char *protocol = stream_alpn(stream);
    if (protocol && strcmp(protocol, TLS_ALPN_CONTROL) == 0) {
        hand_over(session, stream);
        return;
    }
    session->world->handshakes++;
    if (session->world->mode == PROXY_CLOSE_AT_HANDSHAKE)
        stream_close(stream, 100);
    else if (session->world->mode == PROXY_EARLY)
        cr_assert(stream_write(stream, "early", 5, NULL));
}

static void greet(struct session *session)
{
    struct world *world = session->world;
    char greeting[HELLO_DATABASE_SIZE + 32];
    world->hellos++;
    session->greeted = true;
    if (world->mode == PROXY_CLOSE_AT_HELLO) {
        stream_close(session->stream, 100);
        return;
    }
    if (world->mode == PROXY_SILENT)
        return;
    int length = snprintf(greeting, sizeof greeting, GREETING "%s", world->last.database);
    cr_assert(stream_write(session->stream, greeting, (size_t)length, NULL));
}

static size_t session_data(struct stream *stream, void *owner, const uint8_t *data, size_t length)
{
    struct session *session = owner;
    struct world *world = session->world;
    if (world->mode == PROXY_MUTE_TCP)
        return length;
    if (session->greeted && world->mode == PROXY_STALL) {
        stream_pause(stream);
        return 0;
    }
    if (session->greeted) {
        cr_assert(stream_write(stream, data, length, NULL));
        if (stream_backlog(stream) > STREAM_BACKLOG_HIGH)
            stream_pause(stream);
        return length;
    }
    struct error err = {0};
    size_t consumed;
    cr_assert_leq(session->length + length, sizeof session->hello);
    memcpy(session->hello + session->length, data, length);
    session->length += length;
    enum hello_result result =
        hello_read(byte_view(session->hello, session->length), &world->last, &consumed, &err);
    cr_assert_neq(result, HELLO_MALFORMED, "%s", err.message);
    if (result == HELLO_COMPLETE)
        greet(session);
    return length;
}

static void session_drained(struct stream *stream, void *owner)
{
    (void)owner;
    stream_resume(stream);
}

static void session_ended(struct stream *stream, void *owner)
{
    (void)owner;
    stream_close(stream, 100);
}

static void session_failed(struct stream *stream, void *owner, const struct error *err)
{
    (void)err;
    ((struct session *)owner)->world->failures++;
    stream_close(stream, 100); /* a server that refuses still sends its alert */
}

static const struct stream_events session_events = {
    .secured = session_secured,
    .data = session_data,
    .drained = session_drained,
    .ended = session_ended,
    .failed = session_failed,
    .closed = session_closed,
};

static void on_connection(uv_stream_t *listener, int status)
{
    struct world *world = listener->data;
    struct error err = {0};
    struct session *session = calloc(1, sizeof *session);
    cr_assert(session && status == 0);
    session->world = world;
    cr_assert(
        stream_accept(world->streams, listener, &session_events, session, &session->stream, &err),
        "%s", err.message);
    list_append(&world->sessions, &session->node);
    world->accepted++;
    if (world->mode != PROXY_MUTE_TCP)
        cr_assert(stream_start_tls(session->stream, world->context, NULL, &err), "%s", err.message);
}

static void listen_on_loopback(struct world *world)
{
    struct sockaddr_in address;
    int size = sizeof address;
    cr_assert_eq(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    cr_assert_eq(uv_tcp_init(&world->loop, &world->listener), 0);
    world->listener.data = world;
    cr_assert_eq(uv_tcp_bind(&world->listener, (struct sockaddr *)&address, 0), 0);
    cr_assert_eq(uv_listen((uv_stream_t *)&world->listener, 511, on_connection), 0);
    cr_assert_eq(uv_tcp_getsockname(&world->listener, (struct sockaddr *)&address, &size), 0);
    world->proxy = (struct address){.kind = ADDRESS_HOST, .port = ntohs(address.sin_port)};
    strcpy(world->proxy.host, "127.0.0.1");
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* libuv keeps two descriptors for signals from the first loop on. */
static void warm_up(void)
{
    uv_loop_t loop;
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert_eq(uv_loop_close(&loop), 0);
}

void world_open(struct world *world)
{
    warm_up();
    struct error err = {0};
    struct tls_settings settings = settings_server();
    *world = (struct world){.descriptors = open_descriptors()};
    list_init(&world->sessions);
    settings.alpn = alpn;
    world->context = context_make(&settings);
    cr_assert_eq(uv_loop_init(&world->loop), 0);
    cr_assert(stream_loop_create(&world->loop, &world->streams, &err), "%s", err.message);
    cr_assert_eq(uv_timer_init(&world->loop, &world->ticker), 0);
    cr_assert_eq(uv_timer_start(&world->ticker, on_tick, TICK_MS, TICK_MS), 0);
    listen_on_loopback(world);
}

void world_drop_sessions(struct world *world)
{
    for (struct list *at = world->sessions.next; at != &world->sessions; at = at->next)
        stream_close(LIST_OF(at, struct session, node)->stream, 0);
}

void world_stop_proxy(struct world *world)
{
    uv_close((uv_handle_t *)&world->listener, NULL);
    world_drop_sessions(world);
    RUN_UNTIL(world, list_empty(&world->sessions));
}

void world_set_context(struct world *world, struct tls_context *context)
{
    tls_context_unref(world->context);
    world->context = context;
}

void world_close(struct world *world)
{
    if (!uv_is_closing((uv_handle_t *)&world->listener))
        uv_close((uv_handle_t *)&world->listener, NULL);
    world_drop_sessions(world);
    uv_close((uv_handle_t *)&world->ticker, NULL);
    cr_assert_eq(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
    stream_loop_destroy(world->streams);
    cr_assert_eq(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
    cr_assert_eq(uv_loop_close(&world->loop), 0, "handles are left");
    tls_context_unref(world->context);
    cr_assert_eq(open_descriptors(), world->descriptors, "descriptors are left");
}

void world_run_for(struct world *world, int64_t milliseconds)
{
    int64_t until = clock_monotonic_us() + milliseconds * 1000;
    while (clock_monotonic_us() < until)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
}

/* The program. */

static void program_connected(struct stream *stream, void *owner)
{
    (void)stream;
    ((struct program *)owner)->connected = true;
}

static size_t program_data(struct stream *stream, void *owner, const uint8_t *data, size_t length)
{
    struct program *program = owner;
    (void)stream;
    size_t room = sizeof program->received - 1 - program->kept;
    size_t take = length < room ? length : room;
    memcpy(program->received + program->kept, data, take);
    program->kept += take;
    program->received[program->kept] = '\0';
    program->total += length;
    return length;
}

static void program_ended(struct stream *stream, void *owner)
{
    (void)stream;
    ((struct program *)owner)->ended = true;
}

static void program_failed(struct stream *stream, void *owner, const struct error *err)
{
    (void)stream;
    (void)err;
    ((struct program *)owner)->failed = true;
}

static void program_drained(struct stream *stream, void *owner)
{
    (void)stream;
    (void)owner;
}

static void program_closed(struct stream *stream, void *owner)
{
    struct program *program = owner;
    (void)stream;
    program->closed = true;
    program->stream = NULL;
}

static const struct stream_events program_events = {
    .connected = program_connected,
    .data = program_data,
    .drained = program_drained,
    .ended = program_ended,
    .failed = program_failed,
    .closed = program_closed,
};

void program_connect(struct world *world, struct program *program, const struct address *to)
{
    struct error err = {0};
    struct sockaddr_in address;
    bool begun;
    *program = (struct program){0};
    if (to->kind == ADDRESS_UNIX) {
        begun = stream_connect_unix(world->streams, to->path, &program_events, program,
                                    &program->stream, &err);
    } else {
        cr_assert_eq(uv_ip4_addr(to->host, to->port, &address), 0);
        begun = stream_connect(world->streams, (struct sockaddr *)&address, &program_events,
                               program, &program->stream, &err);
    }
    cr_assert(begun, "%s", err.message);
}

void program_write(struct program *program, const void *bytes, size_t length)
{
    struct error err = {0};
    cr_assert(stream_write(program->stream, bytes, length, &err), "%s", err.message);
}

void program_close(struct world *world, struct program *program)
{
    stream_close(program->stream, 0);
    RUN_UNTIL(world, program->closed);
}

unsigned program_error(const struct program *program)
{
    const unsigned char *bytes = (const unsigned char *)program->received;
    cr_assert_gt(program->kept, 13, "too short for an ERR packet: %zu", program->kept);
    cr_assert_eq(bytes[0] | bytes[1] << 8 | bytes[2] << 16, (int)program->kept - 4);
    cr_assert_eq(bytes[3], 0, "sequence id");
    cr_assert_eq(bytes[4], 0xFF, "%s", program->received);
    cr_assert_eq(bytes[7], '#');
    return (unsigned)(bytes[5] | bytes[6] << 8);
}

const char *program_error_text(const struct program *program)
{
    (void)program_error(program);
    return program->received + 13;
}

/* Files. */

const char *directory_make(char path[64])
{
    strcpy(path, "/tmp/sallyport-tunnel-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
    return path;
}

void directory_remove(const char *path)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf -- '%s'", path);
    cr_assert_eq(system(command), 0);
}

/* As a careful renewer does it: written new, then renamed. */
static void file_install(const char *directory, const char *name, const char *bytes, size_t length)
{
    char path[512], fresh[528];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    (void)snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *file = fopen(fresh, "w");
    cr_assert_not_null(file);
    cr_assert_eq(fchmod(fileno(file), 0600), 0);
    cr_assert_eq(fwrite(bytes, 1, length, file), length);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(rename(fresh, path), 0);
}

void file_write(const char *directory, const char *name, const char *text)
{
    file_install(directory, name, text, strlen(text));
}

void file_copy(const char *from, const char *directory, const char *name)
{
    char bytes[16384];
    FILE *file = fopen(from, "r");
    cr_assert_not_null(file, "%s", from);
    size_t length = fread(bytes, 1, sizeof bytes, file);
    cr_assert(length > 0 && length < sizeof bytes);
    cr_assert_eq(fclose(file), 0);
    file_install(directory, name, bytes, length);
}

void identity_install(const char *directory, const char *bot)
{
    static const char *const names[] = {"cert.pem", "key.pem", "ca.pem"};
    char from[512];
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(from, sizeof from, "%s/bots/%s/%s", certs_directory(), bot, names[i]);
        file_copy(from, directory, names[i]);
    }
}

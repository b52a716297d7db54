/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/tls_support.h"

#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEADLINE_MS        20000
#define DIRECTORY_VARIABLE "SALLYPORT_TEST_CERTIFICATES"

/* Certificates. Each test is a process of its own; the hooks run in the one that starts them. */

ReportHook(PRE_ALL)(struct criterion_test_set *tests)
{
    (void)tests;
    char directory[] = "/tmp/sallyport-certs-XXXXXX";
    char command[256];
    if (!mkdtemp(directory))
        abort();
    (void)snprintf(command, sizeof command, "scripts/make-test-certs %s", directory);
    if (system(command) != 0 || setenv(DIRECTORY_VARIABLE, directory, 1) != 0)
        abort();
}

ReportHook(POST_ALL)(struct criterion_global_stats *stats)
{
    (void)stats;
    char command[256];
    (void)snprintf(command, sizeof command, "rm -rf -- %s", certs_directory());
    if (system(command) != 0)
        abort();
}

const char *certs_directory(void)
{
    const char *directory = getenv(DIRECTORY_VARIABLE);
    return directory ? directory : "/nonexistent";
}

const char *certs_path(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", certs_directory(), name);
    return path;
}

struct tls_settings settings_server(void)
{
    return (struct tls_settings){
        .side = TLS_SERVER,
        .cert_file = certs_path("proxy.crt"),
        .key_file = certs_path("proxy.key"),
        .ca_file = certs_path("bot-ca.crt"),
    };
}

struct tls_settings settings_client(const char *bot)
{
    char name[64];
    struct tls_settings settings = {.side = TLS_CLIENT};
    (void)snprintf(name, sizeof name, "bots/%s/cert.pem", bot);
    settings.cert_file = certs_path(name);
    (void)snprintf(name, sizeof name, "bots/%s/key.pem", bot);
    settings.key_file = certs_path(name);
    (void)snprintf(name, sizeof name, "bots/%s/ca.pem", bot);
    settings.ca_file = certs_path(name);
    return settings;
}

struct tls_context *context_make(const struct tls_settings *settings)
{
    struct tls_context *context = NULL;
    struct error err = {0};
    cr_assert(tls_context_create(settings, &context, &err), "%s", err.message);
    return context;
}

struct tls_context *context_server(enum tls_version version)
{
    struct tls_settings settings = settings_server();
    settings.version = version;
    return context_make(&settings);
}

struct tls_context *context_client(const char *bot, enum tls_version version)
{
    struct tls_settings settings = settings_client(bot);
    settings.version = version;
    return context_make(&settings);
}

/* Events. */

static void note(struct side *side, enum event event, bool *flag)
{
    cr_assert_not(side->in_call, "an event came inside a call of the owner");
    cr_assert_not(side->closed, "an event came after closed");
    if (flag) {
        cr_assert_not(*flag && event != DRAINED, "event %d came twice", (int)event);
        *flag = true;
    }
    if (side->close_at == event) {
        stream_close(side->stream, side->close_linger);
        stream_close(side->stream, side->close_linger);
    }
}

static void on_connected(struct stream *stream, void *owner)
{
    struct side *side = owner;
    cr_assert_eq(stream, side->stream);
    note(side, CONNECTED, &side->connected);
}

static void on_secured(struct stream *stream, void *owner)
{
    struct side *side = owner;
    cr_assert_eq(stream, side->stream);
    cr_assert_eq(stream_peer(stream) == NULL, side->anonymous_peer);
    note(side, SECURED, &side->secured);
}

static size_t on_data(struct stream *stream, void *owner, const uint8_t *data, size_t length)
{
    struct side *side = owner;
    size_t taken = side->take > 0 && side->take < length ? side->take : length;
    cr_assert_gt(length, 0);
    cr_assert_not(stream_paused(stream), "data came to a paused stream");
    if (side->on_data)
        side->on_data(side, data, length, &taken);
    struct error err = {0};
    if (side->keep)
        cr_assert(buffer_append(&side->received, data, taken, &err), "%s", err.message);
    side->received_total += taken;
    if (side->echo)
        side_write(side, data, taken);
    if (side->take > 0)
        stream_pause(stream);
    note(side, DATA, NULL);
    return taken;
}

static void on_drained(struct stream *stream, void *owner)
{
    struct side *side = owner;
    cr_assert_leq(stream_backlog(stream), STREAM_BACKLOG_LOW);
    note(side, DRAINED, &side->drained);
}

static void on_ended(struct stream *stream, void *owner)
{
    (void)stream;
    struct side *side = owner;
    note(side, ENDED, &side->ended);
}

static void on_failed(struct stream *stream, void *owner, const struct error *err)
{
    (void)stream;
    struct side *side = owner;
    side->error = *err;
    cr_assert_neq(err->code, ERROR_NONE);
    note(side, FAILED, &side->failed);
}

static void on_closed(struct stream *stream, void *owner)
{
    struct side *side = owner;
    cr_assert_eq(stream, side->stream);
    cr_assert_not(side->in_call);
    cr_assert_not(side->closed, "closed came twice");
    side->closed = true;
    side->stream = NULL;
}

const struct stream_events side_events = {
    .connected = on_connected,
    .secured = on_secured,
    .data = on_data,
    .drained = on_drained,
    .ended = on_ended,
    .failed = on_failed,
    .closed = on_closed,
};

/* The pair. */

int open_descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    cr_assert_not_null(directory);
    while (readdir(directory))
        count++;
    (void)closedir(directory);
    return count;
}

static void on_late(uv_timer_t *timer)
{
    struct pair *pair = timer->data;
    pair->late = true;
    uv_stop(&pair->loop);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct pair *pair = listener->data;
    struct error err = {0};
    cr_assert_eq(status, 0);
    cr_assert(stream_accept(pair->shared, listener, &side_events, &pair->server,
                            &pair->server.stream, &err),
              "%s", err.message);
    pair->server.connected = true;
}

static void side_init(struct side *side, struct pair *pair)
{
    buffer_init(&side->received, 256 * 1024 * 1024);
    side->keep = true;
    side->pair = pair;
}

static void listen_on_loopback(struct pair *pair, struct sockaddr_storage *address)
{
    struct sockaddr_in any;
    int length = sizeof *address;
    cr_assert_eq(uv_ip4_addr("127.0.0.1", 0, &any), 0);
    cr_assert_eq(uv_tcp_init(&pair->loop, &pair->listener), 0);
    pair->listener.data = pair;
    cr_assert_eq(uv_tcp_bind(&pair->listener, (const struct sockaddr *)&any, 0), 0);
    cr_assert_eq(uv_listen((uv_stream_t *)&pair->listener, 8, on_connection), 0);
    cr_assert_eq(uv_tcp_getsockname(&pair->listener, (struct sockaddr *)address, &length), 0);
}

void pair_open(struct pair *pair)
{
    memset(pair, 0, sizeof *pair);
    struct error err = {0};
    struct sockaddr_storage address = {0};
    /* The first loop of a process opens descriptors that stay. */
    cr_assert_eq(uv_loop_init(&pair->loop), 0);
    cr_assert_eq(uv_loop_close(&pair->loop), 0);
    pair->descriptors = open_descriptors();
    cr_assert_eq(uv_loop_init(&pair->loop), 0);
    cr_assert_eq(uv_timer_init(&pair->loop, &pair->deadline), 0);
    pair->deadline.data = pair;
    cr_assert(stream_loop_create(&pair->loop, &pair->shared, &err), "%s", err.message);
    side_init(&pair->client, pair);
    side_init(&pair->server, pair);
    listen_on_loopback(pair, &address);
    cr_assert(stream_connect(pair->shared, (struct sockaddr *)&address, &side_events, &pair->client,
                             &pair->client.stream, &err),
              "%s", err.message);
    pair_run_until(pair, &pair->client.connected);
    pair_run_until(pair, &pair->server.connected);
}

static void start_deadline(struct pair *pair, unsigned milliseconds)
{
    pair->late = false;
    cr_assert_eq(uv_timer_start(&pair->deadline, on_late, milliseconds, 0), 0);
}

void pair_run_until(struct pair *pair, const bool *flag)
{
    start_deadline(pair, DEADLINE_MS);
    while (!*flag && !pair->late)
        (void)uv_run(&pair->loop, UV_RUN_ONCE);
    (void)uv_timer_stop(&pair->deadline);
    cr_assert(*flag, "did not happen in time; client: %s; server: %s", pair->client.error.message,
              pair->server.error.message);
}

void pair_run_until_received(struct pair *pair, const struct side *side, size_t total)
{
    start_deadline(pair, DEADLINE_MS);
    while (side->received_total < total && !pair->late)
        (void)uv_run(&pair->loop, UV_RUN_ONCE);
    (void)uv_timer_stop(&pair->deadline);
    cr_assert_geq(side->received_total, total, "client: %s; server: %s", pair->client.error.message,
                  pair->server.error.message);
}

void pair_run_for(struct pair *pair, unsigned milliseconds)
{
    start_deadline(pair, milliseconds);
    while (!pair->late)
        (void)uv_run(&pair->loop, UV_RUN_ONCE);
}

void pair_close(struct pair *pair)
{
    stream_close(pair->client.stream, 0);
    stream_close(pair->server.stream, 0);
    start_deadline(pair, DEADLINE_MS);
    while ((pair->client.stream || pair->server.stream) && !pair->late)
        (void)uv_run(&pair->loop, UV_RUN_ONCE);
    cr_assert_not(pair->late, "a stream did not close");
    stream_loop_destroy(pair->shared);
    uv_close((uv_handle_t *)&pair->listener, NULL);
    uv_close((uv_handle_t *)&pair->deadline, NULL);
    cr_assert_eq(uv_run(&pair->loop, UV_RUN_DEFAULT), 0);
    cr_assert_eq(uv_loop_close(&pair->loop), 0, "a handle was left open");
    buffer_release(&pair->client.received);
    buffer_release(&pair->server.received);
    if (pair->descriptors >= 0)
        cr_assert_eq(open_descriptors(), pair->descriptors, "a descriptor was left open");
}

void pair_start_tls(struct pair *pair, struct tls_context *server, struct tls_context *client,
                    const char *server_name)
{
    struct error err = {0};
    pair->client.in_call = pair->server.in_call = true;
    if (server)
        cr_assert(stream_start_tls(pair->server.stream, server, NULL, &err), "%s", err.message);
    if (client)
        cr_assert(stream_start_tls(pair->client.stream, client, server_name, &err), "%s",
                  err.message);
    pair->client.in_call = pair->server.in_call = false;
    tls_context_unref(server);
    tls_context_unref(client);
}

void pair_open_tls(struct pair *pair, enum tls_version version)
{
    pair_open(pair);
    pair_start_tls(pair, context_server(version), context_client("ci-1", version), "localhost");
    pair_run_until(pair, &pair->client.secured);
    pair_run_until(pair, &pair->server.secured);
}

void side_write(struct side *side, const void *bytes, size_t length)
{
    struct error err = {0};
    bool before = side->in_call;
    side->in_call = true;
    cr_assert(stream_write(side->stream, bytes, length, &err), "%s", err.message);
    side->in_call = before;
}

bool side_received(const struct side *side, const char *text)
{
    return buffer_length(&side->received) == strlen(text) &&
           memcmp(buffer_bytes(&side->received), text, strlen(text)) == 0;
}

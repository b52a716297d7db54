/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/proxy_support.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "protocol/command.h"

/* --- files ---------------------------------------------------------------------------------------
 */

static char files_directory[64];

static void link_certificates(void)
{
    DIR *directory = opendir(certs_directory());
    cr_assert_not_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        char from[512], to[512];
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(from, sizeof from, "%s/%s", certs_directory(), entry->d_name);
        (void)snprintf(to, sizeof to, "%s/%s", files_directory, entry->d_name);
        cr_assert_eq(symlink(from, to), 0);
    }
    (void)closedir(directory);
}

const char *files_path(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    if (!files_directory[0]) {
        (void)snprintf(files_directory, sizeof files_directory, "/tmp/sallyport-stage-XXXXXX");
        cr_assert_not_null(mkdtemp(files_directory));
        link_certificates();
    }
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", files_directory, name);
    return path;
}

void files_copy(const char *name)
{
    static char text[64 * 1024];
    FILE *file = fopen(files_path(name), "r");
    cr_assert_not_null(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[length] = '\0';
    cr_assert_eq(unlink(files_path(name)), 0);
    files_write(name, text);
}

void files_write(const char *name, const char *text)
{
    mode_t mask = umask(0077);
    FILE *file = fopen(files_path(name), "w");
    (void)umask(mask);
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

void files_remove(void)
{
    char command[128];
    if (!files_directory[0])
        return;
    (void)snprintf(command, sizeof command, "rm -rf -- %s", files_directory);
    cr_assert_eq(system(command), 0);
    files_directory[0] = '\0';
}

/* --- events of a peer's stream -------------------------------------------------------------------
 */

static void on_connected(struct stream *stream, void *owner)
{
    (void)stream;
    ((struct peer *)owner)->connected = true;
}

static void on_secured(struct stream *stream, void *owner)
{
    (void)stream;
    ((struct peer *)owner)->secured = true;
}

static void keep(struct peer *peer, const uint8_t *data, size_t length)
{
    struct error err = {0};
    cr_assert(buffer_append(&peer->received, data, length, &err), "%s", err.message);
}

#define SSL_REQUEST_SIZE 36

/* How many of these bytes end an SSLRequest, which TLS follows; 0: none do. */
static size_t ssl_request_end(const struct peer *peer, const uint8_t *data, size_t length)
{
    size_t before = buffer_length(&peer->received);
    uint8_t first = before > 0 ? buffer_bytes(&peer->received)[0] : data[0];
    if (!peer->context || first != SSL_REQUEST_SIZE - PACKET_HEADER_SIZE ||
        before >= SSL_REQUEST_SIZE || before + length < SSL_REQUEST_SIZE)
        return 0;
    return SSL_REQUEST_SIZE - before;
}

static size_t on_data(struct stream *stream, void *owner, const uint8_t *data, size_t length)
{
    struct peer *peer = owner;
    size_t end = ssl_request_end(peer, data, length);
    if (end == 0) {
        keep(peer, data, length);
        return length;
    }
    struct error err = {0};
    keep(peer, data, end);
    cr_assert(stream_start_tls(stream, peer->context, NULL, &err), "%s", err.message);
    tls_context_unref(peer->context);
    peer->context = NULL;
    return end;
}

static void on_drained(struct stream *stream, void *owner)
{
    (void)stream;
    (void)owner;
}

static void on_ended(struct stream *stream, void *owner)
{
    (void)stream;
    struct peer *peer = owner;
    peer->ended = peer->gone = true;
}

static void on_failed(struct stream *stream, void *owner, const struct error *err)
{
    struct peer *peer = owner;
    peer->failed = peer->gone = true;
    peer->error = *err;
    stream_close(stream, 100); /* a side that refuses still sends its alert */
}

static void on_closed(struct stream *stream, void *owner)
{
    (void)stream;
    struct peer *peer = owner;
    peer->closed = true;
    peer->stream = NULL;
}

static const struct stream_events peer_events = {
    .connected = on_connected,
    .secured = on_secured,
    .data = on_data,
    .drained = on_drained,
    .ended = on_ended,
    .failed = on_failed,
    .closed = on_closed,
};

static struct peer *add_peer(struct stage *stage)
{
    cr_assert_lt(stage->peer_count, PEERS_MAX);
    struct peer *peer = &stage->peers[stage->peer_count++];
    peer->stage = stage;
    buffer_init(&peer->received, 64 * 1024 * 1024);
    return peer;
}

/* --- the stage -----------------------------------------------------------------------------------
 */

static struct tls_context *database_context(void)
{
    const struct tls_settings settings = {
        .side = TLS_SERVER,
        .cert_file = files_path("db-server.crt"),
        .key_file = files_path("db-server.key"),
        .ca_file = files_path("db-client-ca.crt"),
    };
    return context_make(&settings);
}

static void on_database_connection(uv_stream_t *listener, int status)
{
    struct stage *stage = listener->data;
    struct peer *peer = add_peer(stage);
    struct error err = {0};
    cr_assert_eq(status, 0);
    peer->context = database_context();
    cr_assert(
        stream_accept(stage->streams, listener, &peer_events, peer, &peer->stream, &err), "%s",
        err.message);
    peer->connected = true;
    stage->databases[stage->database_count++] = peer;
}

static void open_database(struct stage *stage)
{
    struct sockaddr_in address;
    struct sockaddr_storage bound;
    int length = sizeof bound;
    cr_assert_eq(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    cr_assert_eq(uv_tcp_init(&stage->loop, &stage->database_listener), 0);
    stage->database_listener.data = stage;
    cr_assert_eq(
        uv_tcp_bind(&stage->database_listener, (const struct sockaddr *)&address, 0), 0);
    if (!stage->options.no_database)
        cr_assert_eq(uv_listen((uv_stream_t *)&stage->database_listener, 16,
                               on_database_connection),
                     0);
    cr_assert_eq(uv_tcp_getsockname(&stage->database_listener, (struct sockaddr *)&bound, &length),
                 0);
    stage->database_port = ntohs(((struct sockaddr_in *)(void *)&bound)->sin_port);
}

#define DATABASE                                                                           \
    "{\"name\":\"shop\",\"address\":\"127.0.0.1:%u\",\"tls\":{\"ca\":\"db-server-ca.crt\"," \
    "\"server_name\":\"%s\",\"cert\":\"db-client.crt\",\"key\":\"db-client.key\"}%s}"
#define ROLES                                                                             \
    "{\"name\":\"r\",\"allow\":{\"databases\":\"shop\",\"mysql_users\":[\"reader\"],"     \
    "\"schemas\":\"*\"},\"deny\":{\"schemas\":\"secret\"}}"
#define MAPPINGS "{\"subject\":\"CN=ci-1\",\"roles\":\"r\"}"

static const char *or_else(const char *given, const char *otherwise)
{
    return given ? given : otherwise;
}

static struct snapshot *load(const struct stage *stage, const struct stage_options *options)
{
    static char text[8192];
    char databases[2048];
    struct snapshot *snapshot = NULL;
    struct error err = {0};
    (void)snprintf(databases, sizeof databases, DATABASE, stage->database_port,
                   options->other_server_name ? "db.internal" : "localhost", or_else(options->passwords, ""));
    int length = snprintf(
        text, sizeof text,
        "{\"proxy\":{\"listeners\":[{\"address\":\"127.0.0.1:1\"%s}],\"tls\":{\"cert\":"
        "\"proxy.crt\",\"key\":\"proxy.key\",\"client_ca\":\"bot-ca.crt\",\"crl\":\"bot.crl\"},"
        "\"limits\":{%s}},\n\"databases\":[%s],\n\"roles\":[%s],\n\"mappings\":[%s],\n"
        "\"audit\":{\"directory\":\"audit\"%s}}\n",
        options->starttls ? ",\"starttls\":true,\"database\":\"shop\"" : "",
        or_else(options->limits, ""), or_else(options->databases, databases),
        or_else(options->roles, ROLES), or_else(options->mappings, MAPPINGS),
        or_else(options->audit, ""));
    cr_assert(length > 0 && (size_t)length < sizeof text);
    files_write("proxy.conf", text);
    cr_assert(snapshot_create(files_path("proxy.conf"), &snapshot, &err), "%s", err.message);
    return snapshot;
}

static int bind_proxy(struct stage *stage)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert_eq(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    stage->proxy_port = ntohs(address.sin_port);
    return fd;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void set_file_size(rlim_t size)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Puts records of `length` bytes of text into the lane until it takes no more. */
static void fill_lane(struct audit_lane *lane, struct audit_prefix *prefix, size_t length)
{
    char *text = malloc(length);
    enum audit_answer answer = AUDIT_READY;
    struct error err = {0};
    cr_assert_not_null(text);
    memset(text, 'x', length);
    const struct audit_intent intent = {.event = "filler",
                                        .statement = text,
                                        .statement_captured = length,
                                        .statement_length = length};
    const struct audit_outcome outcome = {.outcome = "ok", .duration_us = -1};
    while (answer == AUDIT_READY)
        cr_assert(audit_event(lane, prefix, &intent, &outcome, &answer, &err), "%s", err.message);
    free(text);
}

void stage_fill_log(struct stage *stage)
{
    struct audit_prefix prefix = {0};
    const struct audit_session facts = {.proxy = "filler"};
    struct audit_lane *lane = audit_log_lane(stage->shared.audit, 0);
    struct error err = {0};
    (void)signal(SIGXFSZ, SIG_IGN);
    set_file_size(0);
    cr_assert(audit_prefix_render(&prefix, &facts, &err), "%s", err.message);
    fill_lane(lane, &prefix, 900000);
    fill_lane(lane, &prefix, 4000);
    fill_lane(lane, &prefix, 1);
    audit_prefix_release(&prefix);
}

void stage_empty_log(struct stage *stage)
{
    (void)stage;
    set_file_size(RLIM_INFINITY);
}

static void open_shared(struct stage *stage)
{
    const struct audit_section *section = &stage->snapshot->settings.audit;
    const struct audit_settings settings = {.directory = section->directory,
                                            .file_size = section->file_size};
    struct error err = {0};
    stage->shared.proxy_name = "proxy-test";
    cr_assert(registry_create(&stage->shared.registry, &err), "%s", err.message);
    cr_assert(audit_log_open(&settings, 1, &stage->shared.audit, &err), "%s", err.message);
    if (stage->options.full_log)
        stage_fill_log(stage);
}

void stage_open(struct stage *stage, const struct stage_options *options)
{
    memset(stage, 0, sizeof *stage);
    stage->options = *options;
    struct error err = {0};
    /* The first loop of a process opens descriptors that stay. */
    cr_assert_eq(uv_loop_init(&stage->loop), 0);
    cr_assert_eq(uv_loop_close(&stage->loop), 0);
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    stage->descriptors = open_descriptors();
    cr_assert_eq(uv_loop_init(&stage->loop), 0);
    cr_assert_eq(uv_timer_init(&stage->loop, &stage->ticker), 0);
    cr_assert_eq(uv_timer_start(&stage->ticker, on_tick, 10, 10), 0);
    cr_assert(stream_loop_create(&stage->loop, &stage->streams, &err), "%s", err.message);
    open_database(stage);
    stage->snapshot = load(stage, options);
    open_shared(stage);
    int socket_fd = bind_proxy(stage);
    cr_assert(
        worker_start(&stage->worker, 0, &stage->shared, stage->snapshot, &socket_fd, &err), "%s",
        err.message);
}

void stage_reload(struct stage *stage, const struct stage_options *options)
{
    struct snapshot *next = load(stage, options);
    struct error err = {0};
    cr_assert(snapshot_can_follow(stage->snapshot, next, &err), "%s", err.message);
    worker_reload(&stage->worker, next);
    snapshot_unref(stage->snapshot);
    stage->snapshot = next;
}

void stage_run_for(struct stage *stage, int64_t milliseconds)
{
    int64_t until = clock_monotonic_us() + milliseconds * 1000;
    while (clock_monotonic_us() < until)
        (void)uv_run(&stage->loop, UV_RUN_ONCE);
}

static bool all_gone(const struct stage *stage)
{
    for (size_t i = 0; i < stage->peer_count; i++)
        if (!stage->peers[i].gone && !stage->peers[i].closed)
            return false;
    return true;
}

static bool all_closed(const struct stage *stage)
{
    for (size_t i = 0; i < stage->peer_count; i++)
        if (stage->peers[i].stream)
            return false;
    return true;
}

void stage_stop(struct stage *stage)
{
    worker_stop(&stage->worker);
    int64_t until = clock_monotonic_us() + 300000;
    while (!all_gone(stage) && clock_monotonic_us() < until)
        (void)uv_run(&stage->loop, UV_RUN_ONCE);
    stage_join(stage);
}

void stage_join(struct stage *stage)
{
    for (size_t i = 0; i < stage->peer_count; i++)
        stream_close(stage->peers[i].stream, 0);
    STAGE_UNTIL(stage, all_closed(stage));
    worker_join(&stage->worker);
    stage->joined = true;
}

static void check_nothing_is_left(struct stage *stage)
{
    uint64_t sessions, pending;
    registry_counts(stage->shared.registry, &sessions, &pending);
    cr_assert_eq(sessions, 0, "%llu sessions are counted still", (unsigned long long)sessions);
    cr_assert_eq(pending, 0, "%llu are counted as pending", (unsigned long long)pending);
    cr_assert_eq(stage->worker.session_count, 0);
    cr_assert_eq(stage->worker.busy_sessions, 0);
    cr_assert_eq(stage->worker.upstreams.count, 0, "an upstream connection is left");
    cr_assert_eq(atomic_load(&stage->worker.counters.accepted),
                 atomic_load(&stage->worker.counters.ended));
}

static bool is_event(const cJSON *record, const char *event)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(record, "event"));
    return text && strcmp(text, event) == 0;
}

static int count_of(const cJSON *records, const char *session, const char *event)
{
    int count = 0;
    const cJSON *record;
    cJSON_ArrayForEach(record, records)
    {
        const char *of = cJSON_GetStringValue(cJSON_GetObjectItem(record, "session"));
        count += of && strcmp(of, session) == 0 && is_event(record, event);
    }
    return count;
}

/* Each session has one closing record, and a start exactly where the closing one is session.end. */
static void check_closing_records(void)
{
    cJSON *records = stage_records();
    const cJSON *record;
    cJSON_ArrayForEach(record, records)
    {
        const char *session = cJSON_GetStringValue(cJSON_GetObjectItem(record, "session"));
        if (!session) {
            cr_assert(is_event(record, "filler"));
            continue;
        }
        int ends = count_of(records, session, "session.end");
        int denials = count_of(records, session, "session.denied");
        cr_assert_eq(ends + denials, 1, "session %s has %d closing records", session,
                     ends + denials);
        cr_assert_eq(count_of(records, session, "session.start"), ends);
    }
    cJSON_Delete(records);
}

void stage_close(struct stage *stage)
{
    if (!stage->joined)
        stage_stop(stage);
    check_nothing_is_left(stage);
    registry_destroy(stage->shared.registry);
    stage_empty_log(stage);
    audit_log_close(stage->shared.audit);
    snapshot_unref(stage->snapshot);
    for (size_t i = 0; i < stage->peer_count; i++) {
        buffer_release(&stage->peers[i].received);
        tls_context_unref(stage->peers[i].context);
    }
    stream_loop_destroy(stage->streams);
    uv_close((uv_handle_t *)&stage->ticker, NULL);
    uv_close((uv_handle_t *)&stage->database_listener, NULL);
    cr_assert_eq(uv_run(&stage->loop, UV_RUN_DEFAULT), 0);
    cr_assert_eq(uv_loop_close(&stage->loop), 0, "a handle was left open");
    cr_assert_eq(open_descriptors(), stage->descriptors, "a descriptor was left open");
    check_closing_records();
}

/* --- peers ----------------------------------------------------------------------------------------
 */

struct peer *stage_connect(struct stage *stage)
{
    struct sockaddr_in address;
    struct error err = {0};
    struct peer *peer = add_peer(stage);
    cr_assert_eq(uv_ip4_addr("127.0.0.1", (int)stage->proxy_port, &address), 0);
    cr_assert(stream_connect(stage->streams, (struct sockaddr *)&address, &peer_events, peer,
                             &peer->stream, &err),
              "%s", err.message);
    STAGE_UNTIL(stage, peer->connected || peer->gone);
    return peer;
}

void peer_client_tls(struct peer *peer, const char *bot, bool alpn)
{
    static const char *const protocols[] = {TLS_ALPN_MYSQL, NULL};
    struct tls_settings settings = settings_client(bot);
    struct error err = {0};
    settings.alpn = alpn ? protocols : NULL;
    struct tls_context *context = context_make(&settings);
    cr_assert(stream_start_tls(peer->stream, context, "localhost", &err), "%s", err.message);
    tls_context_unref(context);
    STAGE_UNTIL(peer->stage, peer->secured || peer->gone);
}

void peer_hello(struct peer *peer, const char *database)
{
    struct hello hello = {.local = {.address = "127.0.0.1:5"}};
    struct buffer frame;
    struct error err = {0};
    (void)snprintf(hello.database, sizeof hello.database, "%s", database);
    buffer_init(&frame, HELLO_FRAME_MAX);
    cr_assert(hello_append(&frame, &hello, &err), "%s", err.message);
    peer_write(peer, buffer_bytes(&frame), buffer_length(&frame));
    buffer_release(&frame);
}

struct peer *stage_client(struct stage *stage, const char *bot)
{
    struct peer *peer = stage_connect(stage);
    peer_client_tls(peer, bot, true);
    peer_hello(peer, "shop");
    return peer;
}

struct peer *stage_database(struct stage *stage)
{
    STAGE_UNTIL(stage, stage->database_count > stage->databases_taken);
    return stage->databases[stage->databases_taken++];
}

size_t stage_dials(const struct stage *stage)
{
    return stage->database_count;
}

void peer_write(struct peer *peer, const void *bytes, size_t length)
{
    struct error err = {0};
    if (peer->stream && !peer->failed)
        cr_assert(stream_write(peer->stream, bytes, length, &err), "%s", err.message);
}

void peer_send(struct peer *peer, uint8_t sequence, const void *payload, size_t length)
{
    struct buffer packet;
    struct error err = {0};
    buffer_init(&packet, PACKET_PAYLOAD_MAX);
    cr_assert(packet_append(&packet, sequence, payload, length, &err), "%s", err.message);
    peer_write(peer, buffer_bytes(&packet), buffer_length(&packet));
    buffer_release(&packet);
}

void peer_command(struct peer *peer, uint8_t command, const char *text)
{
    size_t length = strlen(text);
    uint8_t *payload = malloc(length + 1);
    cr_assert_not_null(payload);
    payload[0] = command;
    memcpy(payload + 1, text, length);
    peer_send(peer, 0, payload, length + 1);
    free(payload);
}

static bool has_packet(const struct peer *peer)
{
    const uint8_t *bytes = buffer_bytes(&peer->received);
    size_t held = buffer_length(&peer->received);
    return held >= PACKET_HEADER_SIZE &&
           held - PACKET_HEADER_SIZE >=
               (size_t)(bytes[0] | (unsigned)bytes[1] << 8 | (unsigned)bytes[2] << 16);
}

struct byte_view peer_packet(struct peer *peer, uint8_t sequence)
{
    static uint8_t payload[2 * 1024 * 1024];
    STAGE_UNTIL(peer->stage, has_packet(peer) || peer->gone);
    cr_assert(has_packet(peer), "the proxy ended the connection: %s", peer->error.message);
    const uint8_t *bytes = buffer_bytes(&peer->received);
    size_t length = bytes[0] | (unsigned)bytes[1] << 8 | (unsigned)bytes[2] << 16;
    cr_assert_leq(length, sizeof payload);
    cr_assert_eq(bytes[3], sequence, "sequence id %u instead of %u; the payload begins %02x %.*s",
                 bytes[3], sequence, length ? bytes[4] : 0,
                 length > 3 ? (int)(length - 3) : 0, (const char *)bytes + 7);
    memcpy(payload, bytes + PACKET_HEADER_SIZE, length);
    buffer_consume(&peer->received, PACKET_HEADER_SIZE + length);
    return byte_view(payload, length);
}

void peer_expect(struct peer *peer, uint8_t sequence, const void *payload, size_t length)
{
    struct byte_view found = peer_packet(peer, sequence);
    cr_assert_eq(found.length, length, "%zu bytes came: %.*s", found.length,
                 (int)(found.length < 200 ? found.length : 200), (const char *)found.data);
    cr_assert_eq(memcmp(found.data, payload, length), 0);
}

void peer_expect_command(struct peer *peer, uint8_t command, const char *text)
{
    struct byte_view found = peer_packet(peer, 0);
    cr_assert_gt(found.length, 0);
    cr_assert_eq(found.data[0], command, "command 0x%02x came", found.data[0]);
    cr_assert_eq(found.length - 1, strlen(text), "%.*s", (int)found.length - 1,
                 (const char *)found.data + 1);
    cr_assert_eq(memcmp(found.data + 1, text, strlen(text)), 0);
}

void peer_expect_ok(struct peer *peer, uint8_t sequence)
{
    struct byte_view found = peer_packet(peer, sequence);
    cr_assert(found.length >= 7 && found.data[0] == PACKET_OK, "no OK: %.*s", (int)found.length,
              (const char *)found.data);
}

void peer_expect_error(struct peer *peer, uint8_t sequence, unsigned code, const char *words)
{
    struct byte_view found = peer_packet(peer, sequence);
    struct packet_err read;
    struct error err = {0};
    cr_assert(packet_err_read(found, &read, &err), "%s", err.message);
    char text[1024];
    (void)snprintf(text, sizeof text, "%.*s", (int)read.message.length,
                   (const char *)read.message.data);
    cr_assert_eq(read.code, code, "%u %s", read.code, text);
    cr_assert_not_null(strstr(text, words), "%s", text);
}

void peer_wait_gone(struct peer *peer)
{
    STAGE_UNTIL(peer->stage, peer->gone);
}

void peer_gone(struct peer *peer)
{
    static const uint8_t quit[] = {1, 0, 0, 0, COMMAND_QUIT};
    peer_wait_gone(peer);
    size_t held = buffer_length(&peer->received);
    peer->quit = held == sizeof quit && memcmp(buffer_bytes(&peer->received), quit, held) == 0;
    cr_assert(held == 0 || peer->quit, "%zu bytes came before the end, packet type %u", held,
              held > 4 ? buffer_bytes(&peer->received)[4] : 0);
}

void peer_silent(struct peer *peer)
{
    stage_run_for(peer->stage, 60);
    cr_assert_eq(buffer_length(&peer->received), 0, "%zu bytes came",
                 buffer_length(&peer->received));
    cr_assert_not(peer->gone, "the connection ended: %s", peer->error.message);
}

void peer_close(struct peer *peer)
{
    stream_close(peer->stream, 1000);
    STAGE_UNTIL(peer->stage, peer->closed);
}

void peer_reset(struct peer *peer)
{
    /* Dissolving the association sends a RST at once, before any close_notify can go. */
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    cr_assert_eq(connect(stream_fd(peer->stream), &none, sizeof none), 0);
    stream_close(peer->stream, 0);
    STAGE_UNTIL(peer->stage, peer->closed);
}

/* --- steps of a session --------------------------------------------------------------------------
 */

void peer_greet_with(struct peer *database, const char *plugin, uint32_t capabilities)
{
    struct handshake_greeting greeting = {.version = "11.8.0-test",
                                          .vendor = HANDSHAKE_MYSQL,
                                          .connection_id = 77,
                                          .capabilities = capabilities,
                                          .collation = 45,
                                          .status = STATUS_AUTOCOMMIT};
    struct buffer packet;
    struct error err = {0};
    memset(greeting.scramble, 's', sizeof greeting.scramble);
    (void)snprintf(greeting.plugin, sizeof greeting.plugin, "%s", plugin);
    buffer_init(&packet, 1024);
    cr_assert(handshake_greeting_append(&packet, &greeting, &err), "%s", err.message);
    peer_write(database, buffer_bytes(&packet), buffer_length(&packet));
    buffer_release(&packet);
}

void peer_greet(struct peer *database)
{
    peer_greet_with(database, "mysql_native_password", STAGE_CAPABILITIES);
}

void peer_read_greeting(struct peer *client)
{
    struct handshake_greeting greeting;
    struct error err = {0};
    cr_assert(handshake_greeting_read(peer_packet(client, 0), &greeting, &err), "%s",
              err.message);
    cr_assert_str_eq(greeting.version, "11.8.0-test");
    cr_assert_eq(greeting.connection_id, 77);
}

void peer_login_with(struct peer *client, const char *user, const char *schema,
                     const char *plugin, uint8_t sequence)
{
    struct handshake_login login = {.capabilities = STAGE_CAPABILITIES & ~CAPABILITY_SSL,
                                    .max_packet = 1 << 24,
                                    .collation = 45};
    struct buffer packet;
    struct error err = {0};
    (void)snprintf(login.user, sizeof login.user, "%s", user);
    (void)snprintf(login.schema, sizeof login.schema, "%s", schema);
    (void)snprintf(login.plugin, sizeof login.plugin, "%s", plugin);
    if (!schema[0])
        login.capabilities &= ~CAPABILITY_CONNECT_WITH_DB;
    buffer_init(&packet, 4096);
    cr_assert(handshake_login_append(&packet, sequence, &login, &err), "%s", err.message);
    peer_write(client, buffer_bytes(&packet), buffer_length(&packet));
    buffer_release(&packet);
}

void peer_login(struct peer *client, const char *user, const char *schema)
{
    peer_login_with(client, user, schema, "mysql_native_password", 1);
}

void peer_take_login(struct peer *database, struct handshake_login *login)
{
    struct error err = {0};
    struct handshake_login request;
    cr_assert(handshake_login_read(peer_packet(database, 1), STAGE_CAPABILITIES, &request, &err),
              "%s", err.message);
    cr_assert(request.is_ssl_request);
    STAGE_UNTIL(database->stage, database->secured || database->gone);
    cr_assert_str_eq(stream_peer(database->stream)->subject, "CN=sallyport-proxy");
    cr_assert(handshake_login_read(peer_packet(database, 2), STAGE_CAPABILITIES, login, &err),
              "%s", err.message);
    cr_assert_eq(login->capabilities & ~CAPABILITY_CONNECT_WITH_DB,
                 request.capabilities & ~CAPABILITY_CONNECT_WITH_DB);
}

void peer_ok(struct peer *database, uint8_t sequence)
{
    static const uint8_t ok[] = {PACKET_OK, 0, 0, STATUS_AUTOCOMMIT, 0, 0, 0};
    peer_send(database, sequence, ok, sizeof ok);
}

void peer_err(struct peer *database, uint8_t sequence, unsigned code, const char *message)
{
    struct buffer packet;
    struct error err = {0};
    buffer_init(&packet, 1024);
    cr_assert(packet_err_append(&packet, sequence, (uint16_t)code, "HY000", message, &err));
    peer_write(database, buffer_bytes(&packet), buffer_length(&packet));
    buffer_release(&packet);
}

void peer_prepared(struct peer *database, uint32_t id, uint16_t parameters)
{
    const uint8_t answer[12] = {0, (uint8_t)id, (uint8_t)(id >> 8), 0, 0, 0, 0,
                                (uint8_t)parameters};
    static const uint8_t definition[] = {3, 'd', 'e', 'f', 0, 0, 0, 1, '?', 0, 12, 63, 0,
                                         0, 0,   0,   0,   253, 0, 0, 0, 0, 0};
    peer_send(database, 1, answer, sizeof answer);
    for (uint16_t i = 0; i < parameters; i++)
        peer_send(database, (uint8_t)(2 + i), definition, sizeof definition);
}

void stage_ready(struct stage *stage, struct peer **client, struct peer **database)
{
    struct handshake_login login;
    *client = stage_client(stage, "ci-1");
    *database = stage_database(stage);
    peer_greet(*database);
    peer_read_greeting(*client);
    peer_login(*client, "reader", "");
    peer_take_login(*database, &login);
    cr_assert_str_eq(login.user, "reader");
    peer_ok(*database, 3);
    peer_expect_ok(*client, 2);
}

void stage_ping(struct peer *client, struct peer *database)
{
    peer_command(client, COMMAND_PING, "");
    peer_expect_command(database, COMMAND_PING, "");
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
}

/* --- the audit log --------------------------------------------------------------------------------
 */

static void read_lines(const char *path, cJSON *records)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    while ((length = getline(&line, &size, file)) > 0) {
        cr_assert_eq(line[length - 1], '\n');
        cJSON *record = cJSON_ParseWithLength(line, (size_t)length);
        cr_assert_not_null(record, "not JSON: %.200s", line);
        (void)cJSON_AddItemToArray(records, record);
    }
    free(line);
    (void)fclose(file);
}

cJSON *stage_records(void)
{
    cJSON *records = cJSON_CreateArray();
    struct dirent **entries;
    char path[512];
    int count = scandir(files_path("audit"), &entries, NULL, alphasort);
    cr_assert_geq(count, 0);
    for (int i = 0; i < count; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", files_path("audit"), entries[i]->d_name);
        if (strncmp(entries[i]->d_name, "audit-", 6) == 0)
            read_lines(path, records);
        free(entries[i]);
    }
    free(entries);
    return records;
}

int records_with(const cJSON *records, const char *key, const char *value)
{
    int count = 0;
    const cJSON *record;
    cJSON_ArrayForEach(record, records)
    {
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(record, key));
        count += text && strcmp(text, value) == 0;
    }
    return count;
}

static const char *text_in(const cJSON *record, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(record, key));
    return text ? text : "";
}

void expect_closing(const char *event, const char *reason, const char *words)
{
    cJSON *records = stage_records();
    const cJSON *record, *closing = NULL;
    cJSON_ArrayForEach(record, records)
    {
        if (!is_event(record, "session.end") && !is_event(record, "session.denied"))
            continue;
        cr_assert_null(closing, "there was more than one session");
        closing = record;
    }
    cr_assert_not_null(closing, "there is no closing record");
    char *shown = cJSON_PrintUnformatted(closing);
    cr_assert_str_eq(text_in(closing, "event"), event, "%s", shown);
    cr_assert_str_eq(text_in(closing, "reason"), reason, "%s", shown);
    cr_assert_not_null(strstr(text_in(cJSON_GetObjectItem(closing, "error"), "message"), words),
                       "%s", shown);
    free(shown);
    cJSON_Delete(records);
}

void expect_statement(const char *statement, const char *outcome)
{
    cJSON *records = stage_records();
    const cJSON *record, *found = NULL;
    cJSON_ArrayForEach(record, records)
    {
        if (strcmp(text_in(record, "statement"), statement) != 0)
            continue;
        cr_assert_null(found, "'%s' was recorded twice", statement);
        found = record;
    }
    cr_assert(found || !outcome, "'%s' was not recorded", statement);
    if (outcome)
        cr_assert_str_eq(text_in(found, "outcome"), outcome, "%s", statement);
    cJSON_Delete(records);
}

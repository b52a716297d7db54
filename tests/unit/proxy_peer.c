/* SPDX-License-Identifier: Apache-2.0 */
/* The peers of a stage: clients and the database, played by the test. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/command.h"
#include "tests/unit/proxy_support.h"

/* --- events of a peer's stream --- */

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

const struct stream_events peer_events = {
    .connected = on_connected,
    .secured = on_secured,
    .data = on_data,
    .drained = on_drained,
    .ended = on_ended,
    .failed = on_failed,
    .closed = on_closed,
};

struct peer *stage_add_peer(struct stage *stage)
{
    cr_assert_lt(stage->peer_count, PEERS_MAX);
    struct peer *peer = &stage->peers[stage->peer_count++];
    peer->stage = stage;
    buffer_init(&peer->received, 64 * 1024 * 1024);
    return peer;
}

/* --- peers
 * ----------------------------------------------------------------------------------------
 */

struct peer *stage_connect(struct stage *stage)
{
    struct sockaddr_in address;
    struct error err = {0};
    struct peer *peer = stage_add_peer(stage);
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
                 bytes[3], sequence, length ? bytes[4] : 0, length > 3 ? (int)(length - 3) : 0,
                 (const char *)bytes + 7);
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

/* --- steps of a session --- */

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
    cr_assert(handshake_greeting_read(peer_packet(client, 0), &greeting, &err), "%s", err.message);
    cr_assert_str_eq(greeting.version, "11.8.0-test");
    cr_assert_eq(greeting.connection_id, 77);
}

void peer_login_with(struct peer *client, const char *user, const char *schema, const char *plugin,
                     uint8_t sequence)
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
    cr_assert(handshake_login_read(peer_packet(database, 2), STAGE_CAPABILITIES, login, &err), "%s",
              err.message);
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
    const uint8_t answer[12] = {0, (uint8_t)id, (uint8_t)(id >> 8), 0, 0,
                                0, 0,           (uint8_t)parameters};
    static const uint8_t definition[] = {3, 'd', 'e', 'f', 0, 0,   0, 1, '?', 0, 12, 63,
                                         0, 0,   0,   0,   0, 253, 0, 0, 0,   0, 0};
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

void stage_to_login(struct stage *stage, const char *limits, struct peer **client,
                    struct peer **database)
{
    const struct stage_options options = {.limits = limits};
    stage_open(stage, &options);
    *client = stage_client(stage, "ci-1");
    *database = stage_database(stage);
    peer_greet(*database);
    peer_read_greeting(*client);
}

void stage_to_answer(struct stage *stage, const char *limits, struct peer **client,
                     struct peer **database)
{
    struct handshake_login login;
    stage_to_login(stage, limits, client, database);
    peer_login(*client, "reader", "");
    peer_take_login(*database, &login);
}

void peer_expect_retirement(struct peer *database)
{
    struct handshake_login login;
    struct error err = {0};
    cr_assert(handshake_login_read(peer_packet(database, 1), STAGE_CAPABILITIES, &login, &err),
              "%s", err.message);
    cr_assert_not(login.is_ssl_request);
    cr_assert_str_eq(login.user, "sallyport_retired");
    peer_err(database, 2, 1045, "Access denied");
    peer_gone(database);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/handshake.h"

#include <string.h>
#include <strings.h>

#include "protocol/collation.h"

#define PROTOCOL_VERSION 10

/* In the greeting of our own: recent enough for every client. */
#define OWN_VERSION "8.0.0-sallyport"

/* The scramble comes in two parts, the first of this length (from before 4.1). */
#define SCRAMBLE_FIRST 8
/* The greeting's reserved bytes; in MariaDB's the last 4 hold extended capabilities. */
#define GREETING_FILLER   6
#define GREETING_EXTENDED 4
/* The second part of the scramble has its NUL, and this many bytes at least (MySQL's manual,
 * "Protocol::HandshakeV10"). */
#define SCRAMBLE_SECOND_FIELD 13

bool handshake_name(struct byte_view name, const char *what, char *out, size_t size,
                    struct error *err)
{
    if (name.length >= size)
        return error_set(err, ERROR_LIMIT, "%s of %zu bytes, where %zu are allowed", what,
                         name.length, size - 1);
    if (name.length > 0 && memchr(name.data, 0, name.length))
        return error_set(err, ERROR_MALFORMED, "%s that holds a NUL", what);
    if (name.length > 0)
        memcpy(out, name.data, name.length);
    out[name.length] = 0;
    return true;
}

bool handshake_plugin_name(struct byte_view name, char out[HANDSHAKE_PLUGIN_MAX], struct error *err)
{
    for (size_t i = 0; i < name.length; i++) {
        if (name.data[i] <= ' ' || name.data[i] > '~')
            return error_set(err, ERROR_MALFORMED,
                             "an authentication plugin's name that is not printable ASCII");
    }
    return handshake_name(name, "an authentication plugin's name", out, HANDSHAKE_PLUGIN_MAX, err);
}

/* The fixed part up to the scramble's second half. *scramble_length is what the server says. */
static bool greeting_fixed_read(struct byte_reader *reader, struct byte_view *version,
                                uint8_t *scramble_length, struct handshake_greeting *greeting)
{
    struct byte_view first;
    uint16_t low, high;
    if (!byte_reader_cstring(reader, version) ||
        !byte_reader_u32le(reader, &greeting->connection_id) ||
        !byte_reader_view(reader, SCRAMBLE_FIRST, &first) || !byte_reader_skip(reader, 1) ||
        !byte_reader_u16le(reader, &low) || !byte_reader_u8(reader, &greeting->collation) ||
        !byte_reader_u16le(reader, &greeting->status) || !byte_reader_u16le(reader, &high) ||
        !byte_reader_u8(reader, scramble_length) || !byte_reader_skip(reader, GREETING_FILLER) ||
        !byte_reader_u32le(reader, &greeting->mariadb_capabilities))
        return false;
    greeting->capabilities = low | (uint32_t)high << 16;
    if (greeting->capabilities & CAPABILITY_LONG_PASSWORD)
        greeting->mariadb_capabilities = 0;
    memcpy(greeting->scramble, first.data, SCRAMBLE_FIRST);
    return true;
}

/*
 * The scramble's second half, then the plugin's name. Some servers leave out the NUL behind either
 * (MySQL bug 59453 for the name).
 */
static bool greeting_tail_read(struct byte_reader *reader, uint8_t scramble_length,
                               struct byte_view *plugin, struct handshake_greeting *greeting)
{
    const size_t second_size = HANDSHAKE_SCRAMBLE_SIZE - SCRAMBLE_FIRST;
    size_t field = SCRAMBLE_SECOND_FIELD;
    if (scramble_length > SCRAMBLE_FIRST + SCRAMBLE_SECOND_FIELD)
        field = (size_t)scramble_length - SCRAMBLE_FIRST;
    struct byte_view second;
    if (!byte_reader_view(reader, second_size, &second))
        return false;
    memcpy(greeting->scramble + SCRAMBLE_FIRST, second.data, second_size);
    if (!byte_reader_skip(reader, field - second_size))
        return byte_reader_left(reader) == 0;
    if ((greeting->capabilities & CAPABILITY_PLUGIN_AUTH) && !byte_reader_cstring(reader, plugin))
        *plugin = byte_reader_rest(reader);
    return true;
}

static enum handshake_vendor greeting_vendor(const struct handshake_greeting *greeting)
{
    bool named = strcasestr(greeting->version, "mariadb") != NULL;
    bool extended = !(greeting->capabilities & CAPABILITY_LONG_PASSWORD);
    return named || extended ? HANDSHAKE_MARIADB : HANDSHAKE_MYSQL;
}

static bool greeting_refusal(struct byte_view payload, struct error *err)
{
    struct packet_err refusal;
    if (!packet_err_read(payload, &refusal, err))
        return false;
    int length = refusal.message.length > PACKET_ERR_MESSAGE_MAX ? PACKET_ERR_MESSAGE_MAX
                                                                 : (int)refusal.message.length;
    return error_set(err, ERROR_CLOSED, "the server refuses connections: error %u: %.*s",
                     refusal.code, length, (const char *)refusal.message.data);
}

bool handshake_greeting_read(struct byte_view payload, struct handshake_greeting *out,
                             struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    struct handshake_greeting greeting = {0};
    struct byte_view version, plugin = {0};
    uint8_t protocol, scramble_length;
    if (!byte_reader_u8(&reader, &protocol))
        return error_set(err, ERROR_MALFORMED, "an empty greeting");
    if (protocol == PACKET_ERR)
        return greeting_refusal(payload, err);
    if (protocol != PROTOCOL_VERSION)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the server speaks protocol version %u: it is no MySQL or MariaDB, or one "
                         "older than 3.21",
                         protocol);
    if (!greeting_fixed_read(&reader, &version, &scramble_length, &greeting))
        return error_set(err, ERROR_MALFORMED, "malformed greeting");
    if (!(greeting.capabilities & CAPABILITY_PROTOCOL_41) ||
        !(greeting.capabilities & CAPABILITY_SECURE_CONNECTION))
        return error_set(err, ERROR_UNSUPPORTED, "the server is older than MySQL 4.1");
    if (!greeting_tail_read(&reader, scramble_length, &plugin, &greeting))
        return error_set(err, ERROR_MALFORMED, "malformed greeting: a short scramble");
    if (!handshake_name(version, "a server version", greeting.version, sizeof greeting.version,
                        err) ||
        !handshake_plugin_name(plugin, greeting.plugin, err))
        return false;
    greeting.vendor = greeting_vendor(&greeting);
    *out = greeting;
    return true;
}

static const char *plugin_for_client(const struct handshake_greeting *upstream)
{
    static const char native[] = "mysql_native_password", sha2[] = "caching_sha2_password";
    if (strcmp(upstream->plugin, native) == 0)
        return native;
    if (strcmp(upstream->plugin, sha2) == 0)
        return sha2;
    return upstream->vendor == HANDSHAKE_MARIADB ? native : sha2;
}

void handshake_greeting_for_client(const struct handshake_greeting *upstream, bool starttls,
                                   const uint8_t scramble[HANDSHAKE_SCRAMBLE_SIZE],
                                   struct handshake_greeting *out)
{
    struct handshake_greeting greeting = *upstream;
    const char *plugin = plugin_for_client(upstream);
    greeting.capabilities = capability_offer(upstream->capabilities, starttls);
    greeting.mariadb_capabilities &= CAPABILITY_MARIADB_END_TO_END;
    memcpy(greeting.scramble, scramble, HANDSHAKE_SCRAMBLE_SIZE);
    memset(greeting.plugin, 0, sizeof greeting.plugin);
    memcpy(greeting.plugin, plugin, strlen(plugin));
    *out = greeting;
}

void handshake_greeting_own(const uint8_t scramble[HANDSHAKE_SCRAMBLE_SIZE],
                            struct handshake_greeting *out)
{
    *out = (struct handshake_greeting){
        .version = OWN_VERSION,
        .vendor = HANDSHAKE_MYSQL,
        .capabilities = capability_offer(CAPABILITY_END_TO_END & ~CAPABILITY_LOCAL_FILES, false),
        .collation = COLLATION_UTF8MB4,
        .status = STATUS_AUTOCOMMIT,
        .plugin = "caching_sha2_password",
    };
    memcpy(out->scramble, scramble, HANDSHAKE_SCRAMBLE_SIZE);
}

bool handshake_greeting_append(struct buffer *out, const struct handshake_greeting *greeting,
                               struct error *err)
{
    bool has_plugin = greeting->capabilities & CAPABILITY_PLUGIN_AUTH;
    bool extended = !(greeting->capabilities & CAPABILITY_LONG_PASSWORD);
    struct packet_writer packet = packet_begin(out, 0);
    struct byte_writer *payload = &packet.payload;
    byte_writer_u8(payload, PROTOCOL_VERSION);
    byte_writer_cstring(payload, greeting->version);
    byte_writer_u32le(payload, greeting->connection_id);
    byte_writer_bytes(payload, greeting->scramble, SCRAMBLE_FIRST);
    byte_writer_u8(payload, 0);
    byte_writer_u16le(payload, (uint16_t)greeting->capabilities);
    byte_writer_u8(payload, greeting->collation);
    byte_writer_u16le(payload, greeting->status);
    byte_writer_u16le(payload, (uint16_t)(greeting->capabilities >> 16));
    byte_writer_u8(payload, has_plugin ? HANDSHAKE_SCRAMBLE_SIZE + 1 : 0);
    byte_writer_zeros(payload, GREETING_FILLER);
    byte_writer_u32le(payload, extended ? greeting->mariadb_capabilities : 0);
    byte_writer_bytes(payload, greeting->scramble + SCRAMBLE_FIRST,
                      HANDSHAKE_SCRAMBLE_SIZE - SCRAMBLE_FIRST);
    byte_writer_u8(payload, 0);
    if (has_plugin)
        byte_writer_cstring(payload, greeting->plugin);
    return packet_end(&packet, err);
}

bool handshake_auth_switch_read(struct byte_view payload, char plugin[HANDSHAKE_PLUGIN_MAX],
                                struct byte_view *data, struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    struct byte_view name;
    uint8_t first;
    if (!byte_reader_u8(&reader, &first) || first != PACKET_AUTH_SWITCH)
        return error_set(err, ERROR_MALFORMED, "malformed AuthSwitchRequest");
    if (byte_reader_left(&reader) == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the database account uses the plugin mysql_old_password, which is not "
                         "supported: give it a plugin of this century");
    if (!byte_reader_cstring(&reader, &name))
        return error_set(err, ERROR_MALFORMED, "malformed AuthSwitchRequest");
    if (!handshake_plugin_name(name, plugin, err))
        return false;
    *data = byte_reader_rest(&reader);
    return true;
}

bool handshake_auth_switch_payload(struct buffer *out, const char *plugin,
                                   const uint8_t scramble[HANDSHAKE_SCRAMBLE_SIZE],
                                   struct error *err)
{
    struct byte_writer payload = byte_writer(out);
    byte_writer_u8(&payload, PACKET_AUTH_SWITCH);
    byte_writer_cstring(&payload, plugin);
    byte_writer_bytes(&payload, scramble, HANDSHAKE_SCRAMBLE_SIZE);
    byte_writer_u8(&payload, 0);
    return byte_writer_finish(&payload, err);
}

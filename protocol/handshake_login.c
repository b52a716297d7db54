/* SPDX-License-Identifier: Apache-2.0 */
/* What a client says: login, SSLRequest, COM_CHANGE_USER. */
#include <string.h>

#include "base/utf8.h"
#include "protocol/command.h"
#include "protocol/handshake.h"

/* The fixed part of a login; an SSLRequest is this and nothing more. */
#define LOGIN_FIXED_SIZE 32
/* Reserved bytes of it; behind them stand MariaDB's 4 bytes of extended flags, which are reserved
 * too, and zero, from MySQL clients. */
#define LOGIN_FILLER 19

/* Flags that change where the fields of a login lie. */
#define CAPABILITY_LAYOUT                                                                 \
    (CAPABILITY_CONNECT_WITH_DB | CAPABILITY_SECURE_CONNECTION | CAPABILITY_PLUGIN_AUTH | \
     CAPABILITY_CONNECT_ATTRS | CAPABILITY_PLUGIN_AUTH_LENENC)

/* Collations of utf8mb3 and utf8mb4 (INFORMATION_SCHEMA.COLLATIONS of MySQL 9.7 and MariaDB 10.11).
 */
static const struct {
    uint16_t first, last;
} utf8_collations[] = {
    {33, 33},     {45, 46},     {76, 76},     {83, 83},     {192, 215},
    {223, 247},   {255, 323},   {576, 578},   {608, 610},   {1057, 1057},
    {1069, 1070}, {1107, 1107}, {1216, 1216}, {1238, 1238}, {1248, 1248},
    {1270, 1270}, {2048, 2215}, {2232, 2247}, {2304, 2471}, {2488, 2503},
};

static bool collation_is_utf8(uint16_t id)
{
    for (size_t i = 0; i < sizeof utf8_collations / sizeof utf8_collations[0]; i++) {
        if (id >= utf8_collations[i].first && id <= utf8_collations[i].last)
            return true;
    }
    return false;
}

/*
 * Character sets in which bytes below 0x80 stand for other characters than in ASCII, so that the
 * server would read other names than we judge: swe7, and filename (where "@0041" is an A).
 */
static bool collation_is_foreign(uint16_t id)
{
    static const uint16_t foreign[] = {10, 17, 82, 1034, 1106};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        if (id == foreign[i])
            return true;
    }
    return false;
}

static bool name_read(struct byte_view name, const char *what, uint16_t collation, char *out,
                      size_t size, struct error *err)
{
    bool ascii = true;
    for (size_t i = 0; i < name.length; i++)
        ascii = ascii && name.data[i] < 0x80;
    if (name.length > 0 && collation_is_foreign(collation))
        return error_set(err, ERROR_UNSUPPORTED,
                         "the connection character set of collation %u is not supported: connect "
                         "with utf8mb4",
                         collation);
    if (!ascii && !collation_is_utf8(collation))
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s with characters outside ASCII needs the connection character set "
                         "utf8mb4 (the client's has collation %u)",
                         what, collation);
    if (!utf8_valid(name.data, name.length))
        return error_set(err, ERROR_MALFORMED, "%s that is not valid UTF-8", what);
    return handshake_name(name, what, out, size, err);
}

/* Takes the quotes around a user's name away, as servers do at login. */
static bool user_unquote(struct byte_view *user, struct error *err)
{
    for (int pairs = 0;
         user->length > 1 && user->data[0] == '\'' && user->data[user->length - 1] == '\'';
         pairs++) {
        if (pairs > 0)
            return error_set(err, ERROR_UNSUPPORTED, "a user name in more than one pair of quotes");
        *user = byte_view(user->data + 1, user->length - 2);
    }
    return true;
}

static bool connect_attributes_check(struct byte_view attributes)
{
    struct byte_reader reader = byte_reader(attributes.data, attributes.length);
    while (byte_reader_left(&reader) > 0) {
        struct byte_view key, value;
        if (!byte_reader_lenenc_view(&reader, &key) || !byte_reader_lenenc_view(&reader, &value))
            return false;
    }
    return true;
}

static bool malformed(const char *packet, const char *where, struct error *err)
{
    return error_set(err, ERROR_MALFORMED, "malformed %s: %s", packet, where);
}

/* The plugin's name, at the end of some clients' packets without its NUL or not at all. */
static bool plugin_read(struct byte_reader *reader, struct handshake_login *login,
                        struct error *err)
{
    struct byte_view plugin;
    if (!(login->capabilities & CAPABILITY_PLUGIN_AUTH))
        return true;
    if (!byte_reader_cstring(reader, &plugin))
        plugin = byte_reader_rest(reader);
    return handshake_plugin_name(plugin, login->plugin, err);
}

static bool connect_attributes_read(struct byte_reader *reader, struct handshake_login *login)
{
    if (!(login->capabilities & CAPABILITY_CONNECT_ATTRS) || byte_reader_left(reader) == 0)
        return true;
    return byte_reader_lenenc_view(reader, &login->attributes) &&
           connect_attributes_check(login->attributes);
}

/* The answer to the scramble, in the three forms that it has had. */
static bool response_read(struct byte_reader *reader, struct handshake_login *login)
{
    uint8_t length;
    if (login->capabilities & CAPABILITY_PLUGIN_AUTH_LENENC)
        return byte_reader_lenenc_view(reader, &login->auth_response);
    if (login->capabilities & CAPABILITY_SECURE_CONNECTION)
        return byte_reader_u8(reader, &length) &&
               byte_reader_view(reader, length, &login->auth_response);
    return byte_reader_cstring(reader, &login->auth_response);
}

/* The level stands at the very end, whether or not the server takes zstd (MySQL source
 * documentation, "Protocol::HandshakeResponse41", zstd_compression_level). */
static bool login_end_check(struct byte_reader *reader, uint32_t client,
                            struct handshake_login *login, struct error *err)
{
    if ((client & CAPABILITY_ZSTD) && !byte_reader_u8(reader, &login->zstd_level))
        login->zstd_level = 0;
    struct byte_view rest = byte_reader_rest(reader);
    for (size_t i = 0; i < rest.length; i++) {
        if (rest.data[i] != 0)
            return malformed("login", "bytes behind its end", err);
    }
    return true;
}

/* Everything behind the fixed part; `client` are the flags as the client set them. */
static bool login_fields_read(struct byte_reader *reader, uint32_t client,
                              struct handshake_login *login, struct error *err)
{
    struct byte_view user, schema = {0};
    if (!byte_reader_cstring(reader, &user))
        return malformed("login", "no user name", err);
    if (!response_read(reader, login))
        return malformed("login", "the authentication response", err);
    if ((login->capabilities & CAPABILITY_CONNECT_WITH_DB) && !byte_reader_cstring(reader, &schema))
        return malformed("login", "the schema", err);
    if (!user_unquote(&user, err) ||
        !name_read(user, "a user name", login->collation, login->user, sizeof login->user, err) ||
        !name_read(schema, "a schema name", login->collation, login->schema, sizeof login->schema,
                   err) ||
        !plugin_read(reader, login, err))
        return false;
    if (!connect_attributes_read(reader, login))
        return malformed("login", "the connection attributes", err);
    return login_end_check(reader, client, login, err);
}

/* Reads the fixed part. *client are the flags as the client set them. */
static bool login_fixed_read(struct byte_reader *reader, uint32_t *client,
                             struct handshake_login *login)
{
    uint8_t collation;
    if (!byte_reader_u32le(reader, client) || !byte_reader_u32le(reader, &login->max_packet) ||
        !byte_reader_u8(reader, &collation) || !byte_reader_skip(reader, LOGIN_FILLER) ||
        !byte_reader_u32le(reader, &login->mariadb_capabilities))
        return false;
    if (*client & CAPABILITY_LONG_PASSWORD)
        login->mariadb_capabilities = 0; /* a MySQL client: filler */
    login->collation = collation;
    return true;
}

bool handshake_login_read(struct byte_view payload, uint32_t offered, struct handshake_login *out,
                          struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    struct handshake_login login = {0};
    uint32_t client;
    if (!login_fixed_read(&reader, &client, &login))
        return malformed("login", "too short", err);
    if (!(client & CAPABILITY_PROTOCOL_41))
        return error_set(err, ERROR_UNSUPPORTED, "the client speaks the protocol of before 4.1");
    if (client & ~offered & CAPABILITY_LAYOUT)
        return malformed("login", "it uses capabilities that were not offered", err);
    login.capabilities = client & offered;
    login.is_ssl_request = payload.length == LOGIN_FIXED_SIZE && (client & CAPABILITY_SSL);
    if (login.is_ssl_request && !(offered & CAPABILITY_SSL))
        return error_set(err, ERROR_UNSUPPORTED, "the client asks for TLS, which was not offered");
    if (!login.is_ssl_request && !login_fields_read(&reader, client, &login, err))
        return false;
    *out = login;
    return true;
}

static void login_fixed_append(struct byte_writer *payload, const struct handshake_login *login,
                               uint32_t capabilities)
{
    bool extended = !(capabilities & CAPABILITY_LONG_PASSWORD);
    byte_writer_u32le(payload, capabilities);
    byte_writer_u32le(payload, login->max_packet);
    byte_writer_u8(payload, (uint8_t)login->collation);
    byte_writer_zeros(payload, LOGIN_FILLER);
    byte_writer_u32le(payload, extended ? login->mariadb_capabilities : 0);
}

bool handshake_ssl_request_append(struct buffer *out, uint8_t sequence,
                                  const struct handshake_login *login, struct error *err)
{
    struct packet_writer packet = packet_begin(out, sequence);
    login_fixed_append(&packet.payload, login, login->capabilities | CAPABILITY_SSL);
    return packet_end(&packet, err);
}

/* Whether the response fits the field that these capabilities give it. */
static bool response_fits(uint32_t capabilities, struct byte_view response, struct error *err)
{
    if (capabilities & CAPABILITY_PLUGIN_AUTH_LENENC)
        return true;
    if (capabilities & CAPABILITY_SECURE_CONNECTION) {
        if (response.length <= UINT8_MAX)
            return true;
    } else if (response.length == 0 || !memchr(response.data, 0, response.length)) {
        return true;
    }
    return error_set(err, ERROR_LIMIT,
                     "an authentication response of %zu bytes does not fit the server's protocol",
                     response.length);
}

static void response_append(struct byte_writer *payload, uint32_t capabilities,
                            struct byte_view response)
{
    if (capabilities & CAPABILITY_PLUGIN_AUTH_LENENC) {
        byte_writer_lenenc_bytes(payload, response.data, response.length);
        return;
    }
    if (capabilities & CAPABILITY_SECURE_CONNECTION)
        byte_writer_u8(payload, (uint8_t)response.length);
    byte_writer_bytes(payload, response.data, response.length);
    if (!(capabilities & CAPABILITY_SECURE_CONNECTION))
        byte_writer_u8(payload, 0);
}

static void plugin_and_attributes_append(struct byte_writer *payload, uint32_t capabilities,
                                         const struct handshake_login *login)
{
    if (capabilities & CAPABILITY_PLUGIN_AUTH)
        byte_writer_cstring(payload, login->plugin);
    if (capabilities & CAPABILITY_CONNECT_ATTRS)
        byte_writer_lenenc_bytes(payload, login->attributes.data, login->attributes.length);
}

/* Room for everything at once: a buffer that grows while it holds a password leaves copies of it in
 * freed memory. */
static bool login_reserve(struct buffer *out, const struct handshake_login *login,
                          struct error *err)
{
    uint8_t *room;
    size_t lengths = 2 * 9; /* of the response and the attributes, at their longest */
    size_t most = PACKET_HEADER_SIZE + LOGIN_FIXED_SIZE + lengths + sizeof login->user +
                  sizeof login->schema + sizeof login->plugin + sizeof login->zstd_level +
                  login->auth_response.length + login->attributes.length;
    return buffer_reserve(out, most, &room, err);
}

bool handshake_login_append(struct buffer *out, uint8_t sequence,
                            const struct handshake_login *login, struct error *err)
{
    uint32_t capabilities = login->capabilities;
    if (!response_fits(capabilities, login->auth_response, err))
        return false;
    if (!login_reserve(out, login, err))
        return false;
    struct packet_writer packet = packet_begin(out, sequence);
    struct byte_writer *payload = &packet.payload;
    login_fixed_append(payload, login, capabilities);
    byte_writer_cstring(payload, login->user);
    response_append(payload, capabilities, login->auth_response);
    if (capabilities & CAPABILITY_CONNECT_WITH_DB)
        byte_writer_cstring(payload, login->schema);
    plugin_and_attributes_append(payload, capabilities, login);
    if (capabilities & CAPABILITY_ZSTD)
        byte_writer_u8(payload, login->zstd_level);
    return packet_end(&packet, err);
}

bool handshake_change_user_read(struct byte_view payload, uint32_t capabilities,
                                struct handshake_login *out, struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    /* Its response has one byte of length, whatever was negotiated for the login's. */
    struct handshake_login login = {.is_change_user = true,
                                    .capabilities = capabilities & ~CAPABILITY_PLUGIN_AUTH_LENENC};
    struct byte_view user, schema;
    uint8_t command;
    if (!byte_reader_u8(&reader, &command) || command != COMMAND_CHANGE_USER ||
        !byte_reader_cstring(&reader, &user) || !response_read(&reader, &login) ||
        !byte_reader_cstring(&reader, &schema))
        return malformed("COM_CHANGE_USER", "too short", err);
    if (byte_reader_left(&reader) > 0 && !byte_reader_u16le(&reader, &login.collation))
        return malformed("COM_CHANGE_USER", "the collation", err);
    if (!name_read(user, "a user name", login.collation, login.user, sizeof login.user, err) ||
        !name_read(schema, "a schema name", login.collation, login.schema, sizeof login.schema,
                   err) ||
        !plugin_read(&reader, &login, err))
        return false;
    if (!connect_attributes_read(&reader, &login) || byte_reader_left(&reader) > 0)
        return malformed("COM_CHANGE_USER", "the connection attributes", err);
    login.capabilities = capabilities;
    *out = login;
    return true;
}

bool handshake_change_user_append(struct buffer *out, uint32_t capabilities,
                                  const struct handshake_login *login, struct error *err)
{
    uint32_t layout = capabilities & ~CAPABILITY_PLUGIN_AUTH_LENENC;
    if (!response_fits(layout, login->auth_response, err))
        return false;
    if (!login_reserve(out, login, err))
        return false;
    struct packet_writer packet = packet_begin(out, 0);
    struct byte_writer *payload = &packet.payload;
    byte_writer_u8(payload, COMMAND_CHANGE_USER);
    byte_writer_cstring(payload, login->user);
    response_append(payload, layout, login->auth_response);
    byte_writer_cstring(payload, login->schema);
    byte_writer_u16le(payload, login->collation);
    plugin_and_attributes_append(payload, capabilities, login);
    return packet_end(&packet, err);
}

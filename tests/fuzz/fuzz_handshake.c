/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection phase on hostile bytes. The first byte chooses the reader; what was read is
 * written and read again, and must be the same: a name that the upstream would read otherwise than
 * we judged it would show here.
 */
#include <stdlib.h>
#include <string.h>

#include "protocol/auth.h"
#include "protocol/handshake.h"

#define CHECK(condition)  \
    do {                  \
        if (!(condition)) \
            abort();      \
    } while (0)

#define OFFERED (CAPABILITY_END_TO_END | CAPABILITY_LEG_LOCAL)

/* Payloads of up to this many bytes fit with everything that is written around them. */
#define ROOM (8u * PACKET_LOGIN_MAX)

static struct byte_view payload_in(const struct buffer *buffer, uint8_t sequence)
{
    struct byte_view payload;
    size_t consumed;
    bool found;
    struct byte_view held = byte_view(buffer_bytes(buffer), buffer_length(buffer));
    CHECK(packet_take(held, ROOM, sequence, &found, &payload, &consumed, NULL));
    CHECK(found && consumed == held.length);
    return payload;
}

static void fuzz_greeting(struct byte_view input, struct buffer *out)
{
    struct handshake_greeting first, again;
    if (!handshake_greeting_read(input, &first, NULL))
        return;
    CHECK(handshake_greeting_append(out, &first, NULL));
    CHECK(handshake_greeting_read(payload_in(out, 0), &again, NULL));
    CHECK(strcmp(first.version, again.version) == 0 && strcmp(first.plugin, again.plugin) == 0);
    CHECK(first.capabilities == again.capabilities && first.vendor == again.vendor);
    CHECK(first.mariadb_capabilities == again.mariadb_capabilities);
    CHECK(memcmp(first.scramble, again.scramble, sizeof first.scramble) == 0);
    buffer_clear(out);
    handshake_greeting_for_client(&first, true, first.scramble, &again);
    CHECK(handshake_greeting_append(out, &again, NULL));
    CHECK(handshake_greeting_read(payload_in(out, 0), &first, NULL));
    CHECK((first.capabilities & ~(uint32_t)OFFERED) == 0);
    CHECK((first.mariadb_capabilities & ~CAPABILITY_MARIADB_END_TO_END) == 0);
}

static void check_same_login(const struct handshake_login *first,
                             const struct handshake_login *again)
{
    CHECK(first->capabilities == again->capabilities && first->collation == again->collation);
    CHECK(first->mariadb_capabilities == again->mariadb_capabilities);
    CHECK(strcmp(first->user, again->user) == 0 && strcmp(first->schema, again->schema) == 0);
    CHECK(strcmp(first->plugin, again->plugin) == 0);
    CHECK(first->auth_response.length == again->auth_response.length);
    CHECK(first->attributes.length == again->attributes.length);
}

static void serve(const struct handshake_login *login, struct byte_view answer)
{
    static const uint8_t scramble[HANDSHAKE_SCRAMBLE_SIZE] = "abcdefghijklmnopqrst";
    struct auth_server auth;
    struct buffer out;
    enum auth_step step;
    uint8_t storage[256];
    buffer_init_fixed(&out, storage, sizeof storage);
    CHECK(auth_server_begin(&auth, "caching_sha2_password", scramble, login, &out, &step, NULL));
    bool taken = auth_server_feed(&auth, answer, &out, &step, NULL);
    CHECK(!taken || step == AUTH_ACCEPTED);
    CHECK(!auth_server_feed(&auth, answer, &out, &step, NULL));
}

static void fuzz_login(struct byte_view input, uint32_t offered, struct buffer *out)
{
    struct handshake_login first, again;
    if (!handshake_login_read(input, offered, &first, NULL))
        return;
    CHECK((first.capabilities & ~offered) == 0);
    if (first.is_ssl_request) {
        CHECK(input.length == 32 && (offered & CAPABILITY_SSL));
        return;
    }
    CHECK(handshake_login_append(out, 1, &first, NULL));
    CHECK(handshake_login_read(payload_in(out, 1), offered, &again, NULL));
    check_same_login(&first, &again);
    serve(&first, input);
}

static void fuzz_change_user(struct byte_view input, uint32_t capabilities, struct buffer *out)
{
    struct handshake_login first, again;
    if (!handshake_change_user_read(input, capabilities, &first, NULL))
        return;
    CHECK(handshake_change_user_append(out, capabilities, &first, NULL));
    CHECK(handshake_change_user_read(payload_in(out, 0), capabilities, &again, NULL));
    check_same_login(&first, &again);
    serve(&first, input);
}

static void fuzz_small_packets(struct byte_view input, struct buffer *out)
{
    struct packet_ok ok;
    struct packet_err refusal;
    char plugin[HANDSHAKE_PLUGIN_MAX];
    struct byte_view data;
    if (packet_ok_read(input, CAPABILITY_SESSION_TRACK | CAPABILITY_DEPRECATE_EOF, &ok, NULL))
        CHECK(ok.schema.length <= input.length);
    if (packet_err_read(input, &refusal, NULL))
        CHECK(refusal.message.length + 3 <= input.length && refusal.sqlstate[5] == 0);
    if (handshake_auth_switch_read(input, plugin, &data, NULL)) {
        CHECK(data.length + strlen(plugin) + 2 == input.length);
        CHECK(packet_append(out, 0, data.data, data.length, NULL));
    }
}

/* Primitives that cost nothing: the exchange is what is tried here. */
static bool cheap_digest(const void *data, size_t length, uint8_t *digest)
{
    memset(digest, length && *(const uint8_t *)data ? 1 : 2, 20);
    return true;
}

static bool cheap_pbkdf2(const char *password, const uint8_t *salt, size_t salt_length,
                         unsigned iterations, uint8_t *key, size_t key_length)
{
    CHECK(iterations >= 1024 && iterations <= 8192 && salt_length == 18);
    memset(key, password[0] ^ salt[0], key_length);
    return true;
}

static bool cheap_sign(const uint8_t seed[32], const void *message, size_t length,
                       uint8_t signature[64])
{
    memset(signature, seed[31] ^ ((const uint8_t *)message)[length - 1], 64);
    return true;
}

static bool cheap_password_sign(const char *password, const void *message, size_t length,
                                uint8_t signature[64])
{
    memset(signature, password[0] ^ ((const uint8_t *)message)[length - 1], 64);
    return true;
}

static void cheap_random(void *bytes, size_t length)
{
    memset(bytes, 7, length);
}

static void cheap_wipe(void *bytes, size_t length)
{
    memset(bytes, 0, length);
}

static const struct auth_crypto cheap_crypto = {
    .sha1 = cheap_digest,
    .sha256 = cheap_digest,
    .pbkdf2_sha512 = cheap_pbkdf2,
    .ed25519_sign = cheap_sign,
    .ed25519_password_sign = cheap_password_sign,
    .random = cheap_random,
    .wipe = cheap_wipe,
};

static bool holds(const struct buffer *buffer, const char *text)
{
    return memmem(buffer_bytes(buffer), buffer_length(buffer), text, strlen(text)) != NULL;
}

/* The input is a server's packets, each behind its length; the password never leaves in clear. */
static void fuzz_client(struct byte_view input, struct buffer *out)
{
    static const uint8_t scramble[HANDSHAKE_SCRAMBLE_SIZE] = "abcdefghijklmnopqrst";
    static const char password[] = "open sesame";
    struct byte_reader reader = byte_reader(input.data, input.length);
    struct auth_client auth;
    struct byte_view payload;
    enum auth_step step;
    unsigned rounds = 0;
    uint8_t length;
    CHECK(auth_client_begin(&auth, &cheap_crypto, "caching_sha2_password", scramble,
                            sizeof scramble, password, false, out, NULL));
    while (byte_reader_u8(&reader, &length) && byte_reader_view(&reader, length, &payload)) {
        if (!auth_client_feed(&auth, payload, out, &step, NULL))
            break;
        CHECK(++rounds <= AUTH_ROUNDS_MAX && !holds(out, password));
        CHECK(step == AUTH_SEND || buffer_length(out) == 0);
    }
    auth_client_wipe(&auth);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer out;
    if (size < 1 || size > PACKET_LOGIN_MAX)
        return 0;
    struct byte_view input = byte_view(data + 1, size - 1);
    uint32_t offered = data[0] & 8 ? OFFERED : OFFERED & ~(uint32_t)CAPABILITY_SSL;
    if (data[0] & 16)
        offered &= ~(uint32_t)(CAPABILITY_PLUGIN_AUTH | CAPABILITY_CONNECT_ATTRS);
    buffer_init(&out, ROOM);
    switch (data[0] % 8) {
    case 0:
        fuzz_greeting(input, &out);
        break;
    case 1:
    case 2:
        fuzz_login(input, offered, &out);
        break;
    case 3:
        fuzz_change_user(input, offered, &out);
        break;
    case 4:
        fuzz_small_packets(input, &out);
        break;
    default:
        fuzz_client(input, &out);
        break;
    }
    buffer_release(&out);
    return 0;
}

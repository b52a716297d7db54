/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/auth.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "tls/auth_crypto.h"

#define NATIVE "mysql_native_password"
#define SHA2   "caching_sha2_password"

/* Bytes written as hexadecimal digits. */
struct bytes {
    uint8_t data[512];
    size_t length;
};

static struct bytes bytes_of(const char *hex)
{
    struct bytes bytes = {.length = strlen(hex) / 2};
    cr_assert_leq(bytes.length, sizeof bytes.data);
    for (size_t i = 0; i < bytes.length; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes.data[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return bytes;
}

static void expect_hex(const void *data, size_t length, const char *hex)
{
    struct bytes bytes = bytes_of(hex);
    cr_assert_eq(length, bytes.length, "%zu bytes, not %zu", length, bytes.length);
    cr_assert_arr_eq((const uint8_t *)data, bytes.data, length);
}

/* --- the primitives --- */

Test(auth_crypto, digests_are_the_published_ones)
{
    uint8_t digest[32];
    cr_assert(auth_crypto()->sha1("abc", 3, digest)); /* FIPS 180-4, example 1 */
    expect_hex(digest, 20, "a9993e364706816aba3e25717850c26c9cd0d89d");
    cr_assert(auth_crypto()->sha256("abc", 3, digest));
    expect_hex(digest, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* RFC 6070's inputs with SHA-512. */
Test(auth_crypto, pbkdf2_is_the_published_one)
{
    uint8_t key[32];
    cr_assert(auth_crypto()->pbkdf2_sha512("password", (const uint8_t *)"salt", 4, 1, key, 32));
    expect_hex(key, 32, "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252");
    cr_assert(auth_crypto()->pbkdf2_sha512("password", (const uint8_t *)"salt", 4, 4096, key, 32));
    expect_hex(key, 32, "d197b1b33db0143e018b12f3d1d1479e6cdebdcc97c5c0f87f6902e072f457b5");
}

/* RFC 8032, section 7.1, tests 1 and 2. Both seeds hold no NUL, so that they are passwords too. */
static const struct {
    const char *seed, *message, *signature;
} rfc8032[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
     "d8c387b2eaeb4302aeeb00d291612bb0c00"},
};

Test(auth_crypto, ed25519_signs_as_rfc_8032)
{
    for (size_t i = 0; i < sizeof rfc8032 / sizeof rfc8032[0]; i++) {
        struct bytes seed = bytes_of(rfc8032[i].seed), message = bytes_of(rfc8032[i].message);
        uint8_t signature[64];
        cr_assert(auth_crypto()->ed25519_sign(seed.data, message.data, message.length, signature));
        expect_hex(signature, 64, rfc8032[i].signature);
    }
}

/* With a password of 32 bytes MariaDB's variant is plain Ed25519. */
Test(auth_crypto, ed25519_with_a_password_agrees_with_rfc_8032)
{
    for (size_t i = 0; i < sizeof rfc8032 / sizeof rfc8032[0]; i++) {
        struct bytes seed = bytes_of(rfc8032[i].seed), message = bytes_of(rfc8032[i].message);
        uint8_t signature[64];
        seed.data[32] = 0;
        cr_assert(auth_crypto()->ed25519_password_sign((const char *)seed.data, message.data,
                                                       message.length, signature));
        expect_hex(signature, 64, rfc8032[i].signature);
    }
}

Test(auth_crypto, random_differs_and_wipe_clears)
{
    uint8_t first[32] = {0}, second[32] = {0};
    const uint8_t zeros[32] = {0};
    auth_crypto()->random(first, sizeof first);
    auth_crypto()->random(second, sizeof second);
    cr_assert_arr_neq(first, second, sizeof first);
    auth_crypto()->wipe(first, sizeof first);
    cr_assert_arr_eq(first, zeros, sizeof first);
}

/* --- the client's side --- */

struct client {
    struct auth_client auth;
    struct buffer out;
    enum auth_step step;
    struct error err;
    uint8_t storage[1024];
};

static const char scramble[] = "abcdefghijklmnopqrst";

static void begin(struct client *client, const char *plugin, const char *password, bool secure)
{
    memset(client, 0, sizeof *client);
    buffer_init_fixed(&client->out, client->storage, sizeof client->storage);
    cr_assert(auth_client_begin(&client->auth, auth_crypto(), plugin, (const uint8_t *)scramble,
                                HANDSHAKE_SCRAMBLE_SIZE, password, secure, &client->out,
                                &client->err),
              "%s", client->err.message);
}

static bool feed(struct client *client, const char *hex)
{
    struct bytes bytes = bytes_of(hex);
    return auth_client_feed(&client->auth, byte_view(bytes.data, bytes.length), &client->out,
                            &client->step, &client->err);
}

/* Feeds and expects this step; `sent` is what is to be sent then. */
static void expect_step(struct client *client, const char *hex, enum auth_step step,
                        const char *sent)
{
    cr_assert(feed(client, hex), "%s", client->err.message);
    cr_assert_eq(client->step, step, "step %d", (int)client->step);
    expect_hex(buffer_bytes(&client->out), buffer_length(&client->out), sent);
}

static void expect_error(struct client *client, const char *hex, enum error_code code,
                         const char *words)
{
    cr_assert_not(feed(client, hex));
    cr_assert_eq(client->err.code, code, "%s: %s", error_code_name(client->err.code),
                 client->err.message);
    cr_assert_not_null(strstr(client->err.message, words), "%s", client->err.message);
    cr_assert_eq(buffer_length(&client->out), 0, "nothing to send");
}

#define OK_PACKET    "00000002000000"
#define ERR_PACKET   "ff1504233238303030416363657373"
#define HEX_NATIVE   "6d7973716c5f6e61746976655f70617373776f7264"
#define HEX_SHA2     "63616368696e675f736861325f70617373776f7264"
#define HEX_SHA256   "7368613235365f70617373776f7264"
#define HEX_CLEAR    "6d7973716c5f636c6561725f70617373776f7264"
#define HEX_ED25519  "636c69656e745f65643235353139"
#define HEX_PARSEC   "706172736563"
#define HEX_SCRAMBLE "6162636465666768696a6b6c6d6e6f7071727374"

/* What MariaDB 10.11.19 accepted. */
Test(auth_client, answers_the_greeting_with_mysql_native_password)
{
    struct client client = {0};
    struct bytes real = bytes_of("3452224f4b66404e475968226b77343b6924702b");
    buffer_init_fixed(&client.out, client.storage, sizeof client.storage);
    cr_assert(auth_client_begin(&client.auth, auth_crypto(), NATIVE, real.data, real.length,
                                "hunter2", false, &client.out, NULL));
    expect_hex(buffer_bytes(&client.out), buffer_length(&client.out),
               "4798e51d69ad0102b83446ae1e4a6e7d0f8aac0f");
    cr_assert_str_eq(client.auth.plugin, NATIVE);
    expect_step(&client, OK_PACKET, AUTH_ACCEPTED, "");
}

/* What MySQL 9.7.4 asked and took for the password "hunter2", from its cache. */
Test(auth_client, answers_a_switch_to_caching_sha2_password)
{
    struct client client;
    begin(&client, NATIVE, "hunter2", true);
    expect_step(&client, "fe" HEX_SHA2 "00505d501f7428753679787523701f115b5329474700", AUTH_SEND,
                "a935de738c5afbc5f0af40799127072403c00bbad7e1e79f9d9cad6cbc844f02");
    cr_assert_str_eq(client.auth.plugin, SHA2);
    expect_step(&client, "0103", AUTH_WAIT, "");
    expect_step(&client, OK_PACKET, AUTH_ACCEPTED, "");
}

/* What MariaDB 10.11.19 asked and took. */
Test(auth_client, answers_a_switch_to_client_ed25519)
{
    struct client client;
    begin(&client, NATIVE, "s3cret p\xc3\xa4ssword longer than thirty-two bytes", false);
    expect_step(&client,
                "fe" HEX_ED25519 "00"
                "1bd1b3983fa48467b60883b09541552560a29fcf7c4e47381fd1e048756d5135",
                AUTH_SEND,
                "bc998db43318c33458870a40216db094b25bea1aff52f042f9f85531cf04f67078a4e2df88cde71f1"
                "c74a7595a632593ad4cebe9e17b0541b0f20ff1efb03601");
    expect_step(&client, OK_PACKET, AUTH_ACCEPTED, "");
}

Test(auth_client, empty_password_is_nothing_or_one_nul)
{
    struct client client;
    begin(&client, NATIVE, "", true);
    cr_assert_eq(buffer_length(&client.out), 0);
    expect_step(&client, "fe" HEX_SHA2 "00" HEX_SCRAMBLE "00", AUTH_SEND, "00");
    expect_step(&client, "fe" HEX_NATIVE "00" HEX_SCRAMBLE "00", AUTH_SEND, "");
    expect_step(&client, "fe" HEX_SHA256 "00" HEX_SCRAMBLE "00", AUTH_SEND, "00");
    begin(&client, SHA2, "", true);
    expect_hex(buffer_bytes(&client.out), buffer_length(&client.out), "00");
}

Test(auth_client, full_authentication_sends_the_password_under_tls)
{
    struct client client;
    begin(&client, SHA2, "hunter2", true);
    cr_assert_eq(buffer_length(&client.out), 32);
    expect_step(&client, "0104", AUTH_SEND, "68756e7465723200");
    expect_step(&client, OK_PACKET, AUTH_ACCEPTED, "");
}

Test(auth_client, full_authentication_without_tls_is_refused)
{
    struct client client;
    begin(&client, SHA2, "hunter2", false);
    expect_error(&client, "0104", ERROR_DENIED, "TLS");
    begin(&client, SHA2, "", false); /* there is no secret to lose */
    expect_step(&client, "0104", AUTH_SEND, "00");
}

Test(auth_client, passwords_in_clear_need_tls)
{
    struct client client;
    begin(&client, SHA2, "pw", true);
    expect_step(&client, "fe" HEX_SHA256 "00" HEX_SCRAMBLE "00", AUTH_SEND, "707700");
    begin(&client, SHA2, "pw", true);
    expect_step(&client, "fe" HEX_CLEAR "00", AUTH_SEND, "707700");
    expect_step(&client, OK_PACKET, AUTH_ACCEPTED, "");
    begin(&client, SHA2, "pw", false);
    expect_error(&client, "fe" HEX_SHA256 "00" HEX_SCRAMBLE "00", ERROR_DENIED, "sha256_password");
    begin(&client, SHA2, "pw", false);
    expect_error(&client, "fe" HEX_CLEAR "00", ERROR_DENIED, "mysql_clear_password");
}

/* A greeting may not draw the password out before the server has asked the account for it. */
Test(auth_client, a_greeting_with_another_plugin_is_answered_as_native)
{
    static const char *const plugins[] = {
        "", "mysql_clear_password", "sha256_password", "client_ed25519", "parsec", "auth_socket",
    };
    struct client expected;
    begin(&expected, NATIVE, "pw", true);
    for (size_t i = 0; i < sizeof plugins / sizeof plugins[0]; i++) {
        struct client client;
        begin(&client, plugins[i], "pw", true);
        cr_assert_str_eq(client.auth.plugin, NATIVE);
        cr_assert_eq(buffer_length(&client.out), 20);
        cr_assert_arr_eq(buffer_bytes(&client.out), buffer_bytes(&expected.out), 20);
    }
}

/* Checks a parsec answer as the server does (server_parsec.cc, auth()). */
static void expect_parsec_signature(const struct buffer *out, const char *password,
                                    const char *server_scramble, const char *salt,
                                    unsigned iterations)
{
    uint8_t seed[32], public_key[32], secret_key[64], message[64];
    struct bytes server = bytes_of(server_scramble), salted = bytes_of(salt);
    cr_assert_eq(buffer_length(out), 96);
    cr_assert(auth_crypto()->pbkdf2_sha512(password, salted.data, salted.length, iterations, seed,
                                           sizeof seed));
    cr_assert_eq(crypto_sign_seed_keypair(public_key, secret_key, seed), 0);
    memcpy(message, server.data, 32);
    memcpy(message + 32, buffer_bytes(out), 32);
    cr_assert_eq(crypto_sign_verify_detached(buffer_bytes(out) + 32, message, 64, public_key), 0);
}

#define PARSEC_SCRAMBLE "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define PARSEC_SALT     "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1"

Test(auth_client, parsec_asks_for_the_salt_and_signs)
{
    struct client client;
    begin(&client, NATIVE, "pw", true);
    expect_step(&client, "fe" HEX_PARSEC "00" PARSEC_SCRAMBLE, AUTH_SEND, "");
    cr_assert(feed(&client, "5001" PARSEC_SALT), "%s", client.err.message);
    cr_assert_eq(client.step, AUTH_SEND);
    expect_parsec_signature(&client.out, "pw", PARSEC_SCRAMBLE, PARSEC_SALT, 2048);
    expect_step(&client, OK_PACKET, AUTH_ACCEPTED, "");
}

static void captured_random(void *bytes, size_t length)
{
    struct bytes captured =
        bytes_of("75e0b77985259ea002826ec1aadcacd4f820b79b9e4754a27e991d91e2eb8b9e");
    cr_assert_eq(length, captured.length);
    memcpy(bytes, captured.data, length);
}

/* What MariaDB 11.8.9 asked and took. */
Test(auth_client, answers_a_switch_to_parsec)
{
    struct auth_crypto crypto = *auth_crypto();
    struct client client;
    crypto.random = captured_random;
    begin(&client, NATIVE, "p\xc3\xa4rsec pw", false);
    client.auth.crypto = &crypto;
    expect_step(&client,
                "fe" HEX_PARSEC "00"
                "eb3b98f0f9782219aae3bd081b3dd5b715876586523a92da3e204a42a2c877c4",
                AUTH_SEND, "");
    expect_step(&client, "015000931b26d23ee306c380f96ec39276a40ce7c1", AUTH_SEND,
                "75e0b77985259ea002826ec1aadcacd4f820b79b9e4754a27e991d91e2eb8b9e"
                "773397832da36b141618bf347b063435a4269af34a7be54a7f14c45e5ebabecc"
                "bb17224b95cb064f285976404e0a9ea35baf6dcb87068a9f229956c9819dd305");
}

/* Servers may put 0x01 before plugin data; MySQL always does, MariaDB where it must. */
Test(auth_client, plugin_data_may_come_with_and_without_its_mark)
{
    struct client client;
    begin(&client, NATIVE, "pw", true);
    expect_step(&client, "fe" HEX_PARSEC "00" PARSEC_SCRAMBLE, AUTH_SEND, "");
    cr_assert(feed(&client, "015000" PARSEC_SALT));
    expect_parsec_signature(&client.out, "pw", PARSEC_SCRAMBLE, PARSEC_SALT, 1024);
    begin(&client, SHA2, "pw", true);
    expect_step(&client, "03", AUTH_WAIT, "");
}

Test(auth_client, parsec_refuses_what_it_does_not_know)
{
    static const struct {
        const char *data;
        enum error_code code;
    } bad[] = {
        {"5104" PARSEC_SALT, ERROR_UNSUPPORTED},
        {"5004" PARSEC_SALT, ERROR_UNSUPPORTED},
        {"50ff" PARSEC_SALT, ERROR_UNSUPPORTED},
        {"50", ERROR_MALFORMED},
        {"500000", ERROR_MALFORMED},
        {"5000" PARSEC_SALT "00", ERROR_MALFORMED},
        {"01", ERROR_MALFORMED},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct client client;
        begin(&client, NATIVE, "pw", true);
        expect_step(&client, "fe" HEX_PARSEC "00" PARSEC_SCRAMBLE, AUTH_SEND, "");
        expect_error(&client, bad[i].data, bad[i].code, "parsec");
    }
}

/* A second salt would let a server try one password against many. */
Test(auth_client, parsec_answers_once)
{
    struct client client;
    begin(&client, NATIVE, "pw", true);
    expect_step(&client, "fe" HEX_PARSEC "00" PARSEC_SCRAMBLE, AUTH_SEND, "");
    cr_assert(feed(&client, "5000" PARSEC_SALT));
    expect_error(&client, "5000" PARSEC_SALT, ERROR_MALFORMED, "parsec");
}

Test(auth_client, an_err_ends_it_at_any_time)
{
    struct client client;
    begin(&client, SHA2, "pw", true);
    expect_step(&client, ERR_PACKET, AUTH_REFUSED, "");
    begin(&client, SHA2, "pw", true);
    expect_step(&client, "0103", AUTH_WAIT, "");
    expect_step(&client, ERR_PACKET, AUTH_REFUSED, "");
}

Test(auth_client, plugins_that_cannot_be_served_are_named_with_what_to_do)
{
    static const struct {
        const char *plugin, *words;
    } refused[] = {
        {"617574685f736f636b657400", "auth_socket"},
        {"756e69785f736f636b657400", "Unix socket"},
        {"6469616c6f6700", "PAM"},
        {"617574685f6773736170695f636c69656e7400", "Kerberos"},
        {"7768617400", "'what'"},
        {"7768617400", "REQUIRE SUBJECT"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char hex[200];
        struct client client;
        begin(&client, NATIVE, "pw", true);
        strcat(strcpy(hex, "fe"), refused[i].plugin);
        expect_error(&client, hex, ERROR_UNSUPPORTED, refused[i].words);
    }
    struct client client;
    begin(&client, NATIVE, "pw", true);
    expect_error(&client, "fe", ERROR_UNSUPPORTED, "mysql_old_password");
}

Test(auth_client, refuses_what_is_malformed)
{
    static const struct {
        const char *payload, *words;
    } bad[] = {
        {"", "empty"},
        {"00", "OK"},
        {"ff", "ERR"},
        {"fe6162", "AuthSwitchRequest"},
        {"01", "caching_sha2_password"},
        {"0105", "caching_sha2_password"},
        {"010304", "caching_sha2_password"},
        {"02", "caching_sha2_password"},
        {"fe" HEX_NATIVE "00" HEX_SCRAMBLE "0000", "scramble"},
        {"fe" HEX_NATIVE "00616263", "scramble"},
        {"fe" HEX_NATIVE "00" HEX_SCRAMBLE "01", "scramble"},
        {"fe" HEX_SHA2 "00", "scramble"},
        {"fe" HEX_ED25519 "00" HEX_SCRAMBLE "00", "scramble"},
        {"fe" HEX_PARSEC "00" HEX_SCRAMBLE, "scramble"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct client client;
        begin(&client, SHA2, "pw", true);
        expect_error(&client, bad[i].payload, ERROR_MALFORMED, bad[i].words);
    }
    struct client client;
    begin(&client, NATIVE, "pw", true);
    expect_error(&client, "0103", ERROR_MALFORMED, NATIVE);
}

Test(auth_client, the_password_is_asked_for_once)
{
    struct client client;
    begin(&client, SHA2, "pw", true);
    expect_step(&client, "0104", AUTH_SEND, "707700");
    expect_error(&client, "0104", ERROR_MALFORMED, "caching_sha2_password");
}

Test(auth_client, an_endless_exchange_is_cut_off)
{
    struct client client;
    begin(&client, NATIVE, "", true);
    for (int i = 0; i < AUTH_ROUNDS_MAX; i++)
        expect_step(&client, "fe" HEX_NATIVE "00" HEX_SCRAMBLE "00", AUTH_SEND, "");
    expect_error(&client, "fe" HEX_NATIVE "00" HEX_SCRAMBLE "00", ERROR_LIMIT, "packets");
}

Test(auth_client, limits_the_password_and_checks_the_scramble)
{
    struct client client;
    char password[AUTH_PASSWORD_MAX + 2];
    memset(password, 'x', sizeof password);
    password[AUTH_PASSWORD_MAX] = 0;
    begin(&client, SHA2, password, true);
    cr_assert(feed(&client, "0104"));
    cr_assert_eq(buffer_length(&client.out), AUTH_PASSWORD_MAX + 1);
    password[AUTH_PASSWORD_MAX] = 'x';
    password[AUTH_PASSWORD_MAX + 1] = 0;
    cr_assert_not(auth_client_begin(&client.auth, auth_crypto(), NATIVE, (const uint8_t *)scramble,
                                    20, password, true, &client.out, &client.err));
    cr_assert_eq(client.err.code, ERROR_LIMIT);
    cr_assert_not(auth_client_begin(&client.auth, auth_crypto(), NATIVE, (const uint8_t *)scramble,
                                    8, "pw", true, &client.out, &client.err));
    cr_assert_eq(client.err.code, ERROR_MALFORMED);
}

static bool failing_digest(const void *data, size_t length, uint8_t *digest)
{
    (void)data;
    (void)length;
    (void)digest;
    return false;
}

static bool failing_sign(const char *password, const void *message, size_t length,
                         uint8_t *signature)
{
    (void)password;
    (void)message;
    (void)length;
    (void)signature;
    return false;
}

static bool failing_pbkdf2(const char *password, const uint8_t *salt, size_t salt_length,
                           unsigned iterations, uint8_t *key, size_t key_length)
{
    (void)password;
    (void)salt;
    (void)salt_length;
    (void)iterations;
    (void)key;
    (void)key_length;
    return false;
}

Test(auth_client, a_failing_library_fails_the_login_and_sends_nothing)
{
    struct auth_crypto broken = *auth_crypto();
    struct client client;
    broken.sha1 = failing_digest;
    broken.sha256 = failing_digest;
    broken.ed25519_password_sign = failing_sign;
    broken.pbkdf2_sha512 = failing_pbkdf2;
    begin(&client, NATIVE, "pw", true);
    client.auth.crypto = &broken;
    expect_error(&client, "fe" HEX_NATIVE "00" HEX_SCRAMBLE "00", ERROR_SYSTEM, "library");
    expect_error(&client, "fe" HEX_SHA2 "00" HEX_SCRAMBLE "00", ERROR_SYSTEM, "library");
    expect_error(&client, "fe" HEX_ED25519 "00" PARSEC_SCRAMBLE, ERROR_SYSTEM, "library");
    expect_step(&client, "fe" HEX_PARSEC "00" PARSEC_SCRAMBLE, AUTH_SEND, "");
    expect_error(&client, "5000" PARSEC_SALT, ERROR_SYSTEM, "library");
    cr_assert_not(auth_client_begin(&client.auth, &broken, NATIVE, (const uint8_t *)scramble, 20,
                                    "pw", true, &client.out, &client.err));
}

Test(auth_client, that_has_not_begun_takes_nothing)
{
    struct client client = {0};
    buffer_init_fixed(&client.out, client.storage, sizeof client.storage);
    expect_error(&client, OK_PACKET, ERROR_STATE, "begun");
}

Test(auth_client, wipe_leaves_nothing_and_may_come_twice)
{
    struct client client;
    struct auth_client zeros = {0};
    begin(&client, SHA2, "pw", true);
    auth_client_wipe(&client.auth);
    cr_assert_null(client.auth.password);
    cr_assert_arr_eq(client.auth.scramble, zeros.scramble, sizeof zeros.scramble);
    auth_client_wipe(&client.auth);
    auth_client_wipe(&zeros);
}

/* --- the server's side --- */

struct server {
    struct auth_server auth;
    struct buffer out;
    enum auth_step step;
    struct error err;
    uint8_t storage[256];
};

static void serve(struct server *server, const char *offered, const char *plugin,
                  const char *response, uint32_t capabilities, bool change_user)
{
    struct bytes bytes = bytes_of(response);
    struct handshake_login login = {.capabilities = capabilities, .is_change_user = change_user};
    memset(server, 0, sizeof *server);
    strcpy(login.plugin, plugin);
    login.auth_response = byte_view(bytes.data, bytes.length);
    buffer_init_fixed(&server->out, server->storage, sizeof server->storage);
    cr_assert(auth_server_begin(&server->auth, offered, (const uint8_t *)scramble, &login,
                                &server->out, &server->step, &server->err),
              "%s", server->err.message);
}

static void expect_served(struct server *server, enum auth_step step, const char *out)
{
    cr_assert_eq(server->step, step, "step %d", (int)server->step);
    expect_hex(buffer_bytes(&server->out), buffer_length(&server->out), out);
}

static void answer(struct server *server, const char *hex)
{
    struct bytes bytes = bytes_of(hex);
    cr_assert(auth_server_feed(&server->auth, byte_view(bytes.data, bytes.length), &server->out,
                               &server->step, &server->err),
              "%s", server->err.message);
}

#define HEX_20        "8817c50fa779daef010ee7577825b0847df9842e"
#define HEX_32        "c76e2898612a4cf042c77fa8c4702c4c64c0c2c557c53c4d75595aaa6abae809"
#define SWITCH_SHA2   "fe" HEX_SHA2 "00" HEX_SCRAMBLE "00"
#define SWITCH_NATIVE "fe" HEX_NATIVE "00" HEX_SCRAMBLE "00"
#define PLUGINS       CAPABILITY_PLUGIN_AUTH
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define FAST_SUCCESS  "0103"

/* One row for each way in which real clients log in (tried with the clients that are named). */
static const struct login_case {
    const char *offered, *plugin, *response;
    enum auth_step step;
    const char *out;
} login_cases[] = {
    /* The greeting's plugin: password, no password (mariadb 10.11, mysql 9.7, PyMySQL, Node). */
    {NATIVE, NATIVE, HEX_20, AUTH_ACCEPTED, ""},
    {NATIVE, NATIVE, "", AUTH_ACCEPTED, ""},
    {SHA2, SHA2, HEX_32, AUTH_ACCEPTED, FAST_SUCCESS},
    {SHA2, SHA2, "00", AUTH_ACCEPTED, ""},
    {SHA2, SHA2, "", AUTH_ACCEPTED, ""},
    /* Servers compare names without regard to case. */
    {SHA2, "Caching_SHA2_Password", HEX_32, AUTH_ACCEPTED, FAST_SUCCESS},
    /* Another one and no response: it waits for its scramble (mysql 9.7 --default-auth=…). */
    {NATIVE, SHA2, "", AUTH_SEND, SWITCH_SHA2},
    {SHA2, NATIVE, "", AUTH_SEND, SWITCH_NATIVE},
    {NATIVE, "client_ed25519", "", AUTH_SEND, SWITCH_NATIVE},
    {SHA2, "parsec", "", AUTH_SEND, SWITCH_SHA2},
    {SHA2, "dialog", "", AUTH_SEND, SWITCH_SHA2},
    {NATIVE, "sha256_password", "", AUTH_SEND, SWITCH_NATIVE},
    /* Another one and a whole response: a simple client that made it of our scramble. */
    {SHA2, NATIVE, HEX_20, AUTH_ACCEPTED, ""},
    {NATIVE, SHA2, HEX_32, AUTH_ACCEPTED, FAST_SUCCESS},
    {NATIVE, SHA2, "00", AUTH_ACCEPTED, ""},
    /* Passwords in clear. */
    {SHA2, "mysql_clear_password", "707700", AUTH_ACCEPTED, ""},
    {NATIVE, "mysql_clear_password", "00", AUTH_ACCEPTED, ""},
    {NATIVE, "sha256_password", "707700", AUTH_ACCEPTED, ""},
    {NATIVE, "sha256_password", "00", AUTH_ACCEPTED, ""},
    /* A wish for the server's public key, which we do not have. */
    {SHA2, "sha256_password", "01", AUTH_SEND, SWITCH_SHA2},
    /* Plugins that nobody knows. */
    {NATIVE, "auth_gssapi_client", "6060", AUTH_SEND, SWITCH_NATIVE},
    {SHA2, "whatever", HEX_20, AUTH_SEND, SWITCH_SHA2},
    /* A name that was left out. */
    {SHA2, "", HEX_20, AUTH_ACCEPTED, ""},
};

Test(auth_server, accepts_or_switches_as_each_client_expects)
{
    for (size_t i = 0; i < LENGTH(login_cases); i++) {
        const struct login_case *row = &login_cases[i];
        struct server server;
        serve(&server, row->offered, row->plugin, row->response, PLUGINS, false);
        cr_assert_eq(server.step, row->step, "case %zu", i);
        expect_served(&server, row->step, row->out);
    }
}

Test(auth_server, a_client_without_plugins_is_accepted)
{
    struct server server;
    serve(&server, SHA2, "", HEX_20, 0, false);
    expect_served(&server, AUTH_ACCEPTED, "");
    serve(&server, SHA2, "dialog", "", 0, false);
    expect_served(&server, AUTH_ACCEPTED, "");
}

Test(auth_server, accepts_any_answer_to_its_switch)
{
    static const char *const native_answers[] = {HEX_20, "", "00", "02", "ffffffff"};
    for (size_t i = 0; i < LENGTH(native_answers); i++) {
        struct server server;
        serve(&server, NATIVE, "client_ed25519", "", PLUGINS, false);
        answer(&server, native_answers[i]);
        expect_served(&server, AUTH_ACCEPTED, "");
        cr_assert_str_eq(server.auth.plugin, NATIVE);
    }
    struct server server;
    serve(&server, NATIVE, SHA2, "", PLUGINS, false);
    answer(&server, HEX_32);
    expect_served(&server, AUTH_ACCEPTED, FAST_SUCCESS);
    serve(&server, NATIVE, SHA2, "", PLUGINS, false);
    answer(&server, "00");
    expect_served(&server, AUTH_ACCEPTED, "");
}

/* The machine must not let a client loop. */
Test(auth_server, refuses_packets_that_it_did_not_ask_for)
{
    struct server server;
    serve(&server, NATIVE, NATIVE, HEX_20, PLUGINS, false);
    cr_assert_not(
        auth_server_feed(&server.auth, byte_view("x", 1), &server.out, &server.step, &server.err));
    cr_assert_eq(server.err.code, ERROR_MALFORMED);
    serve(&server, NATIVE, "parsec", "", PLUGINS, false);
    answer(&server, "");
    cr_assert_not(
        auth_server_feed(&server.auth, byte_view("x", 1), &server.out, &server.step, &server.err));
    struct auth_server never = {0};
    cr_assert_not(
        auth_server_feed(&never, byte_view("x", 1), &server.out, &server.step, &server.err));
}

/* Servers answer COM_CHANGE_USER with a switch at all times (mysql2, libmariadb, mysql). */
Test(auth_server, change_user_always_switches_clients_with_plugins)
{
    struct server server;
    serve(&server, SHA2, NATIVE, HEX_20, PLUGINS, true);
    expect_served(&server, AUTH_SEND, SWITCH_NATIVE);
    answer(&server, HEX_20);
    expect_served(&server, AUTH_ACCEPTED, "");
    serve(&server, SHA2, SHA2, HEX_32, PLUGINS, true);
    expect_served(&server, AUTH_SEND, SWITCH_SHA2);
    answer(&server, HEX_32);
    expect_served(&server, AUTH_ACCEPTED, FAST_SUCCESS);
    serve(&server, SHA2, "", HEX_20, 0, true);
    expect_served(&server, AUTH_ACCEPTED, "");
}

/* --- both sides together --- */

/* Our client against our server, over every pair of plugins and passwords that a bot may have. */
Test(auth, our_client_gets_through_our_server)
{
    static const char *const plugins[] = {NATIVE, SHA2};
    static const char *const passwords[] = {"", "hunter2"};
    for (unsigned i = 0; i < 8; i++) {
        struct client client;
        struct server server;
        struct handshake_login login = {.capabilities = PLUGINS, .is_change_user = i & 4};
        begin(&client, plugins[i & 1], passwords[(i >> 1) & 1], false);
        strcpy(login.plugin, client.auth.plugin);
        login.auth_response = byte_view(buffer_bytes(&client.out), buffer_length(&client.out));
        buffer_init_fixed(&server.out, server.storage, sizeof server.storage);
        cr_assert(auth_server_begin(&server.auth, NATIVE, (const uint8_t *)scramble, &login,
                                    &server.out, &server.step, &server.err));
        while (server.step == AUTH_SEND) {
            struct byte_view payload =
                byte_view(buffer_bytes(&server.out), buffer_length(&server.out));
            cr_assert(
                auth_client_feed(&client.auth, payload, &client.out, &client.step, &client.err));
            cr_assert_eq(client.step, AUTH_SEND);
            payload = byte_view(buffer_bytes(&client.out), buffer_length(&client.out));
            cr_assert(
                auth_server_feed(&server.auth, payload, &server.out, &server.step, &server.err));
        }
        if (buffer_length(&server.out) > 0)
            expect_step(&client, FAST_SUCCESS, AUTH_WAIT, "");
        expect_step(&client, OK_PACKET, AUTH_ACCEPTED, "");
    }
}

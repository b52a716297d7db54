/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/auth_plugin.h"

#include <string.h>

#define SHA1_SIZE      20
#define SHA256_SIZE    32
#define SIGNATURE_SIZE 64

/* caching_sha2_password's words to the client (sql/auth/sha2_password.cc of MySQL 9.x). */
#define SHA2_FAST_SUCCESS 0x03
#define SHA2_FULL_NEEDED  0x04

/* parsec (MariaDB 11.6+, plugin/auth_parsec): 'P', a factor n for 2^(10+n) iterations, the salt. */
#define PARSEC_KDF_PBKDF2    'P'
#define PARSEC_FACTOR_MAX    3
#define PARSEC_FACTOR_BASE   1024u
#define PARSEC_SALT_SIZE     18
#define PARSEC_SCRAMBLE_SIZE 32

static bool crypto_failed(struct error *err)
{
    return error_set(err, ERROR_SYSTEM, "the cryptographic library failed");
}

/*
 * mysql_native_password: SHA1(password) XOR SHA1(scramble + SHA1(SHA1(password))).
 */
static bool native_response(const struct auth_client *auth, uint8_t response[SHA1_SIZE])
{
    const struct auth_crypto *crypto = auth->crypto;
    uint8_t first[SHA1_SIZE], salted[HANDSHAKE_SCRAMBLE_SIZE + SHA1_SIZE];
    memcpy(salted, auth->scramble, HANDSHAKE_SCRAMBLE_SIZE);
    bool good = crypto->sha1(auth->password, strlen(auth->password), first) &&
                crypto->sha1(first, sizeof first, salted + HANDSHAKE_SCRAMBLE_SIZE) &&
                crypto->sha1(salted, sizeof salted, response);
    for (size_t i = 0; i < SHA1_SIZE; i++)
        response[i] ^= first[i];
    crypto->wipe(first, sizeof first);
    crypto->wipe(salted, sizeof salted);
    return good;
}

static bool native_begin(struct auth_client *auth, struct buffer *out, struct error *err)
{
    uint8_t response[SHA1_SIZE] = {0};
    if (auth->password[0] == 0)
        return true;
    if (!native_response(auth, response))
        return crypto_failed(err);
    return buffer_append(out, response, sizeof response, err);
}

/*
 * caching_sha2_password: SHA256(password) XOR SHA256(SHA256(SHA256(password)) + scramble).
 */
static bool sha2_response(const struct auth_client *auth, uint8_t response[SHA256_SIZE])
{
    const struct auth_crypto *crypto = auth->crypto;
    uint8_t first[SHA256_SIZE], salted[SHA256_SIZE + HANDSHAKE_SCRAMBLE_SIZE];
    memcpy(salted + SHA256_SIZE, auth->scramble, HANDSHAKE_SCRAMBLE_SIZE);
    bool good = crypto->sha256(auth->password, strlen(auth->password), first) &&
                crypto->sha256(first, sizeof first, salted) &&
                crypto->sha256(salted, sizeof salted, response);
    for (size_t i = 0; i < SHA256_SIZE; i++)
        response[i] ^= first[i];
    crypto->wipe(first, sizeof first);
    crypto->wipe(salted, sizeof salted);
    return good;
}

/* The password and a NUL; for an empty one that NUL alone says "no password". */
static bool clear_append(const struct auth_client *auth, struct buffer *out, struct error *err)
{
    return buffer_append(out, auth->password, strlen(auth->password) + 1, err);
}

static bool sha2_begin(struct auth_client *auth, struct buffer *out, struct error *err)
{
    uint8_t response[SHA256_SIZE] = {0};
    if (auth->password[0] == 0)
        return clear_append(auth, out, err);
    if (!sha2_response(auth, response))
        return crypto_failed(err);
    return buffer_append(out, response, sizeof response, err);
}

static bool sha2_more(struct auth_client *auth, struct byte_view data, struct buffer *out,
                      enum auth_step *step, struct error *err)
{
    if (auth->stage++ > 0 || data.length != 1)
        return error_set(err, ERROR_MALFORMED, "the server broke caching_sha2_password's protocol");
    *step = AUTH_WAIT;
    if (data.data[0] == SHA2_FAST_SUCCESS)
        return true;
    if (data.data[0] != SHA2_FULL_NEEDED)
        return error_set(err, ERROR_MALFORMED, "the server broke caching_sha2_password's protocol");
    if (!auth->secure && auth->password[0] != 0)
        return error_set(err, ERROR_DENIED,
                         "the server wants the password of the caching_sha2_password account in "
                         "clear, and the connection is not encrypted: configure TLS for it");
    *step = AUTH_SEND;
    return clear_append(auth, out, err);
}

static bool clear_begin(struct auth_client *auth, struct buffer *out, struct error *err)
{
    return clear_append(auth, out, err);
}

static bool ed25519_begin(struct auth_client *auth, struct buffer *out, struct error *err)
{
    uint8_t signature[SIGNATURE_SIZE];
    if (!auth->crypto->ed25519_password_sign(auth->password, auth->scramble, auth->scramble_length,
                                             signature))
        return crypto_failed(err);
    return buffer_append(out, signature, sizeof signature, err);
}

/* An empty packet asks for the salt. */
static bool parsec_begin(struct auth_client *auth, struct buffer *out, struct error *err)
{
    (void)auth;
    (void)out;
    (void)err;
    return true;
}

/* The answer: our scramble, and the signature over the server's and ours, with the key that PBKDF2
 * makes of the password. */
static bool parsec_response(const struct auth_client *auth, const uint8_t salt[PARSEC_SALT_SIZE],
                            unsigned iterations,
                            uint8_t response[PARSEC_SCRAMBLE_SIZE + SIGNATURE_SIZE])
{
    const struct auth_crypto *crypto = auth->crypto;
    uint8_t seed[32], message[2 * PARSEC_SCRAMBLE_SIZE];
    crypto->random(response, PARSEC_SCRAMBLE_SIZE);
    memcpy(message, auth->scramble, PARSEC_SCRAMBLE_SIZE);
    memcpy(message + PARSEC_SCRAMBLE_SIZE, response, PARSEC_SCRAMBLE_SIZE);
    bool good =
        crypto->pbkdf2_sha512(auth->password, salt, PARSEC_SALT_SIZE, iterations, seed,
                              sizeof seed) &&
        crypto->ed25519_sign(seed, message, sizeof message, response + PARSEC_SCRAMBLE_SIZE);
    crypto->wipe(seed, sizeof seed);
    return good;
}

static bool parsec_more(struct auth_client *auth, struct byte_view data, struct buffer *out,
                        enum auth_step *step, struct error *err)
{
    struct byte_reader reader = byte_reader(data.data, data.length);
    uint8_t response[PARSEC_SCRAMBLE_SIZE + SIGNATURE_SIZE];
    uint8_t kdf, factor;
    struct byte_view salt;
    if (auth->stage++ > 0 || !byte_reader_u8(&reader, &kdf) || !byte_reader_u8(&reader, &factor) ||
        !byte_reader_view(&reader, PARSEC_SALT_SIZE, &salt) || byte_reader_left(&reader) > 0)
        return error_set(err, ERROR_MALFORMED, "the server broke parsec's protocol");
    if (kdf != PARSEC_KDF_PBKDF2 || factor > PARSEC_FACTOR_MAX)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the account's parsec password is derived in a way that is not supported "
                         "(function %u, factor %u)",
                         kdf, factor);
    if (!parsec_response(auth, salt.data, PARSEC_FACTOR_BASE << factor, response))
        return crypto_failed(err);
    *step = AUTH_SEND;
    return buffer_append(out, response, sizeof response, err);
}

static const struct auth_plugin plugins[] = {
    {"mysql_native_password", HANDSHAKE_SCRAMBLE_SIZE, false, native_begin, NULL},
    {"caching_sha2_password", HANDSHAKE_SCRAMBLE_SIZE, false, sha2_begin, sha2_more},
    {"sha256_password", 0, true, clear_begin, NULL},
    {"mysql_clear_password", 0, true, clear_begin, NULL},
    {"client_ed25519", AUTH_SCRAMBLE_MAX, false, ed25519_begin, NULL},
    {"parsec", PARSEC_SCRAMBLE_SIZE, false, parsec_begin, parsec_more},
};

const struct auth_plugin *auth_plugin_find(const char *name)
{
    for (size_t i = 0; i < sizeof plugins / sizeof plugins[0]; i++) {
        if (strcmp(plugins[i].name, name) == 0)
            return &plugins[i];
    }
    return NULL;
}

const struct auth_plugin *auth_plugin_default(void)
{
    return &plugins[0];
}

/* What plugins are about that people meet and that a proxy cannot answer for. */
static const char *plugin_meaning(const char *name)
{
    static const struct {
        const char *name, *meaning;
    } known[] = {
        {"auth_socket", "which knows users by the Unix socket that they come from"},
        {"unix_socket", "which knows users by the Unix socket that they come from"},
        {"dialog", "which asks a person questions (PAM)"},
        {"auth_gssapi_client", "which needs a Kerberos ticket"},
        {"authentication_kerberos_client", "which needs a Kerberos ticket"},
        {"authentication_ldap_sasl_client", "which needs an LDAP server"},
        {"authentication_webauthn_client", "which needs a person with a security key"},
        {"authentication_openid_connect_client", "which needs a token of an identity provider"},
        {"authentication_oci_client", "which needs a key of a cloud provider"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].name, name) == 0)
            return known[i].meaning;
    }
    return "which is not supported";
}

bool auth_plugin_refuse(const char *name, struct error *err)
{
    return error_set(err, ERROR_UNSUPPORTED,
                     "the database account uses the authentication plugin '%s', %s: give it "
                     "REQUIRE SUBJECT and no password, or one, with caching_sha2_password (MySQL) "
                     "or mysql_native_password (MariaDB)",
                     name, plugin_meaning(name));
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both sides of authentication as small machines: payload in, payload out. (MySQL source
 * documentation, "Authentication Phase"; MariaDB manual, "Connection" and the pages of the plugins.
 * docs/protocol/connection-phase.md has the table of plugins.)
 *
 * Upstream we are the client: an account with a certificate and no password, or with a password
 * from a file. Plugins: mysql_native_password, caching_sha2_password (fast path, and the full path
 * in clear, which needs TLS), sha256_password and mysql_clear_password (in clear, TLS only),
 * client_ed25519, parsec; AuthSwitchRequest to any of them at any time. Others are refused with an
 * error that names them.
 *
 * On the client leg we are the server: the certificate was the identity, so whatever the client
 * answers is accepted and ignored. What is left is to speak each plugin's protocol to its end.
 */
#ifndef SALLYPORT_PROTOCOL_AUTH_H
#define SALLYPORT_PROTOCOL_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "protocol/handshake.h"

#define AUTH_PASSWORD_MAX 256 /* bytes; what MySQL's own client takes */
#define AUTH_SCRAMBLE_MAX 32  /* client_ed25519 and parsec; the others have 20 */
#define AUTH_ROUNDS_MAX   8   /* packets of an exchange after the login; more is hostile */

enum auth_step {
    AUTH_SEND,     /* `out` holds the payload to send, with the sequence id that follows */
    AUTH_WAIT,     /* nothing to send, wait for the next packet */
    AUTH_ACCEPTED, /* an OK: the payload that was fed */
    AUTH_REFUSED,  /* an ERR: the payload that was fed */
};

/*
 * The primitives that the plugins need. protocol/ knows no cryptographic library: tls/auth_crypto.h
 * has the real table. Each returns false when the library fails.
 */
struct auth_crypto {
    bool (*sha1)(const void *data, size_t length, uint8_t digest[20]);
    bool (*sha256)(const void *data, size_t length, uint8_t digest[32]);
    bool (*pbkdf2_sha512)(const char *password, const uint8_t *salt, size_t salt_length,
                          unsigned iterations, uint8_t *key, size_t key_length);
    /* RFC 8032 Ed25519 with a 32-byte seed (parsec). */
    bool (*ed25519_sign)(const uint8_t seed[32], const void *message, size_t length,
                         uint8_t signature[64]);
    /* MariaDB's client_ed25519: as Ed25519, but the whole password stands where the seed does. */
    bool (*ed25519_password_sign)(const char *password, const void *message, size_t length,
                                  uint8_t signature[64]);
    void (*random)(void *bytes, size_t length);
    void (*wipe)(void *bytes, size_t length);
};

struct auth_plugin;

struct auth_client {
    const struct auth_crypto *crypto;
    const struct auth_plugin *behind;  /* private: what `plugin` names */
    char plugin[HANDSHAKE_PLUGIN_MAX]; /* the one in use: for the login packet, and for people */
    uint8_t scramble[AUTH_SCRAMBLE_MAX];
    size_t scramble_length;
    const char *password; /* borrowed, "" for none */
    bool secure;          /* under TLS: a password may go in clear */
    unsigned rounds;
    unsigned stage; /* private to the plugin */
};

/*
 * Begins: `plugin` and `scramble` (20 bytes) are the greeting's. Puts the first authentication
 * response into `out` (cleared first; at most 32 bytes) and the plugin that it is of into
 * auth->plugin: both go into the login packet. Where the greeting's plugin cannot answer a greeting
 * that is mysql_native_password, and the server switches if the account has another.
 * `password` must live as long as `auth`; ERROR_LIMIT past AUTH_PASSWORD_MAX.
 */
bool auth_client_begin(struct auth_client *auth, const struct auth_crypto *crypto,
                       const char *plugin, const uint8_t *scramble, size_t scramble_length,
                       const char *password, bool secure, struct buffer *out,
                       struct error *err) MUST_USE;

/*
 * Feeds one packet of the server that came after the login. With AUTH_SEND the payload to send is
 * in `out` (cleared first), and it may well be empty: parsec sends an empty packet. `out` may hold
 * a password: wipe it afterwards.
 *
 * False: the server broke the protocol (ERROR_MALFORMED), went on for too long (ERROR_LIMIT), or
 * asks for what we do not have (ERROR_UNSUPPORTED) or do not tell without TLS (ERROR_DENIED).
 */
bool auth_client_feed(struct auth_client *auth, struct byte_view payload, struct buffer *out,
                      enum auth_step *step, struct error *err) MUST_USE;

/* Forgets the password's place and the scramble. Safe on a zeroed or wiped one. */
void auth_client_wipe(struct auth_client *auth);

/* The server's side, on the client leg. */
struct auth_server {
    char plugin[HANDSHAKE_PLUGIN_MAX]; /* the one the client uses now */
    unsigned stage;                    /* private */
};

/*
 * After the client's login or COM_CHANGE_USER: `offered` and `scramble` are those of our greeting.
 *
 * AUTH_ACCEPTED: nothing more is needed of the client. An OK may be sent when the upstream has
 * accepted, after the payload in `out` if there is one (caching_sha2_password's fast-auth-success,
 * 0x01 0x03). AUTH_SEND: send `out` (an AuthSwitchRequest, at most one an exchange) and feed the
 * client's next packet. No other step is returned, and nothing a client answers makes it longer.
 */
bool auth_server_begin(struct auth_server *auth, const char *offered,
                       const uint8_t scramble[HANDSHAKE_SCRAMBLE_SIZE],
                       const struct handshake_login *login, struct buffer *out,
                       enum auth_step *step, struct error *err) MUST_USE;
bool auth_server_feed(struct auth_server *auth, struct byte_view payload, struct buffer *out,
                      enum auth_step *step, struct error *err) MUST_USE;

#endif

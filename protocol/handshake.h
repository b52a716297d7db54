/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection phase, both roles, bytes only: greeting, SSLRequest, login (HandshakeResponse41),
 * AuthSwitchRequest, COM_CHANGE_USER. (MySQL source documentation, "Connection Phase"; MariaDB
 * manual, "Connection". What each leg does with them: docs/protocol/connection-phase.md.)
 *
 * Readers take a whole payload, without its packet header, and copy the names they find; views
 * point into the payload that was read. Appenders write whole packets unless they say "payload".
 */
#ifndef SALLYPORT_PROTOCOL_HANDSHAKE_H
#define SALLYPORT_PROTOCOL_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "protocol/capability.h"
#include "protocol/packet.h"

#define HANDSHAKE_SCRAMBLE_SIZE 20
#define HANDSHAKE_VERSION_MAX   128
#define HANDSHAKE_PLUGIN_MAX    64
#define HANDSHAKE_USER_MAX      384 /* 128 characters of MariaDB, at most 3 bytes each; MySQL has 32 */
#define HANDSHAKE_SCHEMA_MAX    257 /* 64 characters of at most 4 bytes, and a NUL */

enum handshake_vendor { HANDSHAKE_MYSQL, HANDSHAKE_MARIADB };

/* A server's greeting (protocol version 10). Owns its texts, which are NUL-terminated. */
struct handshake_greeting {
    char version[HANDSHAKE_VERSION_MAX]; /* with its "5.5.5-" prefix where it had one */
    enum handshake_vendor vendor;
    uint32_t connection_id;
    uint32_t capabilities;
    uint32_t mariadb_capabilities; /* extended flags; 0 from MySQL */
    uint8_t collation;
    uint16_t status;
    uint8_t scramble[HANDSHAKE_SCRAMBLE_SIZE];
    char plugin[HANDSHAKE_PLUGIN_MAX]; /* "" where the server has no CAPABILITY_PLUGIN_AUTH */
};

/*
 * Reads a greeting payload. A server older than 4.1 (no PROTOCOL_41, or a short scramble) is
 * refused, ERROR_UNSUPPORTED. An ERR in place of the greeting ("Too many connections") fails with
 * ERROR_CLOSED and the server's words; a caller that wants its parts asks packet_err_read() first.
 */
bool handshake_greeting_read(struct byte_view payload, struct handshake_greeting *out,
                             struct error *err) MUST_USE;

/*
 * Makes the greeting for the client out of the upstream's: same version, connection id, collation
 * and status; capability_offer()'s capabilities, the extended flags that go end to end, and
 * `scramble`, which is ours, random and without NUL bytes. The plugin is the upstream's where
 * auth_server can serve it, else what that vendor's clients expect: mysql_native_password or
 * caching_sha2_password.
 */
void handshake_greeting_for_client(const struct handshake_greeting *upstream, bool starttls,
                                   const uint8_t scramble[HANDSHAKE_SCRAMBLE_SIZE],
                                   struct handshake_greeting *out);

/*
 * Makes a greeting of our own, for a client that is to be told an error before there is an
 * upstream: answer its login with the ERR packet. An ERR in place of the greeting is legal too, but
 * clients disagree on its form: with an SQLSTATE the mysql command line of 9.7 prints "#28000" as
 * part of the message, without one PyMySQL 1.0 cuts the message's first bytes off, and the mariadb
 * command line of 10.11 calls either unverifiable.
 */
void handshake_greeting_own(const uint8_t scramble[HANDSHAKE_SCRAMBLE_SIZE],
                            struct handshake_greeting *out);

/* Appends a greeting, with sequence id 0. */
bool handshake_greeting_append(struct buffer *out, const struct handshake_greeting *greeting,
                               struct error *err) MUST_USE;

/*
 * A client's login, an SSLRequest (is_ssl_request; then only capabilities, max_packet and collation
 * are set), or a COM_CHANGE_USER (is_change_user; no max_packet).
 */
struct handshake_login {
    bool is_ssl_request;
    bool is_change_user;
    uint32_t capabilities;
    /* MariaDB: as the client set them, 0 where it has CAPABILITY_LONG_PASSWORD. The caller masks
     * them with what it offered. */
    uint32_t mariadb_capabilities;
    uint32_t max_packet;
    uint16_t collation; /* a login has its low byte only; COM_CHANGE_USER may leave it out: 0 */
    char user[HANDSHAKE_USER_MAX];
    char schema[HANDSHAKE_SCHEMA_MAX]; /* "" for none */
    char plugin[HANDSHAKE_PLUGIN_MAX]; /* "" for none */
    struct byte_view auth_response;
    uint8_t zstd_level;          /* with CAPABILITY_ZSTD; 0 where the client left it out */
    struct byte_view attributes; /* raw key and value pairs, without their total length */
};

/*
 * Reads a login payload against what was offered; flags that were not offered are cleared in *out.
 * An SSLRequest is exactly 32 bytes with the SSL bit: a longer packet is a login, whatever that bit
 * says, and whether TLS is in use is for the caller to know, who saw it happen or not.
 *
 * Refused: no PROTOCOL_41; a flag that was not offered where it changes the layout; names that are
 * too long; a length past the payload; malformed connection attributes; an SSLRequest where SSL was
 * not offered; bytes behind the end, except the level byte of a client that asks for zstd, and NULs
 * (libmariadb writes the level as four bytes). Tolerated, as servers do: no plugin name, or one
 * without its NUL, at the end.
 *
 * Names are judged as they are written, and the server reads them in the character set that the
 * login's collation stands for. So that both see the same name, these are refused: bytes outside
 * ASCII where that is not UTF-8, or is not valid UTF-8; character sets whose ASCII range is not
 * ASCII (swe7, filename). A user in single quotes loses them, once, as in MySQL 9.x's and MariaDB's
 * parse_client_handshake_packet(); one that would lose another pair upstream is refused.
 */
bool handshake_login_read(struct byte_view payload, uint32_t offered, struct handshake_login *out,
                          struct error *err) MUST_USE;

/* Appends an SSLRequest with these capabilities (SSL is added). */
bool handshake_ssl_request_append(struct buffer *out, uint8_t sequence,
                                  const struct handshake_login *login, struct error *err) MUST_USE;

/*
 * Appends a login. `login->capabilities` decides the layout; auth_response, plugin and attributes
 * as there, and MariaDB's extended flags where CAPABILITY_LONG_PASSWORD is clear.
 */
bool handshake_login_append(struct buffer *out, uint8_t sequence,
                            const struct handshake_login *login, struct error *err) MUST_USE;

/*
 * COM_CHANGE_USER (payload's first byte 0x11), both roles. `capabilities` are those of the session,
 * and of its leg: what that client has set, or what that login to the server has said.
 * Names are checked as in a login, but no quotes are taken away (servers do not either). Everything
 * behind the schema may be missing. The appender writes sequence id 0, as every command has.
 */
bool handshake_change_user_read(struct byte_view payload, uint32_t capabilities,
                                struct handshake_login *out, struct error *err) MUST_USE;
bool handshake_change_user_append(struct buffer *out, uint32_t capabilities,
                                  const struct handshake_login *login, struct error *err) MUST_USE;

/* Reads an AuthSwitchRequest payload (0xFE plugin NUL data). The old one-byte form, which asks for
 * mysql_old_password, is refused. */
bool handshake_auth_switch_read(struct byte_view payload, char plugin[HANDSHAKE_PLUGIN_MAX],
                                struct byte_view *data, struct error *err) MUST_USE;
/* Appends an AuthSwitchRequest's payload. */
bool handshake_auth_switch_payload(struct buffer *out, const char *plugin,
                                   const uint8_t scramble[HANDSHAKE_SCRAMBLE_SIZE],
                                   struct error *err) MUST_USE;

/*
 * Copies a name into `size` bytes and a NUL-terminates it. Refused: longer than size - 1, and NULs.
 * `what` names it in the error.
 */
bool handshake_name(struct byte_view name, const char *what, char *out, size_t size,
                    struct error *err) MUST_USE;
/* The same for a plugin's name, which in addition is printable ASCII. */
bool handshake_plugin_name(struct byte_view name, char out[HANDSHAKE_PLUGIN_MAX],
                           struct error *err) MUST_USE;

#endif

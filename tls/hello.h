/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hello frame: what a tunnel says to the proxy first, once the handshake agreed on ALPN
 * TLS_ALPN_MYSQL. After it the MySQL protocol starts with the proxy's greeting.
 *
 *     length   4 bytes, big-endian: of the JSON that follows, 2 to HELLO_JSON_MAX
 *     JSON     {"version":1,"database":"shop","family":"00112233445566778899aabbccddeeff",
 *               "local":{"address":"127.0.0.1:51234","uid":1000,"gid":1000,"pid":4711,
 *                        "executable":"/usr/bin/php8.2"}}
 *
 * "version" and "database" are required; "family", "local" and each of its keys may be absent. Keys
 * that are not known are ignored, so that a newer tunnel can say more; a known key of the wrong
 * type, twice, or out of bounds makes the frame malformed. What "local" says is the tunnel's word:
 * good for the audit record, never a reason to allow.
 *
 * "family" is a secret that a tunnel process draws at its start: 128 random bits as 32 lower-case
 * hexadecimal digits. A renewed certificate that it shows later, with the same family, extends the
 * sessions of that family and no others (docs/decisions/0807-families.md). Never to be logged.
 */
#ifndef SALLYPORT_TLS_HELLO_H
#define SALLYPORT_TLS_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"

#define HELLO_VERSION       1
#define HELLO_HEADER_SIZE   4
#define HELLO_JSON_MAX      4096
#define HELLO_FRAME_MAX     (HELLO_HEADER_SIZE + HELLO_JSON_MAX)
#define HELLO_DATABASE_SIZE 256 /* each with its NUL; longer values are refused */
#define HELLO_ADDRESS_SIZE  128
#define HELLO_PROGRAM_SIZE  1024
#define HELLO_FAMILY_SIZE   16

/* The local client of a tunnel, as far as it is known. Text is UTF-8 without control characters. */
struct hello_local {
    char address[HELLO_ADDRESS_SIZE];    /* "127.0.0.1:51234" or "unix"; "" when not known */
    char executable[HELLO_PROGRAM_SIZE]; /* "" when not known */
    bool has_uid, has_gid, has_pid;
    uint32_t uid;
    uint32_t gid;
    uint32_t pid;
};

struct hello {
    char database[HELLO_DATABASE_SIZE]; /* never "" */
    bool has_family;
    uint8_t family[HELLO_FAMILY_SIZE];
    struct hello_local local;
};

/*
 * Appends the frame. ERROR_MALFORMED when the database's name could not be read at the other side
 * (empty, not UTF-8, control characters). Facts about the local client that could not be read there
 * are left out instead: an odd path must not keep a program from its database.
 */
bool hello_append(struct buffer *out, const struct hello *hello, struct error *err) MUST_USE;

/* Whether a database's name can be sent: for checks of configuration. */
bool hello_database_valid(const char *name);

/* Reads a family's text: exactly 32 lower-case hexadecimal digits, or ERROR_MALFORMED and *out is
 * untouched. hex_encode() writes it. */
bool hello_family_read(const char *text, uint8_t out[HELLO_FAMILY_SIZE],
                       struct error *err) MUST_USE;

enum hello_result {
    HELLO_NEED_MORE, /* the frame is not whole yet: nothing was consumed */
    HELLO_COMPLETE,
    HELLO_MALFORMED, /* *err says why; close */
};

/*
 * Reads the frame at the start of `bytes`. On HELLO_COMPLETE *out is filled and *consumed tells how
 * many bytes it took. A length that is too great is malformed at once, before its bytes came. *out
 * and *consumed are untouched otherwise.
 */
enum hello_result hello_read(struct byte_view bytes, struct hello *out, size_t *consumed,
                             struct error *err) MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses as people write them in configuration and on the command line:
 *
 *     127.0.0.1:3306    [::1]:3306    db1.internal:3306    unix:/run/shop.sock
 *
 * Only parsing and printing: nothing is resolved here. An IPv6 address needs its brackets, because
 * "::1:3306" reads in two ways. A host is checked for the characters that host names have, so that
 * a slip of the pen is found when the file is read and not at the first connection.
 */
#ifndef SALLYPORT_BASE_ADDRESS_H
#define SALLYPORT_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The longest host name of the DNS (RFC 1035, 2.3.4) and its NUL. */
#define ADDRESS_HOST_SIZE 254
/* sun_path of a Unix socket on Linux, its NUL included (unix(7)): a path has at most 107 bytes. */
#define ADDRESS_PATH_SIZE 108
/* Room for any address as text: brackets, colon and port, or "unix:" and the path. */
#define ADDRESS_TEXT_SIZE 264

enum address_kind {
    ADDRESS_HOST = 1, /* host and port */
    ADDRESS_UNIX,     /* path */
};

struct address {
    enum address_kind kind;
    char host[ADDRESS_HOST_SIZE]; /* without brackets; "" for ADDRESS_UNIX */
    uint16_t port;                /* 0 only where the caller of address_parse() accepts it */
    char path[ADDRESS_PATH_SIZE]; /* "" for ADDRESS_HOST */
};

/*
 * Reads "HOST:PORT", "[IPV6]:PORT" or "unix:PATH". ERROR_MALFORMED says what is wrong and shows the
 * right form. Port 0 ("any free port") parses: who cannot use it refuses it. *out is untouched on
 * failure.
 */
bool address_parse(const char *text, struct address *out, struct error *err) MUST_USE;

/* Prints the address in the form that address_parse() reads; returns `out`. */
const char *address_format(const struct address *address, char out[ADDRESS_TEXT_SIZE]);

/* Whether the host is an IPv4 or IPv6 address, so that nothing needs to be resolved. */
bool address_is_numeric(const struct address *address);

/* Whether only this machine can reach it: a Unix socket, 127.0.0.0/8, ::1. A name is not. */
bool address_is_local(const struct address *address);

bool address_equals(const struct address *left, const struct address *right);

#endif

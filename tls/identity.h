/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a verified certificate names. Made once after a handshake; no TLS library type shows here, so
 * that authz/ and tests can build one by hand.
 *
 * Text is UTF-8 (a BMPString is converted; a TeletexString must be ASCII). A certificate whose
 * subject or SAN URI holds a NUL, another control character, a character that changes the direction
 * or the line of the text around it, or bytes that are not valid UTF-8 is refused, because two
 * programs, or a program and a person, could read two names out of it.
 */
#ifndef SALLYPORT_TLS_IDENTITY_H
#define SALLYPORT_TLS_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The most of each that a certificate of a bot may hold; more is refused, not cut. */
#define IDENTITY_ATTRIBUTES_MAX 32
#define IDENTITY_SAN_URIS_MAX   16
#define IDENTITY_TEXT_MAX       8192 /* all names together */

/* One attribute of the subject, in the certificate's order; a multi-valued RDN gives several. */
struct identity_attribute {
    const char *type;  /* RFC 4514 short name ("CN", "O", "OU", …), else the dotted OID */
    const char *value; /* as it stands, not escaped */
};

struct identity {
    struct identity_attribute attributes[IDENTITY_ATTRIBUTES_MAX];
    size_t attribute_count;
    const char *san_uris[IDENTITY_SAN_URIS_MAX];
    size_t san_uri_count;
    const char *subject; /* RFC 4514 string, escaped, in the certificate's order: "CN=ci-1,OU=bots";
                          * a multi-valued RDN is joined by '+'. "" if the certificate has none */
    const char *bot;     /* the last CN, else the first SAN URI: the name used in logs and limits */
    char serial[64];     /* lower-case hex without separators, no leading zero byte */
    char fingerprint[65];  /* SHA-256 of the DER form, lower-case hex */
    int64_t not_before_us; /* wall time */
    int64_t not_after_us;
    size_t text_length;           /* of text, in use */
    char text[IDENTITY_TEXT_MAX]; /* what the pointers above point into */
};

/*
 * Not to be copied by assignment: its pointers point into itself. identity_clone() makes a copy on
 * the heap that is no larger than its text needs (so it is not to be copied as a whole either);
 * free(3) frees it.
 */
struct identity *identity_clone(const struct identity *identity, struct error *err) MUST_USE;

/*
 * Reads the identity out of a DER certificate that the caller has verified. A certificate without a
 * CN and without a SAN URI names nobody and is refused.
 */
bool identity_from_certificate(const uint8_t *der, size_t length, struct identity *out,
                               struct error *err) MUST_USE;

#endif

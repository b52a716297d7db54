/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate signing requests (PKCS #10, RFC 2986): how a key's owner shows a public key and
 * proves to hold the private one. Nothing else of a request counts here: who gets which names is
 * for the authority to say, so subject, attributes and extensions are not even read.
 *
 * Every byte of a request may come from somebody who has proven nothing yet.
 */
#ifndef SALLYPORT_TLS_REQUEST_H
#define SALLYPORT_TLS_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "tls/key.h"

/* The longest PEM text of a request that is read. */
#define TLS_REQUEST_PEM_MAX (16 * 1024)

struct tls_request;

/* Appends a request for the key in PEM, with an empty subject and no extensions. */
bool tls_request_create(const struct tls_key *key, struct buffer *pem, struct error *err) MUST_USE;

/*
 * Reads exactly one request in PEM and verifies it: the key is EC on P-256 or P-384, and signed the
 * request, with SHA-256, SHA-384 or SHA-512. Errors:
 *   ERROR_LIMIT        longer than TLS_REQUEST_PEM_MAX
 *   ERROR_MALFORMED    not one PEM block and nothing else; not a request in DER; bytes behind it
 *   ERROR_UNSUPPORTED  another kind of key or signature; the message says which, and what is wanted
 *   ERROR_DENIED       the signature is not the key's
 */
bool tls_request_parse(const char *pem, size_t length, struct tls_request **out,
                       struct error *err) MUST_USE;

/* The key that the request is for. Owned by the request. */
const struct tls_public *tls_request_public(const struct tls_request *request);

/* The request in DER form, as it came: what other proofs can be bound to. Owned by the request. */
void tls_request_der(const struct tls_request *request, const uint8_t **bytes, size_t *length);

/* NULL allowed. */
void tls_request_free(struct tls_request *request);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys for ECDSA: private ones, which never leave the machine that made them, and the public ones
 * of others. P-256 is what Sallyport makes; P-384 is accepted everywhere. Nothing else is: keys of
 * another kind are refused with ERROR_UNSUPPORTED and words that say what was given.
 *
 * A key is immutable once it was made: any number of threads may sign and verify with it.
 *
 * Errors: ERROR_MALFORMED (no PEM, no key in it, or one that contradicts itself),
 * ERROR_UNSUPPORTED, ERROR_LIMIT, ERROR_MEMORY, ERROR_TLS; for files also ERROR_SYSTEM and
 * ERROR_CONFIG, which name the file. The texts never hold a part of a key.
 */
#ifndef SALLYPORT_TLS_KEY_H
#define SALLYPORT_TLS_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* The longest PEM text of a key that is read. */
#define TLS_KEY_PEM_MAX (16 * 1024)
/* Room for the SubjectPublicKeyInfo (DER) of a P-384 key, which has 120 bytes. */
#define TLS_PUBLIC_DER_MAX 128
/* Room for a signature (DER) by a P-384 key: two numbers of 49 bytes and their headers. */
#define TLS_SIGNATURE_MAX 112
/* The bytes of a digest (SHA-256) that is signed, and of a pin. */
#define TLS_DIGEST_SIZE 32
#define TLS_PIN_SIZE    32

struct tls_key;
struct tls_public;

/* Private keys. */

/* A new P-256 key. */
bool tls_key_generate(struct tls_key **out, struct error *err) MUST_USE;

/* PKCS #8 or SEC 1 in PEM, not encrypted. A public key in it must belong to the private one. */
bool tls_key_parse(const char *pem, size_t length, struct tls_key **out,
                   struct error *err) MUST_USE;

/*
 * As tls_key_parse(), from a file of at most TLS_KEY_PEM_MAX bytes that nobody but its owner may
 * open and that is no symbolic link.
 */
bool tls_key_read(const char *file, struct tls_key **out, struct error *err) MUST_USE;

/* Appends the key as PKCS #8 in PEM, which all languages read. The caller wipes: buffer_wipe(). */
bool tls_key_write(const struct tls_key *key, struct buffer *pem, struct error *err) MUST_USE;

/* Zeroes and frees. NULL allowed. */
void tls_key_free(struct tls_key *key);

/* Appends the public half as SubjectPublicKeyInfo in PEM ("PUBLIC KEY"). */
bool tls_key_public(const struct tls_key *key, struct buffer *pem, struct error *err) MUST_USE;

/* Appends an ECDSA signature of a SHA-256 digest, in DER form (RFC 3279, 2.2.3). */
bool tls_key_sign(const struct tls_key *key, const uint8_t digest[TLS_DIGEST_SIZE],
                  struct buffer *signature, struct error *err) MUST_USE;

/* Public keys. */

/* Exactly one SubjectPublicKeyInfo in PEM, as `openssl pkey -pubout` writes it. */
bool tls_public_parse(const char *pem, size_t length, struct tls_public **out,
                      struct error *err) MUST_USE;

/* The public half of a private key. */
bool tls_public_of(const struct tls_key *key, struct tls_public **out, struct error *err) MUST_USE;

/* Appends the key as SubjectPublicKeyInfo in PEM. */
bool tls_public_write(const struct tls_public *public, struct buffer *pem,
                      struct error *err) MUST_USE;

/*
 * Whether this is the key's signature (DER) of a SHA-256 digest. ERROR_DENIED when it is not,
 * whatever is wrong with it: bytes behind it included.
 */
bool tls_public_verify(const struct tls_public *public, const uint8_t digest[TLS_DIGEST_SIZE],
                       const void *signature, size_t length, struct error *err) MUST_USE;

/* SHA-256 of the key's SubjectPublicKeyInfo (DER, the point uncompressed). */
void tls_public_pin(const struct tls_public *public, uint8_t pin[TLS_PIN_SIZE]);

bool tls_public_equal(const struct tls_public *a, const struct tls_public *b);

/* NULL allowed. */
void tls_public_free(struct tls_public *public);

#endif

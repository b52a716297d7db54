/* SPDX-License-Identifier: Apache-2.0 */
/* The half of tls/key.h that knows Mbed TLS's types: for tls/ only. */
#ifndef SALLYPORT_TLS_KEY_INTERNAL_H
#define SALLYPORT_TLS_KEY_INTERNAL_H

#include <mbedtls/md.h>
#include <mbedtls/pk.h>

#include "tls/key.h"

struct tls_key {
    mbedtls_pk_context pk;
};

struct tls_public {
    mbedtls_pk_context pk;
    uint8_t der[TLS_PUBLIC_DER_MAX]; /* SubjectPublicKeyInfo, as we write it */
    size_t length;
};

/*
 * A SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) that fills `length` bytes exactly: the only way in for
 * public keys, whatever they come in.
 */
bool tls_public_from_der(const uint8_t *der, size_t length, struct tls_public **out,
                         struct error *err) MUST_USE;

/* Whether a key of Mbed TLS is EC on P-256 or P-384; if not, *err says what it is. */
bool key_check_kind(const mbedtls_pk_context *pk, struct error *err) MUST_USE;

/* The hash that goes with the key's curve in what it signs: SHA-256 or SHA-384. */
mbedtls_md_type_t key_hash(const mbedtls_pk_context *pk);

/* Mbed TLS asks for contexts that are not const, and changes nothing in them. */
static inline mbedtls_pk_context *key_pk(const struct tls_key *key)
{
    return (mbedtls_pk_context *)(uintptr_t)&key->pk;
}

static inline mbedtls_pk_context *key_public_pk(const struct tls_public *public)
{
    return (mbedtls_pk_context *)(uintptr_t) & public->pk;
}

#endif

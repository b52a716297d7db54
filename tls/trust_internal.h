/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom a context trusts: CAs out of files or memory with their revocation lists, or one CA by the
 * pin of its key. For tls/ only.
 */
#ifndef SALLYPORT_TLS_TRUST_INTERNAL_H
#define SALLYPORT_TLS_TRUST_INTERNAL_H

#include "tls/context_internal.h"

/* Which hashes, keys and curves a chain may be made of. */
extern const mbedtls_x509_crt_profile trust_profile;

/* Loads what the settings name and hands it to the context's configuration. */
bool trust_load(const struct tls_settings *settings, struct tls_context *context,
                struct error *err) MUST_USE;

/* mbedtls_x509_crt_verify() by what the context trusts; `judge` as there. */
int trust_verify(const struct tls_context *context, mbedtls_x509_crt *chain, uint32_t *flags,
                 int (*judge)(void *, mbedtls_x509_crt *, int, uint32_t *), void *arg);

/*
 * What the context demands of a certificate of the peer's chain beside what Mbed TLS checks: flags
 * to be added. `depth` is 0 for the peer's own.
 */
uint32_t trust_judge(const struct tls_context *context, const mbedtls_x509_crt *certificate,
                     int depth);

/* A certificate that begins a moment from now was made, so it is the clocks that differ: takes the
 * flag away (TLS_CLOCK_SKEW_US). */
void trust_forgive_clocks(const mbedtls_x509_crt *certificate, uint32_t *flags);

/* trust_verify() of a client's chain that a handshake has verified before, by what holds now. */
bool trust_verify_again(const struct tls_context *context, mbedtls_x509_crt *chain,
                        uint32_t *flags) MUST_USE;

/* The alert that tells the peer why its certificate was refused (RFC 8446, 6.2). */
unsigned char trust_alert(uint32_t flags);

#endif

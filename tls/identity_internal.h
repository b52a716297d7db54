/* SPDX-License-Identifier: Apache-2.0 */
/* The half of tls/identity.c that knows Mbed TLS's types: for tls/ only. */
#ifndef SALLYPORT_TLS_IDENTITY_INTERNAL_H
#define SALLYPORT_TLS_IDENTITY_INTERNAL_H

#include <mbedtls/x509_crt.h>

#include "tls/identity.h"

/*
 * As identity_from_certificate(), from a parsed certificate. With `nameless`, one without CN and
 * SAN URI passes and its `bot` is "": a server is known by its DNS name, which the caller has
 * checked.
 */
bool identity_from_parsed(const mbedtls_x509_crt *certificate, bool nameless, struct identity *out,
                          struct error *err) MUST_USE;

/* Microseconds since 1970 of a certificate's time, which is UTC. */
int64_t identity_time_us(const mbedtls_x509_time *time);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream needs to know of a context: for tls/ only. */
#ifndef SALLYPORT_TLS_CONTEXT_INTERNAL_H
#define SALLYPORT_TLS_CONTEXT_INTERNAL_H

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>
#include <stdatomic.h>

#include "tls/context.h"

/* The most ALPN protocols that a context may name. */
#define TLS_ALPN_MAX 4

struct tls_context {
    atomic_uint references;
    enum tls_side side;
    bool has_crl;
    bool optional; /* a server's: a client may have no certificate */
    bool pinned;   /* trusts ca_pin; then authorities is empty */
    uint8_t ca_pin[TLS_PIN_SIZE];
    mbedtls_ssl_config config;
    mbedtls_x509_crt certificate; /* ours, then its intermediates; version 0 when there is none */
    mbedtls_pk_context key;
    mbedtls_x509_crt authorities;
    mbedtls_x509_crl revoked;
    char *alpn_text[TLS_ALPN_MAX];
    const char *alpn[TLS_ALPN_MAX + 1];
};

#endif

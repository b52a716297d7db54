/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a context's certificates and keys come from: a file, or PEM in memory; and the words for
 * what is wrong with them, which name the one or the other. For tls/ only.
 */
#ifndef SALLYPORT_TLS_MATERIAL_INTERNAL_H
#define SALLYPORT_TLS_MATERIAL_INTERNAL_H

#include <mbedtls/pk.h>
#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>

#include "tls/context.h"

#define MATERIAL_NAME_SIZE 128

struct material {
    const char *file;
    const char *pem;                /* wins */
    char given[MATERIAL_NAME_SIZE]; /* pem alone: "the certificate given by the authority" */
};

struct material material_certificate(const struct tls_settings *settings);
struct material material_key(const struct tls_settings *settings);
struct material material_authorities(const struct tls_settings *settings);

bool material_is_given(const struct material *source);
/* For messages: the file, or what was given by whom. */
const char *material_name(const struct material *source);

/* The errors name the source. */
bool material_certificates(const struct material *source, mbedtls_x509_crt *out,
                           struct error *err) MUST_USE;
bool material_private_key(const struct material *source, mbedtls_pk_context *out,
                          struct error *err) MUST_USE;
/* At least one revocation list. */
bool material_crls(const char *file, mbedtls_x509_crl *out, struct error *err) MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The half of tls/diagnose.h that knows Mbed TLS's types: for tls/ only. */
#ifndef SALLYPORT_TLS_DIAGNOSE_INTERNAL_H
#define SALLYPORT_TLS_DIAGNOSE_INTERNAL_H

#include <mbedtls/x509.h>

#include "tls/diagnose.h"

/* A name in OpenSSL's one-line form (X509_NAME_oneline()), which databases compare. */
void diagnose_one_line(const mbedtls_x509_name *name, char out[DIAGNOSE_TEXT_SIZE]);

#endif

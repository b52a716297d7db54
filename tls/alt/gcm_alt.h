/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mbed TLS's GCM context when libcrypto does the work (MBEDTLS_GCM_ALT): included by mbedtls/gcm.h,
 * whose contract tls/accelerate_gcm.c keeps, for whole messages and for messages in parts.
 */
#ifndef SALLYPORT_TLS_ALT_GCM_ALT_H
#define SALLYPORT_TLS_ALT_GCM_ALT_H

#include <stddef.h>

typedef struct mbedtls_gcm_context {
    struct evp_cipher_ctx_st *cipher; /* made and keyed by mbedtls_gcm_setkey() */
    struct evp_cipher_ctx_st *echo;   /* only while a message in parts is decrypted; see there */
    int mode;
} mbedtls_gcm_context;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/crypto.h"

#include <mbedtls/error.h>
#include <mbedtls/pem.h>
#include <mbedtls/pk.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/x509.h>
#include <psa/crypto.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static psa_status_t status;

static void start(void)
{
    status = psa_crypto_init();
}

bool crypto_start(struct error *err)
{
    if (pthread_once(&once, start) != 0 || status != PSA_SUCCESS)
        return error_set(err, ERROR_TLS, "cannot start the cryptography library");
    return true;
}

bool crypto_random(void *out, size_t length, struct error *err)
{
    if (!crypto_start(err))
        return false;
    int code = mbedtls_psa_get_random(MBEDTLS_PSA_RANDOM_STATE, out, length);
    return code == 0 || crypto_failed(err, code, "no random numbers");
}

static bool is_memory(int code)
{
    return code == MBEDTLS_ERR_X509_ALLOC_FAILED || code == MBEDTLS_ERR_PK_ALLOC_FAILED ||
           code == MBEDTLS_ERR_PEM_ALLOC_FAILED || code == MBEDTLS_ERR_ECP_ALLOC_FAILED ||
           code == MBEDTLS_ERR_ASN1_ALLOC_FAILED;
}

bool crypto_failed(struct error *err, int code, const char *format, ...)
{
    char text[ERROR_MESSAGE_SIZE];
    char words[160];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    mbedtls_strerror(code, words, sizeof words);
    if (is_memory(code))
        return error_set(err, ERROR_MEMORY, "%.300s: out of memory", text);
    return error_set(err, ERROR_TLS, "%.300s: %s", text, words);
}

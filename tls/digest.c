/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/digest.h"

/* Mbed TLS's software SHA-256 cannot fail: its return values are for hardware drivers, which
 * tls/mbedtls_config.h does not have. */
void digest_begin(struct digest *digest)
{
    mbedtls_sha256_init(&digest->context);
    (void)mbedtls_sha256_starts(&digest->context, 0);
}

void digest_add(struct digest *digest, const void *bytes, size_t length)
{
    (void)mbedtls_sha256_update(&digest->context, bytes, length);
}

void digest_finish(struct digest *digest, uint8_t out[DIGEST_SIZE])
{
    (void)mbedtls_sha256_finish(&digest->context, out);
    mbedtls_sha256_free(&digest->context);
}

void digest_of(const void *bytes, size_t length, uint8_t out[DIGEST_SIZE])
{
    struct digest digest;
    digest_begin(&digest);
    digest_add(&digest, bytes, length);
    digest_finish(&digest, out);
}

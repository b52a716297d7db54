/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 piece by piece, for statements that are longer than what is recorded of them. */
#ifndef SALLYPORT_TLS_DIGEST_H
#define SALLYPORT_TLS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include <mbedtls/sha256.h>

#define DIGEST_SIZE 32

struct digest {
    mbedtls_sha256_context context;
};

void digest_begin(struct digest *digest);
void digest_add(struct digest *digest, const void *bytes, size_t length);
void digest_finish(struct digest *digest, uint8_t out[DIGEST_SIZE]);

/* All at once. */
void digest_of(const void *bytes, size_t length, uint8_t out[DIGEST_SIZE]);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PEM texts (RFC 7468): read from files or memory, taken apart strictly, written. All memory that
 * has held one is zeroed before it is freed, because it may hold a key.
 */
#ifndef SALLYPORT_TLS_PEM_H
#define SALLYPORT_TLS_PEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* A text, or the bytes of a block. */
struct pem {
    unsigned char *bytes; /* followed by a NUL, as Mbed TLS wants PEM */
    size_t length;        /* without that NUL */
};

enum pem_file {
    PEM_FILE,              /* links are followed, as mounted secrets are made of them */
    PEM_FILE_SECRET,       /* also refused when group or others may open it */
    PEM_FILE_SECRET_OWNED, /* also refused when it is a symbolic link: one of our own making */
};

/* A whole file of 1 to `max` bytes. The error names it: ERROR_SYSTEM, or ERROR_CONFIG. */
bool pem_read(const char *path, enum pem_file kind, size_t max, struct pem *out,
              struct error *err) MUST_USE;

/* A copy of a text of 1 to `max` bytes that holds no NUL; ERROR_LIMIT or ERROR_MALFORMED. */
bool pem_copy(const char *text, size_t length, size_t max, struct pem *out,
              struct error *err) MUST_USE;

/* Zeroes and frees. Safe to call twice. */
void pem_release(struct pem *pem);

/*
 * The bytes of the only block of a text, whose label must be one of `labels` (ends with NULL); the
 * first of these is what an error calls for. Anything but white space around the block, a second
 * block, or headers inside it is ERROR_MALFORMED.
 */
bool pem_block(const char *text, size_t length, size_t max, const char *const *labels,
               struct pem *out, struct error *err) MUST_USE;

/* Appends a block. All room is reserved at once, so that no copy of a secret is left behind. */
bool pem_write(const char *label, const uint8_t *der, size_t length, struct buffer *out,
               struct error *err) MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as lower-case hexadecimal digits, for fingerprints, serial numbers and hashes. */
#ifndef SALLYPORT_BASE_HEX_H
#define SALLYPORT_BASE_HEX_H

#include <stddef.h>

/* The room that hex_encode() needs for `length` bytes, its NUL included. */
#define HEX_SIZE(length) (2 * (length) + 1)

/* Writes 2 × length digits and a NUL to `out`, which has HEX_SIZE(length) bytes. */
void hex_encode(const void *bytes, size_t length, char *out);

#endif

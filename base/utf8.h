/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict UTF-8, as RFC 3629 has it: no surrogates (U+D800–U+DFFF), no overlong forms, nothing past
 * U+10FFFF. NUL is a character like any other. Runs of ASCII are passed eight bytes at a time.
 */
#ifndef SALLYPORT_BASE_UTF8_H
#define SALLYPORT_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes (1 to 4) of the character at the start, or 0 where none starts there or it is cut off.
 */
size_t utf8_sequence(const void *bytes, size_t length);

/* The character of a sequence of 1 to 4 bytes that utf8_sequence() measured. */
uint32_t utf8_decode(const void *bytes, size_t size);

/* How many of the first bytes are valid UTF-8: up to the first byte that is not part of a
 * character. */
size_t utf8_prefix(const void *bytes, size_t length);

/* Whether all of it is valid. Empty is valid. */
bool utf8_valid(const void *bytes, size_t length);

#endif

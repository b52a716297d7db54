/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile text made harmless for a terminal, and cut to a number of its columns. */
#ifndef SALLYPORT_BASE_PRINTABLE_H
#define SALLYPORT_BASE_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

/*
 * Writes at most `columns` columns (0: no limit) of text; what does not fit ends in `…`. Bytes that
 * are no UTF-8, control characters, invisible ones and those that turn the direction of writing are
 * written as escapes. Returns the columns written; *cut (NULL allowed) says whether something was
 * cut off.
 */
size_t printable_write(struct byte_writer *writer, const void *text, size_t length, size_t columns,
                       bool *cut);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a configuration: its grammar, its comments and its positions. Internal to
 * base/config.
 *
 * cJSON reads the values but is lenient (it lets line breaks into strings and reads "01" as 1), and
 * keeps no positions. So the text is first walked by a strict scanner, which checks the grammar of
 * RFC 8259, reports the first mistake where it is, and blanks comments out in a copy for cJSON.
 * When a value is to be named in an error later, the same scanner walks the text again and counts
 * values: the nth value of the text is the nth of the tree.
 */
#ifndef SALLYPORT_BASE_CONFIG_TEXT_H
#define SALLYPORT_BASE_CONFIG_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct config_text {
    const char *name;  /* of the file, for messages */
    const char *bytes; /* as the file has them; need not end in NUL */
    size_t length;
};

/* Where a value stands. An array element and the root have no key: theirs is the value itself. */
struct config_spot {
    size_t key;   /* offset of the opening quote of its key */
    size_t value; /* offset of its first byte */
};

/*
 * Checks all of the text, and the limits of base/config.h. `blanked` is a copy of the text's bytes,
 * in which each comment is overwritten with spaces, line breaks apart.
 */
bool config_text_check(const struct config_text *text, char *blanked, struct error *err) MUST_USE;

/* Where the value number `ordinal` (from 0, parents before children) of a checked text stands. */
struct config_spot config_text_locate(const struct config_text *text, size_t ordinal);

/* Fills *err with ERROR_CONFIG and "FILE:LINE:COL: message" for an offset. Returns false. */
bool config_text_error(const struct config_text *text, size_t offset, struct error *err,
                       const char *format, ...) PRINTF_LIKE(4, 5);
bool config_text_verror(const struct config_text *text, size_t offset, struct error *err,
                        const char *format, va_list arguments) PRINTF_LIKE(4, 0);

#endif

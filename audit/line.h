/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of the audit log, read back: strict JSON into views of its top-level fields. Private to
 * audit/; takes bytes, knows no file.
 *
 * Not cJSON, because a record may hold what a C string cannot (a NUL inside of a statement must not
 * hide the rest of it), numbers must stay exact, and nothing needs to be allocated. What is
 * refused: anything that is not one JSON object (RFC 8259) in valid UTF-8, a key that comes twice,
 * nesting deeper than AUDIT_LINE_DEPTH, more fields than AUDIT_LINE_FIELDS, and a version that is
 * not 1.
 */
#ifndef SALLYPORT_AUDIT_LINE_H
#define SALLYPORT_AUDIT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define AUDIT_LINE_FIELDS 64 /* top-level fields of a line, or fields of an object within */
#define AUDIT_LINE_DEPTH  8  /* of arrays and objects */

/* A JSON value as it stands in the line. at is NULL for none. */
struct audit_value {
    const char *at;
    size_t length;
};

struct audit_field {
    struct audit_value key; /* without its quotes, escapes as they stand */
    struct audit_value value;
};

struct audit_line {
    struct audit_field fields[AUDIT_LINE_FIELDS];
    size_t count;
};

/* Checks a record and takes its fields. The views are into `text`. */
bool audit_line_read(const char *text, size_t length, struct audit_line *line,
                     struct error *err) MUST_USE;

/* The value of a field; .at is NULL when there is none. */
struct audit_value audit_line_find(const struct audit_line *line, const char *key);

/* Takes the fields of an object value; false when it is none. */
bool audit_value_object(struct audit_value value, struct audit_line *line);

/* Whether it is a string, and appends what it says to `out`; a lone surrogate becomes U+FFFD. */
bool audit_value_text(struct audit_value value, struct buffer *out, struct error *err) MUST_USE;

/* Whether it is a whole number that fits. */
bool audit_value_unsigned(struct audit_value value, uint64_t *number);

/* Whether it is a string of exactly these characters, which need no escapes. */
bool audit_value_is(struct audit_value value, const char *text);

/* Appends the bytes that a base64 string stands for; false when it is none. */
bool audit_value_base64(struct audit_value value, struct buffer *out, struct error *err) MUST_USE;

#endif

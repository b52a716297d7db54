/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records as rows for people. Private to audit/; writes into a buffer, knows no terminal.
 *
 *     TIME  BOT  DATABASE  USER  EVENT  DURATION  ROWS  OUTCOME  STATEMENT
 *
 * What a statement holds is hostile to the terminal that shows it: control characters of every kind
 * (C0, C1, DEL), invisible characters and those that turn the direction of writing are shown as
 * escapes (\n, \x1b, \u202e), so that a row is one line, in its own colours, in the order in which
 * the server read it. On a narrow terminal what was denied or failed has a second one: why.
 *
 * Events of the authority have, in the place of a statement, what they are about in words, and by
 * whom.
 */
#ifndef SALLYPORT_AUDIT_TABLE_H
#define SALLYPORT_AUDIT_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "audit/line.h"
#include "base/buffer.h"
#include "base/error.h"

#define AUDIT_TABLE_WIDTH_LEAST 76 /* narrower terminals get rows that they wrap */

struct audit_table {
    size_t width; /* columns of the terminal; 0: rows are as long as they are */
    bool colour;
    struct buffer scratch; /* of audit_table_init() */
};

void audit_table_init(struct audit_table *table, size_t width, bool colour);
void audit_table_release(struct audit_table *table);

/* Append the heading, and a record's row; each with its line's end. */
bool audit_table_heading(const struct audit_table *table, struct buffer *out,
                         struct error *err) MUST_USE;
bool audit_table_row(struct audit_table *table, const struct audit_line *line, struct buffer *out,
                     struct error *err) MUST_USE;

#endif

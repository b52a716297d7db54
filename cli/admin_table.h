/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people read of an authority's answers: tables of many things, and pages about one.
 *
 *     NAME    ROLES         CREATED          Every column is as wide as its widest cell. On a
 * terminal ci-1    shop-reader   3m ago           that is too narrow those that may be cut give
 * way, the ci-2    shop-rea…     2d ago           widest first; names and ids to be copied are
 * never cut.
 *
 *     ci-1  1 role                           A heading of the caller's, then labels, each with a
 *       roles         shop-reader            text that is wrapped at the terminal's width.
 *
 * Texts are somebody else's, and may be hostile to a terminal: they pass printable_write(), so that
 * a cell is one line, in its own colour, in the order in which it was written.
 *
 * Writing into a table that has failed does nothing; printing it says why.
 */
#ifndef SALLYPORT_CLI_ADMIN_TABLE_H
#define SALLYPORT_CLI_ADMIN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "cli/terminal.h"

#define ADMIN_COLUMNS_MAX     8
#define ADMIN_TABLE_CELLS_MAX (4U << 20)   /* of one table: more than an answer can hold */
#define ADMIN_TABLE_TEXT_MAX  (128U << 20) /* bytes of its cells, once escaped */
#define ADMIN_TEXT_MAX        4096         /* bytes of one cell or of a page's text; cut there */

enum admin_colour {
    ADMIN_PLAIN,
    ADMIN_DIM,
    ADMIN_GOOD,
    ADMIN_WARNING,
    ADMIN_BAD,
    ADMIN_HEADING,
};

/* Appends the text, made harmless; returns the columns it takes. */
size_t admin_write_text(struct byte_writer *out, const struct terminal *terminal,
                        enum admin_colour colour, const char *text);

/* --- tables --- */

struct admin_column {
    const char *heading;
    bool right;    /* numbers end at the right */
    bool optional; /* left out where no row has anything in it */
    size_t least;  /* columns that are left of it on a narrow terminal; 0: it is never cut */
};

struct admin_cell {
    size_t offset; /* in the texts */
    size_t length;
    size_t columns;
    enum admin_colour colour;
};

struct admin_table {
    const struct admin_column *columns; /* borrowed */
    size_t column_count;
    struct admin_cell *cells; /* row by row */
    size_t cell_count;
    size_t cell_room;
    struct buffer texts;
    struct error error; /* the first */
};

/* `columns` has 1 to ADMIN_COLUMNS_MAX elements, and lives as long as the table. */
void admin_table_init(struct admin_table *table, const struct admin_column *columns, size_t count);
void admin_table_release(struct admin_table *table);

/* The next cell, from the left to the right and row by row; an empty text shows as "-". */
void admin_table_cell(struct admin_table *table, enum admin_colour colour, const char *text);
void admin_table_cellf(struct admin_table *table, enum admin_colour colour, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Appends the heading and all rows, which must be whole. */
bool admin_table_print(const struct admin_table *table, const struct terminal *terminal,
                       struct buffer *out, struct error *err) MUST_USE;

/* --- pages --- */

#define ADMIN_PAGE_INDENT 2
#define ADMIN_PAGE_TEXT   16 /* the column where texts begin */
#define ADMIN_PAGE_LEAST  20 /* columns; a terminal that leaves fewer wraps by itself */

/* Appends a label (ours) and its text, wrapped between words; nothing for an empty text. */
void admin_page_row(struct byte_writer *out, const struct terminal *terminal, const char *label,
                    enum admin_colour colour, const char *format, ...) PRINTF_LIKE(5, 6);

/* --- times --- */

#define ADMIN_WHEN_SIZE 32

/* "in 58m", "3m ago", "now", or "never" for 0; returns `out`. */
const char *admin_when(int64_t at_us, int64_t now_us, char out[ADMIN_WHEN_SIZE]);
/* "58m": how long that is, in the largest unit that keeps two digits. */
const char *admin_span(int64_t us, char out[ADMIN_WHEN_SIZE]);

#endif

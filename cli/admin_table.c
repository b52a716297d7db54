/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/admin_table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"

#define TABLE_GAP  2
#define EMPTY_CELL "-"

/* The longest that one byte becomes: an escape, or a UTF-8 character as it is. */
#define ESCAPE_MAX 10

#define COLOUR_OFF "\x1b[0m"

static const char *const colours[] = {
    [ADMIN_PLAIN] = "",           [ADMIN_DIM] = "\x1b[2m",    [ADMIN_GOOD] = "\x1b[32m",
    [ADMIN_WARNING] = "\x1b[33m", [ADMIN_BAD] = "\x1b[1;31m", [ADMIN_HEADING] = "\x1b[1m",
};

static void put(struct byte_writer *out, const char *text)
{
    byte_writer_bytes(out, text, strlen(text));
}

static void put_spaces(struct byte_writer *out, size_t count)
{
    for (; count > 0; count--)
        byte_writer_u8(out, ' ');
}

/* Text of a number of columns at most (0: no limit); returns those that it takes. */
static size_t put_coloured(struct byte_writer *out, const struct terminal *terminal,
                           enum admin_colour colour, struct byte_view text, size_t columns)
{
    bool coloured = terminal->colour && colour != ADMIN_PLAIN;
    if (coloured)
        put(out, colours[colour]);
    size_t used = printable_write(out, text.data, text.length, columns, NULL);
    if (coloured)
        put(out, COLOUR_OFF);
    return used;
}

size_t admin_write_text(struct byte_writer *out, const struct terminal *terminal,
                        enum admin_colour colour, const char *text)
{
    return put_coloured(out, terminal, colour, byte_view(text, strlen(text)), 0);
}

/* --- tables --- */

void admin_table_init(struct admin_table *table, const struct admin_column *columns, size_t count)
{
    *table = (struct admin_table){.columns = columns, .column_count = count};
    buffer_init(&table->texts, ADMIN_TABLE_TEXT_MAX);
}

void admin_table_release(struct admin_table *table)
{
    free(table->cells);
    table->cells = NULL;
    table->cell_count = table->cell_room = 0;
    buffer_release(&table->texts);
}

static bool has_failed(const struct admin_table *table)
{
    return table->error.code != ERROR_NONE;
}

static bool make_room(struct admin_table *table)
{
    if (table->cell_count < table->cell_room)
        return true;
    size_t room = table->cell_room > 0 ? 2 * table->cell_room : 64 * ADMIN_COLUMNS_MAX;
    if (room > ADMIN_TABLE_CELLS_MAX)
        return error_set(&table->error, ERROR_LIMIT, "a table has at most %u cells",
                         ADMIN_TABLE_CELLS_MAX);
    struct admin_cell *cells = realloc(table->cells, room * sizeof *cells);
    if (!cells)
        return error_set(&table->error, ERROR_MEMORY, "out of memory");
    table->cells = cells;
    table->cell_room = room;
    return true;
}

void admin_table_cell(struct admin_table *table, enum admin_colour colour, const char *text)
{
    struct byte_writer into = byte_writer(&table->texts);
    if (has_failed(table) || !make_room(table))
        return;
    struct admin_cell cell = {.offset = buffer_length(&table->texts), .colour = colour};
    cell.columns = printable_write(&into, text, strnlen(text, ADMIN_TEXT_MAX), 0, NULL);
    cell.length = buffer_length(&table->texts) - cell.offset;
    if (into.failed)
        (void)error_set(&table->error, ERROR_LIMIT,
                        "the table is too large, or there is no memory for it");
    else
        table->cells[table->cell_count++] = cell;
}

void admin_table_cellf(struct admin_table *table, enum admin_colour colour, const char *format, ...)
{
    char text[ADMIN_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    admin_table_cell(table, colour, text);
}

struct layout {
    const struct admin_table *table;
    const struct terminal *terminal;
    size_t widths[ADMIN_COLUMNS_MAX]; /* 0: left out */
    size_t last;                      /* the last one that is not */
};

static void measure(struct layout *layout)
{
    const struct admin_table *table = layout->table;
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t *width = &layout->widths[i % table->column_count];
        if (*width < table->cells[i].columns)
            *width = table->cells[i].columns;
    }
    for (size_t i = 0; i < table->column_count; i++) {
        size_t heading = strlen(table->columns[i].heading);
        if (layout->widths[i] == 0 && table->columns[i].optional)
            continue;
        if (layout->widths[i] < heading)
            layout->widths[i] = heading;
        layout->last = i;
    }
}

static size_t least_width(const struct admin_column *column)
{
    size_t heading = strlen(column->heading);
    return column->least > heading ? column->least : heading;
}

/* The widest column that may still give way, or column_count. */
static size_t widest(const struct layout *layout)
{
    const struct admin_table *table = layout->table;
    size_t found = table->column_count;
    for (size_t i = 0; i < table->column_count; i++) {
        const struct admin_column *column = &table->columns[i];
        if (column->least == 0 || layout->widths[i] <= least_width(column))
            continue;
        if (found == table->column_count || layout->widths[i] > layout->widths[found])
            found = i;
    }
    return found;
}

/* Narrows columns until the table fits, or none gives way any more. */
static void fit(struct layout *layout)
{
    size_t width = layout->terminal->width;
    size_t total = 0;
    for (size_t i = 0; i < layout->table->column_count; i++)
        if (layout->widths[i] > 0)
            total += layout->widths[i] + (i < layout->last ? TABLE_GAP : 0);
    for (; width > 0 && total > width; total--) {
        size_t column = widest(layout);
        if (column == layout->table->column_count)
            return;
        layout->widths[column]--;
    }
}

static void put_cell(const struct layout *layout, size_t column, enum admin_colour colour,
                     struct byte_view text, struct byte_writer *out)
{
    size_t width = layout->widths[column];
    bool right = layout->table->columns[column].right;
    uint8_t shown[256];
    struct buffer trial;
    if (width == 0)
        return;
    buffer_init_fixed(&trial, shown, sizeof shown);
    struct byte_writer into = byte_writer(&trial);
    size_t used = right ? printable_write(&into, text.data, text.length, width, NULL) : 0;
    put_spaces(out, right ? width - used : 0);
    used = put_coloured(out, layout->terminal, colour, text, width);
    if (column == layout->last)
        byte_writer_u8(out, '\n');
    else
        put_spaces(out, TABLE_GAP + (right ? 0 : width - used));
}

static void put_headings(const struct layout *layout, struct byte_writer *out)
{
    for (size_t i = 0; i < layout->table->column_count; i++) {
        const char *heading = layout->table->columns[i].heading;
        put_cell(layout, i, ADMIN_HEADING, byte_view(heading, strlen(heading)), out);
    }
}

static void put_rows(const struct layout *layout, struct byte_writer *out)
{
    const struct admin_table *table = layout->table;
    for (size_t i = 0; i < table->cell_count; i++) {
        const struct admin_cell *cell = &table->cells[i];
        struct byte_view text = byte_view(buffer_bytes(&table->texts) + cell->offset, cell->length);
        if (cell->length > 0)
            put_cell(layout, i % table->column_count, cell->colour, text, out);
        else
            put_cell(layout, i % table->column_count, ADMIN_DIM,
                     byte_view(EMPTY_CELL, strlen(EMPTY_CELL)), out);
    }
}

bool admin_table_print(const struct admin_table *table, const struct terminal *terminal,
                       struct buffer *out, struct error *err)
{
    struct layout layout = {.table = table, .terminal = terminal};
    struct byte_writer writer = byte_writer(out);
    if (has_failed(table))
        return error_set(err, table->error.code, "%s", table->error.message);
    if (table->cell_count % table->column_count != 0)
        return error_set(err, ERROR_STATE, "the last row of the table is not whole");
    measure(&layout);
    fit(&layout);
    put_headings(&layout, &writer);
    put_rows(&layout, &writer);
    return byte_writer_finish(&writer, err);
}

/* --- pages --- */

struct page {
    struct byte_writer *out;
    const struct terminal *terminal;
    size_t column;
};

/* Whether a word of so many columns has to go to the next line. */
static bool must_wrap(const struct page *page, size_t columns)
{
    size_t width = page->terminal->width;
    return width >= ADMIN_PAGE_TEXT + ADMIN_PAGE_LEAST && page->column > ADMIN_PAGE_TEXT &&
           page->column + 1 + columns > width;
}

static void put_word(struct page *page, const char *word, size_t length)
{
    uint8_t shown[ESCAPE_MAX * ADMIN_TEXT_MAX];
    struct buffer cell;
    buffer_init_fixed(&cell, shown, sizeof shown);
    struct byte_writer into = byte_writer(&cell);
    size_t columns = printable_write(&into, word, length, 0, NULL);
    if (must_wrap(page, columns)) {
        byte_writer_u8(page->out, '\n');
        put_spaces(page->out, ADMIN_PAGE_TEXT);
        page->column = ADMIN_PAGE_TEXT;
    } else if (page->column > ADMIN_PAGE_TEXT) {
        put_spaces(page->out, 1);
        page->column++;
    }
    byte_writer_bytes(page->out, buffer_bytes(&cell), buffer_length(&cell));
    page->column += columns;
}

static void put_words(struct page *page, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, " ");
        if (length > 0)
            put_word(page, text, length);
        text += length;
        text += *text == ' ';
    }
}

void admin_page_row(struct byte_writer *out, const struct terminal *terminal, const char *label,
                    enum admin_colour colour, const char *format, ...)
{
    char text[ADMIN_TEXT_MAX];
    struct page page = {out, terminal, ADMIN_PAGE_TEXT};
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    if (!*text)
        return;
    put_spaces(out, ADMIN_PAGE_INDENT);
    size_t used = ADMIN_PAGE_INDENT + admin_write_text(out, terminal, colour, label);
    put_spaces(out, used < ADMIN_PAGE_TEXT ? ADMIN_PAGE_TEXT - used : 1);
    put_words(&page, text);
    byte_writer_u8(out, '\n');
}

/* --- times --- */

#define SECOND_US INT64_C(1000000)

const char *admin_span(int64_t us, char out[ADMIN_WHEN_SIZE])
{
    static const struct {
        int64_t seconds, until; /* of the unit; how long it is used */
        char letter;
    } units[] = {
        {1, 100, 's'}, {60, 100 * 60, 'm'}, {3600, 48 * 3600, 'h'}, {86400, INT64_MAX, 'd'}};
    int64_t seconds = us / SECOND_US + (us % SECOND_US >= SECOND_US / 2);
    size_t i = 0;
    while (seconds >= units[i].until)
        i++;
    /* To the nearest: a token of one hour has "60m" left a moment later, not 59. */
    (void)snprintf(out, ADMIN_WHEN_SIZE, "%" PRId64 "%c",
                   (seconds + units[i].seconds / 2) / units[i].seconds, units[i].letter);
    return out;
}

const char *admin_when(int64_t at_us, int64_t now_us, char out[ADMIN_WHEN_SIZE])
{
    char span[ADMIN_WHEN_SIZE];
    if (at_us == 0) {
        (void)snprintf(out, ADMIN_WHEN_SIZE, "never");
        return out;
    }
    int64_t left = 0;
    if (__builtin_sub_overflow(at_us, now_us, &left) || left == INT64_MIN)
        left = 0;
    if (left < SECOND_US / 2 && left > -SECOND_US / 2)
        (void)snprintf(out, ADMIN_WHEN_SIZE, "now");
    else if (left > 0)
        (void)snprintf(out, ADMIN_WHEN_SIZE, "in %.20s", admin_span(left, span));
    else
        (void)snprintf(out, ADMIN_WHEN_SIZE, "%.20s ago", admin_span(-left, span));
    return out;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit.h"
#include "audit/record.h"
#include "base/printable.h"

#define TABLE_GAP        "  "
#define TABLE_NUMBER_MAX 24

#define COLOUR_OFF     "\033[0m"
#define COLOUR_HEADING "\033[1m"
#define COLOUR_DIM     "\033[2m"
#define COLOUR_BOT     "\033[36m"
#define COLOUR_OK      "\033[32m"
#define COLOUR_ERROR   "\033[1;31m"
#define COLOUR_DENIED  "\033[1;37;41m"
#define COLOUR_UNKNOWN "\033[1;35m"

enum column { TIME, BOT, DATABASE, USER, EVENT, DURATION, ROWS, OUTCOME, COLUMNS };

enum tier { TINY, NARROW, USUAL, GENEROUS, TIERS };

/* The least width of each tier. */
static const size_t tier_widths[TIERS] = {0, 110, 140, 190};

struct column_look {
    const char *heading;
    bool right;          /* numbers end at the right */
    size_t width[TIERS]; /* 0: left out */
};

static const struct column_look looks[COLUMNS] = {
    {"TIME UTC", false, {8, 12, 23, 23}}, {"BOT", false, {10, 10, 14, 22}},
    {"DATABASE", false, {0, 8, 10, 16}},  {"USER", false, {0, 8, 10, 16}},
    {"EVENT", false, {13, 14, 14, 16}},   {"DURATION", true, {8, 8, 8, 8}},
    {"ROWS", true, {0, 6, 7, 9}},         {"OUTCOME", false, {7, 7, 7, 7}},
};

void audit_table_init(struct audit_table *table, size_t width, bool colour)
{
    if (width > 0 && width < AUDIT_TABLE_WIDTH_LEAST)
        width = AUDIT_TABLE_WIDTH_LEAST;
    *table = (struct audit_table){.width = width, .colour = colour};
    buffer_init(&table->scratch, AUDIT_RECORD_MAX);
}

void audit_table_release(struct audit_table *table)
{
    buffer_release(&table->scratch);
}

static enum tier tier_of(const struct audit_table *table)
{
    enum tier tier = GENEROUS;
    while (table->width > 0 && tier > TINY && table->width < tier_widths[tier])
        tier--;
    return table->width > 0 ? tier : USUAL;
}

static size_t column_width(const struct audit_table *table, enum column column)
{
    return looks[column].width[tier_of(table)];
}

/* The columns left for the statement; 0: no limit. */
static size_t statement_width(const struct audit_table *table)
{
    size_t used = 0;
    if (table->width == 0)
        return 0;
    for (enum column column = 0; column < COLUMNS; column++)
        if (column_width(table, column) > 0)
            used += column_width(table, column) + strlen(TABLE_GAP);
    return table->width - used;
}

struct painter {
    struct audit_table *table;
    const struct audit_line *line;
    struct byte_writer writer;
};

static void paint_text(struct byte_writer *writer, const char *text)
{
    byte_writer_bytes(writer, text, strlen(text));
}

static void paint_spaces(struct byte_writer *writer, size_t count)
{
    for (; count > 0; count--)
        byte_writer_u8(writer, ' ');
}

static void paint_cell(const struct audit_table *table, struct byte_writer *writer,
                       enum column column, struct byte_view text, const char *colour)
{
    size_t width = column_width(table, column);
    uint8_t shown[256];
    struct buffer cell;
    if (width == 0)
        return;
    buffer_init_fixed(&cell, shown, sizeof shown);
    struct byte_writer into = byte_writer(&cell);
    size_t used = printable_write(&into, text.data, text.length, width, NULL);
    size_t padding = width > used ? width - used : 0;
    paint_spaces(writer, looks[column].right ? padding : 0);
    if (table->colour && colour)
        paint_text(writer, colour);
    byte_writer_bytes(writer, buffer_bytes(&cell), buffer_length(&cell));
    if (table->colour && colour)
        paint_text(writer, COLOUR_OFF);
    paint_spaces(writer, looks[column].right ? 0 : padding);
    paint_text(writer, TABLE_GAP);
}

/* A field's text, in the scratch; empty when there is none. A value that is no string is shown as
 * it stands. */
static struct byte_view text_of(struct painter *painter, struct audit_value value)
{
    struct buffer *scratch = &painter->table->scratch;
    buffer_clear(scratch);
    if (!value.at)
        return byte_view("", 0);
    if (value.at[0] != '"')
        return byte_view(value.at, value.length);
    /* Only for want of memory; the row then lacks it, and the writer's failure says so. */
    if (!audit_value_text(value, scratch, NULL))
        painter->writer.failed = true;
    return byte_view(buffer_bytes(scratch), buffer_length(scratch));
}

static void paint_field(struct painter *painter, enum column column, const char *key,
                        const char *colour)
{
    struct byte_view text = text_of(painter, audit_line_find(painter->line, key));
    paint_cell(painter->table, &painter->writer, column, text, colour);
}

/* "2026-01-31T23:59:59.123456Z" as "2026-01-31 23:59:59.123", or as much of its second half as
 * there is room for. */
static void paint_time(struct painter *painter)
{
    char shown[64];
    size_t width = column_width(painter->table, TIME);
    struct byte_view time = text_of(painter, audit_line_find(painter->line, "time"));
    if (time.length == strlen("2026-01-31T23:59:59.123456Z")) {
        const char *at = (const char *)time.data;
        if (width < 20)
            snprintf(shown, sizeof shown, "%.*s", (int)width, at + 11);
        else
            snprintf(shown, sizeof shown, "%.10s %.12s", at, at + 11);
        time = byte_view(shown, strlen(shown));
    }
    paint_cell(painter->table, &painter->writer, TIME, time, COLOUR_DIM);
}

static void print_duration(uint64_t us, char *out, size_t size)
{
    if (us < 1000)
        snprintf(out, size, "%" PRIu64 "us", us);
    else if (us < 100 * 1000)
        snprintf(out, size, "%.1fms", (double)us / 1000);
    else if (us < 1000 * 1000)
        snprintf(out, size, "%" PRIu64 "ms", us / 1000);
    else if (us < 60ULL * 1000 * 1000)
        snprintf(out, size, "%.1fs", (double)us / 1000000);
    else if (us < 3600ULL * 1000 * 1000)
        snprintf(out, size, "%" PRIu64 "m%02us", us / 60000000, (unsigned)(us / 1000000 % 60));
    else
        snprintf(out, size, "%" PRIu64 "h%02um", us / 3600000000, (unsigned)(us / 60000000 % 60));
}

static void paint_duration(struct painter *painter)
{
    char shown[TABLE_NUMBER_MAX] = "";
    uint64_t us;
    if (audit_value_unsigned(audit_line_find(painter->line, "duration_us"), &us))
        print_duration(us, shown, sizeof shown);
    paint_cell(painter->table, &painter->writer, DURATION, byte_view_of(shown), NULL);
}

/* Rows that came back, or else rows that were changed. */
static void paint_rows(struct painter *painter)
{
    struct audit_value rows = audit_line_find(painter->line, "rows");
    if (!rows.at)
        rows = audit_line_find(painter->line, "affected_rows");
    paint_cell(painter->table, &painter->writer, ROWS, text_of(painter, rows), NULL);
}

static const char *outcome_colour(const struct audit_line *line)
{
    struct audit_value outcome = audit_line_find(line, "outcome");
    if (audit_value_is(outcome, "ok"))
        return COLOUR_OK;
    if (audit_value_is(outcome, "error"))
        return COLOUR_ERROR;
    if (audit_value_is(outcome, "denied"))
        return COLOUR_DENIED;
    return COLOUR_UNKNOWN;
}

/* The last column, painted part by part until its width is used up. */
struct remainder {
    struct painter *painter;
    size_t width, left; /* width 0: no limit */
    bool cut;
};

static bool remainder_open(const struct remainder *remainder)
{
    return remainder->width == 0 || (remainder->left > 0 && !remainder->cut);
}

static void remainder_add(struct remainder *remainder, struct byte_view text, const char *colour)
{
    struct byte_writer *writer = &remainder->painter->writer;
    if (text.length == 0 || !remainder_open(remainder))
        return;
    bool coloured = remainder->painter->table->colour && colour;
    if (coloured)
        paint_text(writer, colour);
    size_t used = printable_write(writer, text.data, text.length, remainder->left, &remainder->cut);
    if (coloured)
        paint_text(writer, COLOUR_OFF);
    remainder->left -= remainder->width ? used : 0;
}

static void remainder_add_field(struct remainder *remainder, const char *before, const char *key,
                                const char *after, const char *colour)
{
    struct audit_value value = audit_line_find(remainder->painter->line, key);
    if (!value.at)
        return;
    remainder_add(remainder, byte_view_of(before), colour);
    remainder_add(remainder, text_of(remainder->painter, value), colour);
    remainder_add(remainder, byte_view_of(after), colour);
}

static void remainder_add_error(struct remainder *remainder, const char *before)
{
    struct audit_line error;
    if (!audit_value_object(audit_line_find(remainder->painter->line, "error"), &error))
        return;
    struct byte_view code = text_of(remainder->painter, audit_line_find(&error, "code"));
    struct audit_value message = audit_line_find(&error, "message");
    remainder_add(remainder, byte_view_of(before), COLOUR_ERROR);
    remainder_add(remainder, code, COLOUR_ERROR);
    if (!message.at)
        return;
    remainder_add(remainder, byte_view_of(code.length > 0 ? " " : ""), NULL);
    remainder_add(remainder, text_of(remainder->painter, message), COLOUR_ERROR);
}

/* Whether the record is about a session as a whole: its reason is one word, its error has the text.
 */
static bool about_session(const struct audit_line *line)
{
    return !audit_line_find(line, "command").at;
}

/* Why it ended so comes first, in at most half of the width, because either part may be long. The
 * error of a command that was denied says the same as its reason. */
static void paint_why(struct painter *painter, struct remainder *rest, bool alone)
{
    bool good = audit_value_is(audit_line_find(painter->line, "outcome"), "ok");
    size_t width = alone ? rest->width : rest->width / 2;
    struct remainder why = {painter, width, width, false};
    bool reason = audit_line_find(painter->line, "reason").at;
    remainder_add_field(&why, "", "reason", "", good ? NULL : COLOUR_ERROR);
    if (!reason || about_session(painter->line))
        remainder_add_error(&why, reason ? ": " : "");
    if (rest->width > 0)
        rest->left -= why.width - why.left;
    rest->cut = alone && why.cut;
}

static void paint_statement(struct painter *painter)
{
    size_t width = statement_width(painter->table);
    struct remainder rest = {painter, width, width, false};
    const struct audit_line *line = painter->line;
    bool statement =
        audit_line_find(line, "statement").at || audit_line_find(line, "statement_base64").at;
    bool why = audit_line_find(line, "reason").at || audit_line_find(line, "error").at;
    bool client = about_session(line) && audit_line_find(line, "client").at;
    paint_why(painter, &rest, !statement && !client);
    if (why && (statement || client))
        remainder_add(&rest, byte_view_of(statement ? ": " : " "), NULL);
    remainder_add_field(&rest, "", "statement", "", NULL);
    remainder_add_field(&rest, "base64:", "statement_base64", "", NULL);
    remainder_add_field(&rest, " ", "params", "", COLOUR_DIM);
    remainder_add_field(&rest, " ", "attributes", "", COLOUR_DIM);
    if (client)
        remainder_add_field(&rest, "from ", "client", "", COLOUR_DIM);
    if (audit_value_is(audit_line_find(line, "event"), "session.start"))
        remainder_add_field(&rest, " roles ", "roles", "", COLOUR_DIM);
}

bool audit_table_heading(const struct audit_table *table, struct buffer *out, struct error *err)
{
    struct byte_writer writer = byte_writer(out);
    if (table->colour)
        paint_text(&writer, COLOUR_HEADING);
    for (enum column column = 0; column < COLUMNS; column++)
        paint_cell(table, &writer, column, byte_view_of(looks[column].heading), NULL);
    paint_text(&writer, "STATEMENT");
    if (table->colour)
        paint_text(&writer, COLOUR_OFF);
    byte_writer_u8(&writer, '\n');
    return byte_writer_finish(&writer, err);
}

bool audit_table_row(struct audit_table *table, const struct audit_line *line, struct buffer *out,
                     struct error *err)
{
    struct painter painter = {table, line, byte_writer(out)};
    paint_time(&painter);
    paint_field(&painter, BOT, "bot", COLOUR_BOT);
    paint_field(&painter, DATABASE, "database", NULL);
    paint_field(&painter, USER, "mysql_user", NULL);
    bool other = audit_value_is(audit_line_find(line, "event"), "command");
    paint_field(&painter, EVENT, other ? "command" : "event", NULL);
    paint_duration(&painter);
    paint_rows(&painter);
    paint_field(&painter, OUTCOME, "outcome", outcome_colour(line));
    paint_statement(&painter);
    byte_writer_u8(&painter.writer, '\n');
    return byte_writer_finish(&painter.writer, err);
}

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
    {"EVENT", false, {15, 15, 15, 16}},   {"DURATION", true, {8, 8, 8, 8}},
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

/* --- events of the authority --- */

static bool detail_is(struct audit_value key, const char *name)
{
    return key.length == strlen(name) && memcmp(key.at, name, key.length) == 0;
}

/* Details that have been said in words, and which row they stand in tells the rest. */
static bool is_said(struct audit_value key)
{
    static const char *const said[] = {"kind", "target", "why", "uid", "pid"};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (detail_is(key, said[i]))
            return true;
    return false;
}

static bool same(struct audit_value one, struct audit_value other)
{
    return one.at && other.at && one.length == other.length &&
           memcmp(one.at, other.at, one.length) == 0;
}

/* "role shop-reader: restore": what the event is about, and why; not what the column of bots has
 * already. */
static void add_subject(struct remainder *rest, const struct audit_line *details, bool *first)
{
    static const char *const keys[] = {"kind", "target", "why"};
    static const char *const between[] = {", ", " ", ": "};
    struct audit_value target = audit_line_find(details, "target");
    bool known = same(target, audit_line_find(rest->painter->line, "bot"));
    for (size_t i = known ? 2 : 0; i < sizeof keys / sizeof *keys; i++) {
        struct audit_value value = audit_line_find(details, keys[i]);
        if (!value.at)
            continue;
        remainder_add(rest, byte_view_of(*first ? "" : between[i]), NULL);
        remainder_add(rest, text_of(rest->painter, value), i == 2 ? NULL : COLOUR_BOT);
        *first = false;
    }
}

/* Texts of a list, with commas. Anything else in it is shown as it stands. */
static void add_list(struct remainder *rest, struct audit_value list, const char *colour)
{
    const char *at = list.at + 1;
    const char *end = list.at + list.length - 1;
    while (at < end) {
        size_t length = 0;
        while (at + length < end && at[length] != '"')
            length++;
        if (length > 0)
            remainder_add(rest, byte_view(*at == ',' ? ", " : at, *at == ',' ? 2 : length), colour);
        at += length;
        length = 1;
        while (at + length < end && at[length] != '"')
            length += at[length] == '\\' ? 2 : 1;
        if (at + length >= end)
            break;
        remainder_add(rest, text_of(rest->painter, (struct audit_value){at, length + 1}), colour);
        at += length + 1;
    }
}

static void add_value(struct remainder *rest, struct audit_value value, const char *colour)
{
    if (value.length >= 2 && value.at[0] == '[')
        add_list(rest, value, colour);
    else
        remainder_add(rest, text_of(rest->painter, value), colour);
}

/* What was added, changed and removed. */
static void add_changes(struct remainder *rest, const struct audit_line *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        const struct audit_field *field = &changes->fields[i];
        remainder_add(rest, byte_view_of(i == 0 ? "" : "; "), NULL);
        remainder_add(rest, byte_view(field->key.at, field->key.length), NULL);
        remainder_add(rest, byte_view_of(" "), NULL);
        add_value(rest, field->value, NULL);
    }
}

static void add_detail(struct remainder *rest, const struct audit_field *field)
{
    struct audit_line changes;
    if (detail_is(field->key, "changes") && audit_value_object(field->value, &changes)) {
        add_changes(rest, &changes);
        return;
    }
    bool until = detail_is(field->key, "not_after");
    remainder_add(rest, until ? byte_view_of("until") : byte_view(field->key.at, field->key.length),
                  COLOUR_DIM);
    remainder_add(rest, byte_view_of(" "), COLOUR_DIM);
    struct audit_value value = field->value;
    if (until && value.length > sizeof "\"2026-01-31T10:11" - 1) /* to the minute */
        remainder_add(rest, byte_view(value.at + 1, sizeof "2026-01-31T10:11" - 1), COLOUR_DIM);
    else
        add_value(rest, value, COLOUR_DIM);
}

/* Long, and wanted least: they come last. */
static bool is_long(struct audit_value key)
{
    return detail_is(key, "serial") || detail_is(key, "not_after");
}

/* "instance 77f3…, generation 2": each detail with its name. */
static void add_details(struct remainder *rest, const struct audit_line *details, bool longs,
                        bool *first)
{
    for (size_t i = 0; i < details->count; i++) {
        const struct audit_field *field = &details->fields[i];
        if (is_said(field->key) || is_long(field->key) != longs)
            continue;
        remainder_add(rest, byte_view_of(*first ? "" : ", "), COLOUR_DIM);
        add_detail(rest, field);
        *first = false;
    }
}

/* An administrator by his user id, which the authority's host knows him by. */
static void add_actor(struct remainder *rest, const struct audit_line *details, bool *first)
{
    const struct audit_line *line = rest->painter->line;
    struct audit_value uid = audit_line_find(details, "uid");
    const char *gap = *first ? "" : ", ";
    *first = *first && !uid.at && !audit_line_find(line, "client").at;
    if (uid.at) {
        remainder_add(rest, byte_view_of(gap), COLOUR_DIM);
        remainder_add(rest, byte_view_of("by uid "), COLOUR_DIM);
        remainder_add(rest, text_of(rest->painter, uid), COLOUR_DIM);
    } else if (audit_line_find(line, "client").at) {
        remainder_add(rest, byte_view_of(gap), COLOUR_DIM);
        remainder_add_field(rest, "from ", "client", "", COLOUR_DIM);
    }
}

/* Of a proxy, which no column is for. */
static void add_proxy(struct remainder *rest, const struct audit_line *details, bool *first)
{
    struct audit_value proxy = audit_line_find(rest->painter->line, "proxy");
    if (audit_line_find(rest->painter->line, "bot").at || !proxy.at ||
        same(proxy, audit_line_find(details, "target")))
        return;
    remainder_add_field(rest, "proxy ", "proxy", "", COLOUR_BOT);
    *first = false;
}

/* False: it is a session's record. */
static bool paint_authority(struct remainder *rest)
{
    struct audit_line details = {0};
    const struct audit_line *line = rest->painter->line;
    bool first = true;
    if (audit_line_find(line, "session").at ||
        (!audit_value_object(audit_line_find(line, "details"), &details) &&
         !audit_value_is(audit_line_find(line, "event"), "authority.stop")))
        return false;
    add_proxy(rest, &details, &first);
    add_subject(rest, &details, &first);
    if (audit_line_find(line, "roles").at) {
        remainder_add(rest, byte_view_of(first ? "roles " : ", roles "), NULL);
        add_value(rest, audit_line_find(line, "roles"), NULL);
        first = false;
    }
    add_details(rest, &details, false, &first);
    add_actor(rest, &details, &first);
    add_details(rest, &details, true, &first);
    return true;
}

static void paint_session(struct remainder *rest, bool client)
{
    const struct audit_line *line = rest->painter->line;
    remainder_add_field(rest, "", "statement", "", NULL);
    remainder_add_field(rest, "base64:", "statement_base64", "", NULL);
    remainder_add_field(rest, " ", "params", "", COLOUR_DIM);
    remainder_add_field(rest, " ", "attributes", "", COLOUR_DIM);
    if (client)
        remainder_add_field(rest, "from ", "client", "", COLOUR_DIM);
    if (audit_value_is(audit_line_find(line, "event"), "session.start"))
        remainder_add_field(rest, " roles ", "roles", "", COLOUR_DIM);
}

/* Whether what went wrong gets a line of its own: beside the columns of a narrow terminal it would
 * be cut to a few words, and it is what people look for. */
static bool why_below(const struct painter *painter)
{
    const struct audit_line *line = painter->line;
    struct audit_value outcome = audit_line_find(line, "outcome");
    return painter->table->width > 0 && tier_of(painter->table) <= NARROW &&
           (audit_value_is(outcome, "denied") || audit_value_is(outcome, "error")) &&
           (audit_line_find(line, "reason").at || audit_line_find(line, "error").at);
}

static void paint_statement(struct painter *painter)
{
    size_t width = statement_width(painter->table);
    struct remainder rest = {painter, width, width, false};
    const struct audit_line *line = painter->line;
    bool below = why_below(painter);
    bool why = !below && (audit_line_find(line, "reason").at || audit_line_find(line, "error").at);
    bool statement =
        audit_line_find(line, "statement").at || audit_line_find(line, "statement_base64").at;
    bool details = audit_line_find(line, "details").at;
    bool client = about_session(line) && audit_line_find(line, "client").at;
    if (!below)
        paint_why(painter, &rest, !statement && !client && !details);
    if (why && (statement || client || details))
        remainder_add(&rest, byte_view_of(statement || details ? ": " : " "), NULL);
    if (!paint_authority(&rest))
        paint_session(&rest, client);
}

/* Behind the time, so that the column of times stays one. */
static void paint_why_below(struct painter *painter)
{
    size_t indent = column_width(painter->table, TIME) + strlen(TABLE_GAP);
    size_t width = painter->table->width - indent;
    struct remainder rest = {painter, width, width, false};
    byte_writer_u8(&painter->writer, '\n');
    paint_spaces(&painter->writer, indent);
    paint_why(painter, &rest, true);
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
    if (why_below(&painter))
        paint_why_below(&painter);
    byte_writer_u8(&painter.writer, '\n');
    return byte_writer_finish(&painter.writer, err);
}

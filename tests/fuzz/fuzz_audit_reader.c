/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of an audit file, written by anyone: read, filtered, and shown as a row. A row is one
 * line, on a narrow terminal perhaps two, that holds no control character, whatever the record
 * holds.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/filter.h"
#include "audit/line.h"
#include "audit/table.h"
#include "base/utf8.h"

static void require(int condition)
{
    if (!condition)
        abort();
}

/* A narrow terminal may have one more line, which begins below the columns behind the time. */
static bool is_second_line(const uint8_t *bytes, size_t i, size_t length)
{
    static const char indent[] = "\n          ";
    return length - i >= sizeof indent && memcmp(bytes + i, indent, sizeof indent - 1) == 0;
}

static void check_row(const struct buffer *row, bool narrow)
{
    const uint8_t *bytes = buffer_bytes(row);
    size_t length = buffer_length(row);
    require(length > 0 && bytes[length - 1] == '\n');
    require(utf8_valid(bytes, length));
    for (size_t i = 0; i + 1 < length; i++) {
        if (narrow && is_second_line(bytes, i, length)) {
            narrow = false;
            continue;
        }
        require(bytes[i] >= 0x20 && bytes[i] != 0x7F);
        require(bytes[i] != 0xC2 || bytes[i + 1] >= 0xA0); /* C1 */
    }
}

static void show(const struct audit_line *line, size_t width)
{
    struct audit_table table;
    struct buffer row;
    audit_table_init(&table, width, false);
    buffer_init(&row, 64 * 1024 * 1024);
    require(audit_table_row(&table, line, &row, NULL));
    check_row(&row, width > 0 && width < 140);
    buffer_release(&row);
    audit_table_release(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct audit_line line;
    const struct audit_filter filter = {
        .bot = "c*", .database = "*", .grep = "select", .has_since = true};
    struct buffer scratch;
    bool matches;
    if (!audit_line_read((const char *)data, size, &line, NULL))
        return 0;
    require(line.count <= AUDIT_LINE_FIELDS);
    buffer_init(&scratch, 16 * 1024 * 1024);
    require(audit_filter_match(&filter, &line, &scratch, &matches, NULL));
    buffer_release(&scratch);
    show(&line, 0);
    show(&line, 80);
    show(&line, 160);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/files.h"
#include "audit/line.h"
#include "audit/reader.h"
#include "audit/show.h"
#include "audit/table.h"
#include "base/clock.h"
#include "base/printable.h"

/* --- one line --- */

static struct audit_line line;

static bool reads(const char *text)
{
    return audit_line_read(text, strlen(text), &line, NULL);
}

Test(line, reads_a_record)
{
    cr_assert(reads(
        " {\"v\":1,\"seq\" : 7, \"a\":[1,-0.5e+3,{\"b\":null}],\"t\":true,\"s\":\"\\u00e9\"} "));
    uint64_t seq;
    cr_expect(audit_value_unsigned(audit_line_find(&line, "seq"), &seq) && seq == 7);
    cr_expect_eq(line.count, 5);
    cr_expect_null(audit_line_find(&line, "none").at);
}

Test(line, refuses_what_is_no_record)
{
    static const char *const bad[] = {
        "",
        " ",
        "null",
        "[]",
        "7",
        "{",
        "{}",
        "{\"v\":1}",
        "{\"seq\":1}",
        "{\"v\":2,\"seq\":1}",
        "{\"v\":1,\"seq\":-1}",
        "{\"v\":1,\"seq\":18446744073709551616}",
        "{\"v\":1,\"seq\":1}x",
        "{\"v\":1,\"seq\":1,}",
        "{\"v\":1,\"seq\":1,\"seq\":2}",
        "{\"v\":1 \"seq\":1}",
        "{\"v\":1,\"seq\":1,\"a\":\"\xFF\"}",
        "{\"v\":1,\"seq\":1,\"a\":\"\t\"}",
        "{\"v\":1,\"seq\":1,\"a\":\"\\x\"}",
        "{\"v\":1,\"seq\":1,\"a\":\"\\u12g4\"}",
        "{\"v\":1,\"seq\":1,\"a\":01}",
        "{\"v\":1,\"seq\":1,\"a\":1.}",
        "{\"v\":1,\"seq\":1,\"a\":.1}",
        "{\"v\":1,\"seq\":1,\"a\":1e}",
        "{\"v\":1,\"seq\":1,\"a\":[1,]}",
        "{\"v\":1,\"seq\":1,\"a\":tru}",
        "{\"v\":1,\"seq\":1,\"a\":NaN}",
        "{\"v\":1,\"seq\":1,\"a\":[[[[[[[[[1]]]]]]]]]}",
        "{\"v\":1,\"seq\":1,\"a\":",
        "{\"v\":1,\"seq\":1,\"a",
        "{v:1,seq:1}",
        "{\"v\":\"1\",\"seq\":1}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(reads(bad[i]), "%s", bad[i]);
}

Test(line, refuses_every_cut)
{
    static const char whole[] = "{\"v\":1,\"seq\":1,\"a\":[\"\\u00e9\",{\"b\":1.5e3}],\"c\":false}";
    for (size_t length = 0; length < strlen(whole); length++)
        cr_expect_not(audit_line_read(whole, length, &line, NULL), "%.*s", (int)length, whole);
    cr_expect(reads(whole));
}

Test(line, bounds_the_number_of_fields)
{
    char text[4096] = "{\"v\":1,\"seq\":1";
    for (int i = 2; i < AUDIT_LINE_FIELDS + 1; i++) {
        char closed[4100];
        snprintf(closed, sizeof closed, "%s}", text);
        cr_assert(reads(closed));
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, ",\"f%d\":1", i);
    }
    strncat(text, "}", sizeof text - strlen(text) - 1);
    cr_expect_not(reads(text));
}

static void expect_text(const char *json, const char *wanted, size_t length)
{
    struct buffer out;
    buffer_init(&out, 1000);
    struct audit_value value = {json, strlen(json)};
    cr_assert(audit_value_text(value, &out, NULL));
    cr_expect(buffer_length(&out) == length && memcmp(buffer_bytes(&out), wanted, length) == 0,
              "%s", json);
    buffer_release(&out);
}

Test(line, decodes_strings)
{
    expect_text("\"\"", "", 0);
    expect_text("\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", "a\"\\/\b\f\n\r\tz", 10);
    expect_text("\"a\\u0000b\"", "a\0b", 3);
    expect_text("\"\\u00e9\\u20AC\\ud83d\\ude00\"", "é€😀", 9);
    expect_text("\"\\ud83d!\"", "\xEF\xBF\xBD!", 4);
    expect_text("\"\\ude00\"", "\xEF\xBF\xBD", 3);
    expect_text("\"\\ud83d\\u0041\"",
                "\xEF\xBF\xBD"
                "A",
                4);
}

Test(line, decodes_base64)
{
    struct buffer out;
    struct error err;
    buffer_init(&out, 100);
    struct audit_value value = {"\"AP+/YQ==\"", 10};
    cr_assert(audit_value_base64(value, &out, NULL));
    cr_expect(buffer_length(&out) == 4 && memcmp(buffer_bytes(&out), "\x00\xFF\xBF\x61", 4) == 0);
    value = (struct audit_value){"\"A*==\"", 6};
    cr_expect_not(audit_value_base64(value, &out, &err));
    buffer_release(&out);
}

/* --- harmless text --- */

static const char *printed(const char *text, size_t length, size_t columns, size_t *used)
{
    static char shown[4096];
    struct buffer out;
    buffer_init_fixed(&out, shown, sizeof shown - 1);
    struct byte_writer writer = byte_writer(&out);
    size_t width = printable_write(&writer, text, length, columns, NULL);
    shown[buffer_length(&out)] = '\0';
    if (used)
        *used = width;
    return shown;
}

Test(printable, shows_what_would_act_on_a_terminal)
{
    cr_expect_str_eq(printed("a\n\t\x1b[31m\x7f\0z", 11, 0, NULL), "a\\n\\t\\x1b[31m\\x7f\\x00z");
    cr_expect_str_eq(printed("\xC2\x9B"
                             "31m",
                             5, 0, NULL),
                     "\\x9b31m");
    cr_expect_str_eq(printed("\u202Eevil\u2066\u200B\uFEFF\u2028", 19, 0, NULL),
                     "\\u202eevil\\u2066\\u200b\\ufeff\\u2028");
    cr_expect_str_eq(printed("\U000E0041", 4, 0, NULL), "\\U0e0041");
    cr_expect_str_eq(printed("\xFF\xC3", 2, 0, NULL), "\\xff\\xc3");
    cr_expect_str_eq(printed("Aé漢😀 \\", 12, 0, NULL), "Aé漢😀 \\");
}

Test(printable, never_lets_a_control_through)
{
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint8_t text[4];
        size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (size_t i = size; i-- > 1;)
            text[i] = (uint8_t)(0x80 | (c >> 6 * (size - 1 - i) & 0x3F));
        text[0] = (uint8_t)(size == 1 ? c : (0xF00 >> size & 0xFF) | c >> 6 * (size - 1));
        const char *shown = printed((const char *)text, size, 0, NULL);
        bool control = c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x202A && c <= 0x202E) ||
                       (c >= 0x2066 && c <= 0x2069) || (c >= 0xD800 && c < 0xE000);
        cr_assert(!control || shown[0] == '\\', "U+%04X", c);
        if (c == 0xFFFF)
            c = 0x1FFFF; /* planes 2 and up hold nothing else of interest until tags */
    }
}

Test(printable, cuts_to_columns)
{
    size_t used;
    cr_expect_str_eq(printed("abcdef", 6, 6, &used), "abcdef");
    cr_expect_str_eq(printed("abcdefg", 7, 6, &used), "abcde…");
    cr_expect_eq(used, 6);
    cr_expect_str_eq(printed("漢漢漢", 9, 5, &used), "漢漢…");
    cr_expect_str_eq(printed("漢漢漢", 9, 4, &used), "漢…");
    cr_expect_eq(used, 3);
    cr_expect_str_eq(printed("a\n\n", 3, 4, &used), "a\\n…");
    for (size_t columns = 1; columns < 20; columns++) {
        printed("a漢\nb\x1b漢cde\u0301fgh", 18, columns, &used);
        cr_expect_leq(used, columns);
    }
}

/* --- a directory --- */

static char directory[64];
static char *shown_out, *shown_err;
static struct audit_shown shown;
static struct audit_show show;

static void open_directory(void)
{
    snprintf(directory, sizeof directory, "/tmp/test_audit_reader.XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    show = (struct audit_show){.directory = directory, .format = AUDIT_FORMAT_JSON};
}

static void remove_directory(void)
{
    struct audit_reader reader;
    if (audit_reader_open(&reader, directory, NULL)) {
        for (size_t i = 0; i < reader.count; i++) {
            char name[AUDIT_FILE_NAME_SIZE];
            audit_file_name(reader.first_seqs[i], name);
            unlinkat(reader.directory_fd, name, 0);
        }
        audit_reader_close(&reader);
    }
    rmdir(directory);
    free(shown_out);
    free(shown_err);
}

TestSuite(show, .init = open_directory, .fini = remove_directory, .timeout = 60);

static void append_text(uint64_t first_seq, const char *text)
{
    char name[AUDIT_FILE_NAME_SIZE], path[128];
    audit_file_name(first_seq, name);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "a");
    cr_assert_not_null(file);
    cr_assert(fputs(text, file) >= 0);
    fclose(file);
}

static void append_record(uint64_t first_seq, uint64_t seq, const char *fields)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"v\":1,\"seq\":%lu,\"time\":\"2026-01-31T10:%02lu:00.000000Z\",%s}\n", seq,
             seq % 60, fields);
    append_text(first_seq, text);
}

static void run(void)
{
    size_t out_size, err_size;
    struct error err;
    free(shown_out);
    free(shown_err);
    show.out = open_memstream(&shown_out, &out_size);
    show.err = open_memstream(&shown_err, &err_size);
    cr_assert(audit_show_run(&show, &shown, &err), "%s", err.message);
    fclose(show.out);
    fclose(show.err);
}

/* The seqs shown, as "3 4 7 ". */
static const char *seqs(void)
{
    static char list[4096];
    size_t length = 0;
    list[0] = '\0';
    for (const char *at = shown_out; (at = strstr(at, "\"seq\":")) != NULL;) {
        at += 6;
        length +=
            (size_t)snprintf(list + length, sizeof list - length, "%ld ", strtol(at, NULL, 10));
    }
    return list;
}

static void ten_records(void)
{
    for (uint64_t seq = 1; seq <= 10; seq++) {
        char fields[200];
        snprintf(fields, sizeof fields,
                 "\"event\":\"%s\",\"bot\":\"%s\",\"database\":\"db%lu\",\"session\":\"s%lu\","
                 "\"statement\":\"SELECT '\\u00e9%lu\\u0000Tail'\",\"outcome\":\"%s\"",
                 seq % 2 ? "query" : "session.start", seq > 5 ? "ci-a" : "cron", seq % 3, seq, seq,
                 seq % 4 ? "ok" : "denied");
        append_record(seq <= 4 ? 1 : seq <= 8 ? 5 : 9, seq, fields);
    }
}

Test(show, all_records_of_all_files_as_they_stand)
{
    ten_records();
    run();
    cr_expect_str_eq(seqs(), "1 2 3 4 5 6 7 8 9 10 ");
    cr_expect_eq(shown.records, 10);
    cr_expect_eq(strncmp(shown_out, "{\"v\":1,\"seq\":1,\"time\":", 22), 0);
    cr_expect_str_eq(shown_err, "");
}

Test(show, filters)
{
    ten_records();
    show.filter = (struct audit_filter){.bot = "ci-*"};
    run();
    cr_expect_str_eq(seqs(), "6 7 8 9 10 ");
    show.filter = (struct audit_filter){.database = "db1", .outcome = "ok"};
    run();
    cr_expect_str_eq(seqs(), "1 7 10 ");
    show.filter = (struct audit_filter){.outcome = "denied"};
    run();
    cr_expect_str_eq(seqs(), "4 8 ");
    show.filter = (struct audit_filter){.event = "session.*"};
    run();
    cr_expect_str_eq(seqs(), "2 4 6 8 10 ");
    show.filter = (struct audit_filter){.session = "s1"};
    run();
    cr_expect_str_eq(seqs(), "1 ");
    show.filter = (struct audit_filter){.grep = "é7"};
    run();
    cr_expect_str_eq(seqs(), "7 ");
    show.filter = (struct audit_filter){.grep = "select 'é1", .bot = "cron"};
    run();
    cr_expect_str_eq(seqs(), "1 ");
    show.filter = (struct audit_filter){.grep = "no such text"};
    run();
    cr_expect_str_eq(seqs(), "");
}

Test(show, greps_behind_a_nul_and_within_bytes)
{
    ten_records();
    append_record(9, 11, "\"statement_base64\":\"/0RST1AgVEFCTEU=\""); /* \xFF DROP TABLE */
    show.filter.grep = "tail'";
    run();
    cr_expect_eq(shown.records, 10);
    show.filter.grep = "drop table";
    run();
    cr_expect_str_eq(seqs(), "11 ");
}

Test(show, filters_by_time)
{
    int64_t at;
    ten_records();
    cr_assert(clock_parse("2026-01-31T10:03:00Z", &at, NULL));
    show.filter = (struct audit_filter){.has_since = true, .since_us = at};
    run();
    cr_expect_str_eq(seqs(), "3 4 5 6 7 8 9 10 ");
    show.filter = (struct audit_filter){.has_until = true, .until_us = at};
    run();
    cr_expect_str_eq(seqs(), "1 2 ");
    append_record(9, 11, "\"no\":\"time matters\"");
    append_text(9, "{\"v\":1,\"seq\":12}\n");
    run();
    cr_expect_str_eq(seqs(), "1 2 ");
}

Test(show, skips_files_last_written_before_since)
{
    struct timespec old[2] = {{1000, 0}, {1000, 0}};
    char path[128];
    ten_records();
    append_text(1, "rubbish that would be reported\n");
    snprintf(path, sizeof path, "%s/audit-%020d.jsonl", directory, 1);
    cr_assert_eq(utimensat(AT_FDCWD, path, old, 0), 0);
    show.filter = (struct audit_filter){.has_since = true, .since_us = 2000LL * 1000000};
    run();
    cr_expect_str_eq(seqs(), "5 6 7 8 9 10 ");
    cr_expect_eq(shown.unreadable, 0);
    show.has_newest = true;
    show.newest = 100;
    run();
    cr_expect_str_eq(seqs(), "5 6 7 8 9 10 ");
}

Test(show, newest_records_that_match)
{
    ten_records();
    show.has_newest = true;
    show.newest = 3;
    run();
    cr_expect_str_eq(seqs(), "8 9 10 ");
    show.filter.bot = "cron";
    run();
    cr_expect_str_eq(seqs(), "3 4 5 ");
    show.newest = 100;
    run();
    cr_expect_str_eq(seqs(), "1 2 3 4 5 ");
    show.newest = 0;
    run();
    cr_expect_str_eq(seqs(), "");
}

Test(show, newest_of_a_file_larger_than_a_window)
{
    char *padding = malloc(1001);
    char fields[1100];
    cr_assert_not_null(padding);
    memset(padding, 'x', 1000);
    padding[1000] = '\0';
    for (uint64_t seq = 1; seq <= 1200; seq++) {
        char text[1300];
        snprintf(fields, sizeof fields, "\"bot\":\"%s\",\"p\":\"%.900s\"",
                 seq % 400 == 7 ? "rare" : "often", padding);
        snprintf(text, sizeof text, "{\"v\":1,\"seq\":%lu,%s}\n", seq, fields);
        append_text(1, text);
    }
    free(padding);
    show.has_newest = true;
    show.newest = 2;
    run();
    cr_expect_str_eq(seqs(), "1199 1200 ");
    show.filter.bot = "rare";
    run();
    cr_expect_str_eq(seqs(), "407 807 ");
}

Test(show, names_each_line_that_it_cannot_read)
{
    char wanted[200];
    ten_records();
    append_text(5, "{\"v\":1,\"seq\":8,\"cut\n");
    append_text(9, "not json\n{\"v\":3,\"seq\":1}\n{\"v\":1,\"seq\":11,\"a\":\"\xFF\"}\n");
    run();
    cr_expect_eq(shown.records, 10);
    cr_expect_eq(shown.unreadable, 4);
    snprintf(wanted, sizeof wanted, "%s/audit-%020d.jsonl:5: unreadable: ", directory, 5);
    cr_expect_not_null(strstr(shown_err, wanted), "%s", shown_err);
    snprintf(wanted, sizeof wanted, "%s/audit-%020d.jsonl:4: unreadable: a record of version 3",
             directory, 9);
    cr_expect_not_null(strstr(shown_err, wanted), "%s", shown_err);
    show.has_newest = true;
    show.newest = 1; /* the same line numbers, though reading begins elsewhere */
    run();
    cr_expect_not_null(strstr(shown_err, wanted), "%s", shown_err);
}

Test(show, names_a_line_that_is_cut_at_the_end)
{
    ten_records();
    append_text(9, "{\"v\":1,\"seq\":11,");
    run();
    cr_expect_eq(shown.records, 10);
    cr_expect_eq(shown.unreadable, 1);
    cr_expect_not_null(strstr(shown_err, ".jsonl:3: unreadable: cut off"), "%s", shown_err);
}

Test(show, passes_over_a_line_without_end)
{
    char path[128];
    ten_records();
    snprintf(path, sizeof path, "%s/audit-%020d.jsonl", directory, 9);
    int fd = open(path, O_WRONLY | O_APPEND);
    cr_assert(fd >= 0);
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(write(fd, block, sizeof block), (ssize_t)sizeof block);
    cr_assert_eq(write(fd, "\n", 1), 1);
    close(fd);
    append_record(9, 11, "\"a\":1");
    run();
    cr_expect_str_eq(seqs(), "1 2 3 4 5 6 7 8 9 10 11 ");
    cr_expect_eq(shown.unreadable, 1);
    cr_expect_not_null(strstr(shown_err, ".jsonl:3: unreadable: longer"), "%s", shown_err);
}

Test(show, empty_and_missing_directories)
{
    struct error err;
    run();
    cr_expect_eq(shown.records, 0);
    show.directory = "/nonexistent/audit";
    cr_expect_not(audit_show_run(&show, &shown, &err));
    cr_expect_not_null(strstr(err.message, "/nonexistent/audit"));
}

/* Appends while it is followed, then stops it; asked before each wait. */
static bool next_step(void *arg)
{
    int *step = arg;
    switch ((*step)++) {
    case 0:
        append_record(9, 11, "\"a\":1");
        return false;
    case 1:
        append_text(9, "{\"v\":1,\"se");
        return false;
    case 2:
        append_text(9, "q\":12}\n");
        append_record(13, 13, "\"a\":1");
        append_record(14, 14, "\"a\":1");
        return false;
    case 3:
        append_text(14, "{\"v\":1,\"seq\":15,\"cut");
        append_record(16, 16, "\"a\":1");
        return false;
    default:
        return true;
    }
}

Test(show, follows_across_rotation)
{
    int step = 0;
    ten_records();
    show.follow = show.has_newest = true;
    show.newest = 2;
    show.stop = next_step;
    show.stop_arg = &step;
    run();
    cr_expect_str_eq(seqs(), "9 10 11 12 13 14 16 ");
    cr_expect_eq(shown.unreadable, 1, "%s", shown_err);
}

static bool first_file_late(void *arg)
{
    int *step = arg;
    if ((*step)++ == 0)
        append_record(1, 1, "\"a\":1");
    return *step > 2;
}

Test(show, follows_a_directory_that_is_empty_at_first)
{
    int step = 0;
    show.follow = true;
    show.stop = first_file_late;
    show.stop_arg = &step;
    run();
    cr_expect_str_eq(seqs(), "1 ");
}

/* --- the table --- */

static const char *row(const char *json, size_t width, bool colour)
{
    static char text[8192];
    struct audit_table table;
    struct buffer out;
    buffer_init_fixed(&out, text, sizeof text - 1);
    cr_assert(reads(json), "%s", json);
    audit_table_init(&table, width, colour);
    cr_assert(audit_table_row(&table, &line, &out, NULL));
    text[buffer_length(&out)] = '\0';
    audit_table_release(&table);
    return text;
}

#define RECORD                                                                                 \
    "{\"v\":1,\"seq\":1,\"time\":\"2026-01-31T10:11:12.345678Z\",\"event\":\"query\",\"bot\":" \
    "\"ci-a\","                                                                                \
    "\"database\":\"shop\",\"mysql_user\":\"reader\",\"command\":\"query\","

Test(table, shows_a_record_in_one_line)
{
    const char *text = row(RECORD "\"statement\":\"SELECT 1\",\"outcome\":\"ok\",\"rows\":3,"
                                  "\"duration_us\":1234}",
                           160, false);
    static const char *const parts[] = {"2026-01-31 10:11:12.345  ci-a ",
                                        "shop",
                                        "reader",
                                        "query",
                                        " 1.2ms",
                                        " 3  ok",
                                        "SELECT 1\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_expect_not_null(strstr(text, parts[i]), "%s is not in\n%s", parts[i], text);
    cr_expect_eq(strchr(text, '\033'), NULL);
}

Test(table, says_why_first)
{
    const char *text = row(RECORD "\"statement\":\"SELECT x\",\"outcome\":\"error\",\"error\":"
                                  "{\"code\":1054,\"message\":\"Unknown column\"}}",
                           0, true);
    cr_expect_not_null(strstr(text, "\033[1;31merror"), "%s", text);
    cr_expect_lt((const void *)strstr(text, "1054"), (const void *)strstr(text, "Unknown column"));
    cr_expect_lt((const void *)strstr(text, "Unknown column"),
                 (const void *)strstr(text, "SELECT x"));
    text = row(RECORD "\"outcome\":\"denied\",\"reason\":\"role a denies\"}", 0, false);
    cr_expect_not_null(strstr(text, "denied   role a denies"), "%s", text);
}

Test(table, shows_the_statement_behind_a_long_reason)
{
    const char *text =
        row(RECORD
            "\"statement\":\"DROP TABLE t\",\"outcome\":\"denied\",\"reason\":\"a reason that "
            "alone would fill the whole of the last column, were it allowed to do so, with words "
            "and words\",\"error\":{\"code\":1227,\"message\":\"sallyport: no\"}}",
            140, false);
    cr_expect_not_null(strstr(text, "…: DROP"), "%s", text);
    cr_expect_null(strstr(text, "1227"), "%s", text);
    text = row("{\"v\":1,\"seq\":1,\"event\":\"session.end\",\"client\":\"10.0.0.1:5\","
               "\"outcome\":\"ok\",\"reason\":\"client_quit\"}",
               0, false);
    cr_expect_not_null(strstr(text, "  client_quit from 10.0.0.1:5\n"), "%s", text);
}

/* Beside the columns of a narrow terminal there would be a few words of it. */
Test(table, gives_a_reason_its_own_line_on_a_narrow_terminal)
{
    static const size_t widths[] = {76, 80, 109, 120, 139};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        const char *text = row(RECORD "\"statement\":\"DROP TABLE t\",\"outcome\":\"denied\","
                                      "\"reason\":\"no role allows the statement DROP TABLE\"}",
                               widths[i], false);
        const char *below = strchr(text, '\n');
        cr_expect_not_null(strstr(text, "DROP TABLE t\n"), "%s", text);
        cr_assert_not_null(below);
        cr_expect_str_eq(below + 1 + strspn(below + 1, " "),
                         "no role allows the statement DROP TABLE\n");
    }
    const char *text = row(RECORD "\"outcome\":\"ok\",\"reason\":\"r\"}", 80, false);
    cr_expect_eq(strchr(text, '\n')[1], '\0', "what went well has one line: %s", text);
}

#define OF_AUTHORITY "{\"v\":1,\"seq\":1,\"time\":\"2026-01-31T10:11:12.345678Z\","

Test(table, shows_events_of_the_authority_in_words)
{
    const char *text =
        row(OF_AUTHORITY "\"event\":\"lock.create\",\"bot\":\"ci-1\",\"client\":\"unix\","
                         "\"details\":{\"lock\":\"0123456789abcdef\",\"kind\":\"bot\","
                         "\"target\":\"ci-1\",\"why\":\"leaked\",\"uid\":0,\"pid\":7},"
                         "\"outcome\":\"ok\"}",
            0, false);
    cr_expect_not_null(strstr(text, "  leaked, lock 0123456789abcdef, by uid 0\n"), "%s", text);
    text = row(OF_AUTHORITY "\"event\":\"lock.create\",\"proxy\":\"p-1\",\"details\":{\"kind\":"
                            "\"proxy\",\"target\":\"p-1\",\"why\":\"w\"},\"outcome\":\"ok\"}",
               0, false);
    cr_expect_not_null(strstr(text, "  proxy p-1: w\n"), "%s", text);
    text = row(OF_AUTHORITY "\"event\":\"proxy.join\",\"proxy\":\"p-1\",\"client\":\"10.0.0.1:5\","
                            "\"details\":{\"token\":\"ab\",\"names\":[\"a\",\"b\"]},"
                            "\"outcome\":\"ok\"}",
               0, false);
    cr_expect_not_null(strstr(text, "  proxy p-1, token ab, names a, b, from 10.0.0.1:5\n"), "%s",
                       text);
    text = row(OF_AUTHORITY "\"event\":\"bot.roles\",\"bot\":\"ci-1\",\"roles\":[\"r\"],"
                            "\"details\":{\"uid\":0},\"outcome\":\"ok\"}",
               0, false);
    cr_expect_not_null(strstr(text, "  roles r, by uid 0\n"), "%s", text);
    text = row(OF_AUTHORITY "\"event\":\"document.apply\",\"details\":{\"changes\":{\"added\":"
                            "[\"role a\",\"mapping CN=\\\"x\\\",O=y\"],\"removed\":3},\"uid\":1},"
                            "\"outcome\":\"ok\"}",
               0, false);
    cr_expect_not_null(strstr(text, "  added role a, mapping CN=\"x\",O=y; removed 3, by uid 1\n"),
                       "%s", text);
    text = row(OF_AUTHORITY "\"event\":\"bot.join\",\"client\":\"10.0.0.1:5\",\"details\":"
                            "{\"target\":\"ci-1\"},\"outcome\":\"denied\",\"reason\":\"no\"}",
               0, false);
    cr_expect_not_null(strstr(text, "  no: ci-1, from 10.0.0.1:5\n"), "%s", text);
}

static size_t columns_of(const char *text)
{
    size_t columns = 0;
    for (; *text && *text != '\n'; text++)
        columns += ((uint8_t)*text & 0xC0) != 0x80; /* of narrow characters */
    return columns;
}

Test(table, keeps_to_the_terminals_width)
{
    static const size_t widths[] = {60, 80, 100, 109, 110, 120, 149, 150, 160, 250};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        const char *text =
            row(RECORD
                "\"statement\":\"SELECT '\\u001b[2J\\n\\u0000 a text that is long enough to be cut "
                "on each of the terminals that are tried here, even on one of two hundred and "
                "fifty columns, which is quite a lot of columns, and all columns of the table "
                "come before it, so that it is sure to be cut off at some place before the end'"
                "\",\"params\":[1],\"outcome\":\"ok\",\"rows\":123456789012345}",
                widths[i], false);
        size_t most = widths[i] < AUDIT_TABLE_WIDTH_LEAST ? AUDIT_TABLE_WIDTH_LEAST : widths[i];
        cr_expect_leq(columns_of(text), most, "%zu at %zu:\n%s", columns_of(text), widths[i], text);
        cr_expect_eq(strcmp(text + strlen(text) - 4, "…\n"), 0, "%s", text);
    }
}

Test(table, survives_fields_of_any_type)
{
    static const char *const values[] = {"null",
                                         "true",
                                         "-1.5",
                                         "[]",
                                         "{}",
                                         "\"\"",
                                         "\"\\u0000\"",
                                         "[\"a\",{\"b\":[1]}]",
                                         "{\"code\":{},\"message\":[]}"};
    static const char *const fields[] = {
        "time",   "bot",   "event",     "duration_us",      "rows",   "outcome",
        "reason", "error", "statement", "statement_base64", "params", "client"};
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            char json[200];
            snprintf(json, sizeof json, "{\"v\":1,\"seq\":1,\"%s\":%s}", fields[f], values[v]);
            const char *text = row(json, 120, false);
            cr_expect_eq(strchr(text, '\n'), text + strlen(text) - 1, "%s", text);
        }
    }
}

Test(filter, reads_times)
{
    int64_t at;
    struct error err;
    cr_assert(audit_filter_time("10m", 3600LL * 1000000, &at, NULL));
    cr_expect_eq(at, 3000LL * 1000000);
    cr_assert(audit_filter_time("1970-01-01T00:00:01+00:00", 0, &at, NULL));
    cr_expect_eq(at, 1000000);
    cr_expect_not(audit_filter_time("yesterday", 0, &at, &err));
    cr_expect_not_null(strstr(err.message, "yesterday"));
}

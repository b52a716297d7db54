/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/admin_table.h"

#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cli/admin_json.h"

static char *text_of(struct buffer *out)
{
    static char text[65536];
    size_t length = buffer_length(out);
    cr_assert_lt(length, sizeof text);
    memcpy(text, buffer_bytes(out), length);
    text[length] = '\0';
    buffer_release(out);
    return text;
}

static const struct admin_column columns[] = {
    {.heading = "NAME"},
    {.heading = "ROLES", .least = 8},
    {.heading = "COUNT", .right = true},
    {.heading = "LOCKED", .optional = true, .least = 6},
};

#define COLUMNS (sizeof columns / sizeof *columns)

static void add_row(struct admin_table *table, const char *name, const char *roles,
                    const char *count, const char *lock)
{
    admin_table_cell(table, ADMIN_PLAIN, name);
    admin_table_cell(table, ADMIN_PLAIN, roles);
    admin_table_cell(table, ADMIN_PLAIN, count);
    admin_table_cell(table, ADMIN_BAD, lock);
}

/* Prints and releases. */
static const char *print(struct admin_table *table, size_t width, bool colour)
{
    struct buffer out;
    struct error err = {0};
    const struct terminal terminal = {.width = width, .colour = colour};
    buffer_init(&out, 65536);
    cr_assert(admin_table_print(table, &terminal, &out, &err), "%s", err.message);
    admin_table_release(table);
    return text_of(&out);
}

Test(cli_admin_table, columns_are_as_wide_as_their_widest_cell)
{
    struct admin_table table;
    admin_table_init(&table, columns, COLUMNS);
    add_row(&table, "ci-1", "shop-reader", "7", "");
    add_row(&table, "nightly", "", "12345678", "leaked");
    cr_assert_str_eq(print(&table, 0, false), "NAME     ROLES           COUNT  LOCKED\n"
                                              "ci-1     shop-reader         7  -\n"
                                              "nightly  -            12345678  leaked\n");
}

Test(cli_admin_table, an_optional_column_without_anything_in_it_is_left_out)
{
    struct admin_table table;
    admin_table_init(&table, columns, COLUMNS);
    add_row(&table, "ci-1", "a", "7", "");
    cr_assert_str_eq(print(&table, 0, false), "NAME  ROLES  COUNT\n"
                                              "ci-1  a          7\n");
}

Test(cli_admin_table, a_narrow_terminal_cuts_what_may_be_cut)
{
    struct admin_table table;
    admin_table_init(&table, columns, COLUMNS);
    add_row(&table, "a-name-that-is-copied", "a-role-that-is-very-long-indeed", "7", "");
    cr_assert_str_eq(print(&table, 45, false), "NAME                   ROLES            COUNT\n"
                                               "a-name-that-is-copied  a-role-that-is…      7\n");
    admin_table_init(&table, columns, COLUMNS);
    add_row(&table, "a-name-that-is-copied", "a-role-that-is-very-long-indeed", "7", "");
    cr_assert_str_eq(print(&table, 10, false), "NAME                   ROLES     COUNT\n"
                                               "a-name-that-is-copied  a-role-…      7\n");
}

Test(cli_admin_table, no_line_is_longer_than_the_terminal_where_it_can_be_helped)
{
    for (size_t width = 60; width <= 140; width++) {
        struct admin_table table;
        admin_table_init(&table, columns, COLUMNS);
        add_row(&table, "ci-1", "an ASCII text that is cut in the middle of it, whereever it is",
                "7", "a reason that goes on and on and on and on and on and on and on");
        const char *line = print(&table, width, false);
        while (*line) {
            size_t bytes = strcspn(line, "\n");
            size_t columns_used = 0;
            for (size_t i = 0; i < bytes; i++)
                columns_used += ((unsigned char)line[i] & 0xC0) != 0x80;
            cr_assert_leq(columns_used, width, "%zu: %.*s", width, (int)bytes, line);
            line += bytes + 1;
        }
    }
}

Test(cli_admin_table, hostile_text_stays_in_its_cell)
{
    struct admin_table table;
    admin_table_init(&table, columns, COLUMNS);
    add_row(&table, "a\x1b[2J\nb", "\xE2\x80\xAEgnp.exe", "\xC2\x9B", "\xFF\xFE");
    const char *text = print(&table, 0, false);
    cr_assert_not_null(strstr(text, "a\\x1b[2J\\nb  \\u202egnp.exe   \\x9b  \\xff\\xfe\n"), "%s",
                       text);
    cr_assert_null(strchr(text, 0x1b));
}

Test(cli_admin_table, wide_characters_count_twice)
{
    struct admin_table table;
    admin_table_init(&table, columns, COLUMNS);
    add_row(&table, "日本", "x", "1", "");
    add_row(&table, "abcd", "x", "1", "");
    cr_assert_str_eq(print(&table, 0, false), "NAME  ROLES  COUNT\n"
                                              "日本  x          1\n"
                                              "abcd  x          1\n");
}

Test(cli_admin_table, colours_do_not_move_columns)
{
    struct admin_table table;
    admin_table_init(&table, columns, COLUMNS);
    add_row(&table, "ci-1", "a", "1", "locked");
    const char *text = print(&table, 0, true);
    cr_assert_not_null(strstr(text, "\x1b[1mNAME\x1b[0m  \x1b[1mROLES\x1b[0m  "), "%s", text);
    cr_assert_not_null(strstr(text, "ci-1  a          1  \x1b[1;31mlocked\x1b[0m\n"), "%s", text);
}

Test(cli_admin_table, ten_thousand_rows)
{
    struct admin_table table;
    struct buffer out;
    struct error err = {0};
    const struct terminal terminal = {.width = 80};
    char name[32];
    admin_table_init(&table, columns, COLUMNS);
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(name, sizeof name, "bot-%d", i);
        add_row(&table, name, "shop-reader", "1", "");
    }
    buffer_init(&out, 4 << 20);
    cr_assert(admin_table_print(&table, &terminal, &out, &err), "%s", err.message);
    admin_table_release(&table);
    cr_assert_gt(buffer_length(&out), 10000 * strlen("bot-1  shop-reader  1\n"));
    buffer_release(&out);
}

Test(cli_admin_table, half_a_row_is_a_fault_of_ours_and_not_a_table)
{
    struct admin_table table;
    struct buffer out;
    struct error err = {0};
    const struct terminal terminal = {0};
    admin_table_init(&table, columns, COLUMNS);
    admin_table_cell(&table, ADMIN_PLAIN, "only one");
    buffer_init(&out, 4096);
    cr_assert_not(admin_table_print(&table, &terminal, &out, &err));
    cr_assert_eq(err.code, ERROR_STATE);
    admin_table_release(&table);
    buffer_release(&out);
}

static void *no_memory(void *memory, size_t size)
{
    (void)memory;
    (void)size;
    return NULL;
}

Test(cli_admin_table, want_of_memory_is_said_when_it_is_printed)
{
    struct admin_table table;
    struct buffer out;
    struct error err = {0};
    const struct terminal terminal = {0};
    buffer_init(&out, 4096);
    admin_table_init(&table, columns, COLUMNS);
    buffer_set_allocator(no_memory);
    add_row(&table, "a", "b", "c", "d");
    buffer_set_allocator(NULL);
    add_row(&table, "a", "b", "c", "d");
    cr_assert_not(admin_table_print(&table, &terminal, &out, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_eq(buffer_length(&out), 0);
    admin_table_release(&table);
    buffer_release(&out);
}

/* --- pages --- */

Test(cli_admin_table, a_page_wraps_between_words_under_its_text)
{
    struct buffer out;
    const struct terminal terminal = {.width = 40};
    buffer_init(&out, 4096);
    struct byte_writer writer = byte_writer(&out);
    admin_page_row(&writer, &terminal, "why", ADMIN_DIM, "%s",
                   "no role of this bot allows the account");
    admin_page_row(&writer, &terminal, "nothing", ADMIN_DIM, "%s", "");
    admin_page_row(&writer, &terminal, "hostile", ADMIN_DIM, "%s", "a\nb \x1b[31m");
    cr_assert_str_eq(text_of(&out), "  why           no role of this bot\n"
                                    "                allows the account\n"
                                    "  hostile       a\\nb \\x1b[31m\n");
}

/* --- times --- */

#define SECOND INT64_C(1000000)

static void expect_when(int64_t left_us, const char *expected)
{
    char out[ADMIN_WHEN_SIZE];
    const int64_t now = INT64_C(1770000000) * SECOND;
    cr_assert_str_eq(admin_when(now + left_us, now, out), expected);
}

Test(cli_admin_table, times_are_told_from_now)
{
    expect_when(0, "now");
    expect_when(SECOND / 4, "now");
    expect_when(-SECOND / 4, "now");
    expect_when(58 * SECOND, "in 58s");
    expect_when(-3 * 60 * SECOND, "3m ago");
    expect_when(58 * 60 * SECOND + 20 * SECOND, "in 58m");
    expect_when(3600 * SECOND - 1, "in 60m"); /* a token of one hour, a moment later */
    expect_when(23 * 3600 * SECOND, "in 23h");
    expect_when(-40 * 86400 * SECOND, "40d ago");
    expect_when(3650 * 86400 * SECOND, "in 3650d");
}

Test(cli_admin_table, times_at_the_ends_of_the_range)
{
    char out[ADMIN_WHEN_SIZE];
    cr_assert_str_eq(admin_when(0, 1, out), "never");
    cr_assert_str_eq(admin_when(INT64_MIN, INT64_MAX, out), "now");
    cr_assert_str_eq(admin_when(INT64_MAX, 0, out), "in 106751991d");
}

/* --- JSON --- */

static const char *json_line(const char *text)
{
    struct buffer out;
    struct error err = {0};
    cJSON *value = cJSON_Parse(text);
    cr_assert_not_null(value);
    buffer_init(&out, 65536);
    cr_assert(admin_json_line(value, &out, &err), "%s", err.message);
    cJSON_Delete(value);
    return text_of(&out);
}

static const char *json_pretty(const char *text)
{
    struct buffer out;
    struct error err = {0};
    cJSON *value = cJSON_Parse(text);
    cr_assert_not_null(value);
    buffer_init(&out, 65536);
    cr_assert(admin_json_pretty(value, &out, &err), "%s", err.message);
    cJSON_Delete(value);
    return text_of(&out);
}

Test(cli_admin_json, a_line_is_the_value_without_blanks)
{
    cr_assert_str_eq(json_line("{\"a\": [1, true, null, \"x\"], \"b\": {}, \"c\": -2.5}"),
                     "{\"a\":[1,true,null,\"x\"],\"b\":{},\"c\":-2.5}\n");
    cr_assert_str_eq(json_line("9007199254740991"), "9007199254740991\n");
}

Test(cli_admin_json, what_a_terminal_would_act_on_is_an_escape_that_means_the_same)
{
    const char *line =
        json_line("\"\\u001b[2J \\u009b \\u202e \\ud83d\\ude00 \\udb40\\udc41 é \x7F\"");
    cr_assert_str_eq(line, "\"\\u001b[2J \\u009b \\u202e \xF0\x9F\x98\x80 \\udb40\\udc41 é "
                           "\\u007f\"\n");
    cJSON *back = cJSON_Parse(line);
    cr_assert_not_null(back);
    cr_assert_str_eq(back->valuestring,
                     "\x1b[2J \xC2\x9B \xE2\x80\xAE \xF0\x9F\x98\x80 \xF3\xA0\x81\x81 é \x7F");
    cJSON_Delete(back);
}

Test(cli_admin_json, keys_are_hostile_too)
{
    cr_assert_str_eq(json_line("{\"a\\u202e\\n\": 1}"), "{\"a\\u202e\\n\":1}\n");
}

Test(cli_admin_json, laid_out_it_is_written_as_people_write_it)
{
    cr_assert_str_eq(json_pretty("{\"name\":\"a\",\"allow\":{\"databases\":[\"shop\"]}}"),
                     "{ \"name\": \"a\", \"allow\": { \"databases\": [\"shop\"] } }\n");
    cr_assert_str_eq(
        json_pretty(
            "{\"name\":\"a-name-that-takes-much-room-on-the-line\",\"allow\":{\"databases\":"
            "[\"shop\"],\"mysql_users\":[]}}"),
        "{\n"
        "  \"name\": \"a-name-that-takes-much-room-on-the-line\",\n"
        "  \"allow\": { \"databases\": [\"shop\"], \"mysql_users\": [] }\n"
        "}\n");
}

Test(cli_admin_json, no_line_is_longer_than_it_need_be)
{
    const char *line =
        json_pretty("{\"schemas\":[\"aaaaaaaaaaaaaaaaaaaaaaaa\",\"bbbbbbbbbbbbbbbbbbbb"
                    "bbbb\",\"cccccccccccccccccccccccc\",\"dddddddddddddddd\"],"
                    "\"x\":{\"y\":[[[[[[[[1,2,3]]]]]]]]}}");
    while (*line) {
        size_t length = strcspn(line, "\n");
        cr_assert_leq(length, ADMIN_JSON_WIDTH, "%.*s", (int)length, line);
        line += length + 1;
    }
}

Test(cli_admin_json, too_deep_is_an_error_and_not_a_part_of_it)
{
    char text[256] = "";
    struct buffer out;
    struct error err = {0};
    memset(text, '[', 40);
    memset(text + 40, ']', 40);
    cJSON *value = cJSON_Parse(text);
    cr_assert_not_null(value);
    buffer_init(&out, 65536);
    cr_assert_not(admin_json_line(value, &out, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    buffer_clear(&out);
    cr_assert_not(admin_json_pretty(value, &out, &err));
    buffer_release(&out);
    cJSON_Delete(value);
}

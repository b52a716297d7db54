/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "protocol/capability.h"
#include "protocol/text_result.h"

static struct text_result result;
static struct buffer wire;
static uint8_t sequence;
static struct error err;

static void begin(uint32_t capabilities)
{
    text_result_init(&result, capabilities);
    buffer_init(&wire, 2 * 1024 * 1024);
    sequence = 1;
    err = (struct error){0};
}

static void end(void)
{
    text_result_release(&result);
    buffer_release(&wire);
}

static void send(const void *payload, size_t length)
{
    cr_assert(packet_append(&wire, sequence++, payload, length, NULL));
}

#define SEND(literal) send(literal, sizeof(literal) - 1)

#define COLUMN      \
    "\x03"          \
    "def\0\0\0\x01" \
    "a\0\x0c\x2d\0\0\4\0\0\xfd\0\0\0\0\0"
#define OLD_EOF "\xfe\0\0\2\0"
#define NEW_EOF "\xfe\0\0\2\0\0\0"

/* All at once. */
static bool feed(bool *done)
{
    return text_result_feed(&result, byte_view(buffer_bytes(&wire), buffer_length(&wire)), done,
                            &err);
}

static void expect_done(void)
{
    bool done = false;
    cr_assert(feed(&done), "%s", err.message);
    cr_assert(done);
}

/* The error's kind and its words. */
static void expect_refused(enum error_code code, const char *words)
{
    bool done = false;
    cr_assert_not(feed(&done));
    cr_assert_eq(err.code, code, "%s", err.message);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
    end();
}

static void expect_value(size_t row, size_t column, const char *text)
{
    struct byte_view value;
    cr_assert(text_result_value(&result, row, column, &value));
    cr_assert(byte_view_equals(value, text));
}

static void two_columns(bool eof)
{
    SEND("\x02");
    SEND(COLUMN);
    SEND(COLUMN);
    if (eof)
        SEND(OLD_EOF);
}

Test(text_result, rows_with_deprecate_eof)
{
    struct byte_view value;
    begin(CAPABILITY_DEPRECATE_EOF);
    two_columns(false);
    SEND("\x01"
         "a"
         "\x02"
         "bc");
    SEND("\xfb"
         "\0");
    SEND(NEW_EOF);
    expect_done();
    cr_assert_eq(result.rows, 2);
    expect_value(0, 0, "a");
    expect_value(0, 1, "bc");
    cr_assert_not(text_result_value(&result, 1, 0, &value), "NULL is no value");
    expect_value(1, 1, "");
    cr_assert_not(text_result_value(&result, 2, 0, &value), "there is no such row");
    cr_assert_not(text_result_value(&result, 0, 2, &value), "there is no such column");
    end();
}

Test(text_result, rows_with_old_eofs)
{
    begin(0);
    two_columns(true);
    SEND("\x01"
         "a"
         "\x01"
         "b");
    SEND(OLD_EOF);
    expect_done();
    expect_value(0, 1, "b");
    end();
}

/* ProxySQL #3296: some servers send them whatever was agreed. */
Test(text_result, old_eofs_in_spite_of_deprecate_eof)
{
    begin(CAPABILITY_DEPRECATE_EOF);
    two_columns(true);
    SEND("\x01"
         "a"
         "\x01"
         "b");
    SEND(OLD_EOF);
    expect_done();
    expect_value(0, 0, "a");
    end();
}

Test(text_result, no_rows)
{
    for (int deprecate = 0; deprecate < 2; deprecate++) {
        begin(deprecate ? CAPABILITY_DEPRECATE_EOF : 0);
        two_columns(!deprecate);
        if (deprecate)
            SEND(NEW_EOF);
        else
            SEND(OLD_EOF);
        expect_done();
        cr_assert_eq(result.rows, 0);
        end();
    }
}

Test(text_result, ok)
{
    begin(0);
    SEND("\0\0\0\2\0\0\0");
    expect_done();
    cr_assert_not(result.failed);
    cr_assert_eq(result.columns, 0);
    end();
}

Test(text_result, err_in_place_of_a_result)
{
    begin(0);
    SEND("\xff\x28\x04#42000You have an error");
    expect_done();
    cr_assert(result.failed);
    cr_assert_eq(result.code, 1064);
    cr_assert_str_eq(result.sqlstate, "42000");
    cr_assert_str_eq(result.message, "You have an error");
    end();
}

Test(text_result, err_in_mid_result)
{
    begin(CAPABILITY_DEPRECATE_EOF);
    two_columns(false);
    SEND("\x01"
         "a"
         "\x01"
         "b");
    SEND("\xff\x25\x05#70100killed");
    expect_done();
    cr_assert(result.failed);
    cr_assert_eq(result.code, 1317);
    end();
}

/* However the bytes are cut. */
Test(text_result, byte_by_byte)
{
    begin(CAPABILITY_DEPRECATE_EOF);
    two_columns(false);
    SEND("\x01"
         "a"
         "\x02"
         "bc");
    SEND(NEW_EOF);
    bool done = false;
    for (size_t i = 0; i < buffer_length(&wire); i++) {
        cr_assert_not(done);
        cr_assert(text_result_feed(&result, byte_view(buffer_bytes(&wire) + i, 1), &done, &err));
    }
    cr_assert(done);
    expect_value(0, 1, "bc");
    end();
}

Test(text_result, rows_past_the_limit_are_counted)
{
    begin(CAPABILITY_DEPRECATE_EOF);
    two_columns(false);
    for (size_t i = 0; i < TEXT_RESULT_ROWS_MAX + 10; i++)
        SEND("\x01"
             "a"
             "\x01"
             "b");
    SEND(NEW_EOF);
    expect_done();
    struct byte_view value;
    cr_assert_eq(result.rows, TEXT_RESULT_ROWS_MAX + 10);
    expect_value(TEXT_RESULT_ROWS_MAX - 1, 1, "b");
    cr_assert_not(text_result_value(&result, TEXT_RESULT_ROWS_MAX, 0, &value));
    end();
}

Test(text_result, the_largest_packet)
{
    static uint8_t row[TEXT_RESULT_PACKET_MAX];
    begin(CAPABILITY_DEPRECATE_EOF);
    SEND("\x01");
    SEND(COLUMN);
    memset(row, 'x', sizeof row);
    memcpy(row, "\xfc\xfd\xff", 3); /* 65,533 bytes follow */
    send(row, sizeof row);
    SEND(NEW_EOF);
    expect_done();
    struct byte_view value;
    cr_assert(text_result_value(&result, 0, 0, &value));
    cr_assert_eq(value.length, sizeof row - 3);
    end();
}

Test(text_result, refuses_rows_that_lie)
{
    static const struct {
        const char *row;
        size_t length;
    } rows[] = {
        {"\x05"
         "abc",
         4}, /* longer than the packet */
        {"\x01"
         "a",
         2}, /* one value short */
        {"\x01"
         "a\x01"
         "b\x01"
         "c",
         6}, /* one too many */
        {"\x01"
         "a\xff",
         3}, /* 0xFF is no length */
        {"\x01"
         "a\xfd\xff\xff\xff",
         6}, /* 16 MiB */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(CAPABILITY_DEPRECATE_EOF);
        two_columns(false);
        send(rows[i].row, rows[i].length);
        expect_refused(ERROR_MALFORMED, "row");
    }
}

/* A row that is not kept is read as carefully. */
Test(text_result, refuses_a_lying_row_past_the_limit)
{
    begin(CAPABILITY_DEPRECATE_EOF);
    two_columns(false);
    for (size_t i = 0; i < TEXT_RESULT_ROWS_MAX; i++)
        SEND("\x01"
             "a"
             "\x01"
             "b");
    SEND("\x09"
         "a");
    expect_refused(ERROR_MALFORMED, "row");
}

Test(text_result, refuses_column_counts)
{
    begin(0);
    SEND("\x11");
    expect_refused(ERROR_LIMIT, "columns");
    begin(0);
    SEND("\xfe\xff\xff\xff\xff\xff\xff\xff\xff");
    expect_refused(ERROR_LIMIT, "columns");
    begin(0);
    SEND("\x02\x00");
    expect_refused(ERROR_MALFORMED, "columns");
    begin(0);
    SEND("\xfc\x01");
    expect_refused(ERROR_MALFORMED, "columns");
}

Test(text_result, refuses_a_request_for_a_file)
{
    begin(0);
    SEND("\xfb/etc/passwd");
    expect_refused(ERROR_MALFORMED, "file");
}

Test(text_result, refuses_more_results)
{
    begin(0);
    SEND("\0\0\0\x0a\0\0\0");
    expect_refused(ERROR_MALFORMED, "more than one result");
    begin(0);
    two_columns(true);
    SEND("\xfe\0\0\x0a\0");
    expect_refused(ERROR_MALFORMED, "more than one result");
}

Test(text_result, refuses_definitions_without_their_eof)
{
    begin(0);
    two_columns(false);
    SEND("\x01"
         "a"
         "\x01"
         "b");
    expect_refused(ERROR_MALFORMED, "EOF");
}

Test(text_result, refuses_an_end_that_was_not_agreed)
{
    begin(0);
    two_columns(true);
    SEND(NEW_EOF);
    expect_refused(ERROR_MALFORMED, "EOF");
}

Test(text_result, refuses_empty_packets)
{
    begin(0);
    send("", 0);
    expect_refused(ERROR_MALFORMED, "empty");
}

Test(text_result, refuses_other_sequence_ids)
{
    begin(0);
    sequence = 2;
    SEND("\x02");
    expect_refused(ERROR_MALFORMED, "sequence");
}

Test(text_result, refuses_packets_past_the_limit_by_their_header)
{
    begin(0);
    cr_assert(buffer_append(&wire, "\x01\x00\x01\x01", 4, NULL)); /* 65,537 bytes */
    expect_refused(ERROR_LIMIT, "65537 bytes in an answer");
    begin(0);
    cr_assert(buffer_append(&wire, "\xff\xff\xff\x01", 4, NULL));
    expect_refused(ERROR_LIMIT, "in an answer");
}

Test(text_result, refuses_bytes_behind_the_end)
{
    begin(0);
    SEND("\0\0\0\2\0\0\0");
    cr_assert(buffer_append(&wire, "x", 1, NULL));
    expect_refused(ERROR_MALFORMED, "behind");
    begin(0);
    SEND("\0\0\0\2\0\0\0");
    SEND("\0\0\0\2\0\0\0");
    expect_refused(ERROR_MALFORMED, "behind");
    begin(0);
    SEND("\0\0\0\2\0\0\0");
    SEND("\xff\x28\x04#42000late");
    expect_refused(ERROR_MALFORMED, "behind");
    begin(0);
    SEND("\xff\x28\x04#42000refused");
    SEND("\xff\x28\x04#42000late");
    expect_refused(ERROR_MALFORMED, "behind");
}

Test(text_result, refuses_answers_without_end)
{
    begin(CAPABILITY_DEPRECATE_EOF);
    two_columns(false);
    bool done = false, good = true;
    size_t fed = 0;
    while (good && fed < 2 * TEXT_RESULT_BYTES_MAX) {
        SEND("\x01"
             "a"
             "\x01"
             "b");
        good = feed(&done);
        fed += buffer_length(&wire);
        buffer_clear(&wire);
    }
    cr_assert_not(good);
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_not(done);
    end();
}

static unsigned allocations_left;

static void *fail_at_last(void *memory, size_t size)
{
    return allocations_left-- > 0 ? realloc(memory, size) : NULL;
}

Test(text_result, out_of_memory)
{
    for (unsigned nth = 0; nth < 2; nth++) {
        begin(CAPABILITY_DEPRECATE_EOF);
        two_columns(false);
        SEND("\x01"
             "a"
             "\x01"
             "b");
        SEND(NEW_EOF);
        allocations_left = nth;
        buffer_set_allocator(fail_at_last);
        bool done = false;
        bool good = feed(&done);
        buffer_set_allocator(NULL);
        cr_assert_not(good);
        cr_assert_eq(err.code, ERROR_MEMORY);
        end();
    }
}

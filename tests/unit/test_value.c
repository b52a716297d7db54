/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/value.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* A parameter's type and flag byte, and the bytes of its value. */
struct one {
    uint16_t type;
    struct byte_view bytes;
};

static struct one one(uint8_t type, uint8_t flags, const char *bytes, size_t length)
{
    return (struct one){(uint16_t)(type | flags << 8), byte_view(bytes, length)};
}

#define ONE(type, flags, literal) one(type, flags, literal, sizeof(literal) - 1)

static void print(const struct value *value, char *out, size_t size)
{
    int length = (int)value->bytes.length;
    const char *bytes = (const char *)value->bytes.data;
    switch (value->kind) {
    case VALUE_INTEGER:
        snprintf(out, size, "%lld", (long long)value->integer);
        break;
    case VALUE_UNSIGNED:
        snprintf(out, size, "u%llu", (unsigned long long)value->unsigned_integer);
        break;
    case VALUE_FLOAT:
    case VALUE_DOUBLE:
        snprintf(out, size, "%c%g", value->kind == VALUE_FLOAT ? 'f' : 'd', value->number);
        break;
    case VALUE_TEXT:
    case VALUE_BYTES:
        cr_assert_eq(value->full_length, value->bytes.length);
        snprintf(out, size, "%s'%.*s'", value->kind == VALUE_BYTES ? "b" : "", length, bytes);
        break;
    case VALUE_DATETIME:
        snprintf(out, size, "%s", value->text);
        break;
    default:
        cr_assert_fail("kind %d", (int)value->kind);
    }
}

static bool read_one(struct one one, struct value *value, struct error *err)
{
    struct byte_reader reader = byte_reader(one.bytes.data, one.bytes.length);
    return value_type_check(one.type, err) && value_read(&reader, one.type, 0, value, err) &&
           byte_reader_left(&reader) == 0;
}

static void expect_one(struct one one, const char *expected)
{
    struct value value;
    struct error err = {0};
    char text[256];
    cr_assert(read_one(one, &value, &err), "%s: %s", expected, err.message);
    print(&value, text, sizeof text);
    cr_assert_str_eq(text, expected);
}

static void expect_one_refused(struct one one, enum error_code code)
{
    struct value value;
    struct error err = {0};
    cr_assert_not(read_one(one, &value, &err), "accepted as kind %d", (int)value.kind);
    cr_assert_eq(err.code, code, "%s", err.message);
}

Test(value, decodes_integers_of_each_width_and_sign)
{
    expect_one(ONE(1, 0x00, "\xFF"), "-1");
    expect_one(ONE(1, 0x80, "\xFF"), "u255");
    expect_one(ONE(2, 0x00, "\x00\x80"), "-32768");
    expect_one(ONE(2, 0x80, "\x00\x80"), "u32768");
    expect_one(ONE(3, 0x00, "\xFE\xFF\xFF\xFF"), "-2");
    expect_one(ONE(3, 0x80, "\xFE\xFF\xFF\xFF"), "u4294967294");
    expect_one(ONE(8, 0x00, "\0\0\0\0\0\0\0\x80"), "-9223372036854775808");
    expect_one(ONE(8, 0x80, "\0\0\0\0\0\0\0\x80"), "u9223372036854775808");
}

Test(value, decodes_floating_point)
{
    expect_one(ONE(4, 0, "\0\0\xC0\x3F"), "f1.5");
    expect_one(ONE(5, 0, "\0\0\0\0\0\0\xF8\xBF"), "d-1.5");
}

Test(value, decodes_strings_as_text_or_bytes)
{
    static const uint8_t text[] = {0, 15, 245, 246, 247, 248, 253, 254};
    static const uint8_t bytes[] = {242, 249, 250, 251, 252};
    for (size_t i = 0; i < sizeof text; i++)
        expect_one(ONE(text[i], 0, "\3abc"), "'abc'");
    for (size_t i = 0; i < sizeof bytes; i++)
        expect_one(ONE(bytes[i], 0, "\3abc"), "b'abc'");
    expect_one(ONE(253, 0, "\0"), "''");
    expect_one(ONE(253, 0, "\xFC\3\0abc"), "'abc'");
    expect_one(ONE(253, 0, "\xFD\3\0\0abc"), "'abc'");
    expect_one(ONE(253, 0, "\xFE\3\0\0\0\0\0\0\0abc"), "'abc'");
}

Test(value, prints_dates_as_the_server_does)
{
    expect_one(ONE(10, 0, "\0"), "0000-00-00");
    expect_one(ONE(10, 0, "\4\xEA\x07\1\x1F"), "2026-01-31");
    expect_one(ONE(10, 0, "\7\xEA\x07\1\x1F\x17\x3B\x3B"), "2026-01-31");
    expect_one(ONE(12, 0, "\0"), "0000-00-00 00:00:00");
    expect_one(ONE(12, 0, "\4\xEA\x07\1\x1F"), "2026-01-31 00:00:00");
    expect_one(ONE(7, 0, "\7\xEA\x07\1\x1F\x17\x3B\x3B"), "2026-01-31 23:59:59");
    expect_one(ONE(12, 0, "\x0B\xEA\x07\1\x1F\x17\x3B\x3B\x40\xE2\x01\0"),
               "2026-01-31 23:59:59.123456");
    /* A time zone displacement in minutes (MySQL from 8.0.19 on). */
    expect_one(ONE(12, 0, "\x0D\xEA\x07\1\x1F\x17\x3B\x3B\0\0\0\0\x4A\1"),
               "2026-01-31 23:59:59.000000+05:30");
    expect_one(ONE(12, 0, "\x0D\xEA\x07\1\x1F\x17\x3B\x3B\0\0\0\0\xA6\xFF"),
               "2026-01-31 23:59:59.000000-01:30");
}

Test(value, prints_times_as_the_server_does)
{
    expect_one(ONE(11, 0, "\0"), "00:00:00");
    expect_one(ONE(11, 0, "\x08\0\0\0\0\0\1\2\3"), "01:02:03");
    expect_one(ONE(11, 0, "\x08\1\x22\0\0\0\x16\x3B\x3B"), "-838:59:59");
    expect_one(ONE(11, 0, "\x0C\1\0\0\0\0\0\0\1\x40\xE2\x01\0"), "-00:00:01.123456");
}

Test(value, fields_beyond_any_calendar_still_fit)
{
    expect_one(ONE(12, 0, "\x0D\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\x80"),
               "65535-255-255 255:255:255.4294967295-546:08");
    expect_one(ONE(11, 0, "\x0C\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"),
               "-103079215335:255:255.4294967295");
}

Test(value, refuses_lengths_that_dates_do_not_have)
{
    static const uint8_t dates[] = {1, 2, 3, 5, 6, 8, 9, 10, 12, 14, 200};
    static const uint8_t times[] = {1, 4, 7, 9, 10, 11, 13, 250};
    char bytes[256] = {0};
    for (size_t i = 0; i < sizeof dates; i++) {
        bytes[0] = (char)dates[i];
        expect_one_refused(one(12, 0, bytes, 1u + dates[i]), ERROR_MALFORMED);
        expect_one_refused(one(10, 0, bytes, 1u + dates[i]), ERROR_MALFORMED);
    }
    for (size_t i = 0; i < sizeof times; i++) {
        bytes[0] = (char)times[i];
        expect_one_refused(one(11, 0, bytes, 1u + times[i]), ERROR_MALFORMED);
    }
}

/*
 * MariaDB 10.11 takes no bytes for INT24, YEAR, BIT and GEOMETRY where MySQL takes a string, so
 * that the next parameter would be recorded wrongly on one of them.
 */
Test(value, refuses_types_that_servers_read_differently)
{
    static const uint8_t known[] = {0,  1,   2,   3,   4,   5,   6,   7,   8,   10,  11,  12,
                                    15, 242, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254};
    for (int type = 0; type < 256; type++) {
        bool expected = memchr(known, type, sizeof known) != NULL;
        cr_assert_eq(value_type_check((uint16_t)type, NULL), expected, "type %d", type);
    }
    expect_one_refused(ONE(255, 0, "\3abc"), ERROR_UNSUPPORTED);
    expect_one_refused(ONE(253, 0x40, "\3abc"), ERROR_UNSUPPORTED);
    cr_assert(value_type_check(0x8008, NULL));
    cr_assert_not(value_type_check(0x0108, NULL));
}

Test(value, refuses_hostile_lengths)
{
    expect_one_refused(ONE(253, 0, "\4abc"), ERROR_MALFORMED);
    expect_one_refused(ONE(253, 0, "\xFB"), ERROR_MALFORMED);
    expect_one_refused(ONE(253, 0, "\xFF"), ERROR_MALFORMED);
    expect_one_refused(ONE(253, 0, "\xFC\3"), ERROR_MALFORMED);
    expect_one_refused(ONE(253, 0,
                           "\xFE\3\0\0\0\0\0\0\x80"
                           "abc"),
                       ERROR_MALFORMED);
    expect_one_refused(ONE(253, 0,
                           "\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
                           "abc"),
                       ERROR_MALFORMED);
    expect_one_refused(ONE(8, 0, "\1\2\3\4\5\6\7"), ERROR_MALFORMED);
    expect_one_refused(ONE(12, 0, ""), ERROR_MALFORMED);
    expect_one_refused(ONE(12, 0, "\4\1\1\1"), ERROR_MALFORMED);
}

/* A value that goes past the captured part of a command is known by its width or length alone. */
Test(value, cut_values_are_unseen)
{
    struct value value;
    for (size_t have = 0; have < 8; have++) {
        struct byte_reader reader = byte_reader("\1\2\3\4\5\6\7\10", have);
        cr_assert(value_read(&reader, 8, 8 - have, &value, NULL));
        cr_assert_eq(value.kind, VALUE_UNSEEN);
        cr_assert_eq(byte_reader_left(&reader), 0);
        reader = byte_reader("\1\2\3\4\5\6\7\10", have);
        cr_assert_not(value_read(&reader, 8, 7 - have, &value, NULL));
        reader = byte_reader("\7\352\7\1\37\27\73\73", have);
        cr_assert(value_read(&reader, 12, 8 - have, &value, NULL));
        cr_assert_eq(value.kind, VALUE_UNSEEN);
    }
}

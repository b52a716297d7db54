/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What json_escape() makes of the bytes, NUL-terminated, in static room. */
static const char *escaped(const void *bytes, size_t length)
{
    static char text[4096];
    struct buffer buffer;
    buffer_init_fixed(&buffer, text, sizeof text - 1);
    struct byte_writer out = byte_writer(&buffer);
    json_escape(&out, bytes, length);
    cr_assert(byte_writer_finish(&out, NULL));
    text[buffer_length(&buffer)] = '\0';
    return text;
}

Test(json_escape, leaves_plain_text_alone)
{
    cr_assert_str_eq(escaped("", 0), "");
    cr_assert_str_eq(escaped("SELECT * FROM t WHERE a = 'b'", 29), "SELECT * FROM t WHERE a = 'b'");
    cr_assert_str_eq(escaped("caf\xC3\xA9 \xF0\x9F\x98\x80", 10), "caf\xC3\xA9 \xF0\x9F\x98\x80");
}

Test(json_escape, escapes_quotes_backslashes_and_controls)
{
    cr_assert_str_eq(escaped("a\"b\\c/", 6), "a\\\"b\\\\c/");
    cr_assert_str_eq(escaped("\b\f\n\r\t", 5), "\\b\\f\\n\\r\\t");
    cr_assert_str_eq(escaped("\0\x01\x1f\x7f", 4), "\\u0000\\u0001\\u001f\\u007f");
}

/* The fast path takes eight bytes: each byte value at each place in and around them. */
Test(json_escape, every_byte_at_every_position_survives_a_parser)
{
    for (int byte = 1; byte < 0x80; byte++) {
        for (size_t at = 0; at < 20; at++) {
            char text[21] = "abcdefghijklmnopqrst";
            char quoted[256];
            text[at] = (char)byte;
            snprintf(quoted, sizeof quoted, "\"%.200s\"", escaped(text, 20));
            for (const char *c = quoted; *c; c++)
                cr_assert((unsigned char)*c >= 0x20 && *c != 0x7F);
            cJSON *parsed = cJSON_Parse(quoted);
            cr_assert_not_null(parsed, "%s", quoted);
            cr_assert_str_eq(cJSON_GetStringValue(parsed), text);
            cJSON_Delete(parsed);
        }
    }
}

Test(json_escape, bytes_of_characters_are_never_taken_for_controls)
{
    for (int second = 0x80; second <= 0xBF; second++) {
        char text[16];
        for (size_t i = 0; i < sizeof text; i += 2) {
            text[i] = (char)0xC3;
            text[i + 1] = (char)second;
        }
        cr_assert_eq(memcmp(escaped(text, sizeof text), text, sizeof text), 0);
    }
}

Test(json_escape, reports_a_full_buffer)
{
    char room[4];
    struct buffer buffer;
    struct error err = {0};
    buffer_init_fixed(&buffer, room, sizeof room);
    struct byte_writer out = byte_writer(&buffer);
    json_escape(&out, "abc\"d", 5);
    cr_assert_not(byte_writer_finish(&out, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
}

static void assert_buffer(struct buffer *buffer, const char *expected)
{
    cr_assert_eq(buffer_length(buffer), strlen(expected), "%.*s", (int)buffer_length(buffer),
                 (const char *)buffer_bytes(buffer));
    cr_assert_eq(memcmp(buffer_bytes(buffer), expected, strlen(expected)), 0, "%.*s",
                 (int)buffer_length(buffer), (const char *)buffer_bytes(buffer));
    buffer_release(buffer);
}

Test(json_object, an_empty_one)
{
    struct buffer buffer;
    buffer_init(&buffer, 64);
    struct byte_writer out = byte_writer(&buffer);
    struct json_object object = json_begin(&out);
    json_field_string(&object, "absent", NULL);
    json_end(&object);
    cr_assert(byte_writer_finish(&out, NULL));
    assert_buffer(&buffer, "{}");
}

Test(json_object, has_each_kind_of_field)
{
    struct buffer buffer;
    buffer_init(&buffer, 4096);
    struct byte_writer out = byte_writer(&buffer);
    struct json_object object = json_begin(&out);
    json_field_string(&object, "s", "a\"b");
    json_field_string(&object, "absent", NULL);
    json_field_text(&object, "t", "a\0b", 3);
    json_field_bool(&object, "yes", true);
    json_field_bool(&object, "no", false);
    json_field_raw(&object, "raw", "[1,2]", 5);
    struct json_object inner = json_field_object(&object, "o");
    json_field_int(&inner, "x", -1);
    json_field_int(&inner, "y", 0);
    json_end(&inner);
    json_field_key(&object, "k");
    byte_writer_bytes(&out, "null", 4);
    json_end(&object);
    cr_assert(byte_writer_finish(&out, NULL));
    assert_buffer(&buffer, "{\"s\":\"a\\\"b\",\"t\":\"a\\u0000b\",\"yes\":true,\"no\":false,"
                           "\"raw\":[1,2],\"o\":{\"x\":-1,\"y\":0},\"k\":null}");
}

Test(json_object, prints_the_extremes_of_numbers)
{
    struct buffer buffer;
    buffer_init(&buffer, 4096);
    struct byte_writer out = byte_writer(&buffer);
    struct json_object object = json_begin(&out);
    json_field_int(&object, "least", INT64_MIN);
    json_field_int(&object, "greatest", INT64_MAX);
    json_field_unsigned(&object, "zero", 0);
    json_field_unsigned(&object, "ten", 10);
    json_field_unsigned(&object, "unsigned", UINT64_MAX);
    json_end(&object);
    cr_assert(byte_writer_finish(&out, NULL));
    assert_buffer(&buffer, "{\"least\":-9223372036854775808,\"greatest\":9223372036854775807,"
                           "\"zero\":0,\"ten\":10,\"unsigned\":18446744073709551615}");
}

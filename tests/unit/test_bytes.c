/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* A call of each reader, so that all of them go through the same tests. */
static bool read_u8(struct byte_reader *reader)
{
    uint8_t value;
    return byte_reader_u8(reader, &value);
}

static bool read_u16le(struct byte_reader *reader)
{
    uint16_t value;
    return byte_reader_u16le(reader, &value);
}

static bool read_u24le(struct byte_reader *reader)
{
    uint32_t value;
    return byte_reader_u24le(reader, &value);
}

static bool read_u32le(struct byte_reader *reader)
{
    uint32_t value;
    return byte_reader_u32le(reader, &value);
}

static bool read_u64le(struct byte_reader *reader)
{
    uint64_t value;
    return byte_reader_u64le(reader, &value);
}

static bool read_u32be(struct byte_reader *reader)
{
    uint32_t value;
    return byte_reader_u32be(reader, &value);
}

static bool read_view(struct byte_reader *reader)
{
    struct byte_view value;
    return byte_reader_view(reader, 5, &value);
}

static bool skip_five(struct byte_reader *reader)
{
    return byte_reader_skip(reader, 5);
}

static bool read_cstring(struct byte_reader *reader)
{
    struct byte_view value;
    return byte_reader_cstring(reader, &value);
}

static bool read_lenenc(struct byte_reader *reader)
{
    uint64_t value;
    return byte_reader_lenenc(reader, &value);
}

static bool read_lenenc_view(struct byte_reader *reader)
{
    struct byte_view value;
    return byte_reader_lenenc_view(reader, &value);
}

struct reading {
    const char *name;
    bool (*read)(struct byte_reader *reader);
    const char *bytes;
    size_t length; /* what the reader takes, all of it */
};

static const struct reading readings[] = {
    {"u8", read_u8, "\x01", 1},
    {"u16le", read_u16le, "\x01\x02", 2},
    {"u24le", read_u24le, "\x01\x02\x03", 3},
    {"u32le", read_u32le, "\x01\x02\x03\x04", 4},
    {"u64le", read_u64le, "\x01\x02\x03\x04\x05\x06\x07\x08", 8},
    {"u32be", read_u32be, "\x01\x02\x03\x04", 4},
    {"view", read_view, "abcde", 5},
    {"skip", skip_five, "abcde", 5},
    {"cstring", read_cstring, "abc\0", 4},
    {"empty cstring", read_cstring, "\0", 1},
    {"lenenc of 1", read_lenenc, "\xFA", 1},
    {"lenenc of 3", read_lenenc, "\xFC\x01\x02", 3},
    {"lenenc of 4", read_lenenc, "\xFD\x01\x02\x03", 4},
    {"lenenc of 9", read_lenenc, "\xFE\x01\x02\x03\x04\x05\x06\x07\x08", 9},
    {"lenenc string", read_lenenc_view,
     "\x03"
     "abc",
     4},
    {"lenenc string, long form", read_lenenc_view,
     "\xFC\x03\x00"
     "abc",
     6},
    {"empty lenenc string", read_lenenc_view, "\x00", 1},
};

/* The bytes at the very end of an allocation, so that ASan sees a read past them. */
static uint8_t *exact_copy(const char *bytes, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    cr_assert_not_null(copy);
    memcpy(copy, bytes, length);
    return copy;
}

Test(bytes, each_reader_takes_exactly_its_bytes)
{
    for (size_t i = 0; i < sizeof readings / sizeof *readings; i++) {
        uint8_t *bytes = exact_copy(readings[i].bytes, readings[i].length);
        struct byte_reader reader = byte_reader(bytes, readings[i].length);
        cr_assert(readings[i].read(&reader), "%s", readings[i].name);
        cr_assert_eq(byte_reader_left(&reader), 0, "%s", readings[i].name);
        cr_assert_not(readings[i].read(&reader), "%s past the end", readings[i].name);
        free(bytes);
    }
}

Test(bytes, each_reader_leaves_the_position_at_every_truncation)
{
    for (size_t i = 0; i < sizeof readings / sizeof *readings; i++) {
        for (size_t length = 0; length < readings[i].length; length++) {
            uint8_t *bytes = exact_copy(readings[i].bytes, length);
            struct byte_reader reader = byte_reader(bytes, length);
            cr_assert_not(readings[i].read(&reader), "%s of %zu", readings[i].name, length);
            cr_assert_eq(reader.offset, 0, "%s of %zu", readings[i].name, length);
            free(bytes);
        }
    }
}

Test(bytes, a_failed_read_leaves_the_value)
{
    struct byte_reader reader = byte_reader("\xFC\x01", 2);
    uint64_t wide = 7;
    uint32_t word = 7;
    struct byte_view view = byte_view("seven", 5);
    cr_assert_not(byte_reader_lenenc(&reader, &wide));
    cr_assert_not(byte_reader_u64le(&reader, &wide));
    cr_assert_not(byte_reader_u32le(&reader, &word));
    cr_assert_not(byte_reader_u32be(&reader, &word));
    cr_assert_not(byte_reader_lenenc_view(&reader, &view));
    cr_assert_not(byte_reader_cstring(&reader, &view));
    cr_assert_not(byte_reader_view(&reader, 3, &view));
    cr_assert_eq(wide, 7);
    cr_assert_eq(word, 7);
    cr_assert(byte_view_equals(view, "seven"));
}

Test(bytes, numbers_have_their_byte_order)
{
    struct byte_reader reader = byte_reader(
        "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F\x10\x11\x12\xF3\x14"
        "\x15\x16",
        22);
    uint8_t u8;
    uint16_t u16;
    uint32_t u24;
    uint32_t u32;
    uint64_t u64;
    uint32_t be;
    cr_assert(byte_reader_u8(&reader, &u8) && byte_reader_u16le(&reader, &u16) &&
              byte_reader_u24le(&reader, &u24) && byte_reader_u32le(&reader, &u32) &&
              byte_reader_u64le(&reader, &u64) && byte_reader_u32be(&reader, &be));
    cr_assert_eq(u8, 0x01);
    cr_assert_eq(u16, 0x0302);
    cr_assert_eq(u24, 0x060504);
    cr_assert_eq(u32, 0x0A090807);
    cr_assert_eq(u64, 0x1211100F0E0D0C0BULL);
    cr_assert_eq(be, 0xF3141516);
}

Test(bytes, peek_does_not_move)
{
    struct byte_reader reader = byte_reader("\x2A", 1);
    uint8_t value = 0;
    cr_assert(byte_reader_peek(&reader, &value));
    cr_assert_eq(value, 42);
    cr_assert_eq(reader.offset, 0);
    cr_assert(byte_reader_skip(&reader, 1));
    cr_assert_not(byte_reader_peek(&reader, &value));
}

Test(bytes, rest_takes_all_and_then_nothing)
{
    struct byte_reader reader = byte_reader("abc", 3);
    cr_assert(byte_reader_skip(&reader, 1));
    cr_assert(byte_view_equals(byte_reader_rest(&reader), "bc"));
    cr_assert_eq(byte_reader_rest(&reader).length, 0);
}

Test(bytes, a_view_length_near_the_greatest_is_refused)
{
    struct byte_reader reader = byte_reader("abc", 3);
    struct byte_view view;
    cr_assert(byte_reader_skip(&reader, 1));
    cr_assert_not(byte_reader_view(&reader, SIZE_MAX, &view));
    cr_assert_not(byte_reader_view(&reader, SIZE_MAX - 1, &view));
    cr_assert_eq(reader.offset, 1);
}

Test(bytes, null_and_ff_are_no_length_encoded_integers)
{
    const char *const refused[] = {"\xFB\0\0\0\0\0\0\0\0\0", "\xFF\0\0\0\0\0\0\0\0\0"};
    for (size_t i = 0; i < 2; i++) {
        struct byte_reader reader = byte_reader(refused[i], 10);
        uint64_t value;
        struct byte_view view;
        cr_assert_not(byte_reader_lenenc(&reader, &value));
        cr_assert_not(byte_reader_lenenc_view(&reader, &view));
        cr_assert_eq(reader.offset, 0);
    }
}

/* A hostile length is checked against what is left before use (TRAPS.md, SSLRequest). */
Test(bytes, a_length_encoded_length_beyond_the_packet_is_refused)
{
    const char *const hostile[] = {"\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
                                   "a",
                                   "\xFE\x02\x00\x00\x00\x00\x00\x00\x00"
                                   "a",
                                   "\xFE\x00\x00\x00\x00\x01\x00\x00\x00"
                                   "a",
                                   "\xFE\xF7\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
                                   "a"};
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct byte_reader reader = byte_reader(hostile[i], 10);
        struct byte_view view;
        cr_assert_not(byte_reader_lenenc_view(&reader, &view), "case %zu", i);
        cr_assert_eq(reader.offset, 0);
    }
}

/* MySQL source documentation, "Protocol::LengthEncodedInteger": each border and its neighbours. */
static const struct {
    uint64_t value;
    size_t size;
} lenenc_borders[] = {{0, 1},        {250, 1},      {251, 3},        {252, 3},
                      {255, 3},      {256, 3},      {65535, 3},      {65536, 4},
                      {16777215, 4}, {16777216, 9}, {UINT32_MAX, 9}, {UINT64_MAX, 9}};

Test(bytes, length_encoded_integers_round_trip_at_their_borders)
{
    for (size_t i = 0; i < sizeof lenenc_borders / sizeof *lenenc_borders; i++) {
        struct buffer buffer;
        buffer_init(&buffer, 16);
        struct byte_writer writer = byte_writer(&buffer);
        byte_writer_lenenc(&writer, lenenc_borders[i].value);
        cr_assert(byte_writer_finish(&writer, NULL));
        cr_assert_eq(buffer_length(&buffer), lenenc_borders[i].size);
        struct byte_reader reader = byte_reader(buffer_bytes(&buffer), buffer_length(&buffer));
        uint64_t value;
        cr_assert(byte_reader_lenenc(&reader, &value));
        cr_assert_eq(value, lenenc_borders[i].value);
        buffer_release(&buffer);
    }
}

Test(bytes, longer_than_needed_forms_are_read)
{
    struct byte_reader reader = byte_reader("\xFC\x05\x00\xFD\x05\x00\x00", 7);
    uint64_t first;
    uint64_t second;
    cr_assert(byte_reader_lenenc(&reader, &first) && byte_reader_lenenc(&reader, &second));
    cr_assert_eq(first, 5);
    cr_assert_eq(second, 5);
}

Test(bytes, the_writer_writes_what_the_readers_read)
{
    struct buffer buffer;
    buffer_init(&buffer, 4096);
    struct byte_writer writer = byte_writer(&buffer);
    byte_writer_u8(&writer, 0xAB);
    byte_writer_u16le(&writer, 0xBEEF);
    byte_writer_u24le(&writer, 0x123456);
    byte_writer_u32le(&writer, 0xDEADBEEF);
    byte_writer_u64le(&writer, 0x0123456789ABCDEFULL);
    byte_writer_u32be(&writer, 0xCAFEBABE);
    byte_writer_cstring(&writer, "user");
    byte_writer_lenenc_bytes(&writer, "a\0b", 3);
    byte_writer_zeros(&writer, 130);
    byte_writer_bytes(&writer, "end", 3);
    cr_assert(byte_writer_finish(&writer, NULL));

    struct byte_reader reader = byte_reader(buffer_bytes(&buffer), buffer_length(&buffer));
    uint8_t u8;
    uint16_t u16;
    uint32_t u24;
    uint32_t u32;
    uint64_t u64;
    uint32_t be;
    struct byte_view user;
    struct byte_view text;
    struct byte_view zeros;
    cr_assert(byte_reader_u8(&reader, &u8) && byte_reader_u16le(&reader, &u16) &&
              byte_reader_u24le(&reader, &u24) && byte_reader_u32le(&reader, &u32) &&
              byte_reader_u64le(&reader, &u64) && byte_reader_u32be(&reader, &be) &&
              byte_reader_cstring(&reader, &user) && byte_reader_lenenc_view(&reader, &text) &&
              byte_reader_view(&reader, 130, &zeros));
    cr_assert_eq(u8, 0xAB);
    cr_assert_eq(u16, 0xBEEF);
    cr_assert_eq(u24, 0x123456);
    cr_assert_eq(u32, 0xDEADBEEF);
    cr_assert_eq(u64, 0x0123456789ABCDEFULL);
    cr_assert_eq(be, 0xCAFEBABE);
    cr_assert(byte_view_equals(user, "user"));
    cr_assert_eq(text.length, 3);
    cr_assert_eq(memcmp(text.data, "a\0b", 3), 0);
    for (size_t i = 0; i < zeros.length; i++)
        cr_assert_eq(zeros.data[i], 0);
    cr_assert(byte_view_equals(byte_reader_rest(&reader), "end"));
    buffer_release(&buffer);
}

Test(bytes, zeros_of_every_length_around_the_block)
{
    for (size_t count = 0; count < 200; count++) {
        struct buffer buffer;
        buffer_init(&buffer, 256);
        struct byte_writer writer = byte_writer(&buffer);
        byte_writer_zeros(&writer, count);
        cr_assert(byte_writer_finish(&writer, NULL));
        cr_assert_eq(buffer_length(&buffer), count);
        buffer_release(&buffer);
    }
}

Test(bytes, the_writer_remembers_its_first_failure)
{
    char storage[4];
    struct buffer buffer;
    struct error err = {0};
    buffer_init_fixed(&buffer, storage, sizeof storage);
    struct byte_writer writer = byte_writer(&buffer);
    byte_writer_u16le(&writer, 1);
    byte_writer_u32le(&writer, 2);
    byte_writer_u8(&writer, 3); /* would fit, but what came before it is missing */
    cr_assert_not(byte_writer_finish(&writer, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_eq(buffer_length(&buffer), 2);
}

Test(bytes, views_compare_by_length_and_bytes)
{
    cr_assert(byte_view_equals(byte_view_of(""), ""));
    cr_assert(byte_view_equals(byte_view_of("abc"), "abc"));
    cr_assert_not(byte_view_equals(byte_view("abc", 2), "abc"));
    cr_assert_not(byte_view_equals(byte_view("abc", 3), "ab"));
    cr_assert_not(byte_view_equals(byte_view("ab\0", 3), "ab"));
    cr_assert_not(byte_view_equals(byte_view_of("abd"), "abc"));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include <string.h>

struct byte_view byte_view_of(const char *text)
{
    return (struct byte_view){(const uint8_t *)text, strlen(text)};
}

bool byte_view_equals(struct byte_view view, const char *text)
{
    return view.length == strlen(text) && memcmp(view.data, text, view.length) == 0;
}

/* A little-endian number of `width` bytes; moves on only where all are there. */
static bool read_le(struct byte_reader *reader, size_t width, uint64_t *value)
{
    if (byte_reader_left(reader) < width)
        return false;
    uint64_t sum = 0;
    for (size_t i = 0; i < width; i++)
        sum |= (uint64_t)reader->data[reader->offset + i] << (8 * i);
    reader->offset += width;
    *value = sum;
    return true;
}

bool byte_reader_u8(struct byte_reader *reader, uint8_t *value)
{
    if (byte_reader_left(reader) < 1)
        return false;
    *value = reader->data[reader->offset++];
    return true;
}

bool byte_reader_u16le(struct byte_reader *reader, uint16_t *value)
{
    uint64_t wide;
    if (!read_le(reader, 2, &wide))
        return false;
    *value = (uint16_t)wide;
    return true;
}

static bool read_le32(struct byte_reader *reader, size_t width, uint32_t *value)
{
    uint64_t wide;
    if (!read_le(reader, width, &wide))
        return false;
    *value = (uint32_t)wide;
    return true;
}

bool byte_reader_u24le(struct byte_reader *reader, uint32_t *value)
{
    return read_le32(reader, 3, value);
}

bool byte_reader_u32le(struct byte_reader *reader, uint32_t *value)
{
    return read_le32(reader, 4, value);
}

bool byte_reader_u64le(struct byte_reader *reader, uint64_t *value)
{
    return read_le(reader, 8, value);
}

bool byte_reader_u32be(struct byte_reader *reader, uint32_t *value)
{
    uint32_t swapped;
    if (!read_le32(reader, 4, &swapped))
        return false;
    *value = __builtin_bswap32(swapped);
    return true;
}

bool byte_reader_peek(const struct byte_reader *reader, uint8_t *value)
{
    if (byte_reader_left(reader) < 1)
        return false;
    *value = reader->data[reader->offset];
    return true;
}

bool byte_reader_view(struct byte_reader *reader, size_t length, struct byte_view *value)
{
    if (byte_reader_left(reader) < length)
        return false;
    *value = (struct byte_view){reader->data + reader->offset, length};
    reader->offset += length;
    return true;
}

bool byte_reader_skip(struct byte_reader *reader, size_t length)
{
    struct byte_view skipped;
    return byte_reader_view(reader, length, &skipped);
}

bool byte_reader_cstring(struct byte_reader *reader, struct byte_view *value)
{
    size_t left = byte_reader_left(reader);
    const uint8_t *from = reader->data + reader->offset;
    const uint8_t *end = left ? memchr(from, 0, left) : NULL;
    if (!end)
        return false;
    *value = (struct byte_view){from, (size_t)(end - from)};
    reader->offset += value->length + 1;
    return true;
}

struct byte_view byte_reader_rest(struct byte_reader *reader)
{
    struct byte_view rest = {reader->data + reader->offset, byte_reader_left(reader)};
    reader->offset = reader->length;
    return rest;
}

bool byte_reader_lenenc(struct byte_reader *reader, uint64_t *value)
{
    struct byte_reader ahead = *reader;
    uint8_t first;
    if (!byte_reader_u8(&ahead, &first) || first == 0xFB || first == 0xFF)
        return false;
    uint64_t wide = first;
    if (first >= 0xFC) {
        static const size_t widths[] = {2, 3, 8};
        if (!read_le(&ahead, widths[first - 0xFC], &wide))
            return false;
    }
    *value = wide;
    *reader = ahead;
    return true;
}

bool byte_reader_lenenc_view(struct byte_reader *reader, struct byte_view *value)
{
    struct byte_reader ahead = *reader;
    uint64_t length;
    if (!byte_reader_lenenc(&ahead, &length) || length > byte_reader_left(&ahead) ||
        !byte_reader_view(&ahead, (size_t)length, value))
        return false;
    *reader = ahead;
    return true;
}

void byte_writer_bytes(struct byte_writer *writer, const void *bytes, size_t length)
{
    if (!writer->failed && !buffer_append(writer->out, bytes, length, NULL))
        writer->failed = true;
}

static void write_le(struct byte_writer *writer, size_t width, uint64_t value)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    byte_writer_bytes(writer, bytes, width);
}

void byte_writer_u8(struct byte_writer *writer, uint8_t value)
{
    write_le(writer, 1, value);
}

void byte_writer_u16le(struct byte_writer *writer, uint16_t value)
{
    write_le(writer, 2, value);
}

void byte_writer_u24le(struct byte_writer *writer, uint32_t value)
{
    write_le(writer, 3, value);
}

void byte_writer_u32le(struct byte_writer *writer, uint32_t value)
{
    write_le(writer, 4, value);
}

void byte_writer_u64le(struct byte_writer *writer, uint64_t value)
{
    write_le(writer, 8, value);
}

void byte_writer_u32be(struct byte_writer *writer, uint32_t value)
{
    write_le(writer, 4, __builtin_bswap32(value));
}

void byte_writer_zeros(struct byte_writer *writer, size_t count)
{
    static const uint8_t zeros[64];
    for (; count > sizeof zeros; count -= sizeof zeros)
        byte_writer_bytes(writer, zeros, sizeof zeros);
    byte_writer_bytes(writer, zeros, count);
}

void byte_writer_cstring(struct byte_writer *writer, const char *text)
{
    byte_writer_bytes(writer, text, strlen(text) + 1);
}

void byte_writer_lenenc(struct byte_writer *writer, uint64_t value)
{
    if (value < 0xFB) {
        byte_writer_u8(writer, (uint8_t)value);
    } else if (value <= 0xFFFF) {
        byte_writer_u8(writer, 0xFC);
        write_le(writer, 2, value);
    } else if (value <= 0xFFFFFF) {
        byte_writer_u8(writer, 0xFD);
        write_le(writer, 3, value);
    } else {
        byte_writer_u8(writer, 0xFE);
        write_le(writer, 8, value);
    }
}

void byte_writer_lenenc_bytes(struct byte_writer *writer, const void *bytes, size_t length)
{
    byte_writer_lenenc(writer, length);
    byte_writer_bytes(writer, bytes, length);
}

bool byte_writer_finish(const struct byte_writer *writer, struct error *err)
{
    if (writer->failed)
        return error_set(err, ERROR_LIMIT, "a packet of ours outgrew its limit of %zu bytes",
                         writer->out->limit);
    return true;
}

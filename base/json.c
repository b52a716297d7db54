/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <string.h>

/* Room for the digits of any 64-bit number and a sign. */
#define JSON_DIGITS 20

/* What a byte becomes: 0 as it is, 'u' a \u00XX escape, otherwise the letter behind a backslash. */
static uint8_t escape_of(uint8_t byte)
{
    switch (byte) {
    case '"':
    case '\\':
        return byte;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return byte < 0x20 || byte == 0x7F ? 'u' : 0;
    }
}

static void write_escape(struct byte_writer *writer, uint8_t byte, uint8_t escape)
{
    static const char digits[] = "0123456789abcdef";
    const char text[] = {'\\', (char)escape, '0', '0', digits[byte >> 4], digits[byte & 15]};
    byte_writer_bytes(writer, text, escape == 'u' ? sizeof text : 2);
}

#define EACH_BYTE 0x0101010101010101ULL
#define HIGH_BITS 0x8080808080808080ULL

/* The high bit of each byte that is below `limit`, which is at most 0x80. A borrow may mark a byte
 * above a marked one too, so only "none" is exact. */
static uint64_t below(uint64_t eight, uint8_t limit)
{
    return (eight - EACH_BYTE * limit) & ~eight & HIGH_BITS;
}

/* Whether none of eight bytes needs an escape; may say no too often, never yes wrongly. */
static bool all_plain(const uint8_t *bytes)
{
    uint64_t eight;
    memcpy(&eight, bytes, sizeof eight);
    return (below(eight, 0x20) | below(eight ^ EACH_BYTE * '"', 1) |
            below(eight ^ EACH_BYTE * '\\', 1) | below(eight ^ EACH_BYTE * 0x7F, 1)) == 0;
}

/* How many bytes from the start are copied as they are. */
static size_t plain_run(const uint8_t *bytes, size_t length)
{
    size_t run = 0;
    while (run < length) {
        if (length - run >= 8 && all_plain(bytes + run))
            run += 8;
        else if (escape_of(bytes[run]) == 0)
            run++;
        else
            break;
    }
    return run;
}

void json_escape(struct byte_writer *writer, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    while (length > 0) {
        size_t run = plain_run(at, length);
        byte_writer_bytes(writer, at, run);
        at += run;
        length -= run;
        if (length > 0) {
            write_escape(writer, *at, escape_of(*at));
            at++;
            length--;
        }
    }
}

struct json_object json_begin(struct byte_writer *out)
{
    byte_writer_u8(out, '{');
    return (struct json_object){.out = out};
}

void json_end(struct json_object *object)
{
    byte_writer_u8(object->out, '}');
}

void json_field_key(struct json_object *object, const char *key)
{
    byte_writer_bytes(object->out, ",\"", object->filled ? 2 : 0);
    if (!object->filled)
        byte_writer_u8(object->out, '"');
    object->filled = true;
    byte_writer_bytes(object->out, key, strlen(key));
    byte_writer_bytes(object->out, "\":", 2);
}

void json_field_text(struct json_object *object, const char *key, const void *bytes, size_t length)
{
    json_field_key(object, key);
    byte_writer_u8(object->out, '"');
    json_escape(object->out, bytes, length);
    byte_writer_u8(object->out, '"');
}

void json_field_string(struct json_object *object, const char *key, const char *value)
{
    if (value)
        json_field_text(object, key, value, strlen(value));
}

/* By hand, because a record has a dozen numbers and snprintf shows in its cost. */
static void write_decimal(struct byte_writer *out, uint64_t value, bool negative)
{
    char digits[JSON_DIGITS + 1];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    if (negative)
        digits[--at] = '-';
    byte_writer_bytes(out, digits + at, sizeof digits - at);
}

void json_field_int(struct json_object *object, const char *key, int64_t value)
{
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    json_field_key(object, key);
    write_decimal(object->out, magnitude, value < 0);
}

void json_field_unsigned(struct json_object *object, const char *key, uint64_t value)
{
    json_field_key(object, key);
    write_decimal(object->out, value, false);
}

void json_field_bool(struct json_object *object, const char *key, bool value)
{
    json_field_raw(object, key, value ? "true" : "false", value ? 4 : 5);
}

void json_field_raw(struct json_object *object, const char *key, const void *json, size_t length)
{
    json_field_key(object, key);
    byte_writer_bytes(object->out, json, length);
}

struct json_object json_field_object(struct json_object *object, const char *key)
{
    json_field_key(object, key);
    return json_begin(object->out);
}

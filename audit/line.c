/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/line.h"

#include <string.h>

#include "base/bytes.h"
#include "base/utf8.h"

#define LINE_VERSION "1" /* AUDIT_RECORD_VERSION, as text */

/* What is left to read. */
struct cursor {
    const char *at, *end;
};

static void skip_space(struct cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t' ||
                                        *cursor->at == '\r' || *cursor->at == '\n'))
        cursor->at++;
}

/* The next character that is no white space, or NUL at the end (which no JSON begins with). */
static char peek(struct cursor *cursor)
{
    skip_space(cursor);
    return cursor->at < cursor->end ? *cursor->at : '\0';
}

static bool take(struct cursor *cursor, char wanted)
{
    if (cursor->at >= cursor->end || *cursor->at != wanted)
        return false;
    cursor->at++;
    return true;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static bool take_hex4(struct cursor *cursor, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = cursor->at < cursor->end ? hex_digit(*cursor->at) : -1;
        if (digit < 0)
            return false;
        *value = *value << 4 | (uint32_t)digit;
        cursor->at++;
    }
    return true;
}

static bool take_string(struct cursor *cursor, struct audit_value *inside)
{
    uint32_t ignored;
    if (!take(cursor, '"'))
        return false;
    inside->at = cursor->at;
    while (cursor->at < cursor->end && *cursor->at != '"') {
        if ((uint8_t)*cursor->at < 0x20)
            return false;
        if (*cursor->at++ != '\\')
            continue;
        if (cursor->at >= cursor->end || !memchr("\"\\/bfnrtu", *cursor->at, 9))
            return false;
        if (*cursor->at++ == 'u' && !take_hex4(cursor, &ignored))
            return false;
    }
    inside->length = (size_t)(cursor->at - inside->at);
    return take(cursor, '"');
}

static bool take_digits(struct cursor *cursor)
{
    const char *from = cursor->at;
    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9')
        cursor->at++;
    return cursor->at > from;
}

static bool take_number(struct cursor *cursor)
{
    take(cursor, '-');
    if (!take(cursor, '0') && !take_digits(cursor))
        return false;
    if (take(cursor, '.') && !take_digits(cursor))
        return false;
    if (!take(cursor, 'e') && !take(cursor, 'E'))
        return true;
    if (!take(cursor, '+'))
        take(cursor, '-');
    return take_digits(cursor);
}

static bool take_word(struct cursor *cursor, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, word, size) != 0)
        return false;
    cursor->at += size;
    return true;
}

static bool take_value(struct cursor *cursor, unsigned depth);

static bool take_array(struct cursor *cursor, unsigned depth)
{
    cursor->at++;
    if (peek(cursor) == ']')
        return take(cursor, ']');
    do {
        if (!take_value(cursor, depth))
            return false;
        skip_space(cursor);
    } while (take(cursor, ','));
    return take(cursor, ']');
}

static bool take_pair(struct cursor *cursor, struct audit_field *field, unsigned depth)
{
    skip_space(cursor);
    if (!take_string(cursor, &field->key))
        return false;
    skip_space(cursor);
    if (!take(cursor, ':'))
        return false;
    skip_space(cursor);
    field->value.at = cursor->at;
    if (!take_value(cursor, depth))
        return false;
    field->value.length = (size_t)(cursor->at - field->value.at);
    return true;
}

static bool take_object(struct cursor *cursor, unsigned depth)
{
    struct audit_field ignored;
    cursor->at++;
    if (peek(cursor) == '}')
        return take(cursor, '}');
    do {
        if (!take_pair(cursor, &ignored, depth))
            return false;
        skip_space(cursor);
    } while (take(cursor, ','));
    return take(cursor, '}');
}

static bool take_value(struct cursor *cursor, unsigned depth)
{
    struct audit_value ignored;
    switch (peek(cursor)) {
    case '{':
        return depth < AUDIT_LINE_DEPTH && take_object(cursor, depth + 1);
    case '[':
        return depth < AUDIT_LINE_DEPTH && take_array(cursor, depth + 1);
    case '"':
        return take_string(cursor, &ignored);
    case 't':
        return take_word(cursor, "true");
    case 'f':
        return take_word(cursor, "false");
    case 'n':
        return take_word(cursor, "null");
    default:
        return take_number(cursor);
    }
}

static bool same_value(struct audit_value left, struct audit_value right)
{
    return left.length == right.length && memcmp(left.at, right.at, left.length) == 0;
}

static bool key_is_new(const struct audit_line *line, struct audit_value key)
{
    for (size_t i = 0; i < line->count; i++)
        if (same_value(line->fields[i].key, key))
            return false;
    return true;
}

/* An object's fields. What was wrong goes to *why. */
static bool take_fields(struct cursor *cursor, struct audit_line *line, const char **why)
{
    *why = "not a JSON object";
    line->count = 0;
    skip_space(cursor);
    if (!take(cursor, '{'))
        return false;
    if (peek(cursor) == '}')
        return take(cursor, '}');
    do {
        struct audit_field field;
        *why = "not valid JSON";
        if (!take_pair(cursor, &field, 1))
            return false;
        *why = "more fields than a record has";
        if (line->count == AUDIT_LINE_FIELDS)
            return false;
        *why = "a field comes twice";
        if (!key_is_new(line, field.key))
            return false;
        line->fields[line->count++] = field;
        skip_space(cursor);
    } while (take(cursor, ','));
    *why = "cut off or not valid JSON";
    return take(cursor, '}');
}

bool audit_line_read(const char *text, size_t length, struct audit_line *line, struct error *err)
{
    struct cursor cursor = {text, text + length};
    const char *why;
    uint64_t seq;
    line->count = 0;
    if (!utf8_valid(text, length))
        return error_set(err, ERROR_MALFORMED, "not valid UTF-8");
    if (!take_fields(&cursor, line, &why))
        return error_set(err, ERROR_MALFORMED, "%s", why);
    skip_space(&cursor);
    if (cursor.at != cursor.end)
        return error_set(err, ERROR_MALFORMED, "something follows the record");
    struct audit_value version = audit_line_find(line, "v");
    if (!version.at)
        return error_set(err, ERROR_MALFORMED, "not a record: it has no \"v\"");
    if (!same_value(version, (struct audit_value){LINE_VERSION, strlen(LINE_VERSION)}))
        return error_set(err, ERROR_UNSUPPORTED,
                         "a record of version %.*s: this program reads version " LINE_VERSION,
                         (int)(version.length < 20 ? version.length : 20), version.at);
    if (!audit_value_unsigned(audit_line_find(line, "seq"), &seq))
        return error_set(err, ERROR_MALFORMED, "not a record: it has no \"seq\"");
    return true;
}

struct audit_value audit_line_find(const struct audit_line *line, const char *key)
{
    struct audit_value wanted = {key, strlen(key)};
    for (size_t i = 0; i < line->count; i++)
        if (same_value(line->fields[i].key, wanted))
            return line->fields[i].value;
    return (struct audit_value){0};
}

bool audit_value_object(struct audit_value value, struct audit_line *line)
{
    struct cursor cursor = {value.at, value.at + value.length};
    const char *why;
    line->count = 0;
    return value.at && take_fields(&cursor, line, &why);
}

static bool is_string(struct audit_value value)
{
    return value.at && value.length >= 2 && value.at[0] == '"';
}

static size_t encode_utf8(uint32_t character, uint8_t out[4])
{
    if (character < 0x80) {
        out[0] = (uint8_t)character;
        return 1;
    }
    size_t size = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (character & 0x3F));
        character >>= 6;
    }
    out[0] = (uint8_t)((0xF00 >> size & 0xFF) | character);
    return size;
}

/* Behind `\u`: one escape, or the two of a pair. */
static uint32_t take_character(struct cursor *cursor)
{
    uint32_t character, low;
    if (!take_hex4(cursor, &character))
        return 0xFFFD;
    if (character >= 0xD800 && character < 0xDC00) {
        struct cursor ahead = *cursor;
        if (take_word(&ahead, "\\u") && take_hex4(&ahead, &low) && low >= 0xDC00 && low < 0xE000) {
            *cursor = ahead;
            return 0x10000 + ((character - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    return character >= 0xD800 && character < 0xE000 ? 0xFFFD : character;
}

static void write_escaped(struct byte_writer *writer, struct cursor *cursor)
{
    static const char letters[] = "bfnrt";
    static const char meanings[] = "\b\f\n\r\t";
    uint8_t utf8[4];
    char letter = *cursor->at++;
    if (letter == 'u') {
        byte_writer_bytes(writer, utf8, encode_utf8(take_character(cursor), utf8));
        return;
    }
    const char *known = strchr(letters, letter);
    byte_writer_u8(writer, (uint8_t)(known ? meanings[known - letters] : letter));
}

bool audit_value_text(struct audit_value value, struct buffer *out, struct error *err)
{
    struct byte_writer writer = byte_writer(out);
    if (!is_string(value))
        return error_set(err, ERROR_MALFORMED, "not a string");
    struct cursor cursor = {value.at + 1, value.at + value.length - 1};
    while (cursor.at < cursor.end) {
        const char *escape = memchr(cursor.at, '\\', (size_t)(cursor.end - cursor.at));
        const char *plain_end = escape ? escape : cursor.end;
        byte_writer_bytes(&writer, cursor.at, (size_t)(plain_end - cursor.at));
        cursor.at = plain_end;
        if (escape) {
            cursor.at++;
            write_escaped(&writer, &cursor);
        }
    }
    return byte_writer_finish(&writer, err);
}

bool audit_value_unsigned(struct audit_value value, uint64_t *number)
{
    uint64_t sum = 0;
    if (!value.at || value.length == 0)
        return false;
    for (size_t i = 0; i < value.length; i++) {
        if (value.at[i] < '0' || value.at[i] > '9' || __builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(value.at[i] - '0'), &sum))
            return false;
    }
    *number = sum;
    return true;
}

bool audit_value_is(struct audit_value value, const char *text)
{
    size_t size = strlen(text);
    return is_string(value) && value.length == size + 2 && memcmp(value.at + 1, text, size) == 0;
}

static int base64_digit(char digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    if (digit == '+')
        return 62;
    return digit == '/' ? 63 : -1;
}

bool audit_value_base64(struct audit_value value, struct buffer *out, struct error *err)
{
    struct byte_writer writer = byte_writer(out);
    uint32_t bits = 0;
    unsigned held = 0;
    if (!is_string(value))
        return error_set(err, ERROR_MALFORMED, "not a string");
    for (size_t i = 1; i < value.length - 1 && value.at[i] != '='; i++) {
        int digit = base64_digit(value.at[i]);
        if (digit < 0)
            return error_set(err, ERROR_MALFORMED, "not base64");
        bits = (bits << 6 | (uint32_t)digit) & 0xFFFFFF;
        held += 6;
        if (held >= 8) {
            held -= 8;
            byte_writer_u8(&writer, (uint8_t)(bits >> held));
        }
    }
    return byte_writer_finish(&writer, err);
}

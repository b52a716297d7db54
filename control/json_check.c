/* SPDX-License-Identifier: Apache-2.0 */
#include "control/json_check.h"

#include <string.h>

#include "base/utf8.h"

struct scan {
    const uint8_t *bytes;
    size_t length;
    size_t at;
    size_t depth;
    size_t values;
    struct error *err;
};

static bool scan_value(struct scan *scan);

static bool broken(const struct scan *scan, const char *what)
{
    return error_set(scan->err, ERROR_MALFORMED, "no JSON object: %s at byte %zu", what, scan->at);
}

static bool too_much(const struct scan *scan, unsigned limit, const char *what)
{
    return error_set(scan->err, ERROR_LIMIT, "more than %u %s, at byte %zu", limit, what, scan->at);
}

/* The byte `ahead` of the position; 0 at the end, which no rule accepts. */
static uint8_t peek(const struct scan *scan, size_t ahead)
{
    return scan->length - scan->at > ahead ? scan->bytes[scan->at + ahead] : 0;
}

static bool take(struct scan *scan, uint8_t byte)
{
    if (peek(scan, 0) != byte)
        return false;
    scan->at++;
    return true;
}

static void skip_space(struct scan *scan)
{
    while (take(scan, ' ') || take(scan, '\t') || take(scan, '\n') || take(scan, '\r')) {
    }
}

static size_t skip_digits(struct scan *scan)
{
    size_t from = scan->at;
    while (peek(scan, 0) >= '0' && peek(scan, 0) <= '9')
        scan->at++;
    return scan->at - from;
}

/* RFC 8259, section 6. */
static bool scan_number(struct scan *scan)
{
    size_t from = scan->at;
    (void)take(scan, '-');
    bool good = take(scan, '0') || skip_digits(scan) > 0;
    if (good && take(scan, '.'))
        good = skip_digits(scan) > 0;
    if (good && (take(scan, 'e') || take(scan, 'E'))) {
        if (!take(scan, '+'))
            (void)take(scan, '-');
        good = skip_digits(scan) > 0;
    }
    if (!good)
        return broken(scan, "a number as JSON does not write it");
    if (scan->at - from > CONTROL_DIGITS_MAX)
        return too_much(scan, CONTROL_DIGITS_MAX, "bytes in a number");
    return true;
}

static bool hex_digit(uint8_t byte, unsigned *value)
{
    uint8_t lower = byte | 0x20;
    if (byte >= '0' && byte <= '9')
        *value = (unsigned)(byte - '0');
    else if (lower >= 'a' && lower <= 'f')
        *value = (unsigned)(lower - 'a') + 10;
    else
        return false;
    return true;
}

/* The "\uXXXX" at the position. */
static bool take_unit(struct scan *scan, unsigned *unit)
{
    *unit = 0;
    if (peek(scan, 0) != '\\' || peek(scan, 1) != 'u')
        return false;
    for (size_t i = 2; i < 6; i++) {
        unsigned digit;
        if (!hex_digit(peek(scan, i), &digit))
            return false;
        *unit = *unit * 16 + digit;
    }
    scan->at += 6;
    return true;
}

/* A high surrogate needs its low one (RFC 8259, section 7); strings end at a NUL in C. */
static bool scan_unit(struct scan *scan)
{
    unsigned unit;
    unsigned low;
    if (!take_unit(scan, &unit))
        return broken(scan, "an escape without its four digits");
    if (unit == 0)
        return broken(scan, "a NUL in a string");
    if (unit < 0xD800 || unit > 0xDFFF)
        return true;
    if (unit > 0xDBFF || !take_unit(scan, &low) || low < 0xDC00 || low > 0xDFFF)
        return broken(scan, "half of a surrogate pair");
    return true;
}

static bool scan_escape(struct scan *scan)
{
    uint8_t letter = peek(scan, 1);
    if (letter == 'u')
        return scan_unit(scan);
    if (letter == 0 || !strchr("\"\\/bfnrt", letter))
        return broken(scan, "an escape that JSON does not have");
    scan->at += 2;
    return true;
}

/* The opening quote is at the position. */
static bool scan_string(struct scan *scan)
{
    scan->at++;
    for (;;) {
        uint8_t byte = peek(scan, 0);
        if (byte < 0x20)
            return broken(scan, scan->at < scan->length ? "a control character in a string"
                                                        : "a string without its end");
        if (byte == '\\') {
            if (!scan_escape(scan))
                return false;
            continue;
        }
        scan->at++;
        if (byte == '"')
            return true;
    }
}

static bool scan_word(struct scan *scan)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if (scan->length - scan->at >= length &&
            memcmp(scan->bytes + scan->at, words[i], length) == 0) {
            scan->at += length;
            return true;
        }
    }
    return broken(scan, scan->at < scan->length ? "no value" : "the text ends");
}

static bool scan_member(struct scan *scan)
{
    if (peek(scan, 0) != '"')
        return broken(scan, "no key in quotes");
    if (!scan_string(scan))
        return false;
    skip_space(scan);
    if (!take(scan, ':'))
        return broken(scan, "no colon behind a key");
    skip_space(scan);
    return scan_value(scan);
}

/* What stands between the brackets, and the closing one. */
static bool scan_elements(struct scan *scan, bool object, uint8_t end)
{
    skip_space(scan);
    if (take(scan, end))
        return true;
    for (size_t count = 1;; count++) {
        if (object && count > CONTROL_KEYS_MAX)
            return too_much(scan, CONTROL_KEYS_MAX, "keys in an object");
        if (!(object ? scan_member(scan) : scan_value(scan)))
            return false;
        skip_space(scan);
        if (take(scan, end))
            return true;
        if (!take(scan, ','))
            return broken(scan, "neither a comma nor the closing bracket");
        skip_space(scan);
    }
}

static bool scan_container(struct scan *scan, bool object)
{
    if (scan->depth == CONTROL_DEPTH_MAX)
        return too_much(scan, CONTROL_DEPTH_MAX, "levels of objects and lists");
    scan->depth++;
    scan->at++;
    if (!scan_elements(scan, object, object ? '}' : ']'))
        return false;
    scan->depth--;
    return true;
}

static bool scan_value(struct scan *scan)
{
    if (scan->values++ == CONTROL_VALUES_MAX)
        return too_much(scan, CONTROL_VALUES_MAX, "values");
    uint8_t first = peek(scan, 0);
    if (first == '{' || first == '[')
        return scan_container(scan, first == '{');
    if (first == '"')
        return scan_string(scan);
    if (first == '-' || (first >= '0' && first <= '9'))
        return scan_number(scan);
    return scan_word(scan);
}

bool control_json_check(struct byte_view text, struct error *err)
{
    struct scan scan = {.bytes = text.data, .length = text.length, .err = err};
    size_t valid = utf8_prefix(text.data, text.length);
    if (valid < text.length) {
        scan.at = valid;
        return broken(&scan, "bytes that are not UTF-8");
    }
    skip_space(&scan);
    if (peek(&scan, 0) != '{')
        return broken(&scan, "no opening brace");
    if (!scan_value(&scan))
        return false;
    skip_space(&scan);
    return scan.at == scan.length || broken(&scan, "something behind the object");
}

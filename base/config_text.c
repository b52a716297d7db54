/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config_text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "base/utf8.h"

/* cJSON copies a number into 64 bytes; longer ones would be read in part. */
#define NUMBER_LENGTH_LIMIT 60

#define NO_KEY SIZE_MAX

struct scan {
    const struct config_text *text;
    size_t offset;
    size_t depth;
    size_t values; /* begun so far */
    char *blanked; /* NULL when only locating */
    size_t wanted; /* the ordinal to be located, or SIZE_MAX */
    struct config_spot found;
    struct error *err;
};

bool config_text_verror(const struct config_text *text, size_t offset, struct error *err,
                        const char *format, va_list arguments)
{
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < offset && i < text->length; i++) {
        uint8_t byte = (uint8_t)text->bytes[i];
        if (byte == '\n') {
            line++;
            column = 1;
        } else if ((byte & 0xC0) != 0x80) { /* not inside a character */
            column++;
        }
    }
    char message[ERROR_MESSAGE_SIZE];
    vsnprintf(message, sizeof message, format, arguments);
    return error_set(err, ERROR_CONFIG, "%s:%zu:%zu: %s", text->name, line, column, message);
}

bool config_text_error(const struct config_text *text, size_t offset, struct error *err,
                       const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    config_text_verror(text, offset, err, format, arguments);
    va_end(arguments);
    return false;
}

#define fail(scan, at, ...) config_text_error((scan)->text, at, (scan)->err, __VA_ARGS__)

/* The byte `ahead` of the position, or NUL at the end; the text itself holds no NUL. */
static char peek_at(const struct scan *scan, size_t ahead)
{
    size_t at = scan->offset + ahead;
    return at < scan->text->length ? scan->text->bytes[at] : '\0';
}

static char peek(const struct scan *scan)
{
    return peek_at(scan, 0);
}

/* Fails because of what stands at the position, which it names. */
static bool fail_expected(const struct scan *scan, const char *expected)
{
    const char *at = scan->text->bytes + scan->offset;
    size_t left = scan->text->length - scan->offset;
    if (left == 0)
        return fail(scan, scan->offset, "expected %s, found the end of the file", expected);
    if ((uint8_t)*at < 0x20 || *at == 0x7F)
        return fail(scan, scan->offset, "expected %s, found the control character 0x%02x", expected,
                    (unsigned)(uint8_t)*at);
    return fail(scan, scan->offset, "expected %s, found \"%.*s\"", expected,
                (int)utf8_sequence(at, left), at);
}

/* Overwrites a comment in the copy, leaving line breaks: they cost nothing and keep lines apart. */
static void blank(const struct scan *scan, size_t from, size_t to)
{
    if (!scan->blanked)
        return;
    for (size_t i = from; i < to; i++)
        if (scan->blanked[i] != '\n')
            scan->blanked[i] = ' ';
}

static bool skip_block_comment(struct scan *scan)
{
    size_t from = scan->offset;
    const char *inside = scan->text->bytes + from + 2;
    const char *end = memmem(inside, scan->text->length - from - 2, "*/", 2);
    if (!end)
        return fail(scan, from, "this comment is not closed: \"*/\" is missing");
    scan->offset = (size_t)(end - scan->text->bytes) + 2;
    blank(scan, from, scan->offset);
    return true;
}

static void skip_line_comment(struct scan *scan)
{
    size_t from = scan->offset;
    const char *end = memchr(scan->text->bytes + from, '\n', scan->text->length - from);
    scan->offset = end ? (size_t)(end - scan->text->bytes) : scan->text->length;
    blank(scan, from, scan->offset);
}

/* Moves past white space and comments. */
static bool skip_space(struct scan *scan)
{
    for (;;) {
        char byte = peek(scan);
        if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r') {
            scan->offset++;
        } else if (byte == '/' && peek_at(scan, 1) == '/') {
            skip_line_comment(scan);
        } else if (byte == '/' && peek_at(scan, 1) == '*') {
            if (!skip_block_comment(scan))
                return false;
        } else {
            return true;
        }
    }
}

/* Four hexadecimal digits, `ahead` of the position. */
static bool peek_hex4(const struct scan *scan, size_t ahead, uint32_t *value)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < 4; i++) {
        char digit = peek_at(scan, ahead + i);
        if (digit >= '0' && digit <= '9')
            sum = sum * 16 + (uint32_t)(digit - '0');
        else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f')
            sum = sum * 16 + (uint32_t)((digit | 0x20) - 'a' + 10);
        else
            return false;
    }
    *value = sum;
    return true;
}

/* A \uXXXX escape; a high surrogate needs its low one (RFC 8259, section 7), and NUL is refused
 * because strings end at one here. */
static bool skip_unicode_escape(struct scan *scan)
{
    uint32_t unit;
    uint32_t low;
    if (!peek_hex4(scan, 2, &unit))
        return fail(scan, scan->offset, "\"\\u\" needs four hexadecimal digits");
    if (unit == 0)
        return fail(scan, scan->offset, "a string must not hold a NUL character");
    if (unit < 0xD800 || unit > 0xDFFF) {
        scan->offset += 6;
        return true;
    }
    if (unit > 0xDBFF || peek_at(scan, 6) != '\\' || peek_at(scan, 7) != 'u' ||
        !peek_hex4(scan, 8, &low) || low < 0xDC00 || low > 0xDFFF)
        return fail(scan, scan->offset, "\"\\u%04x\" is half of a surrogate pair", (unsigned)unit);
    scan->offset += 12;
    return true;
}

static bool skip_escape(struct scan *scan)
{
    char letter = peek_at(scan, 1);
    if (letter == 'u')
        return skip_unicode_escape(scan);
    if (letter == '\0' || !strchr("\"\\/bfnrt", letter))
        return fail(scan, scan->offset,
                    "a backslash must be followed by one of \" \\ / b f n r t u: write two for a "
                    "backslash itself");
    scan->offset += 2;
    return true;
}

static bool skip_string(struct scan *scan)
{
    size_t from = scan->offset++;
    for (;;) {
        uint8_t byte = (uint8_t)peek(scan);
        if (scan->offset >= scan->text->length || byte == '\n')
            return fail(scan, from, "this string is not closed: a \" is missing");
        if (byte < 0x20)
            return fail(scan, scan->offset,
                        "a string must not hold the control character 0x%02x: write \\u%04x",
                        (unsigned)byte, (unsigned)byte);
        if (byte == '\\') {
            if (!skip_escape(scan))
                return false;
        } else {
            scan->offset++;
            if (byte == '"')
                return true;
        }
    }
}

static size_t skip_digits(struct scan *scan)
{
    size_t from = scan->offset;
    while (peek(scan) >= '0' && peek(scan) <= '9')
        scan->offset++;
    return scan->offset - from;
}

static bool skip_number(struct scan *scan)
{
    size_t from = scan->offset;
    if (peek(scan) == '-')
        scan->offset++;
    bool zero = peek(scan) == '0';
    size_t whole = skip_digits(scan);
    bool good = whole > 0 && !(zero && whole > 1);
    if (good && peek(scan) == '.') {
        scan->offset++;
        good = skip_digits(scan) > 0;
    }
    if (good && (peek(scan) | 0x20) == 'e') {
        scan->offset++;
        if (peek(scan) == '+' || peek(scan) == '-')
            scan->offset++;
        good = skip_digits(scan) > 0;
    }
    if (!good)
        return fail(scan, from, "this is not a number as JSON writes them");
    if (scan->offset - from > NUMBER_LENGTH_LIMIT)
        return fail(scan, from, "a number must not be longer than %d digits", NUMBER_LENGTH_LIMIT);
    return true;
}

static bool skip_word(struct scan *scan)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if (scan->text->length - scan->offset >= length &&
            memcmp(scan->text->bytes + scan->offset, words[i], length) == 0) {
            scan->offset += length;
            return true;
        }
    }
    return fail_expected(scan, "a value");
}

static bool skip_value(struct scan *scan, size_t key);

/* A key, its colon and its value. */
static bool skip_member(struct scan *scan)
{
    size_t key = scan->offset;
    if (peek(scan) != '"')
        return fail_expected(scan, "a key in double quotes");
    if (!skip_string(scan) || !skip_space(scan))
        return false;
    if (peek(scan) != ':')
        return fail_expected(scan, "\":\" after the key");
    scan->offset++;
    return skip_space(scan) && skip_value(scan, key);
}

/* What stands between the brackets, and the closing one. */
static bool skip_elements(struct scan *scan, bool object, char close)
{
    scan->offset++;
    size_t comma = NO_KEY;
    for (size_t count = 0;; count++) {
        if (!skip_space(scan))
            return false;
        if (peek(scan) == close && comma != NO_KEY)
            return fail(scan, comma, "a comma before \"%c\" is not allowed: remove it", close);
        if (peek(scan) == close)
            break;
        if (object && count == CONFIG_KEY_LIMIT)
            return fail(scan, scan->offset, "an object must not have more than %d keys",
                        CONFIG_KEY_LIMIT);
        if (!(object ? skip_member(scan) : skip_value(scan, NO_KEY)) || !skip_space(scan))
            return false;
        if (peek(scan) == close)
            break;
        if (peek(scan) != ',')
            return fail_expected(scan, object ? "\",\" or \"}\"" : "\",\" or \"]\"");
        comma = scan->offset++;
    }
    scan->offset++;
    return true;
}

static bool skip_container(struct scan *scan, bool object)
{
    if (scan->depth == CONFIG_DEPTH_LIMIT)
        return fail(scan, scan->offset, "objects and lists are nested deeper than %d levels",
                    CONFIG_DEPTH_LIMIT);
    scan->depth++;
    if (!skip_elements(scan, object, object ? '}' : ']'))
        return false;
    scan->depth--;
    return true;
}

static bool skip_value(struct scan *scan, size_t key)
{
    size_t at = scan->offset;
    if (scan->values == CONFIG_VALUE_LIMIT)
        return fail(scan, at, "the file has more than %d values", CONFIG_VALUE_LIMIT);
    if (scan->values++ == scan->wanted)
        scan->found = (struct config_spot){.key = key == NO_KEY ? at : key, .value = at};
    char first = peek(scan);
    if (first == '{' || first == '[')
        return skip_container(scan, first == '{');
    if (first == '"')
        return skip_string(scan);
    if (first == '-' || (first >= '0' && first <= '9'))
        return skip_number(scan);
    return skip_word(scan);
}

static bool scan_all(struct scan *scan)
{
    if (!skip_space(scan) || !skip_value(scan, NO_KEY) || !skip_space(scan))
        return false;
    if (scan->offset < scan->text->length)
        return fail_expected(scan, "the end of the file");
    return true;
}

/* What must hold before the grammar can be looked at. */
static bool check_bytes(const struct config_text *text, struct error *err)
{
    if (text->length > CONFIG_TEXT_LIMIT)
        return error_set(err, ERROR_CONFIG, "%s:1:1: the file is larger than %u bytes", text->name,
                         CONFIG_TEXT_LIMIT);
    if (text->length >= 3 && memcmp(text->bytes, "\xEF\xBB\xBF", 3) == 0)
        return config_text_error(text, 0, err,
                                 "the file starts with a byte order mark: save it without one");
    const char *nul = memchr(text->bytes, '\0', text->length);
    if (nul)
        return config_text_error(text, (size_t)(nul - text->bytes), err,
                                 "the file holds a NUL byte: it must be text");
    size_t valid = utf8_prefix(text->bytes, text->length);
    if (valid < text->length)
        return config_text_error(text, valid, err,
                                 "the byte 0x%02x is not UTF-8: save the file as UTF-8",
                                 (unsigned)(uint8_t)text->bytes[valid]);
    return true;
}

bool config_text_check(const struct config_text *text, char *blanked, struct error *err)
{
    struct scan scan = {.text = text, .blanked = blanked, .wanted = SIZE_MAX, .err = err};
    return check_bytes(text, err) && scan_all(&scan);
}

struct config_spot config_text_locate(const struct config_text *text, size_t ordinal)
{
    struct scan scan = {.text = text, .wanted = ordinal};
    (void)scan_all(&scan); /* checked before: it reaches the value */
    return scan.found;
}

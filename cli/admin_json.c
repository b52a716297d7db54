/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/admin_json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "base/printable.h"
#include "base/utf8.h"

/* Whole numbers are printed as such up to here; past it JSON numbers lose digits. */
#define WHOLE_MAX 9007199254740991.0

struct layout {
    struct byte_writer out;
    bool spaced;   /* blanks behind commas and colons */
    bool too_deep; /* something was left out */
};

static void put(struct layout *layout, const char *text)
{
    byte_writer_bytes(&layout->out, text, strlen(text));
}

/* Whether a character is one that a terminal must not get. */
static bool is_hidden(const char *text, size_t length)
{
    uint8_t shown[16];
    struct buffer buffer;
    buffer_init_fixed(&buffer, shown, sizeof shown);
    struct byte_writer into = byte_writer(&buffer);
    (void)printable_write(&into, text, length, 0, NULL);
    return buffer_length(&buffer) != length || memcmp(shown, text, length) != 0;
}

static void put_escape(struct layout *layout, uint32_t character)
{
    char text[16];
    if (character < 0x10000)
        (void)snprintf(text, sizeof text, "\\u%04" PRIx32, character);
    else /* RFC 8259, 7: a pair of surrogates */
        (void)snprintf(text, sizeof text, "\\u%04" PRIx32 "\\u%04" PRIx32,
                       0xD7C0 + (character >> 10), 0xDC00 + (character & 0x3FF));
    put(layout, text);
}

static void put_string(struct layout *layout, const char *text)
{
    size_t left = strlen(text);
    byte_writer_u8(&layout->out, '"');
    while (left > 0) {
        size_t size = utf8_sequence(text, left);
        if (size > 1 && is_hidden(text, size))
            put_escape(layout, utf8_decode(text, size));
        else if (size > 0)
            json_escape(&layout->out, text, size);
        else
            put_escape(layout, 0xFFFD); /* cJSON makes none of these; a caller of ours might */
        text += size > 0 ? size : 1;
        left -= size > 0 ? size : 1;
    }
    byte_writer_u8(&layout->out, '"');
}

static void put_number(struct layout *layout, double value)
{
    char text[32];
    if (value == floor(value) && fabs(value) <= WHOLE_MAX)
        (void)snprintf(text, sizeof text, "%.0f", value);
    else if (isfinite(value))
        (void)snprintf(text, sizeof text, "%.17g", value);
    else
        (void)snprintf(text, sizeof text, "null");
    put(layout, text);
}

static void put_scalar(struct layout *layout, const cJSON *value)
{
    if (cJSON_IsString(value))
        put_string(layout, value->valuestring);
    else if (cJSON_IsNumber(value))
        put_number(layout, value->valuedouble);
    else if (cJSON_IsBool(value))
        put(layout, cJSON_IsTrue(value) ? "true" : "false");
    else
        put(layout, "null");
}

static void put_key(struct layout *layout, const cJSON *member)
{
    if (!member->string)
        return;
    put_string(layout, member->string);
    put(layout, layout->spaced ? ": " : ":");
}

static void put_inline(struct layout *layout, const cJSON *value, size_t depth)
{
    bool object = cJSON_IsObject(value);
    if (!object && !cJSON_IsArray(value)) {
        put_scalar(layout, value);
        return;
    }
    if (depth == ADMIN_JSON_DEPTH) {
        layout->too_deep = true;
        return;
    }
    bool pad = layout->spaced && object && value->child;
    put(layout, object ? (pad ? "{ " : "{") : "[");
    for (const cJSON *member = value->child; member; member = member->next) {
        put_key(layout, member);
        put_inline(layout, member, depth + 1);
        if (member->next)
            put(layout, layout->spaced ? ", " : ",");
    }
    put(layout, object ? (pad ? " }" : "}") : "]");
}

/* Whether the value fits into that many columns of a line. (Bytes are at least the columns.) */
static bool fits(const cJSON *value, size_t depth, size_t columns)
{
    uint8_t line[ADMIN_JSON_WIDTH];
    struct buffer buffer;
    buffer_init_fixed(&buffer, line, columns < sizeof line ? columns : sizeof line);
    struct layout trial = {.out = byte_writer(&buffer), .spaced = true};
    put_inline(&trial, value, depth);
    return byte_writer_finish(&trial.out, NULL);
}

static void put_indent(struct layout *layout, size_t depth)
{
    byte_writer_u8(&layout->out, '\n');
    for (size_t i = 0; i < 2 * depth; i++)
        byte_writer_u8(&layout->out, ' ');
}

/* A value of which `used` columns of the line are taken, one of them for the comma behind it. */
static void put_pretty(struct layout *layout, const cJSON *value, size_t depth, size_t used)
{
    bool object = cJSON_IsObject(value);
    size_t left = used < ADMIN_JSON_WIDTH ? ADMIN_JSON_WIDTH - used : 0;
    if ((!object && !cJSON_IsArray(value)) || depth == ADMIN_JSON_DEPTH ||
        fits(value, depth, left)) {
        put_inline(layout, value, depth);
        return;
    }
    put(layout, object ? "{" : "[");
    for (const cJSON *member = value->child; member; member = member->next) {
        put_indent(layout, depth + 1);
        put_key(layout, member);
        size_t key = member->string ? strlen(member->string) + strlen("\"\": ") : 0;
        put_pretty(layout, member, depth + 1, 2 * (depth + 1) + key + 1);
        if (member->next)
            put(layout, ",");
    }
    put_indent(layout, depth);
    put(layout, object ? "}" : "]");
}

static bool finish(struct layout *layout, struct error *err)
{
    byte_writer_u8(&layout->out, '\n');
    if (layout->too_deep)
        return error_set(err, ERROR_LIMIT, "the answer's JSON is more than %d levels deep",
                         ADMIN_JSON_DEPTH);
    return byte_writer_finish(&layout->out, err);
}

bool admin_json_line(const cJSON *value, struct buffer *out, struct error *err)
{
    struct layout layout = {.out = byte_writer(out)};
    put_inline(&layout, value, 0);
    return finish(&layout, err);
}

bool admin_json_pretty(const cJSON *value, struct buffer *out, struct error *err)
{
    struct layout layout = {.out = byte_writer(out), .spaced = true};
    put_pretty(&layout, value, 0, 0);
    return finish(&layout, err);
}

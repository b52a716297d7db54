/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/params.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "audit/base64.h"
#include "audit/charset.h"
#include "base/json.h"

/* Room kept free for `,{"omitted":18446744073709551615}]`. */
#define PARAMS_END_ROOM 48

/* Any number in text, its NUL included: a double's 17 digits, sign, point and exponent are 25. */
#define PARAMS_NUMBER_SIZE 32

void params_init(struct audit_params *params)
{
    *params = (struct audit_params){0};
    buffer_init(&params->json, AUDIT_PARAMS_MAX);
}

static void release_converter(struct audit_params *params)
{
    if (params->converter)
        audit_converter_release(params->converter);
    free(params->converter);
    params->converter = NULL;
}

void params_release(struct audit_params *params)
{
    release_converter(params);
    buffer_release(&params->json);
}

void params_begin(struct audit_params *params, const char *charset)
{
    buffer_clear(&params->json);
    params->charset = charset;
    params->values = 0;
    params->omitted = 0;
    params->endless = false;
    params->named = false;
    params->finished = false;
    params->failed = false;
}

void params_trim(struct audit_params *params, size_t keep)
{
    release_converter(params);
    buffer_trim(&params->json, keep);
    params_begin(params, NULL);
}

void params_name(struct audit_params *params, const void *name, size_t length)
{
    params->named = true;
    params->name = byte_view(name, length);
}

struct value_bytes {
    const void *bytes;
    size_t length;        /* at hand */
    uint64_t full_length; /* as sent */
    bool is_text;
};

static struct audit_converter *converter_of(struct audit_params *params)
{
    if (!params->converter) {
        params->converter = malloc(sizeof *params->converter);
        if (params->converter)
            audit_converter_init(params->converter);
        else
            params->failed = true;
    }
    return params->converter;
}

static void write_text(struct byte_writer *writer, const struct value_bytes *value)
{
    byte_writer_u8(writer, '"');
    json_escape(writer, value->bytes, value->length);
    byte_writer_u8(writer, '"');
}

static void write_base64(struct byte_writer *writer, const struct value_bytes *value)
{
    byte_writer_u8(writer, '"');
    audit_base64(writer, value->bytes, value->length);
    byte_writer_u8(writer, '"');
}

static void write_value(struct byte_writer *writer, const struct value_bytes *value, bool cut)
{
    if (value->is_text && !cut) {
        write_text(writer, value);
        return;
    }
    struct json_object object = json_begin(writer);
    if (cut) {
        json_field_unsigned(&object, "length", value->full_length);
        json_field_bool(&object, "truncated", true);
    }
    json_field_key(&object, value->is_text ? "text" : "base64");
    if (value->is_text)
        write_text(writer, value);
    else
        write_base64(writer, value);
    json_end(&object);
}

/* Writes bytes as what they are in the connection's character set. */
static void write_converted(struct audit_params *params, struct byte_writer *writer,
                            struct value_bytes value)
{
    struct audit_text text = {0};
    if (value.length > AUDIT_PARAM_VALUE_MAX)
        value.length = AUDIT_PARAM_VALUE_MAX;
    bool cut = value.full_length > value.length;
    struct audit_converter *converter = value.is_text ? converter_of(params) : NULL;
    if (converter && !audit_convert(converter, audit_charset_find(params->charset), value.bytes,
                                    value.length, cut, &text, NULL))
        params->failed = true;
    if (text.is_text) {
        value.bytes = text.bytes;
        value.length = text.length;
    }
    value.is_text = text.is_text;
    write_value(writer, &value, cut);
}

/* The comma and such, and the name; false when this value and all that follow are left out. */
static bool open_value(struct audit_params *params, struct byte_writer *writer)
{
    static const char before[] = "{\"name\":", after[] = ",\"value\":";
    *writer = byte_writer(&params->json);
    params->values++;
    if (params->omitted > 0 || params->failed) {
        params->omitted++;
        params->named = false;
        return false;
    }
    byte_writer_u8(writer, params->values == 1 ? '[' : ',');
    if (!params->named)
        return true;
    byte_writer_bytes(writer, before, sizeof before - 1);
    write_converted(
        params, writer,
        (struct value_bytes){params->name.data, params->name.length, params->name.length, true});
    byte_writer_bytes(writer, after, sizeof after - 1);
    return true;
}

/* Takes back a value that left too little room, or that met a lack of memory. */
static void close_value(struct audit_params *params, struct byte_writer *writer, size_t before)
{
    if (params->named)
        byte_writer_u8(writer, '}');
    params->named = false;
    bool whole = byte_writer_finish(writer, NULL);
    if (whole && buffer_length(&params->json) + PARAMS_END_ROOM <= AUDIT_PARAMS_MAX)
        return;
    buffer_truncate(&params->json, before);
    params->omitted++;
    /* It doubles: one value cannot reach the limit before all of it is allocated. */
    params->failed = params->failed || (!whole && params->json.capacity < params->json.limit);
}

static void add_raw(struct audit_params *params, const char *json, size_t length)
{
    struct byte_writer writer;
    size_t before = buffer_length(&params->json);
    if (!open_value(params, &writer))
        return;
    byte_writer_bytes(&writer, json, length);
    close_value(params, &writer, before);
}

void params_null(struct audit_params *params)
{
    add_raw(params, "null", 4);
}

void params_default(struct audit_params *params)
{
    static const char json[] = "{\"default\":true}";
    add_raw(params, json, sizeof json - 1);
}

void params_ignore(struct audit_params *params)
{
    static const char json[] = "{\"ignore\":true}";
    add_raw(params, json, sizeof json - 1);
}

void params_omit(struct audit_params *params)
{
    params->values++;
    params->omitted++;
    params->named = false;
}

void params_omit_rest(struct audit_params *params)
{
    params_omit(params);
    params->endless = true;
}

void params_int(struct audit_params *params, int64_t value)
{
    char text[PARAMS_NUMBER_SIZE];
    int length = snprintf(text, sizeof text, "%" PRId64, value);
    add_raw(params, text, (size_t)length);
}

void params_unsigned(struct audit_params *params, uint64_t value)
{
    char text[PARAMS_NUMBER_SIZE];
    int length = snprintf(text, sizeof text, "%" PRIu64, value);
    add_raw(params, text, (size_t)length);
}

/* JSON has no word for the first three, and many readers take -0 for an integer, which has no sign.
 */
static bool add_special(struct audit_params *params, double value)
{
    const char *word = NULL;
    if (isnan(value))
        word = "\"NaN\"";
    else if (isinf(value))
        word = value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    else if (value == 0 && signbit(value))
        word = "-0.0";
    if (word)
        add_raw(params, word, strlen(word));
    return word != NULL;
}

void params_double(struct audit_params *params, double value)
{
    char text[PARAMS_NUMBER_SIZE];
    int length = 0;
    if (add_special(params, value))
        return;
    for (int digits = 15; digits <= 17; digits++) {
        length = snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    add_raw(params, text, (size_t)length);
}

void params_float(struct audit_params *params, float value)
{
    char text[PARAMS_NUMBER_SIZE];
    int length = 0;
    if (add_special(params, (double)value))
        return;
    for (int digits = 6; digits <= 9; digits++) {
        length = snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    add_raw(params, text, (size_t)length);
}

static void add_value(struct audit_params *params, struct value_bytes value)
{
    struct byte_writer writer;
    size_t before = buffer_length(&params->json);
    if (!open_value(params, &writer))
        return;
    write_converted(params, &writer, value);
    close_value(params, &writer, before);
}

void params_text(struct audit_params *params, const void *bytes, size_t length,
                 uint64_t full_length)
{
    add_value(params, (struct value_bytes){bytes, length, full_length, true});
}

void params_bytes(struct audit_params *params, const void *bytes, size_t length,
                  uint64_t full_length)
{
    add_value(params, (struct value_bytes){bytes, length, full_length, false});
}

bool params_finish(struct audit_params *params, const char **json, size_t *length,
                   struct error *err)
{
    struct byte_writer writer = byte_writer(&params->json);
    if (params->failed)
        return error_set(err, ERROR_MEMORY, "out of memory for bound values");
    if (!params->finished && params->values == params->omitted)
        byte_writer_u8(&writer, '[');
    if (!params->finished && params->omitted > 0) {
        char number[PARAMS_NUMBER_SIZE] = "null", text[PARAMS_END_ROOM];
        if (!params->endless)
            snprintf(number, sizeof number, "%" PRIu64, params->omitted);
        int size = snprintf(text, sizeof text, "%s{\"omitted\":%s}",
                            params->values > params->omitted ? "," : "", number);
        byte_writer_bytes(&writer, text, (size_t)size);
    }
    if (!params->finished)
        byte_writer_u8(&writer, ']');
    if (!byte_writer_finish(&writer, err))
        return false;
    params->finished = true;
    *json = (const char *)buffer_bytes(&params->json);
    *length = buffer_length(&params->json);
    return true;
}

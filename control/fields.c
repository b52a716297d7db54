/* SPDX-License-Identifier: Apache-2.0 */
#include "control/fields.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "control/message.h"

/* Of keys in messages about them; a peer chose them. */
#define SHOWN_KEY 64

static bool malformed(const struct control_field *field, const char *what, struct error *err)
{
    return error_set(err, ERROR_MALFORMED, "'%s' is not %s", field->key, what);
}

static bool within(const struct control_field *field, uint64_t value, const char *unit,
                   struct error *err)
{
    if (value < field->least)
        return error_set(err, ERROR_LIMIT, "'%s' is %" PRIu64 "%s: at least %" PRIu64 " is needed",
                         field->key, value, unit, field->least);
    if (value > field->greatest)
        return error_set(err, ERROR_LIMIT, "'%s' is %" PRIu64 "%s: at most %" PRIu64 " is allowed",
                         field->key, value, unit, field->greatest);
    return true;
}

static bool is_clean(const char *text, bool lines)
{
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        bool space = byte == '\n' || byte == '\r' || byte == '\t';
        if (byte == 0x7F || (byte < 0x20 && !(lines && space)))
            return false;
    }
    return true;
}

static bool read_text(const struct control_field *field, const cJSON *item, const char **text,
                      struct error *err)
{
    if (!cJSON_IsString(item))
        return malformed(field, "a text", err);
    if (!is_clean(item->valuestring, field->type == CONTROL_LINES))
        return malformed(field, "a text without control characters", err);
    size_t length = strlen(item->valuestring);
    if (length == 0 && !field->empty)
        return error_set(err, ERROR_LIMIT, "'%s' is empty", field->key);
    *text = item->valuestring;
    return within(field, length, " bytes long", err);
}

static bool read_texts(const struct control_field *field, const cJSON *item, struct error *err)
{
    struct control_texts *texts = field->to.texts;
    if (!cJSON_IsArray(item))
        return malformed(field, "a list of texts", err);
    for (const cJSON *each = item->child; each; each = each->next) {
        if (texts->count == texts->room)
            return error_set(err, ERROR_LIMIT, "'%s' has more than %zu items", field->key,
                             texts->room);
        if (!read_text(field, each, &texts->items[texts->count], err))
            return false;
        texts->count++;
    }
    return true;
}

/* JSON has no integers: a number counts as one when nothing is lost. */
static bool read_unsigned(const struct control_field *field, const cJSON *item, struct error *err)
{
    struct control_field bounded = *field;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= CONTROL_ID_MAX) ||
        (double)(uint64_t)item->valuedouble != item->valuedouble)
        return malformed(field, "a whole number", err);
    if (bounded.greatest == 0)
        bounded.greatest = CONTROL_ID_MAX;
    *field->to.number = (uint64_t)item->valuedouble;
    return within(&bounded, *field->to.number, "", err);
}

static bool read_bool(const struct control_field *field, const cJSON *item, struct error *err)
{
    *field->to.flag = cJSON_IsTrue(item);
    return cJSON_IsBool(item) || malformed(field, "true or false", err);
}

static bool read_object(const struct control_field *field, const cJSON *item, struct error *err)
{
    if (!cJSON_IsObject(item))
        return malformed(field, "an object", err);
    *field->to.value = item;
    return true;
}

static bool read_objects(const struct control_field *field, const cJSON *item, struct error *err)
{
    uint64_t count = 0;
    if (!cJSON_IsArray(item))
        return malformed(field, "a list of objects", err);
    for (const cJSON *each = item->child; each; each = each->next, count++)
        if (!cJSON_IsObject(each))
            return malformed(field, "a list of objects", err);
    *field->to.value = item;
    return within(field, count, " items long", err);
}

static bool read_bytes(const struct control_field *field, const cJSON *item, struct error *err)
{
    struct control_bytes *bytes = field->to.bytes;
    if (!cJSON_IsString(item))
        return malformed(field, "base64url", err);
    size_t length = strlen(item->valuestring);
    if (length / 4 > bytes->room / 3 + 1) /* in any case too long: the digits are not looked at */
        return error_set(err, ERROR_LIMIT, "'%s' has more than %zu bytes", field->key, bytes->room);
    /* In constant time, and strict about what the last digit leaves over: libsodium's manual,
     * "Hex and Base64 encoding and decoding". */
    if (sodium_base642bin(bytes->data, bytes->room, item->valuestring, length, NULL, &bytes->length,
                          NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0) {
        bytes->length = 0;
        return malformed(field, "base64url without padding, of the right length", err);
    }
    struct control_field bounded = *field;
    bounded.greatest = bytes->room;
    return within(&bounded, bytes->length, " bytes long", err);
}

bool control_time_parse(const char *text, int64_t *wall_us, struct error *err)
{
    size_t length = strlen(text);
    int64_t value;
    if (length < 20 || text[10] != 'T' || text[length - 1] != 'Z' ||
        !clock_parse(text, &value, NULL))
        return error_set(err, ERROR_MALFORMED,
                         "not a time in UTC: it is written as 2026-01-31T23:59:59Z");
    *wall_us = value;
    return true;
}

static bool read_time(const struct control_field *field, const cJSON *item, struct error *err)
{
    if (!cJSON_IsString(item) || !control_time_parse(item->valuestring, field->to.time, NULL))
        return malformed(field, "a time in UTC such as 2026-01-31T23:59:59Z", err);
    return true;
}

static bool read_duration(const struct control_field *field, const cJSON *item, struct error *err)
{
    struct control_field bounded = *field;
    if (!cJSON_IsString(item) || !duration_parse(item->valuestring, field->to.time, NULL))
        return malformed(field, "a duration such as \"10m\"", err);
    if (bounded.greatest == 0)
        bounded.greatest = INT64_MAX;
    return within(&bounded, (uint64_t)*field->to.time, " ms", err);
}

static bool read_field(const struct control_field *field, const cJSON *item, struct error *err)
{
    switch (field->type) {
    case CONTROL_TEXT:
    case CONTROL_LINES:
        return read_text(field, item, field->to.text, err);
    case CONTROL_TEXTS:
        return read_texts(field, item, err);
    case CONTROL_UNSIGNED:
        return read_unsigned(field, item, err);
    case CONTROL_BOOL:
        return read_bool(field, item, err);
    case CONTROL_OBJECT:
        return read_object(field, item, err);
    case CONTROL_OBJECTS:
        return read_objects(field, item, err);
    case CONTROL_BYTES:
        return read_bytes(field, item, err);
    case CONTROL_TIME:
        return read_time(field, item, err);
    case CONTROL_DURATION:
        return read_duration(field, item, err);
    }
    return error_set(err, ERROR_STATE, "'%s' has no type", field->key);
}

static void clear(const struct control_field *field)
{
    if (field->present)
        *field->present = false;
    switch (field->type) {
    case CONTROL_TEXT:
    case CONTROL_LINES:
        *field->to.text = NULL;
        break;
    case CONTROL_TEXTS:
        field->to.texts->count = 0;
        break;
    case CONTROL_UNSIGNED:
        *field->to.number = 0;
        break;
    case CONTROL_BOOL:
        *field->to.flag = false;
        break;
    case CONTROL_OBJECT:
    case CONTROL_OBJECTS:
        *field->to.value = NULL;
        break;
    case CONTROL_BYTES:
        field->to.bytes->length = 0;
        break;
    case CONTROL_TIME:
    case CONTROL_DURATION:
        *field->to.time = 0;
        break;
    }
}

static bool is_expected(const char *key, enum control_keys keys, const struct control_field *fields,
                        size_t count)
{
    if (keys == CONTROL_KEYS_REQUEST && (strcmp(key, "id") == 0 || strcmp(key, "request") == 0))
        return true;
    for (size_t i = 0; i < count; i++)
        if (strcmp(key, fields[i].key) == 0)
            return true;
    return false;
}

bool control_fields_read(const cJSON *object, enum control_keys keys,
                         const struct control_field *fields, size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++)
        clear(&fields[i]);
    for (const cJSON *item = object->child; item && keys != CONTROL_KEYS_ANY; item = item->next)
        if (!is_expected(item->string, keys, fields, count))
            return error_set(err, ERROR_MALFORMED, "unknown key '%.*s'", SHOWN_KEY, item->string);
    for (size_t i = 0; i < count; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, fields[i].key);
        if (fields[i].present)
            *fields[i].present = item != NULL;
        if (!item && !fields[i].optional)
            return error_set(err, ERROR_MALFORMED, "'%s' is missing", fields[i].key);
        if (item && !read_field(&fields[i], item, err))
            return false;
    }
    return true;
}

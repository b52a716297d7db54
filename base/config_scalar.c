/* SPDX-License-Identifier: Apache-2.0 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/config_internal.h"
#include "base/suggest.h"

/* Room for the longest number with its unit. */
#define NUMBER_TEXT_SIZE 40

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "a CONFIG_SIZE is stored as a uint64_t");

const char *config_found_name(const struct cJSON *value)
{
    if (cJSON_IsString(value))
        return "a string";
    if (cJSON_IsNumber(value))
        return "a number";
    if (cJSON_IsBool(value))
        return "a boolean";
    if (cJSON_IsNull(value))
        return "null";
    return cJSON_IsArray(value) ? "a list" : "an object";
}

/* "must be <what>, not <what it is>". */
static bool fail_type(struct error *err, const char *expected, const struct cJSON *value)
{
    return error_set(err, ERROR_CONFIG, "must be %s, not %s", expected, config_found_name(value));
}

/* The greatest that a row allows; `natural` is what its type can hold. */
static uint64_t greatest_of(const struct config_field *field, uint64_t natural)
{
    return field->greatest && field->greatest < natural ? field->greatest : natural;
}

/* Prints a bound as its row's values are written. */
static const char *print_number(enum config_type type, uint64_t number, char out[NUMBER_TEXT_SIZE])
{
    static const char units[] = {'g', 'm', 'k'};
    if (type == CONFIG_DURATION) {
        duration_format((int64_t)number, out, NUMBER_TEXT_SIZE);
        return out;
    }
    for (size_t i = 0; type == CONFIG_SIZE && i < sizeof units; i++) {
        unsigned shift = 10 * (unsigned)(sizeof units - i);
        if (number != 0 && number % (1ULL << shift) == 0) {
            snprintf(out, NUMBER_TEXT_SIZE, "%llu%c", (unsigned long long)(number >> shift),
                     units[i]);
            return out;
        }
    }
    snprintf(out, NUMBER_TEXT_SIZE, "%llu", (unsigned long long)number);
    return out;
}

/* `written` is the value as the file has it. */
static bool check_range(const struct config_field *field, uint64_t number, uint64_t natural,
                        const char *written, struct error *err)
{
    uint64_t greatest = greatest_of(field, natural);
    if (number >= field->least && number <= greatest)
        return true;
    char low[NUMBER_TEXT_SIZE];
    char high[NUMBER_TEXT_SIZE];
    return error_set(err, ERROR_CONFIG, "must be between %s and %s, not %.32s",
                     print_number(field->type, field->least, low),
                     print_number(field->type, greatest, high), written);
}

/* A number of the file as it is shown in messages: whole where it is. */
static const char *print_value(double value, char out[NUMBER_TEXT_SIZE])
{
    snprintf(out, NUMBER_TEXT_SIZE, "%.17g", value);
    return out;
}

/* Whether a number that is not negative is whole; one past CONFIG_NUMBER_LIMIT is only large. */
static bool whole_number(double given, uint64_t *number)
{
    *number = given > (double)CONFIG_NUMBER_LIMIT ? CONFIG_NUMBER_LIMIT + 1 : (uint64_t)given;
    return *number > CONFIG_NUMBER_LIMIT || (double)*number == given;
}

static bool decode_number(const struct config_field *field, const struct cJSON *value,
                          uint64_t *number, struct error *err)
{
    static const char expected[] = "a whole number";
    char written[NUMBER_TEXT_SIZE];
    if (!cJSON_IsNumber(value))
        return fail_type(err, expected, value);
    print_value(value->valuedouble, written);
    if (value->valuedouble < 0)
        return error_set(err, ERROR_CONFIG, "must not be negative, and is %s", written);
    if (!whole_number(value->valuedouble, number))
        return error_set(err, ERROR_CONFIG, "must be %s, not %s", expected, written);
    return check_range(field, *number, CONFIG_NUMBER_LIMIT, written, err);
}

/* Reads decimal digits and moves on; false where there are none or too many. */
static bool take_digits(const char **text, uint64_t *number)
{
    const char *at = *text;
    uint64_t sum = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(sum, 10U, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(*at - '0'), &sum))
            return false;
    bool any = at > *text;
    *text = at;
    *number = sum;
    return any;
}

/* Bytes with a unit of 1024s, or none. */
static bool parse_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "kmg";
    const char *at = text;
    if (!take_digits(&at, bytes))
        return false;
    if (*at == '\0')
        return true;
    const char *unit = strchr(units, *at | 0x20);
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    if (!unit || at[1] != '\0' || *bytes > UINT64_MAX >> shift)
        return false;
    *bytes <<= shift;
    return true;
}

static bool store_size(const struct config_field *field, const char *text, void *member,
                       struct error *err)
{
    uint64_t bytes;
    if (!parse_size(text, &bytes))
        return error_set(err, ERROR_CONFIG,
                         "must be a size such as \"64k\", \"16m\" or \"1g\", not \"%.64s\"", text);
    if (!check_range(field, bytes, CONFIG_NUMBER_LIMIT, text, err))
        return false;
    size_t stored = bytes;
    memcpy(member, &stored, sizeof stored);
    return true;
}

static bool store_duration(const struct config_field *field, const char *text, void *member,
                           struct error *err)
{
    int64_t milliseconds;
    if (!duration_parse(text, &milliseconds, NULL))
        return error_set(err, ERROR_CONFIG,
                         "must be a duration such as \"500ms\", \"90s\", \"10m\", \"12h\" or "
                         "\"7d\", not \"%.64s\"",
                         text);
    if (!check_range(field, (uint64_t)milliseconds, INT64_MAX, text, err))
        return false;
    memcpy(member, &milliseconds, sizeof milliseconds);
    return true;
}

/* "must be one of "a", "b"", and the nearest to what was written. */
static bool fail_name(const struct config_field *field, const char *text, struct error *err)
{
    struct suggestion nearest = suggestion_for(text);
    char list[CONFIG_NAME_SIZE] = "";
    size_t length = 0;
    for (size_t i = 0; field->names[i]; i++) {
        suggestion_try(&nearest, field->names[i]);
        int added = snprintf(list + length, sizeof list - length, "%s\"%s\"", i ? ", " : "",
                             field->names[i]);
        if (added < 0 || (size_t)added >= sizeof list - length)
            break;
        length += (size_t)added;
    }
    if (nearest.name)
        return error_set(err, ERROR_CONFIG,
                         "must be one of %s, not \"%.64s\": did you mean \"%s\"?", list, text,
                         nearest.name);
    return error_set(err, ERROR_CONFIG, "must be one of %s, not \"%.64s\"", list, text);
}

static bool store_name(const struct config_field *field, const char *text, void *member,
                       struct error *err)
{
    for (int i = 0; field->names[i]; i++) {
        if (strcmp(field->names[i], text) == 0) {
            memcpy(member, &i, sizeof i);
            return true;
        }
    }
    return fail_name(field, text, err);
}

static bool check_length(const struct config_field *field, size_t least, size_t greatest,
                         const char *text, struct error *err)
{
    size_t length = strlen(text);
    if (length == 0 && !field->allow_empty)
        return error_set(err, ERROR_CONFIG, "must not be empty");
    if (length < least)
        return error_set(err, ERROR_CONFIG, "must be at least %zu bytes long, and has %zu", least,
                         length);
    if (length > greatest)
        return error_set(err, ERROR_CONFIG, "must not be longer than %zu bytes, and has %zu",
                         greatest, length);
    return true;
}

bool config_scalar_string(struct config *config, const struct config_field *field, size_t least,
                          size_t greatest, const struct cJSON *value, const char **text,
                          struct error *err)
{
    if (!cJSON_IsString(value))
        return fail_type(err, "a string", value);
    return check_length(field, least, greatest, value->valuestring, err) &&
           config_copy(config, value->valuestring, text, err);
}

static bool store_string(struct config *config, const struct config_field *field, const char *text,
                         void *member, struct error *err)
{
    const char *stored;
    size_t greatest = field->greatest ? field->greatest : CONFIG_STRING_LIMIT;
    if (!check_length(field, field->least, greatest, text, err) ||
        !(field->type == CONFIG_PATH && *text ? config_join(config, text, &stored, err)
                                              : config_copy(config, text, &stored, err)))
        return false;
    memcpy(member, &stored, sizeof stored);
    return true;
}

/* The types that are written as strings. */
static bool store_text(struct config *config, const struct config_field *field, const char *text,
                       void *member, struct error *err)
{
    switch (field->type) {
    case CONFIG_STRING:
    case CONFIG_PATH:
        return store_string(config, field, text, member, err);
    case CONFIG_DURATION:
        return store_duration(field, text, member, err);
    case CONFIG_SIZE:
        return store_size(field, text, member, err);
    case CONFIG_ENUM:
        return store_name(field, text, member, err);
    default:
        return error_set(err, ERROR_STATE, "\"%s\" is not written as a string", field->key);
    }
}

/* What messages say that a value of a type must be. */
static const char *expected_name(enum config_type type)
{
    switch (type) {
    case CONFIG_PATH:
        return "a path";
    case CONFIG_DURATION:
        return "a duration such as \"10m\"";
    case CONFIG_SIZE:
        return "a size such as \"64k\" or a whole number";
    case CONFIG_ENUM:
        return "a name";
    default:
        return "a string";
    }
}

bool config_scalar(struct config *config, const struct config_field *field,
                   const struct cJSON *value, void *member, struct error *err)
{
    uint64_t number = 0;
    if (field->type == CONFIG_BOOL) {
        if (!cJSON_IsBool(value))
            return fail_type(err, "true or false", value);
        *(bool *)member = cJSON_IsTrue(value);
        return true;
    }
    if (field->type == CONFIG_UNSIGNED || (field->type == CONFIG_SIZE && cJSON_IsNumber(value))) {
        if (!decode_number(field, value, &number, err))
            return false;
        memcpy(member, &number, sizeof number);
        return true;
    }
    if (!cJSON_IsString(value))
        return fail_type(err, expected_name(field->type), value);
    return store_text(config, field, value->valuestring, member, err);
}

bool config_scalar_fallback(struct config *config, const struct config_field *field, void *member,
                            struct error *err)
{
    const char *at = field->fallback;
    uint64_t number;
    if (field->type == CONFIG_BOOL) {
        *(bool *)member = strcmp(at, "true") == 0;
        return *(bool *)member || strcmp(at, "false") == 0 ||
               error_set(err, ERROR_STATE, "must be true or false");
    }
    if (field->type == CONFIG_UNSIGNED) {
        if (!take_digits(&at, &number) || *at != '\0')
            return error_set(err, ERROR_STATE, "must be a whole number");
        memcpy(member, &number, sizeof number);
        return check_range(field, number, CONFIG_NUMBER_LIMIT, field->fallback, err);
    }
    return store_text(config, field, field->fallback, member, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "base/config_internal.h"
#include "base/suggest.h"

/* The decoding of one file: where in the tree it is, for messages. */
struct decoder {
    struct config *config;
    struct error *err;
    size_t path_length;
    char path[CONFIG_NAME_SIZE]; /* e.g. "proxy.listeners[0]"; "" at the top */
};

/* Goes down to a key; returns what path_leave() wants. A path too long for its room is cut. */
static size_t path_enter_key(struct decoder *decoder, const char *key)
{
    size_t before = decoder->path_length;
    size_t room = sizeof decoder->path - before;
    int added = snprintf(decoder->path + before, room, "%s%.64s", before ? "." : "", key);
    decoder->path_length += added > 0 && (size_t)added < room ? (size_t)added : room - 1;
    return before;
}

static size_t path_enter_index(struct decoder *decoder, size_t index)
{
    size_t before = decoder->path_length;
    size_t room = sizeof decoder->path - before;
    int added = snprintf(decoder->path + before, room, "[%zu]", index);
    decoder->path_length += added > 0 && (size_t)added < room ? (size_t)added : room - 1;
    return before;
}

static void path_leave(struct decoder *decoder, size_t before)
{
    decoder->path_length = before;
    decoder->path[before] = '\0';
}

/* Puts position and path before the predicate that `problem` holds; other failures pass as they
 * are. */
static bool fail_value(const struct decoder *decoder, const struct cJSON *value,
                       const struct error *problem)
{
    if (problem->code != ERROR_CONFIG)
        return error_set(decoder->err, problem->code, "%s", problem->message);
    return config_fail(decoder->config, value, false, decoder->err, "\"%s\" %s", decoder->path,
                       problem->message);
}

static bool fail_value_type(const struct decoder *decoder, const struct cJSON *value,
                            const char *expected)
{
    if (decoder->path_length == 0)
        return config_fail(decoder->config, value, false, decoder->err,
                           "the file must hold %s, not %s", expected, config_found_name(value));
    return config_fail(decoder->config, value, false, decoder->err, "\"%s\" must be %s, not %s",
                       decoder->path, expected, config_found_name(value));
}

static size_t child_count(const struct cJSON *value)
{
    size_t count = 0;
    for (const struct cJSON *child = value->child; child; child = child->next)
        count++;
    return count;
}

/* least and greatest of a row that holds many are about how many. */
static bool check_count(const struct decoder *decoder, const struct config_field *field,
                        const struct cJSON *value, size_t count)
{
    uint64_t greatest = field->greatest ? field->greatest : CONFIG_VALUE_LIMIT;
    if (count < field->least)
        return config_fail(decoder->config, value, false, decoder->err,
                           "\"%s\" needs at least %llu, and has %zu", decoder->path,
                           (unsigned long long)field->least, count);
    if (count > greatest)
        return config_fail(decoder->config, value, false, decoder->err,
                           "\"%s\" must not have more than %llu, and has %zu", decoder->path,
                           (unsigned long long)greatest, count);
    return true;
}

/* A string in a list. Its own length has the general limit: the row's bounds are the list's. */
static bool decode_element(struct decoder *decoder, const struct config_field *field,
                           const struct cJSON *value, const char **text)
{
    struct error problem = {0};
    return config_scalar_string(decoder->config, field, 0, CONFIG_STRING_LIMIT, value, text,
                                &problem) ||
           fail_value(decoder, value, &problem);
}

/* A list of strings, or a single string. */
static bool decode_strings(struct decoder *decoder, const struct config_field *field,
                           const struct cJSON *value, struct config_strings *strings)
{
    if (!cJSON_IsArray(value) && !cJSON_IsString(value))
        return fail_value_type(decoder, value, "a string or a list of strings");
    bool list = cJSON_IsArray(value);
    size_t count = list ? child_count(value) : 1;
    const char **items = config_memory(decoder->config, count, sizeof(const char *), decoder->err);
    if (!items)
        return false;
    const struct cJSON *element = list ? value->child : value;
    for (size_t i = 0; i < count; i++, element = element->next) {
        size_t before = list ? path_enter_index(decoder, i) : decoder->path_length;
        if (!decode_element(decoder, field, element, &items[i]))
            return false;
        path_leave(decoder, before);
    }
    *strings = (struct config_strings){.items = items, .count = count};
    return true;
}

/* Compares each pair of keys: CONFIG_KEY_LIMIT bounds their number. */
static bool check_unique(const struct decoder *decoder, const struct cJSON *object)
{
    for (const struct cJSON *child = object->child; child; child = child->next)
        for (const struct cJSON *other = object->child; other != child; other = other->next)
            if (strcmp(other->string, child->string) == 0)
                return config_fail(decoder->config, child, true, decoder->err,
                                   "the key \"%.64s\" is there twice", child->string);
    return true;
}

static bool decode_map(struct decoder *decoder, const struct config_field *field,
                       const struct cJSON *value, struct config_map *map)
{
    if (!cJSON_IsObject(value))
        return fail_value_type(decoder, value, "an object");
    size_t count = child_count(value);
    if (!check_unique(decoder, value) || !check_count(decoder, field, value, count))
        return false;
    struct config_map_entry *entries =
        config_memory(decoder->config, count, sizeof *entries, decoder->err);
    if (!entries)
        return false;
    size_t i = 0;
    for (const struct cJSON *child = value->child; child; child = child->next, i++) {
        if (*child->string == '\0')
            return config_fail(decoder->config, child, true, decoder->err,
                               "a key of \"%s\" must not be empty", decoder->path);
        size_t before = path_enter_key(decoder, child->string);
        if (!config_copy(decoder->config, child->string, &entries[i].key, decoder->err) ||
            !decode_strings(decoder, field, child, &entries[i].values))
            return false;
        path_leave(decoder, before);
    }
    *map = (struct config_map){.entries = entries, .count = count};
    return true;
}

static bool decode_object(struct decoder *decoder, const struct config_table *table,
                          const struct cJSON *value, void *out);

/* Refuses rows whose member is no struct of their table: a bug of ours that would break memory. */
static bool check_row(const struct decoder *decoder, const struct config_field *field)
{
    if (field->table && field->table->size == field->holds)
        return true;
    return error_set(decoder->err, ERROR_STATE, "the table of \"%s\" is of another struct",
                     decoder->path);
}

static bool decode_pointer(struct decoder *decoder, const struct config_field *field,
                           const struct cJSON *value, void *member)
{
    if (!check_row(decoder, field))
        return false;
    void *object = config_memory(decoder->config, 1, field->table->size, decoder->err);
    if (!object || !decode_object(decoder, field->table, value, object))
        return false;
    memcpy(member, &object, sizeof object);
    return true;
}

static bool decode_objects(struct decoder *decoder, const struct config_field *field,
                           const struct cJSON *value, void *member, size_t *stored_count)
{
    if (!check_row(decoder, field))
        return false;
    if (!cJSON_IsArray(value))
        return fail_value_type(decoder, value, "a list of objects");
    size_t count = child_count(value);
    if (!check_count(decoder, field, value, count))
        return false;
    unsigned char *objects =
        config_memory(decoder->config, count, field->table->size, decoder->err);
    if (!objects)
        return false;
    size_t i = 0;
    for (const struct cJSON *child = value->child; child; child = child->next, i++) {
        size_t before = path_enter_index(decoder, i);
        if (!decode_object(decoder, field->table, child, objects + i * field->table->size))
            return false;
        path_leave(decoder, before);
    }
    memcpy(member, &objects, sizeof objects);
    *stored_count = count;
    return true;
}

static bool decode_inline(struct decoder *decoder, const struct config_field *field,
                          const struct cJSON *value, unsigned char *out)
{
    if (!check_row(decoder, field) ||
        !decode_object(decoder, field->table, value, out + field->offset))
        return false;
    if (field->extra)
        *(bool *)(out + field->extra - 1) = true;
    return true;
}

static bool decode_scalar(struct decoder *decoder, const struct config_field *field,
                          const struct cJSON *value, void *member)
{
    struct error problem = {0};
    return config_scalar(decoder->config, field, value, member, &problem) ||
           fail_value(decoder, value, &problem);
}

/* One key that is there. */
static bool decode_present(struct decoder *decoder, const struct config_field *field,
                           const struct cJSON *value, unsigned char *out)
{
    void *member = out + field->offset;
    switch (field->type) {
    case CONFIG_STRINGS:
        return decode_strings(decoder, field, value, member) &&
               check_count(decoder, field, value, ((struct config_strings *)member)->count);
    case CONFIG_MAP:
        return decode_map(decoder, field, value, member);
    case CONFIG_OBJECT:
        return decode_pointer(decoder, field, value, member);
    case CONFIG_INLINE:
        return decode_inline(decoder, field, value, out);
    case CONFIG_OBJECTS:
        return decode_objects(decoder, field, value, member,
                              (size_t *)(void *)(out + field->extra - 1));
    default:
        return decode_scalar(decoder, field, value, member);
    }
}

/* Fills a struct that the file does not have with its table's fallbacks. */
static bool fill_fallbacks(struct decoder *decoder, const struct config_table *table,
                           unsigned char *out);

/* One key that is not there. */
static bool fill_fallback(struct decoder *decoder, const struct config_field *field,
                          unsigned char *out)
{
    if (field->type == CONFIG_INLINE)
        return check_row(decoder, field) &&
               fill_fallbacks(decoder, field->table, out + field->offset);
    struct error problem = {0};
    if (!field->fallback ||
        config_scalar_fallback(decoder->config, field, out + field->offset, &problem))
        return true;
    return error_set(decoder->err, ERROR_STATE, "the fallback of \"%s\" is wrong: it %s",
                     decoder->path, problem.message);
}

static bool fill_fallbacks(struct decoder *decoder, const struct config_table *table,
                           unsigned char *out)
{
    for (size_t i = 0; i < table->field_count; i++) {
        size_t before = path_enter_key(decoder, table->fields[i].key);
        if (!fill_fallback(decoder, &table->fields[i], out))
            return false;
        path_leave(decoder, before);
    }
    return true;
}

/* How messages call the object that the decoder is at. */
static const char *object_name(const struct decoder *decoder, char out[CONFIG_NAME_SIZE + 2])
{
    if (decoder->path_length == 0)
        return "the file";
    snprintf(out, CONFIG_NAME_SIZE + 2, "\"%s\"", decoder->path);
    return out;
}

static const struct config_field *find_field(const struct config_table *table, const char *key)
{
    for (size_t i = 0; i < table->field_count; i++)
        if (strcmp(table->fields[i].key, key) == 0)
            return &table->fields[i];
    return NULL;
}

static bool fail_unknown(const struct decoder *decoder, const struct config_table *table,
                         const struct cJSON *value)
{
    char name[CONFIG_NAME_SIZE + 2];
    struct suggestion nearest = suggestion_for(value->string);
    for (size_t i = 0; i < table->field_count; i++)
        suggestion_try(&nearest, table->fields[i].key);
    if (nearest.name)
        return config_fail(decoder->config, value, true, decoder->err,
                           "unknown key \"%.64s\" in %s: did you mean \"%s\"?", value->string,
                           object_name(decoder, name), nearest.name);
    return config_fail(decoder->config, value, true, decoder->err, "unknown key \"%.64s\" in %s",
                       value->string, object_name(decoder, name));
}

static bool check_known(const struct decoder *decoder, const struct config_table *table,
                        const struct cJSON *object)
{
    for (const struct cJSON *child = object->child; child; child = child->next)
        if (!find_field(table, child->string))
            return fail_unknown(decoder, table, child);
    return true;
}

static const struct cJSON *find_child(const struct cJSON *object, const char *key)
{
    const struct cJSON *child = object->child;
    while (child && strcmp(child->string, key) != 0)
        child = child->next;
    return child;
}

static bool decode_field(struct decoder *decoder, const struct config_field *field,
                         const struct cJSON *object, unsigned char *out)
{
    const struct cJSON *value = find_child(object, field->key);
    if (!value && field->required) {
        char name[CONFIG_NAME_SIZE + 2];
        return config_fail(decoder->config, object, false, decoder->err, "%s needs the key \"%s\"",
                           object_name(decoder, name), field->key);
    }
    size_t before = path_enter_key(decoder, field->key);
    if (!(value ? decode_present(decoder, field, value, out) : fill_fallback(decoder, field, out)))
        return false;
    path_leave(decoder, before);
    return true;
}

static bool decode_object(struct decoder *decoder, const struct config_table *table,
                          const struct cJSON *value, void *out)
{
    if (!cJSON_IsObject(value))
        return fail_value_type(decoder, value, "an object");
    if (!check_unique(decoder, value) || !check_known(decoder, table, value))
        return false;
    if (table->place) {
        struct config_place place = {.value = value};
        memcpy((unsigned char *)out + table->place - 1, &place, sizeof place);
    }
    for (size_t i = 0; i < table->field_count; i++)
        if (!decode_field(decoder, &table->fields[i], value, out))
            return false;
    return true;
}

bool config_decode(struct config *config, const struct config_table *table, void *out,
                   struct error *err)
{
    struct decoder decoder = {.config = config, .err = err};
    return decode_object(&decoder, table, config->root, out);
}

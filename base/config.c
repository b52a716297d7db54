/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/config_internal.h"

/* The least that is allocated at once for decoded structs. */
#define CHUNK_SIZE 16384
/* What is read of a file at once. */
#define READ_SIZE 65536

static bool fail_memory(struct error *err)
{
    return error_set(err, ERROR_MEMORY, "out of memory for the configuration");
}

static struct config_chunk *new_chunk(struct config *config, size_t size, struct error *err)
{
    if (size < CHUNK_SIZE)
        size = CHUNK_SIZE;
    if (size > CONFIG_MEMORY_LIMIT - config->allocated) {
        error_set(err, ERROR_LIMIT, "the configuration needs more than %u bytes of memory",
                  CONFIG_MEMORY_LIMIT);
        return NULL;
    }
    struct config_chunk *chunk = calloc(1, sizeof *chunk + size);
    if (!chunk) {
        fail_memory(err);
        return NULL;
    }
    chunk->size = size;
    chunk->next = config->chunks;
    config->chunks = chunk;
    config->allocated += size;
    return chunk;
}

void *config_memory(struct config *config, size_t count, size_t size, struct error *err)
{
    size_t wanted;
    size_t align = _Alignof(max_align_t);
    if (__builtin_mul_overflow(count, size, &wanted) || wanted > CONFIG_MEMORY_LIMIT) {
        error_set(err, ERROR_LIMIT, "the configuration needs more than %u bytes of memory",
                  CONFIG_MEMORY_LIMIT);
        return NULL;
    }
    wanted = (wanted + align - 1) / align * align;
    struct config_chunk *chunk = config->chunks;
    if (!chunk || wanted > chunk->size - chunk->used)
        chunk = new_chunk(config, wanted, err);
    if (!chunk)
        return NULL;
    void *memory = chunk->bytes + chunk->used;
    chunk->used += wanted;
    return memory;
}

bool config_copy(struct config *config, const char *text, const char **copy, struct error *err)
{
    size_t size = strlen(text) + 1;
    char *memory = config_memory(config, size, 1, err);
    if (!memory)
        return false;
    memcpy(memory, text, size);
    *copy = memory;
    return true;
}

bool config_join(struct config *config, const char *path, const char **joined, struct error *err)
{
    if (*path == '/')
        return config_copy(config, path, joined, err);
    size_t size = strlen(config->directory) + strlen(path) + 2;
    char *memory = config_memory(config, size, 1, err);
    if (!memory)
        return false;
    bool slash = config->directory[strlen(config->directory) - 1] == '/';
    snprintf(memory, size, "%s%s%s", config->directory, slash ? "" : "/", path);
    *joined = memory;
    return true;
}

/* Counts values in the order of the text until it comes to the one that is looked for. */
static bool count_until(const struct cJSON *value, const struct cJSON *wanted, size_t *ordinal)
{
    if (value == wanted)
        return true;
    ++*ordinal;
    for (const struct cJSON *child = value->child; child; child = child->next)
        if (count_until(child, wanted, ordinal))
            return true;
    return false;
}

struct config_spot config_spot_of(const struct config *config, const struct cJSON *value)
{
    size_t ordinal = 0;
    if (!value || !count_until(config->root, value, &ordinal))
        return (struct config_spot){0};
    return config_text_locate(&config->text, ordinal);
}

static bool fail_at(const struct config *config, const struct cJSON *value, bool at_key,
                    struct error *err, const char *format, va_list arguments) PRINTF_LIKE(5, 0);

static bool fail_at(const struct config *config, const struct cJSON *value, bool at_key,
                    struct error *err, const char *format, va_list arguments)
{
    struct config_spot spot = config_spot_of(config, value);
    return config_text_verror(&config->text, at_key ? spot.key : spot.value, err, format,
                              arguments);
}

bool config_fail(const struct config *config, const struct cJSON *value, bool at_key,
                 struct error *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail_at(config, value, at_key, err, format, arguments);
    va_end(arguments);
    return false;
}

/* The value under a key of an object; the object itself where there is none. */
static const struct cJSON *value_of_key(const struct cJSON *object, const char *key)
{
    if (!object || !key)
        return object;
    for (const struct cJSON *child = object->child; child; child = child->next)
        if (child->string && strcmp(child->string, key) == 0)
            return child;
    return object;
}

/* Element `index` of a list, map or array; a single string is its own element. */
static const struct cJSON *element_of(const struct cJSON *value, size_t index)
{
    const struct cJSON *child = value ? value->child : NULL;
    for (; child && index > 0; index--)
        child = child->next;
    return child ? child : value;
}

bool config_error(const struct config *config, struct config_place place, const char *key,
                  struct error *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail_at(config, value_of_key(place.value, key), false, err, format, arguments);
    va_end(arguments);
    return false;
}

bool config_error_item(const struct config *config, struct config_place place, const char *key,
                       size_t index, struct error *err, const char *format, ...)
{
    const struct cJSON *value = value_of_key(place.value, key);
    if (value != place.value)
        value = element_of(value, index);
    va_list arguments;
    va_start(arguments, format);
    fail_at(config, value, false, err, format, arguments);
    va_end(arguments);
    return false;
}

const char *config_directory(const struct config *config)
{
    return config->directory;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    while (config->chunks) {
        struct config_chunk *next = config->chunks->next;
        free(config->chunks);
        config->chunks = next;
    }
    cJSON_Delete(config->root);
    free((char *)config->text.name);
    free((char *)config->text.bytes);
    free(config->directory);
    free(config);
}

/* A NUL-terminated copy of bytes, or NULL. */
static char *duplicate(const char *bytes, size_t length)
{
    char *copy = malloc(length + 1);
    if (copy) {
        memcpy(copy, bytes, length);
        copy[length] = '\0';
    }
    return copy;
}

/* Parses what the scanner has checked; `blanked` is a copy of the text that it may change. */
static bool parse_tree(struct config *config, char *blanked, struct error *err)
{
    if (!config_text_check(&config->text, blanked, err))
        return false;
    const char *end = NULL;
    config->root = cJSON_ParseWithLengthOpts(blanked, config->text.length + 1, &end, true);
    return config->root || fail_memory(err);
}

static bool parse_text(struct config *config, struct error *err)
{
    if (config->text.length > CONFIG_TEXT_LIMIT)
        return config_text_error(&config->text, 0, err, "the file is larger than %u bytes",
                                 CONFIG_TEXT_LIMIT);
    char *blanked = duplicate(config->text.bytes, config->text.length);
    if (!blanked)
        return fail_memory(err);
    bool good = parse_tree(config, blanked, err);
    free(blanked);
    return good;
}

/* Takes `bytes` over, also when it fails. */
static struct config *new_config(const char *name, const char *directory, char *bytes,
                                 size_t length, struct error *err)
{
    struct config *config = calloc(1, sizeof *config);
    if (!config) {
        free(bytes);
        fail_memory(err);
        return NULL;
    }
    config->text = (struct config_text){
        .name = duplicate(name, strlen(name)), .bytes = bytes, .length = length};
    config->directory = duplicate(*directory ? directory : ".", strlen(directory) + !*directory);
    if (!config->text.name || !config->directory) {
        config_free(config);
        fail_memory(err);
        return NULL;
    }
    return config;
}

/* Takes `bytes` over. */
static bool load_bytes(const char *name, const char *directory, char *bytes, size_t length,
                       const struct config_table *table, void *out, struct config **config,
                       struct error *err)
{
    *config = NULL;
    memset(out, 0, table->size);
    struct config *loading = new_config(name, directory, bytes, length, err);
    if (!loading)
        return false;
    if (!parse_text(loading, err) || !config_decode(loading, table, out, err)) {
        if (err && err->code != ERROR_CONFIG) /* which begins with the name already */
            error_wrap(err, "%s", name);
        config_free(loading);
        memset(out, 0, table->size);
        return false;
    }
    *config = loading;
    return true;
}

bool config_load_text(const char *name, const char *directory, const char *text, size_t length,
                      const struct config_table *table, void *out, struct config **config,
                      struct error *err)
{
    char *bytes = duplicate(text, length);
    if (!bytes) {
        *config = NULL;
        memset(out, 0, table->size);
        return fail_memory(err);
    }
    return load_bytes(name, directory, bytes, length, table, out, config, err);
}

/* A configuration that cannot be read is as wrong as one that cannot be understood. */
static bool unreadable(struct error *err, const char *what)
{
    error_system(err, errno, "%s", what);
    if (err)
        err->code = ERROR_CONFIG;
    return false;
}

/* Reads until the end; more than the limit, by one byte, is left for the check of the text to
 * refuse. */
static bool read_descriptor(int descriptor, struct buffer *bytes, struct error *err)
{
    for (;;) {
        uint8_t *room;
        size_t want = CONFIG_TEXT_LIMIT + 1 - buffer_length(bytes);
        if (want > READ_SIZE)
            want = READ_SIZE;
        if (want == 0)
            return true;
        if (!buffer_reserve(bytes, want, &room, err))
            return false;
        ssize_t count = read(descriptor, room, want);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return unreadable(err, "cannot be read");
        if (count == 0)
            return true;
        buffer_commit(bytes, (size_t)count);
    }
}

static bool read_file(const char *path, struct buffer *bytes, struct error *err)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return unreadable(err, "cannot be opened") || error_wrap(err, "the configuration %s", path);
    bool good = read_descriptor(descriptor, bytes, err);
    close(descriptor); /* nothing was written: nothing can be lost */
    return good || error_wrap(err, "the configuration %s", path);
}

/* The absolute directory of a file, without following links: that of the path that was given. */
static char *directory_of(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    char *directory = NULL;
    if (*path == '/') {
        directory = duplicate(path, length ? length : 1);
    } else {
        char *current = getcwd(NULL, 0);
        if (!current) {
            error_system(err, errno, "cannot find the current directory");
            return NULL;
        }
        if (asprintf(&directory, "%s%s%.*s", current, length ? "/" : "", (int)length, path) < 0)
            directory = NULL;
        free(current);
    }
    if (!directory)
        fail_memory(err);
    return directory;
}

/* Fails without a configuration. */
static bool load_nothing(const struct config_table *table, void *out, struct config **config)
{
    *config = NULL;
    memset(out, 0, table->size);
    return false;
}

bool config_load_file(const char *path, const struct config_table *table, void *out,
                      struct config **config, struct error *err)
{
    struct buffer bytes;
    buffer_init(&bytes, CONFIG_TEXT_LIMIT + 1);
    char *directory = directory_of(path, err);
    bool good = directory && read_file(path, &bytes, err);
    if (good)
        good = config_load_text(path, directory, (const char *)buffer_bytes(&bytes),
                                buffer_length(&bytes), table, out, config, err);
    else
        load_nothing(table, out, config);
    buffer_release(&bytes);
    free(directory);
    return good;
}

const char *config_type_name(enum config_type type)
{
    switch (type) {
    case CONFIG_STRING:
        return "string";
    case CONFIG_PATH:
        return "path";
    case CONFIG_BOOL:
        return "boolean";
    case CONFIG_UNSIGNED:
        return "whole number";
    case CONFIG_DURATION:
        return "duration";
    case CONFIG_SIZE:
        return "size";
    case CONFIG_ENUM:
        return "name";
    case CONFIG_STRINGS:
        return "list of strings";
    case CONFIG_MAP:
        return "map of lists of strings";
    case CONFIG_OBJECT:
    case CONFIG_INLINE:
        return "object";
    case CONFIG_OBJECTS:
        return "list of objects";
    }
    return "unknown";
}

struct visitor {
    void (*visit)(void *context, const struct config_row *row);
    void *context;
    char path[CONFIG_NAME_SIZE];
};

static void visit_table(struct visitor *visitor, const struct config_table *table, size_t length)
{
    for (size_t i = 0; i < table->field_count; i++) {
        const struct config_field *field = &table->fields[i];
        int added =
            snprintf(visitor->path + length, sizeof visitor->path - length, "%s%s%s",
                     length ? "." : "", field->key, field->type == CONFIG_OBJECTS ? "[]" : "");
        if (added < 0 || (size_t)added >= sizeof visitor->path - length)
            continue;
        struct config_row row = {
            .path = visitor->path, .type = config_type_name(field->type), .field = field};
        visitor->visit(visitor->context, &row);
        if (field->table)
            visit_table(visitor, field->table, length + (size_t)added);
    }
}

void config_table_visit(const struct config_table *table,
                        void (*visit)(void *context, const struct config_row *row), void *context)
{
    struct visitor visitor = {.visit = visit, .context = context};
    visit_table(&visitor, table, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration reader: JSON that may hold comments, decoded into C structs by tables.
 *
 * The text is JSON (RFC 8259) plus line comments and block comments, and nothing else: a comma
 * before a closing bracket, a duplicate key, a NUL byte and invalid UTF-8 are errors. A table says
 * which keys an object may hold and where their values go; a key that no table names is an error.
 * Each section of the file is a table of the module that uses it; a process composes them in one
 * top-level table, so that `serve` and `tunnel` accept different files:
 *
 *     struct listener_config { const char *address; bool starttls; struct config_place place; };
 *     struct proxy_config {
 *         const char *name;
 *         uint64_t workers;
 *         struct listener_config *listeners;
 *         size_t listener_count;
 *     };
 *     static const struct config_field listener_fields[] = {
 *         {CONFIG_STRING_AT(struct listener_config, address), .key = "address", .required = true,
 *          .help = "where to listen, HOST:PORT"},
 *         {CONFIG_BOOL_AT(struct listener_config, starttls), .key = "starttls",
 *          .fallback = "false", .help = "start in MySQL's plain protocol"},
 *     };
 *     static const struct config_table listener_table = {
 *         CONFIG_TABLE(struct listener_config, listener_fields),
 *         .place = CONFIG_PLACE_AT(struct listener_config, place)};
 *     static const struct config_field proxy_fields[] = {
 *         {CONFIG_STRING_AT(struct proxy_config, name), .key = "name", .required = true},
 *         {CONFIG_UNSIGNED_AT(struct proxy_config, workers), .key = "workers", .fallback = "0",
 *          .greatest = 256, .help = "0: one for each core"},
 *         {CONFIG_OBJECTS_AT(struct proxy_config, listeners, listener_count), .key = "listeners",
 *          .table = &listener_table, .required = true, .least = 1},
 *     };
 *     const struct config_table proxy_table = {CONFIG_TABLE(struct proxy_config, proxy_fields)};
 *
 * Errors have ERROR_CONFIG and read "FILE:LINE:COL: message", where the position is that of the key
 * or value at fault; lines and columns count from 1, columns in characters. A file that cannot be
 * read has no position, and says why. What the tables cannot express, the module checks afterwards,
 * and reports through config_error() and config_error_item() at the same kind of position.
 *
 * Everything that the decoded structs point at belongs to the struct config, and goes with it. A
 * struct config is immutable once loaded and may be read from any thread.
 */
#ifndef SALLYPORT_BASE_CONFIG_H
#define SALLYPORT_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Limits of one configuration. Values and keys are counted to bound the tree and the search for
 * duplicates; past 2^53 a JSON number loses digits. */
#define CONFIG_TEXT_LIMIT   (4U << 20)  /* bytes of a file */
#define CONFIG_DEPTH_LIMIT  32          /* objects and arrays inside one another */
#define CONFIG_VALUE_LIMIT  200000      /* values of all kinds in a file */
#define CONFIG_KEY_LIMIT    1000        /* keys of one object */
#define CONFIG_MEMORY_LIMIT (64U << 20) /* bytes of all decoded structs and strings */
#define CONFIG_STRING_LIMIT 4096        /* bytes of one string, unless its row says otherwise */
#define CONFIG_NUMBER_LIMIT ((1ULL << 53) - 1) /* greatest whole number */
#define CONFIG_NAME_SIZE    256 /* a dotted key path in a message, its NUL included */

/* What is decoded, and what the member that it goes to must be. */
enum config_type {
    CONFIG_STRING,   /* const char *; NULL when absent and without a fallback */
    CONFIG_PATH,     /* const char *; a relative path is joined to the file's directory */
    CONFIG_BOOL,     /* bool */
    CONFIG_UNSIGNED, /* uint64_t */
    CONFIG_DURATION, /* int64_t, milliseconds; written "10m" */
    CONFIG_SIZE,     /* size_t, bytes; written "64k", "16m", "1g" or as a whole number */
    CONFIG_ENUM,     /* an enum; the index into .names */
    CONFIG_STRINGS,  /* struct config_strings; a single string is a list of one */
    CONFIG_MAP,      /* struct config_map: any key to strings; a single string is a list of one */
    CONFIG_OBJECT,   /* a pointer to the struct of .table; NULL when absent */
    CONFIG_INLINE,   /* the struct of .table; when absent it holds that table's fallbacks */
    CONFIG_OBJECTS,  /* a pointer to an array of the struct of .table, and a size_t count */
};

/* A list. items is NULL only while count is 0. */
struct config_strings {
    const char *const *items;
    size_t count;
};

struct config_map_entry {
    const char *key;
    struct config_strings values;
};

/* A map in the order of the file; keys are unique. */
struct config_map {
    const struct config_map_entry *entries;
    size_t count;
};

struct cJSON;

/* Where an object stands in its file; all zero for "nowhere", e.g. an absent inline object. */
struct config_place {
    const struct cJSON *value; /* of the struct config's own tree */
};

/*
 * One key. Of the scalar types, an absent key takes .fallback, read as if the file had it (a path
 * is joined to the file's directory too); without a fallback the member stays zero. Lists, maps
 * and objects have no fallback.
 */
struct config_field {
    const char *key;
    enum config_type type;
    size_t offset; /* of the member; comes with the CONFIG_…_AT macros, which check its type */
    size_t extra;  /* offset + 1 of a presence flag (CONFIG_INLINE) or count (CONFIG_OBJECTS) */
    size_t holds;  /* bytes of the struct that the member holds or points at; equals table->size */
    bool required; /* an object without this key is an error */
    bool allow_empty; /* strings, paths and list elements may be "" */
    const char *fallback;
    /* Inclusive bounds of a number, of milliseconds, of bytes, of a string's length in bytes, or of
     * a list's, map's or array's count. greatest 0: the greatest that the type can hold. */
    uint64_t least;
    uint64_t greatest;
    const char *const *names;         /* CONFIG_ENUM: the words in order of value, then NULL */
    const struct config_table *table; /* CONFIG_OBJECT, CONFIG_INLINE, CONFIG_OBJECTS */
    const char *help;                 /* one line, for the documentation */
};

/* One kind of object. */
struct config_table {
    size_t size; /* of the struct */
    const struct config_field *fields;
    size_t field_count;
    size_t place; /* offset + 1 of a struct config_place to fill, or 0 */
};

/* The designators of a table: CONFIG_TABLE(struct type, array of fields). */
#define CONFIG_TABLE(type_, fields_) \
    .size = sizeof(type_), .fields = (fields_), .field_count = sizeof(fields_) / sizeof *(fields_)

/* The offset of a member; does not compile unless the member has the type `wanted_`. */
#define CONFIG_OFFSET(type_, member_, wanted_)                                                 \
    (offsetof(type_, member_) +                                                                \
     0 * sizeof(                                                                               \
             char[__builtin_types_compatible_p(__typeof__(((type_ *)0)->member_), wanted_) ? 1 \
                                                                                           : -1]))
#define CONFIG_EXTRA(type_, member_, wanted_) .extra = CONFIG_OFFSET(type_, member_, wanted_) + 1
#define CONFIG_PLACE_AT(type_, member_)       (CONFIG_OFFSET(type_, member_, struct config_place) + 1)

/* The designators of a field's type and member, each for one type of member. */
#define CONFIG_STRING_AT(type_, member_) \
    .type = CONFIG_STRING, .offset = CONFIG_OFFSET(type_, member_, const char *)
#define CONFIG_PATH_AT(type_, member_) \
    .type = CONFIG_PATH, .offset = CONFIG_OFFSET(type_, member_, const char *)
#define CONFIG_BOOL_AT(type_, member_) \
    .type = CONFIG_BOOL, .offset = CONFIG_OFFSET(type_, member_, bool)
#define CONFIG_UNSIGNED_AT(type_, member_) \
    .type = CONFIG_UNSIGNED, .offset = CONFIG_OFFSET(type_, member_, uint64_t)
#define CONFIG_DURATION_AT(type_, member_) \
    .type = CONFIG_DURATION, .offset = CONFIG_OFFSET(type_, member_, int64_t)
#define CONFIG_SIZE_AT(type_, member_) \
    .type = CONFIG_SIZE, .offset = CONFIG_OFFSET(type_, member_, size_t)
#define CONFIG_ENUM_AT(type_, member_)   \
    .type = CONFIG_ENUM,                 \
    .offset = offsetof(type_, member_) + \
              0 * sizeof(char[sizeof(((type_ *)0)->member_) == sizeof(int) ? 1 : -1])
#define CONFIG_STRINGS_AT(type_, member_) \
    .type = CONFIG_STRINGS, .offset = CONFIG_OFFSET(type_, member_, struct config_strings)
#define CONFIG_MAP_AT(type_, member_) \
    .type = CONFIG_MAP, .offset = CONFIG_OFFSET(type_, member_, struct config_map)
#define CONFIG_OBJECT_AT(type_, member_)                       \
    .type = CONFIG_OBJECT, .offset = offsetof(type_, member_), \
    .holds = sizeof(*((type_ *)0)->member_)
#define CONFIG_INLINE_AT(type_, member_)                       \
    .type = CONFIG_INLINE, .offset = offsetof(type_, member_), \
    .holds = sizeof(((type_ *)0)->member_)
/* Inline, with a bool member that says whether the file had the key. */
#define CONFIG_INLINE_FLAG_AT(type_, member_, present_) \
    CONFIG_INLINE_AT(type_, member_), CONFIG_EXTRA(type_, present_, bool)
#define CONFIG_OBJECTS_AT(type_, member_, count_)               \
    .type = CONFIG_OBJECTS, .offset = offsetof(type_, member_), \
    .holds = sizeof(*((type_ *)0)->member_), CONFIG_EXTRA(type_, count_, size_t)

/* A loaded configuration: the text, its tree, and the memory behind the decoded structs. */
struct config;

/*
 * Reads `path` and decodes it by `table` into *out, a struct of table->size bytes. On success
 * *config owns all that *out points at; on failure *config is NULL and *out is all zero.
 */
bool config_load_file(const char *path, const struct config_table *table, void *out,
                      struct config **config, struct error *err) MUST_USE;

/* The same for text in memory (copied). `name` stands for the file in messages; relative paths are
 * joined to `directory`. */
bool config_load_text(const char *name, const char *directory, const char *text, size_t length,
                      const struct config_table *table, void *out, struct config **config,
                      struct error *err) MUST_USE;

/* Frees the configuration and all that its structs point at. NULL is allowed. */
void config_free(struct config *config);

/*
 * Fills *err with "FILE:LINE:COL: message" at an object, or at the value of its key `key` (NULL:
 * the object itself; a key that is absent: the object). Returns false, as error_set() does.
 */
bool config_error(const struct config *config, struct config_place place, const char *key,
                  struct error *err, const char *format, ...) PRINTF_LIKE(5, 6);

/* The same at element `index` of the list, map or array under `key`. */
bool config_error_item(const struct config *config, struct config_place place, const char *key,
                       size_t index, struct error *err, const char *format, ...) PRINTF_LIKE(6, 7);

/* The directory that relative paths are joined to. */
const char *config_directory(const struct config *config);

/* One row as config_table_visit() shows it. */
struct config_row {
    const char *path; /* e.g. "proxy.listeners[].address"; holds during the call */
    const char *type; /* e.g. "duration" */
    const struct config_field *field;
};

/* Calls `visit` for each row of the table and of the tables in it, parents first. */
void config_table_visit(const struct config_table *table,
                        void (*visit)(void *context, const struct config_row *row), void *context);

/* A type's name in messages and in the documentation, e.g. "list of strings". */
const char *config_type_name(enum config_type type);

#endif

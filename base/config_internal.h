/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of base/config share. Internal to base/config. */
#ifndef SALLYPORT_BASE_CONFIG_INTERNAL_H
#define SALLYPORT_BASE_CONFIG_INTERNAL_H

#include "base/config.h"
#include "base/config_text.h"

/* One allocation of the decoded structs, in a list that is freed at once. */
struct config_chunk {
    struct config_chunk *next;
    size_t used;
    size_t size;
    _Alignas(max_align_t) unsigned char bytes[];
};

struct config {
    struct config_text text; /* its bytes and name are owned */
    char *directory;
    struct cJSON *root;
    struct config_chunk *chunks;
    size_t allocated; /* bytes of all chunks, at most CONFIG_MEMORY_LIMIT */
};

/* Zeroed memory that lives as long as the configuration. */
void *config_memory(struct config *config, size_t count, size_t size, struct error *err) MUST_USE;

/* A copy of a string there. */
bool config_copy(struct config *config, const char *text, const char **copy,
                 struct error *err) MUST_USE;

/* A path as the file means it: absolute as it is, relative joined to the file's directory. */
bool config_join(struct config *config, const char *path, const char **joined,
                 struct error *err) MUST_USE;

/* Where a value of the tree stands in the text. NULL: at the very start. */
struct config_spot config_spot_of(const struct config *config, const struct cJSON *value);

/* Fills *err with "FILE:LINE:COL: message" at a value or, with `at_key`, at its key. */
bool config_fail(const struct config *config, const struct cJSON *value, bool at_key,
                 struct error *err, const char *format, ...) PRINTF_LIKE(5, 6);

/* Decodes the tree into *out by the table. */
bool config_decode(struct config *config, const struct config_table *table, void *out,
                   struct error *err) MUST_USE;

/*
 * Stores one scalar into its member. The error's message is a predicate without its subject and
 * position, e.g. "must be a boolean, not a string", or a whole failure that is none of the file's
 * (any code but ERROR_CONFIG).
 */
bool config_scalar(struct config *config, const struct config_field *field,
                   const struct cJSON *value, void *member, struct error *err) MUST_USE;

/* The same from a row's fallback. */
bool config_scalar_fallback(struct config *config, const struct config_field *field, void *member,
                            struct error *err) MUST_USE;

/* A string value with its length checked, as config_scalar() does for CONFIG_STRING. */
bool config_scalar_string(struct config *config, const struct config_field *field, size_t least,
                          size_t greatest, const struct cJSON *value, const char **text,
                          struct error *err) MUST_USE;

/* What a value is, in messages: "a string", "an object", … */
const char *config_found_name(const struct cJSON *value);

#endif

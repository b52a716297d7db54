/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading what stands in a message by a table: which keys an object may have, of which type and
 * size. All the rest is an error that names the key.
 *
 *     const char *name;
 *     const char *roles[CONFIG_ROLES_MAX];
 *     struct control_texts list = {roles, CONFIG_ROLES_MAX};
 *     const struct control_field fields[] = {
 *         {.key = "name", .type = CONTROL_TEXT, .to.text = &name, .greatest = 64},
 *         {.key = "roles", .type = CONTROL_TEXTS, .to.texts = &list, .greatest = 64,
 *          .optional = true},
 *     };
 *     if (!control_fields_read(message, CONTROL_KEYS_REQUEST, fields, 2, &err))
 *         … control_error(id, control_code_of_error(&err), err.message)
 *
 * Errors: ERROR_MALFORMED for a missing or unknown key, a wrong type, a text that is not of its
 * form; ERROR_LIMIT for a value outside of its bounds. What is read borrows from the tree.
 */
#ifndef SALLYPORT_CONTROL_FIELDS_H
#define SALLYPORT_CONTROL_FIELDS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum control_type {
    CONTROL_TEXT,     /* to.text: no control characters; least to greatest bytes */
    CONTROL_LINES,    /* to.text: the same, and line breaks and tabs: PEM, messages */
    CONTROL_TEXTS,    /* to.texts: a list of CONTROL_TEXT, each with those bounds */
    CONTROL_UNSIGNED, /* to.number: a whole number, least to greatest */
    CONTROL_BOOL,     /* to.flag */
    CONTROL_OBJECT,   /* to.value: an object, to be read by a table of its own */
    CONTROL_OBJECTS,  /* to.value: a list of least to greatest objects */
    CONTROL_BYTES, /* to.bytes: base64url without padding; least bytes to what there is room for */
    CONTROL_TIME,  /* to.time: microseconds since 1970; RFC 3339 that ends in "Z" */
    CONTROL_DURATION, /* to.time: milliseconds, least to greatest; "10m" */
};

/* A list's texts, in storage of the caller: more than `room` are refused. */
struct control_texts {
    const char **items;
    size_t room;
    size_t count; /* filled in */
};

/* Decoded bytes, in storage of the caller: more than `room` are refused. */
struct control_bytes {
    uint8_t *data;
    size_t room;
    size_t length; /* filled in */
};

struct control_field {
    const char *key;
    enum control_type type;
    bool optional; /* when absent the target is NULL, 0, false or empty */
    bool empty;    /* texts may be "" */
    uint64_t least;
    uint64_t greatest; /* required for texts and lists; 0 for others: what the type holds */
    bool *present;     /* NULL, or whether the key was there */
    union {
        const char **text;
        struct control_texts *texts;
        uint64_t *number;
        bool *flag;
        const cJSON **value;
        struct control_bytes *bytes;
        int64_t *time;
    } to;
};

/* Which keys may stand beside those of the table. */
enum control_keys {
    CONTROL_KEYS_REQUEST, /* "id" and "request" */
    CONTROL_KEYS_EXACT,   /* none: objects inside a request */
    CONTROL_KEYS_ANY,     /* all: answers and events, so that the protocol can grow */
};

/* Every target is set, also on failure, when some of them hold what was read so far. */
bool control_fields_read(const cJSON *object, enum control_keys keys,
                         const struct control_field *fields, size_t count,
                         struct error *err) MUST_USE;

/* Reads a time as CONTROL_TIME has it. */
bool control_time_parse(const char *text, int64_t *wall_us, struct error *err) MUST_USE;

#endif

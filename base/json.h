/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing JSON: strings, and objects built up one field after another, for what is written once per
 * command or per line. (Reading JSON, and small messages, go through cJSON.)
 *
 *     struct byte_writer out = byte_writer(&buffer);
 *     struct json_object record = json_begin(&out);
 *     json_field_unsigned(&record, "seq", 7);
 *     struct json_object inner = json_field_object(&record, "error");
 *     json_field_string(&inner, "message", "no such table");
 *     json_end(&inner);
 *     json_end(&record);
 *     if (!byte_writer_finish(&out, &err)) …
 *
 * Nothing is allocated beyond what the buffer behind the writer grows by. Text must be valid UTF-8
 * (utf8_valid()); keys are plain ASCII names of our own and are not escaped. An object that is not
 * yet ended must not be written to while an inner one is open.
 */
#ifndef SALLYPORT_BASE_JSON_H
#define SALLYPORT_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Writes the inside of a JSON string, without its quotes: the quote, the backslash and control
 * characters (DEL too, which moves cursors) escaped, all else as it is. */
void json_escape(struct byte_writer *writer, const void *bytes, size_t length);

struct json_object {
    struct byte_writer *out; /* borrowed */
    bool filled;             /* a field was written, so the next needs a comma */
};

struct json_object json_begin(struct byte_writer *out);
void json_end(struct json_object *object);

/* A field with a string value; a NULL value leaves the field out. */
void json_field_string(struct json_object *object, const char *key, const char *value);
/* The same for text that has a length; NULs are allowed in it. */
void json_field_text(struct json_object *object, const char *key, const void *bytes, size_t length);
void json_field_int(struct json_object *object, const char *key, int64_t value);
void json_field_unsigned(struct json_object *object, const char *key, uint64_t value);
void json_field_bool(struct json_object *object, const char *key, bool value);
/* A field whose value is JSON already. */
void json_field_raw(struct json_object *object, const char *key, const void *json, size_t length);
/* A field that is an object; end it before the next field of `object`. */
struct json_object json_field_object(struct json_object *object, const char *key);
/* A field's comma, key and colon; the caller writes the value. */
void json_field_key(struct json_object *object, const char *key);

#endif

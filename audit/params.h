/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bound values of a prepared statement's execution, as the record's `params`, and the query
 * attributes of a command, as its `attributes`: a JSON array, built value by value.
 *
 *     null                                   NULL
 *     -7, 18446744073709551615, 0.1          numbers, exact; a double in the fewest digits that
 *                                            read back as it; "NaN", "Infinity", "-Infinity"
 *     "text"                                 text in the connection's character set
 *     {"base64":"…"}                         bytes, and text that cannot be converted
 *     {"length":N,"truncated":true,"text":"…"}  a value cut at AUDIT_PARAM_VALUE_MAX; or "base64"
 *     {"default":true}                       the column's default (bulk execute)
 *     {"ignore":true}                        the column is left as it is (bulk execute)
 *     {"omitted":N}                          last: N more values had no room
 *     {"omitted":null}                       last: more values follow, in a part of the command
 * that was not kept
 *     {"name":"…","value":V}                 a query attribute: V as above
 *
 * The object is reused from one execution to the next, and keeps its memory until it is trimmed.
 */
#ifndef SALLYPORT_AUDIT_PARAMS_H
#define SALLYPORT_AUDIT_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"

#define AUDIT_PARAM_VALUE_MAX 4096 /* bytes recorded of one value, as sent */

struct audit_converter;

struct audit_params {
    struct buffer json;
    struct audit_converter *converter; /* made at the first text that is not UTF-8 */
    const char *charset;               /* borrowed until the next params_begin() */
    struct byte_view name;             /* of the next value, when named */
    bool named;
    uint64_t values;
    uint64_t omitted;
    bool endless;  /* … of a number that is not known */
    bool finished; /* the closing bracket is there */
    bool failed;   /* out of memory: params_finish() says so */
};

/* Before the first use; all zero is not enough. */
void params_init(struct audit_params *params);
void params_release(struct audit_params *params);
/* Empties the list and frees what is more than `keep` bytes: for sessions that idle. */
void params_trim(struct audit_params *params, size_t keep);

/* An empty list. `charset` is the MySQL name of what text values come in; NULL: utf8mb4. */
void params_begin(struct audit_params *params, const char *charset);

/* The next value has this name, which is borrowed until then: it becomes {"name":…,"value":…}. */
void params_name(struct audit_params *params, const void *name, size_t length);

void params_null(struct audit_params *params);
/* MariaDB's bulk execute: the column's default, and leaving the column as it is. */
void params_default(struct audit_params *params);
void params_ignore(struct audit_params *params);
/* A value that was sent and is not at hand. All that follow must be omitted too. */
void params_omit(struct audit_params *params);
/* Nobody knows how many more there are. The list ends here. */
void params_omit_rest(struct audit_params *params);
void params_int(struct audit_params *params, int64_t value);
void params_unsigned(struct audit_params *params, uint64_t value);
void params_double(struct audit_params *params, double value);
/* A FLOAT: in the fewest digits that read back as the same float. */
void params_float(struct audit_params *params, float value);
/* `full_length` is of the value as it was sent; `length` of it, or less, is at hand. */
void params_text(struct audit_params *params, const void *bytes, size_t length,
                 uint64_t full_length);
void params_bytes(struct audit_params *params, const void *bytes, size_t length,
                  uint64_t full_length);

/* The JSON array, owned by the params and whole until they are begun again or trimmed. Calling it
 * again gives the same. */
bool params_finish(struct audit_params *params, const char **json, size_t *length,
                   struct error *err) MUST_USE;

#endif

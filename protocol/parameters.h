/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block of typed values as clients send it: the bound values of COM_STMT_EXECUTE, and with
 * CLIENT_QUERY_ATTRIBUTES (MySQL 8.0.23 on) the query attributes of COM_QUERY and COM_STMT_EXECUTE.
 *
 *     bitmap of NULLs | bind flag | types (with names) | values
 *
 * (MySQL source documentation, "COM_QUERY" and "COM_STMT_EXECUTE". What the pages leave open was
 * tried with MySQL 9.7: a session that has agreed on query attributes sends the count and the names
 * in every execute of a statement with parameters, whatever the execute's flags say.)
 */
#ifndef SALLYPORT_PROTOCOL_PARAMETERS_H
#define SALLYPORT_PROTOCOL_PARAMETERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "protocol/value.h"

#define PARAMETERS_MAX       65535 /* of one command; more than any server takes */
#define PARAMETERS_TYPE_SIZE 2     /* bytes of a type: the code and its flags */

/* Takes a query attribute. Name and value point into the command. */
struct attribute_sink {
    void (*attribute)(void *arg, struct byte_view name, const struct value *value);
    void *arg;
};

struct parameters {
    size_t count;
    size_t bound; /* of these, so many are parameters; the rest are query attributes */
    bool named;   /* behind each type stands a name */
    bool typed;   /* the types are the command's own */
    struct byte_view nulls;
    struct byte_reader types;  /* stands at the first one */
    struct byte_reader values; /* likewise */
    uint64_t unseen;           /* bytes of the command behind those that are at hand */
};

/*
 * Reads the block's head for `count` values, 1 … PARAMETERS_MAX; the values themselves are behind
 * it. Where the bind flag is 0 (typed = false) the caller sets `types`, or refuses.
 */
bool parameters_begin(struct byte_reader *reader, size_t count, bool named, struct parameters *out,
                      struct error *err) MUST_USE;

/* Puts in front of an error which value it is about. Returns false, as error_wrap() does. */
bool parameters_wrap(const struct parameters *parameters, size_t index, struct error *err);

/* Whether every type is one that value_read() knows; that of a NULL, which has no bytes, may be
 * any. */
bool parameters_check_types(struct parameters parameters, struct error *err) MUST_USE;

/* The next type, and its name (empty where there are none). */
bool parameters_next_type(struct parameters *parameters, uint16_t *type, struct byte_view *name,
                          struct error *err) MUST_USE;

bool parameters_is_null(const struct parameters *parameters, size_t index);

/*
 * The SQL text of a COM_QUERY (payload with its command byte) of a session with query attributes:
 * what stands behind them. All of the attributes are checked; they must lie in `payload`, which may
 * be the first part of a longer command.
 */
bool attributes_text(struct byte_view payload, struct byte_view *text, struct error *err) MUST_USE;

/* The attributes of such a COM_QUERY. All or nothing. */
bool attributes_read(struct byte_view payload, const struct attribute_sink *sink,
                     struct error *err) MUST_USE;

#endif

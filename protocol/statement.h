/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prepared statements of one session: what was prepared under which id, the parameter types that
 * were sent last, long data; and the decoding of bound values for the record. (MySQL source
 * documentation, "COM_STMT_EXECUTE"; MariaDB manual, "COM_STMT_EXECUTE" and
 * "COM_STMT_BULK_EXECUTE".)
 *
 * The way of an EXECUTE: statement_id_read(), statement_find(), statement_values() for the decision
 * and the record, which changes nothing; then, when it is allowed and before it is sent,
 * statement_bind(), which does to our copy what the server will do to its own. A denied command is
 * never bound, since the server never sees it.
 *
 * STATEMENT_LAST_ID in a pipeline: its statement is known only when the answer to the prepare
 * before it has come, so the caller must wait for that before it calls statement_find().
 */
#ifndef SALLYPORT_PROTOCOL_STATEMENT_H
#define SALLYPORT_PROTOCOL_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "protocol/parameters.h"
#include "protocol/value.h"

#define STATEMENT_COUNT_MAX 65536 /* of one session; the server's own limit is far lower */
/* Recorded text of all of a session's statements; past it only length and digest are kept. */
#define STATEMENT_TEXT_TOTAL_MAX (16u * 1024 * 1024)
/* Parameter types and long data of all of a session's statements. Past it long data is only
 * counted, and what cannot do without memory is refused. */
#define STATEMENT_STATE_MAX (16u * 1024 * 1024)
/* Long data kept of one parameter, in bytes: as much as a record shows of a value. */
#define STATEMENT_LONG_VALUE_MAX 4096
#define STATEMENT_LAST_ID        0xFFFFFFFFu /* MariaDB: the statement prepared last */

struct statement_text {
    const char *bytes; /* as captured; may be cut */
    size_t length;
    uint64_t full_length;
    bool truncated;
    uint8_t sha256[32]; /* of the whole; only when truncated */
};

struct statement_map;

/* Owned by the map, and valid until the map is changed. */
struct statement {
    uint32_t id;
    uint16_t parameters;
    struct statement_text text;
    /* private */
    struct statement_map *map;
    bool map_has_attributes;
    struct buffer text_bytes;
    struct buffer types;      /* two bytes for each parameter; empty until the first bind */
    struct buffer long_slots; /* for each parameter, 1 + its place in long_data, or 0 */
    struct buffer long_data;  /* of struct statement_long */
};

/* `attributes`: the session has agreed on CLIENT_QUERY_ATTRIBUTES, which changes every execute. */
bool statement_map_create(bool attributes, struct statement_map **out, struct error *err) MUST_USE;
void statement_map_destroy(struct statement_map *map);
size_t statement_count(const struct statement_map *map);

/* Whether a text of this length would be kept. If not, statement_add() needs its digest. */
bool statement_text_fits(const struct statement_map *map, size_t length);

/*
 * Adds what a prepare answer named (the text is copied). An id that exists already is replaced.
 * Where the text does not fit it is left out: truncated, length 0, with the digest in `text`.
 * ERROR_LIMIT past STATEMENT_COUNT_MAX.
 */
bool statement_add(struct statement_map *map, uint32_t id, uint16_t parameters,
                   const struct statement_text *text, struct error *err) MUST_USE;

/* A failed prepare: STATEMENT_LAST_ID means nothing until the next good one. */
void statement_prepare_failed(struct statement_map *map);

/* NULL: unknown, to be refused. STATEMENT_LAST_ID is the last prepared. */
struct statement *statement_find(struct statement_map *map, uint32_t id);
void statement_remove(struct statement_map *map, uint32_t id);
void statement_clear(struct statement_map *map); /* COM_RESET_CONNECTION, COM_CHANGE_USER */

/* The statement id of STMT_EXECUTE, STMT_BULK_EXECUTE, STMT_SEND_LONG_DATA, STMT_CLOSE, STMT_RESET
 * and STMT_FETCH (payload with its command byte). */
bool statement_id_read(struct byte_view payload, uint32_t *id, struct error *err) MUST_USE;

/*
 * COM_STMT_SEND_LONG_DATA: concatenates. `payload` may be the first part of a long command;
 * full_length is of the whole payload. False: malformed, or no memory for it: not to be relayed.
 */
bool statement_long_data(struct statement *statement, struct byte_view payload,
                         uint64_t full_length, struct error *err) MUST_USE;
void statement_reset(struct statement *statement); /* COM_STMT_RESET: long data is dropped */

/*
 * Decodes the bound values of a COM_STMT_EXECUTE and calls `each` for every parameter in order. All
 * or nothing: everything is checked before the first call. Types are taken from the packet when its
 * bind flag is 1, else from before; long data stands in for the parameters that it was sent for.
 * False: malformed, or no types known: the command must not be relayed (I6).
 *
 * `payload` may be the first part of a command of full_length bytes: values behind it are
 * VALUE_UNSEEN, and a string that reaches past it is cut.
 */
bool statement_values(const struct statement *statement, struct byte_view payload,
                      uint64_t full_length, void (*each)(void *arg, const struct value *value),
                      void *arg, struct error *err) MUST_USE;

/* The query attributes of a COM_STMT_EXECUTE that statement_values() has accepted: none in a
 * session that has not agreed on them. All or nothing, too. */
bool statement_attributes(const struct statement *statement, struct byte_view payload,
                          uint64_t full_length, const struct attribute_sink *attributes,
                          struct error *err) MUST_USE;

/* Takes the rows of a COM_STMT_BULK_EXECUTE. */
struct statement_rows {
    void (*row)(void *arg, uint64_t index); /* before the values of each row; NULL allowed */
    void (*value)(void *arg, const struct value *value);
    void *arg;
};

/*
 * Decodes all rows of a COM_STMT_BULK_EXECUTE (MariaDB), as statement_values() does. *count is
 * their number. Behind a cut payload the number is that of the rows whose beginning was captured.
 */
bool statement_bulk_values(const struct statement *statement, struct byte_view payload,
                           uint64_t full_length, const struct statement_rows *rows, uint64_t *count,
                           struct error *err) MUST_USE;

/*
 * An EXECUTE or BULK_EXECUTE whose values were decoded is going to be sent: its types stay for the
 * next one, and long data is dropped, as the server does. False (ERROR_LIMIT, ERROR_MEMORY): it
 * must not be sent.
 */
bool statement_bind(struct statement *statement, struct byte_view payload,
                    struct error *err) MUST_USE;

/* Whether a COM_STMT_EXECUTE asks for a cursor, of whatever type. */
bool statement_wants_cursor(struct byte_view payload);

#endif

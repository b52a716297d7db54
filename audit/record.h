/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record's form: an intent and an outcome as one line of JSON. Private to audit/; no I/O.
 *
 * A record is rendered in pieces, so that its fields keep the order of docs/audit-record.md
 * although the length and hash of a streamed statement are known only at the end:
 *
 *     {"v":1,"seq":N,   head       middle                        params    tail          }
 *     writer            time … to  statement_length,             params    outcome …     writer
 *                       statement  statement_sha256, …
 *     -----             draft.json up to .split                  the rest  struct audit_ending
 */
#ifndef SALLYPORT_AUDIT_RECORD_H
#define SALLYPORT_AUDIT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/audit.h"
#include "audit/charset.h"

/* Of a whole record: an AUDIT_STATEMENT_LIMIT_MAX of control characters, six bytes of JSON each,
 * with the greatest params and prefix. */
#define AUDIT_RECORD_MAX  (8 * 1024 * 1024)
#define AUDIT_PREFIX_MAX  (256 * 1024) /* of the part that a session's records share */
#define AUDIT_MESSAGE_MAX 512  /* bytes of a server's error message: its own MYSQL_ERRMSG_SIZE */
#define AUDIT_REASON_MAX  512  /* bytes of a reason */
#define AUDIT_WORD_MAX    64   /* bytes of an outcome's name or an SQLSTATE */
#define AUDIT_SCHEMA_MAX  1024 /* bytes of a schema's name; servers allow 64 characters */
#define AUDIT_MIDDLE_ROOM 512  /* of AUDIT_OUTCOME_ROOM, for what follows the statement */

struct audit_draft {
    struct buffer json;
    size_t split; /* where the middle goes in */
    const struct audit_charset *charset;
    uint64_t upstream_connection_id;
    uint64_t captured; /* bytes of the statement at hand */
    uint64_t statement_length;
    uint8_t sha256[32];
    bool has_sha256;
    bool has_statement;
    bool redacted;
};

/* What the outcome adds. The two lengths together are at most AUDIT_OUTCOME_ROOM. */
struct audit_ending {
    size_t middle_length;
    size_t tail_length;
    uint8_t middle[AUDIT_MIDDLE_ROOM];
    uint8_t tail[AUDIT_OUTCOME_ROOM - AUDIT_MIDDLE_ROOM];
};

void audit_draft_init(struct audit_draft *draft);

/* Renders the intent. On false the draft holds nothing of use. */
bool audit_draft_intent(struct audit_draft *draft, const struct audit_prefix *prefix,
                        const struct audit_intent *intent, struct audit_converter *converter,
                        struct error *err) MUST_USE;

/* Renders the outcome. Never fails: what is too long for the room is cut. */
void audit_draft_outcome(const struct audit_draft *draft, const struct audit_outcome *outcome,
                         struct audit_converter *converter, struct audit_ending *ending);

/* The fields in the order of the record, and the names of events and outcomes that this version
 * writes; each list ends with NULL. docs/audit-record.md explains each. */
extern const char *const audit_record_fields[];
extern const char *const audit_record_outcomes[];

#endif

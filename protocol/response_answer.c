/* SPDX-License-Identifier: Apache-2.0 */
/* What the packets of each kind of answer mean. response_private.h has the drawing. */
#include <string.h>

#include "protocol/capability.h"
#include "protocol/response_private.h"

/* MariaDB's progress reports are ERR packets with this code, which no error has, among the packets
 * of an answer (MariaDB manual, "Progress Reporting"). */
#define PROGRESS_REPORT_CODE 0xFFFF

/* Length of an EOF payload: 0xFE, warnings, status. An OK has at least 7 bytes. */
#define EOF_LENGTH 5

/* Notes the status and counters of an OK, in either of its forms. */
static bool response_read_ok(struct response_tracker *tracker, struct byte_view payload,
                             struct error *err)
{
    struct response_outcome *outcome = &tracker->outcome;
    struct packet_ok ok = {0};
    uint32_t capabilities = tracker->capabilities;
    /* What was cut off can only be session tracking, and a new schema in it has to be judged. */
    if (tracker->length > RESPONSE_INSPECT_MAX && capabilities & CAPABILITY_SESSION_TRACK)
        return error_set(err, ERROR_LIMIT, "an OK of %u bytes is longer than can be followed",
                         tracker->length);
    if (!packet_ok_read(payload, capabilities, &ok, err))
        return false;
    outcome->has_status = true;
    outcome->status = ok.status;
    outcome->warnings = ok.warnings;
    outcome->affected_rows += ok.affected_rows;
    if (ok.last_insert_id != 0)
        outcome->last_insert_id = ok.last_insert_id;
    if (!ok.schema.data)
        return true;
    if (ok.schema.length >= sizeof outcome->schema)
        return error_set(err, ERROR_MALFORMED, "the server named a schema of %zu bytes",
                         ok.schema.length);
    memcpy(outcome->schema, ok.schema.data, ok.schema.length);
    outcome->schema[ok.schema.length] = '\0';
    outcome->schema_changed = true;
    return true;
}

static bool response_read_eof(struct response_tracker *tracker, struct byte_view payload,
                              struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    uint8_t first;
    uint16_t warnings, status;
    if (payload.length != EOF_LENGTH || !byte_reader_u8(&reader, &first) || first != 0xFE ||
        !byte_reader_u16le(&reader, &warnings) || !byte_reader_u16le(&reader, &status))
        return error_set(err, ERROR_MALFORMED, "malformed EOF packet of %zu bytes", payload.length);
    tracker->outcome.has_status = true;
    tracker->outcome.status = status;
    tracker->outcome.warnings = warnings;
    return true;
}

/* The end of something: an EOF by its length, whatever was agreed (TRAPS, PX #3296), else an OK. */
static bool response_read_end(struct response_tracker *tracker, struct byte_view payload,
                              struct error *err)
{
    return payload.length == EOF_LENGTH ? response_read_eof(tracker, payload, err)
                                        : response_read_ok(tracker, payload, err);
}

static void response_note_error(struct response_outcome *outcome, const struct packet_err *error)
{
    size_t length = error->message.length;
    if (length > RESPONSE_MESSAGE_MAX)
        length = RESPONSE_MESSAGE_MAX;
    outcome->failed = true;
    outcome->code = error->code;
    memcpy(outcome->sqlstate, error->sqlstate, sizeof outcome->sqlstate);
    if (length > 0)
        memcpy(outcome->message, error->message.data, length);
    outcome->message[length] = '\0';
}

static bool response_complete_error(struct response_tracker *tracker, struct byte_view payload,
                                    enum response_event *event, struct error *err)
{
    struct packet_err error = {0};
    if (!packet_err_read(payload, &error, err))
        return false;
    if (error.code == PROGRESS_REPORT_CODE && tracker->phase != PHASE_IDLE &&
        tracker->mariadb_capabilities & CAPABILITY_MARIADB_PROGRESS)
        return true;
    response_note_error(&tracker->outcome, &error);
    if (tracker->phase != PHASE_IDLE) {
        response_finish(tracker, event);
        return true;
    }
    tracker->begun = false;
    tracker->settled = true;
    *event = RESPONSE_UNSOLICITED;
    return true;
}

/* One result of an answer has ended; its status says whether another follows. */
static bool response_next_result(struct response_tracker *tracker, enum response_event *event,
                                 struct error *err)
{
    bool more = tracker->promised || tracker->outcome.status & STATUS_MORE_RESULTS;
    tracker->promised = false;
    if (tracker->answer.reply == REPLY_RESULT && more) {
        tracker->fresh = false;
        return response_move(tracker, PHASE_FIRST, err);
    }
    response_finish(tracker, event);
    return true;
}

/* Whether a column count tells if definitions follow it: MySQL's OPTIONAL_RESULTSET_METADATA, and
 * MariaDB's cached metadata, which has the byte in the same place. */
static bool response_counts_have_flag(const struct response_tracker *tracker)
{
    return tracker->capabilities & CAPABILITY_OPTIONAL_METADATA ||
           tracker->mariadb_capabilities & CAPABILITY_MARIADB_CACHE;
}

/* Takes the byte that tells whether definitions follow. */
static bool response_metadata_flag(struct response_tracker *tracker, struct byte_reader *reader)
{
    uint8_t follows;
    if (!byte_reader_u8(reader, &follows) || follows > 1)
        return false;
    tracker->bare = follows == 0;
    return true;
}

static bool response_columns(struct response_tracker *tracker, struct byte_view payload,
                             struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    uint64_t columns;
    tracker->bare = false;
    if (!byte_reader_lenenc(&reader, &columns) || columns == 0 || columns > RESPONSE_COLUMNS_MAX ||
        (response_counts_have_flag(tracker) && !response_metadata_flag(tracker, &reader)) ||
        byte_reader_left(&reader) > 0)
        return error_set(err, ERROR_MALFORMED, "malformed column count of a result set");
    tracker->definitions = (uint32_t)columns;
    tracker->outcome.has_rows = true;
    tracker->outcome.result_sets++;
    if (!tracker->bare)
        return response_move(tracker, PHASE_DEFINITIONS, err);
    tracker->fresh = tracker->capabilities & CAPABILITY_DEPRECATE_EOF;
    return response_move(tracker, tracker->fresh ? PHASE_ROWS : PHASE_DEFINITIONS_END, err);
}

static bool response_infile(struct response_tracker *tracker, enum response_event *event,
                            struct error *err)
{
    if (!(tracker->capabilities & CAPABILITY_LOCAL_FILES))
        return error_set(err, ERROR_MALFORMED,
                         "the server asks for a local file, which was not agreed on");
    *event = RESPONSE_LOCAL_INFILE;
    return response_move(tracker, PHASE_INFILE, err);
}

/* The first packet of a result. (MySQL source documentation, "COM_QUERY Response".) */
static bool response_complete_first(struct response_tracker *tracker, struct byte_view payload,
                                    enum response_event *event, struct error *err)
{
    switch (tracker->kind) {
    case PACKET_OK:
    case 0xFE: /* no column count begins like this: they fit 16 bits */
        return response_read_end(tracker, payload, err) &&
               response_next_result(tracker, event, err);
    case 0xFB:
        return response_infile(tracker, event, err);
    default:
        return response_columns(tracker, payload, err);
    }
}

/* A group of definitions has ended, with the EOF behind it where there is one. */
static bool response_group_ended(struct response_tracker *tracker, enum response_event *event,
                                 struct error *err)
{
    tracker->fresh = tracker->capabilities & CAPABILITY_DEPRECATE_EOF;
    if (tracker->answer.reply != REPLY_PREPARE)
        return response_move(tracker, PHASE_ROWS, err);
    tracker->definitions = tracker->next_group;
    tracker->next_group = 0;
    if (tracker->definitions > 0)
        return response_move(tracker, tracker->bare ? PHASE_DEFINITIONS_END : PHASE_DEFINITIONS,
                             err);
    response_finish(tracker, event);
    return true;
}

/*
 * The definitions of a prepare answer: those of the parameters first, then those of the columns.
 * Where none are sent (resultset_metadata = NONE), each group still has its EOF, if there are EOFs.
 */
static bool response_prepared_groups(struct response_tracker *tracker, enum response_event *event,
                                     struct error *err)
{
    const struct response_outcome *outcome = &tracker->outcome;
    bool both = outcome->parameters > 0;
    tracker->definitions = both ? outcome->parameters : outcome->columns;
    tracker->next_group = both ? outcome->columns : 0;
    bool eofs = !(tracker->capabilities & CAPABILITY_DEPRECATE_EOF);
    if (tracker->definitions == 0 || (tracker->bare && !eofs)) {
        response_finish(tracker, event);
        return true;
    }
    return response_move(tracker, tracker->bare ? PHASE_DEFINITIONS_END : PHASE_DEFINITIONS, err);
}

/*
 * MySQL 9.7 answers a prepare of SET GLOBAL, by an account that may not set it, with an empty OK
 * where the error should be: nothing was prepared, and the connection goes on. (Seen; no other
 * answer of that length.)
 */
static bool response_prepared_nothing(struct byte_view payload)
{
    static const uint8_t nothing[] = {PACKET_OK, 0,
                                      0}; /* affected rows, insert id; 4 bytes follow */
    return payload.length == sizeof nothing + 4 &&
           memcmp(payload.data, nothing, sizeof nothing) == 0;
}

/*
 * The OK of a prepare: statement id, columns, parameters. (MySQL source documentation,
 * "COM_STMT_PREPARE Response".)
 */
static bool response_complete_prepare(struct response_tracker *tracker, struct byte_view payload,
                                      enum response_event *event, struct error *err)
{
    struct response_outcome *outcome = &tracker->outcome;
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    uint8_t first, filler;
    if (response_prepared_nothing(payload)) {
        response_finish(tracker, event);
        return true;
    }
    if (!byte_reader_u8(&reader, &first) || first != PACKET_OK ||
        !byte_reader_u32le(&reader, &outcome->statement_id) ||
        !byte_reader_u16le(&reader, &outcome->columns) ||
        !byte_reader_u16le(&reader, &outcome->parameters) || !byte_reader_u8(&reader, &filler))
        return error_set(err, ERROR_MALFORMED, "malformed answer to a prepare");
    if (!byte_reader_u16le(&reader, &outcome->warnings))
        outcome->warnings = 0; /* servers before 5.0 leave them out */
    tracker->bare = false;
    if (tracker->capabilities & CAPABILITY_OPTIONAL_METADATA &&
        !response_metadata_flag(tracker, &reader))
        return error_set(err, ERROR_MALFORMED, "malformed answer to a prepare");
    return response_prepared_groups(tracker, event, err);
}

/*
 * Whether a cursor was opened for the result, by the status behind its definitions. The flag alone
 * says nothing: MariaDB has it in all results of a procedure that used a cursor of its own, and
 * there rows follow. (sql/sql_cursor.cc of 10.11; such results are never the last of their answer.)
 */
static bool response_opened_cursor(const struct response_tracker *tracker)
{
    uint16_t status = tracker->outcome.status;
    return tracker->answer.reply == REPLY_RESULT && tracker->answer.cursor &&
           status & STATUS_CURSOR_EXISTS && !(status & STATUS_MORE_RESULTS);
}

/* The old EOF behind a group of definitions. */
static bool response_complete_definitions_end(struct response_tracker *tracker,
                                              struct byte_view payload, enum response_event *event,
                                              struct error *err)
{
    if (!response_read_eof(tracker, payload, err))
        return false;
    /* MySQL 9.7 says that the OK behind OUT parameters follows here, and no more behind their row.
     */
    const uint16_t promise = STATUS_OUT_PARAMETERS | STATUS_MORE_RESULTS;
    tracker->promised = tracker->answer.binary && (tracker->outcome.status & promise) == promise;
    /* The rows come with COM_STMT_FETCH (TRAPS, TiProxy #440). */
    if (response_opened_cursor(tracker))
        return response_next_result(tracker, event, err);
    return response_group_ended(tracker, event, err);
}

/*
 * An EOF among definitions: only what a server that forgets about DEPRECATE_EOF (TRAPS, PX #3296)
 * puts between the two groups of a prepare answer.
 */
static bool response_complete_stray(struct response_tracker *tracker, struct byte_view payload,
                                    struct error *err)
{
    if (!tracker->fresh)
        return error_set(err, ERROR_MALFORMED, "the server sent fewer definitions than it said");
    tracker->fresh = false;
    return response_read_eof(tracker, payload, err);
}

/*
 * The end of rows. Under DEPRECATE_EOF an old EOF right behind the definitions is the one that was
 * to be left out (a server that sends it does not know the new form, so it ends its rows with
 * another), unless it says that a cursor was opened.
 */
static bool response_complete_rows(struct response_tracker *tracker, struct byte_view payload,
                                   enum response_event *event, struct error *err)
{
    bool fresh = tracker->fresh;
    tracker->fresh = false;
    if (!response_read_end(tracker, payload, err))
        return false;
    if (fresh && payload.length == EOF_LENGTH && !response_opened_cursor(tracker))
        return true;
    return response_next_result(tracker, event, err);
}

/* A packet of an authentication exchange goes to the caller; an OK or ERR in it is noted. */
static bool response_complete_login(struct response_tracker *tracker, struct byte_view payload,
                                    enum response_event *event, struct error *err)
{
    struct packet_err error = {0};
    tracker->packet = payload;
    *event = RESPONSE_LOGIN;
    if (tracker->kind == PACKET_OK)
        return response_read_ok(tracker, payload, err);
    if (tracker->kind != PACKET_ERR)
        return true;
    if (!packet_err_read(payload, &error, err))
        return false;
    response_note_error(&tracker->outcome, &error);
    return true;
}

bool response_complete(struct response_tracker *tracker, struct byte_view payload,
                       enum response_event *event, struct error *err)
{
    if (tracker->phase == PHASE_LOGIN)
        return response_complete_login(tracker, payload, event, err);
    if (tracker->kind == PACKET_ERR)
        return response_complete_error(tracker, payload, event, err);
    switch (tracker->phase) {
    case PHASE_FIRST:
        return response_complete_first(tracker, payload, event, err);
    case PHASE_PREPARE:
        return response_complete_prepare(tracker, payload, event, err);
    case PHASE_DEFINITIONS:
        return response_complete_stray(tracker, payload, err);
    case PHASE_DEFINITIONS_END:
        return response_complete_definitions_end(tracker, payload, event, err);
    case PHASE_ROWS:
        return response_complete_rows(tracker, payload, event, err);
    case PHASE_OK:
    case PHASE_FIELD_LIST:
    case PHASE_STREAM:
        if (!response_read_end(tracker, payload, err))
            return false;
        response_finish(tracker, event);
        return true;
    default:
        return error_set(err, ERROR_MALFORMED, "the server sent a packet that fits no answer");
    }
}

bool response_passed(struct response_tracker *tracker, enum response_event *event,
                     struct error *err)
{
    switch (tracker->phase) {
    case PHASE_ROWS:
        tracker->outcome.rows++;
        tracker->fresh = false;
        return true;
    case PHASE_DEFINITIONS:
        tracker->fresh = false;
        if (--tracker->definitions > 0)
            return true;
        return tracker->capabilities & CAPABILITY_DEPRECATE_EOF
                   ? response_group_ended(tracker, event, err)
                   : response_move(tracker, PHASE_DEFINITIONS_END, err);
    case PHASE_STATISTICS:
        response_finish(tracker, event);
        return true;
    case PHASE_FIELD_LIST:
    case PHASE_STREAM:
        return true;
    default:
        return error_set(err, ERROR_STATE, "a packet was skipped that matters");
    }
}

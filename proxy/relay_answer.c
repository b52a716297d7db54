/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database's half of the command phase: its bytes are followed and go to the client as they
 * are; each answer that ends completes its record and changes what the session knows.
 */
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/relay.h"

/* Whether a statement can ask for a local file: LOAD DATA LOCAL INFILE, LOAD XML LOCAL INFILE. */
bool relay_asks_infile(struct byte_view text)
{
    static const char word[] = "infile";
    for (size_t i = 0; i + sizeof word - 1 <= text.length; i++)
        if ((text.data[i] | 0x20) == 'i' &&
            strncasecmp((const char *)text.data + i, word, sizeof word - 1) == 0)
            return true;
    return false;
}

bool relay_executes_infile(const struct relay *relay, struct byte_view execute)
{
    uint32_t id;
    const struct statement *statement =
        statement_id_read(execute, &id, NULL) ? statement_find(relay->statements, id) : NULL;
    return statement && (statement->text.truncated ||
                         relay_asks_infile(byte_view((const uint8_t *)statement->text.bytes,
                                                     statement->text.length)));
}

/* --- what an answer changes
 * ----------------------------------------------------------------------- */

static void take_schema(struct session *session, const void *schema, size_t length)
{
    if (length >= sizeof session->schema)
        return;
    memcpy(session->schema, schema, length);
    session->schema[length] = '\0';
}

static void take_prepared(struct session *session, const struct exchange *exchange,
                          const struct response_outcome *outcome)
{
    struct relay *relay = session->relay;
    struct statement_text text = {
        .bytes = (const char *)buffer_bytes(&exchange->text),
        .length = buffer_length(&exchange->text),
        .full_length = exchange->length,
        .truncated = buffer_length(&exchange->text) < exchange->length,
    };
    struct error err = {0};
    if (outcome->statement_id == 0)
        return;
    if (exchange->has_digest)
        memcpy(text.sha256, exchange->digest, sizeof text.sha256);
    else if (!statement_text_fits(relay->statements, text.length))
        digest_of(text.bytes, text.length, text.sha256);
    if (!statement_add(relay->statements, outcome->statement_id, outcome->parameters, &text, &err))
        session_end(session, REASON_INTERNAL, "%s", err.message);
}

static void take_charset(struct relay *relay, const struct exchange *exchange)
{
    if (!exchange->names_charset)
        return;
    memcpy(relay->charset_name, exchange->charset, sizeof relay->charset_name);
    relay->charset = relay->charset_name;
}

static void take_effect(struct session *session, const struct exchange *exchange,
                        const struct response_outcome *outcome)
{
    struct relay *relay = session->relay;
    switch (exchange->command) {
    case COMMAND_STMT_PREPARE:
        take_prepared(session, exchange, outcome);
        break;
    case COMMAND_INIT_DB:
        take_schema(session, buffer_bytes(&exchange->text), buffer_length(&exchange->text));
        break;
    case COMMAND_QUERY:
        take_charset(relay, exchange);
        if (buffer_length(&exchange->text) > 0)
            take_schema(session, buffer_bytes(&exchange->text), buffer_length(&exchange->text));
        break;
    case COMMAND_RESET_CONNECTION:
        statement_clear(relay->statements);
        /* The server's own default, which is not known: what is UTF-8 is taken for that. */
        relay->charset = NULL;
        break;
    case COMMAND_SET_OPTION:
        relay->multi_statements = exchange->option == 0;
        break;
    default:
        break;
    }
}

/*
 * Defence in depth: whatever the text looked like, a schema that the server says it has switched to
 * is judged too.
 */
static void follow_schema(struct session *session, const struct response_outcome *outcome)
{
    struct authz_decision decision;
    if (strcmp(session->schema, outcome->schema) == 0)
        return;
    take_schema(session, outcome->schema, strlen(outcome->schema));
    if (session->schema[0] == '\0')
        return;
    session_decide(session, session->mysql_user, session->schema, &decision);
    if (!decision.allowed)
        session_fail(session, REASON_DENIED, 1044, "42000", "%s", decision.rule);
}

/* The oldest answer is complete. */
static void end_answer(struct session *session)
{
    struct relay *relay = session->relay;
    const struct response_outcome *outcome = response_result(relay->tracker);
    struct exchange *exchange = response_tag(relay->tracker);
    session->last_activity_us = clock_monotonic_us();
    relay_finish(session, exchange, outcome);
    if (exchange->command == COMMAND_STMT_PREPARE)
        relay->preparing--;
    if (relay->infile == exchange)
        relay->infile = NULL; /* the server gave up before the file's end; the rest still comes */
    if (relay->streaming == exchange) {
        /* The answer overtook its command: the server refused it half-way, and will close. */
        relay->streaming = NULL;
        session->error_code = outcome->code;
        memcpy(session->error_sqlstate, outcome->sqlstate, sizeof session->error_sqlstate);
        upstream_close(session->upstream, false);
        session->upstream = NULL;
        session_end(session, REASON_UPSTREAM_CLOSED,
                    "the database refused a command before its end: %s", outcome->message);
    } else if (!outcome->failed) {
        take_effect(session, exchange, outcome);
    } else if (exchange->command == COMMAND_STMT_PREPARE) {
        statement_prepare_failed(relay->statements);
    }
    exchange_give(session->worker, exchange);
}

/* --- the stream --- */

/* The part of the input that goes to the client and has not gone yet: [from, to). */
struct outgoing {
    const uint8_t *data;
    size_t from;
    size_t to;
};

bool relay_answer_framed(const struct session *session)
{
    return session->relay && session->relay->answering;
}

/* The frames of an answer count on from its command's last one. */
static void place_frame(struct session *session)
{
    struct relay *relay = session->relay;
    const struct exchange *exchange = response_tag(relay->tracker);
    if (exchange && exchange != relay->answering)
        session->leg.outgoing = (uint8_t)(exchange->sequence + 1);
    else if (!exchange)
        session->leg.outgoing = upstream_frame(session->upstream); /* it answers nothing */
    relay->answering = exchange;
}

static bool flush(struct session *session, struct outgoing *outgoing)
{
    size_t length = outgoing->to - outgoing->from;
    const uint8_t *data = outgoing->data + outgoing->from;
    outgoing->from = outgoing->to;
    if (length == 0)
        return true;
    session->bytes_out += length;
    if (leg_compressed(&session->leg))
        place_frame(session);
    return session_write(session, data, length);
}

/* Leaves the last `length` bytes out. */
static bool leave_out(struct session *session, struct outgoing *outgoing, size_t length)
{
    size_t end = outgoing->to;
    outgoing->to = end - length;
    bool flushed = flush(session, outgoing);
    outgoing->from = outgoing->to = end;
    return flushed;
}

static bool begin_infile(struct session *session, size_t consumed, struct outgoing *outgoing)
{
    struct relay *relay = session->relay;
    struct exchange *exchange = response_tag(relay->tracker);
    uint8_t sequence = 0;
    if (!response_at_boundary(relay->tracker, &sequence) || !exchange->asks_infile) {
        session->error_sequence = (uint8_t)(sequence - 1); /* in the place of the request */
        if (leave_out(session, outgoing, consumed))
            session_fail(session, REASON_UPSTREAM_PROTOCOL, 1159, "08S01",
                         "the database asked for a local file that no statement asked for");
        return false;
    }
    relay->infile = exchange;
    exchange->sends_file = true;
    relay->infile_coming = true;
    infile_framer_init(&relay->infile_framer, sequence);
    relay->infile_framer.framed = leg_compressed(&session->leg);
    upstream_begin(session->upstream, UPSTREAM_FILE);
    if (!leg_compressed(&session->leg))
        return true;
    bool flushed = flush(session, outgoing);
    session->leg.incoming =
        session->leg.outgoing; /* the file's frames count on from the request's */
    return flushed;
}

static bool take_unsolicited(struct session *session, struct outgoing *outgoing)
{
    const struct response_outcome *outcome = response_result(session->relay->tracker);
    session->error_code = outcome->code;
    memcpy(session->error_sqlstate, outcome->sqlstate, sizeof session->error_sqlstate);
    if (flush(session, outgoing))
        session_end(session, REASON_UPSTREAM_CLOSED, "the database ended the session: %s",
                    outcome->message);
    return false;
}

static bool take_event(struct session *session, enum response_event event, size_t consumed,
                       struct outgoing *outgoing)
{
    switch (event) {
    case RESPONSE_MORE:
        return true;
    case RESPONSE_DONE:
        /* No frame has parts of two answers. */
        if ((leg_compressed(&session->leg) ||
             session->relay->streaming == response_tag(session->relay->tracker)) &&
            !flush(session, outgoing))
            return false;
        session->relay->answering = NULL;
        end_answer(session);
        if (session->state >= SESSION_ENDING)
            return false;
        if (response_result(session->relay->tracker)->schema_changed && flush(session, outgoing))
            follow_schema(session, response_result(session->relay->tracker));
        return session->state < SESSION_ENDING;
    case RESPONSE_LOCAL_INFILE:
        return begin_infile(session, consumed, outgoing);
    case RESPONSE_UNSOLICITED:
        return take_unsolicited(session, outgoing);
    case RESPONSE_HELD:
        return leave_out(session, outgoing, consumed);
    case RESPONSE_LOGIN:
        if (!leave_out(session, outgoing, consumed))
            return false;
        relay_change_user_answer(session);
        return session->state < SESSION_ENDING;
    case RESPONSE_INJECT:
        return flush(session, outgoing) && relay_write_injected(session);
    }
    return false;
}

static bool follow(struct session *session, size_t length, struct outgoing *outgoing)
{
    struct error err = {0};
    while (outgoing->to < length) {
        enum response_event event;
        size_t consumed = 0;
        uint8_t next;
        bool boundary = response_at_boundary(session->relay->tracker, &next);
        struct byte_view rest = byte_view(outgoing->data + outgoing->to, length - outgoing->to);
        bool good = response_feed(session->relay->tracker, rest, &consumed, &event, &err);
        outgoing->to += consumed;
        if (!good) {
            /* The tracker has gone on into the bad packet; the client has not. */
            if (boundary && consumed == 0 && session->state == SESSION_READY)
                session->error_sequence = next;
            if (flush(session, outgoing))
                session_fail(session, REASON_UPSTREAM_PROTOCOL, 1159, "08S01", "%s", err.message);
            return false;
        }
        if (!take_event(session, event, consumed, outgoing))
            return false;
        if (relay_connecting(session) && outgoing->to < length) {
            session_fail(session, REASON_UPSTREAM_PROTOCOL, 1159, "08S01",
                         "the database sent more behind its answer to a reset");
            return false;
        }
    }
    return true;
}

/* After answers: what waited for them. */
static void go_on(struct session *session)
{
    struct relay *relay = session->relay;
    if (session->state == SESSION_READY && !relay_write_injected(session))
        return;
    if (session->state == SESSION_READY && session->holds & HOLD_ANSWERS &&
        response_expected(relay->tracker) == 0)
        relay_unpark(session);
    if (session->state < SESSION_ENDING && session->drain)
        session_drain(session);
}

size_t relay_upstream_data(struct session *session, const uint8_t *data, size_t length)
{
    struct outgoing outgoing = {.data = data};
    if (session->state != SESSION_READY && session->state != SESSION_CHANGING)
        return length;
    if (!follow(session, length, &outgoing) || !flush(session, &outgoing))
        return length;
    if (session->upstream && stream_backlog(session->client) > STREAM_BACKLOG_HIGH)
        upstream_pause(session->upstream);
    go_on(session);
    return length;
}

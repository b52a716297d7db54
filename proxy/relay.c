/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's half of the command phase: frame, judge, record, send. Where a command has to wait
 * (for the audit log, for earlier answers) it is parked with a copy of its bytes, and nothing more
 * is taken from the client until it has gone on.
 */
#include "proxy/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "protocol/capability.h"
#include "protocol/collation.h"
#include "protocol/parameters.h"
#include "protocol/replication.h"

/* Command byte, statement id and parameter number of COM_STMT_SEND_LONG_DATA. */
#define LONG_DATA_HEADER 7

/* Query attributes must lie in the part of a command that is held, whatever the audit's limit. */
#define RELAY_ATTRIBUTES_HOLD (1024u * 1024)

/* Rendered bound values that an idle session may keep room for. */
#define RELAY_KEEP_PARAMS 4096

/* --- life --- */

void relay_follow_policy(struct session *session)
{
    const struct authz_request request = session_request(session, session->mysql_user, NULL);
    struct authz_decision decision;
    struct relay *relay = session->relay;
    if (!relay)
        return;
    relay->any_schema = authz_any_schema(&session->roles, &request);
    relay->local_infile =
        (session->capabilities & CAPABILITY_LOCAL_FILES) &&
        session_allows(session, session->mysql_user, AUTHZ_LOCAL_INFILE, &decision);
}

bool relay_create(struct session *session, struct error *err)
{
    struct relay *relay = calloc(1, sizeof *relay);
    if (!relay)
        return error_set(err, ERROR_MEMORY, "out of memory");
    session->relay = relay;
    size_t hold = session->snapshot->settings.audit.statement_limit;
    if (session->capabilities & CAPABILITY_QUERY_ATTRIBUTES && hold < RELAY_ATTRIBUTES_HOLD)
        hold = RELAY_ATTRIBUTES_HOLD;
    command_framer_init(&relay->framer, hold);
    relay->framer.framed = compression_method_of(session->capabilities) != COMPRESSION_NONE;
    params_init(&relay->params);
    params_init(&relay->attributes);
    buffer_init(&relay->parked.raw, SIZE_MAX);
    buffer_init(&relay->parked.payload, SIZE_MAX);
    relay->multi_statements = session->capabilities & CAPABILITY_MULTI_STATEMENTS;
    relay->charset = collation_charset(session->login.collation);
    relay_follow_policy(session);
    return statement_map_create(session->capabilities & CAPABILITY_QUERY_ATTRIBUTES,
                                &relay->statements, err) &&
           response_tracker_create(session->capabilities, session->mariadb_capabilities,
                                   &relay->tracker, err);
}

static void forget(struct session *session, struct exchange *exchange)
{
    relay_finish_unknown(session, exchange);
    exchange_give(session->worker, exchange);
}

void relay_destroy(struct session *session)
{
    struct relay *relay = session->relay;
    if (!relay)
        return;
    struct exchange *exchange;
    bool streaming_expected = false;
    while (relay->tracker && (exchange = response_abandon(relay->tracker))) {
        streaming_expected |= exchange == relay->streaming;
        if (exchange == relay->changing)
            relay->changing = NULL;
        forget(session, exchange);
    }
    if (relay->streaming && relay->discarding)
        relay_finish_denied(session, relay->streaming);
    if (relay->streaming && !streaming_expected)
        forget(session, relay->streaming);
    if (relay->changing && relay->change_step == CHANGE_CONNECTING)
        relay_change_account_failed(session, relay->changing);
    if (relay->changing)
        forget(session, relay->changing);
    response_tracker_destroy(relay->tracker);
    statement_map_destroy(relay->statements);
    command_framer_release(&relay->framer);
    params_release(&relay->params);
    params_release(&relay->attributes);
    buffer_release(&relay->parked.raw);
    buffer_release(&relay->parked.payload);
    free(relay);
    session->relay = NULL;
}

bool relay_idle(const struct session *session)
{
    const struct relay *relay = session->relay;
    return !relay || (response_expected(relay->tracker) == 0 && !relay->parked.full &&
                      !relay->streaming && !relay->changing && command_framer_idle(&relay->framer));
}

bool relay_answers_due(const struct session *session)
{
    const struct relay *relay = session->relay;
    if (session->holds != 0)
        return true; /* the client may not go on */
    if (!relay)
        return false;
    /* A command, or a file, that is still coming: its answer is not due before its end. */
    const struct exchange *coming = relay->infile_coming ? relay->infile
                                    : relay->discarding  ? NULL
                                                         : relay->streaming;
    bool answered = coming && command_kind(coming->command)->reply != REPLY_NONE;
    return response_expected(relay->tracker) > (answered ? 1 : 0);
}

bool relay_between_commands(const struct session *session)
{
    const struct relay *relay = session->relay;
    return !relay || (!(relay->streaming && !relay->discarding) && !relay->infile_coming);
}

bool relay_error_place(const struct session *session, uint8_t *sequence)
{
    return session->relay && response_at_boundary(session->relay->tracker, sequence);
}

/* --- parking --- */

static bool keep(struct buffer *buffer, struct byte_view bytes)
{
    if (bytes.length > 0 && bytes.data == buffer_bytes(buffer))
        return true; /* parked once more */
    buffer_clear(buffer);
    return buffer_append(buffer, bytes.data, bytes.length, NULL);
}

static void park(struct session *session, enum command_event event,
                 const struct command_piece *piece, bool decoded, enum session_hold why)
{
    struct parked *parked = &session->relay->parked;
    if (!keep(&parked->raw, piece->raw) || !keep(&parked->payload, piece->payload)) {
        session_fail(session, REASON_INTERNAL, 1105, "HY000", "out of memory");
        return;
    }
    parked->full = true;
    parked->decoded = decoded;
    parked->event = event;
    parked->last_sequence = piece->last_sequence;
    session_hold_client(session, why);
    if (why == HOLD_AUDIT && session->record_deadline_us == 0) {
        session->record_deadline_us =
            clock_monotonic_us() + session->snapshot->settings.proxy.limits.audit_timeout_ms * 1000;
        session_arm_timer(session);
    }
}

/* --- sending --- */

static bool send_upstream(struct session *session, struct byte_view raw)
{
    struct error err = {0};
    if (!upstream_write(session->upstream, raw, &err)) {
        session_fail(session, REASON_UPSTREAM_CLOSED, 1159, "08S01", "%s", err.message);
        return false;
    }
    session->bytes_in += raw.length;
    if (upstream_backlog(session->upstream) > STREAM_BACKLOG_HIGH)
        session_hold_client(session, HOLD_BACKLOG);
    return true;
}

static bool keep_text(struct exchange *exchange, const void *text, size_t length, struct error *err)
{
    buffer_clear(&exchange->text);
    return buffer_append(&exchange->text, text, length, err);
}

/* What the answer will need to know of the command. */
static bool remember(struct session *session, struct exchange *exchange,
                     const struct command_piece *piece, struct error *err)
{
    const struct relay *relay = session->relay;
    const struct byte_view text = piece->text;
    size_t limit = session->snapshot->settings.audit.statement_limit;
    switch (exchange->command) {
    case COMMAND_STMT_PREPARE:
        exchange->length = text.length;
        return keep_text(exchange, text.data, text.length < limit ? text.length : limit, err);
    case COMMAND_INIT_DB:
        return keep_text(exchange, text.data, text.length, err);
    case COMMAND_QUERY:
        exchange->asks_infile = relay->local_infile && relay_asks_infile(text);
        exchange->names_charset =
            relay_charset_of(text, exchange->charset, sizeof exchange->charset) != NULL;
        /* A guess, where the server does not tell: a USE may stand in what it takes for a comment.
         */
        if (!(session->capabilities & CAPABILITY_SESSION_TRACK) && relay->scan.count == 1 &&
            !relay->scan.unclear)
            return keep_text(exchange, relay->scan.schemas[0], strlen(relay->scan.schemas[0]), err);
        return true;
    case COMMAND_STMT_EXECUTE:
        exchange->asks_infile = relay->local_infile && relay_executes_infile(relay, piece->payload);
        return true;
    case COMMAND_STMT_SEND_LONG_DATA:
        return keep_text(exchange, piece->payload.data,
                         piece->payload.length < LONG_DATA_HEADER ? piece->payload.length
                                                                  : LONG_DATA_HEADER,
                         err);
    case COMMAND_SET_OPTION:
        exchange->option = piece->payload.length >= 3 ? piece->payload.data[1] : 1;
        return true;
    default:
        return true;
    }
}

/* What a command changes as soon as it is sent. */
static bool apply(struct session *session, const struct exchange *exchange,
                  struct byte_view payload, struct error *err)
{
    struct relay *relay = session->relay;
    uint32_t id;
    if (exchange->command == COMMAND_SET_OPTION && exchange->option == 0)
        relay->multi_statements = true;
    if (!statement_id_read(payload, &id, NULL))
        return true;
    struct statement *statement = statement_find(relay->statements, id);
    if (!statement)
        return true;
    switch (exchange->command) {
    case COMMAND_STMT_CLOSE:
        statement_remove(relay->statements, statement->id);
        return true;
    case COMMAND_STMT_RESET:
        statement_reset(statement);
        return true;
    case COMMAND_STMT_SEND_LONG_DATA:
        return statement_long_data(statement, payload, payload.length, err);
    case COMMAND_STMT_EXECUTE:
    case COMMAND_STMT_BULK_EXECUTE:
        return statement_bind(statement, payload, err);
    default:
        return true;
    }
}

static enum response_rows rows_of(const struct command_piece *piece)
{
    if (statement_wants_cursor(piece->payload))
        return RESPONSE_ROWS_CURSOR;
    return command_kind(piece->payload.data[0])->binary_rows ? RESPONSE_ROWS_BINARY
                                                             : RESPONSE_ROWS_TEXT;
}

static void allow(struct session *session, enum command_event event,
                  const struct command_piece *piece, struct exchange *exchange)
{
    struct relay *relay = session->relay;
    const struct command_kind *kind = command_kind(exchange->command);
    struct error err = {0};
    bool answered = kind->reply != REPLY_NONE;
    int sequence =
        event == COMMAND_WHOLE ? (uint8_t)(piece->last_sequence + 1) : RESPONSE_SEQUENCE_ANY;
    if (!remember(session, exchange, piece, &err) ||
        !apply(session, exchange, piece->payload, &err) ||
        (answered &&
         !response_expect(relay->tracker, kind->reply, rows_of(piece), sequence, exchange, &err))) {
        forget(session, exchange);
        session_fail(session, REASON_INTERNAL, 1105, "HY000", "%s", err.message);
        return;
    }
    if (event == COMMAND_BEGIN)
        relay->streaming = exchange;
    if (exchange->command == COMMAND_STMT_PREPARE)
        relay->preparing++;
    bool quits = exchange->command == COMMAND_QUIT;
    if (!answered && event == COMMAND_WHOLE) {
        relay_finish_sent(session, exchange);
        exchange_give(session->worker, exchange);
    }
    if (quits) {
        session_end(session, REASON_CLIENT_QUIT, NULL);
        return;
    }
    upstream_begin(session->upstream, UPSTREAM_COMMAND);
    if (event == COMMAND_WHOLE)
        upstream_end(session->upstream, piece->last_sequence);
    (void)send_upstream(session, piece->raw);
}

/* --- refusing --- */

/* Writes the ERRs of ours whose turn has come. */
bool relay_write_injected(struct session *session)
{
    struct relay *relay = session->relay;
    while (response_injected_next(relay->tracker)) {
        struct exchange *exchange = response_injected_done(relay->tracker);
        session->leg.outgoing = (uint8_t)(exchange->sequence + 1);
        char message[PACKET_ERR_MESSAGE_MAX];
        uint8_t storage[PACKET_ERR_MESSAGE_MAX + 64];
        struct buffer packet;
        snprintf(message, sizeof message, "sallyport: bot %s: %s", session_bot(session),
                 exchange->reason);
        buffer_init_fixed(&packet, storage, sizeof storage);
        bool made =
            packet_err_append(&packet, (uint8_t)(exchange->sequence + 1), exchange->error_code,
                              exchange->error_sqlstate, message, NULL);
        exchange_give(session->worker, exchange);
        if (!made || !session_write_buffer(session, &packet))
            return false;
    }
    return true;
}

static void inject(struct session *session, struct exchange *exchange)
{
    struct error err = {0};
    if (!response_expect_injected(session->relay->tracker, exchange, &err)) {
        exchange_give(session->worker, exchange);
        session_fail(session, REASON_INTERNAL, 1105, "HY000", "%s", err.message);
    } else if (!relay_write_injected(session)) {
        log_debug("the client was gone when it was told of a denial", NULL);
    }
}

static void deny(struct session *session, enum command_event event, const struct verdict *verdict,
                 struct exchange *exchange)
{
    exchange->error_code = verdict->code;
    exchange->error_sqlstate = verdict->sqlstate;
    memcpy(exchange->reason, verdict->reason, sizeof exchange->reason);
    log_info("command denied", "command", command_kind(exchange->command)->name, "rule",
             verdict->reason, NULL);
    exchange->dropped = verdict->action == VERDICT_DROP;
    if (event == COMMAND_BEGIN && verdict->action != VERDICT_CLOSE) {
        session->relay->streaming = exchange;
        session->relay->discarding = true; /* recorded when its length is known */
        return;
    }
    relay_finish_denied(session, exchange);
    if (verdict->action == VERDICT_DENY) {
        inject(session, exchange);
        return;
    }
    exchange_give(session->worker, exchange);
    if (verdict->action == VERDICT_CLOSE)
        session_fail(session, REASON_CLIENT_PROTOCOL, verdict->code, verdict->sqlstate, "%s",
                     verdict->reason);
}

/* --- a command --- */

static void verdict_malformed(struct verdict *verdict, const struct error *err)
{
    *verdict = (struct verdict){.action = VERDICT_CLOSE, .code = 1835, .sqlstate = "HY000"};
    snprintf(verdict->reason, sizeof verdict->reason, "%.*s", AUTHZ_RULE_TEXT_MAX - 1,
             err->message);
}

/* No values yet of this command, and none of the one before. */
static void begin_values(struct relay *relay)
{
    params_begin(&relay->params, relay->charset);
    params_begin(&relay->attributes, relay->charset);
}

/* What the policy says, and whether the bound values can be read: what cannot be is never sent. */
static void judge(struct session *session, enum command_event event,
                  const struct command_piece *piece, bool decoded, struct verdict *verdict)
{
    struct relay *relay = session->relay;
    struct error err = {0};
    relay_judge(session, event, piece, verdict);
    if (decoded || verdict->action != VERDICT_ALLOW ||
        relay_decode_values(session, event, piece->payload, &err))
        return;
    begin_values(relay);
    verdict_malformed(verdict, &err);
}

/* The intent goes into the log before anything else happens. NULL: the command waits, or the
 * session has ended. */
static struct exchange *record(struct session *session, enum command_event event,
                               const struct command_piece *piece)
{
    struct error err = {0};
    enum audit_answer answer;
    struct exchange *exchange = exchange_take(session->worker);
    if (!exchange) {
        session_fail(session, REASON_INTERNAL, 1105, "HY000", "out of memory");
        return NULL;
    }
    exchange->command = piece->payload.data[0];
    exchange->sequence = piece->last_sequence;
    exchange->started_us = session->relay->started_us;
    exchange->bytes_in = piece->raw.length;
    bool recorded = relay_record(session, event, piece, exchange, &answer, &err);
    if (recorded && answer == AUDIT_READY) {
        session->record_deadline_us = 0;
        return exchange;
    }
    exchange_give(session->worker, exchange);
    if (recorded)
        park(session, event, piece, true, HOLD_AUDIT);
    else
        session_fail(session, REASON_AUDIT, 1290, "HY000", "%s", err.message);
    return NULL;
}

/* Finds the text of a command: behind its byte, and behind the query attributes where there are. */
static bool find_text(const struct session *session, enum command_event event,
                      struct command_piece *piece, struct error *err)
{
    piece->text = byte_view(piece->payload.data + 1, piece->payload.length - 1);
    if (piece->payload.data[0] != COMMAND_QUERY ||
        !(session->capabilities & CAPABILITY_QUERY_ATTRIBUTES) ||
        attributes_text(piece->payload, &piece->text, err))
        return true;
    return event != COMMAND_WHOLE &&
           error_wrap(err, "the query attributes are malformed, or longer than %zu bytes",
                      piece->payload.length);
}

/*
 * A server that has not read the acknowledgements takes them for commands, whose answers would pass
 * for those of other commands here. Real ones end the connection with the stream, so nothing that
 * has an answer comes behind an acknowledgement.
 */
static bool may_follow_acknowledgement(const struct relay *relay, const struct command_piece *piece,
                                       struct error *err)
{
    return !relay->acknowledged || piece->payload.data[0] == COMMAND_QUIT ||
           error_set(err, ERROR_MALFORMED, "a command behind a replica's acknowledgement");
}

static void take_command(struct session *session, enum command_event event,
                         struct command_piece *piece, bool decoded)
{
    struct relay *relay = session->relay;
    struct verdict verdict = {.action = VERDICT_WAIT};
    struct error err = {0};
    if (!decoded)
        begin_values(relay);
    if (!find_text(session, event, piece, &err) || !may_follow_acknowledgement(relay, piece, &err))
        verdict_malformed(&verdict, &err);
    else if (response_expected(relay->tracker) < RESPONSE_FIFO_MAX)
        judge(session, event, piece, decoded, &verdict);
    if (verdict.action == VERDICT_WAIT) {
        park(session, event, piece, false, HOLD_ANSWERS);
        return;
    }
    struct exchange *exchange = record(session, event, piece);
    if (!exchange)
        return;
    params_trim(&relay->params, RELAY_KEEP_PARAMS);
    params_trim(&relay->attributes, RELAY_KEEP_PARAMS);
    if (event == COMMAND_BEGIN) {
        exchange->length = piece->text.length;
        exchange->captured = piece->payload.length;
        digest_begin(&relay->digest);
        digest_add(&relay->digest, piece->text.data, piece->text.length);
    }
    if (verdict.action != VERDICT_ALLOW)
        deny(session, event, &verdict, exchange);
    else if (exchange->command == COMMAND_CHANGE_USER)
        relay_change_user(session, piece->payload, exchange);
    else
        allow(session, event, piece, exchange);
}

/* --- the pieces of a long command --- */

static bool has_scan(const struct exchange *exchange)
{
    return exchange->command == COMMAND_QUERY || exchange->command == COMMAND_STMT_PREPARE;
}

/* Before its last piece a streamed text is judged as a whole: until then the server does nothing.
 */
static bool judge_streamed(struct session *session, struct exchange *exchange,
                           uint8_t last_sequence)
{
    struct relay *relay = session->relay;
    struct verdict verdict = {.action = VERDICT_ALLOW};
    if (!has_scan(exchange))
        return true;
    use_scan_finish(&relay->scan);
    relay_judge_scan(session, &relay->scan, &verdict);
    if (verdict.action == VERDICT_ALLOW)
        return true;
    /* Part of it is at the server already, which waits for the rest: only closing takes it back. */
    exchange->error_code = verdict.code;
    exchange->error_sqlstate = verdict.sqlstate;
    memcpy(exchange->reason, verdict.reason, sizeof exchange->reason);
    relay_finish_denied(session, exchange);
    session->error_sequence = (uint8_t)(last_sequence + 1);
    session_fail(session, REASON_DENIED, verdict.code, verdict.sqlstate, "%s", verdict.reason);
    return false;
}

/* The rest of a long value counts towards its length, although none of it is kept. */
static bool count_long_data(struct session *session, const struct exchange *exchange,
                            struct error *err)
{
    struct byte_view header =
        byte_view(buffer_bytes(&exchange->text), buffer_length(&exchange->text));
    uint32_t id;
    if (!statement_id_read(header, &id, err))
        return false;
    struct statement *statement = statement_find(session->relay->statements, id);
    uint64_t rest = exchange->length + 1 - exchange->captured;
    return !statement || statement_long_data(statement, header, LONG_DATA_HEADER + rest, err);
}

static void end_streamed(struct session *session, struct exchange *exchange, uint8_t sequence)
{
    struct relay *relay = session->relay;
    bool discarded = relay->discarding;
    digest_finish(&relay->digest, exchange->digest);
    exchange->has_digest = true;
    exchange->sequence = sequence;
    relay->streaming = NULL;
    relay->discarding = false;
    if (discarded) {
        relay_finish_denied(session, exchange);
        if (exchange->dropped)
            exchange_give(session->worker, exchange);
        else
            inject(session, exchange);
    } else if (command_kind(exchange->command)->reply == REPLY_NONE) {
        struct error err = {0};
        bool counted = exchange->command != COMMAND_STMT_SEND_LONG_DATA ||
                       count_long_data(session, exchange, &err);
        relay_finish_sent(session, exchange);
        exchange_give(session->worker, exchange);
        if (!counted)
            session_fail(session, REASON_INTERNAL, 1105, "HY000", "%s", err.message);
    }
}

static void take_piece(struct session *session, enum command_event event,
                       const struct command_piece *piece)
{
    struct relay *relay = session->relay;
    struct exchange *exchange = relay->streaming;
    exchange->length += piece->payload.length;
    exchange->bytes_in += piece->raw.length;
    digest_add(&relay->digest, piece->payload.data, piece->payload.length);
    if (!relay->discarding) {
        if (has_scan(exchange) && !relay->scan.done)
            use_scan_feed(&relay->scan, piece->payload.data, piece->payload.length);
        if (event == COMMAND_END && !judge_streamed(session, exchange, piece->last_sequence))
            return;
        if (event == COMMAND_END)
            upstream_end(session->upstream, piece->last_sequence);
        if (!send_upstream(session, piece->raw))
            return;
    }
    if (event == COMMAND_END)
        end_streamed(session, exchange, piece->last_sequence);
}

/* --- the client's bytes --- */

void relay_unpark(struct session *session)
{
    struct relay *relay = session->relay;
    struct parked *parked = &relay->parked;
    if (!parked->full)
        return;
    struct command_piece piece = {
        .payload = byte_view(buffer_bytes(&parked->payload), buffer_length(&parked->payload)),
        .raw = byte_view(buffer_bytes(&parked->raw), buffer_length(&parked->raw)),
        .last_sequence = parked->last_sequence,
    };
    parked->full = false;
    take_command(session, parked->event, &piece, parked->decoded);
    if (session->state >= SESSION_ENDING || relay->parked.full)
        return;
    buffer_trim(&parked->raw, 0);
    buffer_trim(&parked->payload, 0);
    session_release_client(session, HOLD_AUDIT);
    session_release_client(session, HOLD_ANSWERS);
}

static bool take_infile(struct session *session, struct byte_view input, size_t *consumed)
{
    struct relay *relay = session->relay;
    struct error err = {0};
    if (!infile_framer_feed(&relay->infile_framer, input, consumed, &err)) {
        session_fail(session, REASON_CLIENT_PROTOCOL, 1835, "HY000", "%s", err.message);
        return false;
    }
    relay->infile_coming = !relay->infile_framer.done;
    if (relay->infile) {
        relay->infile->bytes_in += *consumed;
        relay->infile->file_bytes = relay->infile_framer.bytes;
        if (relay->infile_framer.done)
            response_infile_sent(relay->tracker,
                                 infile_framer_next_sequence(&relay->infile_framer));
    }
    if (relay->infile_framer.done) {
        relay->infile = NULL;
        session->leg.outgoing = leg_next(&session->leg); /* the answer counts on from the file */
        upstream_end(session->upstream, leg_last(&session->leg));
    }
    return send_upstream(session, byte_view(input.data, *consumed));
}

/* Of semi-synchronous replication: no command, so the dump's record has its bytes and nothing else.
 */
static bool is_acknowledgement(const struct relay *relay, enum command_event event,
                               const struct command_piece *piece)
{
    if (event != COMMAND_WHOLE || !response_streaming(relay->tracker))
        return false;
    const struct exchange *dump = response_tag(relay->tracker);
    return (dump->command == COMMAND_BINLOG_DUMP || dump->command == COMMAND_BINLOG_DUMP_GTID) &&
           replication_is_acknowledgement(piece->payload);
}

static void pass_acknowledgement(struct session *session, const struct command_piece *piece)
{
    struct exchange *dump = response_tag(session->relay->tracker);
    dump->bytes_in += piece->raw.length;
    session->relay->acknowledged = true;
    upstream_begin(session->upstream, UPSTREAM_COMMAND);
    upstream_end(session->upstream, piece->last_sequence);
    (void)send_upstream(session, piece->raw);
}

static bool take_input(struct session *session, struct byte_view input, size_t *consumed)
{
    struct relay *relay = session->relay;
    enum command_event event;
    struct command_piece piece;
    struct error err = {0};
    if (relay->infile_coming)
        return take_infile(session, input, consumed);
    if (!command_framer_feed(&relay->framer, input, consumed, &event, &piece, &err)) {
        session_fail(session, REASON_CLIENT_PROTOCOL, 1835, "HY000", "%s", err.message);
        return false;
    }
    if (leg_compressed(&session->leg))
        piece.last_sequence = leg_last(&session->leg); /* answers count on from the frame */
    if (is_acknowledgement(relay, event, &piece)) {
        pass_acknowledgement(session, &piece);
    } else if (event == COMMAND_WHOLE || event == COMMAND_BEGIN) {
        relay->arrived_us = clock_wall_us();
        relay->started_us = clock_monotonic_us();
        take_command(session, event, &piece, false);
    } else if (event == COMMAND_PIECE || event == COMMAND_END) {
        take_piece(session, event, &piece);
    }
    return session->state < SESSION_ENDING;
}

static bool between_commands(const struct relay *relay)
{
    return !relay->infile_coming && command_framer_idle(&relay->framer);
}

size_t relay_client_data(struct session *session, const uint8_t *data, size_t length)
{
    size_t taken = 0;
    session->last_activity_us = clock_monotonic_us();
    while (taken < length && session->state == SESSION_READY && session->holds == 0) {
        size_t consumed = 0;
        if (!take_input(session, byte_view(data + taken, length - taken), &consumed))
            return length;
        taken += consumed;
    }
    if (session->state == SESSION_READY) /* each command's frames count from 0 */
        session->leg.incoming = between_commands(session->relay) ? 0 : leg_next(&session->leg);
    if (session->drain && session->state == SESSION_READY && relay_idle(session))
        session_drain(session);
    if (session->state == SESSION_CHANGING && session->holds == 0 && taken < length)
        return taken + relay_change_user_data(session, data + taken, length - taken);
    return session->state >= SESSION_ENDING ? length : taken;
}

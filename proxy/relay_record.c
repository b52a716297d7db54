/* SPDX-License-Identifier: Apache-2.0 */
/* The records of commands: the intent before a command is sent, the outcome after its answer. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "protocol/capability.h"
#include "protocol/parameters.h"
#include "protocol/replication.h"
#include "proxy/relay.h"

static const char *event_name(uint8_t command)
{
    switch (command) {
    case COMMAND_QUERY:
        return "query";
    case COMMAND_STMT_PREPARE:
        return "prepare";
    case COMMAND_STMT_EXECUTE:
    case COMMAND_STMT_BULK_EXECUTE:
        return "execute";
    default:
        return "command";
    }
}

/* --- bound values --- */

static void add_value(void *arg, const struct value *value)
{
    struct audit_params *params = arg;
    switch (value->kind) {
    case VALUE_NULL:
        params_null(params);
        break;
    case VALUE_INTEGER:
        params_int(params, value->integer);
        break;
    case VALUE_UNSIGNED:
        params_unsigned(params, value->unsigned_integer);
        break;
    case VALUE_DOUBLE:
        params_double(params, value->number);
        break;
    case VALUE_FLOAT:
        params_float(params, (float)value->number);
        break;
    case VALUE_TEXT:
        params_text(params, value->bytes.data, value->bytes.length, value->full_length);
        break;
    case VALUE_DATETIME:
        params_text(params, value->text, strlen(value->text), strlen(value->text));
        break;
    case VALUE_BYTES:
    case VALUE_LONG_DATA:
        params_bytes(params, value->bytes.data, value->bytes.length, value->full_length);
        break;
    case VALUE_DEFAULT:
        params_default(params);
        break;
    case VALUE_IGNORE:
        params_ignore(params);
        break;
    case VALUE_UNSEEN:
        params_omit(params);
        break;
    }
}

static void add_attribute(void *arg, struct byte_view name, const struct value *value)
{
    struct audit_params *attributes = arg;
    params_name(attributes, name.data, name.length);
    add_value(attributes, value);
}

static struct statement *statement_of(const struct relay *relay, struct byte_view payload)
{
    uint32_t id;
    return statement_id_read(payload, &id, NULL) ? statement_find(relay->statements, id) : NULL;
}

/* File and position, or host and port, and the replica's server id: docs/audit-record.md. */
static bool decode_replication(struct relay *relay, struct byte_view payload, struct error *err)
{
    struct replication_request request;
    struct audit_params *params = &relay->params;
    if (!replication_read(payload, &request, err))
        return false;
    bool registers = payload.data[0] == COMMAND_REGISTER_SLAVE;
    struct byte_view text = registers ? request.host : request.file;
    params_text(params, text.data, text.length, text.length);
    params_unsigned(params, registers ? request.port : request.position);
    params_unsigned(params, request.server_id);
    return true;
}

/* User and schema that are asked for; such names are ASCII or UTF-8 (handshake.h). One that cannot
 * be read is refused later, with the words for that. */
static void decode_change_user(struct session *session, struct byte_view payload)
{
    struct audit_params *params = &session->relay->params;
    struct handshake_login login;
    if (!handshake_change_user_read(payload, session->capabilities, &login, NULL))
        return;
    params_begin(params, NULL);
    params_text(params, login.user, strlen(login.user), strlen(login.user));
    if (login.schema[0] == '\0')
        params_null(params);
    else
        params_text(params, login.schema, strlen(login.schema), strlen(login.schema));
}

bool relay_decode_values(struct session *session, enum command_event event,
                         struct byte_view payload, struct error *err)
{
    struct relay *relay = session->relay;
    uint8_t command = payload.data[0];
    params_begin(&relay->params, relay->charset);
    params_begin(&relay->attributes, relay->charset);
    if (command == COMMAND_PROCESS_KILL && payload.length >= 5) {
        struct byte_reader reader = byte_reader(payload.data + 1, payload.length - 1);
        uint32_t id;
        if (byte_reader_u32le(&reader, &id))
            params_unsigned(&relay->params, id);
    }
    /* Of a command that is still coming only the first part is here: its values are cut then. */
    uint64_t length = event == COMMAND_WHOLE ? payload.length : UINT64_MAX;
    const struct statement *statement = statement_of(relay, payload);
    const struct statement_rows rows = {.value = add_value, .arg = &relay->params};
    const struct attribute_sink attributes = {add_attribute, &relay->attributes};
    uint64_t count;
    if (command == COMMAND_QUERY && session->capabilities & CAPABILITY_QUERY_ATTRIBUTES)
        return attributes_read(payload, &attributes, err);
    if (command == COMMAND_CHANGE_USER && event == COMMAND_WHOLE)
        decode_change_user(session, payload);
    if (replication_is_request(command))
        return decode_replication(relay, payload, err);
    if (command == COMMAND_STMT_EXECUTE)
        return statement_values(statement, payload, length, add_value, &relay->params, err) &&
               statement_attributes(statement, payload, length, &attributes, err);
    if (command != COMMAND_STMT_BULK_EXECUTE)
        return true;
    if (!statement_bulk_values(statement, payload, length, &rows, &count, err))
        return false;
    if (event != COMMAND_WHOLE)
        params_omit_rest(&relay->params);
    return true;
}

/* --- the intent --- */

/* Commands whose payload behind the command byte is a text to record: SQL, or a name. */
static bool has_text(uint8_t command)
{
    switch (command) {
    case COMMAND_QUERY:
    case COMMAND_STMT_PREPARE:
    case COMMAND_INIT_DB:
    case COMMAND_CREATE_DB:
    case COMMAND_DROP_DB:
    case COMMAND_FIELD_LIST:
        return true;
    default:
        return false;
    }
}

static void set_text(struct audit_intent *intent, struct exchange *exchange, struct byte_view text,
                     size_t limit)
{
    intent->statement = text.data;
    intent->statement_length = text.length;
    intent->statement_captured = text.length < limit ? text.length : limit;
    if (intent->statement_captured < text.length) {
        digest_of(text.data, text.length, exchange->digest);
        exchange->has_digest = true;
        intent->statement_sha256 = exchange->digest;
    }
}

static void set_prepared_text(struct audit_intent *intent, const struct statement *statement)
{
    const struct statement_text *text = &statement->text;
    intent->statement = text->bytes;
    intent->statement_captured = text->length;
    intent->statement_length = text->full_length;
    if (text->truncated)
        intent->statement_sha256 = text->sha256;
}

bool relay_record(struct session *session, enum command_event event,
                  const struct command_piece *piece, struct exchange *exchange,
                  enum audit_answer *answer, struct error *err)
{
    struct relay *relay = session->relay;
    uint8_t command = piece->payload.data[0];
    struct audit_intent intent = {
        .event = event_name(command),
        .command = command_kind(command)->name,
        .schema = session->schema,
        .charset = relay->charset,
        .arrived_us = relay->arrived_us,
    };
    const struct statement *statement = statement_of(relay, piece->payload);
    if (has_text(command))
        set_text(&intent, exchange, piece->text, session->snapshot->settings.audit.statement_limit);
    if (has_text(command) && event != COMMAND_WHOLE)
        intent.statement_length = 0; /* not known before its last piece */
    if (statement && command != COMMAND_STMT_SEND_LONG_DATA)
        set_prepared_text(&intent, statement);
    if (relay->params.values > 0 &&
        !params_finish(&relay->params, &intent.params, &intent.params_length, err))
        return false;
    if (relay->attributes.values > 0 &&
        !params_finish(&relay->attributes, &intent.attributes, &intent.attributes_length, err))
        return false;
    return audit_begin(session->worker->lane, &session->prefix, &intent, answer, &exchange->entry,
                       err);
}

/* --- the outcome --- */

static void finish(struct session *session, struct exchange *exchange,
                   const struct audit_outcome *outcome)
{
    if (!exchange->entry)
        return; /* finished already, when it was denied */
    audit_finish(exchange->entry, outcome);
    exchange->entry = NULL;
    struct worker_counters *counters = &session->worker->counters;
    atomic_fetch_add_explicit(&counters->commands, 1, memory_order_relaxed);
}

static struct audit_outcome outcome_of(const struct exchange *exchange, const char *word)
{
    bool text = has_text(exchange->command);
    return (struct audit_outcome){
        .outcome = word,
        .bytes_in = exchange->bytes_in,
        .has_file = exchange->sends_file,
        .file_bytes = exchange->file_bytes,
        .duration_us = clock_monotonic_us() - exchange->started_us,
        .statement_length = text ? exchange->length : 0,
        .statement_sha256 = text && exchange->has_digest ? exchange->digest : NULL,
    };
}

void relay_finish(struct session *session, struct exchange *exchange,
                  const struct response_outcome *response)
{
    struct audit_outcome outcome = outcome_of(exchange, response->failed ? "error" : "ok");
    outcome.has_error = response->failed;
    outcome.error_code = response->code;
    outcome.sqlstate = response->sqlstate;
    outcome.error_message = response->message;
    outcome.has_rows = response->has_rows;
    outcome.rows = response->rows;
    outcome.has_affected_rows = !response->failed && !response->has_rows && response->has_status;
    outcome.affected_rows = response->affected_rows;
    outcome.last_insert_id = response->last_insert_id;
    outcome.has_warnings = response->has_status;
    outcome.warnings = response->warnings;
    outcome.bytes_out = response->bytes;
    finish(session, exchange, &outcome);
}

void relay_finish_denied(struct session *session, struct exchange *exchange)
{
    struct audit_outcome outcome = outcome_of(exchange, "denied");
    outcome.reason = exchange->reason;
    outcome.has_error = exchange->error_code != 0;
    outcome.error_code = exchange->error_code;
    outcome.sqlstate = exchange->error_sqlstate;
    outcome.error_message = exchange->reason;
    atomic_fetch_add_explicit(&session->worker->counters.denied, 1, memory_order_relaxed);
    finish(session, exchange, &outcome);
}

void relay_finish_sent(struct session *session, struct exchange *exchange)
{
    struct audit_outcome outcome = outcome_of(exchange, "ok");
    finish(session, exchange, &outcome);
}

void relay_finish_unknown(struct session *session, struct exchange *exchange)
{
    struct audit_outcome outcome = outcome_of(exchange, "unknown");
    finish(session, exchange, &outcome);
}

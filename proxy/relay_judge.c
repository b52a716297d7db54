/* SPDX-License-Identifier: Apache-2.0 */
/* What a command may do: its kind, the policy, the schemas that its text switches to. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "protocol/capability.h"
#include "proxy/relay.h"

static void refuse(struct verdict *verdict, int action, uint16_t code, const char *sqlstate,
                   const char *reason, ...) PRINTF_LIKE(5, 6);

static void refuse(struct verdict *verdict, int action, uint16_t code, const char *sqlstate,
                   const char *reason, ...)
{
    va_list arguments;
    va_start(arguments, reason);
    verdict->action = (unsigned)action;
    verdict->code = code;
    verdict->sqlstate = sqlstate;
    vsnprintf(verdict->reason, sizeof verdict->reason, reason, arguments);
    va_end(arguments);
}

static void judge_schema(const struct session *session, const char *schema, struct verdict *verdict)
{
    struct authz_decision decision;
    session_decide(session, session->mysql_user, schema, &decision);
    if (!decision.allowed)
        refuse(verdict, VERDICT_DENY, 1044, "42000", "%s", decision.rule);
}

/* COM_INIT_DB, COM_CREATE_DB and COM_DROP_DB name a schema in the rest of their payload. */
static void judge_named_schema(const struct session *session, struct byte_view payload,
                               struct verdict *verdict)
{
    char schema[HANDSHAKE_SCHEMA_MAX];
    size_t length = payload.length - 1;
    if (length >= sizeof schema || memchr(payload.data + 1, '\0', length)) {
        refuse(verdict, VERDICT_DENY, 1102, "42000", "the schema's name is not valid");
        return;
    }
    memcpy(schema, payload.data + 1, length);
    schema[length] = '\0';
    judge_schema(session, schema, verdict);
}

void relay_judge_scan(struct session *session, const struct use_scan *scan, struct verdict *verdict)
{
    if (session->relay->any_schema)
        return;
    if (scan->unclear)
        refuse(verdict, VERDICT_DENY, 1227, "42000",
               "the statement cannot be read for USE, and the role restricts schemas");
    /* Text that the server makes out of data cannot be read; but the server tells of its schema. */
    if (scan->dynamic && !(session->capabilities & CAPABILITY_SESSION_TRACK))
        refuse(
            verdict, VERDICT_DENY, 1227, "42000",
            "PREPARE and EXECUTE need a client with session tracking, because the role restricts "
            "schemas");
    for (size_t i = 0; i < scan->count && verdict->action == VERDICT_ALLOW; i++)
        judge_schema(session, scan->schemas[i], verdict);
}

/* What is certain about how the server will read the text. */
static unsigned scan_flags(const struct session *session, uint8_t command)
{
    const struct relay *relay = session->relay;
    unsigned flags = 0;
    if (!relay->multi_statements || command == COMMAND_STMT_PREPARE)
        flags |= USE_SCAN_ONE_STATEMENT;
    if (relay->has_status && response_expected(relay->tracker) == 0)
        flags |= relay->status & STATUS_NO_BACKSLASH_ESCAPES ? USE_SCAN_NO_BACKSLASH_ESCAPES
                                                             : USE_SCAN_BACKSLASH_ESCAPES;
    return flags;
}

static void judge_text(struct session *session, enum command_event event, struct byte_view payload,
                       struct verdict *verdict)
{
    struct relay *relay = session->relay;
    struct use_scan *scan = &relay->scan;
    scan->count = 0;
    if (relay->any_schema && (session->capabilities & CAPABILITY_SESSION_TRACK))
        return;
    use_scan_init(scan, scan_flags(session, payload.data[0]));
    use_scan_feed(scan, payload.data + 1, payload.length - 1);
    if (event != COMMAND_WHOLE)
        return; /* the rest is scanned piece by piece, and judged before the last one */
    use_scan_finish(scan);
    relay_judge_scan(session, scan, verdict);
}

static bool is_open_statement(const struct session *session, uint32_t id)
{
    return statement_find(session->relay->statements, id) != NULL;
}

/* Commands about a prepared statement; those without an answer are dropped when they name none. */
static void judge_statement(const struct session *session, const struct command_kind *kind,
                            struct byte_view payload, struct verdict *verdict)
{
    uint32_t id;
    struct error err = {0};
    if (!statement_id_read(payload, &id, &err))
        refuse(verdict, VERDICT_CLOSE, 1835, "HY000", "%s", err.message);
    else if (id == STATEMENT_LAST_ID && response_expected(session->relay->tracker) > 0)
        verdict->action = VERDICT_WAIT;
    else if (!is_open_statement(session, id))
        refuse(verdict, kind->reply == REPLY_NONE ? VERDICT_DROP : VERDICT_DENY, 1243, "HY000",
               "there is no prepared statement %u in this session", id);
}

static void judge_feature(const struct session *session, enum authz_feature feature,
                          struct verdict *verdict)
{
    const struct authz_request request = {
        .database = session->database->name,
        .labels = session->database->labels,
        .label_count = session->database->label_count,
        .mysql_user = session->mysql_user,
    };
    struct authz_decision decision;
    authz_decide_feature(&session->roles, &request, feature, &decision);
    if (!decision.allowed)
        refuse(verdict, VERDICT_DENY, 1227, "42000", "%s", decision.rule);
}

static void judge_prepare(struct session *session, enum command_event event,
                          struct byte_view payload, struct verdict *verdict)
{
    if (statement_count(session->relay->statements) >=
        session->snapshot->settings.proxy.limits.statements)
        refuse(verdict, VERDICT_DENY, 1461, "42000",
               "limits.statements of the proxy is reached: close prepared statements");
    else
        judge_text(session, event, payload, verdict);
}

static void judge_kind(struct session *session, enum command_event event, struct byte_view payload,
                       struct verdict *verdict)
{
    const struct command_kind *kind = command_kind(payload.data[0]);
    switch (payload.data[0]) {
    case COMMAND_QUERY:
        judge_text(session, event, payload, verdict);
        break;
    case COMMAND_STMT_PREPARE:
        judge_prepare(session, event, payload, verdict);
        break;
    case COMMAND_INIT_DB:
    case COMMAND_CREATE_DB:
    case COMMAND_DROP_DB:
        judge_named_schema(session, payload, verdict);
        break;
    case COMMAND_STMT_EXECUTE:
    case COMMAND_STMT_BULK_EXECUTE:
    case COMMAND_STMT_SEND_LONG_DATA:
    case COMMAND_STMT_CLOSE:
    case COMMAND_STMT_RESET:
    case COMMAND_STMT_FETCH:
        judge_statement(session, kind, payload, verdict);
        break;
    case COMMAND_CHANGE_USER:
        if (response_expected(session->relay->tracker) > 0)
            verdict->action = VERDICT_WAIT;
        else if (event != COMMAND_WHOLE)
            refuse(verdict, VERDICT_CLOSE, 1835, "HY000", "the change of user is too long");
        break;
    default:
        break;
    }
}

void relay_judge(struct session *session, enum command_event event,
                 const struct command_piece *piece, struct verdict *verdict)
{
    uint8_t command = piece->payload.data[0];
    const struct command_kind *kind = command_kind(command);
    *verdict = (struct verdict){.action = VERDICT_ALLOW};
    session->relay->scan.count = 0;
    if (!kind->known)
        refuse(verdict, VERDICT_CLOSE, 1047, "08S01", "command 0x%02x is unknown", command);
    else if (kind->internal)
        refuse(verdict, VERDICT_DENY, 1047, "08S01", "command %s is for servers alone", kind->name);
    else if (kind->replication)
        judge_feature(session, AUTHZ_REPLICATION, verdict);
    else
        judge_kind(session, event, piece->payload, verdict);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a command may do: its kind, the policy, the schemas that its text switches to. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "protocol/capability.h"
#include "proxy/relay.h"

static void refuse(struct verdict *verdict, enum verdict_action action, uint16_t code,
                   const char *sqlstate, const char *reason, ...) PRINTF_LIKE(5, 6);

static void refuse(struct verdict *verdict, enum verdict_action action, uint16_t code,
                   const char *sqlstate, const char *reason, ...)
{
    va_list arguments;
    va_start(arguments, reason);
    verdict->action = action;
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

static bool is_ascii(struct byte_view text)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.data[i] >= 0x80)
            return false;
    return true;
}

/*
 * COM_INIT_DB, COM_CREATE_DB and COM_DROP_DB name a schema in the rest of their payload. The server
 * converts it from a character set that is not known for certain here, so only ASCII can be judged.
 */
static void judge_named_schema(const struct session *session, struct byte_view payload,
                               struct verdict *verdict)
{
    char schema[HANDSHAKE_SCHEMA_MAX];
    struct byte_view name = byte_view(payload.data + 1, payload.length - 1);
    if (name.length >= sizeof schema || (name.length > 0 && memchr(name.data, 0, name.length))) {
        refuse(verdict, VERDICT_DENY, 1102, "42000", "the schema's name is not valid");
        return;
    }
    if (!session->relay->any_schema && !is_ascii(name)) {
        refuse(
            verdict, VERDICT_DENY, 1044, "42000",
            "the schema's name cannot be judged: it is not ASCII, and the role restricts schemas");
        return;
    }
    memcpy(schema, name.data, name.length);
    schema[name.length] = '\0';
    judge_schema(session, schema, verdict);
}

void relay_judge_scan(struct session *session, const struct use_scan *scan, struct verdict *verdict)
{
    if (session->relay->any_schema)
        return;
    if (scan->unclear)
        refuse(verdict, VERDICT_DENY, 1227, "42000",
               "the statement cannot be read for USE, and the role restricts schemas");
    if (scan->dynamic)
        refuse(verdict, VERDICT_DENY, 1227, "42000",
               "PREPARE and EXECUTE as statements run a text that cannot be judged, and the role "
               "restricts schemas: use the driver's prepared statements");
    for (size_t i = 0; i < scan->count && verdict->action == VERDICT_ALLOW; i++)
        judge_schema(session, scan->schemas[i], verdict);
}

/*
 * Nothing but the number of statements is certain about how the server will read the text: its
 * sql_mode can have changed without a sign, for example inside of a procedure.
 */
static unsigned scan_flags(const struct session *session, uint8_t command)
{
    bool one = !session->relay->multi_statements || command == COMMAND_STMT_PREPARE;
    return one ? USE_SCAN_ONE_STATEMENT : 0;
}

/* A role may have lost the right to local files since the login, when the server was told of it. */
static bool lost_infile(const struct session *session)
{
    return session->capabilities & CAPABILITY_LOCAL_FILES && !session->relay->local_infile;
}

static void refuse_infile(struct verdict *verdict)
{
    refuse(verdict, VERDICT_DENY, 1227, "42000", "no role allows local_infile any more");
}

static void judge_text(struct session *session, enum command_event event,
                       const struct command_piece *piece, struct verdict *verdict)
{
    struct relay *relay = session->relay;
    struct use_scan *scan = &relay->scan;
    bool tracked = session->capabilities & CAPABILITY_SESSION_TRACK;
    if (lost_infile(session) && relay_asks_infile(piece->text))
        refuse_infile(verdict);
    /* Who may use every schema needs no scan, unless to follow the schema, or for a reload in
     * mid-stream. */
    if (relay->any_schema && tracked && event == COMMAND_WHOLE)
        return;
    use_scan_init(scan, scan_flags(session, piece->payload.data[0]));
    use_scan_feed(scan, piece->text.data, piece->text.length);
    if (event != COMMAND_WHOLE)
        return; /* the rest is scanned piece by piece, and judged before the last one */
    use_scan_finish(scan);
    if (verdict->action == VERDICT_ALLOW)
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
    else if (payload.data[0] == COMMAND_STMT_EXECUTE && lost_infile(session) &&
             relay_executes_infile(session->relay, payload))
        refuse_infile(verdict);
}

static void judge_feature(const struct session *session, enum authz_feature feature,
                          struct verdict *verdict)
{
    struct authz_decision decision;
    if (!session_allows(session, session->mysql_user, feature, &decision))
        refuse(verdict, VERDICT_DENY, 1227, "42000", "%s", decision.rule);
}

static void judge_prepare(struct session *session, enum command_event event,
                          const struct command_piece *piece, struct verdict *verdict)
{
    const struct relay *relay = session->relay;
    if (statement_count(relay->statements) + relay->preparing >=
        session->snapshot->settings.proxy.limits.statements)
        refuse(verdict, VERDICT_DENY, 1461, "42000",
               "limits.statements of the proxy is reached: close prepared statements");
    else
        judge_text(session, event, piece, verdict);
}

static void judge_kind(struct session *session, enum command_event event,
                       const struct command_piece *piece, struct verdict *verdict)
{
    const struct byte_view payload = piece->payload;
    const struct command_kind *kind = command_kind(payload.data[0]);
    switch (payload.data[0]) {
    case COMMAND_QUERY:
        judge_text(session, event, piece, verdict);
        break;
    case COMMAND_STMT_PREPARE:
        judge_prepare(session, event, piece, verdict);
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
    case COMMAND_SET_OPTION:
        /* One of two bytes, exactly: servers differ in what they make of anything else. */
        if (payload.length != 3 || payload.data[1] > 1 || payload.data[2] != 0)
            refuse(verdict, VERDICT_CLOSE, 1835, "HY000", "set_option is malformed");
        else if (response_expected(session->relay->tracker) > 0)
            verdict->action = VERDICT_WAIT;
        break;
    case COMMAND_QUIT:
        if (response_expected(session->relay->tracker) > 0)
            verdict->action = VERDICT_WAIT; /* what came before is still answered */
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
        judge_kind(session, event, piece, verdict);
}

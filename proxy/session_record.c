/* SPDX-License-Identifier: Apache-2.0 */
/* The records of a session as a whole. docs/audit-record.md describes them. */
#include "proxy/session_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* "127.0.0.1:51234 uid=1000 pid=4711 /usr/bin/php8.2", as far as the tunnel knew. */
static void format_local(const struct hello_local *local, char *out, size_t size)
{
    int length = snprintf(out, size, "%s", local->address);
    if (local->has_uid && length >= 0 && (size_t)length < size)
        length += snprintf(out + length, size - (size_t)length, " uid=%u", local->uid);
    if (local->has_pid && length >= 0 && (size_t)length < size)
        length += snprintf(out + length, size - (size_t)length, " pid=%u", local->pid);
    if (local->executable[0] && length >= 0 && (size_t)length < size)
        snprintf(out + length, size - (size_t)length, " %s", local->executable);
}

/* Who the client is: the verified certificate's identity, or that of a refused one. */
static const struct identity *peer_identity(const struct session *session)
{
    static const struct identity nobody;
    const struct identity *peer = NULL;
    if (session->client)
        peer = session->identified ? stream_peer(session->client)
                                   : stream_refused_peer(session->client);
    return peer ? peer : &nobody;
}

bool session_render_prefix(struct session *session, struct error *err)
{
    const struct identity *peer = peer_identity(session);
    char local[HELLO_ADDRESS_SIZE + HELLO_PROGRAM_SIZE + 64];
    format_local(&session->local, local, sizeof local);
    const char *roles[AUTHZ_ROLES_MAX];
    for (size_t i = 0; i < session->roles.count; i++)
        roles[i] = authz_role_name(session->roles.roles[i]);
    const struct audit_session facts = {
        .proxy = session->worker->shared->proxy_name,
        .session = session->id,
        .bot = peer->bot,
        .subject = peer->subject,
        .roles = roles,
        .role_count = session->roles.count,
        .cert_serial = peer->serial,
        .client = session->client ? stream_peer_address(session->client) : NULL,
        .local_client = local,
        .database = session->database ? session->database->name : NULL,
        .mysql_user = session->mysql_user,
        .upstream_connection_id = session->connection_id,
    };
    return audit_prefix_render(&session->prefix, &facts, err);
}

void session_wait_for_room(struct session *session)
{
    if (session->record_deadline_us == 0)
        session->record_deadline_us =
            clock_monotonic_us() + session->snapshot->settings.proxy.limits.audit_timeout_ms * 1000;
    if (session->state < SESSION_ENDING)
        session_arm_timer(session);
}

bool session_record_start(struct session *session)
{
    struct error err = {0};
    enum audit_answer answer;
    const struct audit_intent intent = {.event = "session.start", .schema = session->schema};
    const struct audit_outcome outcome = {.outcome = "ok", .duration_us = -1};
    if (!session_render_prefix(session, &err) ||
        !audit_event(session->worker->lane, &session->prefix, &intent, &outcome, &answer, &err)) {
        session_fail(session, REASON_AUDIT, 1290, "HY000", "%s", err.message);
        return false;
    }
    if (answer == AUDIT_WAIT) {
        session_wait_for_room(session);
        return false;
    }
    session->record_deadline_us = 0;
    session->started = true;
    return true;
}

/* Endings that are a refusal, rather than a failure, of a session that had not started. */
static bool is_denial(enum reason reason)
{
    switch (reason) {
    case REASON_CLIENT_TLS:
    case REASON_DENIED:
    case REASON_LIMIT:
    case REASON_POLICY_CHANGED:
    case REASON_LOCKED:
    case REASON_DRAINING:
        return true;
    default:
        return false;
    }
}

static bool is_orderly(enum reason reason)
{
    return reason == REASON_CLIENT_QUIT || reason == REASON_CLIENT_CLOSED;
}

static const char *end_outcome(const struct session *session)
{
    if (!session->started && is_denial(session->reason))
        return "denied";
    return session->started && is_orderly(session->reason) ? "ok" : "error";
}

bool session_record_end(struct session *session)
{
    if (session->reason == REASON_UNUSED)
        return true;
    struct error err = {0};
    enum audit_answer answer;
    const struct audit_intent intent = {
        .event = session->started ? "session.end" : "session.denied",
        .schema = session->schema,
    };
    const struct audit_outcome outcome = {
        .outcome = end_outcome(session),
        .reason = reason_name(session->reason),
        .has_error = session->error_code != 0 || session->why[0],
        .error_code = session->error_code,
        .sqlstate = session->error_sqlstate,
        .error_message = session->why,
        .bytes_in = session->bytes_in,
        .bytes_out = session->bytes_out,
        .duration_us = clock_monotonic_us() - session->started_monotonic_us,
    };
    bool rendered =
        session->started || session->client == NULL || session_render_prefix(session, &err);
    if (!rendered ||
        !audit_event(session->worker->lane, &session->prefix, &intent, &outcome, &answer, &err)) {
        log_error("the end of a session could not be recorded", "error", err.message, NULL);
        return true;
    }
    if (answer == AUDIT_WAIT)
        session_wait_for_room(session);
    return answer == AUDIT_READY;
}

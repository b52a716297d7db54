/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COM_CHANGE_USER where each MySQL user has a certificate of his own (docs/decisions/0808): a
 * connection has shown one user's, and no other account accepts it. So the session takes another:
 *
 *   COM_RESET_CONNECTION on the former one ─► OK: it is closed, the next one dialled
 *   ─► greeting ─► (its user's certificate) ─► login ─► COM_CHANGE_USER on the next one
 *
 * The reset comes first so that locks, transaction and temporary tables are gone when the client
 * goes on, as after a change in place. COM_CHANGE_USER comes last for what a login cannot say (a
 * collation of two bytes), and for its own answer.
 *
 * Whatever fails ends the session.
 */
#include <stdio.h>
#include <string.h>

#include "protocol/capability.h"
#include "proxy/relay.h"

bool relay_needs_connection(const struct session *session)
{
    return !session->database->tls && strcmp(session->login.user, session->mysql_user) != 0;
}

static void fail(struct session *session, enum reason reason, const struct error *err)
{
    session_fail(session, reason, 1159, "08S01", "%s", err->message);
}

void relay_change_account(struct session *session)
{
    static const uint8_t reset[] = {1, 0, 0, 0, COMMAND_RESET_CONNECTION};
    struct relay *relay = session->relay;
    struct error err = {0};
    session_hold_client(session, HOLD_LOGIN);
    relay->change_step = CHANGE_RESETTING;
    upstream_begin(session->upstream, UPSTREAM_COMMAND);
    upstream_end(session->upstream, 0); /* one frame, of this one packet */
    if (!response_expect(relay->tracker, REPLY_LOGIN, RESPONSE_ROWS_TEXT, RESPONSE_SEQUENCE_ANY,
                         relay->changing, &err) ||
        !upstream_write(session->upstream, byte_view(reset, sizeof reset), &err))
        fail(session, REASON_UPSTREAM_CLOSED, &err);
}

/* By the newest snapshot: the session has been judged by it. */
static bool dial(struct session *session, struct error *err)
{
    const struct database *database = snapshot_database(session->snapshot, session->database->name);
    if (!database)
        return error_set(err, ERROR_DENIED, "database %s is no longer configured",
                         session->database->name);
    struct snapshot *former = session->dialled;
    session->dialled = snapshot_ref(session->snapshot);
    session->database = database;
    snapshot_unref(former);
    return upstream_open(&session->worker->upstreams, session->snapshot, database,
                         &session_upstream_events, session, &session->upstream, err);
}

static void change_connection(struct session *session)
{
    struct error err = {0};
    session->relay->change_step = CHANGE_CONNECTING;
    session->relay->vendor = upstream_greeting(session->upstream)->vendor;
    upstream_close(session->upstream, true);
    session->upstream = NULL;
    session_release_client(session, HOLD_BACKLOG); /* the new one has none */
    if (!dial(session, &err))
        fail(session, REASON_UPSTREAM_UNREACHABLE, &err);
}

void relay_change_account_reset(struct session *session)
{
    struct response_tracker *tracker = session->relay->tracker;
    struct byte_view answer = response_packet(tracker);
    bool empty = answer.length == 0;
    if (!empty && answer.data[0] == PACKET_OK) {
        response_login_done(tracker);
        change_connection(session);
    } else if (!empty && answer.data[0] == PACKET_ERR) {
        relay_change_user_refused(session, answer);
    } else {
        session_fail(session, REASON_UPSTREAM_PROTOCOL, 1159, "08S01",
                     "the database answered a reset with neither OK nor ERR");
    }
}

/* What the client was told about its server still holds. */
static bool is_alike(const struct session *session, const struct handshake_greeting *greeting)
{
    uint32_t agreed = session->capabilities & session->offered & CAPABILITY_END_TO_END;
    return greeting->vendor == session->relay->vendor && !(agreed & ~greeting->capabilities) &&
           !(session->mariadb_capabilities & ~greeting->mariadb_capabilities);
}

/* What the session has agreed on since its first login. COM_SET_OPTION may have changed what a text
 * may hold: statements are judged by that. */
static void complete_login(struct session *session)
{
    struct handshake_login *login = &session->login;
    login->mariadb_capabilities = session->mariadb_capabilities;
    login->max_packet = session->max_packet;
    login->zstd_level = session->zstd_level;
    login->capabilities &= ~CAPABILITY_MULTI_STATEMENTS;
    if (session->relay->multi_statements)
        login->capabilities |= CAPABILITY_MULTI_STATEMENTS;
}

bool relay_change_account_allowed(struct session *session)
{
    struct login_verdict verdict;
    if (session_judge_login(session, &session->login, &verdict))
        return true;
    session_fail(session, REASON_POLICY_CHANGED, verdict.code, verdict.sqlstate, "%s",
                 verdict.decision.rule);
    return false;
}

void relay_change_account_greeted(struct session *session,
                                  const struct handshake_greeting *greeting)
{
    if (!is_alike(session, greeting)) {
        session_fail(session, REASON_UPSTREAM_PROTOCOL, 1159, "08S01",
                     "database %s is another server than before, and can less: connect again",
                     session->database->name);
        return;
    }
    if (!relay_change_account_allowed(session))
        return;
    complete_login(session);
    session_login_upstream(session);
}

void relay_change_account_logged_in(struct session *session)
{
    session->relay->change_step = CHANGE_CONNECTED;
    if (session_move(session, SESSION_CHANGING))
        relay_change_user_in_place(session);
}

bool relay_connecting(const struct session *session)
{
    return session->relay && session->relay->changing &&
           session->relay->change_step == CHANGE_CONNECTING;
}

void relay_change_account_failed(struct session *session, struct exchange *exchange)
{
    struct response_outcome outcome = {.failed = true, .code = session->error_code};
    if (session->error_code == 0)
        return; /* nobody was told anything */
    memcpy(outcome.sqlstate, session->error_sqlstate, sizeof outcome.sqlstate);
    (void)snprintf(outcome.message, sizeof outcome.message, "%s", session->why);
    relay_finish(session, exchange, &outcome);
}

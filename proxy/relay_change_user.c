/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COM_CHANGE_USER: a login in mid-session. It is judged as one, the client's authentication is
 * answered by us, and ours is done again with the database; the two legs count their packets apart.
 *
 *   judge ─► (the client's plugin, if it wants more) ─► COM_CHANGE_USER upstream ─► OK or ERR ─►
 * client
 *
 * A user with a certificate of his own takes another connection first (relay_change_account.c).
 *
 * Whatever fails ends the session, as MySQL does. Only where MariaDB refuses does it go on, as the
 * user that it had (sql/sql_parse.cc of 10.11, COM_CHANGE_USER).
 */
#include <string.h>

#include "base/clock.h"
#include "protocol/capability.h"
#include "protocol/collation.h"
#include "proxy/relay.h"

static bool judge(struct session *session)
{
    struct exchange *exchange = session->relay->changing;
    struct login_verdict verdict;
    if (session_judge_login(session, &session->login, &verdict))
        return true;
    exchange->error_code = verdict.code;
    exchange->error_sqlstate = verdict.sqlstate;
    memcpy(exchange->reason, verdict.decision.rule, sizeof exchange->reason);
    relay_finish_denied(session, exchange);
    session_fail(session, REASON_DENIED, verdict.code, verdict.sqlstate, "%s",
                 verdict.decision.rule);
    return false;
}

void relay_change_user_in_place(struct session *session)
{
    struct relay *relay = session->relay;
    struct error err = {0};
    session_hold_client(session, HOLD_LOGIN);
    if (!response_expect(relay->tracker, REPLY_LOGIN, RESPONSE_ROWS_TEXT, RESPONSE_SEQUENCE_ANY,
                         relay->changing, &err) ||
        !upstream_change_user(session->upstream, &session->login, &err))
        session_fail(session, REASON_UPSTREAM_CLOSED, 1159, "08S01", "%s", err.message);
}

static void go_on(struct session *session, enum auth_step step)
{
    struct buffer *wanted = &session->last_auth;
    if (step == AUTH_SEND) {
        if (session_send_payload(session, byte_view(buffer_bytes(wanted), buffer_length(wanted))))
            buffer_clear(wanted);
    } else if (judge(session)) { /* once more: the client may have taken its time */
        if (relay_needs_connection(session))
            relay_change_account(session);
        else
            relay_change_user_in_place(session);
    }
}

void relay_change_user(struct session *session, struct byte_view payload, struct exchange *exchange)
{
    struct error err = {0};
    enum auth_step step;
    session->relay->changing = exchange;
    session->relay->change_step = CHANGE_IN_PLACE;
    session->login_started_us = clock_monotonic_us();
    if (!handshake_change_user_read(payload, session->capabilities, &session->login, &err)) {
        session_fail(session, REASON_CLIENT_PROTOCOL, 1043, "08S01", "%s", err.message);
        return;
    }
    if (!judge(session) || !session_move(session, SESSION_CHANGING))
        return;
    session->client_sequence = (uint8_t)(exchange->sequence + 1);
    session->leg.incoming = session->client_sequence;
    buffer_clear(&session->last_auth);
    if (!auth_server_begin(&session->auth, session->offered_plugin, session->scramble,
                           &session->login, &session->last_auth, &step, &err) ||
        !session_keep_attributes(session, &err))
        session_fail(session, REASON_CLIENT_PROTOCOL, 1043, "08S01", "%s", err.message);
    else
        go_on(session, step);
}

/* With compression the frames are counted, and no server looks at the packets' own ids. */
static uint8_t due_sequence(const struct session *session)
{
    bool framed =
        leg_compressed(&session->leg) && buffer_length(&session->input) >= PACKET_HEADER_SIZE;
    return framed ? buffer_bytes(&session->input)[PACKET_HEADER_SIZE - 1]
                  : session->client_sequence;
}

/* The client's answer to what its plugin was asked. */
size_t relay_change_user_data(struct session *session, const uint8_t *data, size_t length)
{
    struct byte_view payload;
    struct error err = {0};
    enum auth_step step;
    size_t consumed;
    bool found = false;
    if (session->holds & HOLD_LOGIN)
        return 0; /* the stream is paused: bytes that were on their way wait */
    if (!buffer_append(&session->input, data, length, &err) ||
        !packet_take(byte_view(buffer_bytes(&session->input), buffer_length(&session->input)),
                     PACKET_LOGIN_MAX, due_sequence(session), &found, &payload, &consumed, &err)) {
        session_fail(session, REASON_CLIENT_PROTOCOL, 1835, "HY000", "%s", err.message);
        return length;
    }
    if (!found)
        return length;
    session->client_sequence =
        leg_compressed(&session->leg) ? leg_next(&session->leg) : session->client_sequence + 1;
    buffer_clear(&session->last_auth);
    if (!auth_server_feed(&session->auth, payload, &session->last_auth, &step, &err) ||
        consumed != buffer_length(&session->input)) {
        session_fail(session, REASON_CLIENT_PROTOCOL, 1835, "HY000", "%s",
                     err.message[0] ? err.message : "more came than one packet of the login");
        return length;
    }
    buffer_trim(&session->input, 0);
    go_on(session, step);
    return length;
}

void relay_change_user_answer(struct session *session)
{
    struct response_tracker *tracker = session->relay->tracker;
    struct error err = {0};
    bool done;
    if (session->relay->change_step == CHANGE_RESETTING) {
        relay_change_account_reset(session);
        return;
    }
    /* On done, relay_change_user_accepted() or …_refused() was called from inside. */
    if (!upstream_change_user_feed(session->upstream, response_packet(tracker),
                                   response_packet_sequence(tracker), &done, &err))
        session_fail(session, REASON_UPSTREAM_PROTOCOL, 1159, "08S01", "%s", err.message);
}

/* The server has let go of the old user's session, whoever goes on; its character set is its own
 * default then. */
static void forget_state(struct session *session)
{
    statement_clear(session->relay->statements);
    session->relay->charset = NULL;
}

static void take_user(struct session *session)
{
    struct relay *relay = session->relay;
    const struct handshake_login *login = &session->login;
    memcpy(session->mysql_user, login->user, sizeof session->mysql_user);
    memcpy(session->schema, login->schema, sizeof session->schema);
    session->connection_id = upstream_greeting(session->upstream)->connection_id;
    forget_state(session);
    relay->charset = collation_charset(login->collation);
    relay_follow_policy(session);
}

void relay_change_user_accepted(struct session *session, struct byte_view ok)
{
    struct relay *relay = session->relay;
    struct exchange *exchange = relay->changing;
    struct error err = {0};
    response_login_done(relay->tracker);
    relay_finish(session, exchange, response_result(relay->tracker));
    relay->changing = NULL;
    exchange_give(session->worker, exchange);
    take_user(session);
    struct login_verdict verdict;
    if (!session_judge_login(session, &session->login, &verdict)) {
        /* A reload came between the question and the answer. */
        session_fail(session, REASON_POLICY_CHANGED, verdict.code, verdict.sqlstate, "%s",
                     verdict.decision.rule);
        return;
    }
    session->limits = verdict.decision.limits;
    if (!session_render_prefix(session, &err)) {
        session_fail(session, REASON_INTERNAL, 1105, "HY000", "%s", err.message);
        return;
    }
    buffer_trim(&session->attributes, 0);
    if (!session_send_ok(session, ok) || !session_move(session, SESSION_READY))
        return;
    session->leg.incoming = 0;
    session_release_client(session, HOLD_LOGIN);
}

void relay_change_user_refused(struct session *session, struct byte_view payload)
{
    struct relay *relay = session->relay;
    struct exchange *exchange = relay->changing;
    response_login_done(relay->tracker);
    relay_finish(session, exchange, response_result(relay->tracker));
    relay->changing = NULL;
    exchange_give(session->worker, exchange);
    if (!session_send_payload(session, payload))
        return;
    /* On another connection "the user that it had" is the one that was just refused. */
    if (!session->upstream || relay->change_step != CHANGE_IN_PLACE) {
        session_end(session, REASON_UPSTREAM_REFUSED, "the database refused the change of user");
        return;
    }
    forget_state(session);
    buffer_trim(&session->attributes, 0);
    buffer_trim(&session->last_auth, 0);
    if (session_move(session, SESSION_READY))
        session_release_client(session, HOLD_LOGIN);
}

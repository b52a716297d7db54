/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COM_CHANGE_USER: a login in mid-session. It is judged as one, the client's authentication is
 * answered by us, and ours is done again with the database; the two legs count their packets apart.
 *
 *   judge ─► (the client's plugin, if it wants more) ─► COM_CHANGE_USER upstream ─► OK or ERR ─►
 * client
 *
 * Whatever fails ends the session: a server does so too.
 */
#include <string.h>

#include "base/log.h"
#include "protocol/capability.h"
#include "protocol/collation.h"
#include "proxy/relay.h"

static bool judge(struct session *session, struct exchange *exchange)
{
    const struct handshake_login *login = &session->login;
    struct authz_decision decision;
    session_decide(session, login->user, NULL, &decision);
    bool user_allowed = decision.allowed;
    if (user_allowed && login->schema[0])
        session_decide(session, login->user, login->schema, &decision);
    if (decision.allowed) {
        session->limits = decision.limits;
        return true;
    }
    exchange->error_code = user_allowed ? 1044 : 1045;
    exchange->error_sqlstate = user_allowed ? "42000" : "28000";
    memcpy(exchange->reason, decision.rule, sizeof exchange->reason);
    relay_finish_denied(session, exchange);
    session_fail(session, REASON_DENIED, exchange->error_code, exchange->error_sqlstate, "%s",
                 decision.rule);
    return false;
}

static void change_upstream(struct session *session)
{
    struct relay *relay = session->relay;
    struct error err = {0};
    session_hold_client(session, HOLD_LOGIN);
    if (!response_expect(relay->tracker, REPLY_LOGIN, false, RESPONSE_SEQUENCE_ANY, relay->changing,
                         &err) ||
        !upstream_change_user(session->upstream, &session->login, &err))
        session_fail(session, REASON_UPSTREAM_CLOSED, 1159, "08S01", "%s", err.message);
}

/* Sends a payload of the client's authentication in its turn. */
static bool send_payload(struct session *session, struct byte_view payload)
{
    struct buffer packet;
    struct error err = {0};
    buffer_init(&packet, PACKET_LOGIN_MAX + PACKET_HEADER_SIZE);
    bool sent =
        packet_append(&packet, session->client_sequence++, payload.data, payload.length, &err) &&
        session_write_buffer(session, &packet);
    buffer_release(&packet);
    return sent;
}

static void go_on(struct session *session, enum auth_step step)
{
    struct buffer *wanted = &session->last_auth;
    if (step == AUTH_ACCEPTED)
        change_upstream(session);
    else if (step == AUTH_SEND &&
             send_payload(session, byte_view(buffer_bytes(wanted), buffer_length(wanted))))
        buffer_clear(wanted);
}

static bool keep_attributes(struct session *session, struct error *err)
{
    struct handshake_login *login = &session->login;
    buffer_clear(&session->attributes);
    if (!buffer_append(&session->attributes, login->attributes.data, login->attributes.length, err))
        return false;
    login->attributes =
        byte_view(buffer_bytes(&session->attributes), buffer_length(&session->attributes));
    login->auth_response = byte_view(NULL, 0);
    return true;
}

void relay_change_user(struct session *session, struct byte_view payload, struct exchange *exchange)
{
    struct error err = {0};
    enum auth_step step;
    session->relay->changing = exchange;
    if (!handshake_change_user_read(payload, session->offered, &session->login, &err)) {
        session_fail(session, REASON_CLIENT_PROTOCOL, 1043, "08S01", "%s", err.message);
        return;
    }
    if (!judge(session, exchange) || !session_move(session, SESSION_CHANGING))
        return;
    session->client_sequence = (uint8_t)(exchange->sequence + 1);
    buffer_clear(&session->last_auth);
    if (!auth_server_begin(&session->auth, session->offered_plugin, session->scramble,
                           &session->login, &session->last_auth, &step, &err) ||
        !keep_attributes(session, &err))
        session_fail(session, REASON_CLIENT_PROTOCOL, 1043, "08S01", "%s", err.message);
    else
        go_on(session, step);
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
                     PACKET_LOGIN_MAX, session->client_sequence, &found, &payload, &consumed,
                     &err)) {
        session_fail(session, REASON_CLIENT_PROTOCOL, 1835, "HY000", "%s", err.message);
        return length;
    }
    if (!found)
        return length;
    session->client_sequence++;
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
    /* On done, relay_change_user_accepted() or …_refused() was called from inside. */
    if (!upstream_change_user_feed(session->upstream, response_packet(tracker),
                                   response_packet_sequence(tracker), &done, &err))
        session_fail(session, REASON_UPSTREAM_PROTOCOL, 1159, "08S01", "%s", err.message);
}

static void take_user(struct session *session)
{
    struct relay *relay = session->relay;
    const struct handshake_login *login = &session->login;
    memcpy(session->mysql_user, login->user, sizeof session->mysql_user);
    memcpy(session->schema, login->schema, sizeof session->schema);
    relay->charset = collation_charset(login->collation);
    statement_clear(relay->statements);
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
    if (!session_render_prefix(session, &err)) {
        session_fail(session, REASON_INTERNAL, 1105, "HY000", "%s", err.message);
        return;
    }
    if (buffer_length(&session->last_auth) > 0 &&
        !send_payload(session, byte_view(buffer_bytes(&session->last_auth),
                                         buffer_length(&session->last_auth))))
        return;
    buffer_trim(&session->last_auth, 0);
    buffer_trim(&session->attributes, 0);
    if (send_payload(session, ok) && session_move(session, SESSION_READY))
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
    if (send_payload(session, payload))
        session_end(session, REASON_UPSTREAM_REFUSED, "the database refused the change of user");
}

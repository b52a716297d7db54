/* SPDX-License-Identifier: Apache-2.0 */
/* From the first byte to the command phase: hello, greeting, STARTTLS, login on both legs. */
#include "proxy/session_internal.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "protocol/packet.h"
#include "proxy/announce.h"
#include "proxy/authority_link.h"
#include "proxy/relay.h"
#include "tls/auth_crypto.h"

static const struct listener_settings *listener_of(const struct session *session)
{
    return &session->snapshot->settings.proxy.listeners[session->listener];
}

/* Goes over to a state whose next event is the client's. A move that is refused ends the session.
 */
static void wait_for(struct session *session, enum session_state state)
{
    if (!session_move(session, state))
        session_end(session, REASON_INTERNAL, "an undeclared move to %s",
                    session_state_name(state));
}

/* --- the certificate and the hello --- */

/* The policy is asked as soon as the database is known: nobody without a role makes us dial. */
static void admit(struct session *session, const char *database)
{
    struct error err = {0};
    struct authz_decision decision = {0};
    session->database = snapshot_database(session->snapshot, database);
    if (!session_check_certificate(session, &err) || !session_map_roles(session, &err) ||
        !session_check_locks(session, &err)) {
        session_fail(session, REASON_DENIED, 1045, "28000", "%s", err.message);
        return;
    }
    if (session->database)
        session_decide(session, NULL, NULL, &decision);
    /* A database that does not exist and one that is not allowed look alike from outside. */
    if (!decision.allowed) {
        session_fail(session, REASON_DENIED, 1045, "28000",
                     "no role allows database %s; ask who runs the proxy for a role, or check the "
                     "name in the tunnel's configuration",
                     database);
        return;
    }
    session_dial(session);
}

void session_dial(struct session *session)
{
    struct error err = {0};
    if (session->worker->draining) {
        session_fail(session, REASON_DRAINING, 1053, "08S01",
                     "the proxy is stopping: connect again");
        return;
    }
    if (session->state != SESSION_DIALLING && !session_move(session, SESSION_DIALLING))
        return;
    session->dialled = snapshot_ref(session->snapshot);
    session->busy = true;
    worker_set_busy(session->worker, true);
    session_hold_client(session, HOLD_LOGIN);
    if (!upstream_open(&session->worker->upstreams, session->snapshot, session->database,
                       &session_upstream_events, session, &session->upstream, &err))
        session_fail(session, REASON_UPSTREAM_UNREACHABLE, 1159, "08S01", "%s", err.message);
}

/* Without a hello, the listener says which database is meant. */
static void admit_without_hello(struct session *session)
{
    const char *database = listener_of(session)->database;
    if (!session_move(session, SESSION_HELLO))
        return;
    if (database)
        admit(session, database);
    else
        session_fail(session, REASON_DENIED, 1045, "28000",
                     "no database was named: use `sallyport tunnel`, or a listener with "
                     "\"database\"");
}

/* A tunnel that has something to say beside MySQL: its stream goes on without this session. */
static void hand_over(struct session *session)
{
    struct error err = {0};
    if (session->worker->draining || !announce_adopt(session->worker, session->client, &err)) {
        session_end(session, REASON_UNUSED, "%s", err.message);
        return;
    }
    session->client = NULL;
    session->identified = false;
    session->open_handles--;
    session_end(session, REASON_UNUSED, "the control protocol was spoken");
}

void session_client_secured(struct session *session)
{
    session->identified = true;
    log_debug("client secured", "bot", session_bot(session), "cipher",
              stream_cipher(session->client), "alpn", stream_alpn(session->client), NULL);
    if (session->state == SESSION_STARTTLS) {
        struct error err = {0};
        if (!session_map_roles(session, &err))
            session->roles.count = 0; /* the login says so, where an ERR packet can stand */
        if (session_move(session, SESSION_LOGIN))
            return;
    }
    const char *alpn = stream_alpn(session->client);
    if (alpn && strcmp(alpn, TLS_ALPN_CONTROL) == 0)
        hand_over(session);
    else if (alpn && strcmp(alpn, TLS_ALPN_MYSQL) == 0)
        wait_for(session, SESSION_HELLO);
    else
        admit_without_hello(session);
}

static void take_hello(struct session *session)
{
    struct hello hello;
    struct error err = {0};
    size_t consumed = 0;
    switch (hello_read(byte_view(buffer_bytes(&session->input), buffer_length(&session->input)),
                       &hello, &consumed, &err)) {
    case HELLO_NEED_MORE:
        return;
    case HELLO_MALFORMED:
        session_fail(session, REASON_CLIENT_PROTOCOL, 1835, "HY000", "%s", err.message);
        return;
    case HELLO_COMPLETE:
        break;
    }
    buffer_consume(&session->input, consumed);
    session->local = hello.local;
    session->has_family = hello.has_family;
    memcpy(session->family, hello.family, sizeof session->family);
    /* A ready connection counts from the moment that it is used. */
    session->started_us = clock_wall_us();
    session->started_monotonic_us = clock_monotonic_us();
    session->login_started_us = session->started_monotonic_us;
    if (buffer_length(&session->input) > 0)
        session_fail(session, REASON_CLIENT_PROTOCOL, 1835, "HY000",
                     "bytes came before the server's greeting");
    else
        admit(session, hello.database);
}

/* --- the greeting --- */

static void random_scramble(uint8_t scramble[HANDSHAKE_SCRAMBLE_SIZE])
{
    auth_crypto()->random(scramble, HANDSHAKE_SCRAMBLE_SIZE);
    for (size_t i = 0; i < HANDSHAKE_SCRAMBLE_SIZE; i++)
        scramble[i] = (uint8_t)(33 + scramble[i] % 90); /* printable: no NUL, as servers do */
}

static void greet_client(struct session *session, const struct handshake_greeting *upstream)
{
    struct handshake_greeting greeting;
    uint8_t storage[1024];
    struct buffer packet;
    struct error err = {0};
    random_scramble(session->scramble);
    handshake_greeting_for_client(upstream, listener_of(session)->starttls, session->scramble,
                                  &greeting);
    session->connection_id = upstream->connection_id;
    session->offered = greeting.capabilities;
    session->offered_mariadb = greeting.mariadb_capabilities;
    memcpy(session->offered_plugin, greeting.plugin, sizeof session->offered_plugin);
    session->client_sequence = 1;
    buffer_init_fixed(&packet, storage, sizeof storage);
    if (!handshake_greeting_append(&packet, &greeting, &err))
        session_fail(session, REASON_INTERNAL, 1105, "HY000", "%s", err.message);
    else if (session_move(session, SESSION_LOGIN) && session_write_buffer(session, &packet))
        session_release_client(session, HOLD_LOGIN);
}

static void on_greeted(void *owner, const struct handshake_greeting *upstream)
{
    struct session *session = owner;
    const char *previous = log_enter(session->id);
    if (session->state == SESSION_CHANGING)
        relay_change_account_greeted(session, upstream);
    else
        greet_client(session, upstream);
    log_leave(previous);
}

/* --- the client's login --- */

bool session_send_payload(struct session *session, struct byte_view payload)
{
    struct buffer packet;
    struct error err = {0};
    buffer_init(&packet, PACKET_LOGIN_MAX + PACKET_HEADER_SIZE);
    bool made =
        packet_append(&packet, session->client_sequence++, payload.data, payload.length, &err);
    if (!made)
        session_fail(session, REASON_INTERNAL, 1105, "HY000", "%s", err.message);
    session->leg.outgoing =
        (uint8_t)session->leg.incoming; /* frames go to and fro, as packets do */
    bool sent = made && session_write_buffer(session, &packet);
    session->leg.incoming = session->leg.outgoing;
    buffer_release(&packet);
    return sent;
}

static struct byte_view view_of(const struct buffer *buffer)
{
    return byte_view(buffer_bytes(buffer), buffer_length(buffer));
}

/* What the client's plugin wants next; true when the client has done its part. */
static bool auth_step_done(struct session *session, enum auth_step step)
{
    if (step == AUTH_ACCEPTED)
        return true;
    if (step == AUTH_SEND && session_send_payload(session, view_of(&session->last_auth)))
        buffer_clear(&session->last_auth);
    return false;
}

/* The authority learns that a renewed certificate has reached its bot. */
static void tell_authority(const struct session *session)
{
    struct authority_link *link = session->worker->shared->link;
    if (link && session->of_authority)
        authority_link_seen(link, stream_peer(session->client)->serial);
}

/* Counts the session for its bot. */
static bool count_login(struct session *session)
{
    struct error err = {0};
    const struct registry_who who = session_who(session);
    if (registry_login(session->worker->shared->registry, &who, session->limits.sessions, &err)) {
        session->pending = false;
        session->logged_in = true;
        tell_authority(session);
        return true;
    }
    session_fail(session, REASON_LIMIT, 1040, "08004", "%s", err.message);
    return false;
}

static bool judge_login(struct session *session)
{
    const struct handshake_login *login = &session->login;
    struct login_verdict verdict;
    struct error err = {0};
    if (!session->identified) {
        session_fail(session, REASON_DENIED, 1045, "28000",
                     "TLS with a client certificate is required: set ssl-cert and ssl-key");
        return false;
    }
    if (!session_map_roles(session, &err)) {
        session_fail(session, REASON_DENIED, 1045, "28000", "%s", err.message);
        return false;
    }
    memcpy(session->mysql_user, login->user, sizeof session->mysql_user);
    memcpy(session->schema, login->schema, sizeof session->schema);
    if (!session_judge_login(session, login, &verdict)) {
        session_fail(session, REASON_DENIED, verdict.code, verdict.sqlstate, "%s",
                     verdict.decision.rule);
        return false;
    }
    session->limits = verdict.decision.limits;
    return count_login(session);
}

bool session_keep_attributes(struct session *session, struct error *err)
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

/* Local files reach the server's permission only where a role allows them. */
static void settle_capabilities(struct session *session)
{
    struct handshake_login *login = &session->login;
    struct authz_decision decision;
    if (!session_allows(session, session->mysql_user, AUTHZ_LOCAL_INFILE, &decision))
        login->capabilities &= ~CAPABILITY_LOCAL_FILES;
    session->capabilities = login->capabilities;
    session->mariadb_capabilities = login->mariadb_capabilities;
    session->max_packet = login->max_packet;
    session->zstd_level = login->zstd_level;
}

static void take_login(struct session *session, struct byte_view payload)
{
    struct error err = {0};
    enum auth_step step;
    if (!handshake_login_read(payload, session->offered, &session->login, &err)) {
        session_fail(session, REASON_CLIENT_PROTOCOL, 1043, "08S01", "%s", err.message);
        return;
    }
    session->login.mariadb_capabilities &= session->offered_mariadb;
    if (session->login.is_ssl_request) {
        if (session->identified)
            session_fail(session, REASON_CLIENT_PROTOCOL, 1043, "08S01", "TLS was asked for twice");
        else if (session_move(session, SESSION_STARTTLS) &&
                 !stream_start_tls(session->client, session->snapshot->server_tls, NULL, &err))
            session_end(session, REASON_CLIENT_TLS, "%s", err.message);
        return;
    }
    if (!judge_login(session))
        return;
    settle_capabilities(session);
    if (!auth_server_begin(&session->auth, session->offered_plugin, session->scramble,
                           &session->login, &session->last_auth, &step, &err) ||
        !session_keep_attributes(session, &err))
        session_fail(session, REASON_CLIENT_PROTOCOL, 1043, "08S01", "%s", err.message);
    else if (auth_step_done(session, step))
        session_login_upstream(session);
    else if (session->state == SESSION_LOGIN)
        wait_for(session, SESSION_AUTH);
}

static void take_auth(struct session *session, struct byte_view payload)
{
    struct error err = {0};
    enum auth_step step;
    buffer_clear(&session->last_auth);
    if (!auth_server_feed(&session->auth, payload, &session->last_auth, &step, &err))
        session_fail(session, REASON_CLIENT_PROTOCOL, 1043, "08S01", "%s", err.message);
    else if (auth_step_done(session, step))
        session_login_upstream(session);
}

static void take_packet(struct session *session, struct byte_view payload)
{
    if (session->state == SESSION_LOGIN)
        take_login(session, payload);
    else
        take_auth(session, payload);
}

/* One packet at a time: a client has its turn only once before an answer. */
static size_t take_packets(struct session *session, size_t before, size_t length)
{
    struct byte_view payload;
    struct error err = {0};
    size_t consumed = 0;
    bool found = false;
    if (!packet_take(byte_view(buffer_bytes(&session->input), buffer_length(&session->input)),
                     PACKET_LOGIN_MAX, session->client_sequence, &found, &payload, &consumed,
                     &err)) {
        session_fail(session, REASON_CLIENT_PROTOCOL, 1835, "HY000", "%s", err.message);
        return length;
    }
    if (!found)
        return length;
    bool more = buffer_length(&session->input) > consumed;
    session->client_sequence++;
    take_packet(session, payload);
    buffer_trim(&session->input, 0);
    if (session->state == SESSION_STARTTLS)
        return consumed - before; /* what follows is the client's first TLS record */
    if (more)
        session_fail(session, REASON_CLIENT_PROTOCOL, 1835, "HY000",
                     "more came than one packet of the login");
    return length;
}

size_t session_login_data(struct session *session, const uint8_t *data, size_t length)
{
    struct error err = {0};
    size_t before = buffer_length(&session->input);
    if (session->state != SESSION_HELLO && session->state != SESSION_LOGIN &&
        session->state != SESSION_AUTH) {
        session_fail(session, REASON_CLIENT_PROTOCOL, 1835, "HY000",
                     "bytes came before the answer to the login");
        return length;
    }
    if (!buffer_append(&session->input, data, length, &err)) {
        session_fail(session, REASON_CLIENT_PROTOCOL, 1835, "HY000", "%s", err.message);
        return length;
    }
    if (session->state != SESSION_HELLO)
        return take_packets(session, before, length);
    take_hello(session);
    return length;
}

/* --- the database's answer --- */

/* The OK packet goes to the client with the sequence id of its own leg. */
bool session_send_ok(struct session *session, struct byte_view ok)
{
    if (buffer_length(&session->last_auth) > 0 &&
        !session_send_payload(session, view_of(&session->last_auth)))
        return false;
    buffer_trim(&session->last_auth, 0);
    return session_send_payload(session, ok);
}

/* Right behind the login's OK, as on the database's leg. */
static bool begin_compression(struct session *session)
{
    struct error err = {0};
    session->leg.incoming = 0;
    if (leg_compress(&session->leg, &session->worker->legs,
                     compression_method_of(session->capabilities), session->login.zstd_level, &err))
        return true;
    session_end(session, REASON_INTERNAL, "%s", err.message);
    return false;
}

/* STARTING -> READY, once session.start is in the log. */
void session_start_relay(struct session *session)
{
    struct error err = {0};
    if (!session_record_start(session))
        return;
    if (!relay_create(session, &err)) {
        session_fail(session, REASON_INTERNAL, 1105, "HY000", "%s", err.message);
        return;
    }
    struct byte_view ok = byte_view(buffer_bytes(&session->input), buffer_length(&session->input));
    if (!session_send_ok(session, ok) || !begin_compression(session) ||
        !session_move(session, SESSION_READY))
        return;
    buffer_trim(&session->input, 0);
    buffer_trim(&session->attributes, 0);
    atomic_fetch_add_explicit(&session->worker->counters.logged_in, 1, memory_order_relaxed);
    log_info("session started", "bot", session_bot(session), "database", session->database->name,
             "user", session->mysql_user, "from", stream_peer_address(session->client), NULL);
    session_release_client(session, HOLD_LOGIN);
    if (session->drain)
        session_drain(session);
}

static void on_accepted(void *owner, struct byte_view ok)
{
    struct session *session = owner;
    struct error err = {0};
    const char *previous = log_enter(session->id);
    session->last_activity_us = clock_monotonic_us();
    if (session->state == SESSION_CHANGING) {
        relay_change_user_accepted(session, ok);
    } else if (session->relay) {
        relay_change_account_logged_in(session);
    } else if (session_move(session, SESSION_STARTING)) {
        /* The OK waits in the input buffer, which nothing else uses until the client may go on. */
        if (buffer_append(&session->input, ok.data, ok.length, &err))
            session_start_relay(session);
        else
            session_fail(session, REASON_INTERNAL, 1105, "HY000", "%s", err.message);
    }
    log_leave(previous);
}

/* What stands in a greeting's place has no SQLSTATE, which a client that has logged in expects. */
static bool send_err(struct session *session, struct byte_view payload,
                     const struct packet_err *refusal)
{
    enum { STATE_AT = 3 };
    bool has_state = payload.length > STATE_AT && payload.data[STATE_AT] == '#';
    if (!session->relay || has_state)
        return session_send_payload(session, payload);
    struct buffer whole;
    buffer_init(&whole, PACKET_LOGIN_MAX);
    bool sent = buffer_append(&whole, payload.data, STATE_AT, NULL) &&
                buffer_append(&whole, "#", 1, NULL) &&
                buffer_append(&whole, refusal->sqlstate, strlen(refusal->sqlstate), NULL) &&
                buffer_append(&whole, refusal->message.data, refusal->message.length, NULL);
    if (!sent)
        session_end(session, REASON_INTERNAL, "no memory for the database's refusal");
    sent = sent && session_send_payload(session, view_of(&whole));
    buffer_release(&whole);
    return sent;
}

/* The database's own ERR goes to the client as it is: it says more than we could. */
static void pass_refusal(struct session *session, struct byte_view payload)
{
    struct packet_err refusal = {0};
    struct error err = {0};
    if (session->state == SESSION_DIALLING)
        session->client_sequence = 0; /* it comes in the greeting's place */
    if (!packet_err_read(payload, &refusal, &err)) {
        session_fail(session, REASON_UPSTREAM_PROTOCOL, 1159, "08S01", "%s", err.message);
        return;
    }
    if (send_err(session, payload, &refusal)) {
        session->error_code = refusal.code;
        memcpy(session->error_sqlstate, refusal.sqlstate, sizeof session->error_sqlstate);
        session_end(session, REASON_UPSTREAM_REFUSED, "database %s refused: %.*s",
                    session->database->name, (int)refusal.message.length,
                    (const char *)refusal.message.data);
    }
}

static void on_refused(void *owner, struct byte_view payload)
{
    struct session *session = owner;
    const char *previous = log_enter(session->id);
    if (!upstream_ready(session->upstream))
        session->upstream = NULL;
    if (session->state == SESSION_CHANGING && !relay_connecting(session))
        relay_change_user_refused(session, payload);
    else
        pass_refusal(session, payload);
    log_leave(previous);
}

static size_t on_upstream_data(void *owner, const uint8_t *data, size_t length)
{
    struct session *session = owner;
    const char *previous = log_enter(session->id);
    size_t taken = relay_upstream_data(session, data, length);
    log_leave(previous);
    return taken;
}

static void on_upstream_drained(void *owner)
{
    session_release_client(owner, HOLD_BACKLOG);
}

static enum reason fault_reason(enum upstream_fault fault, const struct error *err)
{
    if (err->code == ERROR_TIMEOUT)
        return REASON_UPSTREAM_TIMEOUT;
    switch (fault) {
    case UPSTREAM_UNREACHABLE:
        return REASON_UPSTREAM_UNREACHABLE;
    case UPSTREAM_TLS:
        return REASON_UPSTREAM_TLS;
    case UPSTREAM_PROTOCOL:
        return REASON_UPSTREAM_PROTOCOL;
    case UPSTREAM_LOST:
        break;
    }
    return REASON_UPSTREAM_CLOSED;
}

static void on_lost(void *owner, enum upstream_fault fault, const struct error *err)
{
    struct session *session = owner;
    const char *previous = log_enter(session->id);
    session->upstream = NULL;
    /* Whoever has nothing to wait for finds the connection closed, as directly: drivers and their
     * pools know that for a lost connection, and not an error that answers their next command. */
    if (session->state == SESSION_READY && relay_idle(session))
        session_end(session, fault_reason(fault, err), "%s", err->message);
    else
        session_fail(session, fault_reason(fault, err), 1159, "08S01", "%s", err->message);
    log_leave(previous);
}

const struct upstream_events session_upstream_events = {
    .greeted = on_greeted,
    .accepted = on_accepted,
    .refused = on_refused,
    .data = on_upstream_data,
    .drained = on_upstream_drained,
    .lost = on_lost,
};

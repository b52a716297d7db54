/* SPDX-License-Identifier: Apache-2.0 */
/* The session's life: accept, states, holds, timers, the one way out. */
#include "proxy/session_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "protocol/packet.h"
#include "proxy/relay.h"

static const char *const state_names[SESSION_STATE_COUNT] = {
    [SESSION_CLIENT_TLS] = "client_tls", [SESSION_HELLO] = "hello",
    [SESSION_DIALLING] = "dialling",     [SESSION_LOGIN] = "login",
    [SESSION_STARTTLS] = "starttls",     [SESSION_AUTH] = "auth",
    [SESSION_MINTING] = "minting",       [SESSION_UPSTREAM_LOGIN] = "upstream_login",
    [SESSION_STARTING] = "starting",     [SESSION_READY] = "ready",
    [SESSION_CHANGING] = "changing",     [SESSION_ENDING] = "ending",
    [SESSION_CLOSED] = "closed",
};

#define TO(state) (1u << SESSION_##state)
static const unsigned state_moves[SESSION_STATE_COUNT] = {
    [SESSION_CLIENT_TLS] = TO(HELLO) | TO(DIALLING) | TO(ENDING),
    [SESSION_HELLO] = TO(DIALLING) | TO(ENDING),
    [SESSION_DIALLING] = TO(LOGIN) | TO(ENDING),
    [SESSION_LOGIN] = TO(STARTTLS) | TO(AUTH) | TO(MINTING) | TO(UPSTREAM_LOGIN) | TO(ENDING),
    [SESSION_STARTTLS] = TO(LOGIN) | TO(ENDING),
    [SESSION_AUTH] = TO(MINTING) | TO(UPSTREAM_LOGIN) | TO(ENDING),
    [SESSION_MINTING] = TO(UPSTREAM_LOGIN) | TO(ENDING),
    [SESSION_UPSTREAM_LOGIN] = TO(STARTING) | TO(CHANGING) | TO(ENDING),
    [SESSION_STARTING] = TO(READY) | TO(ENDING),
    [SESSION_READY] = TO(CHANGING) | TO(ENDING),
    [SESSION_CHANGING] = TO(MINTING) | TO(UPSTREAM_LOGIN) | TO(READY) | TO(ENDING),
    [SESSION_ENDING] = TO(CLOSED),
    [SESSION_CLOSED] = 0,
};

const char *session_state_name(enum session_state state)
{
    return (unsigned)state < SESSION_STATE_COUNT ? state_names[state] : "unknown";
}

bool session_move(struct session *session, enum session_state to)
{
    if (!(state_moves[session->state] & (1u << to))) {
        log_error("a session refused an undeclared move", "from", state_names[session->state], "to",
                  state_names[to], NULL);
        return false;
    }
    log_debug("session state", "from", state_names[session->state], "to", state_names[to], NULL);
    session->state = to;
    session_arm_timer(session);
    return true;
}

const char *session_bot(const struct session *session)
{
    return session->identified ? stream_peer(session->client)->bot : "unknown";
}

struct session *session_next(const struct session *session)
{
    return session->next;
}

void session_hold_client(struct session *session, enum session_hold why)
{
    session->holds |= why;
    if (session->client)
        stream_pause(session->client);
}

void session_release_client(struct session *session, enum session_hold why)
{
    session->holds &= ~(unsigned)why;
    if (session->holds == 0 && session->client && session->state < SESSION_ENDING) {
        session->last_activity_us = clock_monotonic_us(); /* its silence counts from now */
        stream_resume(session->client);
    }
}

/* A connection that nobody has used yet, such as those that tunnels keep ready, goes without a
 * word. */
static bool is_unused(const struct session *session)
{
    return session->state == SESSION_CLIENT_TLS ||
           (session->state == SESSION_HELLO && buffer_length(&session->input) == 0);
}

/* --- the end --- */

static void session_free(struct session *session)
{
    if (session->busy)
        worker_set_busy(session->worker, false);
    registry_leave(session->worker->shared->registry, session->pending);
    worker_remove_session(session->worker, session);
    leg_release(&session->leg);
    buffer_release(&session->input);
    buffer_release(&session->attributes);
    buffer_release(&session->last_auth);
    proof_unref(session->proof);
    audit_prefix_release(&session->prefix);
    snapshot_unref(session->dialled);
    snapshot_unref(session->snapshot);
    free(session);
}

/* Frees once nothing points here any more: handles closed, the end recorded. */
static void session_try_free(struct session *session)
{
    if (session->state == SESSION_ENDING && session->open_handles == 0 && session->ended_recorded &&
        session_move(session, SESSION_CLOSED))
        session_free(session);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct session *session = handle->data;
    session->open_handles--;
    session_try_free(session);
}

static void close_timer(struct session *session)
{
    if (!uv_is_closing((uv_handle_t *)&session->timer))
        uv_close((uv_handle_t *)&session->timer, on_timer_closed);
}

/* A bot may come again as soon as a session has ended; the process has room again when its memory
 * has gone. */
static void log_out(struct session *session)
{
    const struct registry_who who = session_who(session);
    if (session->logged_in)
        registry_logout(session->worker->shared->registry, &who);
    session->logged_in = false;
}

static void log_end(const struct session *session)
{
    char milliseconds[24];
    snprintf(milliseconds, sizeof milliseconds, "%lld",
             (long long)(clock_monotonic_us() - session->started_monotonic_us) / 1000);
    enum log_level level = session->reason == REASON_UNUSED ? LOG_DEBUG : LOG_INFO;
    if (log_enabled(level))
        log_write(level, session->started ? "session ended" : "session ended before it started",
                  "bot", session_bot(session), "reason", reason_name(session->reason), "why",
                  session->why[0] ? session->why : NULL, "ms", milliseconds, NULL);
}

/* Every end comes through here, once. */
static void end(struct session *session, enum reason reason, unsigned linger_ms)
{
    session->reason = reason;
    if (!session_move(session, SESSION_ENDING))
        return;
    log_end(session);
    atomic_fetch_add_explicit(&session->worker->counters.ended, 1, memory_order_relaxed);
    upstream_close(session->upstream, relay_between_commands(session));
    session->upstream = NULL;
    relay_destroy(session);
    leg_close(&session->leg);
    session->ended_recorded = session_record_end(session);
    log_out(session);
    stream_close(session->client, linger_ms);
    close_timer(session);
}

static void format_why(struct session *session, const char *format, va_list arguments)
    PRINTF_LIKE(2, 0);

static void format_why(struct session *session, const char *format, va_list arguments)
{
    if (format)
        vsnprintf(session->why, sizeof session->why, format, arguments);
}

void session_end(struct session *session, enum reason reason, const char *why, ...)
{
    if (session->state >= SESSION_ENDING)
        return;
    va_list arguments;
    va_start(arguments, why);
    format_why(session, why, arguments);
    va_end(arguments);
    end(session, reason, SESSION_LINGER_MS);
}

/* Where an ERR of ours may stand: alone at first, in the login's turn, or between answers. */
static bool error_place(const struct session *session, uint8_t *sequence)
{
    if (session->error_sequence >= 0) {
        *sequence = (uint8_t)session->error_sequence;
        return true;
    }
    switch (session->state) {
    case SESSION_HELLO:
    case SESSION_DIALLING:
        *sequence = 0;
        return true;
    case SESSION_LOGIN:
    case SESSION_AUTH:
    case SESSION_MINTING:
    case SESSION_UPSTREAM_LOGIN:
    case SESSION_STARTING:
    case SESSION_CHANGING:
        *sequence = session->client_sequence;
        return true;
    case SESSION_READY:
        return relay_error_place(session, sequence);
    default:
        return false; /* under a handshake, or over */
    }
}

/* A lock names the bot itself: "bot ci-1: bot ci-1 is locked" would say it twice. */
static bool names_bot(const struct session *session)
{
    const char *bot = session_bot(session);
    size_t length = strlen(bot);
    return strncmp(session->why, "bot ", 4) == 0 && strncmp(session->why + 4, bot, length) == 0 &&
           session->why[4 + length] == ' ';
}

static void send_error(struct session *session, uint16_t code, const char *sqlstate)
{
    uint8_t sequence;
    if (!error_place(session, &sequence))
        return;
    char message[PACKET_ERR_MESSAGE_MAX +
                 IDENTITY_TEXT_MAX]; /* the packet cuts it between characters */
    if (names_bot(session))
        snprintf(message, sizeof message, "sallyport: %s", session->why);
    else
        snprintf(message, sizeof message, "sallyport: bot %s: %s", session_bot(session),
                 session->why);
    uint8_t storage[PACKET_ERR_MESSAGE_MAX + 64];
    struct buffer packet;
    buffer_init_fixed(&packet, storage, sizeof storage);
    struct error err = {0};
    if (!relay_answer_framed(session))
        session->leg.outgoing = sequence; /* frames and packets count alike there */
    if (!packet_err_append(&packet, sequence, code, sqlstate, message, &err) ||
        !leg_write(&session->leg, session->client,
                   byte_view(buffer_bytes(&packet), buffer_length(&packet)), LEG_ANY, &err))
        log_debug("the client could not be told", "error", err.message, NULL);
}

void session_fail(struct session *session, enum reason reason, uint16_t code, const char *sqlstate,
                  const char *message, ...)
{
    if (session->state >= SESSION_ENDING)
        return;
    va_list arguments;
    va_start(arguments, message);
    format_why(session, message, arguments);
    va_end(arguments);
    session->error_code = code;
    snprintf(session->error_sqlstate, sizeof session->error_sqlstate, "%s", sqlstate);
    send_error(session, code, sqlstate);
    end(session, reason, SESSION_LINGER_MS);
}

bool session_write(struct session *session, const void *bytes, size_t length)
{
    struct error err = {0};
    if (leg_write(&session->leg, session->client, byte_view(bytes, length), LEG_ANY, &err))
        return true;
    session_end(session, REASON_CLIENT_LOST, "%s", err.message);
    return false;
}

bool session_write_buffer(struct session *session, const struct buffer *buffer)
{
    return session_write(session, buffer_bytes(buffer), buffer_length(buffer));
}

/* Wall time can be set: what depends on it is looked at again at least this often. */
#define TIMER_MAX_MS 60000

/* --- time --- */

static int64_t idle_left_ms(const struct session *session, int64_t now_us)
{
    if (session->limits.idle_timeout_ms == 0)
        return INT64_MAX;
    if (relay_answers_due(session))
        return session->limits.idle_timeout_ms; /* it is the database's turn: look again then */
    return session->limits.idle_timeout_ms - (now_us - session->last_activity_us) / 1000;
}

static int64_t lifetime_left_ms(const struct session *session, int64_t now_us)
{
    if (session->limits.session_lifetime_ms == 0)
        return INT64_MAX;
    return session->limits.session_lifetime_ms - (now_us - session->started_monotonic_us) / 1000;
}

/* A session does not outlive its bot's proof of identity (I1). */
static int64_t certificate_left_ms(const struct session *session)
{
    return (session_certificate_until(session) - clock_wall_us()) / 1000;
}

static int64_t record_left_ms(const struct session *session, int64_t now_us)
{
    return session->record_deadline_us ? (session->record_deadline_us - now_us) / 1000 : INT64_MAX;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Whether a deadline of the running session has passed; then it has ended. */
static bool check_deadlines(struct session *session, int64_t now_us)
{
    if (record_left_ms(session, now_us) <= 0)
        session_fail(session, REASON_AUDIT, 1290, "HY000",
                     "the audit log cannot take a record: ask operations to look at its disk");
    else if (idle_left_ms(session, now_us) <= 0)
        session_fail(session, REASON_IDLE_TIMEOUT, 4031, "HY000",
                     "no command for longer than the role's idle timeout");
    else if (certificate_left_ms(session) <= 0)
        session_fail(session, REASON_CERTIFICATE, 1045, "28000",
                     "the certificate has expired: renew it and connect again");
    else if (lifetime_left_ms(session, now_us) <= 0)
        session_fail(session, REASON_LIFETIME, 4031, "HY000",
                     "the role's session lifetime is over: connect again");
    else
        return false;
    return true;
}

static void on_timer(uv_timer_t *timer)
{
    struct session *session = timer->data;
    const char *previous = log_enter(session->id);
    int64_t now_us = clock_monotonic_us();
    switch (session->state) {
    case SESSION_HELLO:
        if (is_unused(session))
            session_end(session, REASON_UNUSED, "nothing came in time");
        else
            session_end(session, REASON_LOGIN_TIMEOUT, "the hello was not complete in time");
        break;
    case SESSION_STARTING:
    case SESSION_READY:
        session_renew(session);
        if (!check_deadlines(session, now_us))
            session_arm_timer(session);
        break;
    case SESSION_MINTING:
        session_mint_timeout(session);
        break;
    default:
        session_fail(session, REASON_LOGIN_TIMEOUT, 1159, "08S01",
                     "the login was not complete in time (%s)", state_names[session->state]);
    }
    log_leave(previous);
}

static int64_t timer_due_ms(const struct session *session)
{
    const struct limit_settings *limits = &session->snapshot->settings.proxy.limits;
    int64_t now_us = clock_monotonic_us();
    switch (session->state) {
    case SESSION_HELLO:
        return limits->ready_timeout_ms;
    case SESSION_STARTING:
    case SESSION_READY:
        return least(least(idle_left_ms(session, now_us), lifetime_left_ms(session, now_us)),
                     least(record_left_ms(session, now_us),
                           least(certificate_left_ms(session), TIMER_MAX_MS)));
    case SESSION_MINTING:
        return (session->mint_until_us - now_us) / 1000;
    default:
        return limits->login_timeout_ms - (now_us - session->login_started_us) / 1000;
    }
}

void session_arm_timer(struct session *session)
{
    if (session->state >= SESSION_ENDING) {
        uv_timer_stop(&session->timer);
        return;
    }
    int64_t due = timer_due_ms(session);
    if (due == INT64_MAX)
        uv_timer_stop(&session->timer);
    else
        uv_timer_start(&session->timer, on_timer, due > 0 ? (uint64_t)due : 1, 0);
}

/* --- events of the client's stream --- */

static void on_secured(struct stream *stream, void *arg)
{
    (void)stream;
    struct session *session = arg;
    const char *previous = log_enter(session->id);
    session_client_secured(session);
    log_leave(previous);
}

static size_t take(void *arg, const uint8_t *data, size_t length)
{
    struct session *session = arg;
    switch (session->state) {
    case SESSION_READY:
        return relay_client_data(session, data, length);
    case SESSION_CHANGING:
        return relay_change_user_data(session, data, length);
    case SESSION_ENDING:
    case SESSION_CLOSED:
        return length;
    default:
        return session_login_data(session, data, length);
    }
}

static size_t on_data(struct stream *stream, void *arg, const uint8_t *data, size_t length)
{
    struct session *session = arg;
    const char *previous = log_enter(session->id);
    struct error err = {0};
    size_t taken = length;
    if (!leg_read(&session->leg, stream, data, length, take, session, &taken, &err))
        session_fail(session, REASON_CLIENT_PROTOCOL, 1157, "08S01", "%s", err.message);
    log_leave(previous);
    return taken;
}

static void on_drained(struct stream *stream, void *arg)
{
    (void)stream;
    struct session *session = arg;
    if (session->upstream)
        upstream_resume(session->upstream);
}

static void on_ended(struct stream *stream, void *arg)
{
    (void)stream;
    struct session *session = arg;
    const char *previous = log_enter(session->id);
    if (is_unused(session))
        session_end(session, REASON_UNUSED, "the tunnel closed it");
    else
        session_end(session, REASON_CLIENT_CLOSED, "%s",
                    "the client closed its connection without saying goodbye");
    log_leave(previous);
}

static void on_failed(struct stream *stream, void *arg, const struct error *err)
{
    (void)stream;
    struct session *session = arg;
    const char *previous = log_enter(session->id);
    bool handshake = session->state == SESSION_CLIENT_TLS || session->state == SESSION_STARTTLS;
    enum reason reason = handshake            ? REASON_CLIENT_TLS
                         : is_unused(session) ? REASON_UNUSED
                                              : REASON_CLIENT_LOST;
    session_end(session, reason, "%s", err->message);
    log_leave(previous);
}

static void on_closed(struct stream *stream, void *arg)
{
    (void)stream;
    struct session *session = arg;
    session->client = NULL;
    session->open_handles--;
    session_try_free(session);
}

/* A connection that was refused has no session. */
static void on_refused_closed(struct stream *stream, void *arg)
{
    (void)stream;
    (void)arg;
}

static const struct stream_events refused_events = {.closed = on_refused_closed};

static const struct stream_events client_events = {
    .secured = on_secured,
    .data = on_data,
    .drained = on_drained,
    .ended = on_ended,
    .failed = on_failed,
    .closed = on_closed,
};

/* --- the beginning --- */

/* Unique over restarts and proxies without any state: 6 random bytes and a count. */
static void name_session(struct session *session)
{
    uint64_t random = 0;
    if (getrandom(&random, 6, 0) != 6)
        random = (uint64_t)clock_wall_us();
    snprintf(session->id, sizeof session->id, "s-%012llx%02x", (unsigned long long)random,
             (unsigned)(session->worker->session_serial++ & 0xFF));
}

static struct session *session_create(struct listener *listener)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    struct worker *worker = listener->worker;
    session->worker = worker;
    session->listener = listener->index;
    session->snapshot = snapshot_ref(worker->snapshot);
    session->pending = true;
    session->started_us = clock_wall_us();
    session->started_monotonic_us = clock_monotonic_us();
    session->login_started_us = session->started_monotonic_us;
    session->error_sequence = -1;
    name_session(session);
    buffer_init(&session->input, PACKET_LOGIN_MAX + PACKET_HEADER_SIZE + STREAM_READ_CHUNK);
    buffer_init(&session->attributes, PACKET_LOGIN_MAX);
    buffer_init(&session->last_auth, 256);
    uv_timer_init(&worker->loop, &session->timer);
    session->timer.data = session;
    session->open_handles = 1;
    worker_add_session(worker, session);
    return session;
}

static bool begin(struct session *session, struct error *err)
{
    const struct listener_settings *listener =
        &session->snapshot->settings.proxy.listeners[session->listener];
    if (!listener->starttls) {
        session->state = SESSION_CLIENT_TLS;
        session_arm_timer(session);
        return stream_start_tls(session->client, session->snapshot->server_tls, NULL, err);
    }
    session->state = SESSION_DIALLING;
    session_arm_timer(session);
    session->database = snapshot_database(session->snapshot, listener->database);
    if (!session->database)
        return error_set(err, ERROR_CONFIG, "the authority has no database %s (yet)",
                         listener->database);
    session_dial(session);
    return true;
}

/* A connection over the limits is taken and dropped: it has shown no certificate, so it is owed no
 * answer. */
static void refuse(struct listener *listener)
{
    struct worker *worker = listener->worker;
    atomic_fetch_add_explicit(&worker->counters.refused, 1, memory_order_relaxed);
    int64_t now_us = clock_monotonic_us();
    if (now_us - worker->refusal_logged_us < 1000000)
        return;
    worker->refusal_logged_us = now_us;
    log_warning("connections are dropped: limits.sessions or limits.pending is reached", NULL);
}

void session_accept(struct listener *listener)
{
    struct worker *worker = listener->worker;
    const struct limit_settings *limits = &worker->snapshot->settings.proxy.limits;
    bool room = registry_enter(worker->shared->registry, limits->sessions, limits->pending);
    struct session *session = room ? session_create(listener) : NULL;
    if (room && !session)
        registry_leave(worker->shared->registry, true);
    struct stream *stream = NULL;
    struct error err = {0};
    if (!stream_accept(worker->streams, (uv_stream_t *)&listener->tcp,
                       session ? &client_events : &refused_events, session, &stream, &err))
        log_warning("a connection could not be accepted", "error", err.message, NULL);
    if (!session) {
        refuse(listener);
        stream_close(stream, 0);
        return;
    }
    atomic_fetch_add_explicit(&worker->counters.accepted, 1, memory_order_relaxed);
    session->client = stream;
    session->open_handles += stream != NULL;
    const char *previous = log_enter(session->id);
    if (!stream || !begin(session, &err))
        session_end(session, REASON_INTERNAL, "%s", err.message);
    log_leave(previous);
}

/* --- what the worker asks for --- */

static bool session_keeps_database(const struct session *session, struct error *err)
{
    if (snapshot_database(session->snapshot, session->database->name))
        return true;
    return error_set(err, ERROR_DENIED, "database %s is no longer configured",
                     session->database->name);
}

/* A role's lock hits those that hold it by the new snapshot; who holds none is told so later. */
static bool stays_unlocked(struct session *session, struct error *err)
{
    if (!session_map_roles(session, NULL))
        session->roles.count = 0;
    return session_check_locks(session, err);
}

static bool policy_allows(struct session *session, struct error *err)
{
    struct authz_decision decision;
    if (!session->database)
        return true; /* judged when it names one */
    if (!session_keeps_database(session, err) || !session_map_roles(session, err))
        return false;
    session_decide(session, session->mysql_user[0] ? session->mysql_user : NULL,
                   session->schema[0] ? session->schema : NULL, &decision);
    if (!decision.allowed)
        return error_set(err, ERROR_DENIED, "%s", decision.rule);
    session->limits = decision.limits;
    return true;
}

void session_follow_policy(struct session *session)
{
    if (session->state >= SESSION_ENDING)
        return;
    const char *previous = log_enter(session->id);
    struct error err = {0};
    session->roles.count = 0; /* they are the old policy's, and may go with it */
    snapshot_unref(session->snapshot);
    session->snapshot = snapshot_ref(session->worker->snapshot);
    if (session->identified && !session_keeps_certificate(session, &err)) {
        session_fail(session, is_unused(session) ? REASON_UNUSED : REASON_CERTIFICATE, 1045,
                     "28000", "%s", err.message);
    } else if (session->identified && !stays_unlocked(session, &err)) {
        session_fail(session, is_unused(session) ? REASON_UNUSED : REASON_LOCKED, 1045, "28000",
                     "%s", err.message);
    } else if (session->identified && !policy_allows(session, &err)) {
        session_fail(session, REASON_POLICY_CHANGED, 1045, "28000", "roles were changed: %s",
                     err.message);
    } else if (session->state == SESSION_MINTING) {
        session_follow_mint(session);
    } else if (session->state >= SESSION_STARTING) {
        relay_follow_policy(session);
        if (!session_render_prefix(session, &err))
            session_fail(session, REASON_INTERNAL, 1105, "HY000", "%s", err.message);
        session_arm_timer(session);
    }
    log_leave(previous);
}

static void stop(struct session *session)
{
    if (is_unused(session))
        session_end(session, REASON_UNUSED, "the proxy is stopping");
    else
        session_fail(session, REASON_DRAINING, 1053, "08S01",
                     "the proxy is stopping: connect again");
}

void session_drain(struct session *session)
{
    const char *previous = log_enter(session->id);
    session->drain = true;
    if (is_unused(session) || (session->state == SESSION_READY && relay_idle(session)))
        stop(session);
    log_leave(previous);
}

/* The last resort: what cannot be recorded now never will be. */
static void give_up_record(struct session *session)
{
    if (session->ended_recorded)
        return;
    log_error("the end of a session was not recorded: the audit log took nothing", NULL);
    session->ended_recorded = true;
    session_try_free(session);
}

void session_stop(struct session *session)
{
    const char *previous = log_enter(session->id);
    if (session->state == SESSION_ENDING)
        give_up_record(session);
    else
        stop(session);
    log_leave(previous);
}

void session_audit_room(struct session *session)
{
    const char *previous = log_enter(session->id);
    if (session->state == SESSION_STARTING) {
        session_start_relay(session);
    } else if (session->state == SESSION_READY) {
        relay_unpark(session);
    } else if (session->state == SESSION_ENDING && !session->ended_recorded) {
        session->ended_recorded = session_record_end(session);
        session_try_free(session);
    }
    log_leave(previous);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "protocol/auth.h"
#include "protocol/collation.h"
#include "protocol/command.h"
#include "protocol/packet.h"
#include "tls/auth_crypto.h"

/* How long a retiring connection may take, and a COM_QUIT may linger. */
#define RETIRE_TIMEOUT_MS 2000
#define QUIT_LINGER_MS    1000

/* Who a retiring connection says it is: the server's log shows it, docs/audit-record.md explains
 * it. */
#define RETIRED_USER "sallyport_retired"

enum upstream_state {
    STATE_DIALLING,
    STATE_GREETING,
    STATE_GREETED,
    STATE_SECURING,
    STATE_LOGIN,
    STATE_READY,
    STATE_CHANGING,
    STATE_RETIRING,
    STATE_CLOSED,
    STATE_COUNT,
};

static const char *const state_names[STATE_COUNT] = {
    "dialling", "greeting", "greeted",  "securing", "login",
    "ready",    "changing", "retiring", "closed",
};

#define TO(state) (1u << STATE_##state)
static const unsigned state_moves[STATE_COUNT] = {
    [STATE_DIALLING] = TO(GREETING) | TO(CLOSED),
    [STATE_GREETING] = TO(GREETED) | TO(RETIRING) | TO(CLOSED),
    [STATE_GREETED] = TO(SECURING) | TO(RETIRING) | TO(CLOSED),
    [STATE_SECURING] = TO(LOGIN) | TO(CLOSED),
    [STATE_LOGIN] = TO(READY) | TO(CLOSED),
    [STATE_READY] = TO(CHANGING) | TO(CLOSED),
    [STATE_CHANGING] = TO(READY) | TO(CLOSED),
    [STATE_RETIRING] = TO(CLOSED),
    [STATE_CLOSED] = 0,
};

struct upstream {
    struct upstream_home *home;
    struct snapshot *snapshot;
    const struct database *database;
    const struct upstream_events *events; /* NULL: given up, nobody wants to know */
    void *owner;
    enum upstream_state state;
    enum upstream_state reached;            /* the last one before RETIRING or CLOSED */
    char auth_plugin[HANDSHAKE_PLUGIN_MAX]; /* that the last login ended with */
    struct stream *stream;                  /* NULL while the name is resolved, and when closed */
    uv_getaddrinfo_t *resolving;            /* on the heap: it outlives a cancelled dial */
    struct addrinfo *addresses;             /* of the database's name, until one has answered */
    const struct addrinfo *next;            /* the one to try when the current one fails */
    uv_timer_t timer;
    unsigned open_handles; /* timer, stream, resolution: memory goes with the last */
    struct handshake_greeting greeting;
    struct leg leg;
    int last_frame;   /* the next write's last frame is to have this id; or LEG_ANY */
    uint8_t sequence; /* of the server's next packet before the login's end */
    struct buffer input;
    struct auth_client auth;
    uint32_t capabilities; /* agreed for the command phase */
    struct handshake_login login;
    struct buffer login_attributes;
};

static bool move(struct upstream *upstream, enum upstream_state to)
{
    if (!(state_moves[upstream->state] & (1u << to))) {
        log_error("an upstream connection refused an undeclared move", "from",
                  state_names[upstream->state], "to", state_names[to], NULL);
        return false;
    }
    upstream->state = to;
    if (to < STATE_RETIRING)
        upstream->reached = to;
    return true;
}

static void release(struct upstream *upstream)
{
    if (--upstream->open_handles > 0)
        return;
    struct upstream_home *home = upstream->home;
    if (upstream->addresses)
        uv_freeaddrinfo(upstream->addresses);
    auth_client_wipe(&upstream->auth);
    leg_release(&upstream->leg);
    buffer_release(&upstream->input);
    buffer_release(&upstream->login_attributes);
    snapshot_unref(upstream->snapshot);
    free(upstream);
    if (--home->count == 0)
        home->emptied(home->arg);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

/* The one way out: safe to enter twice, and from any event. */
static void shut(struct upstream *upstream, unsigned linger_ms)
{
    if (upstream->state == STATE_CLOSED || !move(upstream, STATE_CLOSED))
        return;
    upstream->events = NULL;
    leg_close(&upstream->leg);
    if (upstream->resolving)
        uv_cancel((uv_req_t *)upstream->resolving);
    stream_close(upstream->stream, linger_ms);
    uv_close((uv_handle_t *)&upstream->timer, on_timer_closed);
}

static void lose(struct upstream *upstream, enum upstream_fault fault, const struct error *err)
{
    const struct upstream_events *events = upstream->events;
    void *owner = upstream->owner;
    struct error copy = *err;
    shut(upstream, 0);
    if (events)
        events->lost(owner, fault, &copy);
}

static enum upstream_fault fault_of(const struct upstream *upstream)
{
    switch (upstream->state) {
    case STATE_DIALLING:
    case STATE_GREETING:
        return UPSTREAM_UNREACHABLE;
    case STATE_SECURING:
        return UPSTREAM_TLS;
    default:
        return UPSTREAM_LOST;
    }
}

static void on_timeout(uv_timer_t *timer)
{
    struct upstream *upstream = timer->data;
    struct error err = {0};
    error_set(&err, ERROR_TIMEOUT, "the database did not answer in time (%s)",
              state_names[upstream->state]);
    lose(upstream, fault_of(upstream), &err);
}

static void start_timer(struct upstream *upstream, int64_t milliseconds)
{
    uv_timer_start(&upstream->timer, on_timeout, (uint64_t)milliseconds, 0);
}

static bool send_packet(struct upstream *upstream, const struct buffer *packet, struct error *err)
{
    return leg_write_secret(&upstream->leg, upstream->stream,
                            byte_view(buffer_bytes(packet), buffer_length(packet)), err);
}

/* A login that the server refuses, so that this connection does not count as a connect error. */
static bool send_retirement(struct upstream *upstream, struct error *err)
{
    struct handshake_login login = {
        .capabilities = CAPABILITY_PROTOCOL_41 | CAPABILITY_SECURE_CONNECTION |
                        (upstream->greeting.capabilities & CAPABILITY_PLUGIN_AUTH),
        .max_packet = PACKET_PAYLOAD_MAX,
        .collation = upstream->greeting.collation,
        .user = RETIRED_USER,
    };
    memcpy(login.plugin, upstream->greeting.plugin, sizeof login.plugin);
    struct buffer packet;
    buffer_init(&packet, PACKET_LOGIN_MAX);
    bool sent =
        handshake_login_append(&packet, 1, &login, err) && send_packet(upstream, &packet, err);
    buffer_release(&packet);
    upstream->sequence = 2;
    return sent;
}

/* A server that asks on (AuthSwitchRequest, AuthMoreData) gets an empty answer; its ERR or OK ends
 * it. */
static bool on_retiring_packet(struct upstream *upstream, struct byte_view payload,
                               struct error *err)
{
    bool asks = payload.length > 0 && payload.data[0] != 0x00 && payload.data[0] != 0xFF;
    if (!asks || upstream->sequence > 2 * AUTH_ROUNDS_MAX) {
        shut(upstream, 0);
        return true;
    }
    const uint8_t empty[PACKET_HEADER_SIZE] = {0, 0, 0, upstream->sequence++};
    return stream_write(upstream->stream, empty, sizeof empty, err);
}

static void retire(struct upstream *upstream)
{
    upstream->events = NULL;
    start_timer(upstream, RETIRE_TIMEOUT_MS);
    if (upstream->state != STATE_GREETED)
        return; /* on_greeting() goes on from here */
    struct error err = {0};
    if (!move(upstream, STATE_RETIRING) || !send_retirement(upstream, &err))
        shut(upstream, 0);
}

static bool on_greeting(struct upstream *upstream, struct byte_view payload, struct error *err)
{
    if (payload.length > 0 && payload.data[0] == 0xFF) {
        const struct upstream_events *events = upstream->events;
        void *owner = upstream->owner;
        upstream->events = NULL;
        if (events)
            events->refused(owner, payload);
        shut(upstream, 0);
        return true;
    }
    if (!handshake_greeting_read(payload, &upstream->greeting, err))
        return false;
    if (!move(upstream, STATE_GREETED))
        return error_set(err, ERROR_STATE, "a greeting came twice");
    uv_timer_stop(&upstream->timer);
    if (upstream->events)
        upstream->events->greeted(upstream->owner, &upstream->greeting);
    else
        retire(upstream);
    return true;
}

/* Right behind the login's OK the server turns compression on (sql/sql_connect.cc,
 * prepare_new_connection_state()). It lasts for the connection's life. */
static bool begin_compression(struct upstream *upstream)
{
    struct error err = {0};
    if (upstream->state != STATE_LOGIN ||
        leg_compress(&upstream->leg, upstream->home->legs,
                     compression_method_of(upstream->capabilities), upstream->login.zstd_level,
                     &err)) {
        upstream->leg.incoming = DECOMPRESSOR_ANY;
        return true;
    }
    lose(upstream, UPSTREAM_PROTOCOL, &err);
    return false;
}

/* MariaDB goes on as the old user after a change of user that it refuses; MySQL closes. */
static bool survives_refusal(const struct upstream *upstream)
{
    return upstream->state == STATE_CHANGING && upstream->greeting.vendor == HANDSHAKE_MARIADB;
}

static void end_login(struct upstream *upstream, enum auth_step step, struct byte_view payload)
{
    const struct upstream_events *events = upstream->events;
    void *owner = upstream->owner;
    uv_timer_stop(&upstream->timer);
    memcpy(upstream->auth_plugin, upstream->auth.plugin, sizeof upstream->auth_plugin);
    auth_client_wipe(&upstream->auth);
    if (step == AUTH_ACCEPTED) {
        if (begin_compression(upstream) && move(upstream, STATE_READY) && events)
            events->accepted(owner, payload);
        return;
    }
    if (survives_refusal(upstream) && move(upstream, STATE_READY)) {
        if (events)
            events->refused(owner, payload);
        return;
    }
    upstream->events = NULL;
    if (events)
        events->refused(owner, payload);
    shut(upstream, 0);
}

/* For what may hold a password. */
static void release_secret(struct buffer *buffer)
{
    buffer_wipe(buffer);
    buffer_release(buffer);
}

/* Feeds the authentication; sends what it asks for with the sequence id after the server's. */
static bool authenticate(struct upstream *upstream, struct byte_view payload, uint8_t sequence,
                         enum auth_step *step, struct error *err)
{
    struct buffer answer, packet;
    buffer_init(&answer, PACKET_LOGIN_MAX);
    buffer_init(&packet, PACKET_LOGIN_MAX + PACKET_HEADER_SIZE);
    bool good = auth_client_feed(&upstream->auth, payload, &answer, step, err);
    upstream->leg.outgoing = leg_next(&upstream->leg);
    if (good && *step == AUTH_SEND)
        good = packet_append(&packet, (uint8_t)(sequence + 1), buffer_bytes(&answer),
                             buffer_length(&answer), err) &&
               send_packet(upstream, &packet, err);
    release_secret(&answer);
    release_secret(&packet);
    return good;
}

static bool on_login_packet(struct upstream *upstream, struct byte_view payload, struct error *err)
{
    enum auth_step step;
    uint8_t sequence = (uint8_t)(upstream->sequence - 1);
    if (!authenticate(upstream, payload, sequence, &step, err))
        return false;
    if (step == AUTH_SEND)
        upstream->sequence++;
    else if (step == AUTH_ACCEPTED || step == AUTH_REFUSED)
        end_login(upstream, step, payload);
    return true;
}

static bool on_packet(struct upstream *upstream, struct byte_view payload, struct error *err)
{
    switch (upstream->state) {
    case STATE_GREETING:
        return on_greeting(upstream, payload, err);
    case STATE_LOGIN:
        return on_login_packet(upstream, payload, err);
    case STATE_RETIRING:
        return on_retiring_packet(upstream, payload, err);
    default:
        return error_set(err, ERROR_MALFORMED, "the database sent a packet out of turn (%s)",
                         state_names[upstream->state]);
    }
}

/* Takes the packets before READY one by one. */
static bool take_packets(struct upstream *upstream, struct error *err)
{
    while (upstream->state < STATE_READY || upstream->state == STATE_RETIRING) {
        struct byte_view held =
            byte_view(buffer_bytes(&upstream->input), buffer_length(&upstream->input));
        struct byte_view payload;
        size_t consumed = 0;
        bool found = false;
        if (!packet_take(held, PACKET_LOGIN_MAX, upstream->sequence, &found, &payload, &consumed,
                         err))
            return false;
        if (!found)
            return true;
        upstream->sequence++;
        /* First: who is told of a greeting may log in at once, and then nothing may be behind it.
         */
        buffer_consume(&upstream->input, consumed);
        if (!on_packet(upstream, payload, err))
            return false;
    }
    bool logged_in = upstream->state == STATE_READY || upstream->state == STATE_CHANGING;
    if (logged_in && buffer_length(&upstream->input) > 0)
        return error_set(err, ERROR_MALFORMED, "the database sent more behind its login's OK");
    buffer_trim(&upstream->input, 0);
    return true;
}

static size_t take_answer(void *arg, const uint8_t *data, size_t length)
{
    struct upstream *upstream = arg;
    return upstream->events ? upstream->events->data(upstream->owner, data, length) : length;
}

static size_t on_data(struct stream *stream, void *arg, const uint8_t *data, size_t length)
{
    struct upstream *upstream = arg;
    struct error err = {0};
    if (upstream->state == STATE_READY || upstream->state == STATE_CHANGING) {
        size_t taken;
        if (leg_read(&upstream->leg, stream, data, length, take_answer, upstream, &taken, &err))
            return taken;
        error_wrap(&err, "database %s", upstream->database->name);
        lose(upstream, UPSTREAM_PROTOCOL, &err);
        return length;
    }
    if (!buffer_append(&upstream->input, data, length, &err) || !take_packets(upstream, &err)) {
        error_wrap(&err, "database %s", upstream->database->name);
        lose(upstream, UPSTREAM_PROTOCOL, &err);
    }
    return length;
}

static void on_connected(struct stream *stream, void *arg)
{
    (void)stream;
    struct upstream *upstream = arg;
    if (move(upstream, STATE_GREETING))
        log_debug("database connected", "database", upstream->database->name, NULL);
}

/* The login, or COM_CHANGE_USER, with the plugin's first answer in it. */
static bool send_credentials(struct upstream *upstream, struct handshake_login *login,
                             struct error *err)
{
    const struct handshake_greeting *greeting = &upstream->greeting;
    const char *password = database_password(upstream->database, login->user);
    struct buffer response, packet;
    buffer_init(&response, PACKET_LOGIN_MAX);
    buffer_init(&packet, PACKET_LOGIN_MAX + PACKET_HEADER_SIZE);
    bool good =
        auth_client_begin(&upstream->auth, auth_crypto(), greeting->plugin, greeting->scramble,
                          HANDSHAKE_SCRAMBLE_SIZE, password, true, &response, err);
    if (good) {
        memcpy(login->plugin, upstream->auth.plugin, sizeof login->plugin);
        login->auth_response = byte_view(buffer_bytes(&response), buffer_length(&response));
        good = (upstream->state == STATE_CHANGING
                    ? handshake_change_user_append(&packet, upstream->capabilities, login, err)
                    : handshake_login_append(&packet, 2, login, err)) &&
               send_packet(upstream, &packet, err);
    }
    login->auth_response = byte_view(NULL, 0);
    release_secret(&response);
    release_secret(&packet);
    return good;
}

static void on_secured(struct stream *stream, void *arg)
{
    (void)stream;
    struct upstream *upstream = arg;
    struct error err = {0};
    if (!move(upstream, STATE_LOGIN))
        return;
    upstream->sequence = 3; /* greeting 0, SSLRequest 1, login 2 */
    if (!send_credentials(upstream, &upstream->login, &err))
        lose(upstream, UPSTREAM_PROTOCOL, &err);
}

static void on_drained(struct stream *stream, void *arg)
{
    (void)stream;
    struct upstream *upstream = arg;
    if (upstream->events)
        upstream->events->drained(upstream->owner);
}

static bool dial_next(struct upstream *upstream, struct error *err);

static void on_failed(struct stream *stream, void *arg, const struct error *cause)
{
    struct upstream *upstream = arg;
    struct error err = *cause;
    if (upstream->state == STATE_DIALLING && upstream->next) {
        upstream->stream = NULL;
        stream_close(stream, 0);
        if (dial_next(upstream, &err))
            return;
    }
    error_wrap(&err, "database %s", upstream->database->name);
    lose(upstream, fault_of(upstream), &err);
}

static void on_ended(struct stream *stream, void *arg)
{
    struct error err = {0};
    error_set(&err, ERROR_CLOSED, "it closed the connection");
    on_failed(stream, arg, &err);
}

static void on_closed(struct stream *stream, void *arg)
{
    struct upstream *upstream = arg;
    if (upstream->stream == stream)
        upstream->stream = NULL;
    release(upstream);
}

static const struct stream_events stream_events = {
    .connected = on_connected,
    .secured = on_secured,
    .data = on_data,
    .drained = on_drained,
    .ended = on_ended,
    .failed = on_failed,
    .closed = on_closed,
};

/* The next of the name's addresses, in the resolver's order. */
static bool dial_next(struct upstream *upstream, struct error *err)
{
    const struct addrinfo *address = upstream->next;
    upstream->next = address->ai_next;
    if (!stream_connect(upstream->home->shared, address->ai_addr, &stream_events, upstream,
                        &upstream->stream, err))
        return false;
    upstream->open_handles++;
    return true;
}

static bool dial(struct upstream *upstream, struct addrinfo *addresses, struct error *err)
{
    upstream->addresses = addresses;
    upstream->next = addresses;
    return dial_next(upstream, err);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct upstream *upstream = request->data;
    struct error err = {0};
    upstream->resolving = NULL;
    free(request);
    if (upstream->state != STATE_DIALLING) {
        uv_freeaddrinfo(addresses);
    } else if (status != 0) {
        error_set(&err, ERROR_SYSTEM, "database %s: cannot resolve %s: %s",
                  upstream->database->name, upstream->database->address.host, uv_strerror(status));
        lose(upstream, UPSTREAM_UNREACHABLE, &err);
    } else if (!dial(upstream, addresses, &err)) {
        lose(upstream, UPSTREAM_UNREACHABLE, &err);
    }
    release(upstream);
}

/* A name is resolved by another thread; an address needs none, and dials at once. */
static bool resolve(struct upstream *upstream, struct error *err)
{
    const struct address *address = &upstream->database->address;
    bool numeric = address_is_numeric(address);
    char port[8];
    snprintf(port, sizeof port, "%u", address->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV | (numeric ? AI_NUMERICHOST : 0)};
    uv_getaddrinfo_t *request = calloc(1, sizeof *request);
    if (!request)
        return error_set(err, ERROR_MEMORY, "out of memory");
    request->data = upstream;
    int status = uv_getaddrinfo(upstream->home->loop, request, numeric ? NULL : on_resolved,
                                address->host, port, &hints);
    struct addrinfo *addresses = status == 0 ? request->addrinfo : NULL;
    if (status != 0 || numeric)
        free(request);
    if (status != 0)
        return error_set(err, ERROR_SYSTEM, "cannot resolve %s: %s", address->host,
                         uv_strerror(status));
    if (numeric)
        return dial(upstream, addresses, err);
    upstream->resolving = request;
    upstream->open_handles++;
    return true;
}

bool upstream_open(struct upstream_home *home, struct snapshot *snapshot,
                   const struct database *database, const struct upstream_events *events,
                   void *owner, struct upstream **out, struct error *err)
{
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (!upstream)
        return error_set(err, ERROR_MEMORY, "out of memory");
    *upstream = (struct upstream){.home = home,
                                  .snapshot = snapshot_ref(snapshot),
                                  .database = database,
                                  .events = events,
                                  .owner = owner,
                                  .last_frame = LEG_ANY,
                                  .open_handles = 1};
    buffer_init(&upstream->input, PACKET_LOGIN_MAX + PACKET_HEADER_SIZE + STREAM_READ_CHUNK);
    buffer_init(&upstream->login_attributes, PACKET_LOGIN_MAX);
    home->count++;
    uv_timer_init(home->loop, &upstream->timer);
    upstream->timer.data = upstream;
    start_timer(upstream, snapshot->settings.proxy.limits.upstream_timeout_ms);
    if (!resolve(upstream, err)) {
        shut(upstream, 0);
        return error_wrap(err, "database %s", database->name);
    }
    *out = upstream;
    return true;
}

static bool send_ssl_request(struct upstream *upstream, struct error *err)
{
    const struct handshake_login *login = &upstream->login;
    struct tls_context *context = database_tls(upstream->database, login->user);
    if (!context)
        return error_set(err, ERROR_TLS,
                         "database %s: the authority has not minted a certificate for MySQL user "
                         "%s yet: connect again",
                         upstream->database->name, login->user);
    struct buffer packet;
    buffer_init(&packet, PACKET_LOGIN_MAX);
    bool sent = handshake_ssl_request_append(&packet, 1, login, err) &&
                send_packet(upstream, &packet, err) &&
                stream_start_tls(upstream->stream, context, upstream->database->server_name, err);
    buffer_release(&packet);
    return sent;
}

void upstream_adopt(struct upstream *upstream, struct snapshot *snapshot,
                    const struct database *database)
{
    struct snapshot *previous = upstream->snapshot;
    upstream->snapshot = snapshot_ref(snapshot);
    upstream->database = database;
    snapshot_unref(previous);
}

bool upstream_login(struct upstream *upstream, const struct handshake_login *login,
                    struct error *err)
{
    if (buffer_length(&upstream->input) > 0)
        return error_set(err, ERROR_MALFORMED, "database %s sent more than its greeting before TLS",
                         upstream->database->name);
    if (!(upstream->greeting.capabilities & CAPABILITY_SSL))
        return error_set(err, ERROR_TLS,
                         "database %s does not offer TLS: set ssl_cert, ssl_key and ssl_ca there",
                         upstream->database->name);
    if (!buffer_append(&upstream->login_attributes, login->attributes.data,
                       login->attributes.length, err))
        return false;
    upstream->login = *login;
    upstream->login.auth_response = byte_view(NULL, 0);
    upstream->login.attributes = byte_view(buffer_bytes(&upstream->login_attributes),
                                           buffer_length(&upstream->login_attributes));
    /* A login has one byte for it: COM_CHANGE_USER follows with the rest. */
    if (login->collation > UINT8_MAX)
        upstream->login.collation = COLLATION_UTF8MB4;
    upstream->login.capabilities = capability_login(
        upstream->greeting.capabilities, login->capabilities, true, login->schema[0] != '\0');
    if (!upstream->home->legs)
        upstream->login.capabilities &= ~(CAPABILITY_COMPRESS | CAPABILITY_ZSTD);
    upstream->capabilities = upstream->login.capabilities;
    start_timer(upstream, upstream->snapshot->settings.proxy.limits.upstream_timeout_ms);
    if (!move(upstream, STATE_SECURING))
        return error_set(err, ERROR_STATE, "a login was asked for in state %s",
                         state_names[upstream->state]);
    return send_ssl_request(upstream, err);
}

bool upstream_change_user(struct upstream *upstream, const struct handshake_login *login,
                          struct error *err)
{
    if (!move(upstream, STATE_CHANGING))
        return error_set(err, ERROR_STATE, "a change of user was asked for in state %s",
                         state_names[upstream->state]);
    struct handshake_login next = *login;
    upstream_begin(upstream, UPSTREAM_COMMAND);
    start_timer(upstream, upstream->snapshot->settings.proxy.limits.upstream_timeout_ms);
    return send_credentials(upstream, &next, err);
}

bool upstream_change_user_feed(struct upstream *upstream, struct byte_view payload,
                               uint8_t sequence, bool *done, struct error *err)
{
    enum auth_step step;
    *done = false;
    if (!authenticate(upstream, payload, sequence, &step, err))
        return false;
    if (step != AUTH_ACCEPTED && step != AUTH_REFUSED)
        return true;
    *done = true;
    end_login(upstream, step, payload);
    return true;
}

bool upstream_write(struct upstream *upstream, struct byte_view bytes, struct error *err)
{
    if (upstream->state != STATE_READY)
        return error_set(err, ERROR_STATE, "a command was sent in state %s",
                         state_names[upstream->state]);
    int last = upstream->last_frame;
    upstream->last_frame = LEG_ANY;
    return last == LEG_ANY ? leg_gather(&upstream->leg, upstream->stream, bytes, err)
                           : leg_write(&upstream->leg, upstream->stream, bytes, last, err);
}

void upstream_begin(struct upstream *upstream, enum upstream_turn turn)
{
    upstream->leg.outgoing = turn == UPSTREAM_COMMAND ? 0 : leg_next(&upstream->leg);
    upstream->last_frame = LEG_ANY;
}

void upstream_end(struct upstream *upstream, uint8_t last)
{
    upstream->last_frame = last;
}

uint8_t upstream_frame(const struct upstream *upstream)
{
    return leg_last(&upstream->leg);
}

size_t upstream_backlog(const struct upstream *upstream)
{
    return upstream->stream ? stream_backlog(upstream->stream) : 0;
}

void upstream_pause(struct upstream *upstream)
{
    if (upstream->stream)
        stream_pause(upstream->stream);
}

void upstream_resume(struct upstream *upstream)
{
    if (upstream->stream)
        stream_resume(upstream->stream);
}

const struct handshake_greeting *upstream_greeting(const struct upstream *upstream)
{
    return &upstream->greeting;
}

bool upstream_ready(const struct upstream *upstream)
{
    return upstream->state == STATE_READY;
}

const struct stream *upstream_stream(const struct upstream *upstream)
{
    return upstream->stream;
}

const char *upstream_auth_plugin(const struct upstream *upstream)
{
    return upstream->auth_plugin;
}

enum upstream_stage upstream_stage(const struct upstream *upstream)
{
    switch (upstream->reached) {
    case STATE_DIALLING:
        return upstream->addresses ? UPSTREAM_DIALLING : UPSTREAM_RESOLVING;
    case STATE_GREETING:
    case STATE_GREETED:
        return UPSTREAM_GREETING;
    case STATE_SECURING:
        return UPSTREAM_SECURING;
    case STATE_LOGIN:
        return UPSTREAM_LOGIN;
    default:
        return UPSTREAM_READY;
    }
}

static void quit(struct upstream *upstream)
{
    static const uint8_t packet[] = {1, 0, 0, 0, COMMAND_QUIT};
    upstream->events = NULL;
    stream_resume(upstream->stream);
    upstream_begin(upstream, UPSTREAM_COMMAND);
    bool sent = leg_write(&upstream->leg, upstream->stream, byte_view(packet, sizeof packet),
                          LEG_ANY, NULL);
    shut(upstream, sent ? QUIT_LINGER_MS : 0);
}

void upstream_close(struct upstream *upstream, bool idle)
{
    if (!upstream || upstream->state == STATE_CLOSED)
        return;
    switch (upstream->state) {
    case STATE_GREETING:
    case STATE_GREETED:
        retire(upstream);
        return;
    case STATE_READY:
        if (idle)
            quit(upstream);
        else
            shut(upstream, 0);
        return;
    default:
        shut(upstream, 0);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole session against a hostile client and a hostile database, from the accepted connection to
 * the last record. The code of proxy/ is the real one; what stands around a session is replaced at
 * link time by what is below: its stream, its upstream connection, and the audit log.
 *
 * The input is a byte of options, then steps: a byte that says what happens, and for bytes of a
 * peer a length and that many of them.
 *
 * What must hold: no command reaches the database without an intent that was recorded before it
 * (I3); each intent gets one outcome; the session gets one closing record (I12); nothing is left.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "protocol/command.h"
#include "protocol/packet.h"
#include "proxy/announce.h"
#include "proxy/authority_link.h"
#include "proxy/relay.h"
#include "proxy/session_internal.h"

#define STEPS_MAX     64
#define STATEMENT_MAX 1024 /* audit.statement_limit: the least, so that long commands are short */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* --- the client's stream
 * --------------------------------------------------------------------------
 */

struct stream {
    const struct stream_events *events;
    void *owner;
    struct buffer pending; /* bytes that came and were not taken */
    bool paused, closing;
};

static struct stream client;

bool stream_accept(struct stream_loop *shared, uv_stream_t *listener,
                   const struct stream_events *events, void *owner, struct stream **out,
                   struct error *err)
{
    (void)shared;
    (void)listener;
    (void)err;
    client = (struct stream){.events = events, .owner = owner};
    buffer_init(&client.pending, SIZE_MAX);
    *out = &client;
    return true;
}

bool stream_start_tls(struct stream *stream, struct tls_context *context, const char *server_name,
                      struct error *err)
{
    (void)stream;
    (void)context;
    (void)server_name;
    (void)err;
    return true;
}

const struct identity *stream_peer(const struct stream *stream)
{
    static const struct identity bot = {.attributes = {{"CN", "ci-1"}},
                                        .attribute_count = 1,
                                        .bot = "ci-1",
                                        .subject = "CN=ci-1",
                                        .not_after_us = INT64_MAX};
    (void)stream;
    return &bot;
}

const struct identity *stream_refused_peer(const struct stream *stream)
{
    (void)stream;
    return NULL;
}

bool stream_trusted_by(const struct stream *stream, const struct tls_context *context,
                       struct error *err)
{
    (void)stream;
    (void)context;
    (void)err;
    return true;
}

const char *stream_alpn(const struct stream *stream)
{
    (void)stream;
    return NULL;
}

const char *stream_cipher(const struct stream *stream)
{
    (void)stream;
    return "none";
}

const char *stream_peer_address(const struct stream *stream)
{
    (void)stream;
    return "127.0.0.1:1";
}

bool stream_write(struct stream *stream, const void *bytes, size_t length, struct error *err)
{
    (void)bytes;
    (void)err;
    check(!stream->closing);
    check(length < 64u * 1024 * 1024);
    return true;
}

size_t stream_backlog(const struct stream *stream)
{
    (void)stream;
    return 0;
}

void stream_pause(struct stream *stream)
{
    stream->paused = true;
}

void stream_resume(struct stream *stream)
{
    stream->paused = false;
}

bool stream_paused(const struct stream *stream)
{
    return stream->paused;
}

/* Nobody else waits for a turn. */
void stream_yield(struct stream *stream)
{
    (void)stream;
}

void stream_close(struct stream *stream, unsigned linger_ms)
{
    (void)linger_ms;
    if (stream)
        stream->closing = true;
}

bool stream_loop_create(uv_loop_t *loop, struct stream_loop **out, struct error *err)
{
    (void)loop;
    (void)out;
    return error_set(err, ERROR_STATE, "no worker is started here");
}

void stream_loop_destroy(struct stream_loop *shared)
{
    (void)shared;
}

/* --- the authority: none is configured, so nobody asks --- */

bool announce_adopt(struct worker *worker, struct stream *stream, struct error *err)
{
    (void)worker;
    (void)stream;
    return error_set(err, ERROR_STATE, "no authority is configured here");
}

void announce_close_all(struct worker *worker)
{
    (void)worker;
}

void authority_link_seen(struct authority_link *link, const char *serial)
{
    (void)link;
    (void)serial;
    abort();
}

bool authority_link_want_user(struct authority_link *link, const char *bot, const char *user,
                              bool missing, struct error *err)
{
    (void)link;
    (void)bot;
    (void)user;
    (void)missing;
    (void)err;
    abort();
}

/* --- the database's connection
 * --------------------------------------------------------------------
 */

struct upstream {
    const struct upstream_events *events; /* NULL: given up, or gone */
    void *owner;
    bool greeted, logging_in, ready, changing;
    struct handshake_greeting greeting;
    struct command_framer framer; /* reads what is sent to the database as the database would */
};

static struct upstream database;

/* What was recorded and what was sent, of commands. */
static struct {
    unsigned intents, denied, sent, open, closings;
    bool full;
} audit;

void upstream_adopt(struct upstream *upstream, struct snapshot *snapshot, const struct database *of)
{
    (void)upstream;
    (void)snapshot;
    (void)of;
    abort(); /* nothing is minted */
}

bool upstream_open(struct upstream_home *home, struct snapshot *snapshot, const struct database *of,
                   const struct upstream_events *events, void *owner, struct upstream **out,
                   struct error *err)
{
    (void)home;
    (void)snapshot;
    (void)of;
    (void)err;
    database.events = events;
    database.owner = owner;
    *out = &database;
    return true;
}

bool upstream_login(struct upstream *upstream, const struct handshake_login *login,
                    struct error *err)
{
    (void)err;
    check(upstream->greeted && !upstream->ready);
    check(strcmp(login->user, "reader") == 0 && strcmp(login->schema, "secret") != 0);
    upstream->logging_in = true;
    return true;
}

bool upstream_change_user(struct upstream *upstream, const struct handshake_login *login,
                          struct error *err)
{
    (void)err;
    check(upstream->ready && !upstream->changing);
    check(strcmp(login->user, "reader") == 0 && strcmp(login->schema, "secret") != 0);
    check(audit.sent < audit.intents - audit.denied);
    audit.sent++;
    upstream->changing = true;
    return true;
}

bool upstream_change_user_feed(struct upstream *upstream, struct byte_view payload,
                               uint8_t sequence, bool *done, struct error *err)
{
    const struct upstream_events *events = upstream->events;
    (void)sequence;
    (void)err;
    *done = payload.length > 0 && (payload.data[0] == PACKET_OK || payload.data[0] == PACKET_ERR);
    if (!*done)
        return payload.length > 0 || error_set(err, ERROR_MALFORMED, "an empty packet");
    upstream->changing = false;
    if (payload.data[0] == PACKET_OK) {
        events->accepted(upstream->owner, payload);
    } else {
        /* MySQL is gone then, MariaDB goes on: both are tried. */
        if (payload.length % 2 == 0)
            upstream->events = NULL;
        events->refused(upstream->owner, payload);
    }
    return true;
}

bool upstream_ready(const struct upstream *upstream)
{
    return upstream->events && upstream->ready && !upstream->changing;
}

/* I3: as many commands as have begun here have been recorded before. */
bool upstream_write(struct upstream *upstream, struct byte_view bytes, struct error *err)
{
    check(upstream->ready && !upstream->changing);
    while (bytes.length > 0) {
        enum command_event event;
        struct command_piece piece;
        size_t consumed;
        check(command_framer_feed(&upstream->framer, bytes, &consumed, &event, &piece, err));
        bytes = byte_view(bytes.data + consumed, bytes.length - consumed);
        if (event == COMMAND_WHOLE || event == COMMAND_BEGIN)
            check(++audit.sent <= audit.intents - audit.denied);
    }
    return true;
}

/* The client may compress, the database does not: what it gets here is what was in the frames. */
void upstream_begin(struct upstream *upstream, enum upstream_turn turn)
{
    (void)upstream;
    (void)turn;
}

void upstream_end(struct upstream *upstream, uint8_t last)
{
    (void)upstream;
    (void)last;
}

uint8_t upstream_frame(const struct upstream *upstream)
{
    (void)upstream;
    return 0;
}

size_t upstream_backlog(const struct upstream *upstream)
{
    (void)upstream;
    return 0;
}

void upstream_pause(struct upstream *upstream)
{
    (void)upstream;
}

void upstream_resume(struct upstream *upstream)
{
    (void)upstream;
}

const struct handshake_greeting *upstream_greeting(const struct upstream *upstream)
{
    return &upstream->greeting;
}

void upstream_close(struct upstream *upstream, bool between_commands)
{
    (void)between_commands;
    if (upstream)
        upstream->events = NULL;
}

/* --- the audit log
 * --------------------------------------------------------------------------------
 */

struct audit_entry {
    int finished;
};

bool audit_prefix_render(struct audit_prefix *prefix, const struct audit_session *session,
                         struct error *err)
{
    (void)prefix;
    (void)err;
    for (size_t i = 0; i < session->role_count; i++)
        check(strcmp(session->roles[i], "r") == 0);
    return true;
}

void audit_prefix_release(struct audit_prefix *prefix)
{
    (void)prefix;
}

struct audit_lane *audit_log_lane(struct audit_log *log, unsigned index)
{
    (void)log;
    (void)index;
    return NULL;
}

void audit_lane_on_room(struct audit_lane *lane, void (*room)(void *arg), void *arg)
{
    (void)lane;
    (void)room;
    (void)arg;
}

bool audit_begin(struct audit_lane *lane, const struct audit_prefix *prefix,
                 const struct audit_intent *intent, enum audit_answer *answer,
                 struct audit_entry **entry, struct error *err)
{
    (void)lane;
    (void)prefix;
    *answer = audit.full ? AUDIT_WAIT : AUDIT_READY;
    if (audit.full)
        return true;
    check(intent->statement_captured <= STATEMENT_MAX || strcmp(intent->event, "command") == 0);
    *entry = calloc(1, sizeof **entry);
    if (!*entry)
        return error_set(err, ERROR_MEMORY, "out of memory");
    audit.intents++;
    audit.open++;
    return true;
}

void audit_finish(struct audit_entry *entry, const struct audit_outcome *outcome)
{
    audit.denied += strcmp(outcome->outcome, "denied") == 0;
    audit.open--;
    free(entry); /* a second time would be found */
}

bool audit_event(struct audit_lane *lane, const struct audit_prefix *prefix,
                 const struct audit_intent *intent, const struct audit_outcome *outcome,
                 enum audit_answer *answer, struct error *err)
{
    (void)lane;
    (void)prefix;
    (void)outcome;
    (void)err;
    *answer = audit.full ? AUDIT_WAIT : AUDIT_READY;
    if (!audit.full)
        audit.closings += strcmp(intent->event, "session.start") != 0;
    return true;
}

/* --- the stage
 * ------------------------------------------------------------------------------------
 */

static const char roles[] =
    "{\"roles\":[{\"name\":\"r\",\"allow\":{\"databases\":\"*\",\"mysql_users\":\"reader\","
    "\"schemas\":\"*\"},\"deny\":{\"schemas\":\"secret\"}}],"
    "\"mappings\":[{\"subject\":\"CN=ci-1\",\"roles\":\"r\"}]}";

static const struct config_field fields[] = {
    {CONFIG_OBJECTS_AT(struct settings, roles, role_count), .key = "roles",
     .table = &authz_role_table},
    {CONFIG_OBJECTS_AT(struct settings, mappings, mapping_count), .key = "mappings",
     .table = &authz_mapping_table},
};
static const struct config_table table = {CONFIG_TABLE(struct settings, fields)};

static struct listener_settings listener_settings = {.address = "127.0.0.1:1", .database = "shop"};
static struct database shop = {.name = "shop"};
static struct snapshot snapshot;
static struct worker_shared shared = {.proxy_name = "proxy"};
static struct worker worker;
static struct listener listener = {.worker = &worker};

static void set_stage(void)
{
    struct settings *settings = &snapshot.settings;
    if (shared.registry)
        return;
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    check(config_load_text("fuzz", "/", roles, sizeof roles - 1, &table, settings, &snapshot.config,
                           NULL));
    check(authz_policy_create(snapshot.config, settings->roles, settings->role_count,
                              settings->mappings, settings->mapping_count, &snapshot.policy, NULL));
    settings->proxy.listeners = &listener_settings;
    settings->proxy.listener_count = 1;
    settings->proxy.limits = (struct limit_settings){.sessions = 1,
                                                     .pending = 1,
                                                     .statements = 4,
                                                     .login_timeout_ms = 600000,
                                                     .upstream_timeout_ms = 600000,
                                                     .audit_timeout_ms = 600000};
    settings->audit.statement_limit = STATEMENT_MAX;
    snapshot.databases = &shop;
    snapshot.database_count = 1;
    snapshot.references = 1; /* for ever */
    check(registry_create(&shared.registry, NULL));
    check(uv_loop_init(&worker.loop) == 0);
    worker.shared = &shared;
    worker.snapshot = &snapshot;
}

/* Gives the client's bytes as a stream would: not while paused, the rest again. */
static void deliver(void)
{
    while (buffer_length(&client.pending) > 0 && !client.paused && !client.closing) {
        size_t length = buffer_length(&client.pending);
        /* In memory of their own: a read past them is found. */
        uint8_t *copy = malloc(length);
        check(copy != NULL);
        memcpy(copy, buffer_bytes(&client.pending), length);
        size_t taken = client.events->data(&client, client.owner, copy, length);
        free(copy);
        check(taken <= length);
        check(taken == length || client.paused || client.closing);
        buffer_consume(&client.pending, taken);
    }
}

static void client_says(const uint8_t *bytes, size_t length)
{
    check(buffer_append(&client.pending, bytes, length, NULL));
    deliver();
}

static void database_says(const uint8_t *bytes, size_t length)
{
    if (!database.ready || !database.events || length == 0)
        return;
    uint8_t *copy = malloc(length);
    check(copy != NULL);
    memcpy(copy, bytes, length);
    (void)database.events->data(database.owner, copy, length);
    free(copy);
}

static void database_accepts(void)
{
    static const uint8_t ok[] = {PACKET_OK, 0, 0, STATUS_AUTOCOMMIT, 0, 0, 0};
    if (!database.logging_in || !database.events)
        return;
    database.logging_in = false;
    database.ready = true;
    database.events->accepted(database.owner, byte_view(ok, sizeof ok));
}

static void database_goes(void)
{
    const struct upstream_events *events = database.events;
    struct error err = {0};
    if (!events)
        return;
    error_set(&err, ERROR_CLOSED, "it closed the connection");
    database.events = NULL;
    events->lost(database.owner, UPSTREAM_LOST, &err);
}

static void tell_room(void)
{
    audit.full = false;
    if (worker.sessions)
        session_audit_room(worker.sessions);
}

static void open_session(uint8_t options)
{
    uint32_t capabilities = CAPABILITY_END_TO_END | CAPABILITY_LEG_LOCAL;
    capabilities &= ~(options & 1 ? CAPABILITY_DEPRECATE_EOF : 0u);
    capabilities &= ~(options & 2 ? CAPABILITY_SESSION_TRACK : 0u);
    capabilities &= ~(options & 4 ? CAPABILITY_MULTI_STATEMENTS : 0u);
    capabilities &= ~(options & 0x20 ? 0u : CAPABILITY_COMPRESS);
    capabilities &= ~(options & 0x40 ? 0u : CAPABILITY_ZSTD);
    memset(&audit, 0, sizeof audit);
    database = (struct upstream){.greeting = {.version = "11.8.0",
                                              .connection_id = 7,
                                              .capabilities = capabilities,
                                              .plugin = "mysql_native_password"}};
    command_framer_init(&database.framer, STATEMENT_MAX);
    database.framer.framed = capabilities & (CAPABILITY_COMPRESS | CAPABILITY_ZSTD);
    session_accept(&listener);
    client.events->secured(&client, client.owner);
    if (database.events) {
        database.greeted = true;
        database.events->greeted(database.owner, &database.greeting);
    }
}

static void log_in(uint8_t options)
{
    struct handshake_login login = {
        .capabilities = database.greeting.capabilities &
                        ~(CAPABILITY_SSL | CAPABILITY_CONNECT_WITH_DB | CAPABILITY_CONNECT_ATTRS),
        .max_packet = 1 << 24,
        .collation = options & 8 ? 8 : 45,
        .user = "reader",
        .plugin = "mysql_native_password"};
    struct buffer packet;
    buffer_init(&packet, 1024);
    check(handshake_login_append(&packet, 1, &login, NULL));
    client_says(buffer_bytes(&packet), buffer_length(&packet));
    buffer_release(&packet);
    database_accepts();
    check(worker.sessions->state == SESSION_READY);
}

static void close_session(void)
{
    if (worker.sessions)
        session_stop(worker.sessions);
    check(client.closing);
    client.events->closed(&client, client.owner);
    tell_room();
    while (uv_run(&worker.loop, UV_RUN_NOWAIT) != 0)
        continue;
    tell_room();
    buffer_release(&client.pending);
    command_framer_release(&database.framer);
    exchange_free_spares(&worker);
    leg_home_release(&worker.legs);
    check(worker.session_count == 0 && worker.busy_sessions == 0);
    check(audit.open == 0);
    check(audit.closings <= 1);
}

static size_t step(const uint8_t *data, size_t size)
{
    size_t length = size > 1 ? data[1] : 0;
    const uint8_t *bytes = data + 2;
    if (size > 2 && length > size - 2)
        length = size - 2;
    switch (data[0]) {
    case 0xF0:
        audit.full = true;
        return 1;
    case 0xF1:
        tell_room();
        break;
    case 0xF2:
        database_accepts();
        break;
    case 0xF3:
        database_goes();
        break;
    case 0xF4:
        session_drain(worker.sessions);
        break;
    case 0xF5:
        session_follow_policy(worker.sessions);
        break;
    default:
        if (size <= 2)
            return size;
        if (data[0] & 1)
            client_says(bytes, length);
        else
            database_says(bytes, length);
        deliver();
        return 2 + length;
    }
    deliver();
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    set_stage();
    open_session(data[0]);
    if (!(data[0] & 0x10))
        log_in(data[0]);
    size_t at = 1;
    for (int i = 0; i < STEPS_MAX && at < size && worker.sessions && !client.closing; i++)
        at += step(data + at, size - at);
    bool full = audit.full;
    close_session();
    check(audit.closings == 1 || full);
    return 0;
}

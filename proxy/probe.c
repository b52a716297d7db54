/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "protocol/command.h"
#include "protocol/text_result.h"
#include "proxy/probe_time.h"

/* utf8mb4_general_ci: what every server of the two has had since 5.5. */
#define PROBE_COLLATION 45

/* What a client asks for that wants plain answers. Those who read the greeting's other flags are
 * the proxy's clients. */
#define PROBE_CAPABILITIES                                                              \
    (CAPABILITY_LONG_PASSWORD | CAPABILITY_LONG_FLAG | CAPABILITY_PROTOCOL_41 |         \
     CAPABILITY_TRANSACTIONS | CAPABILITY_MULTI_RESULTS | CAPABILITY_PS_MULTI_RESULTS | \
     CAPABILITY_DEPRECATE_EOF)

/* The statements in their order. */
enum step {
    STEP_ACCOUNT,
    STEP_CLOCK,
    STEP_VARIABLES,
    STEP_STATUS,
    STEP_CREATE,
    STEP_GRANTS,
    STEPS
};

struct probe {
    struct upstream *upstream; /* NULL: not yet, or not any more */
    struct snapshot *snapshot;
    const struct database *database;
    const char *user;
    const char *schema;
    struct probe_facts *facts;
    void (*done)(void *arg);
    void *arg;
    uv_timer_t timer;
    bool finished;
    bool between; /* logged in, and no statement is under way */
    uint32_t capabilities;
    enum step step;
    int64_t asked_us; /* wall time at which the statement went out */
    struct text_result result;
};

/* --- texts --- */

/* A text of the server's: cut, and made valid UTF-8. */
static void take_text(char *out, size_t size, struct byte_view text)
{
    size_t used = 0;
    for (size_t i = 0; i < text.length && text.data[i];) {
        size_t sequence = utf8_sequence(text.data + i, text.length - i);
        size_t wanted = sequence ? sequence : 1;
        if (used + wanted >= size)
            break;
        if (sequence)
            memcpy(out + used, text.data + i, sequence);
        else
            out[used] = '?';
        used += wanted;
        i += wanted;
    }
    out[used] = '\0';
}

static void take_words(char *out, size_t size, const char *text)
{
    take_text(out, size, byte_view_of(text));
}

/* --- the end --- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;
    void (*done)(void *arg) = probe->done;
    void *arg = probe->arg;
    text_result_release(&probe->result);
    snapshot_unref(probe->snapshot);
    free(probe);
    done(arg);
}

/* The one way out; safe to enter twice. */
static void finish(struct probe *probe)
{
    if (probe->finished)
        return;
    probe->finished = true;
    if (probe->upstream)
        upstream_close(probe->upstream, probe->between);
    probe->upstream = NULL;
    uv_close((uv_handle_t *)&probe->timer, on_timer_closed);
}

static void fail(struct probe *probe, enum probe_fault fault, const char *message)
{
    struct probe_facts *facts = probe->facts;
    if (facts->fault == PROBE_FAULT_NONE) {
        facts->fault = fault;
        take_words(facts->message, sizeof facts->message, message);
    }
    finish(probe);
}

static void fail_with_err(struct probe *probe, uint16_t code, const char *sqlstate,
                          struct byte_view message)
{
    struct probe_facts *facts = probe->facts;
    char text[PROBE_TEXT_SIZE];
    facts->error_code = code;
    take_words(facts->sqlstate, sizeof facts->sqlstate, sqlstate);
    take_text(text, sizeof text, message);
    fail(probe, probe_fault_of_error(code), text);
}

/* --- facts of the connection --- */

static void note_server(struct probe *probe, const struct stream *stream)
{
    struct probe_certificate *server = &probe->facts->server;
    const struct identity *peer = stream_peer(stream);
    if (!peer)
        peer = stream_refused_peer(stream);
    diagnose_peer_names(stream, server->names);
    if (!peer)
        return;
    take_words(server->subject, sizeof server->subject, peer->subject);
    server->not_after_us = peer->not_after_us;
}

/* Whatever the connection tells so far, failed or not. */
static void note_connection(struct probe *probe)
{
    struct probe_facts *facts = probe->facts;
    const struct stream *stream = probe->upstream ? upstream_stream(probe->upstream) : NULL;
    if (!stream)
        return;
    enum upstream_stage stage = upstream_stage(probe->upstream);
    facts->connected = stage >= UPSTREAM_GREETING;
    take_words(facts->address, sizeof facts->address, stream_peer_address(stream));
    facts->secured = stage >= UPSTREAM_LOGIN;
    if (stage < UPSTREAM_SECURING)
        return;
    note_server(probe, stream);
    if (facts->secured)
        take_words(facts->cipher, sizeof facts->cipher, stream_cipher(stream));
}

/* --- statements --- */

static const char show_variables[] =
    "SHOW VARIABLES WHERE Variable_name IN ('max_allowed_packet', 'require_secure_transport', "
    "'version_comment')";

static const char *const statements[STEPS] = {
    [STEP_ACCOUNT] = "SELECT CURRENT_USER(), USER()",
    [STEP_CLOCK] = "SELECT UTC_TIMESTAMP(6)",
    [STEP_VARIABLES] = show_variables,
    [STEP_STATUS] = "SHOW STATUS WHERE Variable_name = 'Ssl_verify_mode'",
    [STEP_CREATE] = "SHOW CREATE USER CURRENT_USER()",
    [STEP_GRANTS] = "SHOW GRANTS FOR CURRENT_USER()",
};

static void ask(struct probe *probe)
{
    const char *statement = statements[probe->step];
    struct buffer packet;
    struct error err = {0};
    buffer_init(&packet, 1024);
    text_result_init(&probe->result, probe->capabilities);
    struct packet_writer writer = packet_begin(&packet, 0);
    byte_writer_u8(&writer.payload, COMMAND_QUERY);
    byte_writer_bytes(&writer.payload, statement, strlen(statement));
    probe->asked_us = clock_wall_us();
    probe->between = false;
    bool sent = packet_end(&writer, &err) &&
                upstream_write(probe->upstream,
                               byte_view(buffer_bytes(&packet), buffer_length(&packet)), &err);
    buffer_release(&packet);
    if (!sent)
        fail(probe, PROBE_FAULT_LOST, err.message);
}

static bool value_is(const struct text_result *result, size_t row, size_t column, const char *text)
{
    struct byte_view value;
    return text_result_value(result, row, column, &value) && byte_view_equals(value, text);
}

static void note_value(const struct text_result *result, size_t row, size_t column, char *out,
                       size_t size)
{
    struct byte_view value = byte_view(NULL, 0);
    if (text_result_value(result, row, column, &value))
        take_text(out, size, value);
}

/* A whole number of digits; 0 where it is none. */
static uint64_t number_of(const struct text_result *result, size_t row, size_t column)
{
    char text[24] = "";
    note_value(result, row, column, text, sizeof text);
    return strspn(text, "0123456789") == strlen(text) ? strtoull(text, NULL, 10) : 0;
}

static enum probe_answer answer_of(const struct text_result *result, size_t row, size_t column)
{
    if (value_is(result, row, column, "ON") || value_is(result, row, column, "1"))
        return PROBE_YES;
    return value_is(result, row, column, "OFF") || value_is(result, row, column, "0")
               ? PROBE_NO
               : PROBE_UNKNOWN;
}

static void note_variables(struct probe *probe)
{
    struct probe_facts *facts = probe->facts;
    const struct text_result *result = &probe->result;
    for (size_t row = 0; row < result->rows && row < TEXT_RESULT_ROWS_MAX; row++) {
        if (value_is(result, row, 0, "max_allowed_packet"))
            facts->max_allowed_packet = number_of(result, row, 1);
        else if (value_is(result, row, 0, "require_secure_transport"))
            facts->secure_transport = answer_of(result, row, 1);
        else if (value_is(result, row, 0, "version_comment"))
            note_value(result, row, 1, facts->version_comment, sizeof facts->version_comment);
    }
}

/* OpenSSL's SSL_VERIFY_PEER is bit 0. */
static void note_status(struct probe *probe)
{
    char text[24] = "";
    note_value(&probe->result, 0, 1, text, sizeof text);
    if (text[0] >= '0' && text[0] <= '9')
        probe->facts->asks_certificate = number_of(&probe->result, 0, 1) & 1 ? PROBE_YES : PROBE_NO;
}

/* "2026-01-31 23:59:59.123456", of a moment between the question and the answer. */
static void note_clock(struct probe *probe)
{
    struct probe_facts *facts = probe->facts;
    int64_t answered_us = clock_wall_us();
    char told[CLOCK_TIME_SIZE - 1] = "";
    char text[CLOCK_TIME_SIZE + 8];
    int64_t server_us;
    note_value(&probe->result, 0, 0, told, sizeof told);
    (void)snprintf(text, sizeof text, "%.10sT%sZ", told, strlen(told) > 11 ? told + 11 : "");
    if (answered_us < probe->asked_us || !clock_parse(text, &server_us, NULL))
        return;
    facts->has_skew = true;
    facts->skew_within_us = (answered_us - probe->asked_us) / 2;
    facts->skew_us = server_us - probe->asked_us - facts->skew_within_us;
}

static void note_require(struct probe *probe)
{
    struct byte_view statement;
    if (!probe->result.failed && text_result_value(&probe->result, 0, 0, &statement))
        require_clause_read(statement, &probe->facts->require);
}

static void note_answer(struct probe *probe)
{
    struct probe_facts *facts = probe->facts;
    switch (probe->step) {
    case STEP_ACCOUNT:
        note_value(&probe->result, 0, 0, facts->current_user, sizeof facts->current_user);
        note_value(&probe->result, 0, 1, facts->login_user, sizeof facts->login_user);
        break;
    case STEP_CLOCK:
        note_clock(probe);
        break;
    case STEP_VARIABLES:
        note_variables(probe);
        break;
    case STEP_STATUS:
        note_status(probe);
        break;
    default:
        note_require(probe);
    }
}

/* Servers that do not know SHOW CREATE USER (1064) tell the clause in SHOW GRANTS. */
static enum step step_after(const struct probe *probe)
{
    bool old = probe->step == STEP_CREATE && probe->result.failed && probe->result.code == 1064;
    return probe->step == STEP_CREATE && !old ? STEPS : probe->step + 1;
}

static void on_answer(struct probe *probe)
{
    const struct text_result *result = &probe->result;
    probe->between = true;
    if (result->failed && probe->step == STEP_ACCOUNT) {
        fail_with_err(probe, result->code, result->sqlstate, byte_view_of(result->message));
        return;
    }
    if (!result->failed)
        note_answer(probe);
    probe->step = step_after(probe);
    text_result_release(&probe->result);
    if (probe->step == STEPS)
        finish(probe);
    else
        ask(probe);
}

/* --- events --- */

static void log_in(struct probe *probe)
{
    const struct handshake_greeting *greeting = upstream_greeting(probe->upstream);
    struct handshake_login login = {.capabilities = PROBE_CAPABILITIES,
                                    .max_packet = PACKET_PAYLOAD_MAX,
                                    .collation = PROBE_COLLATION};
    struct error err = {0};
    (void)snprintf(login.user, sizeof login.user, "%s", probe->user);
    (void)snprintf(login.schema, sizeof login.schema, "%s", probe->schema);
    probe->capabilities = capability_login(greeting->capabilities, login.capabilities, true, false);
    if (!upstream_login(probe->upstream, &login, &err))
        fail(probe,
             greeting->capabilities & CAPABILITY_SSL ? PROBE_FAULT_PROTOCOL : PROBE_FAULT_NO_TLS,
             err.message);
}

static void on_log_in(uv_timer_t *timer)
{
    log_in(timer->data);
}

/* The login waits for the event's end, as a session's does: the greeting is still in the input. */
static void on_greeted(void *owner, const struct handshake_greeting *greeting)
{
    struct probe *probe = owner;
    struct probe_facts *facts = probe->facts;
    struct handshake_greeting offered;
    static const uint8_t scramble[HANDSHAKE_SCRAMBLE_SIZE] = {'-'}; /* nobody gets to see it */
    facts->greeted = true;
    facts->vendor = greeting->vendor;
    take_words(facts->version, sizeof facts->version, greeting->version);
    handshake_greeting_for_client(greeting, true, scramble, &offered);
    facts->masked = greeting->capabilities & ~offered.capabilities;
    facts->masked_mariadb = greeting->mariadb_capabilities & ~offered.mariadb_capabilities;
    note_connection(probe);
    uv_timer_start(&probe->timer, on_log_in, 0, 0);
}

static void on_timeout(uv_timer_t *timer)
{
    struct probe *probe = timer->data;
    char message[256];
    (void)snprintf(message, sizeof message, "the database logged us in, and did not answer %s",
                   statements[probe->step]);
    fail(probe, PROBE_FAULT_TIMEOUT, message);
}

static void on_accepted(void *owner, struct byte_view ok)
{
    (void)ok;
    struct probe *probe = owner;
    probe->facts->accepted = true;
    note_connection(probe);
    take_words(probe->facts->plugin, sizeof probe->facts->plugin,
               upstream_auth_plugin(probe->upstream));
    uv_timer_start(&probe->timer, on_timeout,
                   (uint64_t)probe->snapshot->settings.proxy.limits.upstream_timeout_ms, 0);
    ask(probe);
}

/* It closes by itself when this returns. */
static void on_refused(void *owner, struct byte_view payload)
{
    struct probe *probe = owner;
    struct packet_err refusal;
    struct error err = {0};
    note_connection(probe);
    probe->upstream = NULL;
    if (packet_err_read(payload, &refusal, &err))
        fail_with_err(probe, refusal.code, refusal.sqlstate, refusal.message);
    else
        fail(probe, PROBE_FAULT_PROTOCOL, err.message);
}

static size_t on_data(void *owner, const uint8_t *data, size_t length)
{
    struct probe *probe = owner;
    struct error err = {0};
    bool done = false;
    if (probe->finished)
        return length;
    if (!text_result_feed(&probe->result, byte_view(data, length), &done, &err))
        fail(probe, PROBE_FAULT_PROTOCOL, err.message);
    else if (done)
        on_answer(probe);
    return length;
}

static void on_drained(void *owner)
{
    (void)owner; /* nothing is ever held back: the statements are short */
}

static enum probe_fault fault_of_greeting(const struct error *err)
{
    if (err->code == ERROR_TIMEOUT)
        return PROBE_FAULT_SILENT;
    return err->code == ERROR_UNSUPPORTED ? PROBE_FAULT_OLD_SERVER : PROBE_FAULT_NOT_MYSQL;
}

static enum probe_fault fault_of_dial(enum diagnosis diagnosis, const struct error *err)
{
    if (diagnosis == DIAGNOSIS_REFUSED)
        return PROBE_FAULT_REFUSED;
    return err->code == ERROR_TIMEOUT ? PROBE_FAULT_DIAL_TIMEOUT : PROBE_FAULT_UNREACHABLE;
}

/* Of a connection that is past its greeting. */
static enum probe_fault fault_of_talk(enum upstream_stage stage, const struct error *err)
{
    if (err->code == ERROR_TIMEOUT)
        return PROBE_FAULT_TIMEOUT;
    if (stage == UPSTREAM_LOGIN && err->code == ERROR_UNSUPPORTED)
        return PROBE_FAULT_PLUGIN;
    if (stage == UPSTREAM_SECURING)
        return PROBE_FAULT_TLS;
    bool lost = err->code == ERROR_CLOSED || err->code == ERROR_SYSTEM;
    return lost ? PROBE_FAULT_LOST : PROBE_FAULT_PROTOCOL;
}

/* The dates of the certificate that we have shown. */
static struct probe_time own_time(const struct probe *probe)
{
    const struct tls_context *tls = database_tls(probe->database, probe->user);
    return (struct probe_time){
        .not_before_us = tls ? tls_context_not_before_us(tls) : 0,
        .not_after_us = tls ? tls_context_not_after_us(tls) : 0,
        .now_us = clock_wall_us(),
    };
}

/* What is to be said of a loss: of dates, by how much. */
static void explain(const struct probe *probe, enum probe_fault fault, const char *words,
                    char out[PROBE_TEXT_SIZE])
{
    const struct stream *stream = upstream_stream(probe->upstream);
    const struct identity *server = stream ? stream_refused_peer(stream) : NULL;
    struct probe_time own = own_time(probe);
    if (fault == PROBE_FAULT_OWN_TIME) {
        probe_time_of_own(diagnose_stream(stream), &own, words, out, PROBE_TEXT_SIZE);
    } else if (fault == PROBE_FAULT_SERVER_TIME && server) {
        const struct probe_time time = {server->not_before_us, server->not_after_us, own.now_us};
        probe_time_of_server(&time, words, out, PROBE_TEXT_SIZE);
    } else {
        (void)snprintf(out, PROBE_TEXT_SIZE, "%s", words);
    }
}

static enum probe_fault fault_of_own(const struct probe *probe, enum diagnosis diagnosis)
{
    const struct probe_time own = own_time(probe);
    return probe_time_is_it(diagnosis, &own) ? PROBE_FAULT_OWN_TIME : PROBE_FAULT_OWN_CERTIFICATE;
}

static enum probe_fault fault_of_loss(const struct probe *probe, const struct error *err)
{
    const struct stream *stream = upstream_stream(probe->upstream);
    enum upstream_stage stage = upstream_stage(probe->upstream);
    enum diagnosis diagnosis = stream ? diagnose_stream(stream) : DIAGNOSIS_NONE;
    if (err->code == ERROR_MEMORY)
        return PROBE_FAULT_LOCAL;
    if (stage == UPSTREAM_RESOLVING)
        return PROBE_FAULT_RESOLVE;
    if (stage == UPSTREAM_DIALLING)
        return fault_of_dial(diagnosis, err);
    if (stage == UPSTREAM_GREETING && !probe->facts->greeted)
        return fault_of_greeting(err);
    switch (diagnosis) {
    case DIAGNOSIS_PEER_UNTRUSTED:
        return PROBE_FAULT_SERVER_UNTRUSTED;
    case DIAGNOSIS_PEER_NAME:
        return PROBE_FAULT_SERVER_NAME;
    case DIAGNOSIS_PEER_TIME:
        return PROBE_FAULT_SERVER_TIME;
    case DIAGNOSIS_PEER_CERTIFICATE:
        return PROBE_FAULT_SERVER_CERTIFICATE;
    case DIAGNOSIS_OWN_CERTIFICATE:
    case DIAGNOSIS_OWN_EXPIRED:
    case DIAGNOSIS_OWN_BAD:
        return fault_of_own(probe, diagnosis);
    case DIAGNOSIS_TLS:
        return PROBE_FAULT_TLS;
    default:
        return fault_of_talk(stage, err);
    }
}

static void on_lost(void *owner, enum upstream_fault fault, const struct error *err)
{
    (void)fault; /* the stage and the stream tell more */
    struct probe *probe = owner;
    note_connection(probe);
    enum probe_fault found = fault_of_loss(probe, err);
    char message[PROBE_TEXT_SIZE];
    explain(probe, found, err->message, message);
    probe->upstream = NULL;
    fail(probe, found, message);
}

static const struct upstream_events upstream_events = {
    .greeted = on_greeted,
    .accepted = on_accepted,
    .refused = on_refused,
    .data = on_data,
    .drained = on_drained,
    .lost = on_lost,
};

bool probe_start(struct upstream_home *home, struct snapshot *snapshot,
                 const struct database *database, const char *user, const char *schema,
                 struct probe_facts *facts, void (*done)(void *arg), void *arg, struct error *err)
{
    struct error why = {0};
    struct probe *probe = calloc(1, sizeof *probe);
    if (!probe)
        return error_set(err, ERROR_MEMORY, "out of memory");
    memset(facts, 0, sizeof *facts);
    probe->snapshot = snapshot_ref(snapshot);
    probe->database = database;
    probe->user = user;
    probe->schema = schema;
    probe->facts = facts;
    probe->done = done;
    probe->arg = arg;
    uv_timer_init(home->loop, &probe->timer);
    probe->timer.data = probe;
    text_result_init(&probe->result, 0);
    if (!upstream_open(home, snapshot, database, &upstream_events, probe, &probe->upstream, &why))
        fail(probe, why.code == ERROR_MEMORY ? PROBE_FAULT_LOCAL : PROBE_FAULT_UNREACHABLE,
             why.message);
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/announce.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/fields.h"
#include "control/peer.h"
#include "tls/hello.h"
#include "tls/proof.h"

#define FAMILY_TEXT_MAX 64 /* of any text under that key: hello_family_read() wants 32 */

struct announcer {
    struct announcer *next, *previous;
    struct worker *worker;
    struct control_peer *peer;
    struct error malformed; /* what it asked was: the answer says so, and is the last */
};

/* Who may extend sessions: a bot of the authority's, by a certificate of its own CA, not locked. */
static bool is_welcome(const struct announcer *announcer, const char **instance, struct error *err)
{
    const struct snapshot *snapshot = announcer->worker->snapshot;
    const struct authority_state *state = snapshot->provision->state;
    const struct identity *identity = control_peer_identity(announcer->peer);
    const char *bot;
    int64_t now_us = clock_wall_us();
    if (!identity || !authority_state_names(state, identity, &bot, instance) || !*instance ||
        !stream_trusted_by(control_peer_stream(announcer->peer), snapshot->bot_tls, NULL))
        return error_set(err, ERROR_DENIED, "only a bot of the authority may announce itself");
    if (!authority_state_bot(state, bot))
        return error_set(err, ERROR_DENIED, "the authority knows no bot %s", bot);
    const struct authority_lock *lock = authority_state_lock(state, LOCK_BOT, bot, now_us);
    if (!lock)
        lock = authority_state_lock(state, LOCK_INSTANCE, *instance, now_us);
    return !lock || error_set(err, ERROR_DENIED, "locked: %s", lock->reason);
}

static bool read_family(const cJSON *message, uint8_t family[HELLO_FAMILY_SIZE], struct error *err)
{
    const char *text;
    const struct control_field field = {
        .key = "family", .type = CONTROL_TEXT, .to.text = &text, .greatest = FAMILY_TEXT_MAX};
    return control_fields_read(message, CONTROL_KEYS_REQUEST, &field, 1, err) &&
           hello_family_read(text, family, err);
}

/* The sessions that may rely on the certificate from now on. */
static bool prove(const struct announcer *announcer, const struct registry_who *who,
                  uint64_t *sessions, struct error *err)
{
    struct proof *proof;
    if (!proof_of_stream(control_peer_stream(announcer->peer), &proof, err))
        return false;
    *sessions = registry_prove(announcer->worker->shared->registry, who, proof);
    proof_unref(proof);
    return true;
}

static cJSON *answer_announce(struct announcer *announcer, const cJSON *message, uint64_t id)
{
    uint8_t family[HELLO_FAMILY_SIZE];
    uint64_t sessions = 0;
    struct registry_who who = {.family = family};
    struct error err = {0};
    if (!is_welcome(announcer, &who.instance, &err))
        return control_error(id, CONTROL_NOT_ALLOWED, err.message);
    if (!read_family(message, family, &announcer->malformed))
        return control_error(id, CONTROL_MALFORMED, announcer->malformed.message);
    const struct identity *identity = control_peer_identity(announcer->peer);
    who.bot = identity->bot;
    if (!prove(announcer, &who, &sessions, &err))
        return control_error(id, CONTROL_INTERNAL, err.message);
    log_debug("a renewed certificate was announced", "bot", identity->bot, NULL);
    cJSON *ok = cJSON_CreateObject();
    if (ok && control_put_unsigned(ok, "sessions", sessions))
        return control_answer(id, ok);
    cJSON_Delete(ok);
    return NULL;
}

static cJSON *answer_hello(const struct announcer *announcer, uint64_t id)
{
    const struct identity *identity = control_peer_identity(announcer->peer);
    cJSON *ok = cJSON_CreateObject();
    if (ok && control_put_text(ok, "software", "sallyport") &&
        control_put_text(ok, "trust_domain",
                         announcer->worker->snapshot->provision->state->trust_domain) &&
        control_put_text(ok, "peer", control_peer_kind_name(CONTROL_BOT_AT_PROXY)) &&
        control_put_text(ok, "name", identity->bot) &&
        control_put_time(ok, "time", clock_wall_us()))
        return control_answer(id, ok);
    cJSON_Delete(ok);
    return NULL;
}

static cJSON *answer(struct announcer *announcer, const cJSON *message,
                     const struct control_head *head)
{
    if (strcmp(head->name, "announce") == 0)
        return answer_announce(announcer, message, head->id);
    if (strcmp(head->name, "hello") == 0)
        return answer_hello(announcer, head->id);
    if (control_known(head->name))
        return control_error(head->id, CONTROL_NOT_ALLOWED, "ask the authority, not a proxy");
    return control_error(head->id, CONTROL_UNKNOWN_REQUEST, "there is no such request");
}

static void on_message(struct control_peer *peer, void *owner, const cJSON *message,
                       const struct control_head *head)
{
    struct announcer *announcer = owner;
    struct error err = {0};
    if (!control_peer_send_new(peer, answer(announcer, message, head), &err))
        control_peer_close(peer, &err);
    else if (announcer->malformed.code != ERROR_NONE)
        control_peer_close(peer, &announcer->malformed);
}

static void on_closed(struct control_peer *peer, void *owner, const struct error *reason)
{
    (void)peer;
    (void)reason;
    struct announcer *announcer = owner;
    if (announcer->previous)
        announcer->previous->next = announcer->next;
    else
        announcer->worker->announcers = announcer->next;
    if (announcer->next)
        announcer->next->previous = announcer->previous;
    announcer->worker->announcer_count--;
    free(announcer);
}

static const struct control_peer_events events = {
    .message = on_message,
    .closed = on_closed,
};

bool announce_adopt(struct worker *worker, struct stream *stream, struct error *err)
{
    if (worker->announcer_count == ANNOUNCE_MAX)
        return error_set(err, ERROR_LIMIT, "too many tunnels announce themselves at once");
    struct announcer *announcer = calloc(1, sizeof *announcer);
    if (!announcer)
        return error_set(err, ERROR_MEMORY, "out of memory");
    announcer->worker = worker;
    if (!control_peer_adopt(stream, &worker->loop, CONTROL_ANSWERS, &events, announcer,
                            &announcer->peer, err)) {
        free(announcer);
        return false;
    }
    control_peer_set_idle(announcer->peer, ANNOUNCE_IDLE_MS);
    announcer->next = worker->announcers;
    if (announcer->next)
        announcer->next->previous = announcer;
    worker->announcers = announcer;
    worker->announcer_count++;
    return true;
}

void announce_close_all(struct worker *worker)
{
    for (struct announcer *announcer = worker->announcers; announcer; announcer = announcer->next)
        control_peer_close(announcer->peer, NULL);
}

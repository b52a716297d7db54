/* SPDX-License-Identifier: Apache-2.0 */
/* The session's questions to the policy, and about its certificate. */
#include <string.h>

#include "base/clock.h"
#include "proxy/session_internal.h"

struct registry_who session_who(const struct session *session)
{
    return (struct registry_who){session_bot(session), session->instance,
                                 session->has_family ? session->family : NULL};
}

/* --- the certificate --- */

/* Each session judges by what it trusts itself: who took the announcement may trust others still,
 * or others already. */
static bool trusts(const struct session *session, const struct proof *proof, struct error *err)
{
    const struct tls_context *bots = session->snapshot->bot_tls;
    if (!bots)
        return error_set(err, ERROR_DENIED, "no authority's bots are trusted any more");
    return proof_trusted_by(proof, bots, err);
}

void session_renew(struct session *session)
{
    const struct registry_who who = session_who(session);
    if (!session->has_family || !session->instance || !session->logged_in)
        return;
    struct proof *proof = registry_proof(session->worker->shared->registry, &who);
    if (proof && proof != session->proof && trusts(session, proof, NULL)) {
        proof_unref(session->proof);
        session->proof = proof_ref(proof);
    }
    proof_unref(proof);
}

static bool is_renewed(const struct session *session)
{
    return session->proof &&
           proof_not_after_us(session->proof) > stream_peer(session->client)->not_after_us;
}

int64_t session_certificate_until(const struct session *session)
{
    return is_renewed(session) ? proof_not_after_us(session->proof)
                               : stream_peer(session->client)->not_after_us;
}

bool session_check_certificate(struct session *session, struct error *err)
{
    const struct identity *peer = stream_peer(session->client);
    char time[CLOCK_TIME_SIZE];
    if (!peer)
        return error_set(err, ERROR_STATE, "no certificate was verified");
    session_renew(session);
    int64_t until_us = session_certificate_until(session);
    if (clock_wall_us() < until_us)
        return true;
    clock_format(until_us, time);
    return error_set(err, ERROR_DENIED, "the certificate expired on %s: renew it", time);
}

bool session_keeps_certificate(struct session *session, struct error *err)
{
    if (!session_check_certificate(session, err))
        return false;
    if (is_renewed(session))
        return trusts(session, session->proof, err);
    return stream_trusted_by(session->client, session->snapshot->server_tls, err);
}

/* --- bots of the authority --- */

/*
 * Only a certificate that the authority's own bot CA signed names one of its bots, whatever names
 * stand in another's.
 */
static const char *authority_name(struct session *session)
{
    const struct snapshot *snapshot = session->snapshot;
    const char *bot;
    if (!snapshot->provision ||
        !authority_state_names(snapshot->provision->state, stream_peer(session->client), &bot,
                               &session->instance))
        return NULL;
    bool alone = !snapshot->settings.proxy.has_tls;
    session->of_authority = session->of_authority || alone ||
                            stream_trusted_by(session->client, snapshot->bot_tls, NULL);
    if (session->of_authority)
        return bot;
    session->instance = NULL;
    return NULL;
}

/* The roles that the authority says the bot has now; what the certificate says may be an hour old.
 */
static bool map_authority_bot(struct session *session, const char *name, struct error *err)
{
    const struct authority_bot *bot =
        authority_state_bot(session->snapshot->provision->state, name);
    session->roles.count = 0;
    if (!bot)
        return error_set(err, ERROR_DENIED, "the authority knows no bot %s", name);
    for (size_t i = 0; i < bot->role_count && session->roles.count < AUTHZ_ROLES_MAX; i++) {
        struct authz_roles one;
        authz_role_alone(session->snapshot->policy, bot->roles[i], &one);
        if (one.count > 0)
            session->roles.roles[session->roles.count++] = one.roles[0];
    }
    if (session->roles.count > 0)
        return true;
    return error_set(err, ERROR_DENIED, "bot %s has no role that exists", name);
}

static const struct authority_lock *lock_of(const struct session *session)
{
    const struct authority_state *state = session->snapshot->provision->state;
    int64_t now_us = clock_wall_us();
    const struct authority_lock *lock =
        authority_state_lock(state, LOCK_BOT, session_bot(session), now_us);
    if (!lock && session->instance)
        lock = authority_state_lock(state, LOCK_INSTANCE, session->instance, now_us);
    for (size_t i = 0; !lock && i < session->roles.count; i++)
        lock = authority_state_lock(state, LOCK_ROLE, authz_role_name(session->roles.roles[i]),
                                    now_us);
    if (!lock && session->database)
        lock = authority_state_lock(state, LOCK_DATABASE, session->database->name, now_us);
    return lock;
}

bool session_check_locks(const struct session *session, struct error *err)
{
    static const char *const kinds[] = {
        [LOCK_BOT] = "bot",
        [LOCK_INSTANCE] = "bot instance",
        [LOCK_ROLE] = "role",
        [LOCK_DATABASE] = "database",
    };
    if (!session->snapshot->provision)
        return true;
    const struct authority_lock *lock = lock_of(session);
    if (lock)
        return error_set(err, ERROR_DENIED, "%s %s is locked: %s", kinds[lock->kind], lock->target,
                         lock->reason);
    if (session->snapshot->provision->stale && !session->started)
        return error_set(err, ERROR_DENIED,
                         "the proxy has heard nothing of its authority for too long, and takes no "
                         "new sessions");
    return true;
}

bool session_map_roles(struct session *session, struct error *err)
{
    const struct identity *peer = stream_peer(session->client);
    if (!peer)
        return error_set(err, ERROR_STATE, "no certificate was verified");
    const char *bot = authority_name(session);
    if (bot)
        return map_authority_bot(session, bot, err);
    struct authz_attribute attributes[IDENTITY_ATTRIBUTES_MAX];
    for (size_t i = 0; i < peer->attribute_count; i++)
        attributes[i] =
            (struct authz_attribute){peer->attributes[i].type, peer->attributes[i].value};
    const struct authz_subject subject = {
        .attributes = attributes,
        .attribute_count = peer->attribute_count,
        .san_uris = peer->san_uris,
        .san_uri_count = peer->san_uri_count,
    };
    return authz_map(session->snapshot->policy, &subject, &session->roles, err);
}

struct authz_request session_request(const struct session *session, const char *mysql_user,
                                     const char *schema)
{
    const struct database *database = session->database;
    return (struct authz_request){
        .database = database->name,
        .labels = database->labels,
        .label_count = database->label_count,
        .mysql_user = mysql_user,
        .schema = schema,
    };
}

void session_decide(const struct session *session, const char *mysql_user, const char *schema,
                    struct authz_decision *decision)
{
    const struct authz_request request = session_request(session, mysql_user, schema);
    authz_decide(&session->roles, &request, decision);
}

bool session_allows(const struct session *session, const char *mysql_user,
                    enum authz_feature feature, struct authz_decision *decision)
{
    const struct authz_request request = session_request(session, mysql_user, NULL);
    authz_decide_feature(&session->roles, &request, feature, decision);
    return decision->allowed;
}

bool session_judge_login(struct session *session, const struct handshake_login *login,
                         struct login_verdict *verdict)
{
    struct error err = {0};
    *verdict = (struct login_verdict){.code = 1045, .sqlstate = "28000"};
    if (!session_check_certificate(session, &err) || !session_check_locks(session, &err)) {
        memcpy(verdict->decision.rule, err.message, sizeof verdict->decision.rule - 1);
        return false;
    }
    session_decide(session, login->user, NULL, &verdict->decision);
    if (!verdict->decision.allowed)
        return false;
    verdict->code = 1044;
    verdict->sqlstate = "42000";
    if (login->schema[0])
        session_decide(session, login->user, login->schema, &verdict->decision);
    return verdict->decision.allowed;
}

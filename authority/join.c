/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/join.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "authority/ca.h"
#include "authority/lock.h"
#include "authority/random.h"
#include "authority/standing.h"
#include "authority/token.h"

/* What a decision works with. */
struct joining {
    struct authority *authority;
    int64_t now_us;
    struct authority_identity *out;
    struct authority_refusal *refusal;
    struct error *err;
};

/* --- a bot's new instance --- */

struct living {
    int64_t now_us;
    size_t count;
};

static bool count_living(const struct store_instance *instance, void *context)
{
    struct living *living = context;
    if (instance->not_after_us > living->now_us)
        living->count++;
    return true;
}

static bool check_count(const struct joining *joining, const char *bot)
{
    struct living living = {.now_us = joining->now_us};
    if (!store_instance_each(joining->authority->store, bot, count_living, &living, joining->err))
        return false;
    return living.count < AUTHORITY_INSTANCES_MAX ||
           authority_refuse(joining->refusal, CONTROL_CONFLICT,
                            "bot %s has %zu instances already: let some expire first", bot,
                            living.count);
}

/* Asked about who has proven to be the bot, and no stranger; and not where a token is used for the
 * first time: people make those one by one, and a fleet may join at once. */
static bool check_pace(const struct joining *joining, const char *who, const char *name)
{
    const struct authority *authority = joining->authority;
    if (!authority->admits || authority->admits(authority->admits_context, who))
        return true;
    snprintf(joining->out->name, sizeof joining->out->name, "%s", name);
    return authority_refuse(joining->refusal, CONTROL_BUSY,
                            "%s joins too often: try again in a minute", name);
}

/* No bot has a blank in its name. */
static bool check_pace_of_proxy(const struct joining *joining, const char *name)
{
    char who[STORE_NAME_SIZE + sizeof "proxy "];
    snprintf(who, sizeof who, "proxy %s", name);
    return check_pace(joining, who, name);
}

static bool check_bot(const struct joining *joining, const struct store_bot *bot)
{
    return authority_bot_check(joining->authority, bot, NULL, joining->now_us, joining->refusal,
                               joining->err) &&
           check_count(joining, bot->name);
}

static bool issue_for(const struct joining *joining, const struct store_bot *bot,
                      const struct tls_request *request)
{
    struct authority_identity *out = joining->out;
    out->generation = 1;
    out->ca = authority_ca_bundle(joining->authority, STORE_AUTHORITY_SERVICE);
    snprintf(out->name, sizeof out->name, "%s", bot->name);
    const struct authority_bot_certificate wanted = {bot, out->instance, out->generation};
    return authority_issue_bot(joining->authority, tls_request_public(request), &wanted,
                               joining->now_us, &out->certificate, joining->err);
}

/* All that can be refused has been. */
static bool make_instance(const struct joining *joining, const struct store_bot *bot,
                          const struct tls_request *request, const char *joined_by)
{
    struct authority_identity *out = joining->out;
    random_instance(out->instance);
    if (!issue_for(joining, bot, request))
        return false;
    struct store_instance row = {
        .generation = out->generation,
        .created_us = joining->now_us,
        .seen_us = joining->now_us,
        .not_after_us = out->certificate.not_after_us,
    };
    memcpy(row.id, out->instance, sizeof row.id);
    memcpy(row.bot, out->name, sizeof row.bot);
    memcpy(row.serial, out->certificate.serial, sizeof row.serial);
    snprintf(row.joined_by, sizeof row.joined_by, "%s", joined_by);
    return store_instance_add(joining->authority->store, &row, joining->err);
}

/* --- by a token --- */

static void write_pin(const struct tls_request *request, char out[STORE_PIN_SIZE])
{
    uint8_t pin[TLS_PIN_SIZE];
    tls_public_pin(tls_request_public(request), pin);
    (void)sodium_bin2hex(out, STORE_PIN_SIZE, pin, sizeof pin);
}

/* For whom the token was used, so that he can ask again. */
static bool note_use(const struct joining *joining, const struct store_token *token,
                     const struct tls_request *request)
{
    char pin[STORE_PIN_SIZE];
    write_pin(request, pin);
    return store_token_note(joining->authority->store, token->id, pin,
                            joining->out->certificate.serial, joining->err);
}

/* A used token is good for nobody but whose key joined with it. */
static bool check_same_key(const struct joining *joining, const struct store_token *token,
                           const struct tls_request *request)
{
    char pin[STORE_PIN_SIZE];
    write_pin(request, pin);
    return strcmp(token->used_key, pin) == 0 ||
           authority_token_refuse_used(token, " by another key", joining->refusal);
}

static bool refuse_in_use(const struct joining *joining, const struct store_token *token)
{
    return authority_token_refuse_used(token, ", and its certificate is in use", joining->refusal);
}

/* Whether what the first answer brought was never seen. */
static bool find_unseen(const struct joining *joining, const struct store_token *token,
                        struct store_instance *instance)
{
    enum store_serial which;
    struct error cause = {0};
    bool found = store_instance_find_serial(joining->authority->store, token->used_serial, instance,
                                            &which, &cause);
    if (!found && cause.code != ERROR_NOT_FOUND) {
        *joining->err = cause;
        return false;
    }
    return (found && which == STORE_SERIAL_CURRENT && !instance->confirmed) ||
           refuse_in_use(joining, token);
}

static bool replace_first(const struct joining *joining, const struct store_instance *instance)
{
    const struct authority_certificate *certificate = &joining->out->certificate;
    const struct store_next next = {certificate->serial, certificate->not_after_us,
                                    joining->now_us};
    bool done;
    return store_instance_replace(joining->authority->store, instance->id, instance->serial, &next,
                                  &done, joining->err) &&
           (done || error_set(joining->err, ERROR_STATE,
                              "instance %s changed within one transaction", instance->id));
}

static bool join_bot_again(const struct joining *joining, const struct store_token *token,
                           const struct tls_request *request)
{
    struct store_bot bot;
    struct store_instance instance;
    if (!check_same_key(joining, token, request) || !find_unseen(joining, token, &instance) ||
        !store_bot_find(joining->authority->store, token->name, &bot, joining->err) ||
        !check_pace(joining, bot.name, bot.name) ||
        !authority_bot_check(joining->authority, &bot, &instance, joining->now_us, joining->refusal,
                             joining->err))
        return false;
    joining->out->again = true;
    memcpy(joining->out->instance, instance.id, sizeof instance.id);
    return issue_for(joining, &bot, request) && replace_first(joining, &instance) &&
           note_use(joining, token, request);
}

static bool use_for_bot(const struct joining *joining, const struct store_token *token,
                        const struct tls_request *request, const char *address)
{
    struct store_bot bot;
    char joined_by[STORE_JOINED_SIZE];
    snprintf(joined_by, sizeof joined_by, "token %s", token->id);
    /* A token goes with its bot: that there is none is a fault. */
    return store_bot_find(joining->authority->store, token->name, &bot, joining->err) &&
           check_bot(joining, &bot) &&
           authority_token_use(joining->authority, token, address, joining->now_us,
                               joining->refusal, joining->err) &&
           make_instance(joining, &bot, request, joined_by) && note_use(joining, token, request);
}

static bool join_bot(const struct joining *joining, const char *text, const char *csr,
                     const char *address)
{
    struct store_token token;
    struct tls_request *request = NULL;
    if (!authority_token_check(joining->authority, text, STORE_TOKEN_BOT, joining->now_us, &token,
                               joining->refusal, joining->err) ||
        !authority_read_csr(csr, &request, joining->refusal, joining->err))
        return false;
    bool done = token.used_us ? join_bot_again(joining, &token, request)
                              : use_for_bot(joining, &token, request, address);
    tls_request_free(request);
    return done;
}

bool authority_join(struct authority *authority, const char *token, const char *csr,
                    const char *address, int64_t now_us, struct authority_identity *out,
                    struct authority_refusal *refusal, struct error *err)
{
    const struct joining joining = {authority, now_us, out, refusal, err};
    bool own;
    refusal->code = CONTROL_NO_ERROR;
    out->again = false;
    if (!authority_enter(authority, &own, err))
        return false;
    return authority_leave(authority, own, join_bot(&joining, token, csr, address), refusal, err);
}

/* --- by a bound key --- */

bool authority_challenge_make(struct authority_challenge *challenge, const char *bot,
                              int64_t now_us, struct authority_refusal *refusal)
{
    *challenge = (struct authority_challenge){0};
    refusal->code = CONTROL_NO_ERROR;
    if (!authority_name_check("bot", bot, refusal))
        return false;
    snprintf(challenge->bot, sizeof challenge->bot, "%s", bot);
    random_bytes(challenge->nonce, sizeof challenge->nonce);
    challenge->until_us = now_us + AUTHORITY_CHALLENGE_TTL;
    challenge->open = true;
    return true;
}

static bool check_challenge(const struct joining *joining,
                            const struct authority_challenge *challenge, const char *bot)
{
    if (challenge->open && joining->now_us < challenge->until_us &&
        strcmp(challenge->bot, bot) == 0)
        return true;
    return authority_refuse(joining->refusal, CONTROL_NOT_ALLOWED,
                            "there is no challenge for this bot on this connection, or it is older "
                            "than a minute: ask for one first");
}

static void hash_join(const struct authority_challenge *challenge,
                      const struct tls_request *request, uint8_t digest[TLS_DIGEST_SIZE])
{
    const uint8_t *der;
    size_t length;
    crypto_hash_sha256_state state;
    tls_request_der(request, &der, &length);
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const uint8_t *)AUTHORITY_JOIN_KEY_LABEL,
                              sizeof AUTHORITY_JOIN_KEY_LABEL - 1);
    crypto_hash_sha256_update(&state, (const uint8_t *)challenge->bot, strlen(challenge->bot));
    crypto_hash_sha256_update(&state, (const uint8_t *)"\n", 1);
    crypto_hash_sha256_update(&state, challenge->nonce, sizeof challenge->nonce);
    crypto_hash_sha256_update(&state, der, length);
    crypto_hash_sha256_final(&state, digest);
}

/* Whether the bot's key made the signature; a bot without a key proves nothing. */
static bool verify(const struct store_bot *bot, const struct authority_challenge *challenge,
                   const struct authority_join_key *join, const struct tls_request *request,
                   bool *proven, struct error *err)
{
    uint8_t digest[TLS_DIGEST_SIZE];
    struct tls_public *key = NULL;
    struct error cause = {0};
    *proven = false;
    if (bot->public_key[0] == '\0')
        return true;
    if (!tls_public_parse(bot->public_key, strlen(bot->public_key), &key, err))
        return error_wrap(err, "the public key of bot %s in the store", bot->name);
    hash_join(challenge, request, digest);
    *proven = tls_public_verify(key, digest, join->signature, join->signature_length, &cause);
    tls_public_free(key);
    if (*proven || cause.code == ERROR_DENIED)
        return true;
    *err = cause;
    return false;
}

static bool prove_bot(const struct joining *joining, const struct authority_challenge *challenge,
                      const struct authority_join_key *join, const struct tls_request *request,
                      struct store_bot *bot)
{
    struct error cause = {0};
    bool proven = false;
    bool known = store_bot_find(joining->authority->store, join->bot, bot, &cause);
    if (!known && cause.code != ERROR_NOT_FOUND) {
        *joining->err = cause;
        return false;
    }
    if (known && !verify(bot, challenge, join, request, &proven, joining->err))
        return false;
    return proven || authority_refuse(joining->refusal, CONTROL_UNKNOWN_BOT,
                                      "there is no bot %s with this key", join->bot);
}

static bool join_key(const struct joining *joining, const struct authority_challenge *challenge,
                     const struct authority_join_key *join)
{
    struct tls_request *request = NULL;
    struct store_bot bot;
    if (!check_challenge(joining, challenge, join->bot) ||
        !authority_read_csr(join->csr, &request, joining->refusal, joining->err))
        return false;
    bool done = prove_bot(joining, challenge, join, request, &bot) &&
                check_pace(joining, bot.name, bot.name) && check_bot(joining, &bot) &&
                make_instance(joining, &bot, request, "key");
    tls_request_free(request);
    return done;
}

bool authority_join_key(struct authority *authority, struct authority_challenge *challenge,
                        const struct authority_join_key *join, int64_t now_us,
                        struct authority_identity *out, struct authority_refusal *refusal,
                        struct error *err)
{
    const struct joining joining = {authority, now_us, out, refusal, err};
    const struct authority_challenge used = *challenge;
    bool own;
    *challenge = (struct authority_challenge){0};
    refusal->code = CONTROL_NO_ERROR;
    out->again = false;
    if (!authority_enter(authority, &own, err))
        return false;
    return authority_leave(authority, own, join_key(&joining, &used, join), refusal, err);
}

/* --- a proxy --- */

static bool check_proxy(const struct joining *joining, const struct authority_join_proxy *join,
                        const struct store_token *token)
{
    const struct authority_lock_query query = {.proxy = token->name};
    if (!authority_name_check("proxy", join->name, joining->refusal))
        return false;
    if (strcmp(join->name, token->name) != 0)
        return authority_refuse(joining->refusal, CONTROL_INVALID,
                                "this token is for the proxy %s, not for %s", token->name,
                                join->name);
    return authority_lock_check(joining->authority, &query, joining->now_us, joining->refusal,
                                joining->err);
}

static bool check_unseen_proxy(const struct joining *joining, const struct store_token *token)
{
    struct store_proxy proxy;
    struct error cause = {0};
    bool found = store_proxy_find(joining->authority->store, token->name, &proxy, &cause);
    if (!found && cause.code != ERROR_NOT_FOUND) {
        *joining->err = cause;
        return false;
    }
    return (found && !proxy.confirmed && strcmp(proxy.serial, token->used_serial) == 0) ||
           refuse_in_use(joining, token);
}

/* Uses the token, or finds that the same proxy used it and lost the answer. */
static bool use_proxy_token(const struct joining *joining, const struct authority_join_proxy *join,
                            const struct store_token *token, const struct tls_request *request)
{
    joining->out->again = token->used_us != 0;
    if (joining->out->again)
        return check_same_key(joining, token, request) && check_unseen_proxy(joining, token) &&
               check_pace_of_proxy(joining, token->name);
    return authority_token_use(joining->authority, token, join->address, joining->now_us,
                               joining->refusal, joining->err);
}

static bool use_for_proxy(const struct joining *joining, const struct authority_join_proxy *join,
                          const struct store_token *token, const struct tls_request *request)
{
    struct authority_hosts hosts;
    return check_proxy(joining, join, token) &&
           authority_hosts_read(join->hosts, join->host_count, &hosts, joining->refusal) &&
           authority_proxy_hosts_check(joining->authority, join->name, &hosts, INT64_MAX,
                                       joining->refusal, joining->err) &&
           use_proxy_token(joining, join, token, request) &&
           authority_proxy_issue(joining->authority, join->name, tls_request_public(request),
                                 &hosts, &hosts, joining->now_us, joining->out, joining->err) &&
           note_use(joining, token, request);
}

static bool join_proxy(const struct joining *joining, const struct authority_join_proxy *join)
{
    struct store_token token;
    struct tls_request *request = NULL;
    if (!authority_token_check(joining->authority, join->token, STORE_TOKEN_PROXY, joining->now_us,
                               &token, joining->refusal, joining->err) ||
        !authority_read_csr(join->csr, &request, joining->refusal, joining->err))
        return false;
    bool done = use_for_proxy(joining, join, &token, request);
    tls_request_free(request);
    return done;
}

bool authority_join_proxy(struct authority *authority, const struct authority_join_proxy *join,
                          int64_t now_us, struct authority_identity *out,
                          struct authority_refusal *refusal, struct error *err)
{
    const struct joining joining = {authority, now_us, out, refusal, err};
    bool own;
    refusal->code = CONTROL_NO_ERROR;
    out->again = false;
    if (!authority_enter(authority, &own, err))
        return false;
    return authority_leave(authority, own, join_proxy(&joining, join), refusal, err);
}

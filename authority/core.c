/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/core.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "authority/ca.h"
#include "authority/lock.h"
#include "base/clock.h"

#define DURATION_SIZE 32

struct authority_settings authority_settings_default(void)
{
    return (struct authority_settings){
        .bot_ttl_us = AUTHORITY_HOUR,
        .proxy_ttl_us = AUTHORITY_DAY,
        .client_ttl_us = AUTHORITY_HOUR,
        .server_ttl_us = 90 * AUTHORITY_DAY,
        .ca_ttl_us = 10 * 365 * AUTHORITY_DAY,
        .token_ttl_us = AUTHORITY_HOUR,
    };
}

static bool check_ttl(const char *what, int64_t ttl_us, int64_t least, int64_t most,
                      struct error *err)
{
    char from[DURATION_SIZE];
    char to[DURATION_SIZE];
    if (ttl_us >= least && ttl_us <= most)
        return true;
    duration_format(least / 1000, from, sizeof from);
    duration_format(most / 1000, to, sizeof to);
    return error_set(err, ERROR_CONFIG, "the lifetime of %s is %s to %s", what, from, to);
}

bool authority_settings_check(const struct authority_settings *settings, struct error *err)
{
    struct authority_refusal refusal;
    if (!authority_trust_domain_check(settings->trust_domain, &refusal))
        return error_set(err, ERROR_CONFIG, "%s", refusal.message);
    return check_ttl("a bot's certificate", settings->bot_ttl_us, AUTHORITY_TTL_MIN,
                     AUTHORITY_TTL_MAX, err) &&
           check_ttl("a proxy's certificate", settings->proxy_ttl_us, AUTHORITY_TTL_MIN,
                     AUTHORITY_TTL_MAX, err) &&
           check_ttl("a database client's certificate", settings->client_ttl_us, AUTHORITY_TTL_MIN,
                     AUTHORITY_TTL_MAX, err) &&
           check_ttl("a database server's certificate", settings->server_ttl_us, AUTHORITY_TTL_MIN,
                     AUTHORITY_SERVER_TTL_MAX, err) &&
           check_ttl("a CA", settings->ca_ttl_us, AUTHORITY_CA_TTL_MIN, AUTHORITY_CA_TTL_MAX,
                     err) &&
           check_ttl("a join token", settings->token_ttl_us, AUTHORITY_TTL_MIN,
                     AUTHORITY_TOKEN_TTL_MAX, err);
}

bool authority_open(const struct authority_settings *settings, struct store *store, int64_t now_us,
                    struct authority **out, struct error *err)
{
    if (!authority_settings_check(settings, err))
        return false;
    if (sodium_init() < 0)
        return error_set(err, ERROR_SYSTEM, "libsodium finds no random numbers");
    struct authority *authority = calloc(1, sizeof *authority);
    if (!authority)
        return error_set(err, ERROR_MEMORY, "out of memory for the authority");
    authority->store = store;
    authority->settings = *settings;
    if (!authority_lock_cache_open(authority, err) || !authority_cas_open(authority, now_us, err)) {
        authority_close(authority);
        return false;
    }
    *out = authority;
    return true;
}

void authority_close(struct authority *authority)
{
    if (!authority)
        return;
    if (authority->group)
        store_rollback(authority->store);
    authority_cas_close(authority);
    authority_lock_cache_close(authority);
    free(authority);
}

/* --- groups --- */

bool authority_begin(struct authority *authority, struct error *err)
{
    if (!store_begin(authority->store, err))
        return false;
    authority->group = true;
    return true;
}

bool authority_commit(struct authority *authority, struct error *err)
{
    authority->group = false;
    if (store_commit(authority->store, err))
        return true;
    authority_lock_cache_forget(authority);
    return false;
}

void authority_rollback(struct authority *authority)
{
    store_rollback(authority->store);
    authority->group = false;
    authority_lock_cache_forget(authority);
}

bool authority_enter(struct authority *authority, bool *own, struct error *err)
{
    *own = !authority->group;
    return authority->group || authority_begin(authority, err);
}

bool authority_leave(struct authority *authority, bool own, bool done,
                     struct authority_refusal *refusal, struct error *err)
{
    if (!own)
        return done;
    if (!done && !refusal->code) {
        authority_rollback(authority);
        return false;
    }
    if (authority_commit(authority, err))
        return done;
    refusal->code = CONTROL_NO_ERROR;
    return false;
}

/* --- what is over --- */

#define PRUNE_AT_ONCE 256 /* instances; what is left waits for the next time */

struct dead_instances {
    int64_t before_us;
    size_t count;
    char ids[PRUNE_AT_ONCE][STORE_INSTANCE_SIZE];
};

static bool take_dead(const struct store_instance *instance, void *context)
{
    struct dead_instances *dead = context;
    if (instance->not_after_us <= dead->before_us)
        memcpy(dead->ids[dead->count++], instance->id, STORE_INSTANCE_SIZE);
    return dead->count < PRUNE_AT_ONCE;
}

struct dead_locks {
    const struct dead_instances *instances;
    size_t count;
    char ids[PRUNE_AT_ONCE][STORE_ID_SIZE];
};

static bool take_lock_of_dead(const struct store_lock *lock, void *context)
{
    struct dead_locks *dead = context;
    for (size_t i = 0; i < dead->instances->count && lock->kind == STORE_LOCK_INSTANCE; i++)
        if (strcmp(dead->instances->ids[i], lock->target) == 0) {
            memcpy(dead->ids[dead->count++], lock->id, STORE_ID_SIZE);
            break;
        }
    return dead->count < PRUNE_AT_ONCE;
}

static bool remove_dead(struct store *store, const struct dead_instances *instances,
                        const struct dead_locks *locks, struct error *err)
{
    for (size_t i = 0; i < locks->count; i++)
        if (!store_lock_remove(store, locks->ids[i], err))
            return false;
    /* With locks left over, their instances wait: nobody would find those locks again. */
    for (size_t i = 0; i < instances->count && locks->count < PRUNE_AT_ONCE; i++)
        if (!store_instance_remove(store, instances->ids[i], err))
            return false;
    return true;
}

static bool prune_instances(struct store *store, int64_t before_us, struct error *err)
{
    struct dead_instances instances = {.before_us = before_us};
    struct dead_locks locks = {.instances = &instances};
    return store_instance_each(store, NULL, take_dead, &instances, err) &&
           store_lock_each(store, INT64_MIN, take_lock_of_dead, &locks, err) &&
           remove_dead(store, &instances, &locks, err);
}

bool authority_prune(struct authority *authority, int64_t now_us, struct error *err)
{
    struct store *store = authority->store;
    struct authority_refusal none = {0};
    int64_t removed;
    bool own;
    if (!authority_enter(authority, &own, err))
        return false;
    bool done = store_token_prune(store, now_us - AUTHORITY_KEEP_TOKENS, &removed, err) &&
                prune_instances(store, now_us - AUTHORITY_KEEP_INSTANCES, err) &&
                store_lock_prune(store, now_us, &removed, err) &&
                /* No certificate that was good then is good now. */
                store_lock_prune_lost(store, AUTHORITY_LOCK_ITSELF, now_us - AUTHORITY_TTL_MAX,
                                      &removed, err) &&
                store_certificate_prune(store, now_us - AUTHORITY_KEEP_CERTIFICATES, &removed, err);
    return authority_leave(authority, own, done, &none, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks: who or what is shut out until somebody takes the lock away, or it lapses. The authority
 * refuses joins and renewals by them; the proxies are told all of them.
 */
#ifndef SALLYPORT_AUTHORITY_LOCK_H
#define SALLYPORT_AUTHORITY_LOCK_H

#include "authority/core.h"
#include "control/state_limits.h"

/* Locks of people's making that may hold at once: each renewal looks at all of them, and each proxy
 * has them. Those that the authority makes itself do not count, and have a room of their own, so
 * that no bot can keep people from locking it. */
#define AUTHORITY_LOCKS_MAX CONTROL_STATE_PEOPLES_LOCKS_MAX

/*
 * Room for the authority's own locks. A bot with so many locked instances is locked itself, and so
 * is each further one when all instances together have so many: the rest of the room is for that.
 * (Locks on proxies do not count: there is one for each, and no proxy is told of them.)
 */
#define AUTHORITY_OWN_LOCKS_MAX          (CONTROL_STATE_LOCKS_MAX - CONTROL_STATE_PEOPLES_LOCKS_MAX)
#define AUTHORITY_OWN_INSTANCE_LOCKS_MAX (AUTHORITY_OWN_LOCKS_MAX - 1000)
#define AUTHORITY_OWN_LOCKS_OF_BOT       100

/* So many living instances of a bot that is removed are locked one by one; of more, its name is. */
#define AUTHORITY_REMOVED_LOCKS_MAX 100

/* Who is named as the creator of locks that a superseded certificate caused. */
#define AUTHORITY_LOCK_ITSELF "authority"

struct authority_lock_wanted {
    enum store_lock_kind kind;
    const char *target; /* an exact name or id: no globs */
    int64_t ttl_us;     /* 0: until it is removed */
    const char *reason;
    const char *created_by;
    bool other; /* a bot with certificates of another CA, by the name that proxies give it
                   (tls/identity.h): this authority need not know it */
};

/*
 * Makes a lock. CONTROL_INVALID: a target or a reason that cannot be. CONTROL_NOT_FOUND: there is
 * no such bot, instance, token, proxy, database, or role (one that is defined, or that a bot has).
 * CONTROL_CONFLICT: there are too many of people's making. A target may have several locks; it is
 * free when the last one is gone.
 */
bool authority_lock_add(struct authority *authority, const struct authority_lock_wanted *wanted,
                        int64_t now_us, struct store_lock *out, struct authority_refusal *refusal,
                        struct error *err) MUST_USE;

/* CONTROL_NOT_FOUND: there is none of this id. */
bool authority_lock_remove(struct authority *authority, const char *id,
                           struct authority_refusal *refusal, struct error *err) MUST_USE;

/* What may be locked about whoever asks; NULL where it does not apply. */
struct authority_lock_query {
    const char *bot;
    const char *instance;
    const char *const *roles;
    size_t role_count;
    const char *database;
    const char *token;
    const char *proxy;
};

/* What a check needs of a lock. */
struct authority_lock {
    enum store_lock_kind kind;
    bool own;           /* the authority made it by itself */
    int64_t expires_us; /* 0: none */
    char target[STORE_TARGET_SIZE];
    char reason[STORE_REASON_SIZE];
};

/* *found is the first lock that holds at `now_us`, or NULL. It lives until the next call of
 * anything here or of a change. */
bool authority_lock_of(struct authority *authority, const struct authority_lock_query *query,
                       int64_t now_us, const struct authority_lock **found,
                       struct error *err) MUST_USE;

/* The same as a decision: CONTROL_LOCKED with what is locked, and why. */
bool authority_lock_check(struct authority *authority, const struct authority_lock_query *query,
                          int64_t now_us, struct authority_refusal *refusal,
                          struct error *err) MUST_USE;

/*
 * For what is about to be removed: proxies know no instances, only what is locked, and a name can
 * come back with other roles. So each instance is locked until its certificate ends, or all that
 * are called as the bot until the last one does (AUTHORITY_REMOVED_LOCKS_MAX). Refusals as
 * authority_lock_add().
 */
bool authority_lock_removed_instance(struct authority *authority,
                                     const struct store_instance *instance, const char *created_by,
                                     int64_t now_us, struct authority_refusal *refusal,
                                     struct error *err) MUST_USE;
bool authority_lock_removed_bot(struct authority *authority, const char *bot,
                                const char *created_by, int64_t now_us,
                                struct authority_refusal *refusal, struct error *err) MUST_USE;

/* --- for core.c and renew.c --- */

bool authority_lock_cache_open(struct authority *authority, struct error *err) MUST_USE;
void authority_lock_cache_close(struct authority *authority);
/* After a rollback: the version of the store can come back with other locks. */
void authority_lock_cache_forget(struct authority *authority);

/* How far the authority went to shut an instance out. */
enum authority_shut {
    AUTHORITY_SHUT_INSTANCE = 1, /* it is locked */
    AUTHORITY_SHUT_BOT,          /* its bot is */
    AUTHORITY_SHUT_ROLES,        /* there was no room for a lock: its bot has no roles any more */
};

/* Shuts an instance out, unless it is locked: that never fails for want of room. */
bool authority_lock_instance(struct authority *authority, const char *bot, const char *instance,
                             const char *reason, int64_t now_us, enum authority_shut *shut,
                             struct error *err) MUST_USE;
/* How it is shut out now, by a lock on it or by one of the authority's own on its bot; 0: it is
 * not. *found is that lock. */
bool authority_lock_shut(struct authority *authority, const char *bot, const char *instance,
                         int64_t now_us, enum authority_shut *shut,
                         const struct authority_lock **found, struct error *err) MUST_USE;
/* Locks a proxy, unless it is locked. */
bool authority_lock_proxy(struct authority *authority, const char *proxy, const char *reason,
                          int64_t now_us, struct error *err) MUST_USE;

#endif

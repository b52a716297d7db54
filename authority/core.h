/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authority without a network: settings, store and CAs in one place, for what decides
 * (authority/join.h, renew.h, issue.h, token.h, lock.h, ca.h).
 *
 * Everything is synchronous and called from one thread. There is no clock in here: each function is
 * given the wall time (base/clock.h) that it decides by.
 *
 * Each decision is one transaction of its own. Where many come at once, a caller may put them into
 * a group that is written to the disk once:
 *
 *     authority_begin(authority, &err);
 *     … decisions …
 *     authority_commit(authority, &err);      nothing may be answered before this
 *
 * Within a group a refusal leaves the group as good as it was. After an error (as opposed to a
 * refusal) the group may hold a half of that decision: authority_rollback(), and all of the group
 * is answered `internal`. store_begin() and its like are not to be called beside these.
 */
#ifndef SALLYPORT_AUTHORITY_CORE_H
#define SALLYPORT_AUTHORITY_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "authority/names.h"
#include "authority/refusal.h"
#include "authority/store.h"

#define AUTHORITY_SECOND INT64_C(1000000) /* in microseconds, as all times here */
#define AUTHORITY_MINUTE (60 * AUTHORITY_SECOND)
#define AUTHORITY_HOUR   (60 * AUTHORITY_MINUTE)
#define AUTHORITY_DAY    (24 * AUTHORITY_HOUR)

/* Certificates begin before they are made, for the clocks of others. */
#define AUTHORITY_BACKDATE AUTHORITY_MINUTE

/* Lifetimes: of certificates of bots, proxies, the authority and databases' clients; of those of
 * database servers; of CAs; of join tokens. The least is for tests. */
#define AUTHORITY_TTL_MIN        (5 * AUTHORITY_SECOND)
#define AUTHORITY_TTL_MAX        AUTHORITY_DAY
#define AUTHORITY_SERVER_TTL_MAX (825 * AUTHORITY_DAY)
#define AUTHORITY_CA_TTL_MIN     AUTHORITY_DAY
#define AUTHORITY_CA_TTL_MAX     (50 * 365 * AUTHORITY_DAY)
#define AUTHORITY_TOKEN_TTL_MAX  (7 * AUTHORITY_DAY)

/* How long things that are over are kept by authority_prune(). */
#define AUTHORITY_KEEP_TOKENS       (7 * AUTHORITY_DAY)
#define AUTHORITY_KEEP_INSTANCES    (7 * AUTHORITY_DAY)
#define AUTHORITY_KEEP_CERTIFICATES (90 * AUTHORITY_DAY)

struct authority_settings {
    char trust_domain[AUTHORITY_TRUST_DOMAIN_MAX + 1];
    struct authority_hosts hosts; /* what the authority's own certificate is for; none: no such */
    struct authority_hosts shared_hosts; /* what several proxies may be called */
    int64_t bot_ttl_us;
    int64_t proxy_ttl_us;  /* and of the authority itself */
    int64_t client_ttl_us; /* of the proxies' certificates for databases */
    int64_t server_ttl_us; /* of database servers, where none is asked for */
    int64_t ca_ttl_us;
    int64_t token_ttl_us; /* where none is asked for */
};

/* The defaults: 1 h each, 90 days for database servers, 10 years for CAs; no trust domain, which
 * has to be given. */
struct authority_settings authority_settings_default(void);

/* ERROR_CONFIG with what is wrong, and what is allowed. */
bool authority_settings_check(const struct authority_settings *settings,
                              struct error *err) MUST_USE;

struct authority_cas;
struct authority_lock_cache;

/* Whether a proxy has the state of now; for who has connections. */
typedef bool (*authority_told)(void *context, const char *proxy);

/* Whether a bot, who has proven to be that, may join by its key or join again now, or a proxy
 * ("proxy <name>") again; for who knows how often it does. */
typedef bool (*authority_admits)(void *context, const char *who);

struct authority {
    struct store *store; /* borrowed */
    authority_told told; /* NULL: none has */
    void *told_context;
    authority_admits admits; /* NULL: always */
    void *admits_context;
    struct authority_settings settings;
    struct authority_cas *cas;
    struct authority_lock_cache *locks;
    bool group; /* between authority_begin() and its end */
};

/* Checks the settings, and opens or makes the CAs: see authority_cas_open(). */
bool authority_open(const struct authority_settings *settings, struct store *store, int64_t now_us,
                    struct authority **out, struct error *err) MUST_USE;

/* Wipes the keys. A group under way is rolled back. NULL allowed. */
void authority_close(struct authority *authority);

bool authority_begin(struct authority *authority, struct error *err) MUST_USE;
/* A commit that fails has rolled back. */
bool authority_commit(struct authority *authority, struct error *err) MUST_USE;
/* Nothing happens when no group is under way. */
void authority_rollback(struct authority *authority);

/*
 * For the decisions: one transaction, unless a group is under way. authority_leave() commits where
 * something was decided (a refusal may have made a lock), rolls back after an error, and returns
 * whether all went well.
 */
bool authority_enter(struct authority *authority, bool *own, struct error *err) MUST_USE;
bool authority_leave(struct authority *authority, bool own, bool done,
                     struct authority_refusal *refusal, struct error *err) MUST_USE;

/* Forgets what has been over for long: tokens, instances with the locks on them, lapsed locks and
 * rows of the ledger. For once an hour or so. */
bool authority_prune(struct authority *authority, int64_t now_us, struct error *err) MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a proxy knows from its authority: the `state` event (docs/protocol/control.md), decoded and
 * checked once, then immutable. Counted by reference; snapshots hold it, so workers read it without
 * a lock.
 */
#ifndef SALLYPORT_PROXY_AUTHORITY_STATE_H
#define SALLYPORT_PROXY_AUTHORITY_STATE_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

#include "authz/authz_config.h"
#include "base/error.h"
#include "proxy/settings.h"
#include "tls/identity.h"

/* The limits are in control/state_limits.h. */
enum lock_kind { LOCK_BOT, LOCK_INSTANCE, LOCK_ROLE, LOCK_DATABASE };

struct authority_lock {
    enum lock_kind kind;
    const char *target;
    const char *reason;
    int64_t expires_us; /* wall time; 0: never */
};

struct authority_bot {
    const char *name;
    const char *const *roles;
    size_t role_count;
};

struct authority_state {
    uint64_t version;
    const char *trust_domain;
    const char *bot_ca, *service_ca, *database_ca; /* PEM bundles */
    struct authority_bot *bots;                    /* sorted by name */
    size_t bot_count;
    struct authority_lock *locks;
    size_t lock_count;
    struct config *config; /* owns what follows */
    struct database_settings *databases;
    size_t database_count;
    struct authz_role_config *roles;
    size_t role_count;
    struct authz_mapping_config *mappings;
    size_t mapping_count;
    cJSON *tree; /* owns the texts */
    _Atomic unsigned references;
};

/* Decodes an event. The tree stays the caller's. ERROR_MALFORMED, ERROR_CONFIG (a role, mapping or
 * database), ERROR_UNSUPPORTED (a lock of another kind), ERROR_LIMIT or ERROR_MEMORY; the message
 * says what is wrong where. */
bool authority_state_create(const cJSON *event, struct authority_state **out,
                            struct error *err) MUST_USE;
struct authority_state *authority_state_ref(struct authority_state *state);
void authority_state_unref(struct authority_state *state); /* NULL allowed; from any thread */

/* A bot of the authority, or NULL: it has none of that name (any more). */
const struct authority_bot *authority_state_bot(const struct authority_state *state,
                                                const char *name);

/* The lock in force at `now_us` on a target, or NULL. */
const struct authority_lock *authority_state_lock(const struct authority_state *state,
                                                  enum lock_kind kind, const char *target,
                                                  int64_t now_us);

/*
 * Who an identity is to the authority, by its SAN URIs: spiffe://<trust domain>/bot/<name> and
 * sallyport:instance:<id>. False when it names no bot of this trust domain. *instance is NULL where
 * the certificate has none. Both point into the identity.
 */
bool authority_state_names(const struct authority_state *state, const struct identity *identity,
                           const char **bot, const char **instance);

#endif

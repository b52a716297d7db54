/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many sessions there are, over all workers: in all, not yet logged in, of each bot, and of
 * each instance of one; and with which certificate an instance has proven its identity anew, to
 * each family of its sessions (tls/hello.h). Used when a connection comes, logs in and goes, never
 * on the data path; so a mutex is fine here.
 */
#ifndef SALLYPORT_PROXY_REGISTRY_H
#define SALLYPORT_PROXY_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tls/hello.h"
#include "tls/proof.h"

struct registry;

bool registry_create(struct registry **out, struct error *err) MUST_USE;
void registry_destroy(struct registry *registry);

/* Counts a new connection unless `pending` or `sessions` of them are there already. */
bool registry_enter(struct registry *registry, uint64_t sessions, uint64_t pending) MUST_USE;
/* A connection goes; `pending` as it is then. */
void registry_leave(struct registry *registry, bool pending);

/* Of one instance at once: there is one tunnel for each of its proxies, and a few that go. Sessions
 * of more are counted, and nothing extends them. */
#define REGISTRY_FAMILIES_MAX 64

/*
 * Counts a bot's session as logged in unless `limit` (0: none) of them are there already. Fails
 * with ERROR_LIMIT or ERROR_MEMORY. Each success is undone by registry_logout().
 */
struct registry_who {
    const char *bot;
    const char *instance;  /* NULL: its certificate names none */
    const uint8_t *family; /* HELLO_FAMILY_SIZE bytes; NULL: its hello named none */
};
bool registry_login(struct registry *registry, const struct registry_who *who, uint64_t limit,
                    struct error *err) MUST_USE;
void registry_logout(struct registry *registry, const struct registry_who *who);

/*
 * An instance has shown a renewed certificate, together with the secret of a family: what its
 * sessions of that family may rely on from now on. The certificate that was made last counts. A
 * reference is taken. Returns how many sessions there are; nothing is kept for a family that has
 * none. Families are compared in constant time.
 */
uint64_t registry_prove(struct registry *registry, const struct registry_who *who,
                        struct proof *proof);
/* A reference of the caller's own; NULL: nothing beyond what the sessions began with. */
struct proof *registry_proof(struct registry *registry, const struct registry_who *who);

/* Sessions in all, and those that are pending. */
void registry_counts(struct registry *registry, uint64_t *sessions, uint64_t *pending);

#endif

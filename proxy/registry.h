/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many sessions there are, over all workers: in all, not yet logged in, and of each bot. Used
 * when a connection comes, logs in and goes, never on the data path; so a mutex is fine here.
 */
#ifndef SALLYPORT_PROXY_REGISTRY_H
#define SALLYPORT_PROXY_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct registry;

bool registry_create(struct registry **out, struct error *err) MUST_USE;
void registry_destroy(struct registry *registry);

/* Counts a new connection unless `pending` or `sessions` of them are there already. */
bool registry_enter(struct registry *registry, uint64_t sessions, uint64_t pending) MUST_USE;
/* A connection goes; `pending` as it is then. */
void registry_leave(struct registry *registry, bool pending);

/*
 * Counts a bot's session as logged in unless `limit` (0: none) of them are there already. Fails
 * with ERROR_LIMIT or ERROR_MEMORY. Each success is undone by registry_logout().
 */
bool registry_login(struct registry *registry, const char *bot, uint64_t limit,
                    struct error *err) MUST_USE;
void registry_logout(struct registry *registry, const char *bot);

/* Sessions in all, and those that are pending. */
void registry_counts(struct registry *registry, uint64_t *sessions, uint64_t *pending);

#endif

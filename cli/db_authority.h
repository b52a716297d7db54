/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `sallyport db check` has from the authority that its configuration follows: databases and
 * roles that only the authority knows, and certificates for the accounts that it tries.
 */
#ifndef SALLYPORT_CLI_DB_AUTHORITY_H
#define SALLYPORT_CLI_DB_AUTHORITY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "cli/admin_socket.h"
#include "proxy/preflight.h"
#include "proxy/preflight_authority.h"
#include "proxy/snapshot.h"

#define DB_AUTHORITY_USERS_MAX 1000 /* certificates of one run */

/* A MySQL user that the authority refused a certificate. */
struct db_refusal {
    char *user;
    char *why;
};

struct db_authority {
    char socket[ADMIN_SOCKET_SIZE]; /* unused on another machine than the authority's */
    struct preflight_authority *authority;
    struct authority_state *state;
    struct credential **minted;
    size_t minted_count;
    struct db_refusal *refusals;
    size_t refusal_count;
};

/*
 * Connects and gets the state; *out is a snapshot with that, of the configuration in `file` that
 * `alone` was made of. Fails with what to do; *from is to be released all the same.
 */
bool db_authority_begin(struct db_authority *from, const char *file, struct snapshot *alone,
                        struct snapshot **out, struct error *err) MUST_USE;

/* Has a certificate minted for a user, unless that was done or refused before. */
bool db_authority_mint(struct db_authority *from, const char *user, struct error *err) MUST_USE;

/* A snapshot that has them too. */
bool db_authority_provide(struct db_authority *from, struct snapshot *running,
                          struct snapshot **out, struct error *err) MUST_USE;

/* Why a user was refused, or NULL; lives as long as *from, which may be NULL. */
const char *db_authority_refusal(const struct db_authority *from, const char *user);

void db_authority_release(struct db_authority *from);

#endif

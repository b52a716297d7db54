/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy's own certificate: a service's, by which tunnels and the authority know it. The key is
 * made here and never sent. A new key for each certificate.
 *
 *     begin (key) ──► the authority signs ──► prepare (certificate, checked) ──► use
 *                                                 │                               ▲
 *                                                 └── saved, where it is kept ────┘
 *
 * Where the authority is in another process the certificate is kept in a directory
 * (identity/identity_store.h), so that a restart needs no token; with one in this process each
 * start has a new one. Whatever is refused, the certificate before stays. Belongs to one loop's
 * thread.
 */
#ifndef SALLYPORT_PROXY_OWN_IDENTITY_H
#define SALLYPORT_PROXY_OWN_IDENTITY_H

#include <stdint.h>

#include "base/config.h"
#include "base/error.h"
#include "identity/exchange.h"
#include "identity/identity_store.h"
#include "identity/schedule.h"
#include "proxy/provision.h"
#include "tls/context.h"
#include "tls/key.h"

struct own_identity;

/* `name` is the proxy's, `names` the DNS names and IP addresses that tunnels know it by: both
 * borrowed for its life. */
bool own_identity_create(const char *name, const struct config_strings *names,
                         struct own_identity **out, struct error *err) MUST_USE;
void own_identity_free(struct own_identity *own); /* NULL allowed */

/*
 * Opens the directory, which is locked for this process, and takes what it holds. Files that are
 * not there, or of no use (a warning), are no error: own_identity_is_current() tells. ERROR_CONFIG:
 * they are another proxy's; ERROR_EXISTS: another process has the directory; ERROR_DENIED and
 * ERROR_SYSTEM as identity_store_open().
 */
bool own_identity_open(struct own_identity *own, const char *directory, struct error *err) MUST_USE;
/* NULL: it is not kept. */
struct identity_store *own_identity_store(const struct own_identity *own);

/* Makes a new key. `joining`: the one that is kept for that, if there is one; else the new one is
 * kept, so that the answer to a question that got lost can be asked for once more
 * (identity_store_write_joining()). What was prepared is dropped. */
bool own_identity_begin(struct own_identity *own, bool joining, struct error *err) MUST_USE;
/* The key that was begun. */
const struct tls_key *own_identity_key(const struct own_identity *own);

/*
 * Takes the certificate that belongs to the key that was begun, as the next one: it names this
 * proxy, has not expired, and works with the key and the CA (identity/identity_check.h). *set
 * borrows from it, for saving.
 */
bool own_identity_prepare(struct own_identity *own, const struct exchange_identity *identity,
                          struct identity_set *set, struct error *err) MUST_USE;
/* Puts what was prepared in the place of what was used, or forgets it; its key too. */
void own_identity_use(struct own_identity *own);
void own_identity_drop(struct own_identity *own);

/* Whether there is a certificate that has not expired at `now_us` (wall time). One that begins
 * later is taken: it is this machine's clock that is behind. */
bool own_identity_is_current(const struct own_identity *own, int64_t now_us);

/* All of what follows is NULL, zero or false while there is no certificate. */
struct credential *own_identity_credential(const struct own_identity *own);
/* For the control protocol, with this certificate. */
struct tls_context *own_identity_context(const struct own_identity *own);
const char *own_identity_ca(const struct own_identity *own);
bool own_identity_is_due(const struct own_identity *own); /* to be renewed */
int64_t own_identity_not_after_us(const struct own_identity *own);

const char *own_identity_name(const struct own_identity *own);
const struct config_strings *own_identity_names(const struct own_identity *own);
/* Whether the certificate has all the names that the configuration has; true while there is none.
 * *missing (NULL allowed) is the first that it has not. */
bool own_identity_has_names(const struct own_identity *own, const char **missing);

#endif

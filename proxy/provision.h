/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that a proxy has from its authority at one moment: the state, its own certificate, and the
 * client certificates that were minted for MySQL users. Immutable, counted by reference; a snapshot
 * is made of a configuration and a provision (snapshot.h).
 */
#ifndef SALLYPORT_PROXY_PROVISION_H
#define SALLYPORT_PROXY_PROVISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "proxy/authority_state.h"

/* A certificate chain and its key, PEM. The key is wiped when it goes. */
struct credential {
    char *name; /* whose: a proxy's name, a MySQL user */
    char *cert_pem;
    char *key_pem;
    int64_t not_after_us; /* wall time */
    _Atomic unsigned references;
};

/* Copies the texts. */
bool credential_create(const char *name, const char *cert_pem, const char *key_pem,
                       int64_t not_after_us, struct credential **out, struct error *err) MUST_USE;
struct credential *credential_ref(struct credential *credential); /* NULL allowed */
void credential_unref(struct credential *credential);             /* NULL allowed */

struct provision {
    struct authority_state *state;
    struct credential *own; /* NULL: the configuration has one, or none is needed (a check alone) */
    struct credential **minted;
    size_t minted_count;
    bool stale; /* nothing was heard of the authority for too long, and then sessions are denied */
    _Atomic unsigned references;
};

/* Takes references of everything; `minted` (count elements) is copied. */
bool provision_create(struct authority_state *state, struct credential *own,
                      struct credential *const *minted, size_t count, bool stale,
                      struct provision **out, struct error *err) MUST_USE;
struct provision *provision_ref(struct provision *provision); /* NULL allowed */
void provision_unref(struct provision *provision);            /* NULL allowed; from any thread */

#endif

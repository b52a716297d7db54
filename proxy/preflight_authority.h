/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `sallyport db check` needs of the authority, without a running proxy: its state, and client
 * certificates for the accounts that are to be tried. Two ways lead to it:
 *
 *   on the authority's machine    its administration socket, as its administrator
 *   on a proxy's machine          the control protocol, as that proxy, with its identity
 *
 * Both may ask `state` and `mint` (docs/protocol/control.md). Keys are made here and never leave
 * this process. Calls wait for their answers: for the command line alone.
 */
#ifndef SALLYPORT_PROXY_PREFLIGHT_AUTHORITY_H
#define SALLYPORT_PROXY_PREFLIGHT_AUTHORITY_H

#include <stdbool.h>

#include "base/error.h"
#include "proxy/authority_state.h"
#include "proxy/provision.h"
#include "proxy/settings.h"

#define PREFLIGHT_DIAL_MS   10000 /* from the name to the end of the handshake */
#define PREFLIGHT_ANSWER_MS 10000 /* for each answer */

struct preflight_authority;

/* Borrowed for the life of what is opened. Exactly one of the two is not NULL. */
struct preflight_authority_place {
    const char *socket;                         /* which the caller has checked */
    const struct authority_link_settings *link; /* with an identity that the proxy has joined */
};

/* Connects. On failure *err says what to do. */
bool preflight_authority_open(const struct preflight_authority_place *place,
                              struct preflight_authority **out, struct error *err) MUST_USE;
void preflight_authority_close(struct preflight_authority *authority); /* NULL allowed */

/* What a proxy would be told. */
bool preflight_authority_state(struct preflight_authority *authority, struct authority_state **out,
                               struct error *err) MUST_USE;

/* A certificate to log in with as a MySQL user. ERROR_DENIED: the authority refuses that user; any
 * other: it cannot be asked (any more). */
bool preflight_authority_mint(struct preflight_authority *authority, const char *mysql_user,
                              struct credential **out, struct error *err) MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proxy's connection to its authority: it subscribes to the state, has certificates minted, says
 * which bots' certificates it has seen, and makes a provision of what it hears. Lives on the main
 * loop; authority_link_seen() and authority_link_want_user() may be called from any thread.
 *
 *     JOINING ──► WAITING ── a pause ──► DIALLING ──► SUBSCRIBED
 *                    ▲                      │             │
 *                    └──── `closed` ────────┴─────────────┘
 *
 * The proxy's own certificate is the keeper's affair (proxy/keeper.h). While there is none, nothing
 * is dialled. When it was renewed, a second connection is made with the new one, and when it has
 * subscribed it takes the first one's place, so that nothing is missed in between.
 *
 * An authority that lives says so every second (`alive`). One that has said nothing for
 * LINK_SILENCE_MS has lost the connection; the link dials again, for ever, with jittered pauses.
 * When nothing was heard for the configuration's stale_after, the provision becomes stale: with
 * when_stale "deny" new sessions are refused until the authority is back.
 *
 * A word that cannot be followed is as good as none, because a lock may be in it. While there is a
 * state that cannot be decoded, or that the owner cannot take, nothing counts as heard, and the
 * provision becomes stale in the end: then one that was taken before is provided again, as stale.
 */
#ifndef SALLYPORT_PROXY_AUTHORITY_LINK_H
#define SALLYPORT_PROXY_AUTHORITY_LINK_H

#include <stdbool.h>
#include <uv.h>

#include "base/error.h"
#include "identity/join_token.h"
#include "proxy/own_identity.h"
#include "proxy/provision.h"
#include "proxy/settings.h"
#include "tls/stream.h"

#define LINK_SILENCE_MS     5000
#define LINK_DIAL_MS        10000
#define LINK_RETRY_LEAST_MS 100
#define LINK_RETRY_MOST_MS  5000
#define LINK_TICK_MS        500   /* how often the clock is looked at */
#define LINK_LOG_MS         60000 /* that the authority is not there is told once in this time */

struct authority_link;

struct authority_link_events {
    /*
     * Something has changed. The provision is borrowed. The first one comes when the state is there
     * and every certificate was minted or refused. False: the owner could not take it, nothing has
     * changed; it is offered again at each tick.
     */
    bool (*provided)(void *owner, struct provision *provision, struct error *err);
    /* There is no certificate of the proxy's own, and without a restart there will be none. */
    void (*hopeless)(void *owner, const struct error *err);
    /* Everything is closed; the memory goes when it returns. */
    void (*closed)(void *owner);
};

struct authority_link_request {
    uv_loop_t *loop;
    struct stream_loop *streams;
    const struct authority_link_settings *settings; /* borrowed for the link's life */
    const struct authz_role_config *roles;          /* the configuration's own, likewise */
    size_t role_count;
    /* The link gets it a certificate if it has none, and renews it. Borrowed until the loop has
     * nothing left to do. */
    struct own_identity *own;
    const struct join_token *token; /* from the environment, or NULL; copied */
    /* As in struct keeper_request. */
    bool (*join_here)(void *owner, struct error *err);
    void *join_owner;
};

bool authority_link_open(const struct authority_link_request *request,
                         const struct authority_link_events *events, void *owner,
                         struct authority_link **out, struct error *err) MUST_USE;

/* The roles of a reloaded configuration. */
bool authority_link_reload(struct authority_link *link, const struct authz_role_config *roles,
                           size_t role_count, struct error *err) MUST_USE;

/* A bot's certificate that was accepted: told to the authority once. From any thread. */
void authority_link_seen(struct authority_link *link, const char *serial);

/*
 * A bot's login as a MySQL user that a role has allowed, to a database whose certificates are
 * minted. One that is `missing` a certificate has one minted, and the provision that has it comes
 * soon, if ever (proxy/demand.h). ERROR_LIMIT: there are too many of these. From any thread.
 */
bool authority_link_want_user(struct authority_link *link, const char *bot, const char *user,
                              bool missing, struct error *err) MUST_USE;

/* Ends it; `closed` comes from the loop. */
void authority_link_close(struct authority_link *link);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the proxy's own certificate current with the authority's help: joins with a token where
 * there is none, renews ahead of its end, saves each before it is used.
 *
 *                      something is to be done
 *     RESTING <-------------------------------------> ASKING --- a certificate came ---> SAVING
 *        ^                 answered, or failed                                             |
 *        +-----------------------------------------------------------------------------------+
 *
 * Each question has a connection of its own, so that the link to the authority
 * (proxy/authority_link.h) is not disturbed; it changes over to the new certificate when `changed`
 * says so. What fails is tried again after a jittered pause that doubles to KEEPER_PAUSE_MOST_MS,
 * for ever; after a lock, KEEPER_LOCKED_MS later; never later than an eighth of what is left of the
 * certificate. A token that was used, has expired, is unknown or is another proxy's is not tried
 * again: another one in its file is. What is told in the log is told once, and again after
 * KEEPER_LOG_MS while it lasts.
 *
 * With the authority in this process nothing is saved, and a certificate that has lapsed all the
 * same (the machine slept) is replaced without a token.
 *
 * A crash between issue and saving leaves the certificate before, with which the authority renews
 * once more; a join is asked for again with the same key.
 */
#ifndef SALLYPORT_PROXY_KEEPER_H
#define SALLYPORT_PROXY_KEEPER_H

#include <stdbool.h>
#include <uv.h>

#include "base/config.h"
#include "base/error.h"
#include "identity/join_token.h"
#include "proxy/own_identity.h"
#include "proxy/settings.h"
#include "tls/stream.h"

#define KEEPER_PAUSE_LEAST_MS 500
#define KEEPER_PAUSE_MOST_MS  5000
#define KEEPER_LOCKED_MS      60000
#define KEEPER_LOG_MS         60000

struct keeper;

struct keeper_events {
    /* Another certificate is in use. */
    void (*changed)(void *owner);
    /* There is none, and nothing but a restart could change that. */
    void (*hopeless)(void *owner, const struct error *err);
};

struct keeper_request {
    uv_loop_t *loop;
    struct stream_loop *streams;
    const struct address *authority; /* borrowed for the keeper's life, as below */
    const struct authority_link_settings *settings;
    struct own_identity *own;
    const struct join_token *token; /* from the environment, or NULL; copied */
    /* Of an authority in this process: gives `own` a certificate at once, without a token. NULL:
     * it is in another. */
    bool (*join_here)(void *owner, struct error *err);
    void *join_owner;
};

/*
 * Whether a proxy that starts with these settings could ever have a certificate: it has one that is
 * current, or a token and what tells the authority from others. Reads files, changes nothing.
 * `token`: there is one in the environment. ERROR_CONFIG at the settings' place.
 */
bool keeper_check(const struct config *config, const char *proxy,
                  const struct authority_link_settings *settings, bool token,
                  struct error *err) MUST_USE;

/* Fails only without memory. Nothing happens before keeper_look(). */
bool keeper_create(const struct keeper_request *request, const struct keeper_events *events,
                   void *owner, struct keeper **out, struct error *err) MUST_USE;

/* Does what is due. To be called twice a second or so; the events come from here and the loop. */
void keeper_look(struct keeper *keeper);

/* When the last question was asked, monotonic: a connection that was made later may have shown a
 * certificate that was about to be replaced. */
int64_t keeper_asked_us(const struct keeper *keeper);

/* No event comes any more; the memory goes in the loop. NULL allowed. `own` must stay until the
 * loop has nothing left to do. */
void keeper_destroy(struct keeper *keeper);

#endif

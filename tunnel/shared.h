/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tunnels of one process share: identities by directory, and pools by proxy, server name
 * and identity. A tunnel holds a use of each; what nobody uses any more is let go. All of it is
 * looked at every SHARED_POLL_MS: a renewed identity is taken although nobody connects, and a pool
 * whose identity was not valid begins.
 *
 * An identity whose tunnels name an authority is renewed here (identity/renewal.h); after each
 * renewal the proxies that sessions run through are told (tunnel/announce.h).
 */
#ifndef SALLYPORT_TUNNEL_SHARED_H
#define SALLYPORT_TUNNEL_SHARED_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "identity/credentials.h"
#include "identity/join_token.h"
#include "tls/stream.h"
#include "tunnel/pool.h"
#include "tunnel/settings.h"

#define SHARED_POLL_MS 5000

struct shared;

bool shared_create(uv_loop_t *loop, struct stream_loop *streams, struct shared **out,
                   struct error *err) MUST_USE;

/* Frees it; nothing may be in use. Its timer is closed in the loop. NULL allowed. */
void shared_destroy(struct shared *shared);

/* One tunnel's use of an identity and a pool. */
struct shared_use;

/* Finds or makes what the settings ask for; they are borrowed until shared_release(). Nothing is
 * dialled, joined or renewed before shared_tune(). */
bool shared_acquire(struct shared *shared, const struct tunnel_settings *settings,
                    struct shared_use **out, struct error *err) MUST_USE;
void shared_release(struct shared_use *use); /* NULL allowed */

/* HELLO_FAMILY_SIZE bytes, drawn once for the process: what its sessions are told apart by from
 * those that others open with the same certificate (tls/hello.h). */
const uint8_t *shared_family(const struct shared_use *use);
struct credentials *shared_credentials(const struct shared_use *use);
struct pool *shared_pool(const struct shared_use *use);

/* Where the tunnel counts its connections (borrowed): while there are none, nothing is announced
 * for it. */
void shared_count_with(struct shared_use *use, const size_t *active);

/* A connect: the identity is renewed now if it is due. */
void shared_look(const struct shared_use *use);

/* A tunnel that goes still uses its pool, for the connections that wait, but asks it to keep
 * nothing ready. */
void shared_retire(struct shared_use *use);

/* Gives every pool the greatest number of ready connections and the longest deadline that its users
 * ask for, and has each identity renewed as its users say. */
void shared_tune(struct shared *shared);

/* A token (copied) for the identity in a directory, before its first shared_tune(). */
bool shared_set_token(struct shared *shared, const struct join_token *token, const char *directory,
                      struct error *err) MUST_USE;

/* Who is told when no identity at all can be had any more: all of them wait for a person. */
typedef void shared_hopeless(void *owner, const struct error *err);
bool shared_is_hopeless(const struct shared *shared);
void shared_set_hopeless(struct shared *shared, shared_hopeless *hopeless, void *owner);

/* Who is told when an identity may have come, or an attempt at one has failed: after each outcome,
 * and with each poll. Before `hopeless`, so that those who wait get the reason. */
typedef void shared_settled(void *owner);
void shared_set_settled(struct shared *shared, shared_settled *settled, void *owner);

/* Whether its identity may come any moment: renewal_is_pending(). */
bool shared_is_pending(const struct shared_use *use);

/* How a tunnel's identity is. */
struct shared_status {
    int64_t not_after_us; /* wall time; 0: there is no certificate */
    int64_t renew_at_us;  /* wall time; 0: nobody renews it here, or there is none */
    char problem[ERROR_MESSAGE_SIZE];
};

void shared_read_status(const struct shared_use *use, struct shared_status *out);

/* Does now what is done every SHARED_POLL_MS. */
void shared_poll(struct shared *shared);

/* TLS connections that are ready, in all pools. */
size_t shared_ready_count(const struct shared *shared);
size_t shared_pool_count(const struct shared *shared);
size_t shared_credentials_count(const struct shared *shared);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tunnels of one process share: identities by directory, and pools by proxy, server name
 * and identity. A tunnel holds a use of each; what nobody uses any more is let go. All of it is
 * looked at every SHARED_POLL_MS: a renewed identity is taken although nobody connects, and a pool
 * whose identity was not valid begins.
 */
#ifndef SALLYPORT_TUNNEL_SHARED_H
#define SALLYPORT_TUNNEL_SHARED_H

#include <stddef.h>

#include "base/error.h"
#include "tls/stream.h"
#include "tunnel/credentials.h"
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

/* Finds or makes what the settings ask for. Nothing is dialled before shared_tune(). */
bool shared_acquire(struct shared *shared, const struct tunnel_settings *settings,
                    struct shared_use **out, struct error *err) MUST_USE;
void shared_release(struct shared_use *use); /* NULL allowed */

struct credentials *shared_credentials(const struct shared_use *use);
struct pool *shared_pool(const struct shared_use *use);

/* A tunnel that goes still uses its pool, for the connections that wait, but asks it to keep
 * nothing ready. */
void shared_retire(struct shared_use *use);

/* Gives every pool the greatest number of ready connections and the longest deadline that its users
 * ask for. */
void shared_tune(struct shared *shared);

/* Does now what is done every SHARED_POLL_MS. */
void shared_poll(struct shared *shared);

/* TLS connections that are ready, in all pools. */
size_t shared_ready_count(const struct shared *shared);
size_t shared_pool_count(const struct shared *shared);
size_t shared_credentials_count(const struct shared *shared);

#endif

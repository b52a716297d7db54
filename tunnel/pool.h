/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS connections to one proxy, with one identity, kept ready ahead of demand, so that a program's
 * connect does not wait for a handshake. What is ready has shaken hands and said nothing yet; it
 * becomes a session with the hello frame.
 *
 * - `ready` connections are kept. Each is replaced after about POOL_AGE_MS, which is well before
 * the proxy drops connections that say nothing; one that the proxy closed meanwhile is replaced
 * too.
 * - Who finds none ready waits: for each waiter a dial is under way (at most POOL_DIALS_MAX at a
 *   time), and whichever dial is done first serves who has waited longest. A dial that fails is
 * told to a waiter at once, so that a program learns of a proxy that is down as fast as it would
 *   learn of a database that is down.
 * - In the background a proxy that cannot be reached, or that refuses us, is tried again for ever,
 *   one dial at a time, after a pause that doubles from POOL_BACKOFF_LEAST_MS to
 *   POOL_BACKOFF_MOST_MS, with jitter so that many tunnels do not come back in one wave.
 * - In TLS 1.3 a client learns only after its handshake that its certificate was refused (RFC 8446,
 *   4.4.3). So a connection that breaks within POOL_TRIAL_MS of its handshake counts as a failed
 * dial.
 * - What was made with a former certificate is closed when the identity changes. While the
 *   certificate is not valid, nothing is dialled.
 */
#ifndef SALLYPORT_TUNNEL_POOL_H
#define SALLYPORT_TUNNEL_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/error.h"
#include "identity/credentials.h"
#include "tls/stream.h"

#define POOL_AGE_MS           30000 /* mean age at which a ready connection is replaced; ± a fifth */
#define POOL_AGE_WALL_MS      60000 /* older by wall clock (the machine slept): never handed out */
#define POOL_TRIAL_MS         2000
#define POOL_BACKOFF_LEAST_MS 500
#define POOL_BACKOFF_MOST_MS  30000
#define POOL_DIALS_MAX        32   /* handshakes at a time; more only slow each other down */
#define POOL_WAITERS_MAX      4096 /* more are refused at once */

struct pool;
struct pool_wait;

struct pool_settings {
    struct address proxy;
    const char *server_name;         /* copied */
    struct credentials *credentials; /* a reference is taken */
    size_t ready;
    int64_t dial_timeout_ms;
};

bool pool_create(struct stream_loop *shared, uv_loop_t *loop, const struct pool_settings *settings,
                 struct pool **out, struct error *err) MUST_USE;

/* Closes what is ready, gives up what is under way and tells waiters ERROR_CLOSED (from inside this
 * call). The pool must not be used afterwards; its memory goes in the loop. NULL allowed. */
void pool_destroy(struct pool *pool);

/* Whether a pool is for this proxy, name and identity. */
bool pool_matches(const struct pool *pool, const struct address *proxy, const char *server_name,
                  const struct credentials *credentials);

/* Changes how many are kept ready, and the deadline of dials that begin from now on. */
void pool_tune(struct pool *pool, size_t ready, int64_t dial_timeout_ms);

/* A ready connection, or NULL. The caller sets itself as the owner at once. */
struct stream *pool_take(struct pool *pool);

/* `stream` is secured and fresh; the callee sets itself as its owner. NULL: *err says why not. */
typedef void pool_done(void *owner, struct stream *stream, const struct error *err);

/*
 * Waits for a fresh connection; `done` comes once, from the loop, within timeout_ms. Fails at once
 * while the identity is not usable (ERROR_DENIED and others of credentials_context()), and with
 * ERROR_LIMIT when too many wait.
 */
bool pool_wait(struct pool *pool, int64_t timeout_ms, pool_done *done, void *owner,
               struct pool_wait **out, struct error *err) MUST_USE;

/* Stops waiting: `done` will not come. Not after it came. */
void pool_cancel(struct pool_wait *wait);

/* The identity was looked at: replaces what does not belong to the present one, and goes on where
 * it had none that is valid. */
void pool_refresh(struct pool *pool);

/* A connection of this pool brought a greeting: the proxy accepts us, so a pause is over. */
void pool_confirm(struct pool *pool);

size_t pool_ready_count(const struct pool *pool);
size_t pool_dial_count(const struct pool *pool);

#endif

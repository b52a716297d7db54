/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A local port: a TCP or Unix-socket listener.
 *
 * A Unix socket is made with nobody else's permission to connect and gets its mode before it
 * listens. One that is left over from a process that died is removed, but only if it is a socket,
 * is ours, and nobody answers on it; anything else in its place is an error that says what to do.
 * On closing, the path is removed if it is still the socket that we made.
 *
 * A TCP port takes no SO_REUSEPORT: two tunnels on one port would share its connections out by
 * chance.
 */
#ifndef SALLYPORT_TUNNEL_LISTENER_H
#define SALLYPORT_TUNNEL_LISTENER_H

#include <stdbool.h>
#include <uv.h>

#include "base/address.h"
#include "base/error.h"

/* Connections that the kernel keeps until they are accepted. */
#define LISTENER_BACKLOG 511

struct listener;

/* A connection is pending on the handle: it must be accepted from inside the call. */
typedef void listener_pending(void *owner, uv_stream_t *handle);

/*
 * Begins to listen. `mode` is for Unix sockets. ERROR_SYSTEM names the address, the reason and how
 * to find the culprit.
 */
bool listener_open(uv_loop_t *loop, const struct address *address, unsigned mode,
                   listener_pending *pending, void *owner, struct listener **out,
                   struct error *err) MUST_USE;

/* Stops at once; the memory goes in the loop, and `pending` does not come again. NULL allowed. */
void listener_close(struct listener *listener);

/* Where it listens: with the port that the system chose, where 0 was asked for. */
const struct address *listener_address(const struct listener *listener);

/* Changes who is told. */
void listener_set_owner(struct listener *listener, listener_pending *pending, void *owner);

/* Gives a Unix socket another mode. */
bool listener_set_mode(struct listener *listener, unsigned mode, struct error *err) MUST_USE;

#endif

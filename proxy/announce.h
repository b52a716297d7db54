/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnels at a proxy's control protocol (docs/protocol/control.md): a bot that has renewed its
 * certificate shows the new one, and the sessions of its instance and family (tls/hello.h) live as
 * long.
 */
#ifndef SALLYPORT_PROXY_ANNOUNCE_H
#define SALLYPORT_PROXY_ANNOUNCE_H

#include "proxy/worker.h"

#define ANNOUNCE_IDLE_MS 10000 /* between two requests */
#define ANNOUNCE_MAX     1000  /* of one worker at once; tunnels try again */

/* Takes over a stream that is secured and speaks TLS_ALPN_CONTROL; on failure (ERROR_LIMIT,
 * ERROR_MEMORY) it stays the caller's. */
bool announce_adopt(struct worker *worker, struct stream *stream, struct error *err) MUST_USE;

/* Ends all of a worker's. */
void announce_close_all(struct worker *worker);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client's session on a worker, from accept to the last close. What other parts of proxy/ may
 * do with it; how it works is in session_internal.h.
 */
#ifndef SALLYPORT_PROXY_SESSION_H
#define SALLYPORT_PROXY_SESSION_H

#include "proxy/worker.h"

/* Accepts the connection that waits at a listener. */
void session_accept(struct listener *listener);

/* Judges a session by the worker's new snapshot; ends it when no role allows it any more. */
void session_follow_policy(struct session *session);

/* The proxy is stopping: ends it now if it is idle, else as soon as the running commands have been
 * answered. */
void session_drain(struct session *session);

/* Ends it now; one that only waits for its last record is given up. */
void session_stop(struct session *session);

/* The audit log has room again: goes on where it waited. */
void session_audit_room(struct session *session);

/* The next one in the worker's list. */
struct session *session_next(const struct session *session);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of the control protocol over a stream, TLS or a Unix socket, from either side.
 *
 *     accept ──► OPENING ── TLS done, or at once in the clear ──► OPEN ──► CLOSING ──► closed
 *                   │                                 ▲            ▲
 *                   └── fails ──► CLOSING             └─ adopt ────┘ any failure, or the owner
 *
 * Events come from the loop only, never from inside a call of the owner; after control_peer_close()
 * only `closed` comes, exactly once in every life, with the first reason there was. The stream can
 * still be looked at then; when it returns the memory is no longer the owner's to touch.
 *
 * Who answers (CONTROL_ANSWERS) gets requests whose head has been read and whose ids rise; it may
 * answer later, but in order, which control_peer_send() checks. While CONTROL_REQUESTS_WAITING of
 * them wait for their answers, nothing more is read. A message that breaks the protocol is answered
 * `malformed` (with its id, or 0), and the connection ends; the owner hears of it in `closed`,
 * with ERROR_MALFORMED or ERROR_LIMIT. Who asks (CONTROL_ASKS) gets answers and events.
 *
 * Deadlines: the handshake and the first request together have CONTROL_FIRST_MS; between whole
 * messages the owner's idle limit holds (a message that trickles does not prolong it), not while
 * requests wait for their answers; and a peer that has taken nothing for CONTROL_STALL_MS while
 * more waits than the stream takes is dropped.
 *
 * Output: what the stream does not take yet waits here, up to CONTROL_OUTPUT_MAX bytes; a peer for
 * which more would have to wait is dropped. Everything that was read or waits is wiped after use.
 */
#ifndef SALLYPORT_CONTROL_PEER_H
#define SALLYPORT_CONTROL_PEER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "control/message.h"
#include "tls/stream.h"

/* Limits (DESIGN.md, I9). */
#define CONTROL_FIRST_MS  10000 /* from the connection to its first whole request */
#define CONTROL_STALL_MS  30000 /* without the peer taking anything */
#define CONTROL_LINGER_MS 1000  /* for the last answer to arrive */
#define CONTROL_OUTPUT_MAX                                                   \
    (32 * 1024 * 1024)   /* bytes: a state of the greatest size, and another \
                          */
#define CONTROL_BURST 16 /* messages of one peer before the others have a turn */

enum control_side { CONTROL_ANSWERS, CONTROL_ASKS };

struct control_peer;

struct control_peer_events {
    /* TLS stands and the protocol was agreed on: control_peer_identity() tells who it is. Not for
     * what was adopted, nor in the clear. NULL allowed. */
    void (*secured)(struct control_peer *peer, void *owner);
    /* A whole message; tree and head hold during the call. */
    void (*message)(struct control_peer *peer, void *owner, const cJSON *message,
                    const struct control_head *head);
    /* The end. ERROR_NONE: the owner's own wish, without a reason. */
    void (*closed)(struct control_peer *peer, void *owner, const struct error *reason);
};

/*
 * Accepts a pending connection of a listening uv_tcp_t or uv_pipe_t, as the side that answers.
 * Under TLS the peer must agree on TLS_ALPN_CONTROL; `context` is NULL for a Unix socket, over
 * which requests may be longer (CONTROL_ADMIN_REQUEST_MAX).
 */
bool control_peer_accept(struct stream_loop *shared, uv_stream_t *listener,
                         struct tls_context *context, const struct control_peer_events *events,
                         void *owner, struct control_peer **out, struct error *err) MUST_USE;

/*
 * Goes on with a stream that is open and, under TLS, secured: from dial_done, or from a listener
 * that found TLS_ALPN_CONTROL. The stream belongs to the peer from then on; on failure it stays the
 * caller's. Who answers grants the first request CONTROL_FIRST_MS from now.
 */
bool control_peer_adopt(struct stream *stream, uv_loop_t *loop, enum control_side side,
                        const struct control_peer_events *events, void *owner,
                        struct control_peer **out, struct error *err) MUST_USE;

/*
 * Sends a message (borrowed). False: nothing was sent, and *err says why: ERROR_LIMIT when it is
 * longer than this side may send (the connection goes on) or too much waits for the peer already
 * (the connection ends), ERROR_STATE for an answer out of turn, ERROR_CLOSED after the end.
 */
bool control_peer_send(struct control_peer *peer, const cJSON *message, struct error *err) MUST_USE;
/* The same, and frees the message; NULL stands for "no memory". For control_answer() and so on. */
bool control_peer_send_new(struct control_peer *peer, cJSON *message, struct error *err) MUST_USE;

/* The most that may pass from one whole message of the peer to the next; 0: no limit (default). */
void control_peer_set_idle(struct control_peer *peer, int64_t milliseconds);

/* Other deadlines than CONTROL_FIRST_MS and CONTROL_STALL_MS, from now on. */
void control_peer_set_deadlines(struct control_peer *peer, int64_t first_ms, int64_t stall_ms);

/*
 * Ends the connection for a reason (copied; NULL: none). What the stream holds is still sent within
 * CONTROL_LINGER_MS; what waits behind that is dropped. Safe to call twice, and with NULL.
 */
void control_peer_close(struct control_peer *peer, const struct error *reason);

/* The verified certificate's identity; NULL in the clear or without a certificate. */
const struct identity *control_peer_identity(const struct control_peer *peer);
/* The stream, for its address, cipher, refused certificate and descriptor: to look at. */
const struct stream *control_peer_stream(const struct control_peer *peer);
/* Requests that were handed out and not answered. */
unsigned control_peer_waiting(const struct control_peer *peer);
/* Bytes that wait here and in the stream. */
size_t control_peer_backlog(const struct control_peer *peer);

#endif

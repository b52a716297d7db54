/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte stream over TCP or a Unix socket on a libuv loop: in the clear at first, under TLS once
 * stream_start_tls() says so (at once for TLS-first, later for MySQL's in-band STARTTLS), in either
 * role.
 *
 * Life:  stream_accept()/stream_connect() -> [connected] -> (data, drained, secured)* ->
 * [ended|failed]
 *        -> stream_close() -> closed, after which the memory is gone.
 *
 * Events come from the loop only, never from inside a call that the owner makes. After
 * stream_close() only `closed` comes, exactly once. `ended` and `failed` come at most once each;
 * `failed` may follow `ended` (the peer ended its side, then broke the connection while it was
 * still written to).
 *
 * Reading and backpressure: `data` hands over plaintext in a buffer shared by the whole loop, valid
 * during the call. The owner takes all of it, or calls stream_pause() and returns how much it took;
 * the rest is kept (at most STREAM_READ_CHUNK bytes, and the socket is not read) and comes again,
 * with what follows, after stream_resume().
 *
 * Writing: stream_write() takes all bytes at once; they are encrypted as they come and go out in
 * one system call when the event that is being handled returns (or when another stream of the loop
 * is written to). What the socket does not take is kept; stream_backlog() tells how much. An owner
 * stops feeding (pauses the source) above STREAM_BACKLOG_HIGH; `drained` comes when the backlog
 * that had exceeded it has fallen to STREAM_BACKLOG_LOW. Past STREAM_BACKLOG_MAX the write fails,
 * and so does the stream.
 */
#ifndef SALLYPORT_TLS_STREAM_H
#define SALLYPORT_TLS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "tls/context.h"
#include "tls/identity.h"

#define STREAM_READ_CHUNK   65536
#define STREAM_BACKLOG_HIGH (256 * 1024)
#define STREAM_BACKLOG_LOW  (64 * 1024)
#define STREAM_BACKLOG_MAX  (4 * 1024 * 1024)

struct stream;

/* What all streams of one loop share: the read, plaintext and write buffers. One for each thread.
 */
struct stream_loop;

/* Also makes the process ignore SIGPIPE: a write to a peer that is gone is an error, not the end.
 */
bool stream_loop_create(uv_loop_t *loop, struct stream_loop **out, struct error *err) MUST_USE;
/* Closes its handles; free happens in the loop. No stream may be left. */
void stream_loop_destroy(struct stream_loop *shared);

struct stream_events {
    /* The connection that stream_connect() began stands. */
    void (*connected)(struct stream *stream, void *owner);
    /* The handshake is done and the peer's certificate verified, where it had to have one. */
    void (*secured)(struct stream *stream, void *owner);
    /* Bytes came; returns how many were taken: all of them unless the owner paused the stream. */
    size_t (*data)(struct stream *stream, void *owner, const uint8_t *data, size_t length);
    /* The backlog fell to STREAM_BACKLOG_LOW after it had passed STREAM_BACKLOG_HIGH. */
    void (*drained)(struct stream *stream, void *owner);
    /* The peer has ended its side in order (FIN in the clear, close_notify under TLS). */
    void (*ended)(struct stream *stream, void *owner);
    /* The stream is broken: reset, TLS alert, failed verification, end without close_notify
     * (ERROR_CLOSED). */
    void (*failed)(struct stream *stream, void *owner, const struct error *err);
    /* All handles are closed; the stream is freed when this returns. Releases the owner's hold. */
    void (*closed)(struct stream *stream, void *owner);
};

/* Accepts a pending connection of a listening uv_tcp_t or uv_pipe_t. TCP_NODELAY and keepalive are
 * set. */
bool stream_accept(struct stream_loop *shared, uv_stream_t *listener,
                   const struct stream_events *events, void *owner, struct stream **out,
                   struct error *err) MUST_USE;

/* Begins to connect to an address that is resolved already; `connected` or `failed` follows. */
bool stream_connect(struct stream_loop *shared, const struct sockaddr *address,
                    const struct stream_events *events, void *owner, struct stream **out,
                    struct error *err) MUST_USE;

/* Begins to connect to a Unix socket. */
bool stream_connect_unix(struct stream_loop *shared, const char *path,
                         const struct stream_events *events, void *owner, struct stream **out,
                         struct error *err) MUST_USE;

/*
 * Goes on under TLS in the context's role. A client passes the server's name (SNI, and the check of
 * the certificate: a DNS name or an IP address); a server passes NULL. Bytes written before still
 * go out in the clear. May be called from inside `data` (STARTTLS): what came behind the bytes that
 * the owner took is a server's first TLS record, never plaintext to be believed; a client, which
 * speaks first, fails with ERROR_MALFORMED if there is any.
 */
bool stream_start_tls(struct stream *stream, struct tls_context *context, const char *server_name,
                      struct error *err) MUST_USE;

/*
 * The verified peer's identity, once `secured` came; NULL in the clear, and for a client that came
 * without a certificate where the context lets it. Owned by the stream.
 */
const struct identity *stream_peer(const struct stream *stream);
/*
 * Whether another context of the same side, such as one that was made at a reload, accepts the
 * verified peer's certificate now: its CAs, its CRL, the time. *err says why not.
 */
bool stream_trusted_by(const struct stream *stream, const struct tls_context *context,
                       struct error *err) MUST_USE;
/* The ALPN protocol agreed on, or NULL. */
const char *stream_alpn(const struct stream *stream);
/* "TLSv1.3 TLS1-3-AES-128-GCM-SHA256" or "plaintext": for records and logs. */
const char *stream_cipher(const struct stream *stream);
/*
 * Who the certificate names that the peer presented and that was refused, for the audit log: never
 * to be trusted. NULL when none was presented, or it could not be read, or it was verified. Owned
 * by the stream.
 */
const struct identity *stream_refused_peer(const struct stream *stream);
/* The peer's address as text, "127.0.0.1:51234" or "unix". Owned by the stream. */
const char *stream_peer_address(const struct stream *stream);
/* The socket, e.g. for SO_PEERCRED; -1 when closed. */
int stream_fd(const struct stream *stream);

bool stream_write(struct stream *stream, const void *bytes, size_t length,
                  struct error *err) MUST_USE;
/* Sends now what has been written. Rarely needed: the end of the event does it. */
void stream_flush(struct stream *stream);
size_t stream_backlog(const struct stream *stream);

void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);
bool stream_paused(const struct stream *stream);
/* As stream_pause(), until the loop has given its other events a turn: for an owner whose work on
 * the bytes would take long. A stream_pause() in the meantime stays. */
void stream_yield(struct stream *stream);

/*
 * Closes: what was written is still sent, within `linger_ms` (0: dropped), with close_notify under
 * TLS; then the handle is closed. Safe to call twice, and from any event. NULL allowed.
 */
void stream_close(struct stream *stream, unsigned linger_ms);

/* Changes who gets the events: how a warm connection moves to a session. */
void stream_set_owner(struct stream *stream, const struct stream_events *events, void *owner);

/* Whether an error that a stream gave is the peer's word that it refuses our certificate. */
bool stream_error_is_certificate(const struct error *err);

/* Whether it is that the peer's certificate comes of no CA that we trust. */
bool stream_error_is_unknown_ca(const struct error *err);

#endif

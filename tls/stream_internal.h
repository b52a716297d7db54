/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a stream is made: for tls/ only. Four sources share it:
 *   stream.c       the public calls, the life of a stream, the pump that turns input into events
 *   stream_io.c    the libuv half: connecting, reading, closing
 *   stream_loop.c  what all streams of a loop share: buffers, coalesced output, deferred work
 *   stream_tls.c   the Mbed TLS half: handshake, records, close_notify
 *   stream_error.c the words for what went wrong
 *
 * Events are emitted at the top of a libuv callback only, never below a public call: a public call
 * that fails or has work to do marks the stream (stream_attend()) and the loop's idle handle comes
 * back to it.
 *
 *                    +-- fails ---------------> FAILED --+
 *                    |                            |      | stream_close
 *   CONNECTING --> OPEN --stream_close--> LINGERING <----+
 *        |           |                       |           |
 *        +-----------+------> CLOSING <------+-----------+
 *                              (uv_close is under way; then the memory goes)
 */
#ifndef SALLYPORT_TLS_STREAM_INTERNAL_H
#define SALLYPORT_TLS_STREAM_INTERNAL_H

#include <mbedtls/ssl.h>

#include "base/buffer.h"
#include "tls/context_internal.h"
#include "tls/stream.h"

/* One system call takes at most this much; a larger output goes out in several. */
#define STREAM_WRITE_CHUNK (128 * 1024)
/* A stream that has read this much without pause lets the others of the loop go first. */
#define STREAM_READ_BURST (256 * 1024)
/* TCP keepalive starts after so many idle seconds. */
#define STREAM_KEEPALIVE_SECONDS 60
/* How often lingering streams are looked at: the precision of linger_ms. */
#define STREAM_LINGER_TICK_MS 20
/* "[IPv6 address]:port" with a scope. */
#define STREAM_ADDRESS_SIZE 72
/* An output buffer larger than this is not kept for the next stream that needs one. */
#define STREAM_SPARE_MAX (1024 * 1024)

enum stream_state {
    STREAM_CONNECTING,
    STREAM_OPEN,
    STREAM_FAILED,
    STREAM_LINGERING,
    STREAM_CLOSING,
};

/* Why a stream waits for the loop's attention. */
enum stream_attention {
    STREAM_ATTEND_FAILURE = 1, /* `failed` is due */
    STREAM_ATTEND_INPUT = 2,   /* resumed: kept input first, then the socket; or TLS begins */
    STREAM_ATTEND_DRAINED = 4, /* `drained` may be due */
    STREAM_ATTEND_YIELD = 8,   /* it paused itself for a turn of the loop */
};

/* A link of a ring; a lone link points to itself. */
struct stream_link {
    struct stream_link *previous;
    struct stream_link *next;
};

struct stream_loop {
    uv_loop_t *loop;
    uv_idle_t wake;     /* runs while a stream waits for attention */
    uv_prepare_t flush; /* runs once after bytes were written outside of an event */
    uv_timer_t linger;  /* runs while a stream lingers */
    unsigned open_handles;
    unsigned depth;               /* > 0 while one of our callbacks runs */
    struct stream_link waiting;   /* stream.wait_link */
    struct stream_link lingering; /* stream.linger_link */
    struct stream *writer;        /* whose output is in write[]; NULL when there is none */
    size_t written;
    struct buffer spare; /* storage for the next stream whose socket is full */
    uint8_t read[STREAM_READ_CHUNK];
    uint8_t plain[STREAM_READ_CHUNK];
    uint8_t write[STREAM_WRITE_CHUNK];
};

/* The TLS half of a stream. */
struct stream_tls {
    mbedtls_ssl_context ssl;
    struct tls_context *context;
    struct stream *stream;
    char *server_name;     /* a client's: what the certificate must be for */
    uint8_t address[16];   /* server_name as an address */
    size_t address_length; /* 0: server_name is a DNS name */
    struct identity *peer; /* of the certificate that was presented, verified or not */
    int64_t bad_time_us;   /* the end or start of the certificate that is out of its time */
    bool bad_time_is_ca;   /* ... which is a CA's */
    bool verified;         /* `secured` is due or came */
    bool saw_input;
    bool plaintext; /* what came cannot be TLS */
    int result;     /* of the last read, to be told once its data is taken; 0: none */
    char cipher[80];
};

struct stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct stream_loop *shared;
    const struct stream_events *events; /* NULL: nobody is told (it was never handed out) */
    void *owner;
    enum stream_state state;
    bool paused;
    bool reading;      /* libuv reads */
    bool delivering;   /* `data` runs */
    bool peer_ended;   /* FIN or close_notify seen: no more input */
    bool above_high;   /* `drained` is due */
    bool sending;      /* write_request is under way */
    bool shut;         /* uv_shutdown was called */
    bool failing;      /* `failed` is due; `error` says why */
    int write_error;   /* libuv's code once the socket has refused output; 0: none */
    int connect_error; /* libuv's code when the connection could not be made; 0: none */
    unsigned attention;
    size_t burst;          /* bytes read without pause */
    uint64_t linger_until; /* loop time, ms */
    struct stream_link wait_link;
    struct stream_link linger_link;
    const uint8_t *input; /* just read, in shared->read; what is not used goes to kept_input */
    size_t input_length;
    struct buffer kept_input; /* as it came from the socket */
    struct buffer kept_plain; /* decrypted, not yet taken */
    struct buffer early;      /* written before the handshake was done */
    struct buffer pending;    /* output behind what is being sent */
    struct buffer in_flight;  /* output that libuv holds */
    uv_write_t write_request;
    union {
        uv_connect_t connect;
        uv_shutdown_t shutdown;
    } request;
    struct stream_tls *tls;
    struct error error;
    char address[STREAM_ADDRESS_SIZE];
};

/* stream.c */
void stream_set_state(struct stream *stream, enum stream_state state);
/* Remembers the first failure (err, or the printed one); `failed` comes from stream_settle(). */
void stream_fail(struct stream *stream, const struct error *err);
void stream_fail_with(struct stream *stream, enum error_code code, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Emits `failed` if it is due. At the top of a callback only. */
void stream_settle(struct stream *stream);
/* Turns input into events until there is none, or the owner pauses or closes. Top of a callback
 * only. */
void stream_pump(struct stream *stream);
bool stream_can_read(const struct stream *stream);
/* Hands bytes to the owner; what was not taken goes to `rest`. False when it must not go on. */
bool stream_deliver(struct stream *stream, const uint8_t *bytes, size_t length, size_t *taken);

/* stream_io.c */
/* Starts or stops libuv's reading, as the stream's state wants it. */
void stream_update_reading(struct stream *stream);
void stream_force_close(struct stream *stream);
/* All output of a lingering stream is gone: sends FIN, waits for the peer's. */
void stream_finish_linger(struct stream *stream);
void stream_begin_linger(struct stream *stream, unsigned linger_ms);

/* stream_loop.c */
void stream_link_init(struct stream_link *link);
void stream_link_remove(struct stream_link *link);
void stream_link_append(struct stream_link *ring, struct stream_link *link);
void stream_attend(struct stream *stream, enum stream_attention why);
/* It waits for that no longer. */
void stream_attend_no_more(struct stream *stream, enum stream_attention why);
/* Brackets each libuv callback: the outermost leave sends what was written. */
void stream_loop_enter(struct stream_loop *shared);
void stream_loop_leave(struct stream_loop *shared);
/* Queues bytes for the socket. */
bool stream_emit(struct stream *stream, const void *bytes, size_t length,
                 struct error *err) MUST_USE;
/* Sends what is in the shared buffer, whosever it is. */
void stream_loop_flush(struct stream_loop *shared);
/* Forgets output that is in the shared buffer. */
void stream_drop_output(struct stream *stream);
void stream_start_linger_timer(struct stream_loop *shared);

/* stream_tls.c */
bool stream_tls_create(struct stream *stream, struct tls_context *context, const char *server_name,
                       struct error *err) MUST_USE;
void stream_tls_free(struct stream_tls *tls);
/* Handshake or one round of reading. False: it needs more input, or is at its end. */
bool stream_tls_step(struct stream *stream);
bool stream_tls_write(struct stream *stream, const uint8_t *bytes, size_t length,
                      struct error *err) MUST_USE;
void stream_tls_close_notify(struct stream *stream);

/* stream_error.c */
/* What a certificate's verification found, in words. */
void stream_error_from_verdict(const struct stream_tls *tls, uint32_t flags, struct error *err);
void stream_error_from_tls(const struct stream_tls *tls, int code, struct error *err);

#endif

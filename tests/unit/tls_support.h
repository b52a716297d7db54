/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two real streams that talk over loopback in one loop, and the certificates for them. Each side
 * records what happened to it and can be told to do something inside an event.
 */
#ifndef SALLYPORT_TESTS_TLS_SUPPORT_H
#define SALLYPORT_TESTS_TLS_SUPPORT_H

#include <uv.h>

#include "base/buffer.h"
#include "tls/context.h"
#include "tls/stream.h"

/* Where scripts/make-test-certs put its output: made once for each test executable. */
const char *certs_directory(void);
/* directory/name, in one of a few static buffers. */
const char *certs_path(const char *name);

enum event { EVENT_NONE, CONNECTED, SECURED, DATA, DRAINED, ENDED, FAILED };

struct side {
    struct stream *stream; /* NULL once closed */
    struct buffer received;
    size_t received_total;
    bool keep; /* whether data goes to `received` */
    bool connected, secured, drained, ended, failed, closed;
    struct error error;
    struct pair *pair;
    bool in_call;        /* an owner's call runs: no event may come */
    bool anonymous_peer; /* its peer is let in without a certificate */
    /* What to do in an event; EVENT_NONE: nothing. */
    enum event close_at;
    unsigned close_linger;
    bool echo;
    size_t take; /* how much `data` takes before it pauses; 0: all */
    void (*on_data)(struct side *side, const uint8_t *bytes, size_t length, size_t *taken);
    void *extra;
};

struct pair {
    uv_loop_t loop;
    uv_timer_t deadline;
    bool late;
    struct stream_loop *shared;
    uv_tcp_t listener;
    struct side client;
    struct side server;
    int descriptors; /* open before it all; -1: pair_close() does not count them */
};

extern const struct stream_events side_events;

/* Both sides connected, in the clear. */
void pair_open(struct pair *pair);
/* Runs the loop until the flag is set; fails the test after ten seconds. */
void pair_run_until(struct pair *pair, const bool *flag);
/* Runs the loop for that long. */
void pair_run_for(struct pair *pair, unsigned milliseconds);
/* Closes what is open and checks that nothing is left: handles, descriptors. */
void pair_close(struct pair *pair);

/* Contexts of the test certificates. */
struct tls_context *context_server(enum tls_version version);
struct tls_context *context_client(const char *bot, enum tls_version version);
/* The settings behind those, to vary. */
struct tls_settings settings_server(void);
struct tls_settings settings_client(const char *bot);
struct tls_context *context_make(const struct tls_settings *settings);

/* Starts TLS on both sides (and drops the references to the contexts). */
void pair_start_tls(struct pair *pair, struct tls_context *server, struct tls_context *client,
                    const char *server_name);
/* pair_open() and a finished handshake. */
void pair_open_tls(struct pair *pair, enum tls_version version);

void side_write(struct side *side, const void *bytes, size_t length);
/* Whether exactly this text came. */
bool side_received(const struct side *side, const char *text);
/* Runs until that many bytes came in all. */
void pair_run_until_received(struct pair *pair, const struct side *side, size_t total);

int open_descriptors(void);

#endif

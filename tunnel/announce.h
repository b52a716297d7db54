/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling a proxy that the bot has a new certificate, so that sessions which began with the former
 * one live on: a control connection to the proxy's address, made with the new certificate, and the
 * request `announce` (docs/protocol/control.md), for the sessions of the tunnel's family. It is
 * tried again, with jittered pauses, until it has succeeded or nobody needs it any more.
 */
#ifndef SALLYPORT_TUNNEL_ANNOUNCE_H
#define SALLYPORT_TUNNEL_ANNOUNCE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/address.h"
#include "base/error.h"
#include "tls/context.h"
#include "tls/stream.h"

#define ANNOUNCE_DIAL_MS        10000
#define ANNOUNCE_ANSWER_MS      10000
#define ANNOUNCE_PAUSE_LEAST_MS 250
#define ANNOUNCE_PAUSE_MOST_MS  15000

struct announce;

struct announce_settings {
    struct address proxy;
    const char *server_name;     /* copied */
    struct tls_context *context; /* with TLS_ALPN_CONTROL; a reference is taken */
    const uint8_t *family; /* HELLO_FAMILY_SIZE bytes: of the sessions that it is for; copied */
};

struct announce_events {
    /* Whether there are still sessions to speak for; asked before each attempt. */
    bool (*needed)(void *owner);
    /* It is over: announced, or not needed any more. The memory goes after it, in the loop. */
    void (*over)(void *owner, bool announced);
};

/* Begins. Fails only without memory. */
bool announce_start(struct stream_loop *streams, uv_loop_t *loop,
                    const struct announce_settings *settings, const struct announce_events *events,
                    void *owner, struct announce **out, struct error *err) MUST_USE;

/* Gives up: `over` will not come. Not after it came. NULL allowed. */
void announce_cancel(struct announce *announce);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt to get a TLS connection to a proxy or the authority: resolve the name, connect to one
 * address after another, shake hands, check what was agreed on. It ends in `done`, exactly once and
 * from the loop only, with a stream that is secured or with an error. The deadline covers all of
 * it; each address gets its fair share of what is left, so that one that swallows packets does not
 * hide the next.
 *
 *     RESOLVING -> CONNECTING -> SECURING -> done
 *                     ^   |          |
 *                     +---+----------+  next address, where the connect (not TLS) failed
 */
#ifndef SALLYPORT_TLS_DIAL_H
#define SALLYPORT_TLS_DIAL_H

#include <stdint.h>

#include "base/address.h"
#include "base/error.h"
#include "tls/stream.h"

#define DIAL_ADDRESSES_MAX 8 /* of one name; more are not tried */

struct dial;

struct dial_request {
    struct address address;      /* ADDRESS_HOST */
    const char *server_name;     /* borrowed until `done` or dial_cancel() */
    const char *alpn;            /* what the other side must agree on; a constant */
    struct tls_context *context; /* a reference is taken */
    int64_t timeout_ms;
};

/*
 * `stream` is secured and speaks the request's protocol; it is the callee's, which must set its
 * owner or close it before it returns. On failure it is NULL and *err says why: ERROR_SYSTEM for
 * name and network, ERROR_TIMEOUT, ERROR_TLS and others as the stream gave them.
 */
typedef void dial_done(void *owner, struct stream *stream, const struct error *err);

/* Begins. Fails only without memory or descriptors; `done` does not come then. */
bool dial_start(struct stream_loop *shared, uv_loop_t *loop, const struct dial_request *request,
                dial_done *done, void *owner, struct dial **out, struct error *err) MUST_USE;

/* Gives up: `done` will not come. Not after `done` came. */
void dial_cancel(struct dial *dial);

#endif

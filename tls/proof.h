/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate that a peer has proven to have the key of, kept beyond its connection: what is
 * based on it can be judged anew when those who are trusted change. It holds the chain as it came,
 * and no key. Immutable, counted by reference, and may be used by several threads at once.
 */
#ifndef SALLYPORT_TLS_PROOF_H
#define SALLYPORT_TLS_PROOF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "tls/context.h"
#include "tls/stream.h"

/* Of one chain, in DER: several times what certificates of an authority's bots need. */
#define PROOF_CHAIN_MAX (64 * 1024)

struct proof;

/* Of the verified peer of a stream that is secured. ERROR_STATE: it has shown no certificate;
 * ERROR_LIMIT: its chain is too long; ERROR_MEMORY. */
bool proof_of_stream(const struct stream *stream, struct proof **out, struct error *err) MUST_USE;

/* Of certificates in DER, one behind the other, the peer's own first (copied). For what has read
 * and verified them; nothing is checked here but the length (ERROR_LIMIT). */
bool proof_create(struct byte_view chain, int64_t not_before_us, int64_t not_after_us,
                  struct proof **out, struct error *err) MUST_USE;

struct proof *proof_ref(struct proof *proof); /* NULL allowed */
void proof_unref(struct proof *proof);        /* NULL allowed */

/* Of the peer's own certificate; wall time. */
int64_t proof_not_before_us(const struct proof *proof);
int64_t proof_not_after_us(const struct proof *proof);

/* Whether a server's context accepts the certificate now: its CAs, its CRL, the time. *err says why
 * not. */
bool proof_trusted_by(const struct proof *proof, const struct tls_context *context,
                      struct error *err) MUST_USE;

#endif

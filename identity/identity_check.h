/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what the authority sent is an identity that can be used, before it takes the place of one
 * that can: an answer that is of no use must not cost the bot what it has.
 */
#ifndef SALLYPORT_IDENTITY_CHECK_H
#define SALLYPORT_IDENTITY_CHECK_H

#include <stdint.h>

#include "base/error.h"
#include "tls/key.h"

struct identity_claim {
    const char *certificate; /* PEM, leaf first */
    const char *ca;          /* PEM */
    const char *key_pem;     /* the key that was made for it, as it will be saved */
    const struct tls_key *key;
    const char *name;     /* the bot, by the authority's word */
    const char *expected; /* the bot that is wanted; NULL: whoever the token is for */
    int64_t now_us;       /* wall time */
};

/*
 * The certificate is for the key, names the bot, is no CA's, has not expired (one that begins in
 * the future is taken: this machine's clock is behind, then), each of its chain is signed by the
 * next, and `ca` holds certificates. ERROR_MALFORMED or ERROR_DENIED.
 */
bool identity_check(const struct identity_claim *claim, struct error *err) MUST_USE;

#endif

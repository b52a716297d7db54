/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One `mint` (docs/protocol/control.md): a new key, a request for a certificate of it, and what the
 * authority answers made into a credential. Whoever asks sends it: proxy/minter.h,
 * proxy/preflight_authority.h.
 */
#ifndef SALLYPORT_PROXY_MINT_REQUEST_H
#define SALLYPORT_PROXY_MINT_REQUEST_H

#include <cjson/cJSON.h>

#include "base/buffer.h"
#include "base/error.h"
#include "proxy/provision.h"

#define MINT_CERTIFICATE_MAX 65536 /* bytes of a chain in PEM */

/* For the key that waits for its certificate. */
void mint_key_init(struct buffer *key);
void mint_key_release(struct buffer *key); /* wipes it */

/* Makes a new key into *key, and the request; NULL: ERROR_MEMORY or what key generation says. */
cJSON *mint_request_create(const char *mysql_user, struct buffer *key, struct error *err);

/* Takes the answer's object. The key is wiped, whatever comes of it. */
bool mint_request_take(const char *mysql_user, const cJSON *ok, struct buffer *key,
                       struct credential **out, struct error *err) MUST_USE;

#endif

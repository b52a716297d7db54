/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key that joins by a token are made with, for bots and proxies: on the disk before the first
 * attempt, and the same for all of them. The authority may have used up the token while its answer
 * was lost, and gives another certificate to nobody but this key (docs/protocol/control.md).
 */
#ifndef SALLYPORT_IDENTITY_JOINING_KEY_H
#define SALLYPORT_IDENTITY_JOINING_KEY_H

#include "base/error.h"
#include "identity/identity_store.h"
#include "tls/key.h"

/*
 * The key of an earlier attempt, or a new one that is on the disk when this returns; one that
 * cannot be read any more is replaced. The caller frees it. False: no key can be kept (a full
 * disk), so no token should be used up. identity_store_save() ends the join, and the file goes.
 */
bool joining_key_find(struct identity_store *store, struct tls_key **out,
                      struct error *err) MUST_USE;

#endif

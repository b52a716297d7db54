/* SPDX-License-Identifier: Apache-2.0 */
/* identity_store_save() on a thread of libuv's pool, because a disk may be slow and sessions should
 * not wait for it. */
#ifndef SALLYPORT_IDENTITY_SAVE_H
#define SALLYPORT_IDENTITY_SAVE_H

#include <uv.h>

#include "base/error.h"
#include "identity/identity_store.h"

struct identity_save;

/* err NULL: it is saved. Called once, from the loop. */
typedef void identity_saved(void *owner, const struct error *err);

/* Begins; what the set holds is copied, and wiped afterwards. The store must stay until `saved`
 * came, and nothing else may be done with it until then. Fails only without memory. */
bool identity_save_start(uv_loop_t *loop, struct identity_store *store,
                         const struct identity_set *set, identity_saved *saved, void *owner,
                         struct error *err) MUST_USE;

#endif

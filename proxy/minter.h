/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client certificates of MySQL users: which are wanted, which are there, which are to be
 * renewed. Asks the authority through a control client that its owner lends it while there is one.
 * All of it belongs to one loop's thread.
 *
 * A certificate is asked for as soon as a role names its user (by a plain name, no glob), and anew
 * at half of its life, so that no connect ever waits for one. Users whom only a glob allows are
 * wanted from their first login on (proxy/demand.h). What is there is used until it ends,
 * whatever happens to the authority.
 */
#ifndef SALLYPORT_PROXY_MINTER_H
#define SALLYPORT_PROXY_MINTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "control/client.h"
#include "proxy/provision.h"

#define MINTER_USERS_MAX    1000 /* of one proxy; more are left out, with a warning */
#define MINTER_ASKING_MAX   8    /* questions at once, of CONTROL_REQUESTS_WAITING */
#define MINTER_ANSWER_MS    10000
#define MINTER_RETRY_US     5000000 /* after a refusal; twice that after the next … */
#define MINTER_RETRY_MAX_US 300000000

struct minter;

/* `changed`: a certificate came, or the last answer that was waited for. */
bool minter_create(void (*changed)(void *owner), void *owner, struct minter **out,
                   struct error *err) MUST_USE;
void minter_free(struct minter *minter); /* NULL allowed; no question may be open */

/* The users whose certificates are wanted from now on: names are copied. Those that are there stay
 * until they end. */
bool minter_want(struct minter *minter, const char *const *users, size_t count,
                 struct error *err) MUST_USE;

/* The client to ask; NULL: none now. Open questions of the one before have had their outcome. */
void minter_set_client(struct minter *minter, struct control_client *client);

/* Asks for what is due at `now_us` (wall time). To be called every second or so. */
void minter_work(struct minter *minter, int64_t now_us);

/* Whether each user that is wanted has a certificate, or has been refused one. */
bool minter_is_complete(const struct minter *minter);
/* Whether an answer is still to come: a burst of certificates is under way. */
bool minter_is_asking(const struct minter *minter);

/* Those that are there, for provision_create(); borrowed until the next call. */
struct credential *const *minter_credentials(struct minter *minter, size_t *count);

#endif

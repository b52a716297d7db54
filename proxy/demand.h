/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MySQL users that no role names in full, only a glob ("app_*"): nobody can mint certificates for
 * them ahead (docs/decisions/0805). Sessions put a user in at its login, once a role has allowed
 * it, and the main loop has its certificate minted and renewed as long as logins come; one that
 * nobody logs in as for DEMAND_IDLE_US is dropped. Users with certificates that were minted ahead
 * are never in here.
 */
#ifndef SALLYPORT_PROXY_DEMAND_H
#define SALLYPORT_PROXY_DEMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* At once in one proxy; beside those that roles name, within MINTER_USERS_MAX. */
#define DEMAND_USERS_MAX 250
/* Of these, by one bot: whoever runs wild must leave the others room. */
#define DEMAND_BOT_USERS_MAX (DEMAND_USERS_MAX / 4)
/* Of a bot's name, with its NUL: names that begin alike for longer than that share their quarter.
 */
#define DEMAND_BOT_SIZE 256
#define DEMAND_IDLE_US  INT64_C(1800000000) /* since its last login */

struct demand;

bool demand_create(struct demand **out, struct error *err) MUST_USE;
void demand_free(struct demand *demand); /* NULL allowed */

/*
 * A bot's login as `user`, at the monotonic time `now_us`. From any thread. A user that is
 * `missing` a certificate is put in (*added), one that is in already stays, and any other is left
 * out. A place counts for the bot that put the user in. ERROR_LIMIT: it is missing one, and there
 * is no room for it, or the bot has as many as one may.
 */
bool demand_login(struct demand *demand, const char *bot, const char *user, bool missing,
                  int64_t now_us, bool *added, struct error *err) MUST_USE;

/*
 * Drops those that were idle for too long, and lists the others: at most DEMAND_USERS_MAX names,
 * which live until the next call. *changed: others than at the call before. For one thread alone.
 */
size_t demand_users(struct demand *demand, int64_t now_us, const char *out[DEMAND_USERS_MAX],
                    bool *changed);

#endif

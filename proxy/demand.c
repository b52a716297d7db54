/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/demand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "protocol/handshake.h"

/* A name changes only while it is free, so that who lists them may read it without the lock. */
struct demanded {
    char user[HANDSHAKE_USER_MAX];
    char bot[DEMAND_BOT_SIZE]; /* whose place it is */
    int64_t last_us;           /* monotonic; 0: free */
};

struct demand {
    uv_mutex_t lock;
    bool changed;
    struct demanded users[DEMAND_USERS_MAX];
};

bool demand_create(struct demand **out, struct error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (uv_mutex_init(&(*out)->lock) == 0)
        return true;
    free(*out);
    *out = NULL;
    return error_set(err, ERROR_SYSTEM, "cannot make a lock");
}

void demand_free(struct demand *demand)
{
    if (!demand)
        return;
    uv_mutex_destroy(&demand->lock);
    free(demand);
}

/* The user's place, or else a free one, or NULL. */
static struct demanded *find(struct demand *demand, const char *user)
{
    struct demanded *room = NULL;
    for (size_t i = 0; i < DEMAND_USERS_MAX; i++) {
        struct demanded *each = &demand->users[i];
        if (each->last_us && strcmp(each->user, user) == 0)
            return each;
        if (!each->last_us && !room)
            room = each;
    }
    return room;
}

static bool is_of(const struct demanded *place, const char *bot)
{
    return place->last_us && strncmp(place->bot, bot, sizeof place->bot - 1) == 0;
}

static bool has_its_quarter(const struct demand *demand, const char *bot)
{
    size_t count = 0;
    for (size_t i = 0; i < DEMAND_USERS_MAX; i++)
        count += is_of(&demand->users[i], bot);
    return count >= DEMAND_BOT_USERS_MAX;
}

static bool put_in(struct demand *demand, struct demanded *place, const char *bot, const char *user,
                   struct error *err)
{
    if (!place)
        return error_set(err, ERROR_LIMIT,
                         "certificates are minted for %d MySQL users already that only globs of "
                         "roles allow: have the roles name them",
                         DEMAND_USERS_MAX);
    if (has_its_quarter(demand, bot))
        return error_set(err, ERROR_LIMIT,
                         "certificates are minted for %d MySQL users of this bot already that only "
                         "globs of roles allow: have the roles name them",
                         DEMAND_BOT_USERS_MAX);
    (void)snprintf(place->user, sizeof place->user, "%s", user);
    (void)snprintf(place->bot, sizeof place->bot, "%s", bot);
    demand->changed = true;
    return true;
}

bool demand_login(struct demand *demand, const char *bot, const char *user, bool missing,
                  int64_t now_us, bool *added, struct error *err)
{
    uv_mutex_lock(&demand->lock);
    struct demanded *place = find(demand, user);
    bool known = place && place->last_us;
    *added = missing && !known && put_in(demand, place, bot, user, err);
    if (known || *added)
        place->last_us = now_us > 0 ? now_us : 1;
    uv_mutex_unlock(&demand->lock);
    return known || *added || !missing;
}

size_t demand_users(struct demand *demand, int64_t now_us, const char *out[DEMAND_USERS_MAX],
                    bool *changed)
{
    size_t count = 0;
    uv_mutex_lock(&demand->lock);
    for (size_t i = 0; i < DEMAND_USERS_MAX; i++) {
        struct demanded *each = &demand->users[i];
        if (each->last_us && now_us - each->last_us > DEMAND_IDLE_US) {
            each->last_us = 0;
            demand->changed = true;
        }
        if (each->last_us)
            out[count++] = each->user;
    }
    *changed = demand->changed;
    demand->changed = false;
    uv_mutex_unlock(&demand->lock);
    return count;
}

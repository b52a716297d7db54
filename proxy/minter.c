/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/minter.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/mint_request.h"

struct wanted {
    struct minter *minter;
    char *user;
    struct credential *credential; /* NULL: none yet */
    struct buffer key;             /* of the question that is open */
    int64_t due_us;                /* wall time: when to ask (again) */
    int64_t retry_us;              /* the last pause after a refusal; 0: none yet */
    bool asking;
    bool refused; /* the last answer was none */
    bool gone;    /* no longer wanted; freed with its answer */
};

struct minter {
    void (*changed)(void *owner);
    void *owner;
    struct control_client *client;
    struct wanted *wanted[MINTER_USERS_MAX];
    size_t count;
    size_t asking;
    struct credential *credentials[MINTER_USERS_MAX];
};

bool minter_create(void (*changed)(void *owner), void *owner, struct minter **out,
                   struct error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return error_set(err, ERROR_MEMORY, "out of memory");
    (*out)->changed = changed;
    (*out)->owner = owner;
    return true;
}

static void wanted_free(struct wanted *wanted)
{
    mint_key_release(&wanted->key);
    credential_unref(wanted->credential);
    free(wanted->user);
    free(wanted);
}

void minter_free(struct minter *minter)
{
    if (!minter)
        return;
    for (size_t i = 0; i < minter->count; i++)
        wanted_free(minter->wanted[i]);
    free(minter);
}

/* --- which are wanted --- */

static bool is_among(const char *user, const char *const *users, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(users[i], user) == 0)
            return true;
    return false;
}

static bool is_wanted(const struct minter *minter, const char *user)
{
    for (size_t i = 0; i < minter->count; i++)
        if (strcmp(minter->wanted[i]->user, user) == 0)
            return true;
    return false;
}

static void drop_others(struct minter *minter, const char *const *users, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < minter->count; i++) {
        struct wanted *wanted = minter->wanted[i];
        if (is_among(wanted->user, users, count))
            minter->wanted[kept++] = wanted;
        else if (wanted->asking)
            wanted->gone = true;
        else
            wanted_free(wanted);
    }
    minter->count = kept;
}

static bool add(struct minter *minter, const char *user, struct error *err)
{
    struct wanted *wanted = calloc(1, sizeof *wanted);
    char *copy = strdup(user);
    if (!wanted || !copy) {
        free(wanted);
        free(copy);
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    wanted->minter = minter;
    wanted->user = copy;
    mint_key_init(&wanted->key);
    minter->wanted[minter->count++] = wanted;
    return true;
}

bool minter_want(struct minter *minter, const char *const *users, size_t count, struct error *err)
{
    drop_others(minter, users, count);
    for (size_t i = 0; i < count; i++) {
        if (is_wanted(minter, users[i]))
            continue;
        if (minter->count == MINTER_USERS_MAX) {
            log_warning("roles name more MySQL users than certificates are minted for", "first",
                        users[i], NULL);
            return true;
        }
        if (!add(minter, users[i], err))
            return false;
    }
    return true;
}

/* --- asking --- */

static int64_t half_life(int64_t now_us, int64_t not_after_us)
{
    return now_us + (not_after_us - now_us) / 2;
}

static bool take_certificate(struct wanted *wanted, const cJSON *ok, struct error *err)
{
    struct credential *credential;
    if (!mint_request_take(wanted->user, ok, &wanted->key, &credential, err))
        return false;
    credential_unref(wanted->credential);
    wanted->credential = credential;
    wanted->retry_us = 0;
    wanted->due_us = half_life(clock_wall_us(), credential->not_after_us);
    return true;
}

/* When to ask again what was refused: ever more seldom. */
static int64_t retry_at(struct wanted *wanted, int64_t now_us)
{
    wanted->retry_us = wanted->retry_us ? 2 * wanted->retry_us : MINTER_RETRY_US;
    if (wanted->retry_us > MINTER_RETRY_MAX_US)
        wanted->retry_us = MINTER_RETRY_MAX_US;
    return now_us + wanted->retry_us;
}

static void log_refusal(const struct wanted *wanted, const char *why)
{
    log_warning("the authority gave no certificate for a MySQL user", "mysql_user", wanted->user,
                "error", why, NULL);
}

static void on_answer(void *context, const struct control_outcome *outcome)
{
    struct wanted *wanted = context;
    struct minter *minter = wanted->minter;
    struct error err = {0};
    minter->asking--;
    wanted->asking = false;
    if (wanted->gone) {
        wanted_free(wanted);
        return;
    }
    bool taken = outcome->ok && take_certificate(wanted, outcome->ok, &err);
    buffer_wipe(&wanted->key);
    wanted->refused = !taken && !outcome->error;
    if (wanted->refused)
        log_refusal(wanted, outcome->failure ? outcome->failure->message : err.message);
    if (!taken) /* after a lost connection, with the next one */
        wanted->due_us = wanted->refused ? retry_at(wanted, clock_wall_us()) : 0;
    minter->changed(minter->owner);
}

static bool ask(struct minter *minter, struct wanted *wanted, struct error *err)
{
    cJSON *request = mint_request_create(wanted->user, &wanted->key, err);
    if (!request ||
        !control_client_ask(minter->client, request, MINTER_ANSWER_MS, on_answer, wanted, err))
        return false;
    wanted->asking = true;
    minter->asking++;
    return true;
}

void minter_work(struct minter *minter, int64_t now_us)
{
    for (size_t i = 0; minter->client && i < minter->count; i++) {
        struct wanted *wanted = minter->wanted[i];
        struct error err = {0};
        if (minter->asking == MINTER_ASKING_MAX)
            return;
        if (wanted->asking || now_us < wanted->due_us)
            continue;
        if (!ask(minter, wanted, &err)) {
            buffer_wipe(&wanted->key);
            wanted->due_us = retry_at(wanted, now_us);
            log_refusal(wanted, err.message);
        }
    }
}

void minter_set_client(struct minter *minter, struct control_client *client)
{
    minter->client = client;
}

/* --- what is there --- */

bool minter_is_asking(const struct minter *minter)
{
    return minter->asking > 0;
}

bool minter_is_complete(const struct minter *minter)
{
    for (size_t i = 0; i < minter->count; i++)
        if (!minter->wanted[i]->credential && !minter->wanted[i]->refused)
            return false;
    return true;
}

struct credential *const *minter_credentials(struct minter *minter, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < minter->count; i++)
        if (minter->wanted[i]->credential)
            minter->credentials[(*count)++] = minter->wanted[i]->credential;
    return minter->credentials;
}

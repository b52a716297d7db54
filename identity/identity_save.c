/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/identity_save.h"

#include <stdlib.h>
#include <string.h>

struct identity_save {
    uv_work_t work;
    struct identity_store *store;
    struct identity_note note;
    char *certificate, *key, *ca;
    bool done;
    struct error err;
    identity_saved *saved;
    void *owner;
};

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void release(struct identity_save *save)
{
    free(save->certificate);
    wipe(save->key);
    free(save->ca);
    free(save);
}

/* In the other thread. */
static void work(uv_work_t *request)
{
    struct identity_save *save = request->data;
    const struct identity_set set = {save->certificate, save->key, save->ca, save->note};
    save->done = identity_store_save(save->store, &set, &save->err);
}

static void after(uv_work_t *request, int status)
{
    struct identity_save *save = request->data;
    if (status != 0)
        (void)error_set(&save->err, ERROR_SYSTEM, "cannot save the identity: %s",
                        uv_strerror(status));
    save->saved(save->owner, save->done ? NULL : &save->err);
    release(save);
}

bool identity_save_start(uv_loop_t *loop, struct identity_store *store,
                         const struct identity_set *set, identity_saved *saved, void *owner,
                         struct error *err)
{
    struct identity_save *save = calloc(1, sizeof *save);
    if (!save)
        return error_set(err, ERROR_MEMORY, "out of memory");
    save->work.data = save;
    save->store = store;
    save->note = set->note;
    save->certificate = strdup(set->certificate);
    save->key = strdup(set->key);
    save->ca = strdup(set->ca);
    save->saved = saved;
    save->owner = owner;
    if (!save->certificate || !save->key || !save->ca ||
        uv_queue_work(loop, &save->work, work, after) != 0) {
        release(save);
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/db_authority.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool find_place(const char *file, const struct snapshot *alone,
                       char socket[ADMIN_SOCKET_SIZE], struct preflight_authority_place *out,
                       struct error *err)
{
    if (alone->settings.proxy.has_authority) {
        out->link = &alone->settings.proxy.authority;
        return true;
    }
    out->socket = socket;
    return admin_socket_find(NULL, file, socket, err) && admin_socket_check(socket, geteuid(), err);
}

bool db_authority_provide(struct db_authority *from, struct snapshot *running,
                          struct snapshot **out, struct error *err)
{
    struct provision *provision;
    if (!provision_create(from->state, NULL, from->minted, from->minted_count, false, &provision,
                          err))
        return false;
    bool provided = snapshot_provide(running, provision, out, err);
    provision_unref(provision);
    return provided;
}

bool db_authority_begin(struct db_authority *from, const char *file, struct snapshot *alone,
                        struct snapshot **out, struct error *err)
{
    struct preflight_authority_place place = {0};
    from->minted = calloc(DB_AUTHORITY_USERS_MAX, sizeof *from->minted);
    from->refusals = calloc(DB_AUTHORITY_USERS_MAX, sizeof *from->refusals);
    if (!from->minted || !from->refusals)
        return error_set(err, ERROR_MEMORY, "out of memory");
    return find_place(file, alone, from->socket, &place, err) &&
           preflight_authority_open(&place, &from->authority, err) &&
           preflight_authority_state(from->authority, &from->state, err) &&
           db_authority_provide(from, alone, out, err);
}

static bool is_minted(const struct db_authority *from, const char *user)
{
    for (size_t i = 0; i < from->minted_count; i++)
        if (strcmp(from->minted[i]->name, user) == 0)
            return true;
    return false;
}

static bool note_refusal(struct db_authority *from, const char *user, const char *why,
                         struct error *err)
{
    struct db_refusal *refusal = &from->refusals[from->refusal_count++];
    refusal->user = strdup(user);
    refusal->why = strdup(why);
    return (refusal->user && refusal->why) || error_set(err, ERROR_MEMORY, "out of memory");
}

bool db_authority_mint(struct db_authority *from, const char *user, struct error *err)
{
    struct credential *credential;
    struct error why = {0};
    if (is_minted(from, user) || db_authority_refusal(from, user))
        return true;
    if (from->minted_count + from->refusal_count == DB_AUTHORITY_USERS_MAX)
        return error_set(err, ERROR_LIMIT,
                         "these are more than %d MySQL users at once: check the databases one by "
                         "one",
                         DB_AUTHORITY_USERS_MAX);
    if (preflight_authority_mint(from->authority, user, &credential, &why)) {
        from->minted[from->minted_count++] = credential;
        return true;
    }
    if (why.code == ERROR_DENIED)
        return note_refusal(from, user, why.message, err);
    *err = why;
    return error_wrap(err, "MySQL user %s: the authority gave no certificate", user);
}

const char *db_authority_refusal(const struct db_authority *from, const char *user)
{
    for (size_t i = 0; from && i < from->refusal_count; i++)
        if (strcmp(from->refusals[i].user, user) == 0)
            return from->refusals[i].why;
    return NULL;
}

void db_authority_release(struct db_authority *from)
{
    for (size_t i = 0; i < from->minted_count; i++)
        credential_unref(from->minted[i]);
    for (size_t i = 0; i < from->refusal_count; i++) {
        free(from->refusals[i].user);
        free(from->refusals[i].why);
    }
    free(from->minted);
    free(from->refusals);
    authority_state_unref(from->state);
    preflight_authority_close(from->authority);
    *from = (struct db_authority){0};
}

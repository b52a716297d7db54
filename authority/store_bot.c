/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "authority/store_internal.h"

#define BOT_SELECT                                                    \
    "SELECT b.name, b.public_key, b.created_us, b.created_by, r.role" \
    " FROM bots b LEFT JOIN bot_roles r ON r.bot = b.name"

#define NAME_MAX_BYTES (STORE_NAME_SIZE - 1)

/* --- writing --- */

static bool insert_roles(struct store *store, const char *bot, const char *const *roles,
                         size_t count, struct error *err)
{
    struct sql_statement *statement;
    for (size_t i = 0; i < count; i++) {
        if (!store_prepare(store, "INSERT INTO bot_roles (bot, role, position) VALUES (?, ?, ?)",
                           &statement, err))
            return false;
        sql_bind_text(statement, "bot's name", bot, NAME_MAX_BYTES);
        sql_bind_text(statement, "role's name", roles[i], NAME_MAX_BYTES);
        sql_bind_int(statement, (int64_t)i);
        if (!sql_run(statement, NULL, err))
            return false;
    }
    return true;
}

static bool insert_bot(struct store *store, const struct store_bot *bot, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store,
                       "INSERT INTO bots (name, public_key, created_us, created_by)"
                       " VALUES (?, ?, ?, ?)",
                       &statement, err))
        return false;
    sql_bind_text(statement, "bot's name", bot->name, NAME_MAX_BYTES);
    sql_bind_text(statement, "public key", bot->public_key, STORE_KEY_SIZE - 1);
    sql_bind_int(statement, bot->created_us);
    sql_bind_text(statement, "creator's name", bot->created_by, STORE_ACTOR_SIZE - 1);
    return sql_run(statement, NULL, err) ||
           store_tell(err, ERROR_EXISTS, "there is a bot %s already", bot->name);
}

bool store_bot_add(struct store *store, const struct store_bot *bot, struct error *err)
{
    const char *roles[STORE_ROLES_MAX];
    size_t count = bot->role_count;
    for (size_t i = 0; i < count && i < STORE_ROLES_MAX; i++)
        roles[i] = bot->roles[i];
    if (!store_check_list("role", roles, count, STORE_ROLES_MAX, err) || !store_begin(store, err))
        return false;
    return store_end(store,
                     insert_bot(store, bot, err) &&
                         insert_roles(store, bot->name, roles, count, err) &&
                         store_bump(store, err),
                     err);
}

/* Runs a statement whose only parameter is a bot's name. */
static bool run_for(struct store *store, const char *text, const char *name, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, text, &statement, err))
        return false;
    sql_bind_text(statement, "bot's name", name, NAME_MAX_BYTES);
    return sql_run(statement, NULL, err);
}

static bool delete_bot(struct store *store, const char *name, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, "DELETE FROM bots WHERE name = ?", &statement, err))
        return false;
    sql_bind_text(statement, "bot's name", name, NAME_MAX_BYTES);
    return store_run_one(statement, "bot", name, err);
}

bool store_bot_remove(struct store *store, const char *name, struct error *err)
{
    if (!store_begin(store, err))
        return false;
    return store_end(store,
                     run_for(store, "DELETE FROM tokens WHERE bot = ?", name, err) &&
                         run_for(store, "DELETE FROM instances WHERE bot = ?", name, err) &&
                         run_for(store, "DELETE FROM bot_roles WHERE bot = ?", name, err) &&
                         delete_bot(store, name, err) && store_bump(store, err),
                     err);
}

static bool has_roles(const struct store_bot *bot, const char *const *roles, size_t count)
{
    if (bot->role_count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(bot->roles[i], roles[i]) != 0)
            return false;
    return true;
}

/* Within a group, so that nothing comes between looking and writing. */
static bool replace_roles(struct store *store, const char *name, const char *const *roles,
                          size_t count, bool *changed, struct error *err)
{
    struct store_bot bot;
    if (!store_bot_find(store, name, &bot, err))
        return false;
    *changed = !has_roles(&bot, roles, count);
    return !*changed || (run_for(store, "DELETE FROM bot_roles WHERE bot = ?", name, err) &&
                         insert_roles(store, name, roles, count, err) && store_bump(store, err));
}

bool store_bot_set_roles(struct store *store, const char *name, const char *const *roles,
                         size_t count, bool *changed, struct error *err)
{
    bool differ = false;
    if (!store_check_list("role", roles, count, STORE_ROLES_MAX, err) || !store_begin(store, err) ||
        !store_end(store, replace_roles(store, name, roles, count, &differ, err), err))
        return false;
    if (changed)
        *changed = differ;
    return true;
}

/* --- reading --- */

/* One row for each role, and one without a role for a bot that has none. */
struct bot_row {
    struct store_bot bot; /* without its roles */
    char role[STORE_NAME_SIZE];
};

static bool read_row(struct sql_statement *statement, void *out, struct error *err)
{
    struct bot_row *row = out;
    sql_read_text(statement, row->bot.name, sizeof row->bot.name);
    sql_read_text(statement, row->bot.public_key, sizeof row->bot.public_key);
    sql_read_int(statement, &row->bot.created_us);
    sql_read_text(statement, row->bot.created_by, sizeof row->bot.created_by);
    sql_read_optional(statement, row->role, sizeof row->role);
    return sql_row_end(statement, err);
}

/* position BETWEEN 0 AND 63 does not make 65 rows impossible in a damaged file: the rest is left
 * out, and a role that is left out allows nothing. */
static void add_row(struct store_bot *bot, const struct bot_row *row)
{
    if (bot->name[0] == '\0')
        *bot = row->bot;
    if (row->role[0] != '\0' && bot->role_count < STORE_ROLES_MAX)
        memcpy(bot->roles[bot->role_count++], row->role, sizeof row->role);
}

static bool walk_bots(struct store *store, struct sql_statement *statement, store_bot_visit visit,
                      void *context, struct error *err)
{
    struct bot_row row = {0};
    struct store_bot bot = {0};
    bool going = true;
    struct store_walk walk = store_walk(store, statement, read_row, &row, err);
    while (going && store_walk_next(&walk)) {
        if (bot.name[0] != '\0' && strcmp(bot.name, row.bot.name) != 0) {
            going = visit(&bot, context);
            bot.name[0] = '\0';
        }
        add_row(&bot, &row);
    }
    if (going && !walk.failed && bot.name[0] != '\0')
        visit(&bot, context);
    return store_walk_end(&walk);
}

bool store_bot_each(struct store *store, store_bot_visit visit, void *context, struct error *err)
{
    struct sql_statement *statement;
    return store_prepare(store, BOT_SELECT " ORDER BY b.name, r.position", &statement, err) &&
           walk_bots(store, statement, visit, context, err);
}

static bool copy_bot(const struct store_bot *bot, void *context)
{
    *(struct store_bot *)context = *bot;
    return true;
}

bool store_bot_find(struct store *store, const char *name, struct store_bot *out, struct error *err)
{
    struct sql_statement *statement;
    out->name[0] = '\0';
    if (!store_prepare(store, BOT_SELECT " WHERE b.name = ? ORDER BY r.position", &statement, err))
        return false;
    sql_bind_text(statement, "bot's name", name, NAME_MAX_BYTES);
    if (!walk_bots(store, statement, copy_bot, out, err))
        return false;
    return out->name[0] != '\0' || error_set(err, ERROR_NOT_FOUND, "there is no bot %s", name);
}

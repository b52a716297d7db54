/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/store_internal.h"

#define TOKEN_SELECT                                                                     \
    "SELECT id, hash, kind, name, created_us, created_by, expires_us, used_us, used_by," \
    " used_key, used_serial FROM tokens"

static const char *const kind_names[] = {"bot", "proxy"};
static const struct store_words kinds = STORE_WORDS(kind_names);

const char *store_token_kind_name(enum store_token_kind kind)
{
    return store_word(&kinds, (unsigned)kind);
}

bool store_token_kind_parse(const char *name, enum store_token_kind *kind)
{
    *kind = (enum store_token_kind)store_word_find(&kinds, name);
    return *kind != 0;
}

static void bind_token(struct sql_statement *statement, const struct store_token *token)
{
    sql_bind_text(statement, "token's id", token->id, STORE_ID_SIZE - 1);
    sql_bind_bytes(statement, token->hash, sizeof token->hash);
    store_bind_word(statement, &kinds, (unsigned)token->kind);
    sql_bind_text(statement, "name", token->name, STORE_NAME_SIZE - 1);
    if (token->kind == STORE_TOKEN_BOT)
        sql_bind_text(statement, "bot's name", token->name, STORE_NAME_SIZE - 1);
    else
        sql_bind_null(statement);
    sql_bind_int(statement, token->created_us);
    sql_bind_text(statement, "creator's name", token->created_by, STORE_ACTOR_SIZE - 1);
    sql_bind_int(statement, token->expires_us);
    sql_bind_int(statement, token->used_us);
    sql_bind_text(statement, "user's address", token->used_by, STORE_ACTOR_SIZE - 1);
    sql_bind_text(statement, "user's key", token->used_key, STORE_PIN_SIZE - 1);
    sql_bind_text(statement, "serial", token->used_serial, STORE_SERIAL_SIZE - 1);
}

bool store_token_add(struct store *store, const struct store_token *token, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store,
                       "INSERT INTO tokens (id, hash, kind, name, bot, created_us, created_by,"
                       " expires_us, used_us, used_by, used_key, used_serial)"
                       " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       &statement, err))
        return false;
    bind_token(statement, token);
    return sql_run(statement, NULL, err) ||
           store_tell(err, ERROR_EXISTS, "there is a token %s already", token->id) ||
           store_tell(err, ERROR_NOT_FOUND, "there is no bot %s", token->name);
}

static bool read_token(struct sql_statement *statement, void *out, struct error *err)
{
    struct store_token *token = out;
    sql_read_text(statement, token->id, sizeof token->id);
    sql_read_bytes(statement, token->hash, sizeof token->hash);
    token->kind = (enum store_token_kind)store_read_word(statement, &kinds);
    sql_read_text(statement, token->name, sizeof token->name);
    sql_read_int(statement, &token->created_us);
    sql_read_text(statement, token->created_by, sizeof token->created_by);
    sql_read_int(statement, &token->expires_us);
    sql_read_int(statement, &token->used_us);
    sql_read_text(statement, token->used_by, sizeof token->used_by);
    sql_read_text(statement, token->used_key, sizeof token->used_key);
    sql_read_text(statement, token->used_serial, sizeof token->used_serial);
    return sql_row_end(statement, err);
}

bool store_token_find(struct store *store, const char *id, struct store_token *out,
                      struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, TOKEN_SELECT " WHERE id = ?", &statement, err))
        return false;
    sql_bind_text(statement, "token's id", id, STORE_ID_SIZE - 1);
    return store_find_one(statement, read_token, out, "token", id, err);
}

bool store_token_use(struct store *store, const char *id, int64_t now_us, const char *used_by,
                     bool *used, struct error *err)
{
    struct sql_statement *statement;
    /* A use at 0 would be none, and the token could be used again. */
    if (now_us <= 0)
        return error_set(err, ERROR_LIMIT, "a token cannot be used before 1970");
    if (!store_prepare(store,
                       "UPDATE tokens SET used_us = ?, used_by = ?"
                       " WHERE id = ? AND used_us = 0 AND expires_us > ?",
                       &statement, err))
        return false;
    sql_bind_int(statement, now_us);
    sql_bind_text(statement, "user's address", used_by, STORE_ACTOR_SIZE - 1);
    sql_bind_text(statement, "token's id", id, STORE_ID_SIZE - 1);
    sql_bind_int(statement, now_us);
    return store_run_maybe(statement, used, err);
}

bool store_token_note(struct store *store, const char *id, const char *key, const char *serial,
                      struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, "UPDATE tokens SET used_key = ?, used_serial = ? WHERE id = ?",
                       &statement, err))
        return false;
    sql_bind_text(statement, "user's key", key, STORE_PIN_SIZE - 1);
    sql_bind_text(statement, "serial", serial, STORE_SERIAL_SIZE - 1);
    sql_bind_text(statement, "token's id", id, STORE_ID_SIZE - 1);
    return store_run_one(statement, "token", id, err);
}

bool store_token_each(struct store *store, store_token_visit visit, void *context,
                      struct error *err)
{
    struct sql_statement *statement;
    struct store_token token;
    if (!store_prepare(store, TOKEN_SELECT " ORDER BY id", &statement, err))
        return false;
    struct store_walk walk = store_walk(store, statement, read_token, &token, err);
    while (store_walk_next(&walk) && visit(&token, context))
        continue;
    return store_walk_end(&walk);
}

bool store_token_remove(struct store *store, const char *id, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, "DELETE FROM tokens WHERE id = ?", &statement, err))
        return false;
    sql_bind_text(statement, "token's id", id, STORE_ID_SIZE - 1);
    return store_run_one(statement, "token", id, err);
}

bool store_token_prune(struct store *store, int64_t expired_us, int64_t *removed, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, "DELETE FROM tokens WHERE expires_us <= ?", &statement, err))
        return false;
    sql_bind_int(statement, expired_us);
    return sql_run(statement, removed, err);
}

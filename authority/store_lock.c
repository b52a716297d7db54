/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/store_internal.h"

#define LOCK_SELECT "SELECT id, kind, target, reason, created_us, created_by, expires_us FROM locks"

static const char *const kind_names[] = {"bot", "instance", "role", "database", "token", "proxy"};
static const struct store_words kinds = STORE_WORDS(kind_names);

const char *store_lock_kind_name(enum store_lock_kind kind)
{
    return store_word(&kinds, (unsigned)kind);
}

bool store_lock_kind_parse(const char *name, enum store_lock_kind *kind)
{
    *kind = (enum store_lock_kind)store_word_find(&kinds, name);
    return *kind != 0;
}

static bool insert_lock(struct store *store, const struct store_lock *lock, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store,
                       "INSERT INTO locks (id, kind, target, reason, created_us, created_by,"
                       " expires_us) VALUES (?, ?, ?, ?, ?, ?, ?)",
                       &statement, err))
        return false;
    sql_bind_text(statement, "lock's id", lock->id, STORE_ID_SIZE - 1);
    store_bind_word(statement, &kinds, (unsigned)lock->kind);
    sql_bind_text(statement, "lock's target", lock->target, STORE_TARGET_SIZE - 1);
    sql_bind_text(statement, "reason", lock->reason, STORE_REASON_SIZE - 1);
    sql_bind_int(statement, lock->created_us);
    sql_bind_text(statement, "creator's name", lock->created_by, STORE_ACTOR_SIZE - 1);
    sql_bind_int(statement, lock->expires_us);
    return sql_run(statement, NULL, err) ||
           store_tell(err, ERROR_EXISTS, "there is a lock %s already", lock->id);
}

bool store_lock_add(struct store *store, const struct store_lock *lock, struct error *err)
{
    if (!store_begin(store, err))
        return false;
    return store_end(store, insert_lock(store, lock, err) && store_bump(store, err), err);
}

static bool delete_lock(struct store *store, const char *id, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, "DELETE FROM locks WHERE id = ?", &statement, err))
        return false;
    sql_bind_text(statement, "lock's id", id, STORE_ID_SIZE - 1);
    return store_run_one(statement, "lock", id, err);
}

bool store_lock_remove(struct store *store, const char *id, struct error *err)
{
    if (!store_begin(store, err))
        return false;
    return store_end(store, delete_lock(store, id, err) && store_bump(store, err), err);
}

static bool read_lock(struct sql_statement *statement, void *out, struct error *err)
{
    struct store_lock *lock = out;
    sql_read_text(statement, lock->id, sizeof lock->id);
    lock->kind = (enum store_lock_kind)store_read_word(statement, &kinds);
    sql_read_text(statement, lock->target, sizeof lock->target);
    sql_read_text(statement, lock->reason, sizeof lock->reason);
    sql_read_int(statement, &lock->created_us);
    sql_read_text(statement, lock->created_by, sizeof lock->created_by);
    sql_read_int(statement, &lock->expires_us);
    return sql_row_end(statement, err);
}

bool store_lock_find(struct store *store, const char *id, struct store_lock *out, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, LOCK_SELECT " WHERE id = ?", &statement, err))
        return false;
    sql_bind_text(statement, "lock's id", id, STORE_ID_SIZE - 1);
    return store_find_one(statement, read_lock, out, "lock", id, err);
}

bool store_lock_each(struct store *store, int64_t now_us, store_lock_visit visit, void *context,
                     struct error *err)
{
    struct sql_statement *statement;
    struct store_lock lock;
    if (!store_prepare(store, LOCK_SELECT " WHERE expires_us = 0 OR expires_us > ? ORDER BY id",
                       &statement, err))
        return false;
    sql_bind_int(statement, now_us);
    struct store_walk walk = store_walk(store, statement, read_lock, &lock, err);
    while (store_walk_next(&walk) && visit(&lock, context))
        continue;
    return store_walk_end(&walk);
}

bool store_lock_prune(struct store *store, int64_t now_us, int64_t *removed, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, "DELETE FROM locks WHERE expires_us <> 0 AND expires_us <= ?",
                       &statement, err))
        return false;
    sql_bind_int(statement, now_us);
    return sql_run(statement, removed, err);
}

static bool read_count(struct sql_statement *statement, void *out, struct error *err)
{
    sql_read_int(statement, out);
    return sql_row_end(statement, err);
}

bool store_lock_count_of_bot(struct store *store, const char *created_by, const char *bot,
                             int64_t *count, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store,
                       "SELECT COUNT(*) FROM locks l JOIN instances i ON i.id = l.target"
                       " WHERE l.kind = ? AND l.created_by = ? AND i.bot = ?",
                       &statement, err))
        return false;
    store_bind_word(statement, &kinds, STORE_LOCK_INSTANCE);
    sql_bind_text(statement, "creator's name", created_by, STORE_ACTOR_SIZE - 1);
    sql_bind_text(statement, "bot's name", bot, STORE_NAME_SIZE - 1);
    return store_find_one(statement, read_count, count, "bot", bot, err);
}

static bool delete_lost(struct store *store, const char *created_by, int64_t before_us,
                        int64_t *removed, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store,
                       "DELETE FROM locks WHERE kind = ? AND created_by = ? AND created_us < ?"
                       " AND target NOT IN (SELECT id FROM instances)",
                       &statement, err))
        return false;
    store_bind_word(statement, &kinds, STORE_LOCK_INSTANCE);
    sql_bind_text(statement, "creator's name", created_by, STORE_ACTOR_SIZE - 1);
    sql_bind_int(statement, before_us);
    return sql_run(statement, removed, err);
}

bool store_lock_prune_lost(struct store *store, const char *created_by, int64_t before_us,
                           int64_t *removed, struct error *err)
{
    if (!store_begin(store, err))
        return false;
    return store_end(store,
                     delete_lost(store, created_by, before_us, removed, err) &&
                         (*removed == 0 || store_bump(store, err)),
                     err);
}

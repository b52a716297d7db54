/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "authority/store_internal.h"

#define AUTHORITY_SELECT                                                            \
    "SELECT kind, number, phase, certificate, key_file, created_us, phase_since_us" \
    " FROM authorities"

#define TITLE_SIZE 48 /* "database-server 12" */

static const char *const kind_names[] = {"bot", "service", "database-server", "database-client"};
static const struct store_words kinds = STORE_WORDS(kind_names);

const char *store_authority_kind_name(enum store_authority_kind kind)
{
    return store_word(&kinds, (unsigned)kind);
}

bool store_authority_kind_parse(const char *name, enum store_authority_kind *kind)
{
    *kind = (enum store_authority_kind)store_word_find(&kinds, name);
    return *kind != 0;
}

/* What messages call it. */
static const char *title(enum store_authority_kind kind, int64_t number, char out[TITLE_SIZE])
{
    const char *word = store_authority_kind_name(kind);
    snprintf(out, TITLE_SIZE, "%s %" PRId64, word ? word : "?", number);
    return out;
}

/* --- writing --- */

static bool insert_authority(struct store *store, const struct store_authority *authority,
                             struct error *err)
{
    struct sql_statement *statement;
    char text[TITLE_SIZE];
    if (!store_prepare(store,
                       "INSERT INTO authorities (kind, number, phase, certificate, key_file,"
                       " created_us, phase_since_us) VALUES (?, ?, ?, ?, ?, ?, ?)",
                       &statement, err))
        return false;
    store_bind_word(statement, &kinds, (unsigned)authority->kind);
    sql_bind_int(statement, authority->number);
    sql_bind_text(statement, "phase", authority->phase, STORE_PHASE_SIZE - 1);
    sql_bind_text(statement, "certificate", authority->certificate, STORE_PEM_SIZE - 1);
    sql_bind_text(statement, "key file's name", authority->key_file, STORE_FILE_SIZE - 1);
    sql_bind_int(statement, authority->created_us);
    sql_bind_int(statement, authority->phase_since_us);
    return sql_run(statement, NULL, err) ||
           store_tell(err, ERROR_EXISTS, "there is a CA %s already",
                      title(authority->kind, authority->number, text));
}

bool store_authority_add(struct store *store, const struct store_authority *authority,
                         struct error *err)
{
    if (!store_begin(store, err))
        return false;
    return store_end(store, insert_authority(store, authority, err) && store_bump(store, err), err);
}

static bool update_phase(struct store *store, enum store_authority_kind kind, int64_t number,
                         const char *phase, int64_t now_us, struct error *err)
{
    struct sql_statement *statement;
    char text[TITLE_SIZE];
    if (!store_prepare(store,
                       "UPDATE authorities SET phase = ?, phase_since_us = ?"
                       " WHERE kind = ? AND number = ?",
                       &statement, err))
        return false;
    sql_bind_text(statement, "phase", phase, STORE_PHASE_SIZE - 1);
    sql_bind_int(statement, now_us);
    store_bind_word(statement, &kinds, (unsigned)kind);
    sql_bind_int(statement, number);
    return store_run_one(statement, "CA", title(kind, number, text), err);
}

bool store_authority_set_phase(struct store *store, enum store_authority_kind kind, int64_t number,
                               const char *phase, int64_t now_us, struct error *err)
{
    if (!store_begin(store, err))
        return false;
    return store_end(
        store, update_phase(store, kind, number, phase, now_us, err) && store_bump(store, err),
        err);
}

static bool delete_authority(struct store *store, enum store_authority_kind kind, int64_t number,
                             struct error *err)
{
    struct sql_statement *statement;
    char text[TITLE_SIZE];
    if (!store_prepare(store, "DELETE FROM authorities WHERE kind = ? AND number = ?", &statement,
                       err))
        return false;
    store_bind_word(statement, &kinds, (unsigned)kind);
    sql_bind_int(statement, number);
    return store_run_one(statement, "CA", title(kind, number, text), err);
}

bool store_authority_remove(struct store *store, enum store_authority_kind kind, int64_t number,
                            struct error *err)
{
    if (!store_begin(store, err))
        return false;
    return store_end(store, delete_authority(store, kind, number, err) && store_bump(store, err),
                     err);
}

/* --- reading --- */

static bool read_authority(struct sql_statement *statement, void *out, struct error *err)
{
    struct store_authority *authority = out;
    authority->kind = (enum store_authority_kind)store_read_word(statement, &kinds);
    sql_read_int(statement, &authority->number);
    sql_read_text(statement, authority->phase, sizeof authority->phase);
    sql_read_text(statement, authority->certificate, sizeof authority->certificate);
    sql_read_text(statement, authority->key_file, sizeof authority->key_file);
    sql_read_int(statement, &authority->created_us);
    sql_read_int(statement, &authority->phase_since_us);
    return sql_row_end(statement, err);
}

static bool prepare_each(struct store *store, enum store_authority_kind kind,
                         struct sql_statement **statement, struct error *err)
{
    if (kind == 0)
        return store_prepare(store, AUTHORITY_SELECT " ORDER BY kind, number", statement, err);
    if (!store_prepare(store, AUTHORITY_SELECT " WHERE kind = ? ORDER BY number", statement, err))
        return false;
    store_bind_word(*statement, &kinds, (unsigned)kind);
    return true;
}

bool store_authority_each(struct store *store, enum store_authority_kind kind,
                          store_authority_visit visit, void *context, struct error *err)
{
    struct sql_statement *statement;
    struct store_authority authority;
    if (!prepare_each(store, kind, &statement, err))
        return false;
    struct store_walk walk = store_walk(store, statement, read_authority, &authority, err);
    while (store_walk_next(&walk) && visit(&authority, context))
        continue;
    return store_walk_end(&walk);
}

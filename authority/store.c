/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/store_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_WORD_SIZE 33 /* a kind's word and its NUL */

/* --- opening --- */

static bool fill(struct sql *sql, const void *context, struct error *err)
{
    return schema_create(sql, context, err);
}

static bool check(struct sql *sql, const void *context, struct error *err)
{
    int64_t version;
    return schema_check(sql, context, &version, err);
}

static bool open_database(struct store *store, const struct schema *schema, struct error *err)
{
    const struct sql_hooks hooks = {.fill = fill, .check = check, .context = schema};
    return sql_open(store->place.path, &hooks, &store->sql, err) &&
           schema_migrate(store->sql, schema, err);
}

bool store_open_with(const char *directory, const struct schema *schema, struct store **out,
                     struct error *err)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return error_set(err, ERROR_MEMORY, "out of memory for the store");
    if (!store_place_open(&store->place, directory, err)) {
        free(store);
        return false;
    }
    if (!open_database(store, schema, err)) {
        store_close(store);
        return false;
    }
    *out = store;
    return true;
}

bool store_open(const char *directory, struct store **out, struct error *err)
{
    return store_open_with(directory, &schema_known, out, err);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    sql_close(store->sql);
    store_place_close(&store->place);
    free(store);
}

const char *store_directory(const struct store *store)
{
    return store->place.path;
}

int store_directory_fd(const struct store *store)
{
    return store->place.fd;
}

/* --- groups and changes --- */

static bool check_visitor(const struct store *store, struct error *err)
{
    return !store->visiting ||
           error_set(err, ERROR_STATE, "a visitor of the store may not call it");
}

bool store_prepare(struct store *store, const char *text, struct sql_statement **out,
                   struct error *err)
{
    return check_visitor(store, err) && sql_prepare(store->sql, text, out, err);
}

bool store_begin(struct store *store, struct error *err)
{
    return check_visitor(store, err) && sql_begin(store->sql, err);
}

bool store_commit(struct store *store, struct error *err)
{
    return check_visitor(store, err) && sql_commit(store->sql, err);
}

void store_rollback(struct store *store)
{
    sql_rollback(store->sql);
}

bool store_end(struct store *store, bool done, struct error *err)
{
    if (done)
        return store_commit(store, err);
    store_rollback(store);
    return false;
}

bool store_bump(struct store *store, struct error *err)
{
    struct sql_statement *statement;
    return store_prepare(store, "UPDATE counters SET amount = amount + 1 WHERE name = 'state'",
                         &statement, err) &&
           store_run_one(statement, "counter", "state", err);
}

static bool read_number(struct sql_statement *statement, void *out, struct error *err)
{
    sql_read_int(statement, out);
    return sql_row_end(statement, err);
}

bool store_version(struct store *store, int64_t *version, struct error *err)
{
    struct sql_statement *statement;
    return store_prepare(store, "SELECT amount FROM counters WHERE name = 'state'", &statement,
                         err) &&
           store_find_one(statement, read_number, version, "counter", "state", err);
}

/* --- running and reading --- */

bool store_tell(struct error *err, enum error_code code, const char *format, ...)
{
    if (!err || err->code != code)
        return false;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    return false;
}

bool store_run_maybe(struct sql_statement *statement, bool *done, struct error *err)
{
    int64_t changed;
    if (!sql_run(statement, &changed, err))
        return false;
    *done = changed > 0;
    return true;
}

bool store_run_one(struct sql_statement *statement, const char *what, const char *name,
                   struct error *err)
{
    bool done;
    if (!store_run_maybe(statement, &done, err))
        return false;
    return done || error_set(err, ERROR_NOT_FOUND, "there is no %s %s", what, name);
}

bool store_find(struct sql_statement *statement, store_read read, void *out, bool *found,
                struct error *err)
{
    if (!sql_next(statement, found, err))
        return false;
    bool done = !*found || read(statement, out, err);
    sql_finish(statement);
    return done;
}

bool store_find_one(struct sql_statement *statement, store_read read, void *out, const char *what,
                    const char *name, struct error *err)
{
    bool found;
    if (!store_find(statement, read, out, &found, err))
        return false;
    return found || error_set(err, ERROR_NOT_FOUND, "there is no %s %s", what, name);
}

struct store_walk store_walk(struct store *store, struct sql_statement *statement, store_read read,
                             void *item, struct error *err)
{
    store->visiting = true;
    return (struct store_walk){store, statement, read, item, err, false};
}

bool store_walk_next(struct store_walk *walk)
{
    bool row;
    walk->failed = !sql_next(walk->statement, &row, walk->err) ||
                   (row && !walk->read(walk->statement, walk->item, walk->err));
    return row && !walk->failed;
}

bool store_walk_end(struct store_walk *walk)
{
    walk->store->visiting = false;
    sql_finish(walk->statement);
    return !walk->failed;
}

/* --- words and lists --- */

const char *store_word(const struct store_words *words, unsigned value)
{
    return value >= 1 && value <= words->count ? words->names[value - 1] : NULL;
}

unsigned store_word_find(const struct store_words *words, const char *name)
{
    for (size_t i = 0; i < words->count; i++)
        if (strcmp(words->names[i], name) == 0)
            return (unsigned)i + 1;
    return 0;
}

void store_bind_word(struct sql_statement *statement, const struct store_words *words,
                     unsigned value)
{
    const char *word = store_word(words, value);
    if (word)
        sql_bind_text(statement, "kind", word, STORE_WORD_SIZE - 1);
    else
        sql_bind_null(statement);
}

unsigned store_read_word(struct sql_statement *statement, const struct store_words *words)
{
    char word[STORE_WORD_SIZE];
    sql_read_text(statement, word, sizeof word);
    unsigned value = store_word_find(words, word);
    if (value == 0)
        sql_reject(statement);
    return value;
}

bool store_check_list(const char *what, const char *const *items, size_t count, size_t most,
                      struct error *err)
{
    if (count > most)
        return error_set(err, ERROR_LIMIT, "%zu %ss are more than %zu", count, what, most);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(items[i], items[j]) == 0)
                return error_set(err, ERROR_LIMIT, "the %s %s is named twice", what, items[i]);
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the store_*.c files share. Private to the store and its tests. */
#ifndef SALLYPORT_AUTHORITY_STORE_INTERNAL_H
#define SALLYPORT_AUTHORITY_STORE_INTERNAL_H

#include "authority/schema.h"
#include "authority/sql.h"
#include "authority/store.h"
#include "authority/store_place.h"

struct store {
    struct sql *sql;
    struct store_place place;
    bool visiting; /* a visitor has been called and has not returned */
};

/* store_open() with other steps, for tests of migrations. */
bool store_open_with(const char *directory, const struct schema *schema, struct store **out,
                     struct error *err) MUST_USE;

/* sql_prepare(), unless a visitor is under way. */
bool store_prepare(struct store *store, const char *text, struct sql_statement **out,
                   struct error *err) MUST_USE;

/* Ends a group that store_begin() began: commits it if `done`, else rolls it back and leaves *err
 * alone. Returns whether it was committed. */
bool store_end(struct store *store, bool done, struct error *err) MUST_USE;

/* Counts the version of the state up; within a group. */
bool store_bump(struct store *store, struct error *err) MUST_USE;

/* Puts other words into an error of this code. Returns false. */
bool store_tell(struct error *err, enum error_code code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Runs a statement that should change one row, and fails with ERROR_NOT_FOUND ("there is no <what>
 * <name>") when it changed none. */
bool store_run_one(struct sql_statement *statement, const char *what, const char *name,
                   struct error *err) MUST_USE;

/* Runs a statement and tells whether it changed a row. */
bool store_run_maybe(struct sql_statement *statement, bool *done, struct error *err) MUST_USE;

/* Reads a row into what `out` points at, sql_row_end() included. */
typedef bool (*store_read)(struct sql_statement *statement, void *out, struct error *err);

/* The statement's first row, if it has one. */
bool store_find(struct sql_statement *statement, store_read read, void *out, bool *found,
                struct error *err) MUST_USE;

/* The same where there has to be one: else ERROR_NOT_FOUND, as store_run_one(). */
bool store_find_one(struct sql_statement *statement, store_read read, void *out, const char *what,
                    const char *name, struct error *err) MUST_USE;

/*
 * All rows, for visitors:
 *
 *     struct store_walk walk = store_walk(store, statement, read_token, &token, err);
 *     while (store_walk_next(&walk) && visit(&token, context))
 *         continue;
 *     return store_walk_end(&walk);
 */
struct store_walk {
    struct store *store;
    struct sql_statement *statement;
    store_read read;
    void *item;
    struct error *err;
    bool failed;
};

struct store_walk store_walk(struct store *store, struct sql_statement *statement, store_read read,
                             void *item, struct error *err);
bool store_walk_next(struct store_walk *walk) MUST_USE;
bool store_walk_end(struct store_walk *walk) MUST_USE;

/* The words of an enum whose values count from 1. */
struct store_words {
    const char *const *names;
    size_t count;
};

#define STORE_WORDS(array)                       \
    {                                            \
        (array), sizeof(array) / sizeof *(array) \
    }

/* NULL for a value that has none. */
const char *store_word(const struct store_words *words, unsigned value);
/* 0 for a word that is none. */
unsigned store_word_find(const struct store_words *words, const char *name);
/* A value that has no word becomes NULL, which no column of kinds takes and no comparison finds. */
void store_bind_word(struct sql_statement *statement, const struct store_words *words,
                     unsigned value);
/* A word that is none is damage, and reads as 0. */
unsigned store_read_word(struct sql_statement *statement, const struct store_words *words);

/* ERROR_LIMIT when a list has more than `most` items or one twice. */
bool store_check_list(const char *what, const char *const *items, size_t count, size_t most,
                      struct error *err) MUST_USE;

#endif

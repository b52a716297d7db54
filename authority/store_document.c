/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "authority/store_internal.h"

static const char *const kind_names[] = {"role", "database", "mapping"};
static const struct store_words kinds = STORE_WORDS(kind_names);

const char *store_document_kind_name(enum store_document_kind kind)
{
    return store_word(&kinds, (unsigned)kind);
}

bool store_document_kind_parse(const char *name, enum store_document_kind *kind)
{
    *kind = (enum store_document_kind)store_word_find(&kinds, name);
    return *kind != 0;
}

static void bind_key(struct sql_statement *statement, enum store_document_kind kind,
                     const char *name)
{
    store_bind_word(statement, &kinds, (unsigned)kind);
    sql_bind_text(statement, "document's name", name, STORE_DOCUMENT_SIZE - 1);
}

/* --- writing --- */

struct comparison {
    const char *text;
    bool same;
};

static bool compare_text(struct sql_statement *statement, void *out, struct error *err)
{
    struct comparison *comparison = out;
    const char *text;
    size_t length;
    sql_read_long_text(statement, &text, &length, STORE_DOCUMENT_TEXT_MAX);
    comparison->same = strcmp(text, comparison->text) == 0;
    return sql_row_end(statement, err);
}

static bool look(struct store *store, enum store_document_kind kind, const char *name,
                 const char *text, enum store_change *change, struct error *err)
{
    struct sql_statement *statement;
    struct comparison comparison = {text, false};
    bool found;
    if (!store_prepare(store, "SELECT text FROM documents WHERE kind = ? AND name = ?", &statement,
                       err))
        return false;
    bind_key(statement, kind, name);
    if (!store_find(statement, compare_text, &comparison, &found, err))
        return false;
    *change = !found ? STORE_ADDED : comparison.same ? STORE_UNCHANGED : STORE_CHANGED;
    return true;
}

static bool write_text(struct store *store, const char *sql, enum store_document_kind kind,
                       const char *name, const char *text, int64_t now_us, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, sql, &statement, err))
        return false;
    sql_bind_text(statement, "document", text, STORE_DOCUMENT_TEXT_MAX);
    sql_bind_int(statement, now_us);
    bind_key(statement, kind, name);
    return sql_run(statement, NULL, err) && store_bump(store, err);
}

/* Looking and then writing is an upsert in every database's SQL. */
static bool put(struct store *store, enum store_document_kind kind, const char *name,
                const char *text, int64_t now_us, enum store_change *change, struct error *err)
{
    if (!look(store, kind, name, text, change, err))
        return false;
    if (*change == STORE_UNCHANGED)
        return true;
    const char *sql =
        *change == STORE_ADDED
            ? "INSERT INTO documents (text, changed_us, kind, name) VALUES (?, ?, ?, ?)"
            : "UPDATE documents SET text = ?, changed_us = ? WHERE kind = ? AND name = ?";
    return write_text(store, sql, kind, name, text, now_us, err);
}

bool store_document_put(struct store *store, enum store_document_kind kind, const char *name,
                        const char *text, int64_t now_us, enum store_change *change,
                        struct error *err)
{
    return store_begin(store, err) &&
           store_end(store, put(store, kind, name, text, now_us, change, err), err);
}

static bool delete_document(struct store *store, enum store_document_kind kind, const char *name,
                            struct error *err)
{
    struct sql_statement *statement;
    const char *word = store_document_kind_name(kind);
    if (!store_prepare(store, "DELETE FROM documents WHERE kind = ? AND name = ?", &statement, err))
        return false;
    bind_key(statement, kind, name);
    return store_run_one(statement, word ? word : "document", name, err);
}

bool store_document_remove(struct store *store, enum store_document_kind kind, const char *name,
                           struct error *err)
{
    if (!store_begin(store, err))
        return false;
    return store_end(store, delete_document(store, kind, name, err) && store_bump(store, err), err);
}

/* --- reading --- */

static bool append_text(struct sql_statement *statement, void *out, struct error *err)
{
    const char *text;
    size_t length;
    sql_read_long_text(statement, &text, &length, STORE_DOCUMENT_TEXT_MAX);
    return sql_row_end(statement, err) && buffer_append(out, text, length, err);
}

bool store_document_find(struct store *store, enum store_document_kind kind, const char *name,
                         struct buffer *text, struct error *err)
{
    struct sql_statement *statement;
    const char *word = store_document_kind_name(kind);
    if (!store_prepare(store, "SELECT text FROM documents WHERE kind = ? AND name = ?", &statement,
                       err))
        return false;
    bind_key(statement, kind, name);
    return store_find_one(statement, append_text, text, word ? word : "document", name, err);
}

static bool read_document(struct sql_statement *statement, void *out, struct error *err)
{
    struct store_document *document = out;
    document->kind = (enum store_document_kind)store_read_word(statement, &kinds);
    sql_read_text(statement, document->name, sizeof document->name);
    sql_read_long_text(statement, &document->text, &document->length, STORE_DOCUMENT_TEXT_MAX);
    sql_read_int(statement, &document->changed_us);
    return sql_row_end(statement, err);
}

static bool prepare_each(struct store *store, enum store_document_kind kind,
                         struct sql_statement **statement, struct error *err)
{
    if (kind == 0)
        return store_prepare(store,
                             "SELECT kind, name, text, changed_us FROM documents"
                             " ORDER BY kind, name",
                             statement, err);
    if (!store_prepare(store,
                       "SELECT kind, name, text, changed_us FROM documents"
                       " WHERE kind = ? ORDER BY name",
                       statement, err))
        return false;
    store_bind_word(*statement, &kinds, (unsigned)kind);
    return true;
}

bool store_document_each(struct store *store, enum store_document_kind kind,
                         store_document_visit visit, void *context, struct error *err)
{
    struct sql_statement *statement;
    struct store_document document;
    if (!prepare_each(store, kind, &statement, err))
        return false;
    struct store_walk walk = store_walk(store, statement, read_document, &document, err);
    while (store_walk_next(&walk) && visit(&document, context))
        continue;
    return store_walk_end(&walk);
}

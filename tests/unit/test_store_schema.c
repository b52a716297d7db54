/* SPDX-License-Identifier: Apache-2.0 */
/* The tables: forward migration, and SQL that other databases understand as well. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "authority/store_internal.h"
#include "tests/unit/store_support.h"

TestSuite(schema, .init = store_support_enter, .fini = store_support_leave);

#define STEPS_MAX 16

/* The steps of the program and one more. */
struct later {
    struct schema_step steps[STEPS_MAX];
    struct schema schema;
};

static void make_later(struct later *later, const char *const *statements, size_t count)
{
    size_t known = schema_known.count;
    cr_assert_lt(known, STEPS_MAX);
    memcpy(later->steps, schema_known.steps, known * sizeof *later->steps);
    later->steps[known] = (struct schema_step){statements, count};
    later->schema = (struct schema){later->steps, known + 1};
}

/* A store of version 1, whatever the program's own is, with a row. */
static void make_version_1(void)
{
    const struct schema first = {schema_known.steps, 1};
    struct store *store;
    struct error err = {0};
    cr_assert(store_open_with(store_directory_path, &first, &store, &err), "%s", err.message);
    store_with_bot(store, "ci-1");
    store_close(store);
}

static int64_t number(struct store *store, const char *sql)
{
    struct sql_statement *statement;
    struct error err = {0};
    bool row;
    int64_t value;
    cr_assert(store_prepare(store, sql, &statement, &err), "%s", err.message);
    cr_assert(sql_next(statement, &row, &err) && row, "%s", err.message);
    sql_read_int(statement, &value);
    cr_assert(sql_row_end(statement, &err), "%s", err.message);
    sql_finish(statement);
    return value;
}

Test(schema, migration_from_version_1_keeps_its_rows)
{
    static const char *const statements[] = {
        "ALTER TABLE bots ADD COLUMN note VARCHAR(64) DEFAULT '' NOT NULL",
        "CREATE TABLE notes (name VARCHAR(64) NOT NULL PRIMARY KEY)",
        "INSERT INTO notes (name) SELECT name FROM bots",
    };
    struct later later;
    struct store *store;
    struct store_bot bot;
    struct error err = {0};
    make_later(&later, statements, 3);
    make_version_1();
    cr_assert(store_open_with(store_directory_path, &later.schema, &store, &err), "%s",
              err.message);
    cr_expect(store_bot_find(store, "ci-1", &bot, &err), "%s", err.message);
    cr_expect_str_eq(bot.created_by, "root");
    cr_expect_eq(number(store, "SELECT COUNT(*) FROM notes"), 1);
    cr_expect_eq(number(store, "SELECT COUNT(*) FROM schema_versions"),
                 (int64_t)later.schema.count);
    cr_expect_eq(store_state(store), 2, "the counter goes on");
    store_with_bot(store, "ci-2");
    store_close(store);

    cr_assert(store_open_with(store_directory_path, &later.schema, &store, &err),
              "each step is taken once: %s", err.message);
    cr_expect_eq(number(store, "SELECT COUNT(*) FROM notes"), 1);
    store_close(store);
    cr_expect(store_refuses(store_directory_path, ERROR_UNSUPPORTED, "install the newer one"));
}

Test(schema, migration_that_fails_changes_nothing)
{
    static const char *const statements[] = {
        "CREATE TABLE notes (name VARCHAR(64) NOT NULL PRIMARY KEY)",
        "DELETE FROM bots",
        "INSERT INTO no_such_table (name) VALUES ('x')",
    };
    struct later later;
    struct store *store;
    struct store_bot bot;
    struct error err = {0};
    make_later(&later, statements, 3);
    make_version_1();
    cr_expect_not(store_open_with(store_directory_path, &later.schema, &store, &err));
    cr_expect_not_null(strstr(err.message, "no_such_table"), "%s", err.message);
    cr_expect_not_null(strstr(err.message, "cannot bring"), "%s", err.message);
    store = store_opened();
    cr_expect(store_bot_find(store, "ci-1", &bot, &err), "%s", err.message);
    cr_expect_eq(number(store, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'notes'"), 0);
    store_close(store);
}

Test(schema, new_store_has_taken_every_step)
{
    static const char *const statements[] = {"CREATE TABLE notes (name VARCHAR(64) NOT NULL)"};
    struct later later;
    struct store *store;
    struct error err = {0};
    make_later(&later, statements, 1);
    cr_assert(store_open_with(store_directory_path, &later.schema, &store, &err), "%s",
              err.message);
    cr_expect_eq(number(store, "SELECT COUNT(*) FROM notes"), 0);
    cr_expect_eq(number(store, "SELECT MAX(version) FROM schema_versions"),
                 (int64_t)later.schema.count);
    store_close(store);
}

/* The lengths of columns are the limits of store.h: the tables refuse what the code lets through.
 */
Test(schema, tables_refuse_what_is_too_long)
{
    static const char *const statements[] = {
        "INSERT INTO bots VALUES ('', '', 0, '')",
        "INSERT INTO bots VALUES (NULL, '', 0, '')",
        "INSERT INTO bots VALUES (hex(zeroblob(33)), '', 0, '')",
        "INSERT INTO bots VALUES ('x', hex(zeroblob(513)), 0, '')",
        "INSERT INTO bots VALUES ('x', '', 0, hex(zeroblob(128)))",
        "INSERT INTO bots VALUES ('x', '', NULL, '')",
        "INSERT INTO bot_roles VALUES ('ci-1', hex(zeroblob(33)), 0)",
        "INSERT INTO bot_roles VALUES ('ci-1', 'x', 64)",
        "INSERT INTO bot_roles VALUES ('ci-1', 'x', -1)",
        "INSERT INTO bot_roles VALUES ('nobody', 'x', 0)",
        "INSERT INTO tokens VALUES ('0123456789abcdef', zeroblob(31), 'bot', 'x', NULL, 0, '', 0,"
        " 0, '', '', '')",
        "INSERT INTO tokens VALUES ('0123456789abcdef', zeroblob(32), 'bot', 'x', 'ci-1', 0, '',"
        " 0, 0, '', '', '')",
        "INSERT INTO documents VALUES ('role', 'x', hex(zeroblob(32769)), 0)",
        "INSERT INTO documents VALUES ('role', hex(zeroblob(128)), '{}', 0)",
        "INSERT INTO certificates VALUES ('aa', 'bot', hex(zeroblob(4097)), '', 0, 0, 1, 0, 0)",
        "INSERT INTO locks VALUES ('0123456789abcdef', 'bot', 'x', hex(zeroblob(513)), 0, '', 0)",
        "INSERT INTO proxies VALUES ('x', hex(zeroblob(21)), '', 1, 0, 0, 0, 0)",
        "INSERT INTO proxies VALUES ('x', 'aa', hex(zeroblob(21)), 1, 0, 0, 0, 0)",
        "INSERT INTO proxies VALUES ('x', 'aa', '', -1, 0, 0, 0, 0)",
        "INSERT INTO proxies VALUES ('x', 'aa', '', 1, 2, 0, 0, 0)",
        "INSERT INTO authorities VALUES ('bot', 1, 'x', hex(zeroblob(4097)), 'f', 0, 0)",
        "DELETE FROM bots", /* it has a role */
    };
    struct store *store = store_opened();
    static const char *const roles[] = {"reader"};
    store_with_bot(store, "ci-1");
    cr_assert(store_bot_set_roles(store, "ci-1", roles, 1, NULL, NULL));
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        struct error err = {0};
        cr_expect_not(sql_execute(store->sql, statements[i], &err), "%s", statements[i]);
        cr_expect(err.code == ERROR_LIMIT || err.code == ERROR_NOT_FOUND, "%s: %s", statements[i],
                  err.message);
    }
    store_close(store);
}

/* --- portable SQL --- */

/* What SQLite has and MySQL or MariaDB has not, or reads in another way. */
static const char *const foreign_words[] = {
    "autoincrement", "conflict",   "pragma",    "without",   "rowid",     "glob",
    "returning",     "strict",     "ifnull",    "typeof",    "attach",    "vacuum",
    "randomblob",    "zeroblob",   "json_each", "datetime",  "unixepoch", "printf",
    "collate",       "deferrable", "instead",   "virtual",   "indexed",   "abort",
    "full",          "except",     "intersect", "immediate", "total",     "limit",
};

/* Words that MySQL 8, 9 or MariaDB reserve ("Keywords and Reserved Words") and that are easily
 * taken for a column's name. */
static const char *const reserved_words[] = {
    "rank",     "groups",      "system",    "window", "row",   "rows",   "recursive",
    "function", "lateral",     "of",        "over",   "cube",  "empty",  "usage",
    "range",    "change",      "condition", "call",   "match", "option", "schema",
    "trigger",  "release_all", "write",     "read",   "mod",   "kill",   "lock",
};

static bool holds_word(const char *sql, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = sql; *at; at++)
        if (strncasecmp(at, word, size) == 0 &&
            (at == sql || !(isalnum(at[-1]) || at[-1] == '_')) &&
            !(isalnum(at[size]) || at[size] == '_'))
            return true;
    return false;
}

static bool is_drivers(const char *sql)
{
    return strncmp(sql, "BEGIN", 5) == 0;
}

static void judge(const char *sql, void *context)
{
    ++*(size_t *)context;
    if (is_drivers(sql))
        return;
    for (size_t i = 0; i < sizeof foreign_words / sizeof *foreign_words; i++)
        cr_expect_not(holds_word(sql, foreign_words[i]), "%s: %s", foreign_words[i], sql);
    for (size_t i = 0; i < sizeof reserved_words / sizeof *reserved_words; i++)
        cr_expect_not(holds_word(sql, reserved_words[i]), "%s: %s", reserved_words[i], sql);
    cr_expect_null(strpbrk(sql, "\"`[|"), "quoted names, ||: %s", sql);
    if (getenv("SALLYPORT_STORE_SQL"))
        printf("SQL %s\n", sql);
}

/* Every statement of the store is prepared once. */
static void use_everything(struct store *store)
{
    struct store_bot bot = store_a_bot("ci-1");
    struct store_token token = store_a_token("0123456789abcdef", "ci-1");
    struct store_instance instance =
        store_an_instance("0123456789abcdef0123456789abcdef", "ci-1", "s1");
    struct store_certificate certificate = store_a_certificate("s1", instance.id);
    struct store_lock lock = store_a_lock("0123456789abcdef");
    struct store_authority authority = store_an_authority(1);
    struct store_proxy proxy = store_a_proxy("p");
    const struct store_next next = {"s2", NOW, NOW};
    const char *roles[] = {"reader"};
    enum store_change change;
    enum store_serial which;
    struct buffer text;
    size_t count = 0;
    int64_t removed;
    bool done;
    char name[STORE_NAME_SIZE];
    buffer_init(&text, 100);
    bool right =
        store_bot_add(store, &bot, NULL) && store_begin(store, NULL) &&
        store_bot_set_roles(store, "ci-1", roles, 1, NULL, NULL) && store_commit(store, NULL) &&
        store_bot_find(store, "ci-1", &bot, NULL) &&
        store_bot_each(store, store_count_bots, &count, NULL) &&
        store_token_add(store, &token, NULL) && store_token_find(store, token.id, &token, NULL) &&
        store_token_use(store, token.id, NOW, "x", &done, NULL) &&
        store_token_note(store, token.id, "", "2b", NULL) &&
        store_token_each(store, store_count_tokens, &count, NULL) &&
        store_instance_add(store, &instance, NULL) &&
        store_certificate_add(store, &certificate, NULL) &&
        store_certificate_find(store, "s1", &certificate, NULL) &&
        store_instance_find(store, instance.id, &instance, NULL) &&
        store_instance_replace(store, instance.id, "none", &next, &done, NULL) &&
        store_instance_advance(store, instance.id, "s1", &next, &done, NULL) &&
        store_instance_confirm(store, "s2", NOW, &done, NULL) &&
        store_instance_each(store, NULL, store_count_instances, &count, NULL) &&
        store_instance_each(store, "ci-1", store_count_instances, &count, NULL) &&
        store_lock_add(store, &lock, NULL) && store_lock_find(store, lock.id, &lock, NULL) &&
        store_lock_each(store, NOW, store_count_locks, &count, NULL) &&
        store_lock_remove(store, lock.id, NULL) && store_lock_prune(store, NOW, &removed, NULL) &&
        store_lock_count_of_bot(store, "x", "ci-1", &removed, NULL) &&
        store_lock_prune_lost(store, "x", NOW, &removed, NULL) &&
        store_document_put(store, STORE_DOCUMENT_ROLE, "r", "1", NOW, &change, NULL) &&
        store_document_put(store, STORE_DOCUMENT_ROLE, "r", "2", NOW, &change, NULL) &&
        store_document_find(store, STORE_DOCUMENT_ROLE, "r", &text, NULL) &&
        store_document_each(store, STORE_DOCUMENT_ROLE, store_count_documents, &count, NULL) &&
        store_document_each(store, (enum store_document_kind)0, store_count_documents, &count,
                            NULL) &&
        store_document_remove(store, STORE_DOCUMENT_ROLE, "r", NULL) &&
        store_authority_add(store, &authority, NULL) &&
        store_authority_set_phase(store, STORE_AUTHORITY_BOT, 1, "old", NOW, NULL) &&
        store_authority_each(store, STORE_AUTHORITY_BOT, store_count_authorities, &count, NULL) &&
        store_authority_each(store, (enum store_authority_kind)0, store_count_authorities, &count,
                             NULL) &&
        store_authority_remove(store, STORE_AUTHORITY_BOT, 1, NULL) &&
        store_proxy_put(store, &proxy, NULL) && store_proxy_put(store, &proxy, NULL) &&
        store_proxy_find(store, "p", &proxy, NULL) &&
        store_proxy_find_host(store, "p.internal", "q", NOW, name, NULL) &&
        store_proxy_each(store, store_count_proxies, &count, NULL) &&
        store_proxy_remove(store, "p", NULL) && store_certificate_prune(store, 0, &removed, NULL) &&
        store_token_prune(store, 0, &removed, NULL);
    cr_assert(right);
    cr_assert_not(store_instance_find_serial(store, "none", &instance, &which, NULL));
    cr_assert_not(store_token_remove(store, "none", NULL));
    cr_assert_not(store_instance_remove(store, "none", NULL));
    cr_assert(store_begin(store, NULL));
    cr_assert_not(store_bot_add(store, &bot, NULL));
    store_rollback(store);
    cr_assert(store_bot_remove(store, "ci-1", NULL));
    buffer_release(&text);
}

Test(schema, statements_are_what_the_databases_have_in_common)
{
    struct store *store = store_opened();
    size_t statements = 0;
    use_everything(store);
    for (size_t i = 0; i < schema_known.count; i++)
        for (size_t j = 0; j < schema_known.steps[i].count; j++)
            judge(schema_known.steps[i].statements[j], &statements);
    sql_each_text(store->sql, judge, &statements);
    cr_expect_gt(statements, 60);
    store_close(store);
}

/* --- the driver's own rules --- */

Test(schema, driver_refuses_wrong_uses)
{
    struct store *store = store_opened();
    struct sql *sql = store->sql;
    struct sql_statement *statement;
    struct error err = {0};
    bool row;
    cr_expect_not(sql_commit(sql, &err));
    cr_expect_eq(err.code, ERROR_STATE);
    cr_expect_not(sql_prepare(sql, "SELEC 1", &statement, &err));
    cr_expect_eq(err.code, ERROR_STATE);

    cr_assert(sql_prepare(sql, "SELECT name FROM counters WHERE name = ?", &statement, &err));
    cr_expect_not(sql_next(statement, &row, &err), "a parameter is missing");
    cr_expect_eq(err.code, ERROR_STATE);
    cr_assert(sql_prepare(sql, "SELECT name FROM counters WHERE name = ?", &statement, &err));
    sql_bind_text(statement, "name", "state", 10);
    sql_bind_text(statement, "name", "state", 10);
    cr_expect_not(sql_next(statement, &row, &err), "there is one too many");

    cr_assert(sql_prepare(sql, "SELECT name FROM counters WHERE name = ?", &statement, &err));
    sql_bind_text(statement, "name", NULL, 10);
    cr_expect_not(sql_next(statement, &row, &err), "no text at all");
    cr_expect_eq(err.code, ERROR_STATE);

    cr_assert(sql_prepare(sql, "SELECT name, amount FROM counters", &statement, &err));
    cr_assert(sql_next(statement, &row, &err) && row);
    char name[33];
    sql_read_text(statement, name, sizeof name);
    cr_expect_not(sql_row_end(statement, &err), "a column was not read");
    cr_expect_eq(err.code, ERROR_STATE);
    int64_t amount;
    sql_read_int(statement, &amount);
    sql_read_int(statement, &amount);
    cr_expect_not(sql_row_end(statement, &err), "one more than there are");
    sql_finish(statement);
    store_close(store);
}

Test(schema, driver_keeps_a_limited_number_of_statements)
{
    struct store *store = store_opened();
    struct error err = {0};
    int kept = 0;
    char text[32];
    struct sql_statement *first;
    struct sql_statement *again;
    cr_assert(sql_prepare(store->sql, "SELECT 0", &first, &err));
    for (bool done = true; done; kept += done) {
        struct sql_statement *statement;
        snprintf(text, sizeof text, "SELECT %d", kept + 1);
        done = sql_prepare(store->sql, text, &statement, &err);
    }
    cr_expect_eq(err.code, ERROR_LIMIT);
    cr_expect_leq(kept, SQL_STATEMENTS_MAX);
    cr_assert(sql_prepare(store->sql, "SELECT 0", &again, &err));
    cr_expect_eq(first, again, "those that are kept go on");
    store_close(store);
}

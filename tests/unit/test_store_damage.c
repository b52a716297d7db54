/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are no sound store: refused with words that help, and left byte for byte as they are.
 */
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authority/store.h"
#include "tests/unit/store_support.h"

#define PAGE   4096
#define BOTS   300
#define LARGE  60 /* documents; together more than SQLite keeps in memory */
#define ADVICE "restore a backup"

static char *bytes;
static size_t length;

/* A store of some hundred pages, closed, and its bytes. */
static void make_store(void)
{
    char name[32];
    store_support_enter();
    struct store *store = store_opened();
    cr_assert(store_begin(store, NULL));
    for (int i = 0; i < BOTS; i++) {
        snprintf(name, sizeof name, "bot-%d", i);
        store_with_bot(store, name);
    }
    cr_assert(store_commit(store, NULL));
    store_close(store);
    bytes = store_file_read(store_path("authority.db"), &length);
    cr_assert_gt(length, 20 * PAGE);
}

static void forget_store(void)
{
    free(bytes);
    store_support_leave();
}

TestSuite(damage, .init = make_store, .fini = forget_store);

static void write_back(void)
{
    store_file_write(store_path("authority.db"), bytes, length);
}

/* Whether the file still holds what was written back. */
static bool untouched(void)
{
    size_t size;
    char *now = store_file_read(store_path("authority.db"), &size);
    bool same = size == length && memcmp(now, bytes, size) == 0;
    free(now);
    return same;
}

static bool refused(enum error_code code, const char *words)
{
    return store_refuses(store_directory_path, code, words) && untouched();
}

Test(damage, header)
{
    memcpy(bytes, "not a data base!", 16);
    write_back();
    cr_expect(refused(ERROR_MALFORMED, ADVICE));
}

Test(damage, every_field_of_the_header)
{
    /* "The Database Header" of https://www.sqlite.org/fileformat2.html: these are checked when a
     * file is opened. */
    static const size_t fields[] = {16, 18, 19, 21, 22, 23};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char before = bytes[fields[i]];
        bytes[fields[i]] = 0x55;
        write_back();
        struct store *store;
        struct error err = {0};
        cr_expect_not(store_open(store_directory_path, &store, &err), "%zu", fields[i]);
        cr_expect(untouched());
        bytes[fields[i]] = before;
    }
    write_back();
    store_close(store_opened());
}

Test(damage, page)
{
    size_t found = 0;
    for (size_t page = 1; page < length / PAGE; page++) {
        char before[PAGE];
        memcpy(before, bytes + page * PAGE, PAGE);
        for (size_t i = 0; i < PAGE; i++)
            bytes[page * PAGE + i] = (char)(i * 131 + 7);
        write_back();
        found += refused(ERROR_MALFORMED, ADVICE);
        memcpy(bytes + page * PAGE, before, PAGE);
    }
    cr_expect_eq(found, length / PAGE - 1);
}

Test(damage, zeroed_page)
{
    /* As a crash of the machine leaves it where the disk lied about syncing. */
    for (size_t page = 1; page < length / PAGE; page += 3) {
        char before[PAGE];
        memcpy(before, bytes + page * PAGE, PAGE);
        memset(bytes + page * PAGE, 0, PAGE);
        write_back();
        cr_expect(refused(ERROR_MALFORMED, ADVICE), "page %zu", page);
        memcpy(bytes + page * PAGE, before, PAGE);
    }
}

Test(damage, truncated)
{
    const size_t cuts[] = {
        0, 1, 15, 99, 100, PAGE - 1, PAGE, PAGE + 1, length / 2, length - PAGE, length - 1};
    char *whole = bytes;
    size_t whole_length = length;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        length = cuts[i];
        write_back();
        cr_expect(refused(ERROR_MALFORMED, ADVICE), "cut at %zu", length);
    }
    bytes = whole;
    length = whole_length;
    write_back();
    store_close(store_opened());
}

Test(damage, empty_file_is_not_a_new_store)
{
    length = 0;
    write_back();
    cr_expect(refused(ERROR_MALFORMED, "it is empty"));
}

Test(damage, log_without_its_file)
{
    store_file_write(store_path("authority.db-wal"), "something", 9);
    cr_assert_eq(unlink(store_path("authority.db")), 0);
    cr_expect(store_refuses(store_directory_path, ERROR_MALFORMED, "is missing"));
    cr_expect_neq(access(store_path("authority.db"), F_OK), 0, "none was made");
}

Test(damage, file_with_a_log_that_was_not_taken_in)
{
    /* The log stays as well: what it holds may be all that is left. */
    struct store *store = store_opened();
    store_with_bot(store, "late");
    size_t log_length;
    char *log = store_file_read(store_path("authority.db-wal"), &log_length);
    store_close(store);
    memset(bytes + PAGE, 0x55, PAGE);
    write_back();
    store_file_write(store_path("authority.db-wal"), log, log_length);
    cr_expect(refused(ERROR_MALFORMED, "-wal"));
    size_t size;
    char *after = store_file_read(store_path("authority.db-wal"), &size);
    cr_expect(size == log_length && memcmp(after, log, size) == 0);
    free(after);
    free(log);
}

Test(damage, what_a_crash_left_while_it_was_made)
{
    cr_assert_eq(unlink(store_path("authority.db")), 0);
    store_file_write(store_path("authority.db.new"), bytes, length / 2);
    store_file_write(store_path("authority.db.new-journal"), "half", 4);
    struct store *store = store_opened();
    cr_expect_eq(store_state(store), 1, "a new one");
    store_close(store);
    cr_expect_neq(access(store_path("authority.db.new-journal"), F_OK), 0);
}

/* --- sound files that are not ours --- */

/* Changes the file through SQLite itself. */
static void run(const char *sql)
{
    sqlite3 *db;
    char *message = NULL;
    cr_assert_eq(sqlite3_open(store_path("authority.db"), &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, &message), SQLITE_OK, "%s: %s", sql, message);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    free(bytes);
    bytes = store_file_read(store_path("authority.db"), &length);
}

static void make_foreign(const char *sql)
{
    cr_assert_eq(unlink(store_path("authority.db")), 0);
    run(sql);
    cr_assert_eq(chmod(store_path("authority.db"), 0600), 0);
}

Test(damage, another_programs_database)
{
    make_foreign("CREATE TABLE bookmarks (title TEXT); INSERT INTO bookmarks VALUES ('x')");
    cr_expect(refused(ERROR_MALFORMED, "is no store of an authority"));
}

Test(damage, store_without_a_version)
{
    run("DELETE FROM schema_versions");
    cr_expect(refused(ERROR_MALFORMED, "it has no version"));
}

Test(damage, store_of_a_newer_version)
{
    run("INSERT INTO schema_versions (version, applied_us) VALUES (1000, 0)");
    cr_expect(refused(ERROR_UNSUPPORTED, "install the newer one again"));
}

Test(damage, version_that_is_no_number)
{
    run("INSERT INTO schema_versions (version, applied_us) VALUES ('later', 0)");
    cr_expect(refused(ERROR_MALFORMED, ADVICE));
}

/* --- rows that the tables let in, and the program did not write --- */

static bool reads_as_damage(bool done, const struct error *err)
{
    if (!done && err->code == ERROR_MALFORMED && strstr(err->message, ADVICE))
        return true;
    cr_log_error("%s", err->message);
    return false;
}

Test(damage, values_of_the_wrong_kind)
{
    struct store_bot bot;
    size_t count = 0;
    struct error err = {0};
    run("UPDATE bots SET created_us = 'yesterday' WHERE name = 'bot-7'");
    run("UPDATE bots SET public_key = x'fffe' WHERE name = 'bot-8'");
    run("UPDATE bots SET created_by = CAST(x'ff' AS TEXT) WHERE name = 'bot-9'");
    run("INSERT INTO documents VALUES ('no-kind', 'x', '{}', 1), ('role', 'y', x'00', 1),"
        " ('role', 'z', CAST(x'610062' AS TEXT), 1)");
    struct store *store = store_opened();
    cr_expect(reads_as_damage(store_bot_find(store, "bot-7", &bot, &err), &err));
    cr_expect(reads_as_damage(store_bot_find(store, "bot-8", &bot, &err), &err));
    cr_expect(reads_as_damage(store_bot_find(store, "bot-9", &bot, &err), &err));
    cr_expect(reads_as_damage(store_bot_each(store, store_count_bots, &count, &err), &err));
    cr_expect(reads_as_damage(store_document_each(store, (enum store_document_kind)0,
                                                  store_count_documents, &count, &err),
                              &err));
    struct buffer text;
    buffer_init(&text, 100);
    cr_expect(
        reads_as_damage(store_document_find(store, STORE_DOCUMENT_ROLE, "y", &text, &err), &err));
    cr_expect(
        reads_as_damage(store_document_find(store, STORE_DOCUMENT_ROLE, "z", &text, &err), &err));
    buffer_release(&text);
    cr_expect(store_bot_find(store, "bot-10", &bot, &err), "the others read as ever");
    store_close(store);
}

Test(damage, values_longer_than_their_column)
{
    struct store_bot bot;
    struct error err = {0};
    /* quick_check judges CHECK constraints, so this is found when it is opened. */
    run("PRAGMA ignore_check_constraints = ON;"
        "UPDATE bots SET created_by = hex(randomblob(200)) WHERE name = 'bot-7'");
    cr_expect(refused(ERROR_MALFORMED, ADVICE));
    /* Characters are counted there and bytes here. */
    run("UPDATE bots SET created_by = replace(hex(zeroblob(100)), '0', '\xc3\xa9')"
        " WHERE name = 'bot-7'");
    struct store *store = store_opened();
    cr_expect(reads_as_damage(store_bot_find(store, "bot-7", &bot, &err), &err));
    store_close(store);
}

static bool put_large(struct store *store, int number)
{
    static char text[60001];
    char name[16];
    enum store_change change;
    memset(text, 'x', sizeof text - 1);
    snprintf(name, sizeof name, "d%d", number);
    return store_document_put(store, STORE_DOCUMENT_ROLE, name, text, NOW, &change, NULL);
}

/* Overwrites all but the first page, through another descriptor. */
static void spoil(void)
{
    free(bytes);
    bytes = store_file_read(store_path("authority.db"), &length);
    memset(bytes + PAGE, 0x55, length - PAGE);
    FILE *file = fopen(store_path("authority.db"), "r+b");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, length, file), length);
    cr_assert_eq(fclose(file), 0);
}

/* Damage that comes while the store is open is met when the page is next read. */
Test(damage, pages_that_go_bad_under_way)
{
    struct store *store = store_opened();
    for (int i = 0; i < LARGE; i++)
        cr_assert(put_large(store, i));
    store_close(store);
    store = store_opened();
    spoil();
    struct error err = {0};
    size_t count = 0;
    cr_expect(reads_as_damage(
        store_document_each(store, STORE_DOCUMENT_ROLE, store_count_documents, &count, &err),
        &err));
    cr_expect_lt(count, LARGE);
    cr_expect_not(put_large(store, LARGE), "nor is it written over");
    store_close(store);
    cr_expect(refused(ERROR_MALFORMED, ADVICE));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The store while things go wrong around it: kill -9, a full disk, another program in the file. */
#include <criterion/criterion.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "authority/store.h"
#include "base/clock.h"
#include "tests/unit/store_support.h"

TestSuite(fault, .init = store_support_enter, .fini = store_support_leave, .timeout = 120);

/* --- kill -9 --- */

#define KILLS      25
#define GROUP_SIZE 7

/* Ends a child of the test, in which Criterion must not be called. */
static void give_up(const struct error *err)
{
    fprintf(stderr, "child: %s\n", err->message);
    _exit(1);
}

static struct store *child_opened(void)
{
    struct store *store;
    struct error err = {0};
    if (!store_open(store_directory_path, &store, &err))
        give_up(&err);
    return store;
}

static void add_numbered(struct store *store, unsigned group, unsigned number)
{
    char name[STORE_NAME_SIZE];
    snprintf(name, sizeof name, "g%08u-%u", group, number);
    struct store_bot bot = store_a_bot(name);
    bot.role_count = 1;
    snprintf(bot.roles[0], sizeof bot.roles[0], "reader");
    struct error err = {0};
    if (!store_bot_add(store, &bot, &err))
        give_up(&err);
}

/* Writes groups of bots for ever, every third one rolled back, and tells of each that has been
 * committed. */
static void write_groups(unsigned group, int told)
{
    struct store *store = child_opened();
    struct error err = {0};
    for (;; group++) {
        if (!store_begin(store, &err))
            give_up(&err);
        for (unsigned i = 0; i < GROUP_SIZE; i++)
            add_numbered(store, group, i);
        if (group % 3 == 0) {
            store_rollback(store);
            continue;
        }
        if (!store_commit(store, &err) || write(told, &group, sizeof group) != sizeof group)
            give_up(&err);
    }
}

/* What the children said they had committed. */
struct told {
    unsigned last, count;
};

static void hear(int from, struct told *told)
{
    unsigned group;
    while (read(from, &group, sizeof group) == (ssize_t)sizeof group) {
        told->last = group;
        told->count++;
    }
}

struct tally {
    unsigned groups, partial, rolled_back, last;
    unsigned members; /* of the last group */
};

static void end_group(struct tally *tally)
{
    tally->groups += tally->members > 0;
    tally->partial += tally->members > 0 && tally->members != GROUP_SIZE;
    tally->members = 0;
}

static bool tally_bot(const struct store_bot *bot, void *context)
{
    struct tally *tally = context;
    unsigned group = (unsigned)strtoul(bot->name + 1, NULL, 10);
    if (group != tally->last)
        end_group(tally);
    tally->last = group;
    tally->members += bot->role_count == 1;
    tally->rolled_back += group % 3 == 0;
    return true;
}

static struct tally take_stock(void)
{
    struct tally tally = {0};
    struct error err = {0};
    struct store *store = store_opened();
    cr_assert(store_bot_each(store, tally_bot, &tally, &err), "%s", err.message);
    end_group(&tally);
    store_close(store);
    return tally;
}

static void run_and_kill(unsigned first, long microseconds, struct told *heard)
{
    int told[2];
    cr_assert_eq(pipe(told), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        close(told[0]);
        write_groups(first, told[1]);
    }
    close(told[1]);
    const struct timespec nap = {0, microseconds * 1000};
    nanosleep(&nap, NULL);
    int status;
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status), "it failed on its own");
    hear(told[0], heard);
    close(told[0]);
}

Test(fault, what_was_committed_survives_kill_9_and_nothing_else)
{
    struct told told = {0};
    struct tally tally = {0};
    store_close(store_opened());
    for (unsigned i = 0; i < KILLS; i++) {
        /* The last one there may have been committed without being told of. A number past it that
         * three does not divide, and a wait from the middle of opening to some dozens of groups. */
        run_and_kill(tally.last / 3 * 3 + 4, 2000 + (long)(i * i) * 300, &told);
        tally = take_stock();
        cr_assert_eq(tally.partial, 0, "a group is whole or not there");
        cr_assert_eq(tally.rolled_back, 0);
        cr_assert_geq(tally.last, told.last);
        cr_assert_geq(tally.groups, told.count, "what was told is there");
        cr_assert_leq(tally.groups, told.count + i + 1, "one each may not have been told of");
    }
    cr_expect_gt(told.count, 2 * KILLS, "some work was done");
}

Test(fault, kill_9_while_the_store_is_made)
{
    for (long wait = 0; wait < 20; wait++) {
        pid_t child = fork();
        cr_assert_geq(child, 0);
        if (child == 0) {
            store_close(child_opened());
            pause();
        }
        const struct timespec nap = {0, wait * 400000};
        nanosleep(&nap, NULL);
        cr_assert_eq(kill(child, SIGKILL), 0);
        cr_assert_eq(waitpid(child, NULL, 0), child);
        struct store *store = store_opened();
        cr_assert_eq(store_state(store), 1);
        store_close(store);
        cr_assert_eq(unlink(store_path("authority.db")), 0);
    }
}

/* --- a full disk --- */

/* No file may grow past this: write(2) fails with EFBIG, as it does with ENOSPC on a full disk. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static const char *document(void)
{
    static char text[60001];
    memset(text, 'x', sizeof text - 1);
    return text;
}

static bool put(struct store *store, int number, struct error *err)
{
    char name[16];
    enum store_change change;
    snprintf(name, sizeof name, "d%d", number);
    return store_document_put(store, STORE_DOCUMENT_ROLE, name, document(), NOW, &change, err);
}

static size_t documents(struct store *store)
{
    size_t count = 0;
    struct error err = {0};
    cr_assert(store_document_each(store, STORE_DOCUMENT_ROLE, store_count_documents, &count, &err),
              "%s", err.message);
    return count;
}

Test(fault, full_disk_fails_changes_and_keeps_the_rest)
{
    struct store *store = store_opened();
    struct error err = {0};
    int count = 0;
    limit_files(1 << 20);
    while (put(store, count, &err))
        cr_assert_lt(++count, 1000);
    cr_expect_eq(err.code, ERROR_SYSTEM);
    cr_expect_not_null(strstr(err.message, "make room"), "%s", err.message);
    cr_expect_gt(count, 5);
    cr_expect_eq(documents(store), (size_t)count, "reading goes on");
    cr_expect_eq(store_state(store), 1 + count);
    cr_expect_not(put(store, count, &err), "it goes on failing");
    limit_files(RLIM_INFINITY);
    cr_assert(put(store, count, &err), "until there is room: %s", err.message);
    store_close(store);
    store = store_opened();
    cr_expect_eq(documents(store), (size_t)count + 1);
    store_close(store);
}

Test(fault, full_disk_in_a_group_fails_the_group)
{
    struct store *store = store_opened();
    struct error err = {0};
    int count = 0;
    store_with_bot(store, "before");
    limit_files(1 << 20);
    cr_assert(store_begin(store, NULL));
    /* Pages stay in the cache up to its limit, so that the failure comes late, or at the end. */
    while (count < 100 && put(store, count, &err))
        count++;
    bool committed = store_commit(store, &err);
    cr_expect_not(committed);
    cr_expect_neq(err.code, ERROR_NONE);
    cr_expect_eq(documents(store), 0, "none of it");
    struct store_bot bot;
    cr_expect(store_bot_find(store, "before", &bot, &err), "%s", err.message);
    limit_files(RLIM_INFINITY);
    cr_assert(put(store, 1, &err), "%s", err.message);
    cr_expect_eq(documents(store), 1);
    store_close(store);
}

/* The database gives a group up by itself; no change may then slip in as one of its own. */
Test(fault, group_that_the_database_gave_up_takes_nothing_more)
{
    struct store *store = store_opened();
    struct error err = {0};
    int count = 0;
    limit_files(1 << 20);
    cr_assert(store_begin(store, NULL));
    while (put(store, count, &err))
        cr_assert_lt(++count, 1000, "larger than the cache, it has to be written");
    limit_files(RLIM_INFINITY);
    struct store_token token = store_a_token("0123456789abcdef", "p");
    token.kind = STORE_TOKEN_PROXY;
    cr_expect_not(store_token_add(store, &token, &err));
    cr_expect_eq(err.code, ERROR_STATE);
    cr_expect_not(put(store, 1, &err));
    cr_expect_eq(err.code, ERROR_STATE);
    int64_t version;
    cr_expect_not(store_version(store, &version, &err), "nor does it tell what is no longer so");
    cr_expect_not(store_begin(store, &err), "nor in a group within it");
    cr_expect_eq(err.code, ERROR_STATE);
    store_rollback(store);
    cr_expect_not(store_token_find(store, token.id, &token, &err));
    cr_expect_eq(err.code, ERROR_NOT_FOUND);
    cr_expect_eq(documents(store), 0);
    cr_assert(put(store, 1, &err), "%s", err.message);
    store_close(store);
}

Test(fault, no_room_to_make_the_store)
{
    limit_files(10000);
    cr_expect(store_refuses(store_directory_path, ERROR_SYSTEM, "make room"));
    limit_files(0);
    cr_expect(store_refuses(store_directory_path, ERROR_SYSTEM, "make room"));
    limit_files(RLIM_INFINITY);
    struct store *store = store_opened();
    cr_expect_eq(store_state(store), 1);
    store_close(store);
}

/* --- another program in the file --- */

static sqlite3 *other_program(const char *sql)
{
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(store_path("authority.db"), &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    return db;
}

Test(fault, another_program_that_writes_is_waited_for_and_then_told_of)
{
    struct store *store = store_opened();
    struct store_bot bot = store_a_bot("ci-1");
    struct error err = {0};
    sqlite3 *db = other_program("BEGIN IMMEDIATE");
    int64_t start = clock_monotonic_us();
    cr_expect_not(store_bot_add(store, &bot, &err));
    cr_expect_eq(err.code, ERROR_TIMEOUT);
    cr_expect_not_null(strstr(err.message, "held by another program"));
    cr_expect_geq(clock_monotonic_us() - start, 1000000);
    cr_expect_not(store_begin(store, &err));
    cr_expect_not(store_commit(store, &err), "no group was begun");
    cr_expect_eq(store_state(store), 1, "reading does not wait");
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    cr_assert(store_bot_add(store, &bot, &err), "%s", err.message);
    store_close(store);
}

Test(fault, a_backup_may_be_taken_meanwhile)
{
    struct store *store = store_opened();
    store_with_bot(store, "before");
    sqlite3 *db = other_program("BEGIN");
    cr_assert_eq(sqlite3_exec(db, "SELECT * FROM bots", NULL, NULL, NULL), SQLITE_OK);
    store_with_bot(store, "during");
    char sql[256];
    snprintf(sql, sizeof sql, "COMMIT; VACUUM INTO '%s'", store_path("backup"));
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    store_close(store);
    /* And restored. */
    cr_assert_eq(rename(store_path("backup"), store_path("authority.db")), 0);
    cr_assert_eq(chmod(store_path("authority.db"), 0600), 0);
    store = store_opened();
    struct store_bot bot;
    cr_expect(store_bot_find(store, "during", &bot, NULL));
    store_close(store);
}

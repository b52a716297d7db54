/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the store, whose it is, and its groups, visitors and version. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "authority/sql.h"
#include "authority/store.h"
#include "tests/unit/store_support.h"

TestSuite(store, .init = store_support_enter, .fini = store_support_leave);

static mode_t mode_of(const char *path)
{
    struct stat found;
    cr_assert_eq(lstat(path, &found), 0, "%s", path);
    return found.st_mode & 07777;
}

/* --- the directory and its files --- */

Test(store, is_made_for_its_owner_alone_whatever_the_umask)
{
    char path[80];
    snprintf(path, sizeof path, "%s/state", store_directory_path);
    struct store *store;
    struct error err = {0};
    umask(0);
    cr_assert(store_open(path, &store, &err), "%s", err.message);
    cr_expect_eq(mode_of(path), 0700);
    cr_expect_eq(mode_of(store_path("state/authority.db")), 0600);
    cr_expect_eq(mode_of(store_path("state/authority.db-wal")), 0600);
    cr_expect_eq(mode_of(store_path("state/authority.lock")), 0600);
    store_with_bot(store, "ci-1");
    store_close(store);
    cr_expect_neq(access(store_path("state/authority.db-wal"), F_OK), 0,
                  "closing takes the log into the file");
    cr_expect_neq(access(store_path("state/authority.db.new"), F_OK), 0);
    cr_assert_eq(unlink(store_path("state/authority.db")), 0);
    cr_assert_eq(unlink(store_path("state/authority.lock")), 0);
}

Test(store, keeps_what_was_put_into_it)
{
    struct store *store = store_opened();
    store_with_bot(store, "ci-1");
    int64_t state = store_state(store);
    store_close(store);
    store = store_opened();
    struct store_bot bot;
    cr_expect(store_bot_find(store, "ci-1", &bot, NULL));
    cr_expect_eq(store_state(store), state);
    store_close(store);
}

Test(store, tells_where_its_directory_is)
{
    char link[96];
    snprintf(link, sizeof link, "%s/link", store_directory_path);
    cr_assert_eq(mkdir(store_path("real"), 0700), 0);
    cr_assert_eq(symlink("real", link), 0);
    struct store *store;
    struct error err = {0};
    cr_assert(store_open(link, &store, &err), "a link to a directory is one: %s", err.message);
    cr_expect_str_eq(store_directory(store), store_path("real"));
    struct stat by_fd;
    struct stat by_path;
    cr_assert_eq(fstat(store_directory_fd(store), &by_fd), 0);
    cr_assert_eq(stat(store_path("real"), &by_path), 0);
    cr_expect_eq(by_fd.st_ino, by_path.st_ino);
    store_close(store);
    cr_assert_eq(unlink(store_path("real/authority.db")), 0);
    cr_assert_eq(unlink(store_path("real/authority.lock")), 0);
}

Test(store, refuses_a_directory_that_others_may_enter)
{
    static const mode_t modes[] = {0755, 0710, 0701, 0777, 0740, 01777};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        cr_assert_eq(chmod(store_directory_path, modes[i]), 0);
        cr_expect(store_refuses(store_directory_path, ERROR_SYSTEM, "chmod 700"), "%o", modes[i]);
        cr_expect_neq(access(store_path("authority.db"), F_OK), 0, "nothing was made");
    }
}

Test(store, refuses_a_directory_of_somebody_else)
{
    if (geteuid() != 0)
        cr_skip_test("needs root");
    cr_assert_eq(chown(store_directory_path, 65534, (gid_t)-1), 0);
    cr_expect(store_refuses(store_directory_path, ERROR_SYSTEM, "belongs to user 65534"));
}

Test(store, refuses_a_file_that_others_may_read_or_that_is_a_link)
{
    store_close(store_opened());
    cr_assert_eq(chmod(store_path("authority.db"), 0640), 0);
    cr_expect(store_refuses(store_directory_path, ERROR_SYSTEM, "open to other users"));
    cr_assert_eq(chmod(store_path("authority.db"), 0600), 0);
    cr_assert_eq(rename(store_path("authority.db"), store_path("elsewhere.db")), 0);
    cr_assert_eq(symlink("elsewhere.db", store_path("authority.db")), 0);
    cr_expect(store_refuses(store_directory_path, ERROR_SYSTEM, "no regular file"));
    cr_assert_eq(unlink(store_path("authority.db")), 0);
    cr_assert_eq(mkdir(store_path("authority.db"), 0700), 0);
    cr_expect(store_refuses(store_directory_path, ERROR_SYSTEM, "no regular file"));
}

Test(store, refuses_a_file_of_somebody_else)
{
    if (geteuid() != 0)
        cr_skip_test("needs root");
    store_close(store_opened());
    cr_assert_eq(chown(store_path("authority.db"), 65534, (gid_t)-1), 0);
    cr_expect(store_refuses(store_directory_path, ERROR_SYSTEM, "belongs to user 65534"));
}

Test(store, refuses_a_read_only_directory)
{
    store_become_nobody();
    cr_assert_eq(chmod(store_directory_path, 0500), 0);
    cr_expect(store_refuses(store_directory_path, ERROR_SYSTEM, "cannot be written"));
    cr_assert_eq(chmod(store_directory_path, 0700), 0);
    store_close(store_opened());
    cr_assert_eq(chmod(store_directory_path, 0500), 0);
    cr_expect(store_refuses(store_directory_path, ERROR_SYSTEM, "cannot be written"));
    cr_assert_eq(chmod(store_directory_path, 0700), 0);
    store_close(store_opened());
}

Test(store, refuses_a_read_only_file)
{
    store_become_nobody();
    store_close(store_opened());
    cr_assert_eq(chmod(store_path("authority.db"), 0400), 0);
    cr_expect(store_refuses(store_directory_path, ERROR_SYSTEM, "cannot be written"));
}

Test(store, says_what_is_wrong_with_a_path)
{
    char path[600];
    cr_expect(store_refuses(store_path("a/b"), ERROR_SYSTEM, "No such file"));
    store_file_write(store_path("file"), "x", 1);
    cr_expect(store_refuses(store_path("file"), ERROR_SYSTEM, "Not a directory"));
    cr_expect(store_refuses("", ERROR_SYSTEM, "No such file"));
    snprintf(path, sizeof path, "%s/%0240d", store_directory_path, 0);
    cr_assert_eq(mkdir(path, 0700), 0);
    size_t middle = strlen(path);
    snprintf(path + middle, sizeof path - middle, "/%0240d", 0);
    cr_expect(store_refuses(path, ERROR_LIMIT, "longer than"));
    snprintf(path + middle + 241, sizeof path - middle - 241, "/authority.lock");
    cr_assert_eq(unlink(path), 0);
    path[middle + 241] = '\0';
    cr_assert_eq(rmdir(path), 0);
}

/* --- one process --- */

Test(store, is_one_processes_alone)
{
    char holder[64];
    struct store *store = store_opened();
    cr_expect(store_refuses(store_directory_path, ERROR_TIMEOUT, "in use by another authority"));
    snprintf(holder, sizeof holder, "process %ld", (long)getpid());
    pid_t child = fork();
    if (child == 0) { /* Criterion must not be called in it */
        struct store *second;
        struct error err = {0};
        bool refused = !store_open(store_directory_path, &second, &err) &&
                       err.code == ERROR_TIMEOUT && strstr(err.message, holder);
        _exit(refused ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    store_close(store);
    store_close(store_opened());
}

Test(store, is_free_again_when_its_process_was_killed)
{
    int ready[2];
    cr_assert_eq(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct store *store;
        if (!store_open(store_directory_path, &store, NULL) || !store_begin(store, NULL) ||
            write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    char byte;
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_expect(store_refuses(store_directory_path, ERROR_TIMEOUT, "in use"));
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    store_close(store_opened());
}

Test(store, says_who_holds_it_even_when_the_lock_file_says_nothing)
{
    int fd = open(store_path("authority.lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
    cr_expect(store_refuses(store_directory_path, ERROR_TIMEOUT, "process unknown"));
    cr_assert_eq(write(fd, "\033[2J;rm -rf", 11), 11);
    cr_expect(store_refuses(store_directory_path, ERROR_TIMEOUT, "process unknown"));
    close(fd);
}

/* --- groups --- */

Test(store, group_is_all_or_nothing)
{
    struct store *store = store_opened();
    size_t count = 0;
    cr_assert(store_begin(store, NULL));
    store_with_bot(store, "a");
    store_with_bot(store, "b");
    store_rollback(store);
    cr_assert(store_bot_each(store, store_count_bots, &count, NULL));
    cr_expect_eq(count, 0);
    cr_expect_eq(store_state(store), 1);
    cr_assert(store_begin(store, NULL));
    store_with_bot(store, "a");
    store_with_bot(store, "b");
    cr_assert(store_commit(store, NULL));
    cr_assert(store_bot_each(store, store_count_bots, &count, NULL));
    cr_expect_eq(count, 2);
    cr_expect_eq(store_state(store), 3);
    store_close(store);
}

Test(store, group_goes_on_behind_a_change_that_failed)
{
    struct store *store = store_opened();
    struct store_bot bot = store_a_bot("b");
    struct error err = {0};
    cr_assert(store_begin(store, NULL));
    store_with_bot(store, "a");
    /* The bot and its first role are written, and the second one is refused. */
    bot.role_count = 2;
    snprintf(bot.roles[0], sizeof bot.roles[0], "reader");
    cr_expect_not(store_bot_add(store, &bot, &err));
    cr_expect_eq(err.code, ERROR_LIMIT);
    cr_expect_not(store_bot_find(store, "b", &bot, &err));
    cr_expect_eq(err.code, ERROR_NOT_FOUND);
    store_with_bot(store, "c");
    cr_assert(store_commit(store, &err), "%s", err.message);
    cr_expect(store_bot_find(store, "a", &bot, NULL));
    cr_expect(store_bot_find(store, "c", &bot, NULL));
    cr_expect_eq(store_state(store), 3);
    store_close(store);
}

static bool has_bot(struct store *store, const char *name)
{
    struct store_bot bot;
    struct error err = {0};
    bool found = store_bot_find(store, name, &bot, &err);
    cr_expect(found || err.code == ERROR_NOT_FOUND, "%s", err.message);
    return found;
}

Test(store, inner_groups_are_undone_alone)
{
    struct store *store = store_opened();
    cr_assert(store_begin(store, NULL));
    store_with_bot(store, "a");
    cr_assert(store_begin(store, NULL));
    store_with_bot(store, "b");
    cr_assert(store_begin(store, NULL));
    store_with_bot(store, "c");
    cr_assert(store_commit(store, NULL));
    store_rollback(store);
    cr_expect(has_bot(store, "a") && !has_bot(store, "b") && !has_bot(store, "c"),
              "what the innermost committed goes with the one around it");
    cr_assert(store_begin(store, NULL));
    store_with_bot(store, "d");
    cr_assert(store_commit(store, NULL));
    cr_assert(store_commit(store, NULL));
    store_close(store);
    store = store_opened();
    cr_expect(has_bot(store, "a") && has_bot(store, "d") && !has_bot(store, "c"));
    cr_expect_eq(store_state(store), 3);
    store_close(store);
}

Test(store, outer_group_takes_the_inner_ones_along)
{
    struct store *store = store_opened();
    cr_assert(store_begin(store, NULL));
    cr_assert(store_begin(store, NULL));
    store_with_bot(store, "a");
    cr_assert(store_commit(store, NULL));
    store_rollback(store);
    cr_expect_not(has_bot(store, "a"));
    cr_expect_eq(store_state(store), 1);
    store_close(store);
}

Test(store, groups_end_as_often_as_they_began_and_no_more)
{
    struct store *store = store_opened();
    struct error err = {0};
    unsigned depth = 0;
    cr_expect_not(store_commit(store, &err));
    cr_expect_eq(err.code, ERROR_STATE);
    store_rollback(store);
    while (store_begin(store, &err))
        cr_assert_lt(++depth, 100);
    cr_expect_eq(err.code, ERROR_STATE);
    cr_expect_geq(depth, 4, "a batch, a request, a step of it and a change");
    struct store_bot bot = store_a_bot("a");
    cr_expect_not(store_bot_add(store, &bot, &err), "it has no level left");
    cr_expect_eq(err.code, ERROR_STATE);
    while (depth-- > 0) {
        cr_expect_not(has_bot(store, "a"));
        cr_assert(store_commit(store, &err), "%s", err.message);
    }
    cr_expect_not(store_commit(store, &err));
    store_with_bot(store, "a");
    store_close(store);
}

Test(store, closing_rolls_a_group_back)
{
    struct store *store = store_opened();
    cr_assert(store_begin(store, NULL));
    store_with_bot(store, "a");
    store_close(store);
    store = store_opened();
    struct store_bot bot;
    cr_expect_not(store_bot_find(store, "a", &bot, NULL));
    store_close(store);
    store_close(NULL);
}

/* --- visitors --- */

struct meddler {
    struct store *store;
    size_t visits;
};

static bool meddle(const struct store_bot *bot, void *context)
{
    struct meddler *meddler = context;
    struct store_bot other = store_a_bot("other");
    struct error err = {0};
    size_t count = 0;
    int64_t version;
    meddler->visits++;
    cr_expect_not(store_bot_remove(meddler->store, bot->name, &err));
    cr_expect_eq(err.code, ERROR_STATE);
    cr_expect_not(store_bot_add(meddler->store, &other, NULL));
    cr_expect_not(store_bot_each(meddler->store, store_count_bots, &count, NULL));
    cr_expect_not(store_version(meddler->store, &version, NULL));
    cr_expect_not(store_begin(meddler->store, NULL));
    cr_expect_not(store_commit(meddler->store, NULL));
    return true;
}

Test(store, visitor_cannot_call_it)
{
    struct meddler meddler = {.store = store_opened()};
    store_with_bot(meddler.store, "a");
    store_with_bot(meddler.store, "b");
    cr_assert(store_bot_each(meddler.store, meddle, &meddler, NULL));
    cr_expect_eq(meddler.visits, 2);
    cr_assert(store_bot_remove(meddler.store, "a", NULL), "afterwards it can be called");
    store_close(meddler.store);
}

static bool stop_at_second(const struct store_bot *bot, void *context)
{
    cr_assert_not_null(bot);
    return ++*(size_t *)context < 2;
}

Test(store, visitor_that_has_enough_ends_the_walk)
{
    struct store *store = store_opened();
    size_t visits = 0;
    store_with_bot(store, "a");
    store_with_bot(store, "b");
    store_with_bot(store, "c");
    cr_assert(store_bot_each(store, stop_at_second, &visits, NULL));
    cr_expect_eq(visits, 2);
    cr_assert(store_bot_remove(store, "c", NULL), "nothing is left open");
    store_close(store);
}

/* --- the version of the state --- */

static int64_t state;

/* Whether the version has gone up by that much since the last call. */
static bool moved(struct store *store, int64_t by)
{
    int64_t before = state;
    state = store_state(store);
    return state - before == by;
}

Test(store, version_counts_what_proxies_must_know)
{
    struct store *store = store_opened();
    struct store_lock lock = store_a_lock("0123456789abcdef");
    struct store_authority authority = store_an_authority(1);
    const char *roles[] = {"reader"};
    enum store_change change;
    state = store_state(store);
    cr_assert_eq(state, 1, "0 is for those who know nothing");
    store_with_bot(store, "ci-1");
    cr_expect(moved(store, 1));
    cr_assert(store_bot_set_roles(store, "ci-1", roles, 1, NULL, NULL));
    cr_expect(moved(store, 1));
    cr_assert(store_document_put(store, STORE_DOCUMENT_ROLE, "reader", "{}", NOW, &change, NULL));
    cr_expect(moved(store, 1));
    cr_assert(store_document_put(store, STORE_DOCUMENT_ROLE, "reader", "{ }", NOW, &change, NULL));
    cr_expect(moved(store, 1));
    cr_assert(store_document_remove(store, STORE_DOCUMENT_ROLE, "reader", NULL));
    cr_expect(moved(store, 1));
    cr_assert(store_lock_add(store, &lock, NULL));
    cr_expect(moved(store, 1));
    cr_assert(store_lock_remove(store, lock.id, NULL));
    cr_expect(moved(store, 1));
    cr_assert(store_authority_add(store, &authority, NULL));
    cr_expect(moved(store, 1));
    cr_assert(store_authority_set_phase(store, STORE_AUTHORITY_BOT, 1, "old", NOW, NULL));
    cr_expect(moved(store, 1));
    cr_assert(store_authority_remove(store, STORE_AUTHORITY_BOT, 1, NULL));
    cr_expect(moved(store, 1));
    cr_assert(store_bot_remove(store, "ci-1", NULL));
    cr_expect(moved(store, 1));
    store_close(store);
}

/* What fails, what changes nothing, and what is none of the proxies' business. */
Test(store, version_stays_where_nothing_changes)
{
    struct store *store = store_opened();
    struct store_bot bot = store_a_bot("ci-1");
    struct store_token token = store_a_token("0123456789abcdef", "ci-1");
    struct store_proxy proxy = store_a_proxy("p");
    struct store_lock lock = store_a_lock("0123456789abcdef");
    struct store_authority authority = store_an_authority(1);
    enum store_change change;
    int64_t removed;
    bool changed = true;
    store_with_bot(store, "ci-1");
    cr_assert(store_lock_add(store, &lock, NULL));
    cr_assert(store_authority_add(store, &authority, NULL));
    cr_assert(store_document_put(store, STORE_DOCUMENT_ROLE, "r", "{}", NOW, &change, NULL));
    state = store_state(store);
    cr_expect_not(store_bot_add(store, &bot, NULL));
    cr_expect_not(store_lock_add(store, &lock, NULL));
    cr_expect_not(store_authority_add(store, &authority, NULL));
    cr_expect_not(store_bot_remove(store, "nobody", NULL));
    cr_expect_not(store_lock_remove(store, "fedcba9876543210", NULL));
    cr_expect_not(store_document_remove(store, STORE_DOCUMENT_ROLE, "none", NULL));
    cr_expect_not(store_authority_remove(store, STORE_AUTHORITY_BOT, 2, NULL));
    cr_expect_not(store_authority_set_phase(store, STORE_AUTHORITY_BOT, 2, "old", NOW, NULL));
    cr_assert(store_bot_set_roles(store, "ci-1", NULL, 0, &changed, NULL));
    cr_expect_not(changed);
    cr_assert(store_document_put(store, STORE_DOCUMENT_ROLE, "r", "{}", NOW + 1, &change, NULL));
    cr_expect_eq(change, STORE_UNCHANGED);
    cr_assert(store_token_add(store, &token, NULL));
    cr_assert(store_proxy_put(store, &proxy, NULL));
    cr_assert(store_lock_prune(store, NOW + 1000, &removed, NULL));
    cr_expect_eq(removed, 1);
    cr_expect(moved(store, 0));
    store_close(store);
}

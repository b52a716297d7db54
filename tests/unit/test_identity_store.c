/* SPDX-License-Identifier: Apache-2.0 */
/* At every moment, whatever happens, the three names hold one whole set. */
#include "identity/identity_store.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS_MAX 64

static const char *const names[] = {"cert.pem", "key.pem", "ca.pem"};

static const char *make_directory(char path[64])
{
    strcpy(path, "/tmp/sallyport-store-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
    return path;
}

static void remove_directory(const char *path)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf -- '%s'", path);
    cr_assert_eq(system(command), 0);
}

static void put_plain(const char *directory, const char *name, const char *text, mode_t mode)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_eq(fchmod(fileno(file), mode), 0);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

/* "" when the name leads nowhere. */
static const char *get(const char *directory, const char *name, char out[256])
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(out, 1, 255, file) : 0;
    out[length] = '\0';
    if (file)
        cr_assert_eq(fclose(file), 0);
    return out;
}

static struct identity_store *open_store(const char *directory)
{
    struct identity_store *store;
    struct error err = {0};
    cr_assert(identity_store_open(directory, &store, &err), "%s", err.message);
    return store;
}

static const struct identity_set *set_of(const char *mark)
{
    static char texts[3][128];
    static struct identity_set set;
    for (size_t i = 0; i < 3; i++)
        (void)snprintf(texts[i], sizeof texts[i], "%s of the set %s", names[i], mark);
    set =
        (struct identity_set){texts[0], texts[1], texts[2], {"ci-1", "00ff", 7, 1900000000000000}};
    return &set;
}

static void save(struct identity_store *store, const char *mark)
{
    struct error err = {0};
    cr_assert(identity_store_save(store, set_of(mark), &err), "%s", err.message);
}

/* Which set the names hold: its mark, "" for none; fails when they hold parts of several. */
static const char *mark_of(const char *directory)
{
    static char mark[256];
    char text[256], wanted[300];
    const char *found = strstr(get(directory, names[0], text), " of the set ");
    (void)snprintf(mark, sizeof mark, "%s", found ? found + 12 : "");
    for (size_t i = 0; i < 3; i++) {
        if (mark[0])
            (void)snprintf(wanted, sizeof wanted, "%s of the set %s", names[i], mark);
        else
            wanted[0] = '\0';
        cr_assert_str_eq(get(directory, names[i], text), wanted);
    }
    return mark;
}

static int count_sets(const char *directory)
{
    char path[256];
    int count = 0;
    (void)snprintf(path, sizeof path, "%s/sets", directory);
    DIR *stream = opendir(path);
    cr_assert_not_null(stream);
    const struct dirent *entry;
    while ((entry = readdir(stream)))
        count += entry->d_name[0] != '.';
    (void)closedir(stream);
    return count;
}

Test(identity_store, saves_a_first_set)
{
    char directory[64], path[128];
    struct stat info;
    struct identity_note note;
    make_directory(directory);
    (void)snprintf(path, sizeof path, "%s/ci-1", directory);
    struct identity_store *store = open_store(path);
    cr_assert_eq(stat(path, &info), 0);
    cr_assert_eq(info.st_mode & 07777, 0700, "made for nobody else");
    cr_assert_not(identity_store_note(store, &note));
    save(store, "one");
    cr_assert_str_eq(mark_of(path), "one");
    cr_assert(identity_store_note(store, &note));
    cr_assert_str_eq(note.name, "ci-1");
    cr_assert_str_eq(note.instance, "00ff");
    cr_assert_eq(note.generation, 7);
    cr_assert_eq(note.renew_at_us, 1900000000000000);
    identity_store_close(store);
    remove_directory(directory);
}

Test(identity_store, key_is_its_owners_alone)
{
    char directory[64], path[128];
    struct stat info;
    mode_t before = umask(0);
    struct identity_store *store = open_store(make_directory(directory));
    save(store, "one");
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        cr_assert_eq(stat(path, &info), 0);
        cr_assert_eq(info.st_mode & 07777, 0600, "%s", names[i]);
    }
    (void)umask(before);
    identity_store_close(store);
    remove_directory(directory);
}

Test(identity_store, leaves_one_set_on_the_disk)
{
    char directory[64];
    struct identity_store *store = open_store(make_directory(directory));
    for (int i = 0; i < 20; i++)
        save(store, i % 2 ? "odd" : "even");
    cr_assert_str_eq(mark_of(directory), "odd");
    cr_assert_eq(count_sets(directory), 1, "old keys are removed");
    identity_store_close(store);
    store = open_store(directory);
    cr_assert_str_eq(mark_of(directory), "odd");
    identity_store_close(store);
    remove_directory(directory);
}

/* As `cp -rL` leaves it: the link has become a directory. */
Test(identity_store, removes_nothing_where_it_cannot_tell_what_is_in_use)
{
    char directory[64], path[128];
    struct identity_store *store = open_store(make_directory(directory));
    save(store, "one");
    identity_store_close(store);
    (void)snprintf(path, sizeof path, "%s/current", directory);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(mkdir(path, 0700), 0);
    identity_store_close(open_store(directory));
    cr_assert_eq(count_sets(directory), 1);
    remove_directory(directory);
}

static void put_plain_set(const char *directory, const char *mark)
{
    const struct identity_set *set = set_of(mark);
    put_plain(directory, "cert.pem", set->certificate, 0644);
    put_plain(directory, "key.pem", set->key, 0600);
    put_plain(directory, "ca.pem", set->ca, 0644);
}

Test(identity_store, takes_over_files_that_were_made_by_hand)
{
    char directory[64];
    struct identity_note note;
    put_plain_set(make_directory(directory), "hand");
    struct identity_store *store = open_store(directory);
    cr_assert_not(identity_store_note(store, &note), "they are not ours yet");
    cr_assert_str_eq(mark_of(directory), "hand");
    save(store, "one");
    cr_assert_str_eq(mark_of(directory), "one");
    cr_assert_eq(count_sets(directory), 1);
    put_plain_set(directory, "hand again"); /* written through the links: into the set */
    cr_assert_str_eq(mark_of(directory), "hand again");
    save(store, "two");
    cr_assert_str_eq(mark_of(directory), "two");
    identity_store_close(store);
    remove_directory(directory);
}

/* A renamed file takes the place of the link. */
Test(identity_store, takes_over_a_mixture)
{
    char directory[64], from[128], to[128], text[256];
    struct identity_store *store = open_store(make_directory(directory));
    save(store, "one");
    put_plain(directory, "cert.new", "somebody's", 0644);
    (void)snprintf(from, sizeof from, "%s/cert.new", directory);
    (void)snprintf(to, sizeof to, "%s/cert.pem", directory);
    cr_assert_eq(rename(from, to), 0);
    struct identity_note note;
    cr_assert_not(identity_store_note(store, &note), "the note is not of this certificate");
    save(store, "two");
    cr_assert_str_eq(mark_of(directory), "two");
    cr_assert_str_eq(get(directory, "cert.pem", text), "cert.pem of the set two");
    identity_store_close(store);
    remove_directory(directory);
}

Test(identity_store, keeps_a_ca_that_was_put_there_for_joining_until_there_is_a_set)
{
    char directory[64], text[256];
    put_plain(make_directory(directory), "ca.pem", "the CA", 0644);
    struct identity_store *store = open_store(directory);
    cr_assert_str_eq(get(directory, "ca.pem", text), "the CA");
    save(store, "one");
    cr_assert_str_eq(mark_of(directory), "one");
    identity_store_close(store);
    remove_directory(directory);
}

/* Dying. */

static int step_to_die_at, steps_so_far;

static void die_at_step(const char *step)
{
    (void)step;
    if (++steps_so_far == step_to_die_at)
        _exit(42);
}

/* A child that saves and dies at the step. Returns whether it died (so: whether there is such a
 * step). */
static bool save_and_die(const char *directory, const char *mark, int step)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        struct identity_store *store;
        step_to_die_at = step;
        identity_store_observe(die_at_step);
        if (!identity_store_open(directory, &store, NULL) ||
            !identity_store_save(store, set_of(mark), NULL))
            _exit(1);
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 42, "%d", WEXITSTATUS(status));
    return WEXITSTATUS(status) == 42;
}

/* After each death the names hold the old set or the new one, and the next save works. */
static void die_everywhere(void (*prepare)(const char *directory), const char *old)
{
    bool saw_old = false, saw_new = false;
    int step = 1;
    for (bool died = true; died; step++) {
        char directory[64];
        cr_assert_lt(step, STEPS_MAX);
        prepare(make_directory(directory));
        died = save_and_die(directory, "new", step);
        const char *mark = mark_of(directory);
        cr_assert(strcmp(mark, old) == 0 || strcmp(mark, "new") == 0, "step %d: '%s'", step, mark);
        saw_old = saw_old || strcmp(mark, old) == 0;
        saw_new = saw_new || strcmp(mark, "new") == 0;
        struct identity_store *store = open_store(directory);
        cr_assert(strcmp(mark_of(directory), old) == 0 || strcmp(mark_of(directory), "new") == 0);
        save(store, "next");
        cr_assert_str_eq(mark_of(directory), "next", "step %d", step);
        cr_assert_eq(count_sets(directory), 1, "step %d", step);
        identity_store_close(store);
        remove_directory(directory);
    }
    cr_assert(saw_old && saw_new);
    cr_assert_gt(step, 12, "%d steps", step);
}

static void prepare_nothing(const char *directory)
{
    (void)directory;
}

static void prepare_a_set(const char *directory)
{
    struct identity_store *store = open_store(directory);
    save(store, "old");
    identity_store_close(store);
}

static void prepare_plain_files(const char *directory)
{
    put_plain_set(directory, "old");
}

Test(identity_store, death_at_any_step_of_the_first_save)
{
    die_everywhere(prepare_nothing, "");
}

Test(identity_store, death_at_any_step_of_a_save)
{
    die_everywhere(prepare_a_set, "old");
}

Test(identity_store, death_at_any_step_of_taking_over)
{
    die_everywhere(prepare_plain_files, "old");
}

/* Two deaths in a row: the second while what the first left is tidied up and taken over. */
Test(identity_store, death_after_death)
{
    for (int first = 1; first < 40; first += 3)
        for (int second = 1; second < 40; second += 5) {
            char directory[64];
            prepare_plain_files(make_directory(directory));
            (void)save_and_die(directory, "new", first);
            (void)save_and_die(directory, "newer", second);
            const char *mark = mark_of(directory);
            cr_assert(strcmp(mark, "old") == 0 || strcmp(mark, "new") == 0 ||
                          strcmp(mark, "newer") == 0,
                      "'%s'", mark);
            remove_directory(directory);
        }
}

Test(identity_store, kill_at_random_moments)
{
    char directory[64];
    prepare_a_set(make_directory(directory));
    for (int i = 0; i < 60; i++) {
        pid_t child = fork();
        cr_assert_geq(child, 0);
        if (child == 0) {
            struct identity_store *store;
            if (!identity_store_open(directory, &store, NULL))
                _exit(1);
            for (int n = 0;; n++)
                if (!identity_store_save(store, set_of(n % 2 ? "odd" : "even"), NULL))
                    _exit(1);
        }
        cr_assert_eq(usleep((unsigned)(500 + i * 331 % 7000)), 0);
        cr_assert_eq(kill(child, SIGKILL), 0);
        int status;
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFSIGNALED(status), "a save failed");
        cr_assert_neq(mark_of(directory)[0], '\0');
    }
    remove_directory(directory);
}

/* What is refused. */

static void expect_refused(const char *directory, enum error_code code, const char *words)
{
    struct identity_store *store;
    struct error err = {0};
    cr_assert_not(identity_store_open(directory, &store, &err));
    cr_assert_eq(err.code, code, "%s", err.message);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
}

Test(identity_store, one_process_at_a_time)
{
    char directory[64], words[64];
    struct identity_store *store = open_store(make_directory(directory));
    (void)snprintf(words, sizeof words, "pid %ld", (long)getpid());
    expect_refused(directory, ERROR_EXISTS, words);
    identity_store_close(store);
    store = open_store(directory);
    identity_store_close(store);
    remove_directory(directory);
}

Test(identity_store, others_may_not_write_into_the_directory)
{
    char directory[64];
    make_directory(directory);
    cr_assert_eq(chmod(directory, 0770), 0);
    expect_refused(directory, ERROR_DENIED, "chmod 700");
    cr_assert_eq(chmod(directory, 0702), 0);
    expect_refused(directory, ERROR_DENIED, "chmod 700");
    cr_assert_eq(chmod(directory, 01777), 0);
    expect_refused(directory, ERROR_DENIED, "chmod 700");
    cr_assert_eq(chmod(directory, 0750), 0);
    identity_store_close(open_store(directory));
    remove_directory(directory);
}

Test(identity_store, another_users_directory)
{
    char directory[64];
    if (geteuid() != 0)
        return; /* only root can give a directory away */
    make_directory(directory);
    cr_assert_eq(chown(directory, 65534, 65534), 0);
    expect_refused(directory, ERROR_DENIED, "belongs to another user");
    remove_directory(directory);
}

Test(identity_store, a_directory_that_cannot_be_made)
{
    expect_refused("/nonexistent/deeper/ci-1", ERROR_SYSTEM, "cannot make the directory");
    expect_refused("/dev/null", ERROR_SYSTEM, "/dev/null");
}

static void expect_save_fails(struct identity_store *store, const char *words)
{
    struct error err = {0};
    cr_assert_not(identity_store_save(store, set_of("new"), &err));
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
}

Test(identity_store, a_full_disk_leaves_the_old_set)
{
    char directory[64];
    struct rlimit limit;
    prepare_a_set(make_directory(directory));
    struct identity_store *store = open_store(directory);
    cr_assert_neq(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    for (rlim_t room = 0; room < 80; room += 7) {
        limit.rlim_cur = room;
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        struct error err = {0};
        bool saved = identity_store_save(store, set_of("new"), &err);
        limit.rlim_cur = limit.rlim_max;
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        cr_assert_not(saved);
        cr_assert_not_null(strstr(err.message, "cannot save the identity"), "%s", err.message);
        cr_assert_str_eq(mark_of(directory), "old");
        cr_assert_eq(count_sets(directory), 1, "what was begun is removed");
    }
    save(store, "new");
    cr_assert_str_eq(mark_of(directory), "new");
    identity_store_close(store);
    remove_directory(directory);
}

/* As another user, because root writes everywhere. */
static int open_as_nobody(const char *directory, char words[256])
{
    int ends[2], status;
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        struct identity_store *store;
        struct error err = {0};
        if (setgid(65534) != 0 || setuid(65534) != 0)
            _exit(2);
        bool opened = identity_store_open(directory, &store, &err) &&
                      identity_store_save(store, set_of("new"), &err);
        _exit(write(ends[1], err.message, 255) == 255 ? opened : 3);
    }
    cr_assert_eq(read(ends[0], words, 255), 255);
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
}

Test(identity_store, a_directory_that_is_read_only_says_so)
{
    char directory[64], words[256] = "";
    if (geteuid() != 0)
        return;
    prepare_a_set(make_directory(directory));
    char command[256];
    (void)snprintf(command, sizeof command, "chown -Rh 65534:65534 %s && chmod 500 %s", directory,
                   directory);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(open_as_nobody(directory, words), 0);
    cr_assert_not_null(strstr(words, "Permission denied"), "%s", words);
    cr_assert_str_eq(mark_of(directory), "old");
    cr_assert_eq(chmod(directory, 0700), 0);
    cr_assert_eq(open_as_nobody(directory, words), 1, "%s", words);
    cr_assert_str_eq(mark_of(directory), "new");
    remove_directory(directory);
}

Test(identity_store, something_in_the_way_of_the_link)
{
    char directory[64], path[128];
    struct identity_store *store = open_store(make_directory(directory));
    (void)snprintf(path, sizeof path, "%s/current", directory);
    cr_assert_eq(mkdir(path, 0700), 0);
    expect_save_fails(store, "current");
    cr_assert_eq(rmdir(path), 0);
    save(store, "one");
    cr_assert_str_eq(mark_of(directory), "one");
    identity_store_close(store);
    remove_directory(directory);
}

Test(identity_store, a_note_that_is_damaged_is_none)
{
    static const char *const notes[] = {"",
                                        "{",
                                        "[]",
                                        "{\"name\":1}",
                                        "{\"name\":\"a\",\"instance\":\"b\",\"generation\":-1,"
                                        "\"renew_at\":\"2026-01-01T00:00:00Z\"}",
                                        "{\"name\":\"a\",\"instance\":\"b\",\"generation\":1,"
                                        "\"renew_at\":\"soon\"}"};
    char directory[64];
    struct identity_note note;
    struct identity_store *store = open_store(make_directory(directory));
    save(store, "one");
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        put_plain(directory, "current/identity.json", notes[i], 0600);
        cr_assert_not(identity_store_note(store, &note), "%s", notes[i]);
    }
    identity_store_close(store);
    remove_directory(directory);
}

/* The key of a join that is under way. */

static bool joining(const struct identity_store *store, char text[256])
{
    struct buffer pem;
    struct error err = {0};
    bool found;
    buffer_init(&pem, 4096);
    cr_assert(identity_store_read_joining(store, &pem, &found, &err), "%s", err.message);
    (void)snprintf(text, 256, "%s", found ? (const char *)buffer_bytes(&pem) : "");
    buffer_release(&pem);
    return found;
}

Test(identity_store, keeps_the_key_of_a_join_until_a_set_is_saved)
{
    char path[64], text[256], file[128];
    struct stat info;
    struct error err = {0};
    struct identity_store *store = open_store(make_directory(path));
    cr_assert_not(joining(store, text));
    cr_assert(identity_store_write_joining(store, "first", &err), "%s", err.message);
    cr_assert(identity_store_write_joining(store, "second", &err), "%s", err.message);
    identity_store_close(store);
    (void)snprintf(file, sizeof file, "%s/joining.pem", path);
    cr_assert_eq(stat(file, &info), 0);
    cr_assert_eq(info.st_mode & 07777, 0600);
    store = open_store(path);
    cr_assert(joining(store, text));
    cr_assert_str_eq(text, "second");
    const struct identity_set set = {"certificate", "second", "ca", {.generation = 1}};
    cr_assert(identity_store_save(store, &set, &err), "%s", err.message);
    cr_assert_not(joining(store, text));
    identity_store_close(store);
    remove_directory(path);
}

/* A crash between the switch of the sets and the end of the join. */
Test(identity_store, forgets_the_key_of_a_join_that_has_come_to_its_end)
{
    char path[64], text[256];
    struct error err = {0};
    struct identity_store *store = open_store(make_directory(path));
    const struct identity_set set = {"certificate", "key", "ca", {.generation = 1}};
    cr_assert(identity_store_save(store, &set, &err), "%s", err.message);
    cr_assert(identity_store_write_joining(store, "key", &err), "%s", err.message);
    identity_store_close(store);
    store = open_store(path);
    cr_assert_not(joining(store, text));
    cr_assert(identity_store_write_joining(store, "another", &err), "%s", err.message);
    identity_store_close(store);
    put_plain(path, "joining.pem.new", "half a k", 0600);
    store = open_store(path);
    cr_assert(joining(store, text), "one that is still needed stays");
    cr_assert_str_eq(text, "another");
    identity_store_close(store);
    remove_directory(path);
}

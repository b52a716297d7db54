/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/identity_store.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define SET_PATH_SIZE 64
#define NOTE_MAX      4096
#define JOINING       "joining.pem"

enum { FILE_CERT, FILE_KEY, FILE_CA, FILE_COUNT };

static const char *const names[FILE_COUNT] = {"cert.pem", "key.pem", "ca.pem"};
static const char *const links[FILE_COUNT] = {"current/cert.pem", "current/key.pem",
                                              "current/ca.pem"};

struct identity_store {
    char *directory;
    int fd;
    int lock;
};

/* Bytes of a file; length 0 and NULL: there is none. */
struct content {
    char *bytes;
    size_t length;
};

static void (*observer_now)(const char *step);

void identity_store_observe(void (*observer)(const char *step))
{
    observer_now = observer;
}

static void reached(const char *step)
{
    if (observer_now)
        observer_now(step);
}

static void content_release(struct content *content)
{
    if (content->bytes)
        explicit_bzero(content->bytes, content->length);
    free(content->bytes);
    *content = (struct content){0};
}

/* Files. */

static bool failed(const struct identity_store *store, const char *what, struct error *err)
{
    return error_system(err, errno, "%s/%s", store->directory, what);
}

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

static bool write_file(const struct identity_store *store, const char *path, const char *bytes,
                       size_t length, struct error *err)
{
    int fd = openat(store->fd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(store, path, err);
    bool written = fchmod(fd, 0600) == 0 && write_all(fd, bytes, length / 2);
    reached("half a file");
    written = written && write_all(fd, bytes + length / 2, length - length / 2) && fsync(fd) == 0;
    if (!written)
        (void)failed(store, path, err);
    if (close(fd) != 0 && written)
        return failed(store, path, err);
    return written;
}

static bool read_whole(int fd, struct content *out)
{
    size_t at = 0;
    while (at < out->length) {
        ssize_t got = read(fd, out->bytes + at, out->length - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got == 0 ? EIO : errno; /* it was cut while it was read */
            return false;
        }
        at += (size_t)got;
    }
    return true;
}

/* A missing file is no error. Links are followed: mounted secrets are made of them. */
static bool read_file(const struct identity_store *store, const char *path, struct content *out,
                      struct error *err)
{
    struct stat info;
    *out = (struct content){0};
    int fd = openat(store->fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT || failed(store, path, err);
    bool fine = fstat(fd, &info) == 0 || failed(store, path, err);
    if (fine && (!S_ISREG(info.st_mode) || info.st_size > IDENTITY_FILE_MAX))
        fine = error_set(err, ERROR_CONFIG, "%s/%s: is no file of at most %d bytes",
                         store->directory, path, IDENTITY_FILE_MAX);
    if (fine) {
        out->length = (size_t)info.st_size;
        out->bytes = calloc(1, out->length + 1);
        fine = out->bytes ? read_whole(fd, out) || failed(store, path, err)
                          : error_set(err, ERROR_MEMORY, "out of memory");
    }
    (void)close(fd);
    if (!fine)
        content_release(out);
    return fine;
}

static bool sync_directory(const struct identity_store *store, const char *path, struct error *err)
{
    int fd = openat(store->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    if (!synced)
        (void)failed(store, path, err);
    if (fd >= 0)
        (void)close(fd);
    return synced;
}

/* Points a symbolic link somewhere else, in one step. */
static bool point(const struct identity_store *store, const char *link, const char *target,
                  struct error *err)
{
    char fresh[SET_PATH_SIZE];
    (void)snprintf(fresh, sizeof fresh, "%s.new", link);
    if (unlinkat(store->fd, fresh, 0) != 0 && errno != ENOENT)
        return failed(store, fresh, err);
    if (symlinkat(target, store->fd, fresh) != 0)
        return failed(store, fresh, err);
    reached("link made");
    return renameat(store->fd, fresh, store->fd, link) == 0 || failed(store, link, err);
}

static bool leads_to(const struct identity_store *store, const char *link, const char *target)
{
    char found[SET_PATH_SIZE];
    ssize_t length = readlinkat(store->fd, link, found, sizeof found);
    return length == (ssize_t)strlen(target) && memcmp(found, target, (size_t)length) == 0;
}

/* Sets. */

static bool parse_number(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    *number = value;
    return text[0] >= '1' && text[0] <= '9' && *end == '\0' && errno == 0;
}

static void remove_set(const struct identity_store *store, uint64_t number)
{
    static const char *const files[] = {"key.pem", "cert.pem", "ca.pem", "identity.json"};
    char path[SET_PATH_SIZE];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        (void)snprintf(path, sizeof path, "sets/%" PRIu64 "/%s", number, files[i]);
        (void)unlinkat(store->fd, path, 0);
    }
    (void)snprintf(path, sizeof path, "sets/%" PRIu64, number);
    (void)unlinkat(store->fd, path, AT_REMOVEDIR);
}

/* Calls `visit` for each set that there is. */
static void each_set(const struct identity_store *store,
                     void (*visit)(const struct identity_store *store, uint64_t number, void *arg),
                     void *arg)
{
    int fd = openat(store->fd, "sets", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    const struct dirent *entry;
    uint64_t number;
    for (unsigned i = 0; i < IDENTITY_SETS_MAX && (entry = readdir(directory)); i++)
        if (parse_number(entry->d_name, &number))
            visit(store, number, arg);
    (void)closedir(directory);
}

/* The number of the set in use; 0: none. */
static uint64_t current_set(const struct identity_store *store)
{
    char target[SET_PATH_SIZE];
    uint64_t number = 0;
    ssize_t length = readlinkat(store->fd, "current", target, sizeof target - 1);
    if (length <= 5 || memcmp(target, "sets/", 5) != 0)
        return 0;
    target[length] = '\0';
    return parse_number(target + 5, &number) ? number : 0;
}

static void take_greater(const struct identity_store *store, uint64_t number, void *arg)
{
    (void)store;
    uint64_t *greatest = arg;
    *greatest = number > *greatest ? number : *greatest;
}

static void remove_other(const struct identity_store *store, uint64_t number, void *arg)
{
    if (number != *(const uint64_t *)arg)
        remove_set(store, number);
}

/* A crash between the saving of a set and the end of its join leaves the key behind. */
static void tidy_joining(const struct identity_store *store)
{
    struct content joining = {0}, current = {0};
    bool same = read_file(store, JOINING, &joining, NULL) &&
                read_file(store, links[FILE_KEY], &current, NULL) && joining.bytes &&
                current.bytes && strcmp(joining.bytes, current.bytes) == 0;
    content_release(&joining);
    content_release(&current);
    if (same)
        (void)unlinkat(store->fd, JOINING, 0);
    (void)unlinkat(store->fd, JOINING ".new", 0);
}

/* Whether `current` is there and no link to a set: a copy of the directory that followed links,
 * say. Nobody can tell then which set is in use. */
static bool is_unreadable(const struct identity_store *store)
{
    struct stat status;
    return current_set(store) == 0 &&
           (fstatat(store->fd, "current", &status, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT);
}

/* Old keys are not left lying about. */
static void tidy(const struct identity_store *store)
{
    uint64_t current = current_set(store);
    if (is_unreadable(store))
        return;
    each_set(store, remove_other, &current);
    tidy_joining(store);
}

static bool compare_file(const struct identity_store *store, const char *path,
                         const struct content *wanted, struct error *err)
{
    struct content found;
    if (!read_file(store, path, &found, err))
        return false;
    bool same =
        found.length == wanted->length && memcmp(found.bytes, wanted->bytes, found.length) == 0;
    content_release(&found);
    return same || error_set(err, ERROR_SYSTEM, "%s/%s: does not hold what was written into it",
                             store->directory, path);
}

/* Writes one file of a set and reads it back; absent content writes none. */
static bool put_file(const struct identity_store *store, uint64_t number, const char *name,
                     const struct content *content, struct error *err)
{
    char path[SET_PATH_SIZE];
    (void)snprintf(path, sizeof path, "sets/%" PRIu64 "/%s", number, name);
    if (!content->bytes)
        return true;
    bool put = write_file(store, path, content->bytes, content->length, err) &&
               compare_file(store, path, content, err);
    reached(name);
    return put;
}

struct contents {
    struct content of[FILE_COUNT];
    struct content note;
};

static bool fill_set(const struct identity_store *store, uint64_t number,
                     const struct contents *contents, struct error *err)
{
    char path[SET_PATH_SIZE];
    (void)snprintf(path, sizeof path, "sets/%" PRIu64, number);
    if (mkdirat(store->fd, path, 0700) != 0)
        return failed(store, path, err);
    for (size_t i = 0; i < FILE_COUNT; i++)
        if (!put_file(store, number, names[i], &contents->of[i], err))
            return false;
    return put_file(store, number, "identity.json", &contents->note, err) &&
           sync_directory(store, path, err) && sync_directory(store, "sets", err);
}

/* A whole set on the disk that nothing leads to yet. */
static bool make_set(const struct identity_store *store, const struct contents *contents,
                     uint64_t *number, struct error *err)
{
    if (mkdirat(store->fd, "sets", 0700) != 0 && errno != EEXIST)
        return failed(store, "sets", err);
    *number = 0;
    each_set(store, take_greater, number);
    *number += 1;
    if (fill_set(store, *number, contents, err))
        return true;
    remove_set(store, *number);
    return false;
}

/* The moment from which on another set is in use. */
static bool use_set(const struct identity_store *store, uint64_t number, struct error *err)
{
    char target[SET_PATH_SIZE];
    (void)snprintf(target, sizeof target, "sets/%" PRIu64, number);
    reached("set written");
    if (!point(store, "current", target, err))
        return false;
    reached("set in use");
    return sync_directory(store, ".", err);
}

/* Taking over what is there. */

static bool is_adopted(const struct identity_store *store)
{
    for (size_t i = 0; i < FILE_COUNT; i++)
        if (!leads_to(store, names[i], links[i]))
            return false;
    return true;
}

static void contents_release(struct contents *contents)
{
    for (size_t i = 0; i < FILE_COUNT; i++)
        content_release(&contents->of[i]);
    content_release(&contents->note);
}

/* What the three names hold now, as a set in use: the names lead to the same bytes through it. */
static bool copy_names(const struct identity_store *store, struct error *err)
{
    struct contents contents = {0};
    bool any = false, copied = true;
    uint64_t number;
    for (size_t i = 0; copied && i < FILE_COUNT; i++) {
        copied = read_file(store, names[i], &contents.of[i], err);
        any = any || contents.of[i].bytes;
    }
    if (copied && any)
        copied = make_set(store, &contents, &number, err) && use_set(store, number, err);
    contents_release(&contents);
    return copied;
}

static bool adopt(const struct identity_store *store, struct error *err)
{
    if (is_adopted(store))
        return true;
    if (!copy_names(store, err))
        return false;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        if (!leads_to(store, names[i], links[i]) && !point(store, names[i], links[i], err))
            return false;
        reached("name adopted");
    }
    return sync_directory(store, ".", err);
}

/* The note. */

static bool print_note(const struct identity_note *note, struct content *out, struct error *err)
{
    char when[CLOCK_TIME_SIZE];
    clock_format(note->renew_at_us, when);
    cJSON *root = cJSON_CreateObject();
    bool built = root && cJSON_AddStringToObject(root, "name", note->name) &&
                 cJSON_AddStringToObject(root, "instance", note->instance) &&
                 cJSON_AddNumberToObject(root, "generation", (double)note->generation) &&
                 cJSON_AddStringToObject(root, "renew_at", when);
    char *text = built ? cJSON_Print(root) : NULL;
    cJSON_Delete(root);
    if (!text)
        return error_set(err, ERROR_MEMORY, "out of memory");
    *out = (struct content){text, strlen(text)};
    return true;
}

static bool take_note(const cJSON *root, struct identity_note *out)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(root, "name");
    const cJSON *instance = cJSON_GetObjectItemCaseSensitive(root, "instance");
    const cJSON *generation = cJSON_GetObjectItemCaseSensitive(root, "generation");
    const cJSON *renew_at = cJSON_GetObjectItemCaseSensitive(root, "renew_at");
    *out = (struct identity_note){0};
    if (!cJSON_IsString(name) || !cJSON_IsString(instance) || !cJSON_IsNumber(generation) ||
        !cJSON_IsString(renew_at) || generation->valuedouble < 0 ||
        generation->valuedouble > 9007199254740991.0)
        return false;
    (void)snprintf(out->name, sizeof out->name, "%s", name->valuestring);
    (void)snprintf(out->instance, sizeof out->instance, "%s", instance->valuestring);
    out->generation = (uint64_t)generation->valuedouble;
    return clock_parse(renew_at->valuestring, &out->renew_at_us, NULL);
}

bool identity_store_note(const struct identity_store *store, struct identity_note *out)
{
    struct content content;
    *out = (struct identity_note){0};
    if (!is_adopted(store) || !read_file(store, "current/identity.json", &content, NULL) ||
        !content.bytes)
        return false;
    cJSON *root =
        content.length <= NOTE_MAX ? cJSON_ParseWithLength(content.bytes, content.length) : NULL;
    bool taken = cJSON_IsObject(root) && take_note(root, out);
    cJSON_Delete(root);
    content_release(&content);
    return taken;
}

/* Joining. */

bool identity_store_read_joining(const struct identity_store *store, struct buffer *pem,
                                 bool *found, struct error *err)
{
    struct content content;
    if (!read_file(store, JOINING, &content, err))
        return false;
    *found = content.bytes != NULL;
    bool taken = !*found || buffer_append(pem, content.bytes, content.length + 1, err);
    content_release(&content);
    return taken;
}

bool identity_store_write_joining(const struct identity_store *store, const char *pem,
                                  struct error *err)
{
    static const char fresh[] = JOINING ".new";
    if (unlinkat(store->fd, fresh, 0) != 0 && errno != ENOENT)
        return failed(store, fresh, err);
    bool written =
        write_file(store, fresh, pem, strlen(pem), err) &&
        (renameat(store->fd, fresh, store->fd, JOINING) == 0 || failed(store, JOINING, err)) &&
        sync_directory(store, ".", err);
    if (!written)
        (void)unlinkat(store->fd, fresh, 0);
    return written;
}

/* Saving. */

static bool save(const struct identity_store *store, const struct identity_set *set,
                 const struct content *note, struct error *err)
{
    const struct contents contents = {
        .of = {[FILE_CERT] = {(char *)(uintptr_t)set->certificate, strlen(set->certificate)},
               [FILE_KEY] = {(char *)(uintptr_t)set->key, strlen(set->key)},
               [FILE_CA] = {(char *)(uintptr_t)set->ca, strlen(set->ca)}},
        .note = *note,
    };
    uint64_t number;
    if (!adopt(store, err) || !make_set(store, &contents, &number, err))
        return false;
    if (use_set(store, number, err))
        return true;
    /* Not known whether the link's change will outlive a power loss; both sets are whole. */
    if (current_set(store) != number)
        remove_set(store, number);
    return false;
}

bool identity_store_save(struct identity_store *store, const struct identity_set *set,
                         struct error *err)
{
    struct content note = {0};
    if (!print_note(&set->note, &note, err))
        return false;
    bool saved = save(store, set, &note, err);
    content_release(&note);
    reached("saved");
    if (saved) {
        (void)unlinkat(store->fd, JOINING, 0); /* the join has come to its end */
        tidy(store);
    }
    return saved || error_wrap(err, "cannot save the identity");
}

/* Opening. */

static bool check_directory(const struct identity_store *store, struct error *err)
{
    struct stat info;
    if (fstat(store->fd, &info) != 0)
        return failed(store, "", err);
    if (info.st_uid != geteuid())
        return error_set(err, ERROR_DENIED,
                         "%s belongs to another user (uid %lu): the identity's directory must be "
                         "its own user's; chown it",
                         store->directory, (unsigned long)info.st_uid);
    if (info.st_mode & (S_IWGRP | S_IWOTH))
        return error_set(err, ERROR_DENIED,
                         "%s may be written by other users (mode %04o), who could put a key of "
                         "theirs into it; chmod 700 it",
                         store->directory, (unsigned)(info.st_mode & 07777));
    return true;
}

static bool held_by_another(const struct identity_store *store, struct error *err)
{
    char pid[24] = "";
    ssize_t length = pread(store->lock, pid, sizeof pid - 1, 0);
    pid[length > 0 ? length : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    return error_set(err, ERROR_EXISTS, "another process%s%s renews %s already; only one may",
                     pid[0] ? ", pid " : "", pid, store->directory);
}

static bool lock_directory(struct identity_store *store, struct error *err)
{
    char pid[24];
    store->lock = openat(store->fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (store->lock < 0)
        return failed(store, "lock", err);
    if (flock(store->lock, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? held_by_another(store, err) : failed(store, "lock", err);
    /* For people; without it the lock holds all the same. */
    int length = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    bool noted =
        ftruncate(store->lock, 0) == 0 && pwrite(store->lock, pid, (size_t)length, 0) == length;
    if (!noted)
        log_debug("the lock file does not say who holds it", "directory", store->directory, NULL);
    return true;
}

static bool open_directory(struct identity_store *store, struct error *err)
{
    if (mkdir(store->directory, 0700) != 0 && errno != EEXIST)
        return error_system(err, errno, "cannot make the directory %s", store->directory);
    store->fd = open(store->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return store->fd >= 0 || error_system(err, errno, "%s", store->directory);
}

bool identity_store_open(const char *directory, struct identity_store **out, struct error *err)
{
    struct identity_store *store = calloc(1, sizeof *store);
    if (!store)
        return error_set(err, ERROR_MEMORY, "out of memory");
    store->fd = store->lock = -1;
    store->directory = strdup(directory);
    if (!store->directory)
        (void)error_set(err, ERROR_MEMORY, "out of memory");
    if (!store->directory || !open_directory(store, err) || !check_directory(store, err) ||
        !lock_directory(store, err)) {
        identity_store_close(store);
        return false;
    }
    tidy(store);
    *out = store;
    return true;
}

void identity_store_close(struct identity_store *store)
{
    if (!store)
        return;
    if (store->lock >= 0)
        (void)close(store->lock);
    if (store->fd >= 0)
        (void)close(store->fd);
    free(store->directory);
    free(store);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/ca_key.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "tls/certificate.h"

#define STAGED_SUFFIX ".new"
#define NAME_SIZE     (STORE_FILE_SIZE + sizeof STAGED_SUFFIX)
#define PATH_SIZE     (PATH_MAX + NAME_SIZE)

static const char *staged_name(const char *name, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%s" STAGED_SUFFIX, name);
    return out;
}

static const char *path_of(const struct ca_keys *keys, const char *name, char out[PATH_SIZE])
{
    snprintf(out, PATH_SIZE, "%s/%s", keys->path, name);
    return out;
}

/* --- the directory --- */

static bool check_directory(const struct ca_keys *keys, struct error *err)
{
    struct stat info;
    if (fstat(keys->fd, &info) != 0)
        return error_system(err, errno, "%s", keys->path);
    if (info.st_uid != geteuid())
        return error_set(err, ERROR_CONFIG, "%s belongs to user %u, not to us: chown it",
                         keys->path, (unsigned)info.st_uid);
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return error_set(err, ERROR_CONFIG,
                         "%s is open to other users (mode %04o), and holds private keys: chmod 700",
                         keys->path, (unsigned)(info.st_mode & 07777));
    return true;
}

bool ca_keys_open(struct ca_keys *keys, const struct store *store, struct error *err)
{
    int parent = store_directory_fd(store);
    keys->fd = -1;
    int length =
        snprintf(keys->path, sizeof keys->path, "%s/" CA_KEY_DIRECTORY, store_directory(store));
    if (length < 0 || (size_t)length >= sizeof keys->path)
        return error_set(err, ERROR_LIMIT, "the path of the authority's directory is too long");
    if (mkdirat(parent, CA_KEY_DIRECTORY, 0700) == 0) {
        if (fsync(parent) != 0)
            return error_system(err, errno, "%s", store_directory(store));
    } else if (errno != EEXIST) {
        return error_system(err, errno, "cannot make %s", keys->path);
    }
    keys->fd = openat(parent, CA_KEY_DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (keys->fd < 0)
        return error_system(err, errno, "cannot open %s", keys->path);
    return check_directory(keys, err);
}

void ca_keys_close(struct ca_keys *keys)
{
    if (keys->fd >= 0)
        (void)close(keys->fd);
    keys->fd = -1;
}

static bool is_key(const char *name)
{
    size_t length = strlen(name);
    return length > sizeof CA_KEY_SUFFIX - 1 &&
           strcmp(name + length - (sizeof CA_KEY_SUFFIX - 1), CA_KEY_SUFFIX) == 0;
}

bool ca_keys_check_empty(const struct ca_keys *keys, struct error *err)
{
    int fd = openat(keys->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        error_system(err, errno, "%s", keys->path);
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    bool empty = true;
    for (struct dirent *entry = readdir(directory); entry && empty; entry = readdir(directory))
        if (is_key(entry->d_name))
            empty =
                error_set(err, ERROR_CONFIG,
                          "%s/%s is the key of a CA, and the store beside it knows none: restore "
                          "the store that belongs to it, or begin in an empty directory; nothing "
                          "was made anew",
                          keys->path, entry->d_name);
    (void)closedir(directory);
    return empty;
}

static bool sync_directory(const struct ca_keys *keys, struct error *err)
{
    return fsync(keys->fd) == 0 || error_system(err, errno, "cannot sync %s", keys->path);
}

/* --- one key --- */

static bool write_all(int fd, const struct buffer *text, const char *path, struct error *err)
{
    const uint8_t *bytes = buffer_bytes(text);
    for (size_t at = 0; at < buffer_length(text);) {
        ssize_t done = write(fd, bytes + at, buffer_length(text) - at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return error_system(err, errno, "cannot write %s", path);
        at += (size_t)done;
    }
    return fsync(fd) == 0 || error_system(err, errno, "cannot sync %s", path);
}

static bool write_new(const struct ca_keys *keys, const char *name, const struct buffer *text,
                      struct error *err)
{
    char path[PATH_SIZE];
    path_of(keys, name, path);
    if (unlinkat(keys->fd, name, 0) != 0 && errno != ENOENT)
        return error_system(err, errno, "cannot remove the leftover %s", path);
    int fd = openat(keys->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_system(err, errno, "cannot make %s", path);
    bool done = write_all(fd, text, path, err);
    if (close(fd) != 0 && done)
        done = error_system(err, errno, "cannot write %s", path);
    return done;
}

bool ca_key_stage(const struct ca_keys *keys, const char *name, const struct tls_key *key,
                  struct error *err)
{
    char staged[NAME_SIZE];
    struct buffer text;
    buffer_init(&text, TLS_KEY_PEM_MAX);
    bool done = tls_key_write(key, &text, err) &&
                write_new(keys, staged_name(name, staged), &text, err) && sync_directory(keys, err);
    buffer_wipe(&text);
    buffer_release(&text);
    return done;
}

bool ca_key_settle(const struct ca_keys *keys, const char *name, struct error *err)
{
    char staged[NAME_SIZE];
    char path[PATH_SIZE];
    if (renameat(keys->fd, staged_name(name, staged), keys->fd, name) != 0)
        return error_system(err, errno, "cannot rename %s", path_of(keys, staged, path));
    return sync_directory(keys, err);
}

static bool is_there(const struct ca_keys *keys, const char *name)
{
    struct stat info;
    return fstatat(keys->fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool check_match(const struct tls_key *key, const char *certificate, const char *path,
                        struct error *err)
{
    struct tls_public *public = NULL;
    struct error cause = {0};
    if (!tls_public_of(key, &public, err))
        return false;
    bool done = certificate_matches_key(certificate, strlen(certificate), public, &cause);
    tls_public_free(public);
    return done || error_set(err, ERROR_CONFIG,
                             "%s is not the key of the CA that the store has under this name (%s): "
                             "restore both from one backup; nothing was made anew",
                             path, cause.message);
}

static bool read_key(const struct ca_keys *keys, const char *name, const char *certificate,
                     struct tls_key **out, struct error *err)
{
    char path[PATH_SIZE];
    if (!tls_key_read(path_of(keys, name, path), out, err))
        return error_wrap(err, "the key of a CA");
    if (check_match(*out, certificate, path, err))
        return true;
    tls_key_free(*out);
    *out = NULL;
    return false;
}

bool ca_key_load(const struct ca_keys *keys, const char *name, const char *certificate,
                 struct tls_key **out, struct error *err)
{
    char staged[NAME_SIZE];
    char path[PATH_SIZE];
    *out = NULL;
    if (is_there(keys, name))
        return read_key(keys, name, certificate, out, err);
    if (!is_there(keys, staged_name(name, staged)))
        return error_set(
            err, ERROR_CONFIG,
            "%s is missing, the key of a CA: restore it from a backup; nothing was made "
            "anew",
            path_of(keys, name, path));
    if (!read_key(keys, staged, certificate, out, err))
        return false;
    if (ca_key_settle(keys, name, err))
        return true;
    tls_key_free(*out);
    *out = NULL;
    return false;
}

static bool remove_file(const struct ca_keys *keys, const char *name, struct error *err)
{
    char path[PATH_SIZE];
    return unlinkat(keys->fd, name, 0) == 0 || errno == ENOENT ||
           error_system(err, errno, "cannot remove %s", path_of(keys, name, path));
}

bool ca_key_remove(const struct ca_keys *keys, const char *name, struct error *err)
{
    char staged[NAME_SIZE];
    return remove_file(keys, name, err) && remove_file(keys, staged_name(name, staged), err) &&
           sync_directory(keys, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/admin_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(const char *path, struct error *err)
{
    return error_system(err, errno, "cannot write %s", path);
}

bool admin_file_directory(const char *path, struct error *err)
{
    struct stat found;
    if (mkdir(path, S_IRWXU) == 0)
        return true;
    if (errno != EEXIST)
        return error_system(err, errno, "cannot make the directory %s", path);
    if (stat(path, &found) != 0)
        return error_system(err, errno, "cannot use the directory %s", path);
    return S_ISDIR(found.st_mode) ||
           error_set(err, ERROR_EXISTS, "%s is there already, and no directory", path);
}

static bool name_it(struct admin_file *file, const char *directory, const char *name,
                    struct error *err)
{
    int length = snprintf(file->path, sizeof file->path, "%s%s%s", directory ? directory : "",
                          directory ? "/" : "", name);
    if (length < 0 || (size_t)length + sizeof ".new-0000" > sizeof file->path)
        return error_set(err, ERROR_LIMIT, "%.64s…: a path has at most %d bytes", name,
                         ADMIN_PATH_SIZE - 1);
    return true;
}

static bool open_fresh(struct admin_file *file, mode_t mode, struct error *err)
{
    for (unsigned trial = 0; trial < ADMIN_FILE_TRIALS; trial++) {
        int length = snprintf(file->fresh, sizeof file->fresh, "%s.new-%u", file->path, trial);
        if (length < 0 || (size_t)length >= sizeof file->fresh)
            return error_set(err, ERROR_LIMIT, "%.64s…: a path has at most %d bytes", file->path,
                             ADMIN_PATH_SIZE - 1);
        file->fd = open(file->fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (file->fd >= 0 || errno != EEXIST)
            break;
    }
    return file->fd >= 0 || fail(file->path, err);
}

bool admin_file_open(struct admin_file *file, const char *directory, const char *name, mode_t mode,
                     bool replace, struct error *err)
{
    struct stat found;
    file->fd = -1;
    file->replace = replace;
    if (!name_it(file, directory, name, err))
        return false;
    if (lstat(file->path, &found) == 0) {
        if (!replace)
            return error_set(err, ERROR_EXISTS, "%s is there already", file->path);
        if (!S_ISREG(found.st_mode))
            return error_set(err, ERROR_EXISTS, "%s is there already, and no plain file",
                             file->path);
    }
    if (!open_fresh(file, mode, err))
        return false;
    /* The umask may have left less than a server that is to read a certificate needs. */
    if (fchmod(file->fd, mode) == 0)
        return true;
    (void)fail(file->path, err);
    admin_file_abandon(file);
    return false;
}

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return fsync(fd) == 0;
}

/* link(2) refuses where rename(2) would replace: nothing that came meanwhile is lost. */
static bool give_name(const struct admin_file *file)
{
    if (file->replace)
        return rename(file->fresh, file->path) == 0;
    return link(file->fresh, file->path) == 0 && unlink(file->fresh) == 0;
}

static bool sync_directory(const char *path)
{
    char copy[ADMIN_PATH_SIZE];
    (void)snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool synced = fsync(fd) == 0;
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return synced;
}

bool admin_file_write(struct admin_file *file, const void *bytes, size_t length, struct error *err)
{
    bool written =
        write_all(file->fd, bytes, length) && give_name(file) && sync_directory(file->path);
    if (!written)
        (void)fail(file->path, err);
    admin_file_abandon(file); /* once it has its name, the fresh one is gone */
    return written;
}

void admin_file_abandon(struct admin_file *file)
{
    if (file->fd < 0)
        return;
    (void)close(file->fd);
    (void)unlink(file->fresh);
    file->fd = -1;
}

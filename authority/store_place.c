/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/store_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACE_DIRECTORY_MODE 0700
#define PLACE_FILE_MODE      0600
#define PLACE_OTHERS         077 /* what group and others may do */
#define PLACE_HOLDER_SIZE    24  /* a process id as text */

static bool check_owner(const struct store_place *place, struct error *err)
{
    struct stat found;
    if (fstat(place->fd, &found) != 0)
        return error_system(err, errno, "cannot look at the state directory %s", place->path);
    if (found.st_uid != geteuid())
        return error_set(err, ERROR_SYSTEM,
                         "the state directory %s belongs to user %u, and this is user %u: run the "
                         "authority as that user, or chown the directory and what is in it",
                         place->path, (unsigned)found.st_uid, (unsigned)geteuid());
    if (found.st_mode & PLACE_OTHERS)
        return error_set(err, ERROR_SYSTEM,
                         "the state directory %s is open to other users (mode %03o): chmod 700 it",
                         place->path, (unsigned)(found.st_mode & 0777));
    if (faccessat(place->fd, ".", W_OK | X_OK, AT_EACCESS) != 0)
        return error_system(err, errno, "the state directory %s cannot be written", place->path);
    return true;
}

static bool open_directory(struct store_place *place, const char *directory, struct error *err)
{
    if (mkdir(directory, PLACE_DIRECTORY_MODE) != 0 && errno != EEXIST)
        return error_system(err, errno, "cannot make the state directory %s", directory);
    if (!realpath(directory, place->path))
        return error_system(err, errno, "cannot find the state directory %s", directory);
    place->fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (place->fd < 0)
        return error_system(err, errno, "cannot open the state directory %s", directory);
    return check_owner(place, err);
}

static bool refuse_locked(const struct store_place *place, struct error *err)
{
    char holder[PLACE_HOLDER_SIZE] = "";
    ssize_t length = pread(place->lock_fd, holder, sizeof holder - 1, 0);
    holder[length > 0 ? length : 0] = '\0';
    holder[strspn(holder, "0123456789")] = '\0';
    return error_set(err, ERROR_TIMEOUT,
                     "the state directory %s is in use by another authority (process %s): stop it, "
                     "or give this one a directory of its own",
                     place->path, holder[0] ? holder : "unknown");
}

/* Only for the message above: a full disk must not keep the authority from starting. */
static void note_holder(int fd)
{
    char holder[PLACE_HOLDER_SIZE];
    int length = snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, holder, (size_t)length, 0) != length &&
        ftruncate(fd, 0) != 0)
        return;
}

static bool lock(struct store_place *place, struct error *err)
{
    place->lock_fd = openat(place->fd, STORE_LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                            PLACE_FILE_MODE);
    if (place->lock_fd < 0)
        return error_system(err, errno, "cannot make %s/" STORE_LOCK_NAME, place->path);
    if (flock(place->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return refuse_locked(place, err);
        return error_system(err, errno, "cannot lock %s/" STORE_LOCK_NAME, place->path);
    }
    note_holder(place->lock_fd);
    return true;
}

bool store_place_open(struct store_place *place, const char *directory, struct error *err)
{
    place->fd = -1;
    place->lock_fd = -1;
    if (open_directory(place, directory, err) && lock(place, err))
        return true;
    store_place_close(place);
    return false;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void store_place_close(struct store_place *place)
{
    close_fd(&place->lock_fd);
    close_fd(&place->fd);
}

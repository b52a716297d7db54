/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/socket_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "authority/service.h"

static bool fill(struct sockaddr_un *address, const char *path, struct error *err)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int length = snprintf(address->sun_path, sizeof address->sun_path, "%s", path);
    return (length > 0 && (size_t)length < sizeof address->sun_path) ||
           error_set(err, ERROR_CONFIG, "%s: too long a path for a Unix socket", path);
}

static int make_socket(struct error *err)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        (void)error_system(err, errno, "cannot make a Unix socket");
    return fd;
}

/* Whether somebody answers there. */
static bool answers(const struct sockaddr_un *address, bool *yes, struct error *err)
{
    int fd = make_socket(err);
    if (fd < 0)
        return false;
    int result = connect(fd, (const struct sockaddr *)address, sizeof *address);
    /* EAGAIN: so many wait there that one more may not (connect(2)). */
    *yes = result == 0 || errno == EAGAIN;
    bool known = *yes || errno == ECONNREFUSED || errno == ENOENT;
    if (!known)
        (void)error_system(err, errno, "cannot find out whether %s is in use", address->sun_path);
    close(fd);
    return known;
}

static bool check_place(const char *path, struct error *err)
{
    struct sockaddr_un address;
    struct stat status;
    bool used;
    if (lstat(path, &status) != 0)
        return errno == ENOENT || error_system(err, errno, "cannot look at %s", path);
    if (!S_ISSOCK(status.st_mode))
        return error_set(err, ERROR_CONFIG,
                         "%s is no socket: remove it, or give another path as \"admin_socket\"",
                         path);
    if (!fill(&address, path, err) || !answers(&address, &used, err))
        return false;
    return !used ||
           error_set(err, ERROR_CONFIG, "%s is in use: another program listens there", path);
}

/* On Linux the file gets the mode of the socket (fchmod(2) before bind(2)), less the umask, which
 * belongs to all threads and is not touched. The look afterwards is for other systems. */
static bool bind_at(int fd, const char *path, struct stat *status, struct error *err)
{
    struct sockaddr_un address;
    if (!fill(&address, path, err))
        return false;
    if (unlink(path) != 0 && errno != ENOENT)
        return error_system(err, errno, "cannot remove the leftover %s", path);
    if (fchmod(fd, S_IRUSR | S_IWUSR) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, SERVICE_BACKLOG) != 0 || lstat(path, status) != 0)
        return error_system(err, errno, "cannot make the socket %s", path);
    return (status->st_mode & (S_IRWXG | S_IRWXO)) == 0 ||
           error_set(err, ERROR_SYSTEM, "%s: others could use the socket", path);
}

static bool place(struct socket_file *file, int fd, const char *path, struct error *err)
{
    char fresh[ADDRESS_PATH_SIZE + sizeof AUTHORITY_SOCKET_SUFFIX];
    struct stat status;
    (void)snprintf(fresh, sizeof fresh, "%s" AUTHORITY_SOCKET_SUFFIX, path);
    bool done = bind_at(fd, fresh, &status, err);
    if (done && rename(fresh, path) != 0)
        done = error_system(err, errno, "cannot rename %s", fresh);
    if (!done) {
        (void)unlink(fresh);
        return false;
    }
    (void)snprintf(file->path, sizeof file->path, "%s", path);
    file->device = status.st_dev;
    file->inode = status.st_ino;
    return true;
}

bool socket_file_open(struct socket_file *file, const char *path, int *fd, struct error *err)
{
    *fd = -1;
    if (!check_place(path, err))
        return false;
    int made = make_socket(err);
    if (made < 0)
        return false;
    if (!place(file, made, path, err)) {
        close(made);
        return false;
    }
    *fd = made;
    return true;
}

void socket_file_remove(struct socket_file *file)
{
    struct stat status;
    if (file->path[0] != '\0' && lstat(file->path, &status) == 0 && status.st_dev == file->device &&
        status.st_ino == file->inode)
        (void)unlink(file->path);
    file->path[0] = '\0';
}

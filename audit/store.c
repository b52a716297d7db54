/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/files.h"

#define STORE_LOCK_NAME      "lock"
#define STORE_FILE_MODE      0600
#define STORE_DIRECTORY_MODE 0700

static bool open_directory(struct audit_store *store, const char *directory, struct error *err)
{
    if (mkdir(directory, STORE_DIRECTORY_MODE) != 0 && errno != EEXIST)
        return error_system(err, errno, "cannot make the audit directory %s", directory);
    store->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->directory_fd < 0)
        return error_system(err, errno, "cannot open the audit directory %s", directory);
    return true;
}

/* The holder's process id, for the message; the lock itself is flock(2)'s and ends with it. */
static bool refuse_locked(const struct audit_store *store, const char *directory, struct error *err)
{
    char holder[24] = "";
    ssize_t length = pread(store->lock_fd, holder, sizeof holder - 1, 0);
    holder[length > 0 ? length : 0] = '\0';
    holder[strspn(holder, "0123456789")] = '\0';
    return error_set(err, ERROR_STATE,
                     "the audit directory %s is in use by another proxy (process %s): give each "
                     "proxy a directory of its own",
                     directory, holder[0] ? holder : "unknown");
}

static bool lock_directory(struct audit_store *store, const char *directory, struct error *err)
{
    char holder[24];
    store->lock_fd = openat(store->directory_fd, STORE_LOCK_NAME,
                            O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, STORE_FILE_MODE);
    if (store->lock_fd < 0)
        return error_system(err, errno, "cannot make %s/%s", directory, STORE_LOCK_NAME);
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return refuse_locked(store, directory, err);
        return error_system(err, errno, "cannot lock %s/%s", directory, STORE_LOCK_NAME);
    }
    int length = snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
    /* Only for the message above: a full disk must not keep the proxy from starting. */
    if (ftruncate(store->lock_fd, 0) == 0 &&
        pwrite(store->lock_fd, holder, (size_t)length, 0) != length)
        return ftruncate(store->lock_fd, 0) == 0 || errno != 0;
    return true;
}

/* Goes on with the file that has the highest name. */
static bool resume_file(struct audit_store *store, uint64_t first_seq, uint64_t *next_seq,
                        struct error *err)
{
    char name[AUDIT_FILE_NAME_SIZE];
    struct audit_file_end end;
    size_t written;
    audit_file_name(first_seq, name);
    store->file_fd = openat(store->directory_fd, name, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (store->file_fd < 0)
        return error_system(err, errno, "cannot open %s", name);
    if (!audit_file_find_end(store->file_fd, &end, err))
        return error_wrap(err, "%s", name);
    store->file_bytes = (uint64_t)end.size;
    if (end.cut && !audit_store_write(store, "\n", 1, &written, err))
        return error_wrap(err, "%s", name);
    *next_seq = first_seq;
    if (end.has_seq && end.seq >= first_seq) {
        if (end.seq == UINT64_MAX)
            return error_set(err, ERROR_LIMIT, "%s: there is no seq behind its last", name);
        *next_seq = end.seq + 1;
    }
    return true;
}

static bool find_last_file(struct audit_store *store, uint64_t *next_seq, struct error *err)
{
    uint64_t *first_seqs;
    size_t count;
    *next_seq = 1;
    if (!audit_files_list(store->directory_fd, &first_seqs, &count, err))
        return false;
    bool done = count == 0 || resume_file(store, first_seqs[count - 1], next_seq, err);
    free(first_seqs);
    return done;
}

bool audit_store_open(struct audit_store *store, const char *directory, bool sync,
                      uint64_t *next_seq, struct error *err)
{
    *store = (struct audit_store){.directory_fd = -1, .lock_fd = -1, .file_fd = -1, .sync = sync};
    if (!open_directory(store, directory, err) || !lock_directory(store, directory, err)) {
        audit_store_close(store);
        return false;
    }
    if (!find_last_file(store, next_seq, err)) {
        audit_store_close(store);
        return error_wrap(err, "%s", directory);
    }
    return true;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void audit_store_close(struct audit_store *store)
{
    close_fd(&store->file_fd);
    close_fd(&store->lock_fd);
    close_fd(&store->directory_fd);
}

bool audit_store_begin_file(struct audit_store *store, uint64_t first_seq, struct error *err)
{
    char name[AUDIT_FILE_NAME_SIZE];
    close_fd(&store->file_fd);
    store->file_bytes = 0;
    audit_file_name(first_seq, name);
    int fd =
        openat(store->directory_fd, name,
               O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, STORE_FILE_MODE);
    if (fd < 0)
        return error_system(err, errno, "cannot make %s", name);
    if (store->sync && fsync(store->directory_fd) != 0) {
        error_system(err, errno, "cannot sync the audit directory");
        unlinkat(store->directory_fd, name, 0); /* empty: so that the next try can make it */
        close(fd);
        return false;
    }
    store->file_fd = fd;
    return true;
}

bool audit_store_write(struct audit_store *store, const void *bytes, size_t length, size_t *written,
                       struct error *err)
{
    ssize_t done;
    do
        done = write(store->file_fd, bytes, length);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return error_system(err, errno, "cannot write to the audit log");
    if (done == 0 && length > 0)
        return error_set(err, ERROR_SYSTEM, "the audit log takes no more bytes");
    *written = (size_t)done;
    store->file_bytes += (size_t)done;
    return true;
}

bool audit_store_sync(struct audit_store *store, struct error *err)
{
    if (store->file_fd >= 0 && fdatasync(store->file_fd) != 0)
        return error_system(err, errno, "cannot sync the audit log");
    return true;
}

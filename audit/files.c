/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit.h"

_Static_assert(AUDIT_RECORD_VERSION == 1, "AUDIT_LINE_BEGIN names the version");

#define FILES_PREFIX      "audit-"
#define FILES_SUFFIX      ".jsonl"
#define FILES_DIGITS      20
#define FILES_BLOCK       65536 /* read at a time when searching backwards */
#define FILES_FIRST_COUNT 64    /* names that a list has room for at first */

void audit_file_name(uint64_t first_seq, char out[AUDIT_FILE_NAME_SIZE])
{
    snprintf(out, AUDIT_FILE_NAME_SIZE, FILES_PREFIX "%020" PRIu64 FILES_SUFFIX, first_seq);
}

/* Reads digits and says how many there were; 0 for none or for more than fits. */
static size_t read_digits(const char *text, size_t length, uint64_t *value)
{
    size_t count = 0;
    uint64_t sum = 0;
    while (count < length && text[count] >= '0' && text[count] <= '9') {
        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(text[count] - '0'), &sum))
            return 0;
        count++;
    }
    *value = sum;
    return count;
}

bool audit_file_name_read(const char *name, uint64_t *first_seq)
{
    if (strlen(name) != AUDIT_FILE_NAME_SIZE - 1 ||
        strncmp(name, FILES_PREFIX, strlen(FILES_PREFIX)) != 0)
        return false;
    const char *digits = name + strlen(FILES_PREFIX);
    uint64_t seq;
    if (strcmp(digits + FILES_DIGITS, FILES_SUFFIX) != 0 ||
        read_digits(digits, FILES_DIGITS, &seq) != FILES_DIGITS)
        return false;
    *first_seq = seq;
    return true;
}

struct file_list {
    uint64_t *first_seqs;
    size_t count, capacity;
};

static bool list_add(struct file_list *list, uint64_t first_seq, struct error *err)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : FILES_FIRST_COUNT;
        uint64_t *more = reallocarray(list->first_seqs, capacity, sizeof *more);
        if (!more)
            return error_set(err, ERROR_MEMORY, "out of memory for %zu file names", capacity);
        list->first_seqs = more;
        list->capacity = capacity;
    }
    list->first_seqs[list->count++] = first_seq;
    return true;
}

static int compare_seqs(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static bool list_read(DIR *directory, struct file_list *list, struct error *err)
{
    const struct dirent *entry;
    while ((errno = 0, entry = readdir(directory)) != NULL) {
        uint64_t first_seq;
        if (audit_file_name_read(entry->d_name, &first_seq) && !list_add(list, first_seq, err))
            return false;
    }
    return errno == 0 || error_system(err, errno, "cannot list the audit directory");
}

bool audit_files_list(int directory_fd, uint64_t **first_seqs, size_t *count, struct error *err)
{
    struct file_list list = {0};
    /* Opened anew, so that each listing has a position of its own. */
    int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        error_system(err, errno, "cannot list the audit directory");
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool done = list_read(directory, &list, err);
    closedir(directory);
    if (!done) {
        free(list.first_seqs);
        return false;
    }
    if (list.count > 0)
        qsort(list.first_seqs, list.count, sizeof *list.first_seqs, compare_seqs);
    *first_seqs = list.first_seqs;
    *count = list.count;
    return true;
}

/* Reads `length` bytes at an offset; a file that has become shorter is an error. */
static bool read_at(int fd, void *to, size_t length, off_t offset, struct error *err)
{
    uint8_t *at = to;
    while (length > 0) {
        ssize_t got = pread(fd, at, length, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_system(err, errno, "cannot read an audit file");
        if (got == 0)
            return error_set(err, ERROR_SYSTEM, "an audit file became shorter while it was read");
        at += got;
        length -= (size_t)got;
        offset += got;
    }
    return true;
}

/* The offset behind the last '\n' before `before`; 0 when there is none. */
static bool find_line_start(int fd, off_t before, off_t *start, struct error *err)
{
    static _Thread_local uint8_t block[FILES_BLOCK];
    while (before > 0) {
        size_t length = before < FILES_BLOCK ? (size_t)before : FILES_BLOCK;
        off_t from = before - (off_t)length;
        if (!read_at(fd, block, length, from, err))
            return false;
        const uint8_t *newline = memrchr(block, '\n', length);
        if (newline) {
            *start = from + (newline - block) + 1;
            return true;
        }
        before = from;
    }
    *start = 0;
    return true;
}

/* Reads the seq at the start of a line. A seq counts only with the comma behind it: digits that the
 * cut has shortened would be a lower number. */
static bool read_seq(int fd, off_t start, off_t end, struct audit_file_end *out, struct error *err)
{
    char text[sizeof AUDIT_LINE_BEGIN + FILES_DIGITS + 1];
    const size_t begin = strlen(AUDIT_LINE_BEGIN);
    size_t length = end - start < (off_t)sizeof text ? (size_t)(end - start) : sizeof text;
    uint64_t seq;
    if (!read_at(fd, text, length, start, err))
        return false;
    if (length <= begin || memcmp(text, AUDIT_LINE_BEGIN, begin) != 0)
        return true;
    size_t digits = read_digits(text + begin, length - begin, &seq);
    if (digits == 0 || begin + digits >= length || text[begin + digits] != ',')
        return true;
    out->has_seq = true;
    out->seq = seq;
    return true;
}

bool audit_file_find_end(int fd, struct audit_file_end *end, struct error *err)
{
    struct stat status;
    *end = (struct audit_file_end){0};
    if (fstat(fd, &status) != 0)
        return error_system(err, errno, "cannot stat an audit file");
    end->size = status.st_size;
    off_t line_end = status.st_size;
    while (line_end > 0 && !end->has_seq) {
        off_t start;
        /* The line's own end, if it has one, is not the end that is looked for. */
        if (!find_line_start(fd, line_end - 1, &start, err) ||
            !read_seq(fd, start, line_end, end, err))
            return false;
        line_end = start;
    }
    uint8_t last = '\n';
    if (end->size > 0 && !read_at(fd, &last, 1, end->size - 1, err))
        return false;
    end->cut = last != '\n';
    return true;
}

bool audit_file_find_line(int fd, off_t size, off_t window, off_t *offset, struct error *err)
{
    *offset = 0;
    return window >= size || find_line_start(fd, size - window, offset, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READER_STEP (64 * 1024) /* bytes of one read */

bool audit_reader_open(struct audit_reader *reader, const char *directory, struct error *err)
{
    *reader = (struct audit_reader){.fd = -1};
    buffer_init(&reader->bytes, AUDIT_LINE_MAX + READER_STEP);
    reader->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (reader->directory_fd < 0)
        return error_system(err, errno, "cannot open the audit directory %s", directory);
    if (!audit_reader_refresh(reader, err)) {
        audit_reader_close(reader);
        return error_wrap(err, "%s", directory);
    }
    return true;
}

static void close_file(struct audit_reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    reader->fd = -1;
}

void audit_reader_close(struct audit_reader *reader)
{
    close_file(reader);
    if (reader->directory_fd >= 0)
        close(reader->directory_fd);
    reader->directory_fd = -1;
    free(reader->first_seqs);
    reader->first_seqs = NULL;
    reader->count = 0;
    buffer_release(&reader->bytes);
}

bool audit_reader_refresh(struct audit_reader *reader, struct error *err)
{
    uint64_t *first_seqs;
    size_t count;
    uint64_t open_seq = reader->index < reader->count ? reader->first_seqs[reader->index] : 0;
    if (!audit_files_list(reader->directory_fd, &first_seqs, &count, err))
        return false;
    free(reader->first_seqs);
    reader->first_seqs = first_seqs;
    reader->count = count;
    /* The open file keeps its place in the order, though older ones may have been removed. */
    reader->index = 0;
    while (reader->index < count && first_seqs[reader->index] < open_seq)
        reader->index++;
    return true;
}

bool audit_reader_file(struct audit_reader *reader, size_t index, off_t offset, struct error *err)
{
    close_file(reader);
    reader->index = index;
    audit_file_name(reader->first_seqs[index], reader->name);
    reader->fd = openat(reader->directory_fd, reader->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (reader->fd < 0)
        return error_system(err, errno, "cannot open %s", reader->name);
    buffer_clear(&reader->bytes);
    reader->searched = 0;
    reader->passing = false;
    reader->partial = false;
    reader->base = offset;
    reader->lines = 0;
    reader->line_start = offset;
    reader->position = offset;
    return true;
}

/* Reads more behind what is held. *got is 0 at the end of the file. */
static bool read_more(struct audit_reader *reader, size_t *got, struct error *err)
{
    uint8_t *room;
    ssize_t done;
    off_t at = reader->position + (off_t)buffer_length(&reader->bytes);
    if (!buffer_reserve(&reader->bytes, READER_STEP, &room, err))
        return false;
    do
        done = pread(reader->fd, room, READER_STEP, at);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return error_system(err, errno, "cannot read %s", reader->name);
    buffer_commit(&reader->bytes, (size_t)done);
    *got = (size_t)done;
    return true;
}

static void drop(struct audit_reader *reader, size_t length)
{
    buffer_consume(&reader->bytes, length);
    reader->position += (off_t)length;
    reader->searched = 0;
}

/* The length of the line at the start of the buffer, its end not counted. */
static bool find_end(struct audit_reader *reader, size_t *length)
{
    const uint8_t *bytes = buffer_bytes(&reader->bytes);
    size_t held = buffer_length(&reader->bytes);
    const uint8_t *end = memchr(bytes + reader->searched, '\n', held - reader->searched);
    if (!end) {
        reader->searched = held;
        return false;
    }
    *length = (size_t)(end - bytes);
    return true;
}

/* Hands out the line that the buffer begins with. Its bytes stay in place until the next append. */
static enum audit_read give_line(struct audit_reader *reader, const char **line, size_t *length)
{
    bool passed = reader->passing || *length > AUDIT_LINE_MAX;
    *line = (const char *)buffer_bytes(&reader->bytes);
    if (!reader->passing)
        reader->line_start = reader->position;
    drop(reader, *length + 1);
    reader->lines++;
    reader->passing = false;
    return passed ? AUDIT_READ_TOO_LONG : AUDIT_READ_LINE;
}

enum audit_read audit_reader_line(struct audit_reader *reader, const char **line, size_t *length,
                                  struct error *err)
{
    reader->partial = false;
    while (!find_end(reader, length)) {
        size_t got = 0;
        if (buffer_length(&reader->bytes) > AUDIT_LINE_MAX) {
            if (!reader->passing)
                reader->line_start = reader->position;
            reader->passing = true;
            drop(reader, buffer_length(&reader->bytes));
        }
        if (!read_more(reader, &got, err))
            return AUDIT_READ_FAILED;
        if (got == 0) {
            reader->partial = reader->passing || buffer_length(&reader->bytes) > 0;
            return reader->partial ? AUDIT_READ_PARTIAL : AUDIT_READ_END;
        }
    }
    return give_line(reader, line, length);
}

/* Counts line ends before an offset; only for a message, so the file is read again for it. */
static bool count_lines(int fd, off_t before, uint64_t *lines)
{
    static _Thread_local char block[READER_STEP];
    off_t at = 0;
    *lines = 0;
    while (at < before) {
        off_t left = before - at;
        ssize_t got = pread(fd, block, left < READER_STEP ? (size_t)left : READER_STEP, at);
        if (got <= 0)
            return false;
        for (ssize_t i = 0; i < got; i++)
            *lines += block[i] == '\n';
        at += got;
    }
    return true;
}

uint64_t audit_reader_line_number(const struct audit_reader *reader)
{
    uint64_t before;
    if (!count_lines(reader->fd, reader->base, &before))
        return 0;
    return before + reader->lines + (reader->partial ? 1 : 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An audit directory, read as a stream of lines: one file after the other, one line at a time, from
 * any line on, with a bounded buffer. Private to audit/. It takes no lock: the writer goes on.
 */
#ifndef SALLYPORT_AUDIT_READER_H
#define SALLYPORT_AUDIT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "audit/files.h"
#include "audit/record.h"
#include "base/buffer.h"
#include "base/error.h"

#define AUDIT_LINE_MAX (AUDIT_RECORD_MAX + 64) /* a record, and what the writer puts around it */

enum audit_read {
    AUDIT_READ_LINE,     /* a line */
    AUDIT_READ_TOO_LONG, /* a line longer than AUDIT_LINE_MAX was passed over */
    AUDIT_READ_PARTIAL,  /* the file ends within a line; ask again for more of it */
    AUDIT_READ_END,      /* the file ends here, for now */
    AUDIT_READ_FAILED,   /* see err */
};

struct audit_reader {
    int directory_fd;
    uint64_t *first_seqs; /* of the files, as last listed */
    size_t count;
    size_t index; /* the open file's, among them */
    int fd;       /* -1: none open */
    char name[AUDIT_FILE_NAME_SIZE];
    struct buffer bytes;
    size_t searched;  /* bytes of the buffer known to hold no line's end */
    bool passing;     /* over a line that is too long */
    bool partial;     /* the last answer was AUDIT_READ_PARTIAL */
    off_t base;       /* where in the file reading began */
    uint64_t lines;   /* ends of lines passed since then */
    off_t line_start; /* of the line given last */
    off_t position;   /* of the first byte not yet given */
};

bool audit_reader_open(struct audit_reader *reader, const char *directory,
                       struct error *err) MUST_USE;
void audit_reader_close(struct audit_reader *reader);

/* Lists the directory again; the open file stays open. */
bool audit_reader_refresh(struct audit_reader *reader, struct error *err) MUST_USE;

/* Opens the index-th file; reading begins at `offset`, which is a line's first byte. */
bool audit_reader_file(struct audit_reader *reader, size_t index, off_t offset,
                       struct error *err) MUST_USE;

/* The next line of the open file, without its end; the bytes hold until the next call. */
enum audit_read audit_reader_line(struct audit_reader *reader, const char **line, size_t *length,
                                  struct error *err) MUST_USE;

/* Where the line given last stands, or the partial one: its number from 1. 0 when that cannot be
 * found out. */
uint64_t audit_reader_line_number(const struct audit_reader *reader);

#endif

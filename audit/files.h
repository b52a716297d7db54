/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of an audit directory: their names, their order, and what the last one ends with.
 * Private to audit/; the writer and the reader share it.
 *
 *     DIR/lock                                held by the one process that writes
 *     DIR/audit-<first seq, 20 digits>.jsonl  records from that seq on
 */
#ifndef SALLYPORT_AUDIT_FILES_H
#define SALLYPORT_AUDIT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* "audit-" 20 digits ".jsonl" and a NUL. */
#define AUDIT_FILE_NAME_SIZE 33

void audit_file_name(uint64_t first_seq, char out[AUDIT_FILE_NAME_SIZE]);

/* Whether it is such a name, and of which seq. */
bool audit_file_name_read(const char *name, uint64_t *first_seq);

/* First seqs of the directory's files in rising order. The caller frees *first_seqs (NULL for
 * none).
 */
bool audit_files_list(int directory_fd, uint64_t **first_seqs, size_t *count,
                      struct error *err) MUST_USE;

/* How a file ends. */
struct audit_file_end {
    off_t size;
    bool has_seq; /* a line of it has a seq that can be read */
    uint64_t seq; /* of the last such line, even when that line is cut */
    bool cut;     /* it does not end with a line's end */
};

bool audit_file_find_end(int fd, struct audit_file_end *end, struct error *err) MUST_USE;

/* The offset of the first line of the last `window` bytes, 0 when the window is the whole file: for
 * reading a file from its end. */
bool audit_file_find_line(int fd, off_t size, off_t window, off_t *offset,
                          struct error *err) MUST_USE;

/* What each line begins with, up to the digits of its seq. */
#define AUDIT_LINE_BEGIN "{\"v\":1,\"seq\":"

#endif

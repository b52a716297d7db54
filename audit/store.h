/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit directory as its one writer has it: the lock, and the file that records go to. Private
 * to audit/. It keeps descriptors, not paths: a directory that is renamed goes on being written.
 */
#ifndef SALLYPORT_AUDIT_STORE_H
#define SALLYPORT_AUDIT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct audit_store {
    int directory_fd;
    int lock_fd;
    int file_fd; /* -1: none yet, or it is full */
    uint64_t file_bytes;
    bool sync; /* also directory entries */
};

/* Opens and locks; *next_seq is 1 behind the last seq found. A last line that is cut is ended. */
bool audit_store_open(struct audit_store *store, const char *directory, bool sync,
                      uint64_t *next_seq, struct error *err) MUST_USE;
void audit_store_close(struct audit_store *store);

/* Begins a file; the one before it is closed first. */
bool audit_store_begin_file(struct audit_store *store, uint64_t first_seq,
                            struct error *err) MUST_USE;

/* Writes what the system takes at once of `length` bytes; *written may be less. */
bool audit_store_write(struct audit_store *store, const void *bytes, size_t length, size_t *written,
                       struct error *err) MUST_USE;

/* Makes what was written safe from power loss. */
bool audit_store_sync(struct audit_store *store, struct error *err) MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that the administering commands write: whole or not at all, and those that hold a secret
 * for their owner alone (I8).
 *
 *     open ──► write ──► there                A file takes its name with its last byte on the disk.
 *       └──► abandon: nothing is left         One that is there already is replaced if the user
 *                                             said so, and otherwise refused.
 *
 * Opening comes first, before anything is asked of the authority: a secret that is shown once must
 * not be lost to a directory that cannot be written.
 */
#ifndef SALLYPORT_CLI_ADMIN_FILE_H
#define SALLYPORT_CLI_ADMIN_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

#define ADMIN_PATH_SIZE   4096 /* with its NUL */
#define ADMIN_FILE_SECRET 0600
#define ADMIN_FILE_PUBLIC 0644
#define ADMIN_FILE_TRIALS 100 /* names for the new file, until one is free */

struct admin_file {
    int fd; /* -1: none */
    bool replace;
    char path[ADMIN_PATH_SIZE];
    char fresh[ADMIN_PATH_SIZE]; /* what it is called until it is whole */
};

/* Makes the directory (0700) if it is missing; only the last part of its path. */
bool admin_file_directory(const char *path, struct error *err) MUST_USE;

/* Opens DIRECTORY/NAME, or NAME where `directory` is NULL. Without `replace` a file of that name is
 * refused. On failure there is nothing to abandon. */
bool admin_file_open(struct admin_file *file, const char *directory, const char *name, mode_t mode,
                     bool replace, struct error *err) MUST_USE;

/* Writes all of it, syncs, and gives the file its name. Ends with the file in either case. */
bool admin_file_write(struct admin_file *file, const void *bytes, size_t length,
                      struct error *err) MUST_USE;

/* Removes what was opened. Safe to call at any time, more than once. */
void admin_file_abandon(struct admin_file *file);

#endif

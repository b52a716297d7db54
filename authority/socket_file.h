/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Unix socket that listens at a path and that its owner alone may use: mode 0600 from its first
 * moment on, and put at its path when it is ready, so that there is never a half-made one.
 */
#ifndef SALLYPORT_AUTHORITY_SOCKET_FILE_H
#define SALLYPORT_AUTHORITY_SOCKET_FILE_H

#include <sys/types.h>

#include "authority/settings.h"
#include "base/error.h"

struct socket_file {
    char path[ADDRESS_PATH_SIZE]; /* "": none */
    dev_t device;                 /* which file is ours */
    ino_t inode;
};

/*
 * Makes it; *fd listens and is the caller's. A socket that nobody answers at is a leftover and is
 * replaced. ERROR_CONFIG: somebody answers there, or it is no socket; ERROR_SYSTEM.
 */
bool socket_file_open(struct socket_file *file, const char *path, int *fd,
                      struct error *err) MUST_USE;

/* Removes it, if it is still ours. Safe to call twice. */
void socket_file_remove(struct socket_file *file);

#endif

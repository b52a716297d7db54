/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authority's state directory: that it is ours alone, and that one process has it. Private to
 * authority/.
 */
#ifndef SALLYPORT_AUTHORITY_STORE_PLACE_H
#define SALLYPORT_AUTHORITY_STORE_PLACE_H

#include <limits.h>

#include "base/error.h"

#define STORE_LOCK_NAME "authority.lock"

struct store_place {
    int fd;
    int lock_fd;
    char path[PATH_MAX]; /* without symbolic links */
};

/* Makes it (0700) where it is missing, looks whose it is, and locks it with flock(2), which ends
 * with the process. */
bool store_place_open(struct store_place *place, const char *directory, struct error *err) MUST_USE;

/* Safe to call twice. */
void store_place_close(struct store_place *place);

#endif

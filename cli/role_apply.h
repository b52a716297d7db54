/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sallyport role apply -f FILE`: roles, databases and mappings out of a file, JSON that may hold
 * comments, in the configuration's form (docs/roles.md).
 *
 * The file is judged here as far as it can be, by the tables that the authority has too, so that a
 * slip of the pen is reported at its FILE:LINE:COL. What only the authority knows (a mapping to a
 * role that is neither there nor in the file) comes back as its refusal; where that names a
 * document of the file, its place is told as well.
 */
#ifndef SALLYPORT_CLI_ROLE_APPLY_H
#define SALLYPORT_CLI_ROLE_APPLY_H

#include "cli/admin.h"

struct role_apply {
    const char *file;
    bool prune;   /* of the kinds that the file has, what is not in it goes */
    bool dry_run; /* only tell */
};

/* Returns an exit code. */
int role_apply(const struct admin *admin, const struct role_apply *apply);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/exit.h"

#include <stdio.h>

int exit_with(const struct error *err)
{
    if (err->code == ERROR_CONFIG) {
        /* FILE:LINE:COL: must stand first, for editors and people alike. */
        fprintf(stderr, "%s\n", err->message);
        return EXIT_USAGE;
    }
    fprintf(stderr, "sallyport: %s\n", err->message);
    return EXIT_FAILED;
}

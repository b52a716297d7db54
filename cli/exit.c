/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/exit.h"

#include <stdarg.h>
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

int exit_usage(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "sallyport %s: ", command);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nTry 'sallyport %s --help'.\n", command);
    va_end(arguments);
    return EXIT_USAGE;
}

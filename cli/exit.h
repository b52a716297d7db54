/* SPDX-License-Identifier: Apache-2.0 */
/* The exit codes of every subcommand (DESIGN: "Command line"). */
#ifndef SALLYPORT_CLI_EXIT_H
#define SALLYPORT_CLI_EXIT_H

#include "base/error.h"

enum exit_code {
    EXIT_DONE = 0,   /* done, a drained stop included */
    EXIT_FAILED = 1, /* it failed */
    EXIT_USAGE = 2,  /* the command line or the configuration is wrong */
};

/* Prints the error as this program's last word, and picks the code: usage for a wrong
 * configuration. */
int exit_with(const struct error *err);

/* Says what is wrong with the command line of `sallyport COMMAND`, and where its help is. Returns
 * EXIT_USAGE. */
int exit_usage(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);

#endif

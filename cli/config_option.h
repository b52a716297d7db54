/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of subcommands that take a configuration file and nothing else. */
#ifndef SALLYPORT_CLI_CONFIG_OPTION_H
#define SALLYPORT_CLI_CONFIG_OPTION_H

#include <stdbool.h>

/*
 * Reads `-c FILE`, `--config FILE` or `--help`. True with *file set: go on. False: *code is the
 * exit code, and what was to be said has been said.
 */
bool config_option(int argc, char **argv, const char *usage, const char **file, int *code);

#endif

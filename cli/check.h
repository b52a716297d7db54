/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport check`. argv[0] is the subcommand's name; returns the exit code. */
#ifndef SALLYPORT_CLI_CHECK_H
#define SALLYPORT_CLI_CHECK_H

int cli_check(int argc, char **argv);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport version`. argv[0] is the subcommand's name; returns the exit code. */
#ifndef SALLYPORT_CLI_VERSION_H
#define SALLYPORT_CLI_VERSION_H

int cli_version(int argc, char **argv);

#endif

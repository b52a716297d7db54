/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport db check`. argv[0] is the subcommand's name; returns the exit code. */
#ifndef SALLYPORT_CLI_DB_H
#define SALLYPORT_CLI_DB_H

int cli_db(int argc, char **argv);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport bot VERB`: who may join, with which roles, and where they run. argv[0] is the
 * subcommand's name; returns the exit code. */
#ifndef SALLYPORT_CLI_BOT_H
#define SALLYPORT_CLI_BOT_H

int cli_bot(int argc, char **argv);

#endif

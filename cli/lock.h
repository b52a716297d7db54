/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport lock VERB`: who and what is locked out, why, and until when. argv[0] is
 * the subcommand's name; returns the exit code. */
#ifndef SALLYPORT_CLI_LOCK_H
#define SALLYPORT_CLI_LOCK_H

int cli_lock(int argc, char **argv);

#endif

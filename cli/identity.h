/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport identity`: identity files for other programs. docs/identity.md is its guide. */
#ifndef SALLYPORT_CLI_IDENTITY_H
#define SALLYPORT_CLI_IDENTITY_H

/* argv[0] is the subcommand's name. Runs until a signal stops it, or with --once until the files
 * are as they should be; returns the exit code: 0 done, 1 it failed, 2 usage or configuration. */
int cli_identity(int argc, char **argv);

#endif

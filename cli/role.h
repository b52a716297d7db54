/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport role VERB`: roles, databases and mappings of a running authority. argv[0] is
 * the subcommand's name; returns the exit code. */
#ifndef SALLYPORT_CLI_ROLE_H
#define SALLYPORT_CLI_ROLE_H

int cli_role(int argc, char **argv);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport ca VERB`: the four certificate authorities, and certificates for databases. argv[0] is
 * the subcommand's name; returns the exit code. */
#ifndef SALLYPORT_CLI_CA_H
#define SALLYPORT_CLI_CA_H

int cli_ca(int argc, char **argv);

#endif

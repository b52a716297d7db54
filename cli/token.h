/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport token VERB`: join tokens, for further instances of a bot and for proxies. argv[0] is
 * the subcommand's name; returns the exit code. */
#ifndef SALLYPORT_CLI_TOKEN_H
#define SALLYPORT_CLI_TOKEN_H

int cli_token(int argc, char **argv);

#endif

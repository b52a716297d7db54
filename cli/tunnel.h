/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport tunnel`: the bot's side. docs/tunnel.md is its guide. */
#ifndef SALLYPORT_CLI_TUNNEL_H
#define SALLYPORT_CLI_TUNNEL_H

/* argv[0] is the subcommand's name. Runs until a signal stops it; returns the exit code: 0 stopped
 * in order, 1 it failed, 2 usage or configuration. */
int cli_tunnel(int argc, char **argv);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport serve`. argv[0] is the subcommand's name; returns the exit code. */
#ifndef SALLYPORT_CLI_SERVE_H
#define SALLYPORT_CLI_SERVE_H

int cli_serve(int argc, char **argv);

#endif

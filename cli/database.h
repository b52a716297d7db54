/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport database` and `sallyport mapping`: what `role apply` brings besides roles. */
#ifndef SALLYPORT_CLI_DATABASE_H
#define SALLYPORT_CLI_DATABASE_H

int cli_database(int argc, char **argv);
int cli_mapping(int argc, char **argv);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport instance`: the places where bots run. */
#ifndef SALLYPORT_CLI_INSTANCE_H
#define SALLYPORT_CLI_INSTANCE_H

#include "cli/admin.h"

int cli_instance(int argc, char **argv);

/* The verb that lists those of one bot (the argument), or of all. */
int instance_list(struct admin *admin);
/* A table of them; `with_bot`: with the column that says whose they are. Returns an exit code. */
int instance_print(const struct admin *admin, const cJSON *instances, bool with_bot);

#endif

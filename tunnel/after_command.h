/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command that runs after each renewal, so that another program takes the new files: its
 * arguments as they are (no shell), SALLYPORT_IDENTITY with the directory in its environment,
 * standard output and error of this process, nothing on standard input. One at a time: a renewal
 * that comes while it runs has it run once more afterwards. After AFTER_COMMAND_MS it is killed.
 * How it ends is logged, and stops nothing.
 */
#ifndef SALLYPORT_TUNNEL_AFTER_COMMAND_H
#define SALLYPORT_TUNNEL_AFTER_COMMAND_H

#include <stdbool.h>
#include <uv.h>

#include "base/config.h"
#include "base/error.h"

#define AFTER_COMMAND_MS       60000
#define AFTER_COMMAND_VARIABLE "SALLYPORT_IDENTITY"

struct after_command;

struct after_command_settings {
    struct config_strings command; /* copied */
    const char *directory;         /* copied */
    int64_t limit_ms;              /* 0: AFTER_COMMAND_MS */
};

/* `ended` (NULL allowed) comes when a run that was asked for is over and no other is to follow. */
bool after_command_create(uv_loop_t *loop, const struct after_command_settings *settings,
                          void (*ended)(void *owner, bool succeeded), void *owner,
                          struct after_command **out, struct error *err) MUST_USE;

/* Has it run, now or once more after the run that is going on. */
void after_command_run(struct after_command *after);

/* What runs is killed; the memory goes in the loop. NULL allowed. */
void after_command_destroy(struct after_command *after);

#endif

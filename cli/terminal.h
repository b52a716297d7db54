/* SPDX-License-Identifier: Apache-2.0 */
/* What standard output is, for the commands that print tables. */
#ifndef SALLYPORT_CLI_TERMINAL_H
#define SALLYPORT_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

struct terminal {
    size_t width; /* columns; 0: no terminal, or one that does not say */
    bool colour;
};

/* The terminal on standard output; all zero when there is none. Colours are off with NO_COLOR. */
struct terminal terminal_read(void);

/* Reads the value of --output: "table" or "json"; NULL stands for a table on a terminal and JSON
 * elsewhere. `command` is named in the message. Returns an exit code (cli/exit.h). */
int terminal_output(const char *command, const char *given, bool *json);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/exit.h"

#define TERMINAL_WIDTH_MAX 10000

struct terminal terminal_read(void)
{
    struct terminal terminal = {0};
    struct winsize size = {0};
    const char *no_colour = getenv("NO_COLOR");
    const char *columns = getenv("COLUMNS");
    if (!isatty(STDOUT_FILENO))
        return terminal;
    terminal.colour = !(no_colour && no_colour[0]);
    /* COLUMNS is what shells tell of a terminal that does not know its own. */
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        terminal.width = size.ws_col;
    else if (columns && strtoul(columns, NULL, 10) <= TERMINAL_WIDTH_MAX)
        terminal.width = strtoul(columns, NULL, 10);
    return terminal;
}

int terminal_output(const char *command, const char *given, bool *json)
{
    *json = given ? strcmp(given, "json") == 0 : !isatty(STDOUT_FILENO);
    if (given && !*json && strcmp(given, "table") != 0)
        return exit_usage(command, "--output: \"%s\" is neither table nor json", given);
    return EXIT_DONE;
}

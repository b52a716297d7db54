/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/serve.h"

#include "cli/config_option.h"
#include "cli/exit.h"
#include "proxy/server.h"

static const char usage[] =
    "usage: sallyport serve -c FILE\n"
    "\n"
    "Runs what FILE configures (docs/configuration.md), in the foreground: the proxy, the "
    "authority,\n"
    "or both.\n"
    "\n"
    "  -c, --config FILE  configuration, JSON that may hold comments\n"
    "  -h, --help         this text\n"
    "\n"
    "Signals: SIGHUP reads FILE and everything it names again, and changes nothing if anything is "
    "wrong;\n"
    "SIGTERM and SIGINT drain: running commands finish, new sessions are refused; a second one "
    "ends all.\n";

int cli_serve(int argc, char **argv)
{
    const char *file;
    int code;
    struct error err = {0};
    if (!config_option(argc, argv, usage, &file, &code))
        return code;
    return server_run(file, &err) ? EXIT_DONE : exit_with(&err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/config_option.h"
#include "cli/exit.h"
#include "proxy/keeper.h"
#include "proxy/snapshot.h"

static const char usage[] = "usage: sallyport check -c FILE\n"
                            "\n"
                            "Reads a configuration of `sallyport serve` and everything that it "
                            "names, and says what is wrong\n"
                            "as FILE:LINE:COL: message. Opens no port and changes nothing.\n"
                            "\n"
                            "  -c, --config FILE  configuration, JSON that may hold comments\n"
                            "  -h, --help         this text\n";

static void print_summary(const char *file, const struct settings *settings)
{
    printf("%s: good. %zu listener%s, %zu database%s, %zu role%s, %zu mapping%s.\n", file,
           settings->proxy.listener_count, settings->proxy.listener_count == 1 ? "" : "s",
           settings->database_count, settings->database_count == 1 ? "" : "s", settings->role_count,
           settings->role_count == 1 ? "" : "s", settings->mapping_count,
           settings->mapping_count == 1 ? "" : "s");
}

/* A proxy whose authority is elsewhere needs a certificate, or what gets it one. */
static bool can_join(const struct snapshot *snapshot, struct error *err)
{
    const struct proxy_settings *proxy = &snapshot->settings.proxy;
    return !proxy->has_authority || keeper_check(snapshot->config, proxy->name, &proxy->authority,
                                                 getenv(JOIN_TOKEN_VARIABLE) != NULL, err);
}

int cli_check(int argc, char **argv)
{
    const char *file;
    int code;
    struct snapshot *snapshot;
    struct error err = {0};
    if (!config_option(argc, argv, usage, &file, &code))
        return code;
    if (!snapshot_create(file, NULL, &snapshot, &err))
        return exit_with(&err);
    bool good = can_join(snapshot, &err);
    if (good)
        print_summary(file, &snapshot->settings);
    snapshot_unref(snapshot);
    return good ? EXIT_DONE : exit_with(&err);
}

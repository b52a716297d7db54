/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "cli/audit.h"
#include "cli/bot.h"
#include "cli/ca.h"
#include "cli/check.h"
#include "cli/database.h"
#include "cli/db.h"
#include "cli/exit.h"
#include "cli/identity.h"
#include "cli/instance.h"
#include "cli/lock.h"
#include "cli/proxy.h"
#include "cli/role.h"
#include "cli/serve.h"
#include "cli/token.h"
#include "cli/tunnel.h"
#include "cli/version.h"

static const struct subcommand {
    const char *name;
    int (*run)(int argc, char **argv);
} subcommands[] = {
    {"serve", cli_serve},
    {"tunnel", cli_tunnel},
    {"check", cli_check},
    {"db", cli_db},
    {"audit", cli_audit},
    {"version", cli_version},
    {"bot", cli_bot},
    {"token", cli_token},
    {"role", cli_role},
    {"lock", cli_lock},
    {"ca", cli_ca},
    {"identity", cli_identity},
    {"proxy", cli_proxy},
    {"instance", cli_instance},
    {"database", cli_database},
    {"mapping", cli_mapping},
};

static const char usage[] =
    "usage: sallyport COMMAND [OPTION…]\n"
    "\n"
    "Gives every bot an identity of its own on the way to MySQL and "
    "MariaDB, and records every query.\n"
    "\n"
    "  serve    run the proxy, the authority or both, as a configuration file says\n"
    "  tunnel   the bot's side: local ports that lead to a database\n"
    "  identity the bot's side: certificate files for other programs\n"
    "  check    validate a configuration file\n"
    "  db       log in to the databases as the proxy would, and say what is wrong\n"
    "  audit    read the audit log\n"
    "  version  print the version\n"
    "\n"
    "Administer a running authority:\n"
    "  bot      who may join, and with which roles\n"
    "  instance where bots run\n"
    "  proxy    the proxies that have joined\n"
    "  token    join tokens for bots and proxies\n"
    "  role     roles; brings databases and mappings, too\n"
    "  database the databases that all proxies are told of\n"
    "  mapping  which certificates of other CAs hold which roles\n"
    "  lock     who and what is locked out\n"
    "  ca       certificate authorities, and certificates for databases\n"
    "\n"
    "`sallyport COMMAND --help` says more. Exit codes: 0 done, 1 it "
    "failed, 2 usage or configuration.\n";

#define SUBCOMMANDS (sizeof subcommands / sizeof *subcommands)

static int unknown(const char *name)
{
    struct suggestion nearest = suggestion_for(name);
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        suggestion_try(&nearest, subcommands[i].name);
    fprintf(stderr, "sallyport: there is no command \"%s\"", name);
    if (nearest.name)
        fprintf(stderr, ": did you mean \"%s\"?", nearest.name);
    fprintf(stderr, "\nRun `sallyport --help` for the list.\n");
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0)
        return cli_version(1, argv + 1);
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return subcommands[i].run(argc - 1, argv + 1);
    return unknown(argv[1]);
}

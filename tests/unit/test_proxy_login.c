/* SPDX-License-Identifier: Apache-2.0 */
/* From the first byte to the command phase: what each side may do wrong, state by state. */
#include <criterion/criterion.h>
#include <string.h>

#include "protocol/command.h"
#include "tests/unit/proxy_support.h"

TestSuite(proxy_login, .fini = files_remove);

static struct stage stage;

static void open_stage(const char *limits)
{
    const struct stage_options options = {.limits = limits};
    stage_open(&stage, &options);
}

/* Up to the client's login: greeted. */
static void open_to_login(const char *limits, struct peer **client, struct peer **database)
{
    open_stage(limits);
    *client = stage_client(&stage, "ci-1");
    *database = stage_database(&stage);
    peer_greet(*database);
    peer_read_greeting(*client);
}

Test(proxy_login, works)
{
    struct peer *client, *database;
    open_stage(NULL);
    stage_ready(&stage, &client, &database);
    stage_ping(client, database);
    peer_command(client, COMMAND_QUIT, "");
    peer_gone(client);
    peer_gone(database);
    cr_assert(database->quit);
    stage_close(&stage);
    expect_closing("session.end", "client_quit", "");
}

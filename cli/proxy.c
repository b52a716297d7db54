/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/proxy.h"

#include <inttypes.h>

#include "cli/admin.h"

/* clang-format off: the lines are those of a terminal of 80 columns. */
static const char usage[] =
    "usage: sallyport proxy ls\n"
    "       sallyport proxy rm NAME\n"
    "\n"
    "The proxies that have joined the authority. (`sallyport token add --proxy NAME`\n"
    "lets one join; a proxy in the authority's own process needs no token.)\n"
    "\n"
    "  ls           the proxies, whether each is connected, and until when its\n"
    "               certificate is good\n"
    "  rm           removes one: the authority tells it nothing more, and gives it\n"
    "               no certificates. It may join again with a new token\n"
    "\n"
    "To shut one out for a while: sallyport lock add --proxy NAME\n"
    "\n" ADMIN_USAGE_COMMON "Examples:\n"
    "  sallyport proxy ls\n"
    "  sallyport proxy rm proxy-2\n"
    "\n" ADMIN_USAGE_CODES;
/* clang-format on */

static void add_state(struct admin_table *table, const cJSON *proxy)
{
    if (*admin_text(proxy, "lock"))
        admin_table_cellf(table, ADMIN_BAD, "locked: %s", admin_text(proxy, "lock"));
    else if (admin_true(proxy, "connected"))
        admin_table_cell(table, ADMIN_GOOD, "connected");
    else
        admin_table_cell(table, ADMIN_WARNING, "away");
}

static void add_row(const struct admin *admin, struct admin_table *table, const cJSON *proxy)
{
    char text[ADMIN_TEXT_MAX];
    char when[ADMIN_WHEN_SIZE];
    int64_t until = admin_time(proxy, "not_after");
    admin_table_cell(table, ADMIN_PLAIN, admin_text(proxy, "name"));
    add_state(table, proxy);
    admin_table_cell(table, until <= admin->now_us ? ADMIN_WARNING : ADMIN_PLAIN,
                     admin_when(until, admin->now_us, when));
    admin_table_cellf(table, ADMIN_PLAIN, "%" PRIu64, admin_number(proxy, "generation"));
    admin_table_cell(table, ADMIN_DIM, admin_texts(proxy, "names", text, sizeof text));
}

static int print_proxies(const struct admin *admin, const cJSON *proxies)
{
    static const struct admin_column columns[] = {
        {.heading = "PROXY", .least = 8},    {.heading = "STATE", .least = 9},
        {.heading = "VALID UNTIL"},          {.heading = "GENERATION", .right = true},
        {.heading = "KNOWN AS", .least = 8},
    };
    struct admin_table table;
    const cJSON *proxy;
    admin_table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(proxy, proxies)
    {
        add_row(admin, &table, proxy);
    }
    return admin_print_table(admin, &table);
}

static int list(struct admin *admin)
{
    static const struct admin_listing proxies = {
        "proxy_list", "proxies",
        "No proxy has joined yet: `sallyport token add --proxy NAME` makes a token for one.",
        print_proxies};
    return admin_list(admin, &proxies);
}

static int removed(struct admin *admin)
{
    cJSON *answer;
    int code = admin_ask_argument(admin, "proxy_remove", "name", &answer);
    if (code != EXIT_DONE)
        return code;
    control_free(answer);
    if (!admin->json)
        admin_say(admin, ADMIN_GOOD,
                  "The proxy %s is removed: it hears nothing more, and gets no certificates. Stop "
                  "it, or it goes on with what it knows for as long as its configuration says.",
                  admin->argument);
    return admin_finish();
}

int cli_proxy(int argc, char **argv)
{
    static const struct admin_verb verbs[] = {
        {.name = "ls", .run = list},
        {.name = "rm", .argument = "NAME", .run = removed},
    };
    static const struct admin_command command = {
        .name = "proxy",
        .usage = usage,
        .verbs = verbs,
        .verb_count = sizeof verbs / sizeof *verbs,
    };
    return admin_main(&command, argc, argv);
}

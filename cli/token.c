/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/token.h"

#include <string.h>

#include "cli/admin.h"
#include "cli/admin_token.h"

/* clang-format off: the lines are those of a terminal of 80 columns. */
static const char usage[] =
    "usage: sallyport token add (--bot NAME | --proxy NAME) [OPTION...]\n"
    "       sallyport token ls\n"
    "       sallyport token rm ID\n"
    "\n"
    "Join tokens. A token lets one instance of a bot, or one proxy, join once; then\n"
    "it is used up. The authority keeps only its hash: a token is shown once, when\n"
    "it is made.\n"
    "\n"
    "  add          makes a token, and prints what to do with it\n"
    "  ls           the tokens: for whom, until when, and whether they were used\n"
    "  rm           removes a token: nobody can join with it; who has joined stays\n"
    "\n"
    "      --bot NAME            for another instance of this bot\n"
    "      --proxy NAME          for this proxy, which need not be known yet\n"
    "      --ttl TIME            how long it is good: 1h by default, at most 7d\n"
    "      --token-file FILE     write it here (mode 0600); do not show it\n"
    "\n" ADMIN_USAGE_COMMON "Examples:\n"
    "  sallyport token add --bot ci-1\n"
    "  sallyport token add --proxy proxy-2 --ttl 10m --token-file proxy-2.token\n"
    "  sallyport token ls -o json | jq 'select(.used == null)'\n"
    "\n" ADMIN_USAGE_CODES;
/* clang-format on */

enum token_option { OPTION_BOT, OPTION_PROXY, OPTION_TTL, OPTION_TOKEN_FILE, OPTION_COUNT };

static const struct admin_option options[OPTION_COUNT] = {
    [OPTION_BOT] = {.name = "bot"},
    [OPTION_PROXY] = {.name = "proxy"},
    [OPTION_TTL] = {.name = "ttl"},
    [OPTION_TOKEN_FILE] = {.name = "token-file"},
};

static int ask_add(const struct admin *admin, const struct admin_join *join, cJSON **answer)
{
    const char *ttl = admin_value(admin, OPTION_TTL);
    cJSON *request = control_request("token_add");
    bool built = request &&
                 control_put_text(request, join->is_proxy ? "proxy" : "bot", join->name) &&
                 (!ttl || control_put_text(request, "ttl", ttl));
    return admin_ask(admin, request, built, answer);
}

static int add(struct admin *admin)
{
    const char *bot = admin_value(admin, OPTION_BOT);
    const char *proxy = admin_value(admin, OPTION_PROXY);
    struct admin_join join = {
        .name = bot ? bot : proxy,
        .is_proxy = proxy != NULL,
        .token_file = admin_value(admin, OPTION_TOKEN_FILE),
    };
    cJSON *answer;
    if (!bot == !proxy)
        return admin_usage(admin, "say whom it is for, with either --bot or --proxy");
    int code = admin_check_duration(admin, OPTION_TTL);
    if (code == EXIT_DONE)
        code = admin_join_begin(&join);
    if (code != EXIT_DONE)
        return code;
    code = ask_add(admin, &join, &answer);
    if (code != EXIT_DONE) {
        admin_join_abandon(&join);
        return code;
    }
    if (!admin->json)
        admin_say(admin, ADMIN_GOOD, "The %s %s may join once with the token %s.",
                  join.is_proxy ? "proxy" : "bot", join.name, admin_text(answer, "token_id"));
    code = admin_join_show(admin, &join, answer);
    control_free(answer);
    return code;
}

/* A token is good, was used, or is past its time. */
static void add_state(const struct admin *admin, struct admin_table *table, const cJSON *token)
{
    char when[ADMIN_WHEN_SIZE];
    int64_t used = admin_time(token, "used");
    const char *by = admin_text(token, "used_by");
    if (used != 0)
        admin_table_cellf(table, ADMIN_DIM, "used %s%s%s", admin_when(used, admin->now_us, when),
                          *by ? " by " : "", by);
    else if (*admin_text(token, "lock"))
        admin_table_cellf(table, ADMIN_BAD, "locked: %s", admin_text(token, "lock"));
    else if (admin_time(token, "expires") <= admin->now_us)
        admin_table_cell(table, ADMIN_WARNING, "expired");
    else
        admin_table_cell(table, ADMIN_GOOD, "good");
}

static void add_row(const struct admin *admin, struct admin_table *table, const cJSON *token)
{
    char when[ADMIN_WHEN_SIZE];
    admin_table_cell(table, ADMIN_PLAIN, admin_text(token, "id"));
    admin_table_cell(table, ADMIN_PLAIN, admin_text(token, "kind"));
    admin_table_cell(table, ADMIN_PLAIN, admin_text(token, "name"));
    admin_table_cell(table, ADMIN_PLAIN,
                     admin_when(admin_time(token, "expires"), admin->now_us, when));
    add_state(admin, table, token);
    admin_table_cell(table, ADMIN_DIM,
                     admin_when(admin_time(token, "created"), admin->now_us, when));
    admin_table_cell(table, ADMIN_DIM, admin_text(token, "created_by"));
}

static int print_tokens(const struct admin *admin, const cJSON *tokens)
{
    static const struct admin_column columns[] = {
        {.heading = "TOKEN"},
        {.heading = "FOR"},
        {.heading = "NAME", .least = 8},
        {.heading = "EXPIRES"},
        {.heading = "STATE", .least = 9},
        {.heading = "MADE"},
        {.heading = "BY", .optional = true, .least = 5},
    };
    struct admin_table table;
    const cJSON *token;
    admin_table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(token, tokens)
    {
        add_row(admin, &table, token);
    }
    return admin_print_table(admin, &table);
}

static int list(struct admin *admin)
{
    cJSON *answer;
    const cJSON *tokens;
    int code = admin_ask_plain(admin, "token_list", &answer);
    if (code != EXIT_DONE)
        return code;
    if (!admin_need(answer, "tokens", &tokens))
        code = EXIT_FAILED;
    else if (admin->json)
        code = admin_print_json_each(tokens);
    else if (!tokens->child)
        admin_say(admin, ADMIN_PLAIN, "There are no tokens.");
    else
        code = print_tokens(admin, tokens);
    control_free(answer);
    return code;
}

static int removed(struct admin *admin)
{
    cJSON *answer;
    int code = admin_ask_argument(admin, "token_remove", "token", &answer);
    if (code != EXIT_DONE)
        return code;
    control_free(answer);
    if (!admin->json)
        admin_say(admin, ADMIN_GOOD, "The token %s is no more.", admin->argument);
    return admin_finish();
}

#define TAKES_ADD                                                                    \
    (ADMIN_TAKES(OPTION_BOT) | ADMIN_TAKES(OPTION_PROXY) | ADMIN_TAKES(OPTION_TTL) | \
     ADMIN_TAKES(OPTION_TOKEN_FILE))

static const struct admin_verb verbs[] = {
    {.name = "add", .takes = TAKES_ADD, .run = add},
    {.name = "ls", .run = list},
    {.name = "rm", .argument = "ID", .run = removed},
};

int cli_token(int argc, char **argv)
{
    static const struct admin_command command = {
        .name = "token",
        .usage = usage,
        .options = options,
        .option_count = OPTION_COUNT,
        .verbs = verbs,
        .verb_count = sizeof verbs / sizeof *verbs,
    };
    return admin_main(&command, argc, argv);
}

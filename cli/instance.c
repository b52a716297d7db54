/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/instance.h"

#include <inttypes.h>

/* clang-format off: the lines are those of a terminal of 80 columns. */
static const char usage[] =
    "usage: sallyport instance ls [BOT]\n"
    "       sallyport instance rm ID\n"
    "\n"
    "The places where bots run. Each has joined once, and renews its certificate by\n"
    "itself since.\n"
    "\n"
    "  ls           the instances of a bot, or of all, and until when each is good\n"
    "  rm           removes one: its sessions end within a second, and its\n"
    "               certificate is void. The bot may join there again with a new\n"
    "               token: sallyport token add --bot NAME\n"
    "\n"
    "To shut one out for a while: sallyport lock add --instance ID\n"
    "\n" ADMIN_USAGE_COMMON "Examples:\n"
    "  sallyport instance ls ci-1\n"
    "  sallyport instance rm 77f3ac1be2e07a1a9bf1a4e3eb1ed3a5\n"
    "\n" ADMIN_USAGE_CODES;
/* clang-format on */

static void add_instance_row(const struct admin *admin, struct admin_table *table,
                             const cJSON *instance, bool with_bot)
{
    char when[ADMIN_WHEN_SIZE];
    int64_t until = admin_time(instance, "not_after");
    bool lapsed = until <= admin->now_us;
    bool is_locked = *admin_text(instance, "lock");
    if (with_bot)
        admin_table_cell(table, ADMIN_PLAIN, admin_text(instance, "bot"));
    admin_table_cell(table, is_locked ? ADMIN_BAD : ADMIN_PLAIN, admin_text(instance, "id"));
    admin_table_cell(table, lapsed ? ADMIN_WARNING : ADMIN_PLAIN,
                     admin_when(until, admin->now_us, when));
    admin_table_cellf(table, ADMIN_PLAIN, "%" PRIu64, admin_number(instance, "generation"));
    admin_table_cell(table, ADMIN_DIM,
                     admin_when(admin_time(instance, "seen"), admin->now_us, when));
    admin_table_cell(table, ADMIN_BAD, admin_text(instance, "lock"));
}

int instance_print(const struct admin *admin, const cJSON *instances, bool with_bot)
{
    static const struct admin_column columns[] = {
        {.heading = "BOT", .least = 8}, {.heading = "INSTANCE"},
        {.heading = "VALID UNTIL"},     {.heading = "GENERATION", .right = true},
        {.heading = "LAST SEEN"},       {.heading = "LOCKED", .optional = true, .least = 6},
    };
    const size_t left_out = with_bot ? 0 : 1;
    struct admin_table table;
    const cJSON *instance;
    admin_table_init(&table, columns + left_out, sizeof columns / sizeof *columns - left_out);
    cJSON_ArrayForEach(instance, instances)
    {
        add_instance_row(admin, &table, instance, with_bot);
    }
    return admin_print_table(admin, &table);
}

static int print_all(const struct admin *admin, const cJSON *instances)
{
    return instance_print(admin, instances, admin->argument == NULL);
}

int instance_list(struct admin *admin)
{
    static const struct admin_listing instances = {
        "instance_list", "instances",
        "None has joined yet: `sallyport token add --bot NAME` makes a token for one.", print_all};
    cJSON *answer;
    if (!admin->argument)
        return admin_list(admin, &instances);
    int code = admin_ask_argument(admin, instances.request, "bot", &answer);
    return code == EXIT_DONE ? admin_list_answer(admin, &instances, answer) : code;
}

static int removed(struct admin *admin)
{
    cJSON *answer;
    int code = admin_ask_argument(admin, "instance_remove", "instance", &answer);
    if (code != EXIT_DONE)
        return code;
    if (!admin->json) {
        admin_say(admin, ADMIN_GOOD,
                  "That instance of the bot %s is removed: its sessions end, its certificate is "
                  "void.",
                  admin_text(answer, "bot"));
        admin_say(admin, ADMIN_PLAIN, "To let it join again: sallyport token add --bot %s",
                  admin_text(answer, "bot"));
    }
    control_free(answer);
    return admin_finish();
}

int cli_instance(int argc, char **argv)
{
    static const struct admin_verb verbs[] = {
        {.name = "ls", .argument = "BOT", .may_lack = true, .run = instance_list},
        {.name = "rm", .argument = "ID", .run = removed},
    };
    static const struct admin_command command = {
        .name = "instance",
        .usage = usage,
        .verbs = verbs,
        .verb_count = sizeof verbs / sizeof *verbs,
    };
    return admin_main(&command, argc, argv);
}

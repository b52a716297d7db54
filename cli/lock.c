/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/lock.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/admin.h"

/* clang-format off: the lines are those of a terminal of 80 columns. */
static const char usage[] =
    "usage: sallyport lock add WHAT --reason TEXT [--ttl TIME]\n"
    "       sallyport lock ls\n"
    "       sallyport lock rm ID\n"
    "\n"
    "Locks hold within a second, on every proxy: running sessions end with an error\n"
    "that gives the reason, new ones and renewals are refused.\n"
    "\n"
    "  add          locks one thing; WHAT is one of these:\n"
    "      --bot NAME            a bot, wherever it runs\n"
    "      --other-ca            with --bot: its certificates come from another CA;\n"
    "                            NAME as the audit log has it, the CN or a URI\n"
    "      --instance ID         one place where a bot runs (`instance ls`)\n"
    "      --role NAME           a role, for everybody who has it\n"
    "      --database NAME       a database, for everybody\n"
    "      --token ID            a join token, and who has joined by it\n"
    "      --proxy NAME          a proxy: it gets no more certificates\n"
    "\n"
    "      --reason TEXT         why, in up to 200 characters. Whoever is locked out\n"
    "                            is told, so no secrets\n"
    "      --ttl TIME            for how long: 30m, 12h, 7d; without it, until\n"
    "                            somebody takes it away\n"
    "\n"
    "  ls           the locks that hold\n"
    "  rm           takes a lock away\n"
    "\n" ADMIN_USAGE_COMMON "Examples:\n"
    "  sallyport lock add --bot ci-1 --reason 'leaked into a build log, INC-42'\n"
    "  sallyport lock add --database shop --ttl 30m --reason 'restore under way'\n"
    "  sallyport lock add --bot spiffe://acme.example/sa/web --other-ca --reason x\n"
    "  sallyport lock ls\n"
    "\n" ADMIN_USAGE_CODES;
/* clang-format on */

/* The kinds come first, under the names that the protocol has for them. */
enum lock_option {
    OPTION_BOT,
    OPTION_INSTANCE,
    OPTION_ROLE,
    OPTION_DATABASE,
    OPTION_TOKEN,
    OPTION_PROXY,
    OPTION_KINDS,
    OPTION_TTL = OPTION_KINDS,
    OPTION_REASON,
    OPTION_OTHER_CA,
    OPTION_COUNT,
};

static const struct admin_option options[OPTION_COUNT] = {
    [OPTION_BOT] = {.name = "bot"},
    [OPTION_INSTANCE] = {.name = "instance"},
    [OPTION_ROLE] = {.name = "role"},
    [OPTION_DATABASE] = {.name = "database"},
    [OPTION_TOKEN] = {.name = "token"},
    [OPTION_PROXY] = {.name = "proxy"},
    [OPTION_TTL] = {.name = "ttl"},
    [OPTION_REASON] = {.name = "reason"},
    [OPTION_OTHER_CA] = {.name = "other-ca", .flag = true},
};

static int check_add(const struct admin *admin, enum lock_option *kind)
{
    size_t given = 0;
    for (size_t i = 0; i < OPTION_KINDS; i++) {
        if (!admin_given(admin, i))
            continue;
        given++;
        *kind = (enum lock_option)i;
    }
    if (given != 1)
        return admin_usage(admin,
                           "%s: one of --bot, --instance, --role, --database, --token and "
                           "--proxy",
                           given == 0 ? "say what to lock" : "lock one thing at a time");
    if (admin_given(admin, OPTION_OTHER_CA) && *kind != OPTION_BOT)
        return admin_usage(admin, "--other-ca goes with --bot alone");
    if (!admin_given(admin, OPTION_REASON))
        return admin_usage(admin, "say why, with --reason: whoever is locked out is told");
    return admin_check_duration(admin, OPTION_TTL);
}

static void say_locked(const struct admin *admin, const char *kind, const char *target,
                       const cJSON *answer)
{
    char time[CLOCK_TIME_SIZE];
    char when[ADMIN_WHEN_SIZE];
    int64_t until = admin_time(answer, "expires");
    clock_format(until, time);
    if (until != 0)
        admin_say(admin, ADMIN_GOOD, "The %s %s is locked until %.10s %.8s UTC (%s).", kind, target,
                  time, time + 11, admin_when(until, admin->now_us, when));
    else
        admin_say(admin, ADMIN_GOOD, "The %s %s is locked until the lock is removed.", kind,
                  target);
    admin_say(admin, ADMIN_PLAIN, "Take it away with: sallyport lock rm %s",
              admin_text(answer, "id"));
}

static int add(struct admin *admin)
{
    cJSON *answer;
    enum lock_option kind = OPTION_BOT;
    int code = check_add(admin, &kind);
    if (code != EXIT_DONE)
        return code;
    const char *ttl = admin_value(admin, OPTION_TTL);
    const char *target = admin_value(admin, kind);
    cJSON *request = control_request("lock_add");
    bool built =
        request && control_put_text(request, "kind", options[kind].name) &&
        control_put_text(request, "target", target) &&
        control_put_text(request, "reason", admin_value(admin, OPTION_REASON)) &&
        (!ttl || control_put_text(request, "ttl", ttl)) &&
        (!admin_given(admin, OPTION_OTHER_CA) || control_put_bool(request, "other_ca", true));
    code = admin_ask(admin, request, built, &answer);
    if (code != EXIT_DONE)
        return code;
    if (admin->json)
        code = admin_print_json(answer);
    else
        say_locked(admin, options[kind].name, target, answer);
    control_free(answer);
    return code == EXIT_DONE ? admin_finish() : code;
}

static void add_row(const struct admin *admin, struct admin_table *table, const cJSON *lock)
{
    char when[ADMIN_WHEN_SIZE];
    admin_table_cell(table, ADMIN_PLAIN, admin_text(lock, "id"));
    admin_table_cell(table, ADMIN_PLAIN, admin_text(lock, "kind"));
    admin_table_cell(table, ADMIN_BAD, admin_text(lock, "target"));
    admin_table_cell(table, ADMIN_PLAIN,
                     admin_when(admin_time(lock, "expires"), admin->now_us, when));
    admin_table_cell(table, ADMIN_PLAIN, admin_text(lock, "reason"));
    admin_table_cell(table, ADMIN_DIM,
                     admin_when(admin_time(lock, "created"), admin->now_us, when));
    admin_table_cell(table, ADMIN_DIM, admin_text(lock, "created_by"));
}

static int print_locks(const struct admin *admin, const cJSON *locks)
{
    static const struct admin_column columns[] = {
        {.heading = "LOCK"},
        {.heading = "ON"},
        {.heading = "NAME", .least = 8},
        {.heading = "ENDS"},
        {.heading = "REASON", .least = 12},
        {.heading = "MADE"},
        {.heading = "BY", .optional = true, .least = 5},
    };
    struct admin_table table;
    const cJSON *lock;
    admin_table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(lock, locks)
    {
        add_row(admin, &table, lock);
    }
    return admin_print_table(admin, &table);
}

static int list(struct admin *admin)
{
    static const struct admin_listing locks = {"lock_list", "locks", "Nothing is locked.",
                                               print_locks};
    return admin_list(admin, &locks);
}

static int removed(struct admin *admin)
{
    cJSON *answer;
    int code = admin_ask_argument(admin, "lock_remove", "lock", &answer);
    if (code != EXIT_DONE)
        return code;
    control_free(answer);
    if (!admin->json)
        admin_say(admin, ADMIN_GOOD, "The lock %s is no more.", admin->argument);
    return admin_finish();
}

static const struct admin_verb verbs[] = {
    {.name = "add", .takes = ADMIN_TAKES(OPTION_COUNT) - 1, .run = add},
    {.name = "ls", .run = list},
    {.name = "rm", .argument = "ID", .run = removed},
};

int cli_lock(int argc, char **argv)
{
    static const struct admin_command command = {
        .name = "lock",
        .usage = usage,
        .options = options,
        .option_count = OPTION_COUNT,
        .verbs = verbs,
        .verb_count = sizeof verbs / sizeof *verbs,
    };
    return admin_main(&command, argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bot.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/admin.h"
#include "cli/admin_token.h"
#include "cli/instance.h"
#include "tls/key.h"
#include "tls/pem.h"

/* clang-format off: the lines are those of a terminal of 80 columns. */
static const char usage[] =
    "usage: sallyport bot add NAME --role ROLE [--role ROLE...] [OPTION...]\n"
    "       sallyport bot ls\n"
    "       sallyport bot show NAME\n"
    "       sallyport bot roles NAME (--role ROLE [--role ROLE...] | --none)\n"
    "       sallyport bot instances [NAME]\n"
    "       sallyport bot rm NAME\n"
    "\n"
    "Administers the bots of a running authority. A bot is a name with roles. Each\n"
    "place where it runs is an instance, which joins once and then renews its\n"
    "certificate by itself.\n"
    "\n"
    "  add          makes a bot, and a join token for its first instance, and prints\n"
    "               what to run on the bot's machine\n"
    "  ls, show     the bots; one bot and its instances\n"
    "  roles        puts these roles in the place of those that it has; running\n"
    "               sessions are judged by them at once\n"
    "  instances    where bots run, and how long their certificates are valid; the\n"
    "               same as `instance ls`\n"
    "  rm           removes a bot: its sessions end, its tokens and certificates\n"
    "               are void\n"
    "\n"
    "      --role ROLE           one of its roles; may be given more than once\n"
    "      --none                no role at all: it may join, and use nothing\n"
    "\n"
    "Only for add:\n"
    "      --token-ttl TIME      how long the token is good: 1h by default\n"
    "      --token-file FILE     write the token here (mode 0600); do not show it\n"
    "      --public-key FILE     no token: the bot proves that it holds the key whose\n"
    "                            public half this is (PEM; P-256 or P-384), and comes\n"
    "                            back by itself even when its certificate has lapsed\n"
    "      --proxy HOST:PORT     to be put into what is printed\n"
    "      --database NAME       likewise\n"
    "\n" ADMIN_USAGE_COMMON "Examples:\n"
    "  sallyport bot add ci-1 --role shop-reader\n"
    "  sallyport bot add ci-1 --role shop-reader --token-file ci-1.token\n"
    "  sallyport bot add ci-2 --role shop-reader --public-key ci-2.pub\n"
    "  sallyport bot roles ci-1 --role shop-reader --role shop-writer\n"
    "  sallyport bot ls -o json | jq -r .name\n"
    "\n" ADMIN_USAGE_CODES;
/* clang-format on */

enum bot_option {
    OPTION_ROLE,
    OPTION_NONE,
    OPTION_TOKEN_TTL,
    OPTION_TOKEN_FILE,
    OPTION_PUBLIC_KEY,
    OPTION_PROXY,
    OPTION_DATABASE,
    OPTION_COUNT,
};

static const struct admin_option options[OPTION_COUNT] = {
    [OPTION_ROLE] = {.name = "role", .many = true}, [OPTION_NONE] = {.name = "none", .flag = true},
    [OPTION_TOKEN_TTL] = {.name = "token-ttl"},     [OPTION_TOKEN_FILE] = {.name = "token-file"},
    [OPTION_PUBLIC_KEY] = {.name = "public-key"},   [OPTION_PROXY] = {.name = "proxy"},
    [OPTION_DATABASE] = {.name = "database"},
};

/* --- add --- */

static int check_roles(const struct admin *admin)
{
    if (admin_given(admin, OPTION_ROLE) && admin_given(admin, OPTION_NONE))
        return admin_usage(admin, "give either --role or --none, not both");
    if (!admin_given(admin, OPTION_ROLE) && !admin_given(admin, OPTION_NONE))
        return admin_usage(admin, "say what it may be: --role ROLE, more than once if need be, or "
                                  "--none");
    return EXIT_DONE;
}

static int check_add(const struct admin *admin)
{
    int code = check_roles(admin);
    if (code != EXIT_DONE)
        return code;
    if (admin_given(admin, OPTION_PUBLIC_KEY) &&
        (admin_given(admin, OPTION_TOKEN_TTL) || admin_given(admin, OPTION_TOKEN_FILE)))
        return admin_usage(admin, "with --public-key there is no token: leave out --token-ttl and "
                                  "--token-file");
    return admin_check_duration(admin, OPTION_TOKEN_TTL);
}

static bool put_key(cJSON *request, const struct pem *pem, struct error *err)
{
    struct tls_public *public;
    if (!tls_public_parse((const char *)pem->bytes, pem->length, &public, err))
        return false;
    tls_public_free(public);
    return control_put_text(request, "public_key", (const char *)pem->bytes) ||
           error_set(err, ERROR_MEMORY, "out of memory");
}

/* A private key must not leave its machine: it is refused here, and not sent. */
static bool add_key(const struct admin *admin, cJSON *request, struct error *err)
{
    struct pem pem;
    const char *file = admin_value(admin, OPTION_PUBLIC_KEY);
    if (!file)
        return true;
    if (!pem_read(file, PEM_FILE, TLS_KEY_PEM_MAX, &pem, err))
        return false;
    bool is_private = strstr((const char *)pem.bytes, "PRIVATE KEY-----") != NULL;
    bool put =
        is_private
            ? error_set(err, ERROR_CONFIG,
                        "%s: this is a private key, which stays where it is; give its public "
                        "half: openssl pkey -in %s -pubout",
                        file, file)
            : put_key(request, &pem, err) || error_wrap(err, "%s", file);
    pem_release(&pem);
    return put;
}

static bool put_roles(const struct admin *admin, cJSON *request)
{
    const struct admin_values *roles = &admin->values[OPTION_ROLE];
    return control_put_texts(request, "roles", roles->items, roles->count);
}

/* *built false: for want of memory. */
static bool make_add(const struct admin *admin, cJSON *request, bool *built, struct error *err)
{
    const char *ttl = admin_value(admin, OPTION_TOKEN_TTL);
    *built = request && control_put_text(request, "name", admin->argument) &&
             put_roles(admin, request) && (!ttl || control_put_text(request, "token_ttl", ttl));
    return !*built || add_key(admin, request, err);
}

/* The name of the private key on the bot's machine, which only its owner knows. */
#define BOUND_KEY_NAME "BOT-KEY-FILE"

static const char *given_roles(const struct admin *admin, char roles[ADMIN_TEXT_MAX])
{
    size_t used = 0;
    const struct admin_values *given = &admin->values[OPTION_ROLE];
    roles[0] = '\0';
    for (size_t i = 0; i < given->count && used < ADMIN_TEXT_MAX / 2; i++)
        used += (size_t)snprintf(roles + used, ADMIN_TEXT_MAX - used, "%s%.256s", i > 0 ? ", " : "",
                                 given->items[i]);
    return roles;
}

static void say_roles(const struct admin *admin)
{
    char roles[ADMIN_TEXT_MAX];
    if (admin->values[OPTION_ROLE].count == 0)
        admin_say(admin, ADMIN_GOOD, "The bot %s has no role now: it may join, and use nothing.",
                  admin->argument);
    else
        admin_say(admin, ADMIN_GOOD, "The bot %s has now: %s.", admin->argument,
                  given_roles(admin, roles));
}

static void say_added(const struct admin *admin)
{
    char roles[ADMIN_TEXT_MAX];
    const struct admin_values *given = &admin->values[OPTION_ROLE];
    if (given->count == 0)
        admin_say(admin, ADMIN_GOOD, "The bot %s is there, without a role.", admin->argument);
    else
        admin_say(admin, ADMIN_GOOD, "The bot %s is there, with the role%s %s.", admin->argument,
                  given->count == 1 ? "" : "s", given_roles(admin, roles));
}

static int ask_add(const struct admin *admin, cJSON **answer)
{
    bool built;
    struct error err = {0};
    cJSON *request = control_request("bot_add");
    *answer = NULL;
    if (make_add(admin, request, &built, &err))
        return admin_ask(admin, request, built, answer);
    control_free(request);
    return exit_with(&err);
}

static int add(struct admin *admin)
{
    struct admin_join join = {
        .name = admin->argument,
        .bound_key = admin_given(admin, OPTION_PUBLIC_KEY) ? BOUND_KEY_NAME : NULL,
        .token_file = admin_value(admin, OPTION_TOKEN_FILE),
        .proxy = admin_value(admin, OPTION_PROXY),
        .database = admin_value(admin, OPTION_DATABASE),
    };
    cJSON *answer;
    int code = check_add(admin);
    if (code != EXIT_DONE)
        return code;
    code = admin_join_begin(&join);
    if (code != EXIT_DONE)
        return code;
    code = ask_add(admin, &answer);
    if (code != EXIT_DONE) {
        admin_join_abandon(&join);
        return code;
    }
    if (!admin->json)
        say_added(admin);
    code = admin_join_show(admin, &join, answer);
    control_free(answer);
    return code;
}

/* --- ls --- */

static const char *joins_by(const cJSON *bot)
{
    bool key = admin_true(bot, "key") || *admin_text(bot, "public_key");
    return key ? "key" : "token";
}

static void add_bot_row(const struct admin *admin, struct admin_table *table, const cJSON *bot)
{
    char roles[ADMIN_TEXT_MAX];
    char when[ADMIN_WHEN_SIZE];
    bool is_locked = *admin_text(bot, "lock");
    admin_table_cell(table, is_locked ? ADMIN_BAD : ADMIN_PLAIN, admin_text(bot, "name"));
    admin_table_cell(table, ADMIN_PLAIN, admin_texts(bot, "roles", roles, sizeof roles));
    admin_table_cellf(table, ADMIN_PLAIN, "%" PRIu64, admin_number(bot, "instances"));
    admin_table_cell(table, ADMIN_PLAIN, joins_by(bot));
    admin_table_cell(table, ADMIN_DIM, admin_when(admin_time(bot, "created"), admin->now_us, when));
    admin_table_cell(table, ADMIN_BAD, admin_text(bot, "lock"));
}

static int print_bots(const struct admin *admin, const cJSON *bots)
{
    static const struct admin_column columns[] = {
        {.heading = "BOT"},
        {.heading = "ROLES", .least = 12},
        {.heading = "INSTANCES", .right = true},
        {.heading = "JOINS BY"},
        {.heading = "CREATED"},
        {.heading = "LOCKED", .optional = true, .least = 8},
    };
    struct admin_table table;
    const cJSON *bot;
    admin_table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(bot, bots)
    {
        add_bot_row(admin, &table, bot);
    }
    return admin_print_table(admin, &table);
}

static int list(struct admin *admin)
{
    static const struct admin_listing bots = {
        "bot_list", "bots",
        "There are no bots yet: `sallyport bot add NAME --role ROLE` makes one.", print_bots};
    return admin_list(admin, &bots);
}

/* --- show --- */

static void print_page(const struct admin *admin, const cJSON *bot, struct byte_writer *out)
{
    char roles[ADMIN_TEXT_MAX];
    char when[ADMIN_WHEN_SIZE];
    const struct terminal *terminal = &admin->terminal;
    const char *lock = admin_text(bot, "lock");
    const char *by = admin_text(bot, "created_by");
    (void)admin_write_text(out, terminal, ADMIN_HEADING, admin_text(bot, "name"));
    if (*lock)
        (void)admin_write_text(out, terminal, ADMIN_BAD, "  LOCKED");
    byte_writer_u8(out, '\n');
    admin_page_row(out, terminal, "locked", ADMIN_BAD, "%s", lock);
    admin_texts(bot, "roles", roles, sizeof roles);
    admin_page_row(out, terminal, "roles", ADMIN_DIM, "%s",
                   *roles ? roles : "none: it may join, and use nothing");
    admin_page_row(out, terminal, "joins by", ADMIN_DIM, "%s", joins_by(bot));
    admin_page_row(out, terminal, "created", ADMIN_DIM, "%s%s%s",
                   admin_when(admin_time(bot, "created"), admin->now_us, when), *by ? " by " : "",
                   by);
}

/* One object: the bot, with its instances in it. */
static int print_whole(cJSON *bot, cJSON *instances)
{
    cJSON *list = cJSON_DetachItemFromObjectCaseSensitive(instances, "instances");
    if (list && !cJSON_AddItemToObject(bot, "instances", list))
        control_free(list);
    return admin_print_json(bot);
}

static int print_bot(const struct admin *admin, cJSON *bot, cJSON *answer)
{
    struct buffer out;
    struct error err = {0};
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(answer, "instances");
    if (admin->json) {
        cJSON_DeleteItemFromObjectCaseSensitive(bot, "instances"); /* only their number */
        return print_whole(bot, answer);
    }
    buffer_init(&out, ADMIN_OUTPUT_MAX);
    struct byte_writer writer = byte_writer(&out);
    print_page(admin, bot, &writer);
    if (cJSON_IsArray(found) && found->child)
        byte_writer_u8(&writer, '\n');
    int code = admin_print(&out, byte_writer_finish(&writer, &err), &err);
    if (code == EXIT_DONE && cJSON_IsArray(found) && found->child)
        code = instance_print(admin, found, false);
    else if (code == EXIT_DONE)
        admin_say(admin, ADMIN_PLAIN, "  No instance has joined yet.");
    return code;
}

static int show(struct admin *admin)
{
    cJSON *answer;
    cJSON *more = NULL;
    const cJSON *bot;
    int code = admin_ask_argument(admin, "bot_show", "name", &answer);
    if (code != EXIT_DONE)
        return code;
    if (!admin_need(answer, "bot", &bot))
        code = EXIT_FAILED;
    if (code == EXIT_DONE)
        code = admin_ask_argument(admin, "instance_list", "bot", &more);
    if (code == EXIT_DONE)
        code = print_bot(admin, cJSON_GetObjectItemCaseSensitive(answer, "bot"), more);
    control_free(more);
    control_free(answer);
    return code;
}

/* --- roles, rm --- */

static int set_roles(struct admin *admin)
{
    cJSON *answer;
    int code = check_roles(admin);
    if (code != EXIT_DONE)
        return code;
    cJSON *request = control_request("bot_roles");
    bool built =
        request && control_put_text(request, "name", admin->argument) && put_roles(admin, request);
    code = admin_ask(admin, request, built, &answer);
    if (code != EXIT_DONE)
        return code;
    control_free(answer);
    if (!admin->json)
        say_roles(admin);
    return admin_finish();
}

static int removed(struct admin *admin)
{
    cJSON *answer;
    int code = admin_ask_argument(admin, "bot_remove", "name", &answer);
    if (code != EXIT_DONE)
        return code;
    control_free(answer);
    if (!admin->json)
        admin_say(admin, ADMIN_GOOD,
                  "The bot %s is no more: its sessions end, its tokens and "
                  "certificates are void.",
                  admin->argument);
    return admin_finish();
}

#define TAKES_ADD                                                                                  \
    (ADMIN_TAKES(OPTION_ROLE) | ADMIN_TAKES(OPTION_NONE) | ADMIN_TAKES(OPTION_TOKEN_TTL) |         \
     ADMIN_TAKES(OPTION_TOKEN_FILE) | ADMIN_TAKES(OPTION_PUBLIC_KEY) | ADMIN_TAKES(OPTION_PROXY) | \
     ADMIN_TAKES(OPTION_DATABASE))
#define TAKES_ROLES (ADMIN_TAKES(OPTION_ROLE) | ADMIN_TAKES(OPTION_NONE))

static const struct admin_verb verbs[] = {
    {.name = "add", .argument = "NAME", .takes = TAKES_ADD, .run = add},
    {.name = "ls", .run = list},
    {.name = "show", .argument = "NAME", .run = show},
    {.name = "roles", .argument = "NAME", .takes = TAKES_ROLES, .run = set_roles},
    {.name = "instances", .argument = "NAME", .may_lack = true, .run = instance_list},
    {.name = "rm", .argument = "NAME", .run = removed},
};

int cli_bot(int argc, char **argv)
{
    static const struct admin_command command = {
        .name = "bot",
        .usage = usage,
        .options = options,
        .option_count = OPTION_COUNT,
        .verbs = verbs,
        .verb_count = sizeof verbs / sizeof *verbs,
    };
    return admin_main(&command, argc, argv);
}

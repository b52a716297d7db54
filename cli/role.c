/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/role.h"

#include <stdio.h>
#include <string.h>

#include "cli/admin.h"
#include "cli/admin_json.h"
#include "cli/role_apply.h"

/* clang-format off: the lines are those of a terminal of 80 columns. */
static const char usage[] =
    "usage: sallyport role apply -f FILE [--prune] [--dry-run]\n"
    "       sallyport role ls\n"
    "       sallyport role show NAME\n"
    "       sallyport role test --bot NAME --database NAME --user USER\n"
    "                           [--schema SCHEMA]\n"
    "       sallyport role rm NAME\n"
    "\n"
    "Roles say what bots may use, databases where that is, and mappings which\n"
    "certificates of other CAs hold which roles. They are written in a file, in the\n"
    "configuration's form, and applied from there. Running sessions are judged by\n"
    "them at once.\n"
    "\n"
    "  apply        adds and changes what the file has: \"roles\", \"databases\" and\n"
    "               \"mappings\"\n"
    "  -f, --file FILE           the file: JSON that may hold comments\n"
    "      --prune               of the kinds that the file has, remove what is not\n"
    "                            in it\n"
    "      --dry-run             say what would change, and change nothing\n"
    "\n"
    "  ls, show     the roles; one role as it would be written in a file (`database`\n"
    "               and `mapping` list the others)\n"
    "  rm           removes a role, and says which bots still name it\n"
    "\n"
    "  test         whether a bot may log in there, and why. It needs no proxy and\n"
    "               no database\n"
    "      --bot NAME            the bot\n"
    "      --database NAME       the database\n"
    "      --user USER           the MySQL account\n"
    "      --schema SCHEMA       with this schema; without it, with none\n"
    "\n" ADMIN_USAGE_COMMON "Examples:\n"
    "  sallyport role apply -f roles.json --dry-run\n"
    "  sallyport role test --bot ci-1 --database shop --user reader --schema shop\n"
    "  sallyport role show shop-reader >shop-reader.json\n"
    "\n"
    "Colours can be turned off with NO_COLOR=1. Exit code: 0 done (test: allowed);\n"
    "1 it failed, or the authority refused it (test: denied); 2 usage, or a mistake\n"
    "in the file, which is named as FILE:LINE:COL.\n";
/* clang-format on */

enum role_option {
    OPTION_FILE,
    OPTION_PRUNE,
    OPTION_DRY_RUN,
    OPTION_BOT,
    OPTION_DATABASE,
    OPTION_USER,
    OPTION_SCHEMA,
    OPTION_COUNT,
};

static const struct admin_option options[OPTION_COUNT] = {
    [OPTION_FILE] = {.name = "file", .letter = 'f'},
    [OPTION_PRUNE] = {.name = "prune", .flag = true},
    [OPTION_DRY_RUN] = {.name = "dry-run", .flag = true},
    [OPTION_BOT] = {.name = "bot"},
    [OPTION_DATABASE] = {.name = "database"},
    [OPTION_USER] = {.name = "user"},
    [OPTION_SCHEMA] = {.name = "schema"},
};

static int apply(struct admin *admin)
{
    const struct role_apply wanted = {
        .file = admin_value(admin, OPTION_FILE),
        .prune = admin_given(admin, OPTION_PRUNE),
        .dry_run = admin_given(admin, OPTION_DRY_RUN),
    };
    if (!wanted.file)
        return admin_usage(admin, "-f FILE is missing: roles, databases and mappings in the form "
                                  "of docs/roles.md");
    return role_apply(admin, &wanted);
}

/* --- ls --- */

/* "env=prod, tier=1": a role may choose databases by labels. */
static const char *labels_of(const cJSON *allow, char *out, size_t size)
{
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(allow, "labels");
    const cJSON *labels = cJSON_IsObject(given) ? given : NULL;
    const cJSON *label;
    char values[ADMIN_TEXT_MAX / 4];
    size_t used = 0;
    out[0] = '\0';
    cJSON_ArrayForEach(label, labels)
    {
        (void)admin_texts(labels, label->string, values, sizeof values);
        int length = snprintf(out + used, size - used, "%s%.128s=%s", used > 0 ? ", " : "",
                              label->string, values);
        if (length < 0 || (size_t)length >= size - used)
            break;
        used += (size_t)length;
    }
    return out;
}

static void add_row(struct admin_table *table, const cJSON *role)
{
    char text[ADMIN_TEXT_MAX];
    const cJSON *allow = cJSON_GetObjectItemCaseSensitive(role, "allow");
    const cJSON *deny = cJSON_GetObjectItemCaseSensitive(role, "deny");
    admin_table_cell(table, ADMIN_PLAIN, admin_text(role, "name"));
    if (!*admin_texts(allow, "databases", text, sizeof text))
        (void)labels_of(allow, text, sizeof text);
    admin_table_cell(table, ADMIN_PLAIN, text);
    admin_table_cell(table, ADMIN_PLAIN, admin_texts(allow, "mysql_users", text, sizeof text));
    admin_table_cell(table, ADMIN_PLAIN, admin_texts(allow, "schemas", text, sizeof text));
    admin_table_cell(table, ADMIN_PLAIN, deny && deny->child ? "some" : "");
    admin_table_cell(table, ADMIN_BAD, admin_text(role, "lock"));
}

static int print_roles(const struct admin *admin, const cJSON *roles)
{
    static const struct admin_column columns[] = {
        {.heading = "ROLE", .least = 12},
        {.heading = "DATABASES", .least = 9},
        {.heading = "MYSQL USERS", .least = 11},
        {.heading = "SCHEMAS", .least = 8},
        {.heading = "DENIES", .optional = true},
        {.heading = "LOCKED", .optional = true, .least = 6},
    };
    struct admin_table table;
    const cJSON *role;
    admin_table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(role, roles)
    {
        add_row(&table, role);
    }
    return admin_print_table(admin, &table);
}

static int list(struct admin *admin)
{
    static const struct admin_listing roles = {
        "role_list", "roles", "There are no roles yet: `sallyport role apply -f FILE` brings them.",
        print_roles};
    return admin_list(admin, &roles);
}

/* --- show, rm --- */

static int show(struct admin *admin)
{
    cJSON *answer;
    const cJSON *role;
    int code = admin_ask_argument(admin, "role_show", "name", &answer);
    if (code != EXIT_DONE)
        return code;
    code = admin_need(answer, "role", &role)
               ? admin_print_document(admin, cJSON_GetObjectItemCaseSensitive(answer, "role"))
               : EXIT_FAILED;
    control_free(answer);
    return code;
}

/* Who still has it may be many. */
static void say_removed(const struct admin *admin, const cJSON *answer)
{
    char bots[ADMIN_TEXT_MAX];
    if (!*admin_texts(answer, "bots", bots, sizeof bots)) {
        admin_say(admin, ADMIN_GOOD, "The role %s is removed. No bot had it.", admin->argument);
        return;
    }
    admin_say(admin, ADMIN_GOOD,
              "The role %s is removed, and gives nothing any more to those that still name it: %s",
              admin->argument, bots);
    admin_say(admin, ADMIN_PLAIN,
              "Give each the roles that it is to have: sallyport bot roles NAME --role ROLE");
}

static int removed(struct admin *admin)
{
    cJSON *answer;
    int code = admin_ask_argument(admin, "role_remove", "name", &answer);
    if (code != EXIT_DONE)
        return code;
    if (admin->json)
        code = admin_print_json(answer);
    else
        say_removed(admin, answer);
    control_free(answer);
    return code == EXIT_DONE ? admin_finish() : code;
}

/* --- test --- */

static int check_test(const struct admin *admin)
{
    static const enum role_option needed[] = {OPTION_BOT, OPTION_DATABASE, OPTION_USER};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!admin_given(admin, needed[i]))
            return admin_usage(admin, "--%s is missing", options[needed[i]].name);
    return EXIT_DONE;
}

static void say_rule(const struct admin *admin, struct byte_writer *out, const cJSON *rule,
                     bool first)
{
    struct buffer line;
    struct error err;
    const char *label = first ? "rules" : "";
    if (cJSON_IsString(rule)) {
        admin_page_row(out, &admin->terminal, label, ADMIN_DIM, "%s", rule->valuestring);
        return;
    }
    buffer_init(&line, ADMIN_TEXT_MAX);
    if (admin_json_line(rule, &line, &err))
        admin_page_row(out, &admin->terminal, label, ADMIN_DIM, "%.*s",
                       (int)buffer_length(&line) - 1, (const char *)buffer_bytes(&line));
    buffer_release(&line);
}

static int print_test(const struct admin *admin, const cJSON *answer)
{
    struct buffer buffer;
    struct error err = {0};
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(answer, "rules");
    const cJSON *rules = cJSON_IsArray(given) ? given : NULL;
    const cJSON *rule;
    bool allowed = admin_true(answer, "allowed");
    const char *schema = admin_value(admin, OPTION_SCHEMA);
    buffer_init(&buffer, ADMIN_OUTPUT_MAX);
    struct byte_writer out = byte_writer(&buffer);
    (void)admin_write_text(&out, &admin->terminal, allowed ? ADMIN_GOOD : ADMIN_BAD,
                           allowed ? "allowed" : "DENIED");
    byte_writer_u8(&out, '\n');
    admin_page_row(&out, &admin->terminal, "who", ADMIN_DIM, "%s", admin_value(admin, OPTION_BOT));
    admin_page_row(&out, &admin->terminal, "what", ADMIN_DIM, "%s as %s, %s%s",
                   admin_value(admin, OPTION_DATABASE), admin_value(admin, OPTION_USER),
                   schema ? "schema " : "no schema", schema ? schema : "");
    admin_page_row(&out, &admin->terminal, "why", ADMIN_DIM, "%s", admin_text(answer, "reason"));
    cJSON_ArrayForEach(rule, rules)
    {
        say_rule(admin, &out, rule, rule == rules->child);
    }
    return admin_print(&buffer, byte_writer_finish(&out, &err), &err);
}

static int test(struct admin *admin)
{
    cJSON *answer;
    int code = check_test(admin);
    if (code != EXIT_DONE)
        return code;
    const char *schema = admin_value(admin, OPTION_SCHEMA);
    cJSON *request = control_request("role_test");
    bool built = request && control_put_text(request, "bot", admin_value(admin, OPTION_BOT)) &&
                 control_put_text(request, "database", admin_value(admin, OPTION_DATABASE)) &&
                 control_put_text(request, "mysql_user", admin_value(admin, OPTION_USER)) &&
                 (!schema || control_put_text(request, "schema", schema));
    code = admin_ask(admin, request, built, &answer);
    if (code != EXIT_DONE)
        return code;
    code = admin->json ? admin_print_json(answer) : print_test(admin, answer);
    if (code == EXIT_DONE && !admin_true(answer, "allowed"))
        code = EXIT_FAILED;
    control_free(answer);
    return code;
}

#define TAKES_APPLY \
    (ADMIN_TAKES(OPTION_FILE) | ADMIN_TAKES(OPTION_PRUNE) | ADMIN_TAKES(OPTION_DRY_RUN))
#define TAKES_TEST                                                                       \
    (ADMIN_TAKES(OPTION_BOT) | ADMIN_TAKES(OPTION_DATABASE) | ADMIN_TAKES(OPTION_USER) | \
     ADMIN_TAKES(OPTION_SCHEMA))

static const struct admin_verb verbs[] = {
    {.name = "apply", .takes = TAKES_APPLY, .run = apply},
    {.name = "ls", .run = list},
    {.name = "show", .argument = "NAME", .run = show},
    {.name = "test", .takes = TAKES_TEST, .run = test},
    {.name = "rm", .argument = "NAME", .run = removed},
};

int cli_role(int argc, char **argv)
{
    static const struct admin_command command = {
        .name = "role",
        .usage = usage,
        .options = options,
        .option_count = OPTION_COUNT,
        .verbs = verbs,
        .verb_count = sizeof verbs / sizeof *verbs,
    };
    return admin_main(&command, argc, argv);
}

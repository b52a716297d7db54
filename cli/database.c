/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/database.h"

#include <stdio.h>

#include "cli/admin.h"

/* clang-format off: the lines are those of a terminal of 80 columns. */
static const char database_usage[] =
    "usage: sallyport database ls\n"
    "       sallyport database show NAME\n"
    "       sallyport database rm NAME\n"
    "\n"
    "The databases that the authority tells all proxies of. `sallyport role apply`\n"
    "brings them. Those that stand in a proxy's own configuration are not here;\n"
    "`sallyport db check` logs in to one and says what is wrong with it.\n"
    "\n"
    "  ls, show     the databases; one as it would be written in a file\n"
    "  rm           removes one: sessions with it end\n"
    "\n" ADMIN_USAGE_COMMON "Examples:\n"
    "  sallyport database ls\n"
    "  sallyport database show shop\n"
    "\n" ADMIN_USAGE_CODES;

static const char mapping_usage[] =
    "usage: sallyport mapping ls\n"
    "       sallyport mapping rm NAME\n"
    "\n"
    "Which certificates of other CAs hold which roles. `sallyport role apply` brings\n"
    "the mappings. A mapping's name is what it looks at.\n"
    "\n"
    "  ls           the mappings\n"
    "  rm           removes one: who had roles by it alone has none, and its sessions\n"
    "               end\n"
    "\n" ADMIN_USAGE_COMMON "Examples:\n"
    "  sallyport mapping ls\n"
    "  sallyport mapping rm 'CN=ci-*,OU=bots'\n"
    "\n" ADMIN_USAGE_CODES;
/* clang-format on */

/* --- databases --- */

/* "env=prod, tier=1" */
static const char *labels_of(const cJSON *database, char *out, size_t size)
{
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(database, "labels");
    const cJSON *labels = cJSON_IsObject(given) ? given : NULL;
    const cJSON *label;
    char values[ADMIN_TEXT_MAX / 4];
    size_t used = 0;
    out[0] = '\0';
    cJSON_ArrayForEach(label, labels)
    {
        int length =
            snprintf(out + used, size - used, "%s%.128s=%s", used > 0 ? ", " : "", label->string,
                     admin_texts(labels, label->string, values, sizeof values));
        if (length < 0 || (size_t)length >= size - used)
            break;
        used += (size_t)length;
    }
    return out;
}

static int print_databases(const struct admin *admin, const cJSON *databases)
{
    static const struct admin_column columns[] = {
        {.heading = "DATABASE", .least = 8},
        {.heading = "ADDRESS", .least = 12},
        {.heading = "SERVER NAME", .least = 9},
        {.heading = "LABELS", .optional = true, .least = 8},
        {.heading = "LOCKED", .optional = true, .least = 6},
    };
    struct admin_table table;
    char labels[ADMIN_TEXT_MAX];
    const cJSON *database;
    admin_table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(database, databases)
    {
        const cJSON *tls = cJSON_GetObjectItemCaseSensitive(database, "tls");
        admin_table_cell(&table, ADMIN_PLAIN, admin_text(database, "name"));
        admin_table_cell(&table, ADMIN_PLAIN, admin_text(database, "address"));
        admin_table_cell(&table, ADMIN_PLAIN, admin_text(tls, "server_name"));
        admin_table_cell(&table, ADMIN_DIM, labels_of(database, labels, sizeof labels));
        admin_table_cell(&table, ADMIN_BAD, admin_text(database, "lock"));
    }
    return admin_print_table(admin, &table);
}

static int list_databases(struct admin *admin)
{
    static const struct admin_listing databases = {
        "database_list", "databases",
        "The authority knows no databases: `sallyport role apply -f FILE` brings them. A proxy's "
        "own configuration may name others.",
        print_databases};
    return admin_list(admin, &databases);
}

static int show_database(struct admin *admin)
{
    cJSON *answer;
    const cJSON *database;
    int code = admin_ask_argument(admin, "database_show", "name", &answer);
    if (code != EXIT_DONE)
        return code;
    code = admin_need(answer, "database", &database)
               ? admin_print_document(admin, cJSON_GetObjectItemCaseSensitive(answer, "database"))
               : EXIT_FAILED;
    control_free(answer);
    return code;
}

static int remove_by(struct admin *admin, const char *request, const char *said)
{
    cJSON *answer;
    int code = admin_ask_argument(admin, request, "name", &answer);
    if (code != EXIT_DONE)
        return code;
    control_free(answer);
    if (!admin->json)
        admin_say(admin, ADMIN_GOOD, "The %s %s is removed%s.", admin->command->name,
                  admin->argument, said);
    return admin_finish();
}

static int remove_database(struct admin *admin)
{
    return remove_by(admin, "database_remove", ": sessions with it end");
}

int cli_database(int argc, char **argv)
{
    static const struct admin_verb verbs[] = {
        {.name = "ls", .run = list_databases},
        {.name = "show", .argument = "NAME", .run = show_database},
        {.name = "rm", .argument = "NAME", .run = remove_database},
    };
    static const struct admin_command command = {
        .name = "database",
        .usage = database_usage,
        .verbs = verbs,
        .verb_count = sizeof verbs / sizeof *verbs,
    };
    return admin_main(&command, argc, argv);
}

/* --- mappings --- */

/* The roles, or from which attribute of the certificate they are read. */
static const char *gives(const cJSON *mapping, char *out, size_t size)
{
    if (!*admin_texts(mapping, "roles", out, size))
        (void)snprintf(out, size, "those that its %s names", admin_text(mapping, "roles_from"));
    return out;
}

static int print_mappings(const struct admin *admin, const cJSON *mappings)
{
    static const struct admin_column columns[] = {
        {.heading = "MAPPING", .least = 16},
        {.heading = "GIVES THE ROLES", .least = 12},
    };
    struct admin_table table;
    char roles[ADMIN_TEXT_MAX];
    const cJSON *mapping;
    admin_table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(mapping, mappings)
    {
        admin_table_cell(&table, ADMIN_PLAIN, admin_text(mapping, "name"));
        admin_table_cell(&table, ADMIN_PLAIN, gives(mapping, roles, sizeof roles));
    }
    return admin_print_table(admin, &table);
}

static int list_mappings(struct admin *admin)
{
    static const struct admin_listing mappings = {
        "mapping_list", "mappings",
        "There are no mappings: certificates of other CAs have no roles by the authority. "
        "`sallyport role apply -f FILE` brings them.",
        print_mappings};
    return admin_list(admin, &mappings);
}

static int remove_mapping(struct admin *admin)
{
    return remove_by(admin, "mapping_remove", "");
}

int cli_mapping(int argc, char **argv)
{
    static const struct admin_verb verbs[] = {
        {.name = "ls", .run = list_mappings},
        {.name = "rm", .argument = "NAME", .run = remove_mapping},
    };
    static const struct admin_command command = {
        .name = "mapping",
        .usage = mapping_usage,
        .verbs = verbs,
        .verb_count = sizeof verbs / sizeof *verbs,
    };
    return admin_main(&command, argc, argv);
}

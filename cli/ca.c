/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ca.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "cli/admin.h"
#include "cli/admin_file.h"
#include "cli/ca_database.h"

/* clang-format off: the lines are those of a terminal of 80 columns. */
static const char usage[] =
    "usage: sallyport ca status\n"
    "       sallyport ca export KIND\n"
    "       sallyport ca export [KIND] --out DIR [--replace]\n"
    "       sallyport ca rotate KIND --to PHASE [--force]\n"
    "       sallyport ca sign-database --host HOST [--host HOST...] [OPTION...]\n"
    "\n"
    "The four certificate authorities, each with a key of its own. KIND is one of\n"
    "  bot                       signs bots' certificates\n"
    "  service                   signs proxies' and the authority's own\n"
    "  database-server           signs those of database servers\n"
    "  database-client           signs those that proxies show to databases\n"
    "\n"
    "  status       where each stands, and how long it is valid\n"
    "  export       prints whom to trust, in PEM; with --out it writes KIND-ca.crt,\n"
    "               for all kinds when none is named\n"
    "\n"
    "  rotate       takes one step of a rotation, forwards or back. A step that would\n"
    "               harm somebody is refused, and the refusal says until when to wait\n"
    "      --to PHASE            standby: a new CA is made\n"
    "                            trusted: it is trusted beside the old one\n"
    "                            signing: it signs, and the old one is still trusted\n"
    "                            dropped: the old one is gone for good\n"
    "                            none: back from standby to the old one alone\n"
    "      --force               whatever it harms\n"
    "\n"
    "  sign-database\n"
    "               writes what a MySQL or MariaDB server needs, and prints what to\n"
    "               configure there\n"
    "      --host HOST           a DNS name or IP address that proxies know it by;\n"
    "                            may be given more than once\n"
    "      --user USER           print this MySQL account; likewise\n"
    "      --ttl TIME            how long the certificate is valid\n"
    "      --csr FILE            a request of the server's own key, which then never\n"
    "                            leaves its machine; without it a key is made here\n"
    "\n"
    "      --out DIR             where to write; for sign-database the first HOST, if\n"
    "                            it is not given\n"
    "      --replace             replace files that are there already\n"
    "\n" ADMIN_USAGE_COMMON "Examples:\n"
    "  sallyport ca export service >service-ca.crt\n"
    "  sallyport ca sign-database --host db1.internal --host 10.0.0.5 --user reader\n"
    "  sallyport ca rotate bot --to standby\n"
    "\n" ADMIN_USAGE_CODES;
/* clang-format on */

enum ca_option {
    OPTION_TO,
    OPTION_FORCE,
    OPTION_HOST,
    OPTION_USER,
    OPTION_TTL,
    OPTION_CSR,
    OPTION_OUT,
    OPTION_REPLACE,
    OPTION_COUNT,
};

static const struct admin_option options[OPTION_COUNT] = {
    [OPTION_TO] = {.name = "to"},
    [OPTION_FORCE] = {.name = "force", .flag = true},
    [OPTION_HOST] = {.name = "host", .many = true},
    [OPTION_USER] = {.name = "user", .many = true},
    [OPTION_TTL] = {.name = "ttl"},
    [OPTION_CSR] = {.name = "csr"},
    [OPTION_OUT] = {.name = "out"},
    [OPTION_REPLACE] = {.name = "replace", .flag = true},
};

static const char *const kinds[] = {"bot", "service", "database-server", "database-client", NULL};
static const char *const phases[] = {"standby", "trusted", "signing", "dropped", "none", NULL};

/* One of the words of a list that ends with NULL; otherwise says so, and the nearest. */
static int check_word(const struct admin *admin, const char *what, const char *word,
                      const char *const *words)
{
    struct suggestion nearest = suggestion_for(word);
    char all[128] = "";
    for (size_t i = 0; words[i]; i++) {
        size_t used = strlen(all);
        if (strcmp(words[i], word) == 0)
            return EXIT_DONE;
        suggestion_try(&nearest, words[i]);
        (void)snprintf(all + used, sizeof all - used, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    if (nearest.name)
        return admin_usage(admin, "\"%s\" is no %s: did you mean \"%s\"? There are %s", word, what,
                           nearest.name, all);
    return admin_usage(admin, "\"%s\" is no %s: there are %s", word, what, all);
}

/* --- status --- */

static enum admin_colour phase_colour(const char *phase)
{
    return strcmp(phase, "signing") == 0 ? ADMIN_GOOD : ADMIN_WARNING;
}

static void add_row(const struct admin *admin, struct admin_table *table, const cJSON *ca)
{
    char when[ADMIN_WHEN_SIZE];
    const char *phase = admin_text(ca, "phase");
    int64_t until = admin_time(ca, "not_after");
    admin_table_cell(table, ADMIN_PLAIN, admin_text(ca, "kind"));
    admin_table_cellf(table, ADMIN_PLAIN, "%" PRIu64, admin_number(ca, "number"));
    admin_table_cell(table, phase_colour(phase), phase);
    admin_table_cell(table, ADMIN_DIM, admin_when(admin_time(ca, "since"), admin->now_us, when));
    admin_table_cell(table, until <= admin->now_us ? ADMIN_BAD : ADMIN_PLAIN,
                     admin_when(until, admin->now_us, when));
    admin_table_cell(table, ADMIN_DIM, admin_text(ca, "pin"));
}

static int print_authorities(const struct admin *admin, const cJSON *authorities)
{
    static const struct admin_column columns[] = {
        {.heading = "CA"},      {.heading = "NUMBER", .right = true},
        {.heading = "PHASE"},   {.heading = "SINCE"},
        {.heading = "EXPIRES"}, {.heading = "PIN", .least = 16},
    };
    struct admin_table table;
    const cJSON *ca;
    admin_table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(ca, authorities)
    {
        add_row(admin, &table, ca);
    }
    return admin_print_table(admin, &table);
}

static int show_authorities(const struct admin *admin, const cJSON *answer)
{
    const cJSON *authorities;
    if (!admin_need(answer, "authorities", &authorities))
        return EXIT_FAILED;
    return admin->json ? admin_print_json_each(authorities) : print_authorities(admin, authorities);
}

static int status(struct admin *admin)
{
    cJSON *answer;
    int code = admin_ask_plain(admin, "ca_status", &answer);
    if (code != EXIT_DONE)
        return code;
    code = show_authorities(admin, answer);
    control_free(answer);
    return code;
}

/* --- export --- */

/* PEM is going to be printed as it is: nothing may stand there that a terminal would act on. */
static bool is_plain(const char *text)
{
    size_t i = 0;
    while ((text[i] >= ' ' && text[i] <= '~') || text[i] == '\n')
        i++;
    return i > 0 && text[i] == '\0';
}

static int ask_export(const struct admin *admin, const char *kind, cJSON **answer)
{
    cJSON *request = control_request("ca_export");
    bool built = request && control_put_text(request, "kind", kind);
    int code = admin_ask(admin, request, built, answer);
    if (code != EXIT_DONE || is_plain(admin_text(*answer, "ca")))
        return code;
    control_free(*answer);
    *answer = NULL;
    (void)fprintf(stderr, "sallyport: the authority's answer holds no certificate\n");
    return EXIT_FAILED;
}

static int write_one(const struct admin *admin, const char *kind, const char *directory)
{
    char name[48];
    struct admin_file file;
    struct error err = {0};
    cJSON *answer;
    (void)snprintf(name, sizeof name, "%s-ca.crt", kind);
    if (!admin_file_directory(directory, &err) ||
        !admin_file_open(&file, directory, name, ADMIN_FILE_PUBLIC,
                         admin_given(admin, OPTION_REPLACE), &err)) {
        int failed = exit_with(&err);
        if (err.code == ERROR_EXISTS)
            (void)fprintf(stderr, "Give another --out DIR, or --replace.\n");
        return failed;
    }
    int code = ask_export(admin, kind, &answer);
    const char *text = admin_text(answer, "ca");
    if (code == EXIT_DONE && !admin_file_write(&file, text, strlen(text), &err))
        code = exit_with(&err);
    else if (code == EXIT_DONE && !admin->json)
        admin_say(admin, ADMIN_GOOD, "%s/%s", directory, name);
    admin_file_abandon(&file);
    control_free(answer);
    return code;
}

static int export_one(const struct admin *admin, const char *kind)
{
    cJSON *answer;
    int code = ask_export(admin, kind, &answer);
    if (code != EXIT_DONE)
        return code;
    /* To be redirected into a file: PEM, unless JSON was asked for by name. */
    if (admin->json && admin->has_output)
        code = control_put_text(answer, "kind", kind) ? admin_print_json(answer) : EXIT_FAILED;
    else if (fputs(admin_text(answer, "ca"), stdout) == EOF)
        code = EXIT_FAILED;
    control_free(answer);
    return code == EXIT_DONE ? admin_finish() : code;
}

static int export(struct admin *admin)
{
    const char *directory = admin_value(admin, OPTION_OUT);
    int code =
        admin->argument ? check_word(admin, "kind of CA", admin->argument, kinds) : EXIT_DONE;
    if (code != EXIT_DONE)
        return code;
    if (!admin->argument && !directory)
        return admin_usage(admin, "say which: bot, service, database-server or database-client; or "
                                  "--out DIR for a file of each (in one file, one would vouch for "
                                  "another's kind)");
    if (!directory)
        return export_one(admin, admin->argument);
    if (admin->argument)
        code = write_one(admin, admin->argument, directory);
    for (size_t i = 0; !admin->argument && code == EXIT_DONE && kinds[i]; i++)
        code = write_one(admin, kinds[i], directory);
    return code == EXIT_DONE ? admin_finish() : code;
}

/* --- rotate --- */

static int rotate(struct admin *admin)
{
    cJSON *answer;
    const char *to = admin_value(admin, OPTION_TO);
    int code = check_word(admin, "kind of CA", admin->argument, kinds);
    if (code == EXIT_DONE && !to)
        code = admin_usage(admin, "--to PHASE is missing: standby, trusted, signing, dropped or "
                                  "none");
    if (code == EXIT_DONE)
        code = check_word(admin, "phase", to, phases);
    if (code != EXIT_DONE)
        return code;
    cJSON *request = control_request("ca_rotate");
    bool built = request && control_put_text(request, "kind", admin->argument) &&
                 control_put_text(request, "to", to) &&
                 (!admin_given(admin, OPTION_FORCE) || control_put_bool(request, "force", true));
    code = admin_ask(admin, request, built, &answer);
    if (code != EXIT_DONE)
        return code;
    code = show_authorities(admin, answer);
    control_free(answer);
    return code;
}

/* --- sign-database --- */

static int sign_database(struct admin *admin)
{
    const char *directory = admin_value(admin, OPTION_OUT);
    int code = admin_check_duration(admin, OPTION_TTL);
    if (code != EXIT_DONE)
        return code;
    if (!admin_given(admin, OPTION_HOST))
        return admin_usage(admin, "--host is missing: a DNS name or IP address that proxies know "
                                  "the server by");
    const struct ca_database wanted = {
        .hosts = &admin->values[OPTION_HOST],
        .users = &admin->values[OPTION_USER],
        .directory = directory ? directory : admin_value(admin, OPTION_HOST),
        .ttl = admin_value(admin, OPTION_TTL),
        .csr = admin_value(admin, OPTION_CSR),
        .replace = admin_given(admin, OPTION_REPLACE),
    };
    if (!directory && strchr(wanted.directory, '/'))
        return admin_usage(admin, "--host: \"%s\" is no name of a host", wanted.directory);
    return ca_database_sign(admin, &wanted);
}

#define TAKES_SIGN                                                                   \
    (ADMIN_TAKES(OPTION_HOST) | ADMIN_TAKES(OPTION_USER) | ADMIN_TAKES(OPTION_TTL) | \
     ADMIN_TAKES(OPTION_CSR) | ADMIN_TAKES(OPTION_OUT) | ADMIN_TAKES(OPTION_REPLACE))

static const struct admin_verb verbs[] = {
    {.name = "status", .run = status},
    {.name = "export",
     .argument = "KIND",
     .may_lack = true,
     .takes = ADMIN_TAKES(OPTION_OUT) | ADMIN_TAKES(OPTION_REPLACE),
     .run = export},
    {.name = "rotate",
     .argument = "KIND",
     .takes = ADMIN_TAKES(OPTION_TO) | ADMIN_TAKES(OPTION_FORCE),
     .run = rotate},
    {.name = "sign-database", .takes = TAKES_SIGN, .run = sign_database},
};

int cli_ca(int argc, char **argv)
{
    static const struct admin_command command = {
        .name = "ca",
        .usage = usage,
        .options = options,
        .option_count = OPTION_COUNT,
        .verbs = verbs,
        .verb_count = sizeof verbs / sizeof *verbs,
    };
    return admin_main(&command, argc, argv);
}

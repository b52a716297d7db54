/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/db.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/suggest.h"
#include "base/utf8.h"
#include "cli/db_authority.h"
#include "cli/db_show.h"
#include "cli/exit.h"
#include "cli/terminal.h"
#include "proxy/preflight.h"

#define COMMAND "db"

static const char usage[] =
    "usage: sallyport db check [NAME] -c FILE [OPTION...]\n"
    "\n"
    "Logs in to the database NAME of a configuration (all of them without NAME) as the proxy "
    "would,\n"
    "and says what it finds: server, TLS, certificates, accounts, clock, and the capabilities "
    "that\n"
    "the proxy does not pass on. Needs no running proxy, and changes nothing. Where the authority\n"
    "mints the certificates, it is asked for some: at its own machine as its administrator, at a\n"
    "proxy's as that proxy.\n"
    "\n"
    "  -c, --config FILE     the configuration of `sallyport serve`\n"
    "  -u, --user USER       log in as this MySQL account; may be given more than once. Default:\n"
    "                        all that roles allow on the database by their plain names\n"
    "  -s, --schema SCHEMA   with this schema\n"
    "  -o, --output FORMAT   table (default on a terminal) or json, one database a line\n"
    "  -h, --help            this text\n"
    "\n"
    "Examples:\n"
    "  sallyport db check shop -c proxy.conf\n"
    "  sallyport db check shop -c proxy.conf --user reader --schema shop\n"
    "  sallyport db check -c proxy.conf -o json | jq 'select(.result != \"good\")'\n"
    "\n"
    "Colours can be turned off with NO_COLOR=1. Exit code: 0 all is good, with or without "
    "warnings;\n"
    "1 a database or an account failed; 2 usage or configuration.\n";

struct command {
    bool help;
    const char *config;
    const char *output;
    const char *schema;
    const char *name;
    const char *users[PREFLIGHT_USERS_MAX];
    size_t user_count;
    bool json;
};

static int add_user(struct command *command, const char *user)
{
    if (!*user || strlen(user) >= HANDSHAKE_USER_MAX || !utf8_valid(user, strlen(user)))
        return exit_usage(COMMAND, "--user: a MySQL user has 1 to %d bytes of UTF-8",
                          HANDSHAKE_USER_MAX - 1);
    if (command->user_count == PREFLIGHT_USERS_MAX)
        return exit_usage(COMMAND, "--user: more than %d at once", PREFLIGHT_USERS_MAX);
    command->users[command->user_count++] = user;
    return EXIT_DONE;
}

static int parse_options(int argc, char **argv, struct command *command)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"user", required_argument, NULL, 'u'},
        {"schema", required_argument, NULL, 's'}, {"output", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int key;
    int code = EXIT_DONE;
    optind = 0; /* getopt may have been used before */
    while (code == EXIT_DONE && (key = getopt_long(argc, argv, "c:u:s:o:h", options, NULL)) != -1) {
        if (key == 'c')
            command->config = optarg;
        else if (key == 'u')
            code = add_user(command, optarg);
        else if (key == 's')
            command->schema = optarg;
        else if (key == 'o')
            command->output = optarg;
        else if (key == 'h')
            command->help = true;
        else
            code = EXIT_USAGE; /* getopt has said what is wrong */
    }
    return code;
}

static int parse_verb(int argc, char **argv, struct command *command)
{
    if (command->help)
        return EXIT_DONE;
    if (optind >= argc)
        return exit_usage(COMMAND, "say what to do: check");
    if (strcmp(argv[optind], "check") != 0)
        return exit_usage(COMMAND, "\"%s\" is not known: check", argv[optind]);
    if (optind + 1 < argc)
        command->name = argv[optind + 1];
    if (optind + 2 < argc)
        return exit_usage(COMMAND, "\"%s\" is one argument too many", argv[optind + 2]);
    if (!command->config)
        return exit_usage(COMMAND, "-c FILE is missing: the configuration of `sallyport serve`");
    const char *schema = command->schema;
    if (schema && (strlen(schema) >= HANDSHAKE_SCHEMA_MAX || !utf8_valid(schema, strlen(schema))))
        return exit_usage(COMMAND, "--schema: a schema has at most %d bytes of UTF-8",
                          HANDSHAKE_SCHEMA_MAX - 1);
    return EXIT_DONE;
}

/* --- the run --- */

struct printing {
    struct db_show show;
    bool json;
    size_t printed;
    size_t failed;
    struct error error; /* the output's */
};

static void print_target(void *arg, const struct preflight_target *target)
{
    struct printing *printing = arg;
    struct buffer out;
    struct error *err = &printing->error;
    printing->failed += !db_show_is_good(target);
    if (err->code != ERROR_NONE)
        return;
    printing->show.now_us = clock_wall_us();
    buffer_init(&out, DB_SHOW_LIMIT);
    if (!printing->json && printing->printed++ > 0)
        (void)fputc('\n', stdout);
    bool made = printing->json ? db_show_json(&printing->show, target, &out, err)
                               : db_show_table(&printing->show, target, &out, err);
    if (made &&
        (fwrite(buffer_bytes(&out), 1, buffer_length(&out), stdout) != buffer_length(&out) ||
         fflush(stdout) != 0))
        error_system(err, errno, "cannot print");
    buffer_release(&out);
}

static int run(const struct command *command, struct snapshot *snapshot,
               struct preflight_target *targets, size_t count)
{
    struct printing printing = {
        .json = command->json,
        .show = {.terminal = terminal_read(), .schema = command->schema ? command->schema : ""},
    };
    struct error err = {0};
    bool ran = preflight_run(snapshot, targets, count, printing.show.schema, print_target,
                             &printing, &err);
    if (!ran)
        return exit_with(&err);
    if (printing.error.code != ERROR_NONE)
        return exit_with(&printing.error);
    return printing.failed > 0 ? EXIT_FAILED : EXIT_DONE;
}

static int unknown_database(const struct snapshot *snapshot, const char *name)
{
    const char *also = snapshot->provision ? ", and the authority has none" : "";
    struct suggestion nearest = suggestion_for(name);
    for (size_t i = 0; i < snapshot->database_count; i++)
        suggestion_try(&nearest, snapshot->databases[i].name);
    if (nearest.name)
        return exit_usage(
            COMMAND, "there is no database \"%s\" in the configuration%s: did you mean \"%s\"?",
            name, also, nearest.name);
    return exit_usage(COMMAND, "there is no database \"%s\" in the configuration%s", name, also);
}

static int choose_users(const struct command *command, const struct snapshot *snapshot,
                        struct preflight_target *target)
{
    for (size_t i = 0; i < command->user_count; i++)
        target->accounts[target->account_count++].user = command->users[i];
    if (command->user_count == 0)
        preflight_users(snapshot, target);
    if (target->account_count > 0 || !command->name)
        return EXIT_DONE; /* one of many that has none is reported among them */
    return exit_usage(
        COMMAND,
        "no role names a MySQL account for the database \"%s\" without a glob: give one "
        "with --user",
        target->database->name);
}

/* --- databases --- */

/* What is checked, of one snapshot. */
struct chosen {
    struct preflight_target *targets;
    size_t count;
};

static int choose(const struct command *command, const struct snapshot *snapshot,
                  struct chosen *out)
{
    struct error err = {0};
    const struct database *only = NULL;
    *out = (struct chosen){0};
    if (command->name && !(only = snapshot_database(snapshot, command->name)))
        return unknown_database(snapshot, command->name);
    size_t count = only ? 1 : snapshot->database_count;
    out->targets = calloc(count + 1, sizeof *out->targets);
    if (!out->targets) {
        error_set(&err, ERROR_MEMORY, "out of memory");
        return exit_with(&err);
    }
    out->count = count;
    int code = EXIT_DONE;
    for (size_t i = 0; code == EXIT_DONE && i < count; i++) {
        out->targets[i].database = only ? only : &snapshot->databases[i];
        code = choose_users(command, snapshot, &out->targets[i]);
    }
    return code;
}

static int check(const struct command *command, struct snapshot *snapshot,
                 const struct db_authority *from)
{
    struct chosen chosen;
    int code = choose(command, snapshot, &chosen);
    for (size_t i = 0; i < chosen.count; i++) {
        struct preflight_target *target = &chosen.targets[i];
        for (size_t j = 0; j < target->account_count && !target->database->tls; j++)
            target->accounts[j].refusal = db_authority_refusal(from, target->accounts[j].user);
    }
    if (code == EXIT_DONE && chosen.count == 0)
        code = exit_usage(COMMAND, "there is no database to check: neither the configuration nor "
                                   "the authority has one");
    if (code == EXIT_DONE)
        code = run(command, snapshot, chosen.targets, chosen.count);
    free(chosen.targets);
    return code;
}

/* --- with an authority --- */

/* Certificates for all that will be tried and has none of its own. */
static int mint_all(const struct command *command, const struct snapshot *snapshot,
                    struct db_authority *from)
{
    struct chosen chosen;
    struct error err = {0};
    int code = choose(command, snapshot, &chosen);
    for (size_t i = 0; i < chosen.count && code == EXIT_DONE; i++) {
        const struct preflight_target *target = &chosen.targets[i];
        for (size_t j = 0; j < target->account_count && !target->database->tls && code == EXIT_DONE;
             j++)
            if (!db_authority_mint(from, target->accounts[j].user, &err))
                code = exit_with(&err);
    }
    free(chosen.targets);
    return code;
}

static int check_with_state(const struct command *command, struct snapshot *snapshot,
                            struct db_authority *from)
{
    struct snapshot *complete;
    struct error err = {0};
    int code = mint_all(command, snapshot, from);
    if (code != EXIT_DONE)
        return code;
    if (!db_authority_provide(from, snapshot, &complete, &err))
        return exit_with(&err);
    code = check(command, complete, from);
    snapshot_unref(complete);
    return code;
}

/* Whether the file alone says how to log in to what is to be checked. */
static bool needs_no_authority(const struct command *command, const struct snapshot *alone)
{
    const struct database *only = command->name ? snapshot_database(alone, command->name) : NULL;
    return only && only->tls;
}

static int check_with_authority(const struct command *command, struct snapshot *alone)
{
    struct db_authority from = {0};
    struct snapshot *with_state;
    struct error err = {0};
    int code;
    if (db_authority_begin(&from, command->config, alone, &with_state, &err)) {
        code = check_with_state(command, with_state, &from);
        snapshot_unref(with_state);
    } else if (needs_no_authority(command, alone)) {
        log_warning("the authority was not asked, so its roles and locks are not known here",
                    "error", err.message, NULL);
        code = check(command, alone, &from);
    } else {
        code = exit_with(&err);
    }
    db_authority_release(&from);
    return code;
}

int cli_db(int argc, char **argv)
{
    struct command command = {0};
    struct snapshot *snapshot;
    struct error err = {0};
    int code = parse_options(argc, argv, &command);
    if (code == EXIT_DONE)
        code = parse_verb(argc, argv, &command);
    if (code != EXIT_DONE)
        return code;
    if (command.help)
        return fputs(usage, stdout) == EOF ? EXIT_FAILED : EXIT_DONE;
    code = terminal_output(COMMAND, command.output, &command.json);
    if (code != EXIT_DONE)
        return code;
    if (!snapshot_create(command.config, NULL, &snapshot, &err))
        return exit_with(&err);
    log_configure(snapshot->settings.log.level, snapshot->settings.log.format);
    if (snapshot->settings.has_authority || settings_follow_authority(&snapshot->settings))
        code = check_with_authority(&command, snapshot);
    else
        code = check(&command, snapshot, NULL);
    snapshot_unref(snapshot);
    return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/audit.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/record.h"
#include "audit/show.h"
#include "base/clock.h"
#include "base/glob.h"
#include "cli/exit.h"
#include "cli/terminal.h"
#include "proxy/settings.h"

#define COMMAND            "audit"
#define AUDIT_TAIL_DEFAULT 20 /* records that `tail` begins with */

static const char usage[] =
    "usage: sallyport audit log  (-c FILE | -d DIR) [OPTION...]   records, oldest first\n"
    "       sallyport audit tail (-c FILE | -d DIR) [OPTION...]   the newest, and then new ones "
    "as\n"
    "                                                             they come, until interrupted\n"
    "\n"
    "Where the log is:\n"
    "  -c, --config FILE     the configuration of `sallyport serve`: its audit.directory\n"
    "  -d, --directory DIR   the audit directory itself\n"
    "\n"
    "Which records; all that is given must match:\n"
    "      --bot GLOB        of this bot: 'ci-*'\n"
    "      --database GLOB   of this database\n"
    "      --session ID      of this session\n"
    "      --event GLOB      query, prepare, execute, command, 'session.*'\n"
    "      --outcome WORD    ok, error, denied or unknown\n"
    "      --since TIME      that came at or after TIME: 2026-01-31T09:00:00Z, or 10m (ago)\n"
    "      --until TIME      that came before TIME\n"
    "      --grep TEXT       with TEXT in the statement; letters in either case\n"
    "  -n, --limit N         only the newest N (tail: to begin with; default 20)\n"
    "\n"
    "How they are shown:\n"
    "  -o, --output FORMAT   table (default on a terminal) or json, one record a line\n"
    "  -h, --help            this text\n"
    "\n"
    "Examples:\n"
    "  sallyport audit tail -c proxy.conf --bot 'ci-*'\n"
    "  sallyport audit log -c proxy.conf --since 1h --outcome denied\n"
    "  sallyport audit log -d audit --grep 'drop table' -o json | jq .statement\n"
    "\n"
    "Colours can be turned off with NO_COLOR=1. Exit code: 0 done; 1 it failed, or lines of the "
    "log\n"
    "could not be read (each is named); 2 usage or configuration.\n";

struct command {
    bool follow, help;
    const char *config;
    const char *directory;
    const char *since, *until, *limit, *output;
    struct audit_filter filter;
};

enum option_key {
    OPTION_BOT = 256,
    OPTION_DATABASE,
    OPTION_SESSION,
    OPTION_EVENT,
    OPTION_OUTCOME,
    OPTION_SINCE,
    OPTION_UNTIL,
    OPTION_GREP,
};

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"directory", required_argument, NULL, 'd'},
    {"limit", required_argument, NULL, 'n'},
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {"bot", required_argument, NULL, OPTION_BOT},
    {"database", required_argument, NULL, OPTION_DATABASE},
    {"session", required_argument, NULL, OPTION_SESSION},
    {"event", required_argument, NULL, OPTION_EVENT},
    {"outcome", required_argument, NULL, OPTION_OUTCOME},
    {"since", required_argument, NULL, OPTION_SINCE},
    {"until", required_argument, NULL, OPTION_UNTIL},
    {"grep", required_argument, NULL, OPTION_GREP},
    {NULL, 0, NULL, 0},
};

static const char **option_place(struct command *command, int key)
{
    switch (key) {
    case 'c':
        return &command->config;
    case 'd':
        return &command->directory;
    case 'n':
        return &command->limit;
    case 'o':
        return &command->output;
    case OPTION_BOT:
        return &command->filter.bot;
    case OPTION_DATABASE:
        return &command->filter.database;
    case OPTION_SESSION:
        return &command->filter.session;
    case OPTION_EVENT:
        return &command->filter.event;
    case OPTION_OUTCOME:
        return &command->filter.outcome;
    case OPTION_SINCE:
        return &command->since;
    case OPTION_UNTIL:
        return &command->until;
    case OPTION_GREP:
        return &command->filter.grep;
    default:
        return NULL;
    }
}

static int parse_options(int argc, char **argv, struct command *command)
{
    int key;
    optind = 0; /* getopt may have been used before */
    while ((key = getopt_long(argc, argv, "c:d:n:o:h", options, NULL)) != -1) {
        const char **place = option_place(command, key);
        if (key == 'h')
            command->help = true;
        else if (!place)
            return EXIT_USAGE; /* getopt has said what is wrong */
        else
            *place = optarg;
    }
    return EXIT_DONE;
}

static int parse_verb(int argc, char **argv, struct command *command)
{
    if (command->help)
        return EXIT_DONE;
    if (optind >= argc)
        return exit_usage(COMMAND, "say what to do: log or tail");
    const char *verb = argv[optind];
    command->follow = strcmp(verb, "tail") == 0;
    if (!command->follow && strcmp(verb, "log") != 0)
        return exit_usage(COMMAND, "\"%s\" is not known: log or tail", verb);
    if (optind + 1 < argc)
        return exit_usage(COMMAND, "\"%s\" is one argument too many", argv[optind + 1]);
    return EXIT_DONE;
}

static int check_globs(const struct audit_filter *filter)
{
    const char *const globs[] = {filter->bot, filter->database, filter->event};
    struct error err;
    for (size_t i = 0; i < sizeof globs / sizeof *globs; i++)
        if (globs[i] && !glob_check(globs[i], &err))
            return exit_usage(COMMAND, "%s", err.message);
    return EXIT_DONE;
}

static int check_outcome(const char *outcome)
{
    if (!outcome)
        return EXIT_DONE;
    for (size_t i = 0; audit_record_outcomes[i]; i++)
        if (strcmp(audit_record_outcomes[i], outcome) == 0)
            return EXIT_DONE;
    return exit_usage(COMMAND, "\"%s\" is no outcome: ok, error, denied or unknown", outcome);
}

static int read_times(const struct command *command, struct audit_filter *filter)
{
    struct error err;
    int64_t now = clock_wall_us();
    filter->has_since = command->since != NULL;
    filter->has_until = command->until != NULL;
    if (command->since && !audit_filter_time(command->since, now, &filter->since_us, &err))
        return exit_usage(COMMAND, "--since: %s", err.message);
    if (command->until && !audit_filter_time(command->until, now, &filter->until_us, &err))
        return exit_usage(COMMAND, "--until: %s", err.message);
    return EXIT_DONE;
}

static int read_limit(const struct command *command, struct audit_show *show)
{
    char *end;
    show->has_newest = command->follow || command->limit;
    show->newest = AUDIT_TAIL_DEFAULT;
    if (!command->limit)
        return EXIT_DONE;
    errno = 0;
    show->newest = strtoull(command->limit, &end, 10);
    if (errno != 0 || *end != '\0' || command->limit[0] < '0' || command->limit[0] > '9')
        return exit_usage(COMMAND, "--limit: \"%s\" is not a whole number", command->limit);
    return EXIT_DONE;
}

/* The directory as the configuration names it; the caller frees it. */
static bool configured_directory(const char *file, char **directory, struct error *err)
{
    struct settings settings;
    struct config *config;
    if (!settings_load(file, &settings, &config, err))
        return false;
    const char *named = settings.audit.directory;
    *directory = named ? strdup(named) : NULL;
    config_free(config);
    return *directory ||
           error_set(err, ERROR_CONFIG, "%s: it has no audit.directory to read from", file);
}

static int run(const struct audit_show *show)
{
    struct audit_shown shown;
    struct error err = {0};
    bool done = audit_show_run(show, &shown, &err);
    if (!done)
        fprintf(stderr, "sallyport audit: %s\n", err.message);
    if (shown.unreadable > 0)
        fprintf(stderr, "sallyport audit: %llu line%s could not be read\n",
                (unsigned long long)shown.unreadable, shown.unreadable == 1 ? "" : "s");
    return done && shown.unreadable == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int show_log(const struct command *command)
{
    struct audit_show show = {
        .filter = command->filter, .follow = command->follow, .out = stdout, .err = stderr};
    bool json = false;
    int code = check_globs(&show.filter);
    if (code == EXIT_DONE)
        code = check_outcome(show.filter.outcome);
    if (code == EXIT_DONE)
        code = read_times(command, &show.filter);
    if (code == EXIT_DONE)
        code = read_limit(command, &show);
    if (code == EXIT_DONE)
        code = terminal_output(COMMAND, command->output, &json);
    if (code != EXIT_DONE)
        return code;
    if (!command->directory == !command->config)
        return exit_usage(COMMAND, "say where the log is, with either --config or --directory");
    struct terminal terminal = terminal_read();
    show.format = json ? AUDIT_FORMAT_JSON : AUDIT_FORMAT_TABLE;
    show.width = terminal.width;
    show.colour = terminal.colour;
    char *configured = NULL;
    struct error err;
    if (command->config && !configured_directory(command->config, &configured, &err))
        return exit_with(&err);
    show.directory = configured ? configured : command->directory;
    code = run(&show);
    free(configured);
    return code;
}

int cli_audit(int argc, char **argv)
{
    struct command command = {0};
    int code = parse_options(argc, argv, &command);
    if (code == EXIT_DONE)
        code = parse_verb(argc, argv, &command);
    if (code != EXIT_DONE)
        return code;
    if (command.help)
        return fputs(usage, stdout) == EOF ? EXIT_FAILED : EXIT_DONE;
    return show_log(&command);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/identity.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "cli/exit.h"
#include "identity/credentials.h"
#include "identity/renewal.h"
#include "tunnel/after_command.h"
#include "tunnel/identity_config.h"

#define STATUS_INTERVAL_MS 10000

static const char usage[] =
    "usage: sallyport identity -c FILE [--once]\n"
    "       sallyport identity --authority HOST:PORT --ca-pin PIN --join FILE --identity DIR\n"
    "                          [--once] [-- COMMAND ARGUMENT…]\n"
    "\n"
    "Keeps cert.pem, key.pem and ca.pem in DIR current, for programs that speak TLS themselves:\n"
    "joins the authority at the first start, renews ahead of the certificate's end.\n"
    "\n"
    "  -c, --config FILE     configuration: any number of identities\n"
    "      --authority HOST:PORT  who issues and renews the identity\n"
    "      --ca-pin PIN      what tells the authority from others at the first start: sha256:…\n"
    "      --join FILE       a join token, needed at the first start only; -: standard input. Or "
    "in\n"
    "                        the environment variable SALLYPORT_TOKEN. Never the token itself\n"
    "      --bound-key FILE --bot NAME\n"
    "                        join with the key that was registered for the bot instead\n"
    "      --authority-name NAME  what the authority's certificate must name (default: HOST)\n"
    "      --identity DIR    where the files are kept; made when it is missing\n"
    "      --once            join or renew if that is due, then end; one attempt\n"
    "      --log-level LEVEL debug, info, warning or error\n"
    "  -h, --help            this text\n"
    "\n"
    "COMMAND runs after each renewal (no shell), with SALLYPORT_IDENTITY=DIR in its environment.\n"
    "Signals: SIGUSR1 logs how things are, SIGHUP looks at once, SIGTERM and SIGINT end it.\n";

struct command {
    const char *file; /* NULL: flags */
    struct identity_flags flags;
    bool once;
    bool help;
    bool join_stdin;
    struct join_token token;
    struct error token_error;
};

enum { SIGNAL_TERM, SIGNAL_INT, SIGNAL_HUP, SIGNAL_USR1, SIGNAL_COUNT };

static const int signal_numbers[SIGNAL_COUNT] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

struct run;

/* One directory at work. */
struct keeper {
    struct run *run;
    struct credentials *credentials;
    struct renewal *renewal;
    struct after_command *after; /* NULL: no command */
    bool running;                /* the command runs */
    bool done;                   /* with --once: nothing more is to come of it */
    bool hopeless;
};

struct run {
    uv_loop_t loop;
    struct stream_loop *streams;
    uv_signal_t signals[SIGNAL_COUNT];
    uv_timer_t status;
    struct keeper *keepers;
    size_t keeper_count;
    bool once;
    bool ending;
    bool told_ready;
    struct error failure; /* the first; ERROR_NONE: all is well */
};

/* The command line. */

enum option_key {
    OPTION_AUTHORITY = 256,
    OPTION_AUTHORITY_NAME,
    OPTION_CA_PIN,
    OPTION_JOIN,
    OPTION_BOUND_KEY,
    OPTION_BOT,
    OPTION_IDENTITY,
    OPTION_ONCE,
    OPTION_LOG_LEVEL,
};

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"help", no_argument, NULL, 'h'},
    {"authority", required_argument, NULL, OPTION_AUTHORITY},
    {"authority-name", required_argument, NULL, OPTION_AUTHORITY_NAME},
    {"ca-pin", required_argument, NULL, OPTION_CA_PIN},
    {"join", required_argument, NULL, OPTION_JOIN},
    {"bound-key", required_argument, NULL, OPTION_BOUND_KEY},
    {"bot", required_argument, NULL, OPTION_BOT},
    {"identity", required_argument, NULL, OPTION_IDENTITY},
    {"once", no_argument, NULL, OPTION_ONCE},
    {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
    {NULL, 0, NULL, 0},
};

static const char **option_place(struct command *command, int key)
{
    switch (key) {
    case 'c':
        return &command->file;
    case OPTION_AUTHORITY:
        return &command->flags.authority;
    case OPTION_AUTHORITY_NAME:
        return &command->flags.authority_name;
    case OPTION_CA_PIN:
        return &command->flags.ca_pin;
    case OPTION_JOIN:
        return &command->flags.join;
    case OPTION_BOUND_KEY:
        return &command->flags.bound_key;
    case OPTION_BOT:
        return &command->flags.bot;
    case OPTION_IDENTITY:
        return &command->flags.identity;
    case OPTION_LOG_LEVEL:
        return &command->flags.log_level;
    default:
        return NULL;
    }
}

static bool has_identity_flags(const struct identity_flags *flags)
{
    return flags->authority || flags->authority_name || flags->ca_pin || flags->join ||
           flags->bound_key || flags->bot || flags->identity || flags->run;
}

static bool parse_command(int argc, char **argv, struct command *command)
{
    int key;
    optind = 0; /* getopt may have been used before */
    while ((key = getopt_long(argc, argv, "+c:h", options, NULL)) != -1) {
        const char **place = option_place(command, key);
        if (place)
            *place = optarg;
        else if (key == 'h')
            command->help = true;
        else if (key == OPTION_ONCE)
            command->once = true;
        else
            return false;
    }
    bool behind_dashes = optind > 1 && strcmp(argv[optind - 1], "--") == 0;
    if (optind < argc && !behind_dashes) {
        (void)fprintf(stderr,
                      "sallyport identity: '%s' is not expected; a command stands behind "
                      "--\n",
                      argv[optind]);
        return false;
    }
    if (optind < argc)
        command->flags.run = argv + optind;
    if (command->file && has_identity_flags(&command->flags)) {
        (void)fprintf(stderr, "sallyport identity: give either -c FILE or flags, not both\n");
        return false;
    }
    return true;
}

/* Tokens. */

static void take_token(struct command *command)
{
    struct identity_flags *flags = &command->flags;
    command->join_stdin = flags->join && strcmp(flags->join, "-") == 0;
    if (command->join_stdin)
        flags->join = NULL;
    if (!join_token_from_environment(&command->token, &command->token_error))
        join_token_wipe(&command->token);
}

static bool wants_token(const struct identity_settings *identity)
{
    return enrolment_takes_token(&identity->enrolment) &&
           !credentials_are_current(identity->directory);
}

/* *index is whose token it is; the number of identities: nobody's. */
static bool give_token(struct command *command, const struct identity_config *config, size_t *index,
                       struct error *err)
{
    size_t count = 0;
    *index = config->identity_count;
    for (size_t i = 0; i < config->identity_count; i++)
        if (wants_token(&config->identities[i])) {
            *index = i;
            count++;
        }
    if (count == 0)
        return true;
    if (command->join_stdin)
        return join_token_read("-", &command->token, err);
    if (command->token_error.code != ERROR_NONE) {
        *err = command->token_error;
        return false;
    }
    if (count > 1 && command->token.text[0])
        return error_set(err, ERROR_CONFIG,
                         "a token is good for one join, and %zu identities need one: give each a "
                         "token in a file (join)",
                         count);
    return true;
}

/* Ending. */

static void end_keeper(struct keeper *keeper)
{
    renewal_destroy(keeper->renewal);
    after_command_destroy(keeper->after);
    credentials_unref(keeper->credentials);
    *keeper = (struct keeper){.run = keeper->run, .done = true};
}

static void end_all(struct run *run)
{
    if (run->ending)
        return;
    run->ending = true;
    for (size_t i = 0; i < run->keeper_count; i++)
        end_keeper(&run->keepers[i]);
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        uv_close((uv_handle_t *)&run->signals[i], NULL);
    uv_close((uv_handle_t *)&run->status, NULL);
}

static bool all_are(const struct run *run, bool (*is)(const struct keeper *keeper))
{
    for (size_t i = 0; i < run->keeper_count; i++)
        if (!is(&run->keepers[i]))
            return false;
    return true;
}

static bool is_done(const struct keeper *keeper)
{
    return keeper->done && !keeper->running;
}

static bool is_hopeless(const struct keeper *keeper)
{
    return keeper->hopeless;
}

static bool has_identity(const struct keeper *keeper)
{
    return credentials_generation(keeper->credentials) > 0;
}

/* Not from inside an event of what is ended. */
static void on_end_due(uv_timer_t *timer)
{
    end_all(timer->data);
}

static void end_soon(struct run *run)
{
    if (!run->ending)
        (void)uv_timer_start(&run->status, on_end_due, 0, 0);
}

static void note_done(struct keeper *keeper)
{
    struct run *run = keeper->run;
    keeper->done = true;
    if (run->once && all_are(run, is_done))
        end_soon(run);
}

/* Events of renewals. */

static void show_status(const struct run *run)
{
    char until[CLOCK_TIME_SIZE], renewal[CLOCK_TIME_SIZE];
    struct renewal_status status;
    const struct keeper *first = NULL;
    for (size_t i = 0; i < run->keeper_count; i++) {
        const struct keeper *keeper = &run->keepers[i];
        if (!first || credentials_not_after_us(keeper->credentials) <
                          credentials_not_after_us(first->credentials))
            first = keeper;
    }
    renewal_read_status(first->renewal, &status);
    clock_format(credentials_not_after_us(first->credentials), until);
    clock_format(status.renew_at_us, renewal);
    if (!has_identity(first))
        notify_status("%zu identities; %s: no certificate: %.300s", run->keeper_count,
                      credentials_directory(first->credentials), status.problem);
    else
        notify_status("%zu identities; the first ends at %.19sZ, renewal at %.19sZ%s%.200s",
                      run->keeper_count, until, renewal, status.problem[0] ? "; " : "",
                      status.problem);
}

static void on_status(uv_timer_t *timer)
{
    show_status(timer->data);
}

static void tell_ready(struct run *run)
{
    if (run->told_ready || !all_are(run, has_identity))
        return;
    run->told_ready = true;
    notify_ready();
    log_info("ready", NULL);
}

static void on_renewed(void *owner)
{
    struct keeper *keeper = owner;
    tell_ready(keeper->run);
    if (keeper->after) {
        keeper->running = true;
        after_command_run(keeper->after);
    }
}

static void on_confirmed(void *owner)
{
    note_done(owner);
}

/* With --once one attempt is all there is; a set that is good and could only not be confirmed is no
 * failure: the next start makes up for it. */
static void on_failed(void *owner, const struct error *err, bool final)
{
    struct keeper *keeper = owner;
    struct run *run = keeper->run;
    struct renewal_status status;
    renewal_read_status(keeper->renewal, &status);
    keeper->hopeless = keeper->hopeless || final;
    bool good =
        has_identity(keeper) && clock_wall_us() < status.renew_at_us && err->code != ERROR_DENIED;
    if (run->failure.code == ERROR_NONE && !good && (run->once || all_are(run, is_hopeless)))
        run->failure = *err;
    if (run->once)
        note_done(keeper);
    else if (all_are(run, is_hopeless))
        end_soon(run);
}

static const struct renewal_events renewal_events = {
    .renewed = on_renewed, .confirmed = on_confirmed, .failed = on_failed};

static void on_command_ended(void *owner, bool succeeded)
{
    struct keeper *keeper = owner;
    (void)succeeded;
    keeper->running = false;
    if (keeper->done)
        note_done(keeper);
}

/* Signals. */

static void log_keeper(const struct keeper *keeper)
{
    char until[CLOCK_TIME_SIZE], renewal[CLOCK_TIME_SIZE];
    struct renewal_status status;
    renewal_read_status(keeper->renewal, &status);
    clock_format(credentials_not_after_us(keeper->credentials), until);
    clock_format(status.renew_at_us, renewal);
    bool has = has_identity(keeper);
    log_info("identity", "directory", credentials_directory(keeper->credentials), "bot",
             has ? credentials_bot(keeper->credentials) : NULL, "certificate_until",
             has ? until : NULL, "renewal_at", has ? renewal : NULL, "problem",
             status.problem[0] ? status.problem : NULL, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct run *run = handle->data;
    if (run->ending)
        return;
    if (number == SIGUSR1 || number == SIGHUP) {
        for (size_t i = 0; i < run->keeper_count; i++) {
            if (number == SIGUSR1)
                log_keeper(&run->keepers[i]);
            else
                renewal_look(run->keepers[i].renewal);
        }
        return;
    }
    notify_stopping();
    end_all(run);
}

static void watch_signals(struct run *run)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        (void)uv_signal_init(&run->loop, &run->signals[i]);
        run->signals[i].data = run;
        int code = uv_signal_start(&run->signals[i], on_signal, signal_numbers[i]);
        if (code != 0)
            log_error("cannot watch for a signal", "error", uv_strerror(code), NULL);
    }
    (void)uv_timer_init(&run->loop, &run->status);
    run->status.data = run;
    (void)uv_timer_start(&run->status, on_status, 0, STATUS_INTERVAL_MS);
}

/* Running. */

static bool start_keeper(struct keeper *keeper, const struct identity_settings *settings,
                         const struct join_token *token, struct error *err)
{
    struct run *run = keeper->run;
    const struct renewal_settings renewal = enrolment_renewal(&settings->enrolment);
    const struct after_command_settings after = {.command = settings->run,
                                                 .directory = settings->directory};
    if (!credentials_create_managed(settings->directory, &keeper->credentials, err))
        return false;
    if (settings->run.count > 0 &&
        !after_command_create(&run->loop, &after, on_command_ended, keeper, &keeper->after, err))
        return false;
    return renewal_create(&run->loop, run->streams, keeper->credentials, &renewal, token,
                          &renewal_events, keeper, &keeper->renewal, err);
}

static bool start_keepers(struct run *run, const struct identity_config *config,
                          const struct join_token *token, size_t token_for, struct error *err)
{
    run->keepers = calloc(config->identity_count, sizeof *run->keepers);
    if (!run->keepers)
        return error_set(err, ERROR_MEMORY, "out of memory");
    run->keeper_count = config->identity_count;
    for (size_t i = 0; i < config->identity_count; i++)
        run->keepers[i].run = run;
    for (size_t i = 0; i < config->identity_count; i++)
        if (!start_keeper(&run->keepers[i], &config->identities[i], i == token_for ? token : NULL,
                          err))
            return false;
    tell_ready(run);
    return true;
}

static int run_loop(struct run *run, const struct identity_config *config,
                    const struct join_token *token, size_t token_for)
{
    struct error err = {0};
    if (!stream_loop_create(&run->loop, &run->streams, &err))
        return exit_with(&err);
    watch_signals(run);
    if (!start_keepers(run, config, token, token_for, &err)) {
        run->failure = err;
        end_all(run);
    }
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    stream_loop_destroy(run->streams);
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    free(run->keepers);
    if (run->failure.code != ERROR_NONE)
        return exit_with(&run->failure);
    log_info("stopped", NULL);
    return EXIT_DONE;
}

static int run_identities(struct command *command, const struct identity_config *config)
{
    struct run run = {.once = command->once};
    struct error err = {0};
    size_t token_for;
    if (!give_token(command, config, &token_for, &err))
        return exit_with(&err);
    int code = uv_loop_init(&run.loop);
    if (code != 0) {
        (void)error_set(&err, ERROR_SYSTEM, "cannot make an event loop: %s", uv_strerror(code));
        return exit_with(&err);
    }
    int result = run_loop(&run, config, &command->token, token_for);
    join_token_wipe(&command->token);
    if (uv_loop_close(&run.loop) != 0)
        log_warning("the event loop was not empty at the end", NULL);
    return result;
}

static bool load(const struct command *command, struct identity_config *config, struct error *err)
{
    bool loaded = command->file ? identity_config_load(command->file, config, err)
                                : identity_config_from_flags(&command->flags, config, err);
    if (!loaded)
        return false;
    enum log_level level = (enum log_level)config->log.level;
    struct error why = {0};
    if (command->flags.log_level && !log_level_parse(command->flags.log_level, &level, &why)) {
        identity_config_release(config);
        return error_set(err, ERROR_CONFIG, "--log-level: %s", why.message);
    }
    log_configure(level, (enum log_format)config->log.format);
    return true;
}

int cli_identity(int argc, char **argv)
{
    struct command command = {0};
    struct identity_config config;
    struct error err = {0};
    if (!parse_command(argc, argv, &command)) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (command.help)
        return fputs(usage, stdout) < 0 ? EXIT_FAILED : EXIT_DONE;
    take_token(&command);
    if (!load(&command, &config, &err))
        return exit_with(&err);
    (void)signal(SIGPIPE, SIG_IGN);
    int result = run_identities(&command, &config);
    identity_config_release(&config);
    return result;
}

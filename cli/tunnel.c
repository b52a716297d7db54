/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tunnel.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/notify.h"
#include "cli/exit.h"
#include "identity/credentials.h"
#include "identity/join_token.h"
#include "tunnel/service.h"
#include "tunnel/settings.h"

/* How often `systemctl status` gets new numbers. */
#define STATUS_INTERVAL_MS 10000

static const char usage[] =
    "usage: sallyport tunnel -c FILE\n"
    "       sallyport tunnel --proxy HOST:PORT --database NAME --listen ADDR --identity DIR\n"
    "                        [--ready N] [--server-name NAME]\n"
    "                        [--authority HOST:PORT --ca-pin PIN --join FILE]\n"
    "\n"
    "Opens local ports that MySQL and MariaDB clients connect to, and carries what they say to "
    "the\n"
    "proxy over mutual TLS. Clients need no password and no TLS setting.\n"
    "\n"
    "  -c, --config FILE     configuration: any number of tunnels\n"
    "      --proxy HOST:PORT the proxy's TLS-first listener\n"
    "      --database NAME   which of the proxy's databases\n"
    "      --listen ADDR     127.0.0.1:3306, [::1]:3306 or unix:/run/shop.sock\n"
    "      --identity DIR    directory with cert.pem, key.pem and ca.pem\n"
    "      --ready N         TLS connections kept ready (default " TUNNEL_DEFAULT_READY ")\n"
    "      --server-name NAME  what the proxy's certificate must name (default: HOST)\n"
    "      --authority HOST:PORT  who issues and renews the identity; without it something else\n"
    "                        puts the files into DIR\n"
    "      --ca-pin PIN      what tells the authority from others at the first start: sha256:…\n"
    "      --join FILE       a join token, needed at the first start only; -: standard input. Or "
    "in\n"
    "                        the environment variable SALLYPORT_TOKEN. Never the token itself\n"
    "      --bound-key FILE --bot NAME\n"
    "                        join with the key that was registered for the bot instead\n"
    "      --authority-name NAME  what the authority's certificate must name (default: HOST)\n"
    "      --log-level LEVEL debug, info, warning or error\n"
    "  -h, --help            this text\n"
    "\n"
    "Signals: SIGHUP reads FILE again; SIGUSR1 logs statistics; SIGTERM and SIGINT stop taking\n"
    "connections and wait for those that run; a second one ends them.\n";

struct command {
    const char *file; /* NULL: flags */
    struct tunnel_flags flags;
    bool help;
    bool join_stdin;
    struct join_token token; /* of standard input or the environment */
    struct error token_error;
};

enum { SIGNAL_TERM, SIGNAL_INT, SIGNAL_HUP, SIGNAL_USR1, SIGNAL_COUNT };

static const int signal_numbers[SIGNAL_COUNT] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

struct run {
    const struct command *command;
    uv_loop_t loop;
    uv_signal_t signals[SIGNAL_COUNT];
    uv_timer_t status;
    struct tunnel_service *service;
    bool stopping;
    struct error hopeless; /* why it ended by itself; ERROR_NONE: it did not */
};

/* The command line. */

enum option_key {
    OPTION_PROXY = 256,
    OPTION_DATABASE,
    OPTION_LISTEN,
    OPTION_IDENTITY,
    OPTION_READY,
    OPTION_SERVER_NAME,
    OPTION_AUTHORITY,
    OPTION_AUTHORITY_NAME,
    OPTION_CA_PIN,
    OPTION_JOIN,
    OPTION_BOUND_KEY,
    OPTION_BOT,
    OPTION_LOG_LEVEL,
};

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"help", no_argument, NULL, 'h'},
    {"proxy", required_argument, NULL, OPTION_PROXY},
    {"database", required_argument, NULL, OPTION_DATABASE},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"identity", required_argument, NULL, OPTION_IDENTITY},
    {"ready", required_argument, NULL, OPTION_READY},
    {"server-name", required_argument, NULL, OPTION_SERVER_NAME},
    {"authority", required_argument, NULL, OPTION_AUTHORITY},
    {"authority-name", required_argument, NULL, OPTION_AUTHORITY_NAME},
    {"ca-pin", required_argument, NULL, OPTION_CA_PIN},
    {"join", required_argument, NULL, OPTION_JOIN},
    {"bound-key", required_argument, NULL, OPTION_BOUND_KEY},
    {"bot", required_argument, NULL, OPTION_BOT},
    {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
    {NULL, 0, NULL, 0},
};

static const char **option_place(struct command *command, int key)
{
    switch (key) {
    case 'c':
        return &command->file;
    case OPTION_PROXY:
        return &command->flags.proxy;
    case OPTION_DATABASE:
        return &command->flags.database;
    case OPTION_LISTEN:
        return &command->flags.listen;
    case OPTION_IDENTITY:
        return &command->flags.identity;
    case OPTION_READY:
        return &command->flags.ready;
    case OPTION_SERVER_NAME:
        return &command->flags.server_name;
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
    case OPTION_LOG_LEVEL:
        return &command->flags.log_level;
    default:
        return NULL;
    }
}

static bool has_tunnel_flags(const struct tunnel_flags *flags)
{
    return flags->proxy || flags->database || flags->listen || flags->identity || flags->ready ||
           flags->server_name || flags->authority || flags->authority_name || flags->ca_pin ||
           flags->join || flags->bound_key || flags->bot;
}

static bool parse_command(int argc, char **argv, struct command *command)
{
    int key;
    optind = 0; /* getopt may have been used before */
    while ((key = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        const char **place = option_place(command, key);
        if (place)
            *place = optarg;
        else if (key == 'h')
            command->help = true;
        else
            return false;
    }
    if (optind < argc) {
        (void)fprintf(stderr, "sallyport tunnel: '%s' is not expected\n", argv[optind]);
        return false;
    }
    if (command->file && has_tunnel_flags(&command->flags)) {
        (void)fprintf(stderr, "sallyport tunnel: give either -c FILE or flags, not both\n");
        return false;
    }
    return true;
}

/* Configuration. */

/* A token that need not be in a file; taken before anything else looks at the flags. One that is no
 * good is an error only if it is needed. */
static bool take_token(struct command *command, struct error *err)
{
    struct tunnel_flags *flags = &command->flags;
    command->join_stdin = flags->join && strcmp(flags->join, "-") == 0;
    if (!join_token_from_environment(&command->token, &command->token_error))
        join_token_wipe(&command->token);
    if (!command->join_stdin)
        return true;
    flags->join = NULL;
    return flags->authority ||
           error_set(err, ERROR_CONFIG, "--authority HOST:PORT is missing: who is to be joined?");
}

static bool needs_token(const struct tunnel_config *config)
{
    for (size_t i = 0; i < config->tunnel_count; i++)
        if (enrolment_takes_token(&config->tunnels[i].enrolment) &&
            !credentials_are_current(config->tunnels[i].identity))
            return true;
    return false;
}

static bool give_token(struct command *command, struct tunnel_config *config, struct error *err)
{
    if (!needs_token(config))
        return true;
    if (command->join_stdin && !join_token_read("-", &command->token, err))
        return false;
    if (!command->join_stdin && command->token_error.code != ERROR_NONE) {
        *err = command->token_error;
        return false;
    }
    return !command->token.text[0] || tunnel_config_take_token(config, &command->token, err);
}

static bool load(const struct command *command, struct tunnel_config *config, struct error *err)
{
    bool loaded = command->file ? tunnel_config_load(command->file, config, err)
                                : tunnel_config_from_flags(&command->flags, config, err);
    if (!loaded)
        return false;
    enum log_level level = (enum log_level)config->log.level;
    struct error why = {0};
    if (command->flags.log_level && !log_level_parse(command->flags.log_level, &level, &why)) {
        tunnel_config_release(config);
        return error_set(err, ERROR_CONFIG, "--log-level: %s", why.message);
    }
    config->log.level = (int)level;
    return true;
}

static void apply_log(const struct tunnel_config *config)
{
    log_configure((enum log_level)config->log.level, (enum log_format)config->log.format);
}

/* The service's events. */

/* "; certificate until 14:03:20Z, renewal at …" */
static const char *identity_words(const struct shared_status *identity, char *out, size_t size)
{
    char until[CLOCK_TIME_SIZE], renewal[CLOCK_TIME_SIZE];
    clock_format(identity->not_after_us, until);
    clock_format(identity->renew_at_us, renewal);
    out[0] = '\0';
    if (identity->not_after_us == 0)
        (void)snprintf(out, size, "; no certificate: %.300s", identity->problem);
    else if (identity->problem[0])
        (void)snprintf(out, size, "; certificate until %.19sZ: %.300s", until, identity->problem);
    else if (identity->renew_at_us)
        (void)snprintf(out, size, "; certificate until %.19sZ, renewal at %.19sZ", until, renewal);
    else
        (void)snprintf(out, size, "; certificate until %.19sZ", until);
    return out;
}

static void show_status(const struct run *run)
{
    struct tunnel_service_summary now;
    tunnel_service_summarize(run->service, &now);
    char identity[ERROR_MESSAGE_SIZE];
    notify_status("%s%zu of %zu tunnels listen, %zu connections, %zu ready%s",
                  run->stopping ? "stopping: " : "", now.listening, now.tunnels, now.connections,
                  now.ready, identity_words(&now.identity, identity, sizeof identity));
}

static void on_status(uv_timer_t *timer)
{
    show_status(timer->data);
}

static void on_ready(void *owner)
{
    (void)owner;
    notify_ready();
    log_info("ready", NULL);
}

static void close_handles(struct run *run)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        uv_close((uv_handle_t *)&run->signals[i], NULL);
    uv_close((uv_handle_t *)&run->status, NULL);
}

static void on_stopped(void *owner)
{
    close_handles(owner);
}

/* Reported once everything has ended. */
static void on_hopeless(void *owner, const struct error *err)
{
    struct run *run = owner;
    run->hopeless = *err;
    run->stopping = true;
    tunnel_service_drain(run->service); /* those that waited for the identity are being told */
}

static const struct tunnel_service_events service_events = {
    .ready = on_ready, .stopped = on_stopped, .hopeless = on_hopeless};

/* Signals. */

static void reload(struct run *run)
{
    struct tunnel_config config;
    struct error err = {0};
    if (!run->command->file) {
        log_warning("nothing to read again: the settings came from flags", NULL);
        return;
    }
    notify_reloading();
    if (!load(run->command, &config, &err)) {
        log_error("the configuration was not taken; nothing has changed", "error", err.message,
                  NULL);
    } else {
        bool taken = tunnel_service_reload(run->service, &config, &err);
        if (taken) {
            apply_log(&config);
            log_info("configuration taken", "file", run->command->file, NULL);
        } else {
            log_error("the configuration was not taken; nothing has changed", "error", err.message,
                      NULL);
        }
        tunnel_config_release(&config);
    }
    notify_ready();
}

static void stop(struct run *run)
{
    if (run->stopping) {
        log_warning("ending the connections that are left", NULL);
        tunnel_service_stop(run->service);
        return;
    }
    run->stopping = true;
    notify_stopping();
    log_info("stopping: no new connections", NULL);
    tunnel_service_log_statistics(run->service);
    tunnel_service_drain(run->service);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct run *run = handle->data;
    if (number == SIGHUP && !run->stopping)
        reload(run);
    else if (number == SIGUSR1)
        tunnel_service_log_statistics(run->service);
    else if (number == SIGTERM || number == SIGINT)
        stop(run);
}

static void watch_signals(struct run *run)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        (void)uv_signal_init(&run->loop, &run->signals[i]);
        run->signals[i].data = run;
        int code = uv_signal_start(&run->signals[i], on_signal, signal_numbers[i]);
        if (code != 0)
            log_error("cannot watch for a signal", "error", uv_strerror(code), NULL);
        /* Signals alone keep nothing running: a start that fails runs the loop until it is empty.
         */
        uv_unref((uv_handle_t *)&run->signals[i]);
    }
    (void)uv_timer_init(&run->loop, &run->status);
    run->status.data = run;
}

/* Running. */

static int run_loop(struct run *run)
{
    (void)uv_timer_start(&run->status, on_status, 0, STATUS_INTERVAL_MS);
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    tunnel_service_destroy(run->service);
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    log_info("stopped", NULL);
    return run->hopeless.code == ERROR_NONE ? EXIT_DONE : exit_with(&run->hopeless);
}

static int give_up(struct run *run, const struct error *err)
{
    close_handles(run);
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    return exit_with(err);
}

static int run_tunnels(const struct command *command, struct tunnel_config *config,
                       struct join_token *token)
{
    struct run run = {.command = command};
    struct error err = {0};
    int code = uv_loop_init(&run.loop);
    if (code != 0) {
        (void)error_set(&err, ERROR_SYSTEM, "cannot make an event loop: %s", uv_strerror(code));
        return exit_with(&err);
    }
    watch_signals(&run); /* before anything says "ready": whoever reads that may send one at once */
    bool started =
        tunnel_service_start(&run.loop, config, &service_events, &run, &run.service, &err);
    tunnel_config_release(config);
    join_token_wipe(token);
    int result = started ? run_loop(&run) : give_up(&run, &err);
    if (uv_loop_close(&run.loop) != 0)
        log_warning("the event loop was not empty at the end", NULL);
    return result;
}

int cli_tunnel(int argc, char **argv)
{
    struct command command = {0};
    struct tunnel_config config;
    struct error err = {0};
    if (!parse_command(argc, argv, &command)) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (command.help)
        return fputs(usage, stdout) < 0 ? EXIT_FAILED : EXIT_DONE;
    if (!take_token(&command, &err) || !load(&command, &config, &err))
        return exit_with(&err);
    apply_log(&config);
    (void)signal(SIGPIPE, SIG_IGN);
    if (!give_token(&command, &config, &err)) {
        tunnel_config_release(&config);
        return exit_with(&err);
    }
    return run_tunnels(&command, &config, &command.token);
}

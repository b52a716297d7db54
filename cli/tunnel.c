/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tunnel.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"
#include "base/notify.h"
#include "cli/exit.h"
#include "tunnel/service.h"
#include "tunnel/settings.h"

/* How often `systemctl status` gets new numbers. */
#define STATUS_INTERVAL_MS 10000

static const char usage[] =
    "usage: sallyport tunnel -c FILE\n"
    "       sallyport tunnel --proxy HOST:PORT --database NAME --listen ADDR --identity DIR\n"
    "                        [--ready N] [--server-name NAME]\n"
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
    "      --log-level LEVEL debug, info, warning or error\n"
    "  -h, --help            this text\n"
    "\n"
    "Signals: SIGHUP reads FILE again; SIGUSR1 logs statistics; SIGTERM and SIGINT stop taking\n"
    "connections and wait for those that run; a second one ends them.\n";

struct command {
    const char *file; /* NULL: flags */
    struct tunnel_flags flags;
    bool help;
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
};

/* The command line. */

enum option_key {
    OPTION_PROXY = 256,
    OPTION_DATABASE,
    OPTION_LISTEN,
    OPTION_IDENTITY,
    OPTION_READY,
    OPTION_SERVER_NAME,
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
    case OPTION_LOG_LEVEL:
        return &command->flags.log_level;
    default:
        return NULL;
    }
}

static bool has_tunnel_flags(const struct tunnel_flags *flags)
{
    return flags->proxy || flags->database || flags->listen || flags->identity || flags->ready ||
           flags->server_name;
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

static void show_status(const struct run *run)
{
    struct tunnel_service_summary now;
    tunnel_service_summarize(run->service, &now);
    notify_status("%s%zu of %zu tunnels listen, %zu connections, %zu ready",
                  run->stopping ? "stopping: " : "", now.listening, now.tunnels, now.connections,
                  now.ready);
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

static const struct tunnel_service_events service_events = {.ready = on_ready,
                                                            .stopped = on_stopped};

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
    return EXIT_DONE;
}

static int give_up(struct run *run, const struct error *err)
{
    close_handles(run);
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    return exit_with(err);
}

static int run_tunnels(const struct command *command, struct tunnel_config *config)
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
    if (!load(&command, &config, &err))
        return exit_with(&err);
    apply_log(&config);
    (void)signal(SIGPIPE, SIG_IGN);
    return run_tunnels(&command, &config);
}

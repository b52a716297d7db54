/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/server.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/notify.h"
#include "proxy/worker.h"

struct server {
    const char *config_file;
    struct snapshot *snapshot;
    struct worker_shared shared;
    struct worker *workers;
    unsigned worker_count;
    unsigned prepared; /* workers that worker_start() was called for */
    unsigned started;  /* … with success */
    uv_loop_t loop;
    uv_signal_t hangup, terminate, interrupt;
    uv_async_t workers_gone;
    bool draining;
};

/* --- sockets --- */

static int open_socket(const struct addrinfo *address, struct error *err)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        error_system(err, errno, "cannot make a socket");
        return -1;
    }
    const int on = 1;
    /* SO_REUSEPORT lets each worker listen for itself, and the kernel spread the connections. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
        (address->ai_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0)
        return fd;
    error_system(err, errno, "cannot bind");
    close(fd);
    return -1;
}

/*
 * With SO_REUSEPORT a second proxy of the same user would silently share the port: a first bind
 * without it finds out.
 */
static bool probe_port(const struct addrinfo *address, struct error *err)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_system(err, errno, "cannot make a socket");
    const int on = 1;
    bool free_port = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                     (address->ai_family != AF_INET6 ||
                      setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
                     bind(fd, address->ai_addr, address->ai_addrlen) == 0;
    if (!free_port)
        error_system(err, errno, "cannot bind");
    close(fd);
    return free_port;
}

static bool resolve(const struct address *address, struct addrinfo **out, struct error *err)
{
    char port[8];
    snprintf(port, sizeof port, "%u", address->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int status = getaddrinfo(address->host, port, &hints, out);
    return status == 0 || error_set(err, ERROR_SYSTEM, "cannot resolve %s: %s", address->host,
                                    gai_strerror(status));
}

/* One socket for each worker, into sockets[worker][listener]. */
static bool bind_listener(const struct server *server, size_t listener, int *sockets,
                          struct error *err)
{
    const struct proxy_settings *proxy = &server->snapshot->settings.proxy;
    const struct listener_settings *settings = &proxy->listeners[listener];
    struct address address;
    struct addrinfo *resolved = NULL;
    bool good = address_parse(settings->address, &address, err) &&
                resolve(&address, &resolved, err) && probe_port(resolved, err);
    for (unsigned i = 0; good && i < server->worker_count; i++) {
        int fd = open_socket(resolved, err);
        sockets[i * proxy->listener_count + listener] = fd;
        good = fd >= 0;
    }
    if (resolved)
        freeaddrinfo(resolved);
    return good || error_wrap(err, "listener %s", settings->address);
}

static bool bind_listeners(const struct server *server, int *sockets, struct error *err)
{
    for (size_t i = 0; i < server->snapshot->settings.proxy.listener_count; i++)
        if (!bind_listener(server, i, sockets, err))
            return false;
    return true;
}

/* --- workers --- */

static bool start_bound(struct server *server, int *sockets, struct error *err)
{
    size_t listeners = server->snapshot->settings.proxy.listener_count;
    for (unsigned i = 0; i < server->worker_count; i++) {
        int *own = sockets + i * listeners;
        server->prepared++;
        bool started =
            worker_start(&server->workers[i], i, &server->shared, server->snapshot, own, err);
        for (size_t j = 0; j < listeners; j++)
            own[j] = -1;
        if (!started)
            return false;
        server->started++;
    }
    return true;
}

static bool start_workers(struct server *server, struct error *err)
{
    size_t count = server->worker_count * server->snapshot->settings.proxy.listener_count;
    int *sockets = malloc(count * sizeof *sockets);
    server->workers = calloc(server->worker_count, sizeof *server->workers);
    if (!sockets || !server->workers) {
        free(sockets);
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < count; i++)
        sockets[i] = -1;
    bool good = bind_listeners(server, sockets, err) && start_bound(server, sockets, err);
    for (size_t i = 0; i < count; i++)
        if (sockets[i] >= 0)
            close(sockets[i]);
    free(sockets);
    return good;
}

static void join_workers(struct server *server)
{
    for (unsigned i = 0; i < server->started; i++)
        worker_join(&server->workers[i]);
}

/* --- signals --- */

static void on_hangup(uv_signal_t *handle, int number)
{
    (void)number;
    struct server *server = handle->data;
    struct snapshot *next = NULL;
    struct error err = {0};
    if (server->draining) {
        log_warning("no reload while draining", NULL);
        return;
    }
    notify_reloading();
    bool good = snapshot_create(server->config_file, &next, &err) &&
                snapshot_can_follow(server->snapshot, next, &err);
    notify_ready();
    if (!good) {
        snapshot_unref(next);
        log_error("the reload was refused, nothing has changed", "error", err.message, NULL);
        return;
    }
    for (unsigned i = 0; i < server->started; i++)
        worker_reload(&server->workers[i], next);
    snapshot_unref(server->snapshot);
    server->snapshot = next;
    log_configure(next->settings.log.level, next->settings.log.format);
    log_info("reloaded", "file", server->config_file, NULL);
}

static void on_stop(uv_signal_t *handle, int number)
{
    (void)number;
    struct server *server = handle->data;
    bool again = server->draining;
    server->draining = true;
    notify_stopping();
    log_info(again ? "stopping now"
                   : "draining: running commands may finish, new sessions are refused",
             NULL);
    for (unsigned i = 0; i < server->started; i++) {
        if (again)
            worker_stop(&server->workers[i]);
        else
            worker_drain(&server->workers[i]);
    }
}

static void watch_signal(struct server *server, uv_signal_t *handle, uv_signal_cb callback,
                         int number)
{
    uv_signal_init(&server->loop, handle);
    handle->data = server;
    uv_signal_start(handle, callback, number);
}

/* Runs beside the main loop and ends it when the last worker has ended. */
static void wait_for_workers(void *arg)
{
    struct server *server = arg;
    join_workers(server);
    uv_async_send(&server->workers_gone);
}

static void close_loop(struct server *server)
{
    uv_close((uv_handle_t *)&server->workers_gone, NULL);
    uv_close((uv_handle_t *)&server->hangup, NULL);
    uv_close((uv_handle_t *)&server->terminate, NULL);
    uv_close((uv_handle_t *)&server->interrupt, NULL);
}

static void on_workers_gone(uv_async_t *handle)
{
    close_loop(handle->data);
}

/* Before anything else starts, so that no signal comes too early to be handled. */
static void open_loop(struct server *server)
{
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&server->loop);
    uv_async_init(&server->loop, &server->workers_gone, on_workers_gone);
    server->workers_gone.data = server;
    watch_signal(server, &server->hangup, on_hangup, SIGHUP);
    watch_signal(server, &server->terminate, on_stop, SIGTERM);
    watch_signal(server, &server->interrupt, on_stop, SIGINT);
}

static bool run_loop(struct server *server, struct error *err)
{
    uv_thread_t waiter;
    if (uv_thread_create(&waiter, wait_for_workers, server) != 0)
        return error_set(err, ERROR_SYSTEM, "cannot start a thread");
    notify_ready();
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_thread_join(&waiter);
    return true;
}

/* --- the whole
 * ------------------------------------------------------------------------------------ */

/* Each session has two sockets: the soft limit of descriptors is raised to the hard one. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            log_warning("the limit of open files could not be raised", NULL);
    }
}

static unsigned count_workers(const struct server *server)
{
    uint64_t workers = server->snapshot->settings.proxy.workers;
    if (workers > 0)
        return (unsigned)workers;
    unsigned cores = uv_available_parallelism();
    return cores < SETTINGS_WORKERS_MAX ? cores : SETTINGS_WORKERS_MAX;
}

static bool open_audit(struct server *server, struct error *err)
{
    const struct audit_section *section = &server->snapshot->settings.audit;
    const struct audit_settings settings = {
        .directory = section->directory,
        .file_size = section->file_size,
        .fsync = section->durability == DURABILITY_FSYNC,
    };
    return audit_log_open(&settings, server->worker_count, &server->shared.audit, err);
}

static void log_start(const struct server *server)
{
    const struct proxy_settings *proxy = &server->snapshot->settings.proxy;
    char workers[16];
    snprintf(workers, sizeof workers, "%u", server->worker_count);
    for (size_t i = 0; i < proxy->listener_count; i++)
        log_info("listening", "address", proxy->listeners[i].address, "tls",
                 proxy->listeners[i].starttls ? "starttls" : "first", "database",
                 proxy->listeners[i].database, NULL);
    log_info("ready", "proxy", proxy->name, "workers", workers, NULL);
}

static bool start(struct server *server, struct error *err)
{
    if (!snapshot_create(server->config_file, &server->snapshot, err))
        return false;
    const struct settings *settings = &server->snapshot->settings;
    log_configure(settings->log.level, settings->log.format);
    raise_descriptor_limit();
    server->worker_count = count_workers(server);
    server->shared.proxy_name = settings->proxy.name;
    return registry_create(&server->shared.registry, err) && open_audit(server, err) &&
           start_workers(server, err);
}

static void stop_started(struct server *server)
{
    for (unsigned i = 0; i < server->started; i++)
        worker_stop(&server->workers[i]);
    join_workers(server);
    close_loop(server);
    uv_run(&server->loop, UV_RUN_DEFAULT);
}

bool server_run(const char *config_file, struct error *err)
{
    struct server server = {.config_file = config_file};
    struct snapshot *first = NULL; /* the proxy's name lives there, whatever a reload brings */
    open_loop(&server);
    bool good = start(&server, err);
    if (good) {
        first = snapshot_ref(server.snapshot);
        log_start(&server);
        good = run_loop(&server, err);
    }
    if (!good)
        stop_started(&server);
    uv_loop_close(&server.loop);
    if (server.shared.audit)
        audit_log_close(server.shared.audit);
    for (unsigned i = 0; i < server.prepared; i++)
        worker_release(&server.workers[i]);
    registry_destroy(server.shared.registry);
    free(server.workers);
    snapshot_unref(first);
    snapshot_unref(server.snapshot);
    if (good)
        log_info("stopped", NULL);
    return good;
}

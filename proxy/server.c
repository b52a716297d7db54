/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "authority/service.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "identity/credentials.h"
#include "proxy/authority_link.h"
#include "proxy/keeper.h"
#include "proxy/listen.h"
#include "proxy/worker.h"
#include "tls/request.h"

struct server {
    const char *config_file;
    struct settings settings; /* as they were at the start */
    struct config *config;    /* owns them */
    struct worker_shared shared;
    uv_loop_t loop;
    uv_signal_t hangup, terminate, interrupt;
    bool draining;
    bool closed;         /* everything on the loop is being closed */
    struct error failed; /* why it ends, when it is not a stop that was asked for */

    struct authority_service *authority; /* in this process; NULL: none */
    struct authority_service_settings authority_settings;
    char authority_address[ADDRESS_TEXT_SIZE]; /* as the proxy here reaches it */

    struct own_identity *own; /* with an authority, here or elsewhere */
    struct join_token token;  /* from the environment */
    const char *name_items[AUTHORITY_HOSTS_MAX];
    struct config_strings names; /* what tunnels know the proxy by */
    struct authority_link_settings link_settings;
    struct stream_loop *streams;
    struct authority_link *link;

    struct snapshot *snapshot; /* NULL: the proxy has not begun */
    struct worker *workers;
    unsigned worker_count;
    unsigned prepared; /* workers that worker_start() was called for */
    unsigned started;  /* … with success */
    uv_thread_t waiter;
    bool joined;  /* the workers that started have been waited for, or are being */
    bool waiting; /* the waiter runs */
    uv_async_t workers_gone;
};

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
    const struct proxy_settings *proxy = &server->snapshot->settings.proxy;
    size_t count = server->worker_count * proxy->listener_count;
    int *sockets = malloc(count * sizeof *sockets);
    server->workers = calloc(server->worker_count, sizeof *server->workers);
    if (!sockets || !server->workers) {
        free(sockets);
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    bool good =
        listen_bind(proxy, server->worker_count, sockets, err) && start_bound(server, sockets, err);
    for (size_t i = 0; i < count; i++)
        if (sockets[i] >= 0)
            close(sockets[i]);
    free(sockets);
    return good;
}

static void wait_for_started(struct server *server)
{
    if (server->joined)
        return;
    server->joined = true;
    for (unsigned i = 0; i < server->started; i++)
        worker_join(&server->workers[i]);
}

/* Runs beside the main loop and tells it when the last worker has ended. */
static void wait_for_workers(void *arg)
{
    struct server *server = arg;
    wait_for_started(server);
    uv_async_send(&server->workers_gone);
}

static bool start_waiter(struct server *server, struct error *err)
{
    server->waiting = uv_thread_create(&server->waiter, wait_for_workers, server) == 0;
    return server->waiting || error_set(err, ERROR_SYSTEM, "cannot start a thread");
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

/* The configuration is read, and what an authority provides is there. */
static bool begin_proxy(struct server *server, struct provision *provision, struct error *err)
{
    if (!snapshot_create(server->config_file, provision, &server->snapshot, err) ||
        !start_workers(server, err) || !start_waiter(server, err))
        return false;
    log_start(server);
    notify_status("serving");
    notify_ready();
    return true;
}

/* --- the end --- */

/* Closes what is on the loop, so that it ends. */
static void close_loop(struct server *server)
{
    if (server->closed)
        return;
    server->closed = true;
    authority_link_close(server->link);
    uv_close((uv_handle_t *)&server->workers_gone, NULL);
    uv_close((uv_handle_t *)&server->hangup, NULL);
    uv_close((uv_handle_t *)&server->terminate, NULL);
    uv_close((uv_handle_t *)&server->interrupt, NULL);
}

static void on_workers_gone(uv_async_t *handle)
{
    close_loop(handle->data);
}

static void stop_workers(struct server *server, bool now)
{
    for (unsigned i = 0; i < server->started; i++) {
        if (now)
            worker_stop(&server->workers[i]);
        else
            worker_drain(&server->workers[i]);
    }
    if (server->waiting)
        return;
    wait_for_started(server); /* of a start that failed: they use the link until they end */
    close_loop(server);
}

static void fail(struct server *server, const struct error *err)
{
    if (server->failed.code == ERROR_NONE)
        server->failed = *err;
    server->draining = true;
    stop_workers(server, true);
}

/* --- the authority --- */

static void follow(struct server *server, struct snapshot *next)
{
    for (unsigned i = 0; i < server->started; i++)
        worker_reload(&server->workers[i], next);
    snapshot_unref(server->snapshot);
    server->snapshot = next;
}

/* The authority has said something new. */
static bool on_provided(void *owner, struct provision *provision, struct error *err)
{
    struct server *server = owner;
    struct snapshot *next;
    if (!server->snapshot) {
        if (!server->draining && !begin_proxy(server, provision, err))
            fail(server, err);
        return true; /* it serves now, or ends */
    }
    if (!snapshot_provide(server->snapshot, provision, &next, err))
        return false;
    follow(server, next);
    return true;
}

static void on_link_closed(void *owner)
{
    struct server *server = owner;
    server->link = NULL;
    stream_loop_destroy(server->streams);
    server->streams = NULL;
}

static void on_hopeless(void *owner, const struct error *err)
{
    struct server *server = owner;
    if (!server->snapshot && !server->draining)
        fail(server, err);
}

static const struct authority_link_events link_events = {
    .provided = on_provided,
    .hopeless = on_hopeless,
    .closed = on_link_closed,
};

/* Where the authority of this process listens, for its own proxy. */
static void find_authority_here(struct server *server)
{
    struct address address = server->authority_settings.listen;
    struct authority_link_settings *link = &server->link_settings;
    bool anywhere = strcmp(address.host, "0.0.0.0") == 0 || strcmp(address.host, "::") == 0;
    if (anywhere)
        (void)snprintf(address.host, sizeof address.host, "%s",
                       strchr(address.host, ':') ? "::1" : "127.0.0.1");
    address.port = authority_service_port(server->authority);
    address_format(&address, server->authority_address);
    link->address = server->authority_address;
    link->server_name = server->authority_settings.core.hosts.names[0];
}

static bool take_issued(struct server *server, const struct authority_issued *issued,
                        struct error *err)
{
    const struct exchange_identity identity = {
        .certificate = issued->certificate,
        .ca = issued->ca,
        .name = server->settings.proxy.name,
        .instance = "",
        .not_after_us = issued->not_after_us,
        .renew_at_us = issued->renew_at_us,
    };
    struct identity_set set;
    if (!own_identity_prepare(server->own, &identity, &set, err))
        return false;
    own_identity_use(server->own);
    return true;
}

/* The proxy of this process needs no token to join its authority. */
static bool join_here(void *owner, struct error *err)
{
    struct server *server = owner;
    struct authority_issued issued;
    struct buffer csr;
    buffer_init(&csr, TLS_REQUEST_PEM_MAX + 1);
    bool good = own_identity_begin(server->own, false, err) &&
                tls_request_create(own_identity_key(server->own), &csr, err) &&
                buffer_append(&csr, "", 1, err) &&
                authority_service_issue_proxy(server->authority, server->settings.proxy.name,
                                              (const char *)buffer_bytes(&csr), server->names.items,
                                              server->names.count, &issued, err);
    buffer_release(&csr);
    if (!good)
        return false;
    good = take_issued(server, &issued, err);
    authority_issued_release(&issued);
    return good;
}

static bool open_link(struct server *server, struct error *err)
{
    if (!server->settings.proxy.has_authority)
        find_authority_here(server);
    const struct authority_link_request request = {
        .loop = &server->loop,
        .streams = server->streams,
        .settings = &server->link_settings,
        .roles = server->settings.roles,
        .role_count = server->settings.role_count,
        .own = server->own,
        .token = &server->token,
        .join_here = server->settings.proxy.has_authority ? NULL : join_here,
        .join_owner = server,
    };
    bool opened = authority_link_open(&request, &link_events, server, &server->link, err);
    server->shared.link = server->link;
    join_token_wipe(&server->token); /* the link has its copy */
    return opened;
}

/* By default those of the authority on the same machine. */
static void find_names(struct server *server)
{
    const struct authority_hosts *hosts = &server->authority_settings.core.hosts;
    server->names = server->settings.proxy.names;
    if (server->names.count > 0)
        return;
    for (size_t i = 0; i < hosts->count; i++)
        server->name_items[i] = hosts->names[i];
    server->names = (struct config_strings){server->name_items, hosts->count};
}

/* A token that is not needed may be anything; it is taken out of the environment all the same. */
static bool take_token(struct server *server, struct error *err)
{
    struct error why = {0};
    bool taken = join_token_from_environment(&server->token, &why);
    if (taken || credentials_are_current(server->settings.proxy.authority.identity))
        return true;
    *err = why;
    return false;
}

static void log_missing_name(const struct server *server)
{
    const char *missing;
    if (!own_identity_has_names(server->own, &missing))
        log_warning("the proxy's certificate has not all of proxy.names: a new name needs a new "
                    "join: remove the identity's directory, and join with a new token",
                    "name", missing, "directory", server->settings.proxy.authority.identity, NULL);
}

/* With what an earlier start has left, or a token: the link does the joining. */
static bool open_identity(struct server *server, struct error *err)
{
    const struct proxy_settings *proxy = &server->settings.proxy;
    const struct authority_link_settings *authority = &proxy->authority;
    if (!take_token(server, err) ||
        !keeper_check(server->config, proxy->name, authority, server->token.text[0] != '\0', err) ||
        !own_identity_open(server->own, authority->identity, err))
        return false;
    log_missing_name(server);
    if (!own_identity_is_current(server->own, clock_wall_us()))
        log_info("joining the authority", "proxy", proxy->name, "authority", authority->address,
                 NULL);
    notify_status("waiting for the authority at %s", authority->address);
    return true;
}

static bool prepare_link(struct server *server, struct error *err)
{
    const struct proxy_settings *proxy = &server->settings.proxy;
    if (!settings_follow_authority(&server->settings))
        return true;
    server->link_settings = proxy->authority;
    find_names(server);
    return stream_loop_create(&server->loop, &server->streams, err) &&
           own_identity_create(proxy->name, &server->names, &server->own, err) &&
           (proxy->has_authority ? open_identity(server, err) : join_here(server, err));
}

static bool open_authority(struct server *server, struct error *err)
{
    struct authority_service_settings *wanted = &server->authority_settings;
    if (!server->settings.has_authority)
        return true;
    return authority_settings_read(server->config, &server->settings.authority, wanted, err) &&
           authority_service_open(wanted,
                                  audit_log_lane(server->shared.audit, server->worker_count),
                                  &server->authority, err);
}

static bool start_authority(struct server *server, struct error *err)
{
    return !server->authority || authority_service_start(server->authority, err);
}

/* --- signals --- */

/* An authority alone follows nothing but the log's settings, and says what it does not. */
static bool reload_authority(struct server *server, struct error *err)
{
    struct settings next;
    struct config *config;
    if (!settings_load(server->config_file, &next, &config, err))
        return false;
    bool same = !next.has_proxy && next.has_authority;
    if (same) {
        settings_tell_unfollowed(&server->settings, &next);
        log_configure(next.log.level, next.log.format);
    } else {
        (void)config_error(config, (struct config_place){0}, NULL, err,
                           "\"proxy\" and \"authority\" can neither come nor go in a running "
                           "process: restart it");
    }
    config_free(config);
    return same;
}

static bool reload(struct server *server, struct error *err)
{
    struct snapshot *next = NULL;
    if (!server->settings.has_proxy)
        return reload_authority(server, err);
    if (!server->snapshot)
        return error_set(err, ERROR_STATE, "there is nothing yet that could be reloaded");
    /* With what is followed now: what could not be taken comes at the link's next tick. */
    if (!snapshot_create(server->config_file, server->snapshot->provision, &next, err))
        return false;
    if (!snapshot_can_follow(server->snapshot, next, err) ||
        (server->link && !authority_link_reload(server->link, next->settings.roles,
                                                next->settings.role_count, err))) {
        snapshot_unref(next);
        return false;
    }
    settings_tell_unfollowed(&server->settings, &next->settings);
    log_configure(next->settings.log.level, next->settings.log.format);
    follow(server, next);
    return true;
}

static bool is_ready(const struct server *server)
{
    return server->snapshot || !server->settings.has_proxy;
}

static void on_hangup(uv_signal_t *handle, int number)
{
    (void)number;
    struct server *server = handle->data;
    struct error err = {0};
    if (server->draining) {
        log_warning("no reload while draining", NULL);
        return;
    }
    bool ready = is_ready(server);
    if (ready)
        notify_reloading();
    bool good = reload(server, &err);
    if (ready)
        notify_ready();
    if (!good) {
        log_error("the reload was refused, nothing has changed", "error", err.message, NULL);
        return;
    }
    log_info("reloaded", "file", server->config_file, NULL);
}

static void on_stop(uv_signal_t *handle, int number)
{
    (void)number;
    struct server *server = handle->data;
    bool again = server->draining;
    server->draining = true;
    notify_stopping();
    if (server->started > 0)
        log_info(again ? "stopping now"
                       : "draining: running commands may finish, new sessions are refused",
                 NULL);
    stop_workers(server, again);
}

static void watch_signal(struct server *server, uv_signal_t *handle, uv_signal_cb callback,
                         int number)
{
    uv_signal_init(&server->loop, handle);
    handle->data = server;
    uv_signal_start(handle, callback, number);
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

/* --- the whole --- */

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
    uint64_t workers = server->settings.proxy.workers;
    if (!server->settings.has_proxy)
        return 0;
    if (workers > 0)
        return (unsigned)workers;
    unsigned cores = uv_available_parallelism();
    return cores < SETTINGS_WORKERS_MAX ? cores : SETTINGS_WORKERS_MAX;
}

/* A lane for each worker, and one for the authority. */
static bool open_audit(struct server *server, struct error *err)
{
    const struct audit_section *section = &server->settings.audit;
    const struct audit_settings settings = {
        .directory = section->directory,
        .file_size = section->file_size,
        .fsync = section->durability == DURABILITY_FSYNC,
    };
    return audit_log_open(&settings, server->worker_count + server->settings.has_authority,
                          &server->shared.audit, err);
}

static bool start_proxy(struct server *server, struct error *err)
{
    if (server->settings.has_proxy)
        return server->own ? open_link(server, err) : begin_proxy(server, NULL, err);
    log_info("ready", "authority", authority_service_address(server->authority), NULL);
    notify_ready();
    return true;
}

static bool start(struct server *server, struct error *err)
{
    if (!settings_load(server->config_file, &server->settings, &server->config, err))
        return false;
    const struct settings *settings = &server->settings;
    log_configure(settings->log.level, settings->log.format);
    raise_descriptor_limit();
    server->worker_count = count_workers(server);
    server->shared.proxy_name = settings->proxy.name;
    return registry_create(&server->shared.registry, err) && open_audit(server, err) &&
           open_authority(server, err) && prepare_link(server, err) &&
           start_authority(server, err) && start_proxy(server, err);
}

/* In the order in which one uses the other. */
static void release(struct server *server)
{
    if (server->waiting)
        uv_thread_join(&server->waiter);
    else
        wait_for_started(server);
    stream_loop_destroy(server->streams);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_loop_close(&server->loop);
    authority_service_close(server->authority);
    if (server->shared.audit)
        audit_log_close(server->shared.audit);
    for (unsigned i = 0; i < server->prepared; i++)
        worker_release(&server->workers[i]);
    registry_destroy(server->shared.registry);
    free(server->workers);
    snapshot_unref(server->snapshot);
    own_identity_free(server->own);
    config_free(server->config);
}

bool server_run(const char *config_file, struct error *err)
{
    struct server server = {.config_file = config_file};
    struct error failed = {0};
    open_loop(&server);
    if (!start(&server, &failed))
        fail(&server, &failed);
    uv_run(&server.loop, UV_RUN_DEFAULT);
    release(&server);
    if (server.failed.code != ERROR_NONE) {
        *err = server.failed;
        return false;
    }
    log_info("stopped", NULL);
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The service's life: opening, its loop and thread, its end. */
#include "authority/service.h"

#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authority/ca.h"
#include "authority/service_internal.h"
#include "authority/standing.h"
#include "base/clock.h"
#include "base/log.h"

/* --- opening --- */

static bool has_authorities(const struct store_authority *authority, void *context)
{
    (void)authority;
    *(bool *)context = true;
    return false;
}

static bool record_cas(struct authority_service *service, struct error *err)
{
    const struct authority_ca *list[AUTHORITY_CAS_OF_KIND];
    for (int kind = STORE_AUTHORITY_BOT; kind <= STORE_AUTHORITY_DATABASE_CLIENT; kind++) {
        char pin[CERTIFICATE_PIN_TEXT_SIZE];
        (void)authority_ca_list(service->core, (enum store_authority_kind)kind, list);
        certificate_pin_text(list[0]->pin, pin);
        const struct authority_facts facts = {
            .kind = store_authority_kind_name(list[0]->kind),
            .target = pin,
            .not_after_us = list[0]->not_after_us,
        };
        if (!authority_event_put(service->lane, AUTHORITY_EVENT_CA_CREATE, &facts, "ok", NULL, err))
            return false;
    }
    return true;
}

/* CAs are recorded right after they were made: they are of no use to anybody before that. */
static bool open_core(struct authority_service *service, struct error *err)
{
    bool old = false;
    return store_open(service->settings.directory, &service->store, err) &&
           store_authority_each(service->store, 0, has_authorities, &old, err) &&
           authority_open(&service->settings.core, service->store, clock_wall_us(), &service->core,
                          err) &&
           (old || record_cas(service, err)) && service_tls_renew(service, err);
}

static bool admits_bot(void *context, const char *bot)
{
    struct authority_service *service = context;
    return authority_rate_takes(service->bots, bot, clock_monotonic_us());
}

static bool open_parts(struct authority_service *service, struct error *err)
{
    service->group.items = calloc(SERVICE_GROUP_MAX, sizeof *service->group.items);
    if (!service->group.items)
        return error_set(err, ERROR_MEMORY, "out of memory for the authority");
    return authority_rate_open(&service->joins, err) &&
           authority_rate_open(&service->refusals, err) &&
           authority_rate_open_bots(&service->bots, err) && open_core(service, err);
}

static bool init_locks(struct authority_service *service)
{
    if (uv_mutex_init(&service->pin_lock) != 0)
        return false;
    if (uv_mutex_init(&service->call_lock) == 0) {
        if (uv_cond_init(&service->called) == 0)
            return true;
        uv_mutex_destroy(&service->call_lock);
    }
    uv_mutex_destroy(&service->pin_lock);
    return false;
}

bool authority_service_open(const struct authority_service_settings *settings,
                            struct audit_lane *lane, struct authority_service **out,
                            struct error *err)
{
    struct authority_service *service = calloc(1, sizeof *service);
    if (!service)
        return error_set(err, ERROR_MEMORY, "out of memory for the authority");
    if (!init_locks(service)) {
        free(service);
        return error_set(err, ERROR_SYSTEM, "cannot make a lock");
    }
    service->settings = *settings;
    service->lane = lane;
    bool opened = open_parts(service, err);
    if (opened) {
        service->core->admits = admits_bot;
        service->core->admits_context = service;
    }
    service->settings.directory = NULL; /* may go away */
    if (!opened) {
        authority_service_close(service);
        return error_wrap(err, "authority");
    }
    *out = service;
    return true;
}

/* --- the timers --- */

static void renew_when_due(struct authority_service *service, int64_t now_us)
{
    struct error err = {0};
    if (now_us < service->tls.renew_at_us || now_us - service->renew_tried_us < AUTHORITY_MINUTE)
        return;
    group_end(service);
    service->renew_tried_us = now_us;
    if (!service_tls_renew(service, &err))
        log_error("the authority's certificate could not be renewed", "error", err.message, NULL);
    else
        service->renew_tried_us = 0;
}

static void prune_when_due(struct authority_service *service)
{
    struct error err = {0};
    int64_t now_us = clock_monotonic_us();
    if (now_us - service->pruned_us < SERVICE_PRUNE_MS * INT64_C(1000))
        return;
    service->pruned_us = now_us;
    group_end(service);
    if (!authority_prune(service->core, clock_wall_us(), &err))
        log_warning("what has been over for long could not be forgotten", "error", err.message,
                    NULL);
    service_state_changed(service);
}

/* A connection that follows ends with its certificate. */
static void send_alive(struct authority_service *service, int64_t now_us)
{
    cJSON *alive = control_event("alive");
    struct error err = {0};
    for (struct connection *each = service->connections; alive && each; each = each->next) {
        if (!each->follows)
            continue;
        bool expired = each->not_after_us < now_us;
        if (!expired && control_peer_send(each->peer, alive, &err))
            continue;
        each->follows = false;
        connection_close(each, expired ? "its certificate has expired" : err.message);
    }
    control_free(alive);
}

/* Who is told that the authority lives takes what it heard last for what holds. While there is
 * something that cannot be told, a lock maybe, nobody may think so. */
static void on_alive(uv_timer_t *timer)
{
    struct authority_service *service = timer->data;
    int64_t now_us = clock_wall_us();
    if (service->untold)
        service_state_publish(service);
    if (!service->untold)
        send_alive(service, now_us);
    renew_when_due(service, now_us);
    prune_when_due(service);
}

/* --- stopping --- */

static void close_handle(void *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_listeners(struct authority_service *service)
{
    close_handle(&service->tcp);
    close_handle(&service->pipe);
    socket_file_remove(&service->socket);
}

static void close_loop(struct authority_service *service)
{
    if (service->closing)
        return;
    service->closing = true;
    close_listeners(service);
    close_handle(&service->prepare);
    close_handle(&service->check);
    close_handle(&service->idle);
    close_handle(&service->wake);
    close_handle(&service->timers.alive);
    close_handle(&service->timers.publish);
    close_handle(&service->timers.expiry);
    close_handle(&service->timers.drain);
    if (service->streams)
        stream_loop_destroy(service->streams);
    service->streams = NULL;
}

/* A connection's last event comes before its stream is gone, so nothing can wait for that. */
static void on_drained(uv_timer_t *timer)
{
    struct authority_service *service = timer->data;
    if (service->connection_count == 0)
        close_loop(service);
}

static void begin_stop(struct authority_service *service)
{
    if (service->stopping)
        return;
    service->stopping = true;
    group_end(service);
    close_listeners(service);
    (void)uv_timer_stop(&service->timers.alive);
    (void)uv_timer_stop(&service->timers.publish);
    (void)uv_timer_stop(&service->timers.expiry);
    connection_close_all(service);
    (void)uv_timer_start(&service->timers.drain, on_drained, 0, SERVICE_DRAIN_LOOK_MS);
}

static void on_wake(uv_async_t *wake)
{
    struct authority_service *service = wake->data;
    if (atomic_load(&service->stop_asked))
        begin_stop(service);
    else
        service_answer_call(service);
}

/*
 * At the end of a turn of the loop what was decided in it is committed and answered. Not before the
 * loop waits (uv_prepare_t): what is written there, streams send a turn later. A request that came
 * from elsewhere than the network (bytes that had to wait) must not wait until the network stirs.
 */
static void on_check(uv_check_t *check)
{
    struct authority_service *service = check->data;
    (void)uv_idle_stop(&service->idle);
    group_end(service);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct authority_service *service = prepare->data;
    if (service->group.count > 0)
        (void)uv_idle_start(&service->idle, on_idle);
}

/* --- listening --- */

static bool bind_tcp(struct authority_service *service, struct error *err)
{
    char port[8];
    const struct address *listen = &service->settings.listen;
    struct addrinfo *resolved;
    (void)snprintf(port, sizeof port, "%u", listen->port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int status = getaddrinfo(listen->host, port, &hints, &resolved);
    if (status != 0)
        return error_set(err, ERROR_SYSTEM, "cannot resolve %s: %s", listen->host,
                         gai_strerror(status));
    unsigned flags = resolved->ai_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0;
    status = uv_tcp_bind(&service->tcp, resolved->ai_addr, flags);
    freeaddrinfo(resolved);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&service->tcp, SERVICE_BACKLOG, connection_on_tcp);
    return status == 0 || error_set(err, ERROR_SYSTEM, "cannot listen on %s port %u: %s",
                                    listen->host, listen->port, uv_strerror(status));
}

static bool find_address(struct authority_service *service, struct error *err)
{
    struct sockaddr_storage bound;
    int size = sizeof bound;
    struct address address = service->settings.listen;
    int status = uv_tcp_getsockname(&service->tcp, (struct sockaddr *)&bound, &size);
    if (status != 0)
        return error_set(err, ERROR_SYSTEM, "cannot tell the port: %s", uv_strerror(status));
    address.port = ntohs(bound.ss_family == AF_INET6
                             ? ((const struct sockaddr_in6 *)(const void *)&bound)->sin6_port
                             : ((const struct sockaddr_in *)(const void *)&bound)->sin_port);
    service->port = address.port;
    (void)address_format(&address, service->address);
    return true;
}

static bool open_pipe(struct authority_service *service, struct error *err)
{
    int fd;
    if (!socket_file_open(&service->socket, service->settings.socket_path, &fd, err))
        return false;
    int status = uv_pipe_open(&service->pipe, fd);
    if (status != 0)
        close(fd);
    else
        status = uv_listen((uv_stream_t *)&service->pipe, SERVICE_BACKLOG, connection_on_pipe);
    return status == 0 || error_set(err, ERROR_SYSTEM, "cannot listen at %s: %s",
                                    service->settings.socket_path, uv_strerror(status));
}

static bool record_start(struct authority_service *service, struct error *err)
{
    const struct authority_facts facts = {.target = service->address};
    return authority_event_put(service->lane, AUTHORITY_EVENT_START, &facts, "ok", NULL, err);
}

/* --- the thread --- */

static bool init_loop(struct authority_service *service, struct error *err)
{
    struct service_timers *timers = &service->timers;
    uv_loop_t *loop = &service->loop;
    int status = uv_loop_init(loop);
    if (status != 0)
        return error_set(err, ERROR_SYSTEM, "cannot make a loop: %s", uv_strerror(status));
    /* These fail only where the loop has no more descriptors: uv_async_init() has made one. */
    (void)uv_tcp_init(loop, &service->tcp);
    (void)uv_pipe_init(loop, &service->pipe, 0);
    (void)uv_prepare_init(loop, &service->prepare);
    (void)uv_check_init(loop, &service->check);
    (void)uv_idle_init(loop, &service->idle);
    (void)uv_timer_init(loop, &timers->alive);
    (void)uv_timer_init(loop, &timers->publish);
    (void)uv_timer_init(loop, &timers->expiry);
    (void)uv_timer_init(loop, &timers->drain);
    status = uv_async_init(loop, &service->wake, on_wake);
    if (status != 0) {
        (void)uv_loop_close(loop);
        return error_set(err, ERROR_SYSTEM, "cannot make a loop: %s", uv_strerror(status));
    }
    service->tcp.data = service->pipe.data = service->prepare.data = service->wake.data = service;
    service->check.data = service;
    timers->alive.data = timers->publish.data = timers->expiry.data = timers->drain.data = service;
    service->started = true;
    return true;
}

static bool prepare_loop(struct authority_service *service, struct error *err)
{
    if (!stream_loop_create(&service->loop, &service->streams, err) || !bind_tcp(service, err) ||
        !find_address(service, err) || !open_pipe(service, err) || !record_start(service, err))
        return false;
    service->pruned_us = clock_monotonic_us();
    (void)uv_prepare_start(&service->prepare, on_prepare);
    (void)uv_check_start(&service->check, on_check);
    (void)uv_timer_start(&service->timers.alive, on_alive, SERVICE_ALIVE_MS, SERVICE_ALIVE_MS);
    service_state_changed(service);
    return true;
}

static void run_loop(struct authority_service *service)
{
    (void)uv_run(&service->loop, UV_RUN_DEFAULT);
    int status = uv_loop_close(&service->loop);
    if (status != 0)
        log_error("the authority left handles open", "error", uv_strerror(status), NULL);
}

static void run_thread(void *arg)
{
    struct authority_service *service = arg;
    struct error err = {0};
    (void)pthread_setname_np(pthread_self(), "authority");
    run_loop(service);
    const struct authority_facts facts = {.target = service->address};
    if (!authority_event_put(service->lane, AUTHORITY_EVENT_STOP, &facts, "ok", NULL, &err))
        log_warning("the authority's stop was not recorded", "error", err.message, NULL);
    log_info("the authority has stopped", NULL);
}

bool authority_service_start(struct authority_service *service, struct error *err)
{
    if (service->started)
        return error_set(err, ERROR_STATE, "the authority was started already");
    if (!init_loop(service, err))
        return error_wrap(err, "authority");
    bool good = prepare_loop(service, err);
    if (good)
        log_info("the authority listens", "address", service->address, "socket",
                 service->settings.socket_path, "trust_domain", service->settings.core.trust_domain,
                 NULL);
    if (good && uv_thread_create(&service->thread, run_thread, service) != 0)
        good = error_set(err, ERROR_SYSTEM, "cannot start a thread");
    if (good)
        return true;
    service->joined = true; /* there is no thread */
    close_loop(service);
    run_loop(service);
    return error_wrap(err, "authority");
}

void authority_service_stop(struct authority_service *service)
{
    if (!service->started || service->joined)
        return;
    atomic_store(&service->stop_asked, true);
    (void)uv_async_send(&service->wake);
    uv_thread_join(&service->thread);
    service->joined = true;
}

void authority_service_close(struct authority_service *service)
{
    if (!service)
        return;
    authority_service_stop(service);
    service_state_release(service);
    service_tls_release(&service->tls);
    authority_close(service->core);
    store_close(service->store);
    authority_rate_close(service->joins);
    authority_rate_close(service->refusals);
    authority_rate_close(service->bots);
    free(service->group.items);
    uv_cond_destroy(&service->called);
    uv_mutex_destroy(&service->call_lock);
    uv_mutex_destroy(&service->pin_lock);
    free(service);
}

/* --- what others ask of it --- */

const char *authority_service_address(const struct authority_service *service)
{
    return service->address;
}

uint16_t authority_service_port(const struct authority_service *service)
{
    return service->port;
}

void authority_service_pin(const struct authority_service *service,
                           char out[CERTIFICATE_PIN_TEXT_SIZE])
{
    uv_mutex_t *lock = (uv_mutex_t *)(uintptr_t)&service->pin_lock;
    uv_mutex_lock(lock);
    memcpy(out, service->pin, sizeof service->pin);
    uv_mutex_unlock(lock);
}

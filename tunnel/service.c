/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum service_state { SERVICE_RUNNING, SERVICE_DRAINING, SERVICE_STOPPING, SERVICE_STOPPED };

/* Ports in the order of the configuration, or in none for those that go. */
struct port_list {
    struct port **items;
    size_t count;
};

struct tunnel_service {
    uv_loop_t *loop;
    struct stream_loop *streams;
    struct shared *shared;
    struct tunnel_service_events events;
    void *owner;
    struct port_list ports;
    struct port_list going; /* retired, with connections that still run */
    uv_timer_t drain_timer;
    int64_t drain_timeout_ms;
    enum service_state state;
    bool tuned; /* the first switch is over */
    bool told_ready;
};

/* Lists. */

static bool list_reserve(struct port_list *list, size_t count, struct error *err)
{
    struct port **items = realloc(list->items, (count ? count : 1) * sizeof(struct port *));
    if (!items)
        return error_set(err, ERROR_MEMORY, "out of memory");
    list->items = items;
    return true;
}

static void list_free(struct port_list *list)
{
    free(list->items);
    *list = (struct port_list){0};
}

static void list_drop(struct port_list *list, const struct port *port)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == port) {
            list->items[i] = list->items[--list->count];
            return;
        }
}

/* Events of ports. */

static bool all_are_ready(const struct tunnel_service *service)
{
    for (size_t i = 0; i < service->ports.count; i++)
        if (!port_is_listening(service->ports.items[i]) || port_is_pending(service->ports.items[i]))
            return false;
    return true;
}

/* Not before the ports' renewals have begun: what is to come is not known before. */
static void tell_if_ready(struct tunnel_service *service)
{
    if (service->told_ready || !service->tuned || service->state != SERVICE_RUNNING ||
        shared_is_hopeless(service->shared) || !all_are_ready(service))
        return;
    service->told_ready = true;
    service->events.ready(service->owner);
}

static void on_listening(void *owner)
{
    tell_if_ready(owner);
}

static void on_settled(void *owner)
{
    struct tunnel_service *service = owner;
    for (size_t i = 0; i < service->ports.count; i++)
        port_settle(service->ports.items[i]);
    for (size_t i = 0; i < service->going.count; i++)
        port_settle(service->going.items[i]);
    tell_if_ready(service);
}

static void finish_if_done(struct tunnel_service *service)
{
    bool ending = service->state == SERVICE_DRAINING || service->state == SERVICE_STOPPING;
    if (!ending || service->going.count > 0)
        return;
    service->state = SERVICE_STOPPED;
    shared_destroy(service->shared);
    service->shared = NULL;
    uv_close((uv_handle_t *)&service->drain_timer, NULL);
    service->events.stopped(service->owner);
}

static void on_timer_due(uv_timer_t *timer);

/* Not at once: the port that went still uses what is shared. */
static void on_gone(void *owner, struct port *port)
{
    struct tunnel_service *service = owner;
    list_drop(&service->going, port);
    if (service->state != SERVICE_RUNNING && service->going.count == 0)
        (void)uv_timer_start(&service->drain_timer, on_timer_due, 0, 0);
}

static void on_hopeless(void *owner, const struct error *err)
{
    struct tunnel_service *service = owner;
    if (service->events.hopeless && service->state == SERVICE_RUNNING)
        service->events.hopeless(service->owner, err);
}

static const struct port_events port_events = {.listening = on_listening, .gone = on_gone};

/* Preparing and switching. */

static void retire(struct tunnel_service *service, struct port *port)
{
    service->going.items[service->going.count++] = port;
    port_retire(port);
}

/* A port that was made and never used goes the same way as any other. */
static void discard(struct tunnel_service *service, struct port_list *prepared)
{
    for (size_t i = 0; i < prepared->count; i++)
        retire(service, prepared->items[i]);
    list_free(prepared);
}

static bool make_ports(struct tunnel_service *service, const struct tunnel_config *config,
                       struct port_list *prepared, struct error *err)
{
    const struct port_surroundings around = {.loop = service->loop,
                                             .streams = service->streams,
                                             .shared = service->shared,
                                             .events = &port_events,
                                             .owner = service};
    for (size_t i = 0; i < config->tunnel_count; i++) {
        if (!port_create(&around, &config->tunnels[i], &prepared->items[i], err))
            return false;
        prepared->count++;
    }
    return true;
}

/* Room for every port that there is or will be, so that switching cannot fail half-way. */
static bool prepare(struct tunnel_service *service, const struct tunnel_config *config,
                    struct port_list *prepared, struct error *err)
{
    size_t most = service->going.count + service->ports.count + config->tunnel_count;
    *prepared = (struct port_list){0};
    if (!list_reserve(&service->going, most, err) ||
        !list_reserve(prepared, config->tunnel_count, err))
        return false;
    if (make_ports(service, config, prepared, err))
        return true;
    discard(service, prepared);
    return false;
}

static struct port *find_former(const struct port_list *ports, const struct port *port)
{
    const struct address *wanted = &port_settings(port)->listen;
    for (size_t i = 0; i < ports->count; i++)
        if (address_equals(&port_settings(ports->items[i])->listen, wanted))
            return ports->items[i];
    return NULL;
}

static void switch_to(struct tunnel_service *service, struct port_list *prepared,
                      struct error *first)
{
    struct port_list former = service->ports;
    service->ports = *prepared;
    for (size_t i = 0; i < service->ports.count; i++) {
        struct port *port = service->ports.items[i];
        struct error err = {0};
        if (port_listen(port, find_former(&former, port), &err))
            continue;
        log_error("the tunnel cannot listen; trying again", "tunnel", port_settings(port)->name,
                  "error", err.message, NULL);
        if (first->code == ERROR_NONE)
            *first = err;
    }
    for (size_t i = 0; i < former.count; i++)
        retire(service, former.items[i]);
    list_free(&former);
    shared_tune(service->shared);
    service->tuned = true;
    shared_poll(service->shared);
}

bool tunnel_service_reload(struct tunnel_service *service, const struct tunnel_config *config,
                           struct error *err)
{
    struct port_list prepared;
    struct error ignored = {0};
    if (service->state != SERVICE_RUNNING)
        return error_set(err, ERROR_STATE, "the tunnel is stopping");
    if (!prepare(service, config, &prepared, err))
        return false;
    service->drain_timeout_ms = config->drain_timeout_ms;
    switch_to(service, &prepared, &ignored);
    return true;
}

/* Ending. */

static void for_all(const struct port_list *list, void (*act)(struct port *port, unsigned value),
                    unsigned value)
{
    for (size_t i = 0; i < list->count; i++)
        act(list->items[i], value);
}

static void retire_all(struct tunnel_service *service)
{
    for (size_t i = 0; i < service->ports.count; i++) {
        port_stop_waiting(service->ports.items[i]);
        retire(service, service->ports.items[i]);
    }
    service->ports.count = 0;
    shared_tune(service->shared);
}

static void stop_with(struct tunnel_service *service, unsigned linger_ms)
{
    if (service->state == SERVICE_RUNNING)
        retire_all(service);
    service->state = SERVICE_STOPPING;
    for_all(&service->going, port_close_links, linger_ms);
}

static void on_timer_due(uv_timer_t *timer)
{
    struct tunnel_service *service = timer->data;
    if (service->going.count == 0) {
        finish_if_done(service);
        return;
    }
    if (service->state != SERVICE_DRAINING)
        return;
    log_warning("the drain's time is over: ending the connections that are left", NULL);
    stop_with(service, SERVICE_LAST_LINGER_MS);
}

void tunnel_service_drain(struct tunnel_service *service)
{
    if (service->state != SERVICE_RUNNING)
        return;
    retire_all(service);
    service->state = SERVICE_DRAINING;
    uint64_t wait_ms = service->going.count > 0 ? (uint64_t)service->drain_timeout_ms : 0;
    (void)uv_timer_start(&service->drain_timer, on_timer_due, wait_ms, 0);
}

void tunnel_service_stop(struct tunnel_service *service)
{
    if (service->state == SERVICE_STOPPED)
        return;
    stop_with(service, 0);
    if (service->going.count == 0)
        (void)uv_timer_start(&service->drain_timer, on_timer_due, 0, 0);
}

void tunnel_service_destroy(struct tunnel_service *service)
{
    if (!service)
        return;
    stream_loop_destroy(service->streams);
    list_free(&service->ports);
    list_free(&service->going);
    free(service);
}

/* Starting. */

static bool make_parts(struct tunnel_service *service, struct error *err)
{
    if (!stream_loop_create(service->loop, &service->streams, err))
        return false;
    if (!shared_create(service->loop, service->streams, &service->shared, err)) {
        stream_loop_destroy(service->streams);
        return false;
    }
    shared_set_hopeless(service->shared, on_hopeless, service);
    shared_set_settled(service->shared, on_settled, service);
    (void)uv_timer_init(service->loop, &service->drain_timer);
    service->drain_timer.data = service;
    return true;
}

static void quiet_event(void *owner)
{
    (void)owner;
}

/* Ends a service that its owner never got to see: runs the loop until nothing is left of it. */
static void abandon(struct tunnel_service *service)
{
    uv_loop_t *loop = service->loop;
    service->events = (struct tunnel_service_events){quiet_event, quiet_event, NULL};
    tunnel_service_stop(service);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    tunnel_service_destroy(service);
    (void)uv_run(loop, UV_RUN_DEFAULT);
}

static bool start_ports(struct tunnel_service *service, const struct tunnel_config *config,
                        struct error *err)
{
    struct port_list prepared;
    struct error first = {0};
    if (config->token &&
        !shared_set_token(service->shared, config->token, config->token_for->identity, err))
        return false;
    if (!prepare(service, config, &prepared, err))
        return false;
    switch_to(service, &prepared, &first);
    for (size_t i = 0; i < service->ports.count; i++)
        if (port_is_listening(service->ports.items[i]))
            return true;
    if (err)
        *err = first;
    return false;
}

bool tunnel_service_start(uv_loop_t *loop, const struct tunnel_config *config,
                          const struct tunnel_service_events *events, void *owner,
                          struct tunnel_service **out, struct error *err)
{
    struct tunnel_service *service = calloc(1, sizeof *service);
    if (!service)
        return error_set(err, ERROR_MEMORY, "out of memory");
    service->loop = loop;
    service->events = *events;
    service->owner = owner;
    service->drain_timeout_ms = config->drain_timeout_ms;
    if (!make_parts(service, err)) {
        free(service);
        return false;
    }
    if (!start_ports(service, config, err)) {
        abandon(service);
        return false;
    }
    *out = service;
    return true;
}

/* Looking. */

static const char *when(int64_t wall_us, char out[CLOCK_TIME_SIZE])
{
    clock_format(wall_us, out);
    return wall_us ? out : NULL;
}

static void log_port(const struct port *port)
{
    struct port_statistics now;
    char active[24], total[24], refused[24], retried[24], ready[24];
    char until[CLOCK_TIME_SIZE], renewal[CLOCK_TIME_SIZE];
    port_read_statistics(port, &now);
    (void)snprintf(active, sizeof active, "%zu", now.active);
    (void)snprintf(total, sizeof total, "%" PRIu64, now.total);
    (void)snprintf(refused, sizeof refused, "%" PRIu64, now.refused);
    (void)snprintf(retried, sizeof retried, "%" PRIu64, now.retried);
    (void)snprintf(ready, sizeof ready, "%zu", now.ready);
    log_info("statistics", "tunnel", port_settings(port)->name, "listening",
             port_is_listening(port) ? "yes" : "no", "active", active, "total", total, "refused",
             refused, "retried", retried, "ready", ready, "certificate_until",
             when(now.identity.not_after_us, until), "renewal_at",
             when(now.identity.renew_at_us, renewal), "identity_problem",
             now.identity.problem[0] ? now.identity.problem : NULL, NULL);
}

void tunnel_service_log_statistics(const struct tunnel_service *service)
{
    for (size_t i = 0; i < service->ports.count; i++)
        log_port(service->ports.items[i]);
    for (size_t i = 0; i < service->going.count; i++)
        log_port(service->going.items[i]);
}

/* What to worry about first. */
static bool is_worse(const struct shared_status *left, const struct shared_status *right)
{
    if ((left->problem[0] != '\0') != (right->problem[0] != '\0'))
        return left->problem[0] != '\0';
    return left->not_after_us < right->not_after_us;
}

static void summarize_identities(const struct port_list *list, struct tunnel_service_summary *out)
{
    for (size_t i = 0; i < list->count; i++) {
        struct port_statistics now;
        port_read_statistics(list->items[i], &now);
        if (i == 0 || is_worse(&now.identity, &out->identity))
            out->identity = now.identity;
    }
}

static void count_active(const struct port_list *list, struct tunnel_service_summary *out)
{
    for (size_t i = 0; i < list->count; i++) {
        struct port_statistics now;
        port_read_statistics(list->items[i], &now);
        out->connections += now.active;
    }
}

void tunnel_service_summarize(const struct tunnel_service *service,
                              struct tunnel_service_summary *out)
{
    *out = (struct tunnel_service_summary){.tunnels = service->ports.count};
    for (size_t i = 0; i < service->ports.count; i++)
        out->listening += port_is_listening(service->ports.items[i]);
    summarize_identities(&service->ports, out);
    count_active(&service->ports, out);
    count_active(&service->going, out);
    if (service->shared)
        out->ready = shared_ready_count(service->shared);
}

const struct port *tunnel_service_port(const struct tunnel_service *service, size_t index)
{
    return index < service->ports.count ? service->ports.items[index] : NULL;
}

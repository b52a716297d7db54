/* SPDX-License-Identifier: Apache-2.0 */
/* Who follows the state is told when it changes. */
#include <stdlib.h>
#include <string.h>

#include "authority/service_internal.h"
#include "authority/standing.h"
#include "base/clock.h"
#include "base/log.h"

/* Locks may lapse years from now; timers count in milliseconds from now. */
#define EXPIRY_LOOK_MS 3600000

static void on_expiry(uv_timer_t *timer);

static void arm_expiry(struct authority_service *service)
{
    if (service->stopping)
        return;
    if (service->next_expiry_us == 0) {
        (void)uv_timer_stop(&service->timers.expiry);
        return;
    }
    int64_t left_ms = (service->next_expiry_us - clock_wall_us()) / 1000 + 1;
    if (left_ms > EXPIRY_LOOK_MS)
        left_ms = EXPIRY_LOOK_MS;
    uv_update_time(&service->loop);
    (void)uv_timer_start(&service->timers.expiry, on_expiry, left_ms > 0 ? (uint64_t)left_ms : 0,
                         0);
}

void service_state_release(struct authority_service *service)
{
    control_free(service->state);
    service->state = NULL;
}

/* Renders the state if what is at hand is older than the store. */
static bool refresh(struct authority_service *service, struct error *err)
{
    struct authority_rendering fresh;
    int64_t version;
    if (!store_version(service->store, &version, err))
        return false;
    if (service->state && version == service->state_version)
        return true;
    if (!authority_state_render(service->core, clock_wall_us(), &fresh, err))
        return false;
    service_state_release(service);
    service->state = fresh.event;
    service->state_version = fresh.version;
    service->next_expiry_us = fresh.next_expiry_us;
    arm_expiry(service);
    return true;
}

bool service_state_admits(struct request *request, bool much, struct error *err)
{
    struct authority_service *service = request->service;
    struct authority_rendering would;
    if (!much && service->changes_left > 0) {
        service->changes_left--;
        return true;
    }
    if (!authority_state_render(service->core, request->now_us, &would, err))
        return false;
    control_free(would.event);
    return authority_state_fits(&would.size, &service->changes_left, &request->refusal);
}

/* Why a proxy may follow no longer, in *err: it was removed, it has joined anew, or a lock is on
 * it. */
static bool may_follow(struct authority_service *service, const struct connection *connection,
                       struct error *err)
{
    struct store_proxy *proxy = malloc(sizeof *proxy);
    struct authority_refusal refusal = {0};
    if (!proxy)
        return error_set(err, ERROR_MEMORY, "out of memory for a proxy");
    bool may = authority_proxy_find(service->core, connection->serial, clock_wall_us(), proxy,
                                    &refusal, err);
    free(proxy);
    if (!may && refusal.code != CONTROL_NO_ERROR)
        (void)error_set(err, ERROR_DENIED, "%s", refusal.message);
    return may;
}

static void tell(struct authority_service *service, struct connection *connection)
{
    struct error err = {0};
    if (!connection->follows || connection->version == service->state_version)
        return;
    connection->version = service->state_version;
    if (!may_follow(service, connection, &err) ||
        !control_peer_send(connection->peer, service->state, &err)) {
        connection->follows = false;
        connection_close(connection, err.message);
    }
}

void service_state_review(struct authority_service *service)
{
    struct error err = {0};
    service->review = false;
    for (struct connection *each = service->connections; each; each = each->next) {
        if (!each->follows || may_follow(service, each, &err))
            continue;
        each->follows = false;
        connection_close(each, err.message);
    }
}

void service_state_publish(struct authority_service *service)
{
    struct error err = {0};
    service->published_us = clock_monotonic_us();
    service->untold = !refresh(service, &err);
    if (service->untold) {
        log_error("the state cannot be told to the proxies", "error", err.message, NULL);
        return;
    }
    for (struct connection *each = service->connections; each; each = each->next)
        tell(service, each);
}

bool service_state_told(struct authority_service *service, const char *proxy)
{
    for (const struct connection *each = service->connections; each; each = each->next)
        if (each->kind == CONTROL_PROXY && each->follows && strcmp(each->name, proxy) == 0 &&
            each->version == service->state_version)
            return true;
    return false;
}

static void on_publish(uv_timer_t *timer)
{
    service_state_publish(timer->data);
}

/* A storm of changes is not to be a storm of states. */
void service_state_changed(struct authority_service *service)
{
    int64_t since_ms = (clock_monotonic_us() - service->published_us) / 1000;
    if (service->stopping || uv_is_active((uv_handle_t *)&service->timers.publish))
        return;
    if (service->published_us == 0 || since_ms >= SERVICE_PUBLISH_MS) {
        service_state_publish(service);
        return;
    }
    uv_update_time(&service->loop);
    (void)uv_timer_start(&service->timers.publish, on_publish,
                         (uint64_t)(SERVICE_PUBLISH_MS - since_ms), 0);
}

void service_state_tell(struct authority_service *service, struct connection *connection)
{
    struct error err = {0};
    if (refresh(service, &err))
        tell(service, connection);
    else
        connection_close(connection, err.message);
}

/* --- locks that lapse --- */

#define EXPIRED_AT_ONCE 64

struct expired {
    int64_t now_us;
    size_t count;
    struct store_lock locks[EXPIRED_AT_ONCE];
};

static bool take_expired(const struct store_lock *lock, void *context)
{
    struct expired *expired = context;
    if (lock->expires_us > 0 && lock->expires_us <= expired->now_us)
        expired->locks[expired->count++] = *lock;
    return expired->count < EXPIRED_AT_ONCE;
}

static bool expire_one(struct authority_service *service, const struct store_lock *lock,
                       struct error *err)
{
    struct audit_entry *entry;
    struct authority_refusal none = {0};
    bool own;
    const struct authority_facts facts = {.lock = lock->id,
                                          .kind = store_lock_kind_name(lock->kind),
                                          .target = lock->target,
                                          .why = lock->reason};
    if (!authority_event_begin(service->lane, AUTHORITY_EVENT_LOCK_EXPIRE, &facts, &entry, err))
        return false;
    bool done = authority_enter(service->core, &own, err);
    if (done)
        done = authority_leave(service->core, own, store_lock_remove(service->store, lock->id, err),
                               &none, err);
    authority_event_finish(entry, done ? "ok" : "error", NULL);
    return done;
}

/* Removing a lock counts the state's version up; its lapse alone does not. */
static bool expire(struct authority_service *service, bool *more, struct error *err)
{
    struct expired *expired = calloc(1, sizeof *expired);
    if (!expired)
        return error_set(err, ERROR_MEMORY, "out of memory for locks");
    expired->now_us = clock_wall_us();
    bool done = store_lock_each(service->store, INT64_MIN, take_expired, expired, err);
    for (size_t i = 0; done && i < expired->count; i++)
        done = expire_one(service, &expired->locks[i], err);
    *more = expired->count == EXPIRED_AT_ONCE;
    free(expired);
    return done;
}

static void on_expiry(uv_timer_t *timer)
{
    struct authority_service *service = timer->data;
    struct error err = {0};
    bool more = false;
    group_end(service);
    if (!expire(service, &more, &err))
        log_error("locks that have lapsed cannot be taken away", "error", err.message, NULL);
    /* Rendering the state finds the next one; until then, or when more are left: soon again. */
    if (more || err.code != ERROR_NONE || service->next_expiry_us <= clock_wall_us())
        service->next_expiry_us = clock_wall_us() + AUTHORITY_SECOND;
    service_state_changed(service);
    arm_expiry(service);
}

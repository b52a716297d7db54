/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/announce.h"
#include "proxy/relay.h"
#include "proxy/session.h"

/* Connections that wait to be accepted, for each listener of each worker. */
#define LISTEN_BACKLOG 1024

/* --- the list of sessions --- */

void worker_add_session(struct worker *worker, struct session *session)
{
    session->previous = NULL;
    session->next = worker->sessions;
    if (session->next)
        session->next->previous = session;
    worker->sessions = session;
    worker->session_count++;
}

/* Calls `visit` for each session, which may free the session that it is called with and no other:
 * go_on_draining(), which visits all of them, waits until the visits are over. */
static void each_session(struct worker *worker, void (*visit)(struct session *session))
{
    struct session *session = worker->sessions;
    worker->visiting = true;
    while (session) {
        struct session *next = session_next(session);
        visit(session);
        session = next;
    }
    worker->visiting = false;
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_listeners(struct worker *worker)
{
    for (size_t i = 0; i < worker->listener_count; i++)
        close_handle((uv_handle_t *)&worker->listeners[i].tcp);
}

static void close_loop_handles(struct worker *worker)
{
    close_listeners(worker);
    close_handle((uv_handle_t *)&worker->drain_timer);
    uv_mutex_lock(&worker->wake_lock);
    worker->gone = true;
    uv_mutex_unlock(&worker->wake_lock);
    close_handle((uv_handle_t *)&worker->wake);
    if (worker->streams)
        stream_loop_destroy(worker->streams);
}

/*
 * While a session that is in use lives, a worker that drains goes on listening, to tell new clients
 * that the proxy is stopping. After the last one it closes all; after the last connection its loop
 * ends.
 */
static void go_on_draining(struct worker *worker)
{
    if (!worker->draining || worker->visiting || worker->busy_sessions > 0)
        return;
    if (!worker->closing) {
        worker->closing = true;
        close_listeners(worker);
        each_session(worker, session_stop);
    }
    if (worker->session_count == 0 && worker->upstreams.count == 0 && !worker->stopped) {
        worker->stopped = true;
        close_loop_handles(worker);
    }
}

void worker_set_busy(struct worker *worker, bool busy)
{
    worker->busy_sessions += busy ? 1 : (size_t)-1;
}

void worker_remove_session(struct worker *worker, struct session *session)
{
    if (session->previous)
        session->previous->next = session->next;
    else
        worker->sessions = session->next;
    if (session->next)
        session->next->previous = session->previous;
    worker->session_count--;
    go_on_draining(worker);
}

/* --- what the main thread asks for --- */

static void take_snapshot(struct worker *worker, struct snapshot *snapshot)
{
    snapshot_unref(worker->snapshot);
    worker->snapshot = snapshot;
    each_session(worker, session_follow_policy);
}

/* The first round ends what runs; the second gives up the last records that the audit log still has
 * no room for. */
static void stop_all(struct worker *worker)
{
    announce_close_all(worker);
    each_session(worker, session_stop);
    each_session(worker, session_stop);
    go_on_draining(worker);
}

static void on_drain_timeout(uv_timer_t *timer)
{
    log_warning("the drain timeout has passed: running commands are cut off", NULL);
    stop_all(timer->data);
}

static void begin_drain(struct worker *worker)
{
    worker->draining = true;
    announce_close_all(worker);
    uint64_t timeout = (uint64_t)worker->snapshot->settings.proxy.limits.drain_timeout_ms;
    uv_timer_start(&worker->drain_timer, on_drain_timeout, timeout, 0);
    each_session(worker, session_drain);
    go_on_draining(worker);
}

static void on_wake(uv_async_t *async)
{
    struct worker *worker = async->data;
    struct snapshot *snapshot = atomic_exchange(&worker->next_snapshot, NULL);
    if (snapshot)
        take_snapshot(worker, snapshot);
    if (atomic_exchange(&worker->room_came, false)) {
        each_session(worker, session_audit_room);
        go_on_draining(worker);
    }
    if (atomic_load(&worker->drain_asked) && !worker->draining)
        begin_drain(worker);
    if (atomic_exchange(&worker->stop_asked, false)) {
        worker->draining = true;
        stop_all(worker);
    }
}

/* From other threads, which may not know yet that this one has ended. */
static void poke(struct worker *worker)
{
    uv_mutex_lock(&worker->wake_lock);
    if (!worker->gone)
        uv_async_send(&worker->wake);
    uv_mutex_unlock(&worker->wake_lock);
}

/* From the audit writer's thread. */
static void on_audit_room(void *arg)
{
    struct worker *worker = arg;
    atomic_store(&worker->room_came, true);
    poke(worker);
}

void worker_reload(struct worker *worker, struct snapshot *snapshot)
{
    snapshot_unref(atomic_exchange(&worker->next_snapshot, snapshot_ref(snapshot)));
    poke(worker);
}

void worker_drain(struct worker *worker)
{
    atomic_store(&worker->drain_asked, true);
    poke(worker);
}

void worker_stop(struct worker *worker)
{
    atomic_store(&worker->stop_asked, true);
    poke(worker);
}

/* --- listening --- */

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *listener = stream->data;
    if (status < 0)
        log_warning("a listener failed to accept", "error", uv_strerror(status), NULL);
    else
        session_accept(listener);
}

static bool listen_on(struct listener *listener, int socket, struct error *err)
{
    int status = uv_tcp_open(&listener->tcp, socket);
    if (status != 0)
        close(socket);
    else
        status = uv_listen((uv_stream_t *)&listener->tcp, LISTEN_BACKLOG, on_connection);
    return status == 0 || error_set(err, ERROR_SYSTEM, "cannot listen: %s", uv_strerror(status));
}

static bool open_listeners(struct worker *worker, const int *sockets, struct error *err)
{
    size_t count = worker->snapshot->settings.proxy.listener_count;
    bool good = true;
    worker->listeners = calloc(count, sizeof *worker->listeners);
    for (size_t i = 0; i < count; i++) {
        if (!worker->listeners) {
            good = error_set(err, ERROR_MEMORY, "out of memory");
            close(sockets[i]);
            continue;
        }
        struct listener *listener = &worker->listeners[i];
        listener->worker = worker;
        listener->index = i;
        uv_tcp_init(&worker->loop, &listener->tcp);
        listener->tcp.data = listener;
        worker->listener_count++;
        if (!listen_on(listener, sockets[i], err))
            good = false;
    }
    return good;
}

/* --- the thread
 * ----------------------------------------------------------------------------------- */

static void release(struct worker *worker)
{
    exchange_free_spares(worker);
    leg_home_release(&worker->legs);
    snapshot_unref(worker->snapshot);
    free(worker->listeners);
}

/* Runs the loop until nothing is left on it. */
static void run_loop(struct worker *worker)
{
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    int status = uv_loop_close(&worker->loop);
    if (status != 0)
        log_error("a worker left handles open", "error", uv_strerror(status), NULL);
    release(worker);
}

static void run_thread(void *arg)
{
    struct worker *worker = arg;
    char name[16];
    snprintf(name, sizeof name, "worker-%u", worker->index);
    pthread_setname_np(pthread_self(), name);
    run_loop(worker);
}

static void on_upstreams_emptied(void *arg)
{
    go_on_draining(arg);
}

/* Without descriptors there is none. */
static bool open_loop(struct worker *worker, struct error *err)
{
    int status = uv_loop_init(&worker->loop);
    if (status == 0) {
        status = uv_async_init(&worker->loop, &worker->wake, on_wake);
        if (status != 0)
            (void)uv_loop_close(&worker->loop);
    }
    return status == 0 ||
           error_set(err, ERROR_SYSTEM, "cannot make a worker's loop: %s", uv_strerror(status));
}

static void close_sockets(const struct worker *worker, const int *sockets)
{
    for (size_t i = 0; i < worker->snapshot->settings.proxy.listener_count; i++)
        (void)close(sockets[i]);
}

static bool prepare(struct worker *worker, const int *sockets, struct error *err)
{
    worker->wake.data = worker;
    uv_timer_init(&worker->loop, &worker->drain_timer);
    worker->drain_timer.data = worker;
    bool good = open_listeners(worker, sockets, err) &&
                stream_loop_create(&worker->loop, &worker->streams, err);
    worker->upstreams = (struct upstream_home){.loop = &worker->loop,
                                               .shared = worker->streams,
                                               .legs = &worker->legs,
                                               .emptied = on_upstreams_emptied,
                                               .arg = worker};
    worker->lane = audit_log_lane(worker->shared->audit, worker->index);
    audit_lane_on_room(worker->lane, on_audit_room, worker);
    return good;
}

bool worker_start(struct worker *worker, unsigned index, struct worker_shared *shared,
                  struct snapshot *snapshot, const int *sockets, struct error *err)
{
    worker->index = index;
    worker->shared = shared;
    worker->snapshot = snapshot_ref(snapshot);
    uv_mutex_init(&worker->wake_lock);
    if (!open_loop(worker, err)) {
        worker->gone = true;
        close_sockets(worker, sockets);
        release(worker);
        return false;
    }
    bool good = prepare(worker, sockets, err);
    if (good && uv_thread_create(&worker->thread, run_thread, worker) != 0)
        good = error_set(err, ERROR_SYSTEM, "cannot start a thread");
    if (good)
        return true;
    close_loop_handles(worker);
    run_loop(worker);
    return false;
}

void worker_join(struct worker *worker)
{
    uv_thread_join(&worker->thread);
}

void worker_release(struct worker *worker)
{
    snapshot_unref(atomic_exchange(&worker->next_snapshot, NULL));
    uv_mutex_destroy(&worker->wake_lock);
}

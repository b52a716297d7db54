/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: one thread, one libuv loop, listeners of its own (SO_REUSEPORT), and the sessions that
 * were accepted there, from birth to death. The main thread tells it things through worker_…()
 * calls, which post to the loop and return at once; everything else in here belongs to the worker's
 * thread.
 */
#ifndef SALLYPORT_PROXY_WORKER_H
#define SALLYPORT_PROXY_WORKER_H

#include <stdatomic.h>
#include <uv.h>

#include "audit/audit.h"
#include "proxy/leg.h"
#include "proxy/registry.h"
#include "proxy/snapshot.h"
#include "proxy/upstream.h"
#include "tls/stream.h"

struct session;
struct exchange;
struct announcer;
struct authority_link;

/* Written by the worker alone, read by others without a lock. */
struct worker_counters {
    _Atomic uint64_t accepted, refused, logged_in, ended, commands, denied;
    _Atomic uint64_t client_bytes, upstream_bytes;
};

/* What all workers share. */
struct worker_shared {
    struct registry *registry;
    struct audit_log *audit;
    const char *proxy_name;
    struct authority_link *link; /* NULL: no authority */
};

struct worker {
    /* Set by worker_start(). */
    struct worker_shared *shared;
    unsigned index;
    uv_thread_t thread;
    uv_loop_t loop;
    uv_async_t wake;
    struct listener *listeners;
    size_t listener_count;

    /* The mailbox: the main thread writes, the worker takes. */
    _Atomic(struct snapshot *) next_snapshot;
    atomic_bool drain_asked;
    atomic_bool stop_asked;
    atomic_bool room_came; /* the audit lane has room again */
    uv_mutex_t wake_lock;  /* of `gone`: an async handle that is closed must not be sent to */
    bool gone;

    /* The worker's own. */
    struct snapshot *snapshot;
    struct stream_loop *streams;
    struct upstream_home upstreams;
    struct leg_home legs; /* compression, for both legs of its sessions */
    struct audit_lane *lane;
    struct session *sessions; /* all of them, a list linked both ways */
    size_t session_count;
    struct announcer *announcers; /* tunnels on the control protocol, a list linked both ways */
    size_t announcer_count;
    uint64_t session_serial;
    struct exchange *spare_exchanges; /* pool */
    size_t spare_exchange_count;
    int64_t refusal_logged_us; /* monotonic: connections over the limits are logged once a second */
    size_t busy_sessions;      /* those that dialled a database */
    bool draining;             /* new sessions are refused */
    bool closing;              /* no session is in use any more */
    bool visiting;             /* a walk over the sessions is under way */
    bool stopped;              /* nothing is left on the loop */
    uv_timer_t drain_timer;
    struct worker_counters counters;
};

/* A socket that a worker listens on; on reload only the settings behind its index change. */
struct listener {
    struct worker *worker;
    size_t index; /* into the snapshot's listeners */
    uv_tcp_t tcp;
};

/*
 * Starts the thread. `sockets` holds one bound socket for each of the snapshot's listeners; the
 * worker owns them from now on, even on failure.
 */
bool worker_start(struct worker *worker, unsigned index, struct worker_shared *shared,
                  struct snapshot *snapshot, const int *sockets, struct error *err) MUST_USE;

/* Posts a new snapshot (a reference is taken). */
void worker_reload(struct worker *worker, struct snapshot *snapshot);
/* Begins to drain: new sessions are refused, idle ones end, running commands may finish within the
 * configured time. */
void worker_drain(struct worker *worker);
/* Ends all sessions now. */
void worker_stop(struct worker *worker);
/* Waits for the thread; it returns once a drain or stop has ended everything. */
void worker_join(struct worker *worker);
/* Frees what other threads may use until then: after the join, and after the audit log has closed.
 */
void worker_release(struct worker *worker);

/* For sessions, on the worker's thread. */
void worker_add_session(struct worker *worker, struct session *session);
void worker_remove_session(struct worker *worker, struct session *session);
/* One session more, or one less, is in use: a drain waits for these. */
void worker_set_busy(struct worker *worker, bool busy);

#endif

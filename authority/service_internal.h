/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the service, for its own source files (service*.c, connection.c, group.c,
 * dispatch.c, handle_*.c). Everything here belongs to the service's thread once that runs.
 */
#ifndef SALLYPORT_AUTHORITY_SERVICE_INTERNAL_H
#define SALLYPORT_AUTHORITY_SERVICE_INTERNAL_H

#include <stdatomic.h>
#include <uv.h>

#include "authority/event.h"
#include "authority/join.h"
#include "authority/rate.h"
#include "authority/service.h"
#include "authority/socket_file.h"
#include "authority/state.h"
#include "control/fields.h"
#include "control/frame.h"
#include "control/peer.h"

#define SERVICE_ADDRESS_SIZE 80 /* "[IPv6%interface]:port" */
#define SERVICE_ENTRIES_MAX  3  /* events of one request */
#define SERVICE_REFUSALS_MAX 16 /* requests of a connection; the last one ends it */

/* --- connections (connection.c) --- */

struct connection {
    struct connection *next, *previous;
    struct authority_service *service;
    struct control_peer *peer;
    enum control_peer_kind kind;
    bool known;                         /* `kind` says who it is: the handshake is done */
    bool refused;                       /* it was told why, or recorded: the end is no news */
    bool follows;                       /* it has subscribed */
    unsigned refusals;                  /* requests of it that were refused */
    int64_t version;                    /* of the state that it has, while it follows */
    char address[SERVICE_ADDRESS_SIZE]; /* with its port, for records */
    char host[SERVICE_ADDRESS_SIZE];    /* without it, for limits */
    char network[SERVICE_ADDRESS_SIZE]; /* what counts as one address */
    char name[STORE_NAME_SIZE];         /* of a bot or a proxy */
    char serial[STORE_SERIAL_SIZE];
    int64_t since_us; /* when it was accepted */
    char *subject;    /* of its certificate; owned, or NULL */
    int64_t not_after_us;
    uint64_t uid, pid;            /* of an administrator */
    char actor[STORE_ACTOR_SIZE]; /* who it is, for `created_by` */
    struct authority_challenge challenge;
};

/* Callbacks of the two listeners; handle->data is the service. */
void connection_on_tcp(uv_stream_t *listener, int status);
void connection_on_pipe(uv_stream_t *listener, int status);

/* What a record says of a connection's peer. */
struct authority_facts connection_facts(const struct connection *connection);

/* Records and logs a refusal, as often as the peer's address may have that. */
void connection_record_refusal(struct connection *connection, const char *reason);

/* Ends it, with a reason for the log (NULL: none). */
void connection_close(struct connection *connection, const char *reason);
void connection_close_all(struct authority_service *service);

/* --- requests, and the group that they are decided in (group.c) --- */

struct item_entry {
    struct audit_entry *entry;
    const char *outcome; /* when the group is committed */
};

/* A request that has been decided, and waits for the commit. */
struct item {
    struct connection *connection; /* NULL: it has gone */
    uint64_t id;
    cJSON *answer;
    bool changes; /* or may have: undone when the group is */
    bool follow;  /* the connection follows the state from this answer on */
    bool close;   /* the connection ends after it */
    size_t entry_count;
    struct item_entry entries[SERVICE_ENTRIES_MAX];
    char reason[AUTHORITY_REFUSAL_SIZE]; /* of the events */
};

struct group {
    bool open; /* a transaction is under way */
    size_t count;
    struct item *items; /* SERVICE_GROUP_MAX */
};

/* One request that is being handled. */
struct request {
    struct authority_service *service;
    struct connection *connection;
    const cJSON *message;
    const struct control_head *head;
    int64_t now_us;
    struct item *item;
    cJSON *ok;                        /* the answer's object */
    struct authority_refusal refusal; /* where the handler says no */
    bool no_room;                     /* the audit log could not take it */
};

/*
 * A handler fills request->ok and returns true; or refuses (request->refusal); or fails (*err).
 * What it has changed is undone where it does not return true. It calls request_event() for what is
 * to be recorded before it returns.
 */
typedef bool request_handler(struct request *request, struct error *err);

/* Begins an event that ends with the group: `outcome` then, or "error". */
bool request_event(struct request *request, enum authority_event event,
                   const struct authority_facts *facts, const char *outcome,
                   struct error *err) MUST_USE;

/* Reads what the request asks. False: it is refused. */
bool request_fields(struct request *request, const struct control_field *fields,
                    size_t count) MUST_USE;

/* `put` says whether an answer could be built; if not, that is an error. */
bool request_built(bool put, struct error *err) MUST_USE;

/* Decides one request, and queues its answer. */
void group_request(struct connection *connection, const cJSON *message,
                   const struct control_head *head);
/* Commits what was decided, and sends the answers. */
void group_end(struct authority_service *service);
/* A connection has gone: its answers have nobody to go to. */
void group_forget(struct authority_service *service, const struct connection *connection);

/* dispatch.c */
struct dispatch {
    const char *name;
    request_handler *handler;
    bool alone; /* outside of a group */
    bool grows; /* may make the state larger */
    bool much;  /* by any size */
};
/* NULL for a request that has no handler. */
const struct dispatch *dispatch_find(const char *name);

/* --- its own certificate (service_tls.c) --- */

struct service_tls {
    struct tls_context *server;   /* what listens */
    struct tls_context *bots;     /* judges who is a bot, and who */
    struct tls_context *services; /* is a service */
    int64_t renew_at_us;
    int64_t not_after_us;
    char serial[STORE_SERIAL_SIZE];
};

/* Makes a key and a certificate, records it, and takes them into use, with the CAs of now. On
 * failure what was there stays. Outside of a group. */
bool service_tls_renew(struct authority_service *service, struct error *err) MUST_USE;
void service_tls_release(struct service_tls *tls);

/* --- the proxy of this process (service_issue.c) --- */

struct service_call;
/* On the service's thread: answers the call that waits, if there is one. */
void service_answer_call(struct authority_service *service);

/* --- the state (service_state.c) --- */

/* A change that makes the state grow, within the group: whether proxies can still take it. If not,
 * it is refused. `much`: it may have added more than AUTHORITY_CHANGE_BYTES. */
bool service_state_admits(struct request *request, bool much, struct error *err) MUST_USE;
/* Something may have changed: tells those who follow, at once or after a little while. */
void service_state_changed(struct authority_service *service);
/* A connection has begun to follow: it is told all, whatever it may know. After a restore from a
 * backup the same version can be another state. */
void service_state_tell(struct authority_service *service, struct connection *connection);
/* The same, at once: those who follow have been told when this returns. */
void service_state_publish(struct authority_service *service);
/* Ends the connections that follow and may not any more: a proxy has joined anew. */
void service_state_review(struct authority_service *service);
/* Whether a proxy follows, and has been told all. */
bool service_state_told(struct authority_service *service, const char *proxy);
void service_state_release(struct authority_service *service);

/* --- all of it --- */

struct service_timers {
    uv_timer_t alive;   /* each second: events, renewal, pruning */
    uv_timer_t publish; /* a state that had to wait */
    uv_timer_t expiry;  /* the next lock that lapses */
    uv_timer_t drain;
};

struct authority_service {
    struct authority_service_settings settings;
    struct store *store;
    struct authority *core;
    struct audit_lane *lane;
    struct authority_rate *joins;    /* refused ones */
    struct authority_rate *refusals; /* recorded ones */
    struct authority_rate *bots;     /* what bots ask, by their names and instances */
    uint64_t unrecorded;
    struct service_tls tls;
    uv_mutex_t pin_lock;                 /* of the next line alone: any thread may read it */
    char pin[CERTIFICATE_PIN_TEXT_SIZE]; /* of the CA that signed its certificate */
    struct group group;
    bool review;          /* a proxy has joined */
    uv_mutex_t call_lock; /* of the next two lines, and what they point to */
    uv_cond_t called;
    struct service_call *call; /* waits to be answered; NULL: none does */

    /* From start on. */
    bool started, joined;
    uv_thread_t thread;
    uv_loop_t loop;
    struct stream_loop *streams;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
    uv_prepare_t prepare;
    uv_check_t check; /* ends the group of a turn */
    uv_idle_t idle;   /* makes the loop turn once more */
    uv_async_t wake;
    struct service_timers timers;
    atomic_bool stop_asked;
    bool stopping, closing;
    struct socket_file socket;
    char address[ADDRESS_TEXT_SIZE];
    uint16_t port;

    struct connection *connections;
    size_t connection_count, admin_count;

    cJSON *state; /* the event that was rendered last, or NULL */
    int64_t state_version, next_expiry_us;
    size_t changes_left;  /* before it must be measured whether the state is too large */
    int64_t published_us; /* monotonic */
    bool untold;          /* there is a state that cannot be told: nobody is told `alive` */
    int64_t pruned_us;    /* monotonic */
    int64_t renew_tried_us;

    int64_t log_second; /* of the lines counted below */
    unsigned log_lines, log_unsaid;
};

/* Whether a line about a peer may be logged now; says how many could not be. */
bool service_may_log(struct authority_service *service);

#endif

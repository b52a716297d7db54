/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running authority for each test, with its audit log, in a directory of its own; clients that
 * talk to it by TLS over loopback, administrators over its socket.
 */
#ifndef SALLYPORT_TESTS_AUTHORITY_SERVICE_SUPPORT_H
#define SALLYPORT_TESTS_AUTHORITY_SERVICE_SUPPORT_H

#include <cjson/cJSON.h>
#include <criterion/criterion.h>

#include "authority/service.h"
#include "control/client.h"
#include "control/frame.h"
#include "tls/key.h"

extern char home[64];
extern struct authority_service_settings settings; /* may be changed before service_begin() */
extern struct authority_service *service;
extern struct audit_log *audit;

/* .init and .fini of suites: the service runs in between. */
void service_enter(void);
void service_leave(void);
/* The same in parts. */
void service_prepare(void);
void service_begin(void);
void service_end(void);

/* --- administration --- */

/* Asks over the socket: the answer's `ok`, to be freed, or NULL and `refused` says why. The request
 * is JSON with ' for ". */
extern struct control_failure refused;
cJSON *admin(const char *format, ...) PRINTF_LIKE(1, 2);
/* It must be granted; nobody looks at the answer. */
void admin_does(const char *format, ...) PRINTF_LIKE(1, 2);
/* Whether it is granted; if not, `refused` says why. */
bool admin_may(const char *format, ...) PRINTF_LIKE(1, 2);
/* It must be refused with this code, and these words. */
void admin_refused(enum control_code code, const char *words, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* A text of an answer, which is freed; in one of eight static buffers. */
const char *admin_text_of(cJSON *answer, const char *key);

/* A role "reader" and the database "shop". */
void apply_reader(void);
/* Adds a bot that has that role; its token. */
const char *add_bot(const char *name);

/* --- identities --- */

struct who {
    char *certificate, *ca, *key; /* PEM */
    char name[128], instance[64];
    int64_t generation;
};
void who_release(struct who *who);

/* A CSR for a new key, whose PEM becomes who->key. */
const char *fresh_csr(struct who *who);
const char *csr_of(const struct tls_key *key);
/* Takes an identity out of an answer. */
void who_take(struct who *who, const cJSON *ok);
/* Joins, and confirms if that is wanted. */
struct who join_bot(const char *name, bool confirmed);
struct who join_proxy(const char *name);

/* --- clients --- */

struct caller {
    uv_loop_t loop;
    struct stream_loop *shared;
    struct control_client *client;
    bool ready, closed, answered;
    struct error reason;
    cJSON *ok; /* of the last answer, or NULL */
    struct control_failure failure;
    cJSON *state; /* the last `state` event */
    unsigned states, alive;
};

/* Connects; `who` NULL: without a certificate. Trusts the authority by its pin. */
void caller_open(struct caller *caller, const struct who *who);
/* The same, and tells whether the connection stands. */
bool caller_try(struct caller *caller, const struct who *who);
void caller_close(struct caller *caller);
/* Asks; true when granted. Takes JSON with ' for ", where %s stands for a JSON string. */
bool caller_asks(struct caller *caller, const char *format, ...) PRINTF_LIKE(2, 3);
/* Runs until an expression of the caller's is true; false after five seconds. */
bool caller_runs(struct caller *caller, bool (*until)(const struct caller *caller));
void caller_run_for(struct caller *caller, unsigned milliseconds);
/* A text as the inside of a JSON string; in one of eight static buffers. */
const char *json_text(const char *text);

struct tls_context *caller_context(const struct who *who);

/* --- the audit log --- */

/* The records so far of an event, as JSON lines in order; freed by cJSON_Delete(). */
cJSON *records(const char *event);
/* How many there are, once there are so many, or after two seconds. */
int count_records(const char *event, int wanted);
/* A field of the nth record: "a.b" for one inside of an object. "" when it has none. */
const char *record_text(const char *event, int n, const char *path);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate for the proxy of this process, which needs no token. The store is the service's
 * thread's while that runs: then the caller hands its question over, and waits.
 */
#include <stdlib.h>
#include <string.h>

#include "authority/service_internal.h"
#include "authority/standing.h"
#include "base/clock.h"

struct service_call {
    const char *name;
    const struct tls_public *key;
    const struct authority_hosts *hosts;
    struct authority_identity *identity; /* room for it: its texts are the authority's own */
    struct authority_issued *out;
    bool done; /* the service's thread has answered: */
    bool good;
    struct error err;
};

void authority_issued_release(struct authority_issued *issued)
{
    free(issued->certificate);
    free(issued->ca);
    memset(issued, 0, sizeof *issued);
}

static bool copy_issued(const struct authority_identity *identity, struct authority_issued *out,
                        struct error *err)
{
    out->certificate = strdup(identity->certificate.chain);
    out->ca = strdup(identity->ca);
    out->not_after_us = identity->certificate.not_after_us;
    out->renew_at_us = identity->certificate.renew_at_us;
    if (out->certificate && out->ca)
        return true;
    authority_issued_release(out);
    return error_set(err, ERROR_MEMORY, "out of memory for a certificate");
}

/* At a start the proxy is let in whatever was said about it before: who starts it says so anew. */
static bool decide(struct authority_service *service, const struct service_call *call,
                   struct authority_refusal *refusal, struct error *err)
{
    int64_t now_us = clock_wall_us();
    refusal->code = CONTROL_NO_ERROR;
    if (service->started)
        return authority_proxy_issue_again(service->core, call->name, call->key, call->hosts,
                                           now_us, call->identity, refusal, err);
    return authority_proxy_issue(service->core, call->name, call->key, call->hosts, call->hosts,
                                 now_us, call->identity, err);
}

static bool record(struct authority_service *service, const struct service_call *call,
                   struct audit_entry **entry, struct error *err)
{
    const struct authority_certificate *issued = &call->identity->certificate;
    const struct authority_facts facts = {.proxy = call->name,
                                          .kind = "in process",
                                          .issued = issued->serial,
                                          .not_after_us = issued->not_after_us};
    return authority_event_begin(service->lane, AUTHORITY_EVENT_PROXY_JOIN, &facts, entry, err);
}

/* Signs, records, and says what became of it. Outside of a group. */
static bool issue(struct authority_service *service, const struct service_call *call,
                  struct error *err)
{
    struct authority_refusal refusal;
    struct audit_entry *entry = NULL;
    bool own;
    if (!authority_enter(service->core, &own, err))
        return false;
    bool done = decide(service, call, &refusal, err) && copy_issued(call->identity, call->out, err);
    done = done && record(service, call, &entry, err);
    done = authority_leave(service->core, own, done, &refusal, err);
    if (entry)
        authority_event_finish(entry, done ? "ok" : "error", NULL);
    if (done)
        return true;
    authority_issued_release(call->out);
    return refusal.code ? error_set(err, ERROR_DENIED, "%s", refusal.message) : false;
}

/* --- while the service runs --- */

void service_answer_call(struct authority_service *service)
{
    uv_mutex_lock(&service->call_lock);
    struct service_call *call = service->call;
    service->call = NULL; /* from here on the caller waits for the answer */
    uv_mutex_unlock(&service->call_lock);
    if (!call)
        return;
    group_end(service);
    bool good = issue(service, call, &call->err);
    if (good)
        service_state_review(service);
    uv_mutex_lock(&service->call_lock);
    call->good = good;
    call->done = true;
    uv_cond_signal(&service->called);
    uv_mutex_unlock(&service->call_lock);
}

/* False: the service did not get to it in time, and will not any more. */
static bool wait_for_answer(struct authority_service *service, const struct service_call *call)
{
    uint64_t now = uv_hrtime(), until = now + SERVICE_CALL_MS * UINT64_C(1000000);
    for (; service->call == call && now < until; now = uv_hrtime())
        (void)uv_cond_timedwait(&service->called, &service->call_lock, until - now);
    if (service->call == call) {
        service->call = NULL;
        return false;
    }
    while (!call->done)
        uv_cond_wait(&service->called, &service->call_lock);
    return true;
}

static bool hand_over(struct authority_service *service, struct service_call *call,
                      struct error *err)
{
    if (service->joined)
        return error_set(err, ERROR_STATE, "the authority of this process has stopped");
    uv_mutex_lock(&service->call_lock);
    service->call = call;
    (void)uv_async_send(&service->wake);
    bool answered = wait_for_answer(service, call);
    uv_mutex_unlock(&service->call_lock);
    if (!answered)
        return error_set(err, ERROR_TIMEOUT, "the authority of this process did not answer");
    *err = call->err;
    return call->good;
}

bool authority_service_issue_proxy(struct authority_service *service, const char *name,
                                   const char *csr, const char *const *names, size_t name_count,
                                   struct authority_issued *out, struct error *err)
{
    struct authority_refusal refusal = {0};
    struct authority_hosts hosts;
    struct tls_request *request;
    memset(out, 0, sizeof *out);
    if (!authority_name_check("proxy", name, &refusal) ||
        !authority_hosts_read(names, name_count, &hosts, &refusal) ||
        !authority_read_csr(csr, &request, &refusal, err))
        return refusal.code ? error_set(err, ERROR_CONFIG, "%s", refusal.message) : false;
    struct service_call call = {
        .name = name,
        .key = tls_request_public(request),
        .hosts = &hosts,
        .identity = calloc(1, sizeof *call.identity),
        .out = out,
    };
    bool done;
    if (!call.identity)
        done = error_set(err, ERROR_MEMORY, "out of memory for a certificate");
    else
        done = service->started ? hand_over(service, &call, err) : issue(service, &call, err);
    free(call.identity);
    tls_request_free(request);
    return done;
}

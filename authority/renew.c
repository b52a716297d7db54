/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/renew.h"

#include <stdio.h>
#include <string.h>

#include "authority/ca.h"
#include "authority/lock.h"
#include "authority/standing.h"
#include "base/clock.h"

/* What a decision works with. */
struct renewing {
    struct authority *authority;
    int64_t now_us;
    struct authority_identity *out;
    struct authority_refusal *refusal;
    struct error *err;
};

/* --- superseded certificates --- */

static bool is_superseded(const struct authority_standing *standing)
{
    return standing->which == STORE_SERIAL_OLDER ||
           (standing->which == STORE_SERIAL_PREVIOUS && standing->instance.confirmed);
}

/* When the certificate that is current now was made; 0 when the ledger has forgotten it. */
static bool find_issued(struct authority *authority, const char *serial, int64_t *issued_us,
                        struct error *err)
{
    struct store_certificate certificate = {0};
    struct error cause = {0};
    if (!store_certificate_find(authority->store, serial, &certificate, &cause) &&
        cause.code != ERROR_NOT_FOUND) {
        *err = cause;
        return false;
    }
    *issued_us = certificate.issued_us;
    return true;
}

static bool lock_instance(struct authority *authority, const struct authority_standing *standing,
                          int64_t current_us, int64_t now_us, enum authority_shut *shut,
                          struct error *err)
{
    char reason[STORE_REASON_SIZE];
    char now[CLOCK_TIME_SIZE];
    char then[CLOCK_TIME_SIZE];
    char current[CLOCK_TIME_SIZE];
    clock_format(now_us, now);
    clock_format(standing->certificate.issued_us, then);
    clock_format(current_us, current);
    snprintf(reason, sizeof reason,
             "a copy is in use? %.19sZ: certificate %s (%.19sZ) came after %s (%.19sZ) replaced it",
             now, standing->certificate.serial, then, standing->instance.serial, current);
    return authority_lock_instance(authority, standing->bot.name, standing->instance.id, reason,
                                   now_us, shut, err);
}

/* Refuses what was still current when it was shown. (Older ones are two renewals old: no request
 * hangs that long.) */
static bool check_late(const struct renewing *renewing, const struct authority_shown *shown,
                       const struct authority_standing *standing)
{
    int64_t current_us;
    if (standing->which != STORE_SERIAL_PREVIOUS)
        return true;
    if (!find_issued(renewing->authority, standing->instance.serial, &current_us, renewing->err))
        return false;
    return shown->since_us >= current_us ||
           authority_refuse(renewing->refusal, CONTROL_CONFLICT,
                            "the certificate was renewed over another connection meanwhile: "
                            "connect again");
}

/* An instance that is locked has been judged: it is told that, and no second lock is made. */
static bool check_shut(const struct renewing *renewing, const struct authority_standing *standing)
{
    enum authority_shut shut;
    const struct authority_lock *lock;
    if (!authority_lock_shut(renewing->authority, standing->bot.name, standing->instance.id,
                             renewing->now_us, &shut, &lock, renewing->err))
        return false;
    return !lock || authority_refuse(renewing->refusal, CONTROL_LOCKED, "%s %s is locked: %s",
                                     store_lock_kind_name(lock->kind), lock->target, lock->reason);
}

static bool refuse_superseded(const struct renewing *renewing, const struct authority_shown *shown,
                              const struct authority_standing *standing)
{
    int64_t current_us;
    enum authority_shut shut;
    if (!check_shut(renewing, standing) || !check_late(renewing, shown, standing) ||
        !find_issued(renewing->authority, standing->instance.serial, &current_us, renewing->err) ||
        !lock_instance(renewing->authority, standing, current_us, renewing->now_us, &shut,
                       renewing->err))
        return false;
    if (shut != AUTHORITY_SHUT_INSTANCE)
        return authority_refuse(renewing->refusal, CONTROL_SUPERSEDED,
                                "a newer certificate is in use, so one of the two is a copy, of "
                                "instance %s; and as there are many such, bot %s %s",
                                standing->instance.id, standing->bot.name,
                                shut == AUTHORITY_SHUT_BOT ? "is locked as a whole now"
                                                           : "has lost all its roles");
    return authority_refuse(renewing->refusal, CONTROL_SUPERSEDED,
                            "a newer certificate is in use, so one of the two is a copy: instance "
                            "%s of bot %s is locked now; find out who has it, remove the instance "
                            "and join again",
                            standing->instance.id, standing->bot.name);
}

/* Whether the one who shows this certificate may go on. */
static bool stand(const struct renewing *renewing, const struct authority_shown *shown,
                  struct authority_standing *standing)
{
    if (!authority_standing_find(renewing->authority, shown->serial, renewing->now_us, standing,
                                 renewing->refusal, renewing->err))
        return false;
    if (is_superseded(standing))
        return refuse_superseded(renewing, shown, standing);
    return authority_bot_check(renewing->authority, &standing->bot, &standing->instance,
                               renewing->now_us, renewing->refusal, renewing->err);
}

/* --- renew --- */

static bool put_generation(const struct renewing *renewing,
                           const struct authority_standing *standing)
{
    const struct store_instance *instance = &standing->instance;
    const struct authority_certificate *certificate = &renewing->out->certificate;
    const struct store_next next = {certificate->serial, certificate->not_after_us,
                                    renewing->now_us};
    struct store *store = renewing->authority->store;
    bool done;
    if (standing->which == STORE_SERIAL_CURRENT
            ? !store_instance_advance(store, instance->id, instance->serial, &next, &done,
                                      renewing->err)
            : !store_instance_replace(store, instance->id, instance->serial, &next, &done,
                                      renewing->err))
        return false;
    return done || error_set(renewing->err, ERROR_STATE,
                             "instance %s changed within one transaction", instance->id);
}

static bool issue_next(const struct renewing *renewing, const struct authority_standing *standing,
                       const struct tls_request *request)
{
    struct authority_identity *out = renewing->out;
    const struct store_instance *instance = &standing->instance;
    out->generation = instance->generation + (standing->which == STORE_SERIAL_CURRENT ? 1 : 0);
    out->ca = authority_ca_bundle(renewing->authority, STORE_AUTHORITY_SERVICE);
    memcpy(out->name, standing->bot.name, sizeof out->name);
    memcpy(out->instance, instance->id, sizeof out->instance);
    const struct authority_bot_certificate wanted = {&standing->bot, instance->id, out->generation};
    return authority_issue_bot(renewing->authority, tls_request_public(request), &wanted,
                               renewing->now_us, &out->certificate, renewing->err) &&
           put_generation(renewing, standing);
}

static bool renew(const struct renewing *renewing, const struct authority_shown *shown,
                  const char *csr)
{
    struct authority_standing standing;
    struct tls_request *request = NULL;
    /* A late one would replace what the bot has just been given. */
    if (!stand(renewing, shown, &standing) || !check_late(renewing, shown, &standing) ||
        !authority_read_csr(csr, &request, renewing->refusal, renewing->err))
        return false;
    bool done = issue_next(renewing, &standing, request);
    tls_request_free(request);
    return done;
}

bool authority_renew(struct authority *authority, const struct authority_shown *shown,
                     const char *csr, int64_t now_us, struct authority_identity *out,
                     struct authority_refusal *refusal, struct error *err)
{
    const struct renewing renewing = {authority, now_us, out, refusal, err};
    bool own;
    refusal->code = CONTROL_NO_ERROR;
    if (!authority_enter(authority, &own, err))
        return false;
    return authority_leave(authority, own, renew(&renewing, shown, csr), refusal, err);
}

/* --- confirm --- */

static bool confirm(const struct renewing *renewing, const struct authority_shown *shown,
                    bool *changed)
{
    struct authority_standing standing;
    bool current;
    if (!stand(renewing, shown, &standing) ||
        !store_instance_confirm(renewing->authority->store, shown->serial, renewing->now_us,
                                &current, renewing->err))
        return false;
    *changed = current && !standing.instance.confirmed;
    return true;
}

bool authority_confirm(struct authority *authority, const struct authority_shown *shown,
                       int64_t now_us, bool *changed, struct authority_refusal *refusal,
                       struct error *err)
{
    const struct renewing renewing = {authority, now_us, NULL, refusal, err};
    bool own;
    refusal->code = CONTROL_NO_ERROR;
    *changed = false;
    if (!authority_enter(authority, &own, err))
        return false;
    return authority_leave(authority, own, confirm(&renewing, shown, changed), refusal, err);
}

/* --- seen --- */

/*
 * Whether another certificate took its place in the same generation. Two generations back the store
 * does not know any more which serial was the right one.
 */
static bool was_replaced(const struct authority_standing *standing)
{
    const struct store_instance *instance = &standing->instance;
    const struct store_certificate *certificate = &standing->certificate;
    return standing->which == STORE_SERIAL_OLDER &&
           (certificate->generation == instance->generation ||
            certificate->generation == instance->generation - 1);
}

static bool note_other(struct authority *authority, const char *serial, int64_t now_us,
                       struct authority_seen *out, struct error *err)
{
    struct authority_standing standing;
    struct authority_refusal refusal = {0};
    if (!authority_standing_find(authority, serial, now_us, &standing, &refusal, err)) {
        out->unknown++;
        return refusal.code != CONTROL_NO_ERROR;
    }
    if (!was_replaced(&standing)) {
        out->late++;
        return true;
    }
    int64_t current_us;
    enum authority_shut shut;
    out->locked++;
    return find_issued(authority, standing.instance.serial, &current_us, err) &&
           lock_instance(authority, &standing, current_us, now_us, &shut, err);
}

static bool note_one(struct authority *authority, const char *serial, int64_t now_us,
                     struct authority_seen *out, struct error *err)
{
    bool current = false;
    if (strlen(serial) < STORE_SERIAL_SIZE &&
        !store_instance_confirm(authority->store, serial, now_us, &current, err))
        return false;
    if (!current)
        return note_other(authority, serial, now_us, out, err);
    out->confirmed++;
    return true;
}

bool authority_seen(struct authority *authority, const char *const *serials, size_t count,
                    int64_t now_us, struct authority_seen *out, struct error *err)
{
    struct authority_refusal none = {0};
    bool own;
    *out = (struct authority_seen){0};
    if (!authority_enter(authority, &own, err))
        return false;
    bool done = true;
    for (size_t i = 0; i < count && done; i++)
        done = note_one(authority, serials[i], now_us, out, err);
    return authority_leave(authority, own, done, &none, err);
}

/* --- proxies --- */

static void hosts_of(const struct store_proxy *proxy, const char *names[STORE_PROXY_NAMES_MAX])
{
    for (size_t i = 0; i < proxy->name_count; i++)
        names[i] = proxy->names[i];
}

static bool choose_hosts(const struct renewing *renewing,
                         const struct authority_renew_proxy *renewal,
                         const struct authority_hosts *allowed, struct authority_hosts *out)
{
    if (renewal->host_count == 0) {
        *out = *allowed;
        return true;
    }
    if (!authority_hosts_read(renewal->hosts, renewal->host_count, out, renewing->refusal))
        return false;
    for (size_t i = 0; i < out->count; i++)
        if (!authority_hosts_have(allowed, out->names[i]))
            return authority_refuse(renewing->refusal, CONTROL_INVALID,
                                    "the proxy has not joined with the name %.160s: a new name "
                                    "needs a new token",
                                    out->names[i]);
    return true;
}

static bool renew_hosts(const struct renewing *renewing,
                        const struct authority_renew_proxy *renewal,
                        const struct store_proxy *proxy, const struct tls_request *request)
{
    const char *names[STORE_PROXY_NAMES_MAX];
    struct authority_hosts allowed;
    struct authority_hosts hosts;
    hosts_of(proxy, names);
    return authority_hosts_read(names, proxy->name_count, &allowed, renewing->refusal) &&
           choose_hosts(renewing, renewal, &allowed, &hosts) &&
           authority_proxy_hosts_check(renewing->authority, proxy->name, &hosts, proxy->joined_us,
                                       renewing->refusal, renewing->err) &&
           authority_proxy_reissue(renewing->authority, proxy, renewal->serial,
                                   tls_request_public(request), &hosts, renewing->now_us,
                                   renewing->out, renewing->err);
}

static bool renew_proxy(const struct renewing *renewing,
                        const struct authority_renew_proxy *renewal)
{
    struct store_proxy proxy;
    struct tls_request *request = NULL;
    if (!authority_proxy_stand(renewing->authority, renewal->serial, renewal->since_us, true,
                               renewing->now_us, &proxy, renewing->refusal, renewing->err) ||
        !authority_read_csr(renewal->csr, &request, renewing->refusal, renewing->err))
        return false;
    bool done = renew_hosts(renewing, renewal, &proxy, request);
    tls_request_free(request);
    return done;
}

bool authority_renew_proxy(struct authority *authority, const struct authority_renew_proxy *renewal,
                           int64_t now_us, struct authority_identity *out,
                           struct authority_refusal *refusal, struct error *err)
{
    const struct renewing renewing = {authority, now_us, out, refusal, err};
    bool own;
    refusal->code = CONTROL_NO_ERROR;
    if (!authority_enter(authority, &own, err))
        return false;
    return authority_leave(authority, own, renew_proxy(&renewing, renewal), refusal, err);
}

static bool mint(const struct renewing *renewing, const struct authority_mint *wanted,
                 struct authority_certificate *out)
{
    struct store_proxy proxy;
    struct tls_request *request = NULL;
    if ((wanted->serial &&
         !authority_proxy_stand(renewing->authority, wanted->serial, wanted->since_us, false,
                                renewing->now_us, &proxy, renewing->refusal, renewing->err)) ||
        !authority_mysql_user_check(wanted->mysql_user, renewing->refusal) ||
        !authority_read_csr(wanted->csr, &request, renewing->refusal, renewing->err))
        return false;
    bool done = authority_issue_client(renewing->authority, tls_request_public(request),
                                       wanted->mysql_user, wanted->serial ? proxy.name : NULL,
                                       renewing->now_us, out, renewing->err);
    tls_request_free(request);
    return done;
}

bool authority_mint(struct authority *authority, const struct authority_mint *wanted,
                    int64_t now_us, struct authority_certificate *out,
                    struct authority_refusal *refusal, struct error *err)
{
    const struct renewing renewing = {authority, now_us, NULL, refusal, err};
    bool own;
    refusal->code = CONTROL_NO_ERROR;
    if (!authority_enter(authority, &own, err))
        return false;
    return authority_leave(authority, own, mint(&renewing, wanted, out), refusal, err);
}

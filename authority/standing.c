/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/standing.h"

#include <stdio.h>
#include <string.h>

#include "authority/ca.h"
#include "authority/lock.h"
#include "base/clock.h"

/* --- certificates of any kind --- */

static bool find_certificate(struct authority *authority, const char *serial,
                             enum store_certificate_kind kind, int64_t now_us,
                             struct store_certificate *out, struct authority_refusal *refusal,
                             struct error *err)
{
    struct error cause = {0};
    char time[CLOCK_TIME_SIZE];
    bool found = strlen(serial) < STORE_SERIAL_SIZE &&
                 store_certificate_find(authority->store, serial, out, &cause);
    if (!found && cause.code != ERROR_NONE && cause.code != ERROR_NOT_FOUND) {
        *err = cause;
        return false;
    }
    if (!found || out->kind != kind)
        return authority_refuse(refusal, CONTROL_NOT_ALLOWED,
                                "this authority knows no certificate of a %s with the serial %.40s",
                                store_certificate_kind_name(kind), serial);
    clock_format(out->not_after_us, time);
    if (out->not_after_us <= now_us)
        return authority_refuse(refusal, CONTROL_NOT_ALLOWED,
                                "the certificate expired on %.19sZ: join again", time);
    return true;
}

/*
 * The value of the CN, which comes first: of a subject that issue.c wrote out of names that hold
 * neither ',' nor '='. False when its last attribute is not this OU.
 */
static bool read_name(const char *subject, const char *unit, char out[STORE_NAME_SIZE])
{
    const char *last = strrchr(subject, ',');
    if (!last || strcmp(last + 1, unit) != 0 || strncmp(subject, "CN=", 3) != 0)
        return false;
    size_t length = strcspn(subject + 3, ",");
    if (length == 0 || length >= STORE_NAME_SIZE)
        return false;
    memcpy(out, subject + 3, length);
    out[length] = '\0';
    return true;
}

/* --- bots --- */

const char *authority_joined_token(const struct store_instance *instance)
{
    static const char prefix[] = "token ";
    size_t length = sizeof prefix - 1;
    return strncmp(instance->joined_by, prefix, length) == 0 ? instance->joined_by + length : NULL;
}

bool authority_bot_check(struct authority *authority, const struct store_bot *bot,
                         const struct store_instance *instance, int64_t now_us,
                         struct authority_refusal *refusal, struct error *err)
{
    const char *roles[STORE_ROLES_MAX];
    for (size_t i = 0; i < bot->role_count; i++)
        roles[i] = bot->roles[i];
    const struct authority_lock_query query = {
        .bot = bot->name,
        .instance = instance ? instance->id : NULL,
        .roles = roles,
        .role_count = bot->role_count,
        .token = instance ? authority_joined_token(instance) : NULL,
    };
    if (!authority_lock_check(authority, &query, now_us, refusal, err))
        return false;
    return bot->role_count <= AUTHORITY_ROLES_MAX ||
           authority_refuse(refusal, CONTROL_CONFLICT,
                            "bot %s has %zu roles, and a certificate names at most %d: take some "
                            "away",
                            bot->name, bot->role_count, AUTHORITY_ROLES_MAX);
}

/* Why there is no instance: its bot was removed, or it alone. */
static bool refuse_removed(struct authority *authority, const struct store_certificate *certificate,
                           struct authority_refusal *refusal, struct error *err)
{
    struct store_bot bot;
    struct error cause = {0};
    char name[STORE_NAME_SIZE];
    if (!read_name(certificate->subject, "OU=bots", name))
        return error_set(err, ERROR_MALFORMED, "the ledger has a bot's certificate for \"%.160s\"",
                         certificate->subject);
    if (store_bot_find(authority->store, name, &bot, &cause))
        return authority_refuse(refusal, CONTROL_NOT_FOUND,
                                "instance %s of bot %s was removed: join again",
                                certificate->instance, name);
    if (cause.code == ERROR_NOT_FOUND)
        return authority_refuse(refusal, CONTROL_UNKNOWN_BOT, "bot %s was removed", name);
    *err = cause;
    return false;
}

bool authority_standing_find(struct authority *authority, const char *serial, int64_t now_us,
                             struct authority_standing *out, struct authority_refusal *refusal,
                             struct error *err)
{
    struct error cause = {0};
    if (!find_certificate(authority, serial, STORE_CERTIFICATE_BOT, now_us, &out->certificate,
                          refusal, err))
        return false;
    if (store_instance_find_serial(authority->store, serial, &out->instance, &out->which, &cause))
        return store_bot_find(authority->store, out->instance.bot, &out->bot, err);
    if (cause.code == ERROR_NOT_FOUND)
        return refuse_removed(authority, &out->certificate, refusal, err);
    *err = cause;
    return false;
}

/* --- proxies --- */

static bool find_proxy(struct authority *authority, const char *name, struct store_proxy *out,
                       struct authority_refusal *refusal, struct error *err)
{
    struct error cause = {0};
    if (store_proxy_find(authority->store, name, out, &cause))
        return true;
    if (cause.code == ERROR_NOT_FOUND)
        return authority_refuse(refusal, CONTROL_NOT_FOUND, "proxy %s was removed", name);
    *err = cause;
    return false;
}

/* A certificate of a proxy, and the proxy as it is now. */
static bool find_both(struct authority *authority, const char *serial, int64_t now_us,
                      struct store_certificate *certificate, struct store_proxy *out,
                      struct authority_refusal *refusal, struct error *err)
{
    char name[STORE_NAME_SIZE];
    refusal->code = CONTROL_NO_ERROR;
    if (!find_certificate(authority, serial, STORE_CERTIFICATE_PROXY, now_us, certificate, refusal,
                          err))
        return false;
    /* The authority's own certificate is in the ledger under the same kind. */
    if (!read_name(certificate->subject, "OU=proxies", name))
        return authority_refuse(refusal, CONTROL_NOT_ALLOWED,
                                "the certificate is for %s, not for a proxy", certificate->subject);
    const struct authority_lock_query query = {.proxy = name};
    if (!find_proxy(authority, name, out, refusal, err) ||
        !authority_lock_check(authority, &query, now_us, refusal, err))
        return false;
    return certificate->issued_us >= out->joined_us ||
           authority_refuse(refusal, CONTROL_NOT_ALLOWED,
                            "proxy %s has joined again since this certificate was made, which is "
                            "void: stop this one, or give it a name and a token of its own",
                            out->name);
}

bool authority_proxy_find(struct authority *authority, const char *serial, int64_t now_us,
                          struct store_proxy *out, struct authority_refusal *refusal,
                          struct error *err)
{
    struct store_certificate certificate;
    return find_both(authority, serial, now_us, &certificate, out, refusal, err);
}

static bool is(const char *serial, const char *other)
{
    return strcmp(serial, other) == 0;
}

static bool confirm_proxy(struct authority *authority, struct store_proxy *proxy, int64_t now_us,
                          struct error *err)
{
    if (proxy->confirmed)
        return true;
    proxy->confirmed = true;
    proxy->seen_us = now_us;
    return store_proxy_put(authority->store, proxy, err);
}

static bool refuse_superseded_proxy(struct authority *authority, const struct store_proxy *proxy,
                                    const struct store_certificate *certificate, int64_t now_us,
                                    struct authority_refusal *refusal, struct error *err)
{
    char reason[STORE_REASON_SIZE];
    char now[CLOCK_TIME_SIZE];
    clock_format(now_us, now);
    snprintf(reason, sizeof reason,
             "a copy is in use? %.19sZ: certificate %s came after %s replaced it", now,
             certificate->serial, proxy->serial);
    if (!authority_lock_proxy(authority, proxy->name, reason, now_us, err))
        return false;
    return authority_refuse(refusal, CONTROL_SUPERSEDED,
                            "a newer certificate is in use, so one of the two is a copy: proxy %s "
                            "is locked now; find out who has it, remove the proxy and join again",
                            proxy->name);
}

/* What is not the current certificate, and was replaced by one that has been used. */
static bool judge_superseded(struct authority *authority, const struct store_proxy *proxy,
                             const struct store_certificate *certificate, int64_t since_us,
                             bool renewal, int64_t now_us, struct authority_refusal *refusal,
                             struct error *err)
{
    struct store_certificate current;
    if (!store_certificate_find(authority->store, proxy->serial, &current, err))
        return false;
    bool late = since_us < current.issued_us;
    if (late && !renewal && is(certificate->serial, proxy->previous_serial))
        return true;
    if (late)
        return authority_refuse(refusal, CONTROL_CONFLICT,
                                "the certificate was renewed over another connection meanwhile: "
                                "connect again");
    return refuse_superseded_proxy(authority, proxy, certificate, now_us, refusal, err);
}

bool authority_proxy_stand(struct authority *authority, const char *serial, int64_t since_us,
                           bool renewal, int64_t now_us, struct store_proxy *out,
                           struct authority_refusal *refusal, struct error *err)
{
    struct store_certificate certificate;
    if (!find_both(authority, serial, now_us, &certificate, out, refusal, err))
        return false;
    if (is(serial, out->serial))
        return confirm_proxy(authority, out, now_us, err);
    if (is(serial, out->previous_serial) && !out->confirmed)
        return true;
    return judge_superseded(authority, out, &certificate, since_us, renewal, now_us, refusal, err);
}

/* What means whatever machine looks it up is nobody's. */
static bool is_loopback(const char *host)
{
    static const char last[] = "localhost";
    size_t length = strlen(host), suffix = sizeof last - 1;
    return strncmp(host, "127.", 4) == 0 || is(host, "::1") || is(host, last) ||
           (length > suffix && host[length - suffix - 1] == '.' &&
            is(host + length - suffix, last));
}

bool authority_proxy_hosts_check(struct authority *authority, const char *name,
                                 const struct authority_hosts *hosts, int64_t before_us,
                                 struct authority_refusal *refusal, struct error *err)
{
    char other[STORE_NAME_SIZE];
    for (size_t i = 0; i < hosts->count; i++) {
        const char *host = hosts->names[i];
        if (is_loopback(host) || authority_hosts_have(&authority->settings.shared_hosts, host))
            continue;
        if (authority_hosts_have(&authority->settings.hosts, host))
            return authority_refuse(refusal, CONTROL_CONFLICT,
                                    "%.160s is the authority itself: no proxy can be called that",
                                    host);
        if (!store_proxy_find_host(authority->store, host, name, before_us, other, err))
            return false;
        if (other[0] != '\0')
            return authority_refuse(refusal, CONTROL_CONFLICT,
                                    "%.160s is a name of the proxy %s already: each has names of "
                                    "its own",
                                    host, other);
    }
    return true;
}

static bool issue_proxy(struct authority *authority, struct store_proxy *row,
                        const struct tls_public *key, const struct authority_hosts *hosts,
                        int64_t now_us, struct authority_identity *out, struct error *err)
{
    out->instance[0] = '\0';
    out->generation = row->generation;
    out->ca = authority_ca_bundle(authority, STORE_AUTHORITY_SERVICE);
    memcpy(out->name, row->name, sizeof row->name);
    if (!authority_issue_proxy(authority, key, row->name, hosts, now_us, &out->certificate, err))
        return false;
    memcpy(row->serial, out->certificate.serial, sizeof row->serial);
    row->not_after_us = out->certificate.not_after_us;
    row->confirmed = false;
    row->seen_us = now_us;
    return store_proxy_put(authority->store, row, err);
}

bool authority_proxy_reissue(struct authority *authority, const struct store_proxy *proxy,
                             const char *serial, const struct tls_public *key,
                             const struct authority_hosts *hosts, int64_t now_us,
                             struct authority_identity *out, struct error *err)
{
    struct store_proxy row = *proxy;
    if (is(serial, proxy->serial)) { /* else the current one was lost, and is replaced */
        row.generation++;
        memcpy(row.previous_serial, proxy->serial, sizeof row.previous_serial);
    }
    return issue_proxy(authority, &row, key, hosts, now_us, out, err);
}

bool authority_proxy_issue(struct authority *authority, const char *name,
                           const struct tls_public *key, const struct authority_hosts *hosts,
                           const struct authority_hosts *allowed, int64_t now_us,
                           struct authority_identity *out, struct error *err)
{
    struct store_proxy row = {.generation = 1, .joined_us = now_us, .name_count = allowed->count};
    snprintf(row.name, sizeof row.name, "%s", name);
    for (size_t i = 0; i < allowed->count; i++)
        memcpy(row.names[i], allowed->names[i], sizeof row.names[i]);
    return issue_proxy(authority, &row, key, hosts, now_us, out, err);
}

bool authority_proxy_issue_again(struct authority *authority, const char *name,
                                 const struct tls_public *key, const struct authority_hosts *hosts,
                                 int64_t now_us, struct authority_identity *out,
                                 struct authority_refusal *refusal, struct error *err)
{
    const struct authority_lock_query query = {.proxy = name};
    struct store_proxy known;
    refusal->code = CONTROL_NO_ERROR;
    return find_proxy(authority, name, &known, refusal, err) &&
           authority_lock_check(authority, &query, now_us, refusal, err) &&
           authority_proxy_issue(authority, name, key, hosts, hosts, now_us, out, err);
}

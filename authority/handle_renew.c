/* SPDX-License-Identifier: Apache-2.0 */
/* What a bot may ask. */
#include <string.h>

#include "authority/handle.h"
#include "authority/standing.h"
#include "base/clock.h"

/* The instance of the connection's certificate, for records; "" when it has none any more. */
static void find_instance(struct request *request, char instance[STORE_INSTANCE_SIZE])
{
    struct store_instance found;
    enum store_serial which;
    instance[0] = '\0';
    if (store_instance_find_serial(request->service->store, request->connection->serial, &found,
                                   &which, NULL))
        memcpy(instance, found.id, STORE_INSTANCE_SIZE);
}

/* What a superseded certificate has locked: its instance, or its bot; nothing where there was no
 * room for a lock. */
static bool find_locked(struct request *request, const char *instance, struct handle_locked *locked)
{
    const struct authority_lock *lock;
    enum authority_shut shut;
    const char *bot = request->connection->name;
    if (!authority_lock_shut(request->service->core, bot, instance, request->now_us, &shut, &lock,
                             NULL) ||
        !lock)
        return false;
    *locked = shut == AUTHORITY_SHUT_BOT ? (struct handle_locked){STORE_LOCK_BOT, bot}
                                         : (struct handle_locked){STORE_LOCK_INSTANCE, instance};
    return true;
}

/* A refusal of a renewal or a confirmation. */
static bool record_refusal(struct request *request, enum authority_event event)
{
    char instance[STORE_INSTANCE_SIZE];
    struct handle_locked locked;
    struct authority_facts facts = connection_facts(request->connection);
    if (request->refusal.code == CONTROL_NO_ERROR)
        return false;
    find_instance(request, instance);
    facts.instance = instance;
    if (request->refusal.code == CONTROL_SUPERSEDED)
        handle_record_conflict(request, &facts,
                               find_locked(request, instance, &locked) ? &locked : NULL);
    else
        handle_record_denied(request, event, &facts);
    return false;
}

/* One bot may have a thousand instances: each has a rate of its own. */
static bool may_ask(struct request *request, enum authority_event event)
{
    char instance[STORE_INSTANCE_SIZE];
    const char *bot = request->connection->name;
    find_instance(request, instance);
    const char *who = instance[0] != '\0' ? instance : bot;
    if (authority_rate_takes(request->service->bots, who, clock_monotonic_us()))
        return true;
    struct authority_facts facts = connection_facts(request->connection);
    facts.instance = instance;
    (void)authority_refuse(&request->refusal, CONTROL_BUSY,
                           "bot %s asks too often: try again in a minute", bot);
    handle_record_busy(request, event, &facts, who);
    return false;
}

bool handle_renew(struct request *request, struct error *err)
{
    const char *csr;
    const struct control_field fields[] = {
        {.key = "csr", .type = CONTROL_LINES, .to.text = &csr, .greatest = HANDLE_CSR_MAX},
    };
    struct authority_identity identity;
    struct authority_facts facts = connection_facts(request->connection);
    if (!request_fields(request, HANDLE_FIELDS(fields)) ||
        !may_ask(request, AUTHORITY_EVENT_CERT_RENEW))
        return false;
    const struct authority_shown shown = {request->connection->serial,
                                          request->connection->since_us};
    if (!authority_renew(request->service->core, &shown, csr, request->now_us, &identity,
                         &request->refusal, err))
        return record_refusal(request, AUTHORITY_EVENT_CERT_RENEW);
    facts.instance = identity.instance;
    facts.generation = identity.generation;
    facts.issued = identity.certificate.serial;
    facts.not_after_us = identity.certificate.not_after_us;
    return handle_put_identity(request, &identity, err) &&
           request_event(request, AUTHORITY_EVENT_CERT_RENEW, &facts, "ok", err);
}

bool handle_confirm(struct request *request, struct error *err)
{
    struct authority_facts facts = connection_facts(request->connection);
    char instance[STORE_INSTANCE_SIZE];
    bool changed;
    if (!request_fields(request, NULL, 0) || !may_ask(request, AUTHORITY_EVENT_CERT_CONFIRM))
        return false;
    const struct authority_shown shown = {request->connection->serial,
                                          request->connection->since_us};
    if (!authority_confirm(request->service->core, &shown, request->now_us, &changed,
                           &request->refusal, err))
        return record_refusal(request, AUTHORITY_EVENT_CERT_CONFIRM);
    if (!changed) /* as often as it likes to say so */
        return true;
    find_instance(request, instance);
    facts.instance = instance;
    return request_event(request, AUTHORITY_EVENT_CERT_CONFIRM, &facts, "ok", err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers share. */
#include "authority/handle.h"

#include <string.h>

#include "authority/ca.h"
#include "base/clock.h"
#include "base/log.h"

bool handle_put_identity(struct request *request, const struct authority_identity *identity,
                         struct error *err)
{
    const struct authority_certificate *certificate = &identity->certificate;
    cJSON *ok = request->ok;
    return request_built(
        control_put_text(ok, "certificate", certificate->chain) &&
            control_put_text(ok, "ca", identity->ca) &&
            control_put_text(ok, "name", identity->name) &&
            control_put_text(ok, "instance", identity->instance) &&
            control_put_unsigned(ok, "generation", (uint64_t)identity->generation) &&
            control_put_time(ok, "not_after", certificate->not_after_us) &&
            control_put_time(ok, "renew_at", certificate->renew_at_us),
        err);
}

/* Serials stand in the reason, which is the lock's too. */
void handle_record_conflict(struct request *request, const struct authority_facts *facts,
                            const struct handle_locked *locked)
{
    struct authority_facts lock = *facts;
    struct error err = {0};
    if (locked) {
        lock.kind = store_lock_kind_name(locked->kind);
        lock.target = locked->target;
        lock.why = request->refusal.message;
    }
    if (request_event(request, AUTHORITY_EVENT_CERT_CONFLICT, facts, "denied", &err) &&
        (!locked || request_event(request, AUTHORITY_EVENT_LOCK_CREATE, &lock, "ok", &err)))
        return;
    log_error("a copied certificate was found, which could not be recorded", "peer",
              request->connection->actor, "client", request->connection->address, "serial",
              request->connection->serial, "locked", locked ? locked->target : "", "reason",
              request->refusal.message, "error", err.message, NULL);
    request->no_room = false; /* it is done all the same */
}

void handle_record_busy(struct request *request, enum authority_event event,
                        struct authority_facts *facts, const char *name)
{
    if (!authority_rate_may_record(request->service->bots, name, clock_monotonic_us(),
                                   &facts->unrecorded))
        return;
    handle_record_denied(request, event, facts);
}

void handle_record_denied(struct request *request, enum authority_event event,
                          const struct authority_facts *facts)
{
    struct error err = {0};
    if (!authority_event_put(request->service->lane, event, facts, "denied",
                             request->refusal.message, &err) &&
        service_may_log(request->service))
        log_warning("a refusal was not recorded", "error", err.message, NULL);
    if (service_may_log(request->service))
        log_info("a request was refused", "request", request->head->name, "client",
                 request->connection->address, "peer", request->connection->actor, "reason",
                 request->refusal.message, NULL);
}

bool handle_put_place(struct request *request, struct error *err)
{
    char pin[CERTIFICATE_PIN_TEXT_SIZE];
    char place[ADDRESS_TEXT_SIZE];
    const struct authority_service *service = request->service;
    const struct authority_hosts *hosts = &service->settings.core.hosts;
    struct address address = {.kind = ADDRESS_HOST, .port = service->port};
    authority_service_pin(service, pin);
    if (hosts->count > 0)
        (void)memcpy(address.host, hosts->names[0], sizeof hosts->names[0]);
    return request_built(
        control_put_text(request->ok, "ca_pin", pin) &&
            control_put_text(request->ok, "authority", address_format(&address, place)),
        err);
}

bool handle_add_token(struct request *request, enum store_token_kind kind, const char *name,
                      int64_t ttl_ms, struct error *err)
{
    struct authority_token token;
    const struct authority_token_wanted wanted = {.kind = kind,
                                                  .name = name,
                                                  .ttl_us = ttl_ms * 1000,
                                                  .created_by = request->connection->actor};
    if (!authority_token_add(request->service->core, &wanted, request->now_us, &token,
                             &request->refusal, err))
        return false;
    struct authority_facts facts = connection_facts(request->connection);
    facts.token = token.id;
    facts.kind = store_token_kind_name(kind);
    facts.not_after_us = token.expires_us;
    *(kind == STORE_TOKEN_BOT ? &facts.bot : &facts.proxy) = name;
    bool done = request_built(control_put_text(request->ok, "token", token.text) &&
                                  control_put_text(request->ok, "token_id", token.id) &&
                                  control_put_time(request->ok, "expires", token.expires_us),
                              err) &&
                request_event(request, AUTHORITY_EVENT_TOKEN_ADD, &facts, "ok", err);
    authority_token_wipe(&token);
    return done;
}

bool handle_put_lock(struct request *request, cJSON *object,
                     const struct authority_lock_query *query, struct error *err)
{
    const struct authority_lock *lock;
    if (!authority_lock_of(request->service->core, query, request->now_us, &lock, err))
        return false;
    return !lock || request_built(control_put_text(object, "lock", lock->reason), err);
}

/* --- lists --- */

bool handle_list_begin(struct handle_list *list, struct request *request, const char *key,
                       struct error *err)
{
    *list = (struct handle_list){.request = request, .items = control_put_list(request->ok, key)};
    return request_built(list->items != NULL, err);
}

cJSON *handle_list_item(struct handle_list *list)
{
    cJSON *item = cJSON_CreateObject();
    if (item && !cJSON_AddItemToArray(list->items, item)) {
        cJSON_Delete(item);
        item = NULL;
    }
    list->failed |= item == NULL;
    return item;
}

bool handle_list_put(struct handle_list *list, bool put)
{
    list->failed |= !put;
    return !list->failed;
}

bool handle_list_end(const struct handle_list *list, struct error *err)
{
    return request_built(!list->failed, err);
}

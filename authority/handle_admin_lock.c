/* SPDX-License-Identifier: Apache-2.0 */
/* Administration of locks. */
#include "authority/handle.h"

/* Of a lock's life: longer ones are locks without an end. */
#define LOCK_TTL_MAX_MS (INT64_C(10) * 365 * 24 * 3600 * 1000)

static bool read_lock(struct request *request, struct authority_lock_wanted *wanted)
{
    const char *kind;
    int64_t ttl_ms;
    const struct control_field fields[] = {
        {.key = "kind", .type = CONTROL_TEXT, .to.text = &kind, .greatest = CONTROL_NAME_MAX},
        {.key = "target",
         .type = CONTROL_TEXT,
         .to.text = &wanted->target,
         .greatest = STORE_TARGET_SIZE - 1},
        {.key = "ttl",
         .type = CONTROL_DURATION,
         .to.time = &ttl_ms,
         .optional = true,
         .least = 1000,
         .greatest = LOCK_TTL_MAX_MS},
        {.key = "reason",
         .type = CONTROL_TEXT,
         .to.text = &wanted->reason,
         .greatest = STORE_REASON_SIZE - 1},
        {.key = "other_ca", .type = CONTROL_BOOL, .to.flag = &wanted->other, .optional = true},
    };
    if (!request_fields(request, HANDLE_FIELDS(fields)))
        return false;
    wanted->ttl_us = ttl_ms * 1000;
    wanted->created_by = request->connection->actor;
    return store_lock_kind_parse(kind, &wanted->kind) ||
           authority_refuse(&request->refusal, CONTROL_INVALID,
                            "there is nothing called '%s' that can be locked: bot, instance, role, "
                            "database, token or proxy",
                            kind);
}

static struct authority_facts facts_of(const struct request *request, const struct store_lock *lock)
{
    struct authority_facts facts = connection_facts(request->connection);
    facts.lock = lock->id;
    facts.kind = store_lock_kind_name(lock->kind);
    facts.target = lock->target;
    facts.why = lock->reason;
    facts.not_after_us = lock->expires_us;
    if (lock->kind == STORE_LOCK_BOT)
        facts.bot = lock->target;
    else if (lock->kind == STORE_LOCK_INSTANCE)
        facts.instance = lock->target;
    else if (lock->kind == STORE_LOCK_PROXY)
        facts.proxy = lock->target;
    return facts;
}

bool handle_lock_add(struct request *request, struct error *err)
{
    struct authority_lock_wanted wanted;
    struct store_lock lock;
    if (!read_lock(request, &wanted) ||
        !authority_lock_add(request->service->core, &wanted, request->now_us, &lock,
                            &request->refusal, err))
        return false;
    const struct authority_facts facts = facts_of(request, &lock);
    return request_built(control_put_text(request->ok, "id", lock.id) &&
                             (lock.expires_us == 0 ||
                              control_put_time(request->ok, "expires", lock.expires_us)),
                         err) &&
           request_event(request, AUTHORITY_EVENT_LOCK_CREATE, &facts, "ok", err);
}

static bool list_lock(const struct store_lock *lock, void *context)
{
    struct handle_list *list = context;
    cJSON *item = handle_list_item(list);
    return handle_list_put(
        list, item && control_put_text(item, "id", lock->id) &&
                  control_put_text(item, "kind", store_lock_kind_name(lock->kind)) &&
                  control_put_text(item, "target", lock->target) &&
                  control_put_text(item, "reason", lock->reason) &&
                  control_put_time(item, "created", lock->created_us) &&
                  control_put_text(item, "created_by", lock->created_by) &&
                  (lock->expires_us == 0 || control_put_time(item, "expires", lock->expires_us)));
}

bool handle_lock_list(struct request *request, struct error *err)
{
    struct handle_list list;
    return request_fields(request, NULL, 0) && handle_list_begin(&list, request, "locks", err) &&
           store_lock_each(request->service->store, request->now_us, list_lock, &list, err) &&
           handle_list_end(&list, err);
}

bool handle_lock_remove(struct request *request, struct error *err)
{
    const char *id;
    struct store_lock lock;
    struct error inner = {0};
    const struct control_field fields[] = {
        {.key = "lock", .type = CONTROL_TEXT, .to.text = &id, .greatest = STORE_ID_SIZE - 1},
    };
    if (!request_fields(request, HANDLE_FIELDS(fields)))
        return false;
    if (!store_lock_find(request->service->store, id, &lock, &inner)) {
        return authority_refuse_store(&request->refusal, CONTROL_NOT_FOUND, &inner, err);
    }
    const struct authority_facts facts = facts_of(request, &lock);
    return authority_lock_remove(request->service->core, id, &request->refusal, err) &&
           request_event(request, AUTHORITY_EVENT_LOCK_REMOVE, &facts, "ok", err);
}

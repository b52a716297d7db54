/* SPDX-License-Identifier: Apache-2.0 */
/* Administration of what has joined: instances of bots, and proxies. */
#include <stdio.h>
#include <string.h>

#include "authority/handle.h"
#include "authority/standing.h"

#define NAME_MAX_BYTES (STORE_NAME_SIZE - 1)

/* --- instances --- */

static bool list_instance(const struct store_instance *instance, void *context)
{
    struct handle_list *list = context;
    cJSON *item = handle_list_item(list);
    return handle_list_put(
        list, item && control_put_text(item, "id", instance->id) &&
                  control_put_text(item, "bot", instance->bot) &&
                  control_put_unsigned(item, "generation", (uint64_t)instance->generation) &&
                  control_put_text(item, "serial", instance->serial) &&
                  control_put_bool(item, "confirmed", instance->confirmed) &&
                  control_put_time(item, "created", instance->created_us) &&
                  control_put_time(item, "seen", instance->seen_us) &&
                  control_put_time(item, "not_after", instance->not_after_us) &&
                  control_put_text(item, "joined_by", instance->joined_by));
}

static bool put_instance_lock(struct request *request, cJSON *item, struct error *err)
{
    const char *way = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "joined_by"));
    struct store_instance instance = {0};
    (void)snprintf(instance.joined_by, sizeof instance.joined_by, "%s", way ? way : "");
    const struct authority_lock_query query = {
        .instance = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "id")),
        .token = authority_joined_token(&instance),
    };
    return handle_put_lock(request, item, &query, err);
}

bool handle_instance_list(struct request *request, struct error *err)
{
    const char *name;
    struct store_bot bot;
    struct handle_list list;
    struct error inner = {0};
    cJSON *item;
    const struct control_field fields[] = {
        {.key = "bot",
         .type = CONTROL_TEXT,
         .to.text = &name,
         .greatest = NAME_MAX_BYTES,
         .optional = true},
    };
    if (!request_fields(request, HANDLE_FIELDS(fields)))
        return false;
    if (name && !store_bot_find(request->service->store, name, &bot, &inner))
        return authority_refuse_store(&request->refusal, CONTROL_UNKNOWN_BOT, &inner, err);
    if (!handle_list_begin(&list, request, "instances", err) ||
        !store_instance_each(request->service->store, name, list_instance, &list, err) ||
        !handle_list_end(&list, err))
        return false;
    cJSON_ArrayForEach(item, list.items)
    {
        if (!put_instance_lock(request, item, err))
            return false;
    }
    return true;
}

bool handle_instance_remove(struct request *request, struct error *err)
{
    const char *id;
    struct store_instance instance;
    struct error inner = {0};
    const struct control_field fields[] = {
        {.key = "instance",
         .type = CONTROL_TEXT,
         .to.text = &id,
         .greatest = STORE_INSTANCE_SIZE - 1},
    };
    if (!request_fields(request, HANDLE_FIELDS(fields)))
        return false;
    if (!store_instance_find(request->service->store, id, &instance, &inner))
        return authority_refuse_store(&request->refusal, CONTROL_NOT_FOUND, &inner, err);
    if (!authority_lock_removed_instance(request->service->core, &instance,
                                         request->connection->actor, request->now_us,
                                         &request->refusal, err) ||
        !store_instance_remove(request->service->store, id, err))
        return false;
    struct authority_facts facts = connection_facts(request->connection);
    facts.bot = instance.bot;
    facts.instance = instance.id;
    return request_built(control_put_text(request->ok, "bot", instance.bot), err) &&
           request_event(request, AUTHORITY_EVENT_INSTANCE_REMOVE, &facts, "ok", err);
}

/* --- proxies --- */

static bool list_proxy(const struct store_proxy *proxy, void *context)
{
    struct handle_list *list = context;
    const char *names[STORE_PROXY_NAMES_MAX];
    cJSON *item = handle_list_item(list);
    for (size_t i = 0; i < proxy->name_count; i++)
        names[i] = proxy->names[i];
    return handle_list_put(
        list,
        item && control_put_text(item, "name", proxy->name) &&
            control_put_texts(item, "names", names, proxy->name_count) &&
            control_put_unsigned(item, "generation", (uint64_t)proxy->generation) &&
            control_put_text(item, "serial", proxy->serial) &&
            control_put_bool(item, "confirmed", proxy->confirmed) &&
            control_put_time(item, "seen", proxy->seen_us) &&
            (proxy->not_after_us == 0 || control_put_time(item, "not_after", proxy->not_after_us)));
}

bool handle_proxy_list(struct request *request, struct error *err)
{
    struct handle_list list;
    cJSON *item;
    if (!request_fields(request, NULL, 0) || !handle_list_begin(&list, request, "proxies", err) ||
        !store_proxy_each(request->service->store, list_proxy, &list, err) ||
        !handle_list_end(&list, err))
        return false;
    cJSON_ArrayForEach(item, list.items)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "name"));
        const struct authority_lock_query query = {.proxy = name};
        if (!request_built(control_put_bool(item, "connected",
                                            name && service_state_told(request->service, name)),
                           err) ||
            !handle_put_lock(request, item, &query, err))
            return false;
    }
    return true;
}

bool handle_proxy_remove(struct request *request, struct error *err)
{
    const char *name;
    struct error inner = {0};
    const struct control_field fields[] = {
        {.key = "name", .type = CONTROL_TEXT, .to.text = &name, .greatest = NAME_MAX_BYTES},
    };
    if (!request_fields(request, HANDLE_FIELDS(fields)))
        return false;
    if (!store_proxy_remove(request->service->store, name, &inner))
        return authority_refuse_store(&request->refusal, CONTROL_NOT_FOUND, &inner, err);
    struct authority_facts facts = connection_facts(request->connection);
    facts.proxy = name;
    return request_event(request, AUTHORITY_EVENT_PROXY_REMOVE, &facts, "ok", err);
}

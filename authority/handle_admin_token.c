/* SPDX-License-Identifier: Apache-2.0 */
/* Administration of join tokens. */
#include "authority/handle.h"

bool handle_token_add(struct request *request, struct error *err)
{
    const char *bot, *proxy;
    int64_t ttl_ms;
    const struct control_field fields[] = {
        {.key = "bot",
         .type = CONTROL_TEXT,
         .to.text = &bot,
         .greatest = STORE_NAME_SIZE - 1,
         .optional = true},
        {.key = "proxy",
         .type = CONTROL_TEXT,
         .to.text = &proxy,
         .greatest = STORE_NAME_SIZE - 1,
         .optional = true},
        {.key = "ttl",
         .type = CONTROL_DURATION,
         .to.time = &ttl_ms,
         .optional = true,
         .least = AUTHORITY_TTL_MIN / 1000,
         .greatest = AUTHORITY_TOKEN_TTL_MAX / 1000},
    };
    if (!request_fields(request, HANDLE_FIELDS(fields)))
        return false;
    if ((bot != NULL) == (proxy != NULL))
        return authority_refuse(&request->refusal, CONTROL_INVALID,
                                "a token is for a 'bot' or for a 'proxy': name one of them");
    return handle_add_token(request, bot ? STORE_TOKEN_BOT : STORE_TOKEN_PROXY, bot ? bot : proxy,
                            ttl_ms, err) &&
           handle_put_place(request, err);
}

static bool list_token(const struct store_token *token, void *context)
{
    struct handle_list *list = context;
    cJSON *item = handle_list_item(list);
    bool put = item && control_put_text(item, "id", token->id) &&
               control_put_text(item, "kind", store_token_kind_name(token->kind)) &&
               control_put_text(item, "name", token->name) &&
               control_put_time(item, "created", token->created_us) &&
               control_put_text(item, "created_by", token->created_by) &&
               control_put_time(item, "expires", token->expires_us);
    if (put && token->used_us > 0)
        put = control_put_time(item, "used", token->used_us) &&
              control_put_text(item, "used_by", token->used_by);
    return handle_list_put(list, put);
}

bool handle_token_list(struct request *request, struct error *err)
{
    struct handle_list list;
    cJSON *item;
    if (!request_fields(request, NULL, 0) || !handle_list_begin(&list, request, "tokens", err) ||
        !store_token_each(request->service->store, list_token, &list, err) ||
        !handle_list_end(&list, err))
        return false;
    cJSON_ArrayForEach(item, list.items)
    {
        const struct authority_lock_query query = {
            .token = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "id"))};
        if (!handle_put_lock(request, item, &query, err))
            return false;
    }
    return true;
}

bool handle_token_remove(struct request *request, struct error *err)
{
    const char *id;
    struct store_token token;
    struct error inner = {0};
    const struct control_field fields[] = {
        {.key = "token", .type = CONTROL_TEXT, .to.text = &id, .greatest = STORE_ID_SIZE - 1},
    };
    if (!request_fields(request, HANDLE_FIELDS(fields)))
        return false;
    if (!store_token_find(request->service->store, id, &token, &inner)) {
        return authority_refuse_store(&request->refusal, CONTROL_NOT_FOUND, &inner, err);
    }
    struct authority_facts facts = connection_facts(request->connection);
    facts.token = token.id;
    facts.kind = store_token_kind_name(token.kind);
    *(token.kind == STORE_TOKEN_BOT ? &facts.bot : &facts.proxy) = token.name;
    return store_token_remove(request->service->store, id, err) &&
           request_event(request, AUTHORITY_EVENT_TOKEN_REMOVE, &facts, "ok", err);
}

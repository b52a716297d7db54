/* SPDX-License-Identifier: Apache-2.0 */
/* Administration of documents: roles, databases, mappings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/document.h"
#include "authority/handle.h"

/* Of the changes in a record; more are only counted. */
#define CHANGES_MAX (64 * 1024)

/* --- apply --- */

static bool put_names(cJSON *changes, const cJSON *answer, const char *key)
{
    char label[AUTHORITY_LABEL_SIZE];
    const cJSON *item;
    const cJSON *from = cJSON_GetObjectItemCaseSensitive(answer, key);
    if (cJSON_GetArraySize(from) == 0)
        return true;
    cJSON *list = control_put_list(changes, key);
    cJSON_ArrayForEach(item, from)
    {
        (void)snprintf(label, sizeof label, "%s %s",
                       cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "kind")),
                       cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "name")));
        cJSON *text = cJSON_CreateString(label);
        if (!list || !text || !cJSON_AddItemToArray(list, text)) {
            cJSON_Delete(text);
            return false;
        }
    }
    return true;
}

static bool put_counts(cJSON *changes, const cJSON *answer, const char *key)
{
    int count = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(answer, key));
    return control_put_unsigned(changes, key, (uint64_t)count);
}

/* What changed, as JSON to be freed with cJSON_free(): the names, or where these would be too much
 * for a record, how many there are. NULL without memory. */
static char *print_changes(const cJSON *answer)
{
    static const char *const keys[] = {"added", "changed", "removed"};
    char *text = NULL;
    for (int counted = 0; counted < 2; counted++) {
        cJSON *changes = cJSON_CreateObject();
        bool put = changes != NULL;
        for (size_t i = 0; put && i < sizeof keys / sizeof *keys; i++)
            put = counted ? put_counts(changes, answer, keys[i])
                          : put_names(changes, answer, keys[i]);
        text = put ? cJSON_PrintUnformatted(changes) : NULL;
        cJSON_Delete(changes);
        if (!text || strlen(text) <= CHANGES_MAX)
            return text;
        cJSON_free(text);
    }
    return NULL;
}

static bool record_apply(struct request *request, const cJSON *answer, struct error *err)
{
    struct authority_facts facts = connection_facts(request->connection);
    char *changes = print_changes(answer);
    if (!changes)
        return error_set(err, ERROR_MEMORY, "out of memory for a record");
    facts.changes = changes;
    facts.changes_length = strlen(changes);
    bool done = request_event(request, AUTHORITY_EVENT_DOCUMENT_APPLY, &facts, "ok", err);
    cJSON_free(changes);
    return done;
}

bool handle_apply(struct request *request, struct error *err)
{
    struct authority_apply apply = {.now_us = request->now_us};
    cJSON *answer;
    const struct control_field fields[] = {
        {.key = "documents", .type = CONTROL_OBJECT, .to.value = &apply.documents},
        {.key = "prune", .type = CONTROL_BOOL, .to.flag = &apply.prune, .optional = true},
        {.key = "dry_run", .type = CONTROL_BOOL, .to.flag = &apply.dry_run, .optional = true},
    };
    if (!request_fields(request, HANDLE_FIELDS(fields)) ||
        !authority_documents_apply(request->service->store, &apply, &answer, &request->refusal,
                                   err))
        return false;
    cJSON_Delete(request->ok);
    request->ok = answer;
    return apply.dry_run || record_apply(request, answer, err);
}

/* --- list --- */

static bool list_document(const struct store_document *document, void *context)
{
    struct handle_list *list = context;
    cJSON *item = cJSON_ParseWithLength(document->text, document->length);
    if (item && cJSON_AddItemToArray(list->items, item))
        /* A mapping has no name of its own: it is known by what it looks at. */
        return handle_list_put(list, document->kind != STORE_DOCUMENT_MAPPING ||
                                         control_put_text(item, "name", document->name));
    cJSON_Delete(item);
    return handle_list_put(list, false);
}

static bool list_kind(struct request *request, enum store_document_kind kind, const char *key,
                      struct handle_list *list, struct error *err)
{
    return request_fields(request, NULL, 0) && handle_list_begin(list, request, key, err) &&
           store_document_each(request->service->store, kind, list_document, list, err) &&
           handle_list_end(list, err);
}

static bool put_lock_on(struct request *request, cJSON *item, enum store_document_kind kind,
                        struct error *err)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "name"));
    const struct authority_lock_query query = {
        .roles = &name,
        .role_count = kind == STORE_DOCUMENT_ROLE ? 1 : 0,
        .database = kind == STORE_DOCUMENT_DATABASE ? name : NULL,
    };
    return handle_put_lock(request, item, &query, err);
}

/* After the visit: looking for locks asks the store. */
static bool list_lockable(struct request *request, enum store_document_kind kind, const char *key,
                          struct error *err)
{
    struct handle_list list;
    cJSON *item;
    if (!list_kind(request, kind, key, &list, err))
        return false;
    cJSON_ArrayForEach(item, list.items)
    {
        if (!put_lock_on(request, item, kind, err))
            return false;
    }
    return true;
}

bool handle_role_list(struct request *request, struct error *err)
{
    return list_lockable(request, STORE_DOCUMENT_ROLE, "roles", err);
}

bool handle_database_list(struct request *request, struct error *err)
{
    return list_lockable(request, STORE_DOCUMENT_DATABASE, "databases", err);
}

bool handle_mapping_list(struct request *request, struct error *err)
{
    struct handle_list list;
    return list_kind(request, STORE_DOCUMENT_MAPPING, "mappings", &list, err);
}

/* --- show --- */

static bool read_name(struct request *request, const char **name)
{
    const struct control_field fields[] = {
        {.key = "name", .type = CONTROL_TEXT, .to.text = name, .greatest = STORE_DOCUMENT_SIZE - 1},
    };
    return request_fields(request, HANDLE_FIELDS(fields));
}

static bool show(struct request *request, enum store_document_kind kind, struct error *err)
{
    const char *name;
    struct buffer text;
    struct error inner = {0};
    if (!read_name(request, &name))
        return false;
    buffer_init(&text, STORE_DOCUMENT_TEXT_MAX + 1);
    bool found = store_document_find(request->service->store, kind, name, &text, &inner);
    cJSON *item =
        found ? cJSON_ParseWithLength((const char *)buffer_bytes(&text), buffer_length(&text))
              : NULL;
    buffer_release(&text);
    if (!found)
        return authority_refuse_store(&request->refusal, CONTROL_NOT_FOUND, &inner, err);
    return request_built(
        item && cJSON_AddItemToObject(request->ok, store_document_kind_name(kind), item), err);
}

bool handle_role_show(struct request *request, struct error *err)
{
    return show(request, STORE_DOCUMENT_ROLE, err);
}

bool handle_database_show(struct request *request, struct error *err)
{
    return show(request, STORE_DOCUMENT_DATABASE, err) &&
           put_lock_on(request, cJSON_GetObjectItemCaseSensitive(request->ok, "database"),
                       STORE_DOCUMENT_DATABASE, err);
}

/* --- remove --- */

static bool record_removed(struct request *request, enum store_document_kind kind, const char *name,
                           struct error *err)
{
    char label[AUTHORITY_LABEL_SIZE];
    const char *const labels[] = {label};
    struct authority_facts facts = connection_facts(request->connection);
    (void)snprintf(label, sizeof label, "%s %s", store_document_kind_name(kind), name);
    cJSON *changes = cJSON_CreateObject();
    char *text = changes && control_put_texts(changes, "removed", labels, 1)
                     ? cJSON_PrintUnformatted(changes)
                     : NULL;
    cJSON_Delete(changes);
    if (!text)
        return error_set(err, ERROR_MEMORY, "out of memory for a record");
    facts.changes = text;
    facts.changes_length = strlen(text);
    bool done = request_event(request, AUTHORITY_EVENT_DOCUMENT_APPLY, &facts, "ok", err);
    cJSON_free(text);
    return done;
}

static bool remove_named(struct request *request, enum store_document_kind kind, const char *name,
                         struct error *err)
{
    return authority_documents_remove(request->service->store, kind, name, &request->refusal,
                                      err) &&
           record_removed(request, kind, name, err);
}

/* Those that still have a role that is no more. */
static bool list_holder(const struct store_bot *bot, void *context)
{
    struct handle_list *list = context;
    for (size_t i = 0; i < bot->role_count; i++) {
        cJSON *name;
        if (strcmp(bot->roles[i], list->only) != 0)
            continue;
        name = cJSON_CreateString(bot->name);
        if (name && cJSON_AddItemToArray(list->items, name))
            return true;
        cJSON_Delete(name);
        return handle_list_put(list, false);
    }
    return true;
}

bool handle_role_remove(struct request *request, struct error *err)
{
    const char *name;
    struct handle_list holders;
    if (!read_name(request, &name) || !authority_name_check("role", name, &request->refusal) ||
        !remove_named(request, STORE_DOCUMENT_ROLE, name, err) ||
        !handle_list_begin(&holders, request, "bots", err))
        return false;
    holders.only = name;
    return store_bot_each(request->service->store, list_holder, &holders, err) &&
           handle_list_end(&holders, err);
}

bool handle_database_remove(struct request *request, struct error *err)
{
    const char *name;
    return read_name(request, &name) && remove_named(request, STORE_DOCUMENT_DATABASE, name, err);
}

bool handle_mapping_remove(struct request *request, struct error *err)
{
    const char *name;
    return read_name(request, &name) && remove_named(request, STORE_DOCUMENT_MAPPING, name, err);
}

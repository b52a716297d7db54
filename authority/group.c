/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests are decided as they come, in one transaction for all that the loop found ready, and
 * answered once that is on the disk:
 *
 *     request ─► decide ─► queue ──┐ … ┌──► commit ─► finish the events ─► answer, in order
 *                   └─► undone     └───┘       └─► all that was decided is undone, and answered
 *                       by itself           `internal`
 *                            the loop's turn ends
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/lock.h"
#include "authority/service_internal.h"
#include "base/clock.h"
#include "base/log.h"

/* What who asks is told of a fault of ours; the log has the rest. */
#define FAULT_MESSAGE "the authority has failed at this; its log says more"

/* --- for handlers --- */

bool request_event(struct request *request, enum authority_event event,
                   const struct authority_facts *facts, const char *outcome, struct error *err)
{
    struct item *item = request->item;
    if (item->entry_count == SERVICE_ENTRIES_MAX)
        return error_set(err, ERROR_STATE, "a request has too many events");
    struct item_entry *entry = &item->entries[item->entry_count];
    if (!authority_event_begin(request->service->lane, event, facts, &entry->entry, err)) {
        request->no_room = err->code == ERROR_LIMIT;
        return false;
    }
    entry->outcome = outcome;
    item->entry_count++;
    return true;
}

bool request_fields(struct request *request, const struct control_field *fields, size_t count)
{
    struct error err = {0};
    if (control_fields_read(request->message, CONTROL_KEYS_REQUEST, fields, count, &err))
        return true;
    return authority_refuse(&request->refusal, control_code_of_error(&err), "%s", err.message);
}

bool request_built(bool put, struct error *err)
{
    return put || error_set(err, ERROR_MEMORY, "out of memory for an answer");
}

/* --- the end of a group --- */

static void finish_entries(struct item *item, const char *instead, const char *reason)
{
    for (size_t i = 0; i < item->entry_count; i++)
        authority_event_finish(item->entries[i].entry, instead ? instead : item->entries[i].outcome,
                               instead           ? reason
                               : item->reason[0] ? item->reason
                                                 : NULL);
    item->entry_count = 0;
}

static void refuse_item(struct item *item, enum control_code code, const char *message)
{
    control_free(item->answer);
    item->answer = control_error(item->id, code, message);
    item->follow = false;
}

/* Nothing of the group has happened. */
static void undo(struct authority_service *service)
{
    struct group *group = &service->group;
    for (size_t i = 0; i < group->count; i++) {
        struct item *item = &group->items[i];
        finish_entries(item, "error", FAULT_MESSAGE);
        if (item->changes)
            refuse_item(item, CONTROL_INTERNAL, FAULT_MESSAGE);
    }
}

/* False: it was undone. */
static bool commit(struct authority_service *service)
{
    struct error err = {0};
    if (!service->group.open)
        return true;
    service->group.open = false;
    if (authority_commit(service->core, &err))
        return true;
    log_error("changes could not be stored, and were undone", "error", err.message, NULL);
    undo(service);
    return false;
}

static void answer(struct item *item)
{
    struct connection *connection = item->connection;
    struct error err = {0};
    if (!connection) {
        control_free(item->answer);
        return;
    }
    if (!control_peer_send_new(connection->peer, item->answer, &err)) {
        log_warning("an answer could not be sent", "client", connection->address, "error",
                    err.message, NULL);
        connection_close(connection, err.message);
        return;
    }
    if (item->follow) {
        connection->follows = true;
        connection->version = 0; /* none: versions begin with 1 */
        control_peer_set_idle(connection->peer, 0);
        service_state_tell(connection->service, connection);
    }
    if (item->close)
        connection_close(connection, NULL);
}

static void answer_all(struct authority_service *service)
{
    struct group *group = &service->group;
    for (size_t i = 0; i < group->count; i++)
        answer(&group->items[i]);
    group->count = 0;
}

/* Proxies hear of a change before whoever made it. */
static void tell_followers(struct authority_service *service)
{
    int64_t version;
    struct error err = {0};
    if (!store_version(service->store, &version, &err)) {
        service->untold = true; /* until `alive` would be told */
        log_error("the state's version cannot be read", "error", err.message, NULL);
    } else if (!service->state || version != service->state_version) {
        service_state_changed(service);
    }
}

void group_end(struct authority_service *service)
{
    struct group *group = &service->group;
    bool changed = group->open;
    if (group->count == 0 && !group->open)
        return;
    if (commit(service))
        for (size_t i = 0; i < group->count; i++)
            finish_entries(&group->items[i], NULL, NULL);
    if (changed)
        tell_followers(service);
    if (service->review)
        service_state_review(service);
    answer_all(service);
}

void group_forget(struct authority_service *service, const struct connection *connection)
{
    for (size_t i = 0; i < service->group.count; i++)
        if (service->group.items[i].connection == connection)
            service->group.items[i].connection = NULL;
}

/* --- one request --- */

static struct item *next_item(struct connection *connection, uint64_t id)
{
    struct group *group = &connection->service->group;
    if (group->count == SERVICE_GROUP_MAX)
        group_end(connection->service);
    struct item *item = &group->items[group->count++];
    memset(item, 0, sizeof *item);
    item->connection = connection;
    item->id = id;
    return item;
}

/* The request changed nothing, or what it changed was undone. */
static void fail(struct request *request, const struct error *err)
{
    struct item *item = request->item;
    finish_entries(item, "error", err->message);
    if (request->no_room) {
        refuse_item(item, CONTROL_BUSY, err->message);
        return;
    }
    refuse_item(item, CONTROL_INTERNAL, FAULT_MESSAGE);
    log_error("a request has failed", "request", request->head->name, "peer",
              request->connection->actor, "error", err->message, NULL);
}

/* A superseded certificate has locked its instance: that refusal has to be committed. */
static bool is_kept(const struct request *request)
{
    return request->refusal.code == CONTROL_NO_ERROR || request->refusal.code == CONTROL_SUPERSEDED;
}

/* Administrators may do what they like to their own authority. */
static bool is_enough(struct connection *connection)
{
    connection->refusals++;
    return connection->refusals >= SERVICE_REFUSALS_MAX &&
           connection->kind != CONTROL_ADMINISTRATOR;
}

static void refuse(struct request *request)
{
    const struct authority_refusal *refusal = &request->refusal;
    struct item *item = request->item;
    item->answer = control_error(item->id, refusal->code, refusal->message);
    item->close = refusal->code == CONTROL_MALFORMED || is_enough(request->connection);
    item->follow = false;
    item->changes = is_kept(request);
    if (!item->changes)
        finish_entries(item, "denied", refusal->message);
    (void)snprintf(item->reason, sizeof item->reason, "%s", refusal->message);
}

/* Runs the handler in a transaction of its own within the group's, so that what fails undoes itself
 * and nothing else. */
static bool run(struct request *request, const struct dispatch *to, struct error *err)
{
    struct authority_service *service = request->service;
    bool alone = to->alone;
    if (!alone && !store_begin(service->store, err))
        return false;
    bool done =
        to->handler(request, err) && (!to->grows || service_state_admits(request, to->much, err));
    bool keep = done || (request->refusal.code != CONTROL_NO_ERROR && is_kept(request));
    if (alone || (keep && store_commit(service->store, err)))
        return done;
    if (!keep)
        store_rollback(service->store);
    else
        request->refusal.code = CONTROL_NO_ERROR; /* the commit has failed */
    authority_lock_cache_forget(service->core);
    return false;
}

static void decide(struct request *request, const struct dispatch *to)
{
    struct error err = {0};
    request->ok = cJSON_CreateObject();
    if (!request->ok) {
        (void)error_set(&err, ERROR_MEMORY, "out of memory for an answer");
        fail(request, &err);
    } else if (run(request, to, &err)) {
        request->item->changes = true;
        request->item->answer = control_answer(request->item->id, request->ok);
        request->ok = NULL;
    } else if (request->refusal.code != CONTROL_NO_ERROR) {
        refuse(request);
    } else {
        fail(request, &err);
    }
    control_free(request->ok);
}

/* Who may ask at all; what may be asked of a stranger so often. */
static bool admit(struct request *request)
{
    const char *name = request->head->name;
    struct connection *connection = request->connection;
    if (!control_known(name)) {
        connection_record_refusal(connection, "it asked for something unknown");
        return authority_refuse(&request->refusal, CONTROL_UNKNOWN_REQUEST,
                                "this version knows no such request");
    }
    if (control_allowed(connection->kind, name))
        return true;
    char reason[CONTROL_NAME_MAX + 32];
    (void)snprintf(reason, sizeof reason, "it may not ask for \"%.*s\"", CONTROL_NAME_MAX, name);
    connection_record_refusal(connection, reason);
    return authority_refuse(&request->refusal, CONTROL_NOT_ALLOWED, "%s may not ask for '%.*s'",
                            connection->kind == CONTROL_NOBODY
                                ? "whoever has no certificate"
                                : control_peer_kind_name(connection->kind),
                            CONTROL_NAME_MAX, name);
}

static bool open_group(struct request *request, bool alone, struct error *err)
{
    struct authority_service *service = request->service;
    if (alone || service->group.open)
        return true;
    service->group.open = authority_begin(service->core, err);
    return service->group.open;
}

void group_request(struct connection *connection, const cJSON *message,
                   const struct control_head *head)
{
    struct authority_service *service = connection->service;
    struct error err = {0};
    const struct dispatch *to = dispatch_find(head->name);
    bool alone = to && to->alone;
    if (alone)
        group_end(service);
    struct request request = {.service = service,
                              .connection = connection,
                              .message = message,
                              .head = head,
                              .now_us = clock_wall_us(),
                              .item = next_item(connection, head->id)};
    if (!admit(&request))
        refuse(&request);
    else if (!open_group(&request, alone, &err))
        fail(&request, &err);
    else
        decide(&request, to);
    if (alone) {
        group_end(service);
        tell_followers(service);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/event.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"

const char *const authority_event_names[] = {
    [AUTHORITY_EVENT_START] = "authority.start",
    [AUTHORITY_EVENT_STOP] = "authority.stop",
    [AUTHORITY_EVENT_BOT_ADD] = "bot.add",
    [AUTHORITY_EVENT_BOT_REMOVE] = "bot.remove",
    [AUTHORITY_EVENT_BOT_ROLES] = "bot.roles",
    [AUTHORITY_EVENT_BOT_JOIN] = "bot.join",
    [AUTHORITY_EVENT_INSTANCE_REMOVE] = "instance.remove",
    [AUTHORITY_EVENT_PROXY_JOIN] = "proxy.join",
    [AUTHORITY_EVENT_PROXY_REMOVE] = "proxy.remove",
    [AUTHORITY_EVENT_TOKEN_ADD] = "token.add",
    [AUTHORITY_EVENT_TOKEN_REMOVE] = "token.remove",
    [AUTHORITY_EVENT_CERT_ISSUE] = "cert.issue",
    [AUTHORITY_EVENT_CERT_RENEW] = "cert.renew",
    [AUTHORITY_EVENT_CERT_CONFIRM] = "cert.confirm",
    [AUTHORITY_EVENT_CERT_CONFLICT] = "cert.conflict",
    [AUTHORITY_EVENT_LOCK_CREATE] = "lock.create",
    [AUTHORITY_EVENT_LOCK_REMOVE] = "lock.remove",
    [AUTHORITY_EVENT_LOCK_EXPIRE] = "lock.expire",
    [AUTHORITY_EVENT_DOCUMENT_APPLY] = "document.apply",
    [AUTHORITY_EVENT_CA_CREATE] = "ca.create",
    [AUTHORITY_EVENT_CA_ROTATE] = "ca.rotate",
    [AUTHORITY_EVENT_PEER_REFUSED] = "peer.refused",
    [AUTHORITY_EVENT_COUNT] = NULL,
};

static void put_text(struct json_object *object, const char *key, const char *text)
{
    json_field_string(object, key, text && text[0] != '\0' ? text : NULL);
}

static void put_time(struct json_object *object, const char *key, int64_t wall_us)
{
    char text[CLOCK_TIME_SIZE];
    if (wall_us == 0)
        return;
    clock_format(wall_us, text);
    json_field_string(object, key, text);
}

static void put_names(struct json_object *object, const struct authority_facts *facts)
{
    if (facts->name_count == 0)
        return;
    json_field_key(object, "names");
    for (size_t i = 0; i < facts->name_count; i++) {
        byte_writer_bytes(object->out, i == 0 ? "[\"" : ",\"", 2);
        json_escape(object->out, facts->names[i], strlen(facts->names[i]));
        byte_writer_u8(object->out, '"');
    }
    byte_writer_u8(object->out, ']');
}

static void put_numbers(struct json_object *object, const struct authority_facts *facts)
{
    if (facts->generation > 0)
        json_field_int(object, "generation", facts->generation);
    if (facts->administrator) {
        json_field_unsigned(object, "uid", facts->uid);
        json_field_unsigned(object, "pid", facts->pid);
    }
    if (facts->unrecorded > 0)
        json_field_unsigned(object, "unrecorded", facts->unrecorded);
}

static bool render(const struct authority_facts *facts, struct buffer *out, struct error *err)
{
    struct byte_writer writer = byte_writer(out);
    struct json_object object = json_begin(&writer);
    put_text(&object, "instance", facts->instance);
    put_text(&object, "serial", facts->issued);
    put_time(&object, "not_after", facts->not_after_us);
    put_text(&object, "token", facts->token);
    put_text(&object, "lock", facts->lock);
    put_text(&object, "kind", facts->kind);
    put_text(&object, "target", facts->target);
    put_text(&object, "to", facts->to);
    put_text(&object, "why", facts->why);
    put_names(&object, facts);
    if (facts->changes)
        json_field_raw(&object, "changes", facts->changes, facts->changes_length);
    put_numbers(&object, facts);
    json_end(&object);
    return byte_writer_finish(&writer, err);
}

static bool render_prefix(const struct authority_facts *facts, struct audit_prefix *prefix,
                          struct error *err)
{
    const struct audit_session session = {
        .proxy = facts->proxy,
        .bot = facts->bot,
        .subject = facts->subject,
        .cert_serial = facts->serial,
        .client = facts->client,
        .roles = facts->roles,
        .role_count = facts->role_count,
        .mysql_user = facts->mysql_user,
    };
    return audit_prefix_render(prefix, &session, err);
}

static bool begin(struct audit_lane *lane, const struct audit_prefix *prefix,
                  const struct audit_intent *intent, struct audit_entry **entry, struct error *err)
{
    enum audit_answer answer;
    if (!audit_begin(lane, prefix, intent, &answer, entry, err))
        return false;
    return answer == AUDIT_READY ||
           error_set(err, ERROR_LIMIT,
                     "the audit log has no room now: what cannot be recorded is not done");
}

bool authority_event_begin(struct audit_lane *lane, enum authority_event event,
                           const struct authority_facts *facts, struct audit_entry **entry,
                           struct error *err)
{
    struct audit_prefix prefix = {0};
    struct buffer details;
    buffer_init(&details, AUTHORITY_DETAILS_MAX);
    bool done = render(facts, &details, err) && render_prefix(facts, &prefix, err);
    if (done) {
        size_t length = buffer_length(&details);
        const struct audit_intent intent = {
            .event = authority_event_names[event],
            .details = length > strlen("{}") ? (const char *)buffer_bytes(&details) : NULL,
            .details_length = length,
        };
        done = begin(lane, &prefix, &intent, entry, err);
    }
    audit_prefix_release(&prefix);
    buffer_release(&details);
    return done;
}

void authority_event_finish(struct audit_entry *entry, const char *outcome, const char *reason)
{
    const struct audit_outcome end = {.outcome = outcome, .reason = reason, .duration_us = -1};
    audit_finish(entry, &end);
}

bool authority_event_put(struct audit_lane *lane, enum authority_event event,
                         const struct authority_facts *facts, const char *outcome,
                         const char *reason, struct error *err)
{
    struct audit_entry *entry;
    if (!authority_event_begin(lane, event, facts, &entry, err))
        return false;
    authority_event_finish(entry, outcome, reason);
    return true;
}

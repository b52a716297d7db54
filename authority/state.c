/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/ca.h"
#include "authority/standing.h"
#include "base/clock.h"
#include "base/json.h"
#include "control/frame.h"
#include "control/state_limits.h"

/* A part that is being written: visitors of the store append to it. */
struct part {
    struct byte_writer writer;
    struct json_object object; /* of an object */
    bool filled;               /* of a list */
    size_t items;
    int64_t next_expiry_us;
};

/* At most so many values: one for each comma, opening bracket and brace, wherever they stand. */
static size_t count_values(const struct buffer *text)
{
    const uint8_t *bytes = buffer_bytes(text);
    size_t count = 0;
    for (size_t i = 0; i < buffer_length(text); i++)
        count += bytes[i] == ',' || bytes[i] == '[' || bytes[i] == '{';
    return count;
}

/* Ends the part and puts it into the event. */
static bool put_part(struct authority_rendering *out, const char *key, struct part *part,
                     struct buffer *text, struct error *err)
{
    byte_writer_u8(&part->writer, '\0');
    if (!byte_writer_finish(&part->writer, err))
        return false;
    bool put = cJSON_AddRawToObject(out->event, key, (const char *)buffer_bytes(text)) != NULL;
    out->size.bytes += buffer_length(text) + strlen(key) + strlen("\"\":,");
    out->size.values += count_values(text);
    buffer_clear(text);
    return put || error_set(err, ERROR_MEMORY, "out of memory for the state");
}

static void next_item(struct part *part)
{
    if (part->filled)
        byte_writer_u8(&part->writer, ',');
    part->filled = true;
}

static bool write_bot(const struct store_bot *bot, void *context)
{
    struct part *part = context;
    part->items++;
    json_field_key(&part->object, bot->name);
    byte_writer_u8(&part->writer, '[');
    for (size_t i = 0; i < bot->role_count; i++) {
        byte_writer_bytes(&part->writer, i == 0 ? "\"" : ",\"", i == 0 ? 1 : 2);
        json_escape(&part->writer, bot->roles[i], strlen(bot->roles[i]));
        byte_writer_u8(&part->writer, '"');
    }
    byte_writer_u8(&part->writer, ']');
    return true;
}

static bool put_bots(struct store *store, struct authority_rendering *out, struct buffer *text,
                     struct error *err)
{
    struct part part = {.writer = byte_writer(text)};
    part.object = json_begin(&part.writer);
    if (!store_bot_each(store, write_bot, &part, err))
        return false;
    json_end(&part.object);
    out->size.bots = part.items;
    return put_part(out, "bots", &part, text, err);
}

static bool write_document(const struct store_document *document, void *context)
{
    struct part *part = context;
    next_item(part);
    byte_writer_bytes(&part->writer, document->text, document->length);
    return true;
}

static bool put_documents(struct store *store, enum store_document_kind kind, const char *key,
                          struct authority_rendering *out, struct buffer *text, struct error *err)
{
    struct part part = {.writer = byte_writer(text)};
    byte_writer_u8(&part.writer, '[');
    if (!store_document_each(store, kind, write_document, &part, err))
        return false;
    byte_writer_u8(&part.writer, ']');
    return put_part(out, key, &part, text, err);
}

/* --- locks --- */

struct locks {
    struct part part;
    struct store_lock *tokens; /* those on tokens */
    size_t token_count, token_room;
    bool failed;
};

static void write_one(struct part *part, const struct store_lock *lock, const char *kind,
                      const char *target, const char *reason)
{
    char expires[CLOCK_TIME_SIZE];
    next_item(part);
    part->items++;
    struct json_object object = json_begin(&part->writer);
    json_field_string(&object, "id", lock->id);
    json_field_string(&object, "kind", kind);
    json_field_string(&object, "target", target);
    json_field_string(&object, "reason", reason);
    if (lock->expires_us > 0) {
        clock_format(lock->expires_us, expires);
        json_field_string(&object, "expires", expires);
    }
    json_end(&object);
}

static bool keep_token(struct locks *locks, const struct store_lock *lock)
{
    if (locks->token_count == locks->token_room) {
        size_t room = locks->token_room > 0 ? 2 * locks->token_room : 16;
        struct store_lock *tokens = reallocarray(locks->tokens, room, sizeof *tokens);
        locks->failed = tokens == NULL;
        if (!tokens)
            return false;
        locks->tokens = tokens;
        locks->token_room = room;
    }
    locks->tokens[locks->token_count++] = *lock;
    return true;
}

/* What a proxy is locked for is the authority's own affair: it gets no state at all. */
static bool write_lock(const struct store_lock *lock, void *context)
{
    struct locks *locks = context;
    struct part *part = &locks->part;
    if (lock->expires_us > 0 &&
        (part->next_expiry_us == 0 || lock->expires_us < part->next_expiry_us))
        part->next_expiry_us = lock->expires_us;
    if (lock->kind == STORE_LOCK_TOKEN)
        return keep_token(locks, lock);
    if (lock->kind != STORE_LOCK_PROXY)
        write_one(part, lock, store_lock_kind_name(lock->kind), lock->target, lock->reason);
    return true;
}

static bool write_joined(const struct store_instance *instance, void *context)
{
    struct locks *locks = context;
    char reason[STORE_REASON_SIZE + STORE_ID_SIZE + 32];
    const char *token = authority_joined_token(instance);
    for (size_t i = 0; token && i < locks->token_count; i++) {
        if (strcmp(locks->tokens[i].target, token) != 0)
            continue;
        (void)snprintf(reason, sizeof reason, "its join token %s is locked: %s", token,
                       locks->tokens[i].reason);
        write_one(&locks->part, &locks->tokens[i], store_lock_kind_name(STORE_LOCK_INSTANCE),
                  instance->id, reason);
    }
    return true;
}

/* Proxies know no tokens: a token's lock is told as one on each instance that joined by it. */
static bool write_locks(struct store *store, int64_t now_us, struct locks *locks, struct error *err)
{
    if (!store_lock_each(store, now_us, write_lock, locks, err))
        return false;
    if (locks->failed)
        return error_set(err, ERROR_MEMORY, "out of memory for locks");
    return locks->token_count == 0 || store_instance_each(store, NULL, write_joined, locks, err);
}

static bool put_locks(struct store *store, int64_t now_us, struct authority_rendering *out,
                      struct buffer *text, struct error *err)
{
    struct locks locks = {.part = {.writer = byte_writer(text)}};
    byte_writer_u8(&locks.part.writer, '[');
    bool done = write_locks(store, now_us, &locks, err);
    byte_writer_u8(&locks.part.writer, ']');
    out->next_expiry_us = locks.part.next_expiry_us;
    out->size.locks = locks.part.items;
    free(locks.tokens);
    return done && put_part(out, "locks", &locks.part, text, err);
}

static bool put_authorities(struct authority *authority, struct authority_rendering *out,
                            struct error *err)
{
    cJSON *event = out->event;
    static const struct {
        const char *key;
        enum store_authority_kind kind;
    } bundles[] = {
        {"bot_ca", STORE_AUTHORITY_BOT},
        {"service_ca", STORE_AUTHORITY_SERVICE},
        {"database_ca", STORE_AUTHORITY_DATABASE_SERVER},
    };
    bool put = control_put_text(event, "trust_domain", authority->settings.trust_domain);
    for (size_t i = 0; put && i < sizeof bundles / sizeof *bundles; i++) {
        const char *bundle = authority_ca_bundle(authority, bundles[i].kind);
        put = control_put_text(event, bundles[i].key, bundle);
        out->size.bytes += 2 * strlen(bundle); /* its line breaks take two bytes */
    }
    out->size.bytes += AUTHORITY_CHANGE_BYTES; /* all that has not been counted */
    out->size.values += AUTHORITY_CHANGE_VALUES;
    return put || error_set(err, ERROR_MEMORY, "out of memory for the state");
}

static bool put_all(struct authority *authority, int64_t now_us, struct authority_rendering *out,
                    struct buffer *text, struct error *err)
{
    struct store *store = authority->store;
    cJSON *event = out->event;
    if (!event || !control_put_unsigned(event, "version", (uint64_t)out->version))
        return error_set(err, ERROR_MEMORY, "out of memory for the state");
    return put_authorities(authority, out, err) && put_bots(store, out, text, err) &&
           put_documents(store, STORE_DOCUMENT_ROLE, "roles", out, text, err) &&
           put_documents(store, STORE_DOCUMENT_DATABASE, "databases", out, text, err) &&
           put_documents(store, STORE_DOCUMENT_MAPPING, "mappings", out, text, err) &&
           put_locks(store, now_us, out, text, err);
}

/* A quarter of a message stays free for the authority's own locks. */
#define BYTES_MAX  ((size_t)CONTROL_ANSWER_MAX / 4 * 3)
#define VALUES_MAX ((size_t)CONTROL_VALUES_MAX / 4 * 3)

static size_t smaller(size_t one, size_t other)
{
    return one < other ? one : other;
}

bool authority_state_fits(const struct authority_state_size *size, size_t *changes,
                          struct authority_refusal *refusal)
{
    *changes = 0;
    if (size->bots > CONTROL_STATE_BOTS_MAX)
        return authority_refuse(refusal, CONTROL_CONFLICT,
                                "proxies cannot take more than %d bots: remove some first",
                                CONTROL_STATE_BOTS_MAX);
    if (size->locks > CONTROL_STATE_LOCKS_MAX)
        return authority_refuse(refusal, CONTROL_CONFLICT,
                                "proxies cannot take more than %d locks: remove some first",
                                CONTROL_STATE_LOCKS_MAX);
    if (size->bytes > BYTES_MAX || size->values > VALUES_MAX)
        return authority_refuse(refusal, CONTROL_CONFLICT,
                                "all bots, locks, roles, databases and mappings together would be "
                                "more than proxies can take (%zu bytes, %zu values; at most %zu "
                                "and %zu): remove some first",
                                size->bytes, size->values, BYTES_MAX, VALUES_MAX);
    *changes = smaller((BYTES_MAX - size->bytes) / AUTHORITY_CHANGE_BYTES,
                       (VALUES_MAX - size->values) / AUTHORITY_CHANGE_VALUES);
    *changes = smaller(*changes, CONTROL_STATE_BOTS_MAX - size->bots);
    *changes = smaller(*changes, CONTROL_STATE_LOCKS_MAX - size->locks);
    return true;
}

bool authority_state_render(struct authority *authority, int64_t now_us,
                            struct authority_rendering *out, struct error *err)
{
    struct buffer text;
    memset(out, 0, sizeof *out);
    if (!store_version(authority->store, &out->version, err))
        return false;
    buffer_init(&text, AUTHORITY_STATE_MAX);
    out->event = control_event("state");
    bool done = put_all(authority, now_us, out, &text, err);
    buffer_release(&text);
    if (!done) {
        control_free(out->event);
        out->event = NULL;
    }
    return done;
}

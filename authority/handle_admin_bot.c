/* SPDX-License-Identifier: Apache-2.0 */
/* Administration of bots. */
#include <stdlib.h>
#include <string.h>

#include "authority/handle.h"

#define NAME_MAX_BYTES (STORE_NAME_SIZE - 1)

/* A bot's roles must exist: a slip of the pen would be a role that nobody ever gives a meaning. */
static bool check_roles_exist(struct request *request, const char *const *roles, size_t count,
                              struct error *err)
{
    struct buffer text;
    for (size_t i = 0; i < count; i++) {
        struct error inner = {0};
        buffer_init(&text, STORE_DOCUMENT_TEXT_MAX + 1);
        bool found = store_document_find(request->service->store, STORE_DOCUMENT_ROLE, roles[i],
                                         &text, &inner);
        buffer_release(&text);
        if (!found && inner.code == ERROR_NOT_FOUND)
            return authority_refuse(&request->refusal, CONTROL_NOT_FOUND,
                                    "there is no role %s: apply it first (sallyport role apply)",
                                    roles[i]);
        if (!found) {
            *err = inner;
            return false;
        }
    }
    return true;
}

/* The key as we print it: people paste it with whatever blanks. */
static bool read_public_key(struct request *request, const char *pem, char out[STORE_KEY_SIZE],
                            struct error *err)
{
    struct tls_public *public;
    struct error inner = {0};
    struct buffer text;
    out[0] = '\0';
    if (!pem)
        return true;
    if (!tls_public_parse(pem, strlen(pem), &public, &inner))
        return authority_refuse(&request->refusal, CONTROL_INVALID, "'public_key': %s",
                                inner.message);
    buffer_init(&text, STORE_KEY_SIZE - 1);
    bool written = tls_public_write(public, &text, err);
    if (written) {
        memcpy(out, buffer_bytes(&text), buffer_length(&text));
        out[buffer_length(&text)] = '\0';
    }
    buffer_release(&text);
    tls_public_free(public);
    return written;
}

static void copy_roles(struct store_bot *bot, const char *const *roles, size_t count)
{
    bot->role_count = count;
    for (size_t i = 0; i < count; i++)
        memcpy(bot->roles[i], roles[i], strlen(roles[i]) + 1);
}

static bool check_bot(struct request *request, const char *name, const struct control_texts *roles,
                      struct error *err)
{
    return authority_name_check("bot", name, &request->refusal) &&
           authority_roles_check(roles->items, roles->count, &request->refusal) &&
           check_roles_exist(request, roles->items, roles->count, err);
}

static bool store_bot(struct request *request, const char *name, const struct control_texts *roles,
                      const char *public_key, struct error *err)
{
    struct error inner = {0};
    struct store_bot *bot = calloc(1, sizeof *bot);
    if (!bot)
        return error_set(err, ERROR_MEMORY, "out of memory for a bot");
    memcpy(bot->name, name, strlen(name) + 1);
    copy_roles(bot, roles->items, roles->count);
    bot->created_us = request->now_us;
    memcpy(bot->created_by, request->connection->actor, sizeof bot->created_by);
    bool done = read_public_key(request, public_key, bot->public_key, err);
    if (done && !store_bot_add(request->service->store, bot, &inner)) {
        done = authority_refuse_store(&request->refusal, CONTROL_NOT_FOUND, &inner, err);
    }
    free(bot);
    return done;
}

static bool record_bot(struct request *request, enum authority_event event, const char *name,
                       const struct control_texts *roles, const char *kind, struct error *err)
{
    struct authority_facts facts = connection_facts(request->connection);
    facts.bot = name;
    facts.kind = kind;
    if (roles) {
        facts.roles = roles->items;
        facts.role_count = roles->count;
    }
    return request_event(request, event, &facts, "ok", err);
}

bool handle_bot_add(struct request *request, struct error *err)
{
    const char *name, *key;
    const char *items[STORE_ROLES_MAX];
    struct control_texts roles = {.items = items, .room = STORE_ROLES_MAX};
    int64_t ttl_ms;
    bool no_token;
    const struct control_field fields[] = {
        {.key = "name", .type = CONTROL_TEXT, .to.text = &name, .greatest = NAME_MAX_BYTES},
        {.key = "roles", .type = CONTROL_TEXTS, .to.texts = &roles, .greatest = NAME_MAX_BYTES},
        {.key = "public_key",
         .type = CONTROL_LINES,
         .to.text = &key,
         .optional = true,
         .greatest = TLS_KEY_PEM_MAX},
        {.key = "token_ttl",
         .type = CONTROL_DURATION,
         .to.time = &ttl_ms,
         .optional = true,
         .least = AUTHORITY_TTL_MIN / 1000,
         .greatest = AUTHORITY_TOKEN_TTL_MAX / 1000},
        {.key = "no_token", .type = CONTROL_BOOL, .to.flag = &no_token, .optional = true},
    };
    if (!request_fields(request, HANDLE_FIELDS(fields)) || !check_bot(request, name, &roles, err) ||
        !store_bot(request, name, &roles, key, err) ||
        !record_bot(request, AUTHORITY_EVENT_BOT_ADD, name, &roles, key ? "key" : NULL, err))
        return false;
    return (key || no_token || handle_add_token(request, STORE_TOKEN_BOT, name, ttl_ms, err)) &&
           handle_put_place(request, err);
}

/* --- list, show --- */

/* How many live instances each bot has: counted once for all. */
struct instance_count {
    char bot[STORE_NAME_SIZE];
    uint64_t live;
};

struct counting {
    int64_t now_us;
    struct instance_count *counts; /* sorted by bot */
    size_t count, room;
    bool failed;
};

static int compare_counts(const void *left, const void *right)
{
    return strcmp(((const struct instance_count *)left)->bot,
                  ((const struct instance_count *)right)->bot);
}

static bool count_instance(const struct store_instance *instance, void *context)
{
    struct counting *counting = context;
    if (instance->not_after_us < counting->now_us)
        return true;
    if (counting->count == counting->room) {
        size_t room = counting->room > 0 ? 2 * counting->room : 256;
        void *counts = reallocarray(counting->counts, room, sizeof *counting->counts);
        counting->failed = counts == NULL;
        if (!counts)
            return false;
        counting->counts = counts;
        counting->room = room;
    }
    struct instance_count *one = &counting->counts[counting->count++];
    memcpy(one->bot, instance->bot, sizeof one->bot);
    one->live = 1;
    return true;
}

static void add_up(struct counting *counting)
{
    size_t kept = 0;
    if (counting->count == 0)
        return;
    qsort(counting->counts, counting->count, sizeof *counting->counts, compare_counts);
    for (size_t i = 1; i < counting->count; i++) {
        if (strcmp(counting->counts[kept].bot, counting->counts[i].bot) == 0)
            counting->counts[kept].live++;
        else
            counting->counts[++kept] = counting->counts[i];
    }
    counting->count = kept + 1;
}

static bool count_instances(struct request *request, const char *bot, struct counting *counting,
                            struct error *err)
{
    *counting = (struct counting){.now_us = request->now_us};
    if (!store_instance_each(request->service->store, bot, count_instance, counting, err))
        return false;
    add_up(counting);
    return request_built(!counting->failed, err);
}

static uint64_t live_of(const struct counting *counting, const char *bot)
{
    struct instance_count key;
    memcpy(key.bot, bot, strnlen(bot, sizeof key.bot - 1) + 1);
    const struct instance_count *found = counting->count > 0
                                             ? bsearch(&key, counting->counts, counting->count,
                                                       sizeof *counting->counts, compare_counts)
                                             : NULL;
    return found ? found->live : 0;
}

static bool put_bot(cJSON *item, const struct store_bot *bot, const struct counting *counting)
{
    const char *roles[STORE_ROLES_MAX];
    for (size_t i = 0; i < bot->role_count; i++)
        roles[i] = bot->roles[i];
    return item && control_put_text(item, "name", bot->name) &&
           control_put_texts(item, "roles", roles, bot->role_count) &&
           control_put_bool(item, "key", bot->public_key[0] != '\0') &&
           control_put_unsigned(item, "instances", live_of(counting, bot->name)) &&
           control_put_time(item, "created", bot->created_us) &&
           control_put_text(item, "created_by", bot->created_by);
}

struct bots {
    struct handle_list list;
    struct counting counting;
};

static bool list_bot(const struct store_bot *bot, void *context)
{
    struct bots *bots = context;
    return handle_list_put(&bots->list,
                           put_bot(handle_list_item(&bots->list), bot, &bots->counting));
}

/* After the visit: looking for locks asks the store. */
static bool put_locks(struct request *request, cJSON *items, struct error *err)
{
    cJSON *item;
    cJSON_ArrayForEach(item, items)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "name"));
        const struct authority_lock_query query = {.bot = name};
        if (!handle_put_lock(request, item, &query, err))
            return false;
    }
    return true;
}

bool handle_bot_list(struct request *request, struct error *err)
{
    struct bots bots;
    if (!request_fields(request, NULL, 0) || !count_instances(request, NULL, &bots.counting, err))
        return false;
    bool done = handle_list_begin(&bots.list, request, "bots", err) &&
                store_bot_each(request->service->store, list_bot, &bots, err) &&
                handle_list_end(&bots.list, err) && put_locks(request, bots.list.items, err);
    free(bots.counting.counts);
    return done;
}

/* Finds a bot that was asked for by name. */
static bool find_bot(struct request *request, const char *name, struct store_bot *bot,
                     struct error *err)
{
    struct error inner = {0};
    if (store_bot_find(request->service->store, name, bot, &inner))
        return true;
    return authority_refuse_store(&request->refusal, CONTROL_UNKNOWN_BOT, &inner, err);
}

static bool read_name(struct request *request, const char **name)
{
    const struct control_field fields[] = {
        {.key = "name", .type = CONTROL_TEXT, .to.text = name, .greatest = NAME_MAX_BYTES},
    };
    return request_fields(request, HANDLE_FIELDS(fields));
}

bool handle_bot_show(struct request *request, struct error *err)
{
    const char *name;
    struct store_bot bot;
    struct counting counting;
    if (!read_name(request, &name) || !find_bot(request, name, &bot, err) ||
        !count_instances(request, name, &counting, err))
        return false;
    const struct authority_lock_query query = {.bot = bot.name};
    cJSON *item = control_put_object(request->ok, "bot");
    bool put = put_bot(item, &bot, &counting) &&
               (bot.public_key[0] == '\0' || control_put_text(item, "public_key", bot.public_key));
    free(counting.counts);
    return request_built(put, err) && handle_put_lock(request, item, &query, err);
}

/* --- change --- */

bool handle_bot_remove(struct request *request, struct error *err)
{
    const char *name;
    struct store_bot bot;
    if (!read_name(request, &name) || !find_bot(request, name, &bot, err) ||
        !authority_lock_removed_bot(request->service->core, name, request->connection->actor,
                                    request->now_us, &request->refusal, err) ||
        !store_bot_remove(request->service->store, name, err))
        return false;
    return record_bot(request, AUTHORITY_EVENT_BOT_REMOVE, name, NULL, NULL, err);
}

bool handle_bot_roles(struct request *request, struct error *err)
{
    const char *name;
    const char *items[STORE_ROLES_MAX];
    struct control_texts roles = {.items = items, .room = STORE_ROLES_MAX};
    struct store_bot bot;
    bool changed;
    const struct control_field fields[] = {
        {.key = "name", .type = CONTROL_TEXT, .to.text = &name, .greatest = NAME_MAX_BYTES},
        {.key = "roles", .type = CONTROL_TEXTS, .to.texts = &roles, .greatest = NAME_MAX_BYTES},
    };
    if (!request_fields(request, HANDLE_FIELDS(fields)) || !find_bot(request, name, &bot, err) ||
        !check_bot(request, name, &roles, err) ||
        !store_bot_set_roles(request->service->store, name, items, roles.count, &changed, err))
        return false;
    return record_bot(request, AUTHORITY_EVENT_BOT_ROLES, name, &roles, NULL, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/random.h"
#include "authority/standing.h"

/* The locks of one version of the store, those that have lapsed by now included. */
struct authority_lock_cache {
    bool loaded;
    int64_t version;
    struct authority_lock *items;
    size_t count;
    size_t room;
};

/* --- the cache --- */

bool authority_lock_cache_open(struct authority *authority, struct error *err)
{
    authority->locks = calloc(1, sizeof *authority->locks);
    return authority->locks || error_set(err, ERROR_MEMORY, "out of memory for the locks");
}

void authority_lock_cache_close(struct authority *authority)
{
    if (authority->locks)
        free(authority->locks->items);
    free(authority->locks);
    authority->locks = NULL;
}

void authority_lock_cache_forget(struct authority *authority)
{
    authority->locks->loaded = false;
}

static bool grow(struct authority_lock_cache *cache)
{
    size_t room = cache->room ? 2 * cache->room : 16;
    struct authority_lock *items = realloc(cache->items, room * sizeof *items);
    if (!items)
        return false;
    cache->items = items;
    cache->room = room;
    return true;
}

static bool take_lock(const struct store_lock *lock, void *context)
{
    struct authority_lock_cache *cache = context;
    if (cache->count == cache->room && !grow(cache)) {
        cache->loaded = false;
        return false;
    }
    struct authority_lock *item = &cache->items[cache->count++];
    item->kind = lock->kind;
    item->own = strcmp(lock->created_by, AUTHORITY_LOCK_ITSELF) == 0;
    item->expires_us = lock->expires_us;
    memcpy(item->target, lock->target, sizeof item->target);
    memcpy(item->reason, lock->reason, sizeof item->reason);
    return true;
}

static bool load(struct authority *authority, struct error *err)
{
    struct authority_lock_cache *cache = authority->locks;
    int64_t version;
    if (!store_version(authority->store, &version, err))
        return false;
    if (cache->loaded && cache->version == version)
        return true;
    cache->count = 0;
    cache->version = version;
    cache->loaded = true;
    /* All of them: a clock that is set back makes a lapsed one hold again. */
    if (!store_lock_each(authority->store, INT64_MIN, take_lock, cache, err)) {
        cache->loaded = false;
        return false;
    }
    return cache->loaded || error_set(err, ERROR_MEMORY, "out of memory for the locks");
}

/* A lock that was just stored: one conflict after the other is not to read them all anew. */
static void note(struct authority *authority, const struct store_lock *lock)
{
    struct authority_lock_cache *cache = authority->locks;
    int64_t version;
    if (!cache->loaded || !store_version(authority->store, &version, NULL) ||
        version != cache->version + 1 || !take_lock(lock, cache))
        cache->loaded = false;
    else
        cache->version = version;
}

/* --- asking --- */

static bool holds(const struct authority_lock *lock, int64_t now_us)
{
    return lock->expires_us == 0 || lock->expires_us > now_us;
}

static bool is(const char *target, const char *name)
{
    return name && strcmp(target, name) == 0;
}

static bool is_role(const struct authority_lock_query *query, const char *target)
{
    for (size_t i = 0; i < query->role_count; i++)
        if (is(target, query->roles[i]))
            return true;
    return false;
}

static bool concerns(const struct authority_lock *lock, const struct authority_lock_query *query)
{
    switch (lock->kind) {
    case STORE_LOCK_BOT:
        return is(lock->target, query->bot);
    case STORE_LOCK_INSTANCE:
        return is(lock->target, query->instance);
    case STORE_LOCK_ROLE:
        return is_role(query, lock->target);
    case STORE_LOCK_DATABASE:
        return is(lock->target, query->database);
    case STORE_LOCK_TOKEN:
        return is(lock->target, query->token);
    case STORE_LOCK_PROXY:
        return is(lock->target, query->proxy);
    }
    return true; /* a kind of a later version: shut rather than open */
}

bool authority_lock_of(struct authority *authority, const struct authority_lock_query *query,
                       int64_t now_us, const struct authority_lock **found, struct error *err)
{
    *found = NULL;
    if (!load(authority, err))
        return false;
    const struct authority_lock_cache *cache = authority->locks;
    for (size_t i = 0; i < cache->count && !*found; i++) {
        const struct authority_lock *lock = &cache->items[i];
        if (holds(lock, now_us) && concerns(lock, query))
            *found = lock;
    }
    return true;
}

bool authority_lock_check(struct authority *authority, const struct authority_lock_query *query,
                          int64_t now_us, struct authority_refusal *refusal, struct error *err)
{
    const struct authority_lock *lock;
    if (!authority_lock_of(authority, query, now_us, &lock, err))
        return false;
    return !lock || authority_refuse(refusal, CONTROL_LOCKED, "%s %s is locked: %s",
                                     store_lock_kind_name(lock->kind), lock->target, lock->reason);
}

/* --- whether the target is there --- */

struct role_search {
    const char *role;
    bool found;
};

static bool has_role(const struct store_bot *bot, void *context)
{
    struct role_search *search = context;
    for (size_t i = 0; i < bot->role_count && !search->found; i++)
        search->found = strcmp(bot->roles[i], search->role) == 0;
    return !search->found;
}

static bool find_document(struct store *store, enum store_document_kind kind, const char *name,
                          struct error *err)
{
    struct buffer text;
    buffer_init(&text, STORE_DOCUMENT_TEXT_MAX);
    bool found = store_document_find(store, kind, name, &text, err);
    buffer_release(&text);
    return found;
}

static bool find_role(struct store *store, const char *role, struct error *err)
{
    struct role_search search = {.role = role};
    struct error cause = {0};
    if (find_document(store, STORE_DOCUMENT_ROLE, role, &cause))
        return true;
    if (cause.code != ERROR_NOT_FOUND) {
        *err = cause;
        return false;
    }
    if (!store_bot_each(store, has_role, &search, err))
        return false;
    return search.found ||
           error_set(err, ERROR_NOT_FOUND, "there is no role %s, and no bot has it", role);
}

struct token_search {
    const char *token;
    bool found;
};

static bool has_joined(const struct store_instance *instance, void *context)
{
    struct token_search *search = context;
    const char *token = authority_joined_token(instance);
    search->found = token && strcmp(token, search->token) == 0;
    return !search->found;
}

/* Used tokens are forgotten after a while; who joined by them is not. */
static bool find_token(struct store *store, const char *id, struct store_token *out,
                       struct error *err)
{
    struct token_search search = {.token = id};
    struct error cause = {0};
    if (store_token_find(store, id, out, &cause))
        return true;
    if (cause.code == ERROR_NOT_FOUND &&
        !store_instance_each(store, NULL, has_joined, &search, err))
        return false;
    if (!search.found && err)
        *err = cause;
    return search.found;
}

static bool find_target(struct store *store, const struct authority_lock_wanted *wanted,
                        struct error *err)
{
    union {
        struct store_bot bot;
        struct store_instance instance;
        struct store_token token;
        struct store_proxy proxy;
    } found;
    switch (wanted->kind) {
    case STORE_LOCK_BOT:
        return wanted->other || store_bot_find(store, wanted->target, &found.bot, err);
    case STORE_LOCK_INSTANCE:
        return store_instance_find(store, wanted->target, &found.instance, err);
    case STORE_LOCK_ROLE:
        return find_role(store, wanted->target, err);
    case STORE_LOCK_DATABASE:
        return find_document(store, STORE_DOCUMENT_DATABASE, wanted->target, err);
    case STORE_LOCK_TOKEN:
        return find_token(store, wanted->target, &found.token, err);
    case STORE_LOCK_PROXY:
        return store_proxy_find(store, wanted->target, &found.proxy, err);
    }
    return error_set(err, ERROR_STATE, "there is no lock of kind %d", (int)wanted->kind);
}

/* --- adding --- */

static bool check_id(const char *what, const char *id, size_t digits,
                     struct authority_refusal *refusal)
{
    if (strlen(id) == digits && strspn(id, "0123456789abcdef") == digits)
        return true;
    return authority_refuse(refusal, CONTROL_INVALID,
                            "the id of %s has %zu digits out of 0-9 and a-f", what, digits);
}

static bool check_target(const struct authority_lock_wanted *wanted,
                         struct authority_refusal *refusal)
{
    switch (wanted->kind) {
    case STORE_LOCK_INSTANCE:
        return check_id("an instance", wanted->target, STORE_INSTANCE_SIZE - 1, refusal);
    case STORE_LOCK_TOKEN:
        return check_id("a token", wanted->target, STORE_ID_SIZE - 1, refusal);
    case STORE_LOCK_DATABASE:
        return authority_database_check(wanted->target, refusal);
    case STORE_LOCK_BOT:
        if (wanted->other)
            return authority_identity_check(wanted->target, refusal);
        return authority_name_check("bot", wanted->target, refusal);
    default:
        return authority_name_check(store_lock_kind_name(wanted->kind), wanted->target, refusal);
    }
}

static size_t count_peoples(const struct authority_lock_cache *cache, int64_t now_us)
{
    size_t count = 0;
    for (size_t i = 0; i < cache->count; i++)
        count += holds(&cache->items[i], now_us) && !cache->items[i].own;
    return count;
}

/* Whether people may make so many more. */
static bool check_room(struct authority *authority, size_t wanted, int64_t now_us,
                       struct authority_refusal *refusal, struct error *err)
{
    if (!load(authority, err))
        return false;
    return count_peoples(authority->locks, now_us) + wanted <= AUTHORITY_LOCKS_MAX ||
           authority_refuse(refusal, CONTROL_CONFLICT, "there are %d locks: remove some first",
                            AUTHORITY_LOCKS_MAX);
}

static bool check_wanted(struct authority *authority, const struct authority_lock_wanted *wanted,
                         int64_t now_us, struct authority_refusal *refusal, struct error *err)
{
    struct error cause = {0};
    if (!check_target(wanted, refusal) || !authority_reason_check(wanted->reason, refusal))
        return false;
    if (wanted->ttl_us < 0 || wanted->ttl_us > INT64_MAX - now_us)
        return authority_refuse(refusal, CONTROL_INVALID, "a lock cannot last that long");
    if (!find_target(authority->store, wanted, &cause) && wanted->kind == STORE_LOCK_BOT &&
        cause.code == ERROR_NOT_FOUND)
        return authority_refuse(refusal, CONTROL_NOT_FOUND,
                                "there is no bot %s here (`sallyport bot ls`); where its "
                                "certificates come from another CA, say --other-ca",
                                wanted->target);
    if (cause.code != ERROR_NONE)
        return authority_refuse_store(refusal, CONTROL_NOT_FOUND, &cause, err);
    return check_room(authority, 1, now_us, refusal, err);
}

static bool add(struct authority *authority, const struct authority_lock_wanted *wanted,
                int64_t now_us, struct store_lock *out, struct error *err)
{
    *out = (struct store_lock){
        .kind = wanted->kind,
        .created_us = now_us,
        .expires_us = wanted->ttl_us ? now_us + wanted->ttl_us : 0,
    };
    random_id(out->id);
    snprintf(out->target, sizeof out->target, "%s", wanted->target);
    snprintf(out->reason, sizeof out->reason, "%s", wanted->reason);
    snprintf(out->created_by, sizeof out->created_by, "%s", wanted->created_by);
    if (!store_lock_add(authority->store, out, err))
        return false;
    note(authority, out);
    return true;
}

bool authority_lock_add(struct authority *authority, const struct authority_lock_wanted *wanted,
                        int64_t now_us, struct store_lock *out, struct authority_refusal *refusal,
                        struct error *err)
{
    bool own;
    refusal->code = CONTROL_NO_ERROR;
    if (!authority_enter(authority, &own, err))
        return false;
    bool done = check_wanted(authority, wanted, now_us, refusal, err) &&
                add(authority, wanted, now_us, out, err);
    return authority_leave(authority, own, done, refusal, err);
}

bool authority_lock_remove(struct authority *authority, const char *id,
                           struct authority_refusal *refusal, struct error *err)
{
    struct error cause = {0};
    refusal->code = CONTROL_NO_ERROR;
    if (!check_id("a lock", id, STORE_ID_SIZE - 1, refusal))
        return false;
    return store_lock_remove(authority->store, id, &cause) ||
           authority_refuse_store(refusal, CONTROL_NOT_FOUND, &cause, err);
}

/* --- what is removed --- */

struct living {
    int64_t now_us, last_us; /* when the last certificate ends */
    size_t count;
    struct {
        char id[STORE_INSTANCE_SIZE];
        int64_t not_after_us;
    } items[AUTHORITY_REMOVED_LOCKS_MAX];
};

static bool take_living(const struct store_instance *instance, void *context)
{
    struct living *living = context;
    if (instance->not_after_us <= living->now_us)
        return true;
    if (living->count < AUTHORITY_REMOVED_LOCKS_MAX) {
        memcpy(living->items[living->count].id, instance->id, STORE_INSTANCE_SIZE);
        living->items[living->count].not_after_us = instance->not_after_us;
    }
    living->count++;
    if (living->last_us < instance->not_after_us)
        living->last_us = instance->not_after_us;
    return true;
}

static bool lock_living(struct authority *authority, const char *bot, const struct living *living,
                        const char *created_by, struct error *err)
{
    struct authority_lock_wanted wanted = {
        .kind = STORE_LOCK_INSTANCE, .reason = "its bot was removed", .created_by = created_by};
    struct store_lock made;
    if (living->count > AUTHORITY_REMOVED_LOCKS_MAX) {
        wanted.kind = STORE_LOCK_BOT;
        wanted.target = bot;
        wanted.ttl_us = living->last_us - living->now_us;
        wanted.reason = "it was removed, and many certificates are good until the end of this lock";
        return add(authority, &wanted, living->now_us, &made, err);
    }
    for (size_t i = 0; i < living->count; i++) {
        wanted.target = living->items[i].id;
        wanted.ttl_us = living->items[i].not_after_us - living->now_us;
        if (!add(authority, &wanted, living->now_us, &made, err))
            return false;
    }
    return true;
}

bool authority_lock_removed_bot(struct authority *authority, const char *bot,
                                const char *created_by, int64_t now_us,
                                struct authority_refusal *refusal, struct error *err)
{
    struct living living = {.now_us = now_us};
    bool own;
    refusal->code = CONTROL_NO_ERROR;
    if (!authority_enter(authority, &own, err))
        return false;
    bool done = store_instance_each(authority->store, bot, take_living, &living, err);
    size_t locks = living.count > AUTHORITY_REMOVED_LOCKS_MAX ? 1 : living.count;
    done = done && (locks == 0 || check_room(authority, locks, now_us, refusal, err)) &&
           lock_living(authority, bot, &living, created_by, err);
    return authority_leave(authority, own, done, refusal, err);
}

bool authority_lock_removed_instance(struct authority *authority,
                                     const struct store_instance *instance, const char *created_by,
                                     int64_t now_us, struct authority_refusal *refusal,
                                     struct error *err)
{
    struct store_lock made;
    const struct authority_lock_wanted wanted = {
        .kind = STORE_LOCK_INSTANCE,
        .target = instance->id,
        .ttl_us = instance->not_after_us - now_us,
        .reason = "it was removed",
        .created_by = created_by,
    };
    refusal->code = CONTROL_NO_ERROR;
    return instance->not_after_us <= now_us ||
           authority_lock_add(authority, &wanted, now_us, &made, refusal, err);
}

/* --- by itself, when a copy has given itself away --- */

struct own_locks {
    size_t all, instances; /* of those that proxies are told */
};

static struct own_locks count_own(const struct authority_lock_cache *cache)
{
    struct own_locks count = {0};
    for (size_t i = 0; i < cache->count; i++) {
        const struct authority_lock *lock = &cache->items[i];
        count.all += lock->own && lock->kind != STORE_LOCK_PROXY;
        count.instances += lock->own && lock->kind == STORE_LOCK_INSTANCE;
    }
    return count;
}

static const struct authority_lock *find_own(const struct authority_lock_cache *cache,
                                             const char *bot)
{
    for (size_t i = 0; i < cache->count; i++)
        if (cache->items[i].own && cache->items[i].kind == STORE_LOCK_BOT &&
            is(cache->items[i].target, bot))
            return &cache->items[i];
    return NULL;
}

bool authority_lock_shut(struct authority *authority, const char *bot, const char *instance,
                         int64_t now_us, enum authority_shut *shut,
                         const struct authority_lock **found, struct error *err)
{
    const struct authority_lock_query query = {.instance = instance};
    *shut = (enum authority_shut)0;
    if (!authority_lock_of(authority, &query, now_us, found, err))
        return false;
    if (*found) {
        *shut = AUTHORITY_SHUT_INSTANCE;
        return true;
    }
    *found = find_own(authority->locks, bot);
    if (*found)
        *shut = AUTHORITY_SHUT_BOT;
    return true;
}

/* What there is still room for. */
static bool choose_shut(struct authority *authority, const char *bot, enum authority_shut *shut,
                        struct error *err)
{
    const struct own_locks own = count_own(authority->locks);
    int64_t of_bot;
    if (!store_lock_count_of_bot(authority->store, AUTHORITY_LOCK_ITSELF, bot, &of_bot, err))
        return false;
    if (own.all >= AUTHORITY_OWN_LOCKS_MAX)
        *shut = AUTHORITY_SHUT_ROLES;
    else if (own.instances >= AUTHORITY_OWN_INSTANCE_LOCKS_MAX ||
             of_bot >= AUTHORITY_OWN_LOCKS_OF_BOT)
        *shut = AUTHORITY_SHUT_BOT;
    else
        *shut = AUTHORITY_SHUT_INSTANCE;
    return true;
}

bool authority_lock_instance(struct authority *authority, const char *bot, const char *instance,
                             const char *reason, int64_t now_us, enum authority_shut *shut,
                             struct error *err)
{
    const struct authority_lock *found;
    struct store_lock made;
    struct authority_lock_wanted wanted = {.kind = STORE_LOCK_INSTANCE,
                                           .target = instance,
                                           .reason = reason,
                                           .created_by = AUTHORITY_LOCK_ITSELF};
    if (!authority_lock_shut(authority, bot, instance, now_us, shut, &found, err))
        return false;
    if (*shut)
        return true;
    if (!choose_shut(authority, bot, shut, err))
        return false;
    if (*shut == AUTHORITY_SHUT_ROLES)
        return store_bot_set_roles(authority->store, bot, NULL, 0, NULL, err);
    if (*shut == AUTHORITY_SHUT_BOT) {
        wanted.kind = STORE_LOCK_BOT;
        wanted.target = bot;
    }
    return add(authority, &wanted, now_us, &made, err);
}

bool authority_lock_proxy(struct authority *authority, const char *proxy, const char *reason,
                          int64_t now_us, struct error *err)
{
    const struct authority_lock_query query = {.proxy = proxy};
    const struct authority_lock_wanted wanted = {.kind = STORE_LOCK_PROXY,
                                                 .target = proxy,
                                                 .reason = reason,
                                                 .created_by = AUTHORITY_LOCK_ITSELF};
    const struct authority_lock *lock;
    struct store_lock made;
    if (!authority_lock_of(authority, &query, now_us, &lock, err))
        return false;
    return lock || add(authority, &wanted, now_us, &made, err);
}

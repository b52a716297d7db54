/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/shared.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "tunnel/list.h"

struct shared_identity {
    struct list node;
    struct credentials *credentials;
    unsigned users;
    bool was_valid;
};

struct shared_pool_entry {
    struct list node;
    struct pool *pool;
    unsigned users;
};

struct shared_use {
    struct list node;
    struct shared *shared;
    struct shared_identity *identity;
    struct shared_pool_entry *pool;
    size_t ready;
    int64_t timeout_ms;
};

struct shared {
    uv_loop_t *loop;
    struct stream_loop *streams;
    uv_timer_t timer;
    struct list identities;
    struct list pools;
    struct list uses;
};

/* Identities. */

static bool is_valid(const struct shared_identity *identity, struct error *err)
{
    struct tls_context *context;
    return credentials_context(identity->credentials, clock_wall_us(), &context, err);
}

static struct shared_identity *find_identity(struct shared *shared, const char *directory)
{
    for (struct list *at = shared->identities.next; at != &shared->identities; at = at->next) {
        struct shared_identity *identity = LIST_OF(at, struct shared_identity, node);
        if (strcmp(credentials_directory(identity->credentials), directory) == 0)
            return identity;
    }
    return NULL;
}

static bool make_identity(struct shared *shared, const char *directory,
                          struct shared_identity **out, struct error *err)
{
    struct shared_identity *identity = calloc(1, sizeof *identity);
    if (!identity)
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (!credentials_create(directory, &identity->credentials, err)) {
        free(identity);
        return false;
    }
    identity->was_valid = true; /* so that the first look says it when it is not */
    list_append(&shared->identities, &identity->node);
    *out = identity;
    return true;
}

static void leave_identity(struct shared_identity *identity)
{
    if (--identity->users > 0)
        return;
    list_remove(&identity->node);
    credentials_unref(identity->credentials);
    free(identity);
}

/* Says it once when a certificate comes into or goes out of its validity. */
static void watch_validity(struct shared_identity *identity)
{
    struct error err = {0};
    bool valid = is_valid(identity, &err);
    if (valid == identity->was_valid)
        return;
    identity->was_valid = valid;
    const char *bot = credentials_bot(identity->credentials);
    if (valid)
        log_info("the identity is usable", "bot", bot, NULL);
    else
        log_error("the identity is not usable: connections are refused", "bot", bot, "error",
                  err.message, NULL);
}

/* Pools. */

static struct shared_pool_entry *find_pool(struct shared *shared,
                                           const struct tunnel_settings *settings,
                                           const struct credentials *credentials)
{
    for (struct list *at = shared->pools.next; at != &shared->pools; at = at->next) {
        struct shared_pool_entry *entry = LIST_OF(at, struct shared_pool_entry, node);
        if (pool_matches(entry->pool, &settings->proxy, settings->server_name, credentials))
            return entry;
    }
    return NULL;
}

static bool make_pool(struct shared *shared, const struct tunnel_settings *settings,
                      struct credentials *credentials, struct shared_pool_entry **out,
                      struct error *err)
{
    const struct pool_settings wanted = {
        .proxy = settings->proxy,
        .server_name = settings->server_name,
        .credentials = credentials,
        .ready = 0,
        .dial_timeout_ms = settings->connect_timeout_ms,
    };
    struct shared_pool_entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (!pool_create(shared->streams, shared->loop, &wanted, &entry->pool, err)) {
        free(entry);
        return false;
    }
    list_append(&shared->pools, &entry->node);
    *out = entry;
    return true;
}

static void leave_pool(struct shared_pool_entry *entry)
{
    if (--entry->users > 0)
        return;
    list_remove(&entry->node);
    pool_destroy(entry->pool);
    free(entry);
}

/* Uses. */

static bool join_identity(struct shared_use *use, const char *directory, struct error *err)
{
    struct shared_identity *identity = find_identity(use->shared, directory);
    if (!identity && !make_identity(use->shared, directory, &identity, err))
        return false;
    identity->users++;
    use->identity = identity;
    return true;
}

static bool join_pool(struct shared_use *use, const struct tunnel_settings *settings,
                      struct error *err)
{
    struct credentials *credentials = use->identity->credentials;
    struct shared_pool_entry *entry = find_pool(use->shared, settings, credentials);
    if (!entry && !make_pool(use->shared, settings, credentials, &entry, err))
        return false;
    entry->users++;
    use->pool = entry;
    return true;
}

bool shared_acquire(struct shared *shared, const struct tunnel_settings *settings,
                    struct shared_use **out, struct error *err)
{
    struct shared_use *use = calloc(1, sizeof *use);
    if (!use)
        return error_set(err, ERROR_MEMORY, "out of memory");
    use->shared = shared;
    use->ready = (size_t)settings->ready_connections;
    use->timeout_ms = settings->connect_timeout_ms;
    list_append(&shared->uses, &use->node);
    if (!join_identity(use, settings->identity, err) || !join_pool(use, settings, err)) {
        shared_release(use);
        return false;
    }
    *out = use;
    return true;
}

void shared_release(struct shared_use *use)
{
    if (!use)
        return;
    list_remove(&use->node);
    if (use->pool)
        leave_pool(use->pool);
    if (use->identity)
        leave_identity(use->identity);
    free(use);
}

void shared_retire(struct shared_use *use)
{
    use->ready = 0;
}

struct credentials *shared_credentials(const struct shared_use *use)
{
    return use->identity->credentials;
}

struct pool *shared_pool(const struct shared_use *use)
{
    return use->pool->pool;
}

static void tune_pool(struct shared *shared, struct shared_pool_entry *entry)
{
    size_t ready = 0;
    int64_t timeout_ms = 0;
    for (struct list *at = shared->uses.next; at != &shared->uses; at = at->next) {
        const struct shared_use *use = LIST_OF(at, struct shared_use, node);
        if (use->pool != entry)
            continue;
        ready = use->ready > ready ? use->ready : ready;
        timeout_ms = use->timeout_ms > timeout_ms ? use->timeout_ms : timeout_ms;
    }
    pool_tune(entry->pool, ready, timeout_ms);
}

void shared_tune(struct shared *shared)
{
    for (struct list *at = shared->pools.next; at != &shared->pools; at = at->next)
        tune_pool(shared, LIST_OF(at, struct shared_pool_entry, node));
}

void shared_poll(struct shared *shared)
{
    for (struct list *at = shared->identities.next; at != &shared->identities; at = at->next) {
        struct shared_identity *identity = LIST_OF(at, struct shared_identity, node);
        (void)credentials_check(identity->credentials);
        watch_validity(identity);
    }
    for (struct list *at = shared->pools.next; at != &shared->pools; at = at->next)
        pool_refresh(LIST_OF(at, struct shared_pool_entry, node)->pool);
}

static void on_timer(uv_timer_t *timer)
{
    shared_poll(timer->data);
}

bool shared_create(uv_loop_t *loop, struct stream_loop *streams, struct shared **out,
                   struct error *err)
{
    struct shared *shared = calloc(1, sizeof *shared);
    if (!shared)
        return error_set(err, ERROR_MEMORY, "out of memory");
    shared->loop = loop;
    shared->streams = streams;
    list_init(&shared->identities);
    list_init(&shared->pools);
    list_init(&shared->uses);
    if (uv_timer_init(loop, &shared->timer) != 0) {
        free(shared);
        return error_set(err, ERROR_SYSTEM, "cannot make a timer");
    }
    shared->timer.data = shared;
    (void)uv_timer_start(&shared->timer, on_timer, SHARED_POLL_MS, SHARED_POLL_MS);
    *out = shared;
    return true;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void shared_destroy(struct shared *shared)
{
    if (shared)
        uv_close((uv_handle_t *)&shared->timer, on_timer_closed);
}

static size_t count(const struct list *head)
{
    size_t length = 0;
    for (const struct list *at = head->next; at != head; at = at->next)
        length++;
    return length;
}

size_t shared_pool_count(const struct shared *shared)
{
    return count(&shared->pools);
}

size_t shared_credentials_count(const struct shared *shared)
{
    return count(&shared->identities);
}

size_t shared_ready_count(const struct shared *shared)
{
    size_t ready = 0;
    for (struct list *at = shared->pools.next; at != &shared->pools; at = at->next)
        ready += pool_ready_count(LIST_OF(at, struct shared_pool_entry, node)->pool);
    return ready;
}

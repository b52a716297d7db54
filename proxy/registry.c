/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define REGISTRY_BUCKETS 1024

struct bot {
    struct bot *next;
    uint64_t sessions;
    char name[];
};

struct registry {
    pthread_mutex_t mutex;
    uint64_t sessions;
    uint64_t pending;
    struct bot *buckets[REGISTRY_BUCKETS];
};

bool registry_create(struct registry **out, struct error *err)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (!registry)
        return error_set(err, ERROR_MEMORY, "out of memory");
    pthread_mutex_init(&registry->mutex, NULL);
    *out = registry;
    return true;
}

void registry_destroy(struct registry *registry)
{
    if (!registry)
        return;
    for (size_t i = 0; i < REGISTRY_BUCKETS; i++) {
        while (registry->buckets[i]) {
            struct bot *next = registry->buckets[i]->next;
            free(registry->buckets[i]);
            registry->buckets[i] = next;
        }
    }
    pthread_mutex_destroy(&registry->mutex);
    free(registry);
}

bool registry_enter(struct registry *registry, uint64_t sessions, uint64_t pending)
{
    pthread_mutex_lock(&registry->mutex);
    bool room = registry->sessions < sessions && registry->pending < pending;
    if (room) {
        registry->sessions++;
        registry->pending++;
    }
    pthread_mutex_unlock(&registry->mutex);
    return room;
}

void registry_leave(struct registry *registry, bool pending)
{
    pthread_mutex_lock(&registry->mutex);
    registry->sessions--;
    if (pending)
        registry->pending--;
    pthread_mutex_unlock(&registry->mutex);
}

/* FNV-1a; names come from verified certificates, so nobody can flood one bucket at will. */
static size_t bucket_of(const char *name)
{
    uint64_t hash = 14695981039346656037u;
    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 1099511628211u;
    return hash % REGISTRY_BUCKETS;
}

static struct bot **find_bot(struct registry *registry, const char *name)
{
    struct bot **link = &registry->buckets[bucket_of(name)];
    while (*link && strcmp((*link)->name, name) != 0)
        link = &(*link)->next;
    return link;
}

static struct bot *add_bot(struct bot **link, const char *name)
{
    size_t size = strlen(name) + 1;
    struct bot *bot = calloc(1, sizeof *bot + size);
    if (bot) {
        memcpy(bot->name, name, size);
        *link = bot;
    }
    return bot;
}

static bool count_login(struct registry *registry, const char *name, uint64_t limit,
                        struct error *err)
{
    struct bot **link = find_bot(registry, name);
    struct bot *bot = *link ? *link : add_bot(link, name);
    if (!bot)
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (limit && bot->sessions >= limit)
        return error_set(err, ERROR_LIMIT,
                         "bot %s has %llu sessions already, as many as its role allows", name,
                         (unsigned long long)bot->sessions);
    bot->sessions++;
    registry->pending--;
    return true;
}

bool registry_login(struct registry *registry, const char *bot, uint64_t limit, struct error *err)
{
    pthread_mutex_lock(&registry->mutex);
    bool counted = count_login(registry, bot, limit, err);
    pthread_mutex_unlock(&registry->mutex);
    return counted;
}

void registry_logout(struct registry *registry, const char *name)
{
    pthread_mutex_lock(&registry->mutex);
    struct bot **link = find_bot(registry, name);
    struct bot *bot = *link;
    if (bot && --bot->sessions == 0) {
        *link = bot->next;
        free(bot);
    }
    pthread_mutex_unlock(&registry->mutex);
}

void registry_counts(struct registry *registry, uint64_t *sessions, uint64_t *pending)
{
    pthread_mutex_lock(&registry->mutex);
    *sessions = registry->sessions;
    *pending = registry->pending;
    pthread_mutex_unlock(&registry->mutex);
}

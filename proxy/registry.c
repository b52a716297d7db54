/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/registry.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define REGISTRY_BUCKETS 1024

/* Sessions that one tunnel process opened. */
struct family {
    struct family *next;
    uint64_t sessions;
    struct proof *proof; /* registry_prove(); NULL: none */
    uint8_t secret[HELLO_FAMILY_SIZE];
};

/* A bot or an instance of one, while it has sessions. */
struct counted {
    struct counted *next;
    uint64_t sessions;
    struct family *families; /* an instance's */
    char name[];
};

struct table {
    struct counted *buckets[REGISTRY_BUCKETS];
};

struct registry {
    pthread_mutex_t mutex;
    uint64_t sessions;
    uint64_t pending;
    struct table bots;
    struct table instances;
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

static void counted_free(struct counted *counted)
{
    while (counted->families) {
        struct family *next = counted->families->next;
        proof_unref(counted->families->proof);
        free(counted->families);
        counted->families = next;
    }
    free(counted);
}

static void table_release(struct table *table)
{
    for (size_t i = 0; i < REGISTRY_BUCKETS; i++) {
        while (table->buckets[i]) {
            struct counted *next = table->buckets[i]->next;
            counted_free(table->buckets[i]);
            table->buckets[i] = next;
        }
    }
}

void registry_destroy(struct registry *registry)
{
    if (!registry)
        return;
    table_release(&registry->bots);
    table_release(&registry->instances);
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

static struct counted **find(struct table *table, const char *name)
{
    struct counted **link = &table->buckets[bucket_of(name)];
    while (*link && strcmp((*link)->name, name) != 0)
        link = &(*link)->next;
    return link;
}

/* The one of that name, made when there is none; NULL without memory. */
static struct counted *find_or_add(struct table *table, const char *name)
{
    struct counted **link = find(table, name);
    if (*link)
        return *link;
    size_t size = strlen(name) + 1;
    struct counted *counted = calloc(1, sizeof *counted + size);
    if (counted) {
        memcpy(counted->name, name, size);
        *link = counted;
    }
    return counted;
}

static void drop_unused(struct table *table, const char *name)
{
    struct counted **link = find(table, name);
    struct counted *counted = *link;
    if (counted && counted->sessions == 0) {
        *link = counted->next;
        counted_free(counted);
    }
}

/* --- families --- */

/* NULL allowed for all of them. Looks at every family, so that time tells nothing of the secrets.
 */
static struct family **find_family(struct counted *instance, const uint8_t *secret)
{
    struct family **found = NULL;
    if (!instance || !secret)
        return NULL;
    for (struct family **link = &instance->families; *link; link = &(*link)->next)
        if (sodium_memcmp((*link)->secret, secret, HELLO_FAMILY_SIZE) == 0)
            found = link;
    return found;
}

static size_t count_families(const struct counted *instance)
{
    size_t count = 0;
    for (const struct family *each = instance->families; each; each = each->next)
        count++;
    return count;
}

/* A session without a family, or of one too many, is not extended. */
static bool join_family(struct counted *instance, const uint8_t *secret)
{
    struct family **known = find_family(instance, secret);
    if (known) {
        (*known)->sessions++;
        return true;
    }
    if (!instance || !secret || count_families(instance) >= REGISTRY_FAMILIES_MAX)
        return true;
    struct family *family = calloc(1, sizeof *family);
    if (!family)
        return false;
    memcpy(family->secret, secret, sizeof family->secret);
    family->sessions = 1;
    family->next = instance->families;
    instance->families = family;
    return true;
}

static void leave_family(struct counted *instance, const uint8_t *secret)
{
    struct family **link = find_family(instance, secret);
    if (!link || --(*link)->sessions > 0)
        return;
    struct family *family = *link;
    *link = family->next;
    proof_unref(family->proof);
    free(family);
}

static bool count_login(struct registry *registry, const struct registry_who *who, uint64_t limit,
                        struct error *err)
{
    struct counted *bot = find_or_add(&registry->bots, who->bot);
    struct counted *instance =
        who->instance ? find_or_add(&registry->instances, who->instance) : NULL;
    if (!bot || (who->instance && !instance))
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (limit && bot->sessions >= limit)
        return error_set(err, ERROR_LIMIT,
                         "bot %s has %llu sessions already, as many as its role allows", who->bot,
                         (unsigned long long)bot->sessions);
    if (!join_family(instance, who->family))
        return error_set(err, ERROR_MEMORY, "out of memory");
    bot->sessions++;
    if (instance)
        instance->sessions++;
    registry->pending--;
    return true;
}

static void drop_unused_of(struct registry *registry, const struct registry_who *who)
{
    drop_unused(&registry->bots, who->bot);
    if (who->instance)
        drop_unused(&registry->instances, who->instance);
}

bool registry_login(struct registry *registry, const struct registry_who *who, uint64_t limit,
                    struct error *err)
{
    pthread_mutex_lock(&registry->mutex);
    bool counted = count_login(registry, who, limit, err);
    if (!counted)
        drop_unused_of(registry, who);
    pthread_mutex_unlock(&registry->mutex);
    return counted;
}

static void count_logout(struct table *table, const char *name)
{
    struct counted *counted = *find(table, name);
    if (counted)
        counted->sessions--;
}

void registry_logout(struct registry *registry, const struct registry_who *who)
{
    pthread_mutex_lock(&registry->mutex);
    count_logout(&registry->bots, who->bot);
    if (who->instance) {
        leave_family(*find(&registry->instances, who->instance), who->family);
        count_logout(&registry->instances, who->instance);
    }
    drop_unused_of(registry, who);
    pthread_mutex_unlock(&registry->mutex);
}

static bool is_newer(const struct proof *proof, const struct proof *than)
{
    if (!than)
        return true;
    int64_t made_us = proof_not_before_us(proof), than_us = proof_not_before_us(than);
    return made_us > than_us ||
           (made_us == than_us && proof_not_after_us(proof) > proof_not_after_us(than));
}

static struct family *family_of(struct registry *registry, const struct registry_who *who)
{
    struct counted *instance = who->instance ? *find(&registry->instances, who->instance) : NULL;
    struct family **link = find_family(instance, who->family);
    return link ? *link : NULL;
}

uint64_t registry_prove(struct registry *registry, const struct registry_who *who,
                        struct proof *proof)
{
    pthread_mutex_lock(&registry->mutex);
    struct family *family = family_of(registry, who);
    if (family && is_newer(proof, family->proof)) {
        proof_unref(family->proof);
        family->proof = proof_ref(proof);
    }
    uint64_t sessions = family ? family->sessions : 0;
    pthread_mutex_unlock(&registry->mutex);
    return sessions;
}

struct proof *registry_proof(struct registry *registry, const struct registry_who *who)
{
    pthread_mutex_lock(&registry->mutex);
    const struct family *family = family_of(registry, who);
    struct proof *proof = family ? proof_ref(family->proof) : NULL;
    pthread_mutex_unlock(&registry->mutex);
    return proof;
}

void registry_counts(struct registry *registry, uint64_t *sessions, uint64_t *pending)
{
    pthread_mutex_lock(&registry->mutex);
    *sessions = registry->sessions;
    *pending = registry->pending;
    pthread_mutex_unlock(&registry->mutex);
}

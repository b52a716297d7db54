/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "identity/renewal.h"
#include "tls/auth_crypto.h"
#include "tls/hello.h"
#include "tunnel/announce.h"
#include "tunnel/list.h"

struct shared_identity {
    struct list node;
    struct shared *shared;
    struct credentials *credentials;
    struct renewal *renewal; /* NULL: something else renews it */
    unsigned users;
    bool was_valid;
    bool hopeless; /* only a person can help it to its first certificate */
};

struct shared_pool_entry {
    struct list node;
    struct shared *shared;
    struct pool *pool;
    const struct credentials *credentials;
    struct address proxy;
    char server_name[ADDRESS_HOST_SIZE];
    struct announce *announce; /* while a renewal is not known to the proxy */
    unsigned users;
};

struct shared_use {
    struct list node;
    struct shared *shared;
    struct shared_identity *identity;
    struct shared_pool_entry *pool;
    const struct tunnel_settings *settings; /* borrowed */
    const size_t *active;                   /* connections; NULL: not said */
    bool retired;
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
    uint8_t family[HELLO_FAMILY_SIZE];
    struct join_token token;
    char *token_for; /* a directory, or NULL */
    shared_hopeless *hopeless;
    void *hopeless_owner;
    shared_settled *settled;
    void *settled_owner;
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

static bool make_identity(struct shared *shared, const struct tunnel_settings *settings,
                          struct shared_identity **out, struct error *err)
{
    bool managed = settings->enrolment.has_authority;
    struct shared_identity *identity = calloc(1, sizeof *identity);
    if (!identity)
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (!(managed ? credentials_create_managed : credentials_create)(settings->identity,
                                                                     &identity->credentials, err)) {
        free(identity);
        return false;
    }
    identity->shared = shared;
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
    renewal_destroy(identity->renewal);
    credentials_unref(identity->credentials);
    free(identity);
}

/* Says it once when a certificate comes into or goes out of its validity. While the first one is on
 * its way, its renewal says what there is to say. */
static void watch_validity(struct shared_identity *identity)
{
    struct error err = {0};
    bool valid = is_valid(identity, &err);
    bool first = identity->renewal && credentials_generation(identity->credentials) == 0;
    if (valid == identity->was_valid || first)
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
    entry->shared = shared;
    entry->credentials = credentials;
    entry->proxy = settings->proxy;
    (void)snprintf(entry->server_name, sizeof entry->server_name, "%s", settings->server_name);
    list_append(&shared->pools, &entry->node);
    *out = entry;
    return true;
}

static void leave_pool(struct shared_pool_entry *entry)
{
    if (--entry->users > 0)
        return;
    list_remove(&entry->node);
    announce_cancel(entry->announce);
    pool_destroy(entry->pool);
    free(entry);
}

/* Announcing. */

static bool has_sessions(void *owner)
{
    const struct shared_pool_entry *entry = owner;
    const struct list *uses = &entry->shared->uses;
    for (struct list *at = uses->next; at != uses; at = at->next) {
        const struct shared_use *use = LIST_OF(at, struct shared_use, node);
        if (use->pool == entry && use->active && *use->active > 0)
            return true;
    }
    return false;
}

static void on_announced(void *owner, bool announced)
{
    (void)announced;
    ((struct shared_pool_entry *)owner)->announce = NULL;
}

static const struct announce_events announce_events = {.needed = has_sessions,
                                                       .over = on_announced};

/* An announcement of an older certificate that is still under way is of no use any more. */
static void announce_to(struct shared_pool_entry *entry, struct tls_context *context)
{
    struct error err = {0};
    const struct announce_settings settings = {
        .proxy = entry->proxy,
        .server_name = entry->server_name,
        .context = context,
        .family = entry->shared->family,
    };
    announce_cancel(entry->announce);
    entry->announce = NULL;
    if (has_sessions(entry) &&
        !announce_start(entry->shared->streams, entry->shared->loop, &settings, &announce_events,
                        entry, &entry->announce, &err))
        log_error("cannot announce the new certificate", "error", err.message, NULL);
}

static void announce_renewal(struct shared_identity *identity)
{
    struct tls_context *context;
    struct error err = {0};
    if (!credentials_control_context(identity->credentials, &context, &err)) {
        log_error("cannot announce the new certificate", "error", err.message, NULL);
        return;
    }
    struct list *pools = &identity->shared->pools;
    for (struct list *at = pools->next; at != pools; at = at->next) {
        struct shared_pool_entry *entry = LIST_OF(at, struct shared_pool_entry, node);
        if (entry->credentials == identity->credentials)
            announce_to(entry, context);
    }
}

/* Renewing. */

static void refresh_pools(struct shared_identity *identity)
{
    struct list *pools = &identity->shared->pools;
    for (struct list *at = pools->next; at != pools; at = at->next) {
        struct shared_pool_entry *entry = LIST_OF(at, struct shared_pool_entry, node);
        if (entry->credentials == identity->credentials)
            pool_refresh(entry->pool);
    }
}

static void tell_settled(const struct shared *shared)
{
    if (shared->settled)
        shared->settled(shared->settled_owner);
}

static void on_renewed(void *owner)
{
    struct shared_identity *identity = owner;
    identity->hopeless = false;
    watch_validity(identity);
    refresh_pools(identity);
    if (credentials_generation(identity->credentials) > 1) /* else there are no sessions yet */
        announce_renewal(identity);
    tell_settled(identity->shared);
}

bool shared_is_hopeless(const struct shared *shared)
{
    const struct list *identities = &shared->identities;
    for (struct list *at = identities->next; at != identities; at = at->next)
        if (!LIST_OF(at, struct shared_identity, node)->hopeless)
            return false;
    return true;
}

static void on_renewal_failed(void *owner, const struct error *err, bool final)
{
    struct shared_identity *identity = owner;
    struct shared *shared = identity->shared;
    identity->hopeless = identity->hopeless || final;
    tell_settled(shared);
    if (!final)
        return;
    if (shared->hopeless && shared_is_hopeless(shared))
        shared->hopeless(shared->hopeless_owner, err);
}

static const struct renewal_events renewal_events = {.renewed = on_renewed,
                                                     .failed = on_renewal_failed};

static void start_renewal(struct shared_identity *identity, const struct renewal_settings *settings)
{
    struct shared *shared = identity->shared;
    struct error err = {0};
    bool mine = shared->token_for &&
                strcmp(shared->token_for, credentials_directory(identity->credentials)) == 0;
    if (!renewal_create(shared->loop, shared->streams, identity->credentials, settings,
                        mine ? &shared->token : NULL, &renewal_events, identity, &identity->renewal,
                        &err)) {
        identity->renewal = NULL;
        log_error("the identity is not renewed", "directory",
                  credentials_directory(identity->credentials), "error", err.message, NULL);
    }
}

/* The last that began counts; while all retire, things stay as they are for their connections. */
static const struct tunnel_settings *settings_for(const struct shared_identity *identity)
{
    const struct tunnel_settings *found = NULL;
    const struct list *uses = &identity->shared->uses;
    for (struct list *at = uses->next; at != uses; at = at->next) {
        const struct shared_use *use = LIST_OF(at, struct shared_use, node);
        if (use->identity == identity && !use->retired)
            found = use->settings;
    }
    return found;
}

static void tune_identity(struct shared_identity *identity)
{
    const struct tunnel_settings *wanted = settings_for(identity);
    if (!wanted)
        return;
    const struct renewal_settings settings = enrolment_renewal(&wanted->enrolment);
    if (identity->renewal && wanted->enrolment.has_authority &&
        renewal_matches(identity->renewal, &settings))
        return;
    renewal_destroy(identity->renewal);
    identity->renewal = NULL;
    identity->hopeless = false;
    if (wanted->enrolment.has_authority)
        start_renewal(identity, &settings);
}

bool shared_set_token(struct shared *shared, const struct join_token *token, const char *directory,
                      struct error *err)
{
    free(shared->token_for);
    shared->token_for = strdup(directory);
    if (!shared->token_for)
        return error_set(err, ERROR_MEMORY, "out of memory");
    shared->token = *token;
    return true;
}

void shared_set_hopeless(struct shared *shared, shared_hopeless *hopeless, void *owner)
{
    shared->hopeless = hopeless;
    shared->hopeless_owner = owner;
}

void shared_set_settled(struct shared *shared, shared_settled *settled, void *owner)
{
    shared->settled = settled;
    shared->settled_owner = owner;
}

bool shared_is_pending(const struct shared_use *use)
{
    return use->identity->renewal && renewal_is_pending(use->identity->renewal);
}

void shared_look(const struct shared_use *use)
{
    if (use->identity->renewal)
        renewal_look(use->identity->renewal);
}

void shared_read_status(const struct shared_use *use, struct shared_status *out)
{
    struct renewal_status renewal = {0};
    if (use->identity->renewal)
        renewal_read_status(use->identity->renewal, &renewal);
    *out = (struct shared_status){
        .not_after_us = credentials_not_after_us(use->identity->credentials),
        .renew_at_us = renewal.renew_at_us,
    };
    memcpy(out->problem, renewal.problem, sizeof out->problem);
}

/* Uses. */

static bool join_identity(struct shared_use *use, const struct tunnel_settings *settings,
                          struct error *err)
{
    struct shared_identity *identity = find_identity(use->shared, settings->identity);
    if (!identity && !make_identity(use->shared, settings, &identity, err))
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
    use->settings = settings;
    use->ready = (size_t)settings->ready_connections;
    use->timeout_ms = settings->connect_timeout_ms;
    list_append(&shared->uses, &use->node);
    if (!join_identity(use, settings, err) || !join_pool(use, settings, err)) {
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
    use->retired = true;
}

void shared_count_with(struct shared_use *use, const size_t *active)
{
    use->active = active;
}

const uint8_t *shared_family(const struct shared_use *use)
{
    return use->shared->family;
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
    for (struct list *at = shared->identities.next; at != &shared->identities; at = at->next)
        tune_identity(LIST_OF(at, struct shared_identity, node));
    for (struct list *at = shared->pools.next; at != &shared->pools; at = at->next)
        tune_pool(shared, LIST_OF(at, struct shared_pool_entry, node));
}

void shared_poll(struct shared *shared)
{
    for (struct list *at = shared->identities.next; at != &shared->identities; at = at->next) {
        struct shared_identity *identity = LIST_OF(at, struct shared_identity, node);
        if (identity->renewal)
            renewal_look(identity->renewal);
        else
            (void)credentials_check(identity->credentials);
        watch_validity(identity);
    }
    for (struct list *at = shared->pools.next; at != &shared->pools; at = at->next)
        pool_refresh(LIST_OF(at, struct shared_pool_entry, node)->pool);
    tell_settled(shared);
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
    auth_crypto()->random(shared->family, sizeof shared->family);
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
    struct shared *shared = handle->data;
    join_token_wipe(&shared->token);
    free(shared->token_for);
    free(shared);
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

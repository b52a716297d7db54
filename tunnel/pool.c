/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "tls/dial.h"
#include "tunnel/list.h"
#include "tunnel/refusal.h"

struct pool {
    struct stream_loop *shared;
    uv_loop_t *loop;
    struct address proxy;
    char server_name[ADDRESS_HOST_SIZE];
    struct credentials *credentials;
    size_t target;
    int64_t dial_timeout_ms;
    struct list ready;   /* pool_entry.link, oldest first */
    struct list dials;   /* pool_dial.link */
    struct list waiters; /* pool_wait.link, longest waiting first */
    size_t ready_count, dial_count, waiter_count;
    uv_timer_t timer; /* the next thing that is due: an entry's end, or the end of the pause */
    struct backoff backoff;
    int64_t pause_until_us; /* monotonic; 0: none */
    bool troubled;          /* the last background attempt failed, and the log says so */
    uint64_t generation;    /* of the identity, at the last look */
    bool closing;
    unsigned holds; /* the owner, the timer, and streams whose `closed` is to come */
};

/* A connection that is ready. */
struct pool_entry {
    struct list link;
    struct pool *pool;
    struct stream *stream;
    uint64_t generation;
    int64_t made_us; /* monotonic */
    int64_t made_wall_us;
    int64_t ends_us; /* monotonic */
};

struct pool_dial {
    struct list link;
    struct pool *pool;
    struct dial *dial;
    uint64_t generation;
};

struct pool_wait {
    struct list link;
    struct pool *pool;
    pool_done *done;
    void *owner;
    uv_timer_t timer;
    int64_t timeout_ms;
};

static void refill(struct pool *pool);

static void release_hold(struct pool *pool)
{
    if (--pool->holds > 0)
        return;
    credentials_unref(pool->credentials);
    free(pool);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release_hold(handle->data);
}

static const char *proxy_text(const struct pool *pool, char out[ADDRESS_TEXT_SIZE])
{
    return address_format(&pool->proxy, out);
}

static bool is_pausing(const struct pool *pool)
{
    return pool->pause_until_us > clock_monotonic_us();
}

/* The log has one line when the trouble starts and one when it ends. A burst of failures counts as
 * one, or fifty programs at once would drive the pause to its greatest. */
static void note_failure(struct pool *pool, const struct error *err)
{
    if (is_pausing(pool))
        return;
    uint32_t pause_ms = backoff_fail(&pool->backoff);
    pool->pause_until_us = clock_monotonic_us() + (int64_t)pause_ms * 1000;
    if (pool->troubled)
        return;
    pool->troubled = true;
    char text[ADDRESS_TEXT_SIZE];
    log_warning("no connection to the proxy can be kept ready; trying again", "proxy",
                proxy_text(pool, text), "bot", credentials_bot(pool->credentials), "error",
                err->message, NULL);
}

static void note_success(struct pool *pool)
{
    backoff_reset(&pool->backoff);
    pool->pause_until_us = 0;
    if (!pool->troubled)
        return;
    pool->troubled = false;
    char text[ADDRESS_TEXT_SIZE];
    log_info("the proxy takes connections again", "proxy", proxy_text(pool, text), NULL);
}

/* Ready connections. */

static void on_stream_closed(struct stream *stream, void *owner)
{
    (void)stream;
    release_hold(owner);
}

static const struct stream_events closing_events = {.closed = on_stream_closed};

static struct stream *entry_detach(struct pool_entry *entry)
{
    struct stream *stream = entry->stream;
    list_remove(&entry->link);
    entry->pool->ready_count--;
    free(entry);
    return stream;
}

static void close_stream(struct pool *pool, struct stream *stream)
{
    pool->holds++;
    stream_set_owner(stream, &closing_events, pool);
    stream_close(stream, 0);
}

static void entry_close(struct pool_entry *entry)
{
    struct pool *pool = entry->pool;
    close_stream(pool, entry_detach(entry));
}

/* A connection that ends soon after its handshake was refused; later, the proxy just tidied up. */
static void entry_lost(struct pool_entry *entry, const struct error *err)
{
    struct pool *pool = entry->pool;
    if (clock_monotonic_us() - entry->made_us < (int64_t)POOL_TRIAL_MS * 1000)
        note_failure(pool, err);
    entry_close(entry);
    refill(pool);
}

static void on_entry_ended(struct stream *stream, void *owner)
{
    (void)stream;
    struct error err = {0};
    (void)error_set(&err, ERROR_CLOSED, "the proxy closed the connection after the handshake");
    entry_lost(owner, &err);
}

static void on_entry_failed(struct stream *stream, void *owner, const struct error *err)
{
    (void)stream;
    entry_lost(owner, err);
}

/* The proxy speaks only when spoken to (tls/hello.h), or to refuse the bot. */
static size_t on_entry_data(struct stream *stream, void *owner, const uint8_t *data, size_t length)
{
    (void)stream;
    struct error err = {0};
    refusal_read(data, length, &err);
    entry_lost(owner, &err);
    return length;
}

static const struct stream_events entry_events = {
    .data = on_entry_data,
    .ended = on_entry_ended,
    .failed = on_entry_failed,
};

static void keep_ready(struct pool *pool, struct stream *stream, uint64_t generation)
{
    struct pool_entry *entry = calloc(1, sizeof *entry);
    if (!entry) {
        close_stream(pool, stream);
        return;
    }
    uint32_t age_ms = backoff_jitter(POOL_AGE_MS, POOL_AGE_MS / 5);
    entry->pool = pool;
    entry->stream = stream;
    entry->generation = generation;
    entry->made_us = clock_monotonic_us();
    entry->made_wall_us = clock_wall_us();
    entry->ends_us = entry->made_us + (int64_t)age_ms * 1000;
    list_append(&pool->ready, &entry->link);
    pool->ready_count++;
    stream_set_owner(stream, &entry_events, entry);
}

/* Ages are checked on both clocks: the monotonic one stands still while a machine sleeps. */
static bool entry_usable(const struct pool_entry *entry)
{
    int64_t wall_age_us = clock_wall_us() - entry->made_wall_us;
    return entry->generation == credentials_generation(entry->pool->credentials) &&
           wall_age_us >= 0 && wall_age_us < (int64_t)POOL_AGE_WALL_MS * 1000 &&
           clock_monotonic_us() < entry->ends_us;
}

static void drop_unusable(struct pool *pool, bool all)
{
    struct list *next;
    for (struct list *at = pool->ready.next; at != &pool->ready; at = next) {
        next = at->next;
        struct pool_entry *entry = LIST_OF(at, struct pool_entry, link);
        if (all || !entry_usable(entry))
            entry_close(entry);
    }
}

/* The youngest is the likeliest to live. */
struct stream *pool_take(struct pool *pool)
{
    struct tls_context *context;
    bool valid = credentials_context(pool->credentials, clock_wall_us(), &context, NULL);
    drop_unusable(pool, !valid);
    struct stream *stream = NULL;
    if (!list_empty(&pool->ready))
        stream = entry_detach(LIST_OF(pool->ready.previous, struct pool_entry, link));
    refill(pool);
    return stream;
}

/* Waiters. */

static void on_wait_closed(uv_handle_t *handle)
{
    struct pool_wait *wait = handle->data;
    release_hold(wait->pool);
    free(wait);
}

static void wait_remove(struct pool_wait *wait)
{
    list_remove(&wait->link);
    wait->pool->waiter_count--;
    uv_close((uv_handle_t *)&wait->timer, on_wait_closed);
}

static void wait_finish(struct pool_wait *wait, struct stream *stream, const struct error *err)
{
    pool_done *done = wait->done;
    void *owner = wait->owner;
    wait_remove(wait);
    done(owner, stream, err);
}

static struct pool_wait *first_waiter(struct pool *pool)
{
    return list_empty(&pool->waiters) ? NULL : LIST_OF(pool->waiters.next, struct pool_wait, link);
}

/* Dials. */

static void dial_forget(struct pool_dial *attempt)
{
    list_remove(&attempt->link);
    attempt->pool->dial_count--;
    free(attempt);
}

static void dial_succeeded(struct pool *pool, struct stream *stream, uint64_t generation)
{
    struct pool_wait *wait = first_waiter(pool);
    bool current = generation == credentials_generation(pool->credentials);
    if (!current)
        close_stream(pool, stream);
    else if (wait)
        wait_finish(wait, stream, NULL);
    else
        keep_ready(pool, stream, generation);
}

static void on_dial_done(void *owner, struct stream *stream, const struct error *err)
{
    struct pool_dial *attempt = owner;
    struct pool *pool = attempt->pool;
    uint64_t generation = attempt->generation;
    dial_forget(attempt);
    if (stream) {
        dial_succeeded(pool, stream, generation);
    } else {
        struct pool_wait *wait = first_waiter(pool);
        note_failure(pool, err);
        if (wait)
            wait_finish(wait, NULL, err);
    }
    refill(pool);
}

static bool start_dial(struct pool *pool, struct tls_context *context, struct error *err)
{
    struct pool_dial *attempt = calloc(1, sizeof *attempt);
    if (!attempt)
        return error_set(err, ERROR_MEMORY, "out of memory");
    const struct dial_request request = {
        .address = pool->proxy,
        .server_name = pool->server_name,
        .alpn = TLS_ALPN_MYSQL,
        .context = context,
        .timeout_ms = pool->dial_timeout_ms,
    };
    attempt->pool = pool;
    attempt->generation = credentials_generation(pool->credentials);
    if (!dial_start(pool->shared, pool->loop, &request, on_dial_done, attempt, &attempt->dial,
                    err)) {
        free(attempt);
        return false;
    }
    list_append(&pool->dials, &attempt->link);
    pool->dial_count++;
    return true;
}

/* Waiting. */

static void on_wait_timeout(uv_timer_t *timer)
{
    struct pool_wait *wait = timer->data;
    struct error err = {0};
    (void)error_set(&err, ERROR_TIMEOUT, "no TLS connection within %.1f s",
                    (double)wait->timeout_ms / 1000);
    wait_finish(wait, NULL, &err);
}

static bool wait_create(struct pool *pool, int64_t timeout_ms, struct pool_wait **out,
                        struct error *err)
{
    struct pool_wait *wait = calloc(1, sizeof *wait);
    if (!wait)
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (uv_timer_init(pool->loop, &wait->timer) != 0) {
        free(wait);
        return error_set(err, ERROR_SYSTEM, "cannot make a timer");
    }
    wait->pool = pool;
    wait->timeout_ms = timeout_ms;
    wait->timer.data = wait;
    pool->holds++;
    list_append(&pool->waiters, &wait->link);
    pool->waiter_count++;
    (void)uv_timer_start(&wait->timer, on_wait_timeout, (uint64_t)timeout_ms, 0);
    *out = wait;
    return true;
}

/* Sees to it that a dial is under way for one waiter more than there are. */
static bool dial_for_one_more(struct pool *pool, struct error *err)
{
    struct tls_context *context;
    if (!credentials_context(pool->credentials, clock_wall_us(), &context, err))
        return false;
    if (pool->waiter_count >= POOL_WAITERS_MAX)
        return error_set(err, ERROR_LIMIT, "%d connections wait for the proxy already",
                         POOL_WAITERS_MAX);
    bool enough = pool->dial_count > pool->waiter_count || pool->dial_count >= POOL_DIALS_MAX;
    return enough || start_dial(pool, context, err);
}

bool pool_wait(struct pool *pool, int64_t timeout_ms, pool_done *done, void *owner,
               struct pool_wait **out, struct error *err)
{
    if (!dial_for_one_more(pool, err) || !wait_create(pool, timeout_ms, out, err))
        return false;
    (*out)->done = done;
    (*out)->owner = owner;
    return true;
}

void pool_cancel(struct pool_wait *wait)
{
    wait_remove(wait);
}

/* Keeping the pool as it should be. */

/* In trouble, a single connection in the background finds out as much as many. */
static size_t dials_wanted(const struct pool *pool)
{
    size_t background = 0;
    size_t target = pool->troubled && pool->target > 1 ? 1 : pool->target;
    if (!is_pausing(pool) && pool->ready_count < target)
        background = target - pool->ready_count;
    size_t wanted = pool->waiter_count + background;
    return wanted < POOL_DIALS_MAX ? wanted : POOL_DIALS_MAX;
}

/* When it is known that the proxy did not refuse this connection. */
static int64_t trial_end_us(const struct pool_entry *entry)
{
    return entry->made_us + (int64_t)POOL_TRIAL_MS * 1000;
}

static void end_trials(struct pool *pool)
{
    if (list_empty(&pool->ready))
        return;
    const struct pool_entry *oldest = LIST_OF(pool->ready.next, struct pool_entry, link);
    if (clock_monotonic_us() >= trial_end_us(oldest))
        note_success(pool);
}

static void on_timer(uv_timer_t *timer)
{
    struct pool *pool = timer->data;
    end_trials(pool);
    drop_unusable(pool, false);
    refill(pool);
}

static int64_t next_due_us(const struct pool *pool)
{
    int64_t due = pool->ready_count < pool->target && is_pausing(pool) ? pool->pause_until_us : 0;
    for (struct list *at = pool->ready.next; at != &pool->ready; at = at->next) {
        const struct pool_entry *entry = LIST_OF(at, struct pool_entry, link);
        int64_t next = pool->troubled ? trial_end_us(entry) : entry->ends_us;
        if (due == 0 || next < due)
            due = next;
    }
    return due;
}

static void arm_timer(struct pool *pool)
{
    int64_t due_us = next_due_us(pool);
    if (due_us == 0) {
        (void)uv_timer_stop(&pool->timer);
        return;
    }
    int64_t left_ms = (due_us - clock_monotonic_us()) / 1000 + 1;
    (void)uv_timer_start(&pool->timer, on_timer, left_ms > 0 ? (uint64_t)left_ms : 1, 0);
}

/* Waiters learn it from whoever made them wait; an identity that became unusable meanwhile ends
 * their wait. */
static void fail_waiters(struct pool *pool, const struct error *err)
{
    struct pool_wait *wait;
    while ((wait = first_waiter(pool)))
        wait_finish(wait, NULL, err);
}

static void refill(struct pool *pool)
{
    if (pool->closing)
        return;
    struct tls_context *context;
    struct error err = {0};
    while (pool->dial_count < dials_wanted(pool)) {
        if (!credentials_context(pool->credentials, clock_wall_us(), &context, &err)) {
            fail_waiters(pool, &err);
            break;
        }
        if (!start_dial(pool, context, &err)) {
            note_failure(pool, &err);
            fail_waiters(pool, &err);
            break;
        }
    }
    arm_timer(pool);
}

void pool_confirm(struct pool *pool)
{
    bool was_troubled = pool->troubled;
    note_success(pool);
    if (was_troubled)
        refill(pool);
}

void pool_refresh(struct pool *pool)
{
    uint64_t generation = credentials_generation(pool->credentials);
    if (generation != pool->generation) {
        backoff_reset(&pool->backoff);
        pool->pause_until_us = 0;
    }
    pool->generation = generation;
    drop_unusable(pool, false);
    refill(pool);
}

void pool_tune(struct pool *pool, size_t ready, int64_t dial_timeout_ms)
{
    pool->target = ready;
    pool->dial_timeout_ms = dial_timeout_ms;
    while (pool->ready_count > ready)
        entry_close(LIST_OF(pool->ready.next, struct pool_entry, link));
    refill(pool);
}

bool pool_create(struct stream_loop *shared, uv_loop_t *loop, const struct pool_settings *settings,
                 struct pool **out, struct error *err)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return error_set(err, ERROR_MEMORY, "out of memory");
    *pool = (struct pool){
        .shared = shared,
        .loop = loop,
        .proxy = settings->proxy,
        .target = settings->ready,
        .dial_timeout_ms = settings->dial_timeout_ms,
        .backoff = {.least_ms = POOL_BACKOFF_LEAST_MS, .most_ms = POOL_BACKOFF_MOST_MS},
        .holds = 1,
    };
    (void)snprintf(pool->server_name, sizeof pool->server_name, "%s", settings->server_name);
    list_init(&pool->ready);
    list_init(&pool->dials);
    list_init(&pool->waiters);
    if (uv_timer_init(loop, &pool->timer) != 0) {
        free(pool);
        return error_set(err, ERROR_SYSTEM, "cannot make a timer");
    }
    pool->timer.data = pool;
    pool->credentials = credentials_ref(settings->credentials);
    refill(pool);
    *out = pool;
    return true;
}

void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    struct error err = {0};
    (void)error_set(&err, ERROR_CLOSED,
                    "the tunnel stops or has other settings now; connect again");
    pool->closing = true;
    pool->target = 0;
    drop_unusable(pool, true);
    while (!list_empty(&pool->dials)) {
        struct pool_dial *attempt = LIST_OF(pool->dials.next, struct pool_dial, link);
        dial_cancel(attempt->dial);
        dial_forget(attempt);
    }
    fail_waiters(pool, &err);
    uv_close((uv_handle_t *)&pool->timer, on_timer_closed);
}

bool pool_matches(const struct pool *pool, const struct address *proxy, const char *server_name,
                  const struct credentials *credentials)
{
    return address_equals(&pool->proxy, proxy) && pool->credentials == credentials &&
           strcmp(pool->server_name, server_name) == 0;
}

size_t pool_ready_count(const struct pool *pool)
{
    return pool->ready_count;
}

size_t pool_dial_count(const struct pool *pool)
{
    return pool->dial_count;
}

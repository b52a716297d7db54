/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/authority_link.h"

#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/glob.h"
#include "base/log.h"
#include "control/client.h"
#include "proxy/demand.h"
#include "proxy/keeper.h"
#include "proxy/minter.h"
#include "proxy/seen.h"

#define LINK_ANSWER_MS  10000
#define LINK_SEEN_BATCH 256

struct authority_link {
    struct authority_link_request request;
    const struct authority_link_events *events;
    void *owner;
    struct address address;
    uv_timer_t tick;
    uv_async_t seen_wake;
    unsigned open_handles;

    struct keeper *keeper;
    struct error hopeless; /* ERROR_NONE: it is not, or has been told */
    struct control_client *client;
    struct control_client *next; /* with a newer certificate; takes the place of `client` */
    unsigned open_clients;       /* these two, and what they replaced */
    bool outdated;               /* `client` shows a certificate that was renewed since */
    struct backoff backoff;
    int64_t dial_at_us;                  /* monotonic: not before */
    int64_t dialled_us, next_dialled_us; /* monotonic: these */
    int64_t lost_at_us; /* monotonic: when it was told that it is not there; 0: it is */
    int64_t spoke_us;   /* monotonic: of the authority's last word */
    int64_t heard_us;   /* the same, of the last that could be followed */
    bool stale;         /* said so */
    bool closing;

    struct authority_state *state;
    struct minter *minter;
    bool unprovided;         /* something has changed that the owner has not taken */
    bool refused;            /* the newest state could not be decoded: `state` is one before it */
    bool unwanted;           /* the minter has not been told all the users that are wanted */
    struct provision *taken; /* the last that the owner took; NULL: none yet */
    int64_t untaken_at_us;   /* monotonic: when it was told that it takes none; 0: it does */

    struct demand *demand;
    struct seen *seen;
    char telling[LINK_SEEN_BATCH][SEEN_SERIAL_SIZE]; /* of the question that is open */
    size_t telling_count;
};

/* --- providing --- */

static bool is_denying(const struct authority_link *link)
{
    return link->stale && link->request.settings->when_stale == WHEN_STALE_DENY;
}

/* When what the authority has said is what sessions are judged by. */
static void count_as_heard(struct authority_link *link)
{
    if (!link->refused && link->untaken_at_us == 0)
        link->heard_us = link->spoke_us;
}

static bool offer(struct authority_link *link, struct provision *provision, struct error *err)
{
    if (!link->events->provided(link->owner, provision, err))
        return false;
    provision_unref(link->taken);
    link->taken = provision_ref(provision);
    return true;
}

/* What is known now. */
static bool offer_newest(struct authority_link *link, struct error *err)
{
    struct provision *provision;
    size_t count;
    struct credential *const *minted = minter_credentials(link->minter, &count);
    if (!provision_create(link->state, own_identity_credential(link->request.own), minted, count,
                          is_denying(link), &provision, err))
        return false;
    bool taken = offer(link, provision, err);
    provision_unref(provision);
    return taken;
}

/* What the owner has, with the word that it is stale. */
static bool offer_stale(struct authority_link *link, struct error *err)
{
    struct provision *provision;
    const struct provision *taken = link->taken;
    if (!provision_create(taken->state, taken->own, taken->minted, taken->minted_count, true,
                          &provision, err))
        return false;
    bool done = offer(link, provision, err);
    provision_unref(provision);
    return done;
}

/* At once, and then once in a while. */
static void log_untaken(struct authority_link *link, const char *why)
{
    int64_t now_us = clock_monotonic_us();
    if (link->untaken_at_us != 0 && now_us - link->untaken_at_us < (int64_t)LINK_LOG_MS * 1000)
        return;
    link->untaken_at_us = now_us;
    log_error("what the authority says cannot be followed yet: trying again", "error", why, NULL);
}

static void provide(struct authority_link *link)
{
    struct error err = {0};
    if (offer_newest(link, &err)) {
        link->unprovided = false;
        link->untaken_at_us = 0;
        count_as_heard(link);
        return;
    }
    log_untaken(link, err.message);
    /* What fails here too is tried again with the rest, at the next tick. */
    if (link->taken && is_denying(link) && !link->taken->stale)
        (void)offer_stale(link, &err);
}

/* A burst of certificates makes one provision, and the first waits for all of them. Locks and roles
 * wait for nothing. */
static void provide_if_ready(struct authority_link *link)
{
    if (link->state && link->unprovided && !link->closing &&
        (link->taken || minter_is_complete(link->minter)))
        provide(link);
}

/* --- which MySQL users are wanted --- */

static size_t collect_users(const struct authz_role_config *roles, size_t role_count,
                            const char **users, size_t count)
{
    for (size_t i = 0; i < role_count; i++) {
        const struct config_strings *names = &roles[i].allow.mysql_users;
        for (size_t j = 0; j < names->count; j++) {
            size_t k = 0;
            while (k < count && strcmp(users[k], names->items[j]) != 0)
                k++;
            if (k == count && count <= MINTER_USERS_MAX && !glob_is_wild(names->items[j]))
                users[count++] = names->items[j];
        }
    }
    return count;
}

/* Those whom only globs allow, behind the others. */
static size_t add_demanded(struct authority_link *link, const char **users, size_t count)
{
    const char *demanded[DEMAND_USERS_MAX];
    bool changed;
    size_t more = demand_users(link->demand, clock_monotonic_us(), demanded, &changed);
    for (size_t i = 0; i < more && count < MINTER_USERS_MAX; i++) {
        size_t k = 0;
        while (k < count && strcmp(users[k], demanded[i]) != 0)
            k++;
        if (k == count)
            users[count++] = demanded[i];
    }
    return count;
}

static bool want_users(struct authority_link *link, struct error *err)
{
    const char *users[MINTER_USERS_MAX + 1];
    size_t count = collect_users(link->request.roles, link->request.role_count, users, 0);
    if (link->state)
        count = collect_users(link->state->roles, link->state->role_count, users, count);
    count = add_demanded(link, users, count);
    link->unwanted = !minter_want(link->minter, users, count, err);
    if (link->unwanted)
        return false;
    minter_work(link->minter, clock_wall_us());
    return true;
}

/* No lock waits for it: what fails is tried again at the next tick. */
static void try_to_want_users(struct authority_link *link)
{
    struct error err = {0};
    if (!want_users(link, &err))
        log_error("certificates for MySQL users cannot be asked for", "error", err.message, NULL);
}

static void on_minted(void *owner)
{
    struct authority_link *link = owner;
    link->unprovided = true;
    minter_work(link->minter, clock_wall_us());
    if (!link->taken || !minter_is_asking(link->minter))
        provide_if_ready(link);
}

/* Logins of users whom only globs allow: somebody may be waiting. */
static void look_for_demand(struct authority_link *link)
{
    const char *users[DEMAND_USERS_MAX];
    bool changed;
    (void)demand_users(link->demand, clock_monotonic_us(), users, &changed);
    if (changed || link->unwanted)
        try_to_want_users(link);
}

/* --- the state --- */

static bool take_state(struct authority_link *link, const cJSON *event, struct error *err)
{
    struct authority_state *state;
    if (!authority_state_create(event, &state, err))
        return false;
    if (link->state && state->version < link->state->version)
        log_warning("the authority's state went back: was it restored from a backup?", NULL);
    authority_state_unref(link->state);
    link->state = state;
    link->refused = false;
    link->unprovided = true;
    try_to_want_users(link);
    provide_if_ready(link);
    return true;
}

/* Memory may come back: then the same state is asked for again, over another connection. For the
 * rest only another state helps, which the authority sends when there is one. */
static void refuse_state(struct authority_link *link, struct control_client *client,
                         const struct error *err)
{
    link->refused = true;
    log_error("the authority's state was refused: until there is another, nothing counts as heard",
              "error", err->message, NULL);
    if (err->code == ERROR_MEMORY)
        control_client_close(client, err);
}

static void on_event(struct control_client *client, void *owner, const char *name,
                     const cJSON *event)
{
    struct authority_link *link = owner;
    struct error err = {0};
    link->spoke_us = clock_monotonic_us();
    if (strcmp(name, "state") == 0 && !take_state(link, event, &err))
        refuse_state(link, client, &err);
    count_as_heard(link);
}

/* The former one's open questions are asked again, of this one. */
static void take_next(struct authority_link *link)
{
    struct control_client *former = link->client;
    link->client = link->next;
    link->next = NULL;
    link->outdated = false;
    minter_set_client(link->minter, link->client);
    link->dialled_us = link->next_dialled_us;
    control_client_close(former, NULL);
}

/* Nothing of the state was heard yet: what follows, a state or `alive`, tells it. */
static void subscribed(struct authority_link *link, struct control_client *client)
{
    if (!link->refused) {
        link->lost_at_us = 0;
        backoff_reset(&link->backoff);
    }
    control_client_set_idle(client, LINK_SILENCE_MS);
    if (client == link->next) {
        take_next(link);
        return;
    }
    log_info("the authority is there", "address", link->request.settings->address, NULL);
    minter_set_client(link->minter, client);
    minter_work(link->minter, clock_wall_us());
}

static void judge_subscription(struct authority_link *link, struct control_client *client,
                               const struct control_outcome *outcome)
{
    struct error err = {0};
    if (outcome->ok) {
        subscribed(link, client);
    } else if (outcome->failure) {
        error_set(&err, ERROR_DENIED, "the authority refused: %s", outcome->failure->message);
        control_client_close(client, &err);
    }
}

static void on_subscribed(void *context, const struct control_outcome *outcome)
{
    struct authority_link *link = context;
    judge_subscription(link, link->client, outcome);
}

static void on_next_subscribed(void *context, const struct control_outcome *outcome)
{
    struct authority_link *link = context;
    judge_subscription(link, link->next, outcome);
}

static bool subscribe(struct authority_link *link, struct control_client *client, struct error *err)
{
    cJSON *request = control_request("subscribe");
    control_answered *answered = client == link->next ? on_next_subscribed : on_subscribed;
    return control_client_ask(client, request, LINK_ANSWER_MS, answered, link, err);
}

static void on_ready(struct control_client *client, void *owner)
{
    struct authority_link *link = owner;
    struct error err = {0};
    if (!subscribe(link, client, &err))
        control_client_close(client, &err);
}

/* --- the connection --- */

static void link_free(struct authority_link *link)
{
    seen_forget(link->seen, link->telling, link->telling_count);
    seen_free(link->seen);
    demand_free(link->demand);
    minter_free(link->minter);
    authority_state_unref(link->state);
    provision_unref(link->taken);
    link->events->closed(link->owner);
    free(link);
}

static void try_free(struct authority_link *link)
{
    if (link->closing && link->open_clients == 0 && link->open_handles == 0)
        link_free(link);
}

static void dial_later(struct authority_link *link)
{
    link->dial_at_us = clock_monotonic_us() + (int64_t)backoff_fail(&link->backoff) * 1000;
}

/* At once, and then once in a while. */
static void log_lost(struct authority_link *link, bool used, const char *why)
{
    int64_t now_us = clock_monotonic_us();
    if (link->lost_at_us != 0 && now_us - link->lost_at_us < (int64_t)LINK_LOG_MS * 1000)
        return;
    link->lost_at_us = now_us;
    const char *what = !used         ? "no connection to the authority with the new certificate yet"
                       : link->taken ? "no connection to the authority: going on with what is known"
                                     : "no connection to the authority: waiting for it";
    log_warning(what, "address", link->request.settings->address, "error", why, NULL);
}

static void on_client_closed(struct control_client *client, void *owner, const struct error *reason)
{
    struct authority_link *link = owner;
    bool used = client == link->client;
    bool wanted = used || client == link->next;
    link->open_clients--;
    if (used) {
        minter_set_client(link->minter, NULL);
        link->client = NULL;
    } else if (wanted) {
        link->next = NULL;
    }
    if (wanted && !link->closing) {
        if (reason->code != ERROR_NONE)
            log_lost(link, used, reason->message);
        dial_later(link);
    }
    try_free(link);
}

static const struct control_client_events client_events = {
    .ready = on_ready,
    .event = on_event,
    .closed = on_client_closed,
};

static void dial(struct authority_link *link, struct control_client **out)
{
    const struct authority_link_settings *settings = link->request.settings;
    struct error err = {0};
    const struct control_client_settings wanted = {
        .address = link->address,
        .server_name = settings->server_name ? settings->server_name : link->address.host,
        .context = own_identity_context(link->request.own),
        .dial_timeout_ms = LINK_DIAL_MS,
        .authority = true,
    };
    if (control_client_open(link->request.streams, link->request.loop, &wanted, &client_events,
                            link, out, &err)) {
        link->open_clients++;
        return;
    }
    *out = NULL;
    log_warning("the authority cannot be dialled", "error", err.message, NULL);
    dial_later(link);
}

static void dial_if_due(struct authority_link *link, int64_t now_us)
{
    if (link->closing || link->dial_at_us > now_us ||
        !own_identity_is_current(link->request.own, clock_wall_us()))
        return;
    if (!link->client) {
        link->outdated = false;
        link->dialled_us = now_us;
        dial(link, &link->client);
    } else if (link->outdated && !link->next) {
        link->next_dialled_us = now_us;
        dial(link, &link->next);
    }
}

/* --- the proxy's own certificate --- */

/*
 * A connection that was made before the certificate was issued goes on until the next one stands.
 * One that was made since must not be used beside the next one: to the authority it would be that
 * of a copy of the certificate before.
 */
static void on_changed(void *owner)
{
    struct authority_link *link = owner;
    if (link->dialled_us >= keeper_asked_us(link->keeper))
        control_client_close(link->client, NULL);
    link->outdated = true;
    link->unprovided = true;
    link->dial_at_us = 0;
    backoff_reset(&link->backoff);
    control_client_close(link->next, NULL); /* one that shows the certificate before */
    dial_if_due(link, clock_monotonic_us());
}

/* Told at the next tick, since it ends the link. */
static void on_hopeless(void *owner, const struct error *err)
{
    struct authority_link *link = owner;
    link->hopeless = *err;
}

static const struct keeper_events keeper_events = {
    .changed = on_changed,
    .hopeless = on_hopeless,
};

static bool make_keeper(struct authority_link *link, struct error *err)
{
    const struct keeper_request request = {
        .loop = link->request.loop,
        .streams = link->request.streams,
        .authority = &link->address,
        .settings = link->request.settings,
        .own = link->request.own,
        .token = link->request.token,
        .join_here = link->request.join_here,
        .join_owner = link->request.join_owner,
    };
    link->request.token = NULL; /* the keeper's alone */
    return keeper_create(&request, &keeper_events, link, &link->keeper, err);
}

/* --- serials --- */

static void on_told(void *context, const struct control_outcome *outcome)
{
    struct authority_link *link = context;
    if (!outcome->ok)
        seen_forget(link->seen, link->telling, link->telling_count);
    link->telling_count = 0;
}

static bool ask_seen(struct authority_link *link, struct error *err)
{
    const char *serials[LINK_SEEN_BATCH];
    for (size_t i = 0; i < link->telling_count; i++)
        serials[i] = link->telling[i];
    cJSON *request = control_request("seen");
    if (request && !control_put_texts(request, "serials", serials, link->telling_count)) {
        cJSON_Delete(request);
        request = NULL;
    }
    return control_client_ask(link->client, request, LINK_ANSWER_MS, on_told, link, err);
}

static void tell_seen(struct authority_link *link)
{
    struct error err = {0};
    if (!link->client || link->telling_count > 0)
        return;
    link->telling_count = seen_take(link->seen, link->telling, LINK_SEEN_BATCH);
    if (link->telling_count > 0 && !ask_seen(link, &err)) {
        seen_forget(link->seen, link->telling, link->telling_count);
        link->telling_count = 0;
    }
}

static void on_seen(uv_async_t *handle)
{
    tell_seen(handle->data);
    look_for_demand(handle->data);
}

void authority_link_seen(struct authority_link *link, const char *serial)
{
    if (seen_put(link->seen, serial))
        uv_async_send(&link->seen_wake);
}

/* --- time --- */

static void look_for_staleness(struct authority_link *link, int64_t now_us)
{
    const struct authority_link_settings *settings = link->request.settings;
    bool stale = link->state && now_us - link->heard_us > settings->stale_after_ms * 1000;
    if (stale == link->stale)
        return;
    link->stale = stale;
    link->unprovided = true;
    const char *address = settings->address;
    if (!stale)
        log_info("the authority is heard again", "address", address, NULL);
    else if (settings->when_stale == WHEN_STALE_DENY)
        log_error("nothing was heard of the authority for stale_after: new sessions are refused",
                  "address", address, NULL);
    else
        log_error("nothing was heard of the authority for stale_after: going on with what is known",
                  "address", address, NULL);
}

bool authority_link_want_user(struct authority_link *link, const char *bot, const char *user,
                              bool missing, struct error *err)
{
    bool added;
    if (!demand_login(link->demand, bot, user, missing, clock_monotonic_us(), &added, err))
        return false;
    if (added)
        uv_async_send(&link->seen_wake);
    return true;
}

static void on_tick(uv_timer_t *timer)
{
    struct authority_link *link = timer->data;
    int64_t now_us = clock_monotonic_us();
    keeper_look(link->keeper);
    dial_if_due(link, now_us);
    minter_work(link->minter, clock_wall_us());
    tell_seen(link);
    look_for_demand(link);
    look_for_staleness(link, now_us);
    provide_if_ready(link);
    struct error hopeless = link->hopeless;
    link->hopeless = (struct error){0};
    if (hopeless.code != ERROR_NONE)
        link->events->hopeless(link->owner, &hopeless);
}

/* --- the whole --- */

static bool init_handles(struct authority_link *link, struct error *err)
{
    int status = uv_timer_init(link->request.loop, &link->tick);
    if (status == 0)
        status = uv_async_init(link->request.loop, &link->seen_wake, on_seen);
    if (status != 0)
        return error_set(err, ERROR_SYSTEM, "cannot watch the loop: %s", uv_strerror(status));
    link->tick.data = link->seen_wake.data = link;
    link->open_handles = 2;
    uv_timer_start(&link->tick, on_tick, 0, LINK_TICK_MS);
    return true;
}

bool authority_link_open(const struct authority_link_request *request,
                         const struct authority_link_events *events, void *owner,
                         struct authority_link **out, struct error *err)
{
    *out = NULL;
    struct authority_link *link = calloc(1, sizeof *link);
    if (!link)
        return error_set(err, ERROR_MEMORY, "out of memory");
    link->request = *request;
    link->events = events;
    link->owner = owner;
    link->spoke_us = link->heard_us = clock_monotonic_us();
    link->backoff =
        (struct backoff){.least_ms = LINK_RETRY_LEAST_MS, .most_ms = LINK_RETRY_MOST_MS};
    if (address_parse(request->settings->address, &link->address, err) &&
        minter_create(on_minted, link, &link->minter, err) && seen_create(&link->seen, err) &&
        demand_create(&link->demand, err) && want_users(link, err) && make_keeper(link, err) &&
        init_handles(link, err)) {
        *out = link;
        return true;
    }
    keeper_destroy(link->keeper);
    seen_free(link->seen);
    demand_free(link->demand);
    minter_free(link->minter);
    free(link);
    return false;
}

bool authority_link_reload(struct authority_link *link, const struct authz_role_config *roles,
                           size_t role_count, struct error *err)
{
    const struct authz_role_config *former = link->request.roles;
    size_t former_count = link->request.role_count;
    link->request.roles = roles;
    link->request.role_count = role_count;
    if (want_users(link, err))
        return true;
    link->request.roles = former;
    link->request.role_count = former_count;
    return false;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct authority_link *link = handle->data;
    link->open_handles--;
    try_free(link);
}

void authority_link_close(struct authority_link *link)
{
    if (!link || link->closing)
        return;
    link->closing = true;
    keeper_destroy(link->keeper);
    link->keeper = NULL;
    control_client_close(link->client, NULL);
    control_client_close(link->next, NULL);
    uv_close((uv_handle_t *)&link->tick, on_handle_closed);
    uv_close((uv_handle_t *)&link->seen_wake, on_handle_closed);
}

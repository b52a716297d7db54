/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/announce.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/hex.h"
#include "base/log.h"
#include "control/client.h"
#include "control/fields.h"
#include "control/frame.h"
#include "tls/hello.h"

struct announce {
    struct stream_loop *streams;
    uv_loop_t *loop;
    struct address proxy;
    char server_name[ADDRESS_HOST_SIZE];
    struct tls_context *context;
    char family[HEX_SIZE(HELLO_FAMILY_SIZE)];
    const struct announce_events *events; /* NULL: it is over */
    void *owner;
    uv_timer_t timer; /* until the next attempt */
    struct backoff backoff;
    struct control_client *client; /* while an attempt runs */
    bool announced;
    bool told; /* the log has it that this does not work */
    unsigned holds;
    struct error why; /* the attempt failed */
};

static void release_hold(struct announce *announce)
{
    if (--announce->holds > 0)
        return;
    tls_context_unref(announce->context);
    free(announce);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release_hold(handle->data);
}

/* The one way out. */
static void end(struct announce *announce)
{
    if (!announce->events)
        return;
    announce->events = NULL;
    control_client_close(announce->client, NULL);
    uv_close((uv_handle_t *)&announce->timer, on_timer_closed);
}

void announce_cancel(struct announce *announce)
{
    if (announce)
        end(announce);
}

static void finish(struct announce *announce)
{
    const struct announce_events *events = announce->events;
    void *owner = announce->owner;
    bool announced = announce->announced;
    end(announce);
    events->over(owner, announced);
}

static void on_timer(uv_timer_t *timer);

static void try_later(struct announce *announce)
{
    char proxy[ADDRESS_TEXT_SIZE];
    if (!announce->told)
        log_warning("cannot announce the new certificate to the proxy; trying again", "proxy",
                    address_format(&announce->proxy, proxy), "error", announce->why.message, NULL);
    announce->told = true;
    (void)uv_timer_start(&announce->timer, on_timer, backoff_fail(&announce->backoff), 0);
}

/* The answer. */

static void log_success(const struct announce *announce, const cJSON *answer)
{
    uint64_t sessions = 0;
    char proxy[ADDRESS_TEXT_SIZE], count[24];
    const struct control_field field = {
        .key = "sessions", .type = CONTROL_UNSIGNED, .to.number = &sessions, .optional = true};
    if (!control_fields_read(answer, CONTROL_KEYS_ANY, &field, 1, NULL))
        sessions = 0;
    (void)snprintf(count, sizeof count, "%" PRIu64, sessions);
    log_info("the proxy knows the new certificate", "proxy",
             address_format(&announce->proxy, proxy), "sessions", count, NULL);
}

static void on_answer(void *context, const struct control_outcome *outcome)
{
    struct announce *announce = context;
    if (!announce->events)
        return;
    if (outcome->ok) {
        announce->announced = true;
        log_success(announce, outcome->ok);
    } else if (outcome->failure) {
        (void)error_set(&announce->why, ERROR_DENIED, "the proxy says: %.300s",
                        outcome->failure->message);
    } else {
        announce->why = *outcome->error;
    }
    control_client_close(announce->client, NULL);
}

/* NULL: out of memory, which control_client_ask() tells. */
static cJSON *make_request(const struct announce *announce)
{
    cJSON *request = control_request("announce");
    if (request && control_put_text(request, "family", announce->family))
        return request;
    control_free(request);
    return NULL;
}

static void on_ready(struct control_client *client, void *owner)
{
    struct announce *announce = owner;
    struct error err = {0};
    if (!control_client_ask(client, make_request(announce), ANNOUNCE_ANSWER_MS, on_answer, announce,
                            &err))
        control_client_close(client, &err);
}

static void on_closed(struct control_client *client, void *owner, const struct error *reason)
{
    struct announce *announce = owner;
    (void)client;
    announce->client = NULL;
    if (announce->why.code == ERROR_NONE)
        announce->why = *reason;
    if (announce->events && announce->announced)
        finish(announce);
    else if (announce->events)
        try_later(announce);
    release_hold(announce);
}

static const struct control_client_events client_events = {.ready = on_ready, .closed = on_closed};

/* Attempts. */

static void attempt(struct announce *announce)
{
    const struct control_client_settings settings = {
        .address = announce->proxy,
        .server_name = announce->server_name,
        .context = announce->context,
        .dial_timeout_ms = ANNOUNCE_DIAL_MS,
    };
    announce->why = (struct error){0};
    if (!control_client_open(announce->streams, announce->loop, &settings, &client_events, announce,
                             &announce->client, &announce->why)) {
        announce->client = NULL;
        try_later(announce);
        return;
    }
    announce->holds++;
}

static void on_timer(uv_timer_t *timer)
{
    struct announce *announce = timer->data;
    if (announce->events->needed(announce->owner))
        attempt(announce);
    else
        finish(announce);
}

bool announce_start(struct stream_loop *streams, uv_loop_t *loop,
                    const struct announce_settings *settings, const struct announce_events *events,
                    void *owner, struct announce **out, struct error *err)
{
    struct announce *announce = calloc(1, sizeof *announce);
    if (!announce)
        return error_set(err, ERROR_MEMORY, "out of memory");
    *announce = (struct announce){
        .streams = streams,
        .loop = loop,
        .proxy = settings->proxy,
        .events = events,
        .owner = owner,
        .backoff = {ANNOUNCE_PAUSE_LEAST_MS, ANNOUNCE_PAUSE_MOST_MS, 0},
        .holds = 1,
    };
    (void)snprintf(announce->server_name, sizeof announce->server_name, "%s",
                   settings->server_name);
    if (uv_timer_init(loop, &announce->timer) != 0) {
        free(announce);
        return error_set(err, ERROR_SYSTEM, "cannot make a timer");
    }
    announce->timer.data = announce;
    announce->context = tls_context_ref(settings->context);
    hex_encode(settings->family, HELLO_FAMILY_SIZE, announce->family);
    (void)uv_timer_start(&announce->timer, on_timer, 0, 0);
    *out = announce;
    return true;
}

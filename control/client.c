/* SPDX-License-Identifier: Apache-2.0 */
#include "control/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/frame.h"
#include "control/peer.h"
#include "tls/dial.h"

enum state { DIALLING, OPEN, CLOSING };

/* One request that waits for its answer. */
struct question {
    uint64_t id;
    int64_t deadline_us;
    control_answered *answered; /* NULL once it timed out */
    void *context;
};

struct control_client {
    enum state state;
    const struct control_client_events *events;
    void *owner;
    uv_loop_t *loop;
    struct dial *dial;         /* while DIALLING */
    struct control_peer *peer; /* from OPEN until its end */
    char *server_name;
    bool authority; /* nobody else will do */
    uv_timer_t timer;
    unsigned holds; /* timer and peer */
    int64_t idle_ms;
    uint64_t last_id;
    struct question questions[CONTROL_REQUESTS_WAITING]; /* a ring, in the order of their ids */
    unsigned first, count;
    struct error reason;
};

static struct question *question_at(struct control_client *client, unsigned index)
{
    return &client->questions[(client->first + index) % CONTROL_REQUESTS_WAITING];
}

/* Tells the outcome, once. */
static void settle(struct question *question, const struct control_outcome *outcome)
{
    control_answered *answered = question->answered;
    question->answered = NULL;
    if (answered)
        answered(question->context, outcome);
}

/* The end. */

static void settle_all(struct control_client *client)
{
    struct error why = client->reason;
    if (why.code == ERROR_NONE)
        (void)error_set(&why, ERROR_CLOSED, "the connection was closed before the answer came");
    while (client->count > 0) {
        struct question question = *question_at(client, 0);
        client->first = (client->first + 1) % CONTROL_REQUESTS_WAITING;
        client->count--;
        settle(&question, &(struct control_outcome){.error = &why});
    }
}

static void release_hold(struct control_client *client)
{
    if (--client->holds > 0)
        return;
    if (client->events) {
        settle_all(client);
        client->events->closed(client, client->owner, &client->reason);
    }
    free(client->server_name);
    free(client);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release_hold(handle->data);
}

static void end(struct control_client *client, const struct error *reason)
{
    if (client->state == CLOSING)
        return;
    client->state = CLOSING;
    if (reason)
        client->reason = *reason;
    dial_cancel(client->dial);
    client->dial = NULL;
    control_peer_close(client->peer, reason);
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
}

void control_client_close(struct control_client *client, const struct error *reason)
{
    if (client)
        end(client, reason);
}

/* Deadlines. */

static void on_timer(uv_timer_t *timer);

static void arm(struct control_client *client)
{
    int64_t next = INT64_MAX;
    for (unsigned i = 0; i < client->count; i++) {
        const struct question *question = question_at(client, i);
        if (question->answered && question->deadline_us < next)
            next = question->deadline_us;
    }
    if (client->state != OPEN)
        return;
    if (next == INT64_MAX) {
        (void)uv_timer_stop(&client->timer);
        return;
    }
    int64_t left_us = next - clock_monotonic_us();
    uv_update_time(client->loop);
    (void)uv_timer_start(&client->timer, on_timer, left_us > 0 ? (uint64_t)left_us / 1000 + 1 : 0,
                         0);
}

static void on_timer(uv_timer_t *timer)
{
    struct control_client *client = timer->data;
    int64_t now = clock_monotonic_us();
    struct error err = {0};
    (void)error_set(&err, ERROR_TIMEOUT, "no answer came in time");
    for (unsigned i = 0; i < client->count && client->state == OPEN; i++)
        if (question_at(client, i)->deadline_us <= now)
            settle(question_at(client, i), &(struct control_outcome){.error = &err});
    arm(client);
}

/* Asking. */

static bool send_question(struct control_client *client, cJSON *request, struct error *err)
{
    if (!request)
        return error_set(err, ERROR_MEMORY, "out of memory for a request");
    if (client->state != OPEN)
        return error_set(err, ERROR_CLOSED, "there is no connection");
    if (client->count == CONTROL_REQUESTS_WAITING)
        return error_set(err, ERROR_LIMIT, "%u requests wait for their answers already",
                         client->count);
    if (!control_request_number(request, client->last_id + 1))
        return error_set(err, ERROR_STATE, "this is no request");
    return control_peer_send(client->peer, request, err);
}

bool control_client_ask(struct control_client *client, cJSON *request, int64_t timeout_ms,
                        control_answered *answered, void *context, struct error *err)
{
    bool sent = send_question(client, request, err);
    control_free(request);
    if (!sent)
        return false;
    *question_at(client, client->count) = (struct question){
        .id = ++client->last_id,
        .deadline_us = clock_monotonic_us() + timeout_ms * 1000,
        .answered = answered,
        .context = context,
    };
    client->count++;
    arm(client);
    return true;
}

/* The connection. */

static void violated(struct control_client *client, const char *what)
{
    struct error err = {0};
    (void)error_set(&err, ERROR_MALFORMED, "%s", what);
    end(client, &err);
}

static void take_answer(struct control_client *client, const struct control_head *head)
{
    if (client->count == 0 || question_at(client, 0)->id != head->id) {
        violated(client, head->id == 0 && !head->ok ? head->failure.message
                                                    : "an answer to what was not asked");
        return;
    }
    struct question question = *question_at(client, 0);
    client->first = (client->first + 1) % CONTROL_REQUESTS_WAITING;
    client->count--;
    settle(&question,
           &(struct control_outcome){.ok = head->ok, .failure = head->ok ? NULL : &head->failure});
    arm(client);
}

static void on_message(struct control_peer *peer, void *owner, const cJSON *message,
                       const struct control_head *head)
{
    (void)peer;
    struct control_client *client = owner;
    if (client->state != OPEN)
        return;
    if (head->form == CONTROL_ANSWER)
        take_answer(client, head);
    else if (client->events->event)
        client->events->event(client, client->owner, head->name, message);
}

static void on_peer_closed(struct control_peer *peer, void *owner, const struct error *reason)
{
    (void)peer;
    struct control_client *client = owner;
    client->peer = NULL;
    end(client, reason);
    release_hold(client);
}

static const struct control_peer_events peer_events = {
    .message = on_message,
    .closed = on_peer_closed,
};

/* As authority/issue.h makes its own: OU=authority. */
static bool is_authority(const struct identity *identity)
{
    for (size_t i = 0; identity && i < identity->attribute_count; i++)
        if (strcmp(identity->attributes[i].type, "OU") == 0)
            return strcmp(identity->attributes[i].value, "authority") == 0;
    return false;
}

static bool take_stream(struct control_client *client, struct stream *stream, struct error *err)
{
    if (client->authority && !is_authority(stream_peer(stream)))
        return error_set(err, ERROR_TLS, "%s is not the authority: its certificate names %s",
                         client->server_name,
                         stream_peer(stream) ? stream_peer(stream)->subject : "nobody");
    return control_peer_adopt(stream, client->loop, CONTROL_ASKS, &peer_events, client,
                              &client->peer, err);
}

static void on_dialled(void *owner, struct stream *stream, const struct error *err)
{
    struct control_client *client = owner;
    struct error why = {0};
    client->dial = NULL;
    if (!stream) {
        end(client, err);
        return;
    }
    if (!take_stream(client, stream, &why)) {
        stream_close(stream, 0);
        end(client, &why);
        return;
    }
    client->holds++;
    client->state = OPEN;
    control_peer_set_idle(client->peer, client->idle_ms);
    client->events->ready(client, client->owner);
}

static bool begin(struct control_client *client, struct stream_loop *shared,
                  const struct control_client_settings *settings, struct error *err)
{
    client->authority = settings->authority;
    client->server_name = strdup(settings->server_name);
    if (!client->server_name)
        return error_set(err, ERROR_MEMORY, "out of memory");
    const struct dial_request request = {
        .address = settings->address,
        .server_name = client->server_name,
        .alpn = TLS_ALPN_CONTROL,
        .context = settings->context,
        .timeout_ms = settings->dial_timeout_ms,
    };
    return dial_start(shared, client->loop, &request, on_dialled, client, &client->dial, err);
}

bool control_client_open(struct stream_loop *shared, uv_loop_t *loop,
                         const struct control_client_settings *settings,
                         const struct control_client_events *events, void *owner,
                         struct control_client **out, struct error *err)
{
    struct control_client *client = calloc(1, sizeof *client);
    if (!client || uv_timer_init(loop, &client->timer) != 0) {
        free(client);
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    client->loop = loop;
    client->timer.data = client;
    client->holds = 1;
    if (!begin(client, shared, settings, err)) {
        end(client, NULL);
        return false;
    }
    client->events = events;
    client->owner = owner;
    *out = client;
    return true;
}

void control_client_set_idle(struct control_client *client, int64_t milliseconds)
{
    client->idle_ms = milliseconds;
    if (client->peer)
        control_peer_set_idle(client->peer, milliseconds);
}

unsigned control_client_open_count(const struct control_client *client)
{
    return client->count;
}

const struct identity *control_client_identity(const struct control_client *client)
{
    return client->peer ? control_peer_identity(client->peer) : NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/control_support.h"

#include <stdio.h>

#include "base/clock.h"

void owner_answer(struct owner *owner, uint64_t id)
{
    struct error err = {0};
    cr_assert(control_peer_send_new(owner->peer, control_answer(id, NULL), &err), "%s",
              err.message);
}

static void on_secured(struct control_peer *peer, void *context)
{
    struct owner *owner = context;
    cr_assert_eq(peer, owner->peer);
    cr_assert_not(owner->closed || owner->secured);
    owner->secured = true;
}

static void on_message(struct control_peer *peer, void *context, const cJSON *message,
                       const struct control_head *head)
{
    struct owner *owner = context;
    cr_assert_eq(peer, owner->peer);
    cr_assert_not(owner->closed);
    owner->messages++;
    owner->last_id = head->id;
    const cJSON *pad = cJSON_GetObjectItemCaseSensitive(message, "pad");
    owner->last_length = pad ? strlen(pad->valuestring) : 0;
    (void)snprintf(owner->last, sizeof owner->last, "%s", head->name ? head->name : "answer");
    if (owner->close_at_message) {
        control_peer_close(peer, NULL);
        control_peer_close(peer, NULL);
        cr_assert_not(owner->closed, "not from inside the call");
    } else if (head->form == CONTROL_REQUEST && !owner->quiet) {
        owner_answer(owner, head->id);
    }
}

static void on_closed(struct control_peer *peer, void *context, const struct error *reason)
{
    struct owner *owner = context;
    cr_assert_eq(peer, owner->peer);
    cr_assert_not(owner->closed, "closed came twice");
    owner->closed = true;
    owner->reason = *reason;
    (void)snprintf(owner->address, sizeof owner->address, "%s",
                   stream_peer_address(control_peer_stream(peer)));
    owner->peer = NULL;
}

const struct control_peer_events owner_events = {
    .secured = on_secured, .message = on_message, .closed = on_closed};

static struct stream *take_stream(struct side *side)
{
    struct stream *stream = side->stream;
    side->stream = NULL;
    return stream;
}

void owner_adopt(struct owner *owner, struct pair *pair, struct side *side, enum control_side role)
{
    struct error err = {0};
    owner->pair = pair;
    cr_assert(control_peer_adopt(take_stream(side), &pair->loop, role, &owner_events, owner,
                                 &owner->peer, &err),
              "%s", err.message);
}

void owner_finish(struct owner *owner, struct pair *pair)
{
    if (owner->peer)
        control_peer_close(owner->peer, NULL);
    if (pair->client.stream)
        stream_close(pair->client.stream, 0);
    pair_run_until(pair, &owner->closed);
    pair_close(pair);
}

void side_send(struct side *side, const char *text)
{
    struct buffer frame;
    buffer_init(&frame, 1 << 20);
    append_frame(&frame, text);
    side_write(side, buffer_bytes(&frame), buffer_length(&frame));
    buffer_release(&frame);
}

void owner_run_until(struct owner *owner, int count)
{
    int64_t until = clock_monotonic_us() + 10000000;
    while (owner->messages < count && !owner->closed && clock_monotonic_us() < until)
        (void)uv_run(&owner->pair->loop, UV_RUN_NOWAIT);
    cr_assert_geq(owner->messages, count, "%s", owner->reason.message);
}

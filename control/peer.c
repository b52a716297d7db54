/* SPDX-License-Identifier: Apache-2.0 */
#include "control/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/frame.h"

/* What goes to the stream in one piece. */
#define OUTPUT_PIECE (64 * 1024)

enum state { OPENING, OPEN, CLOSING };

struct control_peer {
    enum control_side side;
    enum state state;
    const struct control_peer_events *events; /* NULL: it was never handed out */
    void *owner;
    struct stream *stream;
    uv_timer_t timer;
    unsigned holds; /* stream and timer: what must be gone before the memory */
    bool spoke;     /* a whole message came */
    bool full;      /* paused, because too many requests wait */
    int64_t first_ms, idle_ms, stall_ms;
    int64_t heard_us; /* the last whole message, or the beginning */
    int64_t moved_us; /* when output last went on, or began to wait */
    uint64_t last_id;
    uint64_t waiting[CONTROL_REQUESTS_WAITING]; /* ids without an answer, a ring */
    unsigned waiting_first, waiting_count;
    struct control_reader reader;
    struct buffer output;
    struct error reason;
};

/* moves[from] has the bit of each state that may follow. */
static const unsigned moves[] = {
    [OPENING] = 1u << OPEN | 1u << CLOSING,
    [OPEN] = 1u << CLOSING,
    [CLOSING] = 0,
};

static bool set_state(struct control_peer *peer, enum state state)
{
    bool declared = moves[peer->state] & 1u << state;
    if (declared)
        peer->state = state;
    else
        log_error("a control connection was asked for a move that does not exist", NULL);
    return declared;
}

/* The end. */

static void release_hold(struct control_peer *peer)
{
    if (--peer->holds > 0)
        return;
    control_reader_release(&peer->reader);
    control_frame_release(&peer->output);
    free(peer);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release_hold(handle->data);
}

static void end(struct control_peer *peer, const struct error *reason, unsigned linger_ms)
{
    if (peer->state == CLOSING || !set_state(peer, CLOSING))
        return;
    if (reason)
        peer->reason = *reason;
    buffer_wipe(&peer->output);
    stream_close(peer->stream, linger_ms);
    uv_close((uv_handle_t *)&peer->timer, on_timer_closed);
}

static void end_with(struct control_peer *peer, enum error_code code, const char *what)
{
    struct error err = {0};
    (void)error_set(&err, code, "%s", what);
    end(peer, &err, CONTROL_LINGER_MS);
}

void control_peer_close(struct control_peer *peer, const struct error *reason)
{
    if (peer)
        end(peer, reason, CONTROL_LINGER_MS);
}

/* Deadlines. */

static int64_t earlier(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

/* When something is over that is going on now; INT64_MAX: nothing is. */
static int64_t heard_deadline(const struct control_peer *peer)
{
    if (peer->side == CONTROL_ANSWERS && !peer->spoke)
        return peer->heard_us + peer->first_ms * 1000;
    if (peer->idle_ms == 0 || (peer->side == CONTROL_ANSWERS && peer->waiting_count > 0))
        return INT64_MAX;
    return peer->heard_us + peer->idle_ms * 1000;
}

static int64_t output_deadline(const struct control_peer *peer)
{
    return buffer_length(&peer->output) > 0 ? peer->moved_us + peer->stall_ms * 1000 : INT64_MAX;
}

static void on_timer(uv_timer_t *timer);

/* Cheap enough for each event: libuv's timers are a heap. */
static void arm(struct control_peer *peer)
{
    if (peer->state == CLOSING)
        return;
    int64_t deadline = earlier(heard_deadline(peer), output_deadline(peer));
    if (deadline == INT64_MAX) {
        (void)uv_timer_stop(&peer->timer);
        return;
    }
    int64_t left_us = deadline - clock_monotonic_us();
    uv_update_time(peer->timer.loop);
    /* Fails only for a closing handle or without a callback. */
    (void)uv_timer_start(&peer->timer, on_timer, left_us > 0 ? (uint64_t)left_us / 1000 + 1 : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct control_peer *peer = timer->data;
    int64_t now = clock_monotonic_us();
    if (now >= output_deadline(peer))
        end_with(peer, ERROR_TIMEOUT, "the peer does not read what was sent to it");
    else if (now < heard_deadline(peer))
        arm(peer);
    else if (peer->state == OPENING)
        end_with(peer, ERROR_TIMEOUT, "the TLS handshake was not done in time");
    else if (!peer->spoke)
        end_with(peer, ERROR_TIMEOUT, "no whole request came in time");
    else
        end_with(peer, ERROR_TIMEOUT, "the peer has been silent for too long");
}

void control_peer_set_idle(struct control_peer *peer, int64_t milliseconds)
{
    peer->idle_ms = milliseconds;
    arm(peer);
}

void control_peer_set_deadlines(struct control_peer *peer, int64_t first_ms, int64_t stall_ms)
{
    peer->first_ms = first_ms;
    peer->stall_ms = stall_ms;
    arm(peer);
}

/* Output. */

/* Hands to the stream what it takes without holding much. A failure shows as its `failed`. */
static void feed(struct control_peer *peer)
{
    while (buffer_length(&peer->output) > 0 &&
           stream_backlog(peer->stream) <= STREAM_BACKLOG_HIGH) {
        size_t length = buffer_length(&peer->output);
        size_t piece = length < OUTPUT_PIECE ? length : OUTPUT_PIECE;
        if (!stream_write(peer->stream, buffer_bytes(&peer->output), piece, NULL))
            return;
        buffer_consume(&peer->output, piece);
    }
    if (buffer_length(&peer->output) > 0)
        return;
    buffer_wipe(&peer->output);
    buffer_trim(&peer->output, OUTPUT_PIECE);
}

/* False: it is more than may wait. */
static bool enqueue(struct control_peer *peer, const struct buffer *frame, struct error *err)
{
    size_t waits = buffer_length(&peer->output);
    if (waits + buffer_length(frame) > CONTROL_OUTPUT_MAX) {
        (void)error_set(err, ERROR_LIMIT, "the peer does not read: more than %d bytes wait for it",
                        CONTROL_OUTPUT_MAX);
        end(peer, err, 0);
        return false;
    }
    if (!control_append_wiping(&peer->output, buffer_bytes(frame), buffer_length(frame), err)) {
        end(peer, err, 0); /* what was sent must not have a hole */
        return false;
    }
    if (waits == 0)
        peer->moved_us = clock_monotonic_us();
    feed(peer);
    if (waits == 0 && buffer_length(&peer->output) > 0)
        arm(peer);
    return true;
}

/* Whether the message is something else than an answer, or the answer that is due. */
static bool check_turn(const struct control_peer *peer, const struct control_head *head,
                       struct error *err)
{
    bool answer = head->form == CONTROL_ANSWER;
    if ((peer->side == CONTROL_ASKS) != (head->form == CONTROL_REQUEST))
        return error_set(err, ERROR_STATE, "this side does not send such a message");
    if (answer && (peer->waiting_count == 0 || peer->waiting[peer->waiting_first] != head->id))
        return error_set(err, ERROR_STATE, "an answer out of turn");
    return true;
}

static void count_answer(struct control_peer *peer)
{
    peer->waiting_first = (peer->waiting_first + 1) % CONTROL_REQUESTS_WAITING;
    peer->waiting_count--;
    if (peer->waiting_count == 0) { /* from now on it is the peer who is waited for */
        peer->heard_us = clock_monotonic_us();
        arm(peer);
    }
    if (peer->full) {
        peer->full = false;
        stream_resume(peer->stream);
    }
}

static bool send_frame(struct control_peer *peer, const cJSON *message, struct error *err)
{
    struct buffer frame;
    size_t greatest = peer->side == CONTROL_ASKS ? CONTROL_REQUEST_MAX : CONTROL_ANSWER_MAX;
    if (!control_frame_print(message, greatest, &frame, err))
        return false;
    bool sent = enqueue(peer, &frame, err);
    control_frame_release(&frame);
    return sent;
}

bool control_peer_send(struct control_peer *peer, const cJSON *message, struct error *err)
{
    struct control_head head;
    struct error why = {0};
    bool sent = false;
    if (peer->state == CLOSING)
        (void)error_set(&why, ERROR_CLOSED, "the connection is closed");
    else
        sent = control_head_read(message, &head, &why) && check_turn(peer, &head, &why) &&
               send_frame(peer, message, &why);
    if (sent && head.form == CONTROL_ANSWER)
        count_answer(peer);
    if (!sent && err)
        *err = why;
    return sent;
}

bool control_peer_send_new(struct control_peer *peer, cJSON *message, struct error *err)
{
    if (!message)
        return error_set(err, ERROR_MEMORY, "out of memory for a message");
    bool sent = control_peer_send(peer, message, err);
    control_free(message);
    return sent;
}

/* Input. */

/* The last word to who breaks the protocol, and the end. */
static void refuse(struct control_peer *peer, uint64_t id, const struct error *err)
{
    struct buffer frame;
    cJSON *answer =
        peer->side == CONTROL_ANSWERS ? control_error(id, CONTROL_MALFORMED, err->message) : NULL;
    if (answer && control_frame_print(answer, CONTROL_ANSWER_MAX, &frame, NULL)) {
        (void)enqueue(peer, &frame, &(struct error){0});
        control_frame_release(&frame);
    }
    control_free(answer);
    end(peer, err, CONTROL_LINGER_MS);
}

static bool accept_request(struct control_peer *peer, const struct control_head *head,
                           struct error *err)
{
    if (head->form != CONTROL_REQUEST)
        return error_set(err, ERROR_MALFORMED, "only requests may be sent to this side");
    if (head->id <= peer->last_id)
        return error_set(err, ERROR_MALFORMED, "'id' is not greater than the one before");
    peer->last_id = head->id;
    unsigned last = (peer->waiting_first + peer->waiting_count) % CONTROL_REQUESTS_WAITING;
    peer->waiting[last] = head->id;
    peer->waiting_count++;
    return true;
}

static bool accept_message(struct control_peer *peer, const cJSON *message,
                           struct control_head *head, struct error *err)
{
    if (!control_head_read(message, head, err))
        return false;
    if (peer->side == CONTROL_ANSWERS)
        return accept_request(peer, head, err);
    return head->form != CONTROL_REQUEST ||
           error_set(err, ERROR_MALFORMED, "a request where an answer is due");
}

static void take_frame(struct control_peer *peer, struct byte_view json)
{
    cJSON *message;
    struct control_head head = {0};
    struct error err = {0};
    if (!control_parse(json, &message, &err) || !accept_message(peer, message, &head, &err)) {
        control_free(message);
        refuse(peer, head.id, &err);
        return;
    }
    peer->heard_us = clock_monotonic_us();
    peer->spoke = true;
    peer->events->message(peer, peer->owner, message, &head);
    control_free(message);
    explicit_bzero(&head, sizeof head);
    arm(peer);
}

/* Whether more is taken now. */
static bool may_take(struct control_peer *peer, unsigned messages)
{
    if (peer->waiting_count == CONTROL_REQUESTS_WAITING) {
        peer->full = true;
        stream_pause(peer->stream);
        return false;
    }
    if (messages == CONTROL_BURST) {
        stream_yield(peer->stream);
        return false;
    }
    return true;
}

static size_t on_data(struct stream *stream, void *owner, const uint8_t *data, size_t length)
{
    (void)stream;
    struct control_peer *peer = owner;
    size_t taken = 0;
    unsigned messages = 0;
    while (taken < length && peer->state != CLOSING && may_take(peer, messages)) {
        size_t part;
        struct byte_view json;
        struct error err = {0};
        enum control_progress progress = control_reader_feed(
            &peer->reader, byte_view(data + taken, length - taken), &part, &json, &err);
        taken += part;
        if (progress == CONTROL_REFUSED)
            refuse(peer, 0, &err);
        if (progress == CONTROL_FRAME) {
            messages++;
            take_frame(peer, json);
        }
    }
    return peer->state == CLOSING ? length : taken;
}

/* The other events of the stream. */

static void on_secured(struct stream *stream, void *owner)
{
    struct control_peer *peer = owner;
    const char *alpn = stream_alpn(stream);
    if (peer->state != OPENING || !set_state(peer, OPEN))
        return;
    if (!alpn || strcmp(alpn, TLS_ALPN_CONTROL) != 0)
        end_with(peer, ERROR_UNSUPPORTED, "the peer does not speak " TLS_ALPN_CONTROL);
    else if (peer->events->secured)
        peer->events->secured(peer, peer->owner);
}

static void on_drained(struct stream *stream, void *owner)
{
    (void)stream;
    struct control_peer *peer = owner;
    if (peer->state == CLOSING)
        return;
    peer->moved_us = clock_monotonic_us();
    feed(peer);
    arm(peer);
}

static void on_ended(struct stream *stream, void *owner)
{
    (void)stream;
    struct control_peer *peer = owner;
    end_with(peer, ERROR_CLOSED,
             control_reader_amid(&peer->reader)
                 ? "the peer closed the connection in the middle of a message"
                 : "the peer closed the connection");
}

static void on_failed(struct stream *stream, void *owner, const struct error *err)
{
    (void)stream;
    end(owner, err, CONTROL_LINGER_MS);
}

/* The owner hears of it while the stream can still be asked whose it was. */
static void on_closed(struct stream *stream, void *owner)
{
    (void)stream;
    struct control_peer *peer = owner;
    if (peer->events)
        peer->events->closed(peer, peer->owner, &peer->reason);
    release_hold(peer);
}

static const struct stream_events peer_stream_events = {
    .secured = on_secured,
    .data = on_data,
    .drained = on_drained,
    .ended = on_ended,
    .failed = on_failed,
    .closed = on_closed,
};

/* The beginning. */

/* `greatest`: of what the other side sends. */
static struct control_peer *peer_new(uv_loop_t *loop, enum control_side side, size_t greatest,
                                     struct error *err)
{
    struct control_peer *peer = calloc(1, sizeof *peer);
    if (!peer || uv_timer_init(loop, &peer->timer) != 0) {
        free(peer);
        (void)error_set(err, ERROR_MEMORY, "out of memory for a connection");
        return NULL;
    }
    peer->side = side;
    peer->first_ms = CONTROL_FIRST_MS;
    peer->stall_ms = CONTROL_STALL_MS;
    peer->timer.data = peer;
    peer->holds = 1;
    peer->heard_us = clock_monotonic_us();
    control_reader_init(&peer->reader, greatest);
    buffer_init(&peer->output, CONTROL_OUTPUT_MAX);
    return peer;
}

bool control_peer_accept(struct stream_loop *shared, uv_stream_t *listener,
                         struct tls_context *context, const struct control_peer_events *events,
                         void *owner, struct control_peer **out, struct error *err)
{
    struct control_peer *peer =
        peer_new(listener->loop, CONTROL_ANSWERS,
                 context ? CONTROL_REQUEST_MAX : CONTROL_ADMIN_REQUEST_MAX, err);
    if (!peer)
        return false;
    bool accepted = stream_accept(shared, listener, &peer_stream_events, peer, &peer->stream, err);
    peer->holds += accepted;
    if (!accepted || (context && !stream_start_tls(peer->stream, context, NULL, err)) ||
        (!context && !set_state(peer, OPEN))) {
        end(peer, NULL, 0);
        return false;
    }
    peer->events = events;
    peer->owner = owner;
    arm(peer);
    *out = peer;
    return true;
}

bool control_peer_adopt(struct stream *stream, uv_loop_t *loop, enum control_side side,
                        const struct control_peer_events *events, void *owner,
                        struct control_peer **out, struct error *err)
{
    struct control_peer *peer =
        peer_new(loop, side, side == CONTROL_ASKS ? CONTROL_ANSWER_MAX : CONTROL_REQUEST_MAX, err);
    if (!peer)
        return false;
    peer->stream = stream;
    peer->holds++;
    peer->events = events;
    peer->owner = owner;
    (void)set_state(peer, OPEN);
    stream_set_owner(stream, &peer_stream_events, peer);
    stream_resume(stream);
    arm(peer);
    *out = peer;
    return true;
}

const struct identity *control_peer_identity(const struct control_peer *peer)
{
    return stream_peer(peer->stream);
}

const struct stream *control_peer_stream(const struct control_peer *peer)
{
    return peer->stream;
}

unsigned control_peer_waiting(const struct control_peer *peer)
{
    return peer->waiting_count;
}

size_t control_peer_backlog(const struct control_peer *peer)
{
    return buffer_length(&peer->output) + stream_backlog(peer->stream);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tls/stream_internal.h"

void stream_link_init(struct stream_link *link)
{
    link->previous = link;
    link->next = link;
}

void stream_link_remove(struct stream_link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    stream_link_init(link);
}

void stream_link_append(struct stream_link *ring, struct stream_link *link)
{
    link->previous = ring->previous;
    link->next = ring;
    ring->previous->next = link;
    ring->previous = link;
}

static bool ring_empty(const struct stream_link *ring)
{
    return ring->next == ring;
}

#define STREAM_OF(link, member) \
    ((struct stream *)(void *)((char *)(link)-offsetof(struct stream, member)))

/* Deferred work. */

static void emit_drained(struct stream *stream)
{
    if (!stream->above_high || stream_backlog(stream) > STREAM_BACKLOG_LOW)
        return;
    stream->above_high = false;
    if ((stream->state == STREAM_OPEN || stream->state == STREAM_CONNECTING) && !stream->failing)
        stream->events->drained(stream, stream->owner);
}

static void attend_to(struct stream *stream)
{
    unsigned why = stream->attention;
    stream->attention = 0;
    if (why & STREAM_ATTEND_YIELD)
        stream->paused = false;
    if (why & (STREAM_ATTEND_INPUT | STREAM_ATTEND_YIELD)) {
        stream_pump(stream);
        stream_update_reading(stream);
    }
    if (why & STREAM_ATTEND_DRAINED)
        emit_drained(stream);
    stream_settle(stream);
}

/* Those that ask again meanwhile wait for the next iteration, so that the socket events get their
 * turn. */
static void on_wake(uv_idle_t *handle)
{
    struct stream_loop *shared = handle->data;
    struct stream_link round;
    stream_link_init(&round);
    while (!ring_empty(&shared->waiting)) {
        struct stream_link *link = shared->waiting.next;
        stream_link_remove(link);
        stream_link_append(&round, link);
    }
    (void)uv_idle_stop(&shared->wake);
    while (!ring_empty(&round)) {
        struct stream *stream = STREAM_OF(round.next, wait_link);
        stream_link_remove(&stream->wait_link);
        stream_loop_enter(shared);
        attend_to(stream);
        stream_loop_leave(shared);
    }
}

void stream_attend(struct stream *stream, enum stream_attention why)
{
    if (stream->state == STREAM_CLOSING)
        return;
    if (stream->attention == 0) {
        stream_link_append(&stream->shared->waiting, &stream->wait_link);
        (void)uv_idle_start(&stream->shared->wake, on_wake);
    }
    stream->attention |= (unsigned)why;
}

void stream_attend_no_more(struct stream *stream, enum stream_attention why)
{
    stream->attention &= ~(unsigned)why;
    if (stream->attention == 0)
        stream_link_remove(&stream->wait_link);
}

/* Lingering. */

static void on_linger_tick(uv_timer_t *timer)
{
    struct stream_loop *shared = timer->data;
    uint64_t now = uv_now(shared->loop);
    for (struct stream_link *link = shared->lingering.next; link != &shared->lingering;) {
        struct stream *stream = STREAM_OF(link, linger_link);
        link = link->next;
        if (now >= stream->linger_until)
            stream_force_close(stream);
    }
    if (ring_empty(&shared->lingering))
        (void)uv_timer_stop(timer);
}

void stream_start_linger_timer(struct stream_loop *shared)
{
    if (!uv_is_active((uv_handle_t *)&shared->linger))
        (void)uv_timer_start(&shared->linger, on_linger_tick, STREAM_LINGER_TICK_MS,
                             STREAM_LINGER_TICK_MS);
}

/* Output. */

void stream_loop_enter(struct stream_loop *shared)
{
    shared->depth++;
}

void stream_loop_leave(struct stream_loop *shared)
{
    if (shared->depth == 1)
        stream_loop_flush(shared);
    shared->depth--;
}

static void on_flush(uv_prepare_t *handle)
{
    struct stream_loop *shared = handle->data;
    (void)uv_prepare_stop(handle);
    stream_loop_flush(shared);
}

/* The storage of an output queue that has run dry goes to the next stream that needs some. */
static void recycle(struct stream *stream, struct buffer *queue)
{
    struct buffer *spare = &stream->shared->spare;
    if (!spare->storage && queue->storage && queue->capacity <= STREAM_SPARE_MAX) {
        *spare = *queue;
        buffer_init(queue, STREAM_BACKLOG_MAX);
    }
    buffer_release(queue);
}

static void output_failed(struct stream *stream, int code)
{
    if (stream->write_error != 0)
        return;
    stream->write_error = code;
    buffer_release(&stream->pending);
    if (stream->state == STREAM_LINGERING) {
        stream_force_close(stream);
        return;
    }
    /*
     * The peer may have said why before it went (a TLS alert, an ERR packet): what it sent is read
     * first, and the end of input then brings the failure. Nobody reads a paused stream, so it
     * fails now.
     */
    if (stream->paused || !stream->reading)
        stream_fail_with(stream, ERROR_SYSTEM, "cannot send to %s: %s", stream->address,
                         uv_strerror(code));
}

static void on_written(uv_write_t *request, int status);

static void send_pending(struct stream *stream)
{
    struct buffer next = stream->pending;
    stream->pending = stream->in_flight;
    stream->in_flight = next;
    uv_buf_t out = uv_buf_init((char *)next.storage + next.start, (unsigned)buffer_length(&next));
    int code = uv_write(&stream->write_request, &stream->uv.stream, &out, 1, on_written);
    if (code != 0) {
        buffer_clear(&stream->in_flight);
        output_failed(stream, code);
        return;
    }
    stream->sending = true;
}

static void on_written(uv_write_t *request, int status)
{
    struct stream *stream = request->data;
    stream->sending = false;
    buffer_clear(&stream->in_flight);
    if (stream->state == STREAM_CLOSING)
        return;
    stream_loop_enter(stream->shared);
    if (status < 0)
        output_failed(stream, status);
    else if (buffer_length(&stream->pending) > 0)
        send_pending(stream);
    else
        recycle(stream, &stream->pending);
    if (!stream->sending)
        recycle(stream, &stream->in_flight);
    if (status == 0)
        emit_drained(stream);
    if (stream->state == STREAM_LINGERING && !stream->sending)
        stream_finish_linger(stream);
    stream_settle(stream);
    stream_loop_leave(stream->shared);
}

static bool queue_output(struct stream *stream, const void *bytes, size_t length, struct error *err)
{
    if (stream_backlog(stream) + length > STREAM_BACKLOG_MAX)
        return error_set(err, ERROR_LIMIT, "%s does not read: more than %d bytes wait for it",
                         stream->address, STREAM_BACKLOG_MAX);
    if (!stream->pending.storage && stream->shared->spare.storage) {
        stream->pending = stream->shared->spare;
        buffer_init(&stream->shared->spare, STREAM_BACKLOG_MAX);
    }
    return buffer_append(&stream->pending, bytes, length, err);
}

static void flush_stream(struct stream *stream)
{
    struct stream_loop *shared = stream->shared;
    size_t length = shared->written;
    shared->written = 0;
    shared->writer = NULL;
    if (length == 0 || stream->write_error != 0)
        return;
    uv_buf_t out = uv_buf_init((char *)shared->write, (unsigned)length);
    int sent = uv_try_write(&stream->uv.stream, &out, 1);
    if (sent < 0 && sent != UV_EAGAIN) {
        output_failed(stream, sent);
        return;
    }
    size_t taken = sent > 0 ? (size_t)sent : 0;
    if (taken == length) {
        if (stream->above_high)
            stream_attend(stream, STREAM_ATTEND_DRAINED);
        return;
    }
    struct error err = {0};
    if (!queue_output(stream, shared->write + taken, length - taken, &err)) {
        stream_fail(stream, &err);
        return;
    }
    send_pending(stream);
}

void stream_loop_flush(struct stream_loop *shared)
{
    if (shared->writer)
        flush_stream(shared->writer);
}

void stream_drop_output(struct stream *stream)
{
    if (stream->shared->writer != stream)
        return;
    stream->shared->writer = NULL;
    stream->shared->written = 0;
}

static void claim_write_buffer(struct stream *stream)
{
    struct stream_loop *shared = stream->shared;
    if (shared->writer == stream)
        return;
    stream_loop_flush(shared);
    shared->writer = stream;
    /* Nobody will leave a callback of ours after this write, so the loop itself has to flush. */
    if (shared->depth == 0)
        (void)uv_prepare_start(&shared->flush, on_flush);
}

bool stream_emit(struct stream *stream, const void *bytes, size_t length, struct error *err)
{
    const uint8_t *from = bytes;
    struct stream_loop *shared = stream->shared;
    while (length > 0) {
        if (stream->write_error != 0)
            return true; /* the failure is told in its own time; see output_failed() */
        if (stream->sending || buffer_length(&stream->pending) > 0)
            return queue_output(stream, from, length, err);
        claim_write_buffer(stream);
        size_t room = STREAM_WRITE_CHUNK - shared->written;
        size_t part = length < room ? length : room;
        memcpy(shared->write + shared->written, from, part);
        shared->written += part;
        from += part;
        length -= part;
        if (shared->written == STREAM_WRITE_CHUNK)
            flush_stream(stream);
    }
    return true;
}

size_t stream_backlog(const struct stream *stream)
{
    size_t backlog = buffer_length(&stream->early) + buffer_length(&stream->pending);
    if (stream->sending)
        backlog += uv_stream_get_write_queue_size(&stream->uv.stream);
    if (stream->shared->writer == stream)
        backlog += stream->shared->written;
    return backlog;
}

/* Life. */

static pthread_once_t signal_once = PTHREAD_ONCE_INIT;

/* libuv writes with write(2), so a peer that is gone would end the process. The write's error says
 * it too. */
static void ignore_sigpipe(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &action, NULL);
}

bool stream_loop_create(uv_loop_t *loop, struct stream_loop **out, struct error *err)
{
    (void)pthread_once(&signal_once, ignore_sigpipe);
    struct stream_loop *shared = malloc(sizeof *shared);
    if (!shared)
        return error_set(err, ERROR_MEMORY, "out of memory for the buffers of a loop");
    /* The three large arrays at the end need no zeros. */
    memset(shared, 0, offsetof(struct stream_loop, read));
    shared->loop = loop;
    stream_link_init(&shared->waiting);
    stream_link_init(&shared->lingering);
    buffer_init(&shared->spare, STREAM_BACKLOG_MAX);
    /* libuv documents that these three never fail. */
    (void)uv_idle_init(loop, &shared->wake);
    (void)uv_prepare_init(loop, &shared->flush);
    (void)uv_timer_init(loop, &shared->linger);
    shared->wake.data = shared->flush.data = shared->linger.data = shared;
    shared->open_handles = 3;
    *out = shared;
    return true;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct stream_loop *shared = handle->data;
    if (--shared->open_handles > 0)
        return;
    buffer_release(&shared->spare);
    free(shared);
}

void stream_loop_destroy(struct stream_loop *shared)
{
    if (!shared)
        return;
    uv_close((uv_handle_t *)&shared->wake, on_handle_closed);
    uv_close((uv_handle_t *)&shared->flush, on_handle_closed);
    uv_close((uv_handle_t *)&shared->linger, on_handle_closed);
}

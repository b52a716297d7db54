/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/stream.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "tls/stream_internal.h"

/* transitions[from] has the bit of each state that may follow. */
static const unsigned transitions[] = {
    [STREAM_CONNECTING] = 1u << STREAM_OPEN | 1u << STREAM_FAILED | 1u << STREAM_CLOSING,
    [STREAM_OPEN] = 1u << STREAM_FAILED | 1u << STREAM_LINGERING | 1u << STREAM_CLOSING,
    [STREAM_FAILED] = 1u << STREAM_LINGERING | 1u << STREAM_CLOSING,
    [STREAM_LINGERING] = 1u << STREAM_CLOSING,
    [STREAM_CLOSING] = 0,
};

void stream_set_state(struct stream *stream, enum stream_state state)
{
    if (transitions[stream->state] & 1u << state) {
        stream->state = state;
        return;
    }
    char move[32];
    (void)snprintf(move, sizeof move, "%d to %d", (int)stream->state, (int)state);
    log_error("a stream was asked for a move that does not exist", "move", move, NULL);
}

/* Failing. */

void stream_fail(struct stream *stream, const struct error *err)
{
    if (stream->failing || stream->state == STREAM_FAILED)
        return;
    stream->failing = true;
    stream->error = *err;
    stream_attend(stream, STREAM_ATTEND_FAILURE);
}

void stream_fail_with(struct stream *stream, enum error_code code, const char *format, ...)
{
    struct error err = {.code = code};
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(err.message, sizeof err.message, format, arguments);
    va_end(arguments);
    stream_fail(stream, &err);
}

void stream_settle(struct stream *stream)
{
    if (!stream->failing)
        return;
    stream->failing = false;
    if (stream->state != STREAM_OPEN && stream->state != STREAM_CONNECTING)
        return;
    stream_set_state(stream, STREAM_FAILED);
    stream_update_reading(stream);
    stream->events->failed(stream, stream->owner, &stream->error);
}

/* Input. */

bool stream_can_read(const struct stream *stream)
{
    return stream->state == STREAM_OPEN && !stream->paused && !stream->failing;
}

bool stream_deliver(struct stream *stream, const uint8_t *bytes, size_t length, size_t *taken)
{
    const struct stream_tls *tls_before = stream->tls;
    stream->delivering = true;
    *taken = stream->events->data(stream, stream->owner, bytes, length);
    stream->delivering = false;
    if (*taken > length) {
        *taken = length;
        stream_fail_with(stream, ERROR_STATE, "the owner took more than it was given");
    }
    if (*taken < length && stream_can_read(stream) && stream->tls == tls_before)
        stream_fail_with(stream, ERROR_STATE, "the owner left bytes and did not pause");
    return stream_can_read(stream);
}

static bool deliver_kept_plain(struct stream *stream)
{
    size_t taken;
    size_t length = buffer_length(&stream->kept_plain);
    bool go_on = stream_deliver(stream, buffer_bytes(&stream->kept_plain), length, &taken);
    buffer_consume(&stream->kept_plain, taken);
    if (taken == length)
        buffer_release(&stream->kept_plain);
    return go_on;
}

/* What is behind the bytes that a client's owner took before it started TLS was sent by the server
 * before our hello: it cannot be TLS (RFC 8446, 4.1.2: the client speaks first). */
static bool refuse_injected(struct stream *stream)
{
    if (!stream->tls || stream->tls->context->side != TLS_CLIENT)
        return false;
    stream_fail_with(stream, ERROR_MALFORMED, "%s sent plaintext where TLS is due",
                     stream->address);
    return true;
}

static bool deliver_clear(struct stream *stream)
{
    bool kept = buffer_length(&stream->kept_input) > 0;
    const uint8_t *bytes = kept ? buffer_bytes(&stream->kept_input) : stream->input;
    size_t length = kept ? buffer_length(&stream->kept_input) : stream->input_length;
    if (length == 0)
        return false;
    size_t taken;
    bool go_on = stream_deliver(stream, bytes, length, &taken);
    if (kept) {
        buffer_consume(&stream->kept_input, taken);
    } else {
        stream->input += taken;
        stream->input_length -= taken;
    }
    if (taken < length && refuse_injected(stream))
        return false;
    return go_on;
}

static bool pump_once(struct stream *stream)
{
    if (buffer_length(&stream->kept_plain) > 0)
        return deliver_kept_plain(stream);
    return stream->tls ? stream_tls_step(stream) : deliver_clear(stream);
}

/* The buffer that input was read into is the loop's: what is left goes to the stream's own. */
static void keep_input(struct stream *stream)
{
    struct error err = {0};
    if (stream->input_length > 0 && (stream->state == STREAM_OPEN && !stream->failing) &&
        !buffer_append(&stream->kept_input, stream->input, stream->input_length, &err))
        stream_fail(stream, &err);
    stream->input = NULL;
    stream->input_length = 0;
    if (buffer_length(&stream->kept_input) == 0)
        buffer_release(&stream->kept_input);
}

void stream_pump(struct stream *stream)
{
    while (stream_can_read(stream) && pump_once(stream)) {
    }
    keep_input(stream);
}

void stream_pause(struct stream *stream)
{
    stream->paused = true;
    stream_attend_no_more(stream, STREAM_ATTEND_YIELD);
    stream_update_reading(stream);
    if (stream->write_error != 0 && stream->state == STREAM_OPEN)
        stream_fail_with(stream, ERROR_SYSTEM, "cannot send to %s: %s", stream->address,
                         uv_strerror(stream->write_error));
}

void stream_resume(struct stream *stream)
{
    if (!stream->paused)
        return;
    stream->paused = false;
    if (stream->state == STREAM_OPEN)
        stream_attend(stream, STREAM_ATTEND_INPUT);
}

void stream_yield(struct stream *stream)
{
    if (stream->paused || stream->state != STREAM_OPEN)
        return;
    stream->paused = true;
    stream_update_reading(stream);
    stream_attend(stream, STREAM_ATTEND_YIELD);
}

bool stream_paused(const struct stream *stream)
{
    return stream->paused;
}

/* Output. */

static bool write_bytes(struct stream *stream, const void *bytes, size_t length, struct error *err)
{
    if (!stream->tls)
        return stream_emit(stream, bytes, length, err);
    if (!stream->tls->verified)
        return buffer_append(&stream->early, bytes, length, err);
    return stream_tls_write(stream, bytes, length, err);
}

bool stream_write(struct stream *stream, const void *bytes, size_t length, struct error *err)
{
    if ((stream->state != STREAM_OPEN && stream->state != STREAM_CONNECTING) || stream->failing)
        return error_set(err, ERROR_CLOSED, "the connection to %s is closed", stream->address);
    struct error why = {0};
    if (length > 0 && !write_bytes(stream, bytes, length, &why)) {
        stream_fail(stream, &why);
        if (err)
            *err = why;
        return false;
    }
    if (stream_backlog(stream) > STREAM_BACKLOG_HIGH)
        stream->above_high = true;
    return true;
}

void stream_flush(struct stream *stream)
{
    if (stream->shared->writer == stream)
        stream_loop_flush(stream->shared);
}

/* TLS. */

bool stream_start_tls(struct stream *stream, struct tls_context *context, const char *server_name,
                      struct error *err)
{
    if (stream->state != STREAM_OPEN && stream->state != STREAM_CONNECTING)
        return error_set(err, ERROR_CLOSED, "the connection to %s is closed", stream->address);
    if (stream->tls)
        return error_set(err, ERROR_STATE, "the connection to %s is under TLS already",
                         stream->address);
    if (!stream_tls_create(stream, context, server_name, err))
        return false;
    /* While `data` runs, what it leaves is looked at when it returns. */
    if (!stream->delivering && buffer_length(&stream->kept_input) > 0)
        (void)refuse_injected(stream);
    stream_attend(stream, STREAM_ATTEND_INPUT);
    return true;
}

/* Looking. */

const struct identity *stream_peer(const struct stream *stream)
{
    return stream->tls && stream->tls->verified ? stream->tls->peer : NULL;
}

const struct identity *stream_refused_peer(const struct stream *stream)
{
    return stream->tls && !stream->tls->verified ? stream->tls->peer : NULL;
}

const char *stream_alpn(const struct stream *stream)
{
    return stream->tls && stream->tls->verified ? mbedtls_ssl_get_alpn_protocol(&stream->tls->ssl)
                                                : NULL;
}

const char *stream_cipher(const struct stream *stream)
{
    return stream->tls && stream->tls->verified ? stream->tls->cipher : "plaintext";
}

const char *stream_peer_address(const struct stream *stream)
{
    return stream->address;
}

int stream_fd(const struct stream *stream)
{
    uv_os_fd_t fd;
    return uv_fileno(&stream->uv.handle, &fd) == 0 ? fd : -1;
}

void stream_set_owner(struct stream *stream, const struct stream_events *events, void *owner)
{
    stream->events = events;
    stream->owner = owner;
}

/* Closing. */

void stream_close(struct stream *stream, unsigned linger_ms)
{
    if (!stream || stream->state == STREAM_CLOSING)
        return;
    if (stream->state == STREAM_LINGERING) {
        if (linger_ms == 0)
            stream_force_close(stream);
        return;
    }
    bool orderly = stream->state == STREAM_OPEN && !stream->failing && stream->write_error == 0;
    if (orderly && stream->tls)
        stream_tls_close_notify(stream);
    stream_flush(stream);
    if (linger_ms == 0 || stream->state == STREAM_CONNECTING || stream->write_error != 0) {
        stream_force_close(stream);
        return;
    }
    stream_set_state(stream, STREAM_LINGERING);
    stream_begin_linger(stream, linger_ms);
}

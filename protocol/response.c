/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/response.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/capability.h"
#include "protocol/response_private.h"

_Static_assert(PACKET_LOGIN_MAX <= RESPONSE_INSPECT_MAX, "login packets are collected whole");

bool response_tracker_create(uint32_t capabilities, uint32_t mariadb_capabilities,
                             struct response_tracker **out, struct error *err)
{
    struct response_tracker *tracker = calloc(1, sizeof *tracker);
    if (!tracker)
        return error_set(err, ERROR_MEMORY, "out of memory for a response tracker");
    tracker->capabilities = capabilities;
    tracker->mariadb_capabilities = mariadb_capabilities;
    buffer_init(&tracker->kept, RESPONSE_INSPECT_MAX);
    buffer_init(&tracker->fifo, RESPONSE_FIFO_MAX * sizeof(struct response_entry));
    *out = tracker;
    return true;
}

void response_tracker_destroy(struct response_tracker *tracker)
{
    if (!tracker)
        return;
    buffer_release(&tracker->kept);
    buffer_release(&tracker->fifo);
    free(tracker);
}

/* The oldest entry of the FIFO. */
static bool response_oldest(const struct response_tracker *tracker, struct response_entry *entry)
{
    if (buffer_length(&tracker->fifo) < sizeof *entry)
        return false;
    memcpy(entry, buffer_bytes(&tracker->fifo), sizeof *entry);
    return true;
}

static void response_pop(struct response_tracker *tracker)
{
    buffer_consume(&tracker->fifo, sizeof(struct response_entry));
}

static bool response_push(struct response_tracker *tracker, const struct response_entry *entry,
                          struct error *err)
{
    if (!buffer_append(&tracker->fifo, entry, sizeof *entry, err))
        return error_wrap(err, "commands without an answer: %zu", response_expected(tracker));
    return true;
}

bool response_expect(struct response_tracker *tracker, enum command_reply reply,
                     enum response_rows rows, int sequence, void *tag, struct error *err)
{
    if (reply == REPLY_NONE)
        return error_set(err, ERROR_STATE, "an answer is expected to a command that has none");
    struct response_entry entry = {
        .tag = tag,
        .sequence = (int16_t)sequence,
        .reply = (uint8_t)reply,
        .binary = rows != RESPONSE_ROWS_TEXT,
        .cursor = rows == RESPONSE_ROWS_CURSOR,
    };
    return response_push(tracker, &entry, err);
}

bool response_expect_injected(struct response_tracker *tracker, void *tag, struct error *err)
{
    struct response_entry entry = {.tag = tag, .sequence = RESPONSE_SEQUENCE_ANY, .injected = true};
    return response_push(tracker, &entry, err);
}

bool response_injected_next(const struct response_tracker *tracker)
{
    struct response_entry entry;
    return !tracker->begun && response_oldest(tracker, &entry) && entry.injected;
}

void *response_injected_done(struct response_tracker *tracker)
{
    struct response_entry entry;
    if (!response_injected_next(tracker) || !response_oldest(tracker, &entry))
        return NULL;
    response_pop(tracker);
    return entry.tag;
}

size_t response_expected(const struct response_tracker *tracker)
{
    return buffer_length(&tracker->fifo) / sizeof(struct response_entry);
}

void *response_tag(const struct response_tracker *tracker)
{
    struct response_entry entry;
    if (tracker->ended)
        return tracker->ended;
    return response_oldest(tracker, &entry) ? entry.tag : NULL;
}

bool response_streaming(const struct response_tracker *tracker)
{
    struct response_entry entry;
    return tracker->begun && tracker->phase == PHASE_STREAM && response_oldest(tracker, &entry) &&
           entry.reply == REPLY_STREAM;
}

void *response_abandon(struct response_tracker *tracker)
{
    struct response_entry entry;
    if (!response_oldest(tracker, &entry))
        return NULL;
    response_pop(tracker);
    return entry.tag;
}

const struct response_outcome *response_result(const struct response_tracker *tracker)
{
    return &tracker->outcome;
}

struct byte_view response_packet(const struct response_tracker *tracker)
{
    return tracker->packet;
}

uint8_t response_packet_sequence(const struct response_tracker *tracker)
{
    return tracker->packet_sequence;
}

void response_finish(struct response_tracker *tracker, enum response_event *event)
{
    if (tracker->answer.reply == REPLY_FETCH && !tracker->outcome.failed)
        tracker->outcome.has_rows = true;
    response_pop(tracker);
    tracker->ended = tracker->answer.tag;
    tracker->answer = (struct response_entry){0};
    tracker->begun = false;
    tracker->phase = PHASE_IDLE;
    tracker->settled = true;
    *event = RESPONSE_DONE;
}

void response_login_done(struct response_tracker *tracker)
{
    enum response_event event;
    if (tracker->phase == PHASE_LOGIN)
        response_finish(tracker, &event);
}

void response_infile_sent(struct response_tracker *tracker, uint8_t sequence)
{
    if (tracker->phase == PHASE_INFILE && response_move(tracker, PHASE_FIRST, NULL))
        tracker->sequence = sequence;
}

bool response_at_boundary(const struct response_tracker *tracker, uint8_t *next_sequence)
{
    struct response_entry entry;
    if (tracker->begun)
        *next_sequence = tracker->sequence;
    else if (response_oldest(tracker, &entry) && entry.sequence != RESPONSE_SEQUENCE_ANY)
        *next_sequence = (uint8_t)entry.sequence;
    else
        *next_sequence = 1;
    return tracker->stage == STAGE_HEADER && tracker->header_have == 0 && !tracker->continued;
}

/* The phases that may follow each phase, as bits: the drawing in response_private.h. The way back
 * to PHASE_IDLE is response_finish(). */
#define BIT(phase) (1u << (phase))
static const unsigned response_moves[] = {
    [PHASE_IDLE] = BIT(PHASE_FIRST) | BIT(PHASE_ROWS) | BIT(PHASE_OK) | BIT(PHASE_PREPARE) |
                   BIT(PHASE_FIELD_LIST) | BIT(PHASE_STATISTICS) | BIT(PHASE_STREAM) |
                   BIT(PHASE_LOGIN),
    [PHASE_FIRST] = BIT(PHASE_FIRST) | BIT(PHASE_DEFINITIONS) | BIT(PHASE_DEFINITIONS_END) |
                    BIT(PHASE_ROWS) | BIT(PHASE_INFILE),
    [PHASE_DEFINITIONS] = BIT(PHASE_DEFINITIONS) | BIT(PHASE_DEFINITIONS_END) | BIT(PHASE_ROWS),
    [PHASE_DEFINITIONS_END] =
        BIT(PHASE_DEFINITIONS) | BIT(PHASE_DEFINITIONS_END) | BIT(PHASE_ROWS) | BIT(PHASE_FIRST),
    [PHASE_ROWS] = BIT(PHASE_FIRST),
    [PHASE_INFILE] = BIT(PHASE_FIRST),
    [PHASE_PREPARE] = BIT(PHASE_DEFINITIONS) | BIT(PHASE_DEFINITIONS_END),
    [PHASE_LOGIN] = 0,
};

bool response_move(struct response_tracker *tracker, enum response_phase to, struct error *err)
{
    if (!(response_moves[tracker->phase] & BIT(to)))
        return error_set(err, ERROR_STATE, "response phase %d cannot follow phase %d", (int)to,
                         (int)tracker->phase);
    tracker->phase = to;
    return true;
}

/* The first byte of an answer: takes over what was expected. Nothing expected leaves PHASE_IDLE. */
static bool response_begin(struct response_tracker *tracker, struct error *err)
{
    static const enum response_phase phases[] = {
        [REPLY_RESULT] = PHASE_FIRST,          [REPLY_OK] = PHASE_OK,
        [REPLY_PREPARE] = PHASE_PREPARE,       [REPLY_FETCH] = PHASE_ROWS,
        [REPLY_FIELD_LIST] = PHASE_FIELD_LIST, [REPLY_STATISTICS] = PHASE_STATISTICS,
        [REPLY_LOGIN] = PHASE_LOGIN,           [REPLY_STREAM] = PHASE_STREAM,
    };
    tracker->begun = true;
    tracker->first_packet = true;
    tracker->fresh = false;
    tracker->promised = false;
    if (!response_oldest(tracker, &tracker->answer))
        return true;
    tracker->sequence = (uint8_t)tracker->answer.sequence;
    return response_move(tracker, phases[tracker->answer.reply], err);
}

/*
 * Passes whole rows by, the hot path of large results: a header, a look at the first byte, a skip.
 * Whatever is not plainly a row that lies whole in the input is left for response_step().
 */
static void response_pass_rows(struct response_tracker *tracker, struct byte_reader *reader)
{
    const uint8_t most = tracker->answer.binary ? 0x00 : 0xFD;
    const uint8_t *at = reader->data + reader->offset;
    size_t left = byte_reader_left(reader);
    uint8_t sequence = tracker->sequence;
    uint64_t rows = 0;
    while (left > PACKET_HEADER_SIZE) {
        uint32_t header = byte_load_u32le(at); /* 24 bits of length, 8 of sequence id */
        size_t length = header & PACKET_PAYLOAD_MAX;
        if (at[PACKET_HEADER_SIZE] > most || header >> 24 != sequence || length == 0 ||
            length == PACKET_PAYLOAD_MAX || length > left - PACKET_HEADER_SIZE)
            break;
        at += PACKET_HEADER_SIZE + length;
        left -= PACKET_HEADER_SIZE + length;
        sequence++;
        rows++;
    }
    reader->offset = reader->length - left;
    tracker->sequence = sequence;
    tracker->outcome.rows += rows;
    if (rows > 0) {
        tracker->fresh = false;
        tracker->first_packet = false;
    }
}

/* Checks a packet's sequence id. `first` is its first byte, or 0 in a continuation. */
static bool response_sequence(struct response_tracker *tracker, uint8_t first, struct error *err)
{
    uint8_t have = tracker->packet_sequence;
    uint8_t due = tracker->sequence;
    bool framed = tracker->capabilities & (CAPABILITY_COMPRESS | CAPABILITY_ZSTD);
    bool any = framed || tracker->phase == PHASE_IDLE || tracker->phase == PHASE_STREAM ||
               (tracker->first_packet && tracker->answer.sequence == RESPONSE_SEQUENCE_ANY);
    /* The server's farewell: see the header. */
    bool farewell = first == PACKET_ERR &&
                    (have == 0 || tracker->first_packet || tracker->phase == PHASE_INFILE);
    /* An exchange goes to and fro; whether the client has spoken in between, only the caller knows.
     */
    bool exchange = tracker->phase == PHASE_LOGIN && have == (uint8_t)(due + 1);
    if (have != due && !any && !farewell && !exchange)
        return error_set(err, ERROR_MALFORMED,
                         "the server's packet has sequence id %u where %u was due", have, due);
    tracker->sequence = (uint8_t)(have + 1);
    return true;
}

bool response_is_end(const struct response_tracker *tracker, uint8_t first)
{
    if (first != 0xFE)
        return false;
    return tracker->capabilities & CAPABILITY_DEPRECATE_EOF ? tracker->length < PACKET_PAYLOAD_MAX
                                                            : tracker->length < 9;
}

/* Whether this packet is read when it is whole, by its first byte. */
static bool response_is_taken(const struct response_tracker *tracker, uint8_t first)
{
    switch (tracker->phase) {
    case PHASE_ROWS:
    case PHASE_FIELD_LIST:
        return first == PACKET_ERR || response_is_end(tracker, first);
    case PHASE_DEFINITIONS:
        return first == PACKET_ERR || first == 0xFE;
    case PHASE_STREAM:
        return first == PACKET_ERR || (first == 0xFE && tracker->length < 9);
    case PHASE_STATISTICS:
        return first == PACKET_ERR;
    default:
        return true;
    }
}

/* The first byte of a packet says what to do with it. */
static bool response_classify(struct response_tracker *tracker, uint8_t first, struct error *err)
{
    if (!response_sequence(tracker, first, err))
        return false;
    tracker->first_packet = false;
    tracker->kind = first;
    tracker->take = response_is_taken(tracker, first);
    if (tracker->take)
        buffer_trim(&tracker->kept, RESPONSE_KEEP);
    if (tracker->phase == PHASE_IDLE && first != PACKET_ERR)
        return error_set(err, ERROR_MALFORMED, "the server sent a packet that answers nothing");
    if (tracker->take && tracker->length == PACKET_PAYLOAD_MAX)
        return error_set(err, ERROR_MALFORMED, "the server sent an answer of more than 16 MiB");
    if (tracker->phase == PHASE_LOGIN && tracker->length > PACKET_LOGIN_MAX)
        return error_set(err, ERROR_MALFORMED, "the server sent a login packet of %u bytes",
                         tracker->length);
    if (!tracker->take && tracker->phase == PHASE_ROWS && tracker->answer.binary && first != 0)
        return error_set(err, ERROR_MALFORMED, "the server sent a binary row that begins with %u",
                         first);
    /* A length-encoded length that begins with 0xFE has at least 16 MiB behind it. */
    if (!tracker->take && tracker->phase == PHASE_ROWS && first == 0xFE &&
        tracker->length != PACKET_PAYLOAD_MAX)
        return error_set(err, ERROR_MALFORMED, "the server sent a short row that begins with 254");
    return true;
}

/* The packet under way has been consumed to its end. */
static bool response_packet_end(struct response_tracker *tracker, struct byte_view payload,
                                enum response_event *event, struct error *err)
{
    tracker->stage = STAGE_HEADER;
    tracker->header_have = 0;
    tracker->continued = tracker->length == PACKET_PAYLOAD_MAX;
    if (tracker->continued)
        return true;
    return tracker->take ? response_complete(tracker, payload, event, err)
                         : response_passed(tracker, event, err);
}

static bool response_step_header(struct response_tracker *tracker, struct byte_reader *reader,
                                 enum response_event *event, struct error *err)
{
    struct packet_header header;
    if (tracker->header_have == 0 && !tracker->begun && !response_begin(tracker, err))
        return false;
    while (tracker->header_have < PACKET_HEADER_SIZE) {
        if (!byte_reader_u8(reader, &tracker->header[tracker->header_have]))
            return true;
        tracker->header_have++;
    }
    struct byte_reader whole = byte_reader(tracker->header, sizeof tracker->header);
    if (!packet_header_read(&whole, &header))
        return error_set(err, ERROR_STATE, "a packet header of four bytes could not be read");
    tracker->length = header.length;
    tracker->left = header.length;
    tracker->packet_sequence = header.sequence;
    tracker->stage = STAGE_KIND;
    if (header.length == 0 && !tracker->continued)
        return error_set(err, ERROR_MALFORMED, "the server sent an empty packet");
    if (!tracker->continued)
        return true;
    tracker->stage = STAGE_BODY;
    if (!response_sequence(tracker, 0, err))
        return false;
    return header.length > 0 || response_packet_end(tracker, (struct byte_view){0}, event, err);
}

/* Keeps a part of a packet that is taken; *payload is the whole once its end has come. */
static bool response_keep(struct response_tracker *tracker, struct byte_view part,
                          struct byte_view *payload, struct error *err)
{
    size_t have = buffer_length(&tracker->kept);
    size_t room = RESPONSE_INSPECT_MAX - have;
    size_t length = part.length < room ? part.length : room;
    *payload = byte_view(part.data, length);
    if (have == 0 && part.length == tracker->length)
        return true;
    if (!buffer_append(&tracker->kept, part.data, length, err))
        return false;
    *payload = byte_view(buffer_bytes(&tracker->kept), buffer_length(&tracker->kept));
    return true;
}

static bool response_step_body(struct response_tracker *tracker, struct byte_reader *reader,
                               enum response_event *event, struct error *err)
{
    size_t length = byte_reader_left(reader);
    if (length > tracker->left)
        length = tracker->left;
    struct byte_view part, payload = {0};
    if (!byte_reader_view(reader, length, &part))
        return error_set(err, ERROR_STATE, "bytes that were there could not be read");
    if (tracker->take && !response_keep(tracker, part, &payload, err))
        return false;
    tracker->left -= (uint32_t)length;
    return tracker->left > 0 || response_packet_end(tracker, payload, event, err);
}

/* Takes as much as belongs to one part of one packet. */
static bool response_step(struct response_tracker *tracker, struct byte_reader *reader,
                          enum response_event *event, struct error *err)
{
    uint8_t first;
    switch (tracker->stage) {
    case STAGE_HEADER:
        return response_step_header(tracker, reader, event, err);
    case STAGE_KIND:
        tracker->stage = STAGE_BODY;
        return byte_reader_peek(reader, &first) && response_classify(tracker, first, err);
    case STAGE_BODY:
        return response_step_body(tracker, reader, event, err);
    }
    return error_set(err, ERROR_STATE, "response stage %d does not exist", (int)tracker->stage);
}

/* Forgets the answer that was returned before. */
static void response_settle(struct response_tracker *tracker)
{
    tracker->packet = (struct byte_view){0};
    if (!tracker->settled)
        return;
    tracker->outcome = (struct response_outcome){0};
    tracker->ended = NULL;
    tracker->settled = false;
}

bool response_feed(struct response_tracker *tracker, struct byte_view input, size_t *consumed,
                   enum response_event *event, struct error *err)
{
    struct byte_reader reader = byte_reader(input.data, input.length);
    size_t safe = 0; /* where the packet under way begins, when it does in this input */
    bool ok = true;
    *event = RESPONSE_MORE;
    *consumed = 0;
    response_settle(tracker);
    if (input.length > 0 && response_injected_next(tracker)) {
        *event = RESPONSE_INJECT;
        return true;
    }
    while (ok && *event == RESPONSE_MORE && byte_reader_left(&reader) > 0) {
        bool boundary = tracker->stage == STAGE_HEADER && tracker->header_have == 0;
        if (boundary && tracker->phase == PHASE_ROWS && !tracker->continued)
            response_pass_rows(tracker, &reader);
        if (boundary)
            safe = reader.offset;
        if (byte_reader_left(&reader) > 0)
            ok = response_step(tracker, &reader, event, err);
    }
    *consumed = ok ? reader.offset : safe;
    tracker->outcome.bytes += *consumed;
    if (ok && *event == RESPONSE_MORE && tracker->phase == PHASE_LOGIN)
        *event = RESPONSE_HELD;
    return ok;
}

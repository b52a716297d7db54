/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/command.h"

#include <string.h>

#include "protocol/packet.h"

/* The packets of a held command need this much beside their payload: three headers at most, since a
 * command is no longer held when its third packet has begun. */
#define COMMAND_HEADERS_MAX (3u * PACKET_HEADER_SIZE)

#define KIND(name_, reply_)                           \
    {                                                 \
        .name = name_, .reply = reply_, .known = true \
    }
#define TEXT(name_, reply_)                                             \
    {                                                                   \
        .name = name_, .reply = reply_, .known = true, .has_text = true \
    }
#define BINARY(name_, reply_)                                              \
    {                                                                      \
        .name = name_, .reply = reply_, .known = true, .binary_rows = true \
    }
#define INTERNAL(name_)                                                   \
    {                                                                     \
        .name = name_, .reply = REPLY_OK, .known = true, .internal = true \
    }
#define REPLICA(name_, reply_)                                             \
    {                                                                      \
        .name = name_, .reply = reply_, .known = true, .replication = true \
    }

/*
 * include/my_command.h of MySQL 9.x and enum_server_command in include/mysql_com.h of MariaDB 11.8.
 * Commands that only one of them still has (REFRESH, SHUTDOWN, PROCESS_INFO, PROCESS_KILL,
 * CREATE_DB, DROP_DB) are known: the other answers them with ERR 1047.
 *
 * CLONE and SUBSCRIBE_GROUP_REPLICATION_STREAM hand the connection over to other protocols after
 * their first answer, so they cannot be followed and are refused like the internal ones.
 */
static const struct command_kind command_kinds[256] = {
    [COMMAND_SLEEP] = INTERNAL("sleep"),
    [COMMAND_QUIT] = KIND("quit", REPLY_NONE),
    [COMMAND_INIT_DB] = KIND("init_db", REPLY_OK),
    [COMMAND_QUERY] = TEXT("query", REPLY_RESULT),
    [COMMAND_FIELD_LIST] = KIND("field_list", REPLY_FIELD_LIST),
    [COMMAND_CREATE_DB] = KIND("create_db", REPLY_OK),
    [COMMAND_DROP_DB] = KIND("drop_db", REPLY_OK),
    [COMMAND_REFRESH] = KIND("refresh", REPLY_OK),
    [COMMAND_SHUTDOWN] = KIND("shutdown", REPLY_OK),
    [COMMAND_STATISTICS] = KIND("statistics", REPLY_STATISTICS),
    [COMMAND_PROCESS_INFO] = KIND("process_info", REPLY_RESULT),
    [COMMAND_CONNECT] = INTERNAL("connect"),
    [COMMAND_PROCESS_KILL] = KIND("process_kill", REPLY_OK),
    [COMMAND_DEBUG] = KIND("debug", REPLY_OK),
    [COMMAND_PING] = KIND("ping", REPLY_OK),
    [COMMAND_TIME] = INTERNAL("time"),
    [COMMAND_DELAYED_INSERT] = INTERNAL("delayed_insert"),
    [COMMAND_CHANGE_USER] = KIND("change_user", REPLY_LOGIN),
    [COMMAND_BINLOG_DUMP] = REPLICA("binlog_dump", REPLY_STREAM),
    [COMMAND_TABLE_DUMP] = REPLICA("table_dump", REPLY_STREAM),
    [COMMAND_CONNECT_OUT] = INTERNAL("connect_out"),
    [COMMAND_REGISTER_SLAVE] = REPLICA("register_slave", REPLY_OK),
    [COMMAND_STMT_PREPARE] = TEXT("stmt_prepare", REPLY_PREPARE),
    [COMMAND_STMT_EXECUTE] = BINARY("stmt_execute", REPLY_RESULT),
    [COMMAND_STMT_SEND_LONG_DATA] = KIND("stmt_send_long_data", REPLY_NONE),
    [COMMAND_STMT_CLOSE] = KIND("stmt_close", REPLY_NONE),
    [COMMAND_STMT_RESET] = KIND("stmt_reset", REPLY_OK),
    [COMMAND_SET_OPTION] = KIND("set_option", REPLY_OK),
    [COMMAND_STMT_FETCH] = BINARY("stmt_fetch", REPLY_FETCH),
    [COMMAND_DAEMON] = INTERNAL("daemon"),
    [COMMAND_BINLOG_DUMP_GTID] = REPLICA("binlog_dump_gtid", REPLY_STREAM),
    [COMMAND_RESET_CONNECTION] = KIND("reset_connection", REPLY_OK),
    [COMMAND_CLONE] = INTERNAL("clone"),
    [COMMAND_SUBSCRIBE_GROUP_REPLICATION_STREAM] = INTERNAL("subscribe_group_replication_stream"),
    [COMMAND_STMT_BULK_EXECUTE] = BINARY("stmt_bulk_execute", REPLY_RESULT),
    [COMMAND_SLAVE_WORKER] = INTERNAL("slave_worker"),
    [COMMAND_SLAVE_IO] = INTERNAL("slave_io"),
    [COMMAND_SLAVE_SQL] = INTERNAL("slave_sql"),
    [COMMAND_MULTI] = INTERNAL("multi"),
};

const struct command_kind *command_kind(uint8_t command)
{
    static const struct command_kind unknown = {.name = "unknown", .reply = REPLY_OK};
    const struct command_kind *kind = &command_kinds[command];
    return kind->known ? kind : &unknown;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

void command_framer_init(struct command_framer *framer, size_t hold)
{
    if (hold < 1)
        hold = 1;
    *framer = (struct command_framer){.hold = smaller(hold, COMMAND_HOLD_MAX)};
    buffer_init(&framer->raw, framer->hold + COMMAND_HEADERS_MAX);
    buffer_init(&framer->payload, framer->hold);
}

void command_framer_release(struct command_framer *framer)
{
    buffer_release(&framer->raw);
    buffer_release(&framer->payload);
}

bool command_framer_idle(const struct command_framer *framer)
{
    return !framer->streaming && framer->header_have == 0 && framer->length == 0;
}

/* The command has ended: the next begins at sequence id 0. What buffers hold was returned. */
static void command_framer_ended(struct command_framer *framer)
{
    framer->length = 0;
    framer->held = 0;
    framer->sequence = 0;
    framer->streaming = false;
    framer->returned = true;
}

/* Lets go of the event that was returned before. */
static void command_framer_forget(struct command_framer *framer)
{
    if (!framer->returned)
        return;
    buffer_trim(&framer->raw, COMMAND_KEEP);
    buffer_trim(&framer->payload, COMMAND_KEEP);
    framer->returned = false;
}

static bool sequence_check(uint8_t sequence, uint8_t due, struct error *err)
{
    if (sequence != due)
        return error_set(err, ERROR_MALFORMED,
                         "the client's packet has sequence id %u where %u was due", sequence, due);
    return true;
}

/* A header that has been read whole. */
static bool command_header(struct command_framer *framer, struct error *err)
{
    struct byte_reader reader = byte_reader(framer->header, sizeof framer->header);
    struct packet_header header;
    if (!packet_header_read(&reader, &header))
        return error_set(err, ERROR_STATE, "a packet header of four bytes could not be read");
    if (!framer->framed && !sequence_check(header.sequence, framer->sequence, err))
        return false;
    if (framer->length == 0 && header.length == 0)
        return error_set(err, ERROR_MALFORMED, "the client sent a command without a command byte");
    framer->sequence++;
    framer->length += header.length;
    framer->packet_left = header.length;
    framer->more_packets = header.length == PACKET_PAYLOAD_MAX;
    return true;
}

/* Reads more of the header; *whole when it is complete. */
static bool command_take_header(struct command_framer *framer, struct byte_reader *reader,
                                bool *whole, struct error *err)
{
    size_t have = framer->header_have;
    struct byte_view part;
    *whole = false;
    if (!byte_reader_view(reader, smaller(PACKET_HEADER_SIZE - have, byte_reader_left(reader)),
                          &part))
        return error_set(err, ERROR_STATE, "bytes that were there could not be read");
    if (part.length > 0)
        memcpy(framer->header + have, part.data, part.length);
    framer->header_have = (uint8_t)(have + part.length);
    if (!framer->streaming && !buffer_append(&framer->raw, part.data, part.length, err))
        return false;
    if (framer->header_have < PACKET_HEADER_SIZE)
        return true;
    *whole = true;
    return command_header(framer, err);
}

/*
 * A later packet of a held command has begun: its payload no longer lies in one piece of `raw`, so
 * it is put together in `payload`. (An empty packet, after an exact multiple, adds nothing.)
 */
static bool command_join(struct command_framer *framer, struct error *err)
{
    if (framer->held == 0 || framer->packet_left == 0 || buffer_length(&framer->payload) > 0)
        return true;
    return buffer_append(&framer->payload, buffer_bytes(&framer->raw) + PACKET_HEADER_SIZE,
                         (size_t)framer->held, err);
}

/* Holds more of the current packet, up to the hold limit. */
static bool command_hold_body(struct command_framer *framer, struct byte_reader *reader,
                              struct error *err)
{
    size_t most = framer->hold - (size_t)framer->held;
    size_t length = smaller(smaller(framer->packet_left, most), byte_reader_left(reader));
    struct byte_view part;
    if (!byte_reader_view(reader, length, &part))
        return error_set(err, ERROR_STATE, "bytes that were there could not be read");
    if (!buffer_append(&framer->raw, part.data, part.length, err))
        return false;
    if (buffer_length(&framer->payload) > 0 &&
        !buffer_append(&framer->payload, part.data, part.length, err))
        return false;
    framer->held += length;
    framer->packet_left -= (uint32_t)length;
    return true;
}

static void command_held_piece(const struct command_framer *framer, struct command_piece *piece)
{
    const struct buffer *raw = &framer->raw;
    const uint8_t *payload = buffer_length(&framer->payload) > 0
                                 ? buffer_bytes(&framer->payload)
                                 : buffer_bytes(raw) + PACKET_HEADER_SIZE;
    piece->raw = byte_view(buffer_bytes(raw), buffer_length(raw));
    piece->payload = byte_view(payload, (size_t)framer->held);
    piece->last_sequence = (uint8_t)(framer->sequence - 1);
}

/* Holds what arrived until the command is whole, or is seen to be longer than may be held. */
static bool command_hold(struct command_framer *framer, struct byte_reader *reader,
                         enum command_event *event, struct command_piece *piece, struct error *err)
{
    for (;;) {
        if (framer->header_have < PACKET_HEADER_SIZE) {
            bool whole;
            if (!command_take_header(framer, reader, &whole, err))
                return false;
            if (!whole)
                return true;
            if (!command_join(framer, err))
                return false;
        }
        if (!command_hold_body(framer, reader, err))
            return false;
        if (framer->length > framer->hold && framer->held == framer->hold) {
            command_held_piece(framer, piece);
            framer->streaming = true;
            framer->returned = true;
            *event = COMMAND_BEGIN;
            return true;
        }
        if (framer->packet_left > 0)
            return true;
        framer->header_have = 0;
        if (!framer->more_packets) {
            command_held_piece(framer, piece);
            command_framer_ended(framer);
            *event = COMMAND_WHOLE;
            return true;
        }
    }
}

/* Passes on what arrived of a command that has begun: at most the rest of one packet. */
static bool command_stream(struct command_framer *framer, struct byte_reader *reader,
                           enum command_event *event, struct command_piece *piece,
                           struct error *err)
{
    size_t from = reader->offset;
    bool whole = true;
    if (framer->header_have < PACKET_HEADER_SIZE &&
        !command_take_header(framer, reader, &whole, err))
        return false;
    size_t length = whole ? smaller(framer->packet_left, byte_reader_left(reader)) : 0;
    if (!byte_reader_view(reader, length, &piece->payload))
        return error_set(err, ERROR_STATE, "bytes that were there could not be read");
    piece->raw = byte_view(reader->data + from, reader->offset - from);
    piece->last_sequence = (uint8_t)(framer->sequence - 1);
    *event = COMMAND_PIECE;
    framer->packet_left -= (uint32_t)length;
    if (!whole || framer->packet_left > 0)
        return true;
    framer->header_have = 0;
    if (!framer->more_packets) {
        *event = COMMAND_END;
        command_framer_ended(framer);
    }
    return true;
}

/*
 * The common case, a whole command in one packet, without a copy. True with *event still
 * COMMAND_MORE: it is not that case, and nothing was consumed.
 */
static bool command_direct(const struct command_framer *framer, struct byte_reader *reader,
                           enum command_event *event, struct command_piece *piece,
                           struct error *err)
{
    struct byte_reader ahead = *reader;
    struct packet_header header;
    if (!packet_header_read(&ahead, &header))
        return true;
    if (!framer->framed && !sequence_check(header.sequence, 0, err))
        return false;
    if (header.length == 0 || header.length == PACKET_PAYLOAD_MAX || header.length > framer->hold ||
        !byte_reader_view(&ahead, header.length, &piece->payload))
        return true;
    piece->raw = byte_view(reader->data + reader->offset, ahead.offset - reader->offset);
    piece->last_sequence = 0;
    *reader = ahead;
    *event = COMMAND_WHOLE;
    return true;
}

bool command_framer_feed(struct command_framer *framer, struct byte_view input, size_t *consumed,
                         enum command_event *event, struct command_piece *piece, struct error *err)
{
    struct byte_reader reader = byte_reader(input.data, input.length);
    bool ok = true;
    *event = COMMAND_MORE;
    *piece = (struct command_piece){0};
    *consumed = 0;
    command_framer_forget(framer);
    if (input.length == 0)
        return true;
    if (command_framer_idle(framer))
        ok = command_direct(framer, &reader, event, piece, err);
    if (ok && *event == COMMAND_MORE)
        ok = framer->streaming ? command_stream(framer, &reader, event, piece, err)
                               : command_hold(framer, &reader, event, piece, err);
    *consumed = reader.offset;
    return ok;
}

void infile_framer_init(struct infile_framer *framer, uint8_t sequence)
{
    *framer = (struct infile_framer){.sequence = sequence};
}

uint8_t infile_framer_next_sequence(const struct infile_framer *framer)
{
    return framer->sequence;
}

/* A header of the file's packets that has been read whole. */
static bool infile_header(struct infile_framer *framer, struct error *err)
{
    struct byte_reader reader = byte_reader(framer->header, sizeof framer->header);
    struct packet_header header;
    if (!packet_header_read(&reader, &header))
        return error_set(err, ERROR_STATE, "a packet header of four bytes could not be read");
    if (!framer->framed && !sequence_check(header.sequence, framer->sequence, err))
        return false;
    framer->sequence++;
    framer->header_have = 0;
    framer->packet_left = header.length;
    framer->bytes += header.length;
    framer->done = header.length == 0 && !framer->continued;
    framer->continued = header.length == PACKET_PAYLOAD_MAX;
    return true;
}

bool infile_framer_feed(struct infile_framer *framer, struct byte_view input, size_t *consumed,
                        struct error *err)
{
    struct byte_reader reader = byte_reader(input.data, input.length);
    *consumed = 0;
    while (!framer->done && byte_reader_left(&reader) > 0) {
        size_t skip = smaller(framer->packet_left, byte_reader_left(&reader));
        if (!byte_reader_skip(&reader, skip))
            return error_set(err, ERROR_STATE, "bytes that were there could not be read");
        framer->packet_left -= (uint32_t)skip;
        if (framer->header_have == 0)
            *consumed = reader.offset; /* a header that turns out wrong is not relayed */
        uint8_t byte;
        if (framer->packet_left > 0 || !byte_reader_u8(&reader, &byte))
            break;
        framer->header[framer->header_have++] = byte;
        if (framer->header_have == PACKET_HEADER_SIZE && !infile_header(framer, err))
            return false;
    }
    *consumed = reader.offset;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/packet.h"

#include <string.h>

#include "protocol/capability.h"

/* Type of a session track entry that names the new default schema (enum enum_session_state_type of
 * MySQL's include/mysql_com.h). */
#define SESSION_TRACK_SCHEMA 1

bool packet_header_read(struct byte_reader *reader, struct packet_header *header)
{
    struct byte_reader ahead = *reader;
    uint32_t length;
    uint8_t sequence;
    if (!byte_reader_u24le(&ahead, &length) || !byte_reader_u8(&ahead, &sequence))
        return false;
    *header = (struct packet_header){length, sequence};
    *reader = ahead;
    return true;
}

bool packet_take(struct byte_view bytes, size_t most, uint8_t sequence, bool *found,
                 struct byte_view *payload, size_t *consumed, struct error *err)
{
    struct byte_reader reader = byte_reader(bytes.data, bytes.length);
    struct packet_header header;
    *found = false;
    *consumed = 0;
    if (!packet_header_read(&reader, &header))
        return true;
    if (header.length > most || header.length == PACKET_PAYLOAD_MAX)
        return error_set(err, ERROR_LIMIT,
                         "a packet of %u bytes during login, where %zu are allowed", header.length,
                         most);
    if (header.sequence != sequence)
        return error_set(err, ERROR_MALFORMED, "packet with sequence id %u where %u is due",
                         header.sequence, sequence);
    if (!byte_reader_view(&reader, header.length, payload))
        return true;
    *found = true;
    *consumed = reader.offset;
    return true;
}

struct packet_writer packet_begin(struct buffer *out, uint8_t sequence)
{
    struct packet_writer packet = {byte_writer(out), buffer_length(out)};
    byte_writer_u24le(&packet.payload, 0);
    byte_writer_u8(&packet.payload, sequence);
    return packet;
}

bool packet_end(struct packet_writer *packet, struct error *err)
{
    struct buffer *out = packet->payload.out;
    if (!byte_writer_finish(&packet->payload, err)) {
        buffer_truncate(out, packet->start);
        return false;
    }
    size_t length = buffer_length(out) - packet->start - PACKET_HEADER_SIZE;
    if (length >= PACKET_PAYLOAD_MAX) {
        buffer_truncate(out, packet->start);
        return error_set(err, ERROR_LIMIT, "a packet of ours would have %zu bytes", length);
    }
    uint8_t *header = out->storage + out->start + packet->start;
    for (size_t i = 0; i < 3; i++)
        header[i] = (uint8_t)(length >> (8 * i));
    return true;
}

bool packet_append(struct buffer *out, uint8_t sequence, const void *payload, size_t length,
                   struct error *err)
{
    uint8_t
        *room; /* at once: the payload may be a password, of which a grown buffer leaves copies */
    if (!buffer_reserve(out, PACKET_HEADER_SIZE + length, &room, err))
        return false;
    struct packet_writer packet = packet_begin(out, sequence);
    byte_writer_bytes(&packet.payload, payload, length);
    return packet_end(&packet, err);
}

bool packet_err_read(struct byte_view payload, struct packet_err *out, struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    struct packet_err error = {.sqlstate = "HY000"};
    struct byte_view state;
    uint8_t first;
    if (!byte_reader_u8(&reader, &first) || first != PACKET_ERR ||
        !byte_reader_u16le(&reader, &error.code))
        return error_set(err, ERROR_MALFORMED, "malformed ERR packet");
    uint8_t marker;
    if (byte_reader_peek(&reader, &marker) && marker == '#' &&
        byte_reader_view(&reader, sizeof error.sqlstate, &state))
        memcpy(error.sqlstate, state.data + 1, sizeof error.sqlstate - 1);
    error.message = byte_reader_rest(&reader);
    *out = error;
    return true;
}

/* As much of the message as fits, not cut within a UTF-8 character. */
static size_t err_message_length(const char *message)
{
    size_t length = strlen(message);
    if (length <= PACKET_ERR_MESSAGE_MAX)
        return length;
    length = PACKET_ERR_MESSAGE_MAX;
    while (length > PACKET_ERR_MESSAGE_MAX - 4 && ((uint8_t)message[length] & 0xC0) == 0x80)
        length--;
    return length;
}

bool packet_err_append(struct buffer *out, uint8_t sequence, uint16_t code, const char *sqlstate,
                       const char *message, struct error *err)
{
    if (strlen(sqlstate) != 5)
        return error_set(err, ERROR_STATE, "an SQLSTATE has 5 characters, not %zu",
                         strlen(sqlstate));
    struct packet_writer packet = packet_begin(out, sequence);
    byte_writer_u8(&packet.payload, PACKET_ERR);
    byte_writer_u16le(&packet.payload, code);
    byte_writer_u8(&packet.payload, '#');
    byte_writer_bytes(&packet.payload, sqlstate, 5);
    byte_writer_bytes(&packet.payload, message, err_message_length(message));
    return packet_end(&packet, err);
}

/* One entry: a type and its length-encoded data. */
static bool session_track_entry(struct byte_reader *reader, struct packet_ok *ok)
{
    uint8_t type;
    struct byte_view data;
    if (!byte_reader_u8(reader, &type) || !byte_reader_lenenc_view(reader, &data))
        return false;
    if (type != SESSION_TRACK_SCHEMA)
        return true;
    struct byte_reader inner = byte_reader(data.data, data.length);
    return byte_reader_lenenc_view(&inner, &ok->schema);
}

/* What follows the counters under CAPABILITY_SESSION_TRACK: a text for people, then the changes. */
static bool session_track_read(struct byte_reader *reader, struct packet_ok *ok)
{
    struct byte_view text, changes;
    if (byte_reader_left(reader) == 0)
        return true;
    if (!byte_reader_lenenc_view(reader, &text))
        return false;
    if (!(ok->status & STATUS_SESSION_STATE_CHANGED))
        return true;
    if (!byte_reader_lenenc_view(reader, &changes))
        return false;
    struct byte_reader entries = byte_reader(changes.data, changes.length);
    while (byte_reader_left(&entries) > 0) {
        if (!session_track_entry(&entries, ok))
            return false;
    }
    return true;
}

static bool ok_read(struct byte_reader *reader, uint32_t capabilities, struct packet_ok *ok)
{
    uint8_t first;
    if (!byte_reader_u8(reader, &first))
        return false;
    bool is_end = first == PACKET_AUTH_SWITCH && (capabilities & CAPABILITY_DEPRECATE_EOF);
    if (first != PACKET_OK && !is_end)
        return false;
    return byte_reader_lenenc(reader, &ok->affected_rows) &&
           byte_reader_lenenc(reader, &ok->last_insert_id) &&
           byte_reader_u16le(reader, &ok->status) && byte_reader_u16le(reader, &ok->warnings) &&
           (!(capabilities & CAPABILITY_SESSION_TRACK) || session_track_read(reader, ok));
}

bool packet_ok_read(struct byte_view payload, uint32_t capabilities, struct packet_ok *out,
                    struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    struct packet_ok ok = {0};
    if (!ok_read(&reader, capabilities, &ok))
        return error_set(err, ERROR_MALFORMED, "malformed OK packet");
    *out = ok;
    return true;
}

bool packet_ok_append(struct buffer *out, uint8_t sequence, uint16_t status, struct error *err)
{
    struct packet_writer packet = packet_begin(out, sequence);
    byte_writer_u8(&packet.payload, PACKET_OK);
    byte_writer_lenenc(&packet.payload, 0);
    byte_writer_lenenc(&packet.payload, 0);
    byte_writer_u16le(&packet.payload, status);
    byte_writer_u16le(&packet.payload, 0);
    return packet_end(&packet, err);
}

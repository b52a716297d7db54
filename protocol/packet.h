/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets: a 3-byte little-endian payload length, a sequence id, a payload (MySQL source
 * documentation, "MySQL Packets"). A payload of 2^24-1 bytes is continued by the next packet, whose
 * sequence id goes on; an exact multiple ends with an empty packet. "Logical packet" is the whole.
 *
 * OK, ERR and EOF are read and written here in their protocol 4.1 forms.
 */
#ifndef SALLYPORT_PROTOCOL_PACKET_H
#define SALLYPORT_PROTOCOL_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"

#define PACKET_HEADER_SIZE 4
#define PACKET_PAYLOAD_MAX 0xFFFFFFu

/*
 * Before login a packet of either leg is at most this long: a peer that is not yet known must not
 * make us allocate what its length field says.
 */
#define PACKET_LOGIN_MAX 65536

/* First bytes that tell the packets of a server apart. */
#define PACKET_OK          0x00
#define PACKET_AUTH_MORE   0x01
#define PACKET_AUTH_SWITCH 0xFE
#define PACKET_ERR         0xFF

struct packet_header {
    uint32_t length; /* of the payload */
    uint8_t sequence;
};

bool packet_header_read(struct byte_reader *reader, struct packet_header *header) MUST_USE;

/*
 * One whole packet out of bytes, for the login phase. True with *found false: need more bytes,
 * nothing was consumed. True with *found: *payload is a view and *consumed the bytes it took.
 * False, as soon as the header says so: the payload is longer than `most` or would be continued by
 * another packet, or the sequence id is not `sequence`.
 */
bool packet_take(struct byte_view bytes, size_t most, uint8_t sequence, bool *found,
                 struct byte_view *payload, size_t *consumed, struct error *err) MUST_USE;

/*
 * Writing a packet field by field: what goes through `payload` between begin and end is its
 * payload.
 *
 *     struct packet_writer packet = packet_begin(out, sequence);
 *     byte_writer_u8(&packet.payload, 0x01);
 *     return packet_end(&packet, err);
 *
 * packet_end() fills in the length. Where it fails (the buffer's limit, memory, more than
 * PACKET_PAYLOAD_MAX - 1 bytes) `out` is as it was before packet_begin().
 */
struct packet_writer {
    struct byte_writer payload;
    size_t start; /* length of the buffer before the packet */
};

struct packet_writer packet_begin(struct buffer *out, uint8_t sequence);
bool packet_end(struct packet_writer *packet, struct error *err) MUST_USE;

/* Appends a packet with this payload (at most PACKET_PAYLOAD_MAX - 1 bytes). */
bool packet_append(struct buffer *out, uint8_t sequence, const void *payload, size_t length,
                   struct error *err) MUST_USE;

#define PACKET_ERR_MESSAGE_MAX 512 /* what MySQL itself sends at most (MYSQL_ERRMSG_SIZE) */

struct packet_err {
    uint16_t code;
    char sqlstate[6];         /* "HY000" where the packet had none */
    struct byte_view message; /* view into the payload */
};

/*
 * Reads an ERR payload (first byte 0xFF). The very first packet of a connection (1040, 1129, 1130)
 * comes before anything was negotiated and may have no '#' and SQLSTATE; that '#' decides.
 */
bool packet_err_read(struct byte_view payload, struct packet_err *out, struct error *err) MUST_USE;

/*
 * Appends an ERR packet with SQLSTATE (5 characters). `message` is cut to PACKET_ERR_MESSAGE_MAX
 * bytes, between two characters where it is UTF-8.
 */
bool packet_err_append(struct buffer *out, uint8_t sequence, uint16_t code, const char *sqlstate,
                       const char *message, struct error *err) MUST_USE;

struct packet_ok {
    uint64_t affected_rows;
    uint64_t last_insert_id;
    uint16_t status;
    uint16_t warnings;
    struct byte_view
        schema; /* SESSION_TRACK_SCHEMA's new value; data is NULL where there was none */
};

/*
 * Reads an OK payload (first byte 0x00, or 0xFE under CAPABILITY_DEPRECATE_EOF). With
 * CAPABILITY_SESSION_TRACK and STATUS_SESSION_STATE_CHANGED it holds changes of the session, each
 * with its length: types that are not known are skipped by it. (MySQL source documentation,
 * "OK_Packet".)
 */
bool packet_ok_read(struct byte_view payload, uint32_t capabilities, struct packet_ok *out,
                    struct error *err) MUST_USE;

/* Appends an OK packet with this status and nothing else. */
bool packet_ok_append(struct buffer *out, uint8_t sequence, uint16_t status,
                      struct error *err) MUST_USE;

#endif

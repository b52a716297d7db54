/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/replication.h"

#include <string.h>

#include "protocol/command.h"

bool replication_is_request(uint8_t command)
{
    return command == COMMAND_BINLOG_DUMP || command == COMMAND_BINLOG_DUMP_GTID ||
           command == COMMAND_REGISTER_SLAVE;
}

static bool replication_read_dump(struct byte_reader *reader, struct replication_request *out)
{
    uint32_t position;
    uint16_t flags;
    if (!byte_reader_u32le(reader, &position) || !byte_reader_u16le(reader, &flags) ||
        !byte_reader_u32le(reader, &out->server_id))
        return false;
    out->position = position;
    out->file = byte_reader_rest(reader);
    return true;
}

/* The set of GTIDs that the replica has already, at the end, is left alone. */
static bool replication_read_dump_gtid(struct byte_reader *reader, struct replication_request *out)
{
    uint32_t length, set;
    uint16_t flags;
    return byte_reader_u16le(reader, &flags) && byte_reader_u32le(reader, &out->server_id) &&
           byte_reader_u32le(reader, &length) && byte_reader_view(reader, length, &out->file) &&
           byte_reader_u64le(reader, &out->position) && byte_reader_u32le(reader, &set) &&
           byte_reader_skip(reader, set);
}

static bool replication_short_string(struct byte_reader *reader, struct byte_view *out)
{
    uint8_t length;
    return byte_reader_u8(reader, &length) && byte_reader_view(reader, length, out);
}

static bool replication_read_register(struct byte_reader *reader, struct replication_request *out)
{
    struct byte_view user, password;
    uint32_t rank, source;
    return byte_reader_u32le(reader, &out->server_id) &&
           replication_short_string(reader, &out->host) &&
           replication_short_string(reader, &user) && replication_short_string(reader, &password) &&
           byte_reader_u16le(reader, &out->port) && byte_reader_u32le(reader, &rank) &&
           byte_reader_u32le(reader, &source);
}

bool replication_read(struct byte_view payload, struct replication_request *out, struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    uint8_t command;
    bool good = false;
    *out = (struct replication_request){0};
    if (byte_reader_u8(&reader, &command)) {
        if (command == COMMAND_BINLOG_DUMP)
            good = replication_read_dump(&reader, out);
        else if (command == COMMAND_BINLOG_DUMP_GTID)
            good = replication_read_dump_gtid(&reader, out);
        else if (command == COMMAND_REGISTER_SLAVE)
            good = replication_read_register(&reader, out);
    }
    return good || error_set(err, ERROR_MALFORMED, "malformed command of a replica");
}

bool replication_is_acknowledgement(struct byte_view payload)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    uint8_t magic;
    uint64_t position;
    if (!byte_reader_u8(&reader, &magic) || magic != REPLICATION_ACKNOWLEDGEMENT ||
        !byte_reader_u64le(&reader, &position))
        return false;
    struct byte_view file = byte_reader_rest(&reader);
    return file.length > 0 && file.length <= REPLICATION_ACKNOWLEDGEMENT_FILE_MAX &&
           !memchr(file.data, 0, file.length);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the record says of a replica's commands. (MySQL source documentation, "Replication
 * Protocol": COM_BINLOG_DUMP, COM_BINLOG_DUMP_GTID, COM_REGISTER_SLAVE; sql/rpl_source.cc of 9.x.
 * MariaDB: "Replication Protocol"; it has no COM_BINLOG_DUMP_GTID, a replica's position comes in a
 * session variable.)
 */
#ifndef SALLYPORT_PROTOCOL_REPLICATION_H
#define SALLYPORT_PROTOCOL_REPLICATION_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

struct replication_request {
    uint32_t server_id;    /* that the replica says it has */
    struct byte_view file; /* dumps: of the binary log; empty: the first */
    uint64_t position;     /* dumps: in it */
    struct byte_view host; /* COM_REGISTER_SLAVE: that it says it is; usually empty */
    uint16_t port;         /* likewise */
};

/* Whether `command` is one that replication_read() knows. */
bool replication_is_request(uint8_t command);

/*
 * Reads such a command (payload with its command byte); views point into it. The password of
 * COM_REGISTER_SLAVE is not given out. False: malformed, not to be relayed.
 */
bool replication_read(struct byte_view payload, struct replication_request *out,
                      struct error *err) MUST_USE;

#endif

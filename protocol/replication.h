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

/*
 * A replica's acknowledgement in semi-synchronous replication: 0xEF, a position of 8 bytes, and the
 * name of the binary log up to the packet's end, without a NUL. It is no command, comes while the
 * binary log is streamed, begins at sequence id 0, and has no answer. Primaries refuse names of
 * FN_REFLEN bytes and more. (ReplSemiSyncSlave::slaveReply() and
 * ReplSemiSyncMaster::reportReplyPacket() of MySQL 9.x, plugin/semisync; Repl_semi_sync_slave and
 * Repl_semi_sync_master of MariaDB, sql/semisync_*.cc.)
 */
#define REPLICATION_ACKNOWLEDGEMENT          0xEF
#define REPLICATION_ACKNOWLEDGEMENT_FILE_MAX 511 /* bytes of the name: FN_REFLEN - 1 */

bool replication_is_acknowledgement(struct byte_view payload);

#endif

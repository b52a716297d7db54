/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command phase, client to server: recognising every command, framing it whole or in pieces,
 * and reading out what the record and the policy need. (MySQL: "Command Phase",
 * include/my_command.h of 9.x; MariaDB: "Protocol: 2 - text protocol" and "3 - binary protocol",
 * include/mysql.h of 11.8.)
 */
#ifndef SALLYPORT_PROTOCOL_COMMAND_H
#define SALLYPORT_PROTOCOL_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"

enum command {
    COMMAND_SLEEP = 0x00,
    COMMAND_QUIT = 0x01,
    COMMAND_INIT_DB = 0x02,
    COMMAND_QUERY = 0x03,
    COMMAND_FIELD_LIST = 0x04,
    COMMAND_CREATE_DB = 0x05,
    COMMAND_DROP_DB = 0x06,
    COMMAND_REFRESH = 0x07,
    COMMAND_SHUTDOWN = 0x08,
    COMMAND_STATISTICS = 0x09,
    COMMAND_PROCESS_INFO = 0x0A,
    COMMAND_CONNECT = 0x0B,
    COMMAND_PROCESS_KILL = 0x0C,
    COMMAND_DEBUG = 0x0D,
    COMMAND_PING = 0x0E,
    COMMAND_TIME = 0x0F,
    COMMAND_DELAYED_INSERT = 0x10,
    COMMAND_CHANGE_USER = 0x11,
    COMMAND_BINLOG_DUMP = 0x12,
    COMMAND_TABLE_DUMP = 0x13,
    COMMAND_CONNECT_OUT = 0x14,
    COMMAND_REGISTER_SLAVE = 0x15,
    COMMAND_STMT_PREPARE = 0x16,
    COMMAND_STMT_EXECUTE = 0x17,
    COMMAND_STMT_SEND_LONG_DATA = 0x18,
    COMMAND_STMT_CLOSE = 0x19,
    COMMAND_STMT_RESET = 0x1A,
    COMMAND_SET_OPTION = 0x1B,
    COMMAND_STMT_FETCH = 0x1C,
    COMMAND_DAEMON = 0x1D,
    COMMAND_BINLOG_DUMP_GTID = 0x1E,
    COMMAND_RESET_CONNECTION = 0x1F,
    COMMAND_CLONE = 0x20,
    COMMAND_SUBSCRIBE_GROUP_REPLICATION_STREAM = 0x21,
    COMMAND_STMT_BULK_EXECUTE = 0xFA, /* MariaDB, as the four that follow */
    COMMAND_SLAVE_WORKER = 0xFB,
    COMMAND_SLAVE_IO = 0xFC,
    COMMAND_SLAVE_SQL = 0xFD,
    COMMAND_MULTI = 0xFE, /* of MariaDB 10.2 betas; reserved since */
};

/* The form of the server's answer: what the response tracker expects. */
enum command_reply {
    REPLY_NONE,       /* no answer: QUIT, STMT_CLOSE, STMT_SEND_LONG_DATA */
    REPLY_RESULT,     /* OK, ERR, a LOCAL INFILE request, or result sets: QUERY, STMT_EXECUTE,
                         STMT_BULK_EXECUTE, PROCESS_INFO */
    REPLY_OK,         /* OK, EOF or ERR: PING, INIT_DB, SET_OPTION, DEBUG, RESET_CONNECTION, … */
    REPLY_PREPARE,    /* STMT_PREPARE */
    REPLY_FETCH,      /* rows up to EOF: STMT_FETCH */
    REPLY_FIELD_LIST, /* column definitions up to EOF */
    REPLY_STATISTICS, /* one packet of text */
    REPLY_LOGIN,      /* an authentication exchange: CHANGE_USER */
    REPLY_STREAM,     /* packets until ERR or EOF, maybe for ever: BINLOG_DUMP(_GTID), TABLE_DUMP */
};

/* What stands behind a command byte. */
struct command_kind {
    const char *name; /* lower case, as the record's `command`: "query", "stmt_execute", … */
    enum command_reply reply;
    bool known;       /* false: a byte that no server defines: never relayed (I6) */
    bool internal;    /* servers keep it for themselves, or what follows it is no longer this
                         protocol (CLONE, …): refused by us */
    bool replication; /* needs AUTHZ_REPLICATION */
    bool has_text;    /* the payload behind the byte is SQL text: QUERY, STMT_PREPARE */
    bool binary_rows; /* result sets in its answer have binary rows */
};

/* Never NULL. An unknown byte has known = false and the name "unknown". */
const struct command_kind *command_kind(uint8_t command);

/*
 * Frames the client's bytes into logical commands. Feed it what has arrived; each call returns at
 * most one event and says how much of the input it took: call again with the rest.
 *
 *   COMMAND_MORE     everything was taken (and is held), nothing to do yet
 *   COMMAND_WHOLE    a whole logical command: `payload` (continuation headers taken out) and `raw`,
 *                    the bytes to relay. Both are views into the input or into the framer's own
 *                    buffers, valid until the next call or the end of the input.
 *   COMMAND_BEGIN    a command that is longer than the hold limit has begun: `payload` is its first
 *                    `hold` bytes; `raw` is what to relay, once it is allowed. Then:
 *   COMMAND_PIECE    more of it: `payload` (may be empty), `raw`
 *   COMMAND_END      its last piece, likewise. The server acts only on this one.
 *
 * A command of one packet that lies whole in the input is not copied. Sequence ids are checked: a
 * command begins at 0 and goes on across a 16 MiB split (MySQL source documentation, "MySQL
 * Packets"; the server answers anything else with ER_NET_PACKETS_OUT_OF_ORDER). Anything else, and
 * a logical command without a command byte, is ERROR_MALFORMED; the framer must not be fed after
 * that.
 */
#define COMMAND_HOLD_MAX (16u * 1024 * 1024) /* the greatest hold limit that can be configured */
#define COMMAND_KEEP     16384 /* bytes of each buffer that a framer keeps between commands */

enum command_event { COMMAND_MORE, COMMAND_WHOLE, COMMAND_BEGIN, COMMAND_PIECE, COMMAND_END };

/* The fields are the framer's own. */
struct command_framer {
    struct buffer raw;     /* held packets, headers included */
    struct buffer payload; /* the logical payload, used only when it spans packets */
    size_t hold;           /* hold limit in bytes of payload */
    uint64_t length;       /* payload bytes of the command's packets whose headers were read */
    uint64_t held;         /* payload bytes that are held */
    uint32_t packet_left;  /* payload bytes of the current packet that have not come yet */
    uint8_t sequence;      /* the next packet's */
    uint8_t header_have;   /* bytes of the current packet's header */
    uint8_t header[4];
    bool framed;       /* the caller's: see command_framer_feed() */
    bool streaming;    /* between BEGIN and END */
    bool more_packets; /* the current packet is full: another follows */
    bool returned;     /* `raw` and `payload` belong to an event that was returned */
};

struct command_piece {
    struct byte_view payload;
    struct byte_view text; /* for the caller, who knows where the payload's text begins */
    struct byte_view raw;
    uint8_t last_sequence; /* of the last packet in it: an answer of ours has the next one */
};

/* `hold` outside 1 … COMMAND_HOLD_MAX counts as the nearer of the two. Allocates nothing. */
void command_framer_init(struct command_framer *framer, size_t hold);
void command_framer_release(struct command_framer *framer);

/*
 * On false (ERROR_MALFORMED, ERROR_MEMORY) nothing of the command under way may be relayed any
 * further.
 *
 * A caller that takes the bytes out of compressed frames sets framer->framed once: then the frames
 * carry the order, and the packets' own ids are not looked at, as servers do not (my_net_read() of
 * sql-common/net_serv.cc; libmariadb writes 0 in all packets of a split command). The same for a
 * struct infile_framer.
 */
bool command_framer_feed(struct command_framer *framer, struct byte_view input, size_t *consumed,
                         enum command_event *event, struct command_piece *piece,
                         struct error *err) MUST_USE;

/* Whether no command has begun that has not ended: between commands. */
bool command_framer_idle(const struct command_framer *framer);

/*
 * Follows the client's file after a LOCAL INFILE request: packets of data until an empty one, which
 * are relayed as they are. (MySQL source documentation, "Protocol::LOCAL_INFILE_Data". An empty
 * packet that only ends a 16 MiB split is not the end.)
 */
struct infile_framer {
    uint64_t bytes; /* of file data so far */
    bool done;      /* the ending packet has been seen whole */
    /* private */
    uint32_t packet_left;
    uint8_t sequence;
    uint8_t header_have;
    uint8_t header[4];
    bool continued; /* the packet before this one was full */
    bool framed;    /* the caller's: see command_framer_feed() */
};

/* `sequence`: of the client's first packet, the one after that of the server's request. */
void infile_framer_init(struct infile_framer *framer, uint8_t sequence);

/*
 * Takes file data up to the ending packet: the first *consumed bytes may be relayed. What follows
 * in the input when framer->done is set is the next command. On false the rest may not be relayed.
 */
bool infile_framer_feed(struct infile_framer *framer, struct byte_view input, size_t *consumed,
                        struct error *err) MUST_USE;

/* The sequence id that the server's answer to the file has: for response_infile_sent(). */
uint8_t infile_framer_next_sequence(const struct infile_framer *framer);

#endif

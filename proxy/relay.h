/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command phase of a session: each command is framed, judged, recorded, sent; each answer is
 * followed and completes its record.
 */
#ifndef SALLYPORT_PROXY_RELAY_H
#define SALLYPORT_PROXY_RELAY_H

#include "audit/params.h"
#include "authz/use_scan.h"
#include "protocol/command.h"
#include "protocol/response.h"
#include "protocol/statement.h"
#include "proxy/session_internal.h"
#include "tls/digest.h"

#define RELAY_SPARE_EXCHANGES_MAX 256 /* kept by a worker for reuse */

/* A command on its way: from the intent to the outcome. Pooled by the worker. */
struct exchange {
    struct exchange *next_spare;
    struct audit_entry *entry;
    int64_t started_us; /* monotonic */
    uint8_t command;
    uint8_t sequence; /* of the command's last packet */
    uint8_t option;   /* COM_SET_OPTION: 0 turns multi-statements on */
    bool dropped;     /* denied, and it has no answer */
    bool asks_infile; /* its text can ask for a local file */
    bool sends_file;  /* the server asked for a local file, of: */
    uint64_t file_bytes;
    bool names_charset; /* its text sets the client's character set, to: */
    char charset[32];
    uint16_t error_code; /* denied: of the ERR packet */
    const char *error_sqlstate;
    char reason[AUTHZ_RULE_TEXT_MAX];
    uint64_t bytes_in;
    uint64_t captured; /* streamed: payload bytes that came with the first part */
    uint64_t length;   /* of the statement, once all of it has come */
    bool has_digest;
    uint8_t digest[32]; /* of the statement, when it was streamed or cut */
    struct buffer text; /* PREPARE: the text to remember; INIT_DB: the schema */
};

/* What the relay thinks of a command. */
enum verdict_action {
    VERDICT_ALLOW,
    VERDICT_DENY,  /* an ERR of ours is its answer */
    VERDICT_DROP,  /* a command without an answer: not sent, nothing said */
    VERDICT_CLOSE, /* an ERR of ours, and the session ends (I6) */
    VERDICT_WAIT,  /* until all earlier commands have been answered */
};

struct verdict {
    enum verdict_action action;
    uint16_t code; /* DENY, CLOSE: of the ERR packet */
    const char *sqlstate;
    char reason[AUTHZ_RULE_TEXT_MAX];
};

/* A command that could not go on yet, with copies of its bytes. */
struct parked {
    bool full;
    bool decoded; /* its bound values are in relay.params and relay.attributes already */
    enum command_event event;
    struct buffer raw;
    struct buffer payload;
    uint8_t last_sequence;
};

/* How far a COM_CHANGE_USER has come: in place, or over another connection to the database
 * (relay_change_account.c). */
enum change_step {
    CHANGE_IN_PLACE,
    CHANGE_RESETTING,  /* the former connection lets go of what the session held there */
    CHANGE_CONNECTING, /* from the dial to the login's answer */
    CHANGE_CONNECTED,  /* COM_CHANGE_USER is answered by the new one */
};

struct relay {
    struct command_framer framer;
    struct response_tracker *tracker;
    struct statement_map *statements;
    struct audit_params params; /* reused for each execute */
    struct audit_params attributes;
    struct parked parked;
    struct exchange *streaming; /* the command whose pieces are coming */
    bool discarding;            /* … and are dropped: it was denied */
    struct use_scan scan;       /* of the streamed text */
    struct digest digest;       /* likewise */
    size_t preparing;           /* prepares on their way */
    int64_t arrived_us;         /* wall time: when the command under way or parked came */
    int64_t started_us;         /* monotonic, likewise */
    bool any_schema;            /* no schema rule needs the text */
    bool multi_statements;
    bool local_infile;
    bool acknowledged;  /* a replica has acknowledged: a stream is this session's last answer */
    bool infile_coming; /* the client sends a file */
    struct exchange *infile; /* for this one; NULL once it was answered early */
    struct infile_framer infile_framer;
    struct exchange *changing;        /* COM_CHANGE_USER under way */
    enum change_step change_step;     /* of that */
    enum handshake_vendor vendor;     /* of the former connection's server; while CONNECTING */
    const struct exchange *answering; /* compressed: the first frame of its answer has gone out */
    const char *charset;              /* of the client's statements; a literal, or charset_name */
    char charset_name[32];
};

bool relay_create(struct session *session, struct error *err) MUST_USE;
/* Finishes the records of what was on its way with outcome "unknown", and frees. */
void relay_destroy(struct session *session);

/* Takes the client's bytes; returns how many. */
size_t relay_client_data(struct session *session, const uint8_t *data, size_t length);
/* Takes the database's bytes; returns how many. */
size_t relay_upstream_data(struct session *session, const uint8_t *data, size_t length);
/* A parked command may go on now: room in the audit log, or no answers outstanding. */
void relay_unpark(struct session *session);
/* Whether nothing is on its way. */
bool relay_idle(const struct session *session);
/* Whether it is not the client's turn: answers are due, or it may not go on. */
bool relay_answers_due(const struct session *session);
/* Whether the database has been sent whole commands only. */
bool relay_between_commands(const struct session *session);
/* The policy changed: what it says about schemas and files is looked up again. */
void relay_follow_policy(struct session *session);
/* Whether an ERR of ours may stand now, and with which sequence id. */
bool relay_error_place(const struct session *session, uint8_t *sequence);

/* Whether the frames of an answer have begun to go to the client: what goes next counts on. */
bool relay_answer_framed(const struct session *session);

/* Writes the ERR packets of denied commands whose turn has come. False: the session has ended. */
bool relay_write_injected(struct session *session) MUST_USE;

/* relay_answer.c: whether a statement's text can ask for a local file. */
bool relay_asks_infile(struct byte_view text);
/* Whether a prepared one that is executed can: MariaDB prepares LOAD DATA LOCAL too. A text that
 * was not kept whole may be anything. */
bool relay_executes_infile(const struct relay *relay, struct byte_view execute);

/* relay_judge.c */
void relay_judge(struct session *session, enum command_event event,
                 const struct command_piece *piece, struct verdict *verdict);
/* The schemas that a text switches to, judged. */
void relay_judge_scan(struct session *session, const struct use_scan *scan,
                      struct verdict *verdict);

/* relay_charset.c: the character set that a SET statement names, into storage; NULL: it names none.
 */
const char *relay_charset_of(struct byte_view text, char *storage, size_t size);

/* relay_record.c */

/* Decodes bound values into relay.params, query attributes into relay.attributes. False: they
 * cannot be read, and the command must not be sent. */
bool relay_decode_values(struct session *session, enum command_event event,
                         struct byte_view payload, struct error *err) MUST_USE;
/* The intent; relay_decode_values() came before. */
bool relay_record(struct session *session, enum command_event event,
                  const struct command_piece *piece, struct exchange *exchange,
                  enum audit_answer *answer, struct error *err) MUST_USE;
/* The outcomes: the server's answer, denied, sent without an answer, and never known. */
void relay_finish(struct session *session, struct exchange *exchange,
                  const struct response_outcome *outcome);
void relay_finish_denied(struct session *session, struct exchange *exchange);
void relay_finish_sent(struct session *session, struct exchange *exchange);
void relay_finish_unknown(struct session *session, struct exchange *exchange);

/* exchange.c: the worker's pool. */
struct exchange *exchange_take(struct worker *worker);
void exchange_give(struct worker *worker, struct exchange *exchange);
void exchange_free_spares(struct worker *worker);

/* relay_change_user.c */
void relay_change_user(struct session *session, struct byte_view payload,
                       struct exchange *exchange);
size_t relay_change_user_data(struct session *session, const uint8_t *data, size_t length);
void relay_change_user_answer(struct session *session);
void relay_change_user_in_place(struct session *session);
void relay_change_user_accepted(struct session *session, struct byte_view ok);
void relay_change_user_refused(struct session *session, struct byte_view err_payload);

/* relay_change_account.c: the same, where the other user takes another connection. */

/* Whether the user of session->login needs one: he has a certificate of his own. */
bool relay_needs_connection(const struct session *session);
void relay_change_account(struct session *session);
/* The former connection has answered: what stands in response_packet(). */
void relay_change_account_reset(struct session *session);
void relay_change_account_greeted(struct session *session,
                                  const struct handshake_greeting *greeting);
/* Whether the policy of now still has the user who is about to log in. False: the session has
 * ended. */
bool relay_change_account_allowed(struct session *session) MUST_USE;
void relay_change_account_logged_in(struct session *session);
/* Whether it is under way and the new connection not logged in yet. */
bool relay_connecting(const struct session *session);
/* It came to nothing, and the client was told what session->why says: the record's outcome. */
void relay_change_account_failed(struct session *session, struct exchange *exchange);

#endif

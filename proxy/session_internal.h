/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session's inside, shared by the session_*.c and relay_*.c files.
 *
 *   TLS-first listener                                  STARTTLS listener
 *   CLIENT_TLS ─► HELLO ─► DIALLING ─► LOGIN            DIALLING ─► LOGIN ─► STARTTLS ─► LOGIN
 *                                        │
 *        LOGIN ─► AUTH (the client's plugin) ─► MINTING ─► UPSTREAM_LOGIN ─► STARTING ─► READY ◄─►
 * CHANGING
 *
 *   every state ─► ENDING (said why, closing) ─► CLOSED (freed)
 *
 * HELLO is skipped by clients without ALPN. MINTING waits for the MySQL user's certificate and is
 * skipped where that is there, as nearly always. STARTING waits for room in the audit log for
 * session.start. CHANGING is COM_CHANGE_USER, which is judged and authenticated like a login; where
 * it takes another connection to the database, by way of MINTING and UPSTREAM_LOGIN, and back. Each
 * session ends with exactly one reason.
 */
#ifndef SALLYPORT_PROXY_SESSION_INTERNAL_H
#define SALLYPORT_PROXY_SESSION_INTERNAL_H

#include "audit/audit.h"
#include "authz/authz.h"
#include "base/buffer.h"
#include "protocol/auth.h"
#include "protocol/handshake.h"
#include "proxy/leg.h"
#include "proxy/reason.h"
#include "proxy/session.h"
#include "proxy/upstream.h"
#include "tls/hello.h"
#include "tls/proof.h"
#include "tls/stream.h"

#define SESSION_ID_SIZE   20
#define SESSION_LINGER_MS 2000 /* how long a last ERR may take to reach the client */
/* How long a login waits for its certificate, within upstream_timeout. Servers give up a client
 * that has not logged in after 10 s (connect_timeout of MySQL and MariaDB). */
#define SESSION_MINT_MS 5000

enum session_state {
    SESSION_CLIENT_TLS,
    SESSION_HELLO,
    SESSION_DIALLING,
    SESSION_LOGIN,
    SESSION_STARTTLS,
    SESSION_AUTH,
    SESSION_MINTING,
    SESSION_UPSTREAM_LOGIN,
    SESSION_STARTING,
    SESSION_READY,
    SESSION_CHANGING,
    SESSION_ENDING,
    SESSION_CLOSED,
    SESSION_STATE_COUNT,
};

/* Why the client's bytes are not taken now: bits of session.holds. */
enum session_hold {
    HOLD_LOGIN = 1,   /* the login is being worked on */
    HOLD_BACKLOG = 2, /* the database does not take bytes fast enough */
    HOLD_AUDIT = 4,   /* a command waits for room in the audit log */
    HOLD_ANSWERS = 8, /* a command waits for earlier answers */
};

struct relay; /* the command phase: relay.h */

struct session {
    struct worker *worker;
    struct session *next, *previous;
    char id[SESSION_ID_SIZE];
    enum session_state state;
    enum reason reason;
    int64_t started_us; /* wall time */
    int64_t started_monotonic_us;
    int64_t login_started_us; /* monotonic: the login's deadline counts from here */
    int64_t mint_until_us;    /* monotonic: of MINTING */

    struct snapshot *snapshot;       /* what it is judged by; changes on reload */
    size_t listener;                 /* index into the snapshot's listeners */
    const struct database *database; /* of `dialled`, which the upstream holds too */
    struct snapshot *dialled;        /* the snapshot whose database it uses */
    struct authz_roles roles;
    struct authz_limits limits;

    struct stream *client;
    struct leg leg; /* the client's */
    struct upstream *upstream;
    uv_timer_t timer;
    unsigned
        open_handles; /* timer and client stream: memory goes with the last, and the last record */
    unsigned holds;

    struct buffer input; /* bytes of an incomplete hello or login packet */
    struct hello_local local;
    uint8_t client_sequence;  /* of the client's next packet in login and CHANGING */
    uint32_t offered;         /* capabilities in our greeting to the client */
    uint32_t offered_mariadb; /* MariaDB's extended flags, likewise */
    char offered_plugin[HANDSHAKE_PLUGIN_MAX];
    uint8_t scramble[HANDSHAKE_SCRAMBLE_SIZE]; /* ours, in the greeting to the client */
    struct handshake_login login;              /* of the login or change of user under way */
    struct buffer attributes;                  /* what login.attributes points into */
    struct auth_server auth;
    struct buffer last_auth; /* payload to send before the OK */

    uint32_t connection_id; /* the database's, once it has greeted */
    char mysql_user[HANDSHAKE_USER_MAX];
    char schema[HANDSHAKE_SCHEMA_MAX];
    uint32_t capabilities;         /* of the command phase, the same on both legs; and those that
                                      concern the client's leg alone, as the client set them */
    uint32_t mariadb_capabilities; /* likewise */
    uint32_t max_packet;           /* of the login, for another connection of this session */
    uint8_t zstd_level;            /* likewise */
    bool of_authority;             /* the certificate is one of the authority's own bots */
    const char *instance;          /* of those, into stream_peer(); NULL: none */
    bool has_family;               /* the hello named one: renewals of its tunnel extend it */
    uint8_t family[HELLO_FAMILY_SIZE];
    struct proof *proof; /* the renewed certificate that it lives by; NULL: the one it came with */
    bool identified;     /* the client's certificate is verified and stream_peer() valid */
    bool pending;        /* counted as not logged in */
    bool logged_in;      /* counted for its bot */
    bool started;        /* session.start was recorded: session.end is owed */
    bool ended_recorded;
    bool busy;  /* it has dialled a database */
    bool drain; /* ends when the running commands have been answered */
    struct audit_prefix prefix;
    int64_t record_deadline_us;   /* monotonic: until when it waits for room in the audit log */
    int error_sequence;           /* of an ERR of ours that is due; -1: where the state says */
    char why[ERROR_MESSAGE_SIZE]; /* text of the ending, for the record */
    uint16_t error_code;          /* of the ERR that went to the client; 0: none */
    char error_sqlstate[6];

    uint64_t bytes_in, bytes_out; /* of the command phase */
    int64_t last_activity_us;     /* monotonic */
    struct relay *relay;
};

/* The one setter of the state: logs and refuses what the table does not declare. */
bool session_move(struct session *session, enum session_state to) MUST_USE;
const char *session_state_name(enum session_state state);

/* The bot's name for messages; "unknown" before the certificate was verified. */
const char *session_bot(const struct session *session);

/* Holds or takes the client's bytes; see enum session_hold. */
void session_hold_client(struct session *session, enum session_hold why);
void session_release_client(struct session *session, enum session_hold why);

/* Writes to the client; a client that cannot be written to ends the session. */
bool session_write(struct session *session, const void *bytes, size_t length) MUST_USE;
bool session_write_buffer(struct session *session, const struct buffer *buffer) MUST_USE;

/* Ends the session without a word to the client. `why` goes to the record. Safe to call twice: the
 * first reason stays. */
void session_end(struct session *session, enum reason reason, const char *why, ...)
    PRINTF_LIKE(3, 4);

/*
 * Sends an ERR packet "sallyport: bot NAME: <message>" where one may stand, and ends the session.
 */
void session_fail(struct session *session, enum reason reason, uint16_t code, const char *sqlstate,
                  const char *message, ...) PRINTF_LIKE(5, 6);

/* (Re)starts the one timer of the session by what its state is due to do next. */
void session_arm_timer(struct session *session);

/* session_login.c: from the first byte to READY. */

/* Sends a payload of a login's exchange with the client, in its turn. */
bool session_send_payload(struct session *session, struct byte_view payload) MUST_USE;
/* Sends what the client's plugin still waits for, and the database's OK. */
bool session_send_ok(struct session *session, struct byte_view ok) MUST_USE;
/* Copies what session->login's views point into: the packet that it came in goes. */
bool session_keep_attributes(struct session *session, struct error *err) MUST_USE;
size_t session_login_data(struct session *session, const uint8_t *data, size_t length);
void session_client_secured(struct session *session);
void session_dial(struct session *session);
void session_start_relay(struct session *session);
extern const struct upstream_events session_upstream_events;

/* session_credential.c: the certificate to log in to the database with. */

/* The client has done its part: logs in to the database, or waits for the certificate first. */
void session_login_upstream(struct session *session);
/* In MINTING: there is a new snapshot. */
void session_follow_mint(struct session *session);
/* In MINTING: nothing came in time. */
void session_mint_timeout(struct session *session);

/* session_decide.c: what the policy says. */

/* Whether the verified certificate is valid now (I1): not only when the handshake was. */
bool session_check_certificate(struct session *session, struct error *err) MUST_USE;
/* Takes over the certificate that its tunnel has shown since, if the authority's CAs that are
 * trusted now signed it. */
void session_renew(struct session *session);
/* Wall time: the end of the certificate, or of the newer one that it took over. */
int64_t session_certificate_until(const struct session *session);
/* At a change of the trusted CAs: whether the certificate that it lives by is trusted still. */
bool session_keeps_certificate(struct session *session, struct error *err) MUST_USE;
/* Finds out whether it is a bot of the authority's, and the roles that it has now. */
bool session_map_roles(struct session *session, struct error *err) MUST_USE;
/* ERROR_DENIED with the reason when bot, instance, role or database is locked, or when nothing was
 * heard of the authority for too long. */
bool session_check_locks(const struct session *session, struct error *err) MUST_USE;
struct registry_who session_who(const struct session *session);
struct authz_request session_request(const struct session *session, const char *mysql_user,
                                     const char *schema);
/* Whether a feature is allowed to a MySQL user. */
bool session_allows(const struct session *session, const char *mysql_user,
                    enum authz_feature feature, struct authz_decision *decision);

/* A login or COM_CHANGE_USER, judged: certificate, user, schema. */
struct login_verdict {
    uint16_t code; /* of the ERR packet, when it is denied */
    const char *sqlstate;
    struct authz_decision decision;
};
bool session_judge_login(struct session *session, const struct handshake_login *login,
                         struct login_verdict *verdict) MUST_USE;
void session_decide(const struct session *session, const char *mysql_user, const char *schema,
                    struct authz_decision *decision);

/* session_record.c: session.start, session.denied, session.end. */
bool session_render_prefix(struct session *session, struct error *err) MUST_USE;
/* True when it was recorded, false when it must wait for room; failing ends the session. */
bool session_record_start(struct session *session) MUST_USE;
bool session_record_end(struct session *session) MUST_USE;
/* Begins to wait for room in the log, within the configured time. */
void session_wait_for_room(struct session *session);

#endif

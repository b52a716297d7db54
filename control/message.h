/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the control protocol (docs/protocol/control.md) as trees of cJSON: what kind a
 * message is, who may ask what, and building them. What stands inside is read by control/fields.h.
 */
#ifndef SALLYPORT_CONTROL_MESSAGE_H
#define SALLYPORT_CONTROL_MESSAGE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The greatest whole number: cJSON 1.7 prints 15 digits of larger ones. */
#define CONTROL_ID_MAX           999999999999999ULL
#define CONTROL_NAME_MAX         32 /* bytes of a request's or event's name */
#define CONTROL_REQUESTS_WAITING 16 /* of one connection, not yet answered */

/* Why a request was refused. A unit test ties the names to the page's table. */
enum control_code {
    CONTROL_NO_ERROR = 0,
    CONTROL_MALFORMED,
    CONTROL_UNKNOWN_REQUEST,
    CONTROL_NOT_ALLOWED,
    CONTROL_BUSY,
    CONTROL_TOKEN_UNKNOWN,
    CONTROL_TOKEN_USED,
    CONTROL_TOKEN_EXPIRED,
    CONTROL_BAD_CSR,
    CONTROL_UNKNOWN_BOT,
    CONTROL_EXISTS,
    CONTROL_NOT_FOUND,
    CONTROL_INVALID,
    CONTROL_LOCKED,
    CONTROL_SUPERSEDED,
    CONTROL_CONFLICT,
    CONTROL_INTERNAL,
    CONTROL_OTHER, /* a code that this version does not know; never sent */
    CONTROL_CODE_COUNT,
};

/* The name on the wire; "other" for CONTROL_OTHER. */
const char *control_code_name(enum control_code code);
/* The code of a name; CONTROL_OTHER when this version does not know it. */
enum control_code control_code_of(const char *name);
/* What an error of control/fields.h is answered with: a wrong shape is malformed, a value past a
 * bound is invalid, anything else internal. */
enum control_code control_code_of_error(const struct error *err);

/* An answer that refuses. The message is the other side's text: for people, never for decisions. */
struct control_failure {
    enum control_code code;
    char message[ERROR_MESSAGE_SIZE];
};

/* Who is at the other end. */
enum control_peer_kind {
    CONTROL_NOBODY,        /* TLS without a client certificate */
    CONTROL_BOT,           /* a certificate of the bot CA */
    CONTROL_PROXY,         /* a certificate of the service CA */
    CONTROL_ADMINISTRATOR, /* the Unix socket */
    CONTROL_BOT_AT_PROXY,  /* a bot that asks a proxy, not the authority */
    CONTROL_PEER_KIND_COUNT,
};

/* As `hello` answers it: "nobody", "bot", "proxy", "administrator". */
const char *control_peer_kind_name(enum control_peer_kind kind);

/* Whether the protocol has such a request. */
bool control_known(const char *request);
/* Whether this kind of peer may ask it; false for what is not known. */
bool control_allowed(enum control_peer_kind kind, const char *request);
/* Calls `visit` with the name of each request: for documentation and its tests. */
void control_each_request(void (*visit)(void *context, const char *request), void *context);

/* What a message is. Everything is borrowed from the tree. */
enum control_form { CONTROL_REQUEST, CONTROL_ANSWER, CONTROL_EVENT };

struct control_head {
    enum control_form form;
    uint64_t id;                    /* request and answer; an answer to what had no id has 0 */
    const char *name;               /* of a request or an event */
    const cJSON *ok;                /* of an answer: the object, or NULL when it refuses */
    struct control_failure failure; /* of an answer that refuses */
};

/*
 * ERROR_MALFORMED when it is none of the three forms, or two of them. head->id is set even then,
 * where the message has one (0 otherwise), so that the refusal can name it. A code that is not
 * known is CONTROL_OTHER.
 */
bool control_head_read(const cJSON *message, struct control_head *head, struct error *err) MUST_USE;

/*
 * Building. A constructor returns NULL without memory; control_put_…() return false then, so that
 * they chain with &&. Who asks in turn: control_frame_print() or control_peer_send() prints, and
 * control_free() wipes and frees.
 */
/* {"id": 1, "request": name}; control/client.h numbers it anew. */
cJSON *control_request(const char *name) MUST_USE;
/* Gives a request another number. */
bool control_request_number(cJSON *request, uint64_t id) MUST_USE;
/* {"id": id, "ok": ok}. Takes ownership of `ok`, on failure too; NULL stands for {}. */
cJSON *control_answer(uint64_t id, cJSON *ok) MUST_USE;
/* {"id": id, "error": {"code", "message"}}. Bytes of the message that are not UTF-8 become '?'. */
cJSON *control_error(uint64_t id, enum control_code code, const char *message) MUST_USE;
/* {"event": name}. */
cJSON *control_event(const char *name) MUST_USE;

/* Text must be UTF-8, or it is not put and false comes back: the other side would refuse all. */
bool control_put_text(cJSON *object, const char *key, const char *text) MUST_USE;
/* At most CONTROL_ID_MAX. */
bool control_put_unsigned(cJSON *object, const char *key, uint64_t value) MUST_USE;
bool control_put_bool(cJSON *object, const char *key, bool value) MUST_USE;
/* Base64url without padding. */
bool control_put_bytes(cJSON *object, const char *key, const void *bytes, size_t length) MUST_USE;
/* RFC 3339 in UTC. */
bool control_put_time(cJSON *object, const char *key, int64_t wall_us) MUST_USE;
/* The largest unit that fits, e.g. "1h". */
bool control_put_duration(cJSON *object, const char *key, int64_t milliseconds) MUST_USE;
bool control_put_texts(cJSON *object, const char *key, const char *const *texts,
                       size_t count) MUST_USE;
/* An empty list or object under `key`, to be filled; NULL without memory. */
cJSON *control_put_list(cJSON *object, const char *key) MUST_USE;
cJSON *control_put_object(cJSON *object, const char *key) MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the authority remembers, in its own words: bots, tokens, instances, the ledger of
 * certificates, locks, documents (roles, databases, mappings), its CAs and the proxies. Private
 * keys are not here: they are files of the same directory.
 *
 * The store belongs to one process (a lock file in the directory) and one thread; all calls block.
 * A change that has returned true is on the disk, power loss included, except within a group.
 *
 * Groups: store_begin(), any number of changes, store_commit(): all of them or none, with one
 * fsync(2). A change that fails undoes itself and nothing else; the group may go on. Groups nest:
 * store_rollback() undoes the innermost, and what an inner one committed lasts when the outermost
 * is committed. Whoever begins a group ends it. When the database had to give up everything (a full
 * disk), every call fails until the outermost group has ended.
 *
 * Visitors (the *_each functions) see each row in the order of its name or id and return whether to
 * go on; what they are given is theirs until they return. A visitor must not call the store: that
 * fails with ERROR_STATE.
 *
 * Times are wall time in microseconds (base/clock.h), given by the caller; 0 is "never" or "none",
 * and so is "". Names and ids are compared byte by byte. The caller has checked what they are made
 * of; their lengths, and that they are UTF-8, are checked here. Whatever a text holds, it is a
 * value and never SQL.
 *
 * Codes of failure, where a function says nothing more:
 *   ERROR_EXISTS       a thing of that name or id is there already
 *   ERROR_NOT_FOUND    it is not there, or what it would belong to is not
 *   ERROR_LIMIT        a value is too long, not UTF-8, empty, named twice or out of its range
 *   ERROR_MALFORMED    the file is damaged
 *   ERROR_TIMEOUT      another program holds the file
 *   ERROR_UNSUPPORTED  the file is of a newer version
 *   ERROR_SYSTEM       full disk, no permission, input or output
 *   ERROR_STATE        used in a way that is not allowed here
 * Messages name the thing or the file and say what to do.
 */
#ifndef SALLYPORT_AUTHORITY_STORE_H
#define SALLYPORT_AUTHORITY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* Sizes with their NUL; the limit is one byte less. */
#define STORE_NAME_SIZE     65   /* bots, roles, proxies */
#define STORE_ID_SIZE       17   /* tokens, locks: 16 hexadecimal digits */
#define STORE_INSTANCE_SIZE 33   /* instances: 32 hexadecimal digits */
#define STORE_SERIAL_SIZE   41   /* hexadecimal digits of 20 bytes (RFC 5280, 4.1.2.2) */
#define STORE_ACTOR_SIZE    256  /* who did it: a user, an address */
#define STORE_TARGET_SIZE   256  /* what a lock is on; the longest is a database's name */
#define STORE_REASON_SIZE   1025 /* why there is a lock */
#define STORE_KEY_SIZE      1025 /* a public key in PEM; P-384 has 215 bytes */
#define STORE_SUBJECT_SIZE  8193 /* a certificate's subject, as tls/identity.h limits it */
#define STORE_DOCUMENT_SIZE 256  /* a document's name */
#define STORE_PHASE_SIZE    33   /* a CA's phase */
#define STORE_PEM_SIZE      8193 /* a CA's certificate */
#define STORE_FILE_SIZE     256  /* a key file's name */
#define STORE_JOINED_SIZE   65   /* how an instance joined */
#define STORE_HOST_SIZE     254  /* a DNS name or an IP address */
#define STORE_PIN_SIZE      65   /* hexadecimal digits of a public key's SHA-256 */

#define STORE_HASH_LENGTH       32    /* SHA-256 */
#define STORE_ROLES_MAX         64    /* of a bot; as authz/authz.h has it */
#define STORE_PROXY_NAMES_MAX   32    /* of a proxy */
#define STORE_DOCUMENT_TEXT_MAX 65536 /* bytes of a document's JSON */

struct store;

/* --- the store itself --- */

/*
 * Opens the store of a directory, which is made (0700, the last part of the path only) when it is
 * missing. Refused, with nothing written: a directory that is not ours, that others may enter or
 * that we may not write; one that another process has open; a file that sql_open() refuses; one of
 * a newer version. An older one is brought to this version.
 */
bool store_open(const char *directory, struct store **out, struct error *err) MUST_USE;

/* A group under way is rolled back. NULL allowed. */
void store_close(struct store *store);

/* The directory, for the files that lie beside: its path without symbolic links, and a descriptor
 * that stays the store's. */
const char *store_directory(const struct store *store);
int store_directory_fd(const struct store *store);

/* ERROR_STATE past SQL_DEPTH_MAX levels, of which a change may need one. */
bool store_begin(struct store *store, struct error *err) MUST_USE;
/* A commit that fails has rolled its group back. */
bool store_commit(struct store *store, struct error *err) MUST_USE;
/* Nothing happens when no group is under way. */
void store_rollback(struct store *store);

/*
 * The version of what proxies must know: it goes up, within the same transaction, with every change
 * of a bot's roles (a bot added or removed included), a document, a lock or a CA. What changes
 * nothing leaves it as it is, and so do locks that lapse. A proxy that is removed counts, too. At
 * least 1, so that 0 can mean "nothing is known yet".
 */
bool store_version(struct store *store, int64_t *version, struct error *err) MUST_USE;

/* --- bots --- */

struct store_bot {
    char name[STORE_NAME_SIZE];
    size_t role_count;
    char roles[STORE_ROLES_MAX][STORE_NAME_SIZE]; /* in the order given; none twice */
    char public_key[STORE_KEY_SIZE];              /* PEM, or "" */
    int64_t created_us;
    char created_by[STORE_ACTOR_SIZE];
};

typedef bool (*store_bot_visit)(const struct store_bot *bot, void *context);

bool store_bot_add(struct store *store, const struct store_bot *bot, struct error *err) MUST_USE;
bool store_bot_find(struct store *store, const char *name, struct store_bot *out,
                    struct error *err) MUST_USE;
bool store_bot_each(struct store *store, store_bot_visit visit, void *context,
                    struct error *err) MUST_USE;
/* Puts these roles in the place of those that it has; *changed (NULL allowed): they differ, be it
 * in their order. */
bool store_bot_set_roles(struct store *store, const char *name, const char *const *roles,
                         size_t count, bool *changed, struct error *err) MUST_USE;
/* With its tokens and its instances. Locks on it stay, and so does the ledger. */
bool store_bot_remove(struct store *store, const char *name, struct error *err) MUST_USE;

/* --- join tokens --- */

enum store_token_kind {
    STORE_TOKEN_BOT = 1,
    STORE_TOKEN_PROXY,
};

struct store_token {
    char id[STORE_ID_SIZE];
    uint8_t hash[STORE_HASH_LENGTH]; /* of the secret, which is nowhere */
    enum store_token_kind kind;
    char name[STORE_NAME_SIZE]; /* whom it lets join */
    int64_t created_us;
    char created_by[STORE_ACTOR_SIZE];
    int64_t expires_us;
    int64_t used_us; /* 0: not yet */
    char used_by[STORE_ACTOR_SIZE];
    char used_key[STORE_PIN_SIZE];       /* whose key joined: its pin, or "" */
    char used_serial[STORE_SERIAL_SIZE]; /* the last certificate that it brought, or "" */
};

typedef bool (*store_token_visit)(const struct store_token *token, void *context);

/* ERROR_NOT_FOUND: there is no such bot. (A proxy need not be there before it joins.) */
bool store_token_add(struct store *store, const struct store_token *token,
                     struct error *err) MUST_USE;
bool store_token_find(struct store *store, const char *id, struct store_token *out,
                      struct error *err) MUST_USE;
/* Uses it up: *used is true for exactly one call, and false when it was used before, has expired at
 * `now_us` or is not there (store_token_find() tells which). */
bool store_token_use(struct store *store, const char *id, int64_t now_us, const char *used_by,
                     bool *used, struct error *err) MUST_USE;
/* Notes for whose key it was used, and the certificate that it has brought. */
bool store_token_note(struct store *store, const char *id, const char *key, const char *serial,
                      struct error *err) MUST_USE;
bool store_token_each(struct store *store, store_token_visit visit, void *context,
                      struct error *err) MUST_USE;
bool store_token_remove(struct store *store, const char *id, struct error *err) MUST_USE;
/* Removes those that expired at or before a time, used or not. */
bool store_token_prune(struct store *store, int64_t expired_us, int64_t *removed,
                       struct error *err) MUST_USE;

/* --- instances of bots --- */

/*
 * One place where a bot runs. It has one current certificate; a renewal makes the next generation:
 *
 *     add ──► generation 1 ──advance──► generation 2 ──advance──► …
 *                  │ replace (current was never confirmed: lost before it was saved)
 *                  └──► the same generation with another serial
 */
struct store_instance {
    char id[STORE_INSTANCE_SIZE];
    char bot[STORE_NAME_SIZE];
    int64_t generation; /* from 1 */
    char serial[STORE_SERIAL_SIZE];
    char previous_serial[STORE_SERIAL_SIZE]; /* of the generation before, or "" */
    bool confirmed;                          /* the current certificate was seen in use */
    int64_t created_us;
    int64_t seen_us;
    int64_t not_after_us;              /* of the current certificate */
    char joined_by[STORE_JOINED_SIZE]; /* "token <id>" or "key" */
};

/* What a serial is to its instance. */
enum store_serial {
    STORE_SERIAL_CURRENT = 1,
    STORE_SERIAL_PREVIOUS,
    STORE_SERIAL_OLDER, /* also one that was replaced; known from the ledger */
};

/* The certificate that follows. */
struct store_next {
    const char *serial;
    int64_t not_after_us;
    int64_t now_us; /* becomes seen_us */
};

typedef bool (*store_instance_visit)(const struct store_instance *instance, void *context);

/* As given. ERROR_NOT_FOUND: there is no such bot. */
bool store_instance_add(struct store *store, const struct store_instance *instance,
                        struct error *err) MUST_USE;
bool store_instance_find(struct store *store, const char *id, struct store_instance *out,
                         struct error *err) MUST_USE;
/* Whose certificate it is or was. ERROR_NOT_FOUND also when the instance is gone. */
bool store_instance_find_serial(struct store *store, const char *serial, struct store_instance *out,
                                enum store_serial *which, struct error *err) MUST_USE;

/*
 * A renewal: if `expected` is its current serial, the next becomes the current one, not confirmed,
 * and the current one the previous one, one generation on. *done is false, and nothing changed,
 * when another one is current or the instance is not there.
 */
bool store_instance_advance(struct store *store, const char *id, const char *expected,
                            const struct store_next *next, bool *done, struct error *err) MUST_USE;
/* The same where the current certificate was never confirmed, and in its place: generation and
 * previous serial stay. *done is false also when it was confirmed. */
bool store_instance_replace(struct store *store, const char *id, const char *expected,
                            const struct store_next *next, bool *done, struct error *err) MUST_USE;
/* The certificate was seen in use. *current is false, and nothing changed, when it is the current
 * one of no instance. */
bool store_instance_confirm(struct store *store, const char *serial, int64_t now_us, bool *current,
                            struct error *err) MUST_USE;

/* Of one bot, or (NULL) of all. */
bool store_instance_each(struct store *store, const char *bot, store_instance_visit visit,
                         void *context, struct error *err) MUST_USE;
bool store_instance_remove(struct store *store, const char *id, struct error *err) MUST_USE;

/* --- the ledger of certificates --- */

enum store_certificate_kind {
    STORE_CERTIFICATE_BOT = 1,
    STORE_CERTIFICATE_PROXY,
    STORE_CERTIFICATE_DATABASE_CLIENT,
    STORE_CERTIFICATE_DATABASE_SERVER,
    STORE_CERTIFICATE_CA,
};

struct store_certificate {
    char serial[STORE_SERIAL_SIZE];
    enum store_certificate_kind kind;
    char subject[STORE_SUBJECT_SIZE];
    char instance[STORE_INSTANCE_SIZE]; /* of a bot, or "" */
    int64_t generation;                 /* of the instance, or 0 */
    int64_t not_before_us;
    int64_t not_after_us;
    int64_t issued_us;
    int64_t authority; /* the number of the CA that signed it, or 0 */
};

bool store_certificate_add(struct store *store, const struct store_certificate *certificate,
                           struct error *err) MUST_USE;
bool store_certificate_find(struct store *store, const char *serial, struct store_certificate *out,
                            struct error *err) MUST_USE;
/* Forgets those that ended at or before a time. Blocks for as long as there are many: call it
 * often.
 */
bool store_certificate_prune(struct store *store, int64_t ended_us, int64_t *removed,
                             struct error *err) MUST_USE;

/* --- locks --- */

enum store_lock_kind {
    STORE_LOCK_BOT = 1,
    STORE_LOCK_INSTANCE,
    STORE_LOCK_ROLE,
    STORE_LOCK_DATABASE,
    STORE_LOCK_TOKEN,
    STORE_LOCK_PROXY,
};

struct store_lock {
    char id[STORE_ID_SIZE];
    enum store_lock_kind kind;
    char target[STORE_TARGET_SIZE]; /* need not be there */
    char reason[STORE_REASON_SIZE];
    int64_t created_us;
    char created_by[STORE_ACTOR_SIZE];
    int64_t expires_us; /* 0: until it is removed */
};

typedef bool (*store_lock_visit)(const struct store_lock *lock, void *context);

bool store_lock_add(struct store *store, const struct store_lock *lock, struct error *err) MUST_USE;
/* Also one that has expired. */
bool store_lock_find(struct store *store, const char *id, struct store_lock *out,
                     struct error *err) MUST_USE;
/* Those that hold at `now_us`: a lock ends with its last microsecond before expires_us. */
bool store_lock_each(struct store *store, int64_t now_us, store_lock_visit visit, void *context,
                     struct error *err) MUST_USE;
bool store_lock_remove(struct store *store, const char *id, struct error *err) MUST_USE;
/* How many locks of one creator are on instances of a bot, lapsed ones included. */
bool store_lock_count_of_bot(struct store *store, const char *created_by, const char *bot,
                             int64_t *count, struct error *err) MUST_USE;
/* Removes those of one creator on instances that are not there (any more), from before a time. */
bool store_lock_prune_lost(struct store *store, const char *created_by, int64_t before_us,
                           int64_t *removed, struct error *err) MUST_USE;
/* Removes those that store_lock_each() no longer tells. */
bool store_lock_prune(struct store *store, int64_t now_us, int64_t *removed,
                      struct error *err) MUST_USE;

/* --- documents: what `role apply` brings, as JSON --- */

enum store_document_kind {
    STORE_DOCUMENT_ROLE = 1,
    STORE_DOCUMENT_DATABASE,
    STORE_DOCUMENT_MAPPING,
};

enum store_change {
    STORE_UNCHANGED = 1,
    STORE_ADDED,
    STORE_CHANGED,
};

struct store_document {
    enum store_document_kind kind;
    char name[STORE_DOCUMENT_SIZE];
    const char *text; /* borrowed; ends in a NUL */
    size_t length;
    int64_t changed_us;
};

typedef bool (*store_document_visit)(const struct store_document *document, void *context);

/* A text that is byte for byte the one that is there is no change. */
bool store_document_put(struct store *store, enum store_document_kind kind, const char *name,
                        const char *text, int64_t now_us, enum store_change *change,
                        struct error *err) MUST_USE;
/* Appends the text to a buffer. */
bool store_document_find(struct store *store, enum store_document_kind kind, const char *name,
                         struct buffer *text, struct error *err) MUST_USE;
/* Of one kind, or (0) of all, kind by kind. */
bool store_document_each(struct store *store, enum store_document_kind kind,
                         store_document_visit visit, void *context, struct error *err) MUST_USE;
bool store_document_remove(struct store *store, enum store_document_kind kind, const char *name,
                           struct error *err) MUST_USE;

/* --- certificate authorities --- */

enum store_authority_kind {
    STORE_AUTHORITY_BOT = 1,
    STORE_AUTHORITY_SERVICE,
    STORE_AUTHORITY_DATABASE_SERVER,
    STORE_AUTHORITY_DATABASE_CLIENT,
};

struct store_authority {
    enum store_authority_kind kind;
    int64_t number; /* from 1; each kind counts on its own */
    char phase[STORE_PHASE_SIZE];
    char certificate[STORE_PEM_SIZE];
    char key_file[STORE_FILE_SIZE]; /* a name in the store's directory */
    int64_t created_us;
    int64_t phase_since_us;
};

typedef bool (*store_authority_visit)(const struct store_authority *authority, void *context);

bool store_authority_add(struct store *store, const struct store_authority *authority,
                         struct error *err) MUST_USE;
bool store_authority_set_phase(struct store *store, enum store_authority_kind kind, int64_t number,
                               const char *phase, int64_t now_us, struct error *err) MUST_USE;
/* Of one kind, or (0) of all, by number. */
bool store_authority_each(struct store *store, enum store_authority_kind kind,
                          store_authority_visit visit, void *context, struct error *err) MUST_USE;
bool store_authority_remove(struct store *store, enum store_authority_kind kind, int64_t number,
                            struct error *err) MUST_USE;

/* --- proxies --- */

/* Its certificates have generations as those of instances do; joining again begins anew. */
struct store_proxy {
    char name[STORE_NAME_SIZE];
    char serial[STORE_SERIAL_SIZE];
    char previous_serial[STORE_SERIAL_SIZE]; /* of the generation before, or "" */
    int64_t generation;
    bool confirmed;       /* the current certificate was seen in use */
    int64_t joined_us;    /* older certificates are void */
    int64_t not_after_us; /* of the current certificate */
    size_t name_count;
    char names[STORE_PROXY_NAMES_MAX][STORE_HOST_SIZE]; /* what tunnels know it by; none twice */
    int64_t seen_us;
};

typedef bool (*store_proxy_visit)(const struct store_proxy *proxy, void *context);

/* Adds it, or puts it in the place of the one that is there. */
bool store_proxy_put(struct store *store, const struct store_proxy *proxy,
                     struct error *err) MUST_USE;
bool store_proxy_find(struct store *store, const char *name, struct store_proxy *out,
                      struct error *err) MUST_USE;
/* Another proxy than `except` that has this host among its names and joined before a time: its name
 * is in `out`, or "". */
bool store_proxy_find_host(struct store *store, const char *host, const char *except,
                           int64_t before_us, char out[STORE_NAME_SIZE],
                           struct error *err) MUST_USE;
bool store_proxy_each(struct store *store, store_proxy_visit visit, void *context,
                      struct error *err) MUST_USE;
/* The state's version goes up: whoever follows it is looked at again. */
bool store_proxy_remove(struct store *store, const char *name, struct error *err) MUST_USE;

/* --- the words for kinds, as the control protocol has them --- */

/* E.g. "database-client"; NULL for a value that is none. */
const char *store_token_kind_name(enum store_token_kind kind);
const char *store_certificate_kind_name(enum store_certificate_kind kind);
const char *store_lock_kind_name(enum store_lock_kind kind);
const char *store_document_kind_name(enum store_document_kind kind);
const char *store_authority_kind_name(enum store_authority_kind kind);

/* The other way; false for a word that is none. */
bool store_token_kind_parse(const char *name, enum store_token_kind *kind) MUST_USE;
bool store_certificate_kind_parse(const char *name, enum store_certificate_kind *kind) MUST_USE;
bool store_lock_kind_parse(const char *name, enum store_lock_kind *kind) MUST_USE;
bool store_document_kind_parse(const char *name, enum store_document_kind *kind) MUST_USE;
bool store_authority_kind_parse(const char *name, enum store_authority_kind *kind) MUST_USE;

#endif

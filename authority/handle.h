/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handlers of requests (docs/protocol/control.md), by file. What each takes and answers is on
 * that page; what they are to do is said at request_handler (authority/service_internal.h).
 */
#ifndef SALLYPORT_AUTHORITY_HANDLE_H
#define SALLYPORT_AUTHORITY_HANDLE_H

#include "authority/lock.h"
#include "authority/renew.h"
#include "authority/service_internal.h"
#include "authority/token.h"

/* handle_join.c */
request_handler handle_hello, handle_join, handle_challenge, handle_join_key, handle_join_proxy;
/* handle_renew.c */
request_handler handle_renew, handle_confirm;
/* handle_proxy.c */
request_handler handle_renew_proxy, handle_subscribe, handle_state, handle_mint, handle_seen;
/* handle_admin_bot.c */
request_handler handle_bot_add, handle_bot_list, handle_bot_show, handle_bot_remove;
request_handler handle_bot_roles;
/* handle_admin_place.c */
request_handler handle_instance_list, handle_instance_remove;
request_handler handle_proxy_list, handle_proxy_remove;
/* handle_admin_token.c */
request_handler handle_token_add, handle_token_list, handle_token_remove;
/* handle_admin_role.c */
request_handler handle_role_test;
/* handle_admin_document.c */
request_handler handle_apply, handle_role_list, handle_role_show, handle_role_remove;
request_handler handle_database_list, handle_database_show, handle_database_remove;
request_handler handle_mapping_list, handle_mapping_remove;
/* handle_admin_lock.c */
request_handler handle_lock_add, handle_lock_list, handle_lock_remove;
/* handle_admin_ca.c */
request_handler handle_ca_status, handle_ca_export, handle_ca_rotate, handle_sign_database;

#define HANDLE_FIELDS(array) (array), sizeof(array) / sizeof *(array)

/* Of a CSR in a request: as tls/request.h limits it. */
#define HANDLE_CSR_MAX TLS_REQUEST_PEM_MAX

/* Puts an identity into the answer. */
bool handle_put_identity(struct request *request, const struct authority_identity *identity,
                         struct error *err) MUST_USE;

/* What the authority has locked by itself. */
struct handle_locked {
    enum store_lock_kind kind;
    const char *target;
};

/*
 * A refusal of which a lock may have come (NULL: none of its own): records both. The lock stays
 * where the audit log has no room: then the log of errors has them. Whoever could fill the audit
 * log could otherwise use a copy unpunished.
 */
void handle_record_conflict(struct request *request, const struct authority_facts *facts,
                            const struct handle_locked *locked);

/* A refusal of a bot or an instance that asks too often (authority/rate.h): an event once a minute,
 * which says how many there were. */
void handle_record_busy(struct request *request, enum authority_event event,
                        struct authority_facts *facts, const char *name);

/* An event with the outcome "denied", for what is refused; that it cannot be recorded changes
 * nothing about the refusal. */
void handle_record_denied(struct request *request, enum authority_event event,
                          const struct authority_facts *facts);

/* A token that was made: what `bot_add` and `token_add` answer with; recorded. */
bool handle_add_token(struct request *request, enum store_token_kind kind, const char *name,
                      int64_t ttl_ms, struct error *err) MUST_USE;
/* "ca_pin" and "authority": how a bot's machine finds the authority. */
bool handle_put_place(struct request *request, struct error *err) MUST_USE;

/* Puts "lock", the reason of the first lock on a thing, if there is one. */
bool handle_put_lock(struct request *request, cJSON *object,
                     const struct authority_lock_query *query, struct error *err) MUST_USE;

/* A list in the answer that a visitor of the store fills. */
struct handle_list {
    struct request *request;
    cJSON *items;
    bool failed;
    const char *only; /* NULL, or the one that is looked for */
};

/* Begins `key`; false without memory. */
bool handle_list_begin(struct handle_list *list, struct request *request, const char *key,
                       struct error *err) MUST_USE;
/* A new object in it, or NULL. */
cJSON *handle_list_item(struct handle_list *list);
/* What a visitor returns: whether its item could be built. */
bool handle_list_put(struct handle_list *list, bool put);
/* Whether all could be built. */
bool handle_list_end(const struct handle_list *list, struct error *err) MUST_USE;

#endif

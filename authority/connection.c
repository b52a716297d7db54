/* SPDX-License-Identifier: Apache-2.0 */
/* One peer: who it is, and its way to group.c. */
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "authority/service_internal.h"
#include "base/clock.h"
#include "base/log.h"

/* --- what is told of it --- */

struct authority_facts connection_facts(const struct connection *connection)
{
    struct authority_facts facts = {
        .client = connection->address,
        .subject = connection->subject,
        .serial = connection->serial,
        .administrator = connection->known && connection->kind == CONTROL_ADMINISTRATOR,
        .uid = connection->uid,
        .pid = connection->pid,
    };
    if (connection->known && connection->kind == CONTROL_BOT)
        facts.bot = connection->name;
    if (connection->known && connection->kind == CONTROL_PROXY)
        facts.proxy = connection->name;
    return facts;
}

bool service_may_log(struct authority_service *service)
{
    char unsaid[32];
    int64_t second = clock_monotonic_us() / AUTHORITY_SECOND;
    if (service->log_second != second) {
        if (service->log_unsaid > 0) {
            (void)snprintf(unsaid, sizeof unsaid, "%u", service->log_unsaid);
            log_info("more peers were refused", "number", unsaid, NULL);
        }
        service->log_second = second;
        service->log_lines = service->log_unsaid = 0;
    }
    if (service->log_lines >= SERVICE_LOG_LINES) {
        service->log_unsaid++;
        return false;
    }
    service->log_lines++;
    return true;
}

/* Strangers can make as many of these as they like: an address has so many records of it, and the
 * next one that it gets says how many there were in between. */
void connection_record_refusal(struct connection *connection, const char *reason)
{
    struct authority_service *service = connection->service;
    int64_t now_us = clock_monotonic_us();
    struct error err = {0};
    connection->refused = true;
    if (service_may_log(service))
        log_info("a peer was refused", "client", connection->address, "peer",
                 control_peer_kind_name(connection->kind), "reason", reason, NULL);
    if (!authority_rate_allows(service->refusals, connection->host, now_us)) {
        service->unrecorded++;
        return;
    }
    struct authority_facts facts = connection_facts(connection);
    const struct identity *refused =
        connection->known ? NULL : stream_refused_peer(control_peer_stream(connection->peer));
    if (refused) {
        facts.subject = refused->subject;
        facts.serial = refused->serial;
    }
    facts.unrecorded = service->unrecorded;
    authority_rate_refused(service->refusals, connection->host, now_us);
    if (authority_event_put(service->lane, AUTHORITY_EVENT_PEER_REFUSED, &facts, "denied", reason,
                            &err))
        service->unrecorded = 0;
    else if (service_may_log(service))
        log_warning("a refusal was not recorded", "error", err.message, NULL);
}

/* --- the list --- */

static void add_connection(struct connection *connection)
{
    struct authority_service *service = connection->service;
    connection->next = service->connections;
    if (connection->next)
        connection->next->previous = connection;
    service->connections = connection;
    service->connection_count++;
    service->admin_count += connection->kind == CONTROL_ADMINISTRATOR;
}

static void remove_connection(struct connection *connection)
{
    struct authority_service *service = connection->service;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        service->connections = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    service->connection_count--;
    service->admin_count -= connection->kind == CONTROL_ADMINISTRATOR;
}

void connection_close(struct connection *connection, const char *reason)
{
    struct error err = {0};
    if (reason)
        (void)error_set(&err, ERROR_DENIED, "%s", reason);
    control_peer_close(connection->peer, reason ? &err : NULL);
}

void connection_close_all(struct authority_service *service)
{
    for (struct connection *each = service->connections; each; each = each->next)
        connection_close(each, NULL);
}

/* --- who it is --- */

static void refuse_peer(struct connection *connection, const char *reason)
{
    connection_record_refusal(connection, reason);
    connection_close(connection, reason);
}

static bool trusted_by(const struct connection *connection, const struct tls_context *context)
{
    return stream_trusted_by(control_peer_stream(connection->peer), context, NULL);
}

/* By the CA that vouches for it: a name in a certificate says nothing about its kind (I11). */
static bool find_kind(struct connection *connection, enum store_certificate_kind *kind)
{
    const struct service_tls *tls = &connection->service->tls;
    bool bot = trusted_by(connection, tls->bots);
    bool service = trusted_by(connection, tls->services);
    if (bot == service) /* a CA was dropped during the handshake */
        return false;
    connection->kind = bot ? CONTROL_BOT : CONTROL_PROXY;
    *kind = bot ? STORE_CERTIFICATE_BOT : STORE_CERTIFICATE_PROXY;
    return true;
}

/* The last CN: what we have signed has exactly one. */
static bool take_name(struct connection *connection, const struct identity *identity)
{
    size_t name = strlen(identity->bot), serial = strlen(identity->serial);
    if (name >= sizeof connection->name || serial >= sizeof connection->serial)
        return false;
    memcpy(connection->name, identity->bot, name + 1);
    memcpy(connection->serial, identity->serial, serial + 1);
    (void)snprintf(connection->actor, sizeof connection->actor, "%s %s",
                   control_peer_kind_name(connection->kind), connection->name);
    connection->not_after_us = identity->not_after_us;
    connection->subject = strdup(identity->subject);
    return connection->subject != NULL;
}

/* A certificate that the ledger does not have was made with a stolen key, or the store is an old
 * copy: neither is to be believed. The authority's own has an OU of its own, and is no proxy's. */
static const char *check_ledger(struct connection *connection, enum store_certificate_kind kind)
{
    struct error err = {0};
    struct store_certificate *row = malloc(sizeof *row);
    const char *wrong = NULL;
    if (!row || !store_certificate_find(connection->service->store, connection->serial, row, &err))
        wrong = err.code == ERROR_NOT_FOUND ? "the authority knows of no such certificate"
                                            : "the certificate could not be looked up";
    else if (row->kind != kind)
        wrong = "the certificate is of another kind";
    else if (kind == STORE_CERTIFICATE_PROXY && !strstr(connection->subject, ",OU=proxies"))
        wrong = "the certificate is not a proxy's";
    free(row);
    return wrong;
}

static void on_secured(struct control_peer *peer, void *owner)
{
    struct connection *connection = owner;
    const struct identity *identity = control_peer_identity(peer);
    enum store_certificate_kind kind;
    connection->known = true;
    if (!identity) {
        (void)snprintf(connection->actor, sizeof connection->actor, "%s", connection->address);
        return;
    }
    if (!find_kind(connection, &kind) || !take_name(connection, identity)) {
        refuse_peer(connection, "the certificate is of no bot and no proxy");
        return;
    }
    const char *wrong = check_ledger(connection, kind);
    if (wrong)
        refuse_peer(connection, wrong);
}

static void on_message(struct control_peer *peer, void *owner, const cJSON *message,
                       const struct control_head *head)
{
    (void)peer;
    group_request(owner, message, head);
}

/* What a peer does when it has had enough, or the network when it is gone, is no refusal. */
static bool is_refusal(const struct connection *connection, enum error_code code)
{
    if (code == ERROR_TIMEOUT)
        return !connection->known;
    return code == ERROR_MALFORMED || code == ERROR_LIMIT || code == ERROR_UNSUPPORTED ||
           code == ERROR_TLS || code == ERROR_DENIED;
}

static void on_closed(struct control_peer *peer, void *owner, const struct error *reason)
{
    struct connection *connection = owner;
    struct authority_service *service = connection->service;
    connection->peer = peer;
    if (!connection->refused && is_refusal(connection, reason->code))
        connection_record_refusal(connection, reason->message);
    group_forget(service, connection);
    remove_connection(connection);
    sodium_memzero(&connection->challenge, sizeof connection->challenge);
    free(connection->subject);
    free(connection);
}

static const struct control_peer_events peer_events = {
    .secured = on_secured,
    .message = on_message,
    .closed = on_closed,
};

/* --- accepting --- */

/* "10.0.0.5" of "10.0.0.5:1234", and "fe80::1" of "[fe80::1]:1234". */
static void take_address(struct connection *connection)
{
    const char *address = stream_peer_address(control_peer_stream(connection->peer));
    (void)snprintf(connection->address, sizeof connection->address, "%s", address);
    const char *from =
        connection->address[0] == '[' ? connection->address + 1 : connection->address;
    const char *colon = strrchr(from, ':');
    size_t length = colon ? (size_t)(colon - from) : strlen(from);
    if (length > 0 && from[length - 1] == ']')
        length--;
    memcpy(connection->host, from, length);
    connection->host[length] = '\0';
}

/* What counts as one address: an IPv6 network is a /64. */
static void take_network(struct connection *connection)
{
    struct in6_addr address;
    const uint8_t *byte = address.s6_addr;
    bool six = uv_inet_pton(AF_INET6, connection->host, &address) == 0;
    if (six && !IN6_IS_ADDR_V4MAPPED(&address))
        (void)snprintf(connection->network, sizeof connection->network,
                       "%02x%02x:%02x%02x:%02x%02x:%02x%02x::/64", byte[0], byte[1], byte[2],
                       byte[3], byte[4], byte[5], byte[6], byte[7]);
    else
        (void)snprintf(connection->network, sizeof connection->network, "%s", connection->host);
}

static uint64_t count_network(const struct authority_service *service, const char *network)
{
    uint64_t count = 0;
    for (const struct connection *each = service->connections; each; each = each->next)
        count += strcmp(each->network, network) == 0;
    return count;
}

static const char *too_many(const struct connection *connection)
{
    const struct authority_service *service = connection->service;
    const struct authority_limits *limits = &service->settings.limits;
    if (connection->kind == CONTROL_ADMINISTRATOR)
        return service->admin_count > SERVICE_ADMINS_MAX ? "too many administrators are connected"
                                                         : NULL;
    if (service->connection_count - service->admin_count > limits->connections)
        return "too many connections";
    return count_network(service, connection->network) > limits->per_address
               ? "too many connections from this address"
               : NULL;
}

static bool accept_peer(struct authority_service *service, uv_stream_t *listener,
                        struct tls_context *context, struct connection **out, struct error *err)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return error_set(err, ERROR_MEMORY, "out of memory for a connection");
    connection->service = service;
    connection->kind = context ? CONTROL_NOBODY : CONTROL_ADMINISTRATOR;
    connection->since_us = clock_wall_us();
    if (!control_peer_accept(service->streams, listener, context, &peer_events, connection,
                             &connection->peer, err)) {
        free(connection);
        return false;
    }
    take_address(connection);
    take_network(connection);
    add_connection(connection);
    control_peer_set_idle(connection->peer, service->settings.limits.idle_ms);
    *out = connection;
    return true;
}

static struct connection *take_connection(uv_stream_t *listener, int status,
                                          struct tls_context *context)
{
    struct authority_service *service = listener->data;
    struct connection *connection = NULL;
    struct error err = {0};
    if (status != 0)
        (void)error_set(&err, ERROR_SYSTEM, "%s", uv_strerror(status));
    if (status != 0 || !accept_peer(service, listener, context, &connection, &err)) {
        if (service_may_log(service))
            log_warning("a connection could not be accepted", "error", err.message, NULL);
        return NULL;
    }
    const char *reason = service->stopping ? "the authority is stopping" : too_many(connection);
    if (!reason)
        return connection;
    refuse_peer(connection, reason);
    return NULL;
}

void connection_on_tcp(uv_stream_t *listener, int status)
{
    struct authority_service *service = listener->data;
    (void)take_connection(listener, status, service->tls.server);
}

/* The socket's mode keeps others out already; this holds where that was changed. */
static const char *check_credentials(struct connection *connection)
{
    struct ucred who;
    socklen_t size = sizeof who;
    int fd = stream_fd(control_peer_stream(connection->peer));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || size != sizeof who)
        return "the system does not say who it is";
    connection->uid = who.uid;
    connection->pid = (uint64_t)who.pid;
    connection->known = true;
    (void)snprintf(connection->actor, sizeof connection->actor, "uid %lu", (unsigned long)who.uid);
    return who.uid == 0 || who.uid == geteuid()
               ? NULL
               : "only root and the authority's own user may administer it";
}

void connection_on_pipe(uv_stream_t *listener, int status)
{
    struct connection *connection = take_connection(listener, status, NULL);
    const char *wrong = connection ? check_credentials(connection) : NULL;
    if (wrong)
        refuse_peer(connection, wrong);
}

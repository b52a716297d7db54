/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/authority_peer.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/fields.h"
#include "control/peer.h"
#include "tls/certificate.h"
#include "tls/pem.h"
#include "tls/request.h"

#define INSTANCE "00112233445566778899aabbccddeeff"

struct peer {
    struct list node;
    struct authority *authority;
    struct control_peer *control;
    uint8_t nonce[32];
};

/* Certificates. */

static char *read_text(const char *file)
{
    struct pem text;
    struct error err = {0};
    cr_assert(pem_read(file, PEM_FILE, CERTIFICATE_PEM_MAX, &text, &err), "%s", err.message);
    char *copy = strdup((const char *)text.bytes);
    pem_release(&text);
    return copy;
}

static struct tls_key *read_key(const char *file)
{
    struct tls_key *key;
    struct error err = {0};
    cr_assert(tls_key_read(file, &key, &err), "%s", err.message);
    return key;
}

struct wish {
    const char *bot;
    const char *unit; /* OU; NULL: that of bots */
    const struct tls_public *public;
    int64_t begin_us, end_us;
    enum certificate_use use;
    const struct tls_key *issuer_key;
    const char *issuer;
    const char *behind; /* what the chain goes on with */
    bool server;
};

/* Leaf and issuer; freed by the caller. *serial gets the leaf's. */
static char *sign(const struct wish *wish, char serial[64])
{
    struct error err = {0};
    struct buffer pem;
    const struct certificate_name names[] = {{"CN", wish->bot},
                                             {"OU", wish->unit ? wish->unit : "bots"}};
    static const char *const hosts[] = {"localhost"};
    static const char *const addresses[] = {"127.0.0.1"};
    struct certificate_template template = {
        .names = names,
        .name_count = 2,
        .not_before_us = wish->begin_us,
        .not_after_us = wish->end_us,
        .use = wish->use,
        .public = wish->public,
    };
    if (wish->server) {
        template.san_dns = hosts;
        template.san_ips = addresses;
        template.san_dns_count = template.san_ip_count = 1;
    }
    buffer_init(&pem, 64 * 1024);
    cr_assert(certificate_serial_random(template.serial, &err), "%s", err.message);
    cr_assert(certificate_sign(&template, wish->issuer_key, wish->issuer, &pem, &err), "%s",
              err.message);
    cr_assert(buffer_append(&pem, wish->behind, strlen(wish->behind) + 1, &err));
    certificate_serial_text(template.serial, serial);
    char *text = strdup((const char *)buffer_bytes(&pem));
    buffer_release(&pem);
    return text;
}

static int64_t now_us(const struct authority *authority)
{
    return clock_wall_us() + authority->skew_ms * 1000;
}

static bool is_mode(const struct authority *authority, enum authority_mode mode)
{
    return authority->mode == mode;
}

/* What the mode makes of a wish. */
static void spoil(const struct authority *authority, struct wish *wish,
                  const struct tls_public *other)
{
    if (is_mode(authority, AUTHORITY_OTHER_BOT) || is_mode(authority, AUTHORITY_LIES))
        wish->bot = "somebody-else";
    if (is_mode(authority, AUTHORITY_OTHER_KEY))
        wish->public = other;
    if (is_mode(authority, AUTHORITY_EXPIRED)) {
        wish->begin_us -= 7200000000;
        wish->end_us = clock_wall_us() - 2000000;
    }
    if (is_mode(authority, AUTHORITY_FUTURE)) {
        wish->begin_us += 600000000;
        wish->end_us += 600000000;
    }
    if (is_mode(authority, AUTHORITY_BROKEN_CHAIN))
        wish->behind = authority->foreign_ca;
    if (is_mode(authority, AUTHORITY_A_CA))
        wish->use = CERTIFICATE_CA;
}

static char *issue(struct authority *authority, const struct tls_public *public, char serial[64])
{
    struct tls_key *stray;
    struct tls_public *other;
    struct error err = {0};
    struct wish wish = {
        .bot = authority->bot,
        .public = public,
        .begin_us = now_us(authority) - 60000000,
        .end_us = now_us(authority) + authority->life_ms * 1000,
        .use = CERTIFICATE_CLIENT,
        .issuer_key = authority->bot_ca_key,
        .issuer = authority->bot_ca,
        .behind = authority->bot_ca,
    };
    cr_assert(tls_key_generate(&stray, &err) && tls_public_of(stray, &other, &err));
    spoil(authority, &wish, other);
    char *text = sign(&wish, serial);
    tls_public_free(other);
    tls_key_free(stray);
    return text;
}

/* Answers. */

static void send_message(struct peer *peer, cJSON *message)
{
    struct error err = {0};
    cr_assert(control_peer_send_new(peer->control, message, &err), "%s", err.message);
}

static void refuse(struct peer *peer, uint64_t id, enum control_code code, const char *why)
{
    peer->authority->failures++;
    send_message(peer, control_error(id, code, why));
}

static void answer_identity(struct peer *peer, uint64_t id, const char *certificate)
{
    struct authority *authority = peer->authority;
    int64_t renew_ms = authority->renew_ms ? authority->renew_ms : authority->life_ms / 3;
    bool other = is_mode(authority, AUTHORITY_OTHER_INSTANCE);
    const char *name = is_mode(authority, AUTHORITY_OTHER_BOT) ? "somebody-else" : authority->bot;
    cJSON *ok = cJSON_CreateObject();
    cr_assert(control_put_text(ok, "certificate", certificate));
    cr_assert(control_put_text(ok, "ca", authority->service_ca));
    cr_assert(control_put_text(ok, "name", name));
    cr_assert(
        control_put_text(ok, "instance", other ? "ffffffffffffffffffffffffffffffff" : INSTANCE));
    cr_assert(control_put_unsigned(ok, "generation", authority->generation));
    cr_assert(control_put_time(ok, "not_after", now_us(authority) + authority->life_ms * 1000));
    cr_assert(control_put_time(ok, "renew_at", now_us(authority) + renew_ms * 1000));
    cr_assert(control_put_text(ok, "what_is_to_come", "ignored"));
    send_message(peer, control_answer(id, ok));
}

/* A certificate was issued; what becomes of the answer is the mode's. */
static void give(struct peer *peer, uint64_t id, const char *csr, bool replaces)
{
    struct authority *authority = peer->authority;
    struct tls_request *request;
    struct error err = {0};
    char serial[64];
    if (!tls_request_parse(csr, strlen(csr), &request, &err)) {
        refuse(peer, id, CONTROL_BAD_CSR, err.message);
        return;
    }
    free(authority->last_csr);
    authority->last_csr = strdup(csr);
    char *certificate = issue(authority, tls_request_public(request), serial);
    if (!replaces) {
        memcpy(authority->previous, authority->serial, sizeof serial);
        authority->generation++;
    }
    memcpy(authority->serial, serial, sizeof serial);
    authority->confirmed = false;
    if (is_mode(authority, AUTHORITY_DROPS))
        control_peer_close(peer->control, NULL);
    else
        answer_identity(peer, id, certificate);
    free(certificate);
    tls_request_free(request);
}

/* Requests. */

static const char *text_of(const cJSON *message, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(message, key);
    cr_assert(cJSON_IsString(item), "%s is missing", key);
    return item->valuestring;
}

/* Whether this is the key of the last request. */
static bool is_same_key(const struct authority *authority, const char *csr)
{
    struct tls_request *last, *request;
    struct error err = {0};
    if (!authority->last_csr)
        return false;
    cr_assert(tls_request_parse(authority->last_csr, strlen(authority->last_csr), &last, &err) &&
                  tls_request_parse(csr, strlen(csr), &request, &err),
              "%s", err.message);
    bool same = tls_public_equal(tls_request_public(last), tls_request_public(request));
    tls_request_free(last);
    tls_request_free(request);
    return same;
}

static void on_join(struct peer *peer, uint64_t id, const cJSON *message)
{
    struct authority *authority = peer->authority;
    authority->joins++;
    if (strcmp(text_of(message, "token"), AUTHORITY_TOKEN) != 0) {
        refuse(peer, id, CONTROL_TOKEN_UNKNOWN, "there is no such token");
    } else if (authority->token_used &&
               (authority->confirmed || !is_same_key(authority, text_of(message, "csr")))) {
        refuse(peer, id, CONTROL_TOKEN_USED, "the token was used");
    } else {
        authority->token_used = true;
        authority->generation = 0;
        authority->serial[0] = authority->previous[0] = '\0';
        give(peer, id, text_of(message, "csr"), false);
    }
}

static void on_challenge(struct peer *peer, uint64_t id)
{
    cJSON *ok = cJSON_CreateObject();
    randombytes_buf(peer->nonce, sizeof peer->nonce);
    cr_assert(control_put_bytes(ok, "nonce", peer->nonce, sizeof peer->nonce));
    send_message(peer, control_answer(id, ok));
}

static void digest_of(const struct peer *peer, const char *bot, const char *csr, uint8_t digest[32])
{
    struct tls_request *request;
    struct error err = {0};
    const uint8_t *der;
    size_t length;
    uint8_t text[20000];
    cr_assert(tls_request_parse(csr, strlen(csr), &request, &err), "%s", err.message);
    tls_request_der(request, &der, &length);
    int used = snprintf((char *)text, sizeof text, "sallyport-join-key/1\n%s\n", bot);
    memcpy(text + used, peer->nonce, sizeof peer->nonce);
    memcpy(text + used + sizeof peer->nonce, der, length);
    crypto_hash_sha256(digest, text, (size_t)used + sizeof peer->nonce + length);
    tls_request_free(request);
}

static void on_join_key(struct peer *peer, uint64_t id, const cJSON *message)
{
    struct authority *authority = peer->authority;
    uint8_t signature[TLS_SIGNATURE_MAX], digest[32];
    struct control_bytes bytes = {signature, sizeof signature, 0};
    const struct control_field field = {
        .key = "signature", .type = CONTROL_BYTES, .to.bytes = &bytes};
    struct error err = {0};
    authority->join_keys++;
    cr_assert(control_fields_read(message, CONTROL_KEYS_ANY, &field, 1, &err), "%s", err.message);
    digest_of(peer, text_of(message, "bot"), text_of(message, "csr"), digest);
    if (!authority->bound_key ||
        !tls_public_verify(authority->bound_key, digest, signature, bytes.length, &err)) {
        refuse(peer, id, CONTROL_NOT_ALLOWED, "the key is not the bot's");
        return;
    }
    authority->generation = 0;
    give(peer, id, text_of(message, "csr"), false);
}

static void on_renew(struct peer *peer, uint64_t id, const cJSON *message)
{
    struct authority *authority = peer->authority;
    const struct identity *identity = control_peer_identity(peer->control);
    authority->renewals++;
    if (!identity)
        refuse(peer, id, CONTROL_NOT_ALLOWED, "who are you?");
    else if (strcmp(identity->serial, authority->serial) == 0)
        give(peer, id, text_of(message, "csr"), false);
    else if (strcmp(identity->serial, authority->previous) == 0 && !authority->confirmed)
        give(peer, id, text_of(message, "csr"), true);
    else {
        authority->superseded = true;
        refuse(peer, id, CONTROL_SUPERSEDED, "generation 1 was used after 2: locked");
    }
}

static void on_confirm(struct peer *peer, uint64_t id)
{
    struct authority *authority = peer->authority;
    const struct identity *identity = control_peer_identity(peer->control);
    authority->confirmations++;
    bool current = identity && strcmp(identity->serial, authority->serial) == 0;
    authority->confirmed = authority->confirmed || current;
    bool known = current || (identity && strcmp(identity->serial, authority->previous) == 0 &&
                             !authority->confirmed);
    if (known)
        send_message(peer, control_answer(id, NULL));
    else
        refuse(peer, id, CONTROL_NOT_FOUND, "this certificate is not known");
}

static bool misbehaves(struct peer *peer, uint64_t id)
{
    struct authority *authority = peer->authority;
    switch (authority->mode) {
    case AUTHORITY_REFUSES:
        refuse(peer, id, authority->refusal.code, authority->refusal.message);
        return true;
    case AUTHORITY_GARBAGE:
        cr_assert(stream_write((struct stream *)(uintptr_t)control_peer_stream(peer->control),
                               "HTTP/1.1 400 Bad Request\r\n\r\n", 28, NULL));
        return true;
    case AUTHORITY_NO_SENSE:
        send_message(peer, control_answer(id, NULL));
        return true;
    case AUTHORITY_SILENT:
        return true;
    default:
        return false;
    }
}

static void on_message(struct control_peer *control, void *owner, const cJSON *message,
                       const struct control_head *head)
{
    struct peer *peer = owner;
    const char *only = peer->authority->only;
    (void)control;
    enum authority_mode mode = peer->authority->mode;
    if (only && strcmp(only, head->name) != 0)
        peer->authority->mode = AUTHORITY_GOOD;
    if (strcmp(head->name, "challenge") == 0)
        on_challenge(peer, head->id);
    else if (misbehaves(peer, head->id))
        peer->authority->failures++;
    else if (strcmp(head->name, "join") == 0)
        on_join(peer, head->id, message);
    else if (strcmp(head->name, "join_key") == 0)
        on_join_key(peer, head->id, message);
    else if (strcmp(head->name, "renew") == 0)
        on_renew(peer, head->id, message);
    else if (strcmp(head->name, "confirm") == 0)
        on_confirm(peer, head->id);
    else
        refuse(peer, head->id, CONTROL_UNKNOWN_REQUEST, "what?");
    peer->authority->mode = mode;
}

static void on_closed(struct control_peer *control, void *owner, const struct error *reason)
{
    struct peer *peer = owner;
    (void)control;
    (void)reason;
    list_remove(&peer->node);
    free(peer);
}

static const struct control_peer_events peer_events = {.message = on_message, .closed = on_closed};

static void on_connection(uv_stream_t *listener, int status)
{
    struct authority *authority = listener->data;
    struct peer *peer = calloc(1, sizeof *peer);
    struct error err = {0};
    cr_assert(peer && status == 0);
    peer->authority = authority;
    cr_assert(control_peer_accept(authority->world->streams, listener, authority->context,
                                  &peer_events, peer, &peer->control, &err),
              "%s", err.message);
    list_append(&authority->peers, &peer->node);
}

/* Beginning and end. */

static void make_context(struct authority *authority, const char *unit)
{
    static const char *const alpn[] = {TLS_ALPN_CONTROL, NULL};
    struct tls_key *key;
    struct tls_public *public;
    struct buffer key_pem;
    struct error err = {0};
    uint8_t room[4096];
    char serial[64];
    cr_assert(tls_key_generate(&key, &err) && tls_public_of(key, &public, &err));
    buffer_init_fixed(&key_pem, room, sizeof room);
    cr_assert(tls_key_write(key, &key_pem, &err) && buffer_append(&key_pem, "", 1, &err));
    char *certificate = sign(
        &(struct wish){
            .bot = "authority",
            .unit = unit,
            .public = public,
            .begin_us = clock_wall_us() - 3600000000,
            .end_us = clock_wall_us() + 3600000000,
            .use = CERTIFICATE_SERVER,
            .issuer_key = authority->service_ca_key,
            .issuer = authority->service_ca,
            .behind = authority->service_ca,
            .server = true,
        },
        serial);
    authority->context = context_make(&(struct tls_settings){
        .side = TLS_SERVER,
        .cert_pem = certificate,
        .key_pem = (const char *)room,
        .ca_file = certs_path("bot-ca.crt"),
        .client_certificate_optional = true,
        .alpn = alpn,
    });
    free(certificate);
    tls_public_free(public);
    tls_key_free(key);
}

void authority_start(struct authority *authority)
{
    struct sockaddr_in address;
    int size = sizeof address;
    struct world *world = authority->world;
    cr_assert_eq(uv_ip4_addr("127.0.0.1", authority->address.port, &address), 0);
    cr_assert_eq(uv_tcp_init(&world->loop, &authority->listener), 0);
    authority->listener.data = authority;
    cr_assert_eq(uv_tcp_bind(&authority->listener, (struct sockaddr *)&address, 0), 0);
    cr_assert_eq(uv_listen((uv_stream_t *)&authority->listener, 64, on_connection), 0);
    cr_assert_eq(uv_tcp_getsockname(&authority->listener, (struct sockaddr *)&address, &size), 0);
    authority->address = (struct address){.kind = ADDRESS_HOST, .port = ntohs(address.sin_port)};
    strcpy(authority->address.host, "127.0.0.1");
}

void authority_open(struct authority *authority, struct world *world)
{
    struct certificate_facts facts = {0};
    struct error err = {0};
    *authority = (struct authority){
        .world = world,
        .bot = "ci-1",
        .life_ms = 3600000,
        .bot_ca_key = read_key(certs_path("bot-ca.key")),
        .service_ca_key = read_key(certs_path("service-ca.key")),
        .bot_ca = read_text(certs_path("bot-ca.crt")),
        .service_ca = read_text(certs_path("service-ca.crt")),
        .foreign_ca = read_text(certs_path("foreign-ca.crt")),
    };
    list_init(&authority->peers);
    cr_assert(certificate_read(authority->service_ca, strlen(authority->service_ca), &facts, &err),
              "%s", err.message);
    memcpy(authority->pin, facts.pin, sizeof facts.pin);
    certificate_facts_release(&facts);
    make_context(authority, "authority");
    authority_start(authority);
}

void authority_pose(struct authority *authority, const char *unit)
{
    tls_context_unref(authority->context);
    make_context(authority, unit);
}

void authority_stop(struct authority *authority)
{
    if (!uv_is_closing((uv_handle_t *)&authority->listener))
        uv_close((uv_handle_t *)&authority->listener, NULL);
    struct list *next;
    for (struct list *at = authority->peers.next; at != &authority->peers; at = next) {
        next = at->next;
        control_peer_close(LIST_OF(at, struct peer, node)->control, NULL);
    }
    RUN_UNTIL(authority->world, list_empty(&authority->peers));
}

void authority_close(struct authority *authority)
{
    authority_stop(authority);
    tls_context_unref(authority->context);
    tls_key_free(authority->bot_ca_key);
    tls_key_free(authority->service_ca_key);
    tls_public_free(authority->bound_key);
    free(authority->bot_ca);
    free(authority->service_ca);
    free(authority->foreign_ca);
    free(authority->last_csr);
}

void authority_install(struct authority *authority, const char *directory, const char *bot,
                       int64_t begin_ms, int64_t end_ms)
{
    struct tls_key *key;
    struct tls_public *public;
    struct buffer pem;
    struct error err = {0};
    cr_assert(tls_key_generate(&key, &err) && tls_public_of(key, &public, &err));
    buffer_init(&pem, 8192);
    cr_assert(tls_key_write(key, &pem, &err) && buffer_append(&pem, "", 1, &err));
    char *certificate = sign(
        &(struct wish){
            .bot = bot,
            .public = public,
            .begin_us = clock_wall_us() + begin_ms * 1000,
            .end_us = clock_wall_us() + end_ms * 1000,
            .use = CERTIFICATE_CLIENT,
            .issuer_key = authority->bot_ca_key,
            .issuer = authority->bot_ca,
            .behind = authority->bot_ca,
        },
        authority->serial);
    authority->generation = 1;
    file_write(directory, "cert.pem", certificate);
    file_write(directory, "key.pem", (const char *)buffer_bytes(&pem));
    file_write(directory, "ca.pem", authority->service_ca);
    free(certificate);
    buffer_release(&pem);
    tls_public_free(public);
    tls_key_free(key);
}

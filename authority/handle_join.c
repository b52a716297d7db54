/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody without a certificate may ask. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "authority/handle.h"
#include "base/clock.h"
#include "base/log.h"

/* Of `software`. */
#define SOFTWARE_MAX 128
#define SOFTWARE     "sallyport"

bool handle_hello(struct request *request, struct error *err)
{
    const struct connection *connection = request->connection;
    const char *software;
    const struct control_field fields[] = {
        {.key = "software",
         .type = CONTROL_TEXT,
         .to.text = &software,
         .greatest = SOFTWARE_MAX,
         .optional = true},
    };
    cJSON *ok = request->ok;
    if (!request_fields(request, HANDLE_FIELDS(fields)))
        return false;
    return request_built(
        control_put_text(ok, "software", SOFTWARE) &&
            control_put_text(ok, "trust_domain", request->service->settings.core.trust_domain) &&
            control_put_text(ok, "peer", control_peer_kind_name(connection->kind)) &&
            control_put_text(ok, "name", connection->name) &&
            control_put_time(ok, "time", request->now_us),
        err);
}

/* An address that was refused too often is not even looked at. */
static bool may_try(struct request *request)
{
    return authority_rate_allows(request->service->joins, request->connection->host,
                                 clock_monotonic_us()) ||
           authority_refuse(&request->refusal, CONTROL_BUSY,
                            "too many refused joins from this address: try again in a minute");
}

/* The end of a join, one way or the other. */
static bool conclude(struct request *request, bool joined, enum authority_event event,
                     struct authority_facts *facts, const struct authority_identity *identity,
                     struct error *err)
{
    if (!joined && request->refusal.code == CONTROL_NO_ERROR)
        return false;
    if (!joined && request->refusal.code == CONTROL_BUSY) {
        *(event == AUTHORITY_EVENT_BOT_JOIN ? &facts->bot : &facts->proxy) = identity->name;
        handle_record_busy(request, event, facts, identity->name);
        return false;
    }
    if (!joined) {
        authority_rate_refused(request->service->joins, request->connection->host,
                               clock_monotonic_us());
        handle_record_denied(request, event, facts);
        return false;
    }
    *(event == AUTHORITY_EVENT_BOT_JOIN ? &facts->bot : &facts->proxy) = identity->name;
    if (identity->again) /* the first answer was lost */
        facts->kind = "again";
    facts->instance = identity->instance;
    facts->generation = identity->generation;
    facts->issued = identity->certificate.serial;
    facts->not_after_us = identity->certificate.not_after_us;
    if (service_may_log(request->service))
        log_info(event == AUTHORITY_EVENT_BOT_JOIN ? "a bot joins" : "a proxy joins", "name",
                 identity->name, "instance", identity->instance, "client",
                 request->connection->address, NULL);
    return handle_put_identity(request, identity, err) &&
           request_event(request, event, facts, "ok", err);
}

/* The id of a token, which is no secret; "" when it has none. */
static void token_id(const char *token, char id[STORE_ID_SIZE])
{
    size_t prefix = strlen(AUTHORITY_TOKEN_PREFIX);
    id[0] = '\0';
    if (strncmp(token, AUTHORITY_TOKEN_PREFIX, prefix) != 0)
        return;
    size_t digits = strspn(token + prefix, "0123456789abcdef");
    if (digits == STORE_ID_SIZE - 1 && token[prefix + digits] == '.')
        (void)snprintf(id, STORE_ID_SIZE, "%.*s", (int)digits, token + prefix);
}

bool handle_join(struct request *request, struct error *err)
{
    const char *token, *csr;
    char id[STORE_ID_SIZE];
    const struct control_field fields[] = {
        {.key = "token", .type = CONTROL_TEXT, .to.text = &token, .greatest = AUTHORITY_TOKEN_SIZE},
        {.key = "csr", .type = CONTROL_LINES, .to.text = &csr, .greatest = HANDLE_CSR_MAX},
    };
    struct authority_identity identity;
    struct authority_facts facts = connection_facts(request->connection);
    if (!request_fields(request, HANDLE_FIELDS(fields)) || !may_try(request))
        return false;
    token_id(token, id);
    facts.token = id;
    bool joined = authority_join(request->service->core, token, csr, request->connection->address,
                                 request->now_us, &identity, &request->refusal, err);
    return conclude(request, joined, AUTHORITY_EVENT_BOT_JOIN, &facts, &identity, err);
}

bool handle_challenge(struct request *request, struct error *err)
{
    const char *bot;
    struct authority_challenge *challenge = &request->connection->challenge;
    const struct control_field fields[] = {
        {.key = "bot", .type = CONTROL_TEXT, .to.text = &bot, .greatest = STORE_NAME_SIZE - 1},
    };
    if (!request_fields(request, HANDLE_FIELDS(fields)) || !may_try(request) ||
        !authority_challenge_make(challenge, bot, request->now_us, &request->refusal))
        return false;
    return request_built(
        control_put_bytes(request->ok, "nonce", challenge->nonce, sizeof challenge->nonce), err);
}

bool handle_join_key(struct request *request, struct error *err)
{
    struct authority_join_key join;
    uint8_t signature[TLS_SIGNATURE_MAX];
    struct control_bytes bytes = {signature, sizeof signature, 0};
    const struct control_field fields[] = {
        {.key = "bot", .type = CONTROL_TEXT, .to.text = &join.bot, .greatest = STORE_NAME_SIZE - 1},
        {.key = "csr", .type = CONTROL_LINES, .to.text = &join.csr, .greatest = HANDLE_CSR_MAX},
        {.key = "signature", .type = CONTROL_BYTES, .to.bytes = &bytes, .least = 1},
    };
    struct authority_identity identity;
    struct authority_facts facts = connection_facts(request->connection);
    if (!request_fields(request, HANDLE_FIELDS(fields)) || !may_try(request))
        return false;
    join.signature = signature;
    join.signature_length = bytes.length;
    facts.target = join.bot; /* what it says it is called; nothing is proven yet */
    facts.kind = "key";
    bool joined = authority_join_key(request->service->core, &request->connection->challenge, &join,
                                     request->now_us, &identity, &request->refusal, err);
    return conclude(request, joined, AUTHORITY_EVENT_BOT_JOIN, &facts, &identity, err);
}

bool handle_join_proxy(struct request *request, struct error *err)
{
    struct authority_join_proxy join = {.address = request->connection->address};
    const char *names[AUTHORITY_HOSTS_MAX];
    char id[STORE_ID_SIZE];
    struct control_texts list = {.items = names, .room = AUTHORITY_HOSTS_MAX};
    const struct control_field fields[] = {
        {.key = "token",
         .type = CONTROL_TEXT,
         .to.text = &join.token,
         .greatest = AUTHORITY_TOKEN_SIZE},
        {.key = "name",
         .type = CONTROL_TEXT,
         .to.text = &join.name,
         .greatest = STORE_NAME_SIZE - 1},
        {.key = "csr", .type = CONTROL_LINES, .to.text = &join.csr, .greatest = HANDLE_CSR_MAX},
        {.key = "names", .type = CONTROL_TEXTS, .to.texts = &list, .greatest = STORE_HOST_SIZE - 1},
    };
    struct authority_identity identity;
    struct authority_facts facts = connection_facts(request->connection);
    if (!request_fields(request, HANDLE_FIELDS(fields)) || !may_try(request))
        return false;
    join.hosts = names;
    join.host_count = list.count;
    token_id(join.token, id);
    facts.token = id;
    facts.target = join.name;
    facts.names = names;
    facts.name_count = list.count;
    bool joined = authority_join_proxy(request->service->core, &join, request->now_us, &identity,
                                       &request->refusal, err);
    request->service->review |= joined; /* what it had before is void */
    return conclude(request, joined, AUTHORITY_EVENT_PROXY_JOIN, &facts, &identity, err);
}

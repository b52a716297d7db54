/* SPDX-License-Identifier: Apache-2.0 */
/* What a proxy may ask; some of it also an administrator, who looks at a database as a proxy would
 * (`sallyport db check`). */
#include <string.h>

#include "authority/handle.h"
#include "authority/standing.h"

#define SERIAL_MAX (STORE_SERIAL_SIZE - 1)

/* A refusal of something that would have been recorded. A superseded certificate has locked its
 * proxy. Returns false. */
static bool record_refusal(struct request *request, enum authority_event event,
                           const struct authority_facts *facts)
{
    if (request->refusal.code == CONTROL_SUPERSEDED) {
        const struct handle_locked locked = {STORE_LOCK_PROXY, request->connection->name};
        handle_record_conflict(request, facts, &locked);
    } else if (request->refusal.code != CONTROL_NO_ERROR) {
        handle_record_denied(request, event, facts);
    }
    return false;
}

bool handle_renew_proxy(struct request *request, struct error *err)
{
    struct authority_renew_proxy renewal = {.serial = request->connection->serial,
                                            .since_us = request->connection->since_us};
    const char *names[AUTHORITY_HOSTS_MAX];
    struct control_texts list = {.items = names, .room = AUTHORITY_HOSTS_MAX};
    const struct control_field fields[] = {
        {.key = "csr", .type = CONTROL_LINES, .to.text = &renewal.csr, .greatest = HANDLE_CSR_MAX},
        {.key = "names",
         .type = CONTROL_TEXTS,
         .to.texts = &list,
         .optional = true,
         .greatest = STORE_HOST_SIZE - 1},
    };
    struct authority_identity identity;
    struct authority_facts facts = connection_facts(request->connection);
    if (!request_fields(request, HANDLE_FIELDS(fields)))
        return false;
    renewal.hosts = names;
    renewal.host_count = list.count;
    facts.names = names;
    facts.name_count = list.count;
    if (!authority_renew_proxy(request->service->core, &renewal, request->now_us, &identity,
                               &request->refusal, err))
        return record_refusal(request, AUTHORITY_EVENT_CERT_RENEW, &facts);
    facts.issued = identity.certificate.serial;
    facts.not_after_us = identity.certificate.not_after_us;
    return handle_put_identity(request, &identity, err) &&
           request_event(request, AUTHORITY_EVENT_CERT_RENEW, &facts, "ok", err);
}

bool handle_mint(struct request *request, struct error *err)
{
    bool administrator = request->connection->kind == CONTROL_ADMINISTRATOR;
    struct authority_mint mint = {.serial = administrator ? NULL : request->connection->serial,
                                  .since_us = request->connection->since_us};
    const struct control_field fields[] = {
        {.key = "csr", .type = CONTROL_LINES, .to.text = &mint.csr, .greatest = HANDLE_CSR_MAX},
        {.key = "mysql_user",
         .type = CONTROL_TEXT,
         .to.text = &mint.mysql_user,
         .greatest = CERTIFICATE_NAME_MAX * 4},
    };
    struct authority_certificate certificate;
    struct authority_facts facts = connection_facts(request->connection);
    if (!request_fields(request, HANDLE_FIELDS(fields)))
        return false;
    facts.mysql_user = mint.mysql_user;
    facts.kind = store_certificate_kind_name(STORE_CERTIFICATE_DATABASE_CLIENT);
    if (!authority_mint(request->service->core, &mint, request->now_us, &certificate,
                        &request->refusal, err))
        return record_refusal(request, AUTHORITY_EVENT_CERT_ISSUE, &facts);
    facts.issued = certificate.serial;
    facts.not_after_us = certificate.not_after_us;
    return request_built(control_put_text(request->ok, "certificate", certificate.chain) &&
                             control_put_time(request->ok, "not_after", certificate.not_after_us),
                         err) &&
           request_event(request, AUTHORITY_EVENT_CERT_ISSUE, &facts, "ok", err);
}

/* Whether it is still a proxy, and not locked; that its certificate is in use is noted. */
static bool check_proxy(struct request *request, struct error *err)
{
    struct store_proxy proxy;
    const struct connection *connection = request->connection;
    const struct authority_facts facts = connection_facts(connection);
    if (authority_proxy_stand(request->service->core, connection->serial, connection->since_us,
                              false, request->now_us, &proxy, &request->refusal, err))
        return true;
    return request->refusal.code == CONTROL_SUPERSEDED &&
           record_refusal(request, AUTHORITY_EVENT_CERT_CONFLICT, &facts);
}

bool handle_subscribe(struct request *request, struct error *err)
{
    int64_t version;
    if (!request_fields(request, NULL, 0) || !check_proxy(request, err) ||
        !store_version(request->service->store, &version, err))
        return false;
    request->item->follow = true;
    return request_built(control_put_unsigned(request->ok, "version", (uint64_t)version), err);
}

/* What a `state` event would say, once. */
bool handle_state(struct request *request, struct error *err)
{
    struct authority_rendering state;
    bool administrator = request->connection->kind == CONTROL_ADMINISTRATOR;
    if (!request_fields(request, NULL, 0) || !(administrator || check_proxy(request, err)) ||
        !authority_state_render(request->service->core, request->now_us, &state, err))
        return false;
    if (cJSON_AddItemToObjectCS(request->ok, "state", state.event))
        return true;
    control_free(state.event);
    return request_built(false, err);
}

bool handle_seen(struct request *request, struct error *err)
{
    const char *serials[SERVICE_SERIALS_MAX];
    struct control_texts list = {.items = serials, .room = SERVICE_SERIALS_MAX};
    const struct control_field fields[] = {
        {.key = "serials", .type = CONTROL_TEXTS, .to.texts = &list, .greatest = SERIAL_MAX},
    };
    struct authority_seen seen;
    if (!request_fields(request, HANDLE_FIELDS(fields)) || !check_proxy(request, err) ||
        !authority_seen(request->service->core, serials, list.count, request->now_us, &seen, err))
        return false;
    if (seen.locked == 0)
        return true;
    struct authority_facts facts = connection_facts(request->connection);
    facts.names = serials;
    facts.name_count = list.count;
    handle_record_conflict(request, &facts, NULL);
    return true;
}

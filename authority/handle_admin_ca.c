/* SPDX-License-Identifier: Apache-2.0 */
/* Administration of the CAs, and certificates for database servers. */
#include <stdlib.h>
#include <string.h>

#include "authority/ca.h"
#include "authority/handle.h"
#include "authority/issue.h"
#include "base/log.h"

#define KIND_FIELD(kind_)                                                           \
    {                                                                               \
        .key = "kind", .type = CONTROL_TEXT, .to.text = &(kind_), .optional = true, \
        .greatest = CONTROL_NAME_MAX                                                \
    }

/* 0: all kinds. */
static bool read_kind(struct request *request, const char *name, enum store_authority_kind *kind)
{
    *kind = 0;
    return !name || store_authority_kind_parse(name, kind) ||
           authority_refuse(&request->refusal, CONTROL_INVALID,
                            "there is no CA called '%s': bot, service, database-server or "
                            "database-client",
                            name);
}

static bool put_ca(cJSON *list, const struct authority_ca *ca)
{
    char pin[CERTIFICATE_PIN_TEXT_SIZE];
    cJSON *item = cJSON_CreateObject();
    certificate_pin_text(ca->pin, pin);
    bool put = item && control_put_text(item, "kind", store_authority_kind_name(ca->kind)) &&
               control_put_unsigned(item, "number", (uint64_t)ca->number) &&
               control_put_text(item, "phase", authority_phase_name(ca->phase)) &&
               control_put_time(item, "since", ca->phase_since_us) &&
               control_put_time(item, "created", ca->created_us) &&
               control_put_time(item, "not_after", ca->not_after_us) &&
               control_put_text(item, "pin", pin) &&
               control_put_text(item, "subject_line", ca->subject_line);
    if (put && cJSON_AddItemToArray(list, item))
        return true;
    cJSON_Delete(item);
    return false;
}

static bool put_authorities(struct request *request, enum store_authority_kind only,
                            struct error *err)
{
    const struct authority_ca *cas[AUTHORITY_CAS_OF_KIND];
    cJSON *list = control_put_list(request->ok, "authorities");
    bool put = list != NULL;
    for (int kind = STORE_AUTHORITY_BOT; kind <= STORE_AUTHORITY_DATABASE_CLIENT; kind++) {
        if (only != 0 && (int)only != kind)
            continue;
        size_t count =
            authority_ca_list(request->service->core, (enum store_authority_kind)kind, cas);
        for (size_t i = 0; put && i < count; i++)
            put = put_ca(list, cas[i]);
    }
    return request_built(put, err);
}

bool handle_ca_status(struct request *request, struct error *err)
{
    const char *name;
    enum store_authority_kind kind;
    const struct control_field fields[] = {KIND_FIELD(name)};
    return request_fields(request, HANDLE_FIELDS(fields)) && read_kind(request, name, &kind) &&
           put_authorities(request, kind, err);
}

bool handle_ca_export(struct request *request, struct error *err)
{
    const char *name;
    enum store_authority_kind kind;
    const struct control_field fields[] = {
        {.key = "kind", .type = CONTROL_TEXT, .to.text = &name, .greatest = CONTROL_NAME_MAX},
    };
    return request_fields(request, HANDLE_FIELDS(fields)) && read_kind(request, name, &kind) &&
           request_built(control_put_text(request->ok, "ca",
                                          authority_ca_bundle(request->service->core, kind)),
                         err);
}

/* Who may connect, and by which CA the authority shows itself, follows the CAs at once. A fault
 * here leaves the rotation as it is and is tried again by service.c. */
static void follow_rotation(struct request *request)
{
    struct error err = {0};
    if (service_tls_renew(request->service, &err))
        return;
    request->service->tls.renew_at_us = 0;
    log_error("the authority's certificate did not follow a rotation", "error", err.message, NULL);
}

static bool is_told(void *service, const char *proxy)
{
    return service_state_told(service, proxy);
}

static bool rotate(struct request *request, enum store_authority_kind kind,
                   enum authority_rotation to, bool force, struct error *err)
{
    struct authority *core = request->service->core;
    service_state_publish(request->service);
    core->told = is_told;
    core->told_context = request->service;
    return authority_ca_rotate(core, kind, to, force, request->now_us, &request->refusal, err);
}

/* Outside of a group: ca.h. The event is begun first, because the step cannot be undone. */
bool handle_ca_rotate(struct request *request, struct error *err)
{
    const char *name, *to;
    bool force;
    enum store_authority_kind kind;
    enum authority_rotation rotation;
    const struct control_field fields[] = {
        {.key = "kind", .type = CONTROL_TEXT, .to.text = &name, .greatest = CONTROL_NAME_MAX},
        {.key = "to", .type = CONTROL_TEXT, .to.text = &to, .greatest = CONTROL_NAME_MAX},
        {.key = "force", .type = CONTROL_BOOL, .to.flag = &force, .optional = true},
    };
    if (!request_fields(request, HANDLE_FIELDS(fields)) || !read_kind(request, name, &kind))
        return false;
    if (!authority_rotation_parse(to, &rotation))
        return authority_refuse(&request->refusal, CONTROL_INVALID,
                                "a rotation has no phase '%s': none, standby, trusted, signing or "
                                "dropped",
                                to);
    struct authority_facts facts = connection_facts(request->connection);
    facts.kind = name;
    facts.to = to;
    facts.why = force ? "forced" : NULL;
    if (!request_event(request, AUTHORITY_EVENT_CA_ROTATE, &facts, "ok", err))
        return false;
    if (!rotate(request, kind, rotation, force, err))
        return false;
    follow_rotation(request);
    return put_authorities(request, kind, err);
}

static bool put_signed(struct request *request, const struct authority_server *database)
{
    char key[TLS_KEY_PEM_MAX];
    size_t length = buffer_length(&database->key);
    const char *client_ca =
        authority_ca_bundle(request->service->core, STORE_AUTHORITY_DATABASE_CLIENT);
    bool put = control_put_text(request->ok, "certificate", database->certificate.chain) &&
               control_put_time(request->ok, "not_after", database->certificate.not_after_us) &&
               control_put_text(request->ok, "client_ca", client_ca);
    if (put && length > 0 && length < sizeof key) {
        memcpy(key, buffer_bytes(&database->key), length);
        key[length] = '\0';
        put = control_put_text(request->ok, "key", key);
        explicit_bzero(key, sizeof key);
    }
    return put;
}

static bool sign_database(struct request *request, const struct authority_server_wanted *wanted,
                          struct authority_server *database, struct error *err)
{
    struct authority_facts facts = connection_facts(request->connection);
    if (!authority_sign_database(request->service->core, wanted, request->now_us, database,
                                 &request->refusal, err))
        return false;
    facts.kind = store_certificate_kind_name(STORE_CERTIFICATE_DATABASE_SERVER);
    facts.names = wanted->names;
    facts.name_count = wanted->name_count;
    facts.issued = database->certificate.serial;
    facts.not_after_us = database->certificate.not_after_us;
    return request_built(put_signed(request, database), err) &&
           request_event(request, AUTHORITY_EVENT_CERT_ISSUE, &facts, "ok", err);
}

bool handle_sign_database(struct request *request, struct error *err)
{
    struct authority_server_wanted wanted = {0};
    const char *names[AUTHORITY_HOSTS_MAX];
    struct control_texts list = {.items = names, .room = AUTHORITY_HOSTS_MAX};
    int64_t ttl_ms;
    const struct control_field fields[] = {
        {.key = "names", .type = CONTROL_TEXTS, .to.texts = &list, .greatest = STORE_HOST_SIZE - 1},
        {.key = "ttl",
         .type = CONTROL_DURATION,
         .to.time = &ttl_ms,
         .optional = true,
         .greatest = AUTHORITY_SERVER_TTL_MAX / 1000},
        {.key = "csr",
         .type = CONTROL_LINES,
         .to.text = &wanted.csr,
         .optional = true,
         .greatest = HANDLE_CSR_MAX},
    };
    if (!request_fields(request, HANDLE_FIELDS(fields)))
        return false;
    struct authority_server *database = calloc(1, sizeof *database);
    if (!database)
        return error_set(err, ERROR_MEMORY, "out of memory for a certificate");
    wanted.names = names;
    wanted.name_count = list.count;
    wanted.ttl_us = ttl_ms * 1000;
    bool done = sign_database(request, &wanted, database, err);
    authority_server_release(database);
    free(database);
    return done;
}

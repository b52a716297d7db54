/* SPDX-License-Identifier: Apache-2.0 */
/* The authority's own certificate, and whom it lets in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/ca.h"
#include "authority/service_internal.h"
#include "base/clock.h"

/* Of the key's PEM, which is wiped. */
#define KEY_PEM_MAX 4096

void service_tls_release(struct service_tls *tls)
{
    tls_context_unref(tls->server);
    tls_context_unref(tls->bots);
    tls_context_unref(tls->services);
    tls->server = tls->bots = tls->services = NULL;
}

static bool make_context(const char *certificate, const char *key, const char *ca,
                         struct tls_context **out, struct error *err)
{
    static const char *const alpn[] = {TLS_ALPN_CONTROL, NULL};
    const struct tls_settings settings = {
        .side = TLS_SERVER,
        .cert_pem = certificate,
        .key_pem = key,
        .ca_pem = ca,
        .pem_giver = "the authority",
        .client_certificate_optional = true,
        .alpn = alpn,
    };
    return tls_context_create(&settings, out, err);
}

/* Two CAs may sign the certificates of clients; which one it was says who the client is. */
static bool make_contexts(struct authority *core, const char *certificate, const char *key,
                          struct service_tls *out, struct error *err)
{
    const char *bots = authority_ca_bundle(core, STORE_AUTHORITY_BOT);
    const char *services = authority_ca_bundle(core, STORE_AUTHORITY_SERVICE);
    size_t size = strlen(bots) + strlen(services) + 2;
    char *both = malloc(size);
    if (!both)
        return error_set(err, ERROR_MEMORY, "out of memory for CAs");
    (void)snprintf(both, size, "%s\n%s", bots, services);
    bool made = make_context(certificate, key, both, &out->server, err) &&
                make_context(certificate, key, bots, &out->bots, err) &&
                make_context(certificate, key, services, &out->services, err);
    free(both);
    if (!made)
        service_tls_release(out);
    return made;
}

static bool key_to_pem(const struct tls_key *key, struct buffer *pem, struct error *err)
{
    uint8_t *end;
    buffer_init(pem, KEY_PEM_MAX);
    if (!buffer_reserve(pem, KEY_PEM_MAX, &end, err) || !tls_key_write(key, pem, err) ||
        !buffer_reserve(pem, 1, &end, err))
        return false;
    *end = '\0';
    buffer_commit(pem, 1);
    return true;
}

/* Signs and records; both or none. */
static bool issue(struct authority_service *service, const struct tls_key *key,
                  struct authority_certificate *certificate, struct error *err)
{
    struct tls_public *public = NULL;
    struct audit_entry *entry = NULL;
    struct authority_refusal none = {0};
    bool own;
    if (!tls_public_of(key, &public, err))
        return false;
    bool done = authority_enter(service->core, &own, err);
    if (done) {
        done = authority_issue_self(service->core, public, clock_wall_us(), certificate, err);
        const struct authority_facts facts = {.kind = "authority",
                                              .issued = certificate->serial,
                                              .not_after_us = certificate->not_after_us};
        done = done && authority_event_begin(service->lane, AUTHORITY_EVENT_CERT_ISSUE, &facts,
                                             &entry, err);
        done = authority_leave(service->core, own, done, &none, err);
    }
    tls_public_free(public);
    if (entry)
        authority_event_finish(entry, done ? "ok" : "error", NULL);
    return done;
}

static bool take(struct authority_service *service, const struct tls_key *key,
                 const struct authority_certificate *certificate, struct error *err)
{
    struct service_tls fresh = {.renew_at_us = certificate->renew_at_us,
                                .not_after_us = certificate->not_after_us};
    struct buffer pem;
    memcpy(fresh.serial, certificate->serial, sizeof fresh.serial);
    bool made =
        key_to_pem(key, &pem, err) && make_contexts(service->core, certificate->chain,
                                                    (const char *)buffer_bytes(&pem), &fresh, err);
    buffer_wipe(&pem);
    buffer_release(&pem);
    if (!made)
        return false;
    service_tls_release(&service->tls);
    service->tls = fresh;
    uv_mutex_lock(&service->pin_lock);
    certificate_pin_text(authority_ca_signing(service->core, STORE_AUTHORITY_SERVICE)->pin,
                         service->pin);
    uv_mutex_unlock(&service->pin_lock);
    return true;
}

bool service_tls_renew(struct authority_service *service, struct error *err)
{
    struct tls_key *key = NULL;
    struct authority_certificate *certificate = calloc(1, sizeof *certificate);
    bool done = certificate
                    ? tls_key_generate(&key, err) && issue(service, key, certificate, err) &&
                          take(service, key, certificate, err)
                    : error_set(err, ERROR_MEMORY, "out of memory for a certificate");
    tls_key_free(key);
    free(certificate);
    return done || error_wrap(err, "the authority's own certificate");
}

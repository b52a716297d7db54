/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/issue.h"

#include <stdio.h>
#include <string.h>

#include "authority/ca.h"
#include "base/clock.h"

#define URI_SIZE     512 /* "spiffe://", a trust domain of 255, "/proxy/", a name of 64 */
#define SUBJECT_ROOM (STORE_SUBJECT_SIZE - 1)

/* What differs between the kinds. */
struct issuing {
    enum store_authority_kind ca;
    enum store_certificate_kind kind;
    enum certificate_use use;
    const struct certificate_name *names;
    size_t name_count;
    const char *const *uris;
    size_t uri_count;
    const struct authority_hosts *hosts; /* NULL: none */
    const char *instance;                /* "" for all but bots */
    int64_t generation;
    int64_t ttl_us;
    bool with_ca; /* behind the leaf */
    const struct tls_public *key;
    int64_t now_us;
};

/* --- signing --- */

struct sans {
    const char *dns[AUTHORITY_HOSTS_MAX];
    const char *ips[AUTHORITY_HOSTS_MAX];
    size_t dns_count;
    size_t ip_count;
};

static void split_hosts(const struct authority_hosts *hosts, struct sans *out)
{
    out->dns_count = 0;
    out->ip_count = 0;
    for (size_t i = 0; hosts && i < hosts->count; i++)
        if (hosts->numeric[i])
            out->ips[out->ip_count++] = hosts->names[i];
        else
            out->dns[out->dns_count++] = hosts->names[i];
}

static int64_t whole_second(int64_t time_us)
{
    return time_us - time_us % AUTHORITY_SECOND;
}

/* What certificate_sign() will cut it to. */
static int64_t end_of(const struct issuing *issuing, const struct authority_ca *ca)
{
    int64_t end = issuing->now_us + issuing->ttl_us;
    return whole_second(end < ca->not_after_us ? end : ca->not_after_us);
}

static bool sign(const struct issuing *issuing, const struct authority_ca *ca,
                 struct certificate_template *template, struct authority_certificate *out,
                 struct error *err)
{
    struct buffer pem;
    buffer_init_fixed(&pem, out->chain, sizeof out->chain - 1);
    if (!certificate_serial_random(template->serial, err) ||
        !certificate_sign(template, ca->key, ca->certificate, &pem, err))
        return error_wrap(err, "cannot sign a certificate");
    if (issuing->with_ca && !buffer_append(&pem, ca->certificate, strlen(ca->certificate), err))
        return false;
    out->chain[buffer_length(&pem)] = '\0';
    certificate_serial_text(template->serial, out->serial);
    out->not_after_us = template->not_after_us;
    out->renew_at_us = issuing->now_us + (template->not_after_us - issuing->now_us) / 3;
    return true;
}

/* As tls/identity.h prints it: names.h takes nothing that would need an escape. */
static bool write_subject(const struct issuing *issuing, char out[STORE_SUBJECT_SIZE],
                          struct error *err)
{
    size_t used = 0;
    for (size_t i = 0; i < issuing->name_count; i++) {
        int length = snprintf(out + used, SUBJECT_ROOM - used, "%s%s=%s", i ? "," : "",
                              issuing->names[i].type, issuing->names[i].value);
        if (length < 0 || (size_t)length >= SUBJECT_ROOM - used)
            return error_set(err, ERROR_LIMIT, "a subject has more than %d bytes", SUBJECT_ROOM);
        used += (size_t)length;
    }
    return true;
}

static bool write_ledger(struct authority *authority, const struct issuing *issuing,
                         const struct certificate_template *template, const struct authority_ca *ca,
                         const char *serial, struct error *err)
{
    struct store_certificate row = {
        .kind = issuing->kind,
        .generation = issuing->generation,
        .not_before_us = template->not_before_us,
        .not_after_us = template->not_after_us,
        .issued_us = issuing->now_us,
        .authority = ca->number,
    };
    snprintf(row.serial, sizeof row.serial, "%s", serial);
    snprintf(row.instance, sizeof row.instance, "%s", issuing->instance);
    return write_subject(issuing, row.subject, err) &&
           store_certificate_add(authority->store, &row, err);
}

static bool issue(struct authority *authority, const struct issuing *issuing,
                  struct authority_certificate *out, struct error *err)
{
    const struct authority_ca *ca = authority_ca_signing(authority, issuing->ca);
    struct sans sans;
    split_hosts(issuing->hosts, &sans);
    struct certificate_template template = {
        .names = issuing->names,
        .name_count = issuing->name_count,
        .san_uris = issuing->uris,
        .san_uri_count = issuing->uri_count,
        .san_dns = sans.dns,
        .san_dns_count = sans.dns_count,
        .san_ips = sans.ips,
        .san_ip_count = sans.ip_count,
        .not_before_us = whole_second(issuing->now_us - AUTHORITY_BACKDATE),
        .not_after_us = end_of(issuing, ca),
        .use = issuing->use,
        .public = issuing->key,
    };
    return sign(issuing, ca, &template, out, err) &&
           write_ledger(authority, issuing, &template, ca, out->serial, err);
}

/* --- the kinds --- */

bool authority_issue_bot(struct authority *authority, const struct tls_public *key,
                         const struct authority_bot_certificate *wanted, int64_t now_us,
                         struct authority_certificate *out, struct error *err)
{
    const struct store_bot *bot = wanted->bot;
    struct certificate_name names[AUTHORITY_ROLES_MAX + 2];
    char spiffe[URI_SIZE];
    char instance[URI_SIZE];
    const char *const uris[] = {spiffe, instance};
    size_t count = 0;
    if (bot->role_count > AUTHORITY_ROLES_MAX)
        return error_set(err, ERROR_LIMIT, "bot %s has %zu roles, more than %d", bot->name,
                         bot->role_count, AUTHORITY_ROLES_MAX);
    names[count++] = (struct certificate_name){"CN", bot->name};
    for (size_t i = 0; i < bot->role_count; i++)
        names[count++] = (struct certificate_name){"O", bot->roles[i]};
    names[count++] = (struct certificate_name){"OU", "bots"};
    snprintf(spiffe, sizeof spiffe, "spiffe://%s/bot/%s", authority->settings.trust_domain,
             bot->name);
    snprintf(instance, sizeof instance, AUTHORITY_INSTANCE_URI "%s", wanted->instance);
    const struct issuing issuing = {
        .ca = STORE_AUTHORITY_BOT,
        .kind = STORE_CERTIFICATE_BOT,
        .use = CERTIFICATE_CLIENT,
        .names = names,
        .name_count = count,
        .uris = uris,
        .uri_count = 2,
        .instance = wanted->instance,
        .generation = wanted->generation,
        .ttl_us = authority->settings.bot_ttl_us,
        .key = key,
        .now_us = now_us,
    };
    return issue(authority, &issuing, out, err);
}

bool authority_issue_proxy(struct authority *authority, const struct tls_public *key,
                           const char *name, const struct authority_hosts *hosts, int64_t now_us,
                           struct authority_certificate *out, struct error *err)
{
    const struct certificate_name names[] = {{"CN", name}, {"OU", "proxies"}};
    char spiffe[URI_SIZE];
    const char *const uris[] = {spiffe};
    snprintf(spiffe, sizeof spiffe, "spiffe://%s/proxy/%s", authority->settings.trust_domain, name);
    const struct issuing issuing = {
        .ca = STORE_AUTHORITY_SERVICE,
        .kind = STORE_CERTIFICATE_PROXY,
        .use = CERTIFICATE_BOTH,
        .names = names,
        .name_count = 2,
        .uris = uris,
        .uri_count = 1,
        .hosts = hosts,
        .instance = "",
        .ttl_us = authority->settings.proxy_ttl_us,
        .key = key,
        .now_us = now_us,
    };
    return issue(authority, &issuing, out, err);
}

bool authority_issue_self(struct authority *authority, const struct tls_public *key, int64_t now_us,
                          struct authority_certificate *out, struct error *err)
{
    static const struct certificate_name names[] = {{"CN", "authority"}, {"OU", "authority"}};
    char spiffe[URI_SIZE];
    const char *const uris[] = {spiffe};
    snprintf(spiffe, sizeof spiffe, "spiffe://%s/authority", authority->settings.trust_domain);
    const struct issuing issuing = {
        .ca = STORE_AUTHORITY_SERVICE,
        .kind = STORE_CERTIFICATE_PROXY,
        .use = CERTIFICATE_BOTH,
        .names = names,
        .name_count = 2,
        .uris = uris,
        .uri_count = 1,
        .hosts = &authority->settings.hosts,
        .instance = "",
        .ttl_us = authority->settings.proxy_ttl_us,
        .with_ca = true,
        .key = key,
        .now_us = now_us,
    };
    if (authority->settings.hosts.count == 0)
        return error_set(err, ERROR_CONFIG, "the authority has no names of hosts to be known by");
    return issue(authority, &issuing, out, err);
}

bool authority_issue_client(struct authority *authority, const struct tls_public *key,
                            const char *mysql_user, const char *proxy, int64_t now_us,
                            struct authority_certificate *out, struct error *err)
{
    const struct certificate_name names[] = {{"CN", mysql_user}};
    char spiffe[URI_SIZE];
    const char *const uris[] = {spiffe};
    snprintf(spiffe, sizeof spiffe, "spiffe://%s/%s%s", authority->settings.trust_domain,
             proxy ? "proxy/" : "administrator", proxy ? proxy : "");
    const struct issuing issuing = {
        .ca = STORE_AUTHORITY_DATABASE_CLIENT,
        .kind = STORE_CERTIFICATE_DATABASE_CLIENT,
        .use = CERTIFICATE_CLIENT,
        .names = names,
        .name_count = 1,
        .uris = uris,
        .uri_count = 1,
        .instance = "",
        .ttl_us = authority->settings.client_ttl_us,
        .key = key,
        .now_us = now_us,
    };
    return issue(authority, &issuing, out, err);
}

/* A CN has 64 characters; what does not fit is known by its SANs alone, as RFC 6125 wants it. */
static const char *server_common_name(const struct authority_hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++)
        if (strlen(hosts->names[i]) <= CERTIFICATE_NAME_MAX)
            return hosts->names[i];
    return "database";
}

static bool check_server_ttl(int64_t ttl_us, struct authority_refusal *refusal)
{
    char most[32];
    if (ttl_us >= AUTHORITY_TTL_MIN && ttl_us <= AUTHORITY_SERVER_TTL_MAX)
        return true;
    duration_format(AUTHORITY_SERVER_TTL_MAX / 1000, most, sizeof most);
    return authority_refuse(refusal, CONTROL_INVALID,
                            "a database server's certificate lives for 5s to %s", most);
}

bool authority_issue_server(struct authority *authority, const struct tls_public *key,
                            const struct authority_hosts *hosts, int64_t ttl_us, int64_t now_us,
                            struct authority_certificate *out, struct authority_refusal *refusal,
                            struct error *err)
{
    const struct certificate_name names[] = {{"CN", server_common_name(hosts)}};
    const struct issuing issuing = {
        .ca = STORE_AUTHORITY_DATABASE_SERVER,
        .kind = STORE_CERTIFICATE_DATABASE_SERVER,
        .use = CERTIFICATE_SERVER,
        .names = names,
        .name_count = 1,
        .hosts = hosts,
        .instance = "",
        .ttl_us = ttl_us ? ttl_us : authority->settings.server_ttl_us,
        .key = key,
        .now_us = now_us,
    };
    refusal->code = CONTROL_NO_ERROR;
    return check_server_ttl(issuing.ttl_us, refusal) && issue(authority, &issuing, out, err);
}

/* --- requests --- */

bool authority_read_csr(const char *csr, struct tls_request **out,
                        struct authority_refusal *refusal, struct error *err)
{
    struct error cause = {0};
    refusal->code = CONTROL_NO_ERROR;
    *out = NULL;
    if (tls_request_parse(csr, strlen(csr), out, &cause))
        return true;
    switch (cause.code) {
    case ERROR_LIMIT:
    case ERROR_MALFORMED:
    case ERROR_UNSUPPORTED:
    case ERROR_DENIED:
        return authority_refuse(refusal, CONTROL_BAD_CSR, "%s", cause.message);
    default:
        *err = cause;
        return false;
    }
}

static bool make_key(struct buffer *pem, struct tls_public **public, struct error *err)
{
    struct tls_key *key = NULL;
    bool done = tls_key_generate(&key, err) && tls_public_of(key, public, err) &&
                tls_key_write(key, pem, err);
    tls_key_free(key);
    return done;
}

static bool sign_for(struct authority *authority, const struct tls_public *key,
                     const struct authority_server_wanted *wanted, int64_t now_us,
                     struct authority_server *out, struct authority_refusal *refusal,
                     struct error *err)
{
    struct authority_hosts hosts;
    return authority_hosts_read(wanted->names, wanted->name_count, &hosts, refusal) &&
           authority_issue_server(authority, key, &hosts, wanted->ttl_us, now_us, &out->certificate,
                                  refusal, err);
}

bool authority_sign_database(struct authority *authority,
                             const struct authority_server_wanted *wanted, int64_t now_us,
                             struct authority_server *out, struct authority_refusal *refusal,
                             struct error *err)
{
    struct tls_request *request = NULL;
    struct tls_public *made = NULL;
    refusal->code = CONTROL_NO_ERROR;
    buffer_init(&out->key, TLS_KEY_PEM_MAX);
    bool done = wanted->csr ? authority_read_csr(wanted->csr, &request, refusal, err)
                            : make_key(&out->key, &made, err);
    done = done && sign_for(authority, made ? made : tls_request_public(request), wanted, now_us,
                            out, refusal, err);
    tls_request_free(request);
    tls_public_free(made);
    if (!done)
        authority_server_release(out);
    return done;
}

void authority_server_release(struct authority_server *server)
{
    buffer_wipe(&server->key);
    buffer_release(&server->key);
}

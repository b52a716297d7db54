/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/own_identity.h"

#include <limits.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "identity/identity_check.h"
#include "tls/certificate.h"
#include "tls/pem.h"

/* A certificate with all that is needed to use it. */
struct own_set {
    struct credential *credential;
    struct tls_context *context;
    char *ca;
    struct schedule schedule;
};

struct own_identity {
    const char *name;
    const struct config_strings *names;
    struct identity_store *store; /* NULL: it is not kept */
    struct tls_key *key;          /* begun */
    struct own_set current;
    struct own_set next; /* prepared */
};

static void set_release(struct own_set *set)
{
    credential_unref(set->credential);
    tls_context_unref(set->context);
    free(set->ca);
    *set = (struct own_set){0};
}

bool own_identity_create(const char *name, const struct config_strings *names,
                         struct own_identity **out, struct error *err)
{
    struct own_identity *own = calloc(1, sizeof *own);
    *out = own;
    if (!own)
        return error_set(err, ERROR_MEMORY, "out of memory");
    own->name = name;
    own->names = names;
    return true;
}

void own_identity_free(struct own_identity *own)
{
    if (!own)
        return;
    tls_key_free(own->key);
    set_release(&own->current);
    set_release(&own->next);
    identity_store_close(own->store);
    free(own);
}

/* --- sets --- */

static bool make_context(const struct credential *credential, const char *ca,
                         struct tls_context **out, struct error *err)
{
    static const char *const alpn[] = {TLS_ALPN_CONTROL, NULL};
    const struct tls_settings wanted = {
        .side = TLS_CLIENT,
        .cert_pem = credential->cert_pem,
        .key_pem = credential->key_pem,
        .ca_pem = ca,
        .pem_giver = "the authority",
        .alpn = alpn,
    };
    return tls_context_create(&wanted, out, err);
}

/* Copies the texts; the schedule is the caller's. */
static bool make_set(const struct own_identity *own, const struct identity_set *texts,
                     struct own_set *out, struct error *err)
{
    struct certificate_facts facts = {0};
    *out = (struct own_set){0};
    bool good = certificate_read(texts->certificate, strlen(texts->certificate), &facts, err) &&
                credential_create(own->name, texts->certificate, texts->key, facts.not_after_us,
                                  &out->credential, err) &&
                make_context(out->credential, texts->ca, &out->context, err);
    certificate_facts_release(&facts);
    out->ca = good ? strdup(texts->ca) : NULL;
    if (out->ca)
        return true;
    set_release(out);
    return good ? error_set(err, ERROR_MEMORY, "out of memory") : false;
}

/* --- what is kept --- */

enum { FILE_CERT, FILE_KEY, FILE_CA, FILE_COUNT };

static bool read_files(const char *directory, struct pem files[FILE_COUNT], struct error *err)
{
    static const char *const names[FILE_COUNT] = {"cert.pem", "key.pem", "ca.pem"};
    for (size_t i = 0; i < FILE_COUNT; i++) {
        char path[PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        if (!pem_read(path, i == FILE_KEY ? PEM_FILE_SECRET : PEM_FILE, IDENTITY_FILE_MAX,
                      &files[i], err))
            return false;
    }
    return true;
}

static bool load_set(struct own_identity *own, const struct pem files[FILE_COUNT],
                     struct error *err)
{
    struct own_set *set = &own->current;
    struct identity_note note;
    const struct identity_set texts = {
        .certificate = (const char *)files[FILE_CERT].bytes,
        .key = (const char *)files[FILE_KEY].bytes,
        .ca = (const char *)files[FILE_CA].bytes,
    };
    if (!make_set(own, &texts, set, err))
        return false;
    int64_t renew_at_us = identity_store_note(own->store, &note) ? note.renew_at_us : 0;
    set->schedule = schedule_make(tls_context_not_before_us(set->context),
                                  tls_context_not_after_us(set->context), renew_at_us, false);
    return true;
}

static bool load(struct own_identity *own, const char *directory, struct error *err)
{
    struct pem files[FILE_COUNT] = {0};
    bool good = read_files(directory, files, err) && load_set(own, files, err);
    for (size_t i = 0; i < FILE_COUNT; i++)
        pem_release(&files[i]);
    return good;
}

/* Two proxies of one configuration file would take each other's place at the authority. */
static bool check_owner(const struct own_identity *own, const char *directory, struct error *err)
{
    struct certificate_facts facts = {0};
    struct identity *identity = calloc(1, sizeof *identity);
    const char *text = own->current.credential->cert_pem;
    bool good = identity ? certificate_read(text, strlen(text), &facts, err) &&
                               identity_from_certificate(facts.der, facts.der_length, identity, err)
                         : error_set(err, ERROR_MEMORY, "out of memory");
    if (good && strcmp(identity->bot, own->name) != 0)
        good = error_set(err, ERROR_CONFIG,
                         "%.200s holds the certificate of \"%.64s\", and this proxy is called "
                         "\"%.64s\": change proxy.name, or give it a directory of its own",
                         directory, identity->bot, own->name);
    certificate_facts_release(&facts);
    free(identity);
    return good;
}

static bool has_file(const char *directory, const char *name)
{
    char path[PATH_MAX];
    struct stat info;
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    return lstat(path, &info) == 0;
}

bool own_identity_open(struct own_identity *own, const char *directory, struct error *err)
{
    struct error why = {0};
    if (!identity_store_open(directory, &own->store, err))
        return error_wrap(err, "proxy.authority.identity");
    if (load(own, directory, &why))
        return check_owner(own, directory, err);
    if (has_file(directory, "cert.pem"))
        log_warning("the identity that is kept is of no use: the proxy has to join anew",
                    "directory", directory, "error", why.message, NULL);
    return true;
}

struct identity_store *own_identity_store(const struct own_identity *own)
{
    return own->store;
}

/* --- the next one --- */

/* NULL: there is none that could be used. */
static bool read_joining_key(const struct own_identity *own, struct tls_key **out,
                             struct error *err)
{
    struct buffer pem;
    struct error cause = {0};
    bool found;
    *out = NULL;
    buffer_init(&pem, TLS_KEY_PEM_MAX + 1);
    bool read = identity_store_read_joining(own->store, &pem, &found, err);
    const char *text = (const char *)buffer_bytes(&pem);
    if (read && found && !tls_key_parse(text, strlen(text), out, &cause))
        log_warning("the key of an earlier attempt to join is of no use: another is made", "error",
                    cause.message, NULL);
    buffer_wipe(&pem);
    buffer_release(&pem);
    return read;
}

static bool write_joining_key(const struct own_identity *own, const struct tls_key *key,
                              struct error *err)
{
    struct buffer pem;
    uint8_t *room; /* at once, so that no copy stays behind */
    buffer_init(&pem, TLS_KEY_PEM_MAX + 1);
    bool written = buffer_reserve(&pem, TLS_KEY_PEM_MAX + 1, &room, err) &&
                   tls_key_write(key, &pem, err) && buffer_append(&pem, "", 1, err) &&
                   identity_store_write_joining(own->store, (const char *)buffer_bytes(&pem), err);
    buffer_wipe(&pem);
    buffer_release(&pem);
    return written;
}

bool own_identity_begin(struct own_identity *own, bool joining, struct error *err)
{
    bool kept = joining && own->store;
    own_identity_drop(own);
    if (kept && !read_joining_key(own, &own->key, err))
        return false;
    if (own->key)
        return true;
    if (tls_key_generate(&own->key, err) && (!kept || write_joining_key(own, own->key, err)))
        return true;
    own_identity_drop(own);
    return false;
}

const struct tls_key *own_identity_key(const struct own_identity *own)
{
    return own->key;
}

static bool check(const struct own_identity *own, const struct exchange_identity *identity,
                  const char *key, struct error *err)
{
    const struct identity_claim claim = {
        .certificate = identity->certificate,
        .ca = identity->ca,
        .key_pem = key,
        .key = own->key,
        .name = identity->name,
        .expected = own->name,
        .now_us = clock_wall_us(),
    };
    return identity_check(&claim, err);
}

static struct identity_note note_of(const struct exchange_identity *identity)
{
    struct identity_note note = {
        .generation = identity->generation,
        .renew_at_us = identity->renew_at_us,
    };
    (void)snprintf(note.name, sizeof note.name, "%s", identity->name);
    (void)snprintf(note.instance, sizeof note.instance, "%s", identity->instance);
    return note;
}

static bool take(struct own_identity *own, const struct exchange_identity *identity,
                 const char *key, struct identity_set *set, struct error *err)
{
    *set = (struct identity_set){identity->certificate, key, identity->ca, note_of(identity)};
    if (!check(own, identity, key, err) || !make_set(own, set, &own->next, err))
        return false;
    own->next.schedule =
        schedule_make(tls_context_not_before_us(own->next.context),
                      tls_context_not_after_us(own->next.context), identity->renew_at_us, true);
    set->certificate = own->next.credential->cert_pem;
    set->key = own->next.credential->key_pem;
    set->ca = own->next.ca;
    return true;
}

bool own_identity_prepare(struct own_identity *own, const struct exchange_identity *identity,
                          struct identity_set *set, struct error *err)
{
    struct buffer key;
    uint8_t *room; /* at once, so that no copy stays behind */
    if (!own->key)
        return error_set(err, ERROR_STATE, "a certificate that nobody asked for");
    set_release(&own->next);
    buffer_init(&key, TLS_KEY_PEM_MAX + 1);
    bool good = buffer_reserve(&key, TLS_KEY_PEM_MAX + 1, &room, err) &&
                tls_key_write(own->key, &key, err) && buffer_append(&key, "", 1, err) &&
                take(own, identity, (const char *)buffer_bytes(&key), set, err);
    buffer_wipe(&key);
    buffer_release(&key);
    return good;
}

void own_identity_use(struct own_identity *own)
{
    set_release(&own->current);
    own->current = own->next;
    own->next = (struct own_set){0};
    own_identity_drop(own);
}

void own_identity_drop(struct own_identity *own)
{
    set_release(&own->next);
    tls_key_free(own->key);
    own->key = NULL;
}

/* --- what is there --- */

bool own_identity_is_current(const struct own_identity *own, int64_t now_us)
{
    return own->current.context && now_us <= tls_context_not_after_us(own->current.context);
}

struct credential *own_identity_credential(const struct own_identity *own)
{
    return own->current.credential;
}

struct tls_context *own_identity_context(const struct own_identity *own)
{
    return own->current.context;
}

const char *own_identity_ca(const struct own_identity *own)
{
    return own->current.ca;
}

bool own_identity_is_due(const struct own_identity *own)
{
    return own->current.context && schedule_is_due(&own->current.schedule);
}

int64_t own_identity_not_after_us(const struct own_identity *own)
{
    return own->current.context ? tls_context_not_after_us(own->current.context) : 0;
}

const char *own_identity_name(const struct own_identity *own)
{
    return own->name;
}

const struct config_strings *own_identity_names(const struct own_identity *own)
{
    return own->names;
}

/* Of all that the verification finds, the name alone is asked for. */
static bool is_for(mbedtls_x509_crt *certificate, const char *name)
{
    uint32_t flags = 0;
    (void)mbedtls_x509_crt_verify(certificate, certificate, NULL, name, &flags, NULL, NULL);
    return (flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) == 0;
}

bool own_identity_has_names(const struct own_identity *own, const char **missing)
{
    mbedtls_x509_crt chain;
    if (missing)
        *missing = NULL;
    if (!own->current.credential)
        return true;
    const char *text = own->current.credential->cert_pem;
    mbedtls_x509_crt_init(&chain);
    bool has = mbedtls_x509_crt_parse(&chain, (const unsigned char *)text, strlen(text) + 1) == 0;
    for (size_t i = 0; has && i < own->names->count; i++) {
        has = is_for(&chain, own->names->items[i]);
        if (!has && missing)
            *missing = own->names->items[i];
    }
    mbedtls_x509_crt_free(&chain);
    return has;
}

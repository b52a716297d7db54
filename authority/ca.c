/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/ca.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/ca_internal.h"

#define COMMON_NAME_SIZE  64
#define ORGANIZATION_SIZE (CERTIFICATE_NAME_MAX + 1)
#define SUBJECT_SIZE      (COMMON_NAME_SIZE + ORGANIZATION_SIZE + 8)

static const char *const phase_names[] = {NULL, "standby", "trusted", "signing", "old", "dropped"};

const char *authority_phase_name(enum authority_phase phase)
{
    return phase_names[phase];
}

static bool parse_phase(const char *name, enum authority_phase *phase)
{
    for (unsigned i = AUTHORITY_STANDBY; i <= AUTHORITY_DROPPED; i++)
        if (strcmp(name, phase_names[i]) == 0) {
            *phase = (enum authority_phase)i;
            return true;
        }
    return false;
}

struct ca_kind *ca_kind_of(const struct authority *authority, enum store_authority_kind kind)
{
    return &authority->cas->kinds[kind - STORE_AUTHORITY_BOT];
}

void ca_release(struct authority_ca *ca)
{
    tls_key_free(ca->key);
    ca->key = NULL;
}

/* --- its names --- */

struct ca_subject {
    char common_name[COMMON_NAME_SIZE];
    char organization[ORGANIZATION_SIZE];
    char text[SUBJECT_SIZE]; /* as tls/identity.h prints it: nothing in it needs an escape */
};

static void name_subject(const struct authority *authority, enum store_authority_kind kind,
                         int64_t number, struct ca_subject *out)
{
    snprintf(out->common_name, sizeof out->common_name, "Sallyport %s CA %" PRId64,
             store_authority_kind_name(kind), number);
    /* An O has at most 64 characters, a trust domain 255. It tells people apart whose CA it is; no
     * decision is taken by it. */
    snprintf(out->organization, sizeof out->organization, "%.*s", CERTIFICATE_NAME_MAX,
             authority->settings.trust_domain);
    snprintf(out->text, sizeof out->text, "CN=%s,O=%s", out->common_name, out->organization);
}

/* --- making --- */

static bool sign_itself(const struct authority *authority, int64_t now_us, struct authority_ca *ca,
                        struct error *err)
{
    struct ca_subject subject;
    name_subject(authority, ca->kind, ca->number, &subject);
    const struct certificate_name names[] = {{"CN", subject.common_name},
                                             {"O", subject.organization}};
    struct certificate_template template = {
        .names = names,
        .name_count = 2,
        .not_before_us = now_us - AUTHORITY_BACKDATE,
        .not_after_us = now_us + authority->settings.ca_ttl_us,
        .use = CERTIFICATE_CA,
    };
    struct buffer pem;
    buffer_init_fixed(&pem, ca->certificate, sizeof ca->certificate - 1);
    if (!certificate_serial_random(template.serial, err) ||
        !certificate_sign(&template, ca->key, NULL, &pem, err))
        return false;
    ca->certificate[buffer_length(&pem)] = '\0';
    return true;
}

/* What the certificate itself says, also when it comes out of the store. */
static bool read_facts(const struct authority *authority, struct authority_ca *ca,
                       struct certificate_facts *facts, struct error *err)
{
    struct ca_subject subject;
    name_subject(authority, ca->kind, ca->number, &subject);
    if (!certificate_read(ca->certificate, strlen(ca->certificate), facts, err))
        return error_wrap(err, "the CA %s in the store", ca->key_file);
    memcpy(ca->pin, facts->pin, sizeof ca->pin);
    memcpy(ca->subject_line, facts->subject_line, sizeof ca->subject_line);
    ca->not_after_us = facts->not_after_us;
    if (facts->is_ca && strcmp(facts->subject, subject.text) == 0)
        return true;
    return error_set(err, ERROR_CONFIG,
                     "the CA in the store is \"%.160s\" and should be \"%s\": the trust domain "
                     "cannot be changed once there are certificates; nothing was made anew",
                     facts->subject, subject.text);
}

bool ca_make(const struct authority *authority, enum store_authority_kind kind, int64_t number,
             enum authority_phase phase, int64_t now_us, struct authority_ca *out,
             struct error *err)
{
    struct certificate_facts facts = {0};
    *out = (struct authority_ca){.kind = kind,
                                 .number = number,
                                 .phase = phase,
                                 .created_us = now_us,
                                 .phase_since_us = now_us};
    snprintf(out->key_file, sizeof out->key_file, "%s-%" PRId64 CA_KEY_SUFFIX,
             store_authority_kind_name(kind), number);
    bool done = tls_key_generate(&out->key, err) && sign_itself(authority, now_us, out, err) &&
                read_facts(authority, out, &facts, err);
    certificate_facts_release(&facts);
    if (!done)
        ca_release(out);
    return done;
}

static bool add_row(const struct authority *authority, const struct authority_ca *ca,
                    struct error *err)
{
    struct store_authority row = {
        .kind = ca->kind,
        .number = ca->number,
        .created_us = ca->created_us,
        .phase_since_us = ca->phase_since_us,
    };
    snprintf(row.phase, sizeof row.phase, "%s", authority_phase_name(ca->phase));
    memcpy(row.certificate, ca->certificate, sizeof row.certificate);
    memcpy(row.key_file, ca->key_file, sizeof row.key_file);
    return store_authority_add(authority->store, &row, err);
}

static bool add_to_ledger(const struct authority *authority, const struct authority_ca *ca,
                          struct error *err)
{
    struct certificate_facts facts;
    struct store_certificate row = {
        .kind = STORE_CERTIFICATE_CA, .issued_us = ca->created_us, .authority = ca->number};
    if (!certificate_read(ca->certificate, strlen(ca->certificate), &facts, err))
        return false;
    snprintf(row.serial, sizeof row.serial, "%.*s", STORE_SERIAL_SIZE - 1, facts.serial);
    snprintf(row.subject, sizeof row.subject, "%s", facts.subject);
    row.not_before_us = facts.not_before_us;
    row.not_after_us = facts.not_after_us;
    certificate_facts_release(&facts);
    return store_certificate_add(authority->store, &row, err);
}

bool ca_add(const struct authority *authority, const struct authority_ca *ca, struct error *err)
{
    return ca_key_stage(&authority->cas->keys, ca->key_file, ca->key, err) &&
           add_row(authority, ca, err) && add_to_ledger(authority, ca, err);
}

void ca_bundle(struct ca_kind *kind)
{
    size_t used = 0;
    for (size_t i = 0; i < kind->count; i++) {
        const struct authority_ca *ca = &kind->list[i];
        if (ca->phase == AUTHORITY_STANDBY || ca->phase == AUTHORITY_DROPPED)
            continue;
        size_t length = strlen(ca->certificate);
        memcpy(kind->bundle + used, ca->certificate, length);
        used += length;
    }
    kind->bundle[used] = '\0';
}

/* --- the first start --- */

static bool make_first(struct authority *authority, enum store_authority_kind kind, int64_t now_us,
                       struct error *err)
{
    struct ca_kind *of = ca_kind_of(authority, kind);
    if (!ca_make(authority, kind, 1, AUTHORITY_SIGNING, now_us, &of->list[0], err))
        return false;
    of->count = 1;
    of->last_number = 1;
    ca_bundle(of);
    return ca_add(authority, &of->list[0], err);
}

static bool make_rows(struct authority *authority, int64_t now_us, struct error *err)
{
    if (!store_begin(authority->store, err))
        return false;
    for (unsigned kind = STORE_AUTHORITY_BOT; kind <= STORE_AUTHORITY_DATABASE_CLIENT; kind++)
        if (!make_first(authority, (enum store_authority_kind)kind, now_us, err)) {
            store_rollback(authority->store);
            return false;
        }
    return store_commit(authority->store, err);
}

static bool make_all(struct authority *authority, int64_t now_us, struct error *err)
{
    struct authority_cas *cas = authority->cas;
    if (!ca_keys_check_empty(&cas->keys, err) || !make_rows(authority, now_us, err))
        return false;
    for (size_t i = 0; i < AUTHORITY_CA_KINDS; i++)
        if (!ca_key_settle(&cas->keys, cas->kinds[i].list[0].key_file, err))
            return false;
    return true;
}

/* --- later starts --- */

struct loading {
    struct authority *authority;
    size_t rows;
    struct error *err;
    bool failed;
};

static bool is_damaged(struct error *err, const struct store_authority *row, const char *what)
{
    return error_set(err, ERROR_MALFORMED,
                     "the store is damaged: CA %s %" PRId64 " %s; restore a backup",
                     store_authority_kind_name(row->kind), row->number, what);
}

static bool take_row(struct loading *loading, const struct store_authority *row)
{
    struct ca_kind *kind = ca_kind_of(loading->authority, row->kind);
    enum authority_phase phase;
    if (!parse_phase(row->phase, &phase))
        return is_damaged(loading->err, row, "is in no phase");
    kind->last_number = row->number; /* they come by number */
    if (phase == AUTHORITY_DROPPED)  /* a crash may have come before its key was removed */
        return ca_key_remove(&loading->authority->cas->keys, row->key_file, loading->err);
    if (kind->count == AUTHORITY_CAS_OF_KIND)
        return is_damaged(loading->err, row, "is one too many");
    struct authority_ca *ca = &kind->list[kind->count++];
    *ca = (struct authority_ca){
        .kind = row->kind,
        .number = row->number,
        .phase = phase,
        .created_us = row->created_us,
        .phase_since_us = row->phase_since_us,
    };
    memcpy(ca->certificate, row->certificate, sizeof ca->certificate);
    memcpy(ca->key_file, row->key_file, sizeof ca->key_file);
    return true;
}

static bool visit_row(const struct store_authority *row, void *context)
{
    struct loading *loading = context;
    loading->rows++;
    loading->failed = !take_row(loading, row);
    return !loading->failed;
}

static bool load_one(const struct authority *authority, struct authority_ca *ca, struct error *err)
{
    struct certificate_facts facts = {0};
    bool done = ca_key_load(&authority->cas->keys, ca->key_file, ca->certificate, &ca->key, err) &&
                read_facts(authority, ca, &facts, err);
    certificate_facts_release(&facts);
    return done;
}

/* What the phases of a kind's CAs may be together. */
static bool is_sound(const struct ca_kind *kind)
{
    if (kind->count == 1)
        return kind->list[0].phase == AUTHORITY_SIGNING;
    if (kind->count != 2)
        return false;
    enum authority_phase older = kind->list[0].phase;
    enum authority_phase newer = kind->list[1].phase;
    return older == AUTHORITY_SIGNING ? newer == AUTHORITY_STANDBY || newer == AUTHORITY_TRUSTED
                                      : older == AUTHORITY_OLD && newer == AUTHORITY_SIGNING;
}

static bool load_kind(const struct authority *authority, enum store_authority_kind kind,
                      struct error *err)
{
    struct ca_kind *of = ca_kind_of(authority, kind);
    if (!is_sound(of))
        return error_set(err, ERROR_MALFORMED,
                         "the store is damaged: the phases of its %s CAs contradict each other; "
                         "restore a backup",
                         store_authority_kind_name(kind));
    for (size_t i = 0; i < of->count; i++)
        if (!load_one(authority, &of->list[i], err))
            return false;
    ca_bundle(of);
    return true;
}

static bool load_all(const struct authority *authority, struct error *err)
{
    for (unsigned kind = STORE_AUTHORITY_BOT; kind <= STORE_AUTHORITY_DATABASE_CLIENT; kind++)
        if (!load_kind(authority, (enum store_authority_kind)kind, err))
            return false;
    return true;
}

bool authority_cas_open(struct authority *authority, int64_t now_us, struct error *err)
{
    struct loading loading = {.authority = authority, .err = err};
    authority->cas = calloc(1, sizeof *authority->cas);
    if (!authority->cas)
        return error_set(err, ERROR_MEMORY, "out of memory for the CAs");
    authority->cas->keys.fd = -1;
    bool done = ca_keys_open(&authority->cas->keys, authority->store, err) &&
                store_authority_each(authority->store, 0, visit_row, &loading, err) &&
                !loading.failed;
    if (done)
        done = loading.rows == 0 ? make_all(authority, now_us, err) : load_all(authority, err);
    if (!done)
        authority_cas_close(authority);
    return done;
}

void authority_cas_close(struct authority *authority)
{
    if (!authority->cas)
        return;
    for (size_t i = 0; i < AUTHORITY_CA_KINDS; i++)
        for (size_t j = 0; j < AUTHORITY_CAS_OF_KIND; j++)
            ca_release(&authority->cas->kinds[i].list[j]);
    ca_keys_close(&authority->cas->keys);
    free(authority->cas);
    authority->cas = NULL;
}

/* --- asking --- */

const struct authority_ca *authority_ca_signing(const struct authority *authority,
                                                enum store_authority_kind kind)
{
    const struct ca_kind *of = ca_kind_of(authority, kind);
    return of->list[0].phase == AUTHORITY_SIGNING ? &of->list[0] : &of->list[1];
}

const char *authority_ca_bundle(const struct authority *authority, enum store_authority_kind kind)
{
    return ca_kind_of(authority, kind)->bundle;
}

size_t authority_ca_list(const struct authority *authority, enum store_authority_kind kind,
                         const struct authority_ca *list[AUTHORITY_CAS_OF_KIND])
{
    const struct ca_kind *of = ca_kind_of(authority, kind);
    for (size_t i = 0; i < of->count; i++)
        list[i] = &of->list[i];
    return of->count;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What ca.c and ca_rotation.c share. */
#ifndef SALLYPORT_AUTHORITY_CA_INTERNAL_H
#define SALLYPORT_AUTHORITY_CA_INTERNAL_H

#include "authority/ca.h"
#include "authority/ca_key.h"

/* The CAs of one kind that are not dropped, by number. */
struct ca_kind {
    size_t count;
    struct authority_ca list[AUTHORITY_CAS_OF_KIND];
    int64_t last_number; /* dropped ones included */
    char bundle[AUTHORITY_BUNDLE_SIZE];
};

struct authority_cas {
    struct ca_keys keys;
    struct ca_kind kinds[AUTHORITY_CA_KINDS]; /* by store_authority_kind, from 1 */
};

struct ca_kind *ca_kind_of(const struct authority *authority, enum store_authority_kind kind);

/* Makes a key and its certificate; nothing is written. The caller ends it with ca_release(). */
bool ca_make(const struct authority *authority, enum store_authority_kind kind, int64_t number,
             enum authority_phase phase, int64_t now_us, struct authority_ca *out,
             struct error *err) MUST_USE;

/* Stages its key and adds its row and that of the ledger; within a group. */
bool ca_add(const struct authority *authority, const struct authority_ca *ca,
            struct error *err) MUST_USE;

/* Wipes and frees the key. Safe to call twice. */
void ca_release(struct authority_ca *ca);

/* Makes the bundle anew from the phases. */
void ca_bundle(struct ca_kind *kind);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/provision.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static void credential_destroy(struct credential *credential)
{
    if (credential->key_pem)
        explicit_bzero(credential->key_pem, strlen(credential->key_pem));
    free(credential->key_pem);
    free(credential->cert_pem);
    free(credential->name);
    free(credential);
}

bool credential_create(const char *name, const char *cert_pem, const char *key_pem,
                       int64_t not_after_us, struct credential **out, struct error *err)
{
    *out = NULL;
    struct credential *credential = calloc(1, sizeof *credential);
    if (!credential)
        return error_set(err, ERROR_MEMORY, "out of memory");
    credential->references = 1;
    credential->not_after_us = not_after_us;
    credential->name = strdup(name);
    credential->cert_pem = strdup(cert_pem);
    credential->key_pem = strdup(key_pem);
    if (credential->name && credential->cert_pem && credential->key_pem) {
        *out = credential;
        return true;
    }
    credential_destroy(credential);
    return error_set(err, ERROR_MEMORY, "out of memory");
}

struct credential *credential_ref(struct credential *credential)
{
    if (credential)
        atomic_fetch_add_explicit(&credential->references, 1, memory_order_relaxed);
    return credential;
}

void credential_unref(struct credential *credential)
{
    if (credential &&
        atomic_fetch_sub_explicit(&credential->references, 1, memory_order_acq_rel) == 1)
        credential_destroy(credential);
}

static void provision_destroy(struct provision *provision)
{
    for (size_t i = 0; i < provision->minted_count; i++)
        credential_unref(provision->minted[i]);
    free(provision->minted);
    credential_unref(provision->own);
    authority_state_unref(provision->state);
    free(provision);
}

bool provision_create(struct authority_state *state, struct credential *own,
                      struct credential *const *minted, size_t count, bool stale,
                      struct provision **out, struct error *err)
{
    *out = NULL;
    struct provision *provision = calloc(1, sizeof *provision);
    struct credential **copies = calloc(count + 1, sizeof(struct credential *));
    if (!provision || !copies) {
        free(provision);
        free(copies);
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < count; i++)
        copies[i] = credential_ref(minted[i]);
    *provision = (struct provision){.state = authority_state_ref(state),
                                    .own = credential_ref(own),
                                    .minted = copies,
                                    .minted_count = count,
                                    .stale = stale,
                                    .references = 1};
    *out = provision;
    return true;
}

struct provision *provision_ref(struct provision *provision)
{
    if (provision)
        atomic_fetch_add_explicit(&provision->references, 1, memory_order_relaxed);
    return provision;
}

void provision_unref(struct provision *provision)
{
    if (provision &&
        atomic_fetch_sub_explicit(&provision->references, 1, memory_order_acq_rel) == 1)
        provision_destroy(provision);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The set of documents as it would be after a change. Private to document.c and document_set.c. */
#ifndef SALLYPORT_AUTHORITY_DOCUMENT_INTERNAL_H
#define SALLYPORT_AUTHORITY_DOCUMENT_INTERNAL_H

#include "authority/document.h"

struct document {
    enum store_document_kind kind;
    char name[STORE_DOCUMENT_SIZE];
    char *text;   /* canonical JSON; owned */
    size_t order; /* of arrival */
    bool stored;  /* as it is in the store */
    bool given;   /* by the request */
    bool pruned;  /* is to go */
};

struct document_set {
    struct document *items; /* sorted by kind and name */
    size_t count, room;
    struct error *err; /* of a visitor */
};

void document_set_release(struct document_set *set);
/* Takes `text` over, on failure too. */
bool document_set_add(struct document_set *set, const struct document *document,
                      struct error *err) MUST_USE;
/* All that is stored, added to an empty set. */
bool document_set_load(struct document_set *set, struct store *store, struct error *err) MUST_USE;
struct document *document_set_find(struct document_set *set, enum store_document_kind kind,
                                   const char *name);

/* "role shop-reader"; returns `out`. */
const char *document_label(const struct document *document, char out[AUTHORITY_LABEL_SIZE]);

/*
 * Decodes what is not pruned. ERROR_CONFIG: it does not hold together; the message begins with the
 * label of the document at fault, and *given says whether the request brought that one.
 */
bool document_set_decode(const struct document_set *set, struct authority_documents *out,
                         bool *given, struct error *err) MUST_USE;

/* A document out of a request: its name, and its canonical text. ERROR_CONFIG or ERROR_LIMIT says
 * what is wrong. `json` is left with sorted keys. */
bool document_read(enum store_document_kind kind, cJSON *json, struct document *out,
                   struct error *err) MUST_USE;

#endif

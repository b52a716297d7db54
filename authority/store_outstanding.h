/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the ledger that come before a CA changes its phase: whom would it harm, and until
 * when? Part of the store (store.h has its rules).
 */
#ifndef SALLYPORT_AUTHORITY_STORE_OUTSTANDING_H
#define SALLYPORT_AUTHORITY_STORE_OUTSTANDING_H

#include "authority/store.h"

struct store_outstanding {
    int64_t count;    /* certificates */
    int64_t until_us; /* when the last of them ends; 0 when there are none */
};

/*
 * Certificates of a kind that the CA of this number signed, that have not expired, and by which
 * somebody may still have a session: of bots and proxies, the current ones and those before them.
 * What was removed, replaced because it was lost, or superseded twice is void.
 */
bool store_outstanding_signed(struct store *store, enum store_certificate_kind kind,
                              int64_t authority, int64_t now_us, struct store_outstanding *out,
                              struct error *err) MUST_USE;

/* Instances of bots (STORE_CERTIFICATE_BOT) or proxies (STORE_CERTIFICATE_PROXY) whose current
 * certificate was issued before a time, and has not expired. */
bool store_outstanding_since(struct store *store, enum store_certificate_kind kind,
                             int64_t issued_us, int64_t now_us, struct store_outstanding *out,
                             struct error *err) MUST_USE;

#endif

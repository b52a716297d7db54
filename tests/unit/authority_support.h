/* SPDX-License-Identifier: Apache-2.0 */
/* A real authority in a directory of its own for each test: a store, four CAs, and a clock that the
 * test moves. */
#ifndef SALLYPORT_TESTS_AUTHORITY_SUPPORT_H
#define SALLYPORT_TESTS_AUTHORITY_SUPPORT_H

#include <criterion/criterion.h>

#include "authority/ca.h"
#include "authority/issue.h"
#include "authority/join.h"
#include "authority/lock.h"
#include "authority/renew.h"
#include "authority/standing.h"
#include "authority/token.h"
#include "base/clock.h"

extern char home[64]; /* the directory */
extern struct store *store;
extern struct authority *authority;
extern int64_t now_us; /* wall time, moved by the test; it begins at the real one */
extern struct authority_settings settings;

/* What the last call refused or failed with; cleared by ENDS() and REFUSED(). */
extern struct authority_refusal refusal;
extern struct error failure;

/* What authority_confirm() said last: whether it was news. */
extern bool is_news;

/* The last parameters of each decision. */
#define WHY &refusal, &failure

/* The decision is taken. */
#define ENDS(call)                                                                \
    do {                                                                          \
        refusal = (struct authority_refusal){0};                                  \
        failure = (struct error){0};                                              \
        cr_assert((call), "%s: %s%s", #call, refusal.code ? refusal.message : "", \
                  failure.message);                                               \
    } while (0)

/* It is refused with this code, and words that hold these. */
#define REFUSED(call, with, words)                                                                 \
    do {                                                                                           \
        refusal = (struct authority_refusal){0};                                                   \
        failure = (struct error){0};                                                               \
        cr_assert(!(call), "%s was not refused", #call);                                           \
        cr_assert_eq(refusal.code, (with), "%s: %s: %s%s", #call, control_code_name(refusal.code), \
                     refusal.code ? refusal.message : "", failure.message);                        \
        cr_assert(strstr(refusal.message, (words)), "%s", refusal.message);                        \
        cr_assert_eq(failure.code, ERROR_NONE, "%s", failure.message);                             \
    } while (0)

/* It fails, with this code and words that hold these. */
#define FAILS(call, with, words)                                                    \
    do {                                                                            \
        refusal = (struct authority_refusal){0};                                    \
        failure = (struct error){0};                                                \
        cr_assert(!(call), "%s did not fail", #call);                               \
        cr_assert_eq(refusal.code, CONTROL_NO_ERROR, "%s", refusal.message);        \
        cr_assert_eq(failure.code, (with), "%s: %s", error_code_name(failure.code), \
                     failure.message);                                              \
        cr_assert(strstr(failure.message, (words)), "%s", failure.message);         \
    } while (0)

/* For .init and .fini of a suite. */
void home_enter(void);
void home_leave(void);

/* Opens what home_enter() opened, after home_close(). */
void home_open(void);
void home_close(void);

/* "<home>/<name>", in one of four static buffers. */
const char *home_path(const char *name);

/* A request for a new key; the text lives until the next call but seven. */
const char *a_csr(void);
/* The same for a key that the test has. */
const char *csr_for(const struct tls_key *key);
/* The same; where *key is NULL, one is made, which the test frees. */
const char *csr_of(struct tls_key **key);

/* A bot with one role, or with these. */
void a_bot(const char *name, const char *role);
void bot_with_roles(const char *name, const char *const *roles, size_t count);
/* A token for it; the text lives until the next call. */
const char *a_token(enum store_token_kind kind, const char *name);

/* Joined, and confirmed where that is said. */
struct authority_identity joined(const char *bot);
struct authority_identity joined_and_confirmed(const char *bot);
struct authority_identity joined_proxy(const char *name, const char *host);

/* A certificate that is shown over a connection of now; good until the next call. */
const struct authority_shown *shown_now(const struct authority_identity *identity);
const struct authority_shown *shown_serial(const char *serial);

/* The next generation. */
struct authority_identity renewed(const struct authority_identity *identity);
/* And confirmed. */
struct authority_identity renewed_and_confirmed(const struct authority_identity *identity);

/* The locks on an instance that hold now. */
size_t locks_on(const char *instance);

/* What stands in the first certificate of a chain; good until the next call. */
const struct identity *identity_of(const char *chain);

#endif

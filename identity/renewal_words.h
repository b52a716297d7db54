/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the authority's refusals mean to a bot or a proxy, and what people are to do about them.
 * Codes decide; the authority's text is only shown.
 */
#ifndef SALLYPORT_IDENTITY_RENEWAL_WORDS_H
#define SALLYPORT_IDENTITY_RENEWAL_WORDS_H

#include "base/error.h"
#include "control/message.h"
#include "identity/exchange.h"

/* How things go on after a failed attempt. */
enum renewal_verdict {
    VERDICT_AGAIN,      /* it may work in a moment */
    VERDICT_LOCKED,     /* only a person can change it: asked seldom */
    VERDICT_FORGOTTEN,  /* likewise, and the certificate is good for nothing more */
    VERDICT_TOKEN,      /* this token will never do */
    VERDICT_SUPERSEDED, /* never again by itself */
};

/* The verdict, and *err with what is said: "<what> failed: <why>; <what to do>". `name` is the
 * bot's or the proxy's, NULL when it is not known. */
enum renewal_verdict renewal_judge(enum exchange_kind kind, const struct control_failure *failure,
                                   const char *name, struct error *err);

/* The same for an attempt that got no answer. */
void renewal_explain(enum exchange_kind kind, const struct error *why, struct error *err);

/* "joining", "renewing", "confirming". */
const char *renewal_deed(enum exchange_kind kind);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/renewal_words.h"

#include <stdbool.h>

static const char *const deeds[] = {
    [EXCHANGE_JOIN] = "joining",       [EXCHANGE_JOIN_KEY] = "joining",
    [EXCHANGE_RENEW] = "renewing",     [EXCHANGE_CONFIRM] = "confirming",
    [EXCHANGE_JOIN_PROXY] = "joining", [EXCHANGE_RENEW_PROXY] = "renewing",
};

const char *renewal_deed(enum exchange_kind kind)
{
    return deeds[kind];
}

struct meaning {
    enum control_code code;
    enum renewal_verdict verdict;
    const char *advice;
    bool names_it; /* "--bot NAME" or "--proxy NAME" follows */
};

static const struct meaning meanings[] = {
    {CONTROL_TOKEN_USED, VERDICT_TOKEN,
     "a token is good for one join: ask for a new one: sallyport token add", true},
    {CONTROL_TOKEN_EXPIRED, VERDICT_TOKEN, "ask for a new one: sallyport token add", true},
    {CONTROL_TOKEN_UNKNOWN, VERDICT_TOKEN,
     "is it this authority's? If so ask for a new one: sallyport token add", true},
    {CONTROL_LOCKED, VERDICT_LOCKED,
     "on the authority's host, sallyport lock ls shows who locked it", false},
    {CONTROL_SUPERSEDED, VERDICT_SUPERSEDED,
     "somebody else may hold a copy of this identity; once that is settled, let this machine join "
     "anew: sallyport token add",
     true},
    {CONTROL_UNKNOWN_BOT, VERDICT_FORGOTTEN,
     "on the authority's host, sallyport bot ls shows the bots that there are", false},
    {CONTROL_NOT_FOUND, VERDICT_FORGOTTEN, "join anew: sallyport token add", true},
};

static const struct meaning other = {CONTROL_OTHER, VERDICT_AGAIN, "it is tried again", false};

/* A proxy says what it is called, and its token may say otherwise. */
static const struct meaning other_proxy = {
    CONTROL_INVALID, VERDICT_TOKEN,
    "compare proxy.name and proxy.names; a token for this proxy: sallyport token add", true};

static bool is_proxy(enum exchange_kind kind)
{
    return kind == EXCHANGE_JOIN_PROXY || kind == EXCHANGE_RENEW_PROXY;
}

static const struct meaning *meaning_of(enum exchange_kind kind, enum control_code code)
{
    if (kind == EXCHANGE_JOIN_PROXY && code == CONTROL_INVALID)
        return &other_proxy;
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].code == code)
            return &meanings[i];
    return &other;
}

enum renewal_verdict renewal_judge(enum exchange_kind kind, const struct control_failure *failure,
                                   const char *name, struct error *err)
{
    const struct meaning *meaning = meaning_of(kind, failure->code);
    const char *option = !meaning->names_it ? "" : is_proxy(kind) ? " --proxy " : " --bot ";
    const char *shown = !meaning->names_it ? "" : name ? name : "NAME";
    (void)error_set(err, ERROR_DENIED, "%s failed: the authority says: %.280s; %s%s%s", deeds[kind],
                    failure->message, meaning->advice, option, shown);
    return meaning->verdict;
}

void renewal_explain(enum exchange_kind kind, const struct error *why, struct error *err)
{
    (void)error_set(err, why->code, "%s failed: %.400s", deeds[kind], why->message);
}

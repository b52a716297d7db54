/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user sets about how an identity is got and kept: who issues it, and how the bot proves who
 * it is the first time. Part of the configurations of `sallyport tunnel` and `sallyport identity`.
 *
 *     "authority": { "address": "authority.internal:3309", "ca_pin": "sha256:…" },
 *     "join": "/run/secrets/join-token"
 */
#ifndef SALLYPORT_IDENTITY_ENROLMENT_H
#define SALLYPORT_IDENTITY_ENROLMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/config.h"
#include "base/error.h"
#include "identity/renewal.h"
#include "tls/key.h"

/* Who issues and renews identities. Text is borrowed from the configuration. */
struct enrolment_authority {
    const char *address_text;
    const char *ca_pin_text; /* NULL: what the identity's ca.pem says */
    const char *server_name; /* what its certificate must name; never NULL once checked */
    struct config_place place;

    /* Filled by the checks. */
    struct address address;
    uint8_t pin[TLS_PIN_SIZE];
};

struct enrolment {
    struct enrolment_authority authority;
    bool has_authority;    /* false: something else renews the identity */
    const char *join;      /* file of a join token, or NULL */
    const char *bound_key; /* file of the bot's registered key, or NULL */
    const char *bot;       /* the bot's name, or NULL: whoever the token is for */
};

/* The object under "authority". */
extern const struct config_table enrolment_authority_table;

/* The rows of an enrolment that is the member `member_` of `type_`, for its table. */
#define ENROLMENT_FIELDS(type_, member_)                                                         \
    {CONFIG_INLINE_FLAG_AT(type_, member_.authority, member_.has_authority), .key = "authority", \
     .table = &enrolment_authority_table,                                                        \
     .help = "who issues and renews the identity; default: the authority at the top"},           \
        {CONFIG_PATH_AT(type_, member_.join), .key = "join",                                     \
         .help = "file of a join token, for the first start"},                                   \
        {CONFIG_PATH_AT(type_, member_.bound_key), .key = "bound_key",                           \
         .help = "file of the private key that was registered for the bot; instead of join"},    \
    {                                                                                            \
        CONFIG_STRING_AT(type_, member_.bot), .key = "bot",                                      \
                                              .help = "the bot's name; required with bound_key"  \
    }

bool enrolment_authority_check(const struct config *source, struct enrolment_authority *authority,
                               struct error *err) MUST_USE;

/* Checks one; `otherwise` (NULL: none) is the authority of those that name none. Errors stand at
 * `place`, the object that holds the keys. */
bool enrolment_check(const struct config *source, struct config_place place,
                     const struct enrolment_authority *otherwise, struct enrolment *enrolment,
                     struct error *err) MUST_USE;

/* Completes what is said of an identity by what is said elsewhere of the same one. False: they
 * contradict each other about *key. */
bool enrolment_agree(struct enrolment *enrolment, const struct enrolment *other, const char **key);

/* Whether a token that came by standard input or the environment is for it: there is an authority,
 * and no other way to join. */
bool enrolment_takes_token(const struct enrolment *enrolment);

/* The members that are text, so that copying and releasing cannot forget one. */
#define ENROLMENT_TEXTS 6
const char **enrolment_text(struct enrolment *enrolment, unsigned index);

/* What identity/renewal.h wants to know; borrowed from the enrolment. */
struct renewal_settings enrolment_renewal(const struct enrolment *enrolment);

#endif

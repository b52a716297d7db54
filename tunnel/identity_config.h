/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user sets for `sallyport identity`: a configuration file, or flags for one identity.
 *
 *     { "identities": [ { "directory": "/var/lib/sallyport/ci-1", "join": "/run/secrets/token",
 *                         "run": ["systemctl", "reload", "nginx"] } ],
 *       "authority": { "address": "authority.internal:3309", "ca_pin": "sha256:…" },
 *       "log": { "level": "info", "format": "auto" } }
 *
 * The reference is docs/identity.md.
 */
#ifndef SALLYPORT_TUNNEL_IDENTITY_CONFIG_H
#define SALLYPORT_TUNNEL_IDENTITY_CONFIG_H

#include <stddef.h>

#include "base/config.h"
#include "base/error.h"
#include "identity/enrolment.h"
#include "identity/join_token.h"
#include "tunnel/settings.h"

#define IDENTITY_COUNT_MAX     256
#define IDENTITY_ARGUMENTS_MAX 64 /* of the command that runs after a renewal */

struct identity_settings {
    const char *directory;
    struct enrolment enrolment;
    struct config_strings run; /* a command and its arguments; empty: none */
    struct config_place place;
};

struct identity_config {
    struct identity_settings *identities;
    size_t identity_count;
    struct enrolment_authority authority;
    bool has_authority;
    struct tunnel_log_settings log;
    struct config *source; /* owns the text */
};

/* The top-level table, for the documentation's test. */
extern const struct config_table identity_config_table;

/* As tunnel_config_load() and tunnel_config_load_text(). */
bool identity_config_load(const char *path, struct identity_config *out,
                          struct error *err) MUST_USE;
bool identity_config_load_text(const char *text, const char *directory, struct identity_config *out,
                               struct error *err) MUST_USE;

/* What the command line can say; NULL: not given. */
struct identity_flags {
    const char *authority;
    const char *authority_name;
    const char *ca_pin;
    const char *join; /* not "-", which the caller reads himself */
    const char *bound_key;
    const char *bot;
    const char *identity;
    const char *log_level; /* goes on top of a file too */
    char *const *run;      /* a command and its arguments, then NULL */
};

bool identity_config_from_flags(const struct identity_flags *flags, struct identity_config *out,
                                struct error *err) MUST_USE;

/* Frees what the configuration holds. Safe on an empty one and twice. */
void identity_config_release(struct identity_config *config);

#endif

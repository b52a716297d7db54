/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user sets for `sallyport tunnel`: a configuration file, or flags for a single tunnel. Both
 * come to the same struct, so that both are checked by the same rules.
 *
 *     { "tunnels": [ { "name": "shop", "listen": "127.0.0.1:3306", "proxy": "proxy.internal:3308",
 *                      "database": "shop", "identity": "/var/lib/sallyport/ci-1",
 *                      "join": "/run/secrets/join-token" } ],
 *       "authority": { "address": "authority.internal:3309", "ca_pin": "sha256:…" },
 *       "drain_timeout": "30s",
 *       "log": { "level": "info", "format": "auto" } }
 *
 * The authority at the top is for all tunnels that name none; what tunnels with one identity say
 * about it must not differ, and may be said by one of them for all. The reference is
 * docs/tunnel.md.
 */
#ifndef SALLYPORT_TUNNEL_SETTINGS_H
#define SALLYPORT_TUNNEL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "identity/enrolment.h"
#include "identity/join_token.h"

/* Limits of one process. */
#define TUNNEL_COUNT_MAX 1024
#define TUNNEL_NAME_MAX  64 /* bytes of a tunnel's name */
#define TUNNEL_READY_MAX 64 /* connections kept ready by one pool */
#define TUNNEL_CONNECTIONS_MAX                                        \
    65536 /* local connections of one tunnel, as far as it can be set \
           */

/* The defaults, here as the configuration table writes them. */
#define TUNNEL_DEFAULT_READY       "2"
#define TUNNEL_DEFAULT_TIMEOUT     "10s"
#define TUNNEL_DEFAULT_CONNECTIONS "1000"
#define TUNNEL_DEFAULT_DRAIN       "30s"
#define TUNNEL_DEFAULT_MODE        "0600"

/* One tunnel. All text is borrowed from the struct tunnel_config that it came with. */
struct tunnel_settings {
    const char *name; /* for logs; unique */
    const char *listen_text;
    const char *proxy_text;
    const char *server_name; /* what the proxy's certificate must name; never NULL once checked */
    const char *database;
    const char *identity; /* directory with cert.pem, key.pem, ca.pem */
    const char *mode_text;
    struct enrolment enrolment; /* how the identity is got */
    uint64_t ready_connections;
    uint64_t max_connections;
    int64_t connect_timeout_ms;
    struct config_place place;

    /* Filled by the checks. */
    struct address listen;
    struct address proxy;
    unsigned mode; /* of a Unix socket */
};

struct tunnel_log_settings {
    int level;  /* enum log_level */
    int format; /* enum log_format */
};

struct tunnel_config {
    struct tunnel_settings *tunnels;
    size_t tunnel_count;
    int64_t drain_timeout_ms;
    struct enrolment_authority authority;
    bool has_authority;
    struct tunnel_log_settings log;
    struct config *source; /* owns the text */

    /* A token that came by standard input or the environment, and the identity that it is for: an
     * entry of `tunnels`. NULL: none. */
    const struct join_token *token;
    const struct tunnel_settings *token_for;
};

/* What stands under "log". */
extern const struct config_table tunnel_log_table;

/* The top-level table, for the documentation's test. */
extern const struct config_table tunnel_config_table;

/* Reads and checks a file. On failure *out holds nothing; ERROR_CONFIG says FILE:LINE:COL. */
bool tunnel_config_load(const char *path, struct tunnel_config *out, struct error *err) MUST_USE;

/* The same for text in memory; relative paths are joined to `directory`. */
bool tunnel_config_load_text(const char *text, const char *directory, struct tunnel_config *out,
                             struct error *err) MUST_USE;

/*
 * Gives a token (borrowed) to the only identity that has an authority and no other way to join.
 * ERROR_CONFIG when there are several; where there is none the token is not needed.
 */
bool tunnel_config_take_token(struct tunnel_config *config, const struct join_token *token,
                              struct error *err) MUST_USE;

/* What the command line can say. NULL: not given. */
struct tunnel_flags {
    const char *proxy;
    const char *database;
    const char *listen;
    const char *identity;
    const char *ready;
    const char *server_name;
    const char *authority;
    const char *authority_name;
    const char *ca_pin;
    const char *join; /* not "-", which the caller reads himself */
    const char *bound_key;
    const char *bot;
    const char *log_level; /* goes on top of a file too */
};

/* Makes a configuration of one tunnel out of flags. ERROR_CONFIG names the flag at fault. */
bool tunnel_config_from_flags(const struct tunnel_flags *flags, struct tunnel_config *out,
                              struct error *err) MUST_USE;

/* Frees what the configuration holds. Safe on an empty one and twice. */
void tunnel_config_release(struct tunnel_config *config);

/* A copy that owns its text, for what outlives the configuration. `place` is not copied. */
bool tunnel_settings_copy(const struct tunnel_settings *from, struct tunnel_settings *out,
                          struct error *err) MUST_USE;
void tunnel_settings_release(struct tunnel_settings *copy);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of `sallyport serve` as C structs: what the file says, checked as far as one
 * can without opening sockets (docs/configuration.md; tests tie that page to settings_table).
 * snapshot.h turns it into what workers use.
 */
#ifndef SALLYPORT_PROXY_SETTINGS_H
#define SALLYPORT_PROXY_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "authority/settings.h"
#include "authz/authz_config.h"
#include "base/config.h"
#include "base/error.h"
#include "base/log.h"

#define SETTINGS_WORKERS_MAX   256
#define SETTINGS_LISTENERS_MAX 64
#define SETTINGS_DATABASES_MAX 4096

struct listener_settings {
    const char *address;  /* "0.0.0.0:3308" */
    bool starttls;        /* MySQL's in-band TLS instead of TLS from the first byte */
    const char *database; /* the one meant where no hello names one; NULL: none */
    struct config_place place;
};

/* Beside an authority `client_ca` adds bots of another CA, and cert and key may be NULL: then the
 * proxy shows the authority's certificate. */
struct server_tls_settings {
    const char *cert;
    const char *key;
    const char *client_ca;
    const char *crl; /* NULL: none */
    struct config_place place;
};

/* Every limit and deadline of the proxy, in one place (I9). */
struct limit_settings {
    uint64_t sessions;           /* at once, in the whole process */
    uint64_t pending;            /* not yet logged in, in the whole process */
    uint64_t statements;         /* prepared, in one session */
    int64_t login_timeout_ms;    /* from accept to the end of login; tunnels keep connections ready
                                    shorter */
    int64_t ready_timeout_ms;    /* how long a tunnel's ready connection may wait for its hello */
    int64_t upstream_timeout_ms; /* from dial to the end of login upstream */
    int64_t audit_timeout_ms;    /* how long a command may wait for room in the audit log */
    int64_t drain_timeout_ms;    /* how long running commands may take to finish on SIGTERM */
};

/* What a proxy does that has heard nothing of its authority for stale_after. */
enum when_stale { WHEN_STALE_DENY, WHEN_STALE_ALLOW };

/* The authority that the proxy takes its certificates, bots, roles and locks from. */
struct authority_link_settings {
    const char *address;
    const char *ca_pin;      /* "sha256:…" of the service CA; needed for the first join alone */
    const char *server_name; /* NULL: the address's host */
    const char *identity;    /* directory that holds the proxy's own certificate */
    const char *join;        /* file of a join token, for the first start; NULL: none */
    int64_t stale_after_ms;
    enum when_stale when_stale;
    struct config_place place;
};

struct proxy_settings {
    const char *name;
    struct listener_settings *listeners;
    size_t listener_count;
    bool has_tls; /* the section is there: certificates of one's own PKI */
    struct server_tls_settings tls;
    bool has_authority; /* likewise */
    struct authority_link_settings authority;
    struct config_strings names; /* DNS names and IP addresses that tunnels know the proxy by */
    uint64_t workers;            /* 0: one for each core */
    struct limit_settings limits;
    struct config_place place;
};

/* NULL where the authority provides: the database-server CA, and certificates minted for each
 * MySQL user. */
struct client_tls_settings {
    const char *ca;
    const char *server_name; /* NULL: the address's host */
    const char *cert;
    const char *key;
    struct config_place place;
};

struct password_settings {
    const char *mysql_user;
    const char *file;
    struct config_place place;
};

struct database_settings {
    const char *name;
    const char *address;
    struct config_map labels;
    struct client_tls_settings tls;
    struct password_settings *passwords;
    size_t password_count;
    struct config_place place;
};

enum durability { DURABILITY_PROCESS, DURABILITY_FSYNC };

struct audit_section {
    const char *directory;
    enum durability durability;
    size_t statement_limit; /* longest statement that is recorded, and held, whole */
    size_t file_size;
    struct config_place place;
};

struct log_section {
    enum log_level level;
    enum log_format format;
};

struct settings {
    bool has_proxy; /* of each service: whether the file configures it */
    struct proxy_settings proxy;
    bool has_authority;
    struct authority_config authority;
    struct database_settings *databases;
    size_t database_count;
    struct authz_role_config *roles;
    size_t role_count;
    struct authz_mapping_config *mappings;
    size_t mapping_count;
    struct audit_section audit;
    struct log_section log;
};

/* Whether the proxy takes part of what it knows from an authority, in this process or elsewhere. */
bool settings_follow_authority(const struct settings *settings);

extern const struct config_table settings_table;
/* One element of "databases". */
extern const struct config_table settings_database_table;
/* "proxy.authority". */
extern const struct config_table settings_authority_link_table;

/*
 * Reads a file and checks names: unique databases and roles, listeners that name a database that
 * exists, STARTTLS listeners that name one at all, addresses that parse. On success *config owns
 * what *out points at.
 */
bool settings_load(const char *path, struct settings *out, struct config **config,
                   struct error *err) MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The section "authority" of `sallyport serve`'s configuration, and what the rest of this folder
 * makes of it. docs/configuration.md explains the keys to people.
 */
#ifndef SALLYPORT_AUTHORITY_SETTINGS_H
#define SALLYPORT_AUTHORITY_SETTINGS_H

#include <stdint.h>

#include "authority/core.h"
#include "base/address.h"
#include "base/config.h"
#include "base/error.h"

#define AUTHORITY_DEFAULT_LISTEN "0.0.0.0:3309"
/* In the state directory, where the configuration names no other. */
#define AUTHORITY_DEFAULT_SOCKET "admin.sock"
/* What stands behind the socket's path until it is complete. */
#define AUTHORITY_SOCKET_SUFFIX ".new"
/* A Unix socket's path has at most 107 bytes (unix(7)), that suffix included. */
#define AUTHORITY_SOCKET_PATH_MAX (ADDRESS_PATH_SIZE - sizeof AUTHORITY_SOCKET_SUFFIX)

/* "limits" (I9). */
struct authority_limits {
    uint64_t connections; /* at once */
    uint64_t per_address; /* of these, from one address (IPv6: one /64) */
    int64_t idle_ms;      /* a connection without a request for so long is ended */
};

/* The section as it is decoded. */
struct authority_config {
    const char *directory;
    const char *listen;
    const char *trust_domain;
    struct config_strings names; /* none: see authority_settings_read() */
    struct config_strings shared_names;
    const char *admin_socket; /* NULL: AUTHORITY_DEFAULT_SOCKET */
    int64_t bot_ttl;          /* milliseconds, and those below */
    int64_t service_ttl;
    int64_t database_client_ttl;
    int64_t database_server_ttl;
    int64_t token_ttl;
    struct authority_limits limits;
    struct config_place place;
};

/* For a CONFIG_OBJECT_AT or CONFIG_INLINE_AT row of `serve`'s own table. */
extern const struct config_table authority_settings_table;

/* What the service runs on. */
struct authority_service_settings {
    const char *directory;               /* borrowed from the configuration */
    struct address listen;               /* port 0: any free one */
    char socket_path[ADDRESS_PATH_SIZE]; /* absolute, where the configuration is */
    struct authority_limits limits;
    struct authority_settings core;
};

/*
 * Checks what the table cannot say, and fills *out. ERROR_CONFIG at the position of the fault:
 * addresses, names, the trust domain, a socket's path that is too long.
 *
 * Where no names are given, the authority's certificate is for the host of `listen` when that is no
 * wildcard, and for this machine's name.
 */
bool authority_settings_read(const struct config *config, const struct authority_config *section,
                             struct authority_service_settings *out, struct error *err) MUST_USE;

#endif

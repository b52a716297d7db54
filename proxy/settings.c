/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/settings.h"

#include <string.h>

#include "audit/audit.h"
#include "authority/names.h"
#include "base/address.h"
#include "identity/join_token.h"
#include "tls/certificate.h"

static const struct config_field listener_fields[] = {
    {CONFIG_STRING_AT(struct listener_settings, address), .key = "address", .required = true,
     .help = "where to listen, HOST:PORT"},
    {CONFIG_BOOL_AT(struct listener_settings, starttls), .key = "starttls", .fallback = "false",
     .help = "speak MySQL's own in-band TLS, for clients that hold a certificate themselves"},
    {CONFIG_STRING_AT(struct listener_settings, database), .key = "database",
     .help = "the database that is meant where the client does not name one"},
};

static const struct config_table listener_table = {
    CONFIG_TABLE(struct listener_settings, listener_fields),
    .place = CONFIG_PLACE_AT(struct listener_settings, place)};

static const struct config_field server_tls_fields[] = {
    {CONFIG_PATH_AT(struct server_tls_settings, cert), .key = "cert",
     .help = "the proxy's certificate and its intermediates, PEM; default: the authority's"},
    {CONFIG_PATH_AT(struct server_tls_settings, key), .key = "key",
     .help = "its private key, PEM, readable by the owner alone"},
    {CONFIG_PATH_AT(struct server_tls_settings, client_ca), .key = "client_ca", .required = true,
     .help = "the CAs that sign bots' certificates, PEM"},
    {CONFIG_PATH_AT(struct server_tls_settings, crl), .key = "crl",
     .help = "the revocation list of those CAs, PEM; must be current"},
};

static const struct config_table server_tls_table = {
    CONFIG_TABLE(struct server_tls_settings, server_tls_fields),
    .place = CONFIG_PLACE_AT(struct server_tls_settings, place)};

static const struct config_field limit_fields[] = {
    {CONFIG_UNSIGNED_AT(struct limit_settings, sessions), .key = "sessions", .fallback = "10000",
     .least = 1, .greatest = 1000000, .help = "sessions at once, in the whole process"},
    {CONFIG_UNSIGNED_AT(struct limit_settings, pending), .key = "pending", .fallback = "2000",
     .least = 1, .greatest = 1000000,
     .help = "connections at once that have not logged in, in the whole process"},
    {CONFIG_UNSIGNED_AT(struct limit_settings, statements), .key = "statements",
     .fallback = "16382", .least = 1, .greatest = 65536,
     .help = "prepared statements at once in one session"},
    {CONFIG_DURATION_AT(struct limit_settings, login_timeout_ms), .key = "login_timeout",
     .fallback = "10s", .least = 100, .greatest = 600000,
     .help = "time from the connection to the end of the login"},
    {CONFIG_DURATION_AT(struct limit_settings, ready_timeout_ms), .key = "ready_timeout",
     .fallback = "60s", .least = 1000, .greatest = 3600000,
     .help = "how long a tunnel may keep a verified connection ready before it is used"},
    {CONFIG_DURATION_AT(struct limit_settings, upstream_timeout_ms), .key = "upstream_timeout",
     .fallback = "10s", .least = 100, .greatest = 600000,
     .help = "time from dialling a database to the end of the login there"},
    {CONFIG_DURATION_AT(struct limit_settings, audit_timeout_ms), .key = "audit_timeout",
     .fallback = "30s", .least = 100, .greatest = 3600000,
     .help = "how long a command waits for room in the audit log before its session ends"},
    {CONFIG_DURATION_AT(struct limit_settings, drain_timeout_ms), .key = "drain_timeout",
     .fallback = "30s", .least = 0, .greatest = 86400000,
     .help = "how long running commands may take to finish on SIGTERM"},
};

static const struct config_table limit_table = {CONFIG_TABLE(struct limit_settings, limit_fields)};

static const char *const when_stale_names[] = {"deny", "allow", NULL};

static const struct config_field authority_fields[] = {
    {CONFIG_STRING_AT(struct authority_link_settings, address), .key = "address", .required = true,
     .help = "where the authority listens, HOST:PORT"},
    {CONFIG_STRING_AT(struct authority_link_settings, ca_pin), .key = "ca_pin",
     .help = "the fingerprint of its service CA, \"sha256:…\", for the first start"},
    {CONFIG_STRING_AT(struct authority_link_settings, server_name), .key = "server_name",
     .help = "the name in its certificate; default: the host of `address`"},
    {CONFIG_PATH_AT(struct authority_link_settings, identity), .key = "identity", .required = true,
     .help = "the directory of the proxy's own certificate; made at the first start"},
    {CONFIG_PATH_AT(struct authority_link_settings, join), .key = "join",
     .help = "the file of a join token, for the first start"},
    {CONFIG_DURATION_AT(struct authority_link_settings, stale_after_ms), .key = "stale_after",
     .fallback = "5m", .least = 2000, .greatest = 604800000,
     .help = "how long the proxy goes on with what it knows when it has lost the authority"},
    {CONFIG_ENUM_AT(struct authority_link_settings, when_stale), .key = "when_stale",
     .names = when_stale_names, .fallback = "deny",
     .help = "then: deny new sessions, or allow them"},
};

const struct config_table settings_authority_link_table = {
    CONFIG_TABLE(struct authority_link_settings, authority_fields),
    .place = CONFIG_PLACE_AT(struct authority_link_settings, place)};

static const struct config_field proxy_fields[] = {
    {CONFIG_STRING_AT(struct proxy_settings, name), .key = "name", .fallback = "proxy",
     .help = "this proxy's name in audit records"},
    {CONFIG_OBJECTS_AT(struct proxy_settings, listeners, listener_count), .key = "listeners",
     .table = &listener_table, .required = true, .least = 1, .greatest = SETTINGS_LISTENERS_MAX,
     .help = "where bots connect"},
    {CONFIG_INLINE_FLAG_AT(struct proxy_settings, tls, has_tls), .key = "tls",
     .table = &server_tls_table,
     .help = "certificates of one's own PKI: the proxy's, and whom it lets in"},
    {CONFIG_INLINE_FLAG_AT(struct proxy_settings, authority, has_authority), .key = "authority",
     .table = &settings_authority_link_table,
     .help = "the authority that issues the proxy's certificate, and knows bots, roles and locks"},
    {CONFIG_STRINGS_AT(struct proxy_settings, names), .key = "names",
     .greatest = AUTHORITY_HOSTS_MAX,
     .help = "with an authority: the DNS names and IP addresses that tunnels know the proxy by"},
    {CONFIG_UNSIGNED_AT(struct proxy_settings, workers), .key = "workers", .fallback = "0",
     .greatest = SETTINGS_WORKERS_MAX, .help = "threads that serve sessions; 0: one for each core"},
    {CONFIG_INLINE_AT(struct proxy_settings, limits), .key = "limits", .table = &limit_table,
     .help = "bounds and deadlines"},
};

static const struct config_table proxy_table = {CONFIG_TABLE(struct proxy_settings, proxy_fields),
                                                .place =
                                                    CONFIG_PLACE_AT(struct proxy_settings, place)};

static const struct config_field client_tls_fields[] = {
    {CONFIG_PATH_AT(struct client_tls_settings, ca), .key = "ca",
     .help = "the CAs that sign the database's certificate, PEM; default: the authority's"},
    {CONFIG_STRING_AT(struct client_tls_settings, server_name), .key = "server_name",
     .help = "the name in the database's certificate; default: the host of `address`"},
    {CONFIG_PATH_AT(struct client_tls_settings, cert), .key = "cert",
     .help = "the certificate that the database account requires (REQUIRE SUBJECT), PEM; default: "
             "the authority mints one for each MySQL user, with CN=<user>"},
    {CONFIG_PATH_AT(struct client_tls_settings, key), .key = "key",
     .help = "its private key, PEM, readable by the owner alone"},
};

static const struct config_table client_tls_table = {
    CONFIG_TABLE(struct client_tls_settings, client_tls_fields),
    .place = CONFIG_PLACE_AT(struct client_tls_settings, place)};

static const struct config_field password_fields[] = {
    {CONFIG_STRING_AT(struct password_settings, mysql_user), .key = "mysql_user", .required = true,
     .help = "the account that has a password besides the certificate"},
    {CONFIG_PATH_AT(struct password_settings, file), .key = "file", .required = true,
     .help = "the file that holds it, readable by the owner alone; one line"},
};

static const struct config_table password_table = {
    CONFIG_TABLE(struct password_settings, password_fields),
    .place = CONFIG_PLACE_AT(struct password_settings, place)};

static const struct config_field database_fields[] = {
    {CONFIG_STRING_AT(struct database_settings, name), .key = "name", .required = true,
     .help = "what roles, tunnels and records call it"},
    {CONFIG_STRING_AT(struct database_settings, address), .key = "address", .required = true,
     .help = "where the server listens, HOST:PORT"},
    {CONFIG_MAP_AT(struct database_settings, labels), .key = "labels",
     .help = "labels that roles can match, e.g. { \"env\": \"prod\" }"},
    {CONFIG_INLINE_AT(struct database_settings, tls), .key = "tls", .table = &client_tls_table,
     .help = "mutual TLS with the database"},
    {CONFIG_OBJECTS_AT(struct database_settings, passwords, password_count), .key = "passwords",
     .table = &password_table, .greatest = 1024,
     .help = "passwords of accounts that need one besides the certificate"},
};

const struct config_table settings_database_table = {
    CONFIG_TABLE(struct database_settings, database_fields),
    .place = CONFIG_PLACE_AT(struct database_settings, place)};

static const char *const durability_names[] = {"process", "fsync", NULL};

static const struct config_field audit_fields[] = {
    {CONFIG_PATH_AT(struct audit_section, directory), .key = "directory", .required = true,
     .help = "where the audit log is written"},
    {CONFIG_ENUM_AT(struct audit_section, durability), .key = "durability",
     .names = durability_names, .fallback = "process",
     .help = "what a record survives: a crash of the process, or of the machine (fsync)"},
    {CONFIG_SIZE_AT(struct audit_section, statement_limit), .key = "statement_limit",
     .fallback = "1m", .least = 1024, .greatest = AUDIT_STATEMENT_LIMIT_MAX,
     .help = "the longest statement that is recorded whole; past it: the captured part, the full "
             "length, and the SHA-256"},
    {CONFIG_SIZE_AT(struct audit_section, file_size), .key = "file_size", .fallback = "256m",
     .least = 65536, .help = "a new file is begun when the current one has grown past this"},
};

static const struct config_table audit_table = {CONFIG_TABLE(struct audit_section, audit_fields),
                                                .place =
                                                    CONFIG_PLACE_AT(struct audit_section, place)};

static const char *const level_names[] = {"debug", "info", "warning", "error", NULL};
static const char *const format_names[] = {"auto", "text", "json", NULL};

static const struct config_field log_fields[] = {
    {CONFIG_ENUM_AT(struct log_section, level), .key = "level", .names = level_names,
     .fallback = "info", .help = "the least important lines that are printed"},
    {CONFIG_ENUM_AT(struct log_section, format), .key = "format", .names = format_names,
     .fallback = "auto", .help = "auto: text on a terminal, JSON otherwise"},
};

static const struct config_table log_table = {CONFIG_TABLE(struct log_section, log_fields)};

static const struct config_field settings_fields[] = {
    {CONFIG_INLINE_FLAG_AT(struct settings, proxy, has_proxy), .key = "proxy",
     .table = &proxy_table, .help = "the proxy that bots connect to"},
    {CONFIG_INLINE_FLAG_AT(struct settings, authority, has_authority), .key = "authority",
     .table = &authority_settings_table,
     .help = "the authority that issues certificates, and keeps bots, roles and locks"},
    {CONFIG_OBJECTS_AT(struct settings, databases, database_count), .key = "databases",
     .table = &settings_database_table, .greatest = SETTINGS_DATABASES_MAX,
     .help = "the MySQL and MariaDB servers behind it"},
    {CONFIG_OBJECTS_AT(struct settings, roles, role_count), .key = "roles",
     .table = &authz_role_table, .help = "what bots may do"},
    {CONFIG_OBJECTS_AT(struct settings, mappings, mapping_count), .key = "mappings",
     .table = &authz_mapping_table, .help = "which certificates have which roles"},
    {CONFIG_INLINE_AT(struct settings, audit), .key = "audit", .table = &audit_table,
     .required = true, .help = "the audit log"},
    {CONFIG_INLINE_AT(struct settings, log), .key = "log", .table = &log_table,
     .help = "the process log, on standard error"},
};

const struct config_table settings_table = {CONFIG_TABLE(struct settings, settings_fields)};

static const struct database_settings *find_database(const struct settings *settings,
                                                     const char *name)
{
    for (size_t i = 0; i < settings->database_count; i++)
        if (strcmp(settings->databases[i].name, name) == 0)
            return &settings->databases[i];
    return NULL;
}

static bool check_listener(const struct config *config, const struct settings *settings,
                           const struct listener_settings *listener, struct error *err)
{
    struct address address;
    struct error inner = {0};
    if (!address_parse(listener->address, &address, &inner))
        return config_error(config, listener->place, "address", err, "%s", inner.message);
    if (address.kind != ADDRESS_HOST)
        return config_error(config, listener->place, "address", err,
                            "the proxy listens on TCP only: write HOST:PORT");
    if (listener->starttls && !listener->database)
        return config_error(config, listener->place, NULL, err,
                            "a STARTTLS listener needs \"database\": MySQL clients cannot name one "
                            "before the server's greeting");
    if (listener->database && !settings_follow_authority(settings) &&
        !find_database(settings, listener->database))
        return config_error(config, listener->place, "database", err,
                            "there is no database \"%s\" in \"databases\"", listener->database);
    return true;
}

/* Without an authority nobody else provides them. */
static bool check_upstream_tls(const struct config *config, const struct settings *settings,
                               const struct database_settings *database, struct error *err)
{
    const struct client_tls_settings *tls = &database->tls;
    struct config_place place = tls->place.value ? tls->place : database->place;
    if (!tls->cert != !tls->key)
        return config_error(config, place, NULL, err,
                            "\"cert\" and \"key\" belong together: give both or none");
    if (!settings_follow_authority(settings) && (!tls->ca || !tls->cert))
        return config_error(config, place, NULL, err,
                            "\"tls\" needs \"ca\", \"cert\" and \"key\": there is no authority "
                            "that would provide them");
    return true;
}

static bool check_database(const struct config *config, const struct settings *settings,
                           const struct database_settings *database, struct error *err)
{
    if (find_database(settings, database->name) != database)
        return config_error(config, database->place, "name", err,
                            "the database \"%s\" is defined twice", database->name);
    struct address address;
    struct error inner = {0};
    if (!address_parse(database->address, &address, &inner))
        return config_error(config, database->place, "address", err, "%s", inner.message);
    if (address.kind != ADDRESS_HOST)
        return config_error(config, database->place, "address", err,
                            "a database is reached by TLS over TCP: write HOST:PORT");
    if (!check_upstream_tls(config, settings, database, err))
        return false;
    for (size_t i = 0; i < database->password_count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(database->passwords[i].mysql_user, database->passwords[j].mysql_user) == 0)
                return config_error(config, database->passwords[i].place, "mysql_user", err,
                                    "MySQL user \"%s\" has a password already",
                                    database->passwords[i].mysql_user);
    return true;
}

/* What an authority would provide must be in the file when there is none. */
static bool check_alone(const struct config *config, const struct settings *settings,
                        struct error *err)
{
    const struct proxy_settings *proxy = &settings->proxy;
    const char *missing = !proxy->has_tls             ? "proxy.tls"
                          : !settings->database_count ? "databases"
                          : !settings->role_count     ? "roles"
                          : !settings->mapping_count  ? "mappings"
                                                      : NULL;
    if (settings_follow_authority(settings) || !missing)
        return true;
    return config_error(config, proxy->place, NULL, err,
                        "\"%s\" is missing, and there is no authority that would provide it",
                        missing);
}

static bool check_authority(const struct config *config,
                            const struct authority_link_settings *authority, struct error *err)
{
    struct address address;
    struct error inner = {0};
    uint8_t pin[32];
    if (!address_parse(authority->address, &address, &inner) || address.kind != ADDRESS_HOST)
        return config_error(config, authority->place, "address", err, "write HOST:PORT");
    if (authority->ca_pin && !certificate_pin_parse(authority->ca_pin, pin, &inner))
        return config_error(config, authority->place, "ca_pin", err, "%s", inner.message);
    if (authority->join && join_token_looks_like(authority->join)) {
        (void)join_token_refuse("this key", &inner);
        return config_error(config, authority->place, "join", err, "%s", inner.message);
    }
    return true;
}

/* What the authority would refuse the proxy for, before it asks. */
static bool check_own_names(const struct config *config, const struct settings *settings,
                            struct error *err)
{
    const struct proxy_settings *proxy = &settings->proxy;
    struct authority_hosts hosts;
    struct authority_refusal refusal = {0};
    if (!settings_follow_authority(settings))
        return true;
    if (!authority_name_check("proxy", proxy->name, &refusal))
        return config_error(config, proxy->place, "name", err, "%s", refusal.message);
    if (proxy->has_authority && proxy->names.count == 0)
        return config_error(config, proxy->place, NULL, err,
                            "\"names\" is missing: the DNS names and IP addresses that tunnels "
                            "know this proxy by, which the authority puts into its certificate");
    if (proxy->names.count > 0 &&
        !authority_hosts_read(proxy->names.items, proxy->names.count, &hosts, &refusal))
        return config_error(config, proxy->place, "names", err, "%s", refusal.message);
    return true;
}

static bool check_own_tls(const struct config *config, const struct settings *settings,
                          struct error *err)
{
    const struct server_tls_settings *tls = &settings->proxy.tls;
    bool follows = settings_follow_authority(settings);
    if (!settings->proxy.has_tls)
        return true;
    if (!follows && (!tls->cert || !tls->key))
        return config_error(config, tls->place, NULL, err,
                            "\"%s\" is missing, and there is no authority that would provide it",
                            tls->cert ? "key" : "cert");
    if (!tls->cert != !tls->key)
        return config_error(config, tls->place, NULL, err,
                            "\"cert\" and \"key\" belong together: give both or none");
    if (follows && tls->crl)
        return config_error(config, tls->place, "crl", err,
                            "with an authority, certificates are locked instead of revoked: the "
                            "list could not be asked of its own CA");
    return true;
}

static bool check_names(const struct config *config, const struct settings *settings,
                        struct error *err)
{
    struct authority_service_settings authority;
    if (settings->has_authority &&
        !authority_settings_read(config, &settings->authority, &authority, err))
        return false;
    if (!settings->has_proxy)
        return settings->has_authority ||
               config_error(config, (struct config_place){0}, NULL, err,
                            "neither \"proxy\" nor \"authority\" is configured");
    if (!check_alone(config, settings, err) || !check_own_tls(config, settings, err))
        return false;
    if (settings->proxy.has_authority && !check_authority(config, &settings->proxy.authority, err))
        return false;
    if (!check_own_names(config, settings, err))
        return false;
    for (size_t i = 0; i < settings->database_count; i++)
        if (!check_database(config, settings, &settings->databases[i], err))
            return false;
    for (size_t i = 0; i < settings->proxy.listener_count; i++)
        if (!check_listener(config, settings, &settings->proxy.listeners[i], err))
            return false;
    return true;
}

bool settings_follow_authority(const struct settings *settings)
{
    return settings->has_proxy && (settings->proxy.has_authority || settings->has_authority);
}

bool settings_load(const char *path, struct settings *out, struct config **config,
                   struct error *err)
{
    if (!config_load_file(path, &settings_table, out, config, err))
        return false;
    if (check_names(*config, out, err))
        return true;
    config_free(*config);
    *config = NULL;
    return false;
}

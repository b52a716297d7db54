/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/settings.h"

#include <string.h>

#include "audit/audit.h"
#include "base/address.h"

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
    {CONFIG_PATH_AT(struct server_tls_settings, cert), .key = "cert", .required = true,
     .help = "the proxy's certificate and its intermediates, PEM"},
    {CONFIG_PATH_AT(struct server_tls_settings, key), .key = "key", .required = true,
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

static const struct config_field proxy_fields[] = {
    {CONFIG_STRING_AT(struct proxy_settings, name), .key = "name", .fallback = "proxy",
     .help = "this proxy's name in audit records"},
    {CONFIG_OBJECTS_AT(struct proxy_settings, listeners, listener_count), .key = "listeners",
     .table = &listener_table, .required = true, .least = 1, .greatest = SETTINGS_LISTENERS_MAX,
     .help = "where bots connect"},
    {CONFIG_INLINE_AT(struct proxy_settings, tls), .key = "tls", .table = &server_tls_table,
     .required = true, .help = "the proxy's own certificate, and whom it lets in"},
    {CONFIG_UNSIGNED_AT(struct proxy_settings, workers), .key = "workers", .fallback = "0",
     .greatest = SETTINGS_WORKERS_MAX, .help = "threads that serve sessions; 0: one for each core"},
    {CONFIG_INLINE_AT(struct proxy_settings, limits), .key = "limits", .table = &limit_table,
     .help = "bounds and deadlines"},
};

static const struct config_table proxy_table = {CONFIG_TABLE(struct proxy_settings, proxy_fields),
                                                .place =
                                                    CONFIG_PLACE_AT(struct proxy_settings, place)};

static const struct config_field client_tls_fields[] = {
    {CONFIG_PATH_AT(struct client_tls_settings, ca), .key = "ca", .required = true,
     .help = "the CAs that sign the database's certificate, PEM"},
    {CONFIG_STRING_AT(struct client_tls_settings, server_name), .key = "server_name",
     .help = "the name in the database's certificate; default: the host of `address`"},
    {CONFIG_PATH_AT(struct client_tls_settings, cert), .key = "cert", .required = true,
     .help = "the certificate that the database account requires (REQUIRE SUBJECT), PEM"},
    {CONFIG_PATH_AT(struct client_tls_settings, key), .key = "key", .required = true,
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
     .required = true, .help = "mutual TLS with the database"},
    {CONFIG_OBJECTS_AT(struct database_settings, passwords, password_count), .key = "passwords",
     .table = &password_table, .greatest = 1024,
     .help = "passwords of accounts that need one besides the certificate"},
};

static const struct config_table database_table = {
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
    {CONFIG_INLINE_AT(struct settings, proxy), .key = "proxy", .table = &proxy_table,
     .required = true, .help = "the proxy that bots connect to"},
    {CONFIG_OBJECTS_AT(struct settings, databases, database_count), .key = "databases",
     .table = &database_table, .required = true, .least = 1, .greatest = SETTINGS_DATABASES_MAX,
     .help = "the MySQL and MariaDB servers behind it"},
    {CONFIG_OBJECTS_AT(struct settings, roles, role_count), .key = "roles",
     .table = &authz_role_table, .required = true, .help = "what bots may do"},
    {CONFIG_OBJECTS_AT(struct settings, mappings, mapping_count), .key = "mappings",
     .table = &authz_mapping_table, .required = true,
     .help = "which certificates have which roles"},
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
    if (listener->database && !find_database(settings, listener->database))
        return config_error(config, listener->place, "database", err,
                            "there is no database \"%s\" in \"databases\"", listener->database);
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
    for (size_t i = 0; i < database->password_count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(database->passwords[i].mysql_user, database->passwords[j].mysql_user) == 0)
                return config_error(config, database->passwords[i].place, "mysql_user", err,
                                    "MySQL user \"%s\" has a password already",
                                    database->passwords[i].mysql_user);
    return true;
}

static bool check_names(const struct config *config, const struct settings *settings,
                        struct error *err)
{
    for (size_t i = 0; i < settings->database_count; i++)
        if (!check_database(config, settings, &settings->databases[i], err))
            return false;
    for (size_t i = 0; i < settings->proxy.listener_count; i++)
        if (!check_listener(config, settings, &settings->proxy.listeners[i], err))
            return false;
    return true;
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/settings.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MILLISECONDS(us) ((uint64_t)(us) / 1000)

static const struct config_field limit_fields[] = {
    {CONFIG_UNSIGNED_AT(struct authority_limits, connections), .key = "connections",
     .fallback = "4096", .least = 8, .greatest = 100000, .help = "connections at once"},
    {CONFIG_UNSIGNED_AT(struct authority_limits, per_address), .key = "per_address",
     .fallback = "1024", .least = 1, .greatest = 100000,
     .help = "connections at once from one address (IPv6: from one /64)"},
    {CONFIG_DURATION_AT(struct authority_limits, idle_ms), .key = "idle_timeout", .fallback = "60s",
     .least = 1000, .greatest = 3600000,
     .help = "a connection without a request for so long is ended; not those of proxies that "
             "follow the state"},
};

static const struct config_table limit_table = {
    CONFIG_TABLE(struct authority_limits, limit_fields)};

static const struct config_field fields[] = {
    {CONFIG_PATH_AT(struct authority_config, directory), .key = "directory", .required = true,
     .help = "where its keys and its store are; made 0700 when it is missing"},
    {CONFIG_STRING_AT(struct authority_config, listen), .key = "listen",
     .fallback = AUTHORITY_DEFAULT_LISTEN, .help = "where tunnels and proxies reach it, HOST:PORT"},
    {CONFIG_STRING_AT(struct authority_config, trust_domain), .key = "trust_domain",
     .required = true, .greatest = AUTHORITY_TRUST_DOMAIN_MAX,
     .help = "the name that all its certificates share, e.g. acme.example"},
    {CONFIG_STRINGS_AT(struct authority_config, names), .key = "names", .least = 1,
     .greatest = AUTHORITY_HOSTS_MAX,
     .help = "DNS names and IP addresses of the authority in its certificate; default: the host of "
             "`listen` unless it is a wildcard, and this machine's name"},
    {CONFIG_STRINGS_AT(struct authority_config, shared_names), .key = "shared_names", .least = 1,
     .greatest = AUTHORITY_HOSTS_MAX,
     .help = "names that several proxies may have, e.g. that of a load balancer"},
    {CONFIG_PATH_AT(struct authority_config, admin_socket), .key = "admin_socket",
     .help = "the Unix socket for administration; default: `admin.sock` in `directory`"},
    {CONFIG_DURATION_AT(struct authority_config, bot_ttl), .key = "bot_ttl", .fallback = "1h",
     .least = MILLISECONDS(AUTHORITY_TTL_MIN), .greatest = MILLISECONDS(AUTHORITY_TTL_MAX),
     .help = "how long a bot's certificate lasts; it is renewed at a third of that"},
    {CONFIG_DURATION_AT(struct authority_config, service_ttl), .key = "service_ttl",
     .fallback = "24h", .least = MILLISECONDS(AUTHORITY_TTL_MIN),
     .greatest = MILLISECONDS(AUTHORITY_TTL_MAX),
     .help = "the same of proxies' certificates and the authority's own"},
    {CONFIG_DURATION_AT(struct authority_config, database_client_ttl), .key = "database_client_ttl",
     .fallback = "1h", .least = MILLISECONDS(AUTHORITY_TTL_MIN),
     .greatest = MILLISECONDS(AUTHORITY_TTL_MAX),
     .help = "the same of certificates that proxies show to databases"},
    {CONFIG_DURATION_AT(struct authority_config, database_server_ttl), .key = "database_server_ttl",
     .fallback = "90d", .least = MILLISECONDS(AUTHORITY_TTL_MIN),
     .greatest = MILLISECONDS(AUTHORITY_SERVER_TTL_MAX),
     .help = "how long a database server's certificate lasts, where none is asked for"},
    {CONFIG_DURATION_AT(struct authority_config, token_ttl), .key = "token_ttl", .fallback = "1h",
     .least = MILLISECONDS(AUTHORITY_TTL_MIN), .greatest = MILLISECONDS(AUTHORITY_TOKEN_TTL_MAX),
     .help = "how long a join token is good, where none is asked for"},
    {CONFIG_INLINE_AT(struct authority_config, limits), .key = "limits", .table = &limit_table,
     .help = "bounds and deadlines"},
};

const struct config_table authority_settings_table = {
    CONFIG_TABLE(struct authority_config, fields),
    .place = CONFIG_PLACE_AT(struct authority_config, place)};

static bool read_listen(const struct config *config, const struct authority_config *section,
                        struct address *listen, struct error *err)
{
    struct error inner = {0};
    if (!address_parse(section->listen, listen, &inner))
        return config_error(config, section->place, "listen", err, "%s", inner.message);
    if (listen->kind != ADDRESS_HOST)
        return config_error(config, section->place, "listen", err,
                            "tunnels and proxies reach the authority by TLS over TCP: write "
                            "HOST:PORT");
    return true;
}

static bool is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

/* A machine's name that cannot stand in a certificate is passed over, unless nothing else is left.
 */
static bool default_names(const struct config *config, const struct authority_config *section,
                          const struct address *listen, struct authority_hosts *hosts,
                          struct error *err)
{
    char name[STORE_HOST_SIZE] = "";
    const char *names[2];
    size_t count = 0;
    struct authority_refusal refusal;
    if (!is_wildcard(listen->host))
        names[count++] = listen->host;
    if (gethostname(name, sizeof name - 1) == 0 && name[0] != '\0')
        names[count++] = name;
    for (; count > 0; count--)
        if (authority_hosts_read(names, count, hosts, &refusal))
            return true;
    return config_error(config, section->place, NULL, err,
                        "the authority needs \"names\": the DNS names and IP addresses that "
                        "tunnels and proxies reach it by");
}

static bool read_hosts(const struct config *config, const struct authority_config *section,
                       const char *key, const struct config_strings *names,
                       struct authority_hosts *hosts, struct error *err)
{
    struct authority_refusal refusal;
    for (size_t i = 0; i < names->count; i++)
        if (!authority_hosts_read(&names->items[i], 1, hosts, &refusal))
            return config_error_item(config, section->place, key, i, err, "%s", refusal.message);
    return authority_hosts_read(names->items, names->count, hosts, &refusal) ||
           config_error(config, section->place, key, err, "%s", refusal.message);
}

static bool read_names(const struct config *config, const struct authority_config *section,
                       struct authority_service_settings *out, struct error *err)
{
    bool good = section->names.count == 0
                    ? default_names(config, section, &out->listen, &out->core.hosts, err)
                    : read_hosts(config, section, "names", &section->names, &out->core.hosts, err);
    return good && (section->shared_names.count == 0 ||
                    read_hosts(config, section, "shared_names", &section->shared_names,
                               &out->core.shared_hosts, err));
}

static bool read_socket(const struct config *config, const struct authority_config *section,
                        char path[ADDRESS_PATH_SIZE], struct error *err)
{
    int length =
        section->admin_socket
            ? snprintf(path, ADDRESS_PATH_SIZE, "%s", section->admin_socket)
            : snprintf(path, ADDRESS_PATH_SIZE, "%s/" AUTHORITY_DEFAULT_SOCKET, section->directory);
    if (length < 0 || (size_t)length > AUTHORITY_SOCKET_PATH_MAX)
        return config_error(config, section->place,
                            section->admin_socket ? "admin_socket" : "directory", err,
                            "the path of the socket for administration is longer than %zu bytes: "
                            "give a shorter one as \"admin_socket\"",
                            AUTHORITY_SOCKET_PATH_MAX);
    return true;
}

static void read_lifetimes(const struct authority_config *section, struct authority_settings *core)
{
    core->bot_ttl_us = section->bot_ttl * 1000;
    core->proxy_ttl_us = section->service_ttl * 1000;
    core->client_ttl_us = section->database_client_ttl * 1000;
    core->server_ttl_us = section->database_server_ttl * 1000;
    core->token_ttl_us = section->token_ttl * 1000;
}

bool authority_settings_read(const struct config *config, const struct authority_config *section,
                             struct authority_service_settings *out, struct error *err)
{
    struct authority_refusal refusal;
    struct error inner = {0};
    memset(out, 0, sizeof *out);
    out->directory = section->directory;
    out->limits = section->limits;
    out->core = authority_settings_default();
    read_lifetimes(section, &out->core);
    if (!authority_trust_domain_check(section->trust_domain, &refusal))
        return config_error(config, section->place, "trust_domain", err, "%s", refusal.message);
    (void)snprintf(out->core.trust_domain, sizeof out->core.trust_domain, "%s",
                   section->trust_domain);
    if (section->limits.per_address > section->limits.connections)
        return config_error(config, section->place, "limits", err,
                            "\"per_address\" is more than \"connections\"");
    if (!read_listen(config, section, &out->listen, err) ||
        !read_names(config, section, out, err) ||
        !read_socket(config, section, out->socket_path, err))
        return false;
    return authority_settings_check(&out->core, &inner) ||
           config_error(config, section->place, NULL, err, "%s", inner.message);
}

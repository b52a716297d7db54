/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/settings.h"

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tls/hello.h"

static const char *const log_level_names[] = {"debug", "info", "warning", "error", NULL};
static const char *const log_format_names[] = {"auto", "text", "json", NULL};

static const struct config_field log_fields[] = {
    {CONFIG_ENUM_AT(struct tunnel_log_settings, level), .key = "level", .names = log_level_names,
     .fallback = "info", .help = "the least level that is logged: debug, info, warning or error"},
    {CONFIG_ENUM_AT(struct tunnel_log_settings, format), .key = "format", .names = log_format_names,
     .fallback = "auto", .help = "auto: text on a terminal, JSON otherwise"},
};

const struct config_table tunnel_log_table = {CONFIG_TABLE(struct tunnel_log_settings, log_fields)};

static const struct config_field tunnel_fields[] = {
    {CONFIG_STRING_AT(struct tunnel_settings, name), .key = "name", .required = true,
     .greatest = TUNNEL_NAME_MAX, .help = "what logs call this tunnel; unique"},
    {CONFIG_STRING_AT(struct tunnel_settings, listen_text), .key = "listen", .required = true,
     .help = "where programs connect: 127.0.0.1:3306, [::1]:3306 or unix:/run/shop.sock"},
    {CONFIG_STRING_AT(struct tunnel_settings, mode_text), .key = "mode",
     .fallback = TUNNEL_DEFAULT_MODE,
     .help = "who may connect to a Unix socket, in octal as chmod(1) has it"},
    {CONFIG_STRING_AT(struct tunnel_settings, proxy_text), .key = "proxy", .required = true,
     .help = "the proxy's TLS-first listener, HOST:PORT"},
    {CONFIG_STRING_AT(struct tunnel_settings, server_name), .key = "server_name",
     .help = "the name that the proxy's certificate must have; default: the host of proxy"},
    {CONFIG_STRING_AT(struct tunnel_settings, database), .key = "database", .required = true,
     .help = "which of the proxy's databases is meant"},
    {CONFIG_PATH_AT(struct tunnel_settings, identity), .key = "identity", .required = true,
     .help = "directory with cert.pem, key.pem and ca.pem; read again when they change"},
    ENROLMENT_FIELDS(struct tunnel_settings, enrolment),
    {CONFIG_UNSIGNED_AT(struct tunnel_settings, ready_connections), .key = "ready_connections",
     .fallback = TUNNEL_DEFAULT_READY, .greatest = TUNNEL_READY_MAX,
     .help = "TLS connections kept open ahead of demand; 0: none"},
    {CONFIG_UNSIGNED_AT(struct tunnel_settings, max_connections), .key = "max_connections",
     .fallback = TUNNEL_DEFAULT_CONNECTIONS, .least = 1, .greatest = TUNNEL_CONNECTIONS_MAX,
     .help = "local connections at a time; more are refused"},
    {CONFIG_DURATION_AT(struct tunnel_settings, connect_timeout_ms), .key = "connect_timeout",
     .fallback = TUNNEL_DEFAULT_TIMEOUT, .least = 100, .greatest = 600000,
     .help = "how long a program waits for a TLS connection to the proxy"},
};

static const struct config_table tunnel_table = {
    CONFIG_TABLE(struct tunnel_settings, tunnel_fields),
    .place = CONFIG_PLACE_AT(struct tunnel_settings, place)};

static const struct config_field root_fields[] = {
    {CONFIG_OBJECTS_AT(struct tunnel_config, tunnels, tunnel_count), .key = "tunnels",
     .table = &tunnel_table, .required = true, .least = 1, .greatest = TUNNEL_COUNT_MAX,
     .help = "one for each database that programs of this machine use"},
    {CONFIG_DURATION_AT(struct tunnel_config, drain_timeout_ms), .key = "drain_timeout",
     .fallback = TUNNEL_DEFAULT_DRAIN, .greatest = 86400000,
     .help = "how long running connections may go on after SIGTERM"},
    {CONFIG_INLINE_FLAG_AT(struct tunnel_config, authority, has_authority), .key = "authority",
     .table = &enrolment_authority_table,
     .help = "who issues and renews the identities of tunnels that name no authority"},
    {CONFIG_INLINE_AT(struct tunnel_config, log), .key = "log", .table = &tunnel_log_table,
     .help = "the process log, on standard error"},
};

const struct config_table tunnel_config_table = {CONFIG_TABLE(struct tunnel_config, root_fields)};

/* Octal, and only permission bits: a socket knows no set-user-ID. */
static bool parse_mode(const char *text, unsigned *mode)
{
    size_t length = strlen(text);
    if (length < 3 || length > 4 || strspn(text, "01234567") != length)
        return false;
    unsigned long value = strtoul(text, NULL, 8);
    *mode = (unsigned)value;
    return value <= 0777;
}

static bool check_listen(const struct config *source, struct tunnel_settings *tunnel,
                         struct error *err)
{
    struct error why = {0};
    if (!address_parse(tunnel->listen_text, &tunnel->listen, &why))
        return config_error(source, tunnel->place, "listen", err, "%s", why.message);
    if (tunnel->listen.kind == ADDRESS_HOST && !address_is_numeric(&tunnel->listen))
        return config_error(source, tunnel->place, "listen", err,
                            "'%s': write the address in numbers, e.g. 127.0.0.1:3306",
                            tunnel->listen_text);
    if (!parse_mode(tunnel->mode_text, &tunnel->mode))
        return config_error(source, tunnel->place, "mode", err,
                            "'%s' is not a mode: write it in octal, e.g. \"0660\"",
                            tunnel->mode_text);
    return true;
}

static bool check_proxy(const struct config *source, struct tunnel_settings *tunnel,
                        struct error *err)
{
    struct error why = {0};
    if (!address_parse(tunnel->proxy_text, &tunnel->proxy, &why))
        return config_error(source, tunnel->place, "proxy", err, "%s", why.message);
    if (tunnel->proxy.kind != ADDRESS_HOST || tunnel->proxy.port == 0)
        return config_error(source, tunnel->place, "proxy", err,
                            "'%s': the proxy is reached at HOST:PORT", tunnel->proxy_text);
    if (!tunnel->server_name)
        tunnel->server_name = tunnel->proxy.host;
    if (strlen(tunnel->server_name) >= ADDRESS_HOST_SIZE)
        return config_error(source, tunnel->place, "server_name", err, "the name is too long");
    return true;
}

static bool check_tunnel(const struct config *source, struct tunnel_settings *tunnel,
                         struct error *err)
{
    if (!check_listen(source, tunnel, err) || !check_proxy(source, tunnel, err))
        return false;
    if (!hello_database_valid(tunnel->database))
        return config_error(source, tunnel->place, "database", err,
                            "a database's name has 1 to %d bytes of text", HELLO_DATABASE_SIZE - 1);
    return true;
}

/* Two tunnels at one address would take turns in failing. Port 0 is a new port each time. */
static bool is_same_listen(const struct tunnel_settings *left, const struct tunnel_settings *right)
{
    bool any_port = left->listen.kind == ADDRESS_HOST && left->listen.port == 0;
    return !any_port && address_equals(&left->listen, &right->listen);
}

static bool check_unique(const struct config *source, const struct tunnel_config *config,
                         size_t index, struct error *err)
{
    const struct tunnel_settings *tunnel = &config->tunnels[index];
    for (size_t i = 0; i < index; i++) {
        const struct tunnel_settings *other = &config->tunnels[i];
        if (strcmp(other->name, tunnel->name) == 0)
            return config_error(source, tunnel->place, "name", err,
                                "another tunnel is called '%s' already", tunnel->name);
        if (is_same_listen(other, tunnel))
            return config_error(source, tunnel->place, "listen", err,
                                "tunnel '%s' listens on %s already", other->name,
                                tunnel->listen_text);
    }
    return true;
}

/* Identities. */

static bool unite(struct tunnel_config *config, size_t index, struct error *err)
{
    struct tunnel_settings *tunnel = &config->tunnels[index];
    const char *key;
    for (size_t i = 0; i < config->tunnel_count; i++) {
        const struct tunnel_settings *other = &config->tunnels[i];
        if (i != index && strcmp(other->identity, tunnel->identity) == 0 &&
            !enrolment_agree(&tunnel->enrolment, &other->enrolment, &key))
            return config_error(config->source, tunnel->place, key, err,
                                "tunnel '%s' has the same identity and says otherwise",
                                other->name);
    }
    return true;
}

static bool check_identities(struct tunnel_config *config, struct error *err)
{
    const struct enrolment_authority *otherwise = config->has_authority ? &config->authority : NULL;
    for (size_t i = 0; i < config->tunnel_count; i++)
        if (!unite(config, i, err))
            return false;
    for (size_t i = 0; i < config->tunnel_count; i++)
        if (!enrolment_check(config->source, config->tunnels[i].place, otherwise,
                             &config->tunnels[i].enrolment, err))
            return false;
    return !otherwise || enrolment_authority_check(config->source, &config->authority, err);
}

bool tunnel_config_take_token(struct tunnel_config *config, const struct join_token *token,
                              struct error *err)
{
    const struct tunnel_settings *found = NULL;
    for (size_t i = 0; i < config->tunnel_count; i++) {
        const struct tunnel_settings *tunnel = &config->tunnels[i];
        if (!enrolment_takes_token(&tunnel->enrolment))
            continue;
        if (found && strcmp(found->identity, tunnel->identity) != 0)
            return error_set(err, ERROR_CONFIG,
                             "a token is good for one join, and the tunnels '%s' and '%s' have two "
                             "identities: give each a token in a file (join)",
                             found->name, tunnel->name);
        found = tunnel;
    }
    config->token = found ? token : NULL;
    config->token_for = found;
    return true;
}

static bool check_config(struct tunnel_config *config, struct error *err)
{
    if (!check_identities(config, err)) {
        tunnel_config_release(config);
        return false;
    }
    for (size_t i = 0; i < config->tunnel_count; i++)
        if (!check_tunnel(config->source, &config->tunnels[i], err) ||
            !check_unique(config->source, config, i, err)) {
            tunnel_config_release(config);
            return false;
        }
    return true;
}

bool tunnel_config_load(const char *path, struct tunnel_config *out, struct error *err)
{
    struct config *source;
    if (!config_load_file(path, &tunnel_config_table, out, &source, err))
        return false;
    out->source = source;
    return check_config(out, err);
}

bool tunnel_config_load_text(const char *text, const char *directory, struct tunnel_config *out,
                             struct error *err)
{
    struct config *source;
    if (!config_load_text("configuration", directory, text, strlen(text), &tunnel_config_table, out,
                          &source, err))
        return false;
    out->source = source;
    return check_config(out, err);
}

void tunnel_config_release(struct tunnel_config *config)
{
    config_free(config->source);
    *config = (struct tunnel_config){0};
}

static bool parse_ready(const char *text, double *ready, struct error *err)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value > TUNNEL_READY_MAX)
        return error_set(err, ERROR_CONFIG, "--ready '%s': give a number from 0 to %d", text,
                         TUNNEL_READY_MAX);
    *ready = (double)value;
    return true;
}

static bool add_authority(cJSON *tunnel, const struct tunnel_flags *flags, struct error *err)
{
    if (!flags->authority)
        return true;
    cJSON *authority = cJSON_AddObjectToObject(tunnel, "authority");
    if (!authority || !cJSON_AddStringToObject(authority, "address", flags->authority) ||
        (flags->ca_pin && !cJSON_AddStringToObject(authority, "ca_pin", flags->ca_pin)) ||
        (flags->authority_name &&
         !cJSON_AddStringToObject(authority, "server_name", flags->authority_name)))
        return error_set(err, ERROR_MEMORY, "out of memory");
    return true;
}

/* Flags become the configuration that they stand for, so that one set of rules judges both. */
static bool add_flags(cJSON *tunnel, const struct tunnel_flags *flags, struct error *err)
{
    bool fits = strlen(flags->database) <= TUNNEL_NAME_MAX;
    const struct {
        const char *key, *value;
    } rows[] = {
        {"name", fits ? flags->database : "tunnel"},
        {"listen", flags->listen},
        {"proxy", flags->proxy},
        {"database", flags->database},
        {"identity", flags->identity},
        {"server_name", flags->server_name},
        {"join", flags->join},
        {"bound_key", flags->bound_key},
        {"bot", flags->bot},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].value && !cJSON_AddStringToObject(tunnel, rows[i].key, rows[i].value))
            return error_set(err, ERROR_MEMORY, "out of memory");
    double ready;
    if (!add_authority(tunnel, flags, err))
        return false;
    if (!flags->ready)
        return true;
    if (!parse_ready(flags->ready, &ready, err))
        return false;
    if (!cJSON_AddNumberToObject(tunnel, "ready_connections", ready))
        return error_set(err, ERROR_MEMORY, "out of memory");
    return true;
}

static bool check_flags(const struct tunnel_flags *flags, struct error *err)
{
    const struct {
        const char *flag, *value;
    } rows[] = {{"--proxy HOST:PORT", flags->proxy},
                {"--database NAME", flags->database},
                {"--listen ADDR", flags->listen},
                {"--identity DIR", flags->identity}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!rows[i].value || rows[i].value[0] == '\0')
            return error_set(err, ERROR_CONFIG, "%s is missing (or give -c FILE)", rows[i].flag);
    if (flags->join && join_token_looks_like(flags->join))
        return join_token_refuse("--join", err);
    bool joins = flags->ca_pin || flags->join || flags->bound_key || flags->authority_name;
    if (joins && !flags->authority)
        return error_set(err, ERROR_CONFIG,
                         "--authority HOST:PORT is missing: who is to be joined?");
    return true;
}

static char *flags_to_json(const struct tunnel_flags *flags, struct error *err)
{
    char *text = NULL;
    cJSON *root = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(root, "tunnels");
    cJSON *tunnel = cJSON_CreateObject();
    if (!cJSON_AddItemToArray(list, tunnel)) {
        cJSON_Delete(tunnel);
        (void)error_set(err, ERROR_MEMORY, "out of memory");
    } else if (add_flags(tunnel, flags, err)) {
        text = cJSON_PrintUnformatted(root);
        if (!text)
            (void)error_set(err, ERROR_MEMORY, "out of memory");
    }
    cJSON_Delete(root);
    return text;
}

bool tunnel_config_from_flags(const struct tunnel_flags *flags, struct tunnel_config *out,
                              struct error *err)
{
    *out = (struct tunnel_config){0};
    if (!check_flags(flags, err))
        return false;
    char *text = flags_to_json(flags, err);
    if (!text)
        return false;
    struct config *source;
    bool loaded = config_load_text("command line", ".", text, strlen(text), &tunnel_config_table,
                                   out, &source, err);
    cJSON_free(text);
    if (!loaded)
        return false;
    out->source = source;
    return check_config(out, err);
}

/* The members that are text, so that copying and releasing cannot forget one. */
static const size_t text_members[] = {
    offsetof(struct tunnel_settings, name),       offsetof(struct tunnel_settings, listen_text),
    offsetof(struct tunnel_settings, proxy_text), offsetof(struct tunnel_settings, server_name),
    offsetof(struct tunnel_settings, database),   offsetof(struct tunnel_settings, identity),
    offsetof(struct tunnel_settings, mode_text),
};

#define OWN_TEXTS         (sizeof text_members / sizeof *text_members)
#define TEXT_MEMBER_COUNT (OWN_TEXTS + ENROLMENT_TEXTS)

static const char **text_member(struct tunnel_settings *settings, size_t index)
{
    if (index >= OWN_TEXTS)
        return enrolment_text(&settings->enrolment, (unsigned)(index - OWN_TEXTS));
    return (const char **)(void *)((char *)settings + text_members[index]);
}

bool tunnel_settings_copy(const struct tunnel_settings *from, struct tunnel_settings *out,
                          struct error *err)
{
    bool copied = true;
    *out = *from;
    out->place = out->enrolment.authority.place = (struct config_place){0};
    for (size_t i = 0; i < TEXT_MEMBER_COUNT; i++) {
        const char **text = text_member(out, i);
        bool wanted = *text != NULL;
        *text = wanted ? strdup(*text) : NULL;
        copied = copied && (*text || !wanted);
    }
    if (copied)
        return true;
    tunnel_settings_release(out);
    return error_set(err, ERROR_MEMORY, "out of memory");
}

void tunnel_settings_release(struct tunnel_settings *copy)
{
    for (size_t i = 0; i < TEXT_MEMBER_COUNT; i++)
        free((void *)(uintptr_t)*text_member(copy, i));
    *copy = (struct tunnel_settings){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/identity_config.h"

#include <cjson/cJSON.h>
#include <string.h>

static const struct config_field identity_fields[] = {
    {CONFIG_PATH_AT(struct identity_settings, directory), .key = "directory", .required = true,
     .help = "where cert.pem, key.pem and ca.pem are kept"},
    ENROLMENT_FIELDS(struct identity_settings, enrolment),
    {CONFIG_STRINGS_AT(struct identity_settings, run), .key = "run",
     .greatest = IDENTITY_ARGUMENTS_MAX,
     .help = "a command and its arguments, run after each renewal; no shell"},
};

static const struct config_table identity_table = {
    CONFIG_TABLE(struct identity_settings, identity_fields),
    .place = CONFIG_PLACE_AT(struct identity_settings, place)};

static const struct config_field root_fields[] = {
    {CONFIG_OBJECTS_AT(struct identity_config, identities, identity_count), .key = "identities",
     .table = &identity_table, .required = true, .least = 1, .greatest = IDENTITY_COUNT_MAX,
     .help = "one for each directory"},
    {CONFIG_INLINE_FLAG_AT(struct identity_config, authority, has_authority), .key = "authority",
     .table = &enrolment_authority_table,
     .help = "who issues and renews the identities that name no authority"},
    {CONFIG_INLINE_AT(struct identity_config, log), .key = "log", .table = &tunnel_log_table,
     .help = "the process log, on standard error"},
};

const struct config_table identity_config_table = {
    CONFIG_TABLE(struct identity_config, root_fields)};

static bool check_identity(struct identity_config *config, size_t index, struct error *err)
{
    struct identity_settings *identity = &config->identities[index];
    const struct enrolment_authority *otherwise = config->has_authority ? &config->authority : NULL;
    for (size_t i = 0; i < index; i++)
        if (strcmp(config->identities[i].directory, identity->directory) == 0)
            return config_error(config->source, identity->place, "directory", err,
                                "%s is another identity's directory already", identity->directory);
    if (!identity->enrolment.has_authority && !otherwise)
        return config_error(config->source, identity->place, "authority", err,
                            "who issues it? Give the authority's address (authority)");
    return enrolment_check(config->source, identity->place, otherwise, &identity->enrolment, err);
}

static bool check_config(struct identity_config *config, struct error *err)
{
    bool right = true;
    for (size_t i = 0; right && i < config->identity_count; i++)
        right = check_identity(config, i, err);
    if (!right)
        identity_config_release(config);
    return right;
}

bool identity_config_load(const char *path, struct identity_config *out, struct error *err)
{
    struct config *source;
    if (!config_load_file(path, &identity_config_table, out, &source, err))
        return false;
    out->source = source;
    return check_config(out, err);
}

static bool load_text(const char *name, const char *text, const char *directory,
                      struct identity_config *out, struct error *err)
{
    struct config *source;
    if (!config_load_text(name, directory, text, strlen(text), &identity_config_table, out, &source,
                          err))
        return false;
    out->source = source;
    return check_config(out, err);
}

bool identity_config_load_text(const char *text, const char *directory, struct identity_config *out,
                               struct error *err)
{
    return load_text("configuration", text, directory, out, err);
}

void identity_config_release(struct identity_config *config)
{
    config_free(config->source);
    *config = (struct identity_config){0};
}

/* Flags. */

struct flag_row {
    const char *key, *value;
};

static bool add_rows(cJSON *object, const struct flag_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].value && !cJSON_AddStringToObject(object, rows[i].key, rows[i].value))
            return false;
    return true;
}

static bool add_command(cJSON *identity, char *const *run)
{
    if (!run || !run[0])
        return true;
    cJSON *list = cJSON_AddArrayToObject(identity, "run");
    for (size_t i = 0; list && run[i]; i++) {
        cJSON *item = cJSON_CreateString(run[i]);
        if (!cJSON_AddItemToArray(list, item)) {
            cJSON_Delete(item);
            return false;
        }
    }
    return list != NULL;
}

static bool add_flags(cJSON *root, const struct identity_flags *flags)
{
    const struct flag_row authority_rows[] = {{"address", flags->authority},
                                              {"ca_pin", flags->ca_pin},
                                              {"server_name", flags->authority_name}};
    const struct flag_row rows[] = {{"directory", flags->identity},
                                    {"join", flags->join},
                                    {"bound_key", flags->bound_key},
                                    {"bot", flags->bot}};
    cJSON *authority = cJSON_AddObjectToObject(root, "authority");
    cJSON *list = cJSON_AddArrayToObject(root, "identities");
    cJSON *identity = cJSON_CreateObject();
    if (!cJSON_AddItemToArray(list, identity)) {
        cJSON_Delete(identity);
        return false;
    }
    return authority &&
           add_rows(authority, authority_rows, sizeof authority_rows / sizeof *authority_rows) &&
           add_rows(identity, rows, sizeof rows / sizeof *rows) &&
           add_command(identity, flags->run);
}

bool identity_config_from_flags(const struct identity_flags *flags, struct identity_config *out,
                                struct error *err)
{
    *out = (struct identity_config){0};
    if (!flags->identity || !flags->identity[0])
        return error_set(err, ERROR_CONFIG, "--identity DIR is missing (or give -c FILE)");
    if (!flags->authority || !flags->authority[0])
        return error_set(err, ERROR_CONFIG, "--authority HOST:PORT is missing (or give -c FILE)");
    if (flags->join && join_token_looks_like(flags->join))
        return join_token_refuse("--join", err);
    cJSON *root = cJSON_CreateObject();
    char *text = add_flags(root, flags) ? cJSON_PrintUnformatted(root) : NULL;
    cJSON_Delete(root);
    if (!text)
        return error_set(err, ERROR_MEMORY, "out of memory");
    bool loaded = load_text("command line", text, ".", out, err);
    cJSON_free(text);
    return loaded;
}

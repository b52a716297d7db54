/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/role_apply.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "authority/document.h"
#include "authz/authz_config.h"
#include "base/config.h"

struct documents {
    struct authority_documents all; /* but policy and config */
    struct config_place place;
};

static const struct config_field fields[] = {
    {CONFIG_OBJECTS_AT(struct documents, all.roles, all.role_count), .key = "roles",
     .table = &authz_role_table, .greatest = AUTHORITY_DOCUMENTS_MAX},
    {CONFIG_OBJECTS_AT(struct documents, all.databases, all.database_count), .key = "databases",
     .table = &authority_database_table, .greatest = AUTHORITY_DOCUMENTS_MAX},
    {CONFIG_OBJECTS_AT(struct documents, all.mappings, all.mapping_count), .key = "mappings",
     .table = &authz_mapping_table, .greatest = AUTHORITY_DOCUMENTS_MAX},
};

static const struct config_table table = {CONFIG_TABLE(struct documents, fields),
                                          .place = CONFIG_PLACE_AT(struct documents, place)};

/* --- the file --- */

struct file {
    struct documents documents;
    struct config *config;
};

static bool has_anything(const struct documents *documents)
{
    return documents->place.value && documents->place.value->child;
}

static bool load(const char *path, struct file *file, struct error *err)
{
    if (!config_load_file(path, &table, &file->documents, &file->config, err))
        return false;
    if (has_anything(&file->documents))
        return true;
    (void)config_error(file->config, file->documents.place, NULL, err,
                       "nothing to apply: give \"roles\", \"databases\" or \"mappings\"");
    config_free(file->config);
    return false;
}

/* --- the authority's refusal --- */

/* Whether the message is about this document: "role shop-reader: …". */
static bool is_about(const char *message, const char *kind, const char *name)
{
    size_t kind_length = strlen(kind);
    size_t name_length = name ? strlen(name) : 0;
    if (name_length == 0 || strncmp(message, kind, kind_length) != 0 ||
        message[kind_length] != ' ' || strncmp(message + kind_length + 1, name, name_length) != 0)
        return false;
    char next = message[kind_length + 1 + name_length];
    return next == ':' || next == ' ' || next == '\0';
}

/* The document of the file that the message is about; false when it is none of them. */
static bool find_document(const struct authority_documents *documents, const char *message,
                          struct config_place *place)
{
    for (size_t i = 0; i < documents->role_count; i++)
        if (is_about(message, "role", documents->roles[i].name)) {
            *place = documents->roles[i].place;
            return true;
        }
    for (size_t i = 0; i < documents->database_count; i++)
        if (is_about(message, "database", documents->databases[i].name)) {
            *place = documents->databases[i].place;
            return true;
        }
    for (size_t i = 0; i < documents->mapping_count; i++)
        if (is_about(message, "mapping", documents->mappings[i].subject) ||
            is_about(message, "mapping", documents->mappings[i].san_uri)) {
            *place = documents->mappings[i].place;
            return true;
        }
    return false;
}

static int refused(const struct admin *admin, const struct file *file,
                   const struct control_failure *failure, const struct error *err)
{
    struct config_place place;
    struct error at = {0};
    if (failure->code == CONTROL_INVALID &&
        find_document(&file->documents.all, failure->message, &place)) {
        (void)config_error(file->config, place, NULL, &at, "%s", failure->message);
        admin_complain("", at.message);
        return EXIT_USAGE;
    }
    return admin_failed(admin, failure, err);
}

/* --- what was done --- */

/* A document in the answer: {"kind", "name"}, or a text. */
static void say_document(const struct admin *admin, struct byte_writer *out, const char *what,
                         enum admin_colour colour, const cJSON *item)
{
    if (cJSON_IsString(item))
        admin_page_row(out, &admin->terminal, what, colour, "%s", item->valuestring);
    else
        admin_page_row(out, &admin->terminal, what, colour, "%s %s", admin_text(item, "kind"),
                       admin_text(item, "name"));
}

static size_t say_list(const struct admin *admin, struct byte_writer *out, const cJSON *answer,
                       const char *what, enum admin_colour colour)
{
    const cJSON *item;
    size_t count = 0;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(answer, what))
    {
        say_document(admin, out, what, colour, item);
        count++;
    }
    return count;
}

static int say_changes(const struct admin *admin, const struct role_apply *apply,
                       const cJSON *answer)
{
    struct buffer buffer;
    struct error err = {0};
    buffer_init(&buffer, ADMIN_OUTPUT_MAX);
    struct byte_writer out = byte_writer(&buffer);
    size_t added = say_list(admin, &out, answer, "added", ADMIN_GOOD);
    size_t changed = say_list(admin, &out, answer, "changed", ADMIN_WARNING);
    size_t removed = say_list(admin, &out, answer, "removed", ADMIN_BAD);
    const cJSON *unchanged = cJSON_GetObjectItemCaseSensitive(answer, "unchanged");
    int left = cJSON_IsArray(unchanged) ? cJSON_GetArraySize(unchanged) : 0;
    int code = admin_print(&buffer, byte_writer_finish(&out, &err), &err);
    if (code != EXIT_DONE)
        return code;
    admin_say(admin, apply->dry_run ? ADMIN_WARNING : ADMIN_PLAIN,
              "%s%zu added, %zu changed, %zu removed, %d as before.",
              apply->dry_run ? "Nothing was done (--dry-run); it would be: " : "", added, changed,
              removed, left);
    return admin_finish();
}

/* --- asking --- */

static cJSON *make_request(const struct role_apply *apply, const struct file *file, bool *built)
{
    cJSON *request = control_request("apply");
    cJSON *documents = cJSON_Duplicate(file->documents.place.value, true);
    *built = request && documents && cJSON_AddItemToObject(request, "documents", documents);
    if (!*built)
        cJSON_Delete(documents);
    /* Only when wanted: an authority that does not know the key refuses it, and does nothing. */
    *built = *built && (!apply->prune || control_put_bool(request, "prune", true)) &&
             (!apply->dry_run || control_put_bool(request, "dry_run", true));
    return request;
}

/* One request has to hold it all: applied in parts, a part could fail. */
static bool check_size(const struct role_apply *apply, const cJSON *request, struct error *err)
{
    struct buffer frame;
    if (!control_frame_print(request, CONTROL_ADMIN_REQUEST_MAX, &frame, err)) {
        if (err->code == ERROR_LIMIT)
            (void)error_set(err, ERROR_CONFIG,
                            "%s: its documents are more than %d KiB, which is all that the "
                            "authority takes at once: split the file, and apply its parts without "
                            "--prune",
                            apply->file, CONTROL_ADMIN_REQUEST_MAX / 1024);
        return false;
    }
    control_frame_release(&frame);
    return true;
}

static int ask(const struct admin *admin, const struct role_apply *apply, const struct file *file)
{
    struct control_failure failure;
    struct error err = {0};
    cJSON *answer;
    bool built;
    cJSON *request = make_request(apply, file, &built);
    if (built && !check_size(apply, request, &err)) {
        control_free(request);
        return exit_with(&err);
    }
    if (!admin_try(admin, request, built, &answer, &failure, &err))
        return refused(admin, file, &failure, &err);
    int code = admin->json ? admin_print_json(answer) : say_changes(admin, apply, answer);
    control_free(answer);
    return code;
}

int role_apply(const struct admin *admin, const struct role_apply *apply)
{
    struct file file;
    struct error err = {0};
    if (!load(apply->file, &file, &err))
        return exit_with(&err);
    int code = ask(admin, apply, &file);
    config_free(file.config);
    return code;
}

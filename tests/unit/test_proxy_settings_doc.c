/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/configuration.md says what the configuration tables say: each key with its type, default and
 * bounds, no key that does not exist; and its example is one that `sallyport check` accepts.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "proxy/settings.h"
#include "proxy/snapshot.h"
#include "tests/unit/proxy_support.h"
#include "tunnel/settings.h"

#define PAGE        "docs/configuration.md"
#define CELL_SIZE   160
#define ROW_SIZE    1024
#define SERVE_PART  "## `sallyport serve`"
#define TUNNEL_PART "## `sallyport tunnel`"

/* The page from a heading to the next one of the same level, in memory of its own. */
static char *read_part(const char *heading)
{
    static char page[128 * 1024];
    FILE *file = fopen(PAGE, "r");
    cr_assert_not_null(file, "there is no " PAGE);
    size_t length = fread(page, 1, sizeof page - 1, file);
    (void)fclose(file);
    page[length] = '\0';
    char *part = strstr(page, heading);
    cr_assert_not_null(part, PAGE " has no heading %s", heading);
    part += strlen(heading);
    char *end = strstr(part, "\n## ");
    if (end)
        *end = '\0';
    return strdup(part);
}

static void format_size(uint64_t bytes, char out[CELL_SIZE])
{
    static const char units[] = "gmk";
    for (size_t i = 0; i < 3; i++) {
        uint64_t unit = 1ULL << (30 - 10 * i);
        if (bytes >= unit && bytes % unit == 0) {
            (void)snprintf(out, CELL_SIZE, "%llu%c", (unsigned long long)(bytes / unit), units[i]);
            return;
        }
    }
    (void)snprintf(out, CELL_SIZE, "%llu", (unsigned long long)bytes);
}

static void format_bound(const struct config_field *field, uint64_t bound, char out[CELL_SIZE])
{
    if (field->type == CONFIG_DURATION)
        duration_format((int64_t)bound, out, CELL_SIZE);
    else if (field->type == CONFIG_SIZE)
        format_size(bound, out);
    else
        (void)snprintf(out, CELL_SIZE, "%llu", (unsigned long long)bound);
}

static const char *bound_unit(enum config_type type)
{
    switch (type) {
    case CONFIG_STRING:
    case CONFIG_PATH:
        return " bytes";
    case CONFIG_STRINGS:
    case CONFIG_MAP:
    case CONFIG_OBJECTS:
        return " of them";
    default:
        return "";
    }
}

static void format_names(const char *const *names, char out[CELL_SIZE])
{
    size_t used = 0;
    for (size_t i = 0; names[i]; i++) {
        int added = snprintf(out + used, CELL_SIZE - used, "%s`\"%s\"`", i ? ", " : "", names[i]);
        cr_assert(added > 0 && (size_t)added < CELL_SIZE - used);
        used += (size_t)added;
    }
}

static void format_bounds(const struct config_field *field, char out[CELL_SIZE])
{
    char least[CELL_SIZE], greatest[CELL_SIZE];
    out[0] = '\0';
    format_bound(field, field->least, least);
    format_bound(field, field->greatest, greatest);
    if (field->names)
        format_names(field->names, out);
    else if (field->least && field->greatest)
        (void)snprintf(out, CELL_SIZE, "%.60s to %.60s%s", least, greatest,
                       bound_unit(field->type));
    else if (field->least)
        (void)snprintf(out, CELL_SIZE, "at least %.60s%s", least, bound_unit(field->type));
    else if (field->greatest)
        (void)snprintf(out, CELL_SIZE, "at most %.60s%s", greatest, bound_unit(field->type));
}

static void format_default(const struct config_field *field, char out[CELL_SIZE])
{
    bool quoted = field->type != CONFIG_BOOL && field->type != CONFIG_UNSIGNED;
    if (field->required)
        (void)snprintf(out, CELL_SIZE, "*required*");
    else if (!field->fallback)
        (void)snprintf(out, CELL_SIZE, "none");
    else
        (void)snprintf(out, CELL_SIZE, quoted ? "`\"%s\"`" : "`%s`", field->fallback);
}

/* The beginning of the row that the page must have, up to the cell that explains. */
static void format_row(const struct config_row *row, char out[ROW_SIZE])
{
    char fallback[CELL_SIZE], bounds[CELL_SIZE];
    format_default(row->field, fallback);
    format_bounds(row->field, bounds);
    (void)snprintf(out, ROW_SIZE, "\n| `%s` | %s | %s |%s%s | ", row->path, row->type, fallback,
                   bounds[0] ? " " : "", bounds);
}

struct search {
    const char *part;
    const char *wanted; /* a key that is looked for; NULL: all rows are checked */
    size_t wanted_length;
    bool found;
    size_t rows;
};

static void check_row(void *context, const struct config_row *row)
{
    struct search *search = context;
    char expected[ROW_SIZE];
    format_row(row, expected);
    const char *found = strstr(search->part, expected);
    cr_expect_not_null(found, PAGE " lacks this row, or differs: %s", expected + 1);
    if (!found)
        return;
    const char *explained = found + strlen(expected);
    cr_expect_geq(strcspn(explained, "|\n"), 15, "%s is hardly explained", row->path);
    cr_expect_null(strstr(explained, expected), "%s stands there twice", row->path);
    search->rows++;
}

static void find_key(void *context, const struct config_row *row)
{
    struct search *search = context;
    if (strlen(row->path) == search->wanted_length &&
        memcmp(row->path, search->wanted, search->wanted_length) == 0)
        search->found = true;
}

static void page_has_each_row(const char *heading, const struct config_table *table, size_t least)
{
    char *part = read_part(heading);
    struct search search = {.part = part};
    config_table_visit(table, check_row, &search);
    cr_assert_geq(search.rows, least);
    free(part);
}

/* The tables of keys have five cells a row; others, e.g. about reloading, have fewer. */
static bool is_reference_row(const char *row)
{
    unsigned bars = 0;
    for (; *row && *row != '\n'; row++)
        bars += *row == '|';
    return bars == 6;
}

static void page_has_no_other(const char *heading, const struct config_table *table)
{
    char *part = read_part(heading);
    for (const char *at = strstr(part, "\n| `"); at; at = strstr(at + 1, "\n| `")) {
        struct search search = {.wanted = at + 4, .wanted_length = strcspn(at + 4, "`")};
        if (!is_reference_row(at + 1))
            continue;
        config_table_visit(table, find_key, &search);
        cr_expect(search.found, PAGE " names a key that does not exist: %.*s",
                  (int)search.wanted_length, search.wanted);
    }
    free(part);
}

Test(proxy_settings_doc, page_has_each_key_of_serve)
{
    page_has_each_row(SERVE_PART, &settings_table, 60);
}

Test(proxy_settings_doc, page_has_no_other_key_of_serve)
{
    page_has_no_other(SERVE_PART, &settings_table);
}

Test(proxy_settings_doc, page_has_each_key_of_tunnel)
{
    page_has_each_row(TUNNEL_PART, &tunnel_config_table, 14);
}

Test(proxy_settings_doc, page_has_no_other_key_of_tunnel)
{
    page_has_no_other(TUNNEL_PART, &tunnel_config_table);
}

/* The section's first block of configuration. */
static char *read_example(const char *heading)
{
    static const char fence[] = "```jsonc\n";
    char *part = read_part(heading);
    char *example = strstr(part, fence);
    cr_assert_not_null(example);
    example = strdup(example + sizeof fence - 1);
    char *end = strstr(example, "```");
    cr_assert_not_null(end);
    *end = '\0';
    free(part);
    return example;
}

static const char *write_file(const char *name, const char *text)
{
    const char *path = files_path(name);
    umask(0077);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
    return path;
}

Test(proxy_settings_doc, example_of_serve_is_accepted)
{
    char *example = read_example(SERVE_PART);
    struct snapshot *snapshot;
    struct error err = {0};
    (void)write_file("writer.password", "secret\n");
    const char *path = write_file("example.conf", example);
    cr_assert(snapshot_create(path, NULL, &snapshot, &err), "%s", err.message);
    cr_assert_geq(snapshot->settings.proxy.listener_count, 2);
    cr_assert_geq(snapshot->settings.role_count, 1);
    snapshot_unref(snapshot);
    free(example);
    files_remove();
}

Test(proxy_settings_doc, example_of_tunnel_is_accepted)
{
    char *example = read_example(TUNNEL_PART);
    struct tunnel_config config;
    struct error err = {0};
    cr_assert(tunnel_config_load_text(example, "/", &config, &err), "%s", err.message);
    cr_assert_geq(config.tunnel_count, 2);
    tunnel_config_release(&config);
    free(example);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations that are files: where paths in them lead, and files that cannot be read. */
#include "base/config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct audit_config {
    const char *directory;
};

struct root_config {
    struct audit_config audit;
    struct config_strings roles;
};

static const struct config_field audit_fields[] = {
    {CONFIG_PATH_AT(struct audit_config, directory), .key = "directory", .fallback = "audit"},
};
static const struct config_table audit_table = {CONFIG_TABLE(struct audit_config, audit_fields)};

static const struct config_field root_fields[] = {
    {CONFIG_STRINGS_AT(struct root_config, roles), .key = "roles"},
    {CONFIG_INLINE_AT(struct root_config, audit), .key = "audit", .table = &audit_table},
};
static const struct config_table root_table = {CONFIG_TABLE(struct root_config, root_fields)};

/* A directory of its own for the tests that need files; the current one afterwards. */
static void enter_directory(void)
{
    char path[] = "/tmp/sallyport-config-XXXXXX";
    cr_assert_not_null(mkdtemp(path));
    cr_assert_eq(chdir(path), 0);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

static void leave_directory(const char *file)
{
    char *current = getcwd(NULL, 0);
    cr_assert_not_null(current);
    cr_assert_eq(unlink(file), 0);
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(rmdir(current), 0);
    free(current);
}

static struct config *load_file(const char *path, struct root_config *root)
{
    struct config *config;
    struct error err = {0};
    cr_assert(config_load_file(path, &root_table, root, &config, &err), "%s", err.message);
    return config;
}

Test(config_file, paths_are_relative_to_the_file)
{
    struct root_config root;
    char expected[4096];
    char absolute[4096];
    enter_directory();
    write_file("c.json", "{\"audit\":{\"directory\":\"log/audit\"}}");
    char *current = getcwd(NULL, 0);
    cr_assert_not_null(current);
    snprintf(expected, sizeof expected, "%s/log/audit", current);
    snprintf(absolute, sizeof absolute, "%s/c.json", current);

    struct config *config = load_file("c.json", &root);
    cr_assert_str_eq(root.audit.directory, expected);
    config_free(config);
    config = load_file(absolute, &root);
    cr_assert_str_eq(root.audit.directory, expected);
    config_free(config);
    snprintf(expected, sizeof expected, "%s/./log/audit", current);
    config = load_file("./c.json", &root);
    cr_assert_str_eq(root.audit.directory, expected);
    config_free(config);
    free(current);
    leave_directory("c.json");
}

static void assert_file_refused(const char *path, const char *message)
{
    struct root_config root;
    struct config *config = (struct config *)&root;
    struct error err = {0};
    cr_assert_not(config_load_file(path, &root_table, &root, &config, &err));
    cr_assert_eq(err.code, ERROR_CONFIG);
    cr_assert_str_eq(err.message, message);
    cr_assert_null(config);
}

Test(config_file, says_why_it_cannot_be_read)
{
    assert_file_refused(
        "/nowhere/c.json",
        "the configuration /nowhere/c.json: cannot be opened: No such file or directory");
    assert_file_refused("/", "the configuration /: cannot be read: Is a directory");
    assert_file_refused("", "the configuration : cannot be opened: No such file or directory");
    assert_file_refused("/dev/zero", "/dev/zero:1:1: the file is larger than 4194304 bytes");
    assert_file_refused("/dev/null", "/dev/null:1:1: expected a value, found the end of the file");
}

Test(config_file, errors_begin_with_the_path_as_it_was_given)
{
    enter_directory();
    write_file("c.json", "{\n\"rules\": []}");
    assert_file_refused("./c.json",
                        "./c.json:2:1: unknown key \"rules\" in the file: did you mean \"roles\"?");
    leave_directory("c.json");
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A configuration like the real one, with each type in it. */
enum durability { DURABILITY_PROCESS, DURABILITY_FSYNC };
static const char *const durability_names[] = {"process", "fsync", NULL};

struct tls_config {
    const char *cert;
    const char *key;
    struct config_place place;
};

struct listener_config {
    const char *address;
    bool starttls;
    struct config_place place;
};

struct proxy_config {
    const char *name;
    struct listener_config *listeners;
    size_t listener_count;
    struct tls_config tls;
    uint64_t workers;
    size_t buffer;
    struct config_place place;
};

struct limits_config {
    uint64_t sessions;
    int64_t idle_timeout;
};

struct role_config {
    const char *name;
    struct config_strings databases;
    struct config_map labels;
    struct limits_config limits;
    bool has_limits;
    struct config_place place;
};

struct audit_config {
    const char *directory;
    enum durability durability;
    enum durability fallback;
    struct config_place place;
};

struct root_config {
    struct proxy_config *proxy;
    struct role_config *roles;
    size_t role_count;
    struct audit_config audit;
    struct config_place place;
};

static const struct config_field tls_fields[] = {
    {CONFIG_PATH_AT(struct tls_config, cert), .key = "cert", .required = true, .help = "PEM"},
    {CONFIG_PATH_AT(struct tls_config, key), .key = "key", .fallback = "proxy.key"},
};
static const struct config_table tls_table = {CONFIG_TABLE(struct tls_config, tls_fields),
                                              .place = CONFIG_PLACE_AT(struct tls_config, place)};

static const struct config_field listener_fields[] = {
    {CONFIG_STRING_AT(struct listener_config, address), .key = "address", .required = true,
     .greatest = 40},
    {CONFIG_BOOL_AT(struct listener_config, starttls), .key = "starttls", .fallback = "false"},
};
static const struct config_table listener_table = {
    CONFIG_TABLE(struct listener_config, listener_fields),
    .place = CONFIG_PLACE_AT(struct listener_config, place)};

static const struct config_field proxy_fields[] = {
    {CONFIG_STRING_AT(struct proxy_config, name), .key = "name", .fallback = "proxy-1"},
    {CONFIG_OBJECTS_AT(struct proxy_config, listeners, listener_count), .key = "listeners",
     .table = &listener_table, .required = true, .least = 1, .greatest = 3},
    {CONFIG_INLINE_AT(struct proxy_config, tls), .key = "tls", .table = &tls_table},
    {CONFIG_UNSIGNED_AT(struct proxy_config, workers), .key = "workers", .fallback = "4",
     .least = 1, .greatest = 256, .help = "threads"},
    {CONFIG_SIZE_AT(struct proxy_config, buffer), .key = "buffer", .fallback = "64k", .least = 4096,
     .greatest = 16 << 20},
};
static const struct config_table proxy_table = {CONFIG_TABLE(struct proxy_config, proxy_fields),
                                                .place =
                                                    CONFIG_PLACE_AT(struct proxy_config, place)};

static const struct config_field limits_fields[] = {
    {CONFIG_UNSIGNED_AT(struct limits_config, sessions), .key = "sessions", .fallback = "20"},
    {CONFIG_DURATION_AT(struct limits_config, idle_timeout), .key = "idle_timeout",
     .fallback = "10m", .least = 1000, .greatest = 86400000},
};
static const struct config_table limits_table = {CONFIG_TABLE(struct limits_config, limits_fields)};

static const struct config_field role_fields[] = {
    {CONFIG_STRING_AT(struct role_config, name), .key = "name", .required = true},
    {CONFIG_STRINGS_AT(struct role_config, databases), .key = "databases", .greatest = 3},
    {CONFIG_MAP_AT(struct role_config, labels), .key = "labels"},
    {CONFIG_INLINE_FLAG_AT(struct role_config, limits, has_limits), .key = "limits",
     .table = &limits_table},
};
static const struct config_table role_table = {CONFIG_TABLE(struct role_config, role_fields),
                                               .place = CONFIG_PLACE_AT(struct role_config, place)};

static const struct config_field audit_fields[] = {
    {CONFIG_PATH_AT(struct audit_config, directory), .key = "directory", .fallback = "audit"},
    {CONFIG_ENUM_AT(struct audit_config, durability), .key = "durability",
     .names = durability_names},
    {CONFIG_ENUM_AT(struct audit_config, fallback), .key = "second", .names = durability_names,
     .fallback = "fsync"},
};
static const struct config_table audit_table = {CONFIG_TABLE(struct audit_config, audit_fields),
                                                .place =
                                                    CONFIG_PLACE_AT(struct audit_config, place)};

static const struct config_field root_fields[] = {
    {CONFIG_OBJECT_AT(struct root_config, proxy), .key = "proxy", .table = &proxy_table},
    {CONFIG_OBJECTS_AT(struct root_config, roles, role_count), .key = "roles",
     .table = &role_table},
    {CONFIG_INLINE_AT(struct root_config, audit), .key = "audit", .table = &audit_table},
};
static const struct config_table root_table = {CONFIG_TABLE(struct root_config, root_fields),
                                               .place = CONFIG_PLACE_AT(struct root_config, place)};

static struct config *load(const char *text, struct root_config *root)
{
    struct config *config;
    struct error err = {0};
    cr_assert(config_load_text("c.json", "/etc/sallyport", text, strlen(text), &root_table, root,
                               &config, &err),
              "%s", err.message);
    cr_assert_not_null(config);
    return config;
}

static void assert_refused_bytes(const char *text, size_t length, const char *message)
{
    struct root_config root;
    struct root_config zero;
    struct config *config = (struct config *)&root;
    struct error err = {0};
    memset(&root, 0xAA, sizeof root);
    memset(&zero, 0, sizeof zero);
    cr_assert_not(
        config_load_text("c.json", "/etc", text, length, &root_table, &root, &config, &err),
        "accepted: %s", text);
    cr_assert_eq(err.code, ERROR_CONFIG, "%s", err.message);
    cr_assert_str_eq(err.message, message);
    cr_assert_null(config);
    cr_assert_eq(memcmp(&root, &zero, sizeof root), 0, "something is left in the struct");
}

static void assert_refused(const char *text, const char *message)
{
    assert_refused_bytes(text, strlen(text), message);
}

Test(config, decodes_each_type)
{
    struct root_config root;
    struct config *config =
        load("// the whole\n"
             "{ \"proxy\": { \"name\": \"p\\u00e9\\ud83d\\ude00\",\n"
             "    \"listeners\": [ { \"address\": \"a:1\" }, { \"address\": \"b:2\", \"starttls\": "
             "true } ],\n"
             "    \"tls\": { \"cert\": \"proxy.crt\", \"key\": \"/abs/proxy.key\" },\n"
             "    \"workers\": 8, \"buffer\": \"1m\" },\n"
             "  \"roles\": [ { \"name\": \"r\", \"databases\": [\"x\", \"y\"],\n"
             "     \"labels\": { \"env\": [\"prod\", \"test\"], \"team\": \"db\" },\n"
             "     \"limits\": { \"sessions\": 0, \"idle_timeout\": \"90s\" } },\n"
             "     { \"name\": \"s\", \"databases\": \"z\" } ],\n"
             "  \"audit\": { \"durability\": \"fsync\" } }",
             &root);
    cr_assert_str_eq(root.proxy->name, "p\xC3\xA9\xF0\x9F\x98\x80");
    cr_assert_eq(root.proxy->listener_count, 2);
    cr_assert_str_eq(root.proxy->listeners[0].address, "a:1");
    cr_assert_not(root.proxy->listeners[0].starttls);
    cr_assert_str_eq(root.proxy->listeners[1].address, "b:2");
    cr_assert(root.proxy->listeners[1].starttls);
    cr_assert_str_eq(root.proxy->tls.cert, "/etc/sallyport/proxy.crt");
    cr_assert_str_eq(root.proxy->tls.key, "/abs/proxy.key");
    cr_assert_eq(root.proxy->workers, 8);
    cr_assert_eq(root.proxy->buffer, 1 << 20);
    cr_assert_eq(root.role_count, 2);
    const struct role_config *role = &root.roles[0];
    cr_assert_eq(role->databases.count, 2);
    cr_assert_str_eq(role->databases.items[1], "y");
    cr_assert_eq(role->labels.count, 2);
    cr_assert_str_eq(role->labels.entries[0].key, "env");
    cr_assert_eq(role->labels.entries[0].values.count, 2);
    cr_assert_str_eq(role->labels.entries[0].values.items[1], "test");
    cr_assert_str_eq(role->labels.entries[1].key, "team");
    cr_assert_eq(role->labels.entries[1].values.count, 1);
    cr_assert_str_eq(role->labels.entries[1].values.items[0], "db");
    cr_assert(role->has_limits);
    cr_assert_eq(role->limits.sessions, 0);
    cr_assert_eq(role->limits.idle_timeout, 90000);
    cr_assert_eq(root.roles[1].databases.count, 1);
    cr_assert_str_eq(root.roles[1].databases.items[0], "z");
    cr_assert_eq(root.audit.durability, DURABILITY_FSYNC);
    config_free(config);
}

Test(config, absent_keys_take_their_fallbacks)
{
    struct root_config root;
    struct config *config = load(
        "{\"proxy\":{\"listeners\":[{\"address\":\"a\"}]},\"roles\":[{\"name\":\"r\"}]}", &root);
    cr_assert_str_eq(root.proxy->name, "proxy-1");
    cr_assert_eq(root.proxy->workers, 4);
    cr_assert_eq(root.proxy->buffer, 65536);
    cr_assert_null(root.proxy->tls.cert);
    cr_assert_str_eq(root.proxy->tls.key, "/etc/sallyport/proxy.key");
    cr_assert_null(root.proxy->tls.place.value);
    cr_assert_eq(root.roles[0].limits.sessions, 20);
    cr_assert_eq(root.roles[0].limits.idle_timeout, 600000);
    cr_assert_not(root.roles[0].has_limits);
    cr_assert_eq(root.roles[0].databases.count, 0);
    cr_assert_eq(root.roles[0].labels.count, 0);
    cr_assert_str_eq(root.audit.directory, "/etc/sallyport/audit");
    cr_assert_eq(root.audit.durability, DURABILITY_PROCESS);
    cr_assert_eq(root.audit.fallback, DURABILITY_FSYNC);
    config_free(config);
}

Test(config, an_absent_object_is_null_and_an_empty_file_object_is_fine)
{
    struct root_config root;
    struct config *config = load("{}", &root);
    cr_assert_null(root.proxy);
    cr_assert_null(root.roles);
    cr_assert_eq(root.role_count, 0);
    cr_assert_str_eq(config_directory(config), "/etc/sallyport");
    config_free(config);
    config_free(NULL);
}

Test(config, comments_may_stand_wherever_white_space_may)
{
    struct root_config root;
    struct config *config = load("/**//***/{/* {\"a\": // */\"audit\"/*\n*/:// \"}\n"
                                 "{\"directory\"/*:*/:/*,*/\"/x\"//é\n}/* /* */}// no line end",
                                 &root);
    cr_assert_str_eq(root.audit.directory, "/x");
    config_free(config);
}

Test(config, what_looks_like_a_comment_in_a_string_is_text)
{
    struct root_config root;
    struct config *config =
        load("{\"audit\":{\"directory\":\"/a//b/*c*/\\\"//d\"}, // \"\n"
             "\"roles\":[{\"name\":\"/*\"},{\"name\":\"*/\"},{\"name\":\"\\\\\"}/*\"*/]}",
             &root);
    cr_assert_str_eq(root.audit.directory, "/a//b/*c*/\"//d");
    cr_assert_eq(root.role_count, 3);
    cr_assert_str_eq(root.roles[0].name, "/*");
    cr_assert_str_eq(root.roles[1].name, "*/");
    cr_assert_str_eq(root.roles[2].name, "\\");
    config_free(config);
}

Test(config, escapes_are_read)
{
    struct root_config root;
    struct config *config =
        load("{\"roles\":[{\"n\\u0061me\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u20ACx\"}]}", &root);
    cr_assert_str_eq(root.roles[0].name, "\"\\/\b\f\n\r\t\xE2\x82\xACx");
    config_free(config);
}

Test(config_text, comments_that_are_not_closed)
{
    assert_refused("{\n  /* and so on",
                   "c.json:2:3: this comment is not closed: \"*/\" is missing");
    assert_refused("{} /*/", "c.json:1:4: this comment is not closed: \"*/\" is missing");
    assert_refused("{} /", "c.json:1:4: expected the end of the file, found \"/\"");
    assert_refused("{} # x", "c.json:1:4: expected the end of the file, found \"#\"");
}

Test(config_text, trailing_commas)
{
    assert_refused("{\n  \"roles\": [],\n}",
                   "c.json:2:14: a comma before \"}\" is not allowed: remove it");
    assert_refused("{\"roles\": [\n {\"name\":\"x\"} , // last\n ]}",
                   "c.json:2:15: a comma before \"]\" is not allowed: remove it");
    assert_refused("{\"roles\":[,]}", "c.json:1:11: expected a value, found \",\"");
    assert_refused("{,}", "c.json:1:2: expected a key in double quotes, found \",\"");
}

Test(config_text, missing_and_wrong_punctuation)
{
    assert_refused("", "c.json:1:1: expected a value, found the end of the file");
    assert_refused("// nothing\n", "c.json:2:1: expected a value, found the end of the file");
    assert_refused("{", "c.json:1:2: expected a key in double quotes, found the end of the file");
    assert_refused("{\"roles\"",
                   "c.json:1:9: expected \":\" after the key, found the end of the file");
    assert_refused("{\"roles\" []}", "c.json:1:10: expected \":\" after the key, found \"[\"");
    assert_refused("{\"roles\":}", "c.json:1:10: expected a value, found \"}\"");
    assert_refused("{\"roles\":[]\n \"audit\":{}}",
                   "c.json:2:2: expected \",\" or \"}\", found \"\"\"");
    assert_refused("{\"roles\":[{} {}]}", "c.json:1:14: expected \",\" or \"]\", found \"{\"");
    assert_refused("{\"roles\":[}", "c.json:1:11: expected a value, found \"}\"");
    assert_refused("{roles:[]}", "c.json:1:2: expected a key in double quotes, found \"r\"");
    assert_refused("{'roles':[]}", "c.json:1:2: expected a key in double quotes, found \"'\"");
    assert_refused("{}{}", "c.json:1:3: expected the end of the file, found \"{\"");
    assert_refused("{\"a\":truex}", "c.json:1:10: expected \",\" or \"}\", found \"x\"");
    assert_refused("{\"a\":True}", "c.json:1:6: expected a value, found \"T\"");
    assert_refused("{\"a\":tru", "c.json:1:6: expected a value, found \"t\"");
    assert_refused("{\"a\":é}", "c.json:1:6: expected a value, found \"é\"");
    assert_refused("{\x0b}", "c.json:1:2: expected a key in double quotes, found the control "
                             "character 0x0b");
}

Test(config_text, strings_that_json_does_not_allow)
{
    assert_refused("{\"roles", "c.json:1:2: this string is not closed: a \" is missing");
    assert_refused("{\"a\": \"x\n\"}", "c.json:1:7: this string is not closed: a \" is missing");
    assert_refused("{\"a\": \"x\\", "c.json:1:9: a backslash must be followed by one of "
                                    "\" \\ / b f n r t u: write two for a backslash itself");
    assert_refused("{\"a\": \"C:\\dir\"}", "c.json:1:10: a backslash must be followed by one of "
                                           "\" \\ / b f n r t u: write two for a backslash itself");
    assert_refused("{\"a\": \"x\ty\"}",
                   "c.json:1:9: a string must not hold the control character 0x09: write \\u0009");
    assert_refused("{\"a\": \"\\u12g4\"}", "c.json:1:8: \"\\u\" needs four hexadecimal digits");
    assert_refused("{\"a\": \"\\u12", "c.json:1:8: \"\\u\" needs four hexadecimal digits");
    assert_refused("{\"a\": \"x\\u0000y\"}", "c.json:1:9: a string must not hold a NUL character");
    assert_refused("{\"a\": \"\\ud800\"}", "c.json:1:8: \"\\ud800\" is half of a surrogate pair");
    assert_refused("{\"a\": \"\\ud800\\u0041\"}",
                   "c.json:1:8: \"\\ud800\" is half of a surrogate pair");
    assert_refused("{\"a\": \"\\udc00\\ud800\"}",
                   "c.json:1:8: \"\\udc00\" is half of a surrogate pair");
}

Test(config_text, numbers_that_json_does_not_allow)
{
    static const char *const numbers[] = {"01", "-", "-a", "1.", "1.e5", "1e", "1e+", "00", "-01"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"a\":%s}", numbers[i]);
        assert_refused(text, "c.json:1:6: this is not a number as JSON writes them");
    }
    assert_refused("{\"a\":+1}", "c.json:1:6: expected a value, found \"+\"");
    assert_refused("{\"a\":.5}", "c.json:1:6: expected a value, found \".\"");
    assert_refused("{\"a\":NaN}", "c.json:1:6: expected a value, found \"N\"");
    assert_refused("{\"a\":0x10}", "c.json:1:7: expected \",\" or \"}\", found \"x\"");
    assert_refused("{\"a\":1-2}", "c.json:1:7: expected \",\" or \"}\", found \"-\"");
    assert_refused("{\"a\":1234567890123456789012345678901234567890123456789012345678901234567890}",
                   "c.json:1:6: a number must not be longer than 60 digits");
}

Test(config_text, bytes_that_are_no_text)
{
    assert_refused_bytes("{\n \"a\0\"}", 8,
                         "c.json:2:4: the file holds a NUL byte: it must be text");
    assert_refused("{ // caf\xE9\n}",
                   "c.json:1:9: the byte 0xe9 is not UTF-8: save the file as UTF-8");
    assert_refused("{\"\xC3\xA9\xED\xA0\x80\"}",
                   "c.json:1:4: the byte 0xed is not UTF-8: save the file as UTF-8");
    assert_refused("\xEF\xBB\xBF{}",
                   "c.json:1:1: the file starts with a byte order mark: save it without one");
}

/* `count` copies of `piece` between two texts. */
static char *compose(const char *before, const char *piece, size_t count, const char *after)
{
    size_t size = strlen(before) + strlen(piece) * count + strlen(after) + 1;
    char *text = malloc(size);
    cr_assert_not_null(text);
    char *at = stpcpy(text, before);
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, piece);
    stpcpy(at, after);
    return text;
}

Test(config_text, nesting_is_limited)
{
    char *text = compose("{\"a\":", "[", 100000, "");
    assert_refused(text, "c.json:1:37: objects and lists are nested deeper than 32 levels");
    free(text);
    text = compose("", "{\"a\":", 33, "");
    assert_refused(text, "c.json:1:161: objects and lists are nested deeper than 32 levels");
    free(text);
    text = compose("{\"a\":", "[", 31, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}");
    assert_refused(text, "c.json:1:2: unknown key \"a\" in the file");
    free(text);
}

Test(config_text, sizes_and_counts_are_limited)
{
    char *text = compose("{}", " ", CONFIG_TEXT_LIMIT - 1, "");
    assert_refused(text, "c.json:1:1: the file is larger than 4194304 bytes");
    text[CONFIG_TEXT_LIMIT] = '\0';
    struct root_config root;
    config_free(load(text, &root));
    free(text);
    text = compose("[0", ",0", CONFIG_VALUE_LIMIT, "]");
    assert_refused(text, "c.json:1:400000: the file has more than 200000 values");
    free(text);
    text = compose("{\"a\":0", ",\"a\":0", CONFIG_KEY_LIMIT, "}");
    assert_refused(text, "c.json:1:6002: an object must not have more than 1000 keys");
    free(text);
}

Test(config_decode, unknown_keys_name_the_nearest)
{
    assert_refused(
        "{\n  \"proxy\": {\n    \"name\": \"x\",\n    \"listners\": []\n  }\n}",
        "c.json:4:5: unknown key \"listners\" in \"proxy\": did you mean \"listeners\"?");
    assert_refused("{ \"Proxy\": {} }",
                   "c.json:1:3: unknown key \"Proxy\" in the file: did you mean \"proxy\"?");
    assert_refused("{ \"$schema\": \"x\" }", "c.json:1:3: unknown key \"$schema\" in the file");
    assert_refused("{\"roles\":[{\"name\":\"a\"},{\"name\":\"b\",\"limits\":{\"session\":1}}]}",
                   "c.json:1:46: unknown key \"session\" in \"roles[1].limits\": did you mean "
                   "\"sessions\"?");
    assert_refused("{ \"\": 1 }", "c.json:1:3: unknown key \"\" in the file");
}

Test(config_decode, columns_count_characters_and_comments)
{
    assert_refused("{ /* é😀 */ \"prxy\": {} }",
                   "c.json:1:12: unknown key \"prxy\" in the file: did you mean \"proxy\"?");
    assert_refused("{\r\n\t\"prxy\": {} }",
                   "c.json:2:2: unknown key \"prxy\" in the file: did you mean \"proxy\"?");
    assert_refused("{ /* \n \n */ \"prxy\": {} }",
                   "c.json:3:5: unknown key \"prxy\" in the file: did you mean \"proxy\"?");
}

Test(config_decode, wrong_types_say_what_was_expected_and_found)
{
    assert_refused("[]", "c.json:1:1: the file must hold an object, not a list");
    assert_refused(" 7", "c.json:1:2: the file must hold an object, not a number");
    assert_refused("{\"proxy\": 7}", "c.json:1:11: \"proxy\" must be an object, not a number");
    assert_refused("{\"proxy\": null}", "c.json:1:11: \"proxy\" must be an object, not null");
    assert_refused("{\"roles\": {}}",
                   "c.json:1:11: \"roles\" must be a list of objects, not an object");
    assert_refused("{\"roles\": [{\"name\":\"a\"}, true]}",
                   "c.json:1:26: \"roles[1]\" must be an object, not a boolean");
    assert_refused("{\"roles\": [{\"name\":1}]}",
                   "c.json:1:20: \"roles[0].name\" must be a string, not a number");
    assert_refused("{\"roles\": [{\"name\":\"a\",\"databases\":7}]}",
                   "c.json:1:36: \"roles[0].databases\" must be a string or a list of strings, not "
                   "a number");
    assert_refused("{\"roles\": [{\"name\":\"a\",\"databases\":[\"x\",\n[]]}]}",
                   "c.json:2:1: \"roles[0].databases[1]\" must be a string, not a list");
    assert_refused("{\"roles\": [{\"name\":\"a\",\"labels\":[]}]}",
                   "c.json:1:33: \"roles[0].labels\" must be an object, not a list");
    assert_refused("{\"roles\": [{\"name\":\"a\",\"labels\":{\"env\":[\"x\",null]}}]}",
                   "c.json:1:45: \"roles[0].labels.env[1]\" must be a string, not null");
    assert_refused("{\"roles\": [{\"name\":\"a\",\"limits\":{\"idle_timeout\":600}}]}",
                   "c.json:1:49: \"roles[0].limits.idle_timeout\" must be a duration such as "
                   "\"10m\", not a number");
    assert_refused("{\"proxy\":{\"workers\":\"4\",\"listeners\":[{\"address\":\"a\"}]}}",
                   "c.json:1:21: \"proxy.workers\" must be a whole number, not a string");
    assert_refused("{\"proxy\":{\"listeners\":[{\"address\":\"a\",\"starttls\":\"yes\"}]}}",
                   "c.json:1:50: \"proxy.listeners[0].starttls\" must be true or false, not a "
                   "string");
    assert_refused("{\"audit\":{\"directory\":[\"x\"]}}",
                   "c.json:1:23: \"audit.directory\" must be a path, not a list");
}

Test(config_decode, missing_keys_are_reported_at_their_object)
{
    assert_refused("{\n \"proxy\":\n  {}}", "c.json:3:3: \"proxy\" needs the key \"listeners\"");
    assert_refused("{\"roles\": [{\"name\":\"a\"},\n {}]}",
                   "c.json:2:2: \"roles[1]\" needs the key \"name\"");
    assert_refused("{\"proxy\":{\"listeners\":[{\"address\":\"a\"}],\"tls\":{}}}",
                   "c.json:1:47: \"proxy.tls\" needs the key \"cert\"");
}

Test(config_decode, keys_that_are_there_twice)
{
    assert_refused("{\"audit\":{},\n \"audit\":{}}",
                   "c.json:2:2: the key \"audit\" is there twice");
    assert_refused("{\"audit\":{},\n \"\\u0061udit\":{}}",
                   "c.json:2:2: the key \"audit\" is there twice");
    assert_refused(
        "{\"roles\": [{\"name\":\"a\",\"labels\":{\"x\":\"1\",\"y\":\"1\",\"x\":\"2\"}}]}",
        "c.json:1:50: the key \"x\" is there twice");
}

static void assert_proxy_refused(const char *key, const char *value, const char *problem)
{
    char text[256];
    char message[512];
    snprintf(text, sizeof text, "{\"proxy\":{\"listeners\":[{\"address\":\"a\"}],\n\"%s\":%s}}",
             key, value);
    snprintf(message, sizeof message, "c.json:2:%zu: \"proxy.%s\" %s", strlen(key) + 4, key,
             problem);
    assert_refused(text, message);
}

Test(config_decode, numbers_out_of_range_say_the_range)
{
    assert_proxy_refused("workers", "0", "must be between 1 and 256, not 0");
    assert_proxy_refused("workers", "257", "must be between 1 and 256, not 257");
    assert_proxy_refused("workers", "1e400", "must be between 1 and 256, not inf");
    assert_proxy_refused("workers", "18446744073709551617",
                         "must be between 1 and 256, not 1.8446744073709552e+19");
    assert_proxy_refused("workers", "-1", "must not be negative, and is -1");
    assert_proxy_refused("workers", "-1e400", "must not be negative, and is -inf");
    assert_proxy_refused("workers", "1.5", "must be a whole number, not 1.5");
    assert_refused("{\"roles\": [{\"name\":\"a\",\"limits\":{\"sessions\":9007199254740993}}]}",
                   "c.json:1:45: \"roles[0].limits.sessions\" must be between 0 and "
                   "9007199254740991, not 9007199254740992");
}

Test(config_decode, whole_numbers_may_be_written_with_an_exponent)
{
    struct root_config root;
    struct config *config =
        load("{\"proxy\":{\"listeners\":[{\"address\":\"a\"}],\"workers\":2.56e2,\"buffer\":8192}}",
             &root);
    cr_assert_eq(root.proxy->workers, 256);
    cr_assert_eq(root.proxy->buffer, 8192);
    config_free(config);
}

Test(config_decode, sizes)
{
    assert_proxy_refused("buffer", "\"2k\"", "must be between 4k and 16m, not 2k");
    assert_proxy_refused("buffer", "\"1g\"", "must be between 4k and 16m, not 1g");
    assert_proxy_refused("buffer", "17000000", "must be between 4k and 16m, not 17000000");
    assert_proxy_refused("buffer", "-1", "must not be negative, and is -1");
    static const char *const refused[] = {
        "64 k",     "k", "64kb", "1t", "-1k", "1.5m", "99999999999999999999", "18014398509481984k",
        "64\\u00e9"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char value[64];
        char problem[256];
        snprintf(value, sizeof value, "\"%s\"", refused[i]);
        snprintf(problem, sizeof problem,
                 "must be a size such as \"64k\", \"16m\" or \"1g\", not \"%s\"",
                 i == 8 ? "64é" : refused[i]);
        assert_proxy_refused("buffer", value, problem);
    }
    assert_proxy_refused("buffer", "true",
                         "must be a size such as \"64k\" or a whole number, not a boolean");
    struct root_config root;
    struct config *config =
        load("{\"proxy\":{\"listeners\":[{\"address\":\"a\"}],\"buffer\":\"16M\"}}", &root);
    cr_assert_eq(root.proxy->buffer, 16 << 20);
    config_free(config);
}

static void assert_timeout_refused(const char *value, const char *problem)
{
    char text[256];
    char message[512];
    snprintf(text, sizeof text, "{\"roles\":[{\"name\":\"a\",\"limits\":{\n\"idle_timeout\":%s}}]}",
             value);
    snprintf(message, sizeof message, "c.json:2:16: \"roles[0].limits.idle_timeout\" %s", problem);
    assert_refused(text, message);
}

Test(config_decode, durations)
{
    assert_timeout_refused("\"0\"", "must be between 1s and 1d, not 0");
    assert_timeout_refused("\"25h\"", "must be between 1s and 1d, not 25h");
    assert_timeout_refused("\"10\"", "must be a duration such as \"500ms\", \"90s\", \"10m\", "
                                     "\"12h\" or \"7d\", not \"10\"");
    assert_timeout_refused("\"99999999999999999999d\"",
                           "must be a duration such as \"500ms\", \"90s\", \"10m\", \"12h\" or "
                           "\"7d\", not \"99999999999999999999d\"");
}

Test(config_decode, names)
{
    assert_refused("{\"audit\":{\"durability\":\"fsnc\"}}",
                   "c.json:1:24: \"audit.durability\" must be one of \"process\", \"fsync\", not "
                   "\"fsnc\": did you mean \"fsync\"?");
    assert_refused("{\"audit\":{\"durability\":\"none at all\"}}",
                   "c.json:1:24: \"audit.durability\" must be one of \"process\", \"fsync\", not "
                   "\"none at all\"");
    assert_refused("{\"audit\":{\"durability\":1}}",
                   "c.json:1:24: \"audit.durability\" must be a name, not a number");
}

Test(config_decode, lengths_and_counts)
{
    assert_refused("{\"roles\":[{\"name\":\"\"}]}",
                   "c.json:1:19: \"roles[0].name\" must not be empty");
    assert_refused("{\"roles\":[{\"name\":\"a\",\"databases\":[\"\"]}]}",
                   "c.json:1:36: \"roles[0].databases[0]\" must not be empty");
    assert_refused("{\"roles\":[{\"name\":\"a\",\"labels\":{\"\":\"x\"}}]}",
                   "c.json:1:33: a key of \"roles[0].labels\" must not be empty");
    assert_refused("{\"audit\":{\"directory\":\"\"}}",
                   "c.json:1:23: \"audit.directory\" must not be empty");
    assert_refused(
        "{\"proxy\":{\"listeners\":[{\"address\":"
        "\"12345678901234567890123456789012345678901\"}]}}",
        "c.json:1:35: \"proxy.listeners[0].address\" must not be longer than 40 bytes, and has 41");
    assert_refused("{\"proxy\":{\"listeners\":[]}}",
                   "c.json:1:23: \"proxy.listeners\" needs at least 1, and has 0");
    assert_refused("{\"roles\":[{\"name\":\"a\",\"databases\":[\"1\",\"2\",\"3\",\"4\"]}]}",
                   "c.json:1:35: \"roles[0].databases\" must not have more than 3, and has 4");
    char *text = compose("{\"audit\":{\"directory\":\"", "x", CONFIG_STRING_LIMIT + 1, "\"}}");
    assert_refused(
        text, "c.json:1:23: \"audit.directory\" must not be longer than 4096 bytes, and has 4097");
    free(text);
}

/* What a module does that finds a mistake which no table can express. */
Test(config_error, finds_objects_keys_and_elements_afterwards)
{
    struct root_config root;
    struct error err = {0};
    struct config *config = load("{ // é\n"
                                 "  \"proxy\": {\"listeners\": [{\"address\": \"a\"},\n"
                                 "     {\"starttls\": true, \"address\": \"b\"}]},\n"
                                 "  \"roles\": [{\"name\": \"r\",\n"
                                 "    \"databases\": [\"x\", /* , */ \"y\"],\n"
                                 "    \"labels\": {\"env\": [\"p\"], \"team\": \"t\"}},\n"
                                 "   {\"name\": \"s\", \"databases\": \"z\"}]\n"
                                 "}",
                                 &root);
    const struct role_config *role = &root.roles[0];
    const struct listener_config *second = &root.proxy->listeners[1];
    const struct {
        struct config_place place;
        const char *key;
        const char *position;
    } cases[] = {
        {root.place, NULL, "c.json:1:1: "},
        {root.place, "roles", "c.json:4:12: "},
        {root.proxy->place, NULL, "c.json:2:12: "},
        {second->place, NULL, "c.json:3:6: "},
        {second->place, "address", "c.json:3:36: "},
        {second->place, "absent", "c.json:3:6: "},
        {role->place, "name", "c.json:4:22: "},
        {root.roles[1].place, "databases", "c.json:7:31: "},
        {root.audit.place, "directory", "c.json:1:1: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[64];
        snprintf(message, sizeof message, "%sno role \"x\"", cases[i].position);
        cr_assert_not(
            config_error(config, cases[i].place, cases[i].key, &err, "no role \"%s\"", "x"));
        cr_assert_eq(err.code, ERROR_CONFIG);
        cr_assert_str_eq(err.message, message);
    }
    const struct {
        struct config_place place;
        const char *key;
        size_t index;
        const char *message;
    } items[] = {
        {role->place, "databases", 0, "c.json:5:19: bad"},
        {role->place, "databases", 1, "c.json:5:32: bad"},
        {role->place, "databases", 2, "c.json:5:18: bad"},
        {role->place, "labels", 1, "c.json:6:38: bad"},
        {role->place, "absent", 1, "c.json:4:13: bad"},
        {root.roles[1].place, "databases", 0, "c.json:7:31: bad"},
        {root.place, "roles", 1, "c.json:7:4: bad"},
    };
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        cr_assert_not(
            config_error_item(config, items[i].place, items[i].key, items[i].index, &err, "bad"));
        cr_assert_str_eq(err.message, items[i].message);
    }
    cr_assert_not(config_error(config, role->place, NULL, NULL, "nobody reads this"));
    config_free(config);
}

struct rows {
    size_t count;
    char text[4096];
};

static void collect(void *context, const struct config_row *row)
{
    struct rows *rows = context;
    size_t length = strlen(rows->text);
    snprintf(rows->text + length, sizeof rows->text - length, "%s|%s|%s|%s\n", row->path, row->type,
             row->field->fallback ? row->field->fallback : "-",
             row->field->help ? row->field->help : "-");
    rows->count++;
}

Test(config_table, visits_each_row_with_its_path)
{
    struct rows rows = {0};
    config_table_visit(&root_table, collect, &rows);
    cr_assert_str_eq(rows.text, "proxy|object|-|-\n"
                                "proxy.name|string|proxy-1|-\n"
                                "proxy.listeners[]|list of objects|-|-\n"
                                "proxy.listeners[].address|string|-|-\n"
                                "proxy.listeners[].starttls|boolean|false|-\n"
                                "proxy.tls|object|-|-\n"
                                "proxy.tls.cert|path|-|PEM\n"
                                "proxy.tls.key|path|proxy.key|-\n"
                                "proxy.workers|whole number|4|threads\n"
                                "proxy.buffer|size|64k|-\n"
                                "roles[]|list of objects|-|-\n"
                                "roles[].name|string|-|-\n"
                                "roles[].databases|list of strings|-|-\n"
                                "roles[].labels|map of lists of strings|-|-\n"
                                "roles[].limits|object|-|-\n"
                                "roles[].limits.sessions|whole number|20|-\n"
                                "roles[].limits.idle_timeout|duration|10m|-\n"
                                "audit|object|-|-\n"
                                "audit.directory|path|audit|-\n"
                                "audit.durability|name|-|-\n"
                                "audit.second|name|fsync|-\n");
    cr_assert_eq(rows.count, 21);
}

/* Mistakes in a table are ours, and must not become those of memory. */
Test(config_table, a_wrong_table_is_refused)
{
    struct holder {
        struct tls_config tls;
        uint64_t number;
    } out;
    static const struct config_field wrong_struct[] = {
        {CONFIG_INLINE_AT(struct holder, tls), .key = "tls", .table = &proxy_table}};
    static const struct config_field wrong_fallback[] = {
        {CONFIG_UNSIGNED_AT(struct holder, number), .key = "number", .fallback = "many"}};
    static const struct config_field fallback_out_of_range[] = {
        {CONFIG_UNSIGNED_AT(struct holder, number), .key = "number", .fallback = "9",
         .greatest = 8}};
    static const struct config_table tables[] = {
        {CONFIG_TABLE(struct holder, wrong_struct)},
        {CONFIG_TABLE(struct holder, wrong_fallback)},
        {CONFIG_TABLE(struct holder, fallback_out_of_range)}};
    static const char *const messages[] = {
        "c: the table of \"tls\" is of another struct",
        "c: the fallback of \"number\" is wrong: it must be a whole number",
        "c: the fallback of \"number\" is wrong: it must be between 0 and 8, not 9"};
    for (size_t i = 0; i < 3; i++) {
        struct config *config;
        struct error err = {0};
        cr_assert_not(config_load_text("c", "/", "{}", 2, &tables[i], &out, &config, &err));
        cr_assert_eq(err.code, ERROR_STATE);
        cr_assert_str_eq(err.message, messages[i]);
    }
}

/* A small text must not be able to ask for much memory. */
Test(config_table, memory_is_limited)
{
    struct large {
        const char *name;
        char room[1016];
    };
    struct holder {
        struct large *items;
        size_t count;
    } out;
    static const struct config_field large_fields[] = {
        {CONFIG_STRING_AT(struct large, name), .key = "name"}};
    static const struct config_table large_table = {CONFIG_TABLE(struct large, large_fields)};
    static const struct config_field fields[] = {
        {CONFIG_OBJECTS_AT(struct holder, items, count), .key = "items", .table = &large_table}};
    static const struct config_table table = {CONFIG_TABLE(struct holder, fields)};
    struct config *config;
    struct error err = {0};
    char *text = compose("{\"items\":[{}", ",{}", 60000, "]}");
    cr_assert(config_load_text("c", "/", text, strlen(text), &table, &out, &config, &err));
    cr_assert_eq(out.count, 60001);
    config_free(config);
    free(text);
    text = compose("{\"items\":[{}", ",{}", 70000, "]}");
    cr_assert_not(config_load_text("c", "/", text, strlen(text), &table, &out, &config, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_str_eq(err.message, "c: the configuration needs more than 67108864 bytes of memory");
    cr_assert_null(config);
    free(text);
}

Test(config_decode, strings_may_have_a_least_length_and_lists_empty_strings)
{
    struct holder {
        const char *name;
        struct config_strings list;
    } out;
    static const struct config_field fields[] = {
        {CONFIG_STRING_AT(struct holder, name), .key = "name", .least = 3, .allow_empty = true},
        {CONFIG_STRINGS_AT(struct holder, list), .key = "list", .allow_empty = true}};
    static const struct config_table table = {CONFIG_TABLE(struct holder, fields)};
    struct config *config;
    struct error err = {0};
    cr_assert_not(config_load_text("c", "/", "{\"name\":\"ab\"}", 13, &table, &out, &config, &err));
    cr_assert_str_eq(err.message, "c:1:9: \"name\" must be at least 3 bytes long, and has 2");
    cr_assert(config_load_text("c", "", "{\"list\":[\"\"]}", 13, &table, &out, &config, &err));
    cr_assert_str_eq(out.list.items[0], "");
    cr_assert_null(out.name);
    cr_assert_str_eq(config_directory(config), ".");
    config_free(config);
}

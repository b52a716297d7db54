/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subject patterns: RFC 4514 strings whose values are globs. White space around separators is
 * allowed, as RFC 4514 section 3 suggests for people's input by way of RFC 2253.
 */
#include <string.h>

#include "authz/authz_policy.h"
#include "base/utf8.h"

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* RFC 4514 section 3: descr is a letter, then letters, digits and hyphens. */
static bool is_short_name(const char *type, size_t length)
{
    if (length == 0 || !is_letter(type[0]))
        return false;
    for (size_t i = 1; i < length; i++)
        if (!is_letter(type[i]) && !is_digit(type[i]) && type[i] != '-')
            return false;
    return true;
}

/* RFC 4512 section 1.4: numericoid. */
static bool is_oid(const char *type, size_t length)
{
    size_t dots = 0;
    for (size_t i = 0; i < length; i++) {
        bool dot = type[i] == '.';
        if (!dot && !is_digit(type[i]))
            return false;
        if (dot && (i == 0 || i + 1 == length || type[i - 1] == '.'))
            return false;
        dots += dot;
    }
    return dots > 0;
}

bool authz_attribute_type_valid(const char *type, size_t length)
{
    return is_short_name(type, length) || is_oid(type, length);
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct pattern {
    const char *at;
    char value[2 * AUTHZ_PATTERN_MAX + 1]; /* every byte may need a backslash for the glob */
    size_t size;
    size_t solid; /* up to the last byte that is no unescaped space */
};

static void add_byte(struct pattern *pattern, char byte)
{
    pattern->value[pattern->size++] = byte;
    pattern->solid = pattern->size;
}

/* A byte that stands for itself, for the glob too. */
static void add_literal(struct pattern *pattern, char byte)
{
    if (byte == '*' || byte == '?' || byte == '\\')
        pattern->value[pattern->size++] = '\\';
    add_byte(pattern, byte);
}

/* RFC 4514 section 3: pair. `*` and `?` are ours, because they are special in globs. */
static bool read_escape(struct pattern *pattern, struct error *err)
{
    const char *at = pattern->at + 1;
    if (*at != '\0' && strchr("\\\"#+,;<=> *?", *at)) {
        add_literal(pattern, *at);
        pattern->at = at + 1;
        return true;
    }
    int high = hex_digit(at[0]);
    int low = high < 0 ? -1 : hex_digit(at[1]);
    if (low < 0)
        return error_set(
            err, ERROR_MALFORMED,
            "the pattern has a backslash that escapes nothing: write two, or \\2A with "
            "the two hexadecimal digits of a byte");
    if (high * 16 + low < 0x20 || high * 16 + low == 0x7F)
        return error_set(err, ERROR_MALFORMED,
                         "the pattern has a control character: no certificate with one is let in");
    add_literal(pattern, (char)(high * 16 + low));
    pattern->at = at + 2;
    return true;
}

static bool read_value(struct pattern *pattern, struct error *err)
{
    pattern->size = pattern->solid = 0;
    while (*pattern->at == ' ')
        pattern->at++;
    for (char c; (c = *pattern->at) != '\0' && c != ',' && c != '+';) {
        if (strchr("\";<>", c) || (c == '#' && pattern->size == 0))
            return error_set(err, ERROR_MALFORMED,
                             "the pattern has a %c that must be escaped: write \\%c", c, c);
        if (c == '\\') {
            if (!read_escape(pattern, err))
                return false;
            continue;
        }
        pattern->value[pattern->size++] = c;
        if (c != ' ')
            pattern->solid = pattern->size;
        pattern->at++;
    }
    pattern->value[pattern->solid] = '\0';
    if (pattern->solid == 0)
        return error_set(err, ERROR_MALFORMED,
                         "the pattern has an attribute with an empty value: write * for any value");
    if (!utf8_valid(pattern->value, pattern->solid))
        return error_set(err, ERROR_MALFORMED, "the pattern has a value that is not UTF-8");
    return true;
}

static bool read_type(struct pattern *pattern, const char **type, size_t *length, struct error *err)
{
    while (*pattern->at == ' ')
        pattern->at++;
    *type = pattern->at;
    *length = strcspn(pattern->at, "=,+ ");
    const char *equals = pattern->at + *length;
    equals += strspn(equals, " ");
    if (*equals != '=')
        return error_set(err, ERROR_MALFORMED,
                         "a subject pattern is a list such as CN=ci-*,OU=bots: \"%.*s\" has no "
                         "\"=\" (a comma inside of a value is written \\,)",
                         (int)*length, *type);
    if (!authz_attribute_type_valid(*type, *length))
        return error_set(err, ERROR_MALFORMED,
                         "\"%.*s\" is no attribute type: write one such as CN, OU or 2.5.4.10",
                         (int)*length, *type);
    pattern->at = equals + 1;
    return true;
}

static bool add_attribute(struct authz_policy *policy, struct pattern *pattern,
                          struct authz_attribute_rule *rule, struct error *err)
{
    const char *type;
    size_t length;
    if (!read_type(pattern, &type, &length, err) || !read_value(pattern, err))
        return false;
    char *copy = authz_policy_take(policy, length + 1, 1, err);
    if (!copy)
        return false;
    memcpy(copy, type, length);
    rule->type = copy;
    rule->value = authz_policy_copy(policy, pattern->value, err);
    return rule->value != NULL;
}

/* At least as many as the pattern has attributes. */
static size_t count_separators(const char *pattern)
{
    size_t count = 1;
    for (; *pattern; pattern++)
        count += *pattern == ',' || *pattern == '+';
    return count;
}

bool authz_subject_compile(struct authz_policy *policy, const char *pattern,
                           struct authz_mapping *mapping, struct error *err)
{
    if (strlen(pattern) > AUTHZ_PATTERN_MAX)
        return error_set(err, ERROR_MALFORMED, "the pattern is longer than %d bytes",
                         AUTHZ_PATTERN_MAX);
    mapping->attributes =
        authz_policy_take(policy, count_separators(pattern), sizeof *mapping->attributes, err);
    if (!mapping->attributes)
        return false;
    struct pattern reading = {.at = pattern};
    for (;;) {
        struct authz_attribute_rule *rule = &mapping->attributes[mapping->attribute_count];
        if (!add_attribute(policy, &reading, rule, err))
            return false;
        mapping->attribute_count++;
        if (*reading.at == '\0')
            return true;
        reading.at++;
    }
}

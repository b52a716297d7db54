/* SPDX-License-Identifier: Apache-2.0 */
/* From a certificate's subject to roles. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "authz/authz_policy.h"
#include "base/glob.h"

/* --- globs on URIs --- */

/* What one element of a pattern matches: a byte, or one of these. */
enum { ANY_BYTE = 256, ANY_SEGMENT, ANY_TEXT };

/* Returns the number of elements. */
static size_t read_elements(const char *pattern, uint16_t *elements)
{
    size_t count = 0;
    for (const char *at = pattern; *at != '\0' && count < AUTHZ_PATTERN_MAX; at++, count++) {
        if (*at == '*' && at[1] == '*') {
            elements[count] = ANY_TEXT;
            at++;
        } else if (*at == '*') {
            elements[count] = ANY_SEGMENT;
        } else if (*at == '?') {
            elements[count] = ANY_BYTE;
        } else {
            if (*at == '\\' && at[1] != '\0')
                at++;
            elements[count] = (uint8_t)*at;
        }
    }
    return count;
}

/* Whether an element takes the byte and the pattern moves on. */
static bool moves(uint16_t element, uint8_t byte)
{
    return element == byte || (element == ANY_BYTE && byte != '/');
}

/* Whether an element takes the byte and stays. */
static bool stays(uint16_t element, uint8_t byte)
{
    return element == ANY_TEXT || (element == ANY_SEGMENT && byte != '/');
}

/* Elements that match nothing may be left out. */
static void pass_empty(const uint16_t *elements, size_t count, bool *reached)
{
    for (size_t i = 0; i < count; i++)
        if (reached[i] && elements[i] >= ANY_SEGMENT)
            reached[i + 1] = true;
}

bool authz_uri_match(const char *pattern, const char *uri)
{
    uint16_t elements[AUTHZ_PATTERN_MAX];
    bool reached[AUTHZ_PATTERN_MAX + 1] = {true}; /* [i]: the first i elements match so far */
    if (strlen(pattern) > AUTHZ_PATTERN_MAX)
        return false;
    size_t count = read_elements(pattern, elements);
    pass_empty(elements, count, reached);
    for (; *uri != '\0'; uri++) {
        uint8_t byte = (uint8_t)*uri;
        for (size_t i = count + 1; i-- > 0;) {
            bool stay = i < count && reached[i] && stays(elements[i], byte);
            reached[i] = stay || (i > 0 && reached[i - 1] && moves(elements[i - 1], byte));
        }
        pass_empty(elements, count, reached);
    }
    return reached[count];
}

/* --- mappings --- */

static bool attribute_matches(const struct authz_attribute_rule *rule,
                              const struct authz_subject *subject)
{
    for (size_t i = 0; i < subject->attribute_count; i++)
        if (strcasecmp(rule->type, subject->attributes[i].type) == 0 &&
            glob_match(rule->value, subject->attributes[i].value))
            return true;
    return false;
}

/* A SPIFFE id beside another URI is none: the X.509-SVID standard, section 2, has exactly one URI
 * in a certificate, and validators are to refuse others. */
static bool counts(const struct authz_subject *subject, size_t uri)
{
    static const char scheme[] = "spiffe://";
    return subject->san_uri_count == 1 ||
           strncasecmp(subject->san_uris[uri], scheme, strlen(scheme)) != 0;
}

static bool mapping_matches(const struct authz_mapping *mapping,
                            const struct authz_subject *subject)
{
    for (size_t i = 0; i < mapping->attribute_count; i++)
        if (!attribute_matches(&mapping->attributes[i], subject))
            return false;
    if (!mapping->san_uri)
        return true;
    for (size_t i = 0; i < subject->san_uri_count; i++)
        if (counts(subject, i) && authz_uri_match(mapping->san_uri, subject->san_uris[i]))
            return true;
    return false;
}

/* The unknown role names that certificates held, for the message. */
struct unknown {
    char text[AUTHZ_RULE_TEXT_MAX];
    size_t size;
};

static void note_unknown(struct unknown *unknown, const struct authz_attribute *attribute)
{
    size_t room = sizeof unknown->text - unknown->size;
    int size = snprintf(unknown->text + unknown->size, room, "%s%s=%.64s",
                        unknown->size ? ", " : "", attribute->type, attribute->value);
    if (size > 0 && (size_t)size < room)
        unknown->size += (size_t)size;
    else
        unknown->text[unknown->size] = '\0'; /* whole names only */
}

static bool add_role(struct authz_roles *out, const struct authz_role *role, struct error *err)
{
    for (size_t i = 0; i < out->count; i++)
        if (out->roles[i] == role)
            return true;
    if (out->count == AUTHZ_ROLES_MAX)
        return error_set(err, ERROR_LIMIT, "the certificate maps to more than %d roles",
                         AUTHZ_ROLES_MAX);
    out->roles[out->count++] = role;
    return true;
}

static bool add_named_roles(const struct authz_policy *policy, const char *type,
                            const struct authz_subject *subject, struct authz_roles *out,
                            struct unknown *unknown, struct error *err)
{
    for (size_t i = 0; i < subject->attribute_count; i++) {
        const struct authz_attribute *attribute = &subject->attributes[i];
        if (strcasecmp(attribute->type, type) != 0)
            continue;
        const struct authz_role *role = authz_policy_role(policy, attribute->value);
        if (!role)
            note_unknown(unknown, attribute);
        else if (!add_role(out, role, err))
            return false;
    }
    return true;
}

static bool add_roles(const struct authz_policy *policy, const struct authz_subject *subject,
                      struct authz_roles *out, struct unknown *unknown, struct error *err)
{
    for (size_t i = 0; i < policy->mapping_count; i++) {
        const struct authz_mapping *mapping = &policy->mappings[i];
        if (!mapping_matches(mapping, subject))
            continue;
        for (size_t r = 0; r < mapping->role_count; r++)
            if (!add_role(out, mapping->roles[r], err))
                return false;
        if (mapping->roles_from &&
            !add_named_roles(policy, mapping->roles_from, subject, out, unknown, err))
            return false;
    }
    return true;
}

void authz_role_alone(const struct authz_policy *policy, const char *name, struct authz_roles *out)
{
    *out = (struct authz_roles){.roles = {authz_policy_role(policy, name)}};
    out->count = out->roles[0] ? 1 : 0;
}

bool authz_map(const struct authz_policy *policy, const struct authz_subject *subject,
               struct authz_roles *out, struct error *err)
{
    struct unknown unknown = {.size = 0};
    out->count = 0;
    if (!add_roles(policy, subject, out, &unknown, err)) {
        out->count = 0;
        return false;
    }
    if (out->count > 0)
        return true;
    if (unknown.size > 0)
        return error_set(err, ERROR_DENIED,
                         "the certificate names no role that is configured (it has %s)",
                         unknown.text);
    return error_set(err, ERROR_DENIED, "no mapping gives this certificate a role");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* From roles to decisions. */
#include "authz/authz.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "authz/authz_policy.h"
#include "base/glob.h"
#include "base/utf8.h"

/* Names in texts are cut, so that a long one does not push out what the text says. */
#define NAME "%.80s"

/* A list of role names in a text, its NUL included. */
#define ROLE_LIST_MAX 120

/* The prefix by which MySQL and MariaDB let a schema be named by the raw name of its directory
 * (MySQL "Mapping of Identifiers to File Names"): a second name for every schema. MariaDB 10.11
 * refuses it in USE and at login; no role lets it through. */
#define RAW_NAME_PREFIX "#mysql50#"

/* --- texts --- */

/* The names in a text come from peers: it must stay one line of valid UTF-8, whatever they hold. */
static void clean_text(char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length;) {
        size_t size = utf8_sequence(text + i, length - i);
        bool control = (unsigned char)text[i] < 0x20 || text[i] == 0x7F;
        if (size == 0 || control)
            text[i] = '?';
        i += size ? size : 1;
    }
}

static void PRINTF_LIKE(2, 3) say(struct authz_decision *decision, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(decision->rule, sizeof decision->rule, format, arguments) < 0)
        decision->rule[0] = '\0';
    va_end(arguments);
    clean_text(decision->rule);
}

/* "a, b, …", as far as there is room; "none". */
static void list_roles(const struct authz_roles *roles, char text[ROLE_LIST_MAX])
{
    static const char more[] = ", and more";
    size_t size = 0;
    snprintf(text, ROLE_LIST_MAX, "%s", roles->count == 0 ? "none" : "");
    for (size_t i = 0; i < roles->count; i++) {
        size_t room = ROLE_LIST_MAX - sizeof more - size;
        int added =
            snprintf(text + size, room, "%s%s", size > 0 ? ", " : "", roles->roles[i]->name);
        if (added < 0 || (size_t)added >= room) {
            memcpy(text + size, more, sizeof more);
            return;
        }
        size += (size_t)added;
    }
}

/* --- matching --- */

static bool any_glob(const struct authz_globs *globs, const char *text)
{
    for (size_t i = 0; i < globs->count; i++)
        if (glob_match(globs->items[i], text))
            return true;
    return false;
}

/* Whether the database has the label with one of the rule's values. */
static bool label_matches(const struct authz_label_rule *rule, const struct authz_request *request)
{
    for (size_t i = 0; i < request->label_count; i++) {
        const struct authz_label *label = &request->labels[i];
        if (strcmp(label->name, rule->name) != 0)
            continue;
        for (size_t v = 0; v < label->value_count; v++)
            if (any_glob(&rule->values, label->values[v]))
                return true;
    }
    return false;
}

static bool database_allowed(const struct authz_rules *allow, const struct authz_request *request)
{
    if (allow->databases.count == 0 && allow->label_count == 0)
        return false;
    if (allow->databases.count > 0 && !any_glob(&allow->databases, request->database))
        return false;
    for (size_t i = 0; i < allow->label_count; i++)
        if (!label_matches(&allow->labels[i], request))
            return false;
    return true;
}

static bool user_allowed(const struct authz_rules *allow, const struct authz_request *request)
{
    return !request->mysql_user || any_glob(&allow->mysql_users, request->mysql_user);
}

static bool schema_allowed(const struct authz_rules *allow, const struct authz_request *request)
{
    return !request->schema || any_glob(&allow->schemas, request->schema);
}

/* --- deny rules --- */

static void lower_ascii(char *to, const char *from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        to[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] | 0x20 : from[i]);
    to[length] = '\0';
}

static bool schema_denied(const struct authz_role *role, const char *schema)
{
    char lower[AUTHZ_SCHEMA_MAX + 1];
    lower_ascii(lower, schema, strlen(schema)); /* checked by deny_any_role() */
    return any_glob(&role->deny.schemas, lower);
}

static bool deny_database(const struct authz_role *role, const struct authz_request *request,
                          struct authz_decision *out)
{
    if (any_glob(&role->deny.databases, request->database)) {
        say(out, "role " NAME " denies database " NAME, role->name, request->database);
        return true;
    }
    for (size_t i = 0; i < role->deny.label_count; i++) {
        if (label_matches(&role->deny.labels[i], request)) {
            say(out, "role " NAME " denies database " NAME " by its label " NAME, role->name,
                request->database, role->deny.labels[i].name);
            return true;
        }
    }
    return false;
}

static bool deny_role(const struct authz_role *role, const struct authz_request *request,
                      struct authz_decision *out)
{
    if (deny_database(role, request, out))
        return true;
    if (request->mysql_user && any_glob(&role->deny.mysql_users, request->mysql_user)) {
        say(out, "role " NAME " denies MySQL user " NAME, role->name, request->mysql_user);
        return true;
    }
    if (request->schema && schema_denied(role, request->schema)) {
        say(out, "role " NAME " denies schema " NAME, role->name, request->schema);
        return true;
    }
    return false;
}

/* Names that are denied whatever the roles say. */
static bool deny_name(const struct authz_request *request, struct authz_decision *out)
{
    if (request->mysql_user && strlen(request->mysql_user) > AUTHZ_MYSQL_USER_MAX) {
        say(out, "a MySQL user name has at most %d bytes", AUTHZ_MYSQL_USER_MAX);
        return true;
    }
    if (!request->schema)
        return false;
    if (strlen(request->schema) > AUTHZ_SCHEMA_MAX) {
        say(out, "a schema name has at most %d bytes", AUTHZ_SCHEMA_MAX);
        return true;
    }
    if (strncasecmp(request->schema, RAW_NAME_PREFIX, strlen(RAW_NAME_PREFIX)) == 0) {
        say(out, "schema names that begin with " RAW_NAME_PREFIX " are not allowed");
        return true;
    }
    return false;
}

static bool deny_any_role(const struct authz_roles *roles, const struct authz_request *request,
                          struct authz_decision *out)
{
    memset(out, 0, sizeof *out);
    if (deny_name(request, out))
        return true;
    for (size_t i = 0; i < roles->count; i++)
        if (deny_role(roles->roles[i], request, out))
            return true;
    return false;
}

/* --- decisions --- */

static uint64_t lesser_limit(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0)
        return a == 0 ? b : a;
    return a < b ? a : b;
}

static void tighten(struct authz_limits *limits, const struct authz_limits *by)
{
    limits->sessions = lesser_limit(limits->sessions, by->sessions);
    limits->idle_timeout_ms =
        (int64_t)lesser_limit((uint64_t)limits->idle_timeout_ms, (uint64_t)by->idle_timeout_ms);
    limits->session_lifetime_ms = (int64_t)lesser_limit((uint64_t)limits->session_lifetime_ms,
                                                        (uint64_t)by->session_lifetime_ms);
}

static void say_allowed(const struct authz_role *role, const struct authz_request *request,
                        struct authz_decision *out)
{
    const char *user = request->mysql_user;
    const char *schema = request->schema;
    say(out, "role " NAME " allows database " NAME "%s" NAME "%s" NAME, role->name,
        request->database, user ? ", MySQL user " : "", user ? user : "", schema ? ", schema " : "",
        schema ? schema : "");
}

/* How far the roles came, for the text of a denial. */
struct reach {
    bool database; /* a role allows the database */
    bool user;     /* one allows the MySQL user on it too */
    bool schema;   /* some role on the database allows the schema, but not to this user */
};

static bool role_allows(const struct authz_role *role, const struct authz_request *request,
                        struct reach *reach)
{
    if (!database_allowed(&role->allow, request))
        return false;
    bool user = user_allowed(&role->allow, request);
    bool schema = schema_allowed(&role->allow, request);
    reach->database = true;
    reach->user = reach->user || user;
    reach->schema = reach->schema || schema;
    return user && schema;
}

static void say_not_allowed(const struct authz_roles *roles, const struct authz_request *request,
                            const struct reach *reach, struct authz_decision *out)
{
    char names[ROLE_LIST_MAX];
    const char *user = request->mysql_user ? request->mysql_user : "";
    const char *schema = request->schema ? request->schema : "";
    list_roles(roles, names);
    if (!reach->database)
        say(out, "no role allows database " NAME " (roles: %s)", request->database, names);
    else if (!reach->user)
        say(out, "no role allows MySQL user " NAME " on database " NAME " (roles: %s)", user,
            request->database, names);
    else if (!reach->schema)
        say(out, "no role allows schema " NAME " on database " NAME " (roles: %s)", schema,
            request->database, names);
    else
        say(out, "no single role allows schema " NAME " to MySQL user " NAME " (roles: %s)", schema,
            user, names);
}

void authz_decide(const struct authz_roles *roles, const struct authz_request *request,
                  struct authz_decision *out)
{
    struct reach reach = {0};
    if (deny_any_role(roles, request, out))
        return;
    for (size_t i = 0; i < roles->count; i++) {
        const struct authz_role *role = roles->roles[i];
        if (!role_allows(role, request, &reach))
            continue;
        if (!out->allowed)
            say_allowed(role, request, out);
        out->allowed = true;
        tighten(&out->limits, &role->limits);
    }
    if (!out->allowed)
        say_not_allowed(roles, request, &reach, out);
}

/* --- features --- */

static const char *feature_text(enum authz_feature feature)
{
    switch (feature) {
    case AUTHZ_REPLICATION:
        return "replication";
    case AUTHZ_LOCAL_INFILE:
        return "LOCAL INFILE";
    default:
        return NULL;
    }
}

static bool deny_feature(const struct authz_roles *roles, enum authz_feature feature,
                         struct authz_decision *out)
{
    for (size_t i = 0; i < roles->count; i++) {
        if (roles->roles[i]->deny.features[feature]) {
            say(out, "role " NAME " denies %s", roles->roles[i]->name, feature_text(feature));
            return true;
        }
    }
    return false;
}

void authz_decide_feature(const struct authz_roles *roles, const struct authz_request *request,
                          enum authz_feature feature, struct authz_decision *out)
{
    struct authz_request whom = *request;
    struct reach reach = {0};
    char names[ROLE_LIST_MAX];
    whom.schema = NULL;
    if (deny_any_role(roles, &whom, out))
        return;
    if (!feature_text(feature)) {
        say(out, "there is no such feature");
        return;
    }
    if (deny_feature(roles, feature, out))
        return;
    for (size_t i = 0; i < roles->count; i++) {
        const struct authz_role *role = roles->roles[i];
        if (!role->allow.features[feature] || !role_allows(role, &whom, &reach))
            continue;
        if (!out->allowed)
            say(out, "role " NAME " allows %s", role->name, feature_text(feature));
        out->allowed = true;
        tighten(&out->limits, &role->limits);
    }
    list_roles(roles, names);
    if (!out->allowed)
        say(out, "no role allows %s on database " NAME " (roles: %s)", feature_text(feature),
            request->database, names);
}

/* --- any schema --- */

static bool allows_every_schema(const struct authz_rules *allow)
{
    for (size_t i = 0; i < allow->schemas.count; i++)
        if (strspn(allow->schemas.items[i], "*") == strlen(allow->schemas.items[i]))
            return true;
    return false;
}

bool authz_any_schema(const struct authz_roles *roles, const struct authz_request *request)
{
    struct authz_decision decision;
    struct authz_request whom = *request;
    struct reach reach = {0};
    bool every = false;
    whom.schema = NULL;
    if (!request->mysql_user || deny_any_role(roles, &whom, &decision))
        return false;
    for (size_t i = 0; i < roles->count; i++) {
        const struct authz_role *role = roles->roles[i];
        if (role->deny.schemas.count > 0)
            return false;
        every = every || (allows_every_schema(&role->allow) && role_allows(role, &whom, &reach));
    }
    return every;
}

const char *authz_role_name(const struct authz_role *role)
{
    return role->name;
}

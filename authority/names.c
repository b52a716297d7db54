/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/names.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "control/state_limits.h"

#define DNS_NAME_MAX  253 /* RFC 1035, 2.3.4 */
#define DNS_LABEL_MAX 63
#define SHOWN_COLUMNS 40
#define SHOWN_SIZE    256 /* a column may take several bytes */

static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
static const char capitals[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char digits[] = "0123456789";

/* isalnum() depends on the locale. */
static bool is_alphanumeric(char c)
{
    return c != '\0' && (strchr(letters, c) || strchr(capitals, c) || strchr(digits, c));
}

/* What somebody gave us, for a message. */
static const char *shown(const char *name, char out[SHOWN_SIZE])
{
    struct buffer buffer;
    buffer_init_fixed(&buffer, out, SHOWN_SIZE - 1);
    struct byte_writer writer = byte_writer(&buffer);
    printable_write(&writer, name, strlen(name), SHOWN_COLUMNS, NULL);
    out[buffer_length(&buffer)] = '\0';
    return out;
}

/* Whether it has 1 to `most` characters, all of them letters, digits or of `others`. */
static bool made_of(const char *name, size_t most, const char *others)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < length; i++)
        if (!is_alphanumeric(name[i]) && !strchr(others, name[i]))
            return false;
    return length >= 1 && length <= most;
}

static bool check_name(const char *what, const char *name, size_t most,
                       struct authority_refusal *refusal)
{
    char text[SHOWN_SIZE];
    if (made_of(name, most, "._-") && is_alphanumeric(name[0]))
        return true;
    return authority_refuse(refusal, CONTROL_INVALID,
                            "\"%s\" cannot be the name of a %s: 1 to %zu letters, digits, \".\", "
                            "\"_\" and \"-\", the first a letter or a digit",
                            shown(name, text), what, most);
}

bool authority_name_check(const char *what, const char *name, struct authority_refusal *refusal)
{
    return check_name(what, name, AUTHORITY_NAME_MAX, refusal);
}

bool authority_database_check(const char *name, struct authority_refusal *refusal)
{
    return check_name("database", name, AUTHORITY_DATABASE_MAX, refusal);
}

static bool stands_before(const char *const *texts, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(texts[i], text) == 0)
            return true;
    return false;
}

bool authority_roles_check(const char *const *roles, size_t count,
                           struct authority_refusal *refusal)
{
    if (count > AUTHORITY_ROLES_MAX)
        return authority_refuse(refusal, CONTROL_INVALID, "a bot has at most %d roles, not %zu",
                                AUTHORITY_ROLES_MAX, count);
    for (size_t i = 0; i < count; i++) {
        if (!authority_name_check("role", roles[i], refusal))
            return false;
        if (stands_before(roles, i, roles[i]))
            return authority_refuse(refusal, CONTROL_INVALID, "the role %s stands there twice",
                                    roles[i]);
    }
    return true;
}

bool authority_mysql_user_check(const char *user, struct authority_refusal *refusal)
{
    char text[SHOWN_SIZE];
    if (made_of(user, AUTHORITY_NAME_MAX, "._-$@%~!:"))
        return true;
    return authority_refuse(refusal, CONTROL_INVALID,
                            "no certificate is made for the MySQL user \"%s\": 1 to %d letters, "
                            "digits and any of . _ - $ @ %% ~ ! : are allowed (give the database "
                            "certificate files of its own)",
                            shown(user, text), AUTHORITY_NAME_MAX);
}

bool authority_trust_domain_check(const char *trust_domain, struct authority_refusal *refusal)
{
    char text[SHOWN_SIZE];
    if (made_of(trust_domain, AUTHORITY_TRUST_DOMAIN_MAX, ".-_") &&
        !trust_domain[strcspn(trust_domain, capitals)])
        return true;
    return authority_refuse(refusal, CONTROL_INVALID,
                            "\"%s\" cannot be a trust domain: 1 to %d lower-case letters, digits, "
                            "\".\", \"-\" and \"_\"",
                            shown(trust_domain, text), AUTHORITY_TRUST_DOMAIN_MAX);
}

/* Whether it can be shown as it is: all that base/printable.h would escape is refused. */
static bool is_plain(const char *text, size_t length)
{
    uint8_t storage[4 * AUTHORITY_REASON_MAX];
    struct buffer buffer;
    buffer_init_fixed(&buffer, storage, sizeof storage);
    struct byte_writer writer = byte_writer(&buffer);
    printable_write(&writer, text, length, 0, NULL);
    return buffer_length(&buffer) == length && memcmp(storage, text, length) == 0;
}

static size_t count_characters(const char *text, size_t length)
{
    size_t characters = 0;
    for (size_t at = 0; at < length; characters++)
        at += utf8_sequence(text + at, length - at);
    return characters;
}

bool authority_reason_check(const char *reason, struct authority_refusal *refusal)
{
    size_t length = strlen(reason);
    if (length >= 1 && utf8_valid(reason, length) &&
        count_characters(reason, length) <= AUTHORITY_REASON_MAX && is_plain(reason, length))
        return true;
    return authority_refuse(refusal, CONTROL_INVALID,
                            "a reason has 1 to %d characters of printable UTF-8",
                            AUTHORITY_REASON_MAX);
}

bool authority_identity_check(const char *name, struct authority_refusal *refusal)
{
    size_t length = strlen(name);
    if (length >= 1 && length <= CONTROL_STATE_NAME_MAX && utf8_valid(name, length) &&
        is_plain(name, length))
        return true;
    return authority_refuse(refusal, CONTROL_INVALID,
                            "a bot's name has 1 to %d bytes of printable UTF-8",
                            CONTROL_STATE_NAME_MAX);
}

/* Hosts. */

static bool is_label(const char *label, size_t length)
{
    if (length < 1 || length > DNS_LABEL_MAX || label[0] == '-' || label[length - 1] == '-')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_alphanumeric(label[i]) && label[i] != '-' && label[i] != '_')
            return false;
    return true;
}

static bool is_dns_name(const char *name)
{
    if (strlen(name) > DNS_NAME_MAX)
        return false;
    for (const char *at = name;;) {
        size_t length = strcspn(at, ".");
        if (!is_label(at, length))
            return false;
        if (!at[length])
            return strspn(at, digits) < length;
        at += length + 1;
    }
}

static void lower(const char *name, char out[STORE_HOST_SIZE])
{
    size_t length = strlen(name);
    for (size_t i = 0; i <= length; i++) {
        const char *capital = name[i] ? strchr(capitals, name[i]) : NULL;
        out[i] = capital ? letters[capital - capitals] : name[i];
    }
}

static bool read_address(const char *name, char out[STORE_HOST_SIZE])
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, name, &v4) == 1)
        return v4.s_addr != INADDR_ANY && inet_ntop(AF_INET, &v4, out, STORE_HOST_SIZE);
    if (inet_pton(AF_INET6, name, &v6) != 1 || IN6_IS_ADDR_UNSPECIFIED(&v6) ||
        IN6_IS_ADDR_V4MAPPED(&v6) || IN6_IS_ADDR_V4COMPAT(&v6))
        return false;
    return inet_ntop(AF_INET6, &v6, out, STORE_HOST_SIZE) != NULL;
}

static bool read_host(const char *name, char out[STORE_HOST_SIZE], bool *numeric,
                      struct authority_refusal *refusal)
{
    char text[SHOWN_SIZE];
    *numeric = read_address(name, out);
    if (*numeric)
        return true;
    if (!is_dns_name(name))
        return authority_refuse(refusal, CONTROL_INVALID,
                                "\"%s\" is neither the DNS name nor the IP address of a host "
                                "(wildcards are not allowed)",
                                shown(name, text));
    lower(name, out);
    return true;
}

bool authority_hosts_have(const struct authority_hosts *hosts, const char *name)
{
    for (size_t i = 0; i < hosts->count; i++)
        if (strcmp(hosts->names[i], name) == 0)
            return true;
    return false;
}

bool authority_hosts_read(const char *const *names, size_t count, struct authority_hosts *out,
                          struct authority_refusal *refusal)
{
    out->count = 0;
    if (count < 1 || count > AUTHORITY_HOSTS_MAX)
        return authority_refuse(refusal, CONTROL_INVALID,
                                "1 to %d DNS names or IP addresses are needed, not %zu",
                                AUTHORITY_HOSTS_MAX, count);
    for (size_t i = 0; i < count; i++) {
        char host[STORE_HOST_SIZE];
        bool numeric;
        if (!read_host(names[i], host, &numeric, refusal))
            return false;
        if (authority_hosts_have(out, host))
            continue;
        memcpy(out->names[out->count], host, sizeof host);
        out->numeric[out->count++] = numeric;
    }
    return true;
}

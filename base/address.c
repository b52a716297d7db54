/* SPDX-License-Identifier: Apache-2.0 */
#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define ADDRESS_UNIX_PREFIX "unix:"
#define ADDRESS_FORMS       "write HOST:PORT, [IPV6]:PORT or unix:/PATH"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_host_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_';
}

static bool parse_port(const char *text, uint16_t *port)
{
    uint32_t value = 0;
    size_t length = 0;
    for (; is_digit(text[length]) && length < 5; length++)
        value = value * 10 + (uint32_t)(text[length] - '0');
    if (length == 0 || text[length] != '\0' || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

static bool is_ipv4(const char *host)
{
    struct in_addr ignored;
    return inet_pton(AF_INET, host, &ignored) == 1;
}

static bool is_ipv6(const char *host)
{
    struct in6_addr ignored;
    return inet_pton(AF_INET6, host, &ignored) == 1;
}

/* Digits and dots alone can only be meant as an IPv4 address. */
static bool is_like_ipv4(const char *host)
{
    return strspn(host, "0123456789.") == strlen(host);
}

static bool parse_unix(const char *text, struct address *out, struct error *err)
{
    const char *path = text + strlen(ADDRESS_UNIX_PREFIX);
    size_t length = strlen(path);
    if (length == 0)
        return error_set(err, ERROR_MALFORMED, "'%s' names no path: write unix:/PATH", text);
    if (length >= sizeof out->path)
        return error_set(err, ERROR_MALFORMED,
                         "the socket path '%s' has %zu bytes; the system takes at most %zu: "
                         "choose a shorter one",
                         path, length, sizeof out->path - 1);
    *out = (struct address){.kind = ADDRESS_UNIX};
    memcpy(out->path, path, length + 1);
    return true;
}

static bool check_name(const char *text, const char *host, struct error *err)
{
    for (const char *at = host; *at != '\0'; at++) {
        if (*at == ':')
            return error_set(err, ERROR_MALFORMED,
                             "'%s': an IPv6 address needs brackets, e.g. [::1]:3306", text);
        if (!is_host_char(*at))
            return error_set(err, ERROR_MALFORMED, "'%s' is not an address: " ADDRESS_FORMS, text);
    }
    if (is_like_ipv4(host) && !is_ipv4(host))
        return error_set(err, ERROR_MALFORMED, "'%s': '%s' is not an IPv4 address", text, host);
    return true;
}

static bool check_host(const char *text, const char *host, bool brackets, struct error *err)
{
    if (brackets && !is_ipv6(host))
        return error_set(err, ERROR_MALFORMED, "'%s': '%s' is not an IPv6 address", text, host);
    return brackets || check_name(text, host, err);
}

/* Splits at the last colon, which also is the one behind a bracket. */
static bool parse_host(const char *text, struct address *out, struct error *err)
{
    const char *colon = strrchr(text, ':');
    if (!colon || strchr(colon, ']'))
        return error_set(err, ERROR_MALFORMED, "'%s' has no port: " ADDRESS_FORMS, text);
    size_t length = (size_t)(colon - text);
    const char *host = text;
    bool brackets = length >= 2 && text[0] == '[' && colon[-1] == ']';
    if (brackets) {
        host++;
        length -= 2;
    }
    if (length == 0 || length >= sizeof out->host)
        return error_set(err, ERROR_MALFORMED, "'%s' has %s host: " ADDRESS_FORMS, text,
                         length == 0 ? "no" : "too long a");
    struct address parsed = {.kind = ADDRESS_HOST};
    memcpy(parsed.host, host, length);
    if (!check_host(text, parsed.host, brackets, err))
        return false;
    if (!parse_port(colon + 1, &parsed.port))
        return error_set(err, ERROR_MALFORMED, "'%s': the port is not a number from 0 to 65535",
                         text);
    *out = parsed;
    return true;
}

bool address_parse(const char *text, struct address *out, struct error *err)
{
    if (strncmp(text, ADDRESS_UNIX_PREFIX, strlen(ADDRESS_UNIX_PREFIX)) == 0)
        return parse_unix(text, out, err);
    if (text[0] == '/')
        return error_set(err, ERROR_MALFORMED, "'%s': write unix:%s for a Unix socket", text, text);
    return parse_host(text, out, err);
}

const char *address_format(const struct address *address, char out[ADDRESS_TEXT_SIZE])
{
    int written;
    if (address->kind == ADDRESS_UNIX)
        written = snprintf(out, ADDRESS_TEXT_SIZE, ADDRESS_UNIX_PREFIX "%s", address->path);
    else if (strchr(address->host, ':'))
        written = snprintf(out, ADDRESS_TEXT_SIZE, "[%s]:%u", address->host, address->port);
    else
        written = snprintf(out, ADDRESS_TEXT_SIZE, "%s:%u", address->host, address->port);
    if (written < 0)
        out[0] = '\0';
    return out;
}

bool address_is_numeric(const struct address *address)
{
    return address->kind == ADDRESS_HOST && (is_ipv4(address->host) || is_ipv6(address->host));
}

bool address_is_local(const struct address *address)
{
    if (address->kind == ADDRESS_UNIX)
        return true;
    struct in_addr four;
    if (inet_pton(AF_INET, address->host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET;
    struct in6_addr six;
    return inet_pton(AF_INET6, address->host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

bool address_equals(const struct address *left, const struct address *right)
{
    return left->kind == right->kind && left->port == right->port &&
           strcmp(left->host, right->host) == 0 && strcmp(left->path, right->path) == 0;
}

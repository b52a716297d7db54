/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/probe_fault.h"

#include <stdio.h>

/*
 * Server error codes (MySQL 9.x "Server Error Message Reference", MariaDB "MariaDB Error Codes").
 * Past 3000 the two number apart: 3118 and 3955 are MySQL's, 4150 and 4151 MariaDB's, and neither
 * means anything else at a login of the other.
 */
static const struct {
    uint16_t code;
    enum probe_fault fault;
} errors[] = {
    {1045, PROBE_FAULT_ACCESS},           /* ER_ACCESS_DENIED_ERROR */
    {1698, PROBE_FAULT_ACCESS},           /* ER_ACCESS_DENIED_NO_PASSWORD_ERROR */
    {1130, PROBE_FAULT_HOST_NOT_ALLOWED}, /* ER_HOST_NOT_PRIVILEGED */
    {1129, PROBE_FAULT_HOST_BLOCKED},     /* ER_HOST_IS_BLOCKED */
    {1040, PROBE_FAULT_TOO_MANY},         /* ER_CON_COUNT_ERROR */
    {1203, PROBE_FAULT_TOO_MANY},         /* ER_TOO_MANY_USER_CONNECTIONS */
    {1226, PROBE_FAULT_TOO_MANY},         /* ER_USER_LIMIT_REACHED */
    {1049, PROBE_FAULT_SCHEMA_UNKNOWN},   /* ER_BAD_DB_ERROR */
    {1044, PROBE_FAULT_SCHEMA_DENIED},    /* ER_DBACCESS_DENIED_ERROR */
    {3118, PROBE_FAULT_LOCKED},           /* ER_ACCOUNT_HAS_BEEN_LOCKED, MySQL */
    {3955,
     PROBE_FAULT_LOCKED}, /* ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK */
    {4150, PROBE_FAULT_LOCKED},           /* ER_USER_IS_BLOCKED, MariaDB's max_password_errors */
    {4151, PROBE_FAULT_LOCKED},           /* ER_ACCOUNT_HAS_BEEN_LOCKED, MariaDB */
    {1820, PROBE_FAULT_PASSWORD_EXPIRED}, /* ER_MUST_CHANGE_PASSWORD */
    {1862, PROBE_FAULT_PASSWORD_EXPIRED}, /* ER_MUST_CHANGE_PASSWORD_LOGIN */
    {1251, PROBE_FAULT_PLUGIN},           /* ER_NOT_SUPPORTED_AUTH_MODE */
    {1524, PROBE_FAULT_PLUGIN},           /* ER_PLUGIN_IS_NOT_LOADED */
};

static const struct {
    const char *name;
    bool of_account;
    const char *advice; /* NULL: made by advise_with_names() */
} faults[PROBE_FAULT_COUNT] = {
    [PROBE_FAULT_NONE] = {"none", false, ""},
    [PROBE_FAULT_RESOLVE] =
        {"resolve", false,
         "Check the host in the database's \"address\", and this machine's name "
         "servers (getent hosts NAME)."},
    [PROBE_FAULT_REFUSED] = {"refused", false,
                             "Check the port in \"address\"; on the server, that it runs and that "
                             "bind_address is not 127.0.0.1 alone and skip_networking is off."},
    [PROBE_FAULT_UNREACHABLE] = {"unreachable", false,
                                 "Check the \"address\", this machine's routes, and firewalls on "
                                 "the way."},
    [PROBE_FAULT_DIAL_TIMEOUT] = {"dial_timeout", false,
                                  "Nothing answers there: check the \"address\", and that no "
                                  "firewall drops what this machine sends."},
    [PROBE_FAULT_SILENT] = {"silent", false,
                            "Something accepts the connection and says nothing: another service, a "
                            "load balancer without a server behind it, or a server that hangs. "
                            "Check the \"address\"; on the server, skip_name_resolve keeps it from "
                            "waiting for name servers."},
    [PROBE_FAULT_NOT_MYSQL] = {"not_mysql", false,
                               "Check the \"address\": what listens there is no MySQL or MariaDB "
                               "server, or a load balancer without one behind it."},
    [PROBE_FAULT_OLD_SERVER] = {"old_server", false,
                                "Servers from before MySQL 4.1 cannot be used. If yours is newer, "
                                "check the \"address\": something else answers there."},
    [PROBE_FAULT_NO_TLS] = {"no_tls", false,
                            "Set ssl_cert, ssl_key and ssl_ca on the server (`sallyport ca "
                            "sign-database` makes them), take away skip_ssl and an empty "
                            "tls_version, and restart it; when all is set, its error log says why "
                            "it could not read the files."},
    [PROBE_FAULT_SERVER_UNTRUSTED] = {"server_untrusted", false, NULL},
    [PROBE_FAULT_SERVER_NAME] = {"server_name", false, NULL},
    [PROBE_FAULT_SERVER_TIME] =
        {"server_time", false,
         "Install a certificate on the server that is valid now, then ALTER "
         "INSTANCE RELOAD TLS (MySQL) or FLUSH SSL (MariaDB); check this "
         "machine's clock."},
    [PROBE_FAULT_SERVER_CERTIFICATE] = {"server_certificate", false,
                                        "Make the server's certificate anew: P-256, P-384 or RSA "
                                        "from 2048 bits, signed with SHA-256 or better, for server "
                                        "authentication."},
    [PROBE_FAULT_OWN_CERTIFICATE] = {"own_certificate", false, NULL},
    [PROBE_FAULT_OWN_TIME] = {"own_time", false, NULL},
    [PROBE_FAULT_TLS] = {"tls", false,
                         "The server must speak TLS 1.2 or 1.3 with an ECDHE AES-GCM or ChaCha20 "
                         "suite: check its tls_version and ssl_cipher, and its error log."},
    [PROBE_FAULT_NOT_MINTED] = {"not_minted", true,
                                "The authority mints no certificate for this MySQL user: correct "
                                "the name where a role or --user names it; the authority's log "
                                "says more."},
    [PROBE_FAULT_PLUGIN] = {"plugin", true, NULL},
    [PROBE_FAULT_ACCESS] = {"access", true, NULL},
    [PROBE_FAULT_HOST_NOT_ALLOWED] = {"host_not_allowed", false,
                                      "No account of the server is for this host: make the account "
                                      "with the host part that the message names."},
    [PROBE_FAULT_HOST_BLOCKED] = {"host_blocked", false,
                                  "The server counted max_connect_errors broken connections from "
                                  "this host. Run FLUSH HOSTS there (MySQL 8.4 and later: TRUNCATE "
                                  "TABLE performance_schema.host_cache), and find what breaks off "
                                  "connections: health checks that only open the port do."},
    [PROBE_FAULT_TOO_MANY] =
        {"too_many_connections", true,
         "Raise max_connections (or the account's own limit) on the server, or "
         "limits.sessions of roles so that bots need fewer."},
    [PROBE_FAULT_SCHEMA_UNKNOWN] =
        {"schema_unknown", true,
         "Check the name given with --schema; letter case counts on most "
         "servers."},
    [PROBE_FAULT_SCHEMA_DENIED] = {"schema_denied", true, NULL},
    [PROBE_FAULT_LOCKED] = {"account_locked", true, NULL},
    [PROBE_FAULT_PASSWORD_EXPIRED] = {"password_expired", true, NULL},
    [PROBE_FAULT_SERVER_ERROR] = {"server_error", true,
                                  "These are the server's own words: its manual and its error log "
                                  "say more."},
    [PROBE_FAULT_TIMEOUT] = {"timeout", false,
                             "The server stopped answering: look at its load and its error log; "
                             "proxy.limits.upstream_timeout is how long Sallyport waits."},
    [PROBE_FAULT_PROTOCOL] = {"protocol", false,
                              "What answers does not keep to the MySQL protocol: check the "
                              "\"address\", and what stands between it and the server."},
    [PROBE_FAULT_LOST] = {"lost", false,
                          "The server broke off the connection: its error log says why. Right "
                          "after TLS it may be our certificate that it refused."},
    [PROBE_FAULT_LOCAL] = {"local", false, "It failed on this machine: free some memory."},
};

const char *probe_fault_name(enum probe_fault fault)
{
    return fault < PROBE_FAULT_COUNT ? faults[fault].name : "unknown";
}

enum probe_fault probe_fault_of_error(uint16_t code)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].code == code)
            return errors[i].fault;
    return PROBE_FAULT_SERVER_ERROR;
}

bool probe_fault_is_of_account(enum probe_fault fault)
{
    return fault == PROBE_FAULT_NONE || (fault < PROBE_FAULT_COUNT && faults[fault].of_account);
}

static int advise_untrusted(const struct probe_fault_place *place, char *out, size_t size)
{
    if (place->authority_ca)
        return snprintf(out, size,
                        "The authority's database-server CA has not signed the server's "
                        "certificate. Make one with `sallyport ca sign-database --host %s` and put "
                        "it in, or name the CA that has signed it in \"tls.ca\" of the database; "
                        "if it should be right, somebody else answers at this address.",
                        place->server_name);
    return snprintf(out, size, "%s",
                    "Put the CA that signed the server's certificate into the file that \"tls.ca\" "
                    "names; if that CA is right, somebody else answers at this address.");
}

static int advise_own_time(const struct probe_fault_place *place, char *out, size_t size)
{
    return snprintf(out, size,
                    "Certificates hold by the clock of whoever is shown them: set the server's "
                    "clock and this machine's right (run NTP on both). If both are right, %s.",
                    place->minted ? "look at the clock of the authority, which dates certificates "
                                    "back by a minute and no more"
                                  : "install a new certificate as \"tls.cert\"");
}

static int advise_with_names(enum probe_fault fault, const struct probe_fault_place *place,
                             char *out, size_t size)
{
    switch (fault) {
    case PROBE_FAULT_SERVER_UNTRUSTED:
        return advise_untrusted(place, out, size);
    case PROBE_FAULT_OWN_TIME:
        return advise_own_time(place, out, size);
    case PROBE_FAULT_SERVER_NAME:
        return snprintf(out, size,
                        "Set \"tls.server_name\" to a name that the certificate has, or make the "
                        "server's certificate anew with %s among its subject alternative names.",
                        place->server_name);
    case PROBE_FAULT_OWN_CERTIFICATE:
        return snprintf(out, size,
                        "The server's ssl_ca must hold the CA that signed our certificate, %s%s, "
                        "and the certificate (%s) must be valid there and made for client "
                        "authentication; then ALTER INSTANCE RELOAD TLS or FLUSH SSL.",
                        place->issuer,
                        place->minted ? " (sallyport ca export database-client)" : "",
                        place->subject);
    case PROBE_FAULT_ACCESS:
        return snprintf(out, size,
                        "The account %s must exist for the host in the message, with REQUIRE "
                        "SUBJECT '%s' AND ISSUER '%s', letter by letter%s. If it has a "
                        "password, name its file under \"passwords\".",
                        place->user, place->subject, place->issuer,
                        place->minted ? " (after a rotation of the database-client CA: ALTER USER)"
                                      : "");
    case PROBE_FAULT_PLUGIN:
        return snprintf(
            out, size,
            "Give the account %s a plugin that Sallyport speaks: mysql_native_password, "
            "caching_sha2_password, sha256_password, client_ed25519, parsec or "
            "mysql_clear_password.",
            place->user);
    case PROBE_FAULT_SCHEMA_DENIED:
        return snprintf(out, size, "Grant %s something on the schema %s, or check --schema.",
                        place->user, place->schema);
    case PROBE_FAULT_LOCKED:
        return snprintf(out, size,
                        "Run ALTER USER '%s' ACCOUNT UNLOCK there (with the account's host part); "
                        "after too many wrong passwords check the file under \"passwords\" first.",
                        place->user);
    default:
        return snprintf(out, size,
                        "Set a new password for %s, or PASSWORD EXPIRE NEVER, and write it to the "
                        "file under \"passwords\".",
                        place->user);
    }
}

void probe_fault_advice(enum probe_fault fault, const struct probe_fault_place *place, char *out,
                        size_t size)
{
    out[0] = '\0';
    if (fault >= PROBE_FAULT_COUNT)
        return;
    if (faults[fault].advice)
        (void)snprintf(out, size, "%s", faults[fault].advice);
    else
        (void)advise_with_names(fault, place, out, size);
}

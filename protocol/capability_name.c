/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/capability_name.h"

#include <stdio.h>

#define UNKNOWN_MEANING "unknown to this version of Sallyport: clients do without it"

struct words {
    const char *name;
    const char *masked;
};

static const struct words standard[CAPABILITY_BITS] = {
    [0] = {"LONG_PASSWORD", "nothing: every client since 4.1 has it"},
    [1] = {"FOUND_ROWS", "UPDATE counts changed rows, never matched ones"},
    [2] = {"LONG_FLAG", "column flags are cut to one byte"},
    [3] = {"CONNECT_WITH_DB", "no schema at login: send USE"},
    [4] = {"NO_SCHEMA", "schema.table.column stays allowed"},
    [5] = {"COMPRESS", "no zlib compression between client and proxy"},
    [6] = {"ODBC", "nothing: servers ignore it"},
    [7] = {"LOCAL_FILES", "LOAD DATA LOCAL is refused"},
    [8] = {"IGNORE_SPACE", "no space before a function's parenthesis"},
    [9] = {"PROTOCOL_41", "nothing works without it"},
    [10] = {"INTERACTIVE", "wait_timeout counts, not interactive_timeout"},
    [11] = {"SSL", "no in-band TLS on this listener"},
    [12] = {"IGNORE_SIGPIPE", "nothing: it is the client's own affair"},
    [13] = {"TRANSACTIONS", "no transaction state in answers"},
    [14] = {"RESERVED", "nothing: it has no meaning any more"},
    [15] = {"SECURE_CONNECTION", "nothing works without it"},
    [16] = {"MULTI_STATEMENTS", "one statement for each query"},
    [17] = {"MULTI_RESULTS", "no CALL of procedures with results"},
    [18] = {"PS_MULTI_RESULTS", "no prepared CALL with several results"},
    [19] = {"PLUGIN_AUTH", "mysql_native_password alone"},
    [20] = {"CONNECT_ATTRS", "program_name and the like do not reach the server"},
    [21] = {"PLUGIN_AUTH_LENENC", "a login's answer has at most 255 bytes"},
    [22] = {"EXPIRED_PASSWORDS", "an expired password ends the login"},
    [23] = {"SESSION_TRACK", "changes of session state are not told"},
    [24] = {"DEPRECATE_EOF", "result sets end in EOF packets, as before 5.7"},
    [25] = {"OPTIONAL_METADATA", "column definitions always come"},
    [26] = {"ZSTD_COMPRESSION", "no zstd compression between client and proxy"},
    [27] = {"QUERY_ATTRIBUTES", "mysql_query_attribute_string() has no value"},
    [28] = {"MULTI_FACTOR", "no second or third factor at login"},
    [29] = {"EXTENSION", "nothing: reserved for flags to come"},
    [30] = {"SSL_VERIFY_SERVER_CERT", "nothing: it is the client's own affair"},
    [31] = {"REMEMBER_OPTIONS", "nothing: it is the client's own affair"},
};

/* MariaDB's include/mysql_com.h: bits 32 and up of the whole. */
static const struct words mariadb_words[CAPABILITY_BITS] = {
    [0] = {"PROGRESS", "no progress reports of long statements"},
    [1] = {"COM_MULTI", "nothing: MariaDB took it back in 10.3"},
    [2] = {"STMT_BULK_OPERATIONS", "many rows go as many executes"},
    [3] = {"EXTENDED_METADATA", "no type names such as json, inet6 or point"},
    [4] = {"CACHE_METADATA", "column definitions come with every execute"},
    [5] = {"BULK_UNIT_RESULTS", "one result for a whole bulk, not for each row"},
};

struct capability_name capability_name(unsigned bit, bool mariadb)
{
    const struct words *table = mariadb ? mariadb_words : standard;
    const struct words *words = bit < CAPABILITY_BITS ? &table[bit] : NULL;
    struct capability_name out = {.masked = UNKNOWN_MEANING};
    if (words && words->name) {
        (void)snprintf(out.name, sizeof out.name, "%s", words->name);
        out.masked = words->masked;
    } else {
        (void)snprintf(out.name, sizeof out.name, "bit %u", mariadb ? CAPABILITY_BITS + bit : bit);
    }
    return out;
}

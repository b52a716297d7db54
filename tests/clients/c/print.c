/* SPDX-License-Identifier: Apache-2.0 */
#include "cases.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOWN_BYTES 60
/* A matter of time: not SERVER_QUERY_WAS_SLOW, which has no name in MariaDB's mysql_com.h. */
#define STATUS_FLAGS (~0x0800u)
#define FNV_START    UINT64_C(14695981039346656037)

/* FNV-1a, so that large values are compared without being printed. */
static uint64_t hash_more(uint64_t hash, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(1099511628211);
    return hash;
}

void print_value(const char *bytes, unsigned long length)
{
    if (bytes == NULL) {
        printf(" NULL");
        return;
    }
    if (length > SHOWN_BYTES) {
        printf(" <%lu bytes %016" PRIx64 ">", length, hash_more(FNV_START, bytes, length));
        return;
    }
    printf(" '");
    for (unsigned long i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte < 0x20 || byte > 0x7e)
            printf("\\x%02x", byte);
        else
            putchar(byte);
    }
    putchar('\'');
}

void print_error(MYSQL *mysql)
{
    printf("error %u %s %s\n", mysql_errno(mysql), mysql_sqlstate(mysql), mysql_error(mysql));
}

void print_call(MYSQL *mysql, const char *name, int failed)
{
    printf("%s %d\n", name, failed != 0);
    if (failed != 0)
        print_error(mysql);
}

void print_fields(MYSQL_RES *result)
{
    for (unsigned int i = 0; i < mysql_num_fields(result); i++) {
        MYSQL_FIELD *field = mysql_fetch_field_direct(result, i);
        printf("field %s|%s.%s|%s.%s|%s type %d charset %u flags %u length %lu decimals %u\n",
               field->catalog, field->db, field->table, field->org_table, field->name,
               field->org_name, (int)field->type, field->charsetnr, field->flags, field->length,
               field->decimals);
    }
}

static void print_rows(MYSQL *mysql, MYSQL_RES *result)
{
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(result)) != NULL) {
        unsigned long *lengths = mysql_fetch_lengths(result);
        printf("row");
        for (unsigned int i = 0; i < mysql_num_fields(result); i++)
            print_value(row[i], lengths[i]);
        putchar('\n');
    }
    if (mysql_errno(mysql) != 0)
        print_error(mysql);
}

void print_ok(MYSQL *mysql)
{
    const char *info = mysql_info(mysql);
    printf("ok affected %llu insert id %llu warnings %u status %04x info %s\n",
           (unsigned long long)mysql_affected_rows(mysql),
           (unsigned long long)mysql_insert_id(mysql), mysql_warning_count(mysql),
           mysql->server_status & STATUS_FLAGS, info == NULL ? "-" : info);
}

void print_results(MYSQL *mysql)
{
    int next = 0;
    do {
        MYSQL_RES *result = mysql_use_result(mysql);
        if (result != NULL) {
            print_fields(result);
            print_rows(mysql, result);
            printf("end warnings %u status %04x\n", mysql_warning_count(mysql),
                   mysql->server_status & STATUS_FLAGS);
            mysql_free_result(result);
        } else if (mysql_errno(mysql) != 0) {
            print_error(mysql);
        } else {
            print_ok(mysql);
        }
        next = mysql_next_result(mysql);
        if (next > 0)
            print_error(mysql);
    } while (next == 0);
}

void run(MYSQL *mysql, const char *statement)
{
    if (mysql_query(mysql, statement) != 0)
        print_error(mysql);
    else
        print_results(mysql);
}

void run_hashed(MYSQL *mysql, const char *statement)
{
    uint64_t hash = FNV_START;
    uint64_t bytes = 0;
    uint64_t rows = 0;
    MYSQL_ROW row;
    if (mysql_query(mysql, statement) != 0) {
        print_error(mysql);
        return;
    }
    MYSQL_RES *result = mysql_use_result(mysql);
    if (result == NULL)
        stop(mysql_error(mysql));
    while ((row = mysql_fetch_row(result)) != NULL) {
        unsigned long *lengths = mysql_fetch_lengths(result);
        for (unsigned int i = 0; i < mysql_num_fields(result); i++) {
            hash = hash_more(hash, row[i], lengths[i]);
            bytes += lengths[i];
        }
        rows++;
    }
    if (mysql_errno(mysql) != 0)
        print_error(mysql);
    printf("%" PRIu64 " rows %" PRIu64 " bytes %016" PRIx64 "\n", rows, bytes, hash);
    mysql_free_result(result);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_PACKET (128UL << 20)

const char *user;
struct place place;

void stop(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

void *must_allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL)
        stop("out of memory");
    return memory;
}

static void set(MYSQL *mysql, enum mysql_option option, const void *value)
{
    if (mysql_options(mysql, option, value) != 0)
        stop(mysql_error(mysql));
}

MYSQL *not_yet_connected(void (*configure)(MYSQL *mysql))
{
    MYSQL *mysql = mysql_init(NULL);
    if (mysql == NULL)
        stop("mysql_init failed");
    unsigned long largest = LARGEST_PACKET;
    set(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    set(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &largest);
    use_tls(mysql, getenv("CASES_TLS_CERT"), getenv("CASES_TLS_KEY"), getenv("CASES_TLS_CA"));
    if (configure != NULL)
        configure(mysql);
    return mysql;
}

MYSQL *connect_with(unsigned long flags, void (*configure)(MYSQL *mysql))
{
    MYSQL *mysql = not_yet_connected(configure);
    if (mysql_real_connect(mysql, place.host, user, "", "shop", place.port, place.socket, flags) ==
        NULL)
        stop(mysql_error(mysql));
    return mysql;
}

MYSQL *connect_now(void)
{
    return connect_with(CLIENT_MULTI_STATEMENTS | CLIENT_MULTI_RESULTS, NULL);
}

bool is_mariadb(MYSQL *mysql)
{
    return strstr(mysql_get_server_info(mysql), "MariaDB") != NULL;
}

static const struct client_case cases[] = {
    {"text", text_case},
    {"prepared", prepared_case},
    {"types", types_case},
    {"parameters", parameters_case},
    {"long-data", long_data_case},
    {"cursor", cursor_case},
    {"blobs", blobs_case},
    {"multi", multi_case},
    {"errors", errors_case},
    {"transactions", transactions_case},
    {"commands", commands_case},
    {"session-track", session_track_case},
    {"local-infile", local_infile_case},
    {"local-infile-off", local_infile_off_case},
    {"big-statement", big_statement_case},
    {"big-result", big_result_case},
    {"compression", compression_case},
    {"change-user", change_user_case},
    {"reset-connection", reset_connection_case},
    {"kill", kill_case},
    {"warnings", warnings_case},
    {"charsets", charsets_case},
    {"info", info_case},
    {"capabilities", capabilities_case},
    {NULL, NULL},
};

static bool chosen(const char *name, int count, char **names)
{
    for (int i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return count == 0;
}

static void run_cases(const struct client_case *list, int count, char **names)
{
    for (; list->name != NULL; list++) {
        if (!chosen(list->name, count, names))
            continue;
        printf("== %s\n", list->name);
        MYSQL *mysql = connect_now();
        list->run(mysql);
        mysql_close(mysql);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        stop("usage: cases HOST PORT USER [CASE ...]");
    if (argv[1][0] == '/')
        place.socket = argv[1];
    else
        place.host = argv[1];
    place.port = (unsigned int)strtoul(argv[2], NULL, 10);
    user = argv[3];
    /* Line by line, so that a crash of the library shows where. */
    if (setvbuf(stdout, NULL, _IOLBF, 0) != 0 || mysql_library_init(0, NULL, NULL) != 0)
        stop("the library does not start");
    run_cases(cases, argc - 4, argv + 4);
    run_cases(library_cases, argc - 4, argv + 4);
    mysql_library_end();
    return 0;
}

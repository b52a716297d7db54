/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cases of the client tests in C, for the libraries of MariaDB and of MySQL. ../README.md is
 * the contract: what is printed is what the server answered, and nothing that differs between two
 * runs (no times, no connection ids).
 *
 * Where the libraries differ, mariadb.c and mysql.c each hold one side; MARIADB_BASE_VERSION is
 * defined by MariaDB's mysql.h only.
 */
#ifndef CASES_H
#define CASES_H

#include <mysql.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef MARIADB_BASE_VERSION
typedef my_bool library_bool;
#else
typedef bool library_bool;
#endif

/* connection.c */

extern const char *user;

/* A host and a port, or a Unix socket. */
extern struct place {
    const char *host;
    const char *socket;
    unsigned int port;
} place;

/* Ends the program: what must not fail has failed. */
void stop(const char *what);
void *must_allocate(size_t size);

/* A handle with all options set; `configure`, unless NULL, sets further ones. */
MYSQL *not_yet_connected(void (*configure)(MYSQL *mysql));
/* Connects to where the command line and the environment say, with CLIENT_... flags. Failing ends
 * the program. */
MYSQL *connect_with(unsigned long flags, void (*configure)(MYSQL *mysql));
/* With several statements in one, as most cases want it. */
MYSQL *connect_now(void);
/* Makes the connection use TLS with the bot's certificate. Differs between the libraries. */
void use_tls(MYSQL *mysql, const char *certificate, const char *key, const char *authority);
bool is_mariadb(MYSQL *mysql);

/* print.c */

void print_value(const char *bytes, unsigned long length);
void print_error(MYSQL *mysql);
void print_fields(MYSQL_RES *result);
/* Prints every result of what was just sent. */
void print_results(MYSQL *mysql);
void print_ok(MYSQL *mysql);
/* Sends one text and prints every result. */
void run(MYSQL *mysql, const char *statement);
/* Runs a statement that prints one line for all its rows: counts and a hash. */
void run_hashed(MYSQL *mysql, const char *statement);
/* "name 0", or the error. */
void print_call(MYSQL *mysql, const char *name, int failed);

/* statements.c */

MYSQL_STMT *prepare(MYSQL *mysql, const char *text);
void check_statement(MYSQL_STMT *statement, int failed);
/* Executes, and prints every result, each value as text. */
void execute(MYSQL_STMT *statement);
void prepared_case(MYSQL *mysql);
void types_case(MYSQL *mysql);
void parameters_case(MYSQL *mysql);
void long_data_case(MYSQL *mysql);
void cursor_case(MYSQL *mysql);

/* text.c */

void text_case(MYSQL *mysql);
void blobs_case(MYSQL *mysql);
void multi_case(MYSQL *mysql);
void errors_case(MYSQL *mysql);
void transactions_case(MYSQL *mysql);
void commands_case(MYSQL *mysql);
void big_statement_case(MYSQL *mysql);
void big_result_case(MYSQL *mysql);
void warnings_case(MYSQL *mysql);
void charsets_case(MYSQL *mysql);
void info_case(MYSQL *mysql);
void capabilities_case(MYSQL *mysql);
void kill_case(MYSQL *mysql);

/* session.c */

void session_track_case(MYSQL *mysql);
void change_user_case(MYSQL *mysql);
void reset_connection_case(MYSQL *mysql);
void local_infile_case(MYSQL *mysql);
void local_infile_off_case(MYSQL *mysql);
void compression_case(MYSQL *mysql);
/* What a connection with other framing is told, short and long; closes it. */
void repeat_over(MYSQL *mysql);

/* mariadb.c or mysql.c */

struct client_case {
    const char *name;
    void (*run)(MYSQL *mysql);
};

/* The cases of one library only, ended by one without a name. */
extern const struct client_case library_cases[];

#endif

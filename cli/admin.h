/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands that administer an authority share: `sallyport bot|token|role|lock|ca VERB`.
 *
 * A command is a table of options and a table of verbs. admin_main() reads the command line, finds
 * the socket (cli/admin_socket.h), and runs the verb, which asks with admin_ask() and prints:
 *
 *     static int show(struct admin *admin)
 *     {
 *         cJSON *answer, *request = control_request("bot_show");
 *         bool built = request && control_put_text(request, "name", admin->arguments[0]);
 *         int code = admin_ask(admin, request, built, &answer);
 *         if (code != EXIT_DONE)
 *             return code;
 *         …
 *         control_free(answer);
 *         return admin_finish();
 *     }
 *
 * Everything that is said goes to standard output; errors go to standard error, with what to do
 * next. What an authority sends is its own: a key that is missing reads as empty, and no text
 * reaches a terminal but through cli/admin_table.h or cli/admin_json.h.
 */
#ifndef SALLYPORT_CLI_ADMIN_H
#define SALLYPORT_CLI_ADMIN_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cli/admin_socket.h"
#include "cli/admin_table.h"
#include "cli/exit.h"
#include "cli/terminal.h"
#include "control/frame.h"
#include "control/message.h"

#define ADMIN_TIMEOUT_MS    30000        /* from the request to its answer */
#define ADMIN_OPTIONS_MAX   20           /* of one command, without those that all have */
#define ADMIN_VALUES_MAX    64           /* of an option that may be given more than once */
#define ADMIN_ARGUMENTS_MAX 1            /* behind the verb */
#define ADMIN_ARGUMENT_MAX  4096         /* bytes of an argument or a value */
#define ADMIN_OUTPUT_MAX    (256U << 20) /* bytes of all that is printed */

/* The lines of every command's help for what all have. */
#define ADMIN_USAGE_COMMON                                                     \
    "Where the authority is; the first that is given:\n"                       \
    "      --socket PATH         its administration socket\n"                  \
    "  -c, --config FILE         the configuration of its `sallyport serve`\n" \
    "                            environment: SALLYPORT_ADMIN_SOCKET\n"        \
    "                            default: " ADMIN_SOCKET_DEFAULT "\n"          \
    "\n"                                                                       \
    "How it is shown:\n"                                                       \
    "  -o, --output FORMAT       table (default on a terminal) or json, one\n" \
    "                            object a line\n"                              \
    "  -h, --help                this text\n"                                  \
    "\n"

#define ADMIN_USAGE_CODES                                                             \
    "Colours can be turned off with NO_COLOR=1. Exit code: 0 done; 1 it failed, or\n" \
    "the authority refused it; 2 usage or configuration.\n"

struct admin_option {
    const char *name; /* "token-ttl", without dashes */
    int letter;       /* 'f', or 0 */
    bool flag;        /* takes no value */
    bool many;        /* may be given more than once */
};

struct admin_values {
    const char *items[ADMIN_VALUES_MAX]; /* of a flag: "" */
    size_t count;
};

struct admin;

struct admin_verb {
    const char *name;
    const char *argument; /* what stands behind it, "NAME"; NULL: nothing */
    bool may_lack;        /* the argument */
    uint32_t takes;       /* a bit for each option: ADMIN_TAKES(OPTION_ROLE) | … */
    int (*run)(struct admin *admin);
};

#define ADMIN_TAKES(option) (UINT32_C(1) << (option))

struct admin_command {
    const char *name; /* "bot" */
    const char *usage;
    const struct admin_option
        *options; /* those of all verbs; indexed by an enum of the command's */
    size_t option_count;
    const struct admin_verb *verbs;
    size_t verb_count;
};

struct admin {
    const struct admin_command *command;
    const struct admin_verb *verb;
    const char *argument; /* NULL: none was given */
    struct admin_values values[ADMIN_OPTIONS_MAX];
    char socket[ADMIN_SOCKET_SIZE];
    bool json;
    bool has_output; /* --output was given */
    struct terminal terminal;
    int64_t now_us;
};

/* argv[0] is the command's name. Returns the exit code. */
int admin_main(const struct admin_command *command, int argc, char **argv);

/* An option's value, or NULL. */
const char *admin_value(const struct admin *admin, size_t option);
bool admin_given(const struct admin *admin, size_t option);

/* Checks an option's duration, "1h", if it was given. Returns an exit code. */
int admin_check_duration(const struct admin *admin, size_t option);

/* exit_usage() for this command. */
#define admin_usage(admin, ...) exit_usage((admin)->command->name, __VA_ARGS__)

/*
 * Asks, and takes ownership of `request`; `built` false says that it could not be made, for want of
 * memory. EXIT_DONE: *answer is the caller's, to be freed with control_free(). Otherwise *answer is
 * NULL, and what is wrong has been said.
 */
int admin_ask(const struct admin *admin, cJSON *request, bool built, cJSON **answer);
/* The same in two parts: false leaves the saying to admin_failed(), with the same two. */
bool admin_try(const struct admin *admin, cJSON *request, bool built, cJSON **answer,
               struct control_failure *failure, struct error *err) MUST_USE;
int admin_failed(const struct admin *admin, const struct control_failure *failure,
                 const struct error *err);
/* A request without anything to it. */
int admin_ask_plain(const struct admin *admin, const char *name, cJSON **answer);
/* One with the verb's argument as its `key`. */
int admin_ask_argument(const struct admin *admin, const char *name, const char *key,
                       cJSON **answer);

/* --- what is in an answer --- */

/* "" when it is not there, or no text. */
const char *admin_text(const cJSON *object, const char *key);
bool admin_true(const cJSON *object, const char *key);
/* 0 when it is not there. */
uint64_t admin_number(const cJSON *object, const char *key);
/* Microseconds since 1970; 0 when it is not there, or no time. */
int64_t admin_time(const cJSON *object, const char *key);
/* The texts of a list with ", " between them; "" when there are none. What does not fit is cut and
 * ends in "…". Returns `out`. */
const char *admin_texts(const cJSON *object, const char *key, char *out, size_t size);
/* The list or object that the answer must have; otherwise false, and that has been said. */
bool admin_need(const cJSON *answer, const char *key, const cJSON **out);

/* --- printing --- */

/* A line, made harmless as a whole. */
void admin_say(const struct admin *admin, enum admin_colour colour, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* The same to standard error, for somebody else's words. */
void admin_complain(const char *prefix, const char *message);

/* Prints what is in the buffer to standard output, and releases it. Returns an exit code. */
int admin_print(struct buffer *out, bool made, const struct error *err);
/* One value as a line of JSON, or laid out. */
int admin_print_json(const cJSON *value);
/* Each element of a list as a line of JSON. */
int admin_print_json_each(const cJSON *list);
/* The table; releases it. */
int admin_print_table(const struct admin *admin, struct admin_table *table);
/* A document as it would be written in a file, its name first; -o json: a line. */
int admin_print_document(const struct admin *admin, cJSON *document);

/* --- verbs that are alike --- */

struct admin_listing {
    const char *request;
    const char *key;                                             /* of the list in the answer */
    const char *none;                                            /* what is said of an empty one */
    int (*print)(const struct admin *admin, const cJSON *items); /* as a table */
};

/* Runs a listing; `answer` is freed. */
int admin_list_answer(const struct admin *admin, const struct admin_listing *listing,
                      cJSON *answer);
int admin_list(const struct admin *admin, const struct admin_listing *listing);

/* Whether all that was printed went out: the exit code of what has gone well. */
int admin_finish(void);

#endif

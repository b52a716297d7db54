/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/admin.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/suggest.h"
#include "base/utf8.h"
#include "cli/admin_json.h"
#include "control/ask.h"
#include "control/fields.h"

/* --- the command line --- */

/* getopt's value for the command's option number 0; the letters are below. */
#define FIRST_OPTION 0x200

enum { OPTION_SOCKET = 0x100 };

/* The options that every command has. */
static const struct option common_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"socket", required_argument, NULL, OPTION_SOCKET},
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
};

#define COMMON_OPTIONS   (sizeof common_options / sizeof *common_options)
#define COMMON_LETTERS   ":c:o:h"
#define LONG_OPTIONS_MAX (COMMON_OPTIONS + ADMIN_OPTIONS_MAX + 1)
#define LETTERS_SIZE     (sizeof COMMON_LETTERS + 2 * (size_t)ADMIN_OPTIONS_MAX)

/* As getopt_long() wants them; all zero behind the last. */
struct getopt_tables {
    struct option options[LONG_OPTIONS_MAX];
    char letters[LETTERS_SIZE];
};

struct common {
    const char *config;
    const char *socket;
    const char *output;
    bool help;
};

static void make_tables(const struct admin_command *command, struct getopt_tables *tables)
{
    size_t used = strlen(COMMON_LETTERS);
    memset(tables, 0, sizeof *tables);
    memcpy(tables->options, common_options, sizeof common_options);
    memcpy(tables->letters, COMMON_LETTERS, used);
    for (size_t i = 0; i < command->option_count; i++) {
        const struct admin_option *option = &command->options[i];
        tables->options[COMMON_OPTIONS + i] =
            (struct option){option->name, option->flag ? no_argument : required_argument, NULL,
                            FIRST_OPTION + (int)i};
        if (!option->letter)
            continue;
        tables->letters[used++] = (char)option->letter;
        if (!option->flag)
            tables->letters[used++] = ':';
    }
}

/* The number of the command's option that getopt_long() means, or option_count. */
static size_t option_of(const struct admin_command *command, int key)
{
    if (key >= FIRST_OPTION)
        return (size_t)(key - FIRST_OPTION);
    for (size_t i = 0; i < command->option_count; i++)
        if (key > 0 && command->options[i].letter == key)
            return i;
    return command->option_count;
}

static int check_text(const struct admin *admin, const char *what, const char *text)
{
    size_t length = strlen(text);
    if (length > ADMIN_ARGUMENT_MAX)
        return admin_usage(admin, "%s is longer than %d bytes", what, ADMIN_ARGUMENT_MAX);
    if (!utf8_valid(text, length))
        return admin_usage(admin, "%s is not UTF-8", what);
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7F)
            return admin_usage(admin, "%s has a control character in it", what);
    return EXIT_DONE;
}

static int add_value(struct admin *admin, size_t number, const char *value)
{
    const struct admin_option *option = &admin->command->options[number];
    struct admin_values *values = &admin->values[number];
    char what[48];
    (void)snprintf(what, sizeof what, "--%s", option->name);
    if (option->flag) {
        values->count = 1;
        return EXIT_DONE;
    }
    if (!*value)
        return admin_usage(admin, "--%s is empty", option->name);
    if (values->count == ADMIN_VALUES_MAX)
        return admin_usage(admin, "--%s is given more than %d times", option->name,
                           ADMIN_VALUES_MAX);
    /* "--bot a --bot b" would lock only one of the two. */
    if (values->count == 1 && !option->many)
        return admin_usage(admin, "--%s is given twice", option->name);
    values->items[values->count++] = value;
    return check_text(admin, what, value);
}

static int unknown_option(const struct admin *admin, const struct getopt_tables *tables,
                          const char *word)
{
    char name[SUGGEST_LENGTH_LIMIT + 2];
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    struct suggestion nearest = suggestion_for(name);
    for (const struct option *option = tables->options; option->name; option++)
        suggestion_try(&nearest, option->name);
    if (nearest.name)
        return admin_usage(admin, "the option %s is not known: did you mean --%s?", word,
                           nearest.name);
    return admin_usage(admin, "the option %s is not known", word);
}

/* `word` is what getopt_long() was at; optopt is the option, or 0 for a long one that is unknown.
 */
static int refuse_option(const struct admin *admin, const struct getopt_tables *tables, int key,
                         const char *word)
{
    bool is_long = strncmp(word, "--", 2) == 0;
    if (key == ':')
        return admin_usage(admin, "%s needs a value", word);
    if (is_long && optopt != 0)
        return admin_usage(admin, "%.*s takes no value", (int)strcspn(word, "="), word);
    if (is_long)
        return unknown_option(admin, tables, word);
    return admin_usage(admin, "the option -%c is not known", optopt);
}

static int take_option(struct admin *admin, struct common *common, int key)
{
    size_t number = option_of(admin->command, key);
    if (key == 'c')
        common->config = optarg;
    else if (key == OPTION_SOCKET)
        common->socket = optarg;
    else if (key == 'o')
        common->output = optarg;
    else if (key == 'h')
        common->help = true;
    else if (number < admin->command->option_count)
        return add_value(admin, number, optarg);
    return EXIT_DONE;
}

static int parse_options(struct admin *admin, int argc, char **argv, struct common *common)
{
    struct getopt_tables tables;
    int code = EXIT_DONE;
    make_tables(admin->command, &tables);
    opterr = 0;
    optind = 0; /* getopt may have been used before */
    while (code == EXIT_DONE) {
        int key = getopt_long(argc, argv, tables.letters, tables.options, NULL);
        if (key == -1)
            break;
        if (key == '?' || key == ':')
            return refuse_option(admin, &tables, key, argv[optind - 1]);
        code = take_option(admin, common, key);
    }
    return code;
}

static int list_verbs(const struct admin *admin, const char *unknown)
{
    char verbs[256] = "";
    struct suggestion nearest = suggestion_for(unknown ? unknown : "");
    for (size_t i = 0; i < admin->command->verb_count; i++) {
        size_t used = strlen(verbs);
        suggestion_try(&nearest, admin->command->verbs[i].name);
        (void)snprintf(verbs + used, sizeof verbs - used, "%s%s", i > 0 ? ", " : "",
                       admin->command->verbs[i].name);
    }
    if (!unknown)
        return admin_usage(admin, "say what to do: %s", verbs);
    if (nearest.name)
        return admin_usage(admin, "\"%s\" is not known: did you mean \"%s\"? There are %s", unknown,
                           nearest.name, verbs);
    return admin_usage(admin, "\"%s\" is not known: there are %s", unknown, verbs);
}

/* What other programs call the same. */
static const char *verb_called(const char *word)
{
    static const struct {
        const char *alias, *verb;
    } aliases[] = {
        {"list", "ls"},    {"remove", "rm"}, {"delete", "rm"}, {"del", "rm"},
        {"create", "add"}, {"new", "add"},   {"get", "show"},
    };
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcmp(word, aliases[i].alias) == 0)
            return aliases[i].verb;
    return word;
}

static int find_verb(struct admin *admin, const char *word)
{
    const struct admin_command *command = admin->command;
    const char *called = verb_called(word);
    for (size_t i = 0; i < command->verb_count && !admin->verb; i++)
        if (strcmp(command->verbs[i].name, called) == 0)
            admin->verb = &command->verbs[i];
    return admin->verb ? EXIT_DONE : list_verbs(admin, word);
}

static int check_options(const struct admin *admin)
{
    for (size_t i = 0; i < admin->command->option_count; i++)
        if (admin->values[i].count > 0 && !(admin->verb->takes & ADMIN_TAKES(i)))
            return admin_usage(admin, "`%s %s` takes no --%s", admin->command->name,
                               admin->verb->name, admin->command->options[i].name);
    return EXIT_DONE;
}

/* The verb and its argument, which getopt_long() has moved to the end. */
static int parse_words(struct admin *admin, int argc, char **argv)
{
    if (optind >= argc)
        return list_verbs(admin, NULL);
    int code = find_verb(admin, argv[optind]);
    if (code != EXIT_DONE)
        return code;
    const struct admin_verb *verb = admin->verb;
    int left = argc - optind - 1;
    int most = verb->argument ? ADMIN_ARGUMENTS_MAX : 0;
    if (left > most)
        return admin_usage(admin, "\"%s\" is one argument too many", argv[optind + 1 + most]);
    if (left == 0 && verb->argument && !verb->may_lack)
        return admin_usage(admin, "`%s %s` needs its %s", admin->command->name, verb->name,
                           verb->argument);
    if (left > 0)
        admin->argument = argv[optind + 1];
    if (admin->argument && !*admin->argument)
        return admin_usage(admin, "the %s is empty", verb->argument);
    code = admin->argument ? check_text(admin, verb->argument, admin->argument) : EXIT_DONE;
    return code == EXIT_DONE ? check_options(admin) : code;
}

static int prepare(struct admin *admin, const struct common *common)
{
    struct error err = {0};
    if (common->socket && common->config)
        return admin_usage(admin, "give either --socket or --config, not both");
    if (common->socket && !*common->socket)
        return admin_usage(admin, "--socket is empty");
    admin->has_output = common->output != NULL;
    int code = terminal_output(admin->command->name, common->output, &admin->json);
    if (code == EXIT_DONE &&
        !admin_socket_find(common->socket, common->config, admin->socket, &err))
        return exit_with(&err);
    admin->terminal = terminal_read();
    admin->now_us = clock_wall_us();
    return code;
}

int admin_main(const struct admin_command *command, int argc, char **argv)
{
    struct admin admin = {.command = command};
    struct common common = {0};
    int code = parse_options(&admin, argc, argv, &common);
    if (code == EXIT_DONE && common.help)
        return fputs(command->usage, stdout) == EOF ? EXIT_FAILED : EXIT_DONE;
    if (code == EXIT_DONE)
        code = parse_words(&admin, argc, argv);
    if (code == EXIT_DONE)
        code = prepare(&admin, &common);
    if (code != EXIT_DONE)
        return code;
    /* `sallyport bot ls | head` ends with an error of the write, not by the signal. */
    (void)signal(SIGPIPE, SIG_IGN);
    return admin.verb->run(&admin);
}

const char *admin_value(const struct admin *admin, size_t option)
{
    return admin->values[option].count > 0 ? admin->values[option].items[0] : NULL;
}

bool admin_given(const struct admin *admin, size_t option)
{
    return admin->values[option].count > 0;
}

int admin_check_duration(const struct admin *admin, size_t option)
{
    int64_t milliseconds;
    struct error err = {0};
    const char *given = admin_value(admin, option);
    if (!given || duration_parse(given, &milliseconds, &err))
        return EXIT_DONE;
    return admin_usage(admin, "--%s: %s", admin->command->options[option].name, err.message);
}

/* --- asking --- */

#define OURSELVES "sallyport: "

/* What to do next, where the authority's message does not say it. */
static const char *next_step(enum control_code code)
{
    switch (code) {
    case CONTROL_UNKNOWN_REQUEST:
    case CONTROL_MALFORMED:
        return "The authority is of another version than this program: "
               "use the one that it runs as.";
    case CONTROL_NOT_ALLOWED:
        return "Run this as root, or as the user that the authority runs as.";
    case CONTROL_BUSY:
        return "Try again in a moment.";
    case CONTROL_UNKNOWN_BOT:
        return "`sallyport bot ls` lists the bots.";
    case CONTROL_INTERNAL:
        return "The authority's own log says more.";
    default:
        return NULL;
    }
}

/* Whether `COMMAND ls` lists what the verb's argument was not found among. */
static bool is_listed(const struct admin *admin, const char *message)
{
    const struct admin_command *command = admin->command;
    if (!admin->argument || strstr(message, "sallyport")) /* it says itself what to do */
        return false;
    for (size_t i = 0; i < command->verb_count; i++)
        if (strcmp(command->verbs[i].name, "ls") == 0)
            return true;
    return false;
}

void admin_complain(const char *prefix, const char *message)
{
    uint8_t room[ADMIN_TEXT_MAX];
    struct buffer line;
    const struct terminal plain = {0};
    buffer_init_fixed(&line, room, sizeof room);
    struct byte_writer out = byte_writer(&line);
    (void)admin_write_text(&out, &plain, ADMIN_PLAIN, prefix);
    (void)admin_write_text(&out, &plain, ADMIN_PLAIN, message);
    byte_writer_u8(&out, '\n');
    (void)fwrite(buffer_bytes(&line), 1, buffer_length(&line), stderr);
}

static int refused(const struct admin *admin, const struct control_failure *failure)
{
    const char *next = next_step(failure->code);
    admin_complain(OURSELVES, failure->message);
    if (next)
        (void)fprintf(stderr, "%s\n", next);
    else if (failure->code == CONTROL_NOT_FOUND && is_listed(admin, failure->message))
        (void)fprintf(stderr, "`sallyport %s ls` lists what there is.\n", admin->command->name);
    return failure->code == CONTROL_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

bool admin_try(const struct admin *admin, cJSON *request, bool built, cJSON **answer,
               struct control_failure *failure, struct error *err)
{
    *answer = NULL;
    *failure = (struct control_failure){0};
    bool asked =
        built ? admin_socket_check(admin->socket, geteuid(), err) &&
                    control_ask(admin->socket, request, ADMIN_TIMEOUT_MS, answer, failure, err)
              : error_set(err, ERROR_MEMORY, "out of memory");
    control_free(request);
    return asked;
}

int admin_failed(const struct admin *admin, const struct control_failure *failure,
                 const struct error *err)
{
    if (failure->code != CONTROL_NO_ERROR)
        return refused(admin, failure);
    admin_complain(OURSELVES, err->message);
    if (err->code == ERROR_MALFORMED || err->code == ERROR_LIMIT)
        admin_complain("Is that the socket of an authority? ", admin->socket);
    return EXIT_FAILED;
}

int admin_ask(const struct admin *admin, cJSON *request, bool built, cJSON **answer)
{
    struct control_failure failure;
    struct error err = {0};
    bool asked = admin_try(admin, request, built, answer, &failure, &err);
    return asked ? EXIT_DONE : admin_failed(admin, &failure, &err);
}

int admin_ask_plain(const struct admin *admin, const char *name, cJSON **answer)
{
    cJSON *request = control_request(name);
    return admin_ask(admin, request, request != NULL, answer);
}

int admin_ask_argument(const struct admin *admin, const char *name, const char *key, cJSON **answer)
{
    cJSON *request = control_request(name);
    bool built = request && control_put_text(request, key, admin->argument);
    return admin_ask(admin, request, built, answer);
}

/* --- what is in an answer --- */

const char *admin_text(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text ? text : "";
}

bool admin_true(const cJSON *object, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

uint64_t admin_number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) ||
        item->valuedouble > (double)CONTROL_ID_MAX)
        return 0;
    return (uint64_t)item->valuedouble;
}

int64_t admin_time(const cJSON *object, const char *key)
{
    int64_t wall_us = 0;
    struct error err;
    const char *text = admin_text(object, key);
    return *text && control_time_parse(text, &wall_us, &err) ? wall_us : 0;
}

const char *admin_texts(const cJSON *object, const char *key, char *out, size_t size)
{
    static const char more[] = "…";
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, key);
    const cJSON *items = cJSON_IsArray(list) ? list : NULL;
    const cJSON *item;
    size_t used = 0;
    out[0] = '\0';
    if (cJSON_IsString(list)) /* a single text is a list of one, as in the configuration */
        (void)snprintf(out, size, "%s", list->valuestring);
    cJSON_ArrayForEach(item, items)
    {
        const char *text = cJSON_IsString(item) ? item->valuestring : "?";
        if (used + strlen(text) + sizeof ", " + sizeof more > size) {
            (void)snprintf(out + used, size - used, "%s", used > 0 ? ", …" : more);
            break;
        }
        int length = snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", text);
        used += length > 0 ? (size_t)length : 0;
    }
    return out;
}

bool admin_need(const cJSON *answer, const char *key, const cJSON **out)
{
    *out = cJSON_GetObjectItemCaseSensitive(answer, key);
    if (cJSON_IsArray(*out) || cJSON_IsObject(*out))
        return true;
    (void)fprintf(stderr,
                  "sallyport: the authority's answer has no \"%s\": it is of another version "
                  "than this program\n",
                  key);
    return false;
}

/* --- printing --- */

void admin_say(const struct admin *admin, enum admin_colour colour, const char *format, ...)
{
    char text[4 * ADMIN_TEXT_MAX];
    struct buffer line;
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    buffer_init(&line, ADMIN_OUTPUT_MAX);
    struct byte_writer out = byte_writer(&line);
    (void)admin_write_text(&out, &admin->terminal, colour, text);
    byte_writer_u8(&out, '\n');
    (void)fwrite(buffer_bytes(&line), 1, buffer_length(&line), stdout);
    buffer_wipe(&line); /* it may have been a token */
    buffer_release(&line);
    explicit_bzero(text, sizeof text);
}

int admin_finish(void)
{
    struct error err = {0};
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_DONE;
    (void)error_system(&err, errno, "cannot print");
    return exit_with(&err);
}

int admin_print(struct buffer *out, bool made, const struct error *err)
{
    if (made)
        (void)fwrite(buffer_bytes(out), 1, buffer_length(out), stdout);
    buffer_wipe(out);
    buffer_release(out);
    return made ? admin_finish() : exit_with(err);
}

int admin_print_json(const cJSON *value)
{
    struct buffer out;
    struct error err = {0};
    buffer_init(&out, ADMIN_OUTPUT_MAX);
    return admin_print(&out, admin_json_line(value, &out, &err), &err);
}

int admin_print_json_each(const cJSON *list)
{
    const cJSON *item;
    struct buffer out;
    struct error err = {0};
    bool made = true;
    buffer_init(&out, ADMIN_OUTPUT_MAX);
    cJSON_ArrayForEach(item, list)
    {
        made = made && admin_json_line(item, &out, &err);
    }
    return admin_print(&out, made, &err);
}

/* The authority keeps its documents with sorted keys; people write the name first. */
static void put_name_first(cJSON *document)
{
    cJSON *name = cJSON_DetachItemFromObjectCaseSensitive(document, "name");
    if (name && !cJSON_InsertItemInArray(document, 0, name))
        cJSON_Delete(name);
}

int admin_print_document(const struct admin *admin, cJSON *document)
{
    struct buffer out;
    struct error err = {0};
    put_name_first(document);
    if (admin->json && admin->has_output)
        return admin_print_json(document);
    buffer_init(&out, ADMIN_OUTPUT_MAX);
    return admin_print(&out, admin_json_pretty(document, &out, &err), &err);
}

int admin_list_answer(const struct admin *admin, const struct admin_listing *listing, cJSON *answer)
{
    const cJSON *items;
    int code = EXIT_DONE;
    if (!admin_need(answer, listing->key, &items))
        code = EXIT_FAILED;
    else if (admin->json)
        code = admin_print_json_each(items);
    else if (!items->child)
        admin_say(admin, ADMIN_PLAIN, "%s", listing->none);
    else
        code = listing->print(admin, items);
    control_free(answer);
    return code;
}

int admin_list(const struct admin *admin, const struct admin_listing *listing)
{
    cJSON *answer;
    int code = admin_ask_plain(admin, listing->request, &answer);
    return code == EXIT_DONE ? admin_list_answer(admin, listing, answer) : code;
}

int admin_print_table(const struct admin *admin, struct admin_table *table)
{
    struct buffer out;
    struct error err = {0};
    buffer_init(&out, ADMIN_OUTPUT_MAX);
    bool made = admin_table_print(table, &admin->terminal, &out, &err);
    admin_table_release(table);
    return admin_print(&out, made, &err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/admin.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/admin_file.h"
#include "cli/admin_token.h"
#include "cli/ca_database.h"

/* --- the command line --- */

enum { OPTION_NAME, OPTION_MANY, OPTION_FLAG, OPTION_OTHER, OPTION_COUNT };

static const struct admin_option options[OPTION_COUNT] = {
    [OPTION_NAME] = {.name = "name", .letter = 'n'},
    [OPTION_MANY] = {.name = "many", .many = true},
    [OPTION_FLAG] = {.name = "flag", .flag = true},
    [OPTION_OTHER] = {.name = "other"},
};

static struct admin seen;
static size_t runs;

static int run(struct admin *admin)
{
    seen = *admin;
    runs++;
    return 42;
}

static const struct admin_verb verbs[] = {
    {.name = "ls", .takes = ADMIN_TAKES(OPTION_FLAG), .run = run},
    {.name = "show",
     .argument = "NAME",
     .takes = ADMIN_TAKES(OPTION_NAME) | ADMIN_TAKES(OPTION_MANY) | ADMIN_TAKES(OPTION_FLAG),
     .run = run},
    {.name = "maybe", .argument = "NAME", .may_lack = true, .run = run},
};

static const struct admin_command command = {
    .name = "thing",
    .usage = "the usage\n",
    .options = options,
    .option_count = OPTION_COUNT,
    .verbs = verbs,
    .verb_count = sizeof verbs / sizeof *verbs,
};

#define ARGUMENTS_MAX 80

static int parse(const char *const *words)
{
    char *argv[ARGUMENTS_MAX + 2] = {(char *)"thing"};
    int argc = 1;
    runs = 0;
    for (; *words; words++) {
        cr_assert_lt(argc, ARGUMENTS_MAX);
        argv[argc++] = (char *)*words;
    }
    return admin_main(&command, argc, argv);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

/* It is a usage error, and these words are in what is said. */
static void expect_refused(int code, const char *words)
{
    char text[4096] = "";
    fflush(stderr);
    FILE *stream = cr_get_redirected_stderr();
    size_t got = fread(text, 1, sizeof text - 1, stream);
    text[got] = '\0';
    cr_assert_eq(code, EXIT_USAGE, "exit %d: %s", code, text);
    cr_assert_eq(runs, 0);
    cr_assert_not_null(strstr(text, words), "\"%s\" is not in \"%s\"", words, text);
}

static void redirect(void)
{
    cr_redirect_stdout();
    cr_redirect_stderr();
    unsetenv(ADMIN_SOCKET_VARIABLE);
}

TestSuite(cli_admin, .init = redirect);

Test(cli_admin, reads_options_before_and_behind_the_verb)
{
    cr_assert_eq(PARSE("--many=a", "show", "-n", "x", "who", "--many", "b", "--flag", "--socket",
                       "/run/x.sock", "-o", "json"),
                 42);
    cr_assert_str_eq(seen.verb->name, "show");
    cr_assert_str_eq(seen.argument, "who");
    cr_assert_str_eq(admin_value(&seen, OPTION_NAME), "x");
    cr_assert_eq(seen.values[OPTION_MANY].count, 2);
    cr_assert_str_eq(seen.values[OPTION_MANY].items[1], "b");
    cr_assert(admin_given(&seen, OPTION_FLAG));
    cr_assert_null(admin_value(&seen, OPTION_OTHER));
    cr_assert_str_eq(seen.socket, "/run/x.sock");
    cr_assert(seen.json);
}

Test(cli_admin, an_argument_that_looks_like_an_option_stands_behind_two_dashes)
{
    cr_assert_eq(PARSE("show", "--", "-x"), 42);
    cr_assert_str_eq(seen.argument, "-x");
}

Test(cli_admin, an_argument_may_lack_where_the_verb_says_so)
{
    cr_assert_eq(PARSE("maybe"), 42);
    cr_assert_null(seen.argument);
}

Test(cli_admin, verbs_of_other_programs_are_understood)
{
    cr_assert_eq(PARSE("list"), 42);
    cr_assert_str_eq(seen.verb->name, "ls");
}

Test(cli_admin, a_slip_in_the_verb)
{
    expect_refused(PARSE("shwo", "x"), "did you mean \"show\"?");
}

Test(cli_admin, no_verb)
{
    expect_refused(PARSE("-o", "json"), "say what to do: ls, show, maybe");
}

Test(cli_admin, a_slip_in_an_option)
{
    expect_refused(PARSE("ls", "--flga"), "--flga is not known: did you mean --flag?");
}

Test(cli_admin, a_slip_in_an_option_with_a_value)
{
    expect_refused(PARSE("ls", "x", "--nmae=value"), "did you mean --name?");
}

Test(cli_admin, an_unknown_letter)
{
    expect_refused(PARSE("ls", "-zh"), "the option -z is not known");
}

Test(cli_admin, an_option_without_its_value)
{
    expect_refused(PARSE("show", "x", "--name"), "--name needs a value");
}

Test(cli_admin, a_flag_with_a_value)
{
    expect_refused(PARSE("ls", "--flag=yes"), "--flag takes no value");
}

Test(cli_admin, an_option_of_another_verb)
{
    expect_refused(PARSE("ls", "--name", "x"), "`thing ls` takes no --name");
}

Test(cli_admin, an_option_twice_that_would_count_once)
{
    expect_refused(PARSE("show", "x", "--name", "a", "--name", "b"), "--name is given twice");
}

Test(cli_admin, an_empty_value)
{
    expect_refused(PARSE("show", "x", "--name="), "--name is empty");
}

Test(cli_admin, control_characters_in_a_value)
{
    expect_refused(PARSE("show", "x", "--name", "a\nb"), "--name has a control character");
}

Test(cli_admin, an_argument_that_is_no_text)
{
    expect_refused(PARSE("show", "\xFF"), "NAME is not UTF-8");
}

Test(cli_admin, an_argument_too_few)
{
    expect_refused(PARSE("show"), "`thing show` needs its NAME");
}

Test(cli_admin, an_argument_too_many)
{
    expect_refused(PARSE("show", "a", "b"), "\"b\" is one argument too many");
}

Test(cli_admin, more_values_than_there_is_room_for)
{
    const char *words[ARGUMENTS_MAX] = {"show", "x"};
    for (size_t i = 0; i <= ADMIN_VALUES_MAX; i++)
        words[2 + i] = "--many=a";
    expect_refused(parse(words), "--many is given more than 64 times");
}

Test(cli_admin, an_output_that_is_none)
{
    expect_refused(PARSE("ls", "-o", "xml"), "neither table nor json");
}

Test(cli_admin, socket_and_configuration_at_once)
{
    expect_refused(PARSE("ls", "--socket", "a", "-c", "b"), "either --socket or --config");
}

Test(cli_admin, an_authority_that_is_not_there)
{
    cJSON *answer;
    cr_assert_eq(PARSE("ls", "--socket", "/nonexistent/admin.sock"), 42);
    int code = admin_ask_plain(&seen, "bot_list", &answer);
    char text[1024] = "";
    fflush(stderr);
    cr_assert_gt(fread(text, 1, sizeof text - 1, cr_get_redirected_stderr()), 0);
    cr_assert_eq(code, EXIT_FAILED);
    cr_assert_null(answer);
    cr_assert_not_null(strstr(text, "no authority is at /nonexistent/admin.sock"), "%s", text);
}

/* --- the socket --- */

static char directory[64];

static void make_directory(void)
{
    (void)snprintf(directory, sizeof directory, "/tmp/sallyport-cli-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    unsetenv(ADMIN_SOCKET_VARIABLE);
}

static void remove_directory(void)
{
    char shell[128];
    (void)snprintf(shell, sizeof shell, "rm -rf -- %s", directory);
    cr_assert_eq(system(shell), 0);
}

TestSuite(cli_admin_socket, .init = make_directory, .fini = remove_directory);

/* Good until the fourth call after it. */
static const char *path_of(const char *name)
{
    static char paths[4][128];
    static size_t next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static const char *configuration(const char *text)
{
    const char *path = path_of("serve.json");
    FILE *stream = fopen(path, "we");
    cr_assert_not_null(stream);
    cr_assert_geq(fputs(text, stream), 0);
    cr_assert_eq(fclose(stream), 0);
    return path;
}

static void expect_socket(const char *text, const char *expected)
{
    char out[ADMIN_SOCKET_SIZE];
    struct error err = {0};
    cr_assert(admin_socket_find(NULL, configuration(text), out, &err), "%s", err.message);
    cr_assert_str_eq(out, expected);
}

static void expect_no_socket(const char *text, const char *words)
{
    char out[ADMIN_SOCKET_SIZE];
    struct error err = {0};
    cr_assert_not(admin_socket_find(NULL, configuration(text), out, &err));
    cr_assert_eq(err.code, ERROR_CONFIG);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
}

Test(cli_admin_socket, is_where_the_configuration_says)
{
    expect_socket("{ // comment\n \"authority\": { \"admin_socket\": \"/run/a.sock\" } }",
                  "/run/a.sock");
    expect_socket("{ \"authority\": { \"admin_socket\": \"a.sock\", \"directory\": \"/x\" } }",
                  path_of("a.sock"));
    expect_socket("{ \"authority\": { \"directory\": \"state\" } }", path_of("state/admin.sock"));
    expect_socket("{ \"authority\": { \"directory\": \"/var/lib/a\" } }", "/var/lib/a/admin.sock");
}

Test(cli_admin_socket, the_rest_of_the_configuration_may_be_wrong)
{
    expect_socket("{ \"proxy\": 7, \"authority\": { \"admin_socket\": \"/a\", \"what\": {} } }",
                  "/a");
}

Test(cli_admin_socket, a_configuration_that_does_not_say_it)
{
    expect_no_socket("{ \"authority\": \n { ] }", "serve.json:2:4: ");
    expect_no_socket("{ \"proxy\": {} }", "has no \"authority\" to administer");
    expect_no_socket("{ \"authority\": {} }", "neither \"admin_socket\" nor \"directory\"");
    expect_no_socket("{ \"authority\": { \"directory\": 7 } }", "neither \"admin_socket\" nor");
    expect_no_socket("[]", "has no \"authority\"");
    expect_no_socket("", "serve.json:1:1: ");
}

Test(cli_admin_socket, a_configuration_that_is_not_there)
{
    char out[ADMIN_SOCKET_SIZE];
    struct error err = {0};
    cr_assert_not(admin_socket_find(NULL, "/nonexistent/serve.json", out, &err));
    cr_assert_eq(err.code, ERROR_CONFIG);
}

Test(cli_admin_socket, the_environment_comes_last_but_one)
{
    char out[ADMIN_SOCKET_SIZE];
    struct error err = {0};
    cr_assert(admin_socket_find(NULL, NULL, out, &err));
    cr_assert_str_eq(out, ADMIN_SOCKET_DEFAULT);
    setenv(ADMIN_SOCKET_VARIABLE, "/e.sock", 1);
    cr_assert(admin_socket_find(NULL, NULL, out, &err));
    cr_assert_str_eq(out, "/e.sock");
    cr_assert(admin_socket_find("/s.sock", NULL, out, &err));
    cr_assert_str_eq(out, "/s.sock");
}

Test(cli_admin_socket, a_path_that_is_too_long)
{
    static char path[2 * ADMIN_SOCKET_SIZE];
    char out[ADMIN_SOCKET_SIZE];
    struct error err = {0};
    memset(path, 'a', sizeof path - 1);
    cr_assert_not(admin_socket_find(path, NULL, out, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
}

static const char *make_socket(void)
{
    const char *path = path_of("a.sock");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    memcpy(address.sun_path, path, strlen(path));
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(close(fd), 0);
    return path;
}

/* Of a user that nobody is here. */
#define SOMEBODY 54321
#define ANOTHER  54322

Test(cli_admin_socket, ones_own_is_believed)
{
    struct error err = {0};
    cr_assert(admin_socket_check(make_socket(), getuid(), &err), "%s", err.message);
}

Test(cli_admin_socket, a_file_is_no_socket)
{
    struct error err = {0};
    cr_assert_not(admin_socket_check(configuration("x"), getuid(), &err));
    cr_assert_not_null(strstr(err.message, "is no socket"), "%s", err.message);
}

Test(cli_admin_socket, that_of_another_user_is_not_believed)
{
    struct error err = {0};
    const char *path = make_socket();
    if (getuid() != 0)
        cr_skip_test("only root can give a socket away");
    cr_assert_eq(chown(path, SOMEBODY, SOMEBODY), 0);
    cr_assert_not(admin_socket_check(path, ANOTHER, &err));
    cr_assert_eq(err.code, ERROR_DENIED);
    cr_assert(admin_socket_check(path, SOMEBODY, &err));
}

Test(cli_admin_socket, root_believes_another_users_only_where_nobody_else_could_have_put_it)
{
    struct error err = {0};
    const char *path = make_socket();
    if (getuid() != 0)
        cr_skip_test("only root can give a socket away");
    cr_assert_eq(chown(path, SOMEBODY, SOMEBODY), 0);
    cr_assert(admin_socket_check(path, 0, &err), "%s", err.message); /* the directory is root's */
    cr_assert_eq(chmod(directory, 01777), 0);
    cr_assert_not(admin_socket_check(path, 0, &err)); /* as /tmp */
    cr_assert_eq(chmod(directory, 0700), 0);
    cr_assert_eq(chown(directory, ANOTHER, ANOTHER), 0);
    cr_assert_not(admin_socket_check(path, 0, &err));
    cr_assert_eq(chown(directory, SOMEBODY, SOMEBODY), 0);
    cr_assert(admin_socket_check(path, 0, &err), "%s", err.message);
}

/* --- files --- */

TestSuite(cli_admin_file, .init = make_directory, .fini = remove_directory);

static void expect_content(const char *name, const char *expected)
{
    char text[256] = "";
    FILE *stream = fopen(path_of(name), "re");
    cr_assert_not_null(stream);
    cr_assert_eq(fread(text, 1, sizeof text - 1, stream), strlen(expected));
    (void)fclose(stream);
    cr_assert_str_eq(text, expected);
}

static size_t count_files(void)
{
    char shell[128];
    char text[32] = "";
    (void)snprintf(shell, sizeof shell, "ls -A %s | wc -l", directory);
    FILE *pipe = popen(shell, "re");
    cr_assert_not_null(pipe);
    cr_assert_not_null(fgets(text, sizeof text, pipe));
    (void)pclose(pipe);
    return strtoul(text, NULL, 10);
}

Test(cli_admin_file, is_there_with_its_last_byte_and_for_its_owner_alone)
{
    struct admin_file file;
    struct stat found;
    struct error err = {0};
    umask(0);
    cr_assert(admin_file_open(&file, directory, "t", ADMIN_FILE_SECRET, false, &err), "%s",
              err.message);
    cr_assert_neq(access(path_of("t"), F_OK), 0);
    cr_assert(admin_file_write(&file, "secret\n", 7, &err), "%s", err.message);
    expect_content("t", "secret\n");
    cr_assert_eq(stat(path_of("t"), &found), 0);
    cr_assert_eq(found.st_mode & 07777, 0600);
    cr_assert_eq(count_files(), 1);
}

Test(cli_admin_file, abandoned_leaves_nothing)
{
    struct admin_file file;
    struct error err = {0};
    cr_assert(admin_file_open(&file, directory, "t", ADMIN_FILE_SECRET, false, &err));
    admin_file_abandon(&file);
    admin_file_abandon(&file);
    cr_assert_eq(count_files(), 0);
}

Test(cli_admin_file, one_that_is_there_stays_unless_it_may_be_replaced)
{
    struct admin_file file;
    struct error err = {0};
    (void)configuration("old");
    cr_assert_not(admin_file_open(&file, directory, "serve.json", ADMIN_FILE_PUBLIC, false, &err));
    cr_assert_eq(err.code, ERROR_EXISTS);
    admin_file_abandon(&file);
    cr_assert(admin_file_open(&file, directory, "serve.json", ADMIN_FILE_PUBLIC, true, &err));
    expect_content("serve.json", "old");
    cr_assert(admin_file_write(&file, "new", 3, &err), "%s", err.message);
    expect_content("serve.json", "new");
    cr_assert_eq(count_files(), 1);
}

Test(cli_admin_file, one_that_came_meanwhile_stays)
{
    struct admin_file file;
    struct error err = {0};
    cr_assert(admin_file_open(&file, directory, "serve.json", ADMIN_FILE_PUBLIC, false, &err));
    (void)configuration("somebody else's");
    cr_assert_not(admin_file_write(&file, "ours", 4, &err));
    expect_content("serve.json", "somebody else's");
    cr_assert_eq(count_files(), 1);
}

Test(cli_admin_file, no_link_is_followed)
{
    struct admin_file file;
    struct error err = {0};
    char target[128];
    (void)snprintf(target, sizeof target, "%s/target", directory);
    cr_assert_eq(symlink(target, path_of("link")), 0);
    cr_assert_not(admin_file_open(&file, directory, "link", ADMIN_FILE_SECRET, false, &err));
    cr_assert_not(admin_file_open(&file, directory, "link", ADMIN_FILE_SECRET, true, &err));
    cr_assert_neq(access(target, F_OK), 0);
}

Test(cli_admin_file, a_full_disk_leaves_nothing)
{
    struct admin_file file;
    struct error err = {0};
    char bytes[4096] = {0};
    const struct rlimit little = {.rlim_cur = 1024, .rlim_max = 1024};
    cr_assert(admin_file_open(&file, directory, "t", ADMIN_FILE_SECRET, false, &err));
    cr_assert_neq(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
    cr_assert_not(admin_file_write(&file, bytes, sizeof bytes, &err));
    cr_assert_eq(err.code, ERROR_SYSTEM);
    cr_assert_not_null(strstr(err.message, path_of("t")), "%s", err.message);
    cr_assert_eq(count_files(), 0);
}

Test(cli_admin_file, a_directory_that_is_not_there)
{
    struct admin_file file;
    struct error err = {0};
    cr_assert_not(admin_file_open(&file, path_of("none"), "t", ADMIN_FILE_SECRET, false, &err));
    cr_assert_eq(err.code, ERROR_SYSTEM);
    cr_assert(admin_file_directory(path_of("made"), &err));
    cr_assert(admin_file_directory(path_of("made"), &err));
    cr_assert_not(admin_file_directory(configuration("x"), &err));
    cr_assert_eq(err.code, ERROR_EXISTS);
}

/* --- what is pasted --- */

static const char *shell_word(const char *word)
{
    static char out[64];
    cr_assert(admin_shell_word(word, out, sizeof out));
    return out;
}

Test(cli_admin, words_for_a_shell)
{
    cr_assert_str_eq(shell_word("authority.internal:3309"), "authority.internal:3309");
    cr_assert_str_eq(shell_word("sha256:ab12"), "sha256:ab12");
    cr_assert_str_eq(shell_word(""), "''");
    cr_assert_str_eq(shell_word("[::1]:3308"), "'[::1]:3308'");
    cr_assert_str_eq(shell_word("a b; rm -rf $HOME `x` \\"), "'a b; rm -rf $HOME `x` \\'");
    cr_assert_str_eq(shell_word("it's"), "'it'\\''s'");
}

Test(cli_admin, words_for_a_shell_mean_what_they_were)
{
    static const char *const words[] = {"a'b'c", "'", "''", "$(x)", "a\\'b", "*?[a]~", "!x", "-"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char line[256];
        char back[64] = "";
        (void)snprintf(line, sizeof line, "printf %%s %s", shell_word(words[i]));
        FILE *pipe = popen(line, "re");
        cr_assert_not_null(pipe);
        cr_assert_eq(fread(back, 1, sizeof back - 1, pipe), strlen(words[i]));
        cr_assert_eq(pclose(pipe), 0);
        cr_assert_str_eq(back, words[i]);
    }
}

Test(cli_admin, a_word_that_does_not_fit_is_not_cut)
{
    char out[8];
    cr_assert(admin_shell_word("1234567", out, sizeof out));
    cr_assert_not(admin_shell_word("12345678", out, sizeof out));
    cr_assert(admin_shell_word("a b c", out, sizeof out));
    cr_assert_not(admin_shell_word("a b cd", out, sizeof out));
    cr_assert_not(admin_shell_word("a'b c", out, sizeof out));
}

Test(cli_admin, texts_for_sql)
{
    char out[16];
    cr_assert(ca_database_sql_text("/CN=o'neil", out, sizeof out));
    cr_assert_str_eq(out, "/CN=o''neil");
    cr_assert_not(ca_database_sql_text("back\\slash", out, sizeof out));
    cr_assert_not(ca_database_sql_text("0123456789012345", out, sizeof out));
    cr_assert_not(ca_database_sql_text("01234567890123''", out, sizeof out));
}

/* --- what is in an answer --- */

Test(cli_admin, what_an_answer_lacks_reads_as_empty)
{
    char out[64];
    cJSON *object =
        cJSON_Parse("{\"text\":7,\"time\":\"yesterday\",\"number\":-1,\"list\":[1,\"a\"],"
                    "\"one\":\"x\",\"big\":1e300,\"flag\":1}");
    cr_assert_str_eq(admin_text(object, "text"), "");
    cr_assert_str_eq(admin_text(object, "none"), "");
    cr_assert_str_eq(admin_text(NULL, "none"), "");
    cr_assert_eq(admin_time(object, "time"), 0);
    cr_assert_eq(admin_number(object, "number"), 0);
    cr_assert_eq(admin_number(object, "big"), 0);
    cr_assert_not(admin_true(object, "flag"));
    cr_assert_str_eq(admin_texts(object, "list", out, sizeof out), "?, a");
    cr_assert_str_eq(admin_texts(object, "one", out, sizeof out), "x");
    cr_assert_str_eq(admin_texts(object, "number", out, sizeof out), "");
    cJSON_Delete(object);
}

Test(cli_admin, a_list_that_does_not_fit_says_so)
{
    char out[24];
    cJSON *object = cJSON_Parse("{\"list\":[\"aaaaaa\",\"bbbbbb\",\"cccccc\",\"dddddd\"]}");
    cr_assert_str_eq(admin_texts(object, "list", out, sizeof out), "aaaaaa, bbbbbb, …");
    cJSON_Delete(object);
}

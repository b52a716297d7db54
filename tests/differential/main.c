/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The differential test: random sequences of steps, taken on two equal servers, directly on one and
 * through Sallyport on the other, step by step; the first difference ends a sequence and is told
 * with its seed, its steps and both answers, with as few steps as still make it. See --help.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/differential/compare.h"
#include "tests/differential/grammar.h"
#include "tests/differential/state.h"

#define DEFAULT_SEED     1
#define PROGRESS_SECONDS 5
#define SHRINK_TRIES     400

struct options {
    struct generate_options generate;
    uint64_t base;
    bool single; /* --seed: one sequence of that very seed */
    unsigned long count;
    double seconds;
    unsigned long differences; /* after so many it ends */
    bool shrink;
    bool list; /* print the steps, take none */
};

static struct client direct = {.name = "direct", .host = "127.0.0.1"};
static struct client proxied = {.name = "proxied", .host = "127.0.0.1"};

static const char help[] =
    "usage: differential --direct PORT --direct-admin SOCKET --proxied PORT --proxied-admin "
    "SOCKET\n"
    "                    --user NAME [OPTION ...]\n\n"
    "Takes random sequences of steps on two equal servers and compares all answers. PORT is the\n"
    "server's own port for --direct and the tunnel's local port for --proxied; SOCKET is where "
    "root\n"
    "reaches each server. The schema shop of tests/integration/harness/database.py must be "
    "there.\n\n"
    "  --base N         seeds of the sequences are derived from N (default 1)\n"
    "  --seed N         one sequence, of this very seed (0x... or decimal)\n"
    "  --count N        how many sequences (default: no end, with --seconds)\n"
    "  --seconds S      for so long\n"
    "  --client KIND    raw, library or both (default)\n"
    "  --compress       some sequences over the compressed protocol\n"
    "  --no-huge        no packets around 16 MiB\n"
    "  --differences N  go on until N sequences differed (default 1)\n"
    "  --no-shrink      print the whole sequence, not the fewest steps that differ\n"
    "  --list           print the steps of --seed and take none (add --mysql for that grammar)\n"
    "  --trace          print each step before it is taken\n\n"
    "Exit codes: 0 no difference, 1 there was one, 2 usage, 3 the test could not run.\n";

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* One sequence from a clean state to the comparison of what it left behind. */
static bool sequence_differs(struct sequence *sequence, struct text *report)
{
    state_reset(&direct);
    state_reset(&proxied);
    bool differs = compare_sequence(&direct, &proxied, sequence, report);
    struct text one = {0}, other = {0};
    state_view(&direct, &one);
    state_view(&proxied, &other);
    if (!differs && !text_equal(&one, &other)) {
        differs = true;
        if (report != NULL) {
            text_print(report, "the state in the end differs\n--- direct\n");
            text_add(report, one.data, one.length);
            text_print(report, "--- proxied\n");
            text_add(report, other.data, other.length);
        }
    }
    text_free(&one);
    text_free(&other);
    return differs;
}

static size_t drop_range(struct sequence *sequence, size_t from, size_t length, bool *dropped)
{
    size_t count = 0;
    for (size_t i = from; i < from + length && i < sequence->count; i++) {
        struct step *step = &sequence->steps[i];
        dropped[i - from] = !step->dropped && !step->fixed;
        if (dropped[i - from]) {
            step->dropped = true;
            count++;
        }
    }
    return count;
}

/* Leaves out ever smaller runs of steps as long as a difference stays. */
static void shrink(struct sequence *sequence)
{
    unsigned int tries = 0;
    for (size_t length = sequence->count / 2; length > 0; length /= 2) {
        for (size_t from = 0; from < sequence->count && tries < SHRINK_TRIES; from += length) {
            bool dropped[STEP_MOST];
            if (drop_range(sequence, from, length, dropped) == 0)
                continue;
            tries++;
            if (sequence_differs(sequence, NULL))
                continue;
            for (size_t i = from; i < from + length && i < sequence->count; i++)
                if (dropped[i - from])
                    sequence->steps[i].dropped = false;
        }
    }
}

static bool run_seed(uint64_t seed, const struct options *options, size_t *steps)
{
    struct sequence *sequence = sequence_generate(seed, &options->generate);
    struct text report = {0};
    *steps += sequence->count;
    bool differs = sequence_differs(sequence, &report);
    if (differs) {
        printf("\nDIFFERENCE in seed 0x%016" PRIx64 "\n%.*s", seed, (int)report.length,
               report.data);
        fflush(stdout);
        if (options->shrink) {
            shrink(sequence);
            text_clear(&report);
            if (sequence_differs(sequence, &report))
                printf("\nthe fewest steps of seed 0x%016" PRIx64 " that differ:\n%.*s", seed,
                       (int)report.length, report.data);
            else
                printf("\nit does not always differ: seed 0x%016" PRIx64 "\n", seed);
        }
        fflush(stdout);
    }
    text_free(&report);
    sequence_free(sequence);
    return differs;
}

static void progress(unsigned long done, unsigned long differed, size_t steps, double start)
{
    printf("%lu sequences, %zu steps, %lu differed, %.0f s\n", done, steps, differed,
           now() - start);
    fflush(stdout);
}

static unsigned long run_all(const struct options *options)
{
    struct random seeds = {options->base};
    unsigned long done = 0, differed = 0;
    size_t steps = 0;
    double start = now(), told = start;
    while (differed < options->differences && (options->count == 0 || done < options->count) &&
           (options->seconds <= 0 || now() - start < options->seconds)) {
        uint64_t seed = options->single ? options->base : random_next(&seeds);
        differed += run_seed(seed, options, &steps);
        done++;
        if (now() - told >= PROGRESS_SECONDS) {
            told = now();
            progress(done, differed, steps, start);
        }
    }
    progress(done, differed, steps, start);
    return differed;
}

static void list_steps(const struct options *options)
{
    struct sequence *sequence = sequence_generate(options->base, &options->generate);
    struct text text = {0};
    for (size_t i = 0; i < sequence->count; i++) {
        text_print(&text, "%3zu ", i);
        step_print(&sequence->steps[i], &text);
    }
    printf("%.*s", (int)text.length, text.data);
    text_free(&text);
    sequence_free(sequence);
}

enum option_code {
    OPTION_DIRECT = 256,
    OPTION_DIRECT_ADMIN,
    OPTION_PROXIED,
    OPTION_PROXIED_ADMIN,
    OPTION_USER,
    OPTION_BASE,
    OPTION_SEED,
    OPTION_COUNT,
    OPTION_SECONDS,
    OPTION_CLIENT,
    OPTION_COMPRESS,
    OPTION_NO_HUGE,
    OPTION_DIFFERENCES,
    OPTION_NO_SHRINK,
    OPTION_LIST,
    OPTION_MYSQL,
    OPTION_TRACE,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"direct", required_argument, NULL, OPTION_DIRECT},
    {"direct-admin", required_argument, NULL, OPTION_DIRECT_ADMIN},
    {"proxied", required_argument, NULL, OPTION_PROXIED},
    {"proxied-admin", required_argument, NULL, OPTION_PROXIED_ADMIN},
    {"user", required_argument, NULL, OPTION_USER},
    {"base", required_argument, NULL, OPTION_BASE},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"client", required_argument, NULL, OPTION_CLIENT},
    {"compress", no_argument, NULL, OPTION_COMPRESS},
    {"no-huge", no_argument, NULL, OPTION_NO_HUGE},
    {"differences", required_argument, NULL, OPTION_DIFFERENCES},
    {"no-shrink", no_argument, NULL, OPTION_NO_SHRINK},
    {"list", no_argument, NULL, OPTION_LIST},
    {"mysql", no_argument, NULL, OPTION_MYSQL},
    {"trace", no_argument, NULL, OPTION_TRACE},
    {"help", no_argument, NULL, OPTION_HELP},
    {0},
};

static _Noreturn void usage(int code)
{
    fputs(help, code == 0 ? stdout : stderr);
    exit(code);
}

static unsigned long long number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 0);
    if (*text == '\0' || *end != '\0')
        usage(EXIT_USAGE);
    return value;
}

static void option_where(int option, const char *value)
{
    if (option == OPTION_DIRECT)
        direct.port = (unsigned int)number(value);
    else if (option == OPTION_PROXIED)
        proxied.port = (unsigned int)number(value);
    else if (option == OPTION_DIRECT_ADMIN)
        direct.admin_socket = value;
    else if (option == OPTION_PROXIED_ADMIN)
        proxied.admin_socket = value;
    else
        direct.user = proxied.user = value;
}

static void option_take(struct options *options, int option, const char *value)
{
    switch (option) {
    case OPTION_DIRECT:
    case OPTION_DIRECT_ADMIN:
    case OPTION_PROXIED:
    case OPTION_PROXIED_ADMIN:
    case OPTION_USER:
        option_where(option, value);
        break;
    case OPTION_BASE:
    case OPTION_SEED:
        options->base = number(value);
        options->single = option == OPTION_SEED;
        break;
    case OPTION_COUNT:
        options->count = (unsigned long)number(value);
        break;
    case OPTION_SECONDS:
        options->seconds = (double)number(value);
        break;
    case OPTION_CLIENT:
        options->generate.want_raw = strcmp(value, "library") != 0;
        options->generate.want_library = strcmp(value, "raw") != 0;
        break;
    case OPTION_COMPRESS:
        options->generate.compress = true;
        break;
    case OPTION_NO_HUGE:
        options->generate.huge = false;
        break;
    case OPTION_DIFFERENCES:
        options->differences = (unsigned long)number(value);
        break;
    case OPTION_NO_SHRINK:
        options->shrink = false;
        break;
    case OPTION_LIST:
        options->list = true;
        break;
    case OPTION_MYSQL:
        options->generate.flavour = FLAVOUR_MYSQL;
        break;
    case OPTION_TRACE:
        compare_trace = true;
        break;
    default:
        usage(option == OPTION_HELP ? 0 : EXIT_USAGE);
    }
}

static void options_read(struct options *options, int argc, char **argv)
{
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        option_take(options, option, optarg);
    if (optind != argc)
        usage(EXIT_USAGE);
    if (options->single && options->count == 0)
        options->count = 1;
    if (options->list)
        return;
    if (direct.port == 0 || proxied.port == 0 || direct.admin_socket == NULL ||
        proxied.admin_socket == NULL || direct.user == NULL ||
        (options->count == 0 && options->seconds <= 0))
        usage(EXIT_USAGE);
}

int main(int argc, char **argv)
{
    struct options options = {
        .generate = {FLAVOUR_MARIADB, .want_raw = true, .want_library = true, .huge = true},
        .base = DEFAULT_SEED,
        .differences = 1,
        .shrink = true,
    };
    options_read(&options, argc, argv);
    grammar_init();
    if (options.list) {
        list_steps(&options);
        return 0;
    }
    if (mysql_library_init(0, NULL, NULL) != 0)
        die("mysql_library_init failed");
    options.generate.flavour = state_create(&direct);
    if (state_create(&proxied) != options.generate.flavour)
        die("the two servers are not of one kind");
    if (strcmp(mysql_get_server_info(direct.admin), mysql_get_server_info(proxied.admin)) != 0)
        die("the two servers are not of one version");
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("server %s, base seed %" PRIu64 " (0x%" PRIx64 ")\n",
           mysql_get_server_info(direct.admin), options.base, options.base);
    unsigned long differed = run_all(&options);
    state_close(&direct);
    state_close(&proxied);
    mysql_library_end();
    return differed == 0 ? 0 : EXIT_DIFFERENT;
}

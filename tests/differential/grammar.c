/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/differential/grammar.h"

#include <inttypes.h>
#include <string.h>

#define GRAMMAR_NAMES     128
#define GRAMMAR_NAME_SIZE 24
#define HUGE_FRAME        16777215u

struct group {
    const char *name;
    size_t first;
    size_t count;
};

static struct group groups[GRAMMAR_NAMES];
static size_t group_count;

/* Values whose edges servers and relays get wrong. */
static const int64_t edges[] = {
    0,   1,     -1,    127,      128,        -128,        250,        251,       255,
    256, 65535, 65536, 16777215, 2147483647, -2147483648, 4294967295, INT64_MAX, INT64_MIN};

static const char *const words[] = {
    "",
    "a",
    "abc",
    "0",
    "12abc",
    "it''s",
    "x\\ny",
    "\\",
    "\"q\"",
    "%",
    "_",
    "NULL",
    "caf\xc3\xa9",
    "\xe2\x82\xac",
    "\xf0\x9f\x9a\xaa",
    "\xbf\x5c",
    "\x83\x5c",
    "\xe9",
    "\xff\xfe",
    "2024-02-30",
    "1e400",
    " trail ",
    "-- no",
    "/*no*/",
    "; no",
    "\\'",
    "\\\\",
    "one",
    "a,c",
    "{}",
    "[1]",
    "\xb2\xe2\xca\xd4",
};

static void value_int(struct random *random, struct text *out)
{
    int64_t value = random_percent(random, 30)
                        ? edges[random_below(random, sizeof edges / sizeof edges[0])]
                        : (int64_t)random_below(random, 2000) - 1000;
    /* The absolute value of the least one is no literal of a signed type: that is an edge too. */
    text_print(out, "%" PRId64, value);
}

static void value_string(struct random *random, struct text *out)
{
    text_add(out, "'", 1);
    if (random_percent(random, 60)) {
        const char *word = words[random_below(random, sizeof words / sizeof words[0])];
        text_add(out, word, strlen(word));
    } else {
        for (size_t left = random_below(random, 30); left > 0; left--)
            text_add_byte(out, (unsigned int)('a' + random_below(random, 26)));
    }
    text_add(out, "'", 1);
}

static void value_hex(struct random *random, struct text *out)
{
    text_add(out, "X'", 2);
    for (size_t left = random_below(random, 12); left > 0; left--)
        text_print(out, "%02X", (unsigned int)random_below(random, 256));
    text_add(out, "'", 1);
}

static void value_date(struct random *random, struct text *out)
{
    text_print(out, "'%04zu-%02zu-%02zu", 1 + random_below(random, 9999), random_below(random, 13),
               random_below(random, 32));
    if (random_percent(random, 60))
        text_print(out, " %02zu:%02zu:%02zu", random_below(random, 25), random_below(random, 61),
                   random_below(random, 60));
    if (random_percent(random, 30))
        text_print(out, ".%06zu", random_below(random, 1000000));
    text_add(out, "'", 1);
}

/* Any bytes at all, as a statement of a broken client. */
static void value_garbage(struct random *random, struct text *out)
{
    for (size_t left = random_below(random, 40); left > 0; left--)
        text_add_byte(out, (unsigned int)random_below(random, 256));
}

/* Text about as long as a packet may be, so that a statement crosses the border. */
static void value_frame(struct random *random, struct text *out)
{
    size_t length = HUGE_FRAME - 40 + random_below(random, 60);
    struct text block = {0};
    for (size_t i = 0; i < 4096; i++)
        text_add_byte(&block, (unsigned int)('a' + i % 26));
    for (size_t done = 0; done < length; done += 4096)
        text_add(out, block.data, length - done < 4096 ? length - done : 4096);
    text_free(&block);
}

/* A length at a border of the protocol's own encodings. */
static void value_length(struct random *random, struct text *out)
{
    static const unsigned int lengths[] = {0,     1,     2,     10,    100,  249,  250,
                                           251,   252,   253,   255,   256,  4000, 16379,
                                           16384, 65534, 65535, 65536, 70000};
    text_print(out, "%u", lengths[random_below(random, sizeof lengths / sizeof lengths[0])]);
}

static void value_digit(struct random *random, struct text *out)
{
    text_print(out, "%zu", random_below(random, 10));
}

static void value_small(struct random *random, struct text *out)
{
    text_print(out, "%zu", random_below(random, 25));
}

static void value_float(struct random *random, struct text *out)
{
    text_print(out, "%zu.%zue%d", random_below(random, 10), random_below(random, 100000),
               (int)random_below(random, 40) - 20);
}

static const struct {
    const char *name;
    void (*make)(struct random *random, struct text *out);
} values[] = {
    {"int", value_int},       {"str", value_string},      {"hex", value_hex},
    {"date", value_date},     {"garbage", value_garbage}, {"frame", value_frame},
    {"length", value_length}, {"digit", value_digit},     {"small", value_small},
    {"float", value_float},
};

static const struct group *group_find(const char *name, size_t length)
{
    for (size_t i = 0; i < group_count; i++)
        if (strlen(groups[i].name) == length && memcmp(groups[i].name, name, length) == 0)
            return &groups[i];
    return NULL;
}

static bool value_expand(struct random *random, const char *name, size_t length, struct text *out)
{
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (strlen(values[i].name) == length && memcmp(values[i].name, name, length) == 0) {
            values[i].make(random, out);
            return true;
        }
    }
    return false;
}

static const struct rule *rule_choose(struct random *random, enum flavour flavour,
                                      const struct group *group, unsigned int depth)
{
    const struct rule *rules = grammar_rules + group->first;
    unsigned int total = 0;
    if (depth >= GRAMMAR_DEPTH)
        return &rules[0];
    for (size_t i = 0; i < group->count; i++)
        total += rules[i].flavours & flavour ? rules[i].weight : 0;
    size_t at = random_below(random, total);
    for (size_t i = 0; i < group->count; i++) {
        unsigned int weight = rules[i].flavours & flavour ? rules[i].weight : 0;
        if (at < weight)
            return &rules[i];
        at -= weight;
    }
    return &rules[0];
}

static void group_expand(struct random *random, enum flavour flavour, const char *name,
                         size_t length, unsigned int depth, struct text *out);

static void rule_expand(struct random *random, enum flavour flavour, const char *text,
                        unsigned int depth, struct text *out)
{
    const char *open;
    while ((open = strchr(text, '~')) != NULL) {
        const char *close = strchr(open + 1, '~');
        if (close == NULL)
            die("the grammar has an odd ~ in: %s", text);
        text_add(out, text, (size_t)(open - text));
        group_expand(random, flavour, open + 1, (size_t)(close - open - 1), depth + 1, out);
        text = close + 1;
    }
    text_add(out, text, strlen(text));
}

static void group_expand(struct random *random, enum flavour flavour, const char *name,
                         size_t length, unsigned int depth, struct text *out)
{
    if (value_expand(random, name, length, out))
        return;
    const struct group *group = group_find(name, length);
    if (group == NULL)
        die("the grammar has no rule ~%.*s~", (int)length, name);
    rule_expand(random, flavour, rule_choose(random, flavour, group, depth)->text, depth, out);
}

void grammar_expand(struct random *random, enum flavour flavour, const char *name, struct text *out)
{
    group_expand(random, flavour, name, strlen(name), 0, out);
}

static void names_check(const char *text)
{
    const char *open;
    struct random random = {1};
    struct text ignored = {0};
    while ((open = strchr(text, '~')) != NULL) {
        const char *close = strchr(open + 1, '~');
        if (close == NULL)
            die("the grammar has an odd ~ in: %s", text);
        size_t length = (size_t)(close - open - 1);
        if (group_find(open + 1, length) == NULL &&
            !value_expand(&random, open + 1, length, &ignored))
            die("the grammar has no rule ~%.*s~", (int)length, open + 1);
        text = close + 1;
    }
    text_free(&ignored);
}

void grammar_init(void)
{
    group_count = 0;
    for (size_t i = 0; i < grammar_rule_count; i++) {
        const char *name = grammar_rules[i].name;
        if (group_count > 0 && strcmp(groups[group_count - 1].name, name) == 0) {
            groups[group_count - 1].count++;
            continue;
        }
        if (group_find(name, strlen(name)) != NULL)
            die("the grammar's rules of ~%s~ do not stand together", name);
        if (group_count == GRAMMAR_NAMES)
            die("the grammar has more than %d names", GRAMMAR_NAMES);
        groups[group_count++] = (struct group){.name = name, .first = i, .count = 1};
    }
    for (size_t i = 0; i < grammar_rule_count; i++)
        names_check(grammar_rules[i].text);
}

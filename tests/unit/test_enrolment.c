/* SPDX-License-Identifier: Apache-2.0 */
/* What may be set about joining, in the configurations of `sallyport tunnel` and `identity`. */
#include "identity/enrolment.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tunnel/identity_config.h"
#include "tunnel/settings.h"

#define PIN       "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define AUTHORITY "\"authority\":{\"address\":\"a.internal:3309\",\"ca_pin\":\"" PIN "\"}"
#define TOKEN     "sallyport-join-1.0123456789abcdef.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

/* Two tunnels, with further keys each and at the top (with a leading comma, or ""). */
static const char *tunnels(const char *first, const char *second, const char *top)
{
    static char text[2048];
    (void)snprintf(text, sizeof text,
                   "{\"tunnels\":[{\"name\":\"a\",\"listen\":\"127.0.0.1:1\",\"proxy\":\"p:1\","
                   "\"database\":\"d\",\"identity\":\"/i/1\"%s},{\"name\":\"b\",\"listen\":"
                   "\"127.0.0.1:2\",\"proxy\":\"p:1\",\"database\":\"d\",\"identity\":\"/i/1\"%s}]"
                   "%s}",
                   first, second, top);
    return text;
}

static void load(const char *text, struct tunnel_config *config)
{
    struct error err = {0};
    cr_assert(tunnel_config_load_text(text, "/etc/s", config, &err), "%s: %s", text, err.message);
}

static void expect_wrong(const char *text, const char *words)
{
    struct tunnel_config config;
    struct error err = {0};
    cr_assert_not(tunnel_config_load_text(text, "/etc/s", &config, &err), "%s", text);
    cr_assert_eq(err.code, ERROR_CONFIG);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
    cr_assert_eq(strncmp(err.message, "configuration:1:", 16), 0, "%s", err.message);
}

Test(enrolment, without_an_authority_something_else_renews)
{
    struct tunnel_config config;
    load(tunnels("", "", ""), &config);
    cr_assert_not(config.tunnels[0].enrolment.has_authority);
    tunnel_config_release(&config);
}

Test(enrolment, the_authority_at_the_top_is_for_all)
{
    struct tunnel_config config;
    load(tunnels("", "", "," AUTHORITY), &config);
    for (size_t i = 0; i < 2; i++) {
        const struct enrolment *enrolment = &config.tunnels[i].enrolment;
        cr_assert(enrolment->has_authority);
        cr_assert_str_eq(enrolment->authority.address.host, "a.internal");
        cr_assert_eq(enrolment->authority.address.port, 3309);
        cr_assert_str_eq(enrolment->authority.server_name, "a.internal");
        cr_assert_eq(enrolment->authority.pin[1], 0x11);
        cr_assert(enrolment_takes_token(enrolment));
    }
    tunnel_config_release(&config);
}

Test(enrolment, what_one_tunnel_says_holds_for_its_identity)
{
    struct tunnel_config config;
    load(tunnels("", "," AUTHORITY ",\"join\":\"token\",\"bot\":\"ci-1\"", ""), &config);
    const struct enrolment *enrolment = &config.tunnels[0].enrolment;
    cr_assert(enrolment->has_authority);
    cr_assert_str_eq(enrolment->join, "/etc/s/token");
    cr_assert_str_eq(enrolment->bot, "ci-1");
    cr_assert_eq(enrolment->authority.pin[1], 0x11);
    cr_assert_not(enrolment_takes_token(enrolment));
    struct renewal_settings settings = enrolment_renewal(enrolment);
    cr_assert_str_eq(settings.join_file, "/etc/s/token");
    cr_assert_not_null(settings.pin);
    tunnel_config_release(&config);
}

Test(enrolment, a_copy_owns_its_text)
{
    struct tunnel_config config;
    struct tunnel_settings copy;
    struct error err = {0};
    load(tunnels("," AUTHORITY ",\"join\":\"token\"", "", ""), &config);
    cr_assert(tunnel_settings_copy(&config.tunnels[0], &copy, &err), "%s", err.message);
    tunnel_config_release(&config);
    cr_assert_str_eq(copy.enrolment.join, "/etc/s/token");
    cr_assert_str_eq(copy.enrolment.authority.server_name, "a.internal");
    tunnel_settings_release(&copy);
}

Test(enrolment, contradictions_and_gaps_are_found)
{
    expect_wrong(tunnels("," AUTHORITY ",\"join\":\"x\"", ",\"join\":\"y\"", ""),
                 "has the same identity and says otherwise");
    expect_wrong(tunnels("," AUTHORITY, ",\"authority\":{\"address\":\"b:1\"}", ""),
                 "has the same identity and says otherwise");
    expect_wrong(tunnels(",\"join\":\"x\"", "", ""), "joining needs an authority");
    expect_wrong(tunnels(",\"bound_key\":\"x\",\"bot\":\"b\"", "", ""), "needs an authority");
    expect_wrong(tunnels(",\"join\":\"x\",\"bound_key\":\"y\",\"bot\":\"b\"", "", "," AUTHORITY),
                 "either with a token or with its bound_key");
    expect_wrong(tunnels(",\"bound_key\":\"y\"", "", "," AUTHORITY), "whose key is it?");
    expect_wrong(tunnels(",\"join\":\"" TOKEN "\"", "", "," AUTHORITY), "takes the name of a file");
    expect_wrong(tunnels("", "", ",\"authority\":{\"address\":\"unix:/x\"}"), "HOST:PORT");
    expect_wrong(tunnels("", "", ",\"authority\":{\"address\":\"a:0\"}"), "HOST:PORT");
    expect_wrong(tunnels("", "", ",\"authority\":{\"address\":\"a:1\",\"ca_pin\":\"sha256:12\"}"),
                 "64 digits");
    expect_wrong(tunnels("", "", ",\"authority\":{}"), "address");
}

/* Tokens of standard input and the environment. */

static struct join_token token_of(const char *text)
{
    struct join_token token = {0};
    strcpy(token.text, text);
    return token;
}

Test(enrolment, a_token_is_for_the_only_identity_that_can_take_it)
{
    struct tunnel_config config;
    struct error err = {0};
    struct join_token token = token_of(TOKEN);
    load(tunnels("", "", "," AUTHORITY), &config);
    cr_assert(tunnel_config_take_token(&config, &token, &err), "%s", err.message);
    cr_assert_str_eq(config.token_for->identity, "/i/1");
    tunnel_config_release(&config);
    load(tunnels(",\"join\":\"x\"", "", "," AUTHORITY), &config);
    cr_assert(tunnel_config_take_token(&config, &token, &err), "%s", err.message);
    cr_assert_null(config.token);
    tunnel_config_release(&config);
}

Test(enrolment, a_token_is_not_for_two_identities)
{
    struct tunnel_config config;
    struct error err = {0};
    struct join_token token = token_of(TOKEN);
    char text[2048];
    (void)snprintf(text, sizeof text, "%s", tunnels("", "", "," AUTHORITY));
    char *second = strstr(strstr(text, "/i/1") + 4, "/i/1");
    second[3] = '2';
    load(text, &config);
    cr_assert_not(tunnel_config_take_token(&config, &token, &err));
    cr_assert_not_null(strstr(err.message, "'a' and 'b' have two identities"), "%s", err.message);
    tunnel_config_release(&config);
}

/* Flags. */

static bool from_flags(struct tunnel_flags flags, struct error *err)
{
    struct tunnel_config config;
    flags.proxy = "p:1";
    flags.database = "d";
    flags.listen = "127.0.0.1:0";
    flags.identity = "/i/1";
    bool loaded = tunnel_config_from_flags(&flags, &config, err);
    if (loaded) {
        cr_assert(config.tunnels[0].enrolment.has_authority);
        tunnel_config_release(&config);
    }
    return loaded;
}

Test(enrolment, flags_say_the_same)
{
    struct error err = {0};
    cr_assert(
        from_flags((struct tunnel_flags){.authority = "a:1", .ca_pin = PIN, .join = "x"}, &err),
        "%s", err.message);
    cr_assert(from_flags(
                  (struct tunnel_flags){
                      .authority = "a:1", .authority_name = "n", .bound_key = "k", .bot = "b"},
                  &err),
              "%s", err.message);
    cr_assert_not(from_flags((struct tunnel_flags){.join = "x"}, &err));
    cr_assert_not_null(strstr(err.message, "--authority HOST:PORT is missing"), "%s", err.message);
    cr_assert_not(from_flags((struct tunnel_flags){.authority = "a:1", .join = TOKEN}, &err));
    cr_assert_not_null(strstr(err.message, "--join takes the name of a file"), "%s", err.message);
    cr_assert_null(strstr(err.message, "AAAA"), "the token is not shown");
}

/* `sallyport identity`. */

static void expect_identity_wrong(const char *text, const char *words)
{
    struct identity_config config;
    struct error err = {0};
    cr_assert_not(identity_config_load_text(text, "/etc/s", &config, &err), "%s", text);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
}

Test(enrolment, identities_have_a_configuration_of_their_own)
{
    struct identity_config config;
    struct error err = {0};
    cr_assert(identity_config_load_text("{\"identities\":[{\"directory\":\"ci-1\",\"join\":\"t\","
                                        "\"run\":[\"/bin/reload\",\"a b\"]}]," AUTHORITY "}",
                                        "/etc/s", &config, &err),
              "%s", err.message);
    cr_assert_str_eq(config.identities[0].directory, "/etc/s/ci-1");
    cr_assert_eq(config.identities[0].run.count, 2);
    cr_assert_str_eq(config.identities[0].run.items[1], "a b");
    identity_config_release(&config);
    expect_identity_wrong("{\"identities\":[{\"directory\":\"x\"}]}", "who issues it?");
    expect_identity_wrong("{\"identities\":[{\"directory\":\"x\"},{\"directory\":\"x\"}]," AUTHORITY
                          "}",
                          "is another identity's directory already");
    expect_identity_wrong("{\"identities\":[]," AUTHORITY "}", "identities");
}

Test(enrolment, identity_flags_say_the_same)
{
    char *const run[] = {(char[]){"reload"}, (char[]){"--now"}, NULL};
    struct identity_config config;
    struct error err = {0};
    struct identity_flags flags = {.authority = "a:1", .identity = "/i/1", .run = run};
    cr_assert(identity_config_from_flags(&flags, &config, &err), "%s", err.message);
    cr_assert_eq(config.identities[0].run.count, 2);
    cr_assert_str_eq(config.identities[0].run.items[1], "--now");
    identity_config_release(&config);
    flags.join = TOKEN;
    cr_assert_not(identity_config_from_flags(&flags, &config, &err));
    cr_assert_not_null(strstr(err.message, "every user of this machine"), "%s", err.message);
    flags = (struct identity_flags){.identity = "/i/1"};
    cr_assert_not(identity_config_from_flags(&flags, &config, &err));
    flags = (struct identity_flags){.authority = "a:1"};
    cr_assert_not(identity_config_from_flags(&flags, &config, &err));
}

/* The page of `sallyport identity`, which is read from the root of the tree. */

static char page_of_identities[64 * 1024];

static void read_page(void)
{
    FILE *file = fopen("docs/identity.md", "r");
    cr_assert_not_null(file);
    size_t length = fread(page_of_identities, 1, sizeof page_of_identities - 1, file);
    page_of_identities[length] = '\0';
    cr_assert_eq(fclose(file), 0);
}

static void has_row(void *context, const struct config_row *row)
{
    char wanted[CONFIG_NAME_SIZE + 64];
    const char *fallback = row->field->required ? "*required*" : "";
    (void)snprintf(wanted, sizeof wanted, "\n| `%s` | %s | %s", row->path, row->type, fallback);
    cr_expect_not_null(strstr(page_of_identities, wanted), "docs/identity.md lacks: %s",
                       wanted + 1);
    ++*(size_t *)context;
}

Test(enrolment, the_page_of_identities_has_each_key_and_no_other)
{
    size_t rows = 0, keys = 0;
    read_page();
    config_table_visit(&identity_config_table, has_row, &rows);
    for (const char *at = page_of_identities; (at = strstr(at, "\n| `")); at++)
        keys++;
    cr_assert_gt(rows, 14);
    cr_assert_eq(keys, rows);
}

Test(enrolment, the_example_of_identities_is_accepted)
{
    struct identity_config config;
    struct error err = {0};
    read_page();
    char *example = strstr(page_of_identities, "```jsonc\n");
    cr_assert_not_null(example);
    example += strlen("```jsonc\n");
    char *end = strstr(example, "```");
    cr_assert_not_null(end);
    *end = '\0';
    cr_assert(identity_config_load_text(example, "/etc/s", &config, &err), "%s", err.message);
    cr_assert_eq(config.identity_count, 2);
    identity_config_release(&config);
}

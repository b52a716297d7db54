/* SPDX-License-Identifier: Apache-2.0 */
/* Documents as `role apply` brings them: what is taken, what is refused and in which words. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "authority/document.h"
#include "tests/unit/authority_support.h"

TestSuite(authority_document, .init = home_enter, .fini = home_leave);

/* JSON with ' for ". */
static cJSON *json(const char *text)
{
    char *copy = strdup(text);
    for (char *at = copy; *at; at++)
        if (*at == '\'')
            *at = '"';
    cJSON *tree = cJSON_Parse(copy);
    cr_assert_not_null(tree, "%s", copy);
    free(copy);
    return tree;
}

static bool try_apply(const char *text, bool prune, bool dry_run, cJSON **answer)
{
    cJSON *documents = json(text);
    const struct authority_apply apply = {documents, prune, dry_run, now_us};
    refusal = (struct authority_refusal){0};
    failure = (struct error){0};
    bool done = authority_documents_apply(store, &apply, answer, &refusal, &failure);
    cJSON_Delete(documents);
    return done;
}

/* What the answer lists under a key: "role a,mapping b". */
static const char *listed(const cJSON *answer, const char *key)
{
    static char out[4096];
    const cJSON *item;
    size_t used = 0;
    out[0] = '\0';
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(answer, key))
    {
        used += (size_t)snprintf(out + used, sizeof out - used, "%s%s %s", used ? "," : "",
                                 cJSON_GetObjectItem(item, "kind")->valuestring,
                                 cJSON_GetObjectItem(item, "name")->valuestring);
    }
    return out;
}

static void expect_applied(const char *text, bool prune, const char *key, const char *wanted)
{
    cJSON *answer;
    cr_assert(try_apply(text, prune, false, &answer), "%s%s", refusal.message, failure.message);
    cr_assert_str_eq(listed(answer, key), wanted);
    cJSON_Delete(answer);
}

static void expect_refused(const char *text, bool prune, enum control_code code, const char *words)
{
    cJSON *answer;
    int64_t before, after;
    cr_assert(store_version(store, &before, NULL));
    cr_assert(!try_apply(text, prune, false, &answer), "%s", text);
    cr_assert_null(answer);
    cr_assert_eq(refusal.code, code, "%s: %s%s", control_code_name(refusal.code), refusal.message,
                 failure.message);
    cr_assert(strstr(refusal.message, words), "%s", refusal.message);
    cr_assert(store_version(store, &after, NULL));
    cr_assert_eq(before, after, "something was stored");
}

static const char *stored(enum store_document_kind kind, const char *name)
{
    static char out[4096];
    struct buffer text;
    struct error err = {0};
    buffer_init(&text, sizeof out - 1);
    cr_assert(store_document_find(store, kind, name, &text, &err), "%s", err.message);
    snprintf(out, sizeof out, "%.*s", (int)buffer_length(&text), buffer_bytes(&text));
    buffer_release(&text);
    return out;
}

#define READER "{'name':'reader','allow':{'databases':['shop'],'mysql_users':'r'}}"

Test(authority_document, stores_each_in_one_form_whatever_the_order_of_keys)
{
    cJSON *answer;
    expect_applied("{'roles':[{'name':'a','limits':{'sessions':2,'idle_timeout':'1m'},"
                   "'allow':{'schemas':['x'],'databases':['d']}}]}",
                   false, "added", "role a");
    cr_assert_str_eq(stored(STORE_DOCUMENT_ROLE, "a"),
                     "{\"allow\":{\"databases\":[\"d\"],\"schemas\":[\"x\"]},"
                     "\"limits\":{\"idle_timeout\":\"1m\",\"sessions\":2},\"name\":\"a\"}");
    cr_assert(try_apply("{'roles':[{'allow':{'databases':['d'],'schemas':['x']},'name':'a',"
                        "'limits':{'idle_timeout':'1m','sessions':2}}]}",
                        false, false, &answer));
    cr_assert_str_eq(listed(answer, "unchanged"), "role a");
    cJSON_Delete(answer);
}

Test(authority_document, tells_what_was_added_changed_and_removed)
{
    expect_applied("{'roles':[" READER ",{'name':'b'}],"
                   "'databases':[{'name':'shop','address':'h:1'}],"
                   "'mappings':[{'subject':'OU=x','roles':['reader']}]}",
                   false, "added", "role b,role reader,database shop,mapping OU=x");
    expect_applied("{'roles':[{'name':'b','allow':{'databases':'d'}}]}", false, "changed",
                   "role b");
    expect_applied("{'mappings':[{'subject':'OU=x','roles':['b']}]}", false, "changed",
                   "mapping OU=x");
    expect_applied("{'mappings':[]}", true, "removed", "mapping OU=x");
    expect_applied("{'roles':[" READER "]}", true, "removed", "role b");
    expect_applied("{'databases':[]}", false, "removed", "");
}

Test(authority_document, does_nothing_when_it_is_only_asked)
{
    cJSON *answer;
    int64_t before, after;
    expect_applied("{'roles':[" READER "]}", false, "added", "role reader");
    cr_assert(store_version(store, &before, NULL));
    cr_assert(try_apply("{'roles':[{'name':'b'}]}", true, true, &answer), "%s", refusal.message);
    cr_assert_str_eq(listed(answer, "added"), "role b");
    cr_assert_str_eq(listed(answer, "removed"), "role reader");
    cJSON_Delete(answer);
    cr_assert(store_version(store, &after, NULL));
    cr_assert_eq(before, after);
}

Test(authority_document, names_the_document_that_is_wrong)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"{'roles':[" READER ",{'name':'b','alow':{}}]}", "role b: "},
        {"{'roles':[{'name':'b','allow':{'databases':[1]}}]}", "role b: "},
        {"{'roles':[{'name':'b','allow':{'databases':[]}}]}", "role b: "},
        {"{'roles':[{'name':'b','limits':{'idle_timeout':'soon'}}]}", "role b: "},
        {"{'roles':[{'name':'b/c'}]}", "role b/c: "},
        {"{'roles':[{'name':''}]}", "\"name\""},
        {"{'roles':[{'name':7}]}", "\"name\""},
        {"{'roles':[{}]}", "\"name\""},
        {"{'roles':['b']}", "'roles'"},
        {"{'roles':{}}", "'roles'"},
        {"{'rules':[]}", "rules"},
        {"{'roles':[{'name':'b'},{'name':'b'}]}", "role b stands there twice"},
        {"{'databases':[{'name':'d'}]}", "database d: "},
        {"{'databases':[{'name':'d','address':'unix:/x'}]}", "database d: "},
        {"{'databases':[{'name':'d','address':'h:0'}]}", "database d: "},
        {"{'databases':[{'name':'d','address':'h'}]}", "database d: "},
        {"{'databases':[{'name':'d e','address':'h:1'}]}", "database d e: "},
        {"{'databases':[{'name':'d','address':'h:1','tls':{'ca':'ca.pem'}}]}", "proxy's machine"},
        {"{'databases':[{'name':'d','address':'h:1','tls':{'key':'k'}}]}", "proxy's machine"},
        {"{'databases':[{'name':'d','address':'h:1','passwords':[]}]}", "proxy's machine"},
        {"{'databases':[{'name':'d','address':'h:1','tls':{'pin':'x'}}]}", "database d: "},
        {"{'mappings':[{'roles':['x']}]}", "\"subject\" or \"san_uri\""},
        {"{'mappings':[{'subject':'CN=a','roles':['no-such']}]}", "mapping CN=a: "},
        {"{'mappings':[{'subject':'nonsense','roles_from':'O'}]}", "mapping nonsense"},
        {"{'mappings':[{'subject':'CN=a'}]}", "mapping CN=a: "},
        {"{'mappings':[{'subject':'CN=a','roles_from':'O'},{'subject':'CN=a','roles_from':'O'}]}",
         "give one mapping all of its roles"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(cases[i].text, false, CONTROL_INVALID, cases[i].words);
}

Test(authority_document, keeps_all_when_one_is_wrong)
{
    expect_refused("{'roles':[" READER "],'databases':[{'name':'d'}]}", false, CONTROL_INVALID,
                   "database d");
    cJSON *answer;
    cr_assert(try_apply("{'roles':[]}", true, true, &answer));
    cr_assert_str_eq(listed(answer, "removed"), "");
    cJSON_Delete(answer);
}

Test(authority_document, refuses_to_take_away_what_a_mapping_needs)
{
    struct error err = {0};
    expect_applied("{'roles':[" READER "],'mappings':[{'subject':'OU=x','roles':['reader']}]}",
                   false, "added", "role reader,mapping OU=x");
    expect_refused("{'roles':[]}", true, CONTROL_CONFLICT, "mapping OU=x: ");
    REFUSED(authority_documents_remove(store, STORE_DOCUMENT_ROLE, "reader", &refusal, &err),
            CONTROL_CONFLICT, "mapping OU=x: ");
    REFUSED(authority_documents_remove(store, STORE_DOCUMENT_ROLE, "none", &refusal, &err),
            CONTROL_NOT_FOUND, "none");
    expect_applied("{'roles':[],'mappings':[]}", true, "removed", "role reader,mapping OU=x");
}

Test(authority_document, knows_long_mappings_by_a_hash)
{
    char text[2048];
    char name[400];
    cJSON *answer;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(text, sizeof text,
             "{'roles':[" READER "],'mappings':[{'subject':'CN=%s1','roles':['reader']},"
             "{'subject':'CN=%s2','roles':['reader']}]}",
             name, name);
    cr_assert(try_apply(text, false, false, &answer), "%s%s", refusal.message, failure.message);
    cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(answer, "added")), 3);
    cJSON_Delete(answer);
    cr_assert(try_apply(text, false, false, &answer));
    cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(answer, "unchanged")), 3);
    cJSON_Delete(answer);
}

Test(authority_document, takes_databases_with_labels_and_names)
{
    struct authority_documents documents;
    struct error err = {0};
    expect_applied("{'databases':[{'name':'shop','address':'[::1]:3306','labels':{'env':'prod'},"
                   "'tls':{'server_name':'db.internal'}}]}",
                   false, "added", "database shop");
    cr_assert(authority_documents_load(store, &documents, &err), "%s", err.message);
    cr_assert_eq(documents.database_count, 1);
    cr_assert_str_eq(documents.databases[0].tls.server_name, "db.internal");
    cr_assert_str_eq(documents.databases[0].labels.entries[0].key, "env");
    authority_documents_release(&documents);
}

Test(authority_document, survives_hostile_texts)
{
    static const char *const texts[] = {
        "{'roles':[{'name':'a','allow':{'labels':{'\\u0001':'x'}}}]}",
        "{'roles':[{'name':'a\\u0000b'}]}",
        "{'roles':[[[[[[]]]]]]}",
        "{'mappings':[{'subject':{},'san_uri':[],'roles':['x']}]}",
        "{'mappings':[{'subject':'CN=*','roles':[]}]}",
        "{'databases':[null]}",
        "{'databases':[{'name':'d','address':'h:1','tls':[]}]}",
        "{'databases':[{'name':'d','address':'h:1','labels':{'a':{'b':1}}}]}",
        "{'roles':null}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cJSON *answer;
        bool done = try_apply(texts[i], true, true, &answer);
        cr_assert(done || refusal.code == CONTROL_INVALID, "%s: %s", texts[i], failure.message);
        cJSON_Delete(answer);
    }
}

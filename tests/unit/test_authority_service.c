/* SPDX-License-Identifier: Apache-2.0 */
/* What peers get who behave: joins, renewals, minting, the state. */
#include "tests/unit/authority_service_support.h"

#include "authority/rate.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/rate.h"
#include "base/clock.h"
#include "tls/certificate.h"
#include "tls/request.h"

TestSuite(authority_service, .init = service_enter, .fini = service_leave);
TestSuite(authority_service_short, .init = service_prepare, .fini = service_leave);

static const char *ok_text(const struct caller *caller, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(caller->ok, key));
    return text ? text : "";
}

static void must(struct caller *caller, bool granted)
{
    cr_assert(granted, "%s: %s", control_code_name(caller->failure.code), caller->failure.message);
}

#define REFUSED(caller_, code_, words_, ...)                                                       \
    do {                                                                                           \
        cr_assert(!caller_asks((caller_), __VA_ARGS__), "it was granted (line %d)", __LINE__);     \
        cr_assert_eq((caller_)->failure.code, (code_), "%s: %s",                                   \
                     control_code_name((caller_)->failure.code), (caller_)->failure.message);      \
        cr_assert(strstr((caller_)->failure.message, (words_)), "%s", (caller_)->failure.message); \
    } while (0)

/* --- hello --- */

Test(authority_service, says_who_it_takes_each_for)
{
    struct caller caller;
    apply_reader();
    struct who bot = join_bot("ci-1", true);
    struct who proxy = join_proxy("proxy-1");
    caller_open(&caller, NULL);
    must(&caller, caller_asks(&caller, "{'request':'hello','software':'test'}"));
    cr_assert_str_eq(ok_text(&caller, "peer"), "nobody");
    cr_assert_str_eq(ok_text(&caller, "trust_domain"), "acme.test");
    caller_close(&caller);
    caller_open(&caller, &bot);
    must(&caller, caller_asks(&caller, "{'request':'hello'}"));
    cr_assert_str_eq(ok_text(&caller, "peer"), "bot");
    cr_assert_str_eq(ok_text(&caller, "name"), "ci-1");
    caller_close(&caller);
    caller_open(&caller, &proxy);
    must(&caller, caller_asks(&caller, "{'request':'hello'}"));
    cr_assert_str_eq(ok_text(&caller, "peer"), "proxy");
    caller_close(&caller);
    cr_assert_str_eq(admin_text_of(admin("{'request':'hello'}"), "peer"), "administrator");
    who_release(&bot);
    who_release(&proxy);
}

/* --- joining --- */

Test(authority_service, lets_a_bot_join_with_its_token_and_records_it)
{
    struct certificate_facts facts;
    struct error err = {0};
    apply_reader();
    struct who who = join_bot("ci-1", false);
    cr_assert(certificate_read(who.certificate, strlen(who.certificate), &facts, &err), "%s",
              err.message);
    cr_assert_str_eq(facts.subject, "CN=ci-1,O=reader,OU=bots");
    cr_assert_str_eq(record_text("bot.join", 0, "bot"), "ci-1");
    cr_assert_str_eq(record_text("bot.join", 0, "outcome"), "ok");
    cr_assert_str_eq(record_text("bot.join", 0, "details.serial"), facts.serial);
    cr_assert_str_eq(record_text("bot.join", 0, "details.instance"), who.instance);
    cr_assert_str_eq(record_text("bot.join", 0, "details.token"),
                     record_text("token.add", 0, "details.token"));
    certificate_facts_release(&facts);
    who_release(&who);
}

Test(authority_service, tells_only_the_holder_of_a_token_that_it_was_used)
{
    struct who who = {0}, later = {0};
    struct caller caller;
    char token[256], cut[256], other[256];
    apply_reader();
    snprintf(token, sizeof token, "%s", add_bot("ci-1"));
    snprintf(cut, sizeof cut, "%.*s", (int)strlen(token) - 1, token);
    snprintf(other, sizeof other, "%s", token);
    other[strlen(other) - 5] = other[strlen(other) - 5] == 'A' ? 'B' : 'A';
    const char *csr = json_text(fresh_csr(&who));
    caller_open(&caller, NULL);
    REFUSED(&caller, CONTROL_TOKEN_UNKNOWN, "", "{'request':'join','token':'%s','csr':%s}", cut,
            csr);
    REFUSED(&caller, CONTROL_TOKEN_UNKNOWN, "", "{'request':'join','token':'%s','csr':%s}", other,
            csr);
    must(&caller, caller_asks(&caller, "{'request':'join','token':'%s','csr':%s}", token, csr));
    /* With another key: the same one may ask again for an answer that was lost. */
    REFUSED(&caller, CONTROL_TOKEN_USED, "", "{'request':'join','token':'%s','csr':%s}", token,
            json_text(fresh_csr(&later)));
    who_release(&later);
    REFUSED(&caller, CONTROL_TOKEN_UNKNOWN, "", "{'request':'join','token':'nonsense','csr':%s}",
            csr);
    caller_close(&caller);
    cr_assert_eq(count_records("bot.join", 5), 5);
    cr_assert_str_eq(record_text("bot.join", 0, "outcome"), "denied");
    cr_assert_neq(strlen(record_text("bot.join", 0, "reason")), 0);
    who_release(&who);
}

Test(authority_service, refuses_a_token_that_has_expired)
{
    struct who who = {0};
    struct caller caller;
    apply_reader();
    add_bot("ci-1");
    const char *token =
        admin_text_of(admin("{'request':'token_add','bot':'ci-1','ttl':'5s'}"), "token");
    const char *csr = json_text(fresh_csr(&who));
    caller_open(&caller, NULL);
    caller_run_for(&caller, 5200);
    REFUSED(&caller, CONTROL_TOKEN_EXPIRED, "", "{'request':'join','token':'%s','csr':%s}", token,
            csr);
    caller_close(&caller);
    who_release(&who);
}

Test(authority_service, does_not_use_up_a_token_for_a_csr_that_is_refused)
{
    struct who who = {0};
    struct caller caller;
    apply_reader();
    const char *token = add_bot("ci-1");
    caller_open(&caller, NULL);
    REFUSED(&caller, CONTROL_BAD_CSR, "", "{'request':'join','token':'%s','csr':'x'}", token);
    must(&caller, caller_asks(&caller, "{'request':'join','token':'%s','csr':%s}", token,
                              json_text(fresh_csr(&who))));
    caller_close(&caller);
    who_release(&who);
}

Test(authority_service, looks_at_nothing_from_an_address_that_was_refused_too_often)
{
    struct who who = {0};
    struct caller caller;
    apply_reader();
    const char *token = add_bot("ci-1");
    const char *csr = json_text(fresh_csr(&who));
    caller_open(&caller, NULL);
    for (int i = 0; i < AUTHORITY_RATE_AT_ONCE; i++)
        REFUSED(&caller, CONTROL_TOKEN_UNKNOWN, "", "{'request':'join','token':'t','csr':%s}", csr);
    REFUSED(&caller, CONTROL_BUSY, "", "{'request':'join','token':'%s','csr':%s}", token, csr);
    caller_close(&caller);
    who_release(&who);
}

static bool sign_challenge(struct caller *caller, struct tls_key *key, const char *bot,
                           const char *csr, char out[512])
{
    uint8_t digest[32], nonce[64];
    size_t length;
    struct buffer all, signature;
    struct tls_request *request;
    const uint8_t *der;
    size_t der_length;
    buffer_init(&all, 65536);
    buffer_init(&signature, 512);
    cr_assert_eq(sodium_base642bin(nonce, sizeof nonce, ok_text(caller, "nonce"),
                                   strlen(ok_text(caller, "nonce")), NULL, &length, NULL,
                                   sodium_base64_VARIANT_URLSAFE_NO_PADDING),
                 0);
    cr_assert(tls_request_parse(csr, strlen(csr), &request, NULL));
    tls_request_der(request, &der, &der_length);
    bool put = buffer_append(&all, "sallyport-join-key/1\n", 21, NULL) &&
               buffer_append(&all, bot, strlen(bot), NULL) && buffer_append(&all, "\n", 1, NULL) &&
               buffer_append(&all, nonce, length, NULL) &&
               buffer_append(&all, der, der_length, NULL);
    crypto_hash_sha256(digest, buffer_bytes(&all), buffer_length(&all));
    put = put && tls_key_sign(key, digest, &signature, NULL);
    sodium_bin2base64(out, 512, buffer_bytes(&signature), buffer_length(&signature),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    tls_request_free(request);
    buffer_release(&all);
    buffer_release(&signature);
    return put;
}

Test(authority_service, lets_a_bot_join_by_its_registered_key)
{
    struct who who = {0};
    struct caller caller;
    struct tls_key *key;
    struct buffer pem;
    char public[1024], signature[512];
    apply_reader();
    cr_assert(tls_key_generate(&key, NULL));
    buffer_init(&pem, sizeof public);
    cr_assert(tls_key_public(key, &pem, NULL));
    snprintf(public, sizeof public, "%.*s", (int)buffer_length(&pem), buffer_bytes(&pem));
    admin_does("{'request':'bot_add','name':'ci-1','roles':['reader'],'public_key':%s}",
               json_text(public));
    const char *csr = fresh_csr(&who);
    caller_open(&caller, NULL);
    REFUSED(&caller, CONTROL_NOT_ALLOWED, "",
            "{'request':'join_key','bot':'ci-1','csr':%s,'signature':'AAAA'}", json_text(csr));
    must(&caller, caller_asks(&caller, "{'request':'challenge','bot':'ci-1'}"));
    cr_assert(sign_challenge(&caller, key, "ci-1", csr, signature));
    must(&caller,
         caller_asks(&caller, "{'request':'join_key','bot':'ci-1','csr':%s,'signature':'%s'}",
                     json_text(csr), signature));
    who_take(&who, caller.ok);
    REFUSED(&caller, CONTROL_NOT_ALLOWED, "",
            "{'request':'join_key','bot':'ci-1','csr':%s,'signature':'%s'}", json_text(csr),
            signature);
    caller_close(&caller);
    cr_assert_str_eq(who.name, "ci-1");
    cr_assert_str_eq(record_text("bot.join", 1, "details.kind"), "key");
    tls_key_free(key);
    buffer_release(&pem);
    who_release(&who);
}

Test(authority_service, gives_two_that_hold_one_token_one_certificate)
{
    struct who one = {0}, two = {0};
    struct caller first, second;
    apply_reader();
    const char *token = add_bot("ci-1");
    caller_open(&first, NULL);
    caller_open(&second, NULL);
    bool a = caller_asks(&first, "{'request':'join','token':'%s','csr':%s}", token,
                         json_text(fresh_csr(&one)));
    bool b = caller_asks(&second, "{'request':'join','token':'%s','csr':%s}", token,
                         json_text(fresh_csr(&two)));
    cr_assert_neq(a, b);
    caller_close(&first);
    caller_close(&second);
    who_release(&one);
    who_release(&two);
}

/* --- renewal --- */

static void renew(struct who *who)
{
    struct caller caller;
    struct who next = *who;
    next.key = NULL;
    next.certificate = next.ca = NULL;
    caller_open(&caller, who);
    must(&caller,
         caller_asks(&caller, "{'request':'renew','csr':%s}", json_text(fresh_csr(&next))));
    who_take(&next, caller.ok);
    caller_close(&caller);
    who_release(who);
    *who = next;
}

Test(authority_service, renews_generation_by_generation)
{
    apply_reader();
    struct who who = join_bot("ci-1", true);
    cr_assert_eq(who.generation, 1);
    renew(&who);
    cr_assert_eq(who.generation, 2);
    renew(&who);
    cr_assert_eq(who.generation, 3);
    cr_assert_eq(count_records("cert.renew", 2), 2);
    who_release(&who);
}

Test(authority_service, replaces_a_certificate_that_was_never_used)
{
    struct caller caller;
    struct who lost = {0};
    apply_reader();
    struct who who = join_bot("ci-1", true);
    for (int i = 0; i < 3; i++) { /* the answer never reaches the disk */
        caller_open(&caller, &who);
        must(&caller,
             caller_asks(&caller, "{'request':'renew','csr':%s}", json_text(fresh_csr(&lost))));
        cr_assert_eq(cJSON_GetObjectItem(caller.ok, "generation")->valueint, 2);
        caller_close(&caller);
    }
    who_release(&who);
    who_release(&lost);
}

Test(authority_service, locks_an_instance_whose_superseded_certificate_renews)
{
    struct caller caller;
    struct who thief = {0}, fresh = {0};
    apply_reader();
    struct who bot = join_bot("ci-1", true);
    caller_open(&caller, &bot);
    must(&caller,
         caller_asks(&caller, "{'request':'renew','csr':%s}", json_text(fresh_csr(&thief))));
    who_take(&thief, caller.ok);
    caller_close(&caller);
    caller_open(&caller, &thief);
    must(&caller, caller_asks(&caller, "{'request':'confirm'}"));
    caller_close(&caller);

    caller_open(&caller, &bot);
    REFUSED(&caller, CONTROL_SUPERSEDED, "", "{'request':'renew','csr':%s}",
            json_text(fresh_csr(&fresh)));
    caller_close(&caller);
    caller_open(&caller, &thief);
    REFUSED(&caller, CONTROL_LOCKED, "", "{'request':'renew','csr':%s}",
            json_text(fresh_csr(&fresh)));
    caller_close(&caller);

    cJSON *locks = admin("{'request':'lock_list'}");
    const cJSON *lock = cJSON_GetArrayItem(cJSON_GetObjectItem(locks, "locks"), 0);
    cr_assert_str_eq(cJSON_GetObjectItem(lock, "target")->valuestring, bot.instance);
    cJSON_Delete(locks);
    cr_assert_str_eq(record_text("cert.conflict", 0, "details.instance"), bot.instance);
    cr_assert_str_eq(record_text("lock.create", 0, "details.target"), bot.instance);
    cr_assert_str_eq(record_text("lock.create", 0, "outcome"), "ok");
    who_release(&bot);
    who_release(&thief);
    who_release(&fresh);
}

Test(authority_service, applies_a_lock_to_a_connection_that_is_open)
{
    struct caller caller;
    struct who next = {0};
    apply_reader();
    struct who bot = join_bot("ci-1", true);
    caller_open(&caller, &bot);
    must(&caller, caller_asks(&caller, "{'request':'hello'}"));
    admin_does("{'request':'lock_add','kind':'bot','target':'ci-1','reason':'laptop lost'}");
    REFUSED(&caller, CONTROL_LOCKED, "laptop lost", "{'request':'renew','csr':%s}",
            json_text(fresh_csr(&next)));
    caller_close(&caller);
    who_release(&bot);
    who_release(&next);
}

Test(authority_service, removes_a_bot_at_once)
{
    struct caller caller;
    struct who next = {0};
    apply_reader();
    struct who bot = join_bot("ci-1", true);
    caller_open(&caller, &bot);
    admin_does("{'request':'bot_remove','name':'ci-1'}");
    REFUSED(&caller, CONTROL_UNKNOWN_BOT, "", "{'request':'renew','csr':%s}",
            json_text(fresh_csr(&next)));
    caller_close(&caller);
    who_release(&bot);
    who_release(&next);
}

/* The name may come back with more to do; what was made before knows nothing of that. */
Test(authority_service, certificates_of_a_removed_bot_stay_void_when_its_name_comes_back)
{
    apply_reader();
    struct who bot = join_bot("ci-1", true);
    admin_does("{'request':'bot_remove','name':'ci-1'}");
    struct who again = join_bot("ci-1", true);
    cJSON *state = admin("{'request':'state'}");
    const cJSON *locks = cJSON_GetObjectItem(cJSON_GetObjectItem(state, "state"), "locks");
    cr_assert_eq(cJSON_GetArraySize(locks), 1);
    const cJSON *lock = cJSON_GetArrayItem(locks, 0);
    cr_assert_str_eq(cJSON_GetObjectItem(lock, "kind")->valuestring, "instance");
    cr_assert_str_eq(cJSON_GetObjectItem(lock, "target")->valuestring, bot.instance);
    cr_assert_str_neq(again.instance, bot.instance);
    cr_assert(cJSON_GetObjectItem(lock, "expires"));
    cJSON_Delete(state);
    who_release(&bot);
    who_release(&again);
}

/* --- proxies --- */

Test(authority_service, mints_certificates_for_mysql_users)
{
    struct caller caller;
    struct certificate_facts facts;
    struct who minted = {0};
    struct who proxy = join_proxy("proxy-1");
    caller_open(&caller, &proxy);
    must(&caller, caller_asks(&caller, "{'request':'mint','csr':%s,'mysql_user':'reader'}",
                              json_text(fresh_csr(&minted))));
    const char *pem = ok_text(&caller, "certificate");
    cr_assert(certificate_read(pem, strlen(pem), &facts, NULL));
    cr_assert_str_eq(facts.subject_line, "/CN=reader");
    certificate_facts_release(&facts);
    caller_close(&caller);
    cr_assert_str_eq(record_text("cert.issue", 1, "mysql_user"), "reader");
    cr_assert_str_eq(record_text("cert.issue", 1, "proxy"), "proxy-1");
    who_release(&proxy);
    who_release(&minted);
}

Test(authority_service, renews_proxies_for_their_names_alone)
{
    struct caller caller;
    struct who next = {0};
    struct who proxy = join_proxy("proxy-1");
    caller_open(&caller, &proxy);
    REFUSED(&caller, CONTROL_INVALID, "",
            "{'request':'renew_proxy','csr':%s,'names':['evil.test']}",
            json_text(fresh_csr(&next)));
    must(&caller,
         caller_asks(&caller, "{'request':'renew_proxy','csr':%s,'names':['proxy-1.test']}",
                     json_text(fresh_csr(&next))));
    caller_close(&caller);
    who_release(&proxy);
    who_release(&next);
}

/* For a key that nobody keeps. */
static const char *a_new_csr(void)
{
    struct who nobody = {0};
    const char *csr = fresh_csr(&nobody);
    who_release(&nobody);
    return csr;
}

static bool has_state(const struct caller *caller)
{
    return caller->states > 0;
}

static bool has_two_states(const struct caller *caller)
{
    return caller->states > 1;
}

static bool is_closed(const struct caller *caller)
{
    return caller->closed;
}

Test(authority_service, tells_proxies_the_state_and_each_change)
{
    struct caller caller;
    char lock[64];
    apply_reader();
    add_bot("ci-1");
    struct who proxy = join_proxy("proxy-1");
    caller_open(&caller, &proxy);
    must(&caller, caller_asks(&caller, "{'request':'subscribe'}"));
    int64_t version = (int64_t)cJSON_GetObjectItem(caller.ok, "version")->valuedouble;
    cr_assert(caller_runs(&caller, has_state));
    cr_assert_eq((int64_t)cJSON_GetObjectItem(caller.state, "version")->valuedouble, version);
    const cJSON *roles = cJSON_GetObjectItem(cJSON_GetObjectItem(caller.state, "bots"), "ci-1");
    cr_assert_str_eq(cJSON_GetArrayItem(roles, 0)->valuestring, "reader");
    cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(caller.state, "databases")), 1);
    cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(caller.state, "locks")), 0);

    snprintf(lock, sizeof lock, "%s",
             admin_text_of(admin("{'request':'lock_add','kind':'bot','target':'ci-1','ttl':'1s',"
                                 "'reason':'why'}"),
                           "id"));
    int64_t since = clock_monotonic_us();
    cr_assert(caller_runs(&caller, has_two_states));
    cr_assert_lt(clock_monotonic_us() - since, 500000);
    const cJSON *told = cJSON_GetArrayItem(cJSON_GetObjectItem(caller.state, "locks"), 0);
    cr_assert_str_eq(cJSON_GetObjectItem(told, "id")->valuestring, lock);
    cr_assert_gt((int64_t)cJSON_GetObjectItem(caller.state, "version")->valuedouble, version);

    caller.states = 0; /* it lapses by itself */
    cr_assert(caller_runs(&caller, has_state));
    cr_assert_lt(clock_monotonic_us() - since, 2000000);
    cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(caller.state, "locks")), 0);
    cr_assert_str_eq(record_text("lock.expire", 0, "details.lock"), lock);
    cr_assert_geq(caller.alive, 1);
    caller_close(&caller);
    who_release(&proxy);
}

/* Whatever it may know: after a restore from a backup the same version can be another state. */
Test(authority_service, sends_all_of_the_state_to_whoever_subscribes)
{
    struct caller caller;
    struct who proxy = join_proxy("proxy-1");
    caller_open(&caller, &proxy);
    must(&caller, caller_asks(&caller, "{'request':'subscribe'}"));
    cr_assert(caller_runs(&caller, has_state));
    int version = cJSON_GetObjectItem(caller.state, "version")->valueint;
    caller_close(&caller);
    caller_open(&caller, &proxy);
    must(&caller, caller_asks(&caller, "{'request':'subscribe'}"));
    cr_assert(caller_runs(&caller, has_state));
    cr_assert_eq(cJSON_GetObjectItem(caller.state, "version")->valueint, version);
    must(&caller, caller_asks(&caller, "{'request':'subscribe'}"));
    cr_assert(caller_runs(&caller, has_two_states), "and to whoever subscribes twice");
    caller_close(&caller);
    who_release(&proxy);
}

Test(authority_service, ends_the_connection_of_a_proxy_that_is_locked)
{
    struct caller caller;
    struct who proxy = join_proxy("proxy-1");
    caller_open(&caller, &proxy);
    must(&caller, caller_asks(&caller, "{'request':'subscribe'}"));
    cr_assert(caller_runs(&caller, has_state));
    admin_does("{'request':'lock_add','kind':'proxy','target':'proxy-1','reason':'stolen'}");
    cr_assert(caller_runs(&caller, is_closed));
    caller_close(&caller);
    caller_open(&caller, &proxy);
    REFUSED(&caller, CONTROL_LOCKED, "stolen", "{'request':'subscribe'}");
    caller_close(&caller);
    who_release(&proxy);
}

Test(authority_service, ends_what_a_proxy_followed_by_before_it_joined_again)
{
    struct caller former, caller;
    struct who proxy = join_proxy("proxy-1");
    struct who other = join_proxy("proxy-2");
    caller_open(&former, &proxy);
    caller_open(&caller, &other);
    must(&former, caller_asks(&former, "{'request':'subscribe'}"));
    must(&caller, caller_asks(&caller, "{'request':'subscribe'}"));
    struct who again = join_proxy("proxy-1");
    cr_assert(caller_runs(&former, is_closed), "its certificate is void");
    cr_assert(caller_asks(&caller, "{'request':'hello'}"), "the other one stays");
    caller_close(&former);
    caller_close(&caller);
    caller_open(&caller, &again);
    must(&caller, caller_asks(&caller, "{'request':'subscribe'}"));
    caller_close(&caller);
    who_release(&proxy);
    who_release(&other);
    who_release(&again);
}

/* --- paces --- */

Test(authority_service, a_bot_that_asks_too_often_is_busy_and_recorded_once)
{
    struct caller caller;
    apply_reader();
    struct who bot = join_bot("ci-1", true); /* one confirmation */
    struct who other = join_bot("ci-2", true);
    caller_open(&caller, &bot);
    for (unsigned i = 1; i < AUTHORITY_RATE_BOT_AT_ONCE; i++)
        must(&caller, caller_asks(&caller, "{'request':'confirm'}"));
    for (unsigned i = 0; i < 5; i++)
        REFUSED(&caller, CONTROL_BUSY, "too often", "{'request':'confirm'}");
    REFUSED(&caller, CONTROL_BUSY, "ci-1", "{'request':'renew','csr':%s}", json_text(a_new_csr()));
    caller_close(&caller);
    caller_open(&caller, &other);
    must(&caller, caller_asks(&caller, "{'request':'confirm'}"));
    caller_close(&caller);
    cJSON *list = records("cert.confirm");
    cr_assert_eq(cJSON_GetArraySize(list), 3, "two that were news, and one that was too much");
    cJSON_Delete(list);
    cr_assert_str_eq(record_text("cert.confirm", 2, "outcome"), "denied");
    cr_assert_str_eq(record_text("cert.confirm", 2, "bot"), "ci-1");
    list = records("cert.renew");
    cr_assert_eq(cJSON_GetArraySize(list), 0);
    cJSON_Delete(list);
    who_release(&bot);
    who_release(&other);
}

Test(authority_service, joining_again_and_again_with_one_token_has_a_pace)
{
    struct caller caller;
    struct who who = {0};
    apply_reader();
    const char *token = add_bot("ci-1");
    const char *csr = fresh_csr(&who);
    caller_open(&caller, NULL);
    for (unsigned i = 0; i <= AUTHORITY_RATE_BOT_AT_ONCE; i++) /* the first one is none again */
        must(&caller, caller_asks(&caller, "{'request':'join','token':'%s','csr':%s}", token,
                                  json_text(csr)));
    REFUSED(&caller, CONTROL_BUSY, "joins too often", "{'request':'join','token':'%s','csr':%s}",
            token, json_text(csr));
    /* Another bot from the same address is not concerned. */
    token = add_bot("ci-2");
    must(&caller,
         caller_asks(&caller, "{'request':'join','token':'%s','csr':%s}", token, json_text(csr)));
    caller_close(&caller);
    cr_assert_eq(count_records("bot.join", AUTHORITY_RATE_BOT_AT_ONCE + 3),
                 AUTHORITY_RATE_BOT_AT_ONCE + 3);
    cr_assert_str_eq(record_text("bot.join", AUTHORITY_RATE_BOT_AT_ONCE + 1, "outcome"), "denied");
    cr_assert_str_eq(record_text("bot.join", AUTHORITY_RATE_BOT_AT_ONCE + 1, "bot"), "ci-1");
    who_release(&who);
}

Test(authority_service, whoever_is_refused_sixteen_times_is_closed)
{
    struct caller caller;
    struct who proxy = join_proxy("proxy-1");
    caller_open(&caller, &proxy);
    for (unsigned i = 0; i < 16; i++) {
        cr_assert(!caller.closed, "%u", i);
        REFUSED(&caller, CONTROL_BAD_CSR, "", "{'request':'renew_proxy','csr':'x'}");
    }
    cr_assert(caller_runs(&caller, is_closed));
    caller_close(&caller);
    who_release(&proxy);
}

/* --- in the same process, and restarts --- */

Test(authority_service, issues_to_a_proxy_of_its_own_process)
{
    struct who who = {0};
    struct caller caller;
    struct authority_issued issued, none;
    struct error err = {0};
    static const char *const names[] = {"proxy.test"};
    char directory[96];
    service_end();
    snprintf(directory, sizeof directory, "%s/audit", home);
    const struct audit_settings wanted = {.directory = directory, .file_size = 64 << 20};
    cr_assert(audit_log_open(&wanted, 1, &audit, &err), "%s", err.message);
    cr_assert(authority_service_open(&settings, audit_log_lane(audit, 0), &service, &err), "%s",
              err.message);
    const char *csr = fresh_csr(&who);
    cr_assert(!authority_service_issue_proxy(service, "no/name", csr, names, 1, &none, &err));
    cr_assert(!authority_service_issue_proxy(service, "proxy-1", "x", names, 1, &none, &err));
    cr_assert(authority_service_issue_proxy(service, "proxy-1", csr, names, 1, &issued, &err), "%s",
              err.message);
    cr_assert(authority_service_start(service, &err), "%s", err.message);
    who.certificate = strdup(issued.certificate);
    caller_open(&caller, &who);
    must(&caller, caller_asks(&caller, "{'request':'subscribe'}"));
    caller_close(&caller);
    authority_issued_release(&issued);
    who_release(&who);
}

/* Its thread does it then; what the proxy had before is void. */
Test(authority_service, issues_to_a_proxy_of_its_own_process_while_it_runs)
{
    static const char *const names[] = {"proxy.test"};
    struct who who = {0}, other = join_proxy("proxy-1");
    struct caller caller;
    struct authority_issued issued;
    struct error err = {0};
    caller_open(&caller, &other);
    must(&caller, caller_asks(&caller, "{'request':'subscribe'}"));
    const char *csr = fresh_csr(&who);
    cr_assert(!authority_service_issue_proxy(service, "no/name", csr, names, 1, &issued, &err));
    for (int i = 0; i < 20; i++) {
        cr_assert(authority_service_issue_proxy(service, "proxy-1", csr, names, 1, &issued, &err),
                  "%s", err.message);
        cr_assert(strstr(issued.certificate, "BEGIN CERTIFICATE"));
        authority_issued_release(&issued);
    }
    cr_assert(caller_runs(&caller, is_closed), "it had joined before");
    cr_assert_eq(count_records("proxy.join", 21), 21);
    admin_does("{'request':'lock_add','kind':'proxy','target':'proxy-1','reason':'away with it'}");
    cr_assert(!authority_service_issue_proxy(service, "proxy-1", csr, names, 1, &issued, &err));
    cr_assert_eq(err.code, ERROR_DENIED);
    cr_assert(strstr(err.message, "away with it"), "%s", err.message);
    admin_does("{'request':'proxy_remove','name':'proxy-1'}");
    cr_assert(!authority_service_issue_proxy(service, "proxy-1", csr, names, 1, &issued, &err));
    cr_assert_eq(err.code, ERROR_DENIED);
    cr_assert(strstr(err.message, "was removed"), "%s", err.message);
    authority_service_stop(service);
    cr_assert(!authority_service_issue_proxy(service, "proxy-1", csr, names, 1, &issued, &err));
    cr_assert(strstr(err.message, "has stopped"), "%s", err.message);
    caller_close(&caller);
    who_release(&other);
    who_release(&who);
}

Test(authority_service, knows_after_a_restart_what_it_knew)
{
    apply_reader();
    struct who bot = join_bot("ci-1", true);
    service_end();
    service_begin();
    renew(&bot);
    cr_assert_eq(bot.generation, 2);
    cr_assert_eq(count_records("ca.create", 4), 4, "the CAs were made once");
    cr_assert_eq(count_records("authority.stop", 1), 1);
    who_release(&bot);
}

Test(authority_service, has_a_directory_for_itself)
{
    struct authority_service *second = NULL;
    struct error err = {0};
    cr_assert(!authority_service_open(&settings, audit_log_lane(audit, 0), &second, &err));
    cr_assert(strstr(err.message, home), "%s", err.message);
}

Test(authority_service_short, renews_its_own_certificate_and_outlives_those_of_proxies)
{
    struct caller follower, caller;
    settings.core.proxy_ttl_us = AUTHORITY_TTL_MIN;
    service_begin();
    struct who proxy = join_proxy("proxy-1");
    caller_open(&follower, &proxy);
    must(&follower, caller_asks(&follower, "{'request':'subscribe'}"));
    caller_run_for(&follower, 4000);
    cr_assert_geq(count_records("cert.issue", 2), 2);
    caller_open(&caller, NULL);
    must(&caller, caller_asks(&caller, "{'request':'hello'}"));
    caller_close(&caller);
    cr_assert(caller_runs(&follower, is_closed), "it followed with a certificate that has lapsed");
    caller_close(&follower);
    who_release(&proxy);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Administration over the Unix socket. */
#include "tests/unit/authority_service_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/ask.h"
#include "tls/certificate.h"

TestSuite(authority_admin, .init = service_enter, .fini = service_leave);

static const char *text(const cJSON *object, const char *key)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return value ? value : "";
}

static const cJSON *nth(const cJSON *answer, const char *key, int n)
{
    const cJSON *item = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(answer, key), n);
    cr_assert_not_null(item, "there is no %s %d", key, n);
    return item;
}

static int size(const cJSON *answer, const char *key)
{
    return cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(answer, key));
}

/* --- bots --- */

Test(authority_admin, adds_lists_shows_and_removes_bots)
{
    apply_reader();
    cJSON *added =
        admin("{'request':'bot_add','name':'ci-1','roles':['reader'],'token_ttl':'10m'}");
    char pin[CERTIFICATE_PIN_TEXT_SIZE], place[64];
    authority_service_pin(service, pin);
    snprintf(place, sizeof place, "localhost:%u", authority_service_port(service));
    cr_assert_str_eq(text(added, "ca_pin"), pin);
    cr_assert_str_eq(text(added, "authority"), place);
    cr_assert_neq(strlen(text(added, "token")), 0);
    cJSON_Delete(added);
    admin_does("{'request':'bot_add','name':'ci-2','roles':[],'no_token':true}");
    struct who who = {0};
    cJSON *bots = admin("{'request':'bot_list'}");
    cr_assert_eq(size(bots, "bots"), 2);
    cr_assert_str_eq(text(nth(bots, "bots", 0), "name"), "ci-1");
    char wanted[32];
    snprintf(wanted, sizeof wanted, "uid %u", geteuid());
    cr_assert_str_eq(text(nth(bots, "bots", 0), "created_by"), wanted);
    cJSON_Delete(bots);
    admin_does("{'request':'lock_add','kind':'bot','target':'ci-1','reason':'why not'}");
    cJSON *bot = admin("{'request':'bot_show','name':'ci-1'}");
    cr_assert_str_eq(text(cJSON_GetObjectItem(bot, "bot"), "lock"), "why not");
    cJSON_Delete(bot);
    admin_does("{'request':'bot_roles','name':'ci-1','roles':[]}");
    admin_does("{'request':'bot_remove','name':'ci-1'}");
    admin_refused(CONTROL_UNKNOWN_BOT, "ci-1", "{'request':'bot_show','name':'ci-1'}");
    cr_assert_str_eq(record_text("bot.add", 0, "roles"), "[\"reader\"]");
    snprintf(wanted, sizeof wanted, "%u", geteuid());
    cr_assert_str_eq(record_text("bot.add", 0, "details.uid"), wanted);
    cr_assert_eq(count_records("bot.remove", 1), 1);
    cr_assert_eq(count_records("bot.roles", 1), 1);
    who_release(&who);
}

Test(authority_admin, refuses_bots_that_cannot_be)
{
    apply_reader();
    admin_refused(CONTROL_INVALID, "", "{'request':'bot_add','name':'a b','roles':[]}");
    admin_refused(CONTROL_INVALID, "", "{'request':'bot_add','name':'','roles':[]}");
    admin_refused(CONTROL_NOT_FOUND, "writer",
                  "{'request':'bot_add','name':'a','roles':['writer']}");
    admin_refused(CONTROL_INVALID, "",
                  "{'request':'bot_add','name':'a','roles':['reader','reader']}");
    admin_refused(CONTROL_INVALID, "public_key",
                  "{'request':'bot_add','name':'a','roles':[],'public_key':'x'}");
    admin_refused(CONTROL_MALFORMED, "roles", "{'request':'bot_add','name':'a'}");
    admin_refused(CONTROL_MALFORMED, "colour",
                  "{'request':'bot_add','name':'a','roles':[],'colour':'red'}");
    admin_does("{'request':'bot_add','name':'a','roles':[]}");
    admin_refused(CONTROL_EXISTS, "a", "{'request':'bot_add','name':'a','roles':[]}");
    admin_refused(CONTROL_UNKNOWN_BOT, "b", "{'request':'bot_remove','name':'b'}");
    admin_refused(CONTROL_UNKNOWN_BOT, "b", "{'request':'bot_roles','name':'b','roles':[]}");
    admin_refused(CONTROL_UNKNOWN_BOT, "b", "{'request':'instance_list','bot':'b'}");
    cr_assert_eq(count_records("bot.add", 1), 1, "what was refused was not done");
}

Test(authority_admin, lists_instances)
{
    apply_reader();
    struct who who = join_bot("ci-1", true);
    admin_does("{'request':'lock_add','kind':'instance','target':'%s','reason':'odd'}",
               who.instance);
    cJSON *list = admin("{'request':'instance_list','bot':'ci-1'}");
    const cJSON *instance = nth(list, "instances", 0);
    cr_assert_str_eq(text(instance, "id"), who.instance);
    cr_assert_str_eq(text(instance, "lock"), "odd");
    cr_assert(cJSON_IsTrue(cJSON_GetObjectItem(instance, "confirmed")));
    cJSON_Delete(list);
    cJSON *bots = admin("{'request':'bot_list'}");
    cr_assert_eq(cJSON_GetObjectItem(nth(bots, "bots", 0), "instances")->valueint, 1);
    cJSON_Delete(bots);
    who_release(&who);
}

/* --- tokens --- */

Test(authority_admin, adds_lists_and_removes_tokens)
{
    char id[64];
    admin_does("{'request':'bot_add','name':'a','roles':[],'no_token':true}");
    cJSON *token = admin("{'request':'token_add','bot':'a','ttl':'1m'}");
    snprintf(id, sizeof id, "%s", text(token, "token_id"));
    cr_assert(strstr(text(token, "token"), id));
    cJSON_Delete(token);
    admin_does("{'request':'token_add','proxy':'proxy-1'}");
    cJSON *tokens = admin("{'request':'token_list'}");
    cr_assert_eq(size(tokens, "tokens"), 2);
    char *printed = cJSON_PrintUnformatted(tokens);
    cr_assert_null(strstr(printed, "sallyport-join"), "a list never holds the secret");
    cJSON_free(printed);
    cJSON_Delete(tokens);
    admin_does("{'request':'token_remove','token':'%s'}", id);
    admin_refused(CONTROL_NOT_FOUND, "", "{'request':'token_remove','token':'%s'}", id);
    admin_refused(CONTROL_INVALID, "one of them", "{'request':'token_add'}");
    admin_refused(CONTROL_INVALID, "one of them", "{'request':'token_add','bot':'a','proxy':'b'}");
    admin_refused(CONTROL_UNKNOWN_BOT, "", "{'request':'token_add','bot':'none'}");
    admin_refused(CONTROL_INVALID, "ttl", "{'request':'token_add','bot':'a','ttl':'30d'}");
    cr_assert_str_eq(record_text("token.remove", 0, "details.token"), id);
    cJSON *all = records(NULL);
    char *log = cJSON_PrintUnformatted(all);
    cr_assert_null(strstr(log, "sallyport-join"), "the log never holds the secret");
    cJSON_free(log);
    cJSON_Delete(all);
}

/* --- roles --- */

Test(authority_admin, applies_shows_and_removes_roles)
{
    apply_reader();
    cJSON *roles = admin("{'request':'role_list'}");
    cr_assert_str_eq(text(nth(roles, "roles", 0), "name"), "reader");
    cJSON_Delete(roles);
    cJSON *role = admin("{'request':'role_show','name':'reader'}");
    cr_assert_not_null(cJSON_GetObjectItem(cJSON_GetObjectItem(role, "role"), "allow"));
    cJSON_Delete(role);
    admin_refused(CONTROL_INVALID,
                  "role x: ", "{'request':'apply','documents':{'roles':[{'name':'x','no':1}]}}");
    admin_refused(CONTROL_MALFORMED, "documents", "{'request':'apply','documents':[]}");
    admin_does("{'request':'apply','dry_run':true,'documents':{'roles':[]},'prune':true}");
    admin_does("{'request':'role_remove','name':'reader'}");
    admin_refused(CONTROL_NOT_FOUND, "reader", "{'request':'role_show','name':'reader'}");
    admin_refused(CONTROL_NOT_FOUND, "reader", "{'request':'role_remove','name':'reader'}");
    cr_assert_eq(count_records("document.apply", 2), 2, "a dry run is no change");
    cr_assert_str_eq(record_text("document.apply", 0, "details.changes.added"),
                     "[\"role reader\",\"database shop\"]");
    cr_assert_str_eq(record_text("document.apply", 1, "details.changes.removed"),
                     "[\"role reader\"]");
}

Test(authority_admin, explains_what_a_bot_may_do)
{
    apply_reader();
    admin_does("{'request':'apply','documents':{'roles':[{'name':'other'},{'name':'gone'}]}}");
    admin_does("{'request':'bot_add','name':'a','roles':['reader','other','gone']}");
    admin_does("{'request':'role_remove','name':'gone'}");
    cJSON *answer = admin("{'request':'role_test','bot':'a','database':'shop',"
                          "'mysql_user':'reader','schema':'shop'}");
    cr_assert(cJSON_IsTrue(cJSON_GetObjectItem(answer, "allowed")), "%s", text(answer, "reason"));
    cr_assert_eq(size(answer, "rules"), 3);
    cr_assert(strstr(nth(answer, "rules", 0)->valuestring, "role reader alone allows"));
    cr_assert(strstr(nth(answer, "rules", 2)->valuestring, "not defined"));
    cJSON_Delete(answer);
    answer = admin("{'request':'role_test','bot':'a','database':'shop','mysql_user':'root'}");
    cr_assert(cJSON_IsFalse(cJSON_GetObjectItem(answer, "allowed")));
    cr_assert(strstr(text(answer, "reason"), "root"), "%s", text(answer, "reason"));
    cJSON_Delete(answer);
    admin_does("{'request':'lock_add','kind':'role','target':'reader','reason':'audit'}");
    answer = admin("{'request':'role_test','bot':'a','database':'shop','mysql_user':'reader',"
                   "'schema':'shop'}");
    cr_assert(cJSON_IsFalse(cJSON_GetObjectItem(answer, "allowed")));
    cr_assert(strstr(nth(answer, "rules", 0)->valuestring, "is locked: audit"));
    cJSON_Delete(answer);
    admin_does("{'request':'lock_add','kind':'bot','target':'a','reason':'lost'}");
    answer = admin("{'request':'role_test','bot':'a','database':'shop'}");
    cr_assert_str_eq(text(answer, "reason"), "bot a is locked: lost");
    cJSON_Delete(answer);
    admin_refused(CONTROL_UNKNOWN_BOT, "b", "{'request':'role_test','bot':'b','database':'shop'}");
}

/* --- locks --- */

Test(authority_admin, adds_lists_and_removes_locks)
{
    char id[64];
    admin_does("{'request':'bot_add','name':'a','roles':[]}");
    cJSON *lock = admin("{'request':'lock_add','kind':'bot','target':'a','ttl':'1h','reason':'x'}");
    snprintf(id, sizeof id, "%s", text(lock, "id"));
    cr_assert_neq(strlen(text(lock, "expires")), 0);
    cJSON_Delete(lock);
    cJSON *locks = admin("{'request':'lock_list'}");
    cr_assert_str_eq(text(nth(locks, "locks", 0), "id"), id);
    cr_assert_str_eq(text(nth(locks, "locks", 0), "kind"), "bot");
    cJSON_Delete(locks);
    admin_does("{'request':'lock_remove','lock':'%s'}", id);
    admin_refused(CONTROL_NOT_FOUND, "", "{'request':'lock_remove','lock':'%s'}", id);
    admin_refused(CONTROL_INVALID, "planet",
                  "{'request':'lock_add','kind':'planet','target':'a','reason':'x'}");
    admin_refused(CONTROL_NOT_FOUND, "",
                  "{'request':'lock_add','kind':'bot','target':'b','reason':'x'}");
    admin_refused(CONTROL_MALFORMED, "reason", "{'request':'lock_add','kind':'bot','target':'a'}");
    admin_refused(CONTROL_MALFORMED, "ttl",
                  "{'request':'lock_add','kind':'bot','target':'a','reason':'x','ttl':'soon'}");
    cr_assert_str_eq(record_text("lock.create", 0, "details.why"), "x");
    cr_assert_str_eq(record_text("lock.remove", 0, "details.lock"), id);
}

/* --- CAs --- */

Test(authority_admin, rotates_a_ca_without_losing_anybody)
{
    struct caller caller;
    struct who next = {0};
    apply_reader();
    struct who bot = join_bot("ci-1", true);
    struct who proxy = join_proxy("proxy-1"); /* and is away */
    cJSON *status = admin("{'request':'ca_status'}");
    cr_assert_eq(size(status, "authorities"), 4);
    cJSON_Delete(status);
    admin_refused(CONTROL_CONFLICT, "", "{'request':'ca_rotate','kind':'bot','to':'signing'}");
    admin_does("{'request':'ca_rotate','kind':'bot','to':'standby'}");
    status = admin("{'request':'ca_rotate','kind':'bot','to':'trusted'}");
    cr_assert_eq(size(status, "authorities"), 2);
    cJSON_Delete(status);
    admin_refused(CONTROL_CONFLICT, "1 proxy that is not connected",
                  "{'request':'ca_rotate','kind':'bot','to':'signing'}");
    caller_open(&caller, &proxy);
    cr_assert(caller_asks(&caller, "{'request':'subscribe'}"));
    admin_does("{'request':'ca_rotate','kind':'bot','to':'signing'}");
    caller_close(&caller);
    who_release(&proxy);
    caller_open(&caller, &bot); /* by the old CA */
    cr_assert(caller_asks(&caller, "{'request':'renew','csr':%s}", json_text(fresh_csr(&next))),
              "%s", caller.failure.message);
    who_take(&next, caller.ok);
    caller_close(&caller);
    caller_open(&caller, &next); /* by the new one */
    cr_assert(caller_asks(&caller, "{'request':'confirm'}"), "%s", caller.failure.message);
    caller_close(&caller);
    admin_does("{'request':'ca_rotate','kind':'bot','to':'dropped','force':true}");
    cr_assert(!caller_try(&caller, &bot) || !caller_asks(&caller, "{'request':'hello'}"),
              "the old CA vouches for nobody any more");
    caller_close(&caller);
    caller_open(&caller, &next);
    cr_assert(caller_asks(&caller, "{'request':'hello'}"));
    caller_close(&caller);
    admin_refused(CONTROL_INVALID, "moon", "{'request':'ca_rotate','kind':'moon','to':'standby'}");
    admin_refused(CONTROL_INVALID, "up", "{'request':'ca_rotate','kind':'bot','to':'up'}");
    cr_assert_eq(count_records("ca.rotate", 6), 6);
    cr_assert_str_eq(record_text("ca.rotate", 0, "outcome"), "denied");
    cr_assert_str_eq(record_text("ca.rotate", 1, "outcome"), "ok");
    who_release(&bot);
    who_release(&next);
}

Test(authority_admin, shows_itself_by_the_new_service_ca_after_a_rotation)
{
    struct caller caller;
    char before[CERTIFICATE_PIN_TEXT_SIZE], after[CERTIFICATE_PIN_TEXT_SIZE];
    authority_service_pin(service, before);
    admin_does("{'request':'ca_rotate','kind':'service','to':'standby'}");
    admin_does("{'request':'ca_rotate','kind':'service','to':'trusted'}");
    admin_does("{'request':'ca_rotate','kind':'service','to':'signing','force':true}");
    authority_service_pin(service, after);
    cr_assert_str_neq(before, after);
    caller_open(&caller, NULL); /* trusts the pin of now */
    cr_assert(caller_asks(&caller, "{'request':'hello'}"));
    caller_close(&caller);
}

Test(authority_admin, exports_each_ca)
{
    static const char *const kinds[] = {"bot", "service", "database-server", "database-client"};
    for (size_t i = 0; i < 4; i++) {
        struct certificate_facts facts;
        const char *pem =
            admin_text_of(admin("{'request':'ca_export','kind':'%s'}", kinds[i]), "ca");
        cr_assert(certificate_read(pem, strlen(pem), &facts, NULL));
        cr_assert(strstr(facts.subject, kinds[i]), "%s", facts.subject);
        cr_assert(facts.is_ca);
        certificate_facts_release(&facts);
    }
    admin_refused(CONTROL_MALFORMED, "kind", "{'request':'ca_export'}");
}

Test(authority_admin, signs_for_database_servers)
{
    struct certificate_facts facts;
    struct who who = {0};
    cJSON *answer =
        admin("{'request':'sign_database','names':['db1.internal','10.0.0.5'],'ttl':'30d'}");
    const char *pem = text(answer, "certificate");
    cr_assert(certificate_read(pem, strlen(pem), &facts, NULL));
    cr_assert_str_eq(facts.subject, "CN=db1.internal");
    cr_assert(strstr(text(answer, "key"), "PRIVATE KEY"));
    cr_assert(strstr(text(answer, "client_ca"), "BEGIN CERTIFICATE"));
    cr_assert_str_eq(record_text("cert.issue", 1, "details.serial"), facts.serial);
    certificate_facts_release(&facts);
    cJSON_Delete(answer);
    answer =
        admin("{'request':'sign_database','names':['db'],'csr':%s}", json_text(fresh_csr(&who)));
    cr_assert_null(cJSON_GetObjectItem(answer, "key"));
    cJSON_Delete(answer);
    admin_refused(CONTROL_INVALID, "", "{'request':'sign_database','names':[]}");
    admin_refused(CONTROL_INVALID, "", "{'request':'sign_database','names':['*']}");
    admin_refused(CONTROL_INVALID, "", "{'request':'sign_database','names':['d'],'ttl':'900d'}");
    cJSON *all = records(NULL);
    char *log = cJSON_PrintUnformatted(all);
    cr_assert_null(strstr(log, "PRIVATE KEY"));
    cJSON_free(log);
    cJSON_Delete(all);
    who_release(&who);
}

/* --- who may --- */

static int connect_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", settings.socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

Test(authority_admin, is_for_root_and_its_own_user_alone)
{
    struct stat status;
    cr_assert_eq(stat(settings.socket_path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    if (geteuid() != 0)
        cr_skip("only root can become somebody else");
    cr_assert_eq(chmod(home, 0755), 0);
    pid_t child = fork();
    if (child == 0) {
        if (setgid(65534) != 0 || setuid(65534) != 0)
            _exit(9);
        _exit(connect_socket() < 0 && errno == EACCES ? 0 : 1);
    }
    int result;
    waitpid(child, &result, 0);
    cr_assert_eq(result, 0, "the mode keeps others out");
    cr_assert_eq(chmod(settings.socket_path, 0666), 0);
    child = fork();
    if (child == 0) {
        char byte;
        if (setgid(65534) != 0 || setuid(65534) != 0)
            _exit(9);
        int fd = connect_socket();
        ssize_t wrote = write(fd, "\0\0\0\x1a{\"id\":1,\"request\":\"hello\"}", 30);
        _exit(fd >= 0 && wrote >= 0 && read(fd, &byte, 1) <= 0 ? 0 : 1);
    }
    waitpid(child, &result, 0);
    cr_assert_eq(result, 0, "and so do the credentials, when the mode was changed");
    cr_assert_str_eq(record_text("peer.refused", 0, "details.uid"), "65534");
    cr_assert_eq(chmod(home, 0700), 0);
}

Test(authority_admin, may_not_do_what_peers_do)
{
    admin_refused(CONTROL_NOT_ALLOWED, "seen", "{'request':'seen'}");
    admin_refused(CONTROL_UNKNOWN_REQUEST, "", "{'request':'fly'}");
    cr_assert_eq(count_records("peer.refused", 2), 2);
}

/* --- its socket --- */

static bool start_again(struct error *err)
{
    char directory[96];
    snprintf(directory, sizeof directory, "%s/audit", home);
    const struct audit_settings wanted = {.directory = directory, .file_size = 64 << 20};
    cr_assert(audit_log_open(&wanted, 1, &audit, err), "%s", err->message);
    cr_assert(authority_service_open(&settings, audit_log_lane(audit, 0), &service, err), "%s",
              err->message);
    return authority_service_start(service, err);
}

Test(authority_admin, removes_its_socket_and_replaces_a_leftover)
{
    struct error err = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    service_end();
    cr_assert_eq(access(settings.socket_path, F_OK), -1);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", settings.socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    close(fd); /* nobody listens there */
    cr_assert(start_again(&err), "%s", err.message);
    admin_does("{'request':'hello'}");
}

Test(authority_admin, leaves_alone_what_is_not_its_own)
{
    struct error err = {0};
    service_end();
    FILE *file = fopen(settings.socket_path, "w");
    fclose(file);
    cr_assert(!start_again(&err));
    cr_assert(strstr(err.message, "is no socket"), "%s", err.message);
    cr_assert_eq(access(settings.socket_path, F_OK), 0);
    service_end();
    cr_assert_eq(unlink(settings.socket_path), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", settings.socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(fd, 1), 0);
    cr_assert(!start_again(&err));
    cr_assert(strstr(err.message, "in use"), "%s", err.message);
    close(fd);
}

/* --- what has joined --- */

Test(authority_admin, lists_and_removes_proxies)
{
    struct who proxy = join_proxy("proxy-1");
    struct caller caller;
    cJSON *list = admin("{'request':'proxy_list'}");
    const cJSON *first = nth(list, "proxies", 0);
    cr_expect_str_eq(text(first, "name"), "proxy-1");
    cr_expect_eq(size(first, "names"), 1);
    cr_expect(cJSON_IsFalse(cJSON_GetObjectItem(first, "connected")));
    cr_expect(cJSON_IsFalse(cJSON_GetObjectItem(first, "confirmed")));
    cJSON_Delete(list);
    caller_open(&caller, &proxy);
    cr_assert(caller_asks(&caller, "{'request':'subscribe'}"));
    admin_does("{'request':'lock_add','kind':'bot','target':'x','other_ca':true,'reason':'r'}");
    list = admin("{'request':'proxy_list'}");
    cr_expect(cJSON_IsTrue(cJSON_GetObjectItem(nth(list, "proxies", 0), "connected")));
    cr_expect(cJSON_IsTrue(cJSON_GetObjectItem(nth(list, "proxies", 0), "confirmed")));
    cJSON_Delete(list);
    /* It hears no more, and asks in vain. */
    admin_does("{'request':'proxy_remove','name':'proxy-1'}");
    caller_run_for(&caller, 300);
    cr_assert(caller.closed);
    caller_close(&caller);
    caller_open(&caller, &proxy);
    cr_assert_not(caller_asks(&caller, "{'request':'subscribe'}"));
    cr_expect_eq(caller.failure.code, CONTROL_NOT_FOUND);
    caller_close(&caller);
    admin_refused(CONTROL_NOT_FOUND, "proxy-1", "{'request':'proxy_remove','name':'proxy-1'}");
    cr_expect_str_eq(record_text("proxy.remove", 0, "proxy"), "proxy-1");
    who_release(&proxy);
}

Test(authority_admin, a_superseded_proxy_is_locked_and_recorded)
{
    struct who proxy = join_proxy("proxy-1");
    struct who stolen = join_proxy("proxy-2"); /* only for its memory */
    struct caller caller;
    who_release(&stolen);
    stolen = (struct who){
        .certificate = strdup(proxy.certificate), .ca = strdup(proxy.ca), .key = strdup(proxy.key)};
    snprintf(stolen.name, sizeof stolen.name, "proxy-1");
    caller_open(&caller, &proxy);
    cr_assert(
        caller_asks(&caller, "{'request':'renew_proxy','csr':%s}", json_text(fresh_csr(&proxy))));
    who_take(&proxy, caller.ok);
    caller_close(&caller);
    caller_open(&caller, &proxy);
    cr_assert(caller_asks(&caller, "{'request':'subscribe'}"));
    caller_close(&caller);
    caller_open(&caller, &stolen);
    cr_assert_not(caller_asks(&caller, "{'request':'subscribe'}"));
    cr_expect_eq(caller.failure.code, CONTROL_SUPERSEDED);
    caller_close(&caller);
    cJSON *list = admin("{'request':'proxy_list'}");
    cr_expect(strstr(text(nth(list, "proxies", 0), "lock"), "a copy is in use?"));
    cJSON_Delete(list);
    cr_expect_str_eq(record_text("cert.conflict", 0, "proxy"), "proxy-1");
    cr_expect_str_eq(record_text("lock.create", 0, "details.kind"), "proxy");
    cr_expect_str_eq(record_text("lock.create", 0, "details.target"), "proxy-1");
    who_release(&proxy);
    who_release(&stolen);
}

Test(authority_admin, a_removed_instance_is_locked_while_its_certificate_is_good)
{
    apply_reader();
    struct who bot = join_bot("ci-1", true);
    admin_does("{'request':'instance_remove','instance':'%s'}", bot.instance);
    cJSON *list = admin("{'request':'instance_list','bot':'ci-1'}");
    cr_expect_eq(size(list, "instances"), 0);
    cJSON_Delete(list);
    list = admin("{'request':'lock_list'}");
    const cJSON *lock = nth(list, "locks", 0);
    cr_expect_str_eq(text(lock, "kind"), "instance");
    cr_expect_str_eq(text(lock, "target"), bot.instance);
    cr_expect_str_eq(text(lock, "reason"), "it was removed");
    cr_expect(*text(lock, "expires"));
    cJSON_Delete(list);
    admin_refused(CONTROL_NOT_FOUND, bot.instance, "{'request':'instance_remove','instance':'%s'}",
                  bot.instance);
    cr_expect_str_eq(record_text("instance.remove", 0, "bot"), "ci-1");
    cr_expect_str_eq(record_text("instance.remove", 0, "details.instance"), bot.instance);
    who_release(&bot);
}

/* --- databases and mappings --- */

Test(authority_admin, lists_shows_and_removes_databases_and_mappings)
{
    apply_reader();
    admin_does("{'request':'apply','documents':{'mappings':["
               "{'subject':'CN=ci-*,OU=bots','roles':['reader']}]}}");
    admin_does("{'request':'lock_add','kind':'database','target':'shop','reason':'restore'}");
    cJSON *list = admin("{'request':'database_list'}");
    cr_expect_eq(size(list, "databases"), 1);
    cr_expect_str_eq(text(nth(list, "databases", 0), "lock"), "restore");
    cJSON_Delete(list);
    cJSON *shown = admin("{'request':'database_show','name':'shop'}");
    cr_expect_str_eq(text(cJSON_GetObjectItem(shown, "database"), "name"), "shop");
    cJSON_Delete(shown);
    list = admin("{'request':'mapping_list'}");
    cr_expect_str_eq(text(nth(list, "mappings", 0), "name"), "CN=ci-*,OU=bots");
    cJSON_Delete(list);
    /* What something else still needs stays. */
    admin_refused(CONTROL_CONFLICT, "mapping CN=ci-*", "{'request':'role_remove','name':'reader'}");
    admin_does("{'request':'mapping_remove','name':'CN=ci-*,OU=bots'}");
    admin_refused(CONTROL_NOT_FOUND, "CN=ci-",
                  "{'request':'mapping_remove','name':'CN=ci-*,OU=bots'}");
    admin_does("{'request':'database_remove','name':'shop'}");
    admin_refused(CONTROL_NOT_FOUND, "shop", "{'request':'database_show','name':'shop'}");
    cr_expect(strstr(record_text("document.apply", 3, "details.changes"), "database shop"));
}

Test(authority_admin, says_which_bots_have_a_role_that_is_removed)
{
    apply_reader();
    admin_does("{'request':'bot_add','name':'ci-1','roles':['reader'],'no_token':true}");
    admin_does("{'request':'bot_add','name':'ci-2','roles':[],'no_token':true}");
    cJSON *answer = admin("{'request':'role_remove','name':'reader'}");
    cr_assert_eq(size(answer, "bots"), 1);
    cr_assert_str_eq(cJSON_GetArrayItem(cJSON_GetObjectItem(answer, "bots"), 0)->valuestring,
                     "ci-1");
    cJSON_Delete(answer);
}

/* --- sizes --- */

/* A request of many times 64 KiB: only here, and not from the network. */
Test(authority_admin, takes_thousands_of_documents_at_once)
{
    cJSON *request = control_request("apply");
    cJSON *roles = control_put_list(control_put_object(request, "documents"), "roles");
    for (int i = 0; i < 5000; i++) {
        char name[32];
        cJSON *role = cJSON_CreateObject();
        snprintf(name, sizeof name, "role-%d", i);
        cr_assert(control_put_text(role, "name", name));
        cr_assert(cJSON_AddItemToArray(roles, role));
    }
    cJSON *answer;
    struct error err = {0};
    cr_assert(control_ask(settings.socket_path, request, 20000, &answer, &refused, &err), "%s",
              err.message);
    cr_assert_eq(size(answer, "added"), 5000);
    control_free(answer);
    control_free(request);
}

/* Proxies would refuse a state with so many, and keep what they know: no lock would reach them. */
Test(authority_admin, refuses_what_proxies_could_not_take)
{
    cJSON *request = control_request("apply");
    cJSON *roles = control_put_list(control_put_object(request, "documents"), "roles");
    for (int i = 0; i < 8000; i++) {
        char name[32];
        cJSON *role = cJSON_CreateObject();
        cJSON *users = control_put_list(control_put_object(role, "allow"), "mysql_users");
        snprintf(name, sizeof name, "role-%d", i);
        cr_assert(control_put_text(role, "name", name));
        for (int j = 0; j < 20; j++)
            cr_assert(cJSON_AddItemToArray(users, cJSON_CreateString("u")));
        cr_assert(cJSON_AddItemToArray(roles, role));
    }
    cJSON *answer;
    struct error err = {0};
    cr_assert_not(control_ask(settings.socket_path, request, 20000, &answer, &refused, &err));
    cr_expect_eq(refused.code, CONTROL_CONFLICT, "%s", err.message);
    cr_expect(strstr(refused.message, "more than proxies can take"), "%s", refused.message);
    control_free(request);
    cJSON *list = admin("{'request':'role_list'}");
    cr_expect_eq(size(list, "roles"), 0);
    cJSON_Delete(list);
    cr_expect_str_eq(record_text("document.apply", 0, "outcome"), "denied");
}

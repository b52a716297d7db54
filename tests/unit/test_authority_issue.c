/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/authority_support.h"

TestSuite(authority_issue, .init = home_enter, .fini = home_leave);

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(home_path(name), "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

/* Whether openssl(1), who is nobody's friend, accepts it for this purpose under this kind of CA. */
static bool verifies(const char *chain, enum store_authority_kind kind, const char *purpose)
{
    char command[1024];
    write_file("leaf.pem", chain);
    write_file("ca.pem", authority_ca_bundle(authority, kind));
    snprintf(command, sizeof command,
             "openssl verify -x509_strict -purpose %s -CAfile %s %s >/dev/null 2>&1", purpose,
             home_path("ca.pem"), home_path("leaf.pem"));
    return system(command) == 0;
}

/* What openssl(1) prints about it. */
static const char *printed(const char *chain, const char *options)
{
    static char text[8192];
    char command[1024];
    write_file("leaf.pem", chain);
    snprintf(command, sizeof command, "openssl x509 -noout %s -in %s", options,
             home_path("leaf.pem"));
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    text[fread(text, 1, sizeof text - 1, pipe)] = '\0';
    cr_assert_eq(pclose(pipe), 0);
    return text;
}

static struct tls_public *a_public(void)
{
    struct tls_request *request;
    struct tls_public *public = NULL;
    struct buffer pem;
    ENDS(authority_read_csr(a_csr(), &request, WHY));
    buffer_init(&pem, 4096);
    ENDS(tls_public_write(tls_request_public(request), &pem, &failure));
    ENDS(
        tls_public_parse((const char *)buffer_bytes(&pem), buffer_length(&pem), &public, &failure));
    buffer_release(&pem);
    tls_request_free(request);
    return public;
}

Test(authority_issue, a_bots_certificate_says_who_it_is)
{
    static const char *const roles[] = {"shop-reader", "logs"};
    bot_with_roles("ci-1", roles, 2);
    struct authority_identity identity = joined("ci-1");
    const struct identity *read = identity_of(identity.certificate.chain);
    cr_assert_str_eq(read->subject, "CN=ci-1,O=shop-reader,O=logs,OU=bots");
    cr_assert_eq(read->san_uri_count, 2);
    cr_assert_str_eq(read->san_uris[0], "spiffe://acme.test/bot/ci-1");
    char instance[80];
    snprintf(instance, sizeof instance, "sallyport:instance:%s", identity.instance);
    cr_assert_str_eq(read->san_uris[1], instance);
    cr_assert_str_eq(read->serial, identity.certificate.serial);
    cr_assert_str_eq(read->bot, "ci-1");
}

Test(authority_issue, a_bots_certificate_lives_as_long_as_it_says)
{
    a_bot("ci-1", "reader");
    struct authority_identity identity = joined("ci-1");
    const struct identity *read = identity_of(identity.certificate.chain);
    int64_t second = AUTHORITY_SECOND;
    cr_assert_eq(read->not_after_us, identity.certificate.not_after_us);
    cr_assert_eq(read->not_before_us, (now_us / second - 60) * second);
    cr_assert_eq(read->not_after_us, (now_us / second + 3600) * second);
    cr_assert_lt(llabs(identity.certificate.renew_at_us - now_us - 1200 * second), second);
    struct store_certificate row;
    ENDS(store_certificate_find(store, read->serial, &row, &failure));
    cr_assert_eq(row.kind, STORE_CERTIFICATE_BOT);
    cr_assert_eq(row.not_after_us, read->not_after_us);
    cr_assert_eq(row.not_before_us, read->not_before_us);
    cr_assert_str_eq(row.subject, read->subject);
    cr_assert_str_eq(row.instance, identity.instance);
    cr_assert_eq(row.generation, 1);
    cr_assert_eq(row.authority, 1);
}

Test(authority_issue, each_kind_is_vouched_for_by_its_own_ca_alone)
{
    static const enum store_authority_kind kinds[] = {STORE_AUTHORITY_BOT, STORE_AUTHORITY_SERVICE,
                                                      STORE_AUTHORITY_DATABASE_SERVER,
                                                      STORE_AUTHORITY_DATABASE_CLIENT};
    struct authority_certificate issued[4];
    struct tls_public *key = a_public();
    struct authority_hosts hosts;
    const char *host = "db.test";
    a_bot("ci-1", "reader");
    issued[0] = joined("ci-1").certificate;
    issued[1] = joined_proxy("proxy-1", "p1.test").certificate;
    ENDS(authority_hosts_read(&host, 1, &hosts, &refusal));
    ENDS(authority_issue_server(authority, key, &hosts, 0, now_us, &issued[2], WHY));
    ENDS(authority_issue_client(authority, key, "reader", "proxy-1", now_us, &issued[3], &failure));
    tls_public_free(key);
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++)
            cr_assert_eq(verifies(issued[i].chain, kinds[j], "any"), i == j, "%zu %zu", i, j);
    cr_assert(verifies(issued[0].chain, STORE_AUTHORITY_BOT, "sslclient"));
    cr_assert_not(verifies(issued[0].chain, STORE_AUTHORITY_BOT, "sslserver"));
    cr_assert(verifies(issued[1].chain, STORE_AUTHORITY_SERVICE, "sslclient"));
    cr_assert(verifies(issued[1].chain, STORE_AUTHORITY_SERVICE, "sslserver"));
    cr_assert_not(verifies(issued[2].chain, STORE_AUTHORITY_DATABASE_SERVER, "sslclient"));
    cr_assert(verifies(issued[2].chain, STORE_AUTHORITY_DATABASE_SERVER, "sslserver"));
    cr_assert(verifies(issued[3].chain, STORE_AUTHORITY_DATABASE_CLIENT, "sslclient"));
    cr_assert_not(verifies(issued[3].chain, STORE_AUTHORITY_DATABASE_CLIENT, "sslserver"));
}

/* What MySQL compares with REQUIRE SUBJECT is X509_NAME_oneline(). */
Test(authority_issue, a_database_clients_subject_is_the_user_and_nothing_else)
{
    struct authority_certificate certificate;
    struct tls_public *key = a_public();
    ENDS(authority_issue_client(authority, key, "reader", "proxy-1", now_us, &certificate,
                                &failure));
    tls_public_free(key);
    cr_assert_str_eq(printed(certificate.chain, "-subject -nameopt compat"),
                     "subject=/CN=reader\n");
    cr_assert_str_eq(printed(certificate.chain, "-issuer -nameopt compat"),
                     "issuer=/CN=Sallyport database-client CA 1/O=acme.test\n");
    cr_assert_str_eq(authority_ca_signing(authority, STORE_AUTHORITY_DATABASE_CLIENT)->subject_line,
                     "/CN=Sallyport database-client CA 1/O=acme.test");
    cr_assert_str_eq(identity_of(certificate.chain)->san_uris[0],
                     "spiffe://acme.test/proxy/proxy-1");
}

Test(authority_issue, the_authoritys_own_brings_its_ca_along)
{
    struct authority_certificate certificate;
    struct certificate_facts facts;
    struct tls_public *key = a_public();
    ENDS(authority_issue_self(authority, key, now_us, &certificate, &failure));
    ENDS(certificate_read(certificate.chain, strlen(certificate.chain), &facts, &failure));
    cr_assert_eq(facts.count, 2);
    certificate_facts_release(&facts);
    const struct identity *read = identity_of(certificate.chain);
    cr_assert_str_eq(read->subject, "CN=authority,OU=authority");
    cr_assert_str_eq(read->san_uris[0], "spiffe://acme.test/authority");
    const char *names = printed(certificate.chain, "-ext subjectAltName");
    cr_assert(strstr(names, "DNS:authority.test") && strstr(names, "IP Address:127.0.0.1"), "%s",
              names);
    authority->settings.hosts.count = 0;
    FAILS(authority_issue_self(authority, key, now_us, &certificate, &failure), ERROR_CONFIG,
          "no names");
    tls_public_free(key);
}

Test(authority_issue, nothing_outlives_its_ca)
{
    struct authority_certificate certificate;
    struct authority_hosts hosts;
    const char *host = "db.test";
    struct tls_public *key = a_public();
    const struct authority_ca *ca =
        authority_ca_signing(authority, STORE_AUTHORITY_DATABASE_SERVER);
    ENDS(authority_hosts_read(&host, 1, &hosts, &refusal));
    now_us = ca->not_after_us - 10 * AUTHORITY_DAY;
    ENDS(authority_issue_server(authority, key, &hosts, 0, now_us, &certificate, WHY));
    cr_assert_eq(certificate.not_after_us, ca->not_after_us);
    cr_assert_eq(identity_of(certificate.chain)->not_after_us, ca->not_after_us);
    now_us = ca->not_after_us + AUTHORITY_HOUR;
    FAILS(authority_issue_server(authority, key, &hosts, 0, now_us, &certificate, WHY),
          ERROR_CONFIG, "cannot sign");
    tls_public_free(key);
}

Test(authority_issue, a_bot_may_have_as_many_roles_as_fit)
{
    static char texts[AUTHORITY_ROLES_MAX + 1][STORE_NAME_SIZE];
    const char *roles[AUTHORITY_ROLES_MAX + 1];
    for (size_t i = 0; i <= AUTHORITY_ROLES_MAX; i++) {
        memset(texts[i], 'r', STORE_NAME_SIZE - 1);
        texts[i][0] = (char)('A' + i % 26);
        texts[i][1] = (char)('a' + i / 26);
        roles[i] = texts[i];
    }
    char name[STORE_NAME_SIZE] = "";
    memset(name, 'n', STORE_NAME_SIZE - 1);
    bot_with_roles(name, roles, AUTHORITY_ROLES_MAX);
    struct authority_identity identity = joined(name);
    cr_assert_eq(identity_of(identity.certificate.chain)->attribute_count, IDENTITY_ATTRIBUTES_MAX);
    ENDS(store_bot_set_roles(store, name, roles, AUTHORITY_ROLES_MAX + 1, NULL, &failure));
    REFUSED(authority_renew(authority, shown_serial(identity.certificate.serial), a_csr(), now_us,
                            &identity, WHY),
            CONTROL_CONFLICT, "at most 30");
}

/* --- requests --- */

static void rejects_csr(const char *csr, const char *words)
{
    struct tls_request *request;
    REFUSED(authority_read_csr(csr, &request, WHY), CONTROL_BAD_CSR, words);
    cr_assert_null(request);
}

/* A request that openssl(1) makes. */
static const char *foreign_csr(const char *key, const char *options)
{
    static char text[8192];
    char command[1024];
    snprintf(command, sizeof command,
             "openssl req -new -newkey %s -nodes -keyout %s -batch %s 2>/dev/null", key,
             home_path("foreign.key"), options);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    text[fread(text, 1, sizeof text - 1, pipe)] = '\0';
    cr_assert_eq(pclose(pipe), 0, "%s", command);
    return text;
}

Test(authority_issue, requests_that_are_none)
{
    rejects_csr("", "");
    rejects_csr("hello", "");
    rejects_csr(foreign_csr("rsa:2048", "-subj /CN=x"), "RSA");
    rejects_csr(foreign_csr("ec -pkeyopt ec_paramgen_curve:secp256k1", "-subj /CN=x"), "P-256");
    char cut[4096];
    snprintf(cut, sizeof cut, "%s", a_csr());
    cut[strlen(cut) / 2] = '\0';
    rejects_csr(cut, "");
}

Test(authority_issue, what_a_request_asks_for_is_not_looked_at)
{
    struct authority_identity identity;
    a_bot("ci-1", "reader");
    const char *csr = foreign_csr("ec -pkeyopt ec_paramgen_curve:prime256v1",
                                  "-subj /CN=admin/O=owner/OU=bots "
                                  "-addext subjectAltName=URI:spiffe://acme.test/bot/admin "
                                  "-addext basicConstraints=critical,CA:TRUE");
    ENDS(authority_join(authority, a_token(STORE_TOKEN_BOT, "ci-1"), csr, "10.0.0.5", now_us,
                        &identity, WHY));
    const struct identity *read = identity_of(identity.certificate.chain);
    cr_assert_str_eq(read->subject, "CN=ci-1,O=reader,OU=bots");
    cr_assert_str_eq(read->san_uris[0], "spiffe://acme.test/bot/ci-1");
    cr_assert(strstr(printed(identity.certificate.chain, "-ext basicConstraints"), "CA:FALSE"));
}

/* --- sign_database --- */

Test(authority_issue, a_database_server_gets_a_key_and_a_certificate)
{
    static const char *const names[] = {"DB1.internal", "10.0.0.5"};
    const struct authority_server_wanted wanted = {.names = names, .name_count = 2};
    struct authority_server server;
    ENDS(authority_sign_database(authority, &wanted, now_us, &server, WHY));
    const struct identity *read = identity_of(server.certificate.chain);
    cr_assert_str_eq(read->subject, "CN=db1.internal");
    cr_assert_eq((read->not_after_us - now_us) / AUTHORITY_DAY, 89);
    struct tls_key *key = NULL;
    struct tls_public *public = NULL;
    ENDS(tls_key_parse((const char *)buffer_bytes(&server.key), buffer_length(&server.key), &key,
                       &failure));
    ENDS(tls_public_of(key, &public, &failure));
    ENDS(certificate_matches_key(server.certificate.chain, strlen(server.certificate.chain), public,
                                 &failure));
    tls_public_free(public);
    tls_key_free(key);
    authority_server_release(&server);
    authority_server_release(&server);
}

Test(authority_issue, a_database_server_may_keep_its_key)
{
    static const char *const names[] = {"db1.internal"};
    const struct authority_server_wanted wanted = {
        .names = names, .name_count = 1, .ttl_us = 825 * AUTHORITY_DAY, .csr = a_csr()};
    struct authority_server server;
    ENDS(authority_sign_database(authority, &wanted, now_us, &server, WHY));
    cr_assert_eq(buffer_length(&server.key), 0);
    authority_server_release(&server);
}

Test(authority_issue, database_servers_that_cannot_be)
{
    static const char *const names[] = {"*.internal"};
    struct authority_server server;
    struct authority_server_wanted wanted = {.names = names, .name_count = 1};
    REFUSED(authority_sign_database(authority, &wanted, now_us, &server, WHY), CONTROL_INVALID,
            "wildcards");
    static const char *const good[] = {"db.test"};
    wanted = (struct authority_server_wanted){good, 1, 826 * AUTHORITY_DAY, NULL};
    REFUSED(authority_sign_database(authority, &wanted, now_us, &server, WHY), CONTROL_INVALID,
            "825d");
    wanted.ttl_us = -1;
    REFUSED(authority_sign_database(authority, &wanted, now_us, &server, WHY), CONTROL_INVALID,
            "825d");
    wanted = (struct authority_server_wanted){good, 1, 0, "nonsense"};
    REFUSED(authority_sign_database(authority, &wanted, now_us, &server, WHY), CONTROL_BAD_CSR, "");
}

Test(authority_issue, a_long_host_name_is_left_to_the_sans)
{
    char label[200];
    memset(label, 'a', sizeof label);
    label[60] = '.';
    label[120] = '\0';
    const char *name = label;
    const struct authority_server_wanted wanted = {.names = &name, .name_count = 1};
    struct authority_server server;
    ENDS(authority_sign_database(authority, &wanted, now_us, &server, WHY));
    cr_assert_str_eq(identity_of(server.certificate.chain)->subject, "CN=database");
    authority_server_release(&server);
}

/* --- mint --- */

Test(authority_issue, a_proxy_gets_what_it_logs_in_with)
{
    struct authority_identity proxy = joined_proxy("proxy-1", "p1.test");
    struct authority_certificate certificate;
    const struct authority_mint wanted = {proxy.certificate.serial, a_csr(), "reader"};
    ENDS(authority_mint(authority, &wanted, now_us, &certificate, WHY));
    const struct identity *read = identity_of(certificate.chain);
    cr_assert_str_eq(read->subject, "CN=reader");
    cr_assert_str_eq(read->san_uris[0], "spiffe://acme.test/proxy/proxy-1");
    struct store_certificate row;
    ENDS(store_certificate_find(store, certificate.serial, &row, &failure));
    cr_assert_eq(row.kind, STORE_CERTIFICATE_DATABASE_CLIENT);
}

Test(authority_issue, nobody_else_gets_it)
{
    struct authority_certificate own;
    struct authority_certificate certificate;
    struct tls_public *key = a_public();
    a_bot("proxy-1", "reader");
    struct authority_identity bot = joined("proxy-1");
    joined_proxy("proxy-1", "p1.test");
    struct authority_mint wanted = {bot.certificate.serial, a_csr(), "reader"};
    REFUSED(authority_mint(authority, &wanted, now_us, &certificate, WHY), CONTROL_NOT_ALLOWED,
            "knows no certificate of a proxy");
    ENDS(authority_issue_self(authority, key, now_us, &own, &failure));
    tls_public_free(key);
    wanted.serial = own.serial;
    REFUSED(authority_mint(authority, &wanted, now_us, &certificate, WHY), CONTROL_NOT_ALLOWED,
            "not for a proxy");
    wanted.serial = "00ff";
    REFUSED(authority_mint(authority, &wanted, now_us, &certificate, WHY), CONTROL_NOT_ALLOWED,
            "knows no certificate");
}

Test(authority_issue, a_user_that_prints_as_another_subject_is_refused)
{
    struct authority_identity proxy = joined_proxy("proxy-1", "p1.test");
    struct authority_certificate certificate;
    const struct authority_mint wanted = {proxy.certificate.serial, a_csr(), "reader/O=ops"};
    REFUSED(authority_mint(authority, &wanted, now_us, &certificate, WHY), CONTROL_INVALID,
            "reader/O=ops");
}

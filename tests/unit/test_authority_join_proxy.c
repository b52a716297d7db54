/* SPDX-License-Identifier: Apache-2.0 */
/* How proxies join: for which names, and what of a lost answer. Bots are in test_authority_join.c.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/authority_support.h"

TestSuite(authority_join_proxy, .init = home_enter, .fini = home_leave);

static struct authority_identity identity;

static bool join_proxy(const char *token, const char *name, const char *const *hosts, size_t count)
{
    const struct authority_join_proxy join = {.token = token,
                                              .name = name,
                                              .csr = a_csr(),
                                              .hosts = hosts,
                                              .host_count = count,
                                              .address = "10.0.0.6"};
    return authority_join_proxy(authority, &join, now_us, &identity, WHY);
}

Test(authority_join_proxy, a_proxy_joins_with_its_names)
{
    static const char *const hosts[] = {"P1.test", "10.0.0.9"};
    struct store_proxy row;
    ENDS(join_proxy(a_token(STORE_TOKEN_PROXY, "proxy-1"), "proxy-1", hosts, 2));
    cr_assert_str_eq(identity.name, "proxy-1");
    cr_assert_str_eq(identity.instance, "");
    const struct identity *read = identity_of(identity.certificate.chain);
    cr_assert_str_eq(read->subject, "CN=proxy-1,OU=proxies");
    cr_assert_str_eq(read->san_uris[0], "spiffe://acme.test/proxy/proxy-1");
    ENDS(store_proxy_find(store, "proxy-1", &row, &failure));
    cr_assert_eq(row.name_count, 2);
    cr_assert_str_eq(row.names[0], "p1.test");
    cr_assert_str_eq(row.serial, identity.certificate.serial);
}

Test(authority_join_proxy, a_proxys_token_is_for_its_name_and_good_hosts)
{
    static const char *const hosts[] = {"p1.test", "*.test"};
    const char *token = a_token(STORE_TOKEN_PROXY, "proxy-1");
    REFUSED(join_proxy(token, "proxy-2", hosts, 1), CONTROL_INVALID, "for the proxy proxy-1");
    REFUSED(join_proxy(token, "a/b", hosts, 1), CONTROL_INVALID, "name of a proxy");
    REFUSED(join_proxy(token, "proxy-1", hosts, 2), CONTROL_INVALID, "wildcards");
    REFUSED(join_proxy(token, "proxy-1", hosts, 0), CONTROL_INVALID, "are needed");
    ENDS(join_proxy(token, "proxy-1", hosts, 1));
    REFUSED(join_proxy(token, "proxy-1", hosts, 1), CONTROL_TOKEN_USED, "");
}

static bool admit_no_proxy(void *context, const char *who)
{
    (void)context;
    cr_assert_str_eq(who, "proxy proxy-1");
    return false;
}

Test(authority_join_proxy, a_proxys_lost_answer_is_given_again_to_the_same_key)
{
    const char *host = "p1.test";
    struct store_proxy row;
    struct tls_key *key = NULL;
    struct authority_join_proxy join = {.token = a_token(STORE_TOKEN_PROXY, "proxy-1"),
                                        .name = "proxy-1",
                                        .csr = csr_of(&key),
                                        .hosts = &host,
                                        .host_count = 1,
                                        .address = "10.0.0.6"};
    ENDS(authority_join_proxy(authority, &join, now_us, &identity, WHY));
    join.csr = csr_of(&key);
    authority->admits = admit_no_proxy;
    REFUSED(authority_join_proxy(authority, &join, now_us, &identity, WHY), CONTROL_BUSY,
            "proxy-1 joins too often");
    authority->admits = NULL;
    ENDS(authority_join_proxy(authority, &join, now_us, &identity, WHY));
    cr_assert(identity.again);
    ENDS(store_proxy_find(store, "proxy-1", &row, &failure));
    cr_assert_str_eq(row.serial, identity.certificate.serial);
    REFUSED(join_proxy(join.token, "proxy-1", &host, 1), CONTROL_TOKEN_USED, "by another key");
    tls_key_free(key);
}

Test(authority_join_proxy, a_locked_proxy_neither_joins_nor_asks)
{
    const char *host = "p1.test";
    struct store_lock lock;
    struct authority_identity proxy = joined_proxy("proxy-1", host);
    struct authority_certificate certificate;
    const char *token = a_token(STORE_TOKEN_PROXY, "proxy-1");
    const struct authority_lock_wanted wanted = {
        .kind = STORE_LOCK_PROXY, .target = "proxy-1", .reason = "stolen", .created_by = "x"};
    ENDS(authority_lock_add(authority, &wanted, now_us, &lock, WHY));
    REFUSED(join_proxy(token, "proxy-1", &host, 1), CONTROL_LOCKED, "stolen");
    const struct authority_renew_proxy renewal = {proxy.certificate.serial, a_csr(), NULL, 0};
    REFUSED(authority_renew_proxy(authority, &renewal, now_us, &identity, WHY), CONTROL_LOCKED, "");
    const struct authority_mint mint = {proxy.certificate.serial, a_csr(), "reader"};
    REFUSED(authority_mint(authority, &mint, now_us, &certificate, WHY), CONTROL_LOCKED, "stolen");
}

Test(authority_join_proxy, a_proxy_renews_for_the_names_that_it_joined_with)
{
    static const char *const hosts[] = {"p1.test", "10.0.0.9"};
    static const char *const others[] = {"p1.test", "authority.test"};
    ENDS(join_proxy(a_token(STORE_TOKEN_PROXY, "proxy-1"), "proxy-1", hosts, 2));
    char serial[STORE_SERIAL_SIZE];
    memcpy(serial, identity.certificate.serial, sizeof serial);
    struct authority_renew_proxy renewal = {serial, a_csr(), others, 2};
    REFUSED(authority_renew_proxy(authority, &renewal, now_us, &identity, WHY), CONTROL_INVALID,
            "has not joined with the name authority.test");
    renewal.host_count = 1;
    ENDS(authority_renew_proxy(authority, &renewal, now_us, &identity, WHY));
    /* Asking for fewer does not give the others up. */
    memcpy(serial, identity.certificate.serial, sizeof serial);
    renewal = (struct authority_renew_proxy){serial, a_csr(), hosts, 2};
    ENDS(authority_renew_proxy(authority, &renewal, now_us, &identity, WHY));
}

Test(authority_join_proxy, a_removed_or_expired_proxy_does_not_renew)
{
    struct authority_identity proxy = joined_proxy("proxy-1", "p1.test");
    const struct authority_renew_proxy renewal = {proxy.certificate.serial, a_csr(), NULL, 0};
    const int64_t then = now_us;
    now_us = proxy.certificate.not_after_us;
    REFUSED(authority_renew_proxy(authority, &renewal, now_us, &identity, WHY), CONTROL_NOT_ALLOWED,
            "expired on");
    now_us = then;
    ENDS(store_proxy_remove(store, "proxy-1", &failure));
    REFUSED(authority_renew_proxy(authority, &renewal, now_us, &identity, WHY), CONTROL_NOT_FOUND,
            "proxy proxy-1 was removed");
}

/* A tunnel that looks for one must not find the other. */
Test(authority_join_proxy, a_proxy_is_not_called_as_the_authority_or_as_another_one)
{
    static const char *const authoritys[] = {"p2.test", "Authority.Test"};
    static const char *const others[] = {"p2.test", "P1.test"};
    static const char *const loopback[] = {"localhost", "127.0.0.1", "::1", "db.localhost"};
    (void)joined_proxy("proxy-1", "p1.test");
    const char *token = a_token(STORE_TOKEN_PROXY, "proxy-2");
    REFUSED(join_proxy(token, "proxy-2", authoritys, 2), CONTROL_CONFLICT,
            "authority.test is the authority itself");
    REFUSED(join_proxy(token, "proxy-2", others, 2), CONTROL_CONFLICT,
            "p1.test is a name of the proxy proxy-1");
    ENDS(join_proxy(token, "proxy-2", others, 1));
    /* What it is called already is its own, also when it joins again. */
    (void)joined_proxy("proxy-1", "p1.test");
    ENDS(join_proxy(a_token(STORE_TOKEN_PROXY, "proxy-3"), "proxy-3", loopback, 4));
    ENDS(join_proxy(a_token(STORE_TOKEN_PROXY, "proxy-4"), "proxy-4", loopback, 4));
    ENDS(store_proxy_remove(store, "proxy-1", &failure));
    ENDS(join_proxy(a_token(STORE_TOKEN_PROXY, "proxy-5"), "proxy-5", others + 1, 1));
}

Test(authority_join_proxy, shared_names_are_for_several)
{
    static const char *const hosts[] = {"p2.test", "p1.test"};
    static const char *const shared[] = {"P1.test", "authority.test"};
    cr_assert(authority_hosts_read(shared, 2, &authority->settings.shared_hosts, &refusal));
    (void)joined_proxy("proxy-1", "p1.test");
    ENDS(join_proxy(a_token(STORE_TOKEN_PROXY, "proxy-2"), "proxy-2", hosts, 2));
    ENDS(join_proxy(a_token(STORE_TOKEN_PROXY, "proxy-3"), "proxy-3", shared, 2));
    REFUSED(join_proxy(a_token(STORE_TOKEN_PROXY, "proxy-4"), "proxy-4", hosts, 1),
            CONTROL_CONFLICT, "p2.test is a name of the proxy proxy-2");
}

/* Both have had it since before this was looked at: it is the first one's. */
Test(authority_join_proxy, a_proxy_does_not_renew_for_a_name_that_is_somebody_elses)
{
    static const char *const own[] = {"p2.test"};
    struct store_proxy row;
    (void)joined_proxy("proxy-1", "p1.test");
    now_us += AUTHORITY_SECOND;
    struct authority_identity second = joined_proxy("proxy-2", "p2.test");
    ENDS(store_proxy_find(store, "proxy-2", &row, &failure));
    snprintf(row.names[row.name_count++], STORE_HOST_SIZE, "p1.test");
    ENDS(store_proxy_put(store, &row, &failure));
    struct authority_renew_proxy renewal = {second.certificate.serial, a_csr(), NULL, 0};
    REFUSED(authority_renew_proxy(authority, &renewal, now_us, &identity, WHY), CONTROL_CONFLICT,
            "p1.test is a name of the proxy proxy-1");
    renewal.hosts = own;
    renewal.host_count = 1;
    ENDS(authority_renew_proxy(authority, &renewal, now_us, &identity, WHY));
}

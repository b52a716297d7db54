/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "authority/ca_key.h"
#include "tests/unit/authority_support.h"

TestSuite(authority_ca, .init = home_enter, .fini = home_leave);

static const enum store_authority_kind kinds[] = {STORE_AUTHORITY_BOT, STORE_AUTHORITY_SERVICE,
                                                  STORE_AUTHORITY_DATABASE_SERVER,
                                                  STORE_AUTHORITY_DATABASE_CLIENT};

static const char *const key_files[] = {"keys/bot-1.key", "keys/service-1.key",
                                        "keys/database-server-1.key", "keys/database-client-1.key"};

/* How many certificates stand in a bundle. */
static size_t certificates(enum store_authority_kind kind)
{
    struct certificate_facts facts;
    struct error err = {0};
    const char *bundle = authority_ca_bundle(authority, kind);
    cr_assert(certificate_read(bundle, strlen(bundle), &facts, &err), "%s", err.message);
    certificate_facts_release(&facts);
    return facts.count;
}

static bool exists(const char *name)
{
    return access(home_path(name), F_OK) == 0;
}

/* Whether the authority does not open, with these words; the store is open meanwhile. */
static void opens_not(enum error_code code, const char *words)
{
    struct error err = {0};
    struct authority *other = NULL;
    authority_close(authority);
    authority = NULL;
    cr_assert_not(authority_open(&settings, store, now_us, &other, &err));
    cr_assert_eq(err.code, code, "%s: %s", error_code_name(err.code), err.message);
    cr_assert(strstr(err.message, words), "%s", err.message);
}

/* --- the first start --- */

Test(authority_ca, four_are_made_of_four_keys)
{
    const uint8_t *pins[4];
    for (size_t i = 0; i < 4; i++) {
        const struct authority_ca *ca = authority_ca_signing(authority, kinds[i]);
        char name[128];
        snprintf(name, sizeof name, "CN=Sallyport %s CA 1,O=acme.test",
                 store_authority_kind_name(kinds[i]));
        cr_assert_str_eq(identity_of(ca->certificate)->subject, name);
        cr_assert_eq(ca->number, 1);
        cr_assert_eq(ca->phase, AUTHORITY_SIGNING);
        cr_assert_str_eq(authority_ca_bundle(authority, kinds[i]), ca->certificate);
        pins[i] = ca->pin;
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(memcmp(pins[i], pins[j], TLS_PIN_SIZE), 0);
    }
}

Test(authority_ca, keys_are_for_nobody_else)
{
    struct stat info;
    cr_assert_eq(stat(home_path("keys"), &info), 0);
    cr_assert_eq(info.st_mode & 07777, 0700);
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(stat(home_path(key_files[i]), &info), 0);
        cr_assert_eq(info.st_mode & 07777, 0600);
    }
}

Test(authority_ca, the_ledger_knows_them)
{
    struct store_certificate row;
    const struct identity *identity =
        identity_of(authority_ca_signing(authority, STORE_AUTHORITY_BOT)->certificate);
    ENDS(store_certificate_find(store, identity->serial, &row, &failure));
    cr_assert_eq(row.kind, STORE_CERTIFICATE_CA);
    cr_assert_eq(row.not_after_us / AUTHORITY_DAY - now_us / AUTHORITY_DAY, 3650);
}

Test(authority_ca, a_long_trust_domain_is_cut_in_the_subject_alone)
{
    home_leave();
    home_enter();
    home_close();
    memset(settings.trust_domain, 'a', 200);
    settings.trust_domain[200] = '\0';
    unlink(home_path("authority.db"));
    unlink(home_path("authority.db-wal"));
    unlink(home_path("authority.db-shm"));
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(unlink(home_path(key_files[i])), 0);
    home_open();
    const struct identity *identity =
        identity_of(authority_ca_signing(authority, STORE_AUTHORITY_BOT)->certificate);
    cr_assert_eq(strlen(identity->attributes[1].value), 64);
}

/* --- later starts --- */

Test(authority_ca, the_same_ones_are_there_after_a_restart)
{
    uint8_t pin[TLS_PIN_SIZE];
    memcpy(pin, authority_ca_signing(authority, STORE_AUTHORITY_SERVICE)->pin, sizeof pin);
    home_close();
    home_open();
    const struct authority_ca *ca = authority_ca_signing(authority, STORE_AUTHORITY_SERVICE);
    cr_assert_eq(memcmp(pin, ca->pin, sizeof pin), 0);
    cr_assert_not_null(ca->key);
}

Test(authority_ca, a_missing_key_is_not_made_anew)
{
    cr_assert_eq(unlink(home_path("keys/bot-1.key")), 0);
    opens_not(ERROR_CONFIG, "keys/bot-1.key is missing");
    cr_assert_not(exists("keys/bot-1.key"));
}

Test(authority_ca, a_foreign_key_is_noticed)
{
    cr_assert_eq(rename(home_path("keys/bot-1.key"), home_path("keys/saved")), 0);
    cr_assert_eq(rename(home_path("keys/service-1.key"), home_path("keys/bot-1.key")), 0);
    opens_not(ERROR_CONFIG, "keys/bot-1.key is not the key of the CA");
}

Test(authority_ca, a_damaged_key_is_noticed)
{
    int fd = open(home_path("keys/service-1.key"), O_WRONLY);
    cr_assert_eq(pwrite(fd, "XXXXXXXX", 8, 60), 8);
    close(fd);
    opens_not(ERROR_MALFORMED, "keys/service-1.key");
}

Test(authority_ca, a_key_that_others_may_read_is_refused)
{
    cr_assert_eq(chmod(home_path("keys/service-1.key"), 0640), 0);
    opens_not(ERROR_CONFIG, "open to other users");
}

Test(authority_ca, a_key_behind_a_symbolic_link_is_refused)
{
    cr_assert_eq(rename(home_path("keys/bot-1.key"), home_path("keys/elsewhere")), 0);
    cr_assert_eq(symlink("elsewhere", home_path("keys/bot-1.key")), 0);
    opens_not(ERROR_CONFIG, "symbolic link");
}

Test(authority_ca, a_directory_of_keys_that_others_may_enter_is_refused)
{
    cr_assert_eq(chmod(home_path("keys"), 0750), 0);
    opens_not(ERROR_CONFIG, "chmod 700");
}

Test(authority_ca, keys_without_their_store_are_not_replaced)
{
    home_close();
    unlink(home_path("authority.db-wal"));
    unlink(home_path("authority.db-shm"));
    cr_assert_eq(unlink(home_path("authority.db")), 0);
    struct error err = {0};
    cr_assert(store_open(home, &store, &err), "%s", err.message);
    cr_assert_not(authority_open(&settings, store, now_us, &authority, &err));
    cr_assert_eq(err.code, ERROR_CONFIG);
    cr_assert(strstr(err.message, "the store beside it knows none"), "%s", err.message);
}

Test(authority_ca, the_trust_domain_stays)
{
    snprintf(settings.trust_domain, sizeof settings.trust_domain, "other.test");
    opens_not(ERROR_CONFIG, "the trust domain cannot be changed");
}

Test(authority_ca, phases_that_contradict_each_other_are_damage)
{
    ENDS(store_authority_set_phase(store, STORE_AUTHORITY_BOT, 1, "trusted", now_us, &failure));
    opens_not(ERROR_MALFORMED, "phases of its bot CAs");
}

Test(authority_ca, a_kind_without_a_ca_is_damage)
{
    ENDS(store_authority_remove(store, STORE_AUTHORITY_DATABASE_CLIENT, 1, &failure));
    opens_not(ERROR_MALFORMED, "database-client");
}

/* A crash between the commit and the rename. */
Test(authority_ca, a_staged_key_is_settled_at_the_next_start)
{
    for (size_t i = 0; i < 4; i++) {
        char staged[80];
        snprintf(staged, sizeof staged, "%s.new", key_files[i]);
        cr_assert_eq(rename(home_path(key_files[i]), home_path(staged)), 0);
    }
    home_close();
    home_open();
    for (size_t i = 0; i < 4; i++)
        cr_assert(exists(key_files[i]));
    cr_assert_not(exists("keys/bot-1.key.new"));
}

/* A crash before the commit. */
Test(authority_ca, a_leftover_without_a_row_is_overwritten)
{
    home_close();
    unlink(home_path("authority.db-wal"));
    unlink(home_path("authority.db-shm"));
    unlink(home_path("authority.db"));
    for (size_t i = 0; i < 4; i++) {
        char staged[80];
        snprintf(staged, sizeof staged, "%s.new", key_files[i]);
        cr_assert_eq(rename(home_path(key_files[i]), home_path(staged)), 0);
    }
    home_open();
    cr_assert(exists("keys/bot-1.key"));
    cr_assert_not(exists("keys/bot-1.key.new"));
}

/* The first start, killed anywhere: the next one succeeds, whatever was there. */
Test(authority_ca, the_first_start_may_be_killed_anywhere)
{
    for (unsigned delay_us = 0; delay_us < 40000; delay_us += 2000) {
        home_leave();
        home_enter();
        home_close();
        unlink(home_path("authority.db-wal"));
        unlink(home_path("authority.db-shm"));
        unlink(home_path("authority.db"));
        for (size_t i = 0; i < 4; i++)
            cr_assert_eq(unlink(home_path(key_files[i])), 0);
        pid_t child = fork();
        cr_assert_geq(child, 0);
        if (child == 0) {
            home_open();
            _exit(0);
        }
        usleep(delay_us);
        kill(child, SIGKILL);
        cr_assert_eq(waitpid(child, NULL, 0), child);
        home_open();
        a_bot("ci-1", "reader");
        joined("ci-1");
    }
}

Test(authority_ca, settings_have_bounds)
{
    static const struct {
        size_t at;
        int64_t value;
        const char *words;
    } cases[] = {
        {offsetof(struct authority_settings, bot_ttl_us), 4999999, "a bot's certificate is 5s to"},
        {offsetof(struct authority_settings, bot_ttl_us), AUTHORITY_DAY + 1, "a bot's certificate"},
        {offsetof(struct authority_settings, proxy_ttl_us), INT64_MAX, "a proxy's certificate"},
        {offsetof(struct authority_settings, client_ttl_us), -1, "a database client's"},
        {offsetof(struct authority_settings, server_ttl_us), 826 * AUTHORITY_DAY, "825d"},
        {offsetof(struct authority_settings, ca_ttl_us), 0, "a CA"},
        {offsetof(struct authority_settings, token_ttl_us), 8 * AUTHORITY_DAY, "5s to 7d"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct authority_settings wrong = settings;
        struct error err = {0};
        memcpy((char *)&wrong + cases[i].at, &cases[i].value, sizeof cases[i].value);
        cr_assert_not(authority_settings_check(&wrong, &err));
        cr_assert_eq(err.code, ERROR_CONFIG);
        cr_assert(strstr(err.message, cases[i].words), "%s", err.message);
    }
    struct authority_settings wrong = settings;
    wrong.trust_domain[0] = '\0';
    FAILS(authority_settings_check(&wrong, &failure), ERROR_CONFIG, "trust domain");
}

/* --- rotation --- */

static bool rotate(enum store_authority_kind kind, const char *to, bool force)
{
    enum authority_rotation rotation;
    cr_assert(authority_rotation_parse(to, &rotation), "%s", to);
    return authority_ca_rotate(authority, kind, rotation, force, now_us, WHY);
}

static void is_at(enum store_authority_kind kind, const char *rotation, int64_t signing,
                  size_t trusted)
{
    cr_assert_str_eq(authority_rotation_name(authority_ca_rotation(authority, kind)), rotation);
    cr_assert_eq(authority_ca_signing(authority, kind)->number, signing);
    cr_assert_eq(certificates(kind), trusted);
}

/* As is_at(), also after a restart. */
static void stays_at(enum store_authority_kind kind, const char *rotation, int64_t signing,
                     size_t trusted)
{
    is_at(kind, rotation, signing, trusted);
    home_close();
    home_open();
    is_at(kind, rotation, signing, trusted);
}

Test(authority_ca, a_rotation_goes_through_its_phases)
{
    enum store_authority_kind bot = STORE_AUTHORITY_BOT;
    stays_at(bot, "none", 1, 1);
    ENDS(rotate(bot, "standby", false));
    stays_at(bot, "standby", 1, 1);
    cr_assert(exists("keys/bot-2.key"));
    ENDS(rotate(bot, "trusted", false));
    stays_at(bot, "trusted", 1, 2);
    ENDS(rotate(bot, "signing", false));
    stays_at(bot, "signing", 2, 2);
    ENDS(rotate(bot, "dropped", false));
    stays_at(bot, "none", 2, 1);
    cr_assert_not(exists("keys/bot-1.key"));
    is_at(STORE_AUTHORITY_SERVICE, "none", 1, 1);
}

Test(authority_ca, a_rotation_can_be_taken_back_step_by_step)
{
    enum store_authority_kind kind = STORE_AUTHORITY_SERVICE;
    ENDS(rotate(kind, "standby", false));
    ENDS(rotate(kind, "trusted", false));
    ENDS(rotate(kind, "signing", false));
    ENDS(rotate(kind, "trusted", false));
    stays_at(kind, "trusted", 1, 2);
    ENDS(rotate(kind, "standby", false));
    stays_at(kind, "standby", 1, 1);
    ENDS(rotate(kind, "none", false));
    is_at(kind, "none", 1, 1);
    cr_assert_not(exists("keys/service-2.key"));
    /* The number is not used again: another key would have the same name. */
    ENDS(rotate(kind, "standby", false));
    cr_assert(exists("keys/service-3.key"));
    stays_at(kind, "standby", 1, 1);
    ENDS(rotate(kind, "none", false));
    stays_at(kind, "none", 1, 1);
    ENDS(rotate(kind, "standby", false));
    cr_assert(exists("keys/service-4.key"));
}

Test(authority_ca, numbers_are_not_used_twice_in_one_run)
{
    for (unsigned i = 0; i < 3; i++) {
        ENDS(rotate(STORE_AUTHORITY_BOT, "standby", false));
        ENDS(rotate(STORE_AUTHORITY_BOT, "none", false));
    }
    ENDS(rotate(STORE_AUTHORITY_BOT, "standby", false));
    cr_assert(exists("keys/bot-5.key"));
}

Test(authority_ca, only_the_next_step_is_taken)
{
    enum store_authority_kind kind = STORE_AUTHORITY_BOT;
    REFUSED(rotate(kind, "trusted", true), CONTROL_CONFLICT, "the next step is standby");
    REFUSED(rotate(kind, "signing", true), CONTROL_CONFLICT, "next step is standby");
    REFUSED(rotate(kind, "dropped", true), CONTROL_CONFLICT, "next step is standby");
    ENDS(rotate(kind, "none", false));
    ENDS(rotate(kind, "standby", false));
    ENDS(rotate(kind, "standby", false));
    REFUSED(rotate(kind, "signing", true), CONTROL_CONFLICT, "next step is trusted");
    ENDS(rotate(kind, "trusted", false));
    REFUSED(rotate(kind, "none", true), CONTROL_CONFLICT, "one back is standby");
    REFUSED(rotate(kind, "dropped", true), CONTROL_CONFLICT, "next step is signing");
    ENDS(rotate(kind, "signing", false));
    REFUSED(rotate(kind, "standby", true), CONTROL_CONFLICT, "one back is trusted");
    REFUSED(rotate(kind, "none", true), CONTROL_CONFLICT, "next step is dropped");
}

Test(authority_ca, nobody_is_left_behind_when_the_new_one_signs)
{
    a_bot("ci-1", "reader");
    a_bot("ci-2", "reader");
    struct authority_identity one = joined_and_confirmed("ci-1");
    joined_and_confirmed("ci-2");
    now_us += AUTHORITY_MINUTE;
    ENDS(rotate(STORE_AUTHORITY_SERVICE, "standby", false));
    ENDS(rotate(STORE_AUTHORITY_SERVICE, "trusted", false));
    now_us += AUTHORITY_MINUTE;
    REFUSED(rotate(STORE_AUTHORITY_SERVICE, "signing", false), CONTROL_CONFLICT, "2 instances");
    struct authority_identity next = renewed_and_confirmed(&one);
    cr_assert_str_eq(next.ca, authority_ca_bundle(authority, STORE_AUTHORITY_SERVICE));
    char until[CLOCK_TIME_SIZE];
    clock_format(one.certificate.not_after_us, until);
    until[19] = '\0';
    REFUSED(rotate(STORE_AUTHORITY_SERVICE, "signing", false), CONTROL_CONFLICT,
            "1 instance of a bot may");
    cr_assert(strstr(refusal.message, until), "%s", refusal.message);
    /* The other one never came back: its certificate ends. */
    now_us = one.certificate.not_after_us;
    ENDS(rotate(STORE_AUTHORITY_SERVICE, "signing", false));
}

Test(authority_ca, proxies_are_waited_for_too)
{
    struct authority_identity proxy = joined_proxy("proxy-1", "p1.test");
    now_us += AUTHORITY_MINUTE;
    ENDS(rotate(STORE_AUTHORITY_SERVICE, "standby", false));
    ENDS(rotate(STORE_AUTHORITY_SERVICE, "trusted", false));
    REFUSED(rotate(STORE_AUTHORITY_SERVICE, "signing", false), CONTROL_CONFLICT, "1 proxy may");
    const struct authority_renew_proxy renewal = {proxy.certificate.serial, a_csr(), NULL, 0};
    ENDS(authority_renew_proxy(authority, &renewal, now_us, &proxy, WHY));
    ENDS(rotate(STORE_AUTHORITY_SERVICE, "signing", false));
}

static bool told_first_alone(void *context, const char *proxy)
{
    (void)context;
    return strcmp(proxy, "proxy-1") == 0;
}

/* These CAs come with the state: nobody has to renew, and bots need not know them at all. */
Test(authority_ca, what_proxies_verify_waits_for_those_that_are_away)
{
    static const enum store_authority_kind these[] = {STORE_AUTHORITY_BOT,
                                                      STORE_AUTHORITY_DATABASE_SERVER};
    a_bot("ci-1", "reader");
    (void)joined_and_confirmed("ci-1");
    (void)joined_proxy("proxy-1", "p1.test");
    const struct authority_identity other = joined_proxy("proxy-2", "p2.test");
    authority->told = told_first_alone;
    for (size_t i = 0; i < 2; i++) {
        ENDS(rotate(these[i], "standby", false));
        ENDS(rotate(these[i], "trusted", false));
        REFUSED(rotate(these[i], "signing", false), CONTROL_CONFLICT,
                "1 proxy that is not connected");
        authority->told = NULL;
        REFUSED(rotate(these[i], "signing", false), CONTROL_CONFLICT,
                "2 proxies that are not connected");
        authority->told = told_first_alone;
    }
    ENDS(store_proxy_remove(store, "proxy-2", &failure));
    ENDS(rotate(STORE_AUTHORITY_BOT, "signing", false));
    now_us = other.certificate.not_after_us;
    authority->told = NULL;
    ENDS(rotate(STORE_AUTHORITY_DATABASE_SERVER, "signing", false));
}

/* A certificate that nobody can use any more keeps no CA. */
Test(authority_ca, what_is_void_is_not_waited_for)
{
    a_bot("ci-1", "reader");
    a_bot("ci-2", "reader");
    struct authority_identity one = joined_and_confirmed("ci-1");
    struct authority_identity gone = joined_and_confirmed("ci-1");
    (void)joined_and_confirmed("ci-2");
    ENDS(rotate(STORE_AUTHORITY_BOT, "standby", false));
    ENDS(rotate(STORE_AUTHORITY_BOT, "trusted", false));
    ENDS(rotate(STORE_AUTHORITY_BOT, "signing", false));
    REFUSED(rotate(STORE_AUTHORITY_BOT, "dropped", false), CONTROL_CONFLICT, "3 certificates");
    ENDS(store_instance_remove(store, gone.instance, &failure));
    REFUSED(rotate(STORE_AUTHORITY_BOT, "dropped", false), CONTROL_CONFLICT, "2 certificates");
    ENDS(store_bot_remove(store, "ci-2", &failure));
    /* The one before the current one may still carry a session. */
    now_us += AUTHORITY_SECOND;
    one = renewed_and_confirmed(&one);
    REFUSED(rotate(STORE_AUTHORITY_BOT, "dropped", false), CONTROL_CONFLICT,
            "1 certificate that the older CA signed is in use");
    now_us += AUTHORITY_SECOND;
    (void)renewed_and_confirmed(&one);
    ENDS(rotate(STORE_AUTHORITY_BOT, "dropped", false));
}

Test(authority_ca, databases_cannot_be_asked_whether_they_know)
{
    ENDS(rotate(STORE_AUTHORITY_DATABASE_CLIENT, "standby", false));
    ENDS(rotate(STORE_AUTHORITY_DATABASE_CLIENT, "trusted", false));
    REFUSED(rotate(STORE_AUTHORITY_DATABASE_CLIENT, "signing", false), CONTROL_CONFLICT, "ssl_ca");
    ENDS(rotate(STORE_AUTHORITY_DATABASE_CLIENT, "signing", true));
    is_at(STORE_AUTHORITY_DATABASE_CLIENT, "signing", 2, 2);
}

Test(authority_ca, the_old_one_is_kept_while_its_certificates_live)
{
    a_bot("ci-1", "reader");
    struct authority_identity identity = joined_and_confirmed("ci-1");
    ENDS(rotate(STORE_AUTHORITY_BOT, "standby", false));
    ENDS(rotate(STORE_AUTHORITY_BOT, "trusted", false));
    ENDS(rotate(STORE_AUTHORITY_BOT, "signing", true));
    now_us += AUTHORITY_MINUTE;
    struct authority_identity next = renewed_and_confirmed(&identity);
    REFUSED(rotate(STORE_AUTHORITY_BOT, "dropped", false), CONTROL_CONFLICT,
            "1 certificate that the older CA signed");
    now_us = identity.certificate.not_after_us;
    ENDS(rotate(STORE_AUTHORITY_BOT, "dropped", false));
    struct store_certificate row;
    ENDS(store_certificate_find(store, next.certificate.serial, &row, &failure));
    cr_assert_eq(row.authority, 2);
}

Test(authority_ca, the_old_one_can_be_dropped_by_force)
{
    a_bot("ci-1", "reader");
    joined("ci-1");
    ENDS(rotate(STORE_AUTHORITY_BOT, "standby", false));
    ENDS(rotate(STORE_AUTHORITY_BOT, "trusted", false));
    ENDS(rotate(STORE_AUTHORITY_BOT, "signing", true));
    ENDS(rotate(STORE_AUTHORITY_BOT, "dropped", true));
    stays_at(STORE_AUTHORITY_BOT, "none", 2, 1);
}

Test(authority_ca, a_step_back_does_not_strand_what_the_new_one_signed)
{
    a_bot("ci-1", "reader");
    ENDS(rotate(STORE_AUTHORITY_BOT, "standby", false));
    ENDS(rotate(STORE_AUTHORITY_BOT, "trusted", false));
    ENDS(rotate(STORE_AUTHORITY_BOT, "signing", false));
    struct authority_identity identity = joined("ci-1");
    ENDS(rotate(STORE_AUTHORITY_BOT, "trusted", false));
    REFUSED(rotate(STORE_AUTHORITY_BOT, "standby", false), CONTROL_CONFLICT,
            "1 certificate that the newer CA signed");
    now_us = identity.certificate.not_after_us;
    ENDS(rotate(STORE_AUTHORITY_BOT, "standby", false));
}

Test(authority_ca, proxies_learn_of_each_phase)
{
    static const char *const steps[] = {"standby", "trusted", "signing", "dropped"};
    int64_t before;
    int64_t after;
    for (size_t i = 0; i < 4; i++) {
        ENDS(store_version(store, &before, &failure));
        ENDS(rotate(STORE_AUTHORITY_SERVICE, steps[i], false));
        ENDS(store_version(store, &after, &failure));
        cr_assert_gt(after, before);
    }
}

Test(authority_ca, a_rotation_is_no_part_of_a_group)
{
    ENDS(authority_begin(authority, &failure));
    FAILS(rotate(STORE_AUTHORITY_BOT, "standby", false), ERROR_STATE, "group");
    authority_rollback(authority);
    is_at(STORE_AUTHORITY_BOT, "none", 1, 1);
}

/* A crash between the commit and the removal of the key. */
Test(authority_ca, the_key_of_a_dropped_one_does_not_come_back)
{
    ENDS(rotate(STORE_AUTHORITY_BOT, "standby", false));
    cr_assert_eq(link(home_path("keys/bot-2.key"), home_path("keys/kept")), 0);
    ENDS(rotate(STORE_AUTHORITY_BOT, "none", false));
    cr_assert_eq(rename(home_path("keys/kept"), home_path("keys/bot-2.key")), 0);
    stays_at(STORE_AUTHORITY_BOT, "none", 1, 1);
    cr_assert_not(exists("keys/bot-2.key"));
}

Test(authority_ca, a_rotation_without_room_for_a_key_changes_nothing)
{
    cr_assert_eq(mkdir(home_path("keys/bot-2.key.new"), 0700), 0); /* cannot be unlinked */
    FAILS(rotate(STORE_AUTHORITY_BOT, "standby", false), ERROR_SYSTEM, "bot-2.key.new");
    is_at(STORE_AUTHORITY_BOT, "none", 1, 1);
    cr_assert_eq(rmdir(home_path("keys/bot-2.key.new")), 0);
    ENDS(rotate(STORE_AUTHORITY_BOT, "standby", false));
    stays_at(STORE_AUTHORITY_BOT, "standby", 1, 1);
}

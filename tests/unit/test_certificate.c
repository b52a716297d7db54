/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/pki_support.h"
#include "tests/unit/tls_support.h"
#include "tls/certificate.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* One CA for each test, and one key that certificates are for. */
static struct pki ca;
static struct tls_key *key;
static struct tls_public *public;

static void set_up(void)
{
    struct error err = {0};
    pki_ca(&ca, "bot CA");
    cr_assert(tls_key_generate(&key, &err), "%s", err.message);
    cr_assert(tls_public_of(key, &public, &err), "%s", err.message);
}

static void tear_down(void)
{
    tls_public_free(public);
    tls_key_free(key);
    pki_release(&ca);
}

TestSuite(certificate, .init = set_up, .fini = tear_down);

static struct certificate_template template_of(const struct certificate_name *names, size_t count)
{
    struct certificate_template template = pki_template(names, count, CERTIFICATE_CLIENT);
    template.public = public;
    return template;
}

static char *sign_by(const struct certificate_template *template, const struct tls_key *issuer_key,
                     const char *issuer)
{
    struct error err = {0};
    struct buffer text;
    buffer_init(&text, CERTIFICATE_PEM_MAX);
    cr_assert(certificate_sign(template, issuer_key, issuer, &text, &err), "%s", err.message);
    return pki_text(&text);
}

static char *sign(const struct certificate_template *template)
{
    return sign_by(template, ca.key, ca.pem);
}

static void assert_issuer_refused(const struct certificate_template *template,
                                  const struct tls_key *issuer_key, const char *issuer,
                                  enum error_code code, const char *words)
{
    struct error err = {0};
    struct buffer text;
    buffer_init(&text, CERTIFICATE_PEM_MAX);
    cr_assert_not(certificate_sign(template, issuer_key, issuer, &text, &err), "signed: %s", words);
    cr_assert_eq(err.code, code, "%s: %s", error_code_name(err.code), err.message);
    cr_assert_not_null(strstr(err.message, words), "said: %s", err.message);
    cr_assert_eq(strncmp(err.message, "the certificate cannot be made: ", 32), 0, "%s",
                 err.message);
    cr_assert_eq(buffer_length(&text), 0);
    buffer_release(&text);
}

static void assert_refused(const struct certificate_template *template, enum error_code code,
                           const char *words)
{
    assert_issuer_refused(template, ca.key, ca.pem, code, words);
}

static struct certificate_facts read_facts(const char *pem)
{
    struct error err = {0};
    struct certificate_facts facts;
    cr_assert(certificate_read(pem, strlen(pem), &facts, &err), "%s", err.message);
    return facts;
}

static void read_identity(const char *pem, struct identity *out)
{
    struct error err = {0};
    struct certificate_facts facts = read_facts(pem);
    cr_assert(identity_from_certificate(facts.der, facts.der_length, out, &err), "%s", err.message);
    certificate_facts_release(&facts);
}

static const char *openssl(const char *format, const char *argument)
{
    int status = 0;
    char line[512];
    (void)snprintf(line, sizeof line, "openssl %s %s", format, argument);
    const char *output = pki_run(&status, "%s", line);
    cr_assert_eq(status, 0, "%s: %s", line, output);
    return output;
}

static void assert_verifies(const char *pem, const char *options)
{
    (void)pki_file("ca.crt", ca.pem);
    (void)pki_file("leaf.crt", pem);
    char line[256];
    (void)snprintf(line, sizeof line, "verify -x509_strict -check_ss_sig %s -CAfile ca.crt",
                   options);
    const char *output = openssl(line, "leaf.crt");
    cr_assert_not_null(strstr(output, "leaf.crt: OK"), "%s", output);
}

static void assert_says(const char *text, const char *words)
{
    cr_assert_not_null(strstr(text, words), "no \"%s\" in: %s", words, text);
}

/* What is signed. */

Test(certificate, of_a_bot_is_what_the_issue_says)
{
    static const struct certificate_name names[] = {
        {"CN", "ci-1"}, {"O", "reader"}, {"O", "writer"}, {"OU", "bots"}};
    static const char *const uris[] = {"spiffe://acme.example/bot/ci-1"};
    struct certificate_template template = template_of(names, COUNT(names));
    template.san_uris = uris;
    template.san_uri_count = COUNT(uris);
    char *pem = sign(&template);
    assert_verifies(pem, "-purpose sslclient");
    const char *text = openssl("x509 -in leaf.crt -noout -text", "");
    assert_says(text, "Version: 3 (0x2)");
    assert_says(text, "Signature Algorithm: ecdsa-with-SHA256");
    assert_says(text, "Issuer: CN = bot CA, O = acme");
    assert_says(text, "Subject: CN = ci-1, O = reader, O = writer, OU = bots");
    assert_says(text, "X509v3 Basic Constraints: \n                CA:FALSE");
    assert_says(text, "X509v3 Key Usage: critical\n                Digital Signature\n");
    assert_says(text, "X509v3 Extended Key Usage: critical\n"
                      "                TLS Web Client Authentication\n");
    assert_says(text, "X509v3 Subject Key Identifier:");
    assert_says(text, "X509v3 Authority Key Identifier:");
    assert_says(text, "URI:spiffe://acme.example/bot/ci-1\n");

    struct identity identity;
    read_identity(pem, &identity);
    cr_assert_str_eq(identity.subject, "CN=ci-1,O=reader,O=writer,OU=bots");
    cr_assert_str_eq(identity.bot, "ci-1");
    cr_assert_eq(identity.san_uri_count, 1);
    cr_assert_str_eq(identity.san_uris[0], uris[0]);
    free(pem);
}

Test(certificate, of_a_server_has_its_names)
{
    static const struct certificate_name names[] = {{"CN", "db1.internal"}};
    static const char *const hosts[] = {"db1.internal", "*.db.internal", "localhost", "a_b"};
    static const char *const addresses[] = {"10.0.0.5", "::1", "2001:db8::7"};
    struct certificate_template template = template_of(names, COUNT(names));
    template.use = CERTIFICATE_SERVER;
    template.san_dns = hosts;
    template.san_dns_count = COUNT(hosts);
    template.san_ips = addresses;
    template.san_ip_count = COUNT(addresses);
    char *pem = sign(&template);
    assert_verifies(pem, "-purpose sslserver");
    assert_verifies(pem, "-verify_hostname x.db.internal");
    assert_verifies(pem, "-verify_ip 2001:db8::7");
    const char *text = openssl("x509 -in leaf.crt -noout -ext", "subjectAltName,extendedKeyUsage");
    assert_says(text, "DNS:db1.internal, DNS:*.db.internal, DNS:localhost, DNS:a_b, "
                      "IP Address:10.0.0.5, IP Address:0:0:0:0:0:0:0:1, "
                      "IP Address:2001:DB8:0:0:0:0:0:7");
    assert_says(text, "TLS Web Server Authentication\n");
    free(pem);
}

Test(certificate, may_be_for_both_uses)
{
    static const struct certificate_name names[] = {{"CN", "proxy-1"}};
    struct certificate_template template = template_of(names, COUNT(names));
    template.use = CERTIFICATE_BOTH;
    char *pem = sign(&template);
    assert_verifies(pem, "-purpose sslserver");
    assert_verifies(pem, "-purpose sslclient");
    free(pem);
}

Test(certificate, of_one_use_is_not_good_for_the_other)
{
    int status = 0;
    static const struct certificate_name names[] = {{"CN", "a"}};
    struct certificate_template template = template_of(names, COUNT(names));
    char *pem = sign(&template);
    (void)pki_file("ca.crt", ca.pem);
    (void)pki_file("leaf.crt", pem);
    (void)pki_run(&status, "openssl verify -CAfile ca.crt -purpose sslserver leaf.crt");
    cr_assert_neq(status, 0);
    free(pem);
}

Test(certificate, of_a_ca_signs_no_other_ca)
{
    (void)pki_file("ca.crt", ca.pem);
    const char *text = openssl("x509 -in ca.crt -noout -text", "");
    assert_says(text, "X509v3 Basic Constraints: critical\n"
                      "                CA:TRUE, pathlen:0\n");
    assert_says(text, "X509v3 Key Usage: critical\n"
                      "                Certificate Sign, CRL Sign\n");
    cr_assert_null(strstr(text, "Extended Key Usage"));
    (void)openssl("verify -x509_strict -check_ss_sig -CAfile ca.crt ca.crt", "");

    static const struct certificate_name names[] = {{"CN", "another"}};
    struct certificate_template template = template_of(names, COUNT(names));
    template.use = CERTIFICATE_CA;
    assert_refused(&template, ERROR_CONFIG, "may not sign CAs (path length 0)");
}

/* P-384 for the issuer's key, for the bot's, and for both. */
Test(certificate, goes_with_p384)
{
    struct error err = {0};
    struct tls_key *large = NULL;
    struct tls_public *large_public = NULL;
    static const struct certificate_name names[] = {{"CN", "a"}};
    (void)openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out large.key", "");
    cr_assert(tls_key_read(pki_path("large.key"), &large, &err), "%s", err.message);
    cr_assert(tls_public_of(large, &large_public, &err), "%s", err.message);
    struct certificate_template template = template_of(names, COUNT(names));
    template.public = large_public;
    char *pem = sign(&template);
    assert_verifies(pem, "-purpose sslclient");
    free(pem);

    template.use = CERTIFICATE_CA;
    template.public = NULL;
    free(ca.pem);
    ca.pem = sign_by(&template, large, NULL);
    template.use = CERTIFICATE_CLIENT;
    template.public = public;
    pem = sign_by(&template, large, ca.pem);
    assert_verifies(pem, "-purpose sslclient");
    assert_says(openssl("x509 -in leaf.crt -noout -text", ""), "ecdsa-with-SHA384");
    free(pem);
    tls_public_free(large_public);
    tls_key_free(large);
}

/* Subjects. */

/* MySQL's REQUIRE SUBJECT compares X509_NAME_oneline(): "/CN=a/O=b" in the certificate's order. */
Test(certificate, has_its_attributes_in_the_given_order)
{
    static const struct certificate_name names[] = {
        {"OU", "bots"}, {"O", "b"}, {"CN", "reader"}, {"O", "a"}};
    struct certificate_template template = template_of(names, COUNT(names));
    char *pem = sign(&template);
    (void)pki_file("leaf.crt", pem);
    assert_says(openssl("x509 -in leaf.crt -noout -subject -nameopt", "compat"),
                "subject=/OU=bots/O=b/CN=reader/O=a\n");
    assert_says(openssl("x509 -in leaf.crt -noout -subject -nameopt", "RFC2253"),
                "subject=O=a,CN=reader,O=b,OU=bots\n");
    struct certificate_facts facts = read_facts(pem);
    cr_assert_str_eq(facts.subject_line, "/OU=bots/O=b/CN=reader/O=a");
    cr_assert_str_eq(facts.issuer_line, "/CN=bot CA/O=acme");
    certificate_facts_release(&facts);
    free(pem);
}

static const char *const strange[] = {"a,b",
                                      "a+b",
                                      "\"quoted\"",
                                      "#1",
                                      " leading",
                                      "trailing ",
                                      "  ",
                                      "a=b",
                                      "a\\b",
                                      "a<b>;c",
                                      "*",
                                      "@",
                                      "_",
                                      "a&b",
                                      "/CN=root",
                                      "CN=root,O=admin",
                                      "Jörg",
                                      "日本語",
                                      "\xf0\x9f\xa4\x96",
                                      "O'Neil",
                                      "a?b:c(d)",
                                      "-----BEGIN CERTIFICATE-----",
                                      "%00",
                                      "\xc2\xa0",
                                      "é"};

/* Whatever a name holds, it is read back as it was given, and no other attribute comes of it. */
Test(certificate, keeps_strange_names_as_they_are)
{
    for (size_t i = 0; i < COUNT(strange); i++) {
        const struct certificate_name names[] = {{"CN", strange[i]}, {"O", strange[i]}};
        struct certificate_template template = template_of(names, COUNT(names));
        char *pem = sign(&template);
        struct identity identity;
        read_identity(pem, &identity);
        cr_assert_eq(identity.attribute_count, 2, "%s", strange[i]);
        cr_assert_str_eq(identity.attributes[0].value, strange[i]);
        cr_assert_str_eq(identity.attributes[1].value, strange[i]);
        cr_assert_str_eq(identity.bot, strange[i]);
        assert_verifies(pem, "");
        free(pem);
    }
}

/* A strange name of the CA is in what it signs, byte for byte. */
Test(certificate, has_the_name_of_its_issuer)
{
    for (size_t i = 0; i < COUNT(strange); i++) {
        struct pki issuer;
        const struct certificate_name names[] = {{"CN", "a"}};
        struct certificate_template template = template_of(names, COUNT(names));
        pki_ca(&issuer, strange[i]);
        char *pem = sign_by(&template, issuer.key, issuer.pem);
        free(ca.pem);
        ca.pem = strdup(issuer.pem);
        assert_verifies(pem, "");
        struct certificate_facts facts = read_facts(pem);
        struct certificate_facts above = read_facts(issuer.pem);
        cr_assert_str_eq(facts.issuer, above.subject);
        cr_assert_str_eq(facts.issuer_line, above.subject_line);
        certificate_facts_release(&facts);
        certificate_facts_release(&above);
        free(pem);
        pki_release(&issuer);
    }
}

/* RFC 5280, 4.1.2.4: PrintableString or UTF8String. */
Test(certificate, encodes_names_by_their_characters)
{
    static const struct certificate_name names[] = {{"CN", "ci-1 (x), y"}, {"O", "a_b"}};
    struct certificate_template template = template_of(names, COUNT(names));
    char *pem = sign(&template);
    (void)pki_file("leaf.crt", pem);
    const char *text = openssl("asn1parse -in", "leaf.crt");
    assert_says(text, "PRINTABLESTRING   :ci-1 (x), y");
    assert_says(text, "UTF8STRING        :a_b");
    free(pem);
}

Test(certificate, takes_names_of_64_characters_and_no_more)
{
    char ascii[66];
    char wide[65 * 4 + 1] = "";
    memset(ascii, 'a', 65);
    ascii[65] = '\0';
    for (size_t i = 0; i < 65; i++)
        memcpy(wide + 4 * i, "\xf0\x9f\xa4\x96", 5);
    const struct certificate_name names[] = {{"CN", ascii}, {"OU", wide}};
    struct certificate_template template = template_of(names, COUNT(names));
    assert_refused(&template, ERROR_LIMIT, "CN has 65 characters, more than 64");
    ascii[64] = '\0';
    assert_refused(&template, ERROR_LIMIT, "OU has 65 characters, more than 64");
    wide[sizeof wide - 5] = '\0';
    char *pem = sign(&template);
    assert_verifies(pem, "");
    free(pem);
}

Test(certificate, refuses_names_that_cannot_be)
{
    static const struct {
        struct certificate_name name;
        enum error_code code;
        const char *words;
    } bad[] = {
        {{"CN", ""}, ERROR_MALFORMED, "CN is empty"},
        {{"O", "a\nb"}, ERROR_MALFORMED, "O holds the control character U+000A"},
        {{"OU", "\x7f"}, ERROR_MALFORMED, "OU holds the control character U+007F"},
        {{"CN", "a\x01"}, ERROR_MALFORMED, "control character U+0001"},
        {{"CN", "\xc2\x85"}, ERROR_MALFORMED, "control character U+0085"},
        {{"CN", "a\xe2\x80\xae"}, ERROR_MALFORMED, "U+202E"}, /* turns the text around */
        {{"CN", "\xef\xbb\xbfroot"}, ERROR_MALFORMED, "U+FEFF"},
        {{"CN", "a\xff"}, ERROR_MALFORMED, "not valid UTF-8"},
        {{"CN", "\xc0\x80"}, ERROR_MALFORMED, "not valid UTF-8"}, /* NUL in disguise */
        {{"CN", "\xed\xa0\x80"}, ERROR_MALFORMED, "not valid UTF-8"},
        {{"C", "DE"}, ERROR_UNSUPPORTED, "C is no attribute"},
        {{"cn", "a"}, ERROR_UNSUPPORTED, "cn is no attribute"},
        {{"2.5.4.3", "a"}, ERROR_UNSUPPORTED, "is no attribute"},
        {{"", "a"}, ERROR_UNSUPPORTED, "is no attribute"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct certificate_template template = template_of(&bad[i].name, 1);
        assert_refused(&template, bad[i].code, bad[i].words);
    }
    struct certificate_template template = template_of(NULL, 0);
    assert_refused(&template, ERROR_MALFORMED, "has no subject");
}

Test(certificate, holds_as_many_roles_as_a_reader_takes)
{
    char roles[CERTIFICATE_NAMES_MAX + 1][16];
    struct certificate_name names[CERTIFICATE_NAMES_MAX + 1] = {{"CN", "ci-1"}};
    for (size_t i = 1; i < COUNT(names); i++) {
        (void)snprintf(roles[i], sizeof roles[i], "role-%zu", i);
        names[i] = (struct certificate_name){"O", roles[i]};
    }
    struct certificate_template template = template_of(names, COUNT(names));
    assert_refused(&template, ERROR_LIMIT, "33 attributes, more than 32");
    template.name_count--;
    char *pem = sign(&template);
    struct identity identity;
    read_identity(pem, &identity);
    cr_assert_eq(identity.attribute_count, CERTIFICATE_NAMES_MAX);
    cr_assert_str_eq(identity.attributes[31].value, "role-31");
    free(pem);
}

/* SANs. */

static void assert_san_refused(const char *uri, const char *host, const char *address,
                               enum error_code code, const char *words)
{
    static const struct certificate_name names[] = {{"CN", "a"}};
    struct certificate_template template = template_of(names, COUNT(names));
    template.san_uris = &uri;
    template.san_uri_count = uri ? 1 : 0;
    template.san_dns = &host;
    template.san_dns_count = host ? 1 : 0;
    template.san_ips = &address;
    template.san_ip_count = address ? 1 : 0;
    assert_refused(&template, code, words);
}

Test(certificate, refuses_sans_that_cannot_be)
{
    static const char *const uris[] = {"",
                                       "spiffe",
                                       "spiffe:",
                                       ":x",
                                       "//acme/bot",
                                       "spiffe://acme/a b",
                                       "spiffe://acme/a\n",
                                       "spiffe://acme/\xc3\xa9",
                                       "spiffe://acme/\x7f"};
    static const char *const hosts[] = {
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a",
        "a-",
        "a b",
        "*",
        "*.",
        "a.*",
        "*a.b",
        "*.*.a",
        "ä.b",
        "a:1",
        "a/b",
        "a\nb",
        "x.-y.z",
        "0123456789012345678901234567890123456789012345678901234567890123.a"};
    static const char *const addresses[] = {"",          "10.0.0", "10.0.0.256",   "::g",
                                            "1.2.3.4/8", "a",      "fe80::1%eth0", " 1.2.3.4"};
    for (size_t i = 0; i < COUNT(uris); i++)
        assert_san_refused(uris[i], NULL, NULL, ERROR_MALFORMED, "SAN URI");
    for (size_t i = 0; i < COUNT(hosts); i++)
        assert_san_refused(NULL, hosts[i], NULL, ERROR_MALFORMED, "no name of a host");
    for (size_t i = 0; i < COUNT(addresses); i++)
        assert_san_refused(NULL, NULL, addresses[i], ERROR_MALFORMED, "no IP address");
    char uri[CERTIFICATE_URI_MAX + 2];
    memset(uri, 'a', sizeof uri);
    memcpy(uri, "spiffe:", 7);
    uri[sizeof uri - 1] = '\0';
    assert_san_refused(uri, NULL, NULL, ERROR_LIMIT, "2049 bytes, more than 2048");
    char host[256];
    for (size_t i = 0; i < sizeof host; i++)
        host[i] = i % 2 ? '.' : 'a';
    host[254 + 1] = '\0';
    assert_san_refused(NULL, host, NULL, ERROR_MALFORMED, "no name of a host");
}

Test(certificate, bounds_its_sans_and_its_size)
{
    static const struct certificate_name names[] = {{"CN", "a"}};
    const char *uris[CERTIFICATE_SANS_MAX + 1];
    char uri[CERTIFICATE_URI_MAX + 1];
    memset(uri, 'a', sizeof uri);
    memcpy(uri, "spiffe:", 7);
    uri[sizeof uri - 1] = '\0';
    for (size_t i = 0; i < COUNT(uris); i++)
        uris[i] = uri;
    struct certificate_template template = template_of(names, COUNT(names));
    template.san_uris = uris;
    template.san_uri_count = COUNT(uris);
    assert_refused(&template, ERROR_LIMIT, "more than 16 SANs of a kind");
    template.san_uri_count--;
    assert_refused(&template, ERROR_LIMIT, "exceed 7168 bytes");
    template.san_uri_count = 3;
    char *pem = sign(&template);
    assert_verifies(pem, "");
    free(pem);
}

/* Serials. */

Test(certificate, has_the_serial_that_was_given)
{
    static const struct {
        uint8_t serial[CERTIFICATE_SERIAL_SIZE];
        const char *text;
    } serials[] = {
        {{0x7f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
         "7f0102030405060708090a0b0c0d0e0f"},
        {{0x80, [15] = 1}, "80000000000000000000000000000001"}, /* stays positive */
        {{0, 0, 0x90, [15] = 1}, "9000000000000000000000000001"},
        {{[15] = 1}, "01"},
    };
    static const struct certificate_name names[] = {{"CN", "a"}};
    for (size_t i = 0; i < COUNT(serials); i++) {
        char text[CERTIFICATE_SERIAL_TEXT_SIZE];
        struct certificate_template template = template_of(names, COUNT(names));
        memcpy(template.serial, serials[i].serial, sizeof template.serial);
        char *pem = sign(&template);
        assert_verifies(pem, "");
        struct identity identity;
        read_identity(pem, &identity);
        cr_assert_str_eq(identity.serial, serials[i].text);
        certificate_serial_text(template.serial, text);
        cr_assert_str_eq(text, serials[i].text);
        const char *said = openssl("x509 -in leaf.crt -noout -serial", "");
        cr_assert_eq(strncasecmp(said, "serial=", 7), 0);
        cr_assert_eq(strncasecmp(said + 7, text, strlen(text)), 0, "%s", said);
        free(pem);
    }
}

Test(certificate, has_no_serial_of_zero)
{
    static const struct certificate_name names[] = {{"CN", "a"}};
    struct certificate_template template = template_of(names, COUNT(names));
    memset(template.serial, 0, sizeof template.serial);
    assert_refused(&template, ERROR_CONFIG, "serial number is zero");
}

Test(certificate, serials_are_random_and_positive)
{
    uint8_t seen[16] = {0};
    uint8_t serial[CERTIFICATE_SERIAL_SIZE];
    char text[CERTIFICATE_SERIAL_TEXT_SIZE];
    struct error err = {0};
    for (int i = 0; i < 2000; i++) {
        cr_assert(certificate_serial_random(serial, &err), "%s", err.message);
        cr_assert_lt(serial[0], 0x80);
        cr_assert_gt(serial[0], 0);
        certificate_serial_text(serial, text);
        cr_assert_eq(strlen(text), 32);
        for (size_t at = 0; at < sizeof seen; at++)
            seen[at] |= serial[at];
    }
    cr_assert_eq(seen[0], 0x7f);
    for (size_t at = 1; at < sizeof seen; at++)
        cr_assert_eq(seen[at], 0xff, "byte %zu", at);
}

/* Time. */

static char *sign_for(int64_t not_before_us, int64_t not_after_us)
{
    static const struct certificate_name names[] = {{"CN", "a"}};
    struct certificate_template template = template_of(names, COUNT(names));
    template.not_before_us = not_before_us;
    template.not_after_us = not_after_us;
    return sign(&template);
}

Test(certificate, is_valid_for_the_time_that_was_asked_for)
{
    int64_t now = clock_wall_us();
    char *pem = sign_for(now - PKI_MINUTE, now + PKI_HOUR);
    struct certificate_facts facts = read_facts(pem);
    cr_assert_eq(facts.not_before_us, (now - PKI_MINUTE) / 1000000 * 1000000);
    cr_assert_eq(facts.not_after_us, (now + PKI_HOUR) / 1000000 * 1000000);
    certificate_facts_release(&facts);
    free(pem);
}

Test(certificate, never_outlives_its_issuer)
{
    int64_t now = clock_wall_us();
    struct certificate_facts issuer = read_facts(ca.pem);
    char *pem = sign_for(now, now + 1000 * PKI_HOUR);
    struct certificate_facts facts = read_facts(pem);
    cr_assert_eq(facts.not_after_us, issuer.not_after_us);
    certificate_facts_release(&facts);
    certificate_facts_release(&issuer);
    free(pem);

    static const struct certificate_name names[] = {{"CN", "a"}};
    struct certificate_template template = template_of(names, COUNT(names));
    template.not_before_us = now + 100 * PKI_HOUR;
    template.not_after_us = now + 200 * PKI_HOUR;
    assert_refused(&template, ERROR_CONFIG, "the issuer's certificate ends before it would begin");
}

Test(certificate, is_not_signed_by_an_issuer_that_has_expired)
{
    static const struct certificate_name names[] = {{"CN", "old"}};
    struct certificate_template template = template_of(names, COUNT(names));
    template.use = CERTIFICATE_CA;
    template.public = NULL;
    template.not_before_us = clock_wall_us() - 10 * PKI_HOUR;
    template.not_after_us = clock_wall_us() - 2 * 1000000;
    char *old = sign_by(&template, ca.key, NULL);
    template = template_of(names, COUNT(names));
    template.not_before_us = clock_wall_us() - 9 * PKI_HOUR;
    assert_issuer_refused(&template, ca.key, old, ERROR_CONFIG,
                          "the issuer's certificate expired on 20");
    free(old);
}

/* RFC 5280, 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050 on. */
Test(certificate, of_a_ca_may_be_valid_for_very_long)
{
    static const struct certificate_name names[] = {{"CN", "old"}};
    struct certificate_template template = template_of(names, COUNT(names));
    template.use = CERTIFICATE_CA;
    template.public = NULL;
    template.not_before_us = 0;
    template.not_after_us = INT64_C(253402300799999999);
    char *pem = sign_by(&template, ca.key, NULL);
    (void)pki_file("long.crt", pem);
    const char *text = openssl("x509 -in long.crt -noout -startdate -enddate", "");
    assert_says(text, "notBefore=Jan  1 00:00:00 1970 GMT");
    assert_says(text, "notAfter=Dec 31 23:59:59 9999 GMT");
    free(pem);
    template.not_after_us++;
    assert_issuer_refused(&template, ca.key, NULL, ERROR_LIMIT, "years 1970 and 9999");
    template.not_after_us = PKI_HOUR;
    template.not_before_us = -1;
    assert_issuer_refused(&template, ca.key, NULL, ERROR_LIMIT, "years 1970 and 9999");
    template.not_before_us = PKI_HOUR;
    assert_issuer_refused(&template, ca.key, NULL, ERROR_CONFIG, "would end before it begins");
}

/* Issuers. */

Test(certificate, is_signed_by_a_ca_only)
{
    struct pki leaf;
    struct pki other;
    static const struct certificate_name names[] = {{"CN", "a"}};
    struct certificate_template template = template_of(names, COUNT(names));
    pki_client(&ca, "ci-1", &leaf);
    pki_ca(&other, "bot CA");
    assert_issuer_refused(&template, leaf.key, leaf.pem, ERROR_CONFIG, "not that of a CA");
    assert_issuer_refused(&template, other.key, ca.pem, ERROR_CONFIG, "is not for its key");
    assert_issuer_refused(&template, ca.key, "garbage", ERROR_CONFIG, "cannot be read");
    assert_issuer_refused(&template, ca.key, "", ERROR_CONFIG, "cannot be read");
    template.public = NULL;
    assert_refused(&template, ERROR_CONFIG, "is for no key");
    pki_release(&leaf);
    pki_release(&other);
}

Test(certificate, that_is_self_signed_is_for_its_own_key)
{
    struct error err = {0};
    struct tls_public *own = NULL;
    static const struct certificate_name names[] = {{"CN", "a"}};
    struct certificate_template template = template_of(names, COUNT(names));
    assert_issuer_refused(&template, ca.key, NULL, ERROR_CONFIG, "is for the key that signs");
    cr_assert(tls_public_of(ca.key, &own, &err), "%s", err.message);
    template.public = own;
    free(sign_by(&template, ca.key, NULL));
    tls_public_free(own);
}

/* Somebody's own PKI: another way to name keys, other string types, no subject key identifier. */
Test(certificate, is_signed_by_cas_that_others_made)
{
    static const char *const extensions[] = {"subjectKeyIdentifier=hash",
                                             "subjectKeyIdentifier=01:02:03:04:05",
                                             "subjectKeyIdentifier=none"};
    static const struct certificate_name names[] = {{"CN", "a"}};
    for (size_t i = 0; i < COUNT(extensions); i++) {
        int status = 0;
        const char *output = pki_run(
            &status,
            "printf '[req]\\ndistinguished_name=n\\n[n]\\n' > f.cnf && openssl req -x509 -newkey "
            "ec "
            "-pkeyopt ec_paramgen_curve:P-256 -noenc -keyout f.key -out f.crt -days 2 -utf8 "
            "-config f.cnf -subj '/C=DE/ST=Köln/O=Acme, Inc./CN=root' -addext %s "
            "-addext basicConstraints=CA:TRUE -addext keyUsage=keyCertSign && chmod 600 f.key && "
            "cat f.crt",
            extensions[i]);
        cr_assert_eq(status, 0, "%s", output);
        const char *begin = strstr(output, "-----BEGIN CERTIFICATE");
        cr_assert_not_null(begin);
        free(ca.pem);
        ca.pem = strdup(begin);
        struct error err = {0};
        struct tls_key *issuer = NULL;
        cr_assert(tls_key_read(pki_path("f.key"), &issuer, &err), "%s", err.message);
        struct certificate_template template = template_of(names, COUNT(names));
        char *pem = sign_by(&template, issuer, ca.pem);
        (void)pki_file("ca.crt", ca.pem);
        (void)pki_file("leaf.crt", pem);
        output = openssl("verify -CAfile ca.crt", "leaf.crt");
        assert_says(output, "leaf.crt: OK");
        struct certificate_facts facts = read_facts(pem);
        cr_assert_str_eq(facts.issuer, "C=DE,ST=Köln,O=Acme\\, Inc.,CN=root");
        cr_assert_str_eq(facts.issuer_line, "/C=DE/ST=K\\xC3\\xB6ln/O=Acme, Inc./CN=root");
        certificate_facts_release(&facts);
        free(pem);
        tls_key_free(issuer);
    }
}

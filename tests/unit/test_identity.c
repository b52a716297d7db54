/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates are put together byte by byte here, so that they can hold what no tool would write.
 * Their signatures are nonsense: identity_from_certificate() reads, it does not verify.
 */
#include "tls/identity.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tls_support.h"

#define DER_MAX 24000

struct der {
    size_t length;
    uint8_t bytes[DER_MAX];
};

enum {
    TAG_INTEGER = 0x02,
    TAG_BIT_STRING = 0x03,
    TAG_OCTET_STRING = 0x04,
    TAG_OID = 0x06,
    TAG_UTF8 = 0x0c,
    TAG_PRINTABLE = 0x13,
    TAG_TELETEX = 0x14,
    TAG_IA5 = 0x16,
    TAG_TIME = 0x17,
    TAG_UNIVERSAL = 0x1c,
    TAG_BMP = 0x1e,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
};

static void put(struct der *out, const void *bytes, size_t length)
{
    cr_assert_leq(out->length + length, (size_t)DER_MAX);
    memcpy(out->bytes + out->length, bytes, length);
    out->length += length;
}

/* Appends tag, length and content. */
static void put_tlv(struct der *out, uint8_t tag, const void *content, size_t length)
{
    uint8_t head[4] = {tag, (uint8_t)length};
    size_t size = 2;
    if (length >= 256) {
        head[1] = 0x82;
        head[2] = (uint8_t)(length >> 8);
        head[3] = (uint8_t)length;
        size = 4;
    } else if (length >= 128) {
        head[1] = 0x81;
        head[2] = (uint8_t)length;
        size = 3;
    }
    put(out, head, size);
    put(out, content, length);
}

static void put_der(struct der *out, uint8_t tag, const struct der *content)
{
    put_tlv(out, tag, content->bytes, content->length);
}

/* What varies. */
struct plan {
    struct der subject; /* RDNs */
    struct der san;     /* GeneralNames; none: no extension */
    const void *serial;
    size_t serial_length;
};

static struct plan *plan_new(void)
{
    struct plan *plan = calloc(1, sizeof *plan);
    cr_assert_not_null(plan);
    plan->serial = "\x01";
    plan->serial_length = 1;
    return plan;
}

static const char OID_CN[] = "\x55\x04\x03";
static const char OID_O[] = "\x55\x04\x0a";
static const char OID_OU[] = "\x55\x04\x0b";
static const char OID_DC[] = "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19";
static const char OID_PRIVATE[] = "\x2b\x06\x01\x04\x01\x86\x8d\x1f\x01"; /* 1.3.6.1.4.1.99999.1 */

static void put_attribute(struct der *set, const char *oid, uint8_t tag, const void *value,
                          size_t length)
{
    static struct der pair;
    pair.length = 0;
    put_tlv(&pair, TAG_OID, oid, strlen(oid));
    put_tlv(&pair, tag, value, length);
    put_der(set, TAG_SEQUENCE, &pair);
}

static void add_bytes(struct plan *plan, const char *oid, uint8_t tag, const void *value,
                      size_t length)
{
    static struct der set;
    set.length = 0;
    put_attribute(&set, oid, tag, value, length);
    put_der(&plan->subject, TAG_SET, &set);
}

static void add(struct plan *plan, const char *oid, const char *value)
{
    add_bytes(plan, oid, TAG_UTF8, value, strlen(value));
}

/* One RDN with two values. */
static void add_two(struct plan *plan, const char *oid, const char *value, const char *other_oid,
                    const char *other_value)
{
    static struct der set;
    set.length = 0;
    put_attribute(&set, oid, TAG_UTF8, value, strlen(value));
    put_attribute(&set, other_oid, TAG_UTF8, other_value, strlen(other_value));
    put_der(&plan->subject, TAG_SET, &set);
}

static void add_san(struct plan *plan, uint8_t tag, const void *value, size_t length)
{
    put_tlv(&plan->san, tag, value, length);
}

static void add_uri(struct plan *plan, const char *uri)
{
    add_san(plan, 0x86, uri, strlen(uri));
}

static void put_algorithm(struct der *out)
{
    /* ecdsa-with-SHA256 */
    put_tlv(out, TAG_SEQUENCE, "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", 10);
}

static void put_key(struct der *out)
{
    /* id-ecPublicKey, prime256v1, and the curve's generator as the point. */
    static const uint8_t key[] = {
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1,
        0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81,
        0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42,
        0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce,
        0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};
    put_tlv(out, TAG_SEQUENCE, key, sizeof key);
}

static void put_extensions(struct der *out, const struct der *san)
{
    static struct der names, extension, list;
    names.length = extension.length = list.length = 0;
    put_der(&names, TAG_SEQUENCE, san);
    put_tlv(&extension, TAG_OID, "\x55\x1d\x11", 3);
    put_der(&extension, TAG_OCTET_STRING, &names);
    put_der(&list, TAG_SEQUENCE, &extension);
    names.length = 0;
    put_der(&names, TAG_SEQUENCE, &list);
    put_der(out, 0xa3, &names);
}

static void put_certificate(struct der *out, const struct plan *plan)
{
    static struct der body, validity, signed_part;
    body.length = validity.length = signed_part.length = 0;
    put(&body, "\xa0\x03\x02\x01\x02", 5); /* v3 */
    put_tlv(&body, TAG_INTEGER, plan->serial, plan->serial_length);
    put_algorithm(&body);
    put_tlv(&body, TAG_SEQUENCE,
            "\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x03"
            "ca1",
            14);
    put_tlv(&validity, TAG_TIME, "260102030405Z", 13);
    put_tlv(&validity, TAG_TIME, "270102030405Z", 13);
    put_der(&body, TAG_SEQUENCE, &validity);
    put_der(&body, TAG_SEQUENCE, &plan->subject);
    put_key(&body);
    if (plan->san.length > 0)
        put_extensions(&body, &plan->san);
    put_der(&signed_part, TAG_SEQUENCE, &body);
    put_algorithm(&signed_part);
    put_tlv(&signed_part, TAG_BIT_STRING, "\x00\x30\x06\x02\x01\x01\x02\x01\x01", 9);
    put_der(out, TAG_SEQUENCE, &signed_part);
}

/* Reads the identity, frees the plan. */
static bool identify(struct plan *plan, struct identity *identity, struct error *err)
{
    static struct der certificate;
    certificate.length = 0;
    put_certificate(&certificate, plan);
    free(plan);
    /* On the heap in its exact size, so that a sanitizer sees each step too far. */
    uint8_t *exact = malloc(certificate.length);
    cr_assert_not_null(exact);
    memcpy(exact, certificate.bytes, certificate.length);
    bool done = identity_from_certificate(exact, certificate.length, identity, err);
    free(exact);
    return done;
}

static void assert_identified(struct plan *plan, struct identity *identity)
{
    struct error err = {0};
    cr_assert(identify(plan, identity, &err), "%s", err.message);
}

static void assert_refused(struct plan *plan, enum error_code code, const char *words)
{
    struct identity identity;
    struct error err = {0};
    cr_assert_not(identify(plan, &identity, &err));
    cr_assert_eq(err.code, code, "%d: %s", (int)err.code, err.message);
    cr_assert_not_null(strstr(err.message, words), "said: %s", err.message);
}

/* What is read. */

Test(identity, reads_subject_in_the_certificates_order)
{
    struct identity identity;
    struct plan *plan = plan_new();
    add(plan, OID_CN, "ci-1");
    add(plan, OID_O, "shop-reader");
    add(plan, OID_OU, "bots");
    assert_identified(plan, &identity);
    cr_assert_str_eq(identity.subject, "CN=ci-1,O=shop-reader,OU=bots");
    cr_assert_str_eq(identity.bot, "ci-1");
    cr_assert_eq(identity.attribute_count, 3);
    cr_assert_str_eq(identity.attributes[1].type, "O");
    cr_assert_str_eq(identity.attributes[1].value, "shop-reader");
    cr_assert_eq(identity.san_uri_count, 0);
}

Test(identity, reads_validity_and_fingerprint)
{
    struct identity identity;
    struct plan *plan = plan_new();
    add(plan, OID_CN, "x");
    assert_identified(plan, &identity);
    cr_assert_eq(identity.not_before_us, 1767323045LL * 1000000); /* 2026-01-02T03:04:05Z */
    cr_assert_eq(identity.not_after_us, 1798859045LL * 1000000);
    cr_assert_eq(strspn(identity.fingerprint, "0123456789abcdef"), 64);
    cr_assert_eq(identity.fingerprint[64], '\0');
}

Test(identity, joins_a_multi_valued_rdn_by_plus)
{
    struct identity identity;
    struct plan *plan = plan_new();
    add_two(plan, OID_CN, "ci-1", OID_OU, "bots");
    add(plan, OID_O, "acme");
    assert_identified(plan, &identity);
    cr_assert_str_eq(identity.subject, "CN=ci-1+OU=bots,O=acme");
    cr_assert_eq(identity.attribute_count, 3);
    cr_assert_str_eq(identity.attributes[1].type, "OU");
    cr_assert_str_eq(identity.attributes[1].value, "bots");
}

/* RFC 4514, 2.4. Without it "CN=a,OU=bots" in one value would look like two attributes. */
Test(identity, escapes_what_could_pass_for_structure)
{
    struct identity identity;
    struct plan *plan = plan_new();
    add(plan, OID_CN, "a,OU=bots+x\"y\\z<>;");
    assert_identified(plan, &identity);
    cr_assert_str_eq(identity.subject, "CN=a\\,OU=bots\\+x\\\"y\\\\z\\<\\>\\;");
    cr_assert_str_eq(identity.attributes[0].value, "a,OU=bots+x\"y\\z<>;");
    cr_assert_eq(identity.attribute_count, 1);
}

Test(identity, escapes_spaces_at_the_ends_and_a_leading_hash)
{
    struct identity identity;
    struct plan *plan = plan_new();
    add(plan, OID_CN, " a b ");
    add(plan, OID_O, "#c#");
    add(plan, OID_OU, " ");
    assert_identified(plan, &identity);
    cr_assert_str_eq(identity.subject, "CN=\\ a b\\ ,O=\\#c#,OU=\\ ");
}

Test(identity, keeps_utf8)
{
    struct identity identity;
    struct plan *plan = plan_new();
    add(plan, OID_CN, "Zoë-😀-日本");
    assert_identified(plan, &identity);
    cr_assert_str_eq(identity.bot, "Zoë-😀-日本");
    cr_assert_str_eq(identity.subject, "CN=Zoë-😀-日本");
}

Test(identity, converts_bmp_strings)
{
    struct identity identity;
    struct plan *plan = plan_new();
    add_bytes(plan, OID_CN, TAG_BMP, "\x00Z\x00\xeb\x65\xe5\x00x", 8);
    assert_identified(plan, &identity);
    cr_assert_str_eq(identity.bot, "Zë日x");
}

Test(identity, takes_old_string_types_when_they_are_ascii)
{
    struct identity identity;
    struct plan *plan = plan_new();
    add_bytes(plan, OID_CN, TAG_PRINTABLE, "one", 3);
    add_bytes(plan, OID_O, TAG_TELETEX, "two", 3);
    add_bytes(plan, OID_DC, TAG_IA5, "three", 5);
    assert_identified(plan, &identity);
    cr_assert_str_eq(identity.subject, "CN=one,O=two,DC=three");
}

Test(identity, names_unknown_types_by_their_oid)
{
    struct identity identity;
    struct plan *plan = plan_new();
    add(plan, OID_CN, "x");
    add(plan, OID_PRIVATE, "y");
    assert_identified(plan, &identity);
    cr_assert_str_eq(identity.attributes[1].type, "1.3.6.1.4.1.99999.1");
    cr_assert_str_eq(identity.subject, "CN=x,1.3.6.1.4.1.99999.1=y");
}

Test(identity, takes_the_last_cn_as_the_bot)
{
    struct identity identity;
    struct plan *plan = plan_new();
    add(plan, OID_CN, "first");
    add(plan, OID_OU, "bots");
    add(plan, OID_CN, "last");
    add_uri(plan, "spiffe://a/b");
    assert_identified(plan, &identity);
    cr_assert_str_eq(identity.bot, "last");
}

Test(identity, takes_the_first_san_uri_where_there_is_no_cn)
{
    struct identity identity;
    struct plan *plan = plan_new();
    add(plan, OID_OU, "bots");
    add_san(plan, 0x82, "host.example", 12); /* a DNS name is no URI */
    add_uri(plan, "spiffe://a/first");
    add_uri(plan, "spiffe://a/second");
    assert_identified(plan, &identity);
    cr_assert_str_eq(identity.bot, "spiffe://a/first");
    cr_assert_eq(identity.san_uri_count, 2);
    cr_assert_str_eq(identity.san_uris[1], "spiffe://a/second");
}

Test(identity, takes_a_san_uri_without_any_subject)
{
    struct identity identity;
    struct plan *plan = plan_new();
    add_uri(plan, "spiffe://a/b");
    assert_identified(plan, &identity);
    cr_assert_str_eq(identity.subject, "");
    cr_assert_eq(identity.attribute_count, 0);
    cr_assert_str_eq(identity.bot, "spiffe://a/b");
}

static void assert_serial(const void *serial, size_t length, const char *expected)
{
    struct identity identity;
    struct plan *plan = plan_new();
    add(plan, OID_CN, "x");
    plan->serial = serial;
    plan->serial_length = length;
    assert_identified(plan, &identity);
    cr_assert_str_eq(identity.serial, expected);
}

Test(identity, prints_serials)
{
    assert_serial("\x01", 1, "01");
    assert_serial("\x00", 1, "00");
    assert_serial("\x00\xff\x10", 3, "ff10");
    assert_serial("\x10\x00", 2, "1000");
    assert_serial("\x7f"
                  "abcdefghijklmnopqrs",
                  20, "7f6162636465666768696a6b6c6d6e6f70717273");
    assert_serial("\x7f"
                  "abcdefghijklmnopqrstuvwxyzABCD",
                  31, "7f6162636465666768696a6b6c6d6e6f707172737475767778797a41424344");
}

/* What is refused. */

Test(identity, refuses_nul)
{
    struct plan *plan = plan_new();
    add_bytes(plan, OID_CN, TAG_UTF8, "root\0.evil", 10);
    assert_refused(plan, ERROR_MALFORMED, "control character U+0000");
}

Test(identity, refuses_nul_in_bmp_strings)
{
    struct plan *plan = plan_new();
    add_bytes(plan, OID_CN, TAG_BMP, "\0a\0\0", 4);
    assert_refused(plan, ERROR_MALFORMED, "control character U+0000");
}

Test(identity, refuses_nul_in_san_uris)
{
    struct plan *plan = plan_new();
    add(plan, OID_CN, "x");
    add_san(plan, 0x86, "spiffe://a\0b", 12);
    assert_refused(plan, ERROR_MALFORMED, "SAN URI holds the control character U+0000");
}

Test(identity, refuses_control_characters)
{
    static const char *const bad[] = {"a\nb", "a\x1b[31m", "\x7f", "a\xc2\x85z", "\r"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct plan *plan = plan_new();
        add(plan, OID_CN, "x");
        add(plan, OID_O, bad[i]);
        assert_refused(plan, ERROR_MALFORMED, "control character");
        plan = plan_new();
        add(plan, OID_CN, "x");
        if ((uint8_t)bad[i][1] != 0xc2) {
            add_uri(plan, bad[i]);
            assert_refused(plan, ERROR_MALFORMED, "SAN URI");
        } else {
            free(plan);
        }
    }
}

/* "Trojan source": text that a person reads in another order than a program. */
Test(identity, refuses_characters_that_turn_text)
{
    static const char *const bad[] = {"a\u202eb", "a\u2066b", "a\u2028b", "a\u200fb",
                                      "\ufeff"
                                      "a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct plan *plan = plan_new();
        add(plan, OID_CN, bad[i]);
        assert_refused(plan, ERROR_MALFORMED, "control character U+");
    }
}

Test(identity, refuses_invalid_utf8)
{
    static const char *const bad[] = {"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct plan *plan = plan_new();
        add(plan, OID_CN, bad[i]);
        assert_refused(plan, ERROR_MALFORMED, "not valid UTF-8");
    }
}

Test(identity, refuses_surrogates_and_half_characters_in_bmp_strings)
{
    struct plan *plan = plan_new();
    add_bytes(plan, OID_CN, TAG_BMP, "\xd8\x3d\xde\x00", 4);
    assert_refused(plan, ERROR_MALFORMED, "not valid UTF-8");
    plan = plan_new();
    add_bytes(plan, OID_CN, TAG_BMP, "\0a\0", 3);
    assert_refused(plan, ERROR_MALFORMED, "cut in a character");
}

/* Latin-1 in one reader's eyes, T.61 in another's. */
Test(identity, refuses_teletex_beyond_ascii)
{
    struct plan *plan = plan_new();
    add_bytes(plan, OID_CN, TAG_TELETEX, "Zo\xeb", 3);
    assert_refused(plan, ERROR_MALFORMED, "not ASCII");
}

Test(identity, refuses_other_string_types)
{
    struct plan *plan = plan_new();
    add_bytes(plan, OID_CN, TAG_UNIVERSAL, "\0\0\0x", 4);
    assert_refused(plan, ERROR_UNSUPPORTED, "string type");
    plan = plan_new();
    add_bytes(plan, OID_CN, TAG_BIT_STRING, "\0x", 2);
    assert_refused(plan, ERROR_UNSUPPORTED, "string type");
}

Test(identity, refuses_a_certificate_that_names_nobody)
{
    struct plan *plan = plan_new();
    add(plan, OID_OU, "bots");
    add_san(plan, 0x82, "host.example", 12);
    assert_refused(plan, ERROR_DENIED, "names nobody");
    plan = plan_new();
    assert_refused(plan, ERROR_DENIED, "names nobody");
    plan = plan_new();
    add(plan, OID_CN, "");
    assert_refused(plan, ERROR_DENIED, "names nobody");
}

Test(identity, refuses_an_empty_san_uri)
{
    struct plan *plan = plan_new();
    add(plan, OID_CN, "x");
    add_uri(plan, "");
    assert_refused(plan, ERROR_MALFORMED, "SAN URI");
}

Test(identity, bounds_the_number_of_attributes)
{
    struct identity identity;
    struct plan *plan = plan_new();
    for (int i = 0; i < IDENTITY_ATTRIBUTES_MAX; i++)
        add(plan, OID_CN, "x");
    assert_identified(plan, &identity);
    cr_assert_eq(identity.attribute_count, IDENTITY_ATTRIBUTES_MAX);
    plan = plan_new();
    for (int i = 0; i <= IDENTITY_ATTRIBUTES_MAX; i++)
        add(plan, OID_CN, "x");
    assert_refused(plan, ERROR_LIMIT, "more than 32 attributes");
}

Test(identity, bounds_the_number_of_san_uris)
{
    struct identity identity;
    struct plan *plan = plan_new();
    for (int i = 0; i < IDENTITY_SAN_URIS_MAX; i++)
        add_uri(plan, "a:b");
    assert_identified(plan, &identity);
    cr_assert_eq(identity.san_uri_count, IDENTITY_SAN_URIS_MAX);
    plan = plan_new();
    for (int i = 0; i <= IDENTITY_SAN_URIS_MAX; i++)
        add_uri(plan, "a:b");
    assert_refused(plan, ERROR_LIMIT, "more than 16 SAN URIs");
}

Test(identity, bounds_the_text_of_all_names)
{
    char *long_name = malloc(IDENTITY_TEXT_MAX);
    cr_assert_not_null(long_name);
    memset(long_name, 'x', IDENTITY_TEXT_MAX);
    struct identity identity;
    /* The value, "CN=" and the value again in the subject, and two NULs: */
    size_t most = (IDENTITY_TEXT_MAX - 5) / 2;
    struct plan *plan = plan_new();
    add_bytes(plan, OID_CN, TAG_UTF8, long_name, most);
    assert_identified(plan, &identity);
    cr_assert_eq(strlen(identity.bot), most);
    plan = plan_new();
    add_bytes(plan, OID_CN, TAG_UTF8, long_name, most + 1);
    assert_refused(plan, ERROR_LIMIT, "names exceed");
    free(long_name);
}

Test(identity, refuses_a_serial_that_is_too_long)
{
    struct plan *plan = plan_new();
    add(plan, OID_CN, "x");
    plan->serial = "0123456789abcdef0123456789abcdef";
    plan->serial_length = 32;
    assert_refused(plan, ERROR_LIMIT, "serial number");
}

Test(identity, refuses_what_is_no_certificate)
{
    struct identity identity;
    struct error err = {0};
    cr_assert_not(identity_from_certificate((const uint8_t *)"", 0, &identity, &err));
    cr_assert_not(identity_from_certificate((const uint8_t *)"hello", 5, &identity, &err));
    cr_assert_eq(err.code, ERROR_MALFORMED);
}

/* No prefix of a certificate is one, and no changed byte makes it crash. */
Test(identity, survives_damage)
{
    static struct der certificate;
    struct identity identity;
    struct plan *plan = plan_new();
    add_two(plan, OID_CN, "ci-1", OID_OU, "bots");
    add_bytes(plan, OID_O, TAG_BMP, "\0a\0b", 4);
    add_uri(plan, "spiffe://a/b");
    put_certificate(&certificate, plan);
    free(plan);
    for (size_t cut = 0; cut < certificate.length; cut++)
        cr_assert_not(identity_from_certificate(certificate.bytes, cut, &identity, NULL));
    for (size_t at = 0; at < certificate.length; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            certificate.bytes[at] ^= (uint8_t)(1u << bit);
            if (identity_from_certificate(certificate.bytes, certificate.length, &identity, NULL))
                cr_assert(*identity.bot, "byte %zu", at);
            certificate.bytes[at] ^= (uint8_t)(1u << bit);
        }
}

/* Copies. */

Test(identity, clones)
{
    struct identity *identity = calloc(1, sizeof *identity);
    struct plan *plan = plan_new();
    cr_assert_not_null(identity);
    add(plan, OID_CN, "ci-1");
    add(plan, OID_PRIVATE, "y");
    add_uri(plan, "spiffe://a/b");
    assert_identified(plan, identity);
    struct identity *clone = identity_clone(identity, NULL);
    cr_assert_not_null(clone);
    memset(identity, 'x', sizeof *identity);
    free(identity);
    cr_assert_str_eq(clone->bot, "ci-1");
    cr_assert_str_eq(clone->subject, "CN=ci-1,1.3.6.1.4.1.99999.1=y");
    cr_assert_str_eq(clone->attributes[0].type, "CN");
    cr_assert_str_eq(clone->attributes[1].type, "1.3.6.1.4.1.99999.1");
    cr_assert_str_eq(clone->san_uris[0], "spiffe://a/b");
    struct identity *again = identity_clone(clone, NULL);
    free(clone);
    cr_assert_str_eq(again->bot, "ci-1");
    free(again);
}

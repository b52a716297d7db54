/* SPDX-License-Identifier: Apache-2.0 */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS /* the writer's names, which are given to it ready-made */
#include "tls/certificate.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <mbedtls/oid.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/x509_crt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "tls/crypto.h"
#include "tls/identity_internal.h"
#include "tls/key_internal.h"
#include "tls/pem.h"

#define MICROSECONDS 1000000

/* RFC 5280, 4.1.2.5: the last second that a GeneralizedTime can name. */
#define LAST_SECOND 253402300799

/* RFC 1035, 2.3.4. */
#define DNS_NAME_MAX  253
#define DNS_LABEL_MAX 63

/* Room for "YYYYMMDDHHMMSS". */
#define TIME_SIZE 16

/* The longest key identifier of an issuer: a SHA-512 hash. */
#define KEY_ID_MAX 64

static const char out_of_memory[] = "out of memory for a certificate";

/* RFC 4519: what a subject may be made of. */
static const struct {
    const char *type;
    const char *oid;
    size_t length;
} attribute_types[] = {
    {"CN", MBEDTLS_OID_AT_CN, sizeof MBEDTLS_OID_AT_CN - 1},
    {"O", MBEDTLS_OID_AT_ORGANIZATION, sizeof MBEDTLS_OID_AT_ORGANIZATION - 1},
    {"OU", MBEDTLS_OID_AT_ORG_UNIT, sizeof MBEDTLS_OID_AT_ORG_UNIT - 1},
};

struct san {
    mbedtls_x509_san_list list; /* linked to the one before: Mbed TLS writes last to first */
    uint8_t address[16];
};

/* What one call of certificate_sign() works with. */
struct signing {
    const struct certificate_template *template;
    const struct tls_key *key;     /* the issuer's */
    bool self_signed;              /* ... whose certificate is the one that is made */
    mbedtls_x509_crt issuer;       /* empty when self-signed */
    int64_t not_before, not_after; /* seconds */
    mbedtls_x509write_cert writer;
    struct san sans[3 * CERTIFICATE_SANS_MAX];
    size_t san_count;
    uint8_t der[CERTIFICATE_DER_MAX];
    size_t length; /* of what the end of der holds */
};

/* Names. */

static bool is_printable_string(const char *value)
{
    /* X.680, 41.4. */
    for (; *value; value++)
        if (!isalnum((unsigned char)*value) && !strchr(" '()+,-./:=?", *value))
            return false;
    return true;
}

static bool check_value(const struct certificate_name *name, struct error *err)
{
    size_t length = strlen(name->value);
    size_t characters = 0;
    for (size_t at = 0; at < length; characters++) {
        size_t size = utf8_sequence(name->value + at, length - at);
        if (size == 0)
            return error_set(err, ERROR_MALFORMED, "%s is not valid UTF-8", name->type);
        uint32_t c = utf8_decode(name->value + at, size);
        if (c < 0x20 || (c >= 0x7f && c < 0xa0))
            return error_set(err, ERROR_MALFORMED, "%s holds the control character U+%04X",
                             name->type, c);
        at += size;
    }
    if (characters == 0)
        return error_set(err, ERROR_MALFORMED, "%s is empty", name->type);
    if (characters > CERTIFICATE_NAME_MAX)
        return error_set(err, ERROR_LIMIT, "%s has %zu characters, more than %d", name->type,
                         characters, CERTIFICATE_NAME_MAX);
    return true;
}

static void *copy_of(const void *bytes, size_t length)
{
    void *copy = malloc(length > 0 ? length : 1);
    if (copy && length > 0)
        memcpy(copy, bytes, length);
    return copy;
}

/*
 * Puts an attribute before those that are there: Mbed TLS writes names last to first. Its own
 * mbedtls_asn1_store_named_data() keeps one attribute of each type, and a bot has many roles.
 */
static bool push_name(mbedtls_asn1_named_data **head, const void *oid, size_t oid_length, int tag,
                      const void *value, size_t length, struct error *err)
{
    mbedtls_asn1_named_data *node = calloc(1, sizeof *node);
    if (!node)
        return error_set(err, ERROR_MEMORY, out_of_memory);
    node->next = *head;
    *head = node;
    node->oid.p = copy_of(oid, oid_length);
    node->val.p = copy_of(value, length);
    if (!node->oid.p || !node->val.p)
        return error_set(err, ERROR_MEMORY, out_of_memory);
    node->oid.tag = MBEDTLS_ASN1_OID;
    node->oid.len = oid_length;
    node->val.tag = tag;
    node->val.len = length;
    return true;
}

static bool push_attribute(const struct certificate_name *name, mbedtls_asn1_named_data **head,
                           struct error *err)
{
    if (!check_value(name, err))
        return false;
    for (size_t i = 0; i < sizeof attribute_types / sizeof *attribute_types; i++)
        if (strcmp(attribute_types[i].type, name->type) == 0)
            return push_name(head, attribute_types[i].oid, attribute_types[i].length,
                             is_printable_string(name->value) ? MBEDTLS_ASN1_PRINTABLE_STRING
                                                              : MBEDTLS_ASN1_UTF8_STRING,
                             name->value, strlen(name->value), err);
    return error_set(err, ERROR_UNSUPPORTED, "%.32s is no attribute of a subject here: CN, O, OU",
                     name->type);
}

static bool push_subject(const struct certificate_template *template,
                         mbedtls_asn1_named_data **head, struct error *err)
{
    if (template->name_count == 0)
        return error_set(err, ERROR_MALFORMED, "it has no subject");
    if (template->name_count > CERTIFICATE_NAMES_MAX)
        return error_set(err, ERROR_LIMIT, "its subject has %zu attributes, more than %d",
                         template->name_count, CERTIFICATE_NAMES_MAX);
    for (size_t i = 0; i < template->name_count; i++)
        if (!push_attribute(&template->names[i], head, err))
            return false;
    return true;
}

/* As it stands in the issuer's certificate, string types included: verifiers compare the bytes. */
static bool push_issuer(const mbedtls_x509_crt *issuer, mbedtls_asn1_named_data **head,
                        struct error *err)
{
    for (const mbedtls_x509_name *name = &issuer->subject; name && name->oid.p; name = name->next)
        if (!push_name(head, name->oid.p, name->oid.len, name->val.tag, name->val.p, name->val.len,
                       err))
            return false;
    return true;
}

/* Subject alternative names. */

static bool check_uri(const char *uri, struct error *err)
{
    size_t length = strlen(uri);
    if (length > CERTIFICATE_URI_MAX)
        return error_set(err, ERROR_LIMIT, "a SAN URI has %zu bytes, more than %d", length,
                         CERTIFICATE_URI_MAX);
    for (const char *at = uri; *at; at++)
        if (*at <= ' ' || *at > '~')
            return error_set(err, ERROR_MALFORMED, "a SAN URI is not printable ASCII");
    /* RFC 5280, 4.2.1.6: not relative, with a scheme and what it is for. */
    const char *colon = strchr(uri, ':');
    if (!isalpha((unsigned char)uri[0]) || !colon || !colon[1])
        return error_set(err, ERROR_MALFORMED, "a SAN URI has no scheme, or nothing behind it");
    return true;
}

static bool is_label(const char *label, size_t length)
{
    if (length == 0 || length > DNS_LABEL_MAX || label[0] == '-' || label[length - 1] == '-')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)label[i]) && label[i] != '-' && label[i] != '_')
            return false;
    return true;
}

static bool check_dns(const char *name, struct error *err)
{
    const char *at = strncmp(name, "*.", 2) == 0 ? name + 2 : name;
    bool good = strlen(name) <= DNS_NAME_MAX;
    for (bool more = true; good && more;) {
        size_t length = strcspn(at, ".");
        good = is_label(at, length);
        more = at[length] == '.';
        at += length + (more ? 1 : 0);
    }
    return good || error_set(err, ERROR_MALFORMED, "%.80s is no name of a host", name);
}

/* The list that Mbed TLS is given holds plain pointers; it writes nothing behind them. */
static void add_san(struct signing *signing, int type, const void *bytes, size_t length)
{
    struct san *san = &signing->sans[signing->san_count];
    san->list.node.type = type;
    san->list.node.san.unstructured_name.p = (unsigned char *)(uintptr_t)bytes;
    san->list.node.san.unstructured_name.len = length;
    if (signing->san_count > 0)
        san->list.next = &signing->sans[signing->san_count - 1].list;
    signing->san_count++;
}

static bool add_address(struct signing *signing, const char *text, struct error *err)
{
    uint8_t *address = signing->sans[signing->san_count].address;
    if (inet_pton(AF_INET, text, address) == 1)
        add_san(signing, MBEDTLS_X509_SAN_IP_ADDRESS, address, 4);
    else if (inet_pton(AF_INET6, text, address) == 1)
        add_san(signing, MBEDTLS_X509_SAN_IP_ADDRESS, address, 16);
    else
        return error_set(err, ERROR_MALFORMED, "%.80s is no IP address", text);
    return true;
}

static bool collect_sans(struct signing *signing, struct error *err)
{
    const struct certificate_template *template = signing->template;
    if (template->san_uri_count > CERTIFICATE_SANS_MAX ||
        template->san_dns_count > CERTIFICATE_SANS_MAX ||
        template->san_ip_count > CERTIFICATE_SANS_MAX)
        return error_set(err, ERROR_LIMIT, "it has more than %d SANs of a kind",
                         CERTIFICATE_SANS_MAX);
    for (size_t i = 0; i < template->san_uri_count; i++) {
        if (!check_uri(template->san_uris[i], err))
            return false;
        add_san(signing, MBEDTLS_X509_SAN_UNIFORM_RESOURCE_IDENTIFIER, template->san_uris[i],
                strlen(template->san_uris[i]));
    }
    for (size_t i = 0; i < template->san_dns_count; i++) {
        if (!check_dns(template->san_dns[i], err))
            return false;
        add_san(signing, MBEDTLS_X509_SAN_DNS_NAME, template->san_dns[i],
                strlen(template->san_dns[i]));
    }
    for (size_t i = 0; i < template->san_ip_count; i++)
        if (!add_address(signing, template->san_ips[i], err))
            return false;
    return true;
}

/* The issuer. */

static bool check_issuer_key(const struct signing *signing, struct error *err)
{
    struct tls_public *own = NULL;
    struct tls_public *named = NULL;
    const struct tls_public *wanted = signing->template->public;
    bool done = tls_public_of(signing->key, &own, err);
    if (done && !signing->self_signed)
        done =
            tls_public_from_der(signing->issuer.pk_raw.p, signing->issuer.pk_raw.len, &named, err);
    if (done && !signing->self_signed && !tls_public_equal(own, named))
        done = error_set(err, ERROR_CONFIG, "the issuer's certificate is not for its key");
    if (done && signing->self_signed && wanted && !tls_public_equal(own, wanted))
        done = error_set(err, ERROR_CONFIG, "a self-signed one is for the key that signs");
    tls_public_free(named);
    tls_public_free(own);
    return done;
}

static bool check_issuer(const struct signing *signing, struct error *err)
{
    const mbedtls_x509_crt *issuer = &signing->issuer;
    if (!issuer->ca_istrue ||
        mbedtls_x509_crt_check_key_usage(issuer, MBEDTLS_X509_KU_KEY_CERT_SIGN) != 0)
        return error_set(err, ERROR_CONFIG, "the issuer's certificate is not that of a CA");
    /* Mbed TLS keeps the path length plus one, and 0 for none. */
    if (signing->template->use == CERTIFICATE_CA && issuer->max_pathlen == 1)
        return error_set(err, ERROR_CONFIG, "the issuer may not sign CAs (path length 0)");
    for (const mbedtls_x509_name *name = &issuer->subject; name; name = name->next)
        if (name->next_merged)
            return error_set(err, ERROR_UNSUPPORTED,
                             "the issuer's subject has several attributes in one place");
    char time[CLOCK_TIME_SIZE];
    clock_format(identity_time_us(&issuer->valid_to), time);
    if (identity_time_us(&issuer->valid_to) < clock_wall_us())
        return error_set(err, ERROR_CONFIG, "the issuer's certificate expired on %.10s", time);
    return true;
}

static bool load_issuer(struct signing *signing, const char *issuer_pem, struct error *err)
{
    signing->self_signed = !issuer_pem;
    if (signing->self_signed)
        return check_issuer_key(signing, err);
    if (!signing->template->public)
        return error_set(err, ERROR_CONFIG, "it is for no key");
    int code = mbedtls_x509_crt_parse(&signing->issuer, (const unsigned char *)issuer_pem,
                                      strlen(issuer_pem) + 1);
    if (code != 0)
        return error_set(err, ERROR_CONFIG, "the issuer's certificate cannot be read");
    return check_issuer(signing, err) && check_issuer_key(signing, err);
}

/* Time. */

static bool choose_times(struct signing *signing, struct error *err)
{
    const struct certificate_template *template = signing->template;
    if (template->not_before_us < 0 || template->not_after_us / MICROSECONDS > LAST_SECOND)
        return error_set(err, ERROR_LIMIT, "its time is not between the years 1970 and 9999");
    signing->not_before = template->not_before_us / MICROSECONDS;
    signing->not_after = template->not_after_us / MICROSECONDS;
    if (signing->not_after <= signing->not_before)
        return error_set(err, ERROR_CONFIG, "it would end before it begins");
    if (signing->self_signed)
        return true;
    int64_t last = identity_time_us(&signing->issuer.valid_to) / MICROSECONDS;
    if (signing->not_after > last)
        signing->not_after = last;
    return signing->not_after > signing->not_before ||
           error_set(err, ERROR_CONFIG, "the issuer's certificate ends before it would begin");
}

static void print_time(int64_t seconds, char out[TIME_SIZE])
{
    struct tm parts = {0};
    time_t time = (time_t)seconds;
    (void)gmtime_r(&time, &parts);
    (void)strftime(out, TIME_SIZE, "%Y%m%d%H%M%S", &parts);
}

static int write_times(struct signing *signing)
{
    char not_before[TIME_SIZE];
    char not_after[TIME_SIZE];
    print_time(signing->not_before, not_before);
    print_time(signing->not_after, not_after);
    return mbedtls_x509write_crt_set_validity(&signing->writer, not_before, not_after);
}

/* Extensions. */

static int write_usage(struct signing *signing)
{
    static unsigned char client_oid[] = MBEDTLS_OID_CLIENT_AUTH;
    static unsigned char server_oid[] = MBEDTLS_OID_SERVER_AUTH;
    enum certificate_use use = signing->template->use;
    mbedtls_x509write_cert *writer = &signing->writer;
    if (use == CERTIFICATE_CA)
        return mbedtls_x509write_crt_set_key_usage(writer, MBEDTLS_X509_KU_KEY_CERT_SIGN |
                                                               MBEDTLS_X509_KU_CRL_SIGN);
    mbedtls_asn1_sequence client = {
        .buf = {MBEDTLS_ASN1_OID, sizeof client_oid - 1, client_oid},
    };
    mbedtls_asn1_sequence server = {
        .buf = {MBEDTLS_ASN1_OID, sizeof server_oid - 1, server_oid},
        .next = use == CERTIFICATE_BOTH ? &client : NULL,
    };
    int code = mbedtls_x509write_crt_set_key_usage(writer, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    return code != 0 ? code
                     : mbedtls_x509write_crt_set_ext_key_usage(
                           writer, use == CERTIFICATE_CLIENT ? &client : &server);
}

/*
 * RFC 5280, 4.2.1.1: { [0] the issuer's subject key identifier }. Other CAs have other ways to make
 * theirs, so it is taken from the issuer's certificate where that has one.
 */
static int write_authority_key(struct signing *signing)
{
    const mbedtls_x509_buf *id = &signing->issuer.subject_key_id;
    unsigned char bytes[4 + KEY_ID_MAX] = {MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE};
    if (signing->self_signed || id->len == 0 || id->len > KEY_ID_MAX)
        return mbedtls_x509write_crt_set_authority_key_identifier(&signing->writer);
    bytes[1] = (unsigned char)(id->len + 2);
    bytes[2] = MBEDTLS_ASN1_CONTEXT_SPECIFIC;
    bytes[3] = (unsigned char)id->len;
    memcpy(bytes + 4, id->p, id->len);
    return mbedtls_x509write_crt_set_extension(
        &signing->writer, MBEDTLS_OID_AUTHORITY_KEY_IDENTIFIER,
        MBEDTLS_OID_SIZE(MBEDTLS_OID_AUTHORITY_KEY_IDENTIFIER), 0, bytes, 4 + id->len);
}

static int write_extensions(struct signing *signing)
{
    mbedtls_x509write_cert *writer = &signing->writer;
    bool ca = signing->template->use == CERTIFICATE_CA;
    int code = mbedtls_x509write_crt_set_basic_constraints(writer, ca, ca ? 0 : -1);
    if (code == 0)
        code = write_usage(signing);
    if (code == 0)
        code = mbedtls_x509write_crt_set_subject_key_identifier(writer);
    if (code == 0)
        code = write_authority_key(signing);
    if (code == 0 && signing->san_count > 0)
        code = mbedtls_x509write_crt_set_subject_alternative_name(
            writer, &signing->sans[signing->san_count - 1].list);
    return code;
}

/* RFC 5280, 4.1.2.2: a positive INTEGER; DER has it without leading zero bytes. */
static bool set_serial(struct signing *signing, struct error *err)
{
    const uint8_t *serial = signing->template->serial;
    size_t length = CERTIFICATE_SERIAL_SIZE;
    for (; length > 0 && *serial == 0; serial++)
        length--;
    if (length == 0)
        return error_set(err, ERROR_CONFIG, "its serial number is zero");
    int code = mbedtls_x509write_crt_set_serial_raw(&signing->writer,
                                                    (unsigned char *)(uintptr_t)serial, length);
    return code == 0 || crypto_failed(err, code, "its serial number");
}

/* Putting it together. */

static bool write_certificate(struct signing *signing, struct error *err)
{
    mbedtls_x509write_cert *writer = &signing->writer;
    const struct tls_public *public = signing->template->public;
    mbedtls_x509write_crt_set_md_alg(writer, key_hash(&signing->key->pk));
    mbedtls_x509write_crt_set_subject_key(writer,
                                          public ? key_public_pk(public) : key_pk(signing->key));
    mbedtls_x509write_crt_set_issuer_key(writer, key_pk(signing->key));
    int code = write_times(signing);
    if (code == 0)
        code = write_extensions(signing);
    if (code == 0)
        code = mbedtls_x509write_crt_der(writer, signing->der, sizeof signing->der,
                                         mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    if (code == MBEDTLS_ERR_ASN1_BUF_TOO_SMALL)
        return error_set(err, ERROR_LIMIT, "it would exceed %d bytes", CERTIFICATE_DER_MAX);
    if (code <= 0)
        return crypto_failed(err, code, "cannot sign it");
    signing->length = (size_t)code;
    return true;
}

static bool same_bytes(const mbedtls_x509_buf *a, const mbedtls_x509_buf *b)
{
    return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

/* What our own readers would refuse is not handed out, nor what names its issuer otherwise. */
static bool read_back(const struct signing *signing, struct error *err)
{
    struct identity identity;
    mbedtls_x509_crt made;
    mbedtls_x509_crt_init(&made);
    int code = mbedtls_x509_crt_parse_der_nocopy(
        &made, signing->der + sizeof signing->der - signing->length, signing->length);
    bool done = code == 0 ? identity_from_parsed(&made, true, &identity, err)
                          : crypto_failed(err, code, "what was signed cannot be read");
    if (done && !signing->self_signed &&
        !same_bytes(&made.issuer_raw, &signing->issuer.subject_raw))
        done =
            error_set(err, ERROR_UNSUPPORTED, "the issuer's subject is encoded in a strange way");
    mbedtls_x509_crt_free(&made);
    return done;
}

static bool make(struct signing *signing, const char *issuer_pem, struct error *err)
{
    mbedtls_x509write_cert *writer = &signing->writer;
    return load_issuer(signing, issuer_pem, err) && choose_times(signing, err) &&
           push_subject(signing->template, &writer->subject, err) &&
           (signing->self_signed ? push_subject(signing->template, &writer->issuer, err)
                                 : push_issuer(&signing->issuer, &writer->issuer, err)) &&
           collect_sans(signing, err) && set_serial(signing, err) &&
           write_certificate(signing, err) && read_back(signing, err);
}

bool certificate_sign(const struct certificate_template *template, const struct tls_key *issuer_key,
                      const char *issuer_pem, struct buffer *pem, struct error *err)
{
    struct signing *signing = calloc(1, sizeof *signing);
    if (!signing)
        return error_set(err, ERROR_MEMORY, out_of_memory);
    signing->template = template;
    signing->key = issuer_key;
    mbedtls_x509_crt_init(&signing->issuer);
    mbedtls_x509write_crt_init(&signing->writer);
    bool done = make(signing, issuer_pem, err);
    if (!done)
        error_wrap(err, "the certificate cannot be made");
    else
        done = pem_write("CERTIFICATE", signing->der + sizeof signing->der - signing->length,
                         signing->length, pem, err);
    mbedtls_x509write_crt_free(&signing->writer);
    mbedtls_x509_crt_free(&signing->issuer);
    free(signing);
    return done;
}

/* SPDX-License-Identifier: Apache-2.0 */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS /* next_merged: which attributes share an RDN */
#include "tls/identity.h"

#include <mbedtls/oid.h>
#include <mbedtls/sha256.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "tls/identity_internal.h"

/* RFC 5280, 4.2.1.6: GeneralName's uniformResourceIdentifier is [6]. */
#define SAN_TAG_URI (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 6)

/* RFC 5280, 4.1.2.2: at most 20 octets; a few more are met, and fit. */
#define SERIAL_BYTES_MAX 31

/* The names of RFC 4514, section 3, and three that certificates of people and machines often hold.
 */
static const struct {
    const char *oid;
    const char *name;
} attribute_names[] = {
    {"2.5.4.3", "CN"},
    {"2.5.4.7", "L"},
    {"2.5.4.8", "ST"},
    {"2.5.4.10", "O"},
    {"2.5.4.11", "OU"},
    {"2.5.4.6", "C"},
    {"2.5.4.9", "STREET"},
    {"0.9.2342.19200300.100.1.25", "DC"},
    {"0.9.2342.19200300.100.1.1", "UID"},
    {"2.5.4.5", "serialNumber"},
    {"2.5.4.12", "title"},
    {"1.2.840.113549.1.9.1", "emailAddress"},
};

/* Gathers strings in identity.text; every string ends with a NUL that string_end() writes. */
struct text {
    struct buffer buffer;
    size_t start; /* of the string that is being written */
};

static bool text_add(struct text *text, const void *bytes, size_t length, struct error *err)
{
    if (!buffer_append(&text->buffer, bytes, length, NULL))
        return error_set(err, ERROR_LIMIT, "the certificate's names exceed %d bytes",
                         IDENTITY_TEXT_MAX);
    return true;
}

static bool text_end(struct text *text, const char **out, struct error *err)
{
    if (!text_add(text, "", 1, err))
        return false;
    *out = (const char *)buffer_bytes(&text->buffer) + text->start;
    text->start = buffer_length(&text->buffer);
    return true;
}

/* Control characters (C0, DEL, C1), line separators, and those that turn the direction of text. */
static bool character_allowed(uint32_t c)
{
    if (c < 0x20 || (c >= 0x7f && c <= 0x9f))
        return false;
    if (c == 0x061c || c == 0x200e || c == 0x200f || c == 0xfeff)
        return false;
    return !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069);
}

static bool add_utf8(struct text *text, const uint8_t *bytes, size_t length, const char *what,
                     struct error *err)
{
    for (size_t at = 0; at < length;) {
        size_t size = utf8_sequence(bytes + at, length - at);
        if (size == 0)
            return error_set(err, ERROR_MALFORMED, "the certificate's %s is not valid UTF-8", what);
        uint32_t c = utf8_decode(bytes + at, size);
        if (!character_allowed(c))
            return error_set(err, ERROR_MALFORMED,
                             "the certificate's %s holds the control character U+%04X", what, c);
        at += size;
    }
    return text_add(text, bytes, length, err);
}

static bool add_ascii(struct text *text, const uint8_t *bytes, size_t length, const char *what,
                      struct error *err)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] >= 0x80)
            return error_set(err, ERROR_MALFORMED,
                             "the certificate's %s is not ASCII, as its string type demands", what);
    return add_utf8(text, bytes, length, what, err);
}

/* X.680: a BMPString is UCS-2, big-endian; it has no surrogates. */
static bool add_bmp(struct text *text, const uint8_t *bytes, size_t length, const char *what,
                    struct error *err)
{
    if (length % 2 != 0)
        return error_set(err, ERROR_MALFORMED, "the certificate's %s is cut in a character", what);
    for (size_t i = 0; i < length; i += 2) {
        unsigned c = (unsigned)bytes[i] << 8 | bytes[i + 1];
        uint8_t utf8[3];
        size_t size = 0;
        if (c >= 0x800)
            utf8[size++] = (uint8_t)(0xe0 | c >> 12);
        if (c >= 0x80)
            utf8[size++] = (uint8_t)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3f) : 0xc0 | c >> 6);
        utf8[size++] = (uint8_t)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
        if (!add_utf8(text, utf8, size, what, err))
            return false;
    }
    return true;
}

static bool add_directory_string(struct text *text, const mbedtls_x509_buf *value, const char *what,
                                 struct error *err)
{
    switch (value->tag) {
    case MBEDTLS_ASN1_UTF8_STRING:
        return add_utf8(text, value->p, value->len, what, err);
    case MBEDTLS_ASN1_PRINTABLE_STRING:
    case MBEDTLS_ASN1_IA5_STRING:
    case MBEDTLS_ASN1_T61_STRING:
        return add_ascii(text, value->p, value->len, what, err);
    case MBEDTLS_ASN1_BMP_STRING:
        return add_bmp(text, value->p, value->len, what, err);
    default:
        return error_set(
            err, ERROR_UNSUPPORTED,
            "the certificate's %s has a string type (tag 0x%02x) that is not supported", what,
            (unsigned)value->tag);
    }
}

static bool attribute_type(struct text *text, const mbedtls_x509_buf *oid, const char **out,
                           struct error *err)
{
    char dotted[128];
    int length = mbedtls_oid_get_numeric_string(dotted, sizeof dotted, oid);
    if (length < 0)
        return error_set(err, ERROR_MALFORMED, "the certificate's subject holds a broken OID");
    for (size_t i = 0; i < sizeof attribute_names / sizeof *attribute_names; i++)
        if (strcmp(dotted, attribute_names[i].oid) == 0) {
            *out = attribute_names[i].name;
            return true;
        }
    return text_add(text, dotted, (size_t)length, err) && text_end(text, out, err);
}

static bool read_attributes(const mbedtls_x509_name *subject, struct text *text,
                            struct identity *out, struct error *err)
{
    for (const mbedtls_x509_name *name = subject; name && name->oid.p; name = name->next) {
        if (out->attribute_count == IDENTITY_ATTRIBUTES_MAX)
            return error_set(err, ERROR_LIMIT,
                             "the certificate's subject has more than %d attributes",
                             IDENTITY_ATTRIBUTES_MAX);
        struct identity_attribute *attribute = &out->attributes[out->attribute_count++];
        if (!attribute_type(text, &name->oid, &attribute->type, err) ||
            !add_directory_string(text, &name->val, "subject", err) ||
            !text_end(text, &attribute->value, err))
            return false;
    }
    return true;
}

static bool read_san_uris(const mbedtls_x509_crt *certificate, struct text *text,
                          struct identity *out, struct error *err)
{
    const mbedtls_x509_sequence *name = &certificate->subject_alt_names;
    for (; name && name->buf.p; name = name->next) {
        if ((name->buf.tag & (MBEDTLS_ASN1_TAG_CLASS_MASK | MBEDTLS_ASN1_TAG_VALUE_MASK)) !=
            SAN_TAG_URI)
            continue;
        if (out->san_uri_count == IDENTITY_SAN_URIS_MAX)
            return error_set(err, ERROR_LIMIT, "the certificate has more than %d SAN URIs",
                             IDENTITY_SAN_URIS_MAX);
        if (name->buf.len == 0)
            return error_set(err, ERROR_MALFORMED, "the certificate has an empty SAN URI");
        if (!add_ascii(text, name->buf.p, name->buf.len, "SAN URI", err) ||
            !text_end(text, &out->san_uris[out->san_uri_count++], err))
            return false;
    }
    return true;
}

/* RFC 4514, 2.4: these are escaped everywhere, '#' and ' ' at the start, ' ' at the end. */
static bool needs_escape(const char *value, size_t at)
{
    if (strchr("\"+,;<>\\", value[at]))
        return true;
    return (at == 0 && value[at] == '#') ||
           (value[at] == ' ' && (at == 0 || value[at + 1] == '\0'));
}

static bool add_escaped(struct text *text, const char *value, struct error *err)
{
    for (size_t i = 0; value[i]; i++)
        if ((needs_escape(value, i) && !text_add(text, "\\", 1, err)) ||
            !text_add(text, value + i, 1, err))
            return false;
    return true;
}

static bool print_subject(const mbedtls_x509_name *subject, struct text *text, struct identity *out,
                          struct error *err)
{
    const mbedtls_x509_name *name = subject;
    for (size_t i = 0; i < out->attribute_count; i++, name = name->next) {
        const struct identity_attribute *attribute = &out->attributes[i];
        if (!text_add(text, attribute->type, strlen(attribute->type), err) ||
            !text_add(text, "=", 1, err) || !add_escaped(text, attribute->value, err))
            return false;
        if (i + 1 < out->attribute_count && !text_add(text, name->next_merged ? "+" : ",", 1, err))
            return false;
    }
    return text_end(text, &out->subject, err);
}

static bool read_serial(const mbedtls_x509_buf *serial, struct identity *out, struct error *err)
{
    const uint8_t *bytes = serial->p;
    size_t length = serial->len;
    while (length > 1 && *bytes == 0) {
        bytes++;
        length--;
    }
    if (length == 0 || length > SERIAL_BYTES_MAX)
        return error_set(err, ERROR_LIMIT,
                         "the certificate's serial number has %zu bytes, not 1 to %d", length,
                         SERIAL_BYTES_MAX);
    hex_encode(bytes, length, out->serial);
    return true;
}

static bool choose_bot(bool nameless, struct identity *out, struct error *err)
{
    out->bot = out->san_uri_count > 0 ? out->san_uris[0] : "";
    for (size_t i = 0; i < out->attribute_count; i++)
        if (strcmp(out->attributes[i].type, "CN") == 0 && *out->attributes[i].value)
            out->bot = out->attributes[i].value;
    if (!*out->bot && !nameless)
        return error_set(
            err, ERROR_DENIED,
            "the certificate names nobody: its subject has no CN, and it has no SAN URI");
    return true;
}

int64_t identity_time_us(const mbedtls_x509_time *time)
{
    struct tm parts = {
        .tm_year = time->year - 1900,
        .tm_mon = time->mon - 1,
        .tm_mday = time->day,
        .tm_hour = time->hour,
        .tm_min = time->min,
        .tm_sec = time->sec,
    };
    return (int64_t)timegm(&parts) * 1000000;
}

bool identity_from_parsed(const mbedtls_x509_crt *certificate, bool nameless, struct identity *out,
                          struct error *err)
{
    memset(out, 0, offsetof(struct identity, text));
    struct text text = {0};
    buffer_init_fixed(&text.buffer, out->text, sizeof out->text);

    if (!read_attributes(&certificate->subject, &text, out, err) ||
        !read_san_uris(certificate, &text, out, err) ||
        !print_subject(&certificate->subject, &text, out, err) ||
        !read_serial(&certificate->serial, out, err) || !choose_bot(nameless, out, err))
        return false;
    uint8_t hash[32];
    if (mbedtls_sha256(certificate->raw.p, certificate->raw.len, hash, 0) != 0)
        return error_set(err, ERROR_TLS, "cannot hash the certificate");
    hex_encode(hash, sizeof hash, out->fingerprint);
    out->not_before_us = identity_time_us(&certificate->valid_from);
    out->not_after_us = identity_time_us(&certificate->valid_to);
    out->text_length = buffer_length(&text.buffer);
    return true;
}

bool identity_from_certificate(const uint8_t *der, size_t length, struct identity *out,
                               struct error *err)
{
    mbedtls_x509_crt certificate;
    mbedtls_x509_crt_init(&certificate);
    int code = mbedtls_x509_crt_parse_der_nocopy(&certificate, der, length);
    bool done = false;
    if (code != 0)
        error_set(err, ERROR_MALFORMED, "not a certificate in DER form (Mbed TLS: -0x%04x)",
                  (unsigned)-code);
    else
        done = identity_from_parsed(&certificate, false, out, err);
    mbedtls_x509_crt_free(&certificate);
    return done;
}

/* A pointer into the old text becomes one into the new; others (literals) stay. */
static const char *moved(const char *pointer, const struct identity *from, struct identity *to)
{
    uintptr_t at = (uintptr_t)pointer;
    uintptr_t text = (uintptr_t)from->text;
    if (at < text || at >= text + from->text_length)
        return pointer;
    return to->text + (at - text);
}

struct identity *identity_clone(const struct identity *identity, struct error *err)
{
    size_t size = offsetof(struct identity, text) + identity->text_length;
    struct identity *clone = malloc(size);
    if (!clone) {
        error_set(err, ERROR_MEMORY, "out of memory for an identity of %zu bytes", size);
        return NULL;
    }
    memcpy(clone, identity, size);
    for (size_t i = 0; i < clone->attribute_count; i++) {
        clone->attributes[i].type = moved(identity->attributes[i].type, identity, clone);
        clone->attributes[i].value = moved(identity->attributes[i].value, identity, clone);
    }
    for (size_t i = 0; i < clone->san_uri_count; i++)
        clone->san_uris[i] = moved(identity->san_uris[i], identity, clone);
    clone->subject = moved(identity->subject, identity, clone);
    clone->bot = moved(identity->bot, identity, clone);
    return clone;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a certificate request: as the PEM text that a peer sends, or, so that the fuzzer
 * reaches what is inside, as the DER form that is wrapped here. What is accepted keeps the promises
 * of tls/request.h, and what is not is told why.
 */
#include <stdlib.h>
#include <string.h>

#include "tls/pem.h"
#include "tls/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_again(const struct tls_request *request)
{
    const uint8_t *der;
    size_t length;
    struct buffer text;
    struct error err = {0};
    struct tls_request *again = NULL;
    tls_request_der(request, &der, &length);
    if (length == 0 || length > TLS_REQUEST_PEM_MAX)
        abort();
    buffer_init(&text, (size_t)2 * TLS_REQUEST_PEM_MAX);
    if (!pem_write("CERTIFICATE REQUEST", der, length, &text, &err))
        abort();
    if (!tls_request_parse((const char *)buffer_bytes(&text), buffer_length(&text), &again, &err)) {
        /* Only a text that held less white space than ours can have been shorter. */
        if (err.code != ERROR_LIMIT)
            abort();
    } else if (!tls_public_equal(tls_request_public(request), tls_request_public(again))) {
        abort();
    }
    tls_request_free(again);
    buffer_release(&text);
}

static void use_key(const struct tls_public *public)
{
    uint8_t pin[TLS_PIN_SIZE];
    uint8_t digest[TLS_DIGEST_SIZE] = {0};
    struct error err = {0};
    struct buffer text;
    struct tls_public *again = NULL;
    tls_public_pin(public, pin);
    if (tls_public_verify(public, digest, pin, sizeof pin, &err))
        abort();
    buffer_init(&text, TLS_KEY_PEM_MAX);
    if (!tls_public_write(public, &text, &err) ||
        !tls_public_parse((const char *)buffer_bytes(&text), buffer_length(&text), &again, &err) ||
        !tls_public_equal(public, again))
        abort();
    tls_public_free(again);
    buffer_release(&text);
}

static void parse(const char *text, size_t length)
{
    struct tls_request *request = NULL;
    struct tls_public *public = NULL;
    struct error err = {0};
    if (tls_request_parse(text, length, &request, &err)) {
        parse_again(request);
        use_key(tls_request_public(request));
        tls_request_free(request);
    } else if (err.code == ERROR_NONE || !*err.message || request) {
        abort();
    }
    if (tls_public_parse(text, length, &public, &err)) {
        use_key(public);
        tls_public_free(public);
    }
}

static void parse_der(const char *label, const uint8_t *der, size_t length)
{
    struct buffer text;
    struct error err = {0};
    buffer_init(&text, 4 * (length + 256));
    if (!pem_write(label, der, length, &text, &err))
        abort();
    parse((const char *)buffer_bytes(&text), buffer_length(&text));
    buffer_release(&text);
}

/* The first byte says what the others are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 3 == 0)
        parse((const char *)data + 1, size - 1);
    else
        parse_der(data[0] % 3 == 1 ? "CERTIFICATE REQUEST" : "PUBLIC KEY", data + 1, size - 1);
    return 0;
}

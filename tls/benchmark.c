/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast are the primitives behind TLS in this build? One thread, no network:
 *
 *     scripts/make-test-certs DIR && BUILD/tls/tls_benchmark DIR
 *
 * prints AES-128-GCM on 16 KiB records, and the CPU time that the server's side of a full mutual
 * handshake takes, with P-256 certificates. CPU time, not wall time. Compare two builds
 * (-Dlibcrypto=enabled and disabled) on the same machine in the same minute.
 */
#include <mbedtls/gcm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/context_internal.h"

#define RECORD_SIZE 16384
#define RECORDS     20000
#define HANDSHAKES  300

static double cpu_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool measure_gcm(void)
{
    static unsigned char record[RECORD_SIZE];
    unsigned char key[16] = {1}, iv[12] = {2}, add[13] = {3}, tag[16];
    mbedtls_gcm_context gcm;
    mbedtls_gcm_init(&gcm);
    bool good = mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 128) == 0;
    double start = cpu_seconds();
    for (int i = 0; good && i < RECORDS; i++)
        good = mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, sizeof record, iv, sizeof iv,
                                         add, sizeof add, record, record, sizeof tag, tag) == 0;
    double took = cpu_seconds() - start;
    mbedtls_gcm_free(&gcm);
    if (good)
        printf("AES-128-GCM, 16 KiB records: %.0f MB/s\n", RECORDS * (RECORD_SIZE / 1e6) / took);
    return good;
}

/* One direction of a connection in memory. */
struct queue {
    unsigned char bytes[65536];
    size_t start, end;
};

struct end {
    mbedtls_ssl_context ssl;
    struct queue *out, *in;
};

static int queue_send(void *context, const unsigned char *bytes, size_t length)
{
    struct queue *queue = ((struct end *)context)->out;
    if (length > sizeof queue->bytes - queue->end)
        return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    memcpy(queue->bytes + queue->end, bytes, length);
    queue->end += length;
    return (int)length;
}

static int queue_receive(void *context, unsigned char *bytes, size_t length)
{
    struct queue *queue = ((struct end *)context)->in;
    size_t available = queue->end - queue->start;
    if (available == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    if (length > available)
        length = available;
    memcpy(bytes, queue->bytes + queue->start, length);
    queue->start += length;
    return (int)length;
}

static bool end_setup(struct end *end, const struct tls_context *context)
{
    mbedtls_ssl_init(&end->ssl);
    if (mbedtls_ssl_setup(&end->ssl, &context->config) != 0 ||
        mbedtls_ssl_set_hostname(&end->ssl, context->side == TLS_CLIENT ? "localhost" : NULL) != 0)
        return false;
    mbedtls_ssl_set_bio(&end->ssl, end, queue_send, queue_receive, NULL);
    return true;
}

static bool step(struct end *end)
{
    int code = mbedtls_ssl_handshake(&end->ssl);
    return code == 0 || code == MBEDTLS_ERR_SSL_WANT_READ;
}

/* Adds the server's CPU time to *server_took. */
static bool shake_hands(const struct tls_context *server_context,
                        const struct tls_context *client_context, double *server_took)
{
    static struct queue up, down;
    up = down = (struct queue){.start = 0};
    struct end server = {.out = &down, .in = &up}, client = {.out = &up, .in = &down};
    bool good = end_setup(&server, server_context) && end_setup(&client, client_context);
    while (good && !(mbedtls_ssl_is_handshake_over(&server.ssl) &&
                     mbedtls_ssl_is_handshake_over(&client.ssl))) {
        good = step(&client);
        double start = cpu_seconds();
        good = good && step(&server);
        *server_took += cpu_seconds() - start;
    }
    mbedtls_ssl_free(&server.ssl);
    mbedtls_ssl_free(&client.ssl);
    return good;
}

static struct tls_context *context(const char *directory, enum tls_side side,
                                   enum tls_version version)
{
    char paths[3][512];
    static const char *const names[2][3] = {
        {"proxy.crt", "proxy.key", "bot-ca.crt"},
        {"bots/ci-1/cert.pem", "bots/ci-1/key.pem", "bots/ci-1/ca.pem"}};
    for (int i = 0; i < 3; i++)
        (void)snprintf(paths[i], sizeof paths[i], "%s/%s", directory, names[side == TLS_CLIENT][i]);
    struct tls_settings settings = {.side = side,
                                    .cert_file = paths[0],
                                    .key_file = paths[1],
                                    .ca_file = paths[2],
                                    .version = version};
    struct tls_context *made = NULL;
    struct error err = {0};
    if (!tls_context_create(&settings, &made, &err))
        fprintf(stderr, "%s\n", err.message);
    return made;
}

static bool measure_handshakes(const char *directory, enum tls_version version, const char *name)
{
    struct tls_context *server = context(directory, TLS_SERVER, version);
    struct tls_context *client = context(directory, TLS_CLIENT, version);
    double took = 0;
    bool good = server && client;
    for (int i = 0; good && i < HANDSHAKES; i++)
        good = shake_hands(server, client, &took);
    if (good)
        printf("%s, full mutual handshake, server's side: %.3f ms\n", name,
               took / HANDSHAKES * 1e3);
    tls_context_unref(server);
    tls_context_unref(client);
    return good;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: tls_benchmark DIR-OF-make-test-certs\n");
        return 2;
    }
    bool good = measure_gcm() && measure_handshakes(argv[1], TLS_VERSION_1_2, "TLS 1.2") &&
                measure_handshakes(argv[1], TLS_VERSION_1_3, "TLS 1.3");
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

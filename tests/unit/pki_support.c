/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pki_support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/tls_support.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

char *pki_text(struct buffer *buffer)
{
    size_t length = buffer_length(buffer);
    char *text = strndup((const char *)buffer_bytes(buffer), length);
    cr_assert_not_null(text);
    cr_assert_eq(strlen(text), length, "the text holds a NUL");
    buffer_release(buffer);
    return text;
}

struct certificate_template pki_template(const struct certificate_name *names, size_t count,
                                         enum certificate_use use)
{
    struct error err = {0};
    struct certificate_template template = {
        .names = names,
        .name_count = count,
        .not_before_us = clock_wall_us() - PKI_MINUTE,
        .not_after_us = clock_wall_us() + PKI_HOUR,
        .use = use,
    };
    cr_assert(certificate_serial_random(template.serial, &err), "%s", err.message);
    return template;
}

static void make_key(struct pki *out)
{
    struct error err = {0};
    struct buffer text;
    buffer_init(&text, TLS_KEY_PEM_MAX);
    cr_assert(tls_key_generate(&out->key, &err), "%s", err.message);
    cr_assert(tls_key_write(out->key, &text, &err), "%s", err.message);
    out->key_pem = pki_text(&text);
}

static char *sign(const struct certificate_template *template, const struct pki *ca, bool self)
{
    struct error err = {0};
    struct buffer text;
    buffer_init(&text, CERTIFICATE_PEM_MAX);
    cr_assert(certificate_sign(template, ca->key, self ? NULL : ca->pem, &text, &err), "%s",
              err.message);
    return pki_text(&text);
}

void pki_ca(struct pki *ca, const char *name)
{
    const struct certificate_name names[] = {{"CN", name}, {"O", "acme"}};
    struct certificate_template template = pki_template(names, COUNT(names), CERTIFICATE_CA);
    template.not_after_us += 23 * PKI_HOUR;
    *ca = (struct pki){0};
    make_key(ca);
    ca->pem = sign(&template, ca, true);
}

void pki_issue(const struct pki *ca, struct certificate_template *template, struct pki *out)
{
    struct error err = {0};
    struct tls_public *public = NULL;
    *out = (struct pki){0};
    make_key(out);
    cr_assert(tls_public_of(out->key, &public, &err), "%s", err.message);
    template->public = public;
    out->pem = sign(template, ca, false);
    template->public = NULL;
    tls_public_free(public);
}

void pki_server(const struct pki *ca, struct pki *out)
{
    static const char *const hosts[] = {"localhost"};
    static const char *const addresses[] = {"127.0.0.1"};
    const struct certificate_name names[] = {{"CN", "proxy-1"}};
    struct certificate_template template = pki_template(names, COUNT(names), CERTIFICATE_SERVER);
    template.san_dns = hosts;
    template.san_dns_count = COUNT(hosts);
    template.san_ips = addresses;
    template.san_ip_count = COUNT(addresses);
    pki_issue(ca, &template, out);
}

void pki_client(const struct pki *ca, const char *name, struct pki *out)
{
    const struct certificate_name names[] = {{"CN", name}, {"OU", "bots"}};
    struct certificate_template template = pki_template(names, COUNT(names), CERTIFICATE_CLIENT);
    pki_issue(ca, &template, out);
}

void pki_release(struct pki *pki)
{
    tls_key_free(pki->key);
    free(pki->key_pem);
    free(pki->pem);
    *pki = (struct pki){0};
}

char *pki_chain(const char *first, const char *second)
{
    size_t size = strlen(first) + strlen(second) + 1;
    char *chain = malloc(size);
    cr_assert_not_null(chain);
    (void)snprintf(chain, size, "%s%s", first, second);
    return chain;
}

/* Tests run side by side, each in a process of its own. */
static const char *scratch(void)
{
    static char directory[256];
    if (!directory[0]) {
        (void)snprintf(directory, sizeof directory, "%s/pki-%d", certs_directory(), (int)getpid());
        cr_assert_eq(mkdir(directory, 0700), 0, "%s", directory);
    }
    return directory;
}

const char *pki_path(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", scratch(), name);
    return path;
}

const char *pki_file(const char *name, const char *text)
{
    const char *path = pki_path(name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(chmod(path, 0600), 0);
    return path;
}

const char *pki_run(int *status, const char *format, ...)
{
    static char output[32768];
    char line[2048];
    char command[4096];
    va_list arguments;
    va_start(arguments, format);
    cr_assert_lt(vsnprintf(line, sizeof line, format, arguments), (int)sizeof line);
    va_end(arguments);
    (void)snprintf(command, sizeof command, "cd %s && { %s\n} 2>&1", scratch(), line);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    size_t length = fread(output, 1, sizeof output - 1, pipe);
    output[length] = '\0';
    int result = pclose(pipe);
    cr_assert(WIFEXITED(result));
    *status = WEXITSTATUS(result);
    return output;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A state directory for each test of the authority's store, and things to put into it. */
#ifndef SALLYPORT_TESTS_STORE_SUPPORT_H
#define SALLYPORT_TESTS_STORE_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "authority/store.h"

/* Some moment; tests count on from it. */
#define NOW 1790000000000000

/* The directory of the running test; store_support_enter() makes it, store_support_leave() takes it
 * away with all that is in it. */
extern char store_directory_path[64];

void store_support_enter(void);
void store_support_leave(void);

/* "<directory>/<name>"; the result lives until the next call but three. */
const char *store_path(const char *name);

/* Opens it, or ends the test. */
struct store *store_opened(void);

/* Whether opening fails with this code and with these words in the message. */
bool store_refuses(const char *directory, enum error_code code, const char *words);

/* As another user than root from here on, to whom the directory then belongs; nothing for others.
 */
void store_become_nobody(void);

struct store_bot store_a_bot(const char *name);
struct store_token store_a_token(const char *id, const char *bot);
struct store_instance store_an_instance(const char *id, const char *bot, const char *serial);
struct store_certificate store_a_certificate(const char *serial, const char *instance);
struct store_lock store_a_lock(const char *id);
struct store_authority store_an_authority(int64_t number);
struct store_proxy store_a_proxy(const char *name);

/* Adds the bot, or ends the test. */
void store_with_bot(struct store *store, const char *name);

/* The version of the state. */
int64_t store_state(struct store *store);

/* A file's bytes; the caller frees. */
char *store_file_read(const char *path, size_t *length);
void store_file_write(const char *path, const void *bytes, size_t length);

/* Visitors' counters. */
bool store_count_bots(const struct store_bot *bot, void *count);
bool store_count_tokens(const struct store_token *token, void *count);
bool store_count_instances(const struct store_instance *instance, void *count);
bool store_count_locks(const struct store_lock *lock, void *count);
bool store_count_documents(const struct store_document *document, void *count);
bool store_count_authorities(const struct store_authority *authority, void *count);
bool store_count_proxies(const struct store_proxy *proxy, void *count);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/document.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/document_internal.h"
#include "base/hex.h"
#include "control/frame.h"

/* --- canonical JSON --- */

static int compare_keys(const void *left, const void *right)
{
    return strcmp((*(cJSON *const *)left)->string, (*(cJSON *const *)right)->string);
}

/* Relinks the members in the order of `items`. */
static void relink(cJSON *object, cJSON **items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        items[i]->prev = items[i == 0 ? count - 1 : i - 1]; /* the first one's is the last */
        items[i]->next = i + 1 < count ? items[i + 1] : NULL;
    }
    object->child = items[0];
}

/* control_parse() has seen to it that no key stands twice. */
static bool sort_object(cJSON *object, struct error *err)
{
    size_t count = (size_t)cJSON_GetArraySize(object), at = 0;
    if (count < 2)
        return true;
    cJSON **items = reallocarray(NULL, count, sizeof *items);
    if (!items)
        return error_set(err, ERROR_MEMORY, "out of memory for a document");
    for (cJSON *item = object->child; item; item = item->next)
        items[at++] = item;
    qsort(items, count, sizeof *items, compare_keys);
    relink(object, items, count);
    free(items);
    return true;
}

/* As deep as control_json_check() let it be. */
static bool sort_keys(cJSON *json, struct error *err)
{
    if (cJSON_IsObject(json) && !sort_object(json, err))
        return false;
    for (cJSON *item = json->child; item; item = item->next)
        if (!sort_keys(item, err))
            return false;
    return true;
}

/* --- one document --- */

static const char *text_of(const cJSON *json, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* A name that is too long to stand for itself. */
static void hash_name(const char *name, char out[STORE_DOCUMENT_SIZE])
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    char hex[HEX_SIZE(sizeof hash)];
    (void)crypto_hash_sha256(hash, (const uint8_t *)name, strlen(name));
    hex_encode(hash, sizeof hash, hex);
    (void)snprintf(out, STORE_DOCUMENT_SIZE, "%.*s… %s", 128, name, hex);
}

/* What a mapping looks at, which is all of it but the roles that it gives by name. */
static bool name_mapping(const cJSON *json, char out[STORE_DOCUMENT_SIZE], struct error *err)
{
    const char *subject = text_of(json, "subject");
    const char *uri = text_of(json, "san_uri");
    const char *from = text_of(json, "roles_from");
    char name[4 * AUTHZ_PATTERN_MAX];
    int length =
        snprintf(name, sizeof name, "%s%s%s%s%s", subject ? subject : "", subject && uri ? " " : "",
                 uri ? uri : "", from ? " roles_from " : "", from ? from : "");
    if (!subject && !uri)
        return error_set(err, ERROR_CONFIG, "a mapping needs \"subject\" or \"san_uri\"");
    if (length < 0 || (size_t)length >= sizeof name)
        return error_set(err, ERROR_CONFIG, "the patterns of a mapping are too long");
    if ((size_t)length < STORE_DOCUMENT_SIZE)
        memcpy(out, name, (size_t)length + 1);
    else
        hash_name(name, out);
    return true;
}

static bool name_named(enum store_document_kind kind, const cJSON *json,
                       char out[STORE_DOCUMENT_SIZE], struct error *err)
{
    const char *name = text_of(json, "name");
    if (!name || name[0] == '\0')
        return error_set(err, ERROR_CONFIG, "a %s needs a \"name\", which is a text",
                         store_document_kind_name(kind));
    if (strlen(name) >= STORE_DOCUMENT_SIZE)
        return error_set(err, ERROR_CONFIG, "a %s's name has at most %d bytes",
                         store_document_kind_name(kind), STORE_DOCUMENT_SIZE - 1);
    memcpy(out, name, strlen(name) + 1);
    return true;
}

/* Keys that a configuration has and a document has not, because their files are elsewhere. */
static bool check_paths(const cJSON *json, const char *name, struct error *err)
{
    static const char *const of_files[] = {"ca", "cert", "key"};
    const cJSON *tls = cJSON_GetObjectItemCaseSensitive(json, "tls");
    bool files = cJSON_GetObjectItemCaseSensitive(json, "passwords") != NULL;
    for (size_t i = 0; i < sizeof of_files / sizeof *of_files; i++)
        files |= cJSON_GetObjectItemCaseSensitive(tls, of_files[i]) != NULL;
    return !files ||
           error_set(
               err, ERROR_CONFIG,
               "database %s: \"passwords\" and \"ca\", \"cert\" and \"key\" of \"tls\" would be "
               "files of a proxy's machine: leave them out for the authority's own CAs, or "
               "keep this database in the proxies' configuration",
               name);
}

static bool print(cJSON *json, struct document *out, struct error *err)
{
    char label[AUTHORITY_LABEL_SIZE];
    if (!sort_keys(json, err))
        return false;
    out->text = cJSON_PrintUnformatted(json);
    if (!out->text)
        return error_set(err, ERROR_MEMORY, "out of memory for a document");
    if (strlen(out->text) <= STORE_DOCUMENT_TEXT_MAX)
        return true;
    cJSON_free(out->text);
    out->text = NULL;
    return error_set(err, ERROR_CONFIG, "%s has more than %d bytes of JSON",
                     document_label(out, label), STORE_DOCUMENT_TEXT_MAX);
}

bool document_read(enum store_document_kind kind, cJSON *json, struct document *out,
                   struct error *err)
{
    *out = (struct document){.kind = kind, .given = true};
    bool named = kind == STORE_DOCUMENT_MAPPING ? name_mapping(json, out->name, err)
                                                : name_named(kind, json, out->name, err);
    return named && (kind != STORE_DOCUMENT_DATABASE || check_paths(json, out->name, err)) &&
           print(json, out, err);
}

/* --- what a request brings --- */

struct applying {
    struct store *store;
    const struct authority_apply *apply;
    struct document_set set;
    cJSON *answer;
    cJSON *added, *changed, *removed, *unchanged;
    struct authority_refusal *refusal;
    struct error *err;
};

static const struct {
    const char *key;
    enum store_document_kind kind;
} kinds[] = {
    {"roles", STORE_DOCUMENT_ROLE},
    {"databases", STORE_DOCUMENT_DATABASE},
    {"mappings", STORE_DOCUMENT_MAPPING},
};

#define KINDS (sizeof kinds / sizeof *kinds)

/* ERROR_CONFIG is the request's fault, anything else ours. Returns false. */
static bool refuse(struct applying *applying, enum control_code code, const struct error *err)
{
    if (err->code == ERROR_CONFIG)
        return authority_refuse(applying->refusal, code, "%s", err->message);
    if (applying->err)
        *applying->err = *err;
    return false;
}

static bool refuse_twice(struct applying *applying, const struct document *document)
{
    char label[AUTHORITY_LABEL_SIZE];
    return authority_refuse(
        applying->refusal, CONTROL_INVALID, "%s stands there twice%s",
        document_label(document, label),
        document->kind == STORE_DOCUMENT_MAPPING ? ": give one mapping all of its roles" : "");
}

/* Puts a document that came in the place of what is stored. */
static bool take_document(struct applying *applying, struct document *given)
{
    struct error err = {0};
    struct document *there = document_set_find(&applying->set, given->kind, given->name);
    if (!there)
        return document_set_add(&applying->set, given, &err) ||
               refuse(applying, CONTROL_INVALID, &err);
    if (there->given) {
        cJSON_free(given->text);
        return refuse_twice(applying, given);
    }
    free(there->text);
    there->text = given->text;
    there->given = true;
    there->pruned = false;
    return true;
}

static bool take_kind(struct applying *applying, enum store_document_kind kind, const cJSON *list)
{
    for (const cJSON *item = list->child; item; item = item->next) {
        struct document document;
        struct error err = {0};
        cJSON *copy = cJSON_Duplicate(item, true);
        bool read = copy ? document_read(kind, copy, &document, &err)
                         : error_set(&err, ERROR_MEMORY, "out of memory for a document");
        cJSON_Delete(copy);
        if (!read)
            return refuse(applying, CONTROL_INVALID, &err);
        if (!take_document(applying, &document))
            return false;
    }
    return true;
}

static void mark_pruned(struct document_set *set, enum store_document_kind kind)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].kind == kind)
            set->items[i].pruned = true;
}

static bool check_list(struct applying *applying, const char *key, const cJSON *list)
{
    if (!cJSON_IsArray(list))
        return authority_refuse(applying->refusal, CONTROL_INVALID, "'%s' is not a list", key);
    for (const cJSON *item = list->child; item; item = item->next)
        if (!cJSON_IsObject(item))
            return authority_refuse(applying->refusal, CONTROL_INVALID,
                                    "'%s' holds something that is no object", key);
    return true;
}

static bool check_keys(struct applying *applying)
{
    for (const cJSON *item = applying->apply->documents->child; item; item = item->next) {
        bool known = false;
        for (size_t i = 0; i < KINDS; i++)
            known |= strcmp(item->string, kinds[i].key) == 0;
        if (!known)
            return authority_refuse(applying->refusal, CONTROL_INVALID,
                                    "there are no documents called '%.64s': there are roles, "
                                    "databases and mappings",
                                    item->string);
    }
    return true;
}

static bool take_all(struct applying *applying)
{
    if (!check_keys(applying))
        return false;
    for (size_t i = 0; i < KINDS; i++) {
        const cJSON *list =
            cJSON_GetObjectItemCaseSensitive(applying->apply->documents, kinds[i].key);
        if (list && !check_list(applying, kinds[i].key, list))
            return false;
        if (list && applying->apply->prune)
            mark_pruned(&applying->set, kinds[i].kind);
        if (list && !take_kind(applying, kinds[i].kind, list))
            return false;
    }
    return true;
}

/* Judges the set. What the request did not bring can only be at fault because of what it took away.
 */
static bool judge(struct document_set *set, struct authority_refusal *refusal, struct error *err)
{
    struct authority_documents documents;
    struct error inner = {0};
    bool given;
    static const size_t greatest[] = {[STORE_DOCUMENT_ROLE] = AUTHORITY_DOCUMENTS_MAX,
                                      [STORE_DOCUMENT_DATABASE] = AUTHORITY_DATABASES_MAX,
                                      [STORE_DOCUMENT_MAPPING] = AUTHORITY_DOCUMENTS_MAX};
    size_t count[STORE_DOCUMENT_MAPPING + 1] = {0};
    for (size_t i = 0; i < set->count; i++)
        if (!set->items[i].pruned)
            count[set->items[i].kind]++;
    for (int kind = STORE_DOCUMENT_ROLE; kind <= STORE_DOCUMENT_MAPPING; kind++)
        if (count[kind] > greatest[kind])
            return authority_refuse(refusal, CONTROL_INVALID, "there would be more than %zu %ss",
                                    greatest[kind],
                                    store_document_kind_name((enum store_document_kind)kind));
    if (document_set_decode(set, &documents, &given, &inner)) {
        authority_documents_release(&documents);
        return true;
    }
    if (inner.code == ERROR_CONFIG)
        return authority_refuse(refusal, given ? CONTROL_INVALID : CONTROL_CONFLICT, "%s",
                                inner.message);
    if (err)
        *err = inner;
    return false;
}

/* --- what changes --- */

static bool make_answer(struct applying *applying)
{
    applying->answer = cJSON_CreateObject();
    applying->added = control_put_list(applying->answer, "added");
    applying->changed = control_put_list(applying->answer, "changed");
    applying->removed = control_put_list(applying->answer, "removed");
    applying->unchanged = control_put_list(applying->answer, "unchanged");
    return (applying->answer && applying->added && applying->changed && applying->removed &&
            applying->unchanged) ||
           error_set(applying->err, ERROR_MEMORY, "out of memory for an answer");
}

static bool list_document(struct applying *applying, cJSON *list, const struct document *document)
{
    cJSON *item = cJSON_CreateObject();
    bool made = item && control_put_text(item, "kind", store_document_kind_name(document->kind)) &&
                control_put_text(item, "name", document->name);
    if (made && cJSON_AddItemToArray(list, item))
        return true;
    cJSON_Delete(item);
    return error_set(applying->err, ERROR_MEMORY, "out of memory for an answer");
}

static bool find_change(struct applying *applying, const struct document *document,
                        enum store_change *change)
{
    struct buffer text;
    if (!document->stored) {
        *change = STORE_ADDED;
        return true;
    }
    buffer_init(&text, STORE_DOCUMENT_TEXT_MAX + 1);
    bool found =
        store_document_find(applying->store, document->kind, document->name, &text, applying->err);
    bool same = found && buffer_length(&text) == strlen(document->text) &&
                memcmp(buffer_bytes(&text), document->text, buffer_length(&text)) == 0;
    *change = same ? STORE_UNCHANGED : STORE_CHANGED;
    buffer_release(&text);
    return found;
}

static bool put_document(struct applying *applying, const struct document *document)
{
    enum store_change change;
    bool done =
        applying->apply->dry_run
            ? find_change(applying, document, &change)
            : store_document_put(applying->store, document->kind, document->name, document->text,
                                 applying->apply->now_us, &change, applying->err);
    if (!done)
        return false;
    cJSON *list = change == STORE_ADDED     ? applying->added
                  : change == STORE_CHANGED ? applying->changed
                                            : applying->unchanged;
    return list_document(applying, list, document);
}

static bool change_document(struct applying *applying, const struct document *document)
{
    if (document->given)
        return put_document(applying, document);
    if (!document->pruned)
        return true;
    return (applying->apply->dry_run || store_document_remove(applying->store, document->kind,
                                                              document->name, applying->err)) &&
           list_document(applying, applying->removed, document);
}

static bool change_all(struct applying *applying)
{
    if (!make_answer(applying))
        return false;
    for (size_t i = 0; i < applying->set.count; i++)
        if (!change_document(applying, &applying->set.items[i]))
            return false;
    return true;
}

bool authority_documents_apply(struct store *store, const struct authority_apply *apply,
                               cJSON **answer, struct authority_refusal *refusal, struct error *err)
{
    struct applying applying = {.store = store, .apply = apply, .refusal = refusal, .err = err};
    refusal->code = CONTROL_NO_ERROR;
    bool done = document_set_load(&applying.set, store, err) && take_all(&applying) &&
                judge(&applying.set, refusal, err) && change_all(&applying);
    document_set_release(&applying.set);
    if (!done)
        cJSON_Delete(applying.answer);
    *answer = done ? applying.answer : NULL;
    return done;
}

/* "mapping …: there is no role r" says what would be, not why it is refused. */
static void explain_conflict(enum store_document_kind kind, const char *name,
                             struct authority_refusal *refusal)
{
    const struct authority_refusal cause = *refusal;
    (void)authority_refuse(refusal, CONTROL_CONFLICT,
                           "%s %.64s is still needed: without it, %.300s; change or remove that "
                           "first",
                           store_document_kind_name(kind), name, cause.message);
}

bool authority_documents_remove(struct store *store, enum store_document_kind kind,
                                const char *name, struct authority_refusal *refusal,
                                struct error *err)
{
    struct document_set set = {0};
    refusal->code = CONTROL_NO_ERROR;
    bool done = document_set_load(&set, store, err);
    struct document *document = done ? document_set_find(&set, kind, name) : NULL;
    if (done && !document)
        done = authority_refuse(refusal, CONTROL_NOT_FOUND, "there is no %s %.64s",
                                store_document_kind_name(kind), name);
    if (done) {
        document->pruned = true;
        done = judge(&set, refusal, err);
        if (!done && refusal->code == CONTROL_CONFLICT)
            explain_conflict(kind, name, refusal);
        done = done && store_document_remove(store, kind, name, err);
    }
    document_set_release(&set);
    return done;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The question what a bot may do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/document.h"
#include "authority/handle.h"

struct test {
    const char *bot, *database, *mysql_user, *schema;
    struct authority_documents documents;
    struct authz_roles roles; /* those of the bot that are defined and not locked */
    struct authz_label *labels;
    size_t label_count;
    cJSON *rules;
};

static bool read_test(struct request *request, struct test *test)
{
    const struct control_field fields[] = {
        {.key = "bot",
         .type = CONTROL_TEXT,
         .to.text = &test->bot,
         .greatest = STORE_NAME_SIZE - 1},
        {.key = "database",
         .type = CONTROL_TEXT,
         .to.text = &test->database,
         .greatest = STORE_DOCUMENT_SIZE - 1},
        {.key = "mysql_user",
         .type = CONTROL_TEXT,
         .to.text = &test->mysql_user,
         .optional = true,
         .greatest = AUTHZ_MYSQL_USER_MAX},
        {.key = "schema",
         .type = CONTROL_TEXT,
         .to.text = &test->schema,
         .optional = true,
         .empty = true,
         .greatest = AUTHZ_SCHEMA_MAX},
    };
    return request_fields(request, HANDLE_FIELDS(fields));
}

static bool put_rule(struct test *test, const char *text, struct error *err)
{
    cJSON *item = cJSON_CreateString(text);
    if (item && cJSON_AddItemToArray(test->rules, item))
        return true;
    cJSON_Delete(item);
    return request_built(false, err);
}

static struct authz_request question(const struct test *test)
{
    return (struct authz_request){.database = test->database,
                                  .labels = test->labels,
                                  .label_count = test->label_count,
                                  .mysql_user = test->mysql_user,
                                  .schema = test->schema};
}

/* What a role alone would say, or why it says nothing. */
static bool judge_role(struct request *request, struct test *test, const char *name,
                       struct error *err)
{
    struct authz_roles alone;
    struct authz_decision decision;
    const struct authority_lock *lock;
    char text[STORE_NAME_SIZE + AUTHZ_RULE_TEXT_MAX + STORE_REASON_SIZE];
    const struct authz_request asked = question(test);
    const struct authority_lock_query query = {.roles = &name, .role_count = 1};
    if (!authority_lock_of(request->service->core, &query, request->now_us, &lock, err))
        return false;
    authz_role_alone(test->documents.policy, name, &alone);
    if (lock) {
        (void)snprintf(text, sizeof text, "role %s is locked: %s", name, lock->reason);
    } else if (alone.count == 0) {
        (void)snprintf(text, sizeof text, "role %s is not defined", name);
    } else {
        test->roles.roles[test->roles.count++] = alone.roles[0];
        authz_decide(&alone, &asked, &decision);
        (void)snprintf(text, sizeof text, "role %s alone %s it: %s", name,
                       decision.allowed ? "allows" : "does not allow", decision.rule);
    }
    return put_rule(test, text, err);
}

/* A lock that stands above all roles; *locked says whether there is one. */
static bool judge_locks(struct request *request, const struct test *test, bool *locked,
                        struct error *err)
{
    const struct authority_lock *lock;
    char text[STORE_REASON_SIZE + STORE_TARGET_SIZE + 64];
    const struct authority_lock_query query = {.bot = test->bot, .database = test->database};
    if (!authority_lock_of(request->service->core, &query, request->now_us, &lock, err))
        return false;
    *locked = lock != NULL;
    if (!lock)
        return true;
    (void)snprintf(text, sizeof text, "%s %s is locked: %s", store_lock_kind_name(lock->kind),
                   lock->target, lock->reason);
    return request_built(control_put_bool(request->ok, "allowed", false) &&
                             control_put_text(request->ok, "reason", text),
                         err);
}

static bool find_labels(struct test *test, bool *known, struct error *err)
{
    const struct authority_documents *documents = &test->documents;
    *known = false;
    for (size_t i = 0; i < documents->database_count && !*known; i++) {
        const struct config_map *labels = &documents->databases[i].labels;
        if (strcmp(documents->databases[i].name, test->database) != 0)
            continue;
        *known = true;
        test->labels = calloc(labels->count + 1, sizeof *test->labels);
        if (!test->labels)
            return request_built(false, err);
        for (size_t j = 0; j < labels->count; j++)
            test->labels[test->label_count++] =
                (struct authz_label){labels->entries[j].key, labels->entries[j].values.items,
                                     labels->entries[j].values.count};
    }
    return true;
}

static bool decide(struct request *request, struct test *test, const struct store_bot *bot,
                   struct error *err)
{
    struct authz_decision decision;
    bool locked, known;
    if (!find_labels(test, &known, err))
        return false;
    if (!known &&
        !put_rule(test, "the authority knows no such database: it has no labels here", err))
        return false;
    for (size_t i = 0; i < bot->role_count; i++)
        if (!judge_role(request, test, bot->roles[i], err))
            return false;
    if (!judge_locks(request, test, &locked, err))
        return false;
    if (locked)
        return true;
    const struct authz_request asked = question(test);
    authz_decide(&test->roles, &asked, &decision);
    return request_built(control_put_bool(request->ok, "allowed", decision.allowed) &&
                             control_put_text(request->ok, "reason", decision.rule),
                         err);
}

bool handle_role_test(struct request *request, struct error *err)
{
    struct test *test = calloc(1, sizeof *test);
    struct store_bot bot;
    struct error inner = {0};
    if (!test)
        return error_set(err, ERROR_MEMORY, "out of memory");
    bool done = read_test(request, test);
    if (done && !store_bot_find(request->service->store, test->bot, &bot, &inner)) {
        done = authority_refuse_store(&request->refusal, CONTROL_UNKNOWN_BOT, &inner, err);
    }
    if (done) {
        test->rules = control_put_list(request->ok, "rules");
        done = request_built(test->rules != NULL, err) &&
               authority_documents_load(request->service->store, &test->documents, err) &&
               decide(request, test, &bot, err);
        authority_documents_release(&test->documents);
    }
    free(test->labels);
    free(test);
    return done;
}

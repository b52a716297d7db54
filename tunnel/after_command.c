/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/after_command.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct after_command {
    uv_loop_t *loop;
    char **arguments; /* ends with NULL */
    char **environment;
    char *variable; /* SALLYPORT_IDENTITY=… */
    int64_t limit_ms;
    void (*ended)(void *owner, bool succeeded);
    void *owner;
    uv_process_t process;
    uv_timer_t timer;
    bool running; /* a process is there */
    bool busy;    /* its handle is in use, a little longer than that */
    bool succeeded;
    bool once_more;
    bool closing;
    unsigned holds;
};

static void release_hold(struct after_command *after)
{
    if (--after->holds > 0)
        return;
    for (size_t i = 0; after->arguments && after->arguments[i]; i++)
        free(after->arguments[i]);
    free(after->arguments);
    free(after->environment);
    free(after->variable);
    free(after);
}

static void on_process_closed(uv_handle_t *handle)
{
    struct after_command *after = handle->data;
    after->busy = false;
    if (after->once_more && !after->closing) {
        after->once_more = false;
        after_command_run(after);
    } else if (after->ended && !after->closing) {
        after->ended(after->owner, after->succeeded);
    }
    release_hold(after);
}

static void log_end(const struct after_command *after, int64_t status, int signal)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRId64, signal ? signal : status);
    if (signal == 0 && status == 0)
        log_debug("the command after the renewal is done", "command", after->arguments[0], NULL);
    else
        log_error("the command after the renewal failed; the identity is renewed all the same",
                  "command", after->arguments[0], signal ? "signal" : "exit_code", text, NULL);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signal)
{
    struct after_command *after = process->data;
    after->succeeded = status == 0 && signal == 0;
    after->running = false;
    log_end(after, status, signal);
    (void)uv_timer_stop(&after->timer);
    uv_close((uv_handle_t *)process, on_process_closed);
}

static void on_limit(uv_timer_t *timer)
{
    struct after_command *after = timer->data;
    log_warning("the command after the renewal takes too long and is killed", "command",
                after->arguments[0], NULL);
    (void)uv_process_kill(&after->process, SIGKILL);
}

static int spawn(struct after_command *after)
{
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = 1},
        {.flags = UV_INHERIT_FD, .data.fd = 2},
    };
    const uv_process_options_t options = {
        .exit_cb = on_process_exit,
        .file = after->arguments[0],
        .args = after->arguments,
        .env = after->environment,
        .stdio_count = 3,
        .stdio = stdio,
    };
    after->process.data = after;
    return uv_spawn(after->loop, &after->process, &options);
}

void after_command_run(struct after_command *after)
{
    if (after->busy) {
        after->once_more = true;
        return;
    }
    int code = spawn(after);
    after->busy = true;
    after->running = code == 0;
    after->succeeded = false;
    after->holds++;
    if (code == 0) {
        (void)uv_timer_start(&after->timer, on_limit, (uint64_t)after->limit_ms, 0);
        return;
    }
    log_error("the command after the renewal cannot be run", "command", after->arguments[0],
              "error", uv_strerror(code), NULL);
    uv_close((uv_handle_t *)&after->process, on_process_closed); /* nothing was started */
}

static void on_timer_closed(uv_handle_t *handle)
{
    release_hold(handle->data);
}

void after_command_destroy(struct after_command *after)
{
    if (!after || after->closing)
        return;
    after->closing = true;
    if (after->running)
        (void)uv_process_kill(&after->process, SIGKILL);
    uv_close((uv_handle_t *)&after->timer, on_timer_closed);
}

/* Making. */

static bool copy_arguments(struct after_command *after, const struct config_strings *command)
{
    after->arguments = calloc(command->count + 1, sizeof(char *));
    for (size_t i = 0; after->arguments && i < command->count; i++) {
        after->arguments[i] = strdup(command->items[i]);
        if (!after->arguments[i])
            return false;
    }
    return after->arguments;
}

/* Ours, and one more; an older value of it comes later and so is not seen by getenv(3). */
static bool make_environment(struct after_command *after, const char *directory)
{
    size_t count = 0;
    while (environ[count])
        count++;
    size_t size = strlen(AFTER_COMMAND_VARIABLE "=") + strlen(directory) + 1;
    after->environment = calloc(count + 2, sizeof(char *));
    after->variable = malloc(size);
    if (!after->environment || !after->variable)
        return false;
    (void)snprintf(after->variable, size, "%s=%s", AFTER_COMMAND_VARIABLE, directory);
    after->environment[0] = after->variable;
    memcpy(after->environment + 1, environ, count * sizeof(char *));
    return true;
}

bool after_command_create(uv_loop_t *loop, const struct after_command_settings *settings,
                          void (*ended)(void *owner, bool succeeded), void *owner,
                          struct after_command **out, struct error *err)
{
    struct after_command *after = calloc(1, sizeof *after);
    if (!after)
        return error_set(err, ERROR_MEMORY, "out of memory");
    after->loop = loop;
    after->limit_ms = settings->limit_ms ? settings->limit_ms : AFTER_COMMAND_MS;
    after->ended = ended;
    after->owner = owner;
    after->holds = 1;
    if (!copy_arguments(after, &settings->command) ||
        !make_environment(after, settings->directory) || uv_timer_init(loop, &after->timer) != 0) {
        release_hold(after);
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    after->timer.data = after;
    *out = after;
    return true;
}

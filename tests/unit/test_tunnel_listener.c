/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/tunnel_support.h"
#include "tunnel/listener.h"

static void on_pending(void *owner, uv_stream_t *handle)
{
    (void)handle;
    (*(int *)owner)++;
}

static bool opens(uv_loop_t *loop, const char *text, unsigned mode, struct listener **out,
                  struct error *err)
{
    static int count;
    struct address address;
    cr_assert(address_parse(text, &address, err), "%s", err->message);
    return listener_open(loop, &address, mode, on_pending, &count, out, err);
}

static void finish(uv_loop_t *loop)
{
    cr_assert_eq(uv_run(loop, UV_RUN_DEFAULT), 0);
    cr_assert_eq(uv_loop_close(loop), 0);
}

static void socket_path(const char *directory, char path[96], char text[104])
{
    (void)snprintf(path, 96, "%s/s.sock", directory);
    (void)snprintf(text, 104, "unix:%s", path);
}

/* A bound socket; it answers while the descriptor is open and listens. */
static int bind_at(const char *path, bool listening)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_geq(fd, 0);
    strcpy(at.sun_path, path);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    if (listening)
        cr_assert_eq(listen(fd, 1), 0);
    return fd;
}

Test(tunnel_listener, tells_the_port_that_the_system_chose)
{
    uv_loop_t loop;
    struct listener *listener;
    struct error err = {0};
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert(opens(&loop, "127.0.0.1:0", 0, &listener, &err), "%s", err.message);
    cr_assert_neq(listener_address(listener)->port, 0);
    listener_close(listener);
    finish(&loop);
}

Test(tunnel_listener, says_who_to_look_for_when_a_port_is_taken)
{
    uv_loop_t loop;
    struct listener *first, *second;
    struct error err = {0};
    char text[ADDRESS_TEXT_SIZE];
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert(opens(&loop, "127.0.0.1:0", 0, &first, &err), "%s", err.message);
    address_format(listener_address(first), text);
    cr_assert_not(opens(&loop, text, 0, &second, &err));
    cr_assert(strstr(err.message, text), "%s", err.message);
    cr_assert(strstr(err.message, "ss -ltnp"), "%s", err.message);
    listener_close(first);
    finish(&loop);
}

Test(tunnel_listener, says_that_an_address_is_not_this_machine_s)
{
    uv_loop_t loop;
    struct listener *listener;
    struct error err = {0};
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert_not(opens(&loop, "192.0.2.1:1", 0, &listener, &err));
    cr_assert(strstr(err.message, "does not have that address"), "%s", err.message);
    finish(&loop);
}

Test(tunnel_listener, gives_a_socket_its_mode_and_removes_it)
{
    uv_loop_t loop;
    struct listener *listener;
    struct error err = {0};
    struct stat info;
    char directory[64], path[96], text[104];
    socket_path(directory_make(directory), path, text);
    cr_assert_eq(uv_loop_init(&loop), 0);
    (void)umask(0);
    cr_assert(opens(&loop, text, 0660, &listener, &err), "%s", err.message);
    cr_assert_eq(stat(path, &info), 0);
    cr_assert_eq(info.st_mode & 07777, 0660);
    cr_assert_eq(umask(0), 0, "the process's mask is as it was");
    cr_assert(listener_set_mode(listener, 0600, &err), "%s", err.message);
    cr_assert_eq(stat(path, &info), 0);
    cr_assert_eq(info.st_mode & 07777, 0600);
    listener_close(listener);
    cr_assert_neq(stat(path, &info), 0);
    finish(&loop);
    directory_remove(directory);
}

Test(tunnel_listener, replaces_a_socket_that_nobody_answers_on)
{
    uv_loop_t loop;
    struct listener *listener;
    struct error err = {0};
    char directory[64], path[96], text[104];
    socket_path(directory_make(directory), path, text);
    (void)close(bind_at(path, true));
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert(opens(&loop, text, 0600, &listener, &err), "%s", err.message);
    listener_close(listener);
    finish(&loop);
    directory_remove(directory);
}

Test(tunnel_listener, leaves_a_socket_that_someone_answers_on)
{
    uv_loop_t loop;
    struct listener *listener;
    struct error err = {0};
    struct stat info;
    char directory[64], path[96], text[104];
    socket_path(directory_make(directory), path, text);
    int other = bind_at(path, true);
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert_not(opens(&loop, text, 0600, &listener, &err));
    cr_assert(strstr(err.message, "another process"), "%s", err.message);
    cr_assert_eq(lstat(path, &info), 0);
    (void)close(other);
    finish(&loop);
    directory_remove(directory);
}

Test(tunnel_listener, never_removes_what_is_not_a_socket)
{
    uv_loop_t loop;
    struct listener *listener;
    struct error err = {0};
    struct stat info;
    char directory[64], path[96], text[104];
    socket_path(directory_make(directory), path, text);
    file_write(directory, "s.sock", "precious");
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert_not(opens(&loop, text, 0600, &listener, &err));
    cr_assert(strstr(err.message, "not a socket"), "%s", err.message);
    cr_assert(lstat(path, &info) == 0 && info.st_size == 8);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(symlink("/nonexistent", path), 0);
    cr_assert_not(opens(&loop, text, 0600, &listener, &err));
    cr_assert_eq(lstat(path, &info), 0);
    finish(&loop);
    directory_remove(directory);
}

Test(tunnel_listener, never_removes_another_user_s_socket)
{
    if (geteuid() != 0)
        cr_skip_test("only root can make one");
    uv_loop_t loop;
    struct listener *listener;
    struct error err = {0};
    struct stat info;
    char directory[64], path[96], text[104];
    socket_path(directory_make(directory), path, text);
    (void)close(bind_at(path, true));
    cr_assert_eq(lchown(path, 65534, 65534), 0);
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert_not(opens(&loop, text, 0600, &listener, &err));
    cr_assert(strstr(err.message, "belongs to user 65534"), "%s", err.message);
    cr_assert_eq(lstat(path, &info), 0);
    finish(&loop);
    directory_remove(directory);
}

Test(tunnel_listener, removes_only_the_socket_that_it_made)
{
    uv_loop_t loop;
    struct listener *listener;
    struct error err = {0};
    struct stat info;
    char directory[64], path[96], text[104];
    socket_path(directory_make(directory), path, text);
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert(opens(&loop, text, 0600, &listener, &err), "%s", err.message);
    cr_assert_eq(unlink(path), 0);
    int other = bind_at(path, true);
    listener_close(listener);
    cr_assert_eq(lstat(path, &info), 0, "the other process's socket is still there");
    (void)close(other);
    finish(&loop);
    directory_remove(directory);
}

Test(tunnel_listener, says_that_the_directory_is_missing)
{
    uv_loop_t loop;
    struct listener *listener;
    struct error err = {0};
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert_not(opens(&loop, "unix:/nonexistent/s.sock", 0600, &listener, &err));
    int before = open_descriptors(); /* libuv opens one to spare with the first stream */
    cr_assert_not(opens(&loop, "unix:/nonexistent/s.sock", 0600, &listener, &err));
    cr_assert(strstr(err.message, "/nonexistent/s.sock: No such file"), "%s", err.message);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(open_descriptors(), before);
    finish(&loop);
}

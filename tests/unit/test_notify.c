/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/notify.h"

/* A manager's ear at a name as $NOTIFY_SOCKET has it. */
static int listen_at(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    cr_assert_geq(fd, 0);
    memcpy(at.sun_path, name, strlen(name));
    if (name[0] == '@')
        at.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    cr_assert_eq(bind(fd, (const struct sockaddr *)&at, size), 0);
    cr_assert_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static const char *heard(int fd)
{
    static char message[2048];
    ssize_t length = recv(fd, message, sizeof message - 1, MSG_DONTWAIT);
    message[length > 0 ? length : 0] = '\0';
    return message;
}

static int listen_by_path(char path[64])
{
    (void)snprintf(path, 64, "/tmp/sallyport-notify-%ld.sock", (long)getpid());
    (void)unlink(path);
    return listen_at(path);
}

Test(notify, tells_a_socket_by_path)
{
    char path[64];
    int fd = listen_by_path(path);
    notify_ready();
    cr_assert_str_eq(heard(fd), "READY=1");
    notify_stopping();
    cr_assert_str_eq(heard(fd), "STOPPING=1");
    notify_reloading();
    cr_assert_eq(strncmp(heard(fd), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
    (void)close(fd);
    (void)unlink(path);
}

Test(notify, tells_an_abstract_socket)
{
    char name[64];
    (void)snprintf(name, sizeof name, "@sallyport-notify-%ld", (long)getpid());
    int fd = listen_at(name);
    notify_ready();
    cr_assert_str_eq(heard(fd), "READY=1");
    (void)close(fd);
}

Test(notify, keeps_a_status_to_one_line_and_its_size)
{
    char path[64];
    char longer[2 * NOTIFY_MESSAGE_SIZE];
    int fd = listen_by_path(path);
    notify_status("%d\nREADY=%d\r", 1, 1);
    cr_assert_str_eq(heard(fd), "STATUS=1 READY=1 ");
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    notify_status("%s", longer);
    cr_assert_eq(strlen(heard(fd)), NOTIFY_MESSAGE_SIZE - 1);
    (void)close(fd);
    (void)unlink(path);
}

Test(notify, is_silent_without_a_manager)
{
    bool sent = true;
    cr_assert_eq(unsetenv("NOTIFY_SOCKET"), 0);
    cr_assert(notify_send("READY=1", &sent, NULL));
    cr_assert_not(sent);
    cr_assert_eq(setenv("NOTIFY_SOCKET", "", 1), 0);
    cr_assert(notify_send("READY=1", &sent, NULL));
    cr_assert_not(sent);
}

Test(notify, says_why_it_could_not_tell)
{
    static const char *const names[] = {"relative", "/", "@", "vsock:2:1"};
    struct error err = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cr_assert_eq(setenv("NOTIFY_SOCKET", names[i], 1), 0);
        cr_assert_not(notify_send("READY=1", NULL, &err), "%s", names[i]);
        cr_assert_eq(err.code, ERROR_MALFORMED);
    }
    char longer[200] = "/";
    memset(longer + 1, 'x', sizeof longer - 2);
    cr_assert_eq(setenv("NOTIFY_SOCKET", longer, 1), 0);
    cr_assert_not(notify_send("READY=1", NULL, &err));
    cr_assert_eq(setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1), 0);
    cr_assert_not(notify_send("READY=1", NULL, &err));
    cr_assert_eq(err.code, ERROR_SYSTEM);
    notify_ready(); /* no ear is no reason to stop */
}

/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport serve` as a whole, in a thread of the test: ports, signals, the two kinds of stop. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "protocol/command.h"
#include "proxy/server.h"
#include "tests/unit/proxy_support.h"

TestSuite(proxy_server, .fini = files_remove);

static struct stage stage;

/* A configuration with this port and that many workers, for the database of the stage. */
static void write_config(unsigned port, unsigned workers, const char *more)
{
    char text[2048];
    (void)snprintf(
        text, sizeof text,
        "{\"proxy\":{\"listeners\":[{\"address\":\"127.0.0.1:%u\"}],\"workers\":%u,\"tls\":{"
        "\"cert\":\"proxy.crt\",\"key\":\"proxy.key\",\"client_ca\":\"bot-ca.crt\"}},"
        "\"databases\":[{\"name\":\"shop\",\"address\":\"127.0.0.1:%u\",\"tls\":{\"ca\":"
        "\"db-server-ca.crt\",\"server_name\":\"localhost\",\"cert\":\"db-client.crt\",\"key\":"
        "\"db-client.key\"}}],\"roles\":[{\"name\":\"r\",\"allow\":{\"databases\":\"shop\","
        "\"mysql_users\":\"reader\"}}],\"mappings\":[{\"subject\":\"CN=ci-1\",\"roles\":\"r\"}],"
        "\"audit\":{\"directory\":\"log\"},\"log\":{\"level\":\"error\"}%s}",
        port, workers, stage.database_port, more);
    files_write("server.conf", text);
}

/* A socket that holds a port; *port says which. */
static int hold_port(bool reuse, unsigned *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    if (reuse) {
        cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
        cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    }
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(fd, 1), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void refuses_port(bool reuse)
{
    unsigned port;
    char words[64];
    struct error err = {0};
    int held = hold_port(reuse, &port);
    write_config(port, 2, "");
    int descriptors = open_descriptors();
    cr_assert_not(server_run(files_path("server.conf"), &err));
    (void)snprintf(words, sizeof words, "listener 127.0.0.1:%u: cannot bind", port);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
    cr_assert_leq(open_descriptors(), descriptors + 3, "descriptors were left open"); /* libuv's */
    (void)close(held);
}

Test(proxy_server, port_that_is_taken_is_refused)
{
    refuses_port(false);
}

Test(proxy_server, port_of_another_proxy_is_not_shared_with_it)
{
    refuses_port(true);
}

Test(proxy_server, configuration_that_is_wrong_starts_nothing)
{
    struct error err = {0};
    write_config(1, 1, ",\"nonsense\":1");
    cr_assert_not(server_run(files_path("server.conf"), &err));
    cr_assert_eq(err.code, ERROR_CONFIG);
    cr_assert_not_null(strstr(err.message, "nonsense"), "%s", err.message);
}

/* The first of them run by then, and may use what the main thread has for them until they end. */
Test(proxy_server, worker_that_cannot_start_ends_those_that_have)
{
    /* Their listening sockets fit into it, their loops do not. */
    const struct rlimit limit = {200, 200};
    unsigned port, authority_port;
    char text[1024];
    struct error err = {0};
    (void)close(hold_port(false, &port));
    (void)close(hold_port(false, &authority_port));
    (void)snprintf(text, sizeof text,
                   "{\"proxy\":{\"name\":\"p\",\"workers\":64,\"listeners\":[{\"address\":"
                   "\"127.0.0.1:%u\"}]},\"authority\":{\"directory\":\"authority\",\"listen\":"
                   "\"127.0.0.1:%u\",\"trust_domain\":\"acme.test\",\"names\":[\"localhost\","
                   "\"127.0.0.1\"]},\"audit\":{\"directory\":\"log\"},"
                   "\"log\":{\"level\":\"error\"}}",
                   port, authority_port);
    files_write("server.conf", text);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_not(server_run(files_path("server.conf"), &err));
    cr_assert_not_null(strstr(err.message, "cannot make a worker's loop: too many open files"),
                       "%s", err.message);
}

/* --- a running one
 * --------------------------------------------------------------------------------
 */

static uv_thread_t thread;
static atomic_bool ended, good;

static void run_server(void *arg)
{
    (void)arg;
    struct error err = {0};
    atomic_store(&good, server_run(files_path("server.conf"), &err));
    atomic_store(&ended, true);
}

static bool answers(unsigned port)
{
    struct sockaddr_in address;
    cr_assert_eq(uv_ip4_addr("127.0.0.1", (int)port, &address), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    (void)close(fd);
    return connected;
}

/* The stage's own worker stays idle: its database, loop and peers are used, with the server's port.
 */
static void start_server(unsigned workers)
{
    unsigned port;
    stage_open(&stage, &(struct stage_options){0});
    (void)close(hold_port(false, &port));
    write_config(port, workers, "");
    cr_assert_eq(uv_thread_create(&thread, run_server, NULL), 0);
    STAGE_UNTIL(&stage, answers(port));
    stage.proxy_port = port;
}

static void expect_stopped(void)
{
    STAGE_UNTIL(&stage, atomic_load(&ended));
    cr_assert_eq(uv_thread_join(&thread), 0);
    cr_assert(atomic_load(&good));
    stage_stop(&stage); /* descriptors are not compared: libuv's for signals stay */
}

Test(proxy_server, stops_when_it_is_told)
{
    start_server(2);
    cr_assert_eq(kill(getpid(), SIGTERM), 0);
    expect_stopped();
}

Test(proxy_server, a_running_command_may_finish)
{
    struct peer *client, *database;
    start_server(2);
    stage_ready(&stage, &client, &database);
    peer_command(client, COMMAND_QUERY, "SELECT 1");
    peer_expect_command(database, COMMAND_QUERY, "SELECT 1");
    cr_assert_eq(kill(getpid(), SIGTERM), 0);
    stage_run_for(&stage, 100);
    cr_assert_not(atomic_load(&ended));
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
    peer_expect_error(client, 1, 1053, "the proxy is stopping");
    expect_stopped();
}

Test(proxy_server, second_signal_stops_at_once_though_a_worker_has_ended)
{
    struct peer *client, *database;
    start_server(4);
    stage_ready(&stage, &client, &database);
    peer_command(client, COMMAND_QUERY, "SELECT SLEEP(100)");
    peer_expect_command(database, COMMAND_QUERY, "SELECT SLEEP(100)");
    cr_assert_eq(kill(getpid(), SIGTERM), 0);
    stage_run_for(&stage, 200); /* the three workers without a session have ended */
    cr_assert_not(atomic_load(&ended));
    cr_assert_eq(kill(getpid(), SIGHUP), 0);
    cr_assert_eq(kill(getpid(), SIGINT), 0);
    peer_wait_gone(client);
    expect_stopped();
}

Test(proxy_server, reload_of_a_wrong_file_changes_nothing)
{
    struct peer *client, *database;
    start_server(1);
    stage_ready(&stage, &client, &database);
    write_config(stage.proxy_port, 1, ",\"nonsense\":1");
    cr_assert_eq(kill(getpid(), SIGHUP), 0);
    stage_run_for(&stage, 100);
    stage_ping(client, database);
    write_config(stage.proxy_port, 2, ""); /* right, but not for a running one */
    cr_assert_eq(kill(getpid(), SIGHUP), 0);
    stage_run_for(&stage, 100);
    stage_ping(client, database);
    cr_assert_eq(kill(getpid(), SIGTERM), 0);
    peer_expect_error(client, 1, 1053, "the proxy is stopping");
    expect_stopped();
}

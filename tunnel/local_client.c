/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/local_client.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void describe_executable(pid_t pid, struct hello_local *out)
{
    char link[32];
    (void)snprintf(link, sizeof link, "/proc/%ld/exe", (long)pid);
    ssize_t length = readlink(link, out->executable, sizeof out->executable);
    /* A path that fills the room may have been cut, and half a path names something else. */
    if (length <= 0 || (size_t)length >= sizeof out->executable)
        length = 0;
    out->executable[length] = '\0';
}

static void describe_unix(int fd, struct hello_local *out)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return;
    out->has_uid = out->has_gid = true;
    out->uid = peer.uid;
    out->gid = peer.gid;
    if (peer.pid <= 0) /* a process of another PID name space that ours cannot see */
        return;
    out->has_pid = true;
    out->pid = (uint32_t)peer.pid;
    describe_executable(peer.pid, out);
}

/* A TCP socket's two ends as sock_diag has them: ports in network order. */
struct ends {
    int family;
    struct inet_diag_sockid id;
};

static bool put_end(const struct sockaddr_storage *from, __be32 address[4], __be16 *port)
{
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)from;
        memcpy(address, &four->sin_addr, sizeof four->sin_addr);
        *port = four->sin_port;
        return true;
    }
    if (from->ss_family != AF_INET6)
        return false;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
    memcpy(address, &six->sin6_addr, sizeof six->sin6_addr);
    *port = six->sin6_port;
    return true;
}

/* The client's socket has our ends the other way round. */
static bool find_ends(int fd, struct ends *out)
{
    struct sockaddr_storage ours = {0};
    struct sockaddr_storage theirs = {0};
    socklen_t size = sizeof ours;
    if (getsockname(fd, (struct sockaddr *)&ours, &size) != 0)
        return false;
    size = sizeof theirs;
    if (getpeername(fd, (struct sockaddr *)&theirs, &size) != 0)
        return false;
    *out = (struct ends){.family = ours.ss_family};
    out->id.idiag_cookie[0] = out->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    return put_end(&theirs, out->id.idiag_src, &out->id.idiag_sport) &&
           put_end(&ours, out->id.idiag_dst, &out->id.idiag_dport);
}

struct diag_request {
    struct nlmsghdr header;
    struct inet_diag_req_v2 body;
};

static bool read_uid(const void *answer, size_t length, uint32_t *uid)
{
    struct nlmsghdr header;
    struct inet_diag_msg body;
    if (length < NLMSG_HDRLEN + sizeof body)
        return false;
    memcpy(&header, answer, sizeof header);
    if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return false;
    memcpy(&body, (const char *)answer + NLMSG_HDRLEN, sizeof body);
    *uid = body.idiag_uid;
    return true;
}

static bool ask_kernel(int netlink, const struct ends *ends, uint32_t *uid)
{
    const struct diag_request request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST},
        .body = {.sdiag_family = (uint8_t)ends->family,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = UINT32_MAX,
                 .id = ends->id},
    };
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (sendto(netlink, &request, sizeof request, 0, (const struct sockaddr *)&kernel,
               sizeof kernel) != (ssize_t)sizeof request)
        return false;
    /* The kernel answers before sendto() returns, so there is nothing to wait for. */
    uint8_t answer[1024];
    ssize_t length = recv(netlink, answer, sizeof answer, MSG_DONTWAIT);
    return length > 0 && read_uid(answer, (size_t)length, uid);
}

static void describe_tcp(int fd, struct hello_local *out)
{
    struct ends ends;
    if (!find_ends(fd, &ends))
        return;
    int netlink = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (netlink < 0)
        return;
    out->has_uid = ask_kernel(netlink, &ends, &out->uid);
    (void)close(netlink);
}

void local_client_describe(const struct stream *stream, struct hello_local *out)
{
    *out = (struct hello_local){0};
    (void)snprintf(out->address, sizeof out->address, "%s", stream_peer_address(stream));
    int fd = stream_fd(stream);
    if (fd < 0)
        return;
    if (strcmp(out->address, "unix") == 0)
        describe_unix(fd, out);
    else
        describe_tcp(fd, out);
}

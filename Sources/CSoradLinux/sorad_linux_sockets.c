#define _GNU_SOURCE
#include "sorad_linux_sockets.h"

#include "unix_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static int close_keeping_errno(int descriptor) {
    const int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

int sorad_linux_stop_blocking(int descriptor) {
    const int flags = fcntl(descriptor, F_GETFL);
    return flags < 0 ? -1 : fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

int sorad_linux_stream_listen(const char *path, size_t length, mode_t mode, int backlog) {
    struct sockaddr_un address;
    socklen_t size;
    if (sorad_linux_unix_address(&address, &size, path, length) != 0) return -1;
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0) return -1;
    // fchmod before bind decides the mode of the path that bind makes (less the umask); chmod after it makes it exact.
    if (fchmod(listener, mode) != 0 || bind(listener, (const struct sockaddr *)&address, size) != 0) return close_keeping_errno(listener);
    if (address.sun_path[0] != 0 && chmod(address.sun_path, mode) != 0) return close_keeping_errno(listener);
    if (listen(listener, backlog) != 0) return close_keeping_errno(listener);
    return listener;
}

typedef union internet_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} internet_address;

// The size of the address; 0 when `host` is none.
static socklen_t internet_address_of(internet_address *address, const char *host, uint16_t port) {
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(port);
        return sizeof address->v4;
    }
    if (inet_pton(AF_INET6, host, &address->v6.sin6_addr) != 1) return 0;
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_port = htons(port);
    return sizeof address->v6;
}

int sorad_linux_address_kind(const char *host) {
    internet_address address;
    if (internet_address_of(&address, host, 0) == 0) return 0;
    if (address.any.sa_family == AF_INET) return ntohl(address.v4.sin_addr.s_addr) >> 24 == 127 ? 1 : 2;
    return IN6_IS_ADDR_LOOPBACK(&address.v6.sin6_addr) ? 1 : 2;
}

int sorad_linux_tcp_listen(const char *host, uint16_t port, int backlog) {
    internet_address address;
    const socklen_t size = internet_address_of(&address, host, port);
    if (size == 0) {
        errno = EINVAL;
        return -1;
    }
    const int listener = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0) return -1;
    const int yes = 1;
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0) return close_keeping_errno(listener);
    if (address.any.sa_family == AF_INET6 && setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes) != 0)
        return close_keeping_errno(listener);
    if (bind(listener, &address.any, size) != 0 || listen(listener, backlog) != 0) return close_keeping_errno(listener);
    return listener;
}

int sorad_linux_tcp_listener(int descriptor, char *host, size_t capacity, uint16_t *port) {
    int listens = 0;
    socklen_t length = sizeof listens;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0) return -1;
    internet_address address;
    socklen_t size = sizeof address;
    if (getsockname(descriptor, &address.any, &size) != 0) return -1;
    const int is_v4 = address.any.sa_family == AF_INET;
    if (!listens || (!is_v4 && address.any.sa_family != AF_INET6)) {
        errno = EINVAL;
        return -1;
    }
    const void *bytes = is_v4 ? (const void *)&address.v4.sin_addr : (const void *)&address.v6.sin6_addr;
    if (inet_ntop(address.any.sa_family, bytes, host, (socklen_t)capacity) == NULL) return -1;
    *port = ntohs(is_v4 ? address.v4.sin_port : address.v6.sin6_port);
    // The connections inherit it: an answer's head and its file are two writes.
    const int yes = 1;
    return setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

int sorad_linux_stream_connect(const char *path, size_t length, int milliseconds) {
    struct sockaddr_un address;
    socklen_t size;
    if (sorad_linux_unix_address(&address, &size, path, length) != 0) return -1;
    const int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (stream < 0) return -1;
    // A full backlog makes connect(2) wait; SO_SNDTIMEO bounds that wait.
    const struct timeval limit = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};
    if (setsockopt(stream, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) return close_keeping_errno(stream);
    if (connect(stream, (const struct sockaddr *)&address, size) != 0) return close_keeping_errno(stream);
    if (sorad_linux_stop_blocking(stream) != 0) return close_keeping_errno(stream);
    return stream;
}

int sorad_linux_stream_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); }

ssize_t sorad_linux_stream_receive(int socket, void *bytes, size_t count) { return recv(socket, bytes, count, MSG_DONTWAIT); }

ssize_t sorad_linux_stream_send(int socket, const void *bytes, size_t count) {
    return send(socket, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int sorad_linux_stream_finish(int socket) { return shutdown(socket, SHUT_WR); }

int sorad_linux_poller(void) { return epoll_create1(EPOLL_CLOEXEC); }

int sorad_linux_poller_set(int poller, int change, int descriptor, uint64_t token, int readable, int writable) {
    static const int operations[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
    struct epoll_event event = {.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u), .data.u64 = token};
    return epoll_ctl(poller, operations[change], descriptor, &event);
}

int sorad_linux_poller_wait(int poller, struct sorad_linux_event *events, int capacity, int milliseconds) {
    struct epoll_event ready[64];
    const int limit = capacity < 64 ? capacity : 64;
    const int count = epoll_wait(poller, ready, limit, milliseconds);
    for (int i = 0; i < count; i++) {
        events[i].token = ready[i].data.u64;
        events[i].readable = (ready[i].events & EPOLLIN) != 0;
        events[i].writable = (ready[i].events & EPOLLOUT) != 0;
        events[i].hung_up = (ready[i].events & (EPOLLHUP | EPOLLERR)) != 0;
    }
    return count;
}

int sorad_linux_event_counter(int blocking_semaphore) {
    return eventfd(0, EFD_CLOEXEC | (blocking_semaphore ? EFD_SEMAPHORE : EFD_NONBLOCK));
}

void sorad_linux_thread_name(pthread_t thread, const char *name) { pthread_setname_np(thread, name); }

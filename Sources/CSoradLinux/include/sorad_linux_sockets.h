// Sockets and readiness for the HTTP server and client. <sys/epoll.h> and <sys/eventfd.h> are not in the Glibc module, accept4(2) is
// hidden behind _GNU_SOURCE, and struct sockaddr_un is a cast that Swift cannot make safely.
#pragma once
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// A close-on-exec, non-blocking AF_UNIX stream socket, bound to `path` (`length` bytes, no terminator; a leading '@' names the
// abstract namespace) with `mode` on the path, listening. Returns the descriptor, or -1 with errno set.
int sorad_linux_stream_listen(const char *path, size_t length, mode_t mode, int backlog);
// A close-on-exec AF_UNIX stream socket connected to `path`; blocking while it connects, for at most `milliseconds`, non-blocking
// afterwards. Returns the descriptor, or -1 with errno set.
int sorad_linux_stream_connect(const char *path, size_t length, int milliseconds);
// accept4(2): close-on-exec and non-blocking. Returns the descriptor, or -1 with errno set.
int sorad_linux_stream_accept(int listener);
// What a numeric address, IPv4 or IPv6, is: 0 none, 1 of this machine alone (loopback), 2 another. `host` ends in NUL.
int sorad_linux_address_kind(const char *host);
// A close-on-exec, non-blocking TCP socket on a numeric address and a port (0: a free one), listening; IPv6 takes no IPv4. Returns the
// descriptor, or -1 with errno set.
int sorad_linux_tcp_listen(const char *host, uint16_t port, int backlog);
// The numeric address (at most `capacity` bytes with its NUL) and the port that a listening TCP socket has, and answers without delay from
// now on. Returns 0, or -1 with errno set when the descriptor is no such socket.
int sorad_linux_tcp_listener(int descriptor, char *host, size_t capacity, uint16_t *port);
// recv and send without blocking and without SIGPIPE. Return bytes, or -1 with errno set.
ssize_t sorad_linux_stream_receive(int socket, void *bytes, size_t count);
ssize_t sorad_linux_stream_send(int socket, const void *bytes, size_t count);
// fcntl(2) is variadic: sets O_NONBLOCK. Returns 0, or -1 with errno set.
int sorad_linux_stop_blocking(int descriptor);
// shutdown(2) of the sending side. Returns 0, or -1 with errno set.
int sorad_linux_stream_finish(int socket);

// What `sorad_linux_poller_wait` reports for one descriptor.
struct sorad_linux_event {
    uint64_t token;
    uint8_t readable, writable, hung_up;
};
int sorad_linux_poller(void);
// `change`: 0 adds, 1 modifies, 2 removes. Level-triggered; a hang-up is always reported.
int sorad_linux_poller_set(int poller, int change, int descriptor, uint64_t token, int readable, int writable);
// Waits `milliseconds` (-1: for ever). Returns the number of events, or -1 with errno set.
int sorad_linux_poller_wait(int poller, struct sorad_linux_event *events, int capacity, int milliseconds);

// An event counter; with `blocking_semaphore`, reading waits and takes one at a time.
int sorad_linux_event_counter(int blocking_semaphore);

// pthread_setname_np is hidden behind _GNU_SOURCE. At most 15 bytes; a failure only costs the name.
void sorad_linux_thread_name(pthread_t thread, const char *name);

#define _GNU_SOURCE
#include "sorad_linux.h"

#include "unix_address.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int sorad_linux_peer_credentials(int socket, pid_t *pid, uid_t *uid, gid_t *gid) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return -1;
    *pid = credentials.pid;
    *uid = credentials.uid;
    *gid = credentials.gid;
    return 0;
}

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

ssize_t sorad_linux_peer_groups(int socket, gid_t *groups, size_t capacity) {
    socklen_t length = (socklen_t)(capacity * sizeof(gid_t));
    if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &length) != 0) {
        if (errno == ENOPROTOOPT) return 0;
        // Too many for `groups`: `length` now says how many bytes they need.
        if (errno != ERANGE) return -1;
    }
    return (ssize_t)(length / sizeof(gid_t));
}

int sorad_linux_open(const char *path, int flags, mode_t mode) {
    return open(path, flags | O_CLOEXEC, mode);
}

int sorad_linux_signalfd(const int *signals, size_t count) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++)
        if (sigaddset(&set, signals[i]) != 0) return -1;
    const int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int sorad_linux_signalfd_take(int descriptor) {
    struct signalfd_siginfo info;
    const ssize_t size = read(descriptor, &info, sizeof info);
    if (size == (ssize_t)sizeof info) return (int)info.ssi_signo;
    if (size < 0 && errno != EAGAIN) return -1;
    return 0;
}

int sorad_linux_pidfd_open(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }

int sorad_linux_socketpair(int descriptors[2]) {
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, descriptors);
}

int sorad_linux_pipe(int descriptors[2]) { return pipe2(descriptors, O_CLOEXEC); }
int sorad_linux_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }
int sorad_linux_reserve(int descriptor, off_t size) { return fallocate(descriptor, FALLOC_FL_KEEP_SIZE, 0, size); }

int sorad_linux_send_datagram(const char *path, size_t length, const void *bytes, size_t count) {
    struct sockaddr_un address;
    socklen_t size;
    if (sorad_linux_unix_address(&address, &size, path, length) != 0) return -1;
    const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    // A queue that its reader leaves full must not hold the sender for ever.
    const struct timeval timeout = {.tv_sec = 1};
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    const ssize_t sent = sendto(descriptor, bytes, count, MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
    const int error = errno;
    close(descriptor);
    errno = error;
    return sent == (ssize_t)count ? 0 : -1;
}

static int socket_option(int descriptor, int option, int expected) {
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(descriptor, SOL_SOCKET, option, &value, &length) == 0 && value == expected;
}

int sorad_linux_is_unix_listener(int descriptor) {
    return socket_option(descriptor, SO_DOMAIN, AF_UNIX) && socket_option(descriptor, SO_TYPE, SOCK_STREAM) &&
           socket_option(descriptor, SO_ACCEPTCONN, 1);
}

int sorad_linux_adopt(int descriptor) {
    const int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0) return -1;
    return fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

pid_t sorad_linux_wait(pid_t process, int no_hang, int *exited, int *code) {
    int status = 0;
    const pid_t result = waitpid(process, &status, no_hang ? WNOHANG : 0);
    if (result > 0) {
        *exited = WIFEXITED(status);
        *code = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
    }
    return result;
}

int sorad_linux_random(void *bytes, size_t count) {
    return getrandom(bytes, count, 0) == (ssize_t)count ? 0 : -1;
}

const char *sorad_linux_entry_name(const struct dirent *entry) { return entry->d_name; }

void sorad_linux_map_blocks_from(size_t size) { mallopt(M_MMAP_THRESHOLD, (int)size); }

void sorad_linux_trim_memory(void) { malloc_trim(0); }

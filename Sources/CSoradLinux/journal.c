#define _GNU_SOURCE
#include "sorad_linux.h"

#include "unix_address.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int sorad_linux_journal_socket(void) {
    const int journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (journal < 0) return -1;
    // A queue that its reader leaves full must not hold the sender for ever.
    const struct timeval timeout = {.tv_sec = 1};
    setsockopt(journal, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    return journal;
}

// A sealed file in memory with these bytes: the journal takes no other, because the sender could change it meanwhile.
static int sealed_file(const char *bytes, size_t count) {
    const int file = memfd_create("sorad-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0) return -1;
    while (count > 0) {
        const ssize_t written = write(file, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) goto failed;
        bytes += written;
        count -= (size_t)written;
    }
    if (fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0) return file;
failed:;
    const int error = errno;
    close(file);
    errno = error;
    return -1;
}

int sorad_linux_journal_send(int journal, const char *path, size_t length, const void *bytes, size_t count) {
    struct sockaddr_un address;
    socklen_t size;
    if (sorad_linux_unix_address(&address, &size, path, length) != 0) return -1;
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {.msg_name = &address, .msg_namelen = size, .msg_iov = &part, .msg_iovlen = 1};
    if (sendmsg(journal, &message, MSG_NOSIGNAL) >= 0) return 0;
    if (errno != EMSGSIZE && errno != ENOBUFS) return -1;
    const int file = sealed_file(bytes, count);
    if (file < 0) return -1;
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    message.msg_iov = NULL;
    message.msg_iovlen = 0;
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof file);
    memcpy(CMSG_DATA(head), &file, sizeof file);
    const ssize_t sent = sendmsg(journal, &message, MSG_NOSIGNAL);
    const int error = errno;
    close(file);
    errno = error;
    return sent < 0 ? -1 : 0;
}

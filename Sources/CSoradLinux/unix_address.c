#include "unix_address.h"

#include <errno.h>
#include <string.h>

int sorad_linux_unix_address(struct sockaddr_un *address, socklen_t *size, const char *path, size_t length) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    const int abstract = length > 0 && path[0] == '@';
    if (length == 0 || memchr(path, 0, length) != NULL) {
        errno = EINVAL;
        return -1;
    }
    if (length + !abstract > sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address->sun_path, path, length);
    if (abstract) address->sun_path[0] = 0;
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + !abstract);
    return 0;
}

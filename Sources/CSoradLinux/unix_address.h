// The address of a Unix socket, for the sockets of this module.
#pragma once
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

// Fills `address` and `size` for a path of `length` bytes, no terminator; a leading '@' names the abstract namespace. Returns 0, or -1
// with errno EINVAL (empty, or with a NUL inside) or ENAMETOOLONG.
int sorad_linux_unix_address(struct sockaddr_un *address, socklen_t *size, const char *path, size_t length);

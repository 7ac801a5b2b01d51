// What Swift cannot call on Linux: macros that are not constants, variadic functions, and structures hidden behind feature tests.
// Each function says which of these it is. Nothing above SoradSystem imports this module.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// SO_PEERCRED fills `struct ucred`, which glibc shows only under _GNU_SOURCE. Returns 0, or -1 with errno set.
int sorad_linux_peer_credentials(int socket, pid_t *pid, uid_t *uid, gid_t *gid);

// open(2) is variadic. Flags and mode as in open(2); O_CLOEXEC is always added.
int sorad_linux_open(const char *path, int flags, mode_t mode);

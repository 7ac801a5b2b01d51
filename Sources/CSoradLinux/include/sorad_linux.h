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

// A signal handler must be a C function that touches nothing but atomics and async-signal-safe calls.
// While a mapping is watched, a SIGBUS inside it ends the process with a sentence naming `path` on stderr and exit status 74 (EX_IOERR);
// any other SIGBUS keeps its default meaning. At most 16 mappings are watched; further ones are left out.
void sorad_linux_explain_lost_pages(void);
void sorad_linux_watch_mapping(const void *start, size_t size, const char *path);
void sorad_linux_unwatch_mapping(const void *start);

// Takes rights from the calling process, which is about to execute a program that reads untrusted files. Only system calls, because it
// runs in the child of vfork. Swift could not: it may not run between vfork and exec.
#define _GNU_SOURCE
#include "sorad_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// Landlock (landlock(7)): the numbers are part of the kernel's interface; the header of an old system lacks the call or the names.
enum { LANDLOCK_CREATE = 444, LANDLOCK_ADD = 445, LANDLOCK_RESTRICT = 446, RULE_PATH_BENEATH = 1, READ_FILE = 1 << 2, READ_DIR = 1 << 3 };
struct ruleset { uint64_t handled_access_fs; };
struct path_beneath { uint64_t allowed_access; int32_t parent_fd; } __attribute__((packed));

static void allow_reading(int ruleset, const char *path) {
    const int place = open(path, O_PATH | O_CLOEXEC);
    if (place < 0) return;  // What is not there cannot be read either.
    struct path_beneath rule = {.allowed_access = READ_FILE | READ_DIR, .parent_fd = place};
    if (syscall(LANDLOCK_ADD, ruleset, RULE_PATH_BENEATH, &rule, 0) != 0) {
        rule.allowed_access = READ_FILE;  // A file takes no rights of folders.
        syscall(LANDLOCK_ADD, ruleset, RULE_PATH_BENEATH, &rule, 0);
    }
    close(place);
}

static const char *restrict_reading(const char *const *readable) {
    const struct ruleset attributes = {.handled_access_fs = READ_FILE | READ_DIR};
    const int ruleset = (int)syscall(LANDLOCK_CREATE, &attributes, sizeof attributes, 0);
    if (ruleset < 0) return errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM ? NULL : "make a Landlock ruleset";
    for (; *readable; readable++) allow_reading(ruleset, *readable);
    const char *failed = syscall(LANDLOCK_RESTRICT, ruleset, 0) == 0 ? NULL : "give up the right to read files";
    close(ruleset);
    return failed;
}

#if defined(__x86_64__)
enum { ARCHITECTURE = AUDIT_ARCH_X86_64 };
#elif defined(__aarch64__)
enum { ARCHITECTURE = AUDIT_ARCH_AARCH64 };
#endif

// No new socket of any kind, which io_uring could make too; everything else is left alone.
static const char *forbid_sockets(void) {
#if defined(__x86_64__) || defined(__aarch64__)
#define REFUSE(call) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (EACCES & SECCOMP_RET_DATA))
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        REFUSE(SYS_socket),
        REFUSE(SYS_socketpair),
        REFUSE(SYS_ptrace),
        REFUSE(425 /* io_uring_setup */),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {.len = sizeof program / sizeof *program, .filter = program};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0 && errno != EINVAL) return "give up the network";
#endif
    return NULL;
}

const char *sorad_linux_confine(const char *const *readable) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return "give up new privileges";
    const char *failed = restrict_reading(readable);
    return failed ? failed : forbid_sockets();
}

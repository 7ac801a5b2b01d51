// Starts a child process. The child of vfork shares the parent's memory until it execs, so it reports a failure by writing to the
// parent's variables, and it must not touch anything else: only system calls, no allocation, no locks.
#define _GNU_SOURCE
#include "sorad_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_DESCRIPTORS = 16 };

struct child_failure {
    volatile int code;
    const char *volatile step;
};

static int close_range_call(unsigned first, unsigned last) {
    return first > last ? 0 : (int)syscall(SYS_close_range, first, last, 0);
}

// Gives the child exactly the wanted descriptors. Each source is first copied above every target, so that no copy overwrites a source
// that is still needed.
static const char *place_descriptors(const struct sorad_linux_spawn *spawn) {
    int copies[MAX_DESCRIPTORS];
    const size_t count = spawn->descriptor_count;
    const int above = count > 0 ? spawn->targets[count - 1] + 1 : 0;
    for (size_t i = 0; i < count; i++) {
        copies[i] = fcntl(spawn->sources[i], F_DUPFD, above);
        if (copies[i] < 0) return "duplicate a descriptor";
    }
    unsigned next = 0;
    for (size_t i = 0; i < count; i++) {
        if (dup2(copies[i], spawn->targets[i]) < 0) return "place a descriptor";
        const unsigned target = (unsigned)spawn->targets[i];
        if (target > 0 && close_range_call(next, target - 1) != 0) return "close descriptors";
        next = target + 1;
    }
    return close_range_call(next, ~0U) == 0 ? NULL : "close descriptors";
}

static void reset_signals(void) {
    for (int signal_number = 1; signal_number < NSIG; signal_number++) signal(signal_number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static const char *prepare_and_exec(const struct sorad_linux_spawn *spawn, pid_t parent) {
    if (spawn->dies_with_parent) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return "set the parent-death signal";
        if (getppid() != parent) _exit(127);
    }
    const char *failed = place_descriptors(spawn);
    if (failed) return failed;
    for (size_t i = 0; i < spawn->limit_count; i++) {
        const struct rlimit limit = {.rlim_cur = spawn->limits[i].value, .rlim_max = spawn->limits[i].value};
        if (setrlimit((__rlimit_resource_t)spawn->limits[i].resource, &limit) != 0) return "set a resource limit";
    }
    if (spawn->working_directory && chdir(spawn->working_directory) != 0) return "enter the working directory";
    reset_signals();
    if (spawn->readable) {
        failed = sorad_linux_confine(spawn->readable);
        if (failed) return failed;
    }
    execve(spawn->executable, spawn->arguments, spawn->environment);
    return "execute the program";
}

pid_t sorad_linux_spawn(const struct sorad_linux_spawn *spawn, const char **failed_step) {
    *failed_step = NULL;
    if (spawn->descriptor_count > MAX_DESCRIPTORS) {
        errno = EMFILE;
        return -1;
    }
    struct child_failure failure = {.code = 0, .step = NULL};
    // A handler that ran in the child would run on the parent's memory: no signal until the child has execed.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t parent = getpid();
    const pid_t child = vfork();
    if (child == 0) {
        failure.step = prepare_and_exec(spawn, parent);
        failure.code = errno;
        _exit(127);
    }
    const int vfork_error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (child < 0) {
        errno = vfork_error;
        return -1;
    }
    if (failure.step != NULL) {
        int exited, code;
        while (sorad_linux_wait(child, 0, &exited, &code) < 0 && errno == EINTR) {}
        *failed_step = failure.step;
        errno = failure.code;
        return -1;
    }
    return child;
}

// Which CPUs a thread may run on. The kernel's own calls are used, with masks for more CPUs than glibc's cpu_set_t has.
#define _GNU_SOURCE
#include "sorad_linux.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_CPUS = 8192, WORD_BITS = 8 * sizeof(unsigned long) };

typedef struct cpu_mask {
    unsigned long words[MOST_CPUS / WORD_BITS];
} cpu_mask;

int sorad_linux_allowed_cpus(int *cpus, size_t capacity) {
    cpu_mask mask = {{0}};
    if (syscall(SYS_sched_getaffinity, 0, sizeof mask, &mask) < 0) return -1;
    size_t count = 0;
    for (int cpu = 0; cpu < MOST_CPUS && count < capacity; cpu++)
        if (mask.words[cpu / (int)WORD_BITS] >> (cpu % (int)WORD_BITS) & 1) cpus[count++] = cpu;
    return (int)count;
}

int sorad_linux_run_on_cpus(int thread, const int *cpus, size_t count) {
    cpu_mask mask = {{0}};
    for (size_t i = 0; i < count; i++) {
        if (cpus[i] < 0 || cpus[i] >= MOST_CPUS) {
            errno = EINVAL;
            return -1;
        }
        mask.words[cpus[i] / (int)WORD_BITS] |= 1UL << (cpus[i] % (int)WORD_BITS);
    }
    return syscall(SYS_sched_setaffinity, thread, sizeof mask, &mask) < 0 ? -1 : 0;
}

int sorad_linux_current_cpu(void) { return sched_getcpu(); }

int sorad_linux_thread_id(void) { return (int)syscall(SYS_gettid); }

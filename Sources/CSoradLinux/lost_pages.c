// Says which mapped file lost its pages when a SIGBUS comes, see sorad_linux.h.
// Invariant: a slot is filled before `start` is published and freed by clearing `start` first, so the handler never reads a half slot.
#define _GNU_SOURCE
#include "sorad_linux.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 16, PATH_LIMIT = 512 };

static struct {
    atomic_int taken;
    atomic_uintptr_t start;
    size_t size;
    size_t length;
    char path[PATH_LIMIT];
} mappings[SLOTS];

static void say(const char *text, size_t length) {
    ssize_t written = write(STDERR_FILENO, text, length);
    (void)written;
}

static void on_bus_error(int signal_number, siginfo_t *info, void *context) {
    (void)context;
    uintptr_t address = (uintptr_t)info->si_addr;
    for (int i = 0; i < SLOTS; i++) {
        uintptr_t start = atomic_load(&mappings[i].start);
        if (start == 0 || address < start || address - start >= mappings[i].size) continue;
        static const char before[] = "error: ";
        static const char after[] = " became shorter or unreadable while it was in use\n";
        say(before, sizeof before - 1);
        say(mappings[i].path, mappings[i].length);
        say(after, sizeof after - 1);
        _exit(74);
    }
    // Not ours: with the default action back, returning runs into the same fault again and ends the process as it would have.
    signal(signal_number, SIG_DFL);
}

void sorad_linux_explain_lost_pages(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

void sorad_linux_watch_mapping(const void *start, size_t size, const char *path) {
    for (int i = 0; i < SLOTS; i++) {
        int expected = 0;
        if (!atomic_compare_exchange_strong(&mappings[i].taken, &expected, 1)) continue;
        size_t length = strnlen(path, PATH_LIMIT);
        memcpy(mappings[i].path, path, length);
        mappings[i].length = length;
        mappings[i].size = size;
        atomic_store(&mappings[i].start, (uintptr_t)start);
        return;
    }
}

void sorad_linux_unwatch_mapping(const void *start) {
    for (int i = 0; i < SLOTS; i++) {
        if (atomic_load(&mappings[i].start) != (uintptr_t)start) continue;
        atomic_store(&mappings[i].start, 0);
        atomic_store(&mappings[i].taken, 0);
        return;
    }
}

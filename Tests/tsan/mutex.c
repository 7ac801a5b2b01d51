// Tells ThreadSanitizer of what happens in Swift's Mutex. Its fast path is compiled into our code and is seen; its slow path lies in the
// toolchain's libswiftSynchronization, which is not instrumented, so that a lock which had to wait looks like none. `make test-tsan` links
// this into every program that it builds.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

// Threads that end with the process need not be joined.
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "report_thread_leaks=0"; }

// Methods of Synchronization._MutexHandle, whose address comes in Swift's register for self.
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define SELF void *self __attribute__((swift_context))

typedef __attribute__((swiftcall)) void (*lock_slow)(uint32_t, SELF);
typedef __attribute__((swiftcall)) void (*unlock_slow)(SELF);

static lock_slow next_lock;
static unlock_slow next_unlock;

__attribute__((constructor)) static void find(void) {
    next_lock = (lock_slow)dlsym(RTLD_NEXT, LOCK);
    next_unlock = (unlock_slow)dlsym(RTLD_NEXT, UNLOCK);
}

__attribute__((swiftcall)) void sorad_tsan_lock(uint32_t thread, SELF) __asm__(LOCK);
__attribute__((swiftcall)) void sorad_tsan_unlock(SELF) __asm__(UNLOCK);

__attribute__((swiftcall)) void sorad_tsan_lock(uint32_t thread, SELF) {
    next_lock(thread, self);
    __tsan_acquire(self);
}

__attribute__((swiftcall)) void sorad_tsan_unlock(SELF) {
    __tsan_release(self);
    next_unlock(self);
}

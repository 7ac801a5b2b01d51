// What Swift cannot call on Linux: macros that are not constants, variadic functions, headers that the Glibc module leaves out, and
// structures hidden behind feature tests. Each function says which of these it is. Nothing above SoradSystem imports this module.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// SO_PEERCRED fills `struct ucred`, which glibc shows only under _GNU_SOURCE. Returns 0, or -1 with errno set.
int sorad_linux_peer_credentials(int socket, pid_t *pid, uid_t *uid, gid_t *gid);
// SO_PEERGROUPS, which older headers lack: the peer's supplementary groups. Returns how many there are, `groups` being filled only when
// they are at most `capacity`, or -1 with errno set. A kernel without it (before 4.13) says that there are none.
ssize_t sorad_linux_peer_groups(int socket, gid_t *groups, size_t capacity);

// open(2) is variadic. Flags and mode as in open(2); O_CLOEXEC is always added.
int sorad_linux_open(const char *path, int flags, mode_t mode);

// A signal handler must be a C function that touches nothing but atomics and async-signal-safe calls.
// While a mapping is watched, a SIGBUS inside it ends the process with a sentence naming `path` on stderr and exit status 74 (EX_IOERR);
// any other SIGBUS keeps its default meaning. At most 16 mappings are watched; further ones are left out.
void sorad_linux_explain_lost_pages(void);
void sorad_linux_watch_mapping(const void *start, size_t size, const char *path);
void sorad_linux_unwatch_mapping(const void *start);

// <sys/signalfd.h> is not in the Glibc module. Blocks the `count` signals in the calling thread (so in every thread it starts
// later) and returns a non-blocking, close-on-exec descriptor that reports them, or -1 with errno set.
int sorad_linux_signalfd(const int *signals, size_t count);
// Takes one reported signal: its number, 0 when there is none, or -1 with errno set.
int sorad_linux_signalfd_take(int descriptor);

// pidfd_open(2) has no wrapper in glibc 2.36's public headers for Swift. Close-on-exec; readable once the process has ended.
int sorad_linux_pidfd_open(pid_t process);

// The flags of socket(2) are an enumeration in glibc that Swift imports under an awkward type. Both ends are close-on-exec.
int sorad_linux_socketpair(int descriptors[2]);
// pipe2(2) is hidden behind _GNU_SOURCE. Both ends are close-on-exec.
int sorad_linux_pipe(int descriptors[2]);
// memfd_create(2) is hidden there too. A file in memory without a path, close-on-exec.
int sorad_linux_memory_file(const char *name);
// fallocate(2) is hidden there too. Sets blocks aside for the first `size` bytes of a file, whose length stays; 0, or -1 with errno set.
int sorad_linux_reserve(int descriptor, off_t size);

// sockaddr_un with a path of `length` bytes (a leading '@' names the abstract namespace) would need unsafe casts in Swift. Sends one
// datagram; where the queue is full it waits for a second at most. Returns 0, or -1 with errno set.
int sorad_linux_send_datagram(const char *path, size_t length, const void *bytes, size_t count);
// A close-on-exec datagram socket for the function below, or -1 with errno set.
int sorad_linux_journal_socket(void);
// Ancillary data and seals are macros, and fcntl(2) is variadic. Sends one entry of the journal's native protocol; one that is too long for
// a datagram goes in a sealed file in memory. Waits a second at most. Returns 0, or -1 with errno set.
int sorad_linux_journal_send(int journal, const char *path, size_t length, const void *bytes, size_t count);
// 1 when the descriptor is a listening AF_UNIX stream socket, 0 when not.
int sorad_linux_is_unix_listener(int descriptor);
// fcntl(2) is variadic. Sets close-on-exec and O_NONBLOCK. Returns 0, or -1 with errno set.
int sorad_linux_adopt(int descriptor);

// Waits: the status in two numbers, because WIFEXITED and friends are macros. Returns the pid, 0 when it still runs (only with
// `no_hang`), or -1 with errno set. `exited` is 1 for a normal exit (`code` is its status) and 0 for a signal (`code` is its number).
pid_t sorad_linux_wait(pid_t process, int no_hang, int *exited, int *code);

// What a child process starts with. posix_spawn(3) can set neither limits nor the parent-death signal, and fork(2) is not available
// to Swift at all; between fork and exec only async-signal-safe calls are allowed, which only C can promise.
struct sorad_linux_limit {
    int resource;   // RLIMIT_…
    uint64_t value; // soft and hard
};
struct sorad_linux_spawn {
    const char *executable;        // a path, not searched for
    char *const *arguments;        // NULL-terminated, the program's name first
    char *const *environment;      // NULL-terminated
    const char *working_directory; // or NULL
    const int *sources;            // sources[i] becomes descriptor targets[i]; every other descriptor is closed
    const int *targets;            // strictly ascending
    size_t descriptor_count;
    const struct sorad_linux_limit *limits;
    size_t limit_count;
    int dies_with_parent; // SIGKILL when the thread that spawned it ends
    // NULL, or what alone the child may read (folders with all in them, and files; NULL-terminated); it then also makes no sockets and
    // gets no new privileges.
    const char *const *readable;
};
// Takes these rights from the calling process, which must be a child before its exec. Reading is restricted where the kernel has Landlock
// (Linux 5.13). Returns NULL, or the step that failed with errno set.
const char *sorad_linux_confine(const char *const *readable);
// Returns the pid, or -1 with errno set; `failed_step` then names the step (a static string) when it was in the child.
pid_t sorad_linux_spawn(const struct sorad_linux_spawn *spawn, const char **failed_step);

// <sys/random.h> is not in the Glibc module. Fills `count` (≤ 256) random bytes. Returns 0, or -1 with errno set.
int sorad_linux_random(void *bytes, size_t count);

// <malloc.h> is not in the Glibc module. From now on, blocks of `size` bytes or more are mapped alone and go back to the system when
// they are freed; the C library would else raise that size to 32 MiB as it goes.
void sorad_linux_map_blocks_from(size_t size);
// Gives free pages between blocks in use back to the system; takes milliseconds.
void sorad_linux_trim_memory(void);

// `struct dirent` ends in an array that Swift imports as a tuple of 256 elements.
struct dirent;
const char *sorad_linux_entry_name(const struct dirent *entry);

// <sched.h> hides CPU masks behind _GNU_SOURCE and offers them as macros. `cpus` receives the numbers of the CPUs that the calling thread
// may run on, ascending, at most `capacity` of them. Returns how many, or -1 with errno set.
int sorad_linux_allowed_cpus(int *cpus, size_t capacity);
// Lets a thread of this process, 0 for the calling one, run on these CPUs alone. Threads and processes that it starts inherit that.
// Returns 0, or -1 with errno set.
int sorad_linux_run_on_cpus(int thread, const int *cpus, size_t count);
// sched_getcpu(3), hidden likewise: the CPU that the calling thread runs on, or -1.
int sorad_linux_current_cpu(void);
// gettid(2), hidden likewise: the number of the calling thread for the call above.
int sorad_linux_thread_id(void);

// A thread of this process as other threads see it: how long it has computed, and on which CPUs it may.
import CSoradLinux
import Glibc

/// Invariant: used only while the thread lives.
public struct ThreadHandle: Sendable {
    private let id: Int32
    private let clock: clockid_t

    /// The calling thread. Nil should the kernel not say what its clock is.
    public init?() {
        var clock = clockid_t()
        guard unsafe pthread_getcpuclockid(pthread_self(), &clock) == 0 else { return nil }
        id = sorad_linux_thread_id()
        self.clock = clock
    }

    /// Nanoseconds that it has run on a CPU so far: they stand still while it waits for one.
    public var processorTime: Int64 {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// As `ThreadCPUs.restrict`. A thread that waits for a CPU goes to one of these at once.
    @discardableResult public func restrict(to cpus: [Int]) -> Bool {
        let numbers = cpus.map(Int32.init)
        return unsafe sorad_linux_run_on_cpus(id, numbers, numbers.count) == 0
    }
}

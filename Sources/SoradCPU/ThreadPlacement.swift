// Owns the answer to "which CPUs is each thread of a pool for".
//
// Threads are given places only where every place has its thread: as many as there are CPUs, one for each; as many as there are cores,
// one for each, on whichever of the core's CPUs. A pinned thread cannot leave a CPU that another program keeps busy, and with a CPU to
// spare (fewer threads than CPUs, or a quota for fewer) the kernel places threads better than we can; without one there is nowhere to
// leave for, and all that it could do is to run two threads one after the other on one CPU while another is idle.
//
// The calling thread is not bound, so that threads and processes that it starts inherit no mask: its place is where the kernel has it, and
// another thread's place when the kernel moves it there.
internal import SoradSystem

package struct ThreadPlacement: Equatable {
    /// CPUs of each thread, [threads]; the caller's, thread 0, first.
    package private(set) var places: [[Int]]

    /// - Parameters:
    ///   - allowed: CPUs that may be used.
    ///   - quota: how many of them at once, nil for all.
    ///   - siblings: CPUs on the same core as one.
    /// - Returns: nil where the kernel had better decide.
    package init?(threads: Int, allowed: [Int], quota: Double?, siblings: (Int) -> [Int]) {
        guard threads > 1, threads <= allowed.count, quota.map({ $0 >= Double(allowed.count) }) ?? true else { return nil }
        if threads == allowed.count {
            places = allowed.map { [$0] }
            return
        }
        var cores: [[Int]] = []
        for cpu in allowed where !cores.contains(where: { $0.contains(cpu) }) {
            let core = siblings(cpu).filter(allowed.contains)
            cores.append(core.isEmpty ? [cpu] : core)
        }
        guard threads == cores.count else { return nil }
        places = cores
    }

    /// For threads of this process, as it is now.
    static func here(threads: Int) -> ThreadPlacement? {
        ThreadPlacement(
            threads: threads, allowed: ThreadCPUs.allowed(), quota: ProcessorCount.cgroupQuota(), siblings: ThreadCPUs.siblings)
    }

    /// The caller's place becomes the one that has `cpu`; the thread that was there gets the caller's.
    /// - Returns: whether anything changed.
    package mutating func followCaller(to cpu: Int) -> Bool {
        guard let other = places.firstIndex(where: { $0.contains(cpu) }), other > 0 else { return false }
        places.swapAt(0, other)
        return true
    }
}

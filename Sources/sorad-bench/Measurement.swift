// Time and memory of a measurement.

import Glibc
import SoradSystem

/// Thousand millions of operations per second, the best of several runs.
struct Rate {
    let best: Double

    /// Runs `work` once to warm up, then for at least a quarter of a second and three times. Counts the time this thread
    /// was on a CPU, so that other programs disturb the figure less.
    static func measure(operations: Double, _ work: () -> Void) -> Rate {
        work()
        var best = Double.infinity
        var total = 0.0
        var runs = 0
        while total < 0.25e9 || runs < 3 {
            let start = threadNanoseconds()
            work()
            let time = threadNanoseconds() - start
            best = min(best, time)
            total += time
            runs += 1
        }
        return Rate(best: operations / best)
    }

    private static func threadNanoseconds() -> Double {
        var time = timespec()
        let result = unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        precondition(result == 0, "this system has no thread clock")
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
}

/// The most that this process has held in memory, in bytes.
func mostMemory() -> Int? {
    var usage = rusage()
    return unsafe getrusage(RUSAGE_SELF.rawValue, &usage) == 0 ? usage.ru_maxrss * 1024 : nil
}

/// Lets `mostMemory` begin with what is held now, so that the making of synthetic weights does not count.
func resetMostMemory() {
    let file = try? FileDescriptor(opening: "/proc/self/clear_refs", flags: O_WRONLY)
    try? file?.write(Array("5".utf8))
}

/// `count` elements on a 64-byte boundary, freed with the object. Unsafe inside: kernels take raw pointers.
@safe final class Memory<Element: BitwiseCopyable> {
    let base: UnsafeMutablePointer<Element>

    init(_ count: Int, _ element: (Int) -> Element) {
        let raw = UnsafeMutableRawPointer.allocate(byteCount: max(1, count * MemoryLayout<Element>.stride), alignment: 64)
        unsafe base = raw.bindMemory(to: Element.self, capacity: count)
        for i in 0..<count { unsafe (base + i).initialize(to: element(i)) }
    }

    deinit { unsafe base.deallocate() }
}

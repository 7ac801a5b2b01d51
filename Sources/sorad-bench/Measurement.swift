// Time and memory of a measurement.

/// Thousand millions of operations per second, the best of several runs.
struct Rate {
    let best: Double

    /// Runs `work` once to warm up, then for at least a quarter of a second and three times.
    static func measure(operations: Double, _ work: () -> Void) -> Rate {
        let clock = ContinuousClock()
        work()
        var best = Duration.seconds(1_000_000), total = Duration.zero, runs = 0
        while total < .milliseconds(250) || runs < 3 {
            let time = clock.measure(work)
            best = min(best, time)
            total += time
            runs += 1
        }
        return Rate(best: operations / (best / .nanoseconds(1)))
    }
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

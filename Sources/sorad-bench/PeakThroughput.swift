// The peak-throughput microbenchmark of an instruction set in several threads at once: nothing but multiply-adds on registers, the measure
// of everything that runs in several threads. Two threads may share a core, or what one takes from the others, so the rate can be less than
// the number of threads times one thread's.
//
// Invariant: like is compared with like. A CPU's clock rises for some milliseconds and falls again, on the machines of docs/PERFORMANCE.md by
// 3 to 6 %, so long work is compared with the median rate, not with the best moment, which is reported next to it.

import CSoradKernels
import SoradCPU
import SoradTensor

struct PeakThroughput {
    /// Thousand millions of operations per second of all threads.
    struct Rate {
        /// The median of windows of some milliseconds, which makes sending threads to work less than a hundredth of it.
        let typical: Double
        let best: Double
    }

    private let isa: Int32
    private let isInteger: Bool
    private let threads: Int
    private let pool: ThreadPool
    private let operationsOfIteration: Double

    /// nil where there is no such loop.
    init?(_ set: InstructionSet, isInteger: Bool, threads: Int) {
        var isa = SORAD_ISA_SCALAR
        guard unsafe sorad_isa_from_name(set.description, &isa) else { return nil }
        self.isa = Int32(isa.rawValue)
        self.isInteger = isInteger
        self.threads = threads
        let operations = isInteger ? sorad_peak_int8(self.isa, 1) : sorad_peak_f32(self.isa, 1)
        guard operations > 0 else { return nil }
        operationsOfIteration = Double(operations)
        pool = ThreadPool(threads: threads)
    }

    /// Of int8 and of float loops; with those from before some work, the middle between then and now.
    static func rates(_ set: InstructionSet, threads: Int, before: [Rate?]? = nil) -> [Rate?] {
        let now = [true, false].map { isInteger in PeakThroughput(set, isInteger: isInteger, threads: threads)?.rate() }
        guard let before else { return now }
        return zip(before, now).map { pair in
            guard let first = pair.0, let second = pair.1 else { return nil }
            return Rate(typical: (first.typical + second.typical) / 2, best: max(first.best, second.best))
        }
    }

    /// The time of about this number of operations, and their exact number.
    func run(operations: Double) -> (seconds: Double, operations: Double) {
        let (isa, isInteger) = (isa, isInteger)
        let iterations = UInt64(max(1, (operations / operationsOfIteration / Double(threads)).rounded()))
        let start = ContinuousClock.now
        pool.run(threads) { _, _ in _ = isInteger ? sorad_peak_int8(isa, iterations) : sorad_peak_f32(isa, iterations) }
        return ((ContinuousClock.now - start).seconds, Double(iterations) * operationsOfIteration * Double(threads))
    }

    /// Half a second of it: long enough for the system to give each thread a core of its own.
    func rate() -> Rate {
        var window = run(operations: 1e8).operations
        var rates: [Double] = []
        var total = 0.0
        while total < 0.5 {
            let (seconds, operations) = run(operations: window)
            total += seconds
            // The first windows find out how much that is.
            if seconds < 4e-3, window < 1e12 { window *= 2 } else { rates.append(operations / seconds * 1e-9) }
        }
        return Rate(typical: median(rates), best: rates.max() ?? 0)
    }
}

/// The middle one of them; 0 of none.
func median(_ values: [Double]) -> Double { values.isEmpty ? 0 : values.sorted()[values.count / 2] }

// Owns the progress of chains: steps of tasks that follow each other without waiting for any other chain, as the operations on one band
// of rows do. Several operations then cost one start and one end of the threads.
//
// Invariant: a task is claimed by exactly one thread, and the tasks of a step only when all of the step before are done. Whoever does
// the last task of a step opens the next, so nobody waits for a particular thread.
import SoradSystem
import Synchronization

/// One chain. Its objects are of more than a cache line, so that threads in different ones do not disturb each other.
final class TaskChain: Sendable {
    /// step (24 bits) | next task (20 bits) | end of the step's tasks (20 bits)
    private let ticket = Atomic<UInt64>(0)
    /// Tasks of the open step that are done.
    private let finished = Atomic<Int>(0)
    private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    private static let taskBits: UInt64 = 20
    private static let taskMask: UInt64 = (1 << taskBits) - 1

    /// - Parameter counts: tasks of each step.
    func begin(_ counts: [Int]) { open(0, counts) }

    /// Opens the first step from `step` on that has tasks; behind the last one there is none.
    private func open(_ step: Int, _ counts: [Int]) {
        let next = counts[step...].firstIndex { $0 > 0 } ?? counts.count
        let count = next < counts.count ? counts[next] : 0
        precondition(count <= Int(Self.taskMask), "\(count) tasks")
        finished.store(0, ordering: .relaxed)
        ticket.store(UInt64(next) << (2 * Self.taskBits) | UInt64(count), ordering: .releasing)
    }

    func isDone(_ counts: [Int]) -> Bool { ticket.load(ordering: .relaxed) >> (2 * Self.taskBits) == UInt64(counts.count) }

    /// Does one task; false when no task is open now.
    func advance(_ counts: [Int], _ body: (_ step: Int, _ task: Int) -> Void) -> Bool {
        var seen = ticket.load(ordering: .acquiring)
        while true {
            let task = (seen >> Self.taskBits) & Self.taskMask
            guard task < seen & Self.taskMask else { return false }
            let (claimed, now) = ticket.weakCompareExchange(
                expected: seen, desired: seen + (1 << Self.taskBits), ordering: .acquiringAndReleasing)
            guard claimed else {
                seen = now
                continue
            }
            let step = Int(seen >> (2 * Self.taskBits))
            body(step, Int(task))
            if finished.add(1, ordering: .acquiringAndReleasing).newValue == counts[step] { open(step + 1, counts) }
            return true
        }
    }
}

extension ThreadPool {
    /// Runs every task of every chain and returns when all are done. Thread t begins with chain t, and helps with the others when that one
    /// is done.
    /// - Parameters:
    ///   - chains: one per active thread.
    ///   - counts: for each chain, the tasks of each of its steps.
    ///   - body: on any thread in 0..<threadCount.
    func run(_ chains: [TaskChain], _ counts: [[Int]], _ body: @escaping (_ chain: Int, _ step: Int, _ task: Int, _ thread: Int) -> Void) {
        precondition(chains.count == counts.count && !chains.isEmpty, "\(chains.count) chains, \(counts.count) counts")
        for (chain, counts) in zip(chains, counts) { chain.begin(counts) }
        run(chains.count) { _, thread in
            var looks = 0
            while looks < Self.mostLooks {
                if Self.advanceOne(chains, counts, from: thread, body) {
                    looks = 0
                    continue
                }
                if zip(chains, counts).allSatisfy({ $0.isDone($1) }) { return }
                // Other threads are in the last tasks of their steps. They go on alone where that takes long, and are then awaited by the
                // pool, which gives a CPU to one that has none. Meanwhile their chains' words are left alone: they need them.
                looks += 1
                let began = MonotonicTime.now()
                while MonotonicTime.now() - began < Self.lookInterval {}
            }
        }
    }

    private static let lookInterval = Duration.nanoseconds(500)
    /// Some tens of microseconds, as the pool itself looks before it sleeps.
    private static let mostLooks = 100

    private static func advanceOne(
        _ chains: [TaskChain], _ counts: [[Int]], from first: Int, _ body: (_ chain: Int, _ step: Int, _ task: Int, _ thread: Int) -> Void
    ) -> Bool {
        for offset in chains.indices {
            let chain = (first + offset) % chains.count
            if chains[chain].advance(counts[chain], { step, task in body(chain, step, task, first) }) { return true }
        }
        return false
    }
}

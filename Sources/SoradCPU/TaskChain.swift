// Owns the progress of chains: steps of tasks that follow each other without waiting for any other chain, as the operations on one band
// of rows do. Several operations then cost one start and one end of the threads.
//
// Invariant: a task is claimed by exactly one thread, and the tasks of a step only when all of the step before are done. Whoever does
// the last task of a step opens the next, so nobody waits for a particular thread.
// `unsafe` here: words that threads change at the same time need fixed addresses, and a reference to an object of more than one thread
// would cost each of them a transfer of its count for every task.
import SoradSystem
import Synchronization

/// A chain's, on cache lines of its own.
private struct ChainProgress: ~Copyable {
    /// step (24 bits) | next task (20 bits) | end of the step's tasks (20 bits)
    let ticket = Atomic<UInt64>(0)
    /// Tasks of the open step that are done.
    let finished = Atomic<Int>(0)
    private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
    private let morePadding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
}

/// Up to `most` chains that run at the same time.
@safe final class TaskChains: @unchecked Sendable {
    /// On any thread.
    typealias Body = (_ chain: Int, _ step: Int, _ task: Int, _ thread: Int) -> Void

    private let most: Int
    private let progress: UnsafeMutablePointer<ChainProgress>
    /// Of the run: chains, steps of each, and tasks by chain and step. Written before the threads begin.
    private var chains = 0
    private var steps = 0
    private var counts: UnsafeMutablePointer<Int>
    private var capacity = 0

    private static let taskBits: UInt64 = 20
    private static let taskMask: UInt64 = (1 << taskBits) - 1
    /// Between two looks at chains of which others are in the last tasks of a step, and how many in vain: some tens of microseconds, as
    /// the pool itself looks before it sleeps.
    private static let lookInterval = Duration.nanoseconds(1000)
    private static let mostLooks = 50

    init(most: Int) {
        self.most = most
        unsafe progress = .allocate(capacity: most)
        for chain in 0..<most { unsafe (progress + chain).initialize(to: ChainProgress()) }
        unsafe counts = .allocate(capacity: 0)
    }

    deinit {
        unsafe progress.deinitialize(count: most)
        unsafe progress.deallocate()
        unsafe counts.deallocate()
    }

    /// Runs every task of every chain and returns when all are done. Thread t begins with chain t, and helps with the others when that one
    /// is done.
    /// - Parameter tasks: for each chain, as many as there are active threads, the tasks of each step.
    func run(_ tasks: [[Int]], on pool: ThreadPool, _ body: @escaping Body) {
        (chains, steps) = (tasks.count, tasks[0].count)
        precondition((1...most).contains(chains), "\(chains) chains")
        if capacity < chains * steps {
            unsafe counts.deallocate()
            capacity = chains * steps
            unsafe counts = .allocate(capacity: capacity)
        }
        for (index, count) in tasks.joined().enumerated() {
            precondition((0...Int(Self.taskMask)).contains(count), "\(count) tasks")
            unsafe counts[index] = count
        }
        for chain in 0..<chains { open(0, of: chain) }
        pool.run(chains) { [self] _, thread in work(thread, body) }
    }

    private func work(_ thread: Int, _ body: Body) {
        var looks = 0
        while looks < Self.mostLooks {
            if advanceOne(thread, body) {
                looks = 0
                continue
            }
            if (0..<chains).allSatisfy({ unsafe Int(progress[$0].ticket.load(ordering: .relaxed) >> (2 * Self.taskBits)) == steps }) {
                return
            }
            // Those threads continue alone where that takes long, and the pool then waits for them and gives a CPU to one that has none.
            // Meanwhile their words are left alone: they need them.
            looks += 1
            let began = MonotonicTime.now()
            while MonotonicTime.now() - began < Self.lookInterval {}
        }
    }

    /// Does all tasks that are open in the thread's own chain, or else one of another chain; false when none is open now.
    private func advanceOne(_ thread: Int, _ body: Body) -> Bool {
        let own = thread % chains
        var advanced = false
        while advance(own, thread, body) { advanced = true }
        if advanced { return true }
        for offset in 1..<max(chains, 1) where advance((own + offset) % chains, thread, body) { return true }
        return false
    }

    private func advance(_ chain: Int, _ thread: Int, _ body: Body) -> Bool {
        var seen = unsafe progress[chain].ticket.load(ordering: .acquiring)
        while true {
            let task = (seen >> Self.taskBits) & Self.taskMask
            guard task < seen & Self.taskMask else { return false }
            let (claimed, now) = unsafe progress[chain].ticket.weakCompareExchange(
                expected: seen, desired: seen + (1 << Self.taskBits), ordering: .acquiringAndReleasing)
            guard claimed else {
                seen = now
                continue
            }
            let step = Int(seen >> (2 * Self.taskBits))
            body(chain, step, Int(task), thread)
            let done = unsafe progress[chain].finished.add(1, ordering: .acquiringAndReleasing).newValue
            if unsafe done == counts[chain * steps + step] { open(step + 1, of: chain) }
            return true
        }
    }

    /// Opens the first step from `step` on that has tasks; behind the last one there is none.
    private func open(_ step: Int, of chain: Int) {
        var next = step
        while next < steps, unsafe counts[chain * steps + next] == 0 { next += 1 }
        let count = next < steps ? unsafe counts[chain * steps + next] : 0
        unsafe progress[chain].finished.store(0, ordering: .relaxed)
        unsafe progress[chain].ticket.store(UInt64(next) << (2 * Self.taskBits) | UInt64(count), ordering: .releasing)
    }
}

// Owns the threads that share one operation. The calling thread takes part, so a pool of one has no threads of its own.
//
// Every thread has a queue of an operation's tasks, those that follow each other, and takes from the others' when its own is empty. So
// the same thread meets the same rows in one operation after the other, and finds what it has written in caches of its own: two cores
// need not have any cache in common.
//
// Invariant: a task is claimed by exactly one thread, by a compare-and-swap on the queue's ticket, which packs the operation's
// number, the queue's next task and its end. A claim can only succeed for the operation that is now running, and that one cannot end
// before the claimed task is done; so a thread that wakes late finds nothing to claim and does no harm, and nobody waits for it.
// `unsafe` here: pthread objects need fixed addresses, and the operation's closure is handed over through the ticket's ordering.
import Glibc
internal import SoradSystem
import Synchronization

public final class ThreadPool: Sendable {
    public let threadCount: Int
    private let state: PoolState
    private let threads: [pthread_t]
    private let placement: ThreadPlacement?
    /// When the caller was last brought to its place, nanoseconds of the monotonic clock.
    private let lastPlaced = Atomic<Int64>(0)

    /// A pool in which at most `threads` threads compute, the caller among them. Its own threads stay where `ThreadPlacement` puts them
    /// while all of them compute.
    /// - Parameters:
    ///   - adapts: whether fewer threads compute while other programs keep CPUs busy.
    ///   - followsQuota: whether fewer compute while the CPU quota or mask of this process pays for fewer.
    public init(threads count: Int, adapts: Bool = true, followsQuota: Bool = false) {
        precondition((1...1024).contains(count), "\(count) threads")
        threadCount = count
        let state = PoolState(threads: count, adapts: adapts, followsQuota: followsQuota)
        let placement = ThreadPlacement.here(threads: count)
        self.state = state
        self.placement = placement
        threads = (1..<max(count, 1)).map { index in
            var thread = pthread_t()
            let start = unsafe Unmanaged.passRetained(WorkerStart(state: state, index: index, cpus: placement?.places[index]))
            let failure = unsafe pthread_create(
                &thread, nil,
                { argument in
                    let start = unsafe Unmanaged<WorkerStart>.fromOpaque(argument!).takeRetainedValue()
                    start.state.work(as: start.index, place: start.cpus)
                    return nil
                }, start.toOpaque())
            precondition(failure == 0, "pthread_create failed with \(failure)")
            return thread
        }
    }

    deinit {
        state.stop()
        for thread in threads { pthread_join(thread, nil) }
    }

    /// How many threads share the next operation; for the thread that runs operations.
    public var activeCount: Int { state.adaptation.active }

    /// Runs `body(task, thread)` for every task in 0..<count, on any thread in 0..<threadCount, and returns when all are done. Of n
    /// active threads, thread t begins with the tasks from count * t / n on.
    public func run(_ count: Int, _ body: @escaping (_ task: Int, _ thread: Int) -> Void) {
        guard threadCount > 1, count > 1 else {
            for task in 0..<count { body(task, 0) }
            return
        }
        let isWhole = state.adaptation.active == threadCount
        if isWhole { placeCaller() }
        state.run(count, body)
        if isWhole != (state.adaptation.active == threadCount) { state.place(isWhole ? ThreadCPUs.allowed() : nil) }
    }

    /// Seldom: a caller that does not stay has been moved away from a busy CPU, where it would wait long for its turn.
    private func placeCaller() {
        guard let placement, placement.isCallerAstray else { return }
        let now = MonotonicTime.now().nanoseconds
        guard now - lastPlaced.load(ordering: .relaxed) > Self.placingInterval else { return }
        lastPlaced.store(now, ordering: .relaxed)
        placement.bringCaller()
    }

    /// Nanoseconds.
    private static let placingInterval: Int64 = 1_000_000_000
}

private final class WorkerStart {
    let state: PoolState
    let index: Int
    let cpus: [Int]?
    init(state: PoolState, index: Int, cpus: [Int]?) {
        self.state = state
        self.index = index
        self.cpus = cpus
    }
}

/// On cache lines of its own, so that nobody waits for a neighbor's.
private struct TaskQueue: ~Copyable {
    /// operation (24 bits) | next task (20 bits) | end of the queue (20 bits)
    let ticket = Atomic<UInt64>(0)
    private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
    private let morePadding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
}

@safe private final class PoolState: @unchecked Sendable {
    typealias Body = (Int, Int) -> Void

    private let threads: Int
    private let queues: UnsafeMutablePointer<TaskQueue>
    /// The caller's, between operations.
    private(set) var adaptation: ThreadAdaptation
    private var meter = LossMeter()
    private let adapts: Bool
    private let followsQuota: Bool
    /// When the quota was looked at last, nanoseconds of the monotonic clock.
    private var quotaRead: Int64 = 0
    /// Threads from this one on sleep until they are active again.
    private let active: Atomic<Int>
    /// CPUs of threads that are not in their places, under `mutex`; nil while they are.
    private var looseCPUs: [Int]?
    /// Changes with `looseCPUs`.
    private let placing = Atomic<Int>(0)
    /// Of the operation that runs: its number and its tasks. Written before its tickets, read after a claim.
    private var operation: UInt64 = 0
    private var count = 0
    private let finished = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private let sleepers = Atomic<Int>(0)
    private let callerSleeps = Atomic<Bool>(false)
    private var body: Body?
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let workArrived = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let workDone = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let becameActive = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// Looks at the ticket this often before sleeping: some tens of microseconds, longer than the gap between two operations.
    private static let spins = 20_000
    private static let taskBits: UInt64 = 20
    private static let taskMask: UInt64 = (1 << taskBits) - 1

    private static let quotaInterval: Int64 = 1_000_000_000

    init(threads: Int, adapts: Bool, followsQuota: Bool) {
        self.threads = threads
        self.adapts = adapts
        self.followsQuota = followsQuota
        adaptation = ThreadAdaptation(threads: threads)
        if followsQuota { adaptation.cap = ProcessorCount.usable() }
        active = Atomic(adaptation.active)
        unsafe queues = .allocate(capacity: threads)
        for thread in 0..<threads { unsafe (queues + thread).initialize(to: TaskQueue()) }
        unsafe pthread_mutex_init(mutex, nil)
        unsafe pthread_cond_init(workArrived, nil)
        unsafe pthread_cond_init(workDone, nil)
        unsafe pthread_cond_init(becameActive, nil)
    }

    deinit {
        unsafe pthread_cond_destroy(becameActive)
        unsafe pthread_cond_destroy(workDone)
        unsafe pthread_cond_destroy(workArrived)
        unsafe pthread_mutex_destroy(mutex)
        unsafe queues.deinitialize(count: threads)
        unsafe queues.deallocate()
        unsafe becameActive.deallocate()
        unsafe workDone.deallocate()
        unsafe workArrived.deallocate()
        unsafe mutex.deallocate()
    }

    private var hasWork: Bool {
        for thread in 0..<threads {
            let now = unsafe queues[thread].ticket.load(ordering: .sequentiallyConsistent)
            if (now >> Self.taskBits) & Self.taskMask < now & Self.taskMask { return true }
        }
        return false
    }

    func run(_ count: Int, _ body: @escaping Body) {
        precondition(count <= Int(Self.taskMask), "\(count) tasks")
        let begin = MonotonicTime.now().nanoseconds
        let active = adaptation.active
        if active == 1 {
            for task in 0..<count { body(task, 0) }
            let end = MonotonicTime.now().nanoseconds
            return adapt(begin: begin, emptied: end, end: end)
        }
        self.body = body
        self.count = count
        operation &+= 1
        finished.store(0, ordering: .relaxed)
        for thread in 0..<threads {
            // A thread that is not active has nothing of its own.
            let (begin, end) =
                thread < active ? (UInt64(count * thread / active), UInt64(count * (thread + 1) / active)) : (UInt64(count), UInt64(count))
            unsafe queues[thread].ticket.store(
                operation << (2 * Self.taskBits) | begin << Self.taskBits | end, ordering: .sequentiallyConsistent)
        }
        if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
            locked { unsafe _ = pthread_cond_broadcast(workArrived) }
        }
        claimTasks(thread: 0)
        let emptied = MonotonicTime.now().nanoseconds
        awaitEnd(count)
        self.body = nil
        adapt(begin: begin, emptied: emptied, end: MonotonicTime.now().nanoseconds)
    }

    private func adapt(begin: Int64, emptied: Int64, end: Int64) {
        guard adapts || followsQuota, let loss = meter.add(begin: begin, emptied: emptied, end: end) else { return }
        if followsQuota, end - quotaRead > Self.quotaInterval {
            quotaRead = end
            adaptation.cap = ProcessorCount.usable()
        }
        adaptation.windowEnded(loss: adapts ? loss : 0, now: MonotonicTime(nanoseconds: end))
        guard adaptation.active != active.load(ordering: .relaxed) else { return }
        active.store(adaptation.active, ordering: .sequentiallyConsistent)
        locked { unsafe _ = pthread_cond_broadcast(becameActive) }
    }

    /// Lets the threads run on `cpus` instead of in their places; nil brings them back. They follow when they next have work.
    func place(_ cpus: [Int]?) {
        locked { looseCPUs = cpus }
        placing.add(1, ordering: .sequentiallyConsistent)
    }

    func work(as thread: Int, place: [Int]?) {
        if let place { ThreadCPUs.restrict(to: place) }
        var placed = 0
        while !stopping.load(ordering: .acquiring) {
            if thread >= active.load(ordering: .relaxed) {
                awaitTurn(thread)
            } else if hasWork {
                if let place, placed != placing.load(ordering: .relaxed) {
                    placed = placing.load(ordering: .sequentiallyConsistent)
                    var cpus = place
                    locked { cpus = looseCPUs ?? place }
                    ThreadCPUs.restrict(to: cpus)
                }
                claimTasks(thread: thread)
            } else {
                awaitWork()
            }
        }
    }

    func stop() {
        stopping.store(true, ordering: .sequentiallyConsistent)
        locked {
            unsafe _ = pthread_cond_broadcast(workArrived)
            unsafe _ = pthread_cond_broadcast(becameActive)
        }
    }

    /// Of its own queue, then of the others' in the same operation: in the next one it begins with its own again.
    private func claimTasks(thread: Int) {
        let operation = claimTasks(from: thread, thread: thread, of: nil)
        for step in 1..<threads { _ = claimTasks(from: (thread + step) % threads, thread: thread, of: operation) }
    }

    /// The operation whose tasks are all claimed, or the one that has come instead of `operation`.
    private func claimTasks(from queue: Int, thread: Int, of operation: UInt64?) -> UInt64 {
        var seen = unsafe queues[queue].ticket.load(ordering: .acquiring)
        while true {
            let task = (seen >> Self.taskBits) & Self.taskMask
            let current = seen >> (2 * Self.taskBits)
            if task >= seen & Self.taskMask || current != operation ?? current { return current }
            let (claimed, now) = unsafe queues[queue].ticket.weakCompareExchange(
                expected: seen, desired: seen + (1 << Self.taskBits), ordering: .acquiringAndReleasing)
            guard claimed else {
                seen = now
                continue
            }
            let count = count
            call(Int(task), thread)
            if finished.add(1, ordering: .sequentiallyConsistent).newValue == count, callerSleeps.load(ordering: .sequentiallyConsistent) {
                locked { unsafe _ = pthread_cond_signal(workDone) }
            }
            seen = unsafe queues[queue].ticket.load(ordering: .acquiring)
        }
    }

    /// Not inlined, so that the closure is held only while its task is being done.
    @inline(never) private func call(_ task: Int, _ thread: Int) {
        guard let body else { preconditionFailure("task \(task) of no operation") }
        body(task, thread)
    }

    private func awaitWork() {
        for _ in 0..<Self.spins where hasWork || stopping.load(ordering: .relaxed) { return }
        locked {
            sleepers.add(1, ordering: .sequentiallyConsistent)
            while !hasWork, !stopping.load(ordering: .sequentiallyConsistent) { unsafe pthread_cond_wait(workArrived, mutex) }
            sleepers.subtract(1, ordering: .sequentiallyConsistent)
        }
    }

    private func awaitTurn(_ thread: Int) {
        locked {
            while thread >= active.load(ordering: .sequentiallyConsistent), !stopping.load(ordering: .sequentiallyConsistent) {
                unsafe pthread_cond_wait(becameActive, mutex)
            }
        }
    }

    private func awaitEnd(_ count: Int) {
        for _ in 0..<Self.spins where finished.load(ordering: .acquiring) == count { return }
        locked {
            callerSleeps.store(true, ordering: .sequentiallyConsistent)
            while finished.load(ordering: .sequentiallyConsistent) < count { unsafe pthread_cond_wait(workDone, mutex) }
            callerSleeps.store(false, ordering: .sequentiallyConsistent)
        }
    }

    private func locked(_ body: () -> Void) {
        unsafe pthread_mutex_lock(mutex)
        body()
        unsafe pthread_mutex_unlock(mutex)
    }
}

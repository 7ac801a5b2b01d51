// Owns the threads that share one operation. The calling thread takes part, so a pool of one has no threads of its own.
//
// Every thread has a queue of an operation's tasks, those that follow each other, and takes from the others' when its own is empty. So
// the same thread meets the same rows in one operation after the other, and finds what it has written in caches of its own: two cores
// need not have any cache in common.
//
// Invariant: a task is claimed by exactly one thread, by a compare-and-swap on the queue's ticket, which packs the operation's
// number, the queue's next task and its end. A claim can only succeed for the operation that is now running, and that one cannot end
// before the claimed task is done; so a thread that wakes late finds nothing to claim and does no harm, and nobody waits for it.
//
// A thread can lose its CPU to another program in the middle of a task, and then all would wait for some milliseconds until it has it back.
// The caller, which would sleep, gives it its own CPU instead: a few tens of microseconds.
// `unsafe` here: pthread objects need fixed addresses, and the operation's closure is handed over through the ticket's ordering.
import Glibc
internal import SoradSystem
import Synchronization

public final class ThreadPool: Sendable {
    public let threadCount: Int
    private let state: PoolState
    private let threads: [pthread_t]

    /// A pool in which at most `threads` threads compute, the caller among them. Its own threads stay where `ThreadPlacement` puts them
    /// while all of them compute.
    /// - Parameters:
    ///   - adapts: whether fewer threads compute while other programs keep CPUs busy.
    ///   - followsQuota: whether fewer compute while the CPU quota or mask of this process pays for fewer.
    public init(threads count: Int, adapts: Bool = true, followsQuota: Bool = false) {
        precondition((1...1024).contains(count), "\(count) threads")
        threadCount = count
        let state = PoolState(
            threads: count, placement: ThreadPlacement.here(threads: count), adapts: adapts, followsQuota: followsQuota)
        self.state = state
        threads = (1..<max(count, 1)).map { index in
            var thread = pthread_t()
            let start = unsafe Unmanaged.passRetained(WorkerStart(state: state, index: index))
            let failure = unsafe pthread_create(
                &thread, nil,
                { argument in
                    let start = unsafe Unmanaged<WorkerStart>.fromOpaque(argument!).takeRetainedValue()
                    start.state.work(as: start.index)
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

    /// How often a thread that another program had driven from its CPU got the caller's; for the thread that runs operations.
    package var rescueCount: Int { state.rescueCount }

    /// Runs `body(task, thread)` for every task in 0..<count, on any thread in 0..<threadCount, and returns when all are done. Of n
    /// active threads, thread t begins with the tasks from count * t / n on.
    public func run(_ count: Int, _ body: @escaping (_ task: Int, _ thread: Int) -> Void) {
        guard threadCount > 1, count > 1 else {
            for task in 0..<count { body(task, 0) }
            return
        }
        let isWhole = state.adaptation.active == threadCount
        if isWhole { state.followCaller() }
        state.run(count, body)
        if isWhole != (state.adaptation.active == threadCount) { state.place(isWhole ? ThreadCPUs.allowed() : nil) }
    }
}

private final class WorkerStart {
    let state: PoolState
    let index: Int
    init(state: PoolState, index: Int) {
        self.state = state
        self.index = index
    }
}

/// A thread's, on cache lines of its own, so that nobody waits for a neighbor's.
private struct TaskQueue: ~Copyable {
    /// operation (24 bits) | next task (20 bits) | end of the queue (20 bits)
    let ticket = Atomic<UInt64>(0)
    private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
    /// Whether the thread is in a task, of whichever queue.
    let isInTask = Atomic<Bool>(false)
    /// Whether the thread was moved away from its place, and goes back there when its task is done.
    let wasMoved = Atomic<Bool>(false)
    private let morePadding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)
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
    /// Under `mutex`; only the caller changes it.
    private var placement: ThreadPlacement?
    /// When the caller's place changed last, nanoseconds of the monotonic clock.
    private var followed: Int64 = 0
    /// The pool's own threads once they have begun, under `mutex`.
    private var handles: [ThreadHandle?]
    /// The caller's.
    private(set) var rescueCount = 0
    /// Threads from this one on sleep until they are active again.
    private let active: Atomic<Int>
    /// CPUs of threads that are not in their places, under `mutex`; nil while they are.
    private var looseCPUs: [Int]?
    /// Changes with `looseCPUs` and `placement`.
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
    /// A caller that does not stay anywhere is not followed everywhere.
    private static let followInterval: Int64 = 2_000_000
    /// How long the caller sleeps before it looks, first and then, whether the others compute.
    private static let lookIntervals: ClosedRange<Int64> = 100_000...10_000_000

    init(threads: Int, placement: ThreadPlacement?, adapts: Bool, followsQuota: Bool) {
        self.threads = threads
        self.placement = placement
        handles = [ThreadHandle?](repeating: nil, count: threads)
        self.adapts = adapts
        self.followsQuota = followsQuota
        adaptation = ThreadAdaptation(threads: threads)
        if followsQuota { adaptation.cap = ProcessorCount.usable() }
        active = Atomic(adaptation.active)
        unsafe queues = .allocate(capacity: threads)
        for thread in 0..<threads { unsafe (queues + thread).initialize(to: TaskQueue()) }
        unsafe pthread_mutex_init(mutex, nil)
        unsafe pthread_cond_init(workArrived, nil)
        var monotonic = pthread_condattr_t()
        unsafe pthread_condattr_init(&monotonic)
        unsafe pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(workDone, &monotonic)
        unsafe pthread_condattr_destroy(&monotonic)
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

    /// The caller's place is where it is. Seldom: the kernel moves it away from a busy CPU.
    func followCaller() {
        guard let placement, !placement.places[0].contains(ThreadCPUs.current) else { return }
        let now = MonotonicTime.now().nanoseconds
        guard now - followed > Self.followInterval else { return }
        followed = now
        var changed = false
        locked { changed = self.placement?.followCaller(to: ThreadCPUs.current) ?? false }
        if changed { placing.add(1, ordering: .sequentiallyConsistent) }
    }

    /// Brings the calling thread of the pool to its place.
    private func settle(_ thread: Int) {
        var cpus: [Int]?
        locked { cpus = placement.map { looseCPUs ?? $0.places[thread] } }
        if let cpus { ThreadCPUs.restrict(to: cpus) }
    }

    func work(as thread: Int) {
        let own = ThreadHandle()
        locked { handles[thread] = own }
        var placed = placing.load(ordering: .sequentiallyConsistent)
        settle(thread)
        while !stopping.load(ordering: .acquiring) {
            if unsafe queues[thread].wasMoved.load(ordering: .relaxed) {
                unsafe queues[thread].wasMoved.store(false, ordering: .sequentiallyConsistent)
                settle(thread)
            }
            if thread >= active.load(ordering: .relaxed) {
                awaitTurn(thread)
            } else if hasWork {
                if placed != placing.load(ordering: .relaxed) {
                    placed = placing.load(ordering: .sequentiallyConsistent)
                    settle(thread)
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
            unsafe queues[thread].isInTask.store(true, ordering: .relaxed)
            call(Int(task), thread)
            unsafe queues[thread].isInTask.store(false, ordering: .relaxed)
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
            sleepUntilEnd(count)
            callerSleeps.store(false, ordering: .sequentiallyConsistent)
        }
    }

    /// With `mutex`. Where threads have places, those that stand still in a task meanwhile get the CPU that the caller does not use: their
    /// places do not let them look for another one themselves.
    private func sleepUntilEnd(_ count: Int) {
        let mayMove = placement != nil && looseCPUs == nil
        var before = mayMove ? computedSoFar() : []
        var interval = Self.lookIntervals.lowerBound
        while finished.load(ordering: .sequentiallyConsistent) < count {
            guard mayMove else {
                unsafe pthread_cond_wait(workDone, mutex)
                continue
            }
            let began = MonotonicTime.now().nanoseconds
            var until = timespec(tv_sec: Int((began + interval) / 1_000_000_000), tv_nsec: Int((began + interval) % 1_000_000_000))
            unsafe pthread_cond_timedwait(workDone, mutex, &until)
            guard finished.load(ordering: .sequentiallyConsistent) < count else { return }
            let now = computedSoFar()
            let passed = MonotonicTime.now().nanoseconds - began
            for (thread, (earlier, later)) in zip(before, now).enumerated() {
                guard let earlier, let later, later - earlier < passed / 4 else { continue }
                // In this order: a thread that has gone back to its place must not be moved afterwards.
                handles[thread]?.restrict(to: [ThreadCPUs.current])
                unsafe queues[thread].wasMoved.store(true, ordering: .sequentiallyConsistent)
                rescueCount += 1
            }
            before = now
            interval = min(2 * interval, Self.lookIntervals.upperBound)
        }
    }

    /// Nanoseconds that each of the pool's own threads has computed, nil for those in no task; with `mutex`.
    private func computedSoFar() -> [Int64?] {
        (0..<threads).map { unsafe queues[$0].isInTask.load(ordering: .relaxed) ? handles[$0]?.processorTime : nil }
    }

    private func locked(_ body: () -> Void) {
        unsafe pthread_mutex_lock(mutex)
        body()
        unsafe pthread_mutex_unlock(mutex)
    }
}

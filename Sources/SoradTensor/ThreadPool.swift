// Owns the threads that share one operation. The calling thread takes part, so a pool of one has no threads of its own.
//
// Invariant: a piece of work is claimed by exactly one thread, by a compare-and-swap on `ticket`, which packs the operation's number,
// its next piece and its count of pieces. A claim can only succeed for the operation that is now running, and that one cannot end
// before the claimed piece is done; so a thread that wakes late finds nothing to claim and does no harm, and nobody waits for it.
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

    /// A pool in which `threads` threads compute, the caller among them. Its own threads stay where `ThreadPlacement` puts them.
    public init(threads count: Int) {
        precondition((1...1024).contains(count), "\(count) threads")
        threadCount = count
        let state = PoolState()
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
                    if let cpus = start.cpus { ThreadCPUs.restrict(to: cpus) }
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

    /// Runs `body(piece, thread)` for every piece in 0..<count, on any thread in 0..<threadCount, and returns when all are done.
    public func run(_ count: Int, _ body: @escaping (_ piece: Int, _ thread: Int) -> Void) {
        if threadCount == 1 || count <= 1 {
            for piece in 0..<count { body(piece, 0) }
        } else {
            placeCaller()
            state.run(count, body)
        }
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

@safe private final class PoolState: @unchecked Sendable {
    typealias Body = (Int, Int) -> Void

    /// operation (24 bits) | next piece (20 bits) | count of pieces (20 bits)
    private let ticket = Atomic<UInt64>(0)
    private let finished = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private let sleepers = Atomic<Int>(0)
    private let callerSleeps = Atomic<Bool>(false)
    private var body: Body?
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let workArrived = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let workDone = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// Looks at the ticket this often before sleeping: some tens of microseconds, longer than the gap between two operations.
    private static let spins = 20_000
    private static let pieceBits: UInt64 = 20
    private static let pieceMask: UInt64 = (1 << pieceBits) - 1

    init() {
        unsafe pthread_mutex_init(mutex, nil)
        unsafe pthread_cond_init(workArrived, nil)
        unsafe pthread_cond_init(workDone, nil)
    }

    deinit {
        unsafe pthread_cond_destroy(workDone)
        unsafe pthread_cond_destroy(workArrived)
        unsafe pthread_mutex_destroy(mutex)
        unsafe workDone.deallocate()
        unsafe workArrived.deallocate()
        unsafe mutex.deallocate()
    }

    private var hasWork: Bool {
        let now = ticket.load(ordering: .sequentiallyConsistent)
        return (now >> Self.pieceBits) & Self.pieceMask < now & Self.pieceMask
    }

    func run(_ count: Int, _ body: @escaping Body) {
        precondition(count <= Int(Self.pieceMask), "\(count) pieces")
        self.body = body
        finished.store(0, ordering: .relaxed)
        let operation = (ticket.load(ordering: .relaxed) >> (2 * Self.pieceBits)) &+ 1
        ticket.store(operation << (2 * Self.pieceBits) | UInt64(count), ordering: .sequentiallyConsistent)
        if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
            locked { unsafe _ = pthread_cond_broadcast(workArrived) }
        }
        claimPieces(thread: 0)
        awaitEnd(count)
        self.body = nil
    }

    func work(as thread: Int) {
        while !stopping.load(ordering: .acquiring) {
            if hasWork { claimPieces(thread: thread) } else { awaitWork() }
        }
    }

    func stop() {
        stopping.store(true, ordering: .sequentiallyConsistent)
        locked { unsafe _ = pthread_cond_broadcast(workArrived) }
    }

    private func claimPieces(thread: Int) {
        var seen = ticket.load(ordering: .acquiring)
        while true {
            let piece = (seen >> Self.pieceBits) & Self.pieceMask
            let count = seen & Self.pieceMask
            if piece >= count { return }
            let (claimed, now) = ticket.weakCompareExchange(
                expected: seen, desired: seen + (1 << Self.pieceBits), ordering: .acquiringAndReleasing)
            guard claimed else {
                seen = now
                continue
            }
            call(Int(piece), thread)
            if finished.add(1, ordering: .sequentiallyConsistent).newValue == Int(count),
                callerSleeps.load(ordering: .sequentiallyConsistent)
            {
                locked { unsafe _ = pthread_cond_signal(workDone) }
            }
            seen = ticket.load(ordering: .acquiring)
        }
    }

    /// Not inlined, so that the closure is held only while its piece is being done.
    @inline(never) private func call(_ piece: Int, _ thread: Int) {
        guard let body else { preconditionFailure("piece \(piece) of no operation") }
        body(piece, thread)
    }

    private func awaitWork() {
        for _ in 0..<Self.spins where hasWork || stopping.load(ordering: .relaxed) { return }
        locked {
            sleepers.add(1, ordering: .sequentiallyConsistent)
            while !hasWork, !stopping.load(ordering: .sequentiallyConsistent) { unsafe pthread_cond_wait(workArrived, mutex) }
            sleepers.subtract(1, ordering: .sequentiallyConsistent)
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

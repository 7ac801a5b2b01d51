// The threads on which handlers run, so that a slow one holds up its own request and not the sockets.
import SoradSystem
import Synchronization

final class HandlerThreads: Sendable {
    private struct Queue {
        var work: [@Sendable () -> Void] = []
        var next = 0
        var stopped = false

        var waiting: Int { work.count - next }

        mutating func take() -> (@Sendable () -> Void)? {
            guard next < work.count else { return nil }
            defer {
                next += 1
                if next == work.count {
                    work = []
                    next = 0
                }
            }
            return work[next]
        }
    }

    /// The state that the threads own; not `HandlerThreads` itself.
    private final class Shared: Sendable {
        let queue = Mutex(Queue())
        let available: EventCounter

        init() throws(Errno) { available = try EventCounter(.semaphore) }

        func run() {
            while true {
                available.take()
                let (work, stopped) = queue.withLock { ($0.take(), $0.stopped) }
                if let work { work() } else if stopped { return }
            }
        }
    }

    private let shared: Shared
    private let threads: [SystemThread]
    private let limit: Int

    init(count: Int, limit: Int) throws(Errno) {
        precondition(count > 0, "\(count) handler threads")
        let shared = try Shared()
        var threads: [SystemThread] = []
        for index in 0..<count { threads.append(try SystemThread(name: "http-handler-\(index)") { shared.run() }) }
        self.shared = shared
        self.threads = threads
        self.limit = limit
    }

    /// False when too much waits already.
    func submit(_ work: @escaping @Sendable () -> Void) -> Bool {
        let accepted = shared.queue.withLock { queue in
            guard queue.waiting < limit, !queue.stopped else { return false }
            queue.work.append(work)
            return true
        }
        if accepted { shared.available.add() }
        return accepted
    }

    /// Finishes the waiting tasks, then ends the threads.
    func stop() {
        shared.queue.withLock { $0.stopped = true }
        shared.available.add(UInt64(threads.count))
        for thread in threads { thread.join() }
    }
}

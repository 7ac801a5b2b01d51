// The heartbeat of the thread that loads or computes. That thread itself calls it in the middle of its work; a separate thread would keep
// beating while that one hangs.
import SoradSystem
import Synchronization

final class Heartbeat: Sendable {
    private static let interval: Int64 = 1_000_000_000
    /// Nanoseconds of the monotonic clock.
    private let last = Atomic<Int64>(MonotonicTime.now().nanoseconds)
    private let send: @Sendable () -> Void

    init(_ send: @escaping @Sendable () -> Void) { self.send = send }

    /// Sends a heartbeat, if the last one is a second ago.
    func beat() {
        let now = MonotonicTime.now().nanoseconds
        guard now - last.load(ordering: .relaxed) >= Heartbeat.interval else { return }
        last.store(now, ordering: .relaxed)
        send()
    }
}

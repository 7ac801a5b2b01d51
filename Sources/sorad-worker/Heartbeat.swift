// The heartbeat of the thread that loads or computes. That thread itself calls it in the middle of its work; a separate thread would keep
// beating while that one hangs.
import SoradSystem
import Synchronization

final class Heartbeat: Sendable {
    private let interval: Int64
    /// Nanoseconds of the monotonic clock.
    private let last = Atomic<Int64>(MonotonicTime.now().nanoseconds)
    private let send: @Sendable () -> Void

    /// - Parameter interval: shortest time between two heartbeats.
    init(every interval: Duration = .seconds(1), _ send: @escaping @Sendable () -> Void) {
        self.interval = interval.nanoseconds
        self.send = send
    }

    /// Sends a heartbeat, if the last one is an interval ago.
    func beat() {
        let now = MonotonicTime.now().nanoseconds
        guard now - last.load(ordering: .relaxed) >= interval else { return }
        last.store(now, ordering: .relaxed)
        send()
    }
}

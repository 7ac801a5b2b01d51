// sd_notify(3): telling the service manager how this process is. Spoken directly, because it is one datagram of text.
import CSoradLinux
import Glibc

/// Sends state to the socket in $NOTIFY_SOCKET; does nothing when the service was not started by a manager.
public struct ServiceNotifier: Sendable {
    private let path: String?
    /// How often the manager wants `WATCHDOG=1`: half of $WATCHDOG_USEC. nil when it keeps no watchdog over this process.
    public let watchdogInterval: Duration?

    public init(environment: [String: String]) {
        path = environment["NOTIFY_SOCKET"].flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
        let isForUs = environment["WATCHDOG_PID"].map { $0 == String(getpid()) } ?? true
        watchdogInterval = isForUs ? environment["WATCHDOG_USEC"].flatMap(Int64.init).flatMap { $0 > 0 ? .microseconds($0 / 2) : nil } : nil
    }

    /// Sends assignments such as "READY=1". A manager that does not listen is its own problem: nothing here
    /// may fail for it, nor wait for more than a second.
    public func send(_ assignments: String...) {
        guard var path else { return }
        let bytes = Array(assignments.joined(separator: "\n").utf8)
        path.withUTF8 { utf8 in
            unsafe utf8.withMemoryRebound(to: CChar.self) { path in
                _ = unsafe sorad_linux_send_datagram(path.baseAddress, path.count, bytes, bytes.count)
            }
        }
    }

    /// The two assignments that open a reload; `READY=1` ends it.
    public func sendReloading() {
        send("RELOADING=1", "MONOTONIC_USEC=\(MonotonicTime.now().nanoseconds / 1000)")
    }
}

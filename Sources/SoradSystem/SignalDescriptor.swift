// Signals as something to read, so that they are handled in the one loop that owns the program's state and interrupt nothing.
import CSoradLinux
import Glibc

/// Reports the given signals through a descriptor instead of handlers. Made first thing in `main`, before any other thread exists:
/// the signals are blocked in every thread started later.
public struct SignalDescriptor: ~Copyable, Sendable {
    private let descriptor: FileDescriptor

    public init(_ signals: [Int32]) throws(Errno) {
        descriptor = FileDescriptor(owning: try systemCall("signalfd") { unsafe sorad_linux_signalfd(signals, signals.count) })
    }

    /// For `poll`.
    public var rawDescriptor: Int32 { descriptor.rawValue }

    /// The next signal that arrived; nil when none is waiting.
    public func take() throws(Errno) -> Int32? {
        let raw = descriptor.rawValue
        let signal = try systemCall("read signal") { sorad_linux_signalfd_take(raw) }
        return signal == 0 ? nil : signal
    }
}

// epoll: which of many descriptors is ready. Level-triggered, so nothing is lost when a handler stops early.
import CSoradLinux
import Glibc

/// One set of watched descriptors. Used by one thread.
public struct EventPoller: ~Copyable {
    /// One descriptor that is ready.
    public struct Event: Sendable {
        /// The key of the descriptor.
        public let token: UInt64
        public let isReadable: Bool
        public let isWritable: Bool
        /// Both directions are over, or the descriptor is broken.
        public let isHungUp: Bool
    }

    private let descriptor: FileDescriptor
    private var ready = [sorad_linux_event](repeating: sorad_linux_event(), count: 64)

    public init() throws(Errno) {
        descriptor = FileDescriptor(owning: try systemCall("epoll_create1") { sorad_linux_poller() })
    }

    public func add(_ watched: Int32, token: UInt64, reading: Bool, writing: Bool) throws(Errno) {
        try set(0, watched, token, reading, writing)
    }

    public func modify(_ watched: Int32, token: UInt64, reading: Bool, writing: Bool) throws(Errno) {
        try set(1, watched, token, reading, writing)
    }

    /// Call before the descriptor is closed.
    public func remove(_ watched: Int32) throws(Errno) { try set(2, watched, 0, false, false) }

    private func set(_ change: Int32, _ watched: Int32, _ token: UInt64, _ reading: Bool, _ writing: Bool) throws(Errno) {
        let poller = descriptor.rawValue
        try systemCall("epoll_ctl") { sorad_linux_poller_set(poller, change, watched, token, reading ? 1 : 0, writing ? 1 : 0) }
    }

    /// Waits until something is ready or `timeout` has passed; nil waits for ever. At most 64 events.
    public mutating func wait(timeout: Duration?) throws(Errno) -> [Event] {
        // Rounded up: waking before a deadline would only mean waiting again.
        let milliseconds = timeout.map { Int32(clamping: (max(0, $0.nanoseconds) + 999_999) / 1_000_000) } ?? -1
        let poller = descriptor.rawValue
        let count = try systemCall("epoll_wait") { unsafe sorad_linux_poller_wait(poller, &ready, 64, milliseconds) }
        return ready[..<Int(count)].map {
            Event(token: $0.token, isReadable: $0.readable != 0, isWritable: $0.writable != 0, isHungUp: $0.hung_up != 0)
        }
    }
}

/// Wakes a waiting thread: an eventfd.
public final class EventCounter: Sendable {
    public enum Kind: Sendable {
        /// To be watched by an `EventPoller`; `take` clears it and never waits.
        case signal
        /// `take` waits for one `add`.
        case semaphore
    }

    private let descriptor: FileDescriptor

    public init(_ kind: Kind) throws(Errno) {
        descriptor = FileDescriptor(owning: try systemCall("eventfd") { sorad_linux_event_counter(kind == .semaphore ? 1 : 0) })
    }

    /// For `EventPoller.add`; owned by the counter.
    public var rawDescriptor: Int32 { descriptor.rawValue }

    public func add(_ count: UInt64 = 1) {
        let counter = descriptor.rawValue
        var count = count
        // The counter overflows only after 2^64 unread signals; a full one would still wake its reader.
        _ = try? systemCall("write") { unsafe Glibc.write(counter, &count, 8) }
    }

    public func take() {
        let counter = descriptor.rawValue
        var count: UInt64 = 0
        _ = try? systemCall("read") { unsafe Glibc.read(counter, &count, 8) }
    }
}

// Waiting for descriptors, with a deadline that interruptions do not move.
import Glibc

/// One descriptor to wait for, and the events.
public struct PollEntry: Sendable, Equatable {
    public let descriptor: Int32
    public let wantsWrite: Bool
    /// Set by `poll`: there is something to read, to write, or an end or error to find out about by trying.
    public internal(set) var isReady = false

    public init(reading descriptor: Int32) {
        self.descriptor = descriptor
        self.wantsWrite = false
    }

    public init(writing descriptor: Int32) {
        self.descriptor = descriptor
        self.wantsWrite = true
    }
}

/// Waits until one of `entries` is ready or `timeout` has passed (nil: for ever). Returns whether any is ready.
@discardableResult
public func poll(_ entries: inout [PollEntry], timeout: Duration?) throws(Errno) -> Bool {
    var descriptors = entries.map { pollfd(fd: $0.descriptor, events: Int16($0.wantsWrite ? POLLOUT : POLLIN), revents: 0) }
    let deadline = timeout.map { MonotonicTime.now() + $0 }
    let count = try systemCall("poll") { () -> Int32 in
        let milliseconds: Int32
        if let deadline {
            // Rounded up: waking before the deadline would only mean polling again.
            let left = max(0, (deadline - MonotonicTime.now()).nanoseconds)
            milliseconds = Int32(min((left + 999_999) / 1_000_000, Int64(Int32.max)))
        } else {
            milliseconds = -1
        }
        return unsafe Glibc.poll(&descriptors, nfds_t(descriptors.count), milliseconds)
    }
    for index in entries.indices {
        precondition(Int32(descriptors[index].revents) & POLLNVAL == 0, "poll on closed descriptor \(entries[index].descriptor)")
        entries[index].isReady = descriptors[index].revents != 0
    }
    return count > 0
}

/// Waits for one descriptor. Returns whether it is ready.
public func waitUntilReady(_ entry: PollEntry, timeout: Duration?) throws(Errno) -> Bool {
    var entries = [entry]
    return try poll(&entries, timeout: timeout)
}

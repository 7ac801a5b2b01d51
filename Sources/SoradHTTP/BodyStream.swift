// A response body that its producer writes over time, from any thread, e.g. server-sent events.
// Invariant: after `finish` or the client's end, nothing is ever accepted again. A producer that is faster than its client loses the
// client, never the server's memory.
import Synchronization

public final class BodyStream: Sendable {
    private struct State {
        var pending: [[UInt8]] = []
        var pendingBytes = 0
        var finished = false
        var closed = false
        var wake: (@Sendable () -> Void)?
        var onClose: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())
    /// Bytes that may wait for a slow client; a write beyond them ends the stream.
    public let limit: Int

    public init(limit: Int = 256 << 10) { self.limit = limit }

    /// Appends bytes. False when the client is gone or too slow: the producer should stop.
    @discardableResult
    public func write(_ bytes: [UInt8]) -> Bool {
        let (accepted, wake) = state.withLock { state -> (Bool, (@Sendable () -> Void)?) in
            if state.finished || state.closed { return (false, nil) }
            if bytes.count > limit - state.pendingBytes {
                state.closed = true
                state.pending = []
                return (false, state.wake)
            }
            if !bytes.isEmpty {
                state.pending.append(bytes)
                state.pendingBytes += bytes.count
            }
            return (true, state.wake)
        }
        wake?()
        return accepted
    }

    /// Ends the body.
    public func finish() {
        let wake = state.withLock { state in
            state.finished = true
            return state.wake
        }
        wake?()
    }

    /// Bytes that wait for the client: for producers that would rather leave something out than lose a slow one.
    public var pendingBytes: Int { state.withLock { $0.pendingBytes } }

    /// The client is gone, too slow, or the server stops.
    public var isClosed: Bool { state.withLock { $0.closed } }

    /// Called once when the client goes away before `finish`; at once if it already has.
    public func onClose(_ body: @escaping @Sendable () -> Void) {
        let already = state.withLock { state in
            if !state.closed { state.onClose = body }
            return state.closed
        }
        if already { body() }
    }

    // MARK: the server's side

    enum Taken {
        case bytes([UInt8])
        case nothingYet
        case finished
        /// The producer overran the limit.
        case overrun
    }

    /// `wake` is called, on the writer's thread, whenever there is something to take.
    func attach(wake: @escaping @Sendable () -> Void) { state.withLock { $0.wake = wake } }

    func take() -> Taken {
        state.withLock { state in
            if state.closed { return .overrun }
            if state.pending.isEmpty { return state.finished ? .finished : .nothingYet }
            defer {
                state.pending = []
                state.pendingBytes = 0
            }
            return .bytes(state.pending.count == 1 ? state.pending[0] : Array(state.pending.joined()))
        }
    }

    /// The connection has ended.
    func detach() {
        let onClose = state.withLock { state -> (@Sendable () -> Void)? in
            state.wake = nil
            defer { state.onClose = nil }
            if state.finished { return nil }
            state.closed = true
            state.pending = []
            return state.onClose
        }
        onClose?()
    }
}

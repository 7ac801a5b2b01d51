// Messages over a stream socket: a 4-byte little-endian length, 1…limit, then that many bytes.
// Invariant: the length is checked before anything is allocated for it, and after an error the channel is never used again.
// Every wait is bounded by the caller, so a peer that hangs or stops in the middle of a frame cannot hold anybody up.
import Glibc
import Synchronization

/// One end of a framed connection. One thread may receive while others send; whole frames are never interleaved.
public final class FrameChannel: Sendable {
    /// The result of `receive`.
    public enum Reception: Sendable, Equatable {
        case frame([UInt8])
        /// The peer closed its end between two frames.
        case endOfStream
        /// No whole frame arrived in time; a part of one is kept for the next call.
        case timedOut
    }

    /// Why a channel is broken.
    public enum Failure: Error, Sendable, Equatable, CustomStringConvertible {
        case frameLength(UInt32, limit: Int)
        case endInsideFrame
        case peerClosed
        case sendTimedOut
        case system(Errno)

        public var description: String {
            switch self {
            case .frameLength(let length, let limit): "a frame of \(length) bytes; 1 to \(limit) are allowed"
            case .endInsideFrame: "the connection ended in the middle of a frame"
            case .peerClosed: "the peer closed the connection"
            case .sendTimedOut: "the peer did not read in time"
            case .system(let error): error.description
            }
        }
    }

    /// For `poll`; owned by the channel.
    public let rawDescriptor: Int32
    private let descriptor: FileDescriptor
    private let limit: Int
    private let received: Mutex<FrameDecoder>
    private let sending = Mutex<Void>(())

    /// Takes over a connected stream socket. `limit`: the longest frame accepted or sent, in bytes.
    public init(owning descriptor: consuming FileDescriptor, limit: Int) {
        precondition(limit > 0 && limit <= Int(UInt32.max), "frame limit \(limit)")
        self.rawDescriptor = descriptor.rawValue
        self.descriptor = descriptor
        self.limit = limit
        received = Mutex(FrameDecoder(limit: limit))
    }

    /// Sends one frame of 1…limit bytes. `timeout` bounds the wait for a peer that does not read; nil waits for ever.
    public func send(_ payload: [UInt8], timeout: Duration? = nil) throws(Failure) {
        precondition(!payload.isEmpty && payload.count <= limit, "frame of \(payload.count) bytes, limit \(limit)")
        let bytes = FrameDecoder.encode(payload)
        let deadline = timeout.map { MonotonicTime.now() + $0 }
        let failure: Failure? = sending.withLock { _ in
            do throws(Failure) {
                try write(bytes, deadline: deadline)
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    /// The next frame. `timeout`: how long to wait for a whole one; zero does not wait, nil waits for ever.
    public func receive(timeout: Duration? = nil) throws(Failure) -> Reception {
        let deadline = timeout.map { MonotonicTime.now() + $0 }
        let outcome: Result<Reception, Failure> = received.withLock { buffer in
            do throws(Failure) {
                return .success(try nextFrame(&buffer, deadline: deadline))
            } catch { return .failure(error) }
        }
        return try outcome.get()
    }

    /// Ends the connection both ways: the peer sees the end of the stream, and a `receive` that waits in another thread returns.
    public func shutDown() {
        _ = Glibc.shutdown(rawDescriptor, Int32(SHUT_RDWR))
    }

    private func nextFrame(_ buffer: inout FrameDecoder, deadline: MonotonicTime?) throws(Failure) -> Reception {
        while true {
            if let frame = try buffer.next() { return .frame(frame) }
            switch try readMore(into: &buffer, deadline: deadline) {
            case .some(0): if buffer.isEmpty { return .endOfStream } else { throw .endInsideFrame }
            case .some: continue
            case .none: return .timedOut
            }
        }
    }

    /// Reads available bytes, waiting for them until the deadline. The count read, 0 at the end of the stream, nil when time is up.
    private func readMore(into buffer: inout FrameDecoder, deadline: MonotonicTime?) throws(Failure) -> Int? {
        do throws(Errno) {
            guard try waitUntilReady(PollEntry(reading: rawDescriptor), timeout: remaining(deadline)) else { return nil }
            let bytes = try descriptor.read(upTo: 65_536)
            buffer.append(bytes)
            return bytes.count
        } catch {
            // A peer that died with unread data in its buffer: the same thing as an end.
            if error.code == ECONNRESET { return 0 }
            throw .system(error)
        }
    }

    private func write(_ bytes: [UInt8], deadline: MonotonicTime?) throws(Failure) {
        var offset = 0
        while offset < bytes.count {
            let start = offset
            do throws(Errno) {
                offset += try systemCall("send") {
                    unsafe bytes.withUnsafeBufferPointer { buffer in
                        unsafe Glibc.send(
                            rawDescriptor, buffer.baseAddress! + start, bytes.count - start,
                            Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
                    }
                }
            } catch {
                switch error.code {
                case EAGAIN: try waitToWrite(deadline: deadline)
                case EPIPE, ECONNRESET: throw .peerClosed
                default: throw .system(error)
                }
            }
        }
    }

    private func waitToWrite(deadline: MonotonicTime?) throws(Failure) {
        do throws(Errno) {
            guard try waitUntilReady(PollEntry(writing: rawDescriptor), timeout: remaining(deadline)) else {
                throw Errno(code: ETIMEDOUT, call: "send")
            }
        } catch {
            throw error.code == ETIMEDOUT ? .sendTimedOut : .system(error)
        }
    }

    private func remaining(_ deadline: MonotonicTime?) -> Duration? {
        deadline.map { max(.zero, $0 - MonotonicTime.now()) }
    }
}

// Bytes to frames, without I/O: a 4-byte little-endian length, 1…limit, then that many bytes.
// Invariant: the length is checked before anything is allocated for it; the frames depend on the bytes alone, not on how they were cut.

package struct FrameDecoder: Sendable {
    private var buffer: [UInt8] = []
    private let limit: Int

    package init(limit: Int) {
        precondition(limit > 0 && limit <= Int(UInt32.max), "frame limit \(limit)")
        self.limit = limit
    }

    /// No byte waits for the rest of its frame.
    package var isEmpty: Bool { buffer.isEmpty }

    package mutating func append(_ bytes: some Sequence<UInt8>) { buffer += bytes }

    /// The next whole frame; nil when more bytes are needed.
    package mutating func next() throws(FrameChannel.Failure) -> [UInt8]? {
        guard buffer.count >= 4 else { return nil }
        let length = (0..<4).reduce(UInt32(0)) { $0 | UInt32(buffer[$1]) << (8 * UInt32($1)) }
        guard length >= 1, length <= UInt32(limit) else { throw .frameLength(length, limit: limit) }
        let end = 4 + Int(length)
        guard buffer.count >= end else { return nil }
        let frame = Array(buffer[4..<end])
        buffer.removeSubrange(..<end)
        return frame
    }

    /// `payload`, at most `UInt32.max` bytes, as one frame.
    package static func encode(_ payload: [UInt8]) -> [UInt8] {
        let length = UInt32(payload.count)
        return (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + payload
    }
}

// Bytes that arrive in pieces to whole lines. Pure. A line longer than the limit is left out, so that no machine can fill this one's memory.

package struct LineReader: Sendable {
    private var pending: [UInt8] = []
    private var isTooLong = false
    private let limit: Int

    /// - Parameter limit: bytes of a line.
    package init(limit: Int) { self.limit = limit }

    /// The lines that are whole now, without their ends.
    package mutating func append(_ bytes: [UInt8]) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                if pending.count < limit { pending.append(byte) } else { isTooLong = true }
                continue
            }
            if !isTooLong { lines.append(pending) }
            pending = []
            isTooLong = false
        }
        return lines
    }
}

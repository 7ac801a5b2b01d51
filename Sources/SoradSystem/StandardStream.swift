// The three descriptors that every process starts with. They are borrowed, never owned: nobody may close them, since the next file
// opened would take their place.
import Glibc

public enum StandardStream: Int32, Sendable {
    case input = 0
    case output = 1
    case errors = 2

    public var isTerminal: Bool { isatty(rawValue) == 1 }

    /// Writes all of `bytes`, waiting where the other end is slow.
    public func write(_ bytes: [UInt8]) throws(Errno) {
        let descriptor = FileDescriptor(owning: rawValue)
        defer { _ = descriptor.take() }
        try descriptor.write(bytes)
    }

    public func write(_ text: String) throws(Errno) { try write(Array(text.utf8)) }

    /// Everything up to the end, or nil when it is more than `limit` bytes.
    public func readAll(limit: Int) throws(Errno) -> [UInt8]? {
        let descriptor = FileDescriptor(owning: rawValue)
        defer { _ = descriptor.take() }
        var bytes: [UInt8] = []
        while bytes.count <= limit {
            let piece = try descriptor.read(upTo: 65_536)
            if piece.isEmpty { return bytes }
            bytes += piece
        }
        return nil
    }
}

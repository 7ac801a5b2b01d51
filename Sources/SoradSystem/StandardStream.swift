// The three descriptors that every process starts with. They are borrowed, never owned: nobody may close them, since the next file
// opened would take their place. So each use works on a duplicate.
import Glibc

public enum StandardStream: Int32, Sendable {
    case input = 0
    case output = 1
    case errors = 2

    public var isTerminal: Bool { isatty(rawValue) == 1 }

    /// Writes all of `bytes`, waiting where the other end is slow.
    public func write(_ bytes: [UInt8]) throws(Errno) { try duplicate().write(bytes) }

    /// Writes lines of text, in the form of `printableLines`.
    public func write(_ text: String) throws(Errno) { try write(Array(printableLines(text).utf8)) }

    /// Everything up to the end, or nil when it is more than `limit` bytes.
    public func readAll(limit: Int) throws(Errno) -> [UInt8]? {
        let descriptor = try duplicate()
        var bytes: [UInt8] = []
        while bytes.count <= limit {
            let piece = try descriptor.read(upTo: 65_536)
            if piece.isEmpty { return bytes }
            bytes += piece
        }
        return nil
    }

    private func duplicate() throws(Errno) -> FileDescriptor {
        let copy = dup(rawValue)
        // Not through `systemCall`: a program may well be started with one of the three closed.
        guard copy >= 0 else { throw Errno(code: errno, call: "dup") }
        return FileDescriptor(owning: copy)
    }
}

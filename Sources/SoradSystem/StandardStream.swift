// The three descriptors that every process starts with. They are borrowed, never owned: nobody may close them, since the next file
// opened would take their place. So each use works on a duplicate.
import Glibc

public enum StandardStream: Int32, Sendable {
    case input = 0
    case output = 1
    case errors = 2

    public var isTerminal: Bool { isatty(rawValue) == 1 }

    /// Columns of the terminal at this moment: people resize it. nil where it is none, or does not say.
    public var columns: Int? { size.flatMap { $0.ws_col > 0 ? Int($0.ws_col) : nil } }
    /// Lines of the terminal at this moment.
    public var rows: Int? { size.flatMap { $0.ws_row > 0 ? Int($0.ws_row) : nil } }
    /// Pixels of one character cell of the terminal; nil where it does not say.
    public var cell: (width: Int, height: Int)? {
        guard let size, size.ws_col > 0, size.ws_row > 0, size.ws_xpixel > 0, size.ws_ypixel > 0 else { return nil }
        let cell = (width: Int(size.ws_xpixel / size.ws_col), height: Int(size.ws_ypixel / size.ws_row))
        return cell.width > 0 && cell.height > 0 ? cell : nil
    }

    private var size: winsize? {
        var size = winsize()
        return unsafe ioctl(rawValue, UInt(TIOCGWINSZ), &size) == 0 ? size : nil
    }

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

    /// Up to `count` bytes; none at the end.
    public func read(upTo count: Int) throws(Errno) -> [UInt8] { try duplicate().read(upTo: count) }

    private func duplicate() throws(Errno) -> FileDescriptor {
        let copy = dup(rawValue)
        // Not through `systemCall`: a program may well be started with one of the three closed.
        guard copy >= 0 else { throw Errno(code: errno, call: "dup") }
        return FileDescriptor(owning: copy)
    }
}

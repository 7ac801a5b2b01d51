// Owns the three standard streams. Each is asked on its own whether it is a terminal: data may be piped while progress is watched.
import Glibc
import SoradSystem

enum Console {
    /// Writes lines to standard output, in the form of `printableLines`. A value that is not to begin a line goes through `printable` first.
    /// - Throws: `.cannotWrite` when it cannot take them, e.g. on a full disk.
    static func print(_ text: String) throws(SoradError) { try write(Array((printableLines(text) + "\n").utf8)) }

    /// Writes bytes to standard output, all of them.
    static func write(_ bytes: [UInt8]) throws(SoradError) {
        do throws(Errno) { try StandardStream.output.write(bytes) } catch {
            throw SoradError(.cannotWrite, "cannot write to standard output: \(error.reason)")
        }
    }

    /// Writes lines to standard error, in the form of `printableLines`. A failure is ignored: there is nowhere left to report it.
    static func note(_ text: String) { try? StandardStream.errors.write(text) }

    /// Writes what `ProgressDisplay` made, which redraws a line, to standard error.
    static func draw(_ text: String) { try? StandardStream.errors.write(Array(text.utf8)) }

    /// A bar where standard error is a terminal that can redraw a line, lines elsewhere.
    static func progressStyle(environment: [String: String]) -> ProgressDisplay.Style {
        StandardStream.errors.isTerminal && environment["TERM"] != "dumb" ? .bar : .lines
    }

    /// Columns of the terminal at standard error at this moment: people resize it.
    static var width: Int { StandardStream.errors.columns ?? 80 }

    /// Whether a stream shows colors: --color, else a terminal that is not dumb and no NO_COLOR (no-color.org).
    static func isColored(_ arguments: Arguments, _ stream: StandardStream = .output) -> Bool {
        switch arguments["color"] {
        case "always"?: return true
        case "never"?: return false
        default:
            let environment = ChildProcess.currentEnvironment()
            return stream.isTerminal && environment["NO_COLOR"]?.isEmpty != false && environment["TERM"] != "dumb"
        }
    }

    /// Writes lines to standard output: in a terminal colored, and no longer than it is wide if `isCut`.
    static func print(_ lines: [Line], _ arguments: Arguments, isCut: Bool = false) throws(SoradError) {
        let isColored = isColored(arguments)
        let width = isCut ? StandardStream.output.columns : nil
        let text = lines.map { line in (width.map { line.cut(to: $0) } ?? line).rendered(isColored: isColored) + "\n" }.joined()
        try write(Array(text.utf8))
    }

    static func print(_ table: Table, _ arguments: Arguments) throws(SoradError) {
        try Console.print(table.lines(width: StandardStream.output.columns), arguments)
    }

    /// Asks a question on the terminal; true for an answer that begins with y.
    static func confirm(_ question: String) throws(SoradError) -> Bool {
        note("\(question) [y/N] ")
        return try readLine()?.lowercased().hasPrefix("y") == true
    }

    /// One line of standard input without its end; nil at the end of the input.
    /// - Throws: `.badInput` when it cannot be read.
    static func readLine() throws(SoradError) -> String? {
        var bytes: [UInt8] = []
        while true {
            let piece: [UInt8]
            // Byte by byte: what follows the line belongs to whoever reads next.
            do throws(Errno) { piece = try StandardStream.input.read(upTo: 1) } catch {
                throw SoradError(.badInput, "cannot read standard input: \(error.reason)")
            }
            guard let byte = piece.first else { return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self) }
            if byte == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
            guard bytes.count <= 1 << 20 else { throw SoradError(.badInput, "a line of standard input has more than \(1 << 20) bytes") }
        }
    }

    /// All of standard input as text.
    /// - Throws: `.badInput` above `limit` bytes or when it is not UTF-8.
    static func readInput(limit: Int) throws(SoradError) -> String {
        let bytes: [UInt8]?
        do throws(Errno) { bytes = try StandardStream.input.readAll(limit: limit) } catch {
            throw SoradError(.badInput, "cannot read standard input: \(error.reason)")
        }
        guard let bytes else { throw SoradError(.badInput, "standard input holds more than \(limit) bytes") }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw SoradError(.badInput, "standard input is not UTF-8 text") }
        return text
    }
}

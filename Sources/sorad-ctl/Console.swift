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
    static var width: Int {
        var size = winsize()
        let isKnown = unsafe ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return isKnown ? Int(size.ws_col) : 80
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

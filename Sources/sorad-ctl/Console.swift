// Owns the three standard streams. Each is asked on its own whether it is a terminal: data may be piped while progress is watched.
import Glibc
import SoradSystem

enum Console {
    /// Writes text to standard output.
    /// - Throws: `.cannotWrite` when it cannot take it, e.g. on a full disk.
    static func print(_ text: String) throws(SoradError) { try write(Array((text + "\n").utf8)) }

    /// Writes bytes to standard output, all of them.
    static func write(_ bytes: [UInt8]) throws(SoradError) {
        do throws(Errno) { try writeAll(bytes, to: STDOUT_FILENO) } catch {
            throw SoradError(.cannotWrite, "cannot write to standard output: \(error.reason)")
        }
    }

    /// Writes text to standard error as it is. Failures are ignored: there is nowhere left to report them.
    static func note(_ text: String) {
        do throws(Errno) { try writeAll(Array(text.utf8), to: STDERR_FILENO) } catch {}
    }

    static var outputIsTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// A bar where standard error is a terminal that can redraw a line, lines elsewhere.
    static func progressStyle(environment: [String: String]) -> ProgressDisplay.Style {
        guard isatty(STDERR_FILENO) == 1, environment["TERM"] != "dumb" else { return .lines }
        var size = winsize()
        let known = unsafe ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return .bar(width: known ? Int(size.ws_col) : 80)
    }

    /// All of standard input as text.
    /// - Throws: `.badInput` above `limit` bytes or when it is not UTF-8.
    static func readInput(limit: Int) throws(SoradError) -> String {
        var bytes: [UInt8] = []
        do throws(Errno) {
            let input = try FileDescriptor(opening: "/dev/stdin", flags: O_RDONLY)
            while bytes.count <= limit {
                let piece = try input.read(upTo: 65536)
                if piece.isEmpty { break }
                bytes += piece
            }
        } catch {
            throw SoradError(.badInput, "cannot read standard input: \(error.reason)")
        }
        guard bytes.count <= limit else { throw SoradError(.badInput, "standard input holds more than \(limit) bytes") }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw SoradError(.badInput, "standard input is not UTF-8 text") }
        return text
    }

    private static func writeAll(_ bytes: [UInt8], to descriptor: Int32) throws(Errno) {
        var offset = 0
        while offset < bytes.count {
            let start = offset
            offset += try systemCall("write") {
                unsafe bytes.withUnsafeBufferPointer { unsafe Glibc.write(descriptor, $0.baseAddress! + start, bytes.count - start) }
            }
        }
    }
}

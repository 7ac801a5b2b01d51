// A worker's captured standard error, line by line, and the sentence in it that explains the worker's end.
// Invariant: lines have no control characters and a bounded length, whatever a worker writes, because they reach logs, terminals and
// clients. Pure: bytes come in as values.
import SoradSystem

package struct CapturedStderr: Sendable {
    /// Bytes of a line that has not ended yet.
    private var pending: [UInt8] = []
    /// The last line that is no hint.
    private var last: String?

    private static let lineLimit = 2_000
    private static let sentenceLimit = 300

    package init() {}

    /// Appends bytes and returns the lines that are complete now, fit for a log. The rest of a line beyond the limit is a line of its own.
    package mutating func append(_ bytes: [UInt8]) -> [String] {
        var lines: [String] = []
        for byte in bytes {
            if byte != UInt8(ascii: "\n") { pending.append(byte) }
            if byte == UInt8(ascii: "\n") || pending.count >= CapturedStderr.lineLimit { lines += endLine() }
        }
        return lines
    }

    /// Ends a last line that has no line end.
    package mutating func finish() -> [String] { endLine() }

    /// Forgets the last sentence: it has nothing to do with the next job.
    package mutating func forget() { last = nil }

    /// The last sentence, without the program's name and the full stop.
    package var sentence: String? {
        guard var text = last else { return nil }
        if text.hasPrefix("sorad-worker: ") { text.removeFirst("sorad-worker: ".count) }
        while text.hasSuffix(".") { text.removeLast() }
        let scalars = text.unicodeScalars
        guard scalars.count > CapturedStderr.sentenceLimit else { return text.isEmpty ? nil : text }
        return String(String.UnicodeScalarView(scalars.prefix(CapturedStderr.sentenceLimit))) + "…"
    }

    private mutating func endLine() -> [String] {
        let line = CapturedStderr.trimmed(printable(String(decoding: pending, as: UTF8.self)))
        pending = []
        guard line.contains(where: { $0 != "\u{FFFD}" && $0 != " " }) else { return [] }
        if !line.hasPrefix("hint: ") { last = line }
        return [line]
    }

    /// Without space around it.
    private static func trimmed(_ text: String) -> String {
        String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
}

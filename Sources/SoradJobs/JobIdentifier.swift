// Names of jobs. They sort by time of creation, so that "after this one" needs no look-up and still means something once the job is
// gone; the random part keeps them from being guessed.

/// "video_", 12 hexadecimal digits of milliseconds since 1970, 20 random ones.
public struct JobIdentifier: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let text: String
    public var description: String { text }

    static let prefix = "video_"

    /// nil for anything that is not exactly of this form: an identifier becomes part of a path.
    public init?(_ text: String) {
        let digits = text.utf8.dropFirst(JobIdentifier.prefix.utf8.count)
        guard text.hasPrefix(JobIdentifier.prefix), digits.count == 32, digits.allSatisfy({ isLowerHex($0) }) else { return nil }
        self.text = text
    }

    package init(milliseconds: Int64, random: [UInt8]) {
        precondition(milliseconds >= 0 && milliseconds < 1 << 48 && random.count == 10, "\(milliseconds) ms, \(random.count) bytes")
        text = JobIdentifier.prefix + hex(UInt64(milliseconds), digits: 12) + random.map { hex(UInt64($0), digits: 2) }.joined()
    }

    /// When the job was made.
    package var milliseconds: Int64 { Int64(text.dropFirst(JobIdentifier.prefix.count).prefix(12), radix: 16) ?? 0 }

    public static func < (left: JobIdentifier, right: JobIdentifier) -> Bool { left.text < right.text }
}

/// Makes identifiers that always grow, even when the wall clock is set back.
package struct JobIdentifierSequence: Sendable {
    private var last: Int64

    package init(after newest: JobIdentifier?) { last = newest?.milliseconds ?? 0 }

    package mutating func next(unixMilliseconds: Int64, random: [UInt8]) -> JobIdentifier {
        last = max(last + 1, min(max(unixMilliseconds, 0), 1 << 47))
        return JobIdentifier(milliseconds: last, random: random)
    }
}

private func isLowerHex(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
}

private func hex(_ value: UInt64, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
}

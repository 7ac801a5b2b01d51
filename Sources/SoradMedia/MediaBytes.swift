// Reads numbers and boxes of an untrusted file. Invariant: every place is checked against the end; beyond it there is nil, never a trap.

/// A part of a file in memory.
struct MediaBytes: Sendable {
    let bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }
    init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    var count: Int { bytes.count }

    /// `count` bytes from `offset` on; nil unless all are there.
    func part(_ offset: Int, _ count: Int) -> MediaBytes? {
        guard offset >= 0, count >= 0, offset <= bytes.count, bytes.count - offset >= count else { return nil }
        return MediaBytes(bytes[bytes.startIndex + offset..<bytes.startIndex + offset + count])
    }

    /// From `offset` to the end.
    func from(_ offset: Int) -> MediaBytes? { part(offset, bytes.count - offset) }

    /// Unsigned, of at most 7 bytes, most significant first.
    func big(_ offset: Int, _ count: Int) -> Int? { part(offset, count)?.bytes.reduce(0) { $0 << 8 | Int($1) } }

    /// The same, least significant first.
    func little(_ offset: Int, _ count: Int) -> Int? { part(offset, count)?.bytes.reversed().reduce(0) { $0 << 8 | Int($1) } }

    /// A signed number of 32 bits, most significant byte first.
    func signedBig(_ offset: Int) -> Int? { big(offset, 4).map { Int(Int32(truncatingIfNeeded: $0)) } }

    func begins(_ text: String, at offset: Int = 0) -> Bool { part(offset, text.utf8.count)?.bytes.elementsEqual(text.utf8) ?? false }

    /// Four characters, what is not ASCII as a question mark.
    func fourCharacters(_ offset: Int) -> String? {
        part(offset, 4).map { String(decoding: $0.bytes.map { (0x20..<0x7F).contains($0) ? $0 : 0x3F }, as: UTF8.self) }
    }

    /// The boxes that lie side by side from `offset` on (ISO/IEC 14496-12, 4.2), up to the first that does not fit.
    func boxes(from offset: Int = 0) -> [(type: String, content: MediaBytes)] {
        var result: [(type: String, content: MediaBytes)] = []
        var offset = offset
        while result.count < 10_000, let short = big(offset, 4), let type = fourCharacters(offset + 4) {
            var size = short
            var header = 8
            if short == 1, let long = part(offset + 8, 8) {
                guard long.big(0, 1) == 0, let value = long.big(1, 7) else { break }
                (size, header) = (value, 16)
            } else if short == 0 {
                size = count - offset
            }
            guard size >= header, let content = part(offset + header, size - header) else { break }
            result.append((type, content))
            offset += size
        }
        return result
    }

    /// The content of the first box of `type`.
    func box(_ type: String, from offset: Int = 0) -> MediaBytes? { boxes(from: offset).first { $0.type == type }?.content }
}

// Little-endian numbers out of bytes from outside.
import SoradSystem

/// A position in bytes that are not believed. Invariant: 0 ≤ offset ≤ bytes.count; every read first proves that its bytes are there.
struct ByteReader {
    let bytes: [UInt8]
    /// What errors call the bytes.
    let place: String
    private(set) var offset = 0

    init(_ bytes: [UInt8], place: String) {
        self.bytes = bytes
        self.place = place
    }

    var isAtEnd: Bool { offset == bytes.count }

    mutating func move(to position: Int) throws(SoradError) {
        guard (0...bytes.count).contains(position) else { throw cutShort() }
        offset = position
    }

    mutating func take(_ count: Int) throws(SoradError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= bytes.count - offset else { throw cutShort() }
        defer { offset += count }
        return bytes[offset..<offset + count]
    }

    mutating func skip(_ count: Int) throws(SoradError) { _ = try take(count) }

    mutating func number<T: FixedWidthInteger>(_ type: T.Type) throws(SoradError) -> T {
        var value: T = 0
        for (index, byte) in try take(T.bitWidth / 8).enumerated() { value |= T(truncatingIfNeeded: byte) << (8 * index) }
        return value
    }

    /// UTF-8 of `count` bytes.
    mutating func text(_ count: Int) throws(SoradError) -> String {
        guard let text = String(validating: try take(count), as: UTF8.self) else { throw bad("has text that is not UTF-8") }
        return text
    }

    func bad(_ what: String) -> SoradError { SoradError(.badInput, "\(place) \(what)", hint: "fetch the file again") }
    private func cutShort() -> SoradError { bad("ends too early: it is cut short or damaged") }
}

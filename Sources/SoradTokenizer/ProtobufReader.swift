// Reads the protobuf wire format from untrusted bytes, as far as a SentencePiece model needs it.
// Invariant: `position` never passes `end`, and `end` never passes the end of `bytes`; every length is checked against
// what is left before it is used. A hand-written reader of 100 lines is less to trust than a protobuf library.

/// A cursor over one protobuf message inside `bytes`.
struct ProtobufReader {
    /// What follows a field's tag. Groups (wire types 3 and 4) are refused: SentencePiece never wrote them.
    enum Value {
        case varint(UInt64)
        case fixed64(UInt64)
        case bytes(Range<Int>)
        case fixed32(UInt32)
    }

    let bytes: [UInt8]
    private var position: Int
    private let end: Int

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        position = 0
        end = bytes.count
    }

    /// A cursor over the message that lies in `range` of the same bytes. `range` must come from a `Value` of this reader.
    init(_ parent: ProtobufReader, range: Range<Int>) {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= parent.bytes.count, "sub-message \(range) outside of \(parent.bytes.count) bytes")
        bytes = parent.bytes
        position = range.lowerBound
        end = range.upperBound
    }

    /// The next field's number and value, or nil at the end of the message.
    mutating func nextField() throws(TokenizerError) -> (number: Int, value: Value)? {
        guard position < end else { return nil }
        let tag = try readVarint()
        guard tag >> 3 >= 1, tag >> 3 < 1 << 29 else {
            throw TokenizerError("the SentencePiece model is damaged: byte \(position) holds an impossible field number")
        }
        let number = Int(tag >> 3)
        switch tag & 7 {
        case 0: return (number, .varint(try readVarint()))
        case 1: return (number, .fixed64(try readLittleEndian(byteCount: 8)))
        case 2: return (number, .bytes(try readLengthDelimited()))
        case 5: return (number, .fixed32(UInt32(truncatingIfNeeded: try readLittleEndian(byteCount: 4))))
        default:
            throw TokenizerError(
                "the SentencePiece model is damaged: field \(number) before byte \(position) has the unknown wire type \(tag & 7)")
        }
    }

    private mutating func readVarint() throws(TokenizerError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 70, by: 7) {
            guard position < end else { throw truncated() }
            let byte = bytes[position]
            position += 1
            // The tenth byte may only carry the topmost bit.
            guard shift < 63 || byte <= 1 else { break }
            value |= UInt64(byte & 0x7F) << UInt64(shift)
            if byte < 0x80 { return value }
        }
        throw TokenizerError("the SentencePiece model is damaged: the integer before byte \(position) is longer than 64 bits")
    }

    private mutating func readLittleEndian(byteCount: Int) throws(TokenizerError) -> UInt64 {
        guard end - position >= byteCount else { throw truncated() }
        var value: UInt64 = 0
        for offset in 0..<byteCount {
            value |= UInt64(bytes[position + offset]) << UInt64(8 * offset)
        }
        position += byteCount
        return value
    }

    private mutating func readLengthDelimited() throws(TokenizerError) -> Range<Int> {
        let length = try readVarint()
        guard length <= UInt64(end - position) else { throw truncated() }
        let range = position..<(position + Int(length))
        position = range.upperBound
        return range
    }

    private func truncated() -> TokenizerError {
        TokenizerError(
            "the SentencePiece model is cut off: a field at byte \(position) needs more bytes than the \(end - position) that follow")
    }
}

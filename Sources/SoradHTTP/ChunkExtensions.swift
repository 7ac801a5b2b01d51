// Chunk extensions: the text between a chunk's size and its CR LF. Extensions mean nothing here, but a line that only looks like one is how requests
// are smuggled past a peer that reads it otherwise; so the grammar is held.

enum ChunkExtensions {
    /// RFC 9112 section 7.1.1: `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
    static func isValid(_ bytes: ArraySlice<UInt8>) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            guard take(UInt8(ascii: ";"), from: &rest), takeToken(from: &rest) else { return false }
            guard take(UInt8(ascii: "="), from: &rest) else { continue }
            guard rest.first == UInt8(ascii: "\"") ? takeQuoted(from: &rest) : takeToken(from: &rest) else { return false }
        }
        return true
    }

    /// `byte` with white space around it; takes nothing else.
    private static func take(_ byte: UInt8, from rest: inout ArraySlice<UInt8>) -> Bool {
        let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        let ahead = rest.drop(while: isSpace)
        guard ahead.first == byte else { return false }
        rest = ahead.dropFirst().drop(while: isSpace)
        return true
    }

    private static func takeToken(from rest: inout ArraySlice<UInt8>) -> Bool {
        let token = rest.prefix(while: isTokenByte)
        rest = rest[token.endIndex...]
        return !token.isEmpty
    }

    /// `rest` begins with the opening quotation mark.
    private static func takeQuoted(from rest: inout ArraySlice<UInt8>) -> Bool {
        var index = rest.index(after: rest.startIndex)
        while index < rest.endIndex {
            var byte = rest[index]
            index += 1
            if byte == UInt8(ascii: "\"") {
                rest = rest[index...]
                return true
            }
            if byte == UInt8(ascii: "\\") {
                guard index < rest.endIndex else { return false }
                byte = rest[index]
                index += 1
            }
            guard byte == 0x09 || (byte >= 0x20 && byte != 0x7F) else { return false }
        }
        return false
    }
}

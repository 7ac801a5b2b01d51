// `type/subtype; name=value; name="value"`: Content-Type and Content-Disposition share this shape (RFC 9110 sections 5.6.6 and 8.3).

struct ParameterizedValue: Equatable {
    /// Lower case, e.g. "multipart/form-data".
    let value: String
    /// Names in lower case; each appears once.
    let parameters: [String: String]

    /// nil when the text does not have the shape or names a parameter twice.
    init?(_ text: String) {
        var scanner = Scanner(bytes: Array(text.utf8))
        value = scanner.take { isTokenByte($0) || $0 == UInt8(ascii: "/") }.lowercased()
        guard !value.isEmpty else { return nil }
        var parameters: [String: String] = [:]
        while true {
            scanner.skipSpace()
            if scanner.isAtEnd { break }
            guard scanner.skip(UInt8(ascii: ";")) else { return nil }
            scanner.skipSpace()
            if scanner.isAtEnd { break }
            let name = scanner.take(while: isTokenByte).lowercased()
            guard !name.isEmpty, scanner.skip(UInt8(ascii: "=")), let value = scanner.parameterValue() else { return nil }
            guard parameters.updateValue(value, forKey: name) == nil else { return nil }
        }
        self.parameters = parameters
    }

    private static let bareMarks = Array("()/:=?".utf8)

    private struct Scanner {
        let bytes: [UInt8]
        var position = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool { position == bytes.count }

        mutating func take(while accepts: (UInt8) -> Bool) -> String {
            let taken = bytes[position...].prefix(while: accepts)
            position = taken.endIndex
            return String(decoding: taken, as: UTF8.self)
        }

        mutating func skip(_ byte: UInt8) -> Bool {
            guard position < bytes.count, bytes[position] == byte else { return false }
            position += 1
            return true
        }

        mutating func skipSpace() { while skip(0x20) || skip(0x09) {} }

        /// A token, or a quoted string. Marks that would need quotes, but can mean nothing else, are taken without them too, as in boundaries
        /// and in names of files. A backslash escapes a quote or a backslash and is itself before anything else, as in `C:\dir\a.png`;
        /// a last one before the only closing quote is itself too.
        mutating func parameterValue() -> String? {
            guard skip(UInt8(ascii: "\"")) else {
                let token = take { isTokenByte($0) || $0 >= 0x80 || ParameterizedValue.bareMarks.contains($0) }
                return token.isEmpty ? nil : token
            }
            let start = position
            if let text = quotedText(escapes: true) { return text }
            position = start
            return quotedText(escapes: false)
        }

        private mutating func quotedText(escapes: Bool) -> String? {
            var text: [UInt8] = []
            while position < bytes.count {
                let byte = bytes[position]
                position += 1
                if byte == UInt8(ascii: "\"") { return String(validating: text, as: UTF8.self) }
                let isEscape = escapes && byte == UInt8(ascii: "\\") && position < bytes.count
                if isEscape, [UInt8(ascii: "\""), UInt8(ascii: "\\")].contains(bytes[position]) {
                    text.append(bytes[position])
                    position += 1
                } else {
                    text.append(byte)
                }
            }
            return nil
        }
    }
}

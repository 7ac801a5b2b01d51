// Bytes to a JSON value, by the letter of RFC 8259, with limits on everything an attacker could make large.
// Decided here: duplicate keys, a byte order mark, lone surrogates and invalid UTF-8 are errors.

/// Why a document was refused; `message` is a clause that can follow "the body is not valid JSON: ".
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    public let message: String
    /// Offset in bytes of the first byte that does not fit; nil when the document parsed but its content is wrong.
    public let offset: Int?

    public init(_ message: String, offset: Int? = nil) {
        self.message = message
        self.offset = offset
    }

    public var description: String {
        if let offset { "\(message) at byte \(offset)" } else { message }
    }
}

public struct JSONLimits: Sendable, Equatable {
    /// Bytes of the whole document.
    public var bytes = 16 << 20
    /// Arrays and objects within each other.
    public var depth = 32
    /// Values of any kind in the whole document.
    public var values = 100_000
    /// Characters of one number.
    public var numberLength = 64

    public init() {}
}

extension JSONValue {
    /// The one document that `bytes` holds.
    public init(parsing bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) {
        guard bytes.count <= limits.bytes else { throw JSONError("it has \(bytes.count) bytes and the limit is \(limits.bytes)") }
        var parser = JSONParser(bytes: bytes, limits: limits)
        self = try parser.document()
    }
}

private struct JSONParser {
    let bytes: [UInt8]
    let limits: JSONLimits
    var position = 0
    var values = 0

    init(bytes: [UInt8], limits: JSONLimits) {
        self.bytes = bytes
        self.limits = limits
    }

    mutating func document() throws(JSONError) -> JSONValue {
        skipSpace()
        guard position < bytes.count else { throw JSONError("it is empty", offset: position) }
        let value = try value(depth: 0)
        skipSpace()
        guard position == bytes.count else { throw JSONError("text follows the document", offset: position) }
        return value
    }

    private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = peek(), byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { position += 1 }
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        values += 1
        guard values <= limits.values else { throw JSONError("it has more than \(limits.values) values", offset: position) }
        guard let byte = peek() else { throw JSONError("it ends too early", offset: position) }
        switch byte {
        case UInt8(ascii: "{"): return try object(depth: depth + 1)
        case UInt8(ascii: "["): return try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
        default: throw JSONError("a value cannot begin like this", offset: position)
        }
    }

    private mutating func literal(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let end = position + word.utf8CodeUnitCount
        guard end <= bytes.count, bytes[position..<end].elementsEqual(word.description.utf8) else {
            throw JSONError("a value cannot begin like this", offset: position)
        }
        position = end
        return value
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        guard depth <= limits.depth else { throw JSONError("it is nested deeper than \(limits.depth)", offset: position) }
        position += 1
        var members: [JSONObject.Member] = []
        var keys: Set<String> = []
        skipSpace()
        if peek() == UInt8(ascii: "}") {
            position += 1
            return .object(JSONObject())
        }
        while true {
            skipSpace()
            guard peek() == UInt8(ascii: "\"") else { throw JSONError("expected a key in quotes", offset: position) }
            let start = position
            let key = try string()
            guard keys.insert(key).inserted else { throw JSONError("the key \"\(key.prefix(64))\" appears twice", offset: start) }
            skipSpace()
            guard peek() == UInt8(ascii: ":") else { throw JSONError("expected ':' after a key", offset: position) }
            position += 1
            skipSpace()
            members.append(JSONObject.Member(key: key, value: try value(depth: depth)))
            if try endOfElement(close: UInt8(ascii: "}")) { return .object(JSONObject(unique: members)) }
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        guard depth <= limits.depth else { throw JSONError("it is nested deeper than \(limits.depth)", offset: position) }
        position += 1
        var elements: [JSONValue] = []
        skipSpace()
        if peek() == UInt8(ascii: "]") {
            position += 1
            return .array([])
        }
        while true {
            skipSpace()
            elements.append(try value(depth: depth))
            if try endOfElement(close: UInt8(ascii: "]")) { return .array(elements) }
        }
    }

    /// After an element: true at the closing bracket, false at a comma.
    private mutating func endOfElement(close: UInt8) throws(JSONError) -> Bool {
        skipSpace()
        guard let byte = peek() else { throw JSONError("it ends too early", offset: position) }
        guard byte == close || byte == UInt8(ascii: ",") else {
            throw JSONError("expected ',' or '\(Character(Unicode.Scalar(close)))'", offset: position)
        }
        position += 1
        return byte == close
    }

    private mutating func number() throws(JSONError) -> JSONNumber {
        let start = position
        if peek() == UInt8(ascii: "-") { position += 1 }
        if peek() == UInt8(ascii: "0") {
            position += 1
            if let byte = peek(), isDigit(byte) { throw JSONError("a number cannot begin with 0", offset: start) }
        } else {
            try digits()
        }
        if peek() == UInt8(ascii: ".") {
            position += 1
            try digits()
        }
        if let byte = peek(), byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
            position += 1
            if let sign = peek(), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        guard position - start <= limits.numberLength else {
            throw JSONError("a number has more than \(limits.numberLength) characters", offset: start)
        }
        return JSONNumber(validated: String(decoding: bytes[start..<position], as: UTF8.self))
    }

    private mutating func digits() throws(JSONError) {
        guard let first = peek(), isDigit(first) else { throw JSONError("a digit is missing", offset: position) }
        while let byte = peek(), isDigit(byte) { position += 1 }
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private mutating func string() throws(JSONError) -> String {
        let start = position
        position += 1
        // Stays empty without escapes: a long picture then needs no second copy on its way into the string.
        var text: [UInt8] = []
        while true {
            let run = position
            while let byte = peek(), byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") { position += 1 }
            let end = position
            switch peek() {
            case UInt8(ascii: "\""):
                position += 1
                if !text.isEmpty { text += bytes[run..<end] }
                let string =
                    text.isEmpty ? String(validating: bytes[run..<end], as: UTF8.self) : String(validating: text, as: UTF8.self)
                guard let string else { throw JSONError("a string is not valid UTF-8", offset: start) }
                return string
            case UInt8(ascii: "\\"):
                text += bytes[run..<end]
                try escape(into: &text)
            case nil: throw JSONError("a string is not closed", offset: start)
            default: throw JSONError("a control character in a string must be escaped", offset: position)
            }
        }
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        let start = position
        position += 1
        guard let byte = peek() else { throw JSONError("a string is not closed", offset: start) }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var code = UInt32(try hexQuad(start: start))
            if (0xD800..<0xDC00).contains(code) {
                guard peek() == UInt8(ascii: "\\") else { throw JSONError("half a surrogate pair", offset: start) }
                position += 1
                guard peek() == UInt8(ascii: "u") else { throw JSONError("half a surrogate pair", offset: start) }
                position += 1
                let low = UInt32(try hexQuad(start: start))
                guard (0xDC00..<0xE000).contains(low) else { throw JSONError("half a surrogate pair", offset: start) }
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw JSONError("half a surrogate pair", offset: start) }
            text.append(contentsOf: String(Character(scalar)).utf8)
        default: throw JSONError("an unknown escape", offset: start)
        }
    }

    private mutating func hexQuad(start: Int) throws(JSONError) -> UInt16 {
        guard position + 4 <= bytes.count else { throw JSONError("an escape is cut short", offset: start) }
        var value: UInt16 = 0
        for byte in bytes[position..<position + 4] {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw JSONError("an escape needs four hexadecimal digits", offset: start)
            }
            value = value << 4 | UInt16(digit)
        }
        position += 4
        return value
    }
}

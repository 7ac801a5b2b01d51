// Recursive descent over bytes. Invariant: 0 ≤ offset ≤ text.count, and `depth` counts the open arrays and objects.
import SoradSystem

struct JSONParser {
    let text: [UInt8]
    let name: String
    private var offset = 0
    private var depth = 0

    private static let depthLimit = 64
    private static let numberLimit = 64

    init(text: [UInt8], name: String) {
        self.text = text
        self.name = name
    }

    mutating func document() throws(SoradError) -> JSONValue {
        let value = try value()
        skipSpace()
        guard offset == text.count else { throw bad("has something after its end") }
        return value
    }

    private mutating func value() throws(SoradError) -> JSONValue {
        skipSpace()
        switch peek() {
        case UInt8(ascii: "{"): return try nested { (self) throws(SoradError) in try self.object() }
        case UInt8(ascii: "["): return try nested { (self) throws(SoradError) in try self.array() }
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case .some(UInt8(ascii: "-")), .some(UInt8(ascii: "0")...UInt8(ascii: "9")): return .number(try number())
        default: throw bad("has no value where one belongs")
        }
    }

    private mutating func nested(_ read: (inout Self) throws(SoradError) -> JSONValue) throws(SoradError) -> JSONValue {
        depth += 1
        guard depth <= Self.depthLimit else { throw bad("is nested deeper than \(Self.depthLimit)") }
        defer { depth -= 1 }
        offset += 1
        return try read(&self)
    }

    private mutating func object() throws(SoradError) -> JSONValue {
        var members: [JSONValue.Member] = []
        var keys: Set<String> = []
        skipSpace()
        if accept("}") { return .object([]) }
        repeat {
            skipSpace()
            guard peek() == UInt8(ascii: "\"") else { throw bad("has no key where one belongs") }
            let key = try string()
            guard keys.insert(key).inserted else { throw bad("has the key \"\(key)\" twice in one object") }
            skipSpace()
            guard accept(":") else { throw bad("has no colon after the key \"\(key)\"") }
            members.append(JSONValue.Member(key, try value()))
            skipSpace()
        } while accept(",")
        guard accept("}") else { throw bad("has an object that does not end") }
        return .object(members)
    }

    private mutating func array() throws(SoradError) -> JSONValue {
        var values: [JSONValue] = []
        skipSpace()
        if accept("]") { return .array([]) }
        repeat {
            values.append(try value())
            skipSpace()
        } while accept(",")
        guard accept("]") else { throw bad("has an array that does not end") }
        return .array(values)
    }

    private mutating func string() throws(SoradError) -> String {
        offset += 1
        var bytes: [UInt8] = []
        while let byte = peek() {
            offset += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: bytes, as: UTF8.self) else { throw bad("has text that is not UTF-8") }
                return string
            case UInt8(ascii: "\\"): bytes += try escape()
            case 0..<0x20: throw bad("has a control character in a text")
            default: bytes.append(byte)
            }
        }
        throw bad("has a text that does not end")
    }

    private mutating func escape() throws(SoradError) -> [UInt8] {
        guard let byte = peek() else { throw bad("has a text that does not end") }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0c]
        case UInt8(ascii: "n"): return [0x0a]
        case UInt8(ascii: "r"): return [0x0d]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            var code = try fourDigits()
            if (0xd800..<0xdc00).contains(code), accept("\\"), accept("u") {
                let low = try fourDigits()
                guard (0xdc00..<0xe000).contains(low) else { throw bad("has half a surrogate pair") }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw bad("has half a surrogate pair") }
            return Array(String(Character(scalar)).utf8)
        default: throw bad("has an unknown escape in a text")
        }
    }

    private mutating func fourDigits() throws(SoradError) -> UInt32 {
        guard text.count - offset >= 4 else { throw bad("has a text that does not end") }
        var code: UInt32 = 0
        for byte in text[offset..<(offset + 4)] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw bad("has an unknown escape in a text")
            }
            code = code << 4 | UInt32(digit)
        }
        offset += 4
        return code
    }

    /// -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
    private mutating func number() throws(SoradError) -> String {
        let start = offset
        _ = accept("-")
        if !accept("0") { try digits() }
        if accept(".") { try digits() }
        if accept("e") || accept("E") {
            if !accept("+") { _ = accept("-") }
            try digits()
        }
        guard offset - start <= Self.numberLimit else { throw bad("has a number of \(offset - start) digits") }
        return String(decoding: text[start..<offset], as: UTF8.self)
    }

    private mutating func digits() throws(SoradError) {
        let start = offset
        while let byte = peek(), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { offset += 1 }
        guard offset > start else { throw bad("has a number without digits") }
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws(SoradError) -> JSONValue {
        guard text[offset...].starts(with: word.utf8) else { throw bad("has no value where one belongs") }
        offset += word.utf8.count
        return value
    }

    private func peek() -> UInt8? { offset < text.count ? text[offset] : nil }

    private mutating func accept(_ scalar: Unicode.Scalar) -> Bool {
        guard peek() == UInt8(ascii: scalar) else { return false }
        offset += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek(), byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { offset += 1 }
    }

    private func bad(_ what: String) -> SoradError {
        SoradError(.badInput, "\(name) is not valid JSON: it \(what), at byte \(offset)")
    }
}

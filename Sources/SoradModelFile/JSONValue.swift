// JSON (RFC 8259), read strictly: configuration files and safetensors headers come from outside. Hand-written because the toolchain's
// decoder keeps silent about a key given twice, and costs 8 MB.
//
// Invariant: a value was valid UTF-8, nested at most 64 deep, with unique keys in every object.
public import SoradSystem

/// One JSON value. Objects keep the order of the text.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// The number as it stood in the text, which RFC 8259 allows to be larger than any machine type.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([Member])

    public struct Member: Sendable, Equatable {
        public var key: String
        public var value: JSONValue

        public init(_ key: String, _ value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// Parses the whole of `text`; `name` stands in messages for where it came from.
    /// - Throws: `.badInput` with the name and the byte at fault.
    public init(parsing text: [UInt8], name: String) throws(SoradError) {
        var parser = JSONParser(text: text, name: name)
        self = try parser.document()
    }

    /// Parses a file of at most `limit` bytes.
    public init(file path: String, limit: Int = 16 << 20) throws(SoradError) {
        let file = try MappedFile(path)
        guard file.size <= limit else { throw SoradError(.badInput, "\(path) has \(file.size) bytes; at most \(limit) are read") }
        try self.init(parsing: file.bytes.array, name: path)
    }

    /// The value of `key`, if this is an object that has it.
    public subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    /// The number, if this is one that is whole and fits; "3.0" and "1e3" are not whole.
    public var integer: Int? {
        guard case .number(let text) = self else { return nil }
        return Int(text)
    }

    /// The number, if this is one and finite.
    public var double: Double? {
        guard case .number(let text) = self, let value = Double(text), value.isFinite else { return nil }
        return value
    }

    public var string: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    public var bool: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    public var array: [JSONValue]? {
        guard case .array(let values) = self else { return nil }
        return values
    }

    public static func number(_ value: some BinaryInteger) -> JSONValue { .number(String(value)) }
    /// `value` must be finite; JSON has no other numbers.
    public static func number(_ value: Double) -> JSONValue {
        precondition(value.isFinite, "\(value) is no JSON number")
        return .number(String(value))
    }

    /// The value as JSON text: objects and arrays of objects one member a line, other arrays on one line.
    public func text(indent: String = "") -> String {
        let deeper = indent + "  "
        switch self {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .number(let text): return text
        case .string(let text): return Self.quoted(text)
        case .array(let values):
            let parts = values.map { $0.text(indent: deeper) }
            guard values.contains(where: { if case .object = $0 { true } else { false } }) else {
                return "[" + parts.joined(separator: ", ") + "]"
            }
            return "[\n" + parts.map { deeper + $0 }.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let members):
            if members.isEmpty { return "{}" }
            let parts = members.map { "\(deeper)\(Self.quoted($0.key)): \($0.value.text(indent: deeper))" }
            return "{\n" + parts.joined(separator: ",\n") + "\n\(indent)}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\u{0}"..."\u{1f}", "\u{7f}":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

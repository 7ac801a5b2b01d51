// A JSON document as a value: requests, answers, configuration files and safetensors headers. There is one such type and one parser.
// Numbers keep their text, so that a 64-bit seed survives and "17.5" can be told from "17"; objects keep the order of their members, so
// that the same answer always has the same bytes. Own code rather than Codable: a request needs errors that name the field at fault.

/// One JSON value (RFC 8259).
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

/// A number as it was written, e.g. `-12`, `17.5`, `1e3`.
public struct JSONNumber: Sendable, Equatable {
    /// Grammar of RFC 8259 section 6.
    public let text: String

    init(validated text: String) { self.text = text }

    public init(_ value: Int) { text = String(value) }
    public init(_ value: UInt64) { text = String(value) }
    /// `value` must be finite.
    public init(_ value: Double) {
        precondition(value.isFinite, "JSON has no \(value)")
        text = "\(value)"
    }

    /// The exact value when it is a whole number within `Value`; `17.0` and `1e3` count as whole below 2^53.
    public func integer<Value: FixedWidthInteger>(_: Value.Type = Value.self) -> Value? {
        if let exact = Value(text) { return exact }
        guard let value = Double(text), value.magnitude < 9_007_199_254_740_992 else { return nil }
        guard text.utf8.contains(where: { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "e") || $0 == UInt8(ascii: "E") }) else {
            return nil
        }
        return Value(exactly: value)
    }

    /// The nearest double; nil when it would be infinite.
    public var double: Double? { Double(text).flatMap { $0.isFinite ? $0 : nil } }
}

/// An object whose members stay in order; keys are unique.
public struct JSONObject: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    public struct Member: Sendable, Equatable {
        public let key: String
        public var value: JSONValue
    }

    public private(set) var members: [Member]

    public init() { members = [] }

    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        members = []
        for (key, value) in elements { self[key] = value }
    }

    /// Members in order; the caller has made sure that keys are unique.
    init(unique members: [Member]) { self.members = members }

    /// Setting nil removes the member; a new key goes to the end.
    public subscript(key: String) -> JSONValue? {
        get { members.first { $0.key == key }?.value }
        set {
            let index = members.firstIndex { $0.key == key }
            switch (index, newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append(Member(key: key, value: value))
            case (nil, nil): break
            }
        }
    }
}

extension JSONValue {
    /// The member of an object; nil for every other kind of value.
    public subscript(key: String) -> JSONValue? {
        if case .object(let object) = self { object[key] } else { nil }
    }

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var integer: Int? { if case .number(let value) = self { value.integer() } else { nil } }
    /// As `integer`, but only if it is written as a whole number: `3.0` and `1e3` are not.
    public var wholeNumber: Int? { if case .number(let value) = self { Int(value.text) } else { nil } }
    public var unsigned: UInt64? { if case .number(let value) = self { value.integer() } else { nil } }
    public var double: Double? { if case .number(let value) = self { value.double } else { nil } }
    public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }

    public static func integer(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }
    public static func unsigned(_ value: UInt64) -> JSONValue { .number(JSONNumber(value)) }
    public static func double(_ value: Double) -> JSONValue { .number(JSONNumber(value)) }

    /// The value, or `null` for nil.
    public static func optional(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
    public static func optional(_ value: Int?) -> JSONValue { value.map { .integer($0) } ?? .null }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        var object = JSONObject()
        for (key, value) in elements { object[key] = value }
        self = .object(object)
    }
}

/// A wire type: it becomes JSON and comes back from it.
public protocol JSONRepresentable: Sendable {
    var json: JSONValue { get }
    /// Throws a `JSONError` that says which member is missing or of the wrong kind.
    init(json: JSONValue) throws(JSONError)
}

extension JSONValue: JSONRepresentable {
    public var json: JSONValue { self }
    public init(json: JSONValue) { self = json }
}

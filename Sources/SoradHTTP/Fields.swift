// A request's fields, read in one way whether they came as JSON, as a multipart form or in the query string.
// Each accessor throws one plain sentence with the field's name when the value is wrong; JSON's null counts as absent.
public import SoradSystem

/// Named values. Text is accepted where a number or a truth value is wanted, because a form has nothing but text.
public struct Fields: Sendable {
    enum Value: Sendable {
        case null
        case bool(Bool)
        case number(JSONNumber)
        case text(String)
        case list([Value])
        case object([String: Value])
        case file(Upload)
    }

    let members: [String: Value]
    /// Where these fields stand in the request, e.g. "video." for `video[id]`; empty at the top.
    let prefix: String

    public init() { self.init(members: [:]) }

    init(members: [String: Value], prefix: String = "") {
        self.members = members
        self.prefix = prefix
    }

    public init(json object: JSONObject) {
        self.init(members: Dictionary(uniqueKeysWithValues: object.members.map { ($0.key, Value($0.value)) }))
    }

    public var isEmpty: Bool { members.isEmpty }
    public var names: [String] { members.keys.sorted() }

    /// Present and not null.
    public func has(_ name: String) -> Bool { present(name) != nil }

    // MARK: scalars

    /// Text of at most `maxBytes` bytes of UTF-8 without NUL.
    public func text(_ name: String, maxBytes: Int = 1 << 20) throws(APIError) -> String? {
        guard let value = present(name) else { return nil }
        guard case .text(let text) = value else { throw wrongType(name, value, wanted: "text") }
        guard text.utf8.count <= maxBytes else {
            throw invalid(name, "has \(text.utf8.count) bytes and the limit is \(maxBytes)")
        }
        guard !text.utf8.contains(0) else { throw invalid(name, "contains a NUL character; remove it") }
        return text
    }

    public func requiredText(_ name: String, maxBytes: Int = 1 << 20) throws(APIError) -> String {
        guard let text = try text(name, maxBytes: maxBytes) else { throw missing(name) }
        return text
    }

    /// A whole number within `range`.
    public func integer<Number: FixedWidthInteger>(_ name: String, in range: ClosedRange<Number>) throws(APIError) -> Number? {
        guard let value = present(name) else { return nil }
        let number: Number?
        switch value {
        case .number(let json): number = json.integer()
        case .text(let text): number = Fields.isPlainInteger(text) ? Number(text) : nil
        default: throw wrongType(name, value, wanted: "a whole number")
        }
        guard let number, range.contains(number) else {
            throw invalid(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound), not \(Fields.shown(value))")
        }
        return number
    }

    /// A finite number within `range`.
    public func number(_ name: String, in range: ClosedRange<Double>) throws(APIError) -> Double? {
        guard let value = present(name) else { return nil }
        let number: Double?
        switch value {
        case .number(let json): number = json.double
        case .text(let text): number = Fields.isPlainNumber(text) ? Double(text) : nil
        default: throw wrongType(name, value, wanted: "a number")
        }
        guard let number, number.isFinite, range.contains(number) else {
            throw invalid(name, "must be a number from \(range.lowerBound) to \(range.upperBound), not \(Fields.shown(value))")
        }
        return number
    }

    /// As above, or `none`, which says that there is no number.
    public func number(_ name: String, in range: ClosedRange<Double>, or none: String) throws(APIError) -> Double? {
        if case .text(let text) = present(name), text == none { return nil }
        do throws(APIError) { return try number(name, in: range) } catch {
            throw invalid(name, "must be \"\(none)\" or a number from \(range.lowerBound) to \(range.upperBound)")
        }
    }

    /// A list of finite numbers within `range`: a list, or text with commas between them, since a command line or a form has no lists.
    /// - Parameter most: of them.
    public func numbers(_ name: String, in range: ClosedRange<Double>, most: Int) throws(APIError) -> [Double] {
        guard let value = present(name) else { return [] }
        let elements: [Value]
        switch value {
        case .list(let list): elements = list
        case .number: elements = [value]
        case .text(let text): elements = Fields.elements(of: text)
        default: throw wrongType(name, value, wanted: "a list of numbers")
        }
        guard !elements.isEmpty else { throw invalid(name, "has no values; leave the field out or fill it") }
        guard elements.count <= most else { throw invalid(name, "has \(elements.count) values and the limit is \(most)") }
        return try elements.enumerated().map { index, element throws(APIError) in
            let place = "\(name)[\(index)]"
            guard let number = try Fields(members: [place: element], prefix: prefix).number(place, in: range) else {
                throw invalid(place, "must be a number, not null", code: "invalid_type")
            }
            return number
        }
    }

    /// Numbers between commas, perhaps within brackets.
    private static func elements(of text: String) -> [Value] {
        let inner = text.hasPrefix("[") && text.hasSuffix("]") ? text.dropFirst().dropLast() : text[...]
        guard inner.contains(where: { $0 != " " }) else { return [] }
        return inner.split(separator: ",", omittingEmptySubsequences: false).map { part in
            .text(String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()))
        }
    }

    /// `true` or `false`.
    public func bool(_ name: String) throws(APIError) -> Bool? {
        guard let value = present(name) else { return nil }
        switch value {
        case .bool(let bool): return bool
        case .text("true"): return true
        case .text("false"): return false
        default: throw wrongType(name, value, wanted: "true or false")
        }
    }

    /// One of `choices`.
    public func choice(_ name: String, of choices: [String]) throws(APIError) -> String? {
        guard let text = try text(name) else { return nil }
        guard choices.contains(text) else {
            throw invalid(name, "must be one of \(choices.joined(separator: ", ")), not \(Fields.shown(.text(text)))")
        }
        return text
    }

    // MARK: structures

    /// The members of a nested object, e.g. `video` of `{"video":{"id":…}}` or `video[id]`.
    public func object(_ name: String) throws(APIError) -> Fields? {
        guard let value = present(name) else { return nil }
        guard case .object(let members) = value else { throw wrongType(name, value, wanted: "an object") }
        return Fields(members: members, prefix: "\(prefix)\(name).")
    }

    /// The elements of a list, each under the name "value"; a single value counts as a list of one.
    public func list(_ name: String) throws(APIError) -> [Fields] {
        guard let value = present(name) else { return [] }
        let elements = if case .list(let elements) = value { elements } else { [value] }
        return elements.enumerated().map { Fields(members: ["value": $1], prefix: "\(prefix)\(name)[\($0)].") }
    }

    /// The elements of a list of objects; in a form also as JSON text, since a form has no way to write one.
    public func objects(_ name: String) throws(APIError) -> [Fields] {
        guard var value = present(name) else { return [] }
        if case .text(let text) = value {
            guard let json = try? JSONValue(parsing: Array(text.utf8)), json.array != nil else {
                throw invalid(name, "must be a list of objects as JSON, not \(Fields.shown(value))", code: "invalid_type")
            }
            value = Value(json)
        }
        guard case .list(let elements) = value else { throw wrongType(name, value, wanted: "a list of objects") }
        var objects: [Fields] = []
        for (index, element) in elements.enumerated() {
            guard case .object(let members) = element else { throw wrongType("\(name)[\(index)]", element, wanted: "an object") }
            objects.append(Fields(members: members, prefix: "\(prefix)\(name)[\(index)]."))
        }
        return objects
    }

    /// A file of a multipart form.
    public func file(_ name: String) throws(APIError) -> Upload? {
        guard let value = present(name) else { return nil }
        guard case .file(let upload) = value else { throw wrongType(name, value, wanted: "a file") }
        return upload
    }

    /// True when `name` is a file part rather than text or an object.
    public func isFile(_ name: String) -> Bool { if case .file = members[name] { true } else { false } }

    /// Throws for the first field that is not in `known`.
    public func rejectUnknown(known: Set<String>) throws(APIError) {
        guard let name = names.first(where: { !known.contains($0) }) else { return }
        throw APIError(
            .badRequest,
            "the field \"\(prefix)\(name.prefix(64))\" is unknown; the fields here are \(known.sorted().joined(separator: ", "))",
            param: "\(prefix)\(name.prefix(64))", code: "unknown_parameter")
    }

    // MARK: errors, for handlers too

    public func missing(_ name: String) -> APIError {
        APIError(.badRequest, "the field \"\(prefix)\(name)\" is missing", param: prefix + name, code: "missing_required_parameter")
    }

    /// `problem` follows the field's name: "must be even".
    public func invalid(_ name: String, _ problem: String, code: String = "invalid_value") -> APIError {
        APIError(.badRequest, "the field \"\(prefix)\(name)\" \(problem)", param: prefix + name, code: code)
    }

    private func wrongType(_ name: String, _ value: Value, wanted: String) -> APIError {
        invalid(name, "must be \(wanted), not \(Fields.shown(value))", code: "invalid_type")
    }

    private func present(_ name: String) -> Value? {
        guard let value = members[name] else { return nil }
        if case .null = value { return nil }
        return value
    }
}

extension Fields {
    /// A short picture of a value for an error message.
    static func shown(_ value: Value) -> String {
        switch value {
        case .null: "null"
        case .bool(let bool): bool ? "true" : "false"
        case .number(let number): String(number.text.prefix(32))
        case .text(let text): text.count > 32 ? "\"\(text.prefix(32))…\"" : "\"\(text)\""
        case .list: "a list"
        case .object: "an object"
        case .file: "a file"
        }
    }

    /// Optional minus, then decimal digits: no plus sign, spaces or separators.
    static func isPlainInteger(_ text: String) -> Bool {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        return !digits.isEmpty && digits.utf8.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
    }

    /// A number as JSON would write it: no "inf", "nan", hexadecimal or spaces.
    static func isPlainNumber(_ text: String) -> Bool {
        guard text.utf8.count <= 64, let value = try? JSONValue(parsing: Array(text.utf8)), case .number(let number) = value else {
            return false
        }
        return number.text == text
    }
}

extension Fields.Value {
    init(_ json: JSONValue) {
        switch json {
        case .null: self = .null
        case .bool(let bool): self = .bool(bool)
        case .number(let number): self = .number(number)
        case .string(let string): self = .text(string)
        case .array(let elements): self = .list(elements.map { Fields.Value($0) })
        case .object(let object): self = .object(Dictionary(uniqueKeysWithValues: object.members.map { ($0.key, Fields.Value($0.value)) }))
        }
    }
}

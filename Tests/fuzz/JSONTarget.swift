// The JSON target: the parser against a second reading of the grammar, against its writer and against tight limits.
import SoradHTTP
import SoradSystem

func checkJSON(_ bytes: [UInt8]) -> String? {
    guard let value = try? JSONValue(parsing: bytes) else { return nil }
    let text = value.bytes()
    return first(
        { JSONGrammar.accepts(bytes) ? nil : "it was taken, and RFC 8259 has no such text" },
        { reads(text, as: value) ? nil : "what was written is read as something else" },
        { reads(value.bytes(pretty: true), as: value) ? nil : "what was written prettily is read as something else" },
        { (try? JSONValue(parsing: text))?.bytes() == text ? nil : "writing twice gives two texts" },
        { isCutShort(text) },
        { holdsLimits(bytes, value) },
        { numbersComplaint(value) },
        {
            guard case .object(let object) = value else { return nil }
            return fieldsComplaint(Fields(json: object))
        })
}

private func reads(_ bytes: [UInt8], as value: JSONValue) -> Bool {
    var limits = JSONLimits()
    limits.bytes = 1 << 30
    return (try? JSONValue(parsing: bytes, limits: limits)) == value
}

/// No proper beginning of a closed document is a document.
private func isCutShort(_ text: [UInt8]) -> String? {
    guard let begin = text.first, [UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "\"")].contains(begin) else { return nil }
    for count in [text.count - 1, text.count / 2] where count < text.count {
        if (try? JSONValue(parsing: Array(text.prefix(count)))) != nil { return "\(count) of \(text.count) bytes were taken" }
    }
    return nil
}

/// Under tight limits it is refused, or it is the same; it is refused exactly when it passes one of them.
private func holdsLimits(_ bytes: [UInt8], _ value: JSONValue) -> String? {
    var limits = JSONLimits()
    limits.depth = 4
    limits.values = 12
    limits.numberLength = 6
    let fits = depth(value) <= 4 && count(value) <= 12 && longestNumber(value) <= 6
    let isHeld = if let read = try? JSONValue(parsing: bytes, limits: limits) { fits && read == value } else { !fits }
    return isHeld ? nil : "tight limits are not held"
}

private func depth(_ value: JSONValue) -> Int {
    switch value {
    case .array(let elements): 1 + (elements.map { depth($0) }.max() ?? 0)
    case .object(let object): 1 + (object.members.map { depth($0.value) }.max() ?? 0)
    default: 0
    }
}

private func count(_ value: JSONValue) -> Int {
    switch value {
    case .array(let elements): elements.reduce(1) { $0 + count($1) }
    case .object(let object): object.members.reduce(1) { $0 + count($1.value) }
    default: 1
    }
}

private func longestNumber(_ value: JSONValue) -> Int {
    switch value {
    case .number(let number): number.text.utf8.count
    case .array(let elements): elements.map { longestNumber($0) }.max() ?? 0
    case .object(let object): object.members.map { longestNumber($0.value) }.max() ?? 0
    default: 0
    }
}

/// A number means the same thing by all its readings.
private func numbersComplaint(_ value: JSONValue) -> String? {
    switch value {
    case .number(let number):
        let whole: Int64? = number.integer()
        let unsigned: UInt64? = number.integer()
        if let whole, let unsigned, Int64(exactly: unsigned) != whole { return "\(number.text) is \(whole) and \(unsigned)" }
        if let whole, number.double != Double(whole) { return "\(number.text) is \(whole) and another double" }
        let small: UInt8? = number.integer()
        if let small, whole != Int64(small) { return "\(number.text) is \(small) as a byte" }
        return nil
    case .array(let elements):
        for element in elements { if let complaint = numbersComplaint(element) { return complaint } }
    case .object(let object):
        for member in object.members { if let complaint = numbersComplaint(member.value) { return complaint } }
    default: break
    }
    return nil
}

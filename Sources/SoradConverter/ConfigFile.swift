// One JSON configuration file of a checkpoint, read with sentences: every value that is missing, of the wrong kind or out of range is
// named with its file. Ranges are given at every call, because these numbers size everything that follows.
import SoradModelFile
package import SoradSystem

package struct ConfigFile: Sendable {
    package let path: String
    private let json: JSONValue

    /// A configuration that stands in no file; errors call it `name`.
    package init(_ object: JSONObject, name: String) {
        path = name
        json = .object(object)
    }

    init(_ path: String) throws(SoradError) {
        self.path = path
        json = try JSONValue(file: path)
        guard case .object = json else { throw SoradError(.badInput, "\(path) is no JSON object") }
    }

    /// Whether `key` is there and not null.
    package func has(_ key: String) -> Bool {
        switch json[key] {
        case nil, .null: false
        default: true
        }
    }

    package func integer(_ key: String, in range: ClosedRange<Int>, default fallback: Int? = nil) throws(SoradError) -> Int {
        if let fallback, !has(key) { return fallback }
        guard let value = json[key]?.wholeNumber else { throw wrong(key, "a whole number") }
        guard range.contains(value) else {
            throw SoradError(.badInput, "\(path): \(key) is \(value), outside \(range.lowerBound)…\(range.upperBound)")
        }
        return value
    }

    package func number(_ key: String, in range: ClosedRange<Double>, default fallback: Double? = nil) throws(SoradError) -> Float {
        if let fallback, !has(key) { return Float(fallback) }
        guard let value = json[key]?.double else { throw wrong(key, "a number") }
        guard range.contains(value) else {
            throw SoradError(.badInput, "\(path): \(key) is \(value), outside \(range.lowerBound)…\(range.upperBound)")
        }
        return Float(value)
    }

    package func string(_ key: String, default fallback: String? = nil) throws(SoradError) -> String {
        if let fallback, !has(key) { return fallback }
        guard let value = json[key]?.string else { throw wrong(key, "a text") }
        return value
    }

    package func bool(_ key: String, default fallback: Bool? = nil) throws(SoradError) -> Bool {
        if let fallback, !has(key) { return fallback }
        guard let value = json[key]?.bool else { throw wrong(key, "true or false") }
        return value
    }

    package func integers(_ key: String, count: ClosedRange<Int>, in range: ClosedRange<Int>) throws(SoradError) -> [Int] {
        let values = try list(key, count).map(\.wholeNumber)
        guard !values.contains(where: { $0 == nil || !range.contains($0 ?? 0) }) else {
            throw wrong(key, "a list of whole numbers from \(range.lowerBound) to \(range.upperBound)")
        }
        return values.compactMap(\.self)
    }

    package func strings(_ key: String, count: ClosedRange<Int>) throws(SoradError) -> [String] {
        try list(key, count).map { value throws(SoradError) in
            guard let text = value.string else { throw wrong(key, "texts") }
            return text
        }
    }

    package func bools(_ key: String, count: Int) throws(SoradError) -> [Bool] {
        let values = try list(key, count...count).compactMap(\.bool)
        guard values.count == count else { throw wrong(key, "a list of \(count) times true or false") }
        return values
    }

    package func numbers(_ key: String, count: Int, in range: ClosedRange<Double>) throws(SoradError) -> [Float] {
        try numbers(key, count: count...count, in: range)
    }

    package func numbers(_ key: String, count: ClosedRange<Int>, in range: ClosedRange<Double>) throws(SoradError) -> [Float] {
        let all = try list(key, count)
        let values = all.compactMap(\.double).filter(range.contains)
        guard values.count == all.count else {
            throw wrong(key, "a list of \(all.count) numbers from \(range.lowerBound) to \(range.upperBound)")
        }
        return values.map { Float($0) }
    }

    /// Whether `key` is there with anything but null, in a list too: diffusers writes a missing network as [null, null].
    package func isSet(_ key: String) -> Bool { json[key]?.array.map { $0.contains { $0 != .null } } ?? has(key) }

    /// Refuses the file unless `key` is one of `values`.
    package func require(_ key: String, oneOf values: [String], default fallback: String? = nil) throws(SoradError) {
        let value = try string(key, default: fallback)
        guard values.contains(value) else {
            throw SoradError(
                .badInput,
                "\(path): \(key) is \"\(value)\", and only \(values.map { "\"\($0)\"" }.joined(separator: " or ")) can be converted")
        }
    }

    /// Which of `values` the text under `key` is.
    /// - Throws: `.badInput` where it is none of them.
    package func choice(_ key: String, of values: [String], default fallback: String? = nil) throws(SoradError) -> Int {
        try require(key, oneOf: values, default: fallback)
        let value = try string(key, default: fallback)
        guard let index = values.firstIndex(of: value) else { preconditionFailure("\(path): \(key) is \(value)") }
        return index
    }

    private func list(_ key: String, _ count: ClosedRange<Int>) throws(SoradError) -> [JSONValue] {
        guard let values = json[key]?.array else { throw wrong(key, "a list") }
        guard count.contains(values.count) else {
            let wanted = count.count == 1 ? "\(count.lowerBound)" : "\(count.lowerBound) to \(count.upperBound)"
            throw SoradError(.badInput, "\(path): \(key) has \(values.count) entries, and \(wanted) belong there")
        }
        return values
    }

    private func wrong(_ key: String, _ wanted: String) -> SoradError {
        SoradError(
            .badInput, "\(path): \(key) is \(json[key] == nil ? "missing" : "not \(wanted)")",
            hint: json[key] == nil ? "it must be \(wanted)" : nil)
    }
}

// The metadata of one model file and the typed, range-checked way to read it. A missing key, a wrong type and a value out of range each
// get a sentence with the file's name and the key, so that whoever loads a model need not write them.
public import SoradSystem

/// Keys and values in file order; keys are unique.
public struct Metadata: Sendable {
    /// Where it was read from; only for messages.
    public let path: String
    public let entries: [(key: String, value: MetadataValue)]
    private let index: [String: Int]

    /// `entries` must have unique keys; the reader and the writer check it.
    package init(path: String, entries: [(key: String, value: MetadataValue)]) {
        self.path = path
        self.entries = entries
        index = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.key, $0) })
    }

    public subscript(key: String) -> MetadataValue? { index[key].map { entries[$0].value } }
    public func contains(_ key: String) -> Bool { index[key] != nil }

    public func string(_ key: String) throws(SoradError) -> String {
        guard case .string(let value) = try required(key) else { throw wrongType(key, "a string") }
        return value
    }

    /// An integer of any GGUF integer type, within `range`.
    public func integer(_ key: String, in range: ClosedRange<Int> = 0...Int(Int32.max)) throws(SoradError) -> Int {
        guard let value = try required(key).integer else { throw wrongType(key, "an integer") }
        return try checked(value, key, range)
    }

    /// A finite float.
    public func float(_ key: String) throws(SoradError) -> Float {
        guard case .float32(let value) = try required(key) else { throw wrongType(key, "a 32-bit float") }
        guard value.isFinite else { throw SoradError(.badInput, "\(path): \(key) is \(value), not a finite number") }
        return value
    }

    public func bool(_ key: String) throws(SoradError) -> Bool {
        guard case .bool(let value) = try required(key) else { throw wrongType(key, "a boolean") }
        return value
    }

    public func strings(_ key: String) throws(SoradError) -> [String] {
        guard case .strings(let values) = try required(key) else { throw wrongType(key, "an array of strings") }
        return values
    }

    /// An array of u32, i32 or u8, each within `range`.
    public func integers(_ key: String, in range: ClosedRange<Int> = 0...Int(Int32.max)) throws(SoradError) -> [Int] {
        let values: [Int]
        switch try required(key) {
        case .uint32s(let array): values = array.map { Int($0) }
        case .int32s(let array): values = array.map { Int($0) }
        case .uint8s(let array): values = array.map { Int($0) }
        default: throw wrongType(key, "an array of integers")
        }
        for value in values { _ = try checked(value, key, range) }
        return values
    }

    /// An array of finite floats.
    public func floats(_ key: String) throws(SoradError) -> [Float] {
        guard case .float32s(let values) = try required(key) else { throw wrongType(key, "an array of 32-bit floats") }
        guard values.allSatisfy(\.isFinite) else { throw SoradError(.badInput, "\(path): \(key) holds a number that is not finite") }
        return values
    }

    public func bools(_ key: String) throws(SoradError) -> [Bool] {
        guard case .bools(let values) = try required(key) else { throw wrongType(key, "an array of booleans") }
        return values
    }

    /// An array of u8.
    public func bytes(_ key: String) throws(SoradError) -> [UInt8] {
        guard case .uint8s(let values) = try required(key) else { throw wrongType(key, "an array of bytes") }
        return values
    }

    private func required(_ key: String) throws(SoradError) -> MetadataValue {
        guard let value = self[key] else { throw SoradError(.badInput, "\(path) has no metadata key \(key)") }
        return value
    }

    private func wrongType(_ key: String, _ wanted: String) -> SoradError {
        SoradError(.badInput, "\(path): \(key) is \(self[key]?.typeName ?? "absent"), not \(wanted)")
    }

    private func checked(_ value: Int, _ key: String, _ range: ClosedRange<Int>) throws(SoradError) -> Int {
        guard range.contains(value) else {
            throw SoradError(.badInput, "\(path): \(key) is \(value), outside \(range.lowerBound)…\(range.upperBound)")
        }
        return value
    }
}

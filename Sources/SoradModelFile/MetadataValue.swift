// The values that GGUF metadata can hold, with their type numbers in the file.

/// Type numbers of metadata values (GGUF specification, `gguf_metadata_value_type`).
enum MetadataType: UInt32 {
    case uint8 = 0, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

    /// The fewest bytes that one value takes in the file: bounds how many can follow before anything is allocated.
    var leastSize: Int {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64, .string: 8
        case .array: 12
        }
    }
}

/// One metadata value. Arrays of arrays, and arrays of element types that no known model file uses, are refused by the reader.
public enum MetadataValue: Sendable, Equatable {
    case uint8(UInt8), int8(Int8), uint16(UInt16), int16(Int16), uint32(UInt32), int32(Int32), uint64(UInt64), int64(Int64)
    case float32(Float), float64(Double), bool(Bool), string(String)
    case uint8s([UInt8]), int32s([Int32]), uint32s([UInt32]), float32s([Float]), bools([Bool]), strings([String])

    /// The value as an integer, if it is one and fits.
    public var integer: Int? {
        switch self {
        case .uint8(let value): Int(value)
        case .int8(let value): Int(value)
        case .uint16(let value): Int(value)
        case .int16(let value): Int(value)
        case .uint32(let value): Int(value)
        case .int32(let value): Int(value)
        case .uint64(let value): Int(exactly: value)
        case .int64(let value): Int(value)
        default: nil
        }
    }

    /// What it is, for people: "u32", "[f32] × 48".
    public var typeName: String {
        switch self {
        case .uint8: "u8"
        case .int8: "i8"
        case .uint16: "u16"
        case .int16: "i16"
        case .uint32: "u32"
        case .int32: "i32"
        case .uint64: "u64"
        case .int64: "i64"
        case .float32: "f32"
        case .float64: "f64"
        case .bool: "bool"
        case .string: "string"
        case .uint8s(let values): "[u8] × \(values.count)"
        case .int32s(let values): "[i32] × \(values.count)"
        case .uint32s(let values): "[u32] × \(values.count)"
        case .float32s(let values): "[f32] × \(values.count)"
        case .bools(let values): "[bool] × \(values.count)"
        case .strings(let values): "[string] × \(values.count)"
        }
    }
}

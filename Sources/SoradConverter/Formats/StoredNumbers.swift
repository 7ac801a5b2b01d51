// Numbers of the element types that safetensors and torch files share, as floats.
import SoradSystem

enum StoredNumbers {
    /// - Parameters:
    ///   - bytes: whole elements.
    ///   - type: as safetensors spells it.
    ///   - place: file and tensor, for the sentence.
    /// - Throws: `.badInput` for a type that holds no weights.
    static func floats(_ bytes: MappedRange, type: String, place: String) throws(SoradError) -> [Float] {
        switch type {
        case "F32": return elements(bytes, as: UInt32.self) { Float(bitPattern: $0) }
        case "BF16": return elements(bytes, as: UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
        case "F16": return elements(bytes, as: UInt16.self) { Float(Float16(bitPattern: $0)) }
        case "F64": return elements(bytes, as: UInt64.self) { Float(Double(bitPattern: $0)) }
        case "F8_E4M3":
            let values = Float8.e4m3
            return elements(bytes, as: UInt8.self) { values[Int($0)] }
        case "F8_E5M2":
            let values = Float8.e5m2
            return elements(bytes, as: UInt8.self) { values[Int($0)] }
        case "I8": return elements(bytes, as: UInt8.self) { Float(Int8(bitPattern: $0)) }
        case "I16": return elements(bytes, as: UInt16.self) { Float(Int16(bitPattern: $0)) }
        case "I32": return elements(bytes, as: UInt32.self) { Float(Int32(bitPattern: $0)) }
        case "I64": return elements(bytes, as: UInt64.self) { Float(Int64(bitPattern: $0)) }
        default: throw SoradError(.badInput, "\(place) is \(type), and weights of this type are not read")
        }
    }

    @inline(__always)
    private static func elements<T: FixedWidthInteger & BitwiseCopyable>(_ bytes: MappedRange, as: T.Type, _ convert: (T) -> Float)
        -> [Float]
    {
        let size = T.bitWidth / 8
        precondition(bytes.count % size == 0, "\(bytes.count) bytes are no elements of \(size)")
        let count = bytes.count / size
        // Billions of elements go through here: written in place, the loop is SIMD code.
        return bytes.withBytes { bytes in
            unsafe [Float](unsafeUninitializedCapacity: count) { floats, initialized in
                for i in 0..<count {
                    unsafe floats[i] = convert(T(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: i * size, as: T.self)))
                }
                initialized = count
            }
        }
    }
}

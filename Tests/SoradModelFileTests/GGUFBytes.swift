// Model files put together byte by byte, apart from the writer, so that reader and writer are compared with the format and not only with
// each other.

/// Bytes of a GGUF file, written down field by field.
struct RawGGUF {
    var bytes: [UInt8] = []

    mutating func u32(_ value: UInt32) {
        for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift))) }
    }
    mutating func u64(_ value: UInt64) {
        for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift))) }
    }
    mutating func text(_ text: [UInt8]) { u64(UInt64(text.count)); bytes += text }
    mutating func text(_ value: String) { text(Array(value.utf8)) }
    mutating func head(version: UInt32 = 3, tensors: UInt64, keys: UInt64) {
        bytes += Array("GGUF".utf8); u32(version); u64(tensors); u64(keys)
    }
    mutating func string(_ key: String, _ value: String) { text(key); u32(8); text(value) }
    mutating func number(_ key: String, _ value: UInt32) { text(key); u32(4); u32(value) }
    mutating func tensor(_ name: String, _ dims: [UInt64], type: UInt32 = 0, offset: UInt64 = 0) {
        text(name)
        u32(UInt32(dims.count))
        for dim in dims { u64(dim) }
        u32(type)
        u64(offset)
    }
    mutating func pad(to alignment: Int = 64) { while bytes.count % alignment != 0 { bytes.append(0) } }

    static let keys: UInt64 = 4

    /// A front with the keys that every model file has and `extra` others, up to the tensors; the checksum is made up.
    static func front(tensors: UInt64, extra: UInt64 = 0, alignment: UInt32 = 64, _ more: (inout RawGGUF) -> Void = { _ in }) -> RawGGUF {
        var file = RawGGUF()
        file.head(tensors: tensors, keys: keys + extra)
        file.string("general.architecture", "sorad-wan")
        file.number("sorad.format_version", 1)
        file.number("general.alignment", alignment)
        more(&file)
        file.string("sorad.integrity.sha256", String(repeating: "0", count: 64))
        return file
    }
}

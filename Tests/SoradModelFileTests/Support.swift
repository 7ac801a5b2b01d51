// What the tests of this folder share: a folder of their own, a fixed random generator, and model files put together byte by byte, apart
// from the writer, so that reader and writer are held against the format and not only against each other.
import Glibc
import SoradModelFile
import SoradSystem

/// A directory that goes away with the object.
final class TemporaryFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/sorad-file-tests-XXXXXX".utf8CString)
        guard unsafe template.withUnsafeMutableBufferPointer({ unsafe mkdtemp($0.baseAddress!) != nil }) else {
            throw SoradError(.unavailable, "cannot make a folder in /tmp")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { Self.remove(path) }

    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = path + "/" + name
        let descriptor = try FileDescriptor(opening: file, flags: O_WRONLY | O_CREAT | O_TRUNC)
        try descriptor.write(bytes)
        return file
    }

    func write(_ name: String, _ text: String) throws -> String { try write(name, Array(text.utf8)) }

    func makeFolder(_ name: String) -> String {
        unsafe _ = mkdir(path + "/" + name, 0o700)
        return path + "/" + name
    }

    /// Copies the tree at `source` to `name`, small files only.
    func copy(_ source: String, as name: String) throws -> String {
        let target = makeFolder(name)
        for entry in Self.entries(source) {
            var status = stat()
            unsafe _ = stat("\(source)/\(entry)", &status)
            if status.st_mode & S_IFMT == S_IFDIR {
                _ = try copy("\(source)/\(entry)", as: "\(name)/\(entry)")
            } else {
                _ = try write("\(name)/\(entry)", try read("\(source)/\(entry)"))
            }
        }
        return target
    }

    static func entries(_ path: String) -> [String] {
        var names: [String] = []
        guard let directory = unsafe opendir(path) else { return [] }
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        unsafe closedir(directory)
        return names.sorted()
    }

    private static func remove(_ path: String) {
        for entry in entries(path) { remove("\(path)/\(entry)") }
        unsafe _ = Glibc.remove(path)
    }
}

func read(_ path: String) throws -> [UInt8] { try MappedFile(path).bytes.array }

/// SplitMix64 with a fixed seed.
struct Random {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }

    /// About standard normal.
    mutating func normal() -> Float { (0..<12).reduce(Float(-6)) { sum, _ in sum + Float(next() >> 40) * 0x1p-24 } }
    mutating func normals(_ count: Int) -> [Float] { (0..<count).map { _ in normal() } }
}

/// ‖a − b‖ / ‖b‖
func relativeError(_ a: [Float], _ b: [Float]) -> Double {
    let lost = zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    return (lost / b.reduce(0.0) { $0 + Double($1) * Double($1) }).squareRoot()
}

/// The sentence of the error that `body` throws, or nil when it throws none.
func failure(_ body: () throws -> Void) -> SoradError? {
    do {
        try body()
        return nil
    } catch {
        return error as? SoradError
    }
}

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

// Reads one safetensors file: an 8-byte little-endian length, that many bytes of JSON, then the data.
//
// Invariant: tensors lie inside the file, one after the other without gap or overlap, and their sizes follow from type and shape; so a
// damaged or hostile header is refused before any data are read.
// Format: https://github.com/huggingface/safetensors
public import SoradSystem

/// One tensor of a checkpoint, still in the file.
public struct SafetensorsTensor: Sendable {
    public let name: String
    /// As the file spells it: "F32", "F16", "BF16", …
    public let dtype: String
    /// Slowest-varying dimension first, as in PyTorch.
    public let shape: [Int]
    public let bytes: MappedRange

    public var elementCount: Int { shape.reduce(1, *) }

    /// Elements `range` of the flattened tensor as floats.
    /// - Throws: `.badInput` when the type is none of F32, F16, BF16.
    public func floats(_ range: Range<Int>) throws(SoradError) -> [Float] {
        precondition(range.lowerBound >= 0 && range.upperBound <= elementCount, "elements \(range) of \(name), which has \(elementCount)")
        switch dtype {
        case "F32": return elements(range, as: UInt32.self) { Float(bitPattern: $0) }
        case "BF16": return elements(range, as: UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
        case "F16": return elements(range, as: UInt16.self) { Float(Float16(bitPattern: $0)) }
        default:
            throw SoradError(.badInput, "\(bytes.file.path): the tensor \(name) is \(dtype); only F32, F16 and BF16 weights are read")
        }
    }

    /// All elements as floats.
    public func floats() throws(SoradError) -> [Float] { try floats(0..<elementCount) }

    private func elements<T: FixedWidthInteger & BitwiseCopyable>(_ range: Range<Int>, as: T.Type, _ convert: (T) -> Float) -> [Float] {
        let size = T.bitWidth / 8
        return bytes.withBytes { bytes in
            unsafe [Float](unsafeUninitializedCapacity: range.count) { buffer, count in
                for i in 0..<range.count {
                    let raw = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: (range.lowerBound + i) * size, as: T.self)
                    unsafe buffer[i] = convert(T(littleEndian: raw))
                }
                count = range.count
            }
        }
    }
}

/// An opened safetensors file.
public struct SafetensorsFile: Sendable {
    public let path: String
    /// In the order of the data.
    public let tensors: [SafetensorsTensor]
    /// The texts of `__metadata__`.
    public let properties: [String: String]
    public let file: MappedFile

    static let headerLimit = 100_000_000
    static let tensorLimit = 1 << 20
    /// Bytes of one element. A file may hold tensors of other types: their sizes cannot be checked, and their elements are not read.
    package static let dtypes: [String: Int] = [
        "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4,
        "F32": 4,
        "U64": 8, "I64": 8, "F64": 8,
    ]

    /// Opens and checks a file.
    /// - Throws: `.notFound`, `.permission`, or `.badInput` with one sentence that names the file.
    public init(opening path: String) throws(SoradError) {
        let file = try MappedFile(path)
        let (headerSize, dataStart) = try Self.headerSize(file)
        let header = MappedRange(file: file, offset: 8, count: headerSize).array
        guard let members = try JSONValue(parsing: header, name: "the header of \(path)").object?.members else {
            throw Self.bad(path, "its header is no object")
        }
        var tensors: [SafetensorsTensor] = []
        for member in members where member.key != "__metadata__" {
            tensors.append(try Self.tensor(member.key, member.value, file, dataStart: dataStart))
        }
        tensors.sort { ($0.bytes.offset, $0.bytes.count) < ($1.bytes.offset, $1.bytes.count) }
        var end = dataStart
        for tensor in tensors {
            guard tensor.bytes.offset == end else {
                throw Self.bad(
                    path, "the data of \(tensor.name) begin at byte \(tensor.bytes.offset - dataStart) instead of \(end - dataStart)")
            }
            end += tensor.bytes.count
        }
        guard end == file.size else { throw Self.bad(path, "it has \(file.size - end) bytes after its last tensor") }
        self.path = path
        self.tensors = tensors
        properties =
            members.first { $0.key == "__metadata__" }?.value.object?.members.reduce(into: [:]) { $0[$1.key] = $1.value.string } ?? [:]
        self.file = file
    }

    public subscript(name: String) -> SafetensorsTensor? { tensors.first { $0.name == name } }

    private static func headerSize(_ file: MappedFile) throws(SoradError) -> (size: Int, dataStart: Int) {
        guard file.size >= 8 else { throw bad(file.path, "it has only \(file.size) bytes") }
        let raw = file.withBytes { bytes in UInt64(littleEndian: unsafe bytes.unsafeLoadUnaligned(as: UInt64.self)) }
        guard raw <= UInt64(headerLimit) else {
            throw bad(file.path, "it claims a header of \(raw) bytes; at most \(headerLimit) are possible")
        }
        let size = Int(raw)
        guard size <= file.size - 8 else { throw bad(file.path, "its header of \(size) bytes is cut short") }
        return (size, 8 + size)
    }

    private static func tensor(
        _ name: String, _ value: JSONValue, _ file: MappedFile, dataStart: Int
    ) throws(SoradError) -> SafetensorsTensor {
        guard let dtype = value["dtype"]?.string, (1...16).contains(dtype.utf8.count) else {
            throw bad(file.path, "the tensor \(name) has no usable dtype")
        }
        guard let shape = value["shape"]?.array?.map(\.wholeNumber), !shape.contains(where: { ($0 ?? -1) < 0 }), shape.count <= 8 else {
            throw bad(file.path, "the tensor \(name) has no usable shape")
        }
        guard let offsets = value["data_offsets"]?.array?.map(\.wholeNumber), offsets.count == 2, let start = offsets[0],
            let end = offsets[1],
            0 <= start, start <= end
        else { throw bad(file.path, "the tensor \(name) has no usable data_offsets") }
        guard end <= file.size - dataStart else {
            throw bad(file.path, "the data of \(name) end at byte \(end) of \(file.size - dataStart): the file is cut short or damaged")
        }
        let dims = shape.map { $0 ?? 0 }
        guard let count = checkedProduct(dims), let size = dtypes[dtype].map({ checkedProduct([count, $0]) }) ?? end - start,
            size == end - start
        else {
            throw bad(file.path, "the tensor \(name) of shape \(dims) and type \(dtype) has \(end - start) bytes")
        }
        return SafetensorsTensor(
            name: name, dtype: dtype, shape: dims, bytes: MappedRange(file: file, offset: dataStart + start, count: size))
    }

    private static func bad(_ path: String, _ what: String) -> SoradError {
        SoradError(.badInput, "\(path) is not a usable safetensors file: \(what)", hint: "fetch the file again")
    }
}

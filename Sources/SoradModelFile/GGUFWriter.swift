// Writes a GGUF v3 model file: first the front, then the tensors' data piece by piece, so that a model never has to fit into memory.
//
// Invariant: data arrive in the order of the plan and exactly fill it; the same input gives the same bytes; the path shows the file only
// when it is complete and durable, with its checksum in place.
public import SoradSystem
import SoradTensor

/// A model file being written.
public struct GGUFWriter: ~Copyable {
    private var file: AtomicFile
    private var sum = PiecewiseSHA256()
    private let tensors: [TensorDescription]
    private let checksumPosition: Int
    /// Tensors complete.
    private var done = 0
    /// Bytes of the current tensor so far.
    private var filled = 0

    /// Writes the front of the file.
    /// - Parameters:
    ///   - metadata: in the order they will have; `general.alignment` and the checksum are added here.
    ///   - tensors: in the order in which their data will come.
    /// - Throws: `.badInput` for names, dimensions or values that the reader would refuse; `.cannotCreate`, `.cannotWrite`.
    public init(
        _ path: String, metadata: [(key: String, value: MetadataValue)], tensors: [TensorDescription]
    ) throws(SoradError) {
        let front = try Self.front(metadata, tensors, path)
        file = try Self.begin(path, front.bytes)
        sum.update(front.bytes)
        checksumPosition = front.checksumPosition
        self.tensors = tensors
    }

    private static func begin(_ path: String, _ front: [UInt8]) throws(SoradError) -> AtomicFile {
        var file = try AtomicFile(path)
        try file.write(front)
        return file
    }

    private static func front(
        _ metadata: [(key: String, value: MetadataValue)], _ tensors: [TensorDescription], _ path: String
    ) throws(SoradError) -> (bytes: [UInt8], checksumPosition: Int) {
        var entries = metadata
        entries.append(("general.alignment", .uint32(UInt32(ModelFile.alignment))))
        entries.append((FileIntegrity.key, .string(FileIntegrity.placeholder)))
        try check(entries.map(\.key), tensors, path)
        var front = GGUFBytes()
        front.append(GGUFDirectory.magic)
        front.append(GGUFDirectory.version)
        front.append(UInt64(tensors.count))
        front.append(UInt64(entries.count))
        for (key, value) in entries {
            front.append(key)
            front.append(value)
        }
        let checksumPosition = front.bytes.count - FileIntegrity.digits
        var offset = 0
        for tensor in tensors {
            front.append(tensor, offset: offset)
            guard let size = tensor.byteCount else { preconditionFailure("unchecked tensor \(tensor)") }
            offset = aligned(offset + size, to: ModelFile.alignment)
        }
        front.append([UInt8](repeating: 0, count: aligned(front.bytes.count, to: ModelFile.alignment) - front.bytes.count))
        return (front.bytes, checksumPosition)
    }

    /// Appends the next bytes of `tensor`, which must be the first one in the plan that is not complete.
    public mutating func append(_ bytes: RawSpan, to tensor: String) throws(SoradError) {
        precondition(done < tensors.count && tensors[done].name == tensor, "data of \(tensor) out of order")
        guard let size = tensors[done].byteCount else { preconditionFailure("unchecked tensor \(tensor)") }
        precondition(bytes.byteCount <= size - filled, "\(filled) + \(bytes.byteCount) bytes for \(tensor), which has \(size)")
        sum.update(bytes)
        try file.write(bytes)
        filled += bytes.byteCount
        guard filled == size else { return }
        done += 1
        filled = 0
        try pad()
    }

    public mutating func append(_ bytes: [UInt8], to tensor: String) throws(SoradError) { try unsafe append(bytes.span.bytes, to: tensor) }
    public mutating func append(_ values: [Float], to tensor: String) throws(SoradError) {
        try unsafe append(values.span.bytes, to: tensor)
    }
    public mutating func append(_ values: [Int8], to tensor: String) throws(SoradError) { try unsafe append(values.span.bytes, to: tensor) }
    public mutating func append(_ values: [Int32], to tensor: String) throws(SoradError) {
        try unsafe append(values.span.bytes, to: tensor)
    }

    /// Fills in the checksum and makes the file durable and visible.
    /// - Returns: the checksum.
    public consuming func finish() throws(SoradError) -> String {
        precondition(done == tensors.count, "\(tensors.count - done) tensors have no data yet")
        let checksum = sum.finalize()
        try file.overwrite(Array(checksum.utf8), at: checksumPosition)
        try file.commit()
        return checksum
    }

    private mutating func pad() throws(SoradError) {
        let zeros = [UInt8](repeating: 0, count: aligned(file.count, to: ModelFile.alignment) - file.count)
        sum.update(zeros)
        try file.write(zeros)
    }

    /// The reader's own limits, applied to what is to be written: a file that cannot be read back must not come into being.
    private static func check(_ keys: [String], _ tensors: [TensorDescription], _ path: String) throws(SoradError) {
        func usable(_ name: String, _ limit: Int) -> Bool {
            (1...limit).contains(name.utf8.count) && name.utf8.allSatisfy { (0x21...0x7e).contains($0) }
        }
        for (names, limit) in [(keys, GGUFDirectory.keyLimit), (tensors.map(\.name), GGUFDirectory.nameLimit)] {
            var seen: Set<String> = []
            for name in names {
                guard usable(name, limit) else {
                    throw SoradError(.badInput, "\(path): \"\(name)\" cannot be a name of at most \(limit) characters in a model file")
                }
                guard seen.insert(name).inserted else { throw SoradError(.badInput, "\(path): the name \(name) would appear twice") }
            }
        }
        var total = 0
        for tensor in tensors {
            guard (1...4).contains(tensor.dims.count), tensor.dims.allSatisfy({ $0 >= 1 }), let size = tensor.byteCount, size < 1 << 50
            else {
                throw SoradError(.badInput, "\(path): the tensor \(tensor.name) cannot have the dimensions \(tensor.dims)")
            }
            total += size
        }
        guard total < 1 << 50, tensors.count <= GGUFDirectory.tensorLimit, keys.count <= GGUFDirectory.metadataLimit else {
            throw SoradError(
                .badInput, "\(path): \(tensors.count) tensors of \(total) bytes and \(keys.count) keys are too much for one model file")
        }
    }
}

/// `value` rounded up to a multiple of `step`.
func aligned(_ value: Int, to step: Int) -> Int { (value + step - 1) / step * step }

/// The front of the file in memory.
private struct GGUFBytes {
    var bytes: [UInt8] = []

    mutating func append(_ raw: [UInt8]) { bytes += raw }

    mutating func append(_ number: some FixedWidthInteger) {
        for shift in stride(from: 0, to: number.bitWidth, by: 8) { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    mutating func append(_ text: String) {
        append(UInt64(text.utf8.count))
        bytes += text.utf8
    }

    mutating func append(_ tensor: TensorDescription, offset: Int) {
        append(tensor.name)
        append(UInt32(tensor.dims.count))
        for dim in tensor.dims { append(UInt64(dim)) }
        append(tensor.type.ggufNumber)
        append(UInt64(offset))
    }

    mutating func append(_ value: MetadataValue) {
        switch value {
        case .uint8(let x): append(MetadataType.uint8.rawValue); append(x)
        case .int8(let x): append(MetadataType.int8.rawValue); append(x)
        case .uint16(let x): append(MetadataType.uint16.rawValue); append(x)
        case .int16(let x): append(MetadataType.int16.rawValue); append(x)
        case .uint32(let x): append(MetadataType.uint32.rawValue); append(x)
        case .int32(let x): append(MetadataType.int32.rawValue); append(x)
        case .uint64(let x): append(MetadataType.uint64.rawValue); append(x)
        case .int64(let x): append(MetadataType.int64.rawValue); append(x)
        case .float32(let x): append(MetadataType.float32.rawValue); append(x.bitPattern)
        case .float64(let x): append(MetadataType.float64.rawValue); append(x.bitPattern)
        case .bool(let x): append(MetadataType.bool.rawValue); append(UInt8(x ? 1 : 0))
        case .string(let x): append(MetadataType.string.rawValue); append(x)
        case .uint8s(let x): append(array: .uint8, x.count); append(x)
        case .int32s(let x): append(array: .int32, x.count); for element in x { append(element) }
        case .uint32s(let x): append(array: .uint32, x.count); for element in x { append(element) }
        case .float32s(let x): append(array: .float32, x.count); for element in x { append(element.bitPattern) }
        case .bools(let x): append(array: .bool, x.count); for element in x { append(UInt8(element ? 1 : 0)) }
        case .strings(let x): append(array: .string, x.count); for element in x { append(element) }
        }
    }

    private mutating func append(array type: MetadataType, _ count: Int) {
        append(MetadataType.array.rawValue)
        append(type.rawValue)
        append(UInt64(count))
    }
}

// Writes a GGUF v3 model file piece by piece, so that a model never has to fit into memory. The front is written first where it is known; a
// conversion, which learns the form of a tensor when it writes it, sets space aside for the longest front that it expects and fills it at
// the end: `sorad.reserved` are the zeros that are left of it. Behind a longer one the data are copied to another place.
//
// Invariant: data arrive in the order of the plan and exactly fill it; the same input gives the same bytes; the path shows the file only
// when it is complete and durable, with its checksum in place.
public import SoradSystem
import SoradTensor

/// A model file being written.
public struct GGUFWriter: ~Copyable {
    private var file: AtomicFile
    private let frontSize: Int
    /// The first pieces of the file: of them the checksum is made when the front is there.
    private var head: [UInt8]
    private let headSize: Int
    /// Of what is behind them.
    private var rest = PiecewiseSHA256()
    private var metadata: [(key: String, value: MetadataValue)]
    private var tensors: [TensorDescription]
    /// Tensors complete.
    private var done = 0
    /// Bytes of the current tensor so far.
    private var filled = 0
    /// Bytes of the file so far, the front included.
    private var size = 0
    private var isBegun = false
    private let isResumable: Bool
    /// Of the group of tensors that is being written.
    private var group = SHA256()

    /// Begins a file whose tensors are known.
    /// - Parameters:
    ///   - metadata: in the order they will have; `general.alignment` and the checksum are added here.
    ///   - tensors: in the order in which their data will come.
    /// - Throws: `.badInput` for names, dimensions or values that the reader would refuse; `.cannotCreate`, `.cannotWrite`.
    public init(
        _ path: String, metadata: [(key: String, value: MetadataValue)], tensors: [TensorDescription]
    ) throws(SoradError) {
        let size = try Self.front(metadata, tensors, path).bytes.count
        file = try AtomicFile(path)
        self.metadata = metadata
        self.tensors = tensors
        isResumable = false
        frontSize = size
        head = Self.zeros(size)
        headSize = aligned(size, to: FileIntegrity.pieceSize)
    }

    /// Begins a file whose tensors are named with `add`, and its metadata with `finish`.
    /// - Parameters:
    ///   - metadata, tensors: as many, and with names as long, as are expected; their values do not matter. More of them cost a copy of the data.
    ///   - isResumable: keep what is written when the writer goes away, in `path`.partial.
    public init(
        _ path: String, longest metadata: [(key: String, value: MetadataValue)], _ tensors: [TensorDescription], isResumable: Bool
    ) throws(SoradError) {
        let size = try Self.front(metadata + [(Self.reserved, .uint8s([]))], tensors, path).bytes.count
        file = try AtomicFile(path, isResumable: isResumable)
        self.metadata = []
        self.tensors = []
        self.isResumable = isResumable
        frontSize = size
        head = Self.zeros(size)
        headSize = aligned(size, to: FileIntegrity.pieceSize)
    }

    /// Where a resumable file is until it is finished.
    public var partialPath: String { file.partialPath }

    /// Takes over the next tensors from what an earlier writer of a resumable file left; before any data.
    /// - Parameter sha256: what `endGroup` said of them.
    /// - Returns: false where the file has other bytes there; nothing behind that place can be taken over.
    public mutating func takeOver(_ descriptions: [TensorDescription], sha256: String) throws(SoradError) -> Bool {
        var (newHead, newRest, sum) = (head, rest, SHA256())
        var left = descriptions.reduce(0) { $0 + aligned($1.byteCount ?? 0, to: ModelFile.alignment) }
        var position = max(size, frontSize)
        while left > 0 {
            let bytes = try file.read(at: position, count: min(left, FileIntegrity.pieceSize))
            guard !bytes.isEmpty else { return false }
            sum.update(bytes)
            unsafe Self.take(bytes.span.bytes, &newHead, &newRest, headSize)
            left -= bytes.count
            position += bytes.count
        }
        guard SHA256.hexadecimal(sum.finalize()) == sha256 else { return false }
        (head, rest) = (newHead, newRest)
        tensors += descriptions
        done = tensors.count
        size = position
        return true
    }

    /// Begins to write: behind the front, or behind what was taken over. The first data do it too.
    public mutating func begin() throws(SoradError) {
        isBegun = true
        if isResumable { try file.resume(at: size) }
        guard size == 0 else { return }
        try file.write(head)
        size = frontSize
    }

    /// Sets space aside for a file of as many bytes of tensors, and their front.
    /// - Throws: `.storageFull` where the disk has less.
    public func reserve(_ bytes: Int) throws(SoradError) { try file.reserve(frontSize + bytes) }

    /// Names the tensors whose data come next.
    public mutating func add(_ descriptions: [TensorDescription]) { tensors += descriptions }

    /// Appends the next bytes of `tensor`, which must be the first one in the plan that is not complete.
    public mutating func append(_ bytes: RawSpan, to tensor: String) throws(SoradError) {
        precondition(done < tensors.count && tensors[done].name == tensor, "data of \(tensor) out of order")
        guard let size = tensors[done].byteCount else { preconditionFailure("unchecked tensor \(tensor)") }
        precondition(bytes.byteCount <= size - filled, "\(filled) + \(bytes.byteCount) bytes for \(tensor), which has \(size)")
        try store(bytes)
        filled += bytes.byteCount
        guard filled == size else { return }
        done += 1
        filled = 0
        let zeros = [UInt8](repeating: 0, count: aligned(self.size, to: ModelFile.alignment) - self.size)
        try unsafe store(zeros.span.bytes)
    }

    public mutating func append(_ bytes: [UInt8], to tensor: String) throws(SoradError) { try unsafe append(bytes.span.bytes, to: tensor) }
    public mutating func append(_ values: [Float], to tensor: String) throws(SoradError) {
        try unsafe append(values.span.bytes, to: tensor)
    }
    public mutating func append(_ values: [Int8], to tensor: String) throws(SoradError) { try unsafe append(values.span.bytes, to: tensor) }
    public mutating func append(_ values: [Int32], to tensor: String) throws(SoradError) {
        try unsafe append(values.span.bytes, to: tensor)
    }

    /// Ends a group of tensors of a resumable file, which is then safe from the end of this process.
    /// - Returns: SHA-256 of their data, by which `takeOver` knows them.
    public mutating func endGroup() throws(SoradError) -> String {
        try file.flush()
        let sum = group
        group = SHA256()
        return SHA256.hexadecimal(sum.finalize())
    }

    /// Fills in the front and the checksum, and makes the file durable and visible.
    /// - Parameter metadata: of a file that was begun without.
    /// - Returns: the checksum.
    public consuming func finish(metadata late: [(key: String, value: MetadataValue)] = []) throws(SoradError) -> String {
        precondition(done == tensors.count, "\(tensors.count - done) tensors have no data yet")
        if !isBegun { try begin() }
        guard let front = try Self.front(metadata + late, tensors, file.path, size: frontSize) else { return try movedBack(late) }
        head.replaceSubrange(0..<frontSize, with: front.bytes)
        var sum = PiecewiseSHA256()
        sum.update(head)
        sum.append(rest)
        let checksum = sum.finalize()
        head.replaceSubrange(front.checksumPosition..<front.checksumPosition + FileIntegrity.digits, with: checksum.utf8)
        try file.overwrite(Array(head[..<frontSize]), at: 0)
        try file.commit()
        return checksum
    }

    /// Copies the data behind a front for which too little was set aside, into a file of its own: minutes of work are not lost to a wrong
    /// expectation.
    private consuming func movedBack(_ late: [(key: String, value: MetadataValue)]) throws(SoradError) -> String {
        try file.flush()
        var copy = try GGUFWriter(file.path, metadata: metadata + late, tensors: tensors)
        var position = frontSize
        for tensor in tensors {
            var left = tensor.byteCount ?? 0
            while left > 0 {
                let bytes = try file.read(at: position, count: min(left, FileIntegrity.pieceSize))
                guard !bytes.isEmpty else { throw SoradError(.cannotWrite, "cannot write \(file.path): its data are gone") }
                try copy.append(bytes, to: tensor.name)
                left -= bytes.count
                position += bytes.count
            }
            position = frontSize + aligned(position - frontSize, to: ModelFile.alignment)
        }
        let checksum = try copy.finish()
        if isResumable { removeFile(file.partialPath) }
        return checksum
    }

    private mutating func store(_ bytes: RawSpan) throws(SoradError) {
        if !isBegun { try begin() }
        Self.take(bytes, &head, &rest, headSize)
        if isResumable { group.update(bytes) }
        try file.write(bytes)
        size += bytes.byteCount
    }

    /// Takes bytes behind those before into the checksum.
    private static func take(_ bytes: RawSpan, _ head: inout [UInt8], _ rest: inout PiecewiseSHA256, _ headSize: Int) {
        let first = min(bytes.byteCount, headSize - head.count)
        if first > 0 { unsafe bytes.extracting(0..<first).withUnsafeBytes { unsafe head.append(contentsOf: $0) } }
        if first < bytes.byteCount { rest.update(bytes.extracting(first..<bytes.byteCount)) }
    }

    private static let reserved = "sorad.reserved"

    /// As long as it is.
    private static func front(
        _ metadata: [(key: String, value: MetadataValue)], _ tensors: [TensorDescription], _ path: String
    ) throws(SoradError) -> (bytes: [UInt8], checksumPosition: Int) {
        let plain = try unfilledFront(metadata, tensors, path)
        return (plain.bytes + zeros(aligned(plain.bytes.count, to: ModelFile.alignment) - plain.bytes.count), plain.checksumPosition)
    }

    /// Filled up to `size`; nil where it is longer.
    private static func front(
        _ metadata: [(key: String, value: MetadataValue)], _ tensors: [TensorDescription], _ path: String, size: Int
    ) throws(SoradError) -> (bytes: [UInt8], checksumPosition: Int)? {
        let plain = try front(metadata, tensors, path)
        if plain.bytes.count == size { return plain }
        let least = try unfilledFront(metadata + [(reserved, .uint8s([]))], tensors, path).bytes.count
        guard least <= size else { return nil }
        return try unfilledFront(metadata + [(reserved, .uint8s(zeros(size - least)))], tensors, path)
    }

    private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    private static func unfilledFront(
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
        return (front.bytes, checksumPosition)
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

// The cursor that walks the front of a GGUF file. Invariant: 0 ≤ offset ≤ count; every read first proves that its bytes are there.
import SoradSystem
import SoradTensor

struct GGUFParser {
    let path: String
    /// Bytes of the file.
    let count: Int
    let rules: GGUFRules
    private var offset = 0
    /// What is being read, for messages: "the header", "metadata key 3", …
    private var place = "the header"

    init(path: String, count: Int, rules: GGUFRules) {
        self.path = path
        self.count = count
        self.rules = rules
    }

    /// The front of a model file, and where its tensors lie.
    mutating func directory(_ bytes: RawSpan) throws(SoradError) -> GGUFDirectory {
        let front = try front(bytes)
        var infos: [(TensorDescription, offset: UInt64)] = []
        for tensor in front.tensors {
            guard let type = ElementType(ggufNumber: tensor.type) else {
                throw bad(
                    "has the tensor \(tensor.name) in the element type \(elementTypeName(tensor.type)); model files have F32, F16, BF16, I8, I32"
                )
            }
            infos.append((TensorDescription(name: tensor.name, type: type, dims: tensor.dims), tensor.offset))
        }
        return GGUFDirectory(
            metadata: front.metadata, tensors: try place(infos, alignment: front.alignment),
            alignment: front.alignment, lastStringPosition: front.lastStringPosition)
    }

    mutating func front(_ bytes: RawSpan) throws(SoradError) -> GGUFFront {
        guard count >= 4, try take(4, bytes) == GGUFDirectory.magic else {
            throw SoradError(.badInput, "\(path) is not a GGUF file: it does not begin with \"GGUF\"")
        }
        let version = try uint32(bytes)
        guard rules.versions.contains(version) else {
            throw bad("is GGUF version \(version), and only version \(rules.versions.upperBound) is read")
        }
        let tensorCount = try length(bytes, "tensors", limit: GGUFDirectory.tensorLimit, leastSize: 8 + 1 + 4 + 8 + 4 + 8)
        let metadataCount = try length(bytes, "metadata keys", limit: GGUFDirectory.metadataLimit, leastSize: 8 + 1 + 4 + 1)
        let (metadata, lastStringPosition) = try metadata(bytes, count: metadataCount)
        let alignment = try alignment(metadata)
        let tensors = try tensorInfos(bytes, count: tensorCount)
        return GGUFFront(
            metadata: metadata, tensors: tensors, alignment: alignment, dataStart: (offset + alignment - 1) / alignment * alignment,
            lastStringPosition: lastStringPosition)
    }

    // MARK: metadata

    private mutating func metadata(_ bytes: RawSpan, count: Int) throws(SoradError) -> (Metadata, lastString: Int?) {
        var entries: [(key: String, value: MetadataValue)] = []
        var seen: Set<String> = []
        var lastString: Int?
        for number in 0..<count {
            place = "metadata key \(number + 1) of \(count)"
            let key = try name(bytes, limit: GGUFDirectory.keyLimit)
            guard seen.insert(key).inserted else { throw bad("has the metadata key \(key) twice") }
            place = "metadata key \(key)"
            let type = try metadataType(bytes)
            lastString = type == .string ? offset + 8 : nil
            if let value = try value(bytes, type) { entries.append((key, value)) }
        }
        return (Metadata(path: path, entries: entries), lastString)
    }

    private mutating func metadataType(_ bytes: RawSpan) throws(SoradError) -> MetadataType {
        let number = try uint32(bytes)
        guard let type = MetadataType(rawValue: number) else { throw bad("has the unknown value type \(number) at \(place)") }
        return type
    }

    /// - Returns: nil for an array that the rules skip.
    private mutating func value(_ bytes: RawSpan, _ type: MetadataType) throws(SoradError) -> MetadataValue? {
        switch type {
        case .uint8: .uint8(try integer(bytes))
        case .int8: .int8(try integer(bytes))
        case .uint16: .uint16(try integer(bytes))
        case .int16: .int16(try integer(bytes))
        case .uint32: .uint32(try integer(bytes))
        case .int32: .int32(try integer(bytes))
        case .uint64: .uint64(try integer(bytes))
        case .int64: .int64(try integer(bytes))
        case .float32: .float32(Float(bitPattern: try integer(bytes)))
        case .float64: .float64(Double(bitPattern: try integer(bytes)))
        case .bool: .bool(try bool(bytes))
        case .string: .string(try string(bytes))
        case .array: try array(bytes)
        }
    }

    private mutating func array(_ bytes: RawSpan) throws(SoradError) -> MetadataValue? {
        let type = try metadataType(bytes)
        let count = try length(bytes, "array elements", limit: Int.max, leastSize: type.leastSize)
        switch type {
        case .uint8: return .uint8s(try take(count, bytes))
        case .int32: return .int32s(try values(count) { (self) throws(SoradError) in try self.integer(bytes) })
        case .uint32: return .uint32s(try values(count) { (self) throws(SoradError) in try self.integer(bytes) })
        case .float32: return .float32s(try values(count) { (self) throws(SoradError) in Float(bitPattern: try self.integer(bytes)) })
        case .bool: return .bools(try values(count) { (self) throws(SoradError) in try self.bool(bytes) })
        case .string: return .strings(try values(count) { (self) throws(SoradError) in try self.string(bytes) })
        case .int8, .uint16, .int16, .uint64, .int64, .float64:
            guard rules.skipsOtherArrays else { throw bad("has an array of \(type) at \(place), which no model file needs") }
            // The count was compared with the bytes that are left.
            offset += count * type.leastSize
            return nil
        case .array:
            throw bad("has an array of \(type) at \(place), which no model file needs")
        }
    }

    private mutating func values<T>(_ count: Int, _ read: (inout Self) throws(SoradError) -> T) throws(SoradError) -> [T] {
        var values: [T] = []
        values.reserveCapacity(count)
        for _ in 0..<count { values.append(try read(&self)) }
        return values
    }

    private func alignment(_ metadata: Metadata) throws(SoradError) -> Int {
        guard let value = metadata["general.alignment"] else { return GGUFDirectory.defaultAlignment }
        guard case .uint32(let number) = value, GGUFDirectory.alignments.contains(Int(number)), number.nonzeroBitCount == 1 else {
            throw bad("has an unusable general.alignment: it must be a u32, a power of two from 8 to 65536")
        }
        return Int(number)
    }

    // MARK: tensors

    private mutating func tensorInfos(_ bytes: RawSpan, count: Int) throws(SoradError) -> [GGUFFront.Tensor] {
        var infos: [GGUFFront.Tensor] = []
        var seen: Set<String> = []
        for number in 0..<count {
            place = "tensor \(number + 1) of \(count)"
            let name = try name(bytes, limit: rules.nameLimit)
            guard seen.insert(name).inserted else { throw bad("has the tensor \(name) twice") }
            place = "tensor \(name)"
            let rank = try uint32(bytes)
            guard (1...rules.rankLimit).contains(rank) else {
                throw bad("gives the tensor \(name) \(rank) dimensions; 1 to \(rules.rankLimit) are possible")
            }
            var dims: [Int] = []
            for _ in 0..<rank {
                let dim: UInt64 = try integer(bytes)
                guard let dim = Int(exactly: dim), dim >= 1 else { throw bad("gives the tensor \(name) a dimension of \(dim)") }
                dims.append(dim)
            }
            let type = try uint32(bytes)
            infos.append(GGUFFront.Tensor(name: name, dims: dims, type: type, offset: try integer(bytes)))
        }
        return infos
    }

    /// Turns offsets into positions, and holds them against the alignment, the file's end and each other.
    private func place(
        _ infos: [(TensorDescription, offset: UInt64)], alignment: Int
    ) throws(SoradError) -> [(description: TensorDescription, position: Int)] {
        let dataStart = (offset + alignment - 1) / alignment * alignment
        var placed: [(description: TensorDescription, position: Int)] = []
        var ranges: [(start: Int, end: Int, name: String)] = []
        for (tensor, offset) in infos {
            guard let size = tensor.byteCount, let offset = Int(exactly: offset),
                dataStart <= count, offset <= count - dataStart, size <= count - dataStart - offset
            else {
                throw bad("ends at byte \(count), before the tensor \(tensor.name) does: it is cut short or damaged")
            }
            guard offset % alignment == 0 else { throw bad("starts the tensor \(tensor.name) off the alignment of \(alignment) bytes") }
            placed.append((tensor, dataStart + offset))
            ranges.append((dataStart + offset, dataStart + offset + size, tensor.name))
        }
        ranges.sort { ($0.start, $0.end) < ($1.start, $1.end) }
        for (before, after) in zip(ranges, ranges.dropFirst()) where before.end > after.start {
            throw bad("lets the tensors \(before.name) and \(after.name) overlap")
        }
        let end = ranges.last?.end ?? offset
        guard count <= (end + alignment - 1) / alignment * alignment else { throw bad("has \(count - end) bytes after its last tensor") }
        return placed
    }

    // MARK: primitives

    /// A count from the file, of things that take at least `leastSize` bytes each.
    private mutating func length(_ bytes: RawSpan, _ what: String, limit: Int, leastSize: Int) throws(SoradError) -> Int {
        let number: UInt64 = try integer(bytes)
        guard number <= UInt64(limit) else { throw bad("claims \(number) \(what); at most \(limit) are possible") }
        guard number <= UInt64((count - offset) / leastSize) else {
            throw bad("claims \(number) \(what) at \(place), more than its \(count) bytes can hold: it is cut short or damaged")
        }
        return Int(number)
    }

    private mutating func name(_ bytes: RawSpan, limit: Int) throws(SoradError) -> String {
        let length = try length(bytes, "bytes of a name", limit: limit, leastSize: 1)
        let name = try take(length, bytes)
        guard length > 0, name.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw bad("has an empty name, or one with other than printable ASCII characters, at \(place)")
        }
        return String(decoding: name, as: UTF8.self)
    }

    private mutating func string(_ bytes: RawSpan) throws(SoradError) -> String {
        let length = try length(bytes, "bytes of text", limit: GGUFDirectory.stringLimit, leastSize: 1)
        guard let text = String(validating: try take(length, bytes), as: UTF8.self) else {
            throw bad("has text that is not UTF-8 at \(place)")
        }
        return text
    }

    private mutating func bool(_ bytes: RawSpan) throws(SoradError) -> Bool {
        let byte: UInt8 = try integer(bytes)
        guard byte <= 1 else { throw bad("has a boolean of \(byte) at \(place)") }
        return byte == 1
    }

    private mutating func uint32(_ bytes: RawSpan) throws(SoradError) -> UInt32 { try integer(bytes) }

    private mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_ bytes: RawSpan) throws(SoradError) -> T {
        let size = T.bitWidth / 8
        guard size <= count - offset else { throw bad("ends inside \(place): it is cut short") }
        defer { offset += size }
        return T(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
    }

    private mutating func take(_ length: Int, _ bytes: RawSpan) throws(SoradError) -> [UInt8] {
        guard length <= count - offset else { throw bad("ends inside \(place): it is cut short") }
        defer { offset += length }
        return unsafe bytes.extracting(offset..<(offset + length)).withUnsafeBytes { unsafe [UInt8]($0) }
    }

    private func bad(_ what: String) -> SoradError {
        SoradError(.badInput, "\(rules.file) \(path) \(what)", hint: "fetch or convert the file again")
    }
}

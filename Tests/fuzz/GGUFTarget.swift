// The GGUF target: what the reader makes of the front of a model file. The front has one way to be written, so writing what was read must
// give back the very bytes.
import SoradModelFile
import SoradSystem
import SoradTensor

func checkGGUF(_ bytes: [UInt8]) -> String? {
    let directory: GGUFDirectory
    do throws(SoradError) {
        directory = try unsafe GGUFDirectory(parsing: bytes.span.bytes, path: "input")
    } catch {
        let isSentence = error.kind == .badInput && error.message.contains("input")
        return isSentence ? nil : "the refusal does not name the file: \(error)"
    }
    return first(
        { placesComplaint(directory, bytes.count) },
        {
            let front = written(directory)
            return bytes.starts(with: front) ? nil : "what was written again differs from what was read"
        },
        { metadataComplaint(directory.metadata) })
}

/// Tensors lie inside the file, aligned and apart.
private func placesComplaint(_ directory: GGUFDirectory, _ fileSize: Int) -> String? {
    var end = 0
    for (tensor, position) in directory.tensors.sorted(by: { $0.position < $1.position }) {
        guard let size = tensor.byteCount, size >= 1, position >= end, position % directory.alignment == 0, position <= fileSize - size
        else {
            return "the tensor \(tensor.name) lies at \(position)"
        }
        end = position + size
    }
    return nil
}

/// Every typed reading of every key gives a value or a sentence.
private func metadataComplaint(_ metadata: Metadata) -> String? {
    let readings: [(String) throws -> Void] = [
        { _ = try metadata.string($0) },
        { _ = try metadata.integer($0) },
        { _ = try metadata.integer($0, in: -3...Int.max) },
        { _ = try metadata.float($0) },
        { _ = try metadata.bool($0) },
        { _ = try metadata.strings($0) },
        { _ = try metadata.integers($0) },
        { _ = try metadata.floats($0) },
        { _ = try metadata.bools($0) },
        { _ = try metadata.bytes($0) },
    ]
    for (key, value) in metadata.entries {
        if value.typeName.isEmpty { return "the type of \(key) has no name" }
        var taken = 0
        for reading in readings {
            do {
                try reading(key)
                taken += 1
            } catch {
                let isSentence = (error as? SoradError).map { $0.kind == .badInput && $0.message.contains(key) } ?? false
                if !isSentence { return "the refusal of \(key) says \(error)" }
            }
        }
        // Both readings of an integer, both of an array of bytes.
        if taken > 2 { return "\(key) can be read in \(taken) ways" }
    }
    return nil
}

// MARK: writing, after the specification and not with the project's own writer

private func written(_ directory: GGUFDirectory) -> [UInt8] {
    var bytes = Array("GGUF".utf8)
    bytes.add(3 as UInt32)
    bytes.add(UInt64(directory.tensors.count))
    bytes.add(UInt64(directory.metadata.entries.count))
    for (key, value) in directory.metadata.entries {
        bytes.add(key)
        bytes.add(value)
    }
    // The length of the list of tensors decides where their data begin.
    let listSize = directory.tensors.reduce(0) { $0 + 8 + $1.description.name.utf8.count + 4 + 8 * $1.description.dims.count + 4 + 8 }
    let dataStart = (bytes.count + listSize + directory.alignment - 1) / directory.alignment * directory.alignment
    for (tensor, position) in directory.tensors {
        bytes.add(tensor.name)
        bytes.add(UInt32(tensor.dims.count))
        for dim in tensor.dims { bytes.add(UInt64(dim)) }
        bytes.add(typeNumber(tensor.type))
        bytes.add(UInt64(position - dataStart))
    }
    return bytes
}

/// `ggml_type`
private func typeNumber(_ type: ElementType) -> UInt32 {
    switch type {
    case .f32: 0
    case .f16: 1
    case .i8: 24
    case .i32: 26
    case .bf16: 30
    }
}

extension [UInt8] {
    fileprivate mutating func add(_ number: some FixedWidthInteger) {
        for shift in stride(from: 0, to: number.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    fileprivate mutating func add(_ text: String) {
        add(UInt64(text.utf8.count))
        self += text.utf8
    }

    private mutating func add(array type: UInt32, _ count: Int) {
        add(9 as UInt32)
        add(type)
        add(UInt64(count))
    }

    /// Type number (`gguf_metadata_value_type`) and value.
    fileprivate mutating func add(_ value: MetadataValue) {
        switch value {
        case .uint8(let x): add(0 as UInt32); add(x)
        case .int8(let x): add(1 as UInt32); add(x)
        case .uint16(let x): add(2 as UInt32); add(x)
        case .int16(let x): add(3 as UInt32); add(x)
        case .uint32(let x): add(4 as UInt32); add(x)
        case .int32(let x): add(5 as UInt32); add(x)
        case .float32(let x): add(6 as UInt32); add(x.bitPattern)
        case .bool(let x): add(7 as UInt32); add(UInt8(x ? 1 : 0))
        case .string(let x): add(8 as UInt32); add(x)
        case .uint64(let x): add(10 as UInt32); add(x)
        case .int64(let x): add(11 as UInt32); add(x)
        case .float64(let x): add(12 as UInt32); add(x.bitPattern)
        case .uint8s(let x): add(array: 0, x.count); self += x
        case .uint32s(let x): add(array: 4, x.count); for element in x { add(element) }
        case .int32s(let x): add(array: 5, x.count); for element in x { add(element) }
        case .float32s(let x): add(array: 6, x.count); for element in x { add(element.bitPattern) }
        case .bools(let x): add(array: 7, x.count); for element in x { add(UInt8(element ? 1 : 0)) }
        case .strings(let x): add(array: 8, x.count); for element in x { add(element) }
        }
    }
}

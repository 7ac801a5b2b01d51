// Tensors of a GGUF checkpoint of others: dimensions reversed into PyTorch's order, blocks of quantized numbers to floats.
//
// Invariant: tensors lie inside the file and do not overlap, and their sizes follow from type and dimensions.
package import SoradModelFile
package import SoradSystem

package struct GGUFSource: StoredTensors {
    package let path: String
    package let metadata: Metadata
    private let tensors: [String: Tensor]

    private struct Tensor {
        let type: GGMLType?
        let typeName: String
        let shape: [Int]
        let bytes: MappedRange
    }

    /// - Throws: `.badInput` with one sentence about the file.
    package init(file path: String) throws(SoradError) {
        let file = try MappedFile(path)
        let front = try file.withBytes { (bytes) throws(SoradError) in try GGUFFront(checkpoint: bytes, path: path) }
        func bad(_ what: String) -> SoradError { SoradError(.badInput, "the GGUF file \(path) \(what)", hint: "fetch the file again") }
        var tensors: [String: Tensor] = [:]
        for tensor in front.tensors {
            guard let count = checkedProduct(tensor.dims) else { throw bad("gives the tensor \(tensor.name) an impossible size") }
            let type = GGMLType(rawValue: tensor.type)
            // Of a type that is not read, the size is not known either; such a tensor is refused when it is used.
            let size: Int
            if let type {
                guard tensor.dims[0] % type.elements == 0 else {
                    throw bad("has rows of \(tensor.dims[0]) in the tensor \(tensor.name), which are no blocks of \(type.name)")
                }
                guard count / type.elements <= file.size / type.bytes else { throw bad("ends before the tensor \(tensor.name) does") }
                size = count / type.elements * type.bytes
            } else {
                size = 0
            }
            guard let offset = Int(exactly: tensor.offset), front.dataStart <= file.size, offset <= file.size - front.dataStart,
                size <= file.size - front.dataStart - offset
            else { throw bad("ends before the tensor \(tensor.name) does: it is cut short or damaged") }
            guard offset % front.alignment == 0 else { throw bad("starts the tensor \(tensor.name) off its alignment") }
            tensors[tensor.name] = Tensor(
                type: type, typeName: GGMLType.name(ofNumber: tensor.type), shape: try Self.shape(tensor, count, front.metadata),
                bytes: MappedRange(file: file, offset: front.dataStart + offset, count: size))
        }
        var end = 0
        for (name, tensor) in tensors.sorted(by: {
            ($0.value.bytes.offset, $0.value.bytes.count) < ($1.value.bytes.offset, $1.value.bytes.count)
        })
        where tensor.bytes.count > 0 {
            guard tensor.bytes.offset >= end else { throw bad("lets the tensor \(name) overlap another") }
            end = tensor.bytes.offset + tensor.bytes.count
        }
        self.path = path
        self.metadata = front.metadata
        self.tensors = tensors
    }

    /// PyTorch order. Writers that had to fold or flatten a tensor note its shape, sometimes of its bytes instead of its elements.
    private static func shape(_ tensor: GGUFFront.Tensor, _ count: Int, _ metadata: Metadata) throws(SoradError) -> [Int] {
        let key = "comfy.gguf.orig_shape.\(tensor.name)"
        guard metadata.contains(key), let noted = try? metadata.integers(key), checkedProduct(noted) == count, noted.count <= 8 else {
            return tensor.dims.reversed()
        }
        return noted
    }

    package var names: [String] { Array(tensors.keys) }
    package func shape(of name: String) -> [Int]? { tensors[name]?.shape }
    package func elementType(of name: String) -> String { tensors[name]?.typeName ?? "" }
    package func range(of name: String) -> MappedRange? { tensors[name]?.bytes }

    package var properties: [String: String] {
        metadata.entries.reduce(into: [:]) { if case .string(let text) = $1.value { $0[$1.key] = text } }
    }

    package func floats(of name: String, in range: Range<Int>) throws(SoradError) -> [Float] {
        guard let tensor = tensors[name] else { preconditionFailure("\(path) has no tensor \(name)") }
        guard let type = tensor.type else {
            throw SoradError(
                .badInput, "\(path): the tensor \(name) is \(tensor.typeName), and weights of this type are not read",
                hint: "types that are read: \(GGMLType.allCases.map(\.name).joined(separator: ", "))")
        }
        if range.isEmpty { return [] }
        // Whole blocks around the range.
        let (first, last) = (range.lowerBound / type.elements, (range.upperBound - 1) / type.elements)
        let data = MappedRange(
            file: tensor.bytes.file, offset: tensor.bytes.offset + first * type.bytes, count: (last - first + 1) * type.bytes)
        let values = type.floats(data.array)
        let start = range.lowerBound - first * type.elements
        return start == 0 && values.count == range.count ? values : Array(values[start..<start + range.count])
    }
}

// Tensors of a file that `torch.save` wrote: a zip archive with a pickle that describes them and an entry for each storage. Nothing of the
// pickle is executed, see Pickle.swift.
import SoradModelFile
package import SoradSystem

package struct TorchSource: StoredTensors {
    package let path: String
    package let properties: [String: String] = [:]
    private let tensors: [String: Tensor]

    private struct Tensor {
        let type: String
        let shape: [Int]
        let bytes: MappedRange
    }

    private static let elementSizes = [
        "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
    ]
    private static let pickleLimit = 64 << 20
    private static let depthLimit = 8

    /// - Throws: `.badInput` with one sentence about the file.
    package init(file path: String) throws(SoradError) {
        let file = try MappedFile(path)
        let archive = try ZipDirectory(file)
        let suffix = "/data.pkl"
        let pickles = archive.entries.keys.filter { $0.hasSuffix(suffix) }
        guard pickles.count == 1, let name = pickles.first, let bytes = archive.entries[name], bytes.count <= Self.pickleLimit else {
            throw SoradError(.badInput, "\(path) is a zip archive, but not one that torch.save wrote: it has no data.pkl of a usable size")
        }
        let folder = String(name.dropLast(suffix.count))
        if let order = archive.entries[folder + "/byteorder"], order.array != Array("little".utf8) {
            throw SoradError(.badInput, "\(path) holds big-endian numbers, which are not read")
        }
        let pickle = try Pickle(bytes.array, place: "the pickle of \(path)")
        var tensors: [String: Tensor] = [:]
        var open: [(prefix: String, number: Int, depth: Int)] = []
        if case .dictionary(let root) = pickle.root { open.append(("", root, 0)) }
        var opened: Set<Int> = []
        while let (prefix, number, depth) = open.popLast() {
            // A dictionary may be in itself, or in many places.
            guard opened.insert(number).inserted else { continue }
            for (key, value) in pickle.dictionaries[number] {
                guard case .text(let key) = key else { continue }
                switch value {
                case .tensor(let described):
                    let tensor = try Self.tensor(described, archive, folder, path, prefix + key)
                    guard tensors.updateValue(tensor, forKey: prefix + key) == nil else {
                        throw SoradError(.badInput, "\(path) has the tensor \(prefix + key) twice")
                    }
                case .dictionary(let inner):
                    guard depth < Self.depthLimit else { throw SoradError(.badInput, "\(path) nests its tensors too deeply") }
                    open.append(("\(prefix)\(key).", inner, depth + 1))
                default: continue
                }
            }
        }
        guard !tensors.isEmpty else { throw SoradError(.badInput, "\(path) holds no dictionary of tensors") }
        self.path = path
        self.tensors = tensors
    }

    private static func tensor(_ described: PickledTensor, _ archive: ZipDirectory, _ folder: String, _ path: String, _ name: String)
        throws(SoradError) -> Tensor
    {
        func bad(_ what: String) -> SoradError {
            SoradError(.badInput, "\(path): the tensor \(name) \(what)", hint: "fetch the file again")
        }
        guard let size = elementSizes[described.type], let entry = archive.entries["\(folder)/data/\(described.storage.key)"] else {
            throw bad("lies in a storage that the archive does not hold")
        }
        let storageSize = described.storage.type.isEmpty ? 1 : size
        guard described.storage.count <= entry.count / storageSize else { throw bad("lies in a storage that is cut short") }
        guard let count = checkedProduct(described.shape), count <= entry.count / size, described.offset <= entry.count / size - count
        else {
            throw bad("of shape \(described.shape) lies outside its storage")
        }
        var stride = 1
        for (dim, step) in Array(zip(described.shape, described.strides)).reversed() where count > 0 {
            guard dim == 1 || step == stride else { throw bad("is not contiguous: its strides are \(described.strides)") }
            stride *= dim
        }
        return Tensor(
            type: described.type, shape: described.shape,
            bytes: MappedRange(file: entry.file, offset: entry.offset + described.offset * size, count: count * size))
    }

    package var names: [String] { Array(tensors.keys) }
    package func shape(of name: String) -> [Int]? { tensors[name]?.shape }
    package func elementType(of name: String) -> String { tensors[name]?.type ?? "" }
    package func range(of name: String) -> MappedRange? { tensors[name]?.bytes }

    package func floats(of name: String, in range: Range<Int>) throws(SoradError) -> [Float] {
        guard let tensor = tensors[name], let size = Self.elementSizes[tensor.type] else {
            preconditionFailure("\(path) has no tensor \(name)")
        }
        let bytes = MappedRange(file: tensor.bytes.file, offset: tensor.bytes.offset + range.lowerBound * size, count: range.count * size)
        return try StoredNumbers.floats(bytes, type: tensor.type, place: "\(path): the tensor \(name)")
    }
}

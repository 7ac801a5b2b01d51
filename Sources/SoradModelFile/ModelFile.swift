// One sorad model file, opened: mapped, validated once, and from then on trusted. docs/MODEL_FILE.md describes the format.
//
// Invariant: every `TensorView` lies inside the mapping and is aligned to 64 bytes; with `verify`, the bytes are those that were written.
public import SoradSystem
public import SoradTensor

/// One tensor in a mapped file.
public struct TensorView: Sendable {
    public let name: String
    public let type: ElementType
    /// Fastest-varying dimension first.
    public let dims: [Int]
    /// The data; keeps the mapping alive.
    public let bytes: MappedRange

    /// Product of `dims`.
    public var elementCount: Int { bytes.count / type.byteSize }
}

/// A validated model file.
public final class ModelFile: Sendable {
    /// What the architectures of all families begin with.
    public static let architecturePrefix = "sorad-"
    public static let formatVersion = 1
    /// Every tensor starts on a multiple of this many bytes.
    public static let alignment = 64

    public let path: String
    public let file: MappedFile
    public let metadata: Metadata
    /// In file order.
    public let tensors: [TensorView]
    /// The checksum that the file carries: 64 lower-case hexadecimal digits. Also the model's public hash.
    public let sha256: String
    private let index: [String: Int]

    /// Opens and checks a model file.
    /// - Parameters:
    ///   - verify: also read the whole file and compare its checksum; leave it off only to inspect a damaged file.
    ///   - verified: `FileIdentity.text` of a state whose contents were compared before: a file that is still in it is not read again.
    ///   - meanwhile: called now and then while the file is read.
    /// - Throws: `.notFound`, `.permission`, or `.badInput` with one sentence that names the file.
    public init(
        opening path: String, verify: Bool = true, verified: String? = nil, meanwhile: () -> Void = {}
    ) throws(SoradError) {
        let file = try MappedFile(path)
        if let foreign = file.withBytes({ ForeignFile($0) }) { throw SoradError(.badInput, "\(path) \(foreign.what)", hint: foreign.hint) }
        let directory = try file.withBytes { (bytes) throws(SoradError) in try GGUFDirectory(parsing: bytes, path: path) }
        let metadata = directory.metadata
        let found = try metadata.string("general.architecture")
        guard found.hasPrefix(Self.architecturePrefix) else {
            throw SoradError(
                .badInput, "\(path) holds a model of the architecture \"\(found)\", not one of sorad's, such as \"sorad-wan\"",
                hint: "convert a published checkpoint with sorad-quantize")
        }
        let version = try metadata.integer("sorad.format_version")
        guard version == Self.formatVersion else {
            throw SoradError(
                .badInput, "\(path) has the sorad format version \(version), and this program reads version \(Self.formatVersion)",
                hint: "use the sorad-quantize that belongs to this program")
        }
        guard directory.alignment % Self.alignment == 0 else {
            throw SoradError(.badInput, "\(path) aligns its tensors to \(directory.alignment) bytes, and \(Self.alignment) are needed")
        }
        sha256 = try Self.checkIntegrity(file, directory, verify: verify && file.state.text != verified, meanwhile)
        self.path = path
        self.file = file
        self.metadata = metadata
        tensors = directory.tensors.map { tensor, position in
            guard let size = tensor.byteCount else { preconditionFailure("unchecked tensor \(tensor)") }
            return TensorView(
                name: tensor.name, type: tensor.type, dims: tensor.dims,
                bytes: MappedRange(file: file, offset: position, count: size))
        }
        index = Dictionary(uniqueKeysWithValues: tensors.enumerated().map { ($1.name, $0) })
    }

    public subscript(name: String) -> TensorView? { index[name].map { tensors[$0] } }

    /// The tensor `name`, which must be there.
    public func tensor(_ name: String) throws(SoradError) -> TensorView {
        guard let tensor = self[name] else { throw SoradError(.badInput, "\(path) has no tensor \(name)") }
        return tensor
    }

    public func tensor(_ name: String, _ types: ElementType..., dims: [Int]) throws(SoradError) -> TensorView {
        try tensor(name, types, dims: dims)
    }

    /// The tensor `name`, which must be there with one of `types` and exactly `dims` (fastest first).
    public func tensor(_ name: String, _ types: [ElementType], dims: [Int]) throws(SoradError) -> TensorView {
        let tensor = try tensor(name)
        guard types.contains(tensor.type) else {
            throw SoradError(
                .badInput, "\(path): the tensor \(name) is \(tensor.type), not \(types.map(\.rawValue).joined(separator: " or "))")
        }
        guard tensor.dims == dims else {
            throw SoradError(.badInput, "\(path): the tensor \(name) has the dimensions \(tensor.dims), and its metadata ask for \(dims)")
        }
        return tensor
    }

    /// Bytes of the tensors whose names begin with `prefix`.
    public func byteCount(below prefix: String) -> Int {
        tensors.reduce(0) { $0 + ($1.name.hasPrefix(prefix) ? $1.bytes.count : 0) }
    }

    /// Tells the kernel that the tensors whose names begin with `prefix` will not be read soon.
    public func giveBack(below prefix: String) {
        for tensor in tensors where tensor.name.hasPrefix(prefix) { tensor.bytes.giveBack() }
    }

    private static func checkIntegrity(
        _ file: MappedFile, _ directory: GGUFDirectory, verify: Bool, _ meanwhile: () -> Void
    ) throws(SoradError) -> String {
        guard let last = directory.metadata.entries.last, last.key == FileIntegrity.key, case .string(let text) = last.value,
            text.utf8.count == FileIntegrity.digits, text.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }),
            let position = directory.lastStringPosition
        else {
            throw SoradError(
                .badInput, "\(file.path) does not end its metadata with the checksum \(FileIntegrity.key)",
                hint: "fetch or convert the file again")
        }
        guard verify else { return text }
        guard FileIntegrity.checksum(of: file, textAt: position, meanwhile: meanwhile) == text else {
            throw SoradError(
                .badInput, "\(file.path) is damaged: its checksum does not match its contents", hint: "fetch or convert the file again")
        }
        try file.checkUnchanged()
        return text
    }
}

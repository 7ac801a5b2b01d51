// Parses the front of a GGUF v3 file: metadata and the list of tensors. Pure: bytes in, a checked directory out.
//
// Nothing here is believed. Every count is compared with the bytes that are left before anything is allocated, every sum and product is
// checked for overflow, and what comes out satisfies: names and keys are unique printable ASCII, tensors have 1 to 4 dimensions of at
// least 1, start on the alignment, lie inside the file and do not overlap. Whoever uses a directory need not check again.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
package import SoradSystem
public import SoradTensor

/// What a model file says about one tensor.
public struct TensorDescription: Sendable, Equatable {
    public var name: String
    public var type: ElementType
    /// Fastest-varying dimension first, as GGUF has it: the reverse of a PyTorch shape.
    public var dims: [Int]

    public init(name: String, type: ElementType, dims: [Int]) {
        self.name = name
        self.type = type
        self.dims = dims
    }

    /// Product of `dims`; nil on overflow.
    public var elementCount: Int? { checkedProduct(dims) }
    /// Bytes of the data; nil on overflow.
    public var byteCount: Int? { checkedProduct(dims + [type.byteSize]) }
}

/// nil on overflow, or for a negative factor.
package func checkedProduct(_ factors: [Int]) -> Int? {
    var product = 1
    for factor in factors {
        let (next, overflow) = product.multipliedReportingOverflow(by: factor)
        guard !overflow, factor >= 0 else { return nil }
        product = next
    }
    return product
}

/// The checked front of a GGUF file.
package struct GGUFDirectory {
    package let metadata: Metadata
    /// In file order, each with the position of its first byte in the file.
    package let tensors: [(description: TensorDescription, position: Int)]
    package let alignment: Int
    /// Position in the file of the string value of the last metadata entry, if that is a string.
    let lastStringPosition: Int?

    static let magic: [UInt8] = Array("GGUF".utf8)
    static let version: UInt32 = 3
    static let defaultAlignment = 32
    static let alignments = 8...65536
    static let metadataLimit = 4096
    static let tensorLimit = 65536
    static let keyLimit = 255
    static let nameLimit = GGUFRules.modelFile.nameLimit
    static let stringLimit = 1 << 24

    /// - Parameters:
    ///   - bytes: the whole file.
    ///   - path: for messages.
    /// - Throws: `.badInput` with one sentence that names `path`.
    package init(parsing bytes: RawSpan, path: String) throws(SoradError) {
        var parser = GGUFParser(path: path, count: bytes.byteCount, rules: .modelFile)
        self = try parser.directory(bytes)
    }

    init(metadata: Metadata, tensors: [(description: TensorDescription, position: Int)], alignment: Int, lastStringPosition: Int?) {
        self.metadata = metadata
        self.tensors = tensors
        self.alignment = alignment
        self.lastStringPosition = lastStringPosition
    }
}

extension ElementType {
    /// The number of this type in GGUF (`ggml_type`).
    var ggufNumber: UInt32 {
        switch self {
        case .f32: 0
        case .f16: 1
        case .i8: 24
        case .i32: 26
        case .bf16: 30
        }
    }

    init?(ggufNumber: UInt32) {
        guard let type = ElementType.allCases.first(where: { $0.ggufNumber == ggufNumber }) else { return nil }
        self = type
    }
}

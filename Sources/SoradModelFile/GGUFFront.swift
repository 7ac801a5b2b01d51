// The front of any GGUF file as it stands there: metadata, and the list of tensors with the numbers that the file gives. A model file of our
// own is read under stricter rules than a checkpoint of others.
package import SoradSystem

/// How much of GGUF a reader accepts.
struct GGUFRules {
    /// What errors call the file.
    let file: String
    let versions: ClosedRange<UInt32>
    /// Most dimensions of a tensor, and most bytes of its name.
    let rankLimit: UInt32
    let nameLimit: Int
    /// Whether keys whose array has an unusual element type are left out rather than refused.
    let skipsOtherArrays: Bool

    /// Our own: GGUF v3 as it is specified.
    static let modelFile = GGUFRules(file: "the model file", versions: 3...3, rankLimit: 4, nameLimit: 63, skipsOtherArrays: false)
    /// A checkpoint: version 2 differs in nothing, video models have kernels of five dimensions, and names are longer than ggml's 63 bytes.
    static let checkpoint = GGUFRules(file: "the GGUF file", versions: 2...3, rankLimit: 5, nameLimit: 255, skipsOtherArrays: true)
}

/// Metadata and tensors of one GGUF file. Names are unique printable ASCII, dimensions are at least 1; the rest is as the file says.
package struct GGUFFront {
    package struct Tensor {
        package let name: String
        /// Fastest-varying dimension first.
        package let dims: [Int]
        /// `ggml_type`
        package let type: UInt32
        /// From the start of the data.
        package let offset: UInt64
    }

    package let metadata: Metadata
    package let tensors: [Tensor]
    package let alignment: Int
    /// Position of the data in the file; may lie behind its end.
    package let dataStart: Int
    /// Position in the file of the string value of the last metadata entry, if that is a string.
    let lastStringPosition: Int?

    /// Parses the front of a checkpoint in GGUF.
    /// - Parameters:
    ///   - bytes: the whole file.
    ///   - path: for messages.
    /// - Throws: `.badInput` with one sentence that names `path`.
    package init(checkpoint bytes: RawSpan, path: String) throws(SoradError) {
        var parser = GGUFParser(path: path, count: bytes.byteCount, rules: .checkpoint)
        self = try parser.front(bytes)
    }

    init(metadata: Metadata, tensors: [Tensor], alignment: Int, dataStart: Int, lastStringPosition: Int?) {
        self.metadata = metadata
        self.tensors = tensors
        self.alignment = alignment
        self.dataStart = dataStart
        self.lastStringPosition = lastStringPosition
    }
}

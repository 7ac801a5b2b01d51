// Where the numbers of a checkpoint come from. The converter sees named tensors of floats and nothing of files, formats or element types.
//
// A view is a source over another source: other names (RenamedSource), and in the same way scales to multiply by or differences to add. So
// a format needs one source, and layouts, decisions, packing and report stay as they are.
package import SoradSystem

/// Tensors by name. Names, shapes and elements never change while a conversion runs: the elements are read twice, to decide and to write.
package protocol TensorSource: Sendable {
    /// What errors call the source: the path of its folder or file.
    var path: String { get }
    /// Names of all tensors, in any order.
    var names: [String] { get }
    /// PyTorch order, slowest dimension first; nil for a name that is not there.
    func shape(of name: String) -> [Int]?
    /// What errors call the place of one tensor, e.g. the file of several that holds it.
    func location(of name: String) -> String
    /// Elements `range` of the flattened tensor.
    /// - Throws: `.badInput` when the element type cannot be read, or the data are damaged.
    func floats(of name: String, in range: Range<Int>) throws(SoradError) -> [Float]
    /// Where the tensor lies in a file, scales and changes aside; nil for one that is in none.
    func range(of name: String) -> MappedRange?
    /// The tensor as int8 rows, where it is stored so. Its floats are these, dequantized.
    func int8Rows(of name: String) throws(SoradError) -> Int8Rows?
}

/// Tensors as a file stores them: element types matter here, and scales are tensors of their own.
package protocol StoredTensors: TensorSource {
    /// As safetensors spells it: "F32", "F8_E4M3", "I8", …; types of other formats under their own names.
    func elementType(of name: String) -> String
    /// Texts that the file carries besides its tensors.
    var properties: [String: String] { get }
}

/// A matrix [N, K] of int8 with a scale per row, rotated or not, as a checkpoint stores it.
package struct Int8Rows: Sendable {
    /// Gives the quantized values as floats, −128 to 127.
    let source: any TensorSource
    let name: String
    /// [N]
    package let scales: [Float]
    /// Group of the Hadamard transform that the rows went through; nil for none.
    package let rotation: Int?

    /// [N × K] quantized values in −127…127, and how many were −128: kernels rely on the smaller range.
    func values(count: Int) throws(SoradError) -> (values: [Float], clamped: Int) {
        var values = try source.floats(of: name, in: 0..<count)
        var clamped = 0
        for i in values.indices where values[i] < -127 {
            values[i] = -127
            clamped += 1
        }
        return (values, clamped)
    }
}

extension TensorSource {
    package func location(of name: String) -> String { path }
    package func range(of name: String) -> MappedRange? { nil }
    package func int8Rows(of name: String) throws(SoradError) -> Int8Rows? { nil }

    package subscript(name: String) -> CheckpointTensor? {
        shape(of: name).map { CheckpointTensor(source: self, name: name, shape: $0) }
    }
}

/// One tensor of a source.
package struct CheckpointTensor: Sendable {
    let source: any TensorSource
    package let name: String
    /// PyTorch order, slowest dimension first.
    package let shape: [Int]

    package var elementCount: Int { shape.reduce(1, *) }
    var location: String { source.location(of: name) }
    /// Its place in a file, if it is in one.
    var range: MappedRange? { source.range(of: name) }

    func floats(_ range: Range<Int>) throws(SoradError) -> [Float] { try source.floats(of: name, in: range) }

    func int8Rows() throws(SoradError) -> Int8Rows? { try source.int8Rows(of: name) }

    /// All elements.
    package func floats() throws(SoradError) -> [Float] { try floats(0..<elementCount) }

    /// The elements in pieces of at most 2²⁰, for tensors that need not be in memory as a whole.
    var pieces: [Range<Int>] {
        stride(from: 0, to: elementCount, by: 1 << 20).map { $0..<min($0 + 1 << 20, elementCount) }
    }
}

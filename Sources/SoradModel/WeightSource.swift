// Where the tensors of a network come from, by their names in a model file and in its layouts (docs/MODEL_FILE.md).
import SoradModelFile
package import SoradSystem
package import SoradTensor

/// Tensors by name. The benchmarks have one over synthetic numbers.
package protocol WeightSource {
    /// For error sentences.
    var path: String { get }
    func contains(_ name: String) -> Bool
    /// - Throws: `.badInput` when there is no such tensor.
    func type(of name: String) throws(SoradError) -> ElementType
    /// - Parameter dims: as in the file, fastest first.
    /// - Throws: `.badInput` when there is none of one of these types and just these dimensions.
    func tensor(_ name: String, _ types: [ElementType], dims: [Int]) throws(SoradError) -> Parameter
    /// Group size of the Hadamard transform that a layer's weights expect of their input; nil for none.
    func hadamardGroup(_ name: String, inputs: Int) throws(SoradError) -> Int?
    /// Says that the tensors whose names begin with `prefix` will not be read soon.
    func giveBack(below prefix: String)
}

extension WeightSource {
    package func giveBack(below prefix: String) {}
}

/// The tensors of a model file, used where they are mapped.
struct FileWeights: WeightSource {
    let file: ModelFile

    var path: String { file.path }

    func contains(_ name: String) -> Bool { file[name] != nil }

    func type(of name: String) throws(SoradError) -> ElementType { try file.tensor(name).type }

    func giveBack(below prefix: String) { file.giveBack(below: prefix) }

    func tensor(_ name: String, _ types: [ElementType], dims: [Int]) throws(SoradError) -> Parameter {
        let tensor = try file.tensor(name, types, dims: dims)
        return Parameter(tensor.bytes, tensor.type)
    }

    func hadamardGroup(_ name: String, inputs: Int) throws(SoradError) -> Int? {
        let key = "rotation.\(name)"
        guard file.metadata.contains(key) else { return nil }
        let group = try file.metadata.integer(key, in: 4...256)
        guard [4, 16, 64, 256].contains(group), inputs % group == 0 else {
            throw SoradError(
                .badInput, "\(path): \(key) is \(group), which does not divide \(inputs) inputs into groups of 4, 16, 64 or 256")
        }
        return group
    }
}

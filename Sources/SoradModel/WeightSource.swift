// Where the tensors of a network come from, by their names in a model file (docs/MODEL_FILE.md): a file, or nothing but their sizes.
import SoradModelFile
import SoradSystem
import SoradTensor

/// Tensors by name.
protocol WeightSource {
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
}

/// The tensors of a model file, used where they are mapped.
struct FileWeights: WeightSource {
    let file: ModelFile

    var path: String { file.path }

    func contains(_ name: String) -> Bool { file[name] != nil }

    func type(of name: String) throws(SoradError) -> ElementType { try file.tensor(name).type }

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

/// Synthetic weights of any size, so that the speed and the memory of a model that is not at hand can be measured. Layers are int8 or
/// float as in a converted file; what such a model computes means nothing. Every tensor is memory of its own.
final class SyntheticWeights: WeightSource {
    let path = "synthetic weights"
    /// Inputs of each int8 layer, which its scales follow.
    private var inputs: [String: Int] = [:]

    /// Whether the layer of this name is int8.
    private let isInt8: (String) -> Bool

    init(int8 isInt8: @escaping (String) -> Bool) { self.isInt8 = isInt8 }

    func contains(_ name: String) -> Bool { true }

    func type(of name: String) -> ElementType { isInt8(String(name.dropLast(".weight".count))) ? .i8 : .f32 }

    func tensor(_ name: String, _ types: [ElementType], dims: [Int]) -> Parameter {
        let count = dims.reduce(1, *)
        if types.contains(.i8) {
            // [4, 16, K / 4, …] or [64, K / 4, …]
            inputs[name] = 4 * (dims[0] == 64 ? dims[1] : dims[2])
            return Self.codes(count)
        }
        if types.contains(.i32) { return Parameter([Int32](repeating: 0, count: count)) }
        return Parameter([Float](repeating: value(name, dims), count: count))
    }

    func hadamardGroup(_ name: String, inputs: Int) -> Int? { nil }

    private func value(_ name: String, _ dims: [Int]) -> Float {
        if name.hasSuffix(".bias") { return 0 }
        if name.hasSuffix("table") { return 0.1 }
        if name.hasSuffix(".weight"), dims.count > 1 { return 1 / Float(dims[1]) }
        guard name.hasSuffix("_scale"), let inputs = inputs[String(name.dropLast("_scale".count))] else { return 1 }
        return 1 / (64 * Float(inputs).squareRoot())
    }

    /// Neighboring codes are each other's negatives, so the sum of every output's codes is 0.
    private static func codes(_ count: Int) -> Parameter {
        var codes: [Int8] = []
        codes.reserveCapacity(count)
        let pattern = (0..<8192).flatMap { index -> [Int8] in
            let code = Int8(truncatingIfNeeded: index &* 29 % 128)
            return [code, -code]
        }
        while codes.count + pattern.count <= count { codes += pattern }
        codes += pattern[..<(count - codes.count)]
        return Parameter(codes)
    }
}

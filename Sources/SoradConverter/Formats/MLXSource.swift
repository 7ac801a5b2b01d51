// FastVideo's checkpoints for MLX (`mlx_dit.safetensors` and `mlx_dit.json`): matrices of 8 or 4 bits with a scale and a bias for each group of
// inputs, w = scale · q + bias, packed into 32-bit words with the first value lowest (MLX's affine quantization).
//
//   X            U32 [N, K · bits / 32]
//   X.scales     [N, K / group]
//   X.biases     [N, K / group]
//
// Shapes alone do not tell 8 bits in groups of 64 from 4 bits in groups of 128; the file next to the weights does.
import SoradModelFile
import SoradSystem

struct MLXSource: TensorSource {
    private let source: any StoredTensors
    private let bits, group: Int
    /// Shapes of the quantized matrices by their names.
    private let matrices: [String: [Int]]

    static let manifest = "mlx_dit.json"
    private static let besides = [".scales", ".biases"]

    /// Whether a file has matrices in this form.
    static func isStored(_ source: any StoredTensors) -> Bool {
        source.names.contains { source.elementType(of: $0) == "U32" && source.shape(of: $0 + ".scales") != nil }
    }

    /// - Parameter path: of the weights.
    /// - Throws: `.badInput` when the file next to them is missing or names another form, or scales do not fit.
    init(_ source: any StoredTensors, at path: String) throws(SoradError) {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        let place = folder + Self.manifest
        guard fileExists(place) else {
            throw SoradError(
                .badInput, "\(path) has weights in MLX's form, and \(place), which says how many bits they have, is missing",
                hint: "put the \(Self.manifest) of the checkpoint next to its weights")
        }
        let json = try JSONValue(file: place)
        let form = json["quantization"]
        guard json["format_version"]?.integer == 1, form?["mode"]?.string == "affine", let bits = form?["bits"]?.integer,
            [4, 8].contains(bits),
            let group = form?["group_size"]?.integer, [32, 64, 128].contains(group)
        else {
            throw SoradError(
                .badInput, "\(place): only affine quantization with 4 or 8 bits in groups of 32, 64 or 128 inputs is read",
                hint: "use the checkpoint's int8 form, or its diffusers folder")
        }
        (self.source, self.bits, self.group) = (source, bits, group)
        var matrices: [String: [Int]] = [:]
        for name in source.names where source.elementType(of: name) == "U32" {
            guard let packed = source.shape(of: name), packed.count == 2, packed[1] > 0, packed[1] < 1 << 24, packed[0] < 1 << 24 else {
                throw SoradError(.badInput, "\(source.location(of: name)): the tensor \(name) is no matrix")
            }
            let shape = [packed[0], packed[1] * (32 / bits)]
            let expected = [shape[0], shape[1] / group]
            guard shape[1] % group == 0, Self.besides.allSatisfy({ source.shape(of: name + $0) == expected }) else {
                throw SoradError(
                    .badInput, "\(source.location(of: name)): the tensor \(name) of shape \(shape) has no scales and biases of \(expected)")
            }
            matrices[name] = shape
        }
        self.matrices = matrices
    }

    var path: String { source.path }
    var names: [String] { source.names.filter { name in !Self.besides.contains { isBeside(name, $0) } } }

    private func isBeside(_ name: String, _ suffix: String) -> Bool {
        name.hasSuffix(suffix) && matrices[String(name.dropLast(suffix.count))] != nil
    }

    func shape(of name: String) -> [Int]? { matrices[name] ?? source.shape(of: name) }
    func location(of name: String) -> String { source.location(of: name) }
    func range(of name: String) -> MappedRange? { source.range(of: name) }

    func floats(of name: String, in range: Range<Int>) throws(SoradError) -> [Float] {
        guard let shape = matrices[name] else { return try source.floats(of: name, in: range) }
        guard !range.isEmpty, let words = source.range(of: name) else { return [] }
        let (perByte, groups) = (8 / bits, range.lowerBound / group..<(range.upperBound + group - 1) / group)
        precondition(range.upperBound <= shape[0] * shape[1], "elements \(range) of \(name) \(shape)")
        // Words are little-endian, so values lie in the order of the bytes.
        let bytes = MappedRange(
            file: words.file, offset: words.offset + range.lowerBound / perByte,
            count: (range.upperBound + perByte - 1) / perByte - range.lowerBound / perByte
        ).array
        let scales = try source.floats(of: name + ".scales", in: groups)
        let biases = try source.floats(of: name + ".biases", in: groups)
        let (first, mask) = (range.lowerBound / perByte, UInt8(truncatingIfNeeded: 1 << bits - 1))
        return range.map { place in
            let own = place / group - groups.lowerBound
            let value = bytes[place / perByte - first] >> UInt8(place % perByte * bits) & mask
            return scales[own] * Float(value) + biases[own]
        }
    }
}

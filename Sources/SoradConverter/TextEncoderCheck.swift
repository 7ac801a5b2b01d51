// Runs the text encoder of a finished model file and that of its checkpoint over the same tokens: single layers may all be good and their
// whole not.
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor

enum TextEncoderCheck {
    /// Tokens of the texts.
    private static let lengths = [72, 24]

    /// - Parameters:
    ///   - source: what errors call the checkpoint.
    ///   - path: the model file.
    static func run(
        _ checkpoint: Checkpoint, of source: String, _ path: String, _ backend: any ComputeBackend
    ) throws(SoradError) -> EncoderDeviations {
        let file = try ModelFile(opening: path, verify: false)
        var random = SplitMix64(seed: 1)
        let vocabulary = UInt64(checkpoint.textEncoder.vocabulary)
        // Any tokens, then T5's end mark.
        let texts = lengths.map { length in
            (1..<length).map { _ in Int32(random.next() % vocabulary) } + [1]
        }
        return try ModelConfiguration(file).text.deviations(
            of: WeightReader(file: file, prefix: "te.", backend),
            from: WeightReader(CheckpointWeights(checkpoint, of: source, "te."), "te.", backend), texts,
            backend)
    }
}

/// The float tensors of a checkpoint, made when they are asked for and kept by nobody here.
private struct CheckpointWeights: WeightSource {
    let path: String
    private let tensors: [String: Checkpoint.Matched]

    /// Of the tensors whose names in the model file begin with `prefix`.
    init(_ checkpoint: Checkpoint, of source: String, _ prefix: String) {
        path = source
        tensors = Dictionary(
            uniqueKeysWithValues: checkpoint.tensors.filter { $0.rule.name.hasPrefix(prefix) }.map {
                ($0.rule.name, $0)
            })
    }

    func contains(_ name: String) -> Bool { tensors[name] != nil }
    func type(of name: String) -> ElementType { .f32 }
    func hadamardGroup(_ name: String, inputs: Int) -> Int? { nil }

    func tensor(_ name: String, _ types: [ElementType], dims: [Int]) throws(SoradError) -> Parameter {
        guard let (rule, tensor) = tensors[name] else {
            throw SoradError(.internalFault, "\(path): no tensor \(name)")
        }
        let values =
            if case .linear = rule.form { try Self.packed(tensor, rule.shape) } else { try tensor.floats() }
        guard types.contains(.f32), values.count == dims.reduce(1, *) else {
            throw SoradError(.internalFault, "\(path): \(name) has \(values.count) elements, not \(dims)")
        }
        return Parameter(values)
    }

    /// [N/16][K][16] of a matrix [N, K], some rows at a time by all CPUs.
    private static func packed(_ tensor: CheckpointTensor, _ shape: [Int]) throws(SoradError) -> [Float] {
        let (n, k) = (shape[0], shape[1])
        let step = 16 * max(1, (1 << 16) / max(1, k))
        var all: [Float] = []
        all.reserveCapacity((n + 15) / 16 * 16 * k)
        try ParallelWork.run((n + step - 1) / step, threads: ProcessorCount.usable()) { index throws(SoradError) in
            let rows = index * step..<min((index + 1) * step, n)
            let values = try tensor.floats(rows.lowerBound * k..<rows.upperBound * k)
            return WeightPacking.float(values, outputs: rows.count, inputs: k)
        } take: { (_, part) throws(SoradError) in
            all += part
        }
        return all
    }
}

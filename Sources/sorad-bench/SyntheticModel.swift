// Networks of any size without a file: the layout of a published checkpoint, as the converter knows it, over a source of synthetic numbers.
// What such a network computes means nothing; its speed and its memory are those of a converted file's, int8 wherever a layer may be.
import SoradConverter
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor

/// Numbers for every tensor of a layout, small as those of a trained network. They depend on the shape alone.
struct SyntheticSource: TensorSource {
    let path = "synthetic weights"
    private let shapes: [String: [Int]]

    init(_ rules: [TensorRule]) { shapes = Dictionary(uniqueKeysWithValues: rules.map { ($0.source, $0.shape) }) }

    var names: [String] { Array(shapes.keys) }
    func shape(of name: String) -> [Int]? { shapes[name] }

    func floats(of name: String, in range: Range<Int>) -> [Float] {
        guard let shape = shapes[name] else { preconditionFailure("\(path): no tensor \(name)") }
        // Vectors are scales of norms, biases, or rows of a modulation table.
        guard shape.count > 1 else { return [Float](repeating: name.hasSuffix(".bias") ? 0 : 1, count: range.count) }
        if name.hasSuffix("table") { return [Float](repeating: 0.1, count: range.count) }
        let scale = 1 / (64 * Float(shape.dropFirst().reduce(1, *)).squareRoot())
        return range.map { Float($0 &* 29 % 255 - 127) * scale }
    }
}

/// The tensors of a source in the forms of a model file. Every one is memory of its own, so that layers do not find each other's in a cache.
final class SyntheticWeights: WeightSource {
    let path = "synthetic weights"
    private let source: SyntheticSource
    /// By name in the model file.
    private let rules: [String: TensorRule]
    /// Of one layer.
    private struct Packed {
        /// Int8, four in a word.
        var values: [UInt32] = []
        var floats: [Float] = []
        var scales: [Float] = []
        var sums: [Int32] = []
    }
    /// Numbers depend on the shape alone, so they are packed once for each shape and form.
    private var packed: [String: Packed] = [:]

    init(_ rules: [TensorRule]) {
        // What packing takes for a moment goes back to the system.
        MemoryHeadroom.returnFreedBlocks()
        source = SyntheticSource(rules)
        self.rules = Dictionary(uniqueKeysWithValues: rules.map { ($0.name, $0) })
    }

    func contains(_ name: String) -> Bool { rules[name] != nil }

    func type(of name: String) throws(SoradError) -> ElementType { try rule(name).isInt8 ? .i8 : .f32 }

    func tensor(_ name: String, _ types: [ElementType], dims: [Int]) throws(SoradError) -> Parameter {
        let (layer, part) = Self.split(name)
        let rule = try rule(layer)
        let packed = packed(rule)
        let parameter =
            switch part {
            case "_scale": Parameter(packed.scales)
            case "_sum": Parameter(packed.sums)
            case "_input": Parameter([Float](repeating: 1, count: rule.shape[1]))
            default: rule.isInt8 ? Parameter(int8: packed.values) : Parameter(packed.floats)
            }
        guard types.contains(parameter.elementType), parameter.count == dims.reduce(1, *) else {
            throw SoradError(.internalFault, "\(path): \(name) has \(parameter.count) elements, and the network asks for \(dims)")
        }
        return parameter
    }

    func hadamardGroup(_ name: String, inputs: Int) -> Int? { nil }

    private func rule(_ name: String) throws(SoradError) -> TensorRule {
        guard let rule = rules[name] else { throw SoradError(.internalFault, "\(path): the layout has no tensor \(name)") }
        return rule
    }

    /// "X.weight_scale" is "X.weight" and "_scale".
    private static func split(_ name: String) -> (layer: String, part: String) {
        for part in ["_scale", "_sum", "_input"] where name.hasSuffix(".weight" + part) { return (String(name.dropLast(part.count)), part) }
        return (name, "")
    }

    private func packed(_ rule: TensorRule) -> Packed {
        let key = "\(rule.shape) \(rule.form)"
        if let known = packed[key] { return known }
        let values = source.floats(of: rule.source, in: 0..<rule.shape.reduce(1, *))
        let new = pack(rule, values)
        // A vector's numbers follow from its name too.
        if rule.shape.count > 1, !rule.name.hasSuffix("table") { packed[key] = new }
        return new
    }

    private func pack(_ rule: TensorRule, _ values: [Float]) -> Packed {
        let (shape, n) = (rule.shape, rule.shape[0])
        func matrix(_ values: [Float]) -> WeightMatrix { WeightMatrix(outputs: n, inputs: values.count / n, values) }
        func int8(_ matrix: WeightMatrix) -> Packed {
            let scales = Int8Quantization.scales(matrix, importance: nil)
            let (packed, sums) = WeightPacking.int8(matrix, scales: scales)
            return Packed(values: packed, scales: scales, sums: sums)
        }
        switch rule.form {
        case .linear: return int8(matrix(values))
        case .convolution(.some, _): return int8(matrix(WeightPacking.int8ChannelsLast(values, shape: shape)))
        case .frames(let parts, .some, _):
            let scales = Int8Quantization.scales(matrix(values), importance: nil)
            let (packed, sums) = WeightPacking.int8Frames(values, shape: shape, parts: parts, scales: scales)
            return Packed(values: packed, scales: scales, sums: sums)
        case .frames(let parts, nil, _): return Packed(floats: WeightPacking.frames(values, shape: shape, parts: parts))
        case .convolution(nil, _):
            return Packed(
                floats: WeightPacking.float(WeightPacking.channelsLast(values, shape: shape), outputs: n, inputs: values.count / n))
        case .floatLinear: return Packed(floats: WeightPacking.float(values, outputs: n, inputs: values.count / n))
        case .plain, .vector, .table: return Packed(floats: values)
        }
    }
}

extension TensorRule {
    /// Whether a converted file may have it as int8.
    fileprivate var isInt8: Bool {
        switch form {
        case .linear, .convolution(.some, _), .frames(_, .some, _): true
        default: false
        }
    }
}

// MARK: The networks that benchmarks ask for

/// A Wan 2.1 transformer, but for the sizes that are named.
func syntheticWan(
    layers: Int, heads: Int, headWidth: Int, feedForward: Int, textWidth: Int, channels: Int, _ backend: any ComputeBackend
) throws(SoradError) -> WanTransformer {
    let config = ConfigFile(
        [
            "num_layers": .integer(layers), "num_attention_heads": .integer(heads), "attention_head_dim": .integer(headWidth),
            "in_channels": .integer(channels), "out_channels": .integer(channels), "text_dim": .integer(textWidth), "freq_dim": 256,
            "ffn_dim": .integer(feedForward), "patch_size": [1, 2, 2], "qk_norm": "rms_norm_across_heads",
        ], name: "synthetic transformer")
    let layout = try WanCheckpoint().network(config, lowNoise: nil, index: ConfigFile([:], name: "synthetic index"), own: nil)
    let metadata = layout.metadata + [("vae.type", .string("wan")), ("scheduler.type", .string("flow_match_euler"))]
    let network = try WanFamily().configuration(Metadata(path: config.path, entries: metadata))
        .network(WeightReader(SyntheticWeights(layout.tensors), "dit.", backend), backend)
    guard let transformer = network as? WanTransformer else { preconditionFailure("\(network) is no transformer of Wan's") }
    return transformer
}

/// An autoencoder by its `vae.type`.
private func syntheticAutoencoder(_ type: String, _ className: String, _ config: JSONObject, _ backend: any ComputeBackend)
    throws(SoradError) -> any Autoencoder
{
    let (mean, std) = (JSONValue.array(Array(repeating: 0, count: 16)), JSONValue.array(Array(repeating: 1, count: 16)))
    var object = config
    object["_class_name"] = .string(className)
    object["latents_mean"] = mean
    object["latents_std"] = std
    let layout = try CheckpointRegistry.standard.autoencoder(ConfigFile(object, name: "synthetic autoencoder"))
    let read = try ModelRegistry.standard.autoencoders.part(type, "the benchmark's autoencoder")
    return try read(Metadata(path: "synthetic autoencoder", entries: layout.metadata))
        .autoencoder(WeightReader(SyntheticWeights(layout.tensors), "vae.", backend), backend)
}

/// Wan's autoencoder, of the published sizes but for `baseWidth` (96 in Wan 2.1).
func syntheticWanAutoencoder(baseWidth: Int, _ backend: any ComputeBackend) throws(SoradError) -> any Autoencoder {
    try syntheticAutoencoder(
        "wan", "AutoencoderKLWan",
        [
            "base_dim": .integer(baseWidth), "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_scales": [],
            "temperal_downsample": [false, true, true],
        ], backend)
}

/// TAEHV of the published sizes for Wan 2.1's latents.
func syntheticTAEHV(_ backend: any ComputeBackend) throws(SoradError) -> any Autoencoder {
    try syntheticAutoencoder(
        "taehv", "AutoencoderTAEHV",
        [
            "image_channels": 3, "latent_channels": 16, "patch_size": 1, "encoder_channels": [64, 64, 64, 64],
            "decoder_channels": [256, 128, 64, 64], "encoder_time_downscale": [true, true, false],
            "decoder_time_upscale": [false, true, true], "decoder_space_upscale": [true, true, true], "encoder_padding": "back",
        ], backend)
}

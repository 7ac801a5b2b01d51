// The networks that run behind the decoder, as `sorad_mini.enhance export` writes them (quantization/training): a folder of each, all of
// them optional. Tensor `N.conv…` belongs to line N. They go into the model file of any checkpoint.
import SoradModelFile
import SoradSystem

/// One of the networks: its folder's name is the front of its names in the model file.
struct EnhancerLayout {
    static let names = ["upscaler", "interpolator"]

    private let name: String
    private let lines: [String]
    private let blocks: EnhancerBlocks

    init(_ name: String, _ config: ConfigFile) throws(SoradError) {
        try config.require("_class_name", oneOf: ["FrameEnhancer"])
        self.name = name
        lines = try config.strings("blocks", count: 1...64)
        blocks = try EnhancerBlocks(
            lines, patchSize: try config.integer("patch_size", in: 1...16), name: name, place: config.path)
        let doublings = name == "upscaler" ? 1 : 0
        guard blocks.doublings == doublings else {
            throw SoradError(
                .badInput, "\(config.path): the \(name) doubles the sides of a frame \(blocks.doublings) times, not \(doublings)")
        }
    }

    var metadata: [(key: String, value: MetadataValue)] {
        [("\(name).patch_size", .uint32(UInt32(blocks.patchSize))), ("\(name).blocks", .strings(lines))]
    }

    var tensors: [TensorRule] {
        var list: [TensorRule] = []
        for (index, line) in blocks.lines.enumerated() {
            // Pixels, at the two ends, are seen as they are; what lies between is int8.
            let inner = index > 0 && index < lines.count - 1
            for (part, outputs, inputs, kernel) in line.convolutions {
                let source = "\(index).\(part)"
                list.append(
                    TensorRule(
                        source + ".weight", as: "\(name).\(source).weight", [outputs, inputs, kernel, kernel],
                        .convolution(input: inner ? .imageAfterReLU : nil, always: true)))
                list.append(TensorRule(source + ".bias", as: "\(name).\(source).bias", [outputs], .plain))
            }
        }
        return list
    }
}

extension CheckpointParts {
    /// The same with the networks in a folder; nil for none.
    /// - Throws: `.notFound` when the folder holds none.
    func adding(enhancers folder: String?) throws(SoradError) -> CheckpointParts {
        guard let folder else { return self }
        var parts = self
        for name in EnhancerLayout.names where fileExists("\(folder)/\(name)/config.json") {
            let weights = try SafetensorsSource(folder: "\(folder)/\(name)")
            parts.enhancers.append((name, Network(config: try ConfigFile("\(folder)/\(name)/config.json"), weights: weights)))
            parts.files += (["\(folder)/\(name)/config.json"] + weights.files).map { (String($0.dropFirst(folder.count + 1)), $0) }
        }
        guard !parts.enhancers.isEmpty else {
            throw SoradError(
                .notFound, "\(folder) holds neither upscaler/config.json nor interpolator/config.json",
                hint: "write it with python -m sorad_mini.enhance export")
        }
        return parts
    }
}

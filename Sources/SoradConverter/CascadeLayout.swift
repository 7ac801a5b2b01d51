// The maps between the two sizes of a cascade, as `sorad_mini.export` writes them (quantization/training): the folder `cascade` of a
// diffusers folder. They stay float: they are small, and what they make is seen.
import SoradModelFile
import SoradSystem

struct CascadeLayout {
    private let channels: Int
    private let refineFrom, baseFlowShift: Float
    private let leastSide: Int

    /// - Parameter latentChannels: of the autoencoder.
    init(_ config: ConfigFile, latentChannels: Int) throws(SoradError) {
        try config.require("_class_name", oneOf: ["LatentCascade"])
        channels = try config.integer("latent_channels", in: 1...4096)
        guard channels == latentChannels else {
            throw SoradError(
                .badInput, "\(config.path): the cascade has latents of \(channels) channels, and the autoencoder \(latentChannels)")
        }
        refineFrom = try config.number("refine_from", in: 0.01...0.99)
        baseFlowShift = try config.number("base_flow_shift", in: 0.1...50)
        leastSide = try config.integer("least_side", in: 1...4096)
    }

    var metadata: [(key: String, value: MetadataValue)] {
        [
            ("cascade.refine_from", .float32(refineFrom)), ("cascade.base_flow_shift", .float32(baseFlowShift)),
            ("cascade.least_side", .uint32(UInt32(leastSide))),
        ]
    }

    var tensors: [TensorRule] {
        [("up", 4 * channels, channels), ("down", channels, 4 * channels)].flatMap { name, outputs, inputs in
            [
                TensorRule("\(name).weight", as: "cascade.\(name).weight", [outputs, inputs, 3, 3], .convolution()),
                TensorRule("\(name).bias", as: "cascade.\(name).bias", [outputs], .plain),
            ]
        }
    }
}

// The frame-block autoencoder of a checkpoint (quantization/training/sorad_mini/autoencoder.py): its configuration and its tensors.
// Tensor `encoder.N.conv…` belongs to line N of the encoder.
import SoradModelFile
import SoradSystem

struct FrameBlocksLayout: AutoencoderLayout {
    private let blocks: FrameBlocks
    private let lines: (encoder: [String], decoder: [String])
    private let mean, deviation: [Float]

    init(_ config: ConfigFile) throws(SoradError) {
        lines = (try config.strings("encoder", count: 1...64), try config.strings("decoder", count: 1...64))
        blocks = try FrameBlocks(
            encoder: lines.encoder, decoder: lines.decoder, patchSize: try config.integer("patch_size", in: 1...16),
            latentChannels: try config.integer("latent_channels", in: 1...1024), place: config.path)
        mean = try config.numbers("latents_mean", count: blocks.latentChannels, in: -1e6...1e6)
        deviation = try config.numbers("latents_std", count: blocks.latentChannels, in: 1e-6...1e6)
    }

    package var latentChannels: Int { blocks.latentChannels }
    package var timeScale: Int { blocks.timeScale }
    package var spatialScale: Int { blocks.spatialScale }

    package var metadata: [(key: String, value: MetadataValue)] {
        [
            ("vae.type", .string("frame_blocks")),
            ("vae.latent_channels", .uint32(UInt32(blocks.latentChannels))),
            ("vae.patch_size", .uint32(UInt32(blocks.patchSize))),
            ("vae.encoder", .strings(lines.encoder)),
            ("vae.decoder", .strings(lines.decoder)),
            ("vae.latents_mean", .float32s(mean)),
            ("vae.latents_std", .float32s(deviation)),
        ]
    }

    package var tensors: [TensorRule] {
        var list: [TensorRule] = []
        for (half, lines) in [("encoder", blocks.encoder), ("decoder", blocks.decoder)] {
            for (index, line) in lines.enumerated() {
                // Latents and pixels, at the two ends of the decoder, are seen as they are; what lies between may be int8.
                let inner = half == "decoder" && index > 0 && index < lines.count - 1
                for (part, outputs, inputs, kernel) in line.convolutions {
                    let name = "\(half).\(index).\(part)"
                    list.append(
                        TensorRule(
                            name + ".weight", as: "vae.\(name).weight", [outputs, inputs, kernel, kernel],
                            .convolution(input: inner ? .imageAfterReLU : nil)))
                    list.append(TensorRule(name + ".bias", as: "vae.\(name).bias", [outputs], .plain))
                }
            }
        }
        return list
    }
}

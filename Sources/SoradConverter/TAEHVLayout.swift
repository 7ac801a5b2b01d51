// The video autoencoder of a checkpoint: the TAEHV family (github.com/madebyollin/taehv) with free widths, in the published names.
// `encoder.N` and `decoder.N` count the modules of the two sequences, those without weights too.
import SoradModelFile
import SoradSystem

struct TAEHVLayout: AutoencoderLayout {
    package let latentChannels: Int
    let imageChannels, patch: Int
    /// Stem and levels: one more than there are levels.
    let encoderChannels, decoderChannels: [Int]
    let encoderTimeDownscale, decoderTimeUpscale, decoderSpaceUpscale: [Bool]
    let encoderPadding: String
    let mean, deviation: [Float]

    private static let blocksPerLevel = 3

    package var timeScale: Int { 1 << decoderTimeUpscale.count { $0 } }
    package var spatialScale: Int { patch << decoderSpaceUpscale.count { $0 } }

    init(_ config: ConfigFile) throws(SoradError) {
        try config.require("encoder_padding", oneOf: ["front", "back"])
        imageChannels = try config.integer("image_channels", in: 3...3)
        latentChannels = try config.integer("latent_channels", in: 1...4096)
        patch = try config.integer("patch_size", in: 1...8)
        encoderChannels = try config.integers("encoder_channels", count: 2...9, in: 1...4096)
        decoderChannels = try config.integers("decoder_channels", count: 2...9, in: 1...4096)
        encoderTimeDownscale = try config.bools("encoder_time_downscale", count: encoderChannels.count - 1)
        decoderTimeUpscale = try config.bools("decoder_time_upscale", count: decoderChannels.count - 1)
        decoderSpaceUpscale = try config.bools("decoder_space_upscale", count: decoderChannels.count - 1)
        encoderPadding = try config.string("encoder_padding")
        mean = try config.numbers("latents_mean", count: latentChannels, in: -1e6...1e6)
        deviation = try config.numbers("latents_std", count: latentChannels, in: 1e-6...1e6)
    }

    package var metadata: [(key: String, value: MetadataValue)] {
        [
            ("vae.type", .string("taehv")),
            ("vae.image_channels", .uint32(UInt32(imageChannels))),
            ("vae.latent_channels", .uint32(UInt32(latentChannels))),
            ("vae.patch_size", .uint32(UInt32(patch))),
            ("vae.encoder_channels", .uint32s(encoderChannels.map { UInt32($0) })),
            ("vae.decoder_channels", .uint32s(decoderChannels.map { UInt32($0) })),
            ("vae.encoder_time_downscale", .bools(encoderTimeDownscale)),
            ("vae.decoder_time_upscale", .bools(decoderTimeUpscale)),
            ("vae.decoder_space_upscale", .bools(decoderSpaceUpscale)),
            ("vae.encoder_padding", .string(encoderPadding)),
            ("vae.latents_mean", .float32s(mean)),
            ("vae.latents_std", .float32s(deviation)),
        ]
    }

    package var tensors: [TensorRule] {
        var list: [TensorRule] = []
        /// Latents and pixels, at the two ends of the decoder, are seen as they are; what lies between may be int8. Some of it is not
        /// behind a ReLU, which only makes its steps coarser: the engine looks at the range itself.
        func convolution(_ name: String, _ outputs: Int, _ inputs: Int, kernel: Int = 3, bias: Bool, inner: Bool = false) {
            list.append(
                TensorRule(
                    name + ".weight", as: "vae.\(name).weight", [outputs, inputs, kernel, kernel],
                    .convolution(input: inner ? .imageAfterReLU : nil)))
            if bias { list.append(TensorRule(name + ".bias", as: "vae.\(name).bias", [outputs], .plain)) }
        }
        /// Three convolutions at 0, 2 and 4 of a block that sees its frame and the one before.
        func memoryBlock(_ name: String, _ channels: Int, inner: Bool = false) {
            convolution(name + ".conv.0", channels, 2 * channels, bias: true, inner: inner)
            convolution(name + ".conv.2", channels, channels, bias: true, inner: inner)
            convolution(name + ".conv.4", channels, channels, bias: true, inner: inner)
        }
        let pixels = imageChannels * patch * patch
        convolution("encoder.0", encoderChannels[0], pixels, bias: true)
        var next = 2  // behind the stem's ReLU
        for (level, pools) in encoderTimeDownscale.enumerated() {
            let (inputs, outputs) = (encoderChannels[level], encoderChannels[level + 1])
            convolution("encoder.\(next).conv", inputs, inputs * (pools ? 2 : 1), kernel: 1, bias: false)
            convolution("encoder.\(next + 1)", outputs, inputs, bias: false)
            for block in 0..<Self.blocksPerLevel { memoryBlock("encoder.\(next + 2 + block)", outputs) }
            next += 2 + Self.blocksPerLevel
        }
        convolution("encoder.\(next)", latentChannels, encoderChannels[encoderChannels.count - 1], bias: true)

        convolution("decoder.1", decoderChannels[0], latentChannels, bias: true)
        next = 3  // behind the clamp, the stem and its ReLU
        for (level, grows) in decoderTimeUpscale.enumerated() {
            let (inputs, outputs) = (decoderChannels[level], decoderChannels[level + 1])
            for block in 0..<Self.blocksPerLevel { memoryBlock("decoder.\(next + block)", inputs, inner: true) }
            next += Self.blocksPerLevel + 1  // the upsampling has no weights
            convolution("decoder.\(next).conv", inputs * (grows ? 2 : 1), inputs, kernel: 1, bias: false, inner: true)
            convolution("decoder.\(next + 1)", outputs, inputs, bias: false, inner: true)
            next += 2
        }
        convolution("decoder.\(next + 1)", pixels, decoderChannels[decoderChannels.count - 1], bias: true)
        return list
    }
}

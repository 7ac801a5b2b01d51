// The video autoencoder of a checkpoint: diffusers' AutoencoderKLWan as Wan 2.1 and 2.2 have it, its configuration and its tensors. All are float, or
// the convolutions of the decoder's residual blocks and of its growing in space and time are int8 where that is asked for.
import SoradModelFile
import SoradSystem

struct WanAutoencoderLayout: AutoencoderLayout {
    let latentChannels, baseWidth, decoderBaseWidth, residualBlocks: Int
    let factors: [Int]
    let attentionScales: [Float]
    let halvesTime: [Bool]
    let mean, deviation: [Float]
    /// Pixels along a side that are channels, and shortcuts around the levels: Wan 2.2.
    let patch: Int
    let isResidual: Bool

    /// The widest head that the engine's float attention takes.
    private static let mostAttended = 1024

    package var timeScale: Int { 1 << halvesTime.count { $0 } }
    package var spatialScale: Int { patch << halvesTime.count }

    private func hasAttention(level: Int) -> Bool { attentionScales.contains(1 / Float(1 << level)) }

    init(_ config: ConfigFile) throws(SoradError) {
        patch = config.has("patch_size") ? try config.integer("patch_size", in: 1...8) : 1
        isResidual = try config.bool("is_residual", default: false)
        let colors = 3 * patch * patch
        _ = try config.integer("in_channels", in: colors...colors, default: 3)
        _ = try config.integer("out_channels", in: colors...colors, default: 3)
        baseWidth = try config.integer("base_dim", in: 1...1024)
        decoderBaseWidth = try config.integer("decoder_base_dim", in: 1...1024, default: baseWidth)
        latentChannels = try config.integer("z_dim", in: 1...1024)
        factors = try config.integers("dim_mult", count: 2...6, in: 1...64)
        residualBlocks = try config.integer("num_res_blocks", in: 1...16)
        attentionScales = try config.numbers("attn_scales", count: 0...16, in: 0...1)
        halvesTime = try config.bools("temperal_downsample", count: factors.count - 1)
        mean = try config.numbers("latents_mean", count: latentChannels, in: -1e6...1e6)
        deviation = try config.numbers("latents_std", count: latentChannels, in: 1e-6...1e6)
        let scales = [("scale_factor_spatial", patch << halvesTime.count), ("scale_factor_temporal", 1 << halvesTime.filter { $0 }.count)]
        for (key, scale) in scales {
            guard try config.integer(key, in: 1...1024, default: scale) == scale else {
                throw SoradError(.badInput, "\(config.path): \(key) is not the \(scale) that dim_mult and temperal_downsample make")
            }
        }
        let attended =
            [decoderBaseWidth * factors[factors.count - 1], baseWidth * factors[factors.count - 1]]
            + factors.indices.filter(hasAttention).map { baseWidth * factors[$0] }
        if let wrong = attended.first(where: { $0 > Self.mostAttended || $0 % 2 == 1 }) {
            throw SoradError(
                .badInput, "\(config.path): it attends over \(wrong) channels; even numbers up to \(Self.mostAttended) are possible")
        }
    }

    package var metadata: [(key: String, value: MetadataValue)] {
        [
            ("vae.type", .string("wan")),
            ("vae.latent_channels", .uint32(UInt32(latentChannels))),
            ("vae.base_dim", .uint32(UInt32(baseWidth))),
            ("vae.decoder_base_dim", .uint32(UInt32(decoderBaseWidth))),
            ("vae.dim_mult", .uint32s(factors.map { UInt32($0) })),
            ("vae.num_res_blocks", .uint32(UInt32(residualBlocks))),
            ("vae.attn_scales", .float32s(attentionScales)),
            ("vae.temporal_downsample", .bools(halvesTime)),
            ("vae.latents_mean", .float32s(mean)),
            ("vae.latents_std", .float32s(deviation)),
        ] + (patch == 1 ? [] : [("vae.patch_size", .uint32(UInt32(patch)))]) + (isResidual ? [("vae.is_residual", .bool(true))] : [])
    }

    package var tensors: [TensorRule] {
        var list = WanTensorList()
        let levels = factors.count
        list.convolution("quant_conv", 2 * latentChannels, 2 * latentChannels, [1, 1, 1], parts: 2)
        list.convolution("post_quant_conv", latentChannels, latentChannels, [1, 1, 1])

        var width = baseWidth
        var index = 0
        list.convolution("encoder.conv_in", width, 3 * patch * patch, [3, 3, 3])
        for level in 0..<levels where isResidual {
            let block = "encoder.down_blocks.\(level)"
            for resnet in 0..<residualBlocks {
                list.residualBlock("\(block).resnets.\(resnet)", factors[level] * baseWidth, width)
                width = factors[level] * baseWidth
            }
            guard level < levels - 1 else { continue }
            list.convolution("\(block).downsampler.resample.1", width, width, [3, 3])
            if halvesTime[level] { list.convolution("\(block).downsampler.time_conv", width, width, [3, 1, 1]) }
        }
        for level in 0..<levels where !isResidual {
            for _ in 0..<residualBlocks {
                list.residualBlock("encoder.down_blocks.\(index)", factors[level] * baseWidth, width)
                width = factors[level] * baseWidth
                index += 1
                guard hasAttention(level: level) else { continue }
                list.attention("encoder.down_blocks.\(index)", width)
                index += 1
            }
            guard level < levels - 1 else { continue }
            list.convolution("encoder.down_blocks.\(index).resample.1", width, width, [3, 3])
            if halvesTime[level] { list.convolution("encoder.down_blocks.\(index).time_conv", width, width, [3, 1, 1]) }
            index += 1
        }
        list.ends("encoder", width, 2 * latentChannels)

        width = factors[levels - 1] * decoderBaseWidth
        list.convolution("decoder.conv_in", width, latentChannels, [3, 3, 3])
        let middle = width
        for level in 0..<levels {
            let block = "decoder.up_blocks.\(level)"
            let outputs = factors[levels - 1 - level] * decoderBaseWidth
            for resnet in 0...residualBlocks {
                list.residualBlock("\(block).resnets.\(resnet)", outputs, width)
                width = outputs
            }
            guard level < levels - 1 else { continue }
            let (sampler, grown) = isResidual ? ("\(block).upsampler", width) : ("\(block).upsamplers.0", width / 2)
            list.convolution("\(sampler).resample.1", grown, width, [3, 3])
            if halvesTime[levels - 2 - level] {
                list.convolution("\(sampler).time_conv", 2 * width, width, [3, 1, 1], parts: 2)
            }
            width = grown
        }
        list.ends("decoder", width, 3 * patch * patch, middle: middle)
        return list.tensors
    }
}

/// The tensors of the autoencoder's blocks, by diffusers' names; they stay, behind "vae.".
private struct WanTensorList {
    private(set) var tensors: [TensorRule] = []

    /// - Parameters:
    ///   - parts: pieces of the outputs that are read as convolutions of their own.
    ///   - norm: the norm before it, if there is one; SiLU follows that.
    mutating func convolution(_ name: String, _ outputs: Int, _ inputs: Int, _ kernel: [Int], parts: Int = 1, norm: String? = nil) {
        // The ends of the decoder, latents and pixels, are seen as they are, and attention is a small part of the work.
        let inner = name.hasPrefix("decoder.") && (norm != nil || Self.unnormed.contains(where: name.hasSuffix))
        let input: LayerInput? = inner ? (norm == nil ? .image : .imageAfterSiLU) : nil
        tensors.append(
            TensorRule(
                name + ".weight", as: "vae.\(name).weight", [outputs, inputs] + kernel,
                .frames(parts: parts, input: input, gain: norm.map { .norm("vae.\($0).gamma") })))
        tensors.append(TensorRule(name + ".bias", as: "vae.\(name).bias", [outputs], .plain))
    }

    /// Convolutions that may be int8 and read an image without a norm, in 16 bits. That of time would have to keep both, for little work.
    private static let unnormed = [".conv_shortcut", ".resample.1"]

    mutating func norm(_ name: String, _ width: Int, axes: Int = 3) {
        let shape = [width] + [Int](repeating: 1, count: axes)
        tensors.append(TensorRule(name + ".gamma", as: "vae.\(name).gamma", shape, .vector))
    }

    mutating func residualBlock(_ name: String, _ outputs: Int, _ inputs: Int) {
        norm(name + ".norm1", inputs)
        convolution(name + ".conv1", outputs, inputs, [3, 3, 3], norm: name + ".norm1")
        norm(name + ".norm2", outputs)
        convolution(name + ".conv2", outputs, outputs, [3, 3, 3], norm: name + ".norm2")
        if inputs != outputs { convolution(name + ".conv_shortcut", outputs, inputs, [1, 1, 1]) }
    }

    mutating func attention(_ name: String, _ width: Int) {
        norm(name + ".norm", width, axes: 2)
        convolution(name + ".to_qkv", 3 * width, width, [1, 1], parts: 3)
        convolution(name + ".proj", width, width, [1, 1])
    }

    /// The middle and the last layers of one half; `middle` is the width of the middle where it is another than the last.
    mutating func ends(_ name: String, _ width: Int, _ outputs: Int, middle: Int? = nil) {
        for block in 0..<2 { residualBlock("\(name).mid_block.resnets.\(block)", middle ?? width, middle ?? width) }
        attention("\(name).mid_block.attentions.0", middle ?? width)
        norm("\(name).norm_out", width)
        convolution("\(name).conv_out", outputs, width, [3, 3, 3])
    }
}

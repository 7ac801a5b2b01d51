// The diffusion transformer of a checkpoint: diffusers' `WanTransformer3DModel`, its configuration and its tensors.
package import SoradModelFile
import SoradSystem

package struct WanTransformerLayout: NetworkLayout, Equatable {
    package let inChannels, outChannels, textWidth: Int
    let layers, heads, headSize, frequencySize, feedForward, ropeLength: Int
    let patch: [Int]
    let crossAttentionNorm: Bool
    /// Tokens of given frames carry timestep 0.
    let expandTimesteps: Bool
    let epsilon: Float
    /// Of the embeddings of given pictures, and how many of them have positions; 0 without an image encoder, and for any number.
    package let imageWidth: Int
    let imagePositions: Int
    /// The blocks behind which a branch that follows a given clip adds a hint, and channels of what it reads (VACE); none without one.
    let controlLayers: [Int]
    let controlChannels: Int
    /// Where two transformers share the steps.
    let experts: Experts?

    /// Diffusers' class of transformers with such a branch.
    static let controlClass = "WanVACETransformer3DModel"

    /// Share of the timesteps from which on the first of two transformers is asked, and the second one's guidance by the first one's.
    package struct Experts: Equatable {
        let boundary: Float
        let lowNoiseGuidance: Float
    }

    /// Width of the model.
    var width: Int { heads * headSize }

    init(_ config: ConfigFile, expandTimesteps: Bool, experts: Experts? = nil) throws(SoradError) {
        self.expandTimesteps = expandTimesteps
        self.experts = experts
        try config.require("qk_norm", oneOf: ["rms_norm_across_heads"])
        layers = try config.integer("num_layers", in: 1...256)
        heads = try config.integer("num_attention_heads", in: 1...256)
        headSize = try config.integer("attention_head_dim", in: 6...256)
        guard headSize % 2 == 0 else { throw SoradError(.badInput, "\(config.path): attention_head_dim is \(headSize), an odd number") }
        inChannels = try config.integer("in_channels", in: 1...4096)
        outChannels = try config.integer("out_channels", in: 1...4096)
        textWidth = try config.integer("text_dim", in: 1...65536)
        frequencySize = try config.integer("freq_dim", in: 2...65536)
        feedForward = try config.integer("ffn_dim", in: 1...65536)
        ropeLength = try config.integer("rope_max_seq_len", in: 1...65536, default: 1024)
        patch = try config.integers("patch_size", count: 3...3, in: 1...16)
        crossAttentionNorm = try config.bool("cross_attn_norm", default: true)
        epsilon = try config.number("eps", in: 1e-12...1e-1, default: 1e-6)
        imageWidth = config.has("image_dim") ? try config.integer("image_dim", in: 1...65536) : 0
        imagePositions = config.has("pos_embed_seq_len") ? try config.integer("pos_embed_seq_len", in: 1...65536) : 0
        let added = config.has("added_kv_proj_dim") ? try config.integer("added_kv_proj_dim", in: 1...65536) : 0
        guard added == (imageWidth > 0 ? heads * headSize : 0), imageWidth > 0 || imagePositions == 0 else {
            throw SoradError(
                .badInput,
                "\(config.path): image_dim is \(imageWidth), added_kv_proj_dim \(added) and pos_embed_seq_len \(imagePositions), which do not fit"
            )
        }
        guard inChannels == outChannels || inChannels > 2 * outChannels else {
            throw SoradError(
                .badInput,
                "\(config.path): the transformer takes \(inChannels) channels and gives \(outChannels), which is neither text-to-video nor "
                    + "image-to-video")
        }
        let hasControl = try config.string("_class_name", default: "") == Self.controlClass
        controlLayers = hasControl ? try config.integers("vace_layers", count: 1...256, in: 0...255) : []
        controlChannels = hasControl ? try config.integer("vace_in_channels", in: 1...4096) : 0
        try checkControl(config.path)
        guard inChannels > outChannels || imageWidth == 0, inChannels == outChannels || !expandTimesteps else {
            throw SoradError(.badInput, "\(config.path): the transformer takes pictures in two ways at once")
        }
    }

    private func checkControl(_ path: String) throws(SoradError) {
        guard let last = controlLayers.last else { return }
        guard controlLayers[0] == 0, last < layers, zip(controlLayers, controlLayers.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw SoradError(.badInput, "\(path): vace_layers is \(controlLayers), which does not rise from 0 within \(layers) layers")
        }
        guard controlMask > 0, inChannels == outChannels, imageWidth == 0, !expandTimesteps else {
            throw SoradError(
                .badInput,
                "\(path): a transformer that follows a clip of \(controlChannels) channels and takes pictures too cannot be converted")
        }
    }

    /// Channels of the mask of the clip that the branch follows.
    package var controlMask: Int { controlLayers.isEmpty ? 0 : controlChannels - 2 * outChannels }

    /// Channels of the mask that says which frames are given; 0 for a transformer that takes no clip next to the latents.
    package var maskChannels: Int { inChannels == outChannels ? 0 : inChannels - 2 * outChannels }
    package var pictures: (width: Int, positions: Int) { (imageWidth, imagePositions) }

    package var metadata: [(key: String, value: MetadataValue)] {
        [
            ("dit.expand_timesteps", .bool(expandTimesteps)),
            ("dit.num_layers", .uint32(UInt32(layers))),
            ("dit.num_attention_heads", .uint32(UInt32(heads))),
            ("dit.attention_head_dim", .uint32(UInt32(headSize))),
            ("dit.in_channels", .uint32(UInt32(inChannels))),
            ("dit.out_channels", .uint32(UInt32(outChannels))),
            ("dit.text_dim", .uint32(UInt32(textWidth))),
            ("dit.freq_dim", .uint32(UInt32(frequencySize))),
            ("dit.ffn_dim", .uint32(UInt32(feedForward))),
            ("dit.rope_max_seq_len", .uint32(UInt32(ropeLength))),
            ("dit.patch_size", .uint32s(patch.map { UInt32($0) })),
            ("dit.cross_attn_norm", .bool(crossAttentionNorm)),
            ("dit.qk_norm", .string("rms_norm_across_heads")),
            ("dit.eps", .float32(epsilon)),
        ] + optional
    }

    private var optional: [(key: String, value: MetadataValue)] {
        var some: [(key: String, value: MetadataValue)] = []
        if imageWidth > 0 { some.append(("dit.image_dim", .uint32(UInt32(imageWidth)))) }
        if imagePositions > 0 { some.append(("dit.pos_embed_seq_len", .uint32(UInt32(imagePositions)))) }
        if !controlLayers.isEmpty {
            some.append(("dit.vace_layers", .uint32s(controlLayers.map { UInt32($0) })))
            some.append(("dit.vace_in_channels", .uint32(UInt32(controlChannels))))
        }
        return some
    }

    /// - Parameter trainSteps: timesteps of the training schedule.
    package func expertMetadata(trainSteps: Int) -> [(key: String, value: MetadataValue)] {
        guard let experts else { return [] }
        return [
            ("dit.boundary", .float32(experts.boundary * Float(trainSteps))),
            ("dit.low_noise_guidance", .float32(experts.lowNoiseGuidance)),
        ]
    }

    /// Every tensor; the names stay, behind "dit.".
    package var tensors: [TensorRule] { tensors(below: "dit.") }
    /// Those of the transformer for low noise.
    package var lowNoiseTensors: [TensorRule] { experts == nil ? [] : tensors(below: "dit.low_noise.") }

    private func tensors(below prefix: String) -> [TensorRule] {
        var list: [TensorRule] = []
        func add(_ name: String, _ shape: [Int], _ form: TensorRule.Form) {
            list.append(TensorRule(name, as: prefix + name, shape, form))
        }
        func linear(_ name: String, _ outputs: Int, _ inputs: Int, _ form: TensorRule.Form) {
            add(name + ".weight", [outputs, inputs], form)
            add(name + ".bias", [outputs], .plain)
        }
        add("patch_embedding.weight", [width, inChannels] + patch, .floatLinear)
        add("patch_embedding.bias", [width], .plain)
        linear("condition_embedder.time_embedder.linear_1", width, frequencySize, .floatLinear)
        linear("condition_embedder.time_embedder.linear_2", width, width, .floatLinear)
        linear("condition_embedder.time_proj", 6 * width, width, .floatLinear)
        linear("condition_embedder.text_embedder.linear_1", width, textWidth, .floatLinear)
        linear("condition_embedder.text_embedder.linear_2", width, width, .floatLinear)
        if imageWidth > 0 {
            let embedder = "condition_embedder.image_embedder."
            for (norm, size) in [("norm1", imageWidth), ("norm2", width)] {
                add(embedder + norm + ".weight", [size], .plain)
                add(embedder + norm + ".bias", [size], .plain)
            }
            linear(embedder + "ff.net.0.proj", imageWidth, imageWidth, .floatLinear)
            linear(embedder + "ff.net.2", width, imageWidth, .floatLinear)
            if imagePositions > 0 { add(embedder + "pos_embed", [1, imagePositions, imageWidth], .plain) }
        }
        if !controlLayers.isEmpty {
            add("vace_patch_embedding.weight", [width, controlChannels] + patch, .floatLinear)
            add("vace_patch_embedding.bias", [width], .plain)
            // Once per clip.
            linear("vace_blocks.0.proj_in", width, width, .floatLinear)
        }
        let branch = controlLayers.indices.map { "vace_blocks.\($0)." }
        for block in branch { linear(block + "proj_out", width, width, .linear(input: .normal)) }
        for block in (0..<layers).map({ "blocks.\($0)." }) + branch {
            add(block + "scale_shift_table", [1, 6, width], .plain)
            // Rows of the table: shift, scale, gate of the self-attention, then of the feed-forward. Text reaches attn2's keys unscaled.
            let table = prefix + block + "scale_shift_table"
            let crossNorm: InputGain? = crossAttentionNorm ? .norm(prefix + block + "norm2.weight") : nil
            for attention in ["attn1.", "attn2."] {
                for projection in ["to_q", "to_k", "to_v", "to_out.0"] {
                    let gain: InputGain? =
                        switch (attention, projection) {
                        case (_, "to_out.0"): nil
                        case ("attn1.", _): .modulation(table, row: 1)
                        case (_, "to_q"): crossNorm
                        default: nil
                        }
                    linear(block + attention + projection, width, width, .linear(input: .normal, gain: gain))
                }
                add(block + attention + "norm_q.weight", [width], .plain)
                add(block + attention + "norm_k.weight", [width], .plain)
            }
            if imageWidth > 0 {
                for projection in ["add_k_proj", "add_v_proj"] {
                    linear(block + "attn2." + projection, width, width, .linear(input: .normal))
                }
                add(block + "attn2.norm_added_k.weight", [width], .plain)
            }
            if crossAttentionNorm {
                add(block + "norm2.weight", [width], .plain)
                add(block + "norm2.bias", [width], .plain)
            }
            linear(block + "ffn.net.0.proj", feedForward, width, .linear(input: .normal, gain: .modulation(table, row: 4)))
            linear(block + "ffn.net.2", width, feedForward, .linear(input: .afterGELU))
        }
        linear("proj_out", outChannels * patch.reduce(1, *), width, .floatLinear)
        add("scale_shift_table", [1, 2, width], .plain)
        return list
    }
}

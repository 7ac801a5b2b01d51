// The diffusion transformer of a checkpoint: diffusers' `WanTransformer3DModel`, its configuration and its tensors.
package import SoradModelFile
import SoradSystem

package struct WanTransformerLayout: NetworkLayout {
    package let inChannels, outChannels, textWidth: Int
    let layers, heads, headSize, frequencySize, feedForward, ropeLength: Int
    let patch: [Int]
    let crossAttentionNorm: Bool
    /// Tokens of given frames carry timestep 0.
    let expandTimesteps: Bool
    let epsilon: Float

    /// Width of the model.
    var width: Int { heads * headSize }

    init(_ config: ConfigFile, expandTimesteps: Bool) throws(SoradError) {
        self.expandTimesteps = expandTimesteps
        for key in ["image_dim", "added_kv_proj_dim", "pos_embed_seq_len"] where config.has(key) {
            throw SoradError(
                .badInput, "\(config.path): \(key) is set, and checkpoints with an image encoder cannot be converted",
                hint: "use a text-to-video checkpoint, or one that takes pictures as latent frames")
        }
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
    }

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
        ]
    }

    /// Every tensor; the names stay, behind "dit.".
    package var tensors: [TensorRule] {
        var list: [TensorRule] = []
        func add(_ name: String, _ shape: [Int], _ form: TensorRule.Form) {
            list.append(TensorRule(name, as: "dit." + name, shape, form))
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
        for block in (0..<layers).map({ "blocks.\($0)." }) {
            add(block + "scale_shift_table", [1, 6, width], .plain)
            // Rows of the table: shift, scale, gate of the self-attention, then of the feed-forward. Text reaches attn2's keys unscaled.
            let table = "dit." + block + "scale_shift_table"
            let crossNorm: InputGain? = crossAttentionNorm ? .norm("dit." + block + "norm2.weight") : nil
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

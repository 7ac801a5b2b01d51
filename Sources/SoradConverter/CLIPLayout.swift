// The image encoder of a checkpoint: transformers' `CLIPVisionModel`, up to its last layer but one.
package import SoradModelFile
import SoradSystem

package struct CLIPLayout: PartLayout {
    package let width: Int
    let layers, heads, feedForward, imageSize, patch: Int
    let epsilon: Float
    let activation: String
    let mean, deviation: [Float]

    /// Patches, and the class embedding in front of them.
    package var tokens: Int { imageSize / patch * (imageSize / patch) + 1 }

    /// Of the pictures that CLIP was trained with.
    private static let (openAIMean, openAIDeviation): ([Float], [Float]) = (
        [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    )

    /// - Parameter processor: `image_processor/preprocessor_config.json`; nil for that of all published encoders.
    init(_ config: ConfigFile, processor: ConfigFile?) throws(SoradError) {
        width = try config.integer("hidden_size", in: 2...65536)
        layers = try config.integer("num_hidden_layers", in: 2...256)
        heads = try config.integer("num_attention_heads", in: 1...256)
        feedForward = try config.integer("intermediate_size", in: 1...65536)
        imageSize = try config.integer("image_size", in: 1...2048)
        patch = try config.integer("patch_size", in: 1...256)
        epsilon = try config.number("layer_norm_eps", in: 1e-12...1e-1, default: 1e-5)
        try config.require("hidden_act", oneOf: ["gelu", "quick_gelu"])
        activation = try config.string("hidden_act")
        guard width % heads == 0, imageSize % patch == 0 else {
            throw SoradError(.badInput, "\(config.path): \(width) channels in \(heads) heads, \(imageSize) pixels in patches of \(patch)")
        }
        guard let processor else {
            (mean, deviation) = (Self.openAIMean, Self.openAIDeviation)
            return
        }
        for key in ["do_resize", "do_center_crop", "do_rescale", "do_normalize"] where try !processor.bool(key, default: true) {
            throw SoradError(.badInput, "\(processor.path): \(key) is false, and such pictures cannot be prepared")
        }
        guard try processor.integer("resample", in: 0...5, default: 3) == 3 else {
            throw SoradError(.badInput, "\(processor.path): resample is not the 3 of a bicubic filter, the only one that is known")
        }
        mean = try processor.numbers("image_mean", count: 3, in: -10...10)
        deviation = try processor.numbers("image_std", count: 3, in: 1e-6...10)
    }

    package var metadata: [(key: String, value: MetadataValue)] {
        [
            ("ie.type", .string("clip")),
            ("ie.hidden_size", .uint32(UInt32(width))),
            ("ie.num_hidden_layers", .uint32(UInt32(layers))),
            ("ie.num_attention_heads", .uint32(UInt32(heads))),
            ("ie.intermediate_size", .uint32(UInt32(feedForward))),
            ("ie.image_size", .uint32(UInt32(imageSize))),
            ("ie.patch_size", .uint32(UInt32(patch))),
            ("ie.layer_norm_eps", .float32(epsilon)),
            ("ie.hidden_act", .string(activation)),
            ("ie.image_mean", .float32s(mean)),
            ("ie.image_std", .float32s(deviation)),
        ]
    }

    package var tensors: [TensorRule] {
        var list: [TensorRule] = []
        func norm(_ source: String, _ name: String) {
            list.append(TensorRule(source + ".weight", as: name + ".weight", [width], .plain))
            list.append(TensorRule(source + ".bias", as: name + ".bias", [width], .plain))
        }
        func linear(_ source: String, _ name: String, _ outputs: Int, _ inputs: Int, _ form: TensorRule.Form) {
            list.append(TensorRule(source + ".weight", as: name + ".weight", [outputs, inputs], form))
            list.append(TensorRule(source + ".bias", as: name + ".bias", [outputs], .plain))
        }
        list.append(TensorRule("embeddings.class_embedding", as: "ie.class_embedding", [width], .plain))
        list.append(
            TensorRule("embeddings.patch_embedding.weight", as: "ie.patch_embedding.weight", [width, 3, patch, patch], .floatLinear))
        list.append(TensorRule("embeddings.position_embedding.weight", as: "ie.position_embedding", [tokens, width], .plain))
        norm("pre_layrnorm", "ie.pre_norm")
        for block in 0..<layers - 1 {
            let (from, to) = ("encoder.layers.\(block).", "ie.block.\(block).")
            norm(from + "layer_norm1", to + "attn_norm")
            for (source, name) in [("q_proj", "q"), ("k_proj", "k"), ("v_proj", "v")] {
                linear(
                    from + "self_attn." + source, to + "attn." + name, width, width,
                    .linear(input: .normal, gain: .norm(to + "attn_norm.weight")))
            }
            linear(from + "self_attn.out_proj", to + "attn.o", width, width, .linear(input: .normal))
            norm(from + "layer_norm2", to + "ffn_norm")
            linear(from + "mlp.fc1", to + "ffn.up", feedForward, width, .linear(input: .normal, gain: .norm(to + "ffn_norm.weight")))
            linear(from + "mlp.fc2", to + "ffn.down", width, feedForward, .linear(input: .afterGELU))
        }
        return list
    }

    /// What the last layer of the checkpoint and the norm behind it are called: nothing reads them.
    func isUnused(_ name: String) -> Bool {
        name.hasPrefix("encoder.layers.\(layers - 1).") || name.hasPrefix("post_layernorm.") || name == "embeddings.position_ids"
            || name == "visual_projection.weight"
    }
}

// How the formats spell the names of tensors. The layouts ask for diffusers' names; a table turns another format's names into these.
// Invariant: a name that no rule covers stays as it is, so the strict account of all tensors refuses what nobody understands.
package import SoradSystem

/// The names of one format.
package struct NameTable: Sendable {
    /// A tensor that only this format has; it tells the format.
    let mark: String
    /// Rules from the beginning of a name to the beginning of diffusers' name; the rest stays. "*" stands for one part between dots.
    let rules: [(theirs: String, ours: String)]

    package init(mark: String, rules: [(theirs: String, ours: String)]) {
        self.mark = mark
        self.rules = rules
    }

    /// What repackaged files put before every name.
    private static let prefixes = ["", "vision_model.", "model.diffusion_model.", "diffusion_model.", "model.", "net."]

    /// Wan's own release of the diffusion transformer.
    package static let wanTransformer = NameTable(
        mark: "head.modulation",
        rules: [
            ("time_embedding.0", "condition_embedder.time_embedder.linear_1"),
            ("time_embedding.2", "condition_embedder.time_embedder.linear_2"),
            ("time_projection.1", "condition_embedder.time_proj"),
            ("text_embedding.0", "condition_embedder.text_embedder.linear_1"),
            ("text_embedding.2", "condition_embedder.text_embedder.linear_2"),
            ("head.modulation", "scale_shift_table"),
            ("head.head", "proj_out"),
            ("vace_blocks.*.before_proj", "vace_blocks.*.proj_in"), ("vace_blocks.*.after_proj", "vace_blocks.*.proj_out"),
        ]
            + wanBlock("blocks.*") + wanBlock("vace_blocks.*")
            + [("k_img", "add_k_proj"), ("v_img", "add_v_proj"), ("norm_k_img", "norm_added_k")].map {
                ("blocks.*.cross_attn.\($0)", "blocks.*.attn2.\($1)")
            }
            + [
                ("proj.0", "norm1"), ("proj.1", "ff.net.0.proj"), ("proj.3", "ff.net.2"), ("proj.4", "norm2"), ("emb_pos", "pos_embed"),
            ].map { ("img_emb.\($0)", "condition_embedder.image_embedder.\($1)") })

    private static func wanBlock(_ block: String) -> [(theirs: String, ours: String)] {
        [
            ("\(block).modulation", "\(block).scale_shift_table"),
            // The original's norm1 and norm2 have no weights.
            ("\(block).norm3", "\(block).norm2"),
            ("\(block).ffn.0", "\(block).ffn.net.0.proj"),
            ("\(block).ffn.2", "\(block).ffn.net.2"),
        ]
            + [("self_attn", "attn1"), ("cross_attn", "attn2")].flatMap { theirs, ours in
                [("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("o", "to_out.0"), ("norm_q", "norm_q"), ("norm_k", "norm_k")].map {
                    ("\(block).\(theirs).\($0)", "\(block).\(ours).\($1)")
                }
            }
    }

    /// FastVideo's blocks for MLX; the rest has diffusers' names.
    package static let mlxTransformer = NameTable(
        mark: "blocks.0.ffn.fc_in.weight",
        rules: ["to_q", "to_k", "to_v", "norm_q", "norm_k"].map { ("blocks.*.\($0)", "blocks.*.attn1.\($0)") } + [
            ("blocks.*.to_out", "blocks.*.attn1.to_out.0"), ("blocks.*.attn2.to_out", "blocks.*.attn2.to_out.0"),
            ("blocks.*.ffn.fc_in", "blocks.*.ffn.net.0.proj"), ("blocks.*.ffn.fc_out", "blocks.*.ffn.net.2"),
            ("blocks.*.self_attn_residual_norm.norm", "blocks.*.norm2"),
        ])

    /// transformers' CLIPVisionModel, whose newer editions leave out the prefix.
    package static let clip = NameTable(mark: "embeddings.class_embedding", rules: [])

    /// CLIP as Wan's own release has it (wan/modules/clip.py); queries, keys and values lie in one matrix, see SplitSource.
    package static let openCLIP = NameTable(
        mark: "visual.cls_embedding",
        rules: [
            ("visual.cls_embedding", "embeddings.class_embedding"),
            ("visual.pos_embedding", "embeddings.position_embedding.weight"),
            ("visual.patch_embedding", "embeddings.patch_embedding"),
            ("visual.pre_norm", "pre_layrnorm"), ("visual.post_norm", "post_layernorm"), ("visual.head", "visual_projection.weight"),
            ("visual.transformer.*.norm1", "encoder.layers.*.layer_norm1"),
            ("visual.transformer.*.norm2", "encoder.layers.*.layer_norm2"),
            ("visual.transformer.*.attn.to_qkv", "encoder.layers.*.self_attn.qkv"),
            ("visual.transformer.*.attn.proj", "encoder.layers.*.self_attn.out_proj"),
            ("visual.transformer.*.mlp.0", "encoder.layers.*.mlp.fc1"), ("visual.transformer.*.mlp.2", "encoder.layers.*.mlp.fc2"),
        ])

    /// The umT5 encoder as llama.cpp names it.
    package static let ggufTextEncoder = NameTable(
        mark: "enc.blk.0.attn_q.weight",
        rules: [
            ("token_embd", "shared"),
            ("enc.output_norm", "encoder.final_layer_norm"),
            ("enc.blk.*.attn_norm", "encoder.block.*.layer.0.layer_norm"),
            ("enc.blk.*.attn_rel_b", "encoder.block.*.layer.0.SelfAttention.relative_attention_bias"),
            ("enc.blk.*.ffn_norm", "encoder.block.*.layer.1.layer_norm"),
            ("enc.blk.*.ffn_gate", "encoder.block.*.layer.1.DenseReluDense.wi_0"),
            ("enc.blk.*.ffn_up", "encoder.block.*.layer.1.DenseReluDense.wi_1"),
            ("enc.blk.*.ffn_down", "encoder.block.*.layer.1.DenseReluDense.wo"),
        ]
            + ["q", "k", "v", "o"].map { ("enc.blk.*.attn_\($0)", "encoder.block.*.layer.0.SelfAttention.\($0)") })

    /// Wan's own release of the 2.1 autoencoder: blocks without levels, which diffusers groups in the decoder.
    package static let wanAutoencoder = NameTable(
        mark: "decoder.middle.0.residual.0.gamma",
        rules: wanAutoencoderRules())

    /// That of the 2.2 autoencoder: blocks within levels.
    package static let wan22Autoencoder = NameTable(
        mark: "decoder.upsamples.0.upsamples.0.residual.0.gamma",
        rules: wanAutoencoderEnds()
            + (0..<3).flatMap { block in
                residualBlock("encoder.downsamples.*.downsamples.\(block)", "encoder.down_blocks.*.resnets.\(block)")
                    + residualBlock("decoder.upsamples.*.upsamples.\(block)", "decoder.up_blocks.*.resnets.\(block)")
            } + [
                ("encoder.downsamples.*.downsamples.2", "encoder.down_blocks.*.downsampler"),
                ("decoder.upsamples.*.upsamples.3", "decoder.up_blocks.*.upsampler"),
            ])

    /// The layers in front of the levels and behind them, which both editions share.
    private static func wanAutoencoderEnds() -> [(theirs: String, ours: String)] {
        var rules = [(theirs: "conv1", ours: "quant_conv"), (theirs: "conv2", ours: "post_quant_conv")]
        for half in ["encoder", "decoder"] {
            rules.append(("\(half).conv1", "\(half).conv_in"))
            rules.append(("\(half).head.0", "\(half).norm_out"))
            rules.append(("\(half).head.2", "\(half).conv_out"))
            rules += residualBlock("\(half).middle.0", "\(half).mid_block.resnets.0")
            rules.append(("\(half).middle.1", "\(half).mid_block.attentions.0"))
            rules += residualBlock("\(half).middle.2", "\(half).mid_block.resnets.1")
        }
        return rules
    }

    private static func wanAutoencoderRules() -> [(theirs: String, ours: String)] {
        var rules = wanAutoencoderEnds()
        rules += residualBlock("encoder.downsamples.*", "encoder.down_blocks.*")
        rules.append(("encoder.downsamples.*", "encoder.down_blocks.*"))
        for level in 0..<4 {
            for block in 0..<3 {
                rules += residualBlock("decoder.upsamples.\(4 * level + block)", "decoder.up_blocks.\(level).resnets.\(block)")
            }
            rules.append(("decoder.upsamples.\(4 * level + 3)", "decoder.up_blocks.\(level).upsamplers.0"))
        }
        return rules
    }

    private static func residualBlock(_ theirs: String, _ ours: String) -> [(theirs: String, ours: String)] {
        [
            ("\(theirs).residual.0", "\(ours).norm1"), ("\(theirs).residual.2", "\(ours).conv1"),
            ("\(theirs).residual.3", "\(ours).norm2"), ("\(theirs).residual.6", "\(ours).conv2"),
            ("\(theirs).shortcut", "\(ours).conv_shortcut"),
        ]
    }

    /// Wan's own release of the umT5 encoder.
    package static let wanTextEncoder = NameTable(
        mark: "blocks.0.ffn.gate.0.weight",
        rules: [
            ("token_embedding", "shared"),
            ("norm", "encoder.final_layer_norm"),
            ("blocks.*.norm1", "encoder.block.*.layer.0.layer_norm"),
            ("blocks.*.attn", "encoder.block.*.layer.0.SelfAttention"),
            ("blocks.*.pos_embedding.embedding", "encoder.block.*.layer.0.SelfAttention.relative_attention_bias"),
            ("blocks.*.norm2", "encoder.block.*.layer.1.layer_norm"),
            ("blocks.*.ffn.gate.0", "encoder.block.*.layer.1.DenseReluDense.wi_0"),
            ("blocks.*.ffn.fc1", "encoder.block.*.layer.1.DenseReluDense.wi_1"),
            ("blocks.*.ffn.fc2", "encoder.block.*.layer.1.DenseReluDense.wo"),
        ])

    /// `source` under diffusers' names: through the one of `tables` whose mark it has, or as it is.
    /// - Throws: `.badInput` when two of its names become one.
    package static func renamed(_ source: any TensorSource, by tables: [NameTable]) throws(SoradError) -> any TensorSource {
        for table in tables {
            for prefix in prefixes where source.shape(of: prefix + table.mark) != nil {
                return try RenamedSource(source) { table.renamed($0, prefix: prefix) }
            }
        }
        return source
    }

    /// Diffusers' name of a tensor that this format calls `name`.
    private func renamed(_ name: String, prefix: String) -> String {
        Self.renamed(String(name.dropFirst(name.hasPrefix(prefix) ? prefix.count : 0)), by: rules.map { ($0.theirs, $0.ours) })
    }

    /// This format's name of a tensor that diffusers calls `name`.
    func theirs(_ name: String) -> String { Self.renamed(name, by: rules.map { ($0.ours, $0.theirs) }) }

    private static func renamed(_ name: String, by rules: [(from: String, to: String)]) -> String {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        for rule in rules {
            let pattern = rule.from.split(separator: ".")
            guard parts.count >= pattern.count, zip(pattern, parts).allSatisfy({ $0 == "*" || $0 == $1 }) else { continue }
            var variable = zip(pattern, parts).lazy.filter { $0.0 == "*" }.map(\.1).makeIterator()
            let found = rule.to.split(separator: ".").map { $0 == "*" ? variable.next() ?? $0 : $0 }
            return (found + parts[pattern.count...]).joined(separator: ".")
        }
        return name
    }
}

/// A source whose tensors have other names, and some other shapes of as many elements.
struct RenamedSource: TensorSource {
    private let source: any TensorSource
    /// The source's own names by the new ones.
    private let originals: [String: String]
    /// By the new names.
    private var shapes: [String: [Int]] = [:]

    /// - Parameter rename: the new name of a tensor; nil leaves it out.
    init(_ source: any TensorSource, _ rename: (String) -> String?) throws(SoradError) {
        var originals: [String: String] = [:]
        for name in source.names.sorted() {
            guard let new = rename(name) else { continue }
            if let other = originals.updateValue(name, forKey: new) {
                throw SoradError(.badInput, "\(source.path): the tensors \(other) and \(name) are both \(new)")
            }
        }
        self.source = source
        self.originals = originals
    }

    /// The same with another shape of one tensor.
    func reshaped(_ name: String, _ shape: [Int]) -> RenamedSource {
        precondition(shape.reduce(1, *) == self.shape(of: name)?.reduce(1, *), "\(name) cannot have the shape \(shape)")
        var copy = self
        copy.shapes[name] = shape
        return copy
    }

    var path: String { source.path }
    var names: [String] { Array(originals.keys) }
    func shape(of name: String) -> [Int]? { shapes[name] ?? originals[name].flatMap(source.shape) }
    func location(of name: String) -> String { originals[name].map(source.location) ?? path }
    func range(of name: String) -> MappedRange? { originals[name].flatMap(source.range) }

    func floats(of name: String, in range: Range<Int>) throws(SoradError) -> [Float] {
        guard let original = originals[name] else { preconditionFailure("\(path) has no tensor \(name)") }
        return try source.floats(of: original, in: range)
    }

    func int8Rows(of name: String) throws(SoradError) -> Int8Rows? {
        guard let original = originals[name] else { return nil }
        return try source.int8Rows(of: original)
    }
}

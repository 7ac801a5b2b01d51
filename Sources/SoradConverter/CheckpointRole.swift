// What the tensors of a file are: a transformer, a text encoder, an autoencoder, or several of them behind prefixes. Names decide, never the
// name of the file. A file that is something else is refused by what it seems to be.
package import SoradSystem

/// A part of a checkpoint.
package enum CheckpointRole: String, CaseIterable, Sendable {
    case transformer = "transformer"
    /// Like a transformer; which of two it is, its file says.
    case lowNoise = "transformer for low noise"
    case textEncoder = "text encoder"
    case autoencoder = "autoencoder"
    case imageEncoder = "image encoder"

    /// Sets of names, each of which only this part has; the first of a set is enough to find its prefix.
    fileprivate var marks: [[String]] {
        switch self {
        case .transformer: [["head.modulation"], ["scale_shift_table", "patch_embedding.weight"]]
        case .lowNoise: []
        case .imageEncoder: [["embeddings.class_embedding"], ["visual.cls_embedding"]]
        case .textEncoder:
            [["encoder.block.0.layer.0.layer_norm.weight"], ["blocks.0.ffn.gate.0.weight"], ["enc.blk.0.attn_norm.weight"]]
        case .autoencoder:
            [
                ["decoder.middle.0.residual.0.gamma"], ["decoder.mid_block.resnets.0.conv1.weight"],
                ["decoder.1.weight", "encoder.0.weight", "decoder.3.conv.0.weight"],
            ]
        }
    }

    /// The tables that turn other spellings into diffusers'.
    var tables: [NameTable] {
        switch self {
        case .transformer, .lowNoise: [.wanTransformer, .mlxTransformer]
        case .imageEncoder: [.clip, .openCLIP]
        case .textEncoder: [.wanTextEncoder, .ggufTextEncoder]
        case .autoencoder: [.wan22Autoencoder, .wanAutoencoder]
        }
    }
}

/// The tensors of one part, as the file spells them, behind no prefix.
package struct RoleTensors {
    package let role: CheckpointRole
    package let source: any TensorSource
}

/// The parts that one source of tensors holds.
package struct CheckpointRoles {
    package let parts: [RoleTensors]
    /// What is left out, as sentences.
    package private(set) var notices: [String] = []

    /// Pieces of names that training frameworks put in.
    private static let wrappers = ["_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod."]
    /// Averaged weights before those of the last step: that is what their authors sample with.
    private static let trainings = ["", "generator_ema.", "ema.", "generator.", "state_dict.", "module."]
    private static let models = [
        "", "model.", "net.", "model.diffusion_model.", "diffusion_model.", "transformer.", "text_encoders.umt5xxl.transformer.",
        "text_encoder.",
        "vae.", "first_stage_model.", "vision_model.",
    ]

    /// - Throws: `.badInput` when it holds none of the parts, or tensors outside them.
    package init(_ source: any TensorSource) throws(SoradError) {
        let plain = try RenamedSource(source) { name in
            guard Self.wrappers.contains(where: name.contains) else { return name }
            return Self.wrappers.reduce(name) { $0.split(separator: $1, omittingEmptySubsequences: false).joined() }
        }
        var found: [(role: CheckpointRole, prefix: String)] = []
        for role in CheckpointRole.allCases {
            let prefixes = Self.trainings.flatMap { training in Self.models.map { training + $0 } }
            if let prefix = prefixes.first(where: { Self.holds(plain, role, prefix: $0) }) { found.append((role, prefix)) }
        }
        guard !found.isEmpty else { throw Self.unknown(plain) }
        // The longest prefix that fits owns a tensor.
        let names = plain.names.sorted()
        let prefixes = found.map(\.prefix)
        func owner(_ name: String) -> String? { prefixes.filter(name.hasPrefix).max { $0.utf8.count < $1.utf8.count } }
        var outside = names.filter { owner($0) == nil }
        for training in Self.trainings where !training.isEmpty && outside.contains(where: { $0.hasPrefix(training) }) {
            notices.append("\(source.path): the weights behind \"\(training)\" are left out, those behind \"\(prefixes[0])\" are taken")
            outside.removeAll { $0.hasPrefix(training) }
        }
        outside.removeAll { $0.hasSuffix("spiece_model") }
        // A whole CLIP model has a text half, and what brings both into one space.
        if found.contains(where: { $0.role == .imageEncoder }) { outside.removeAll(where: Self.isBesideImageEncoder) }
        guard outside.isEmpty else { throw Self.unaccounted(plain.path, outside) }
        var parts: [RoleTensors] = []
        for (role, prefix) in found {
            let tensors = try RenamedSource(plain) { name in
                owner(name) == prefix && !name.hasSuffix("spiece_model") ? String(name.dropFirst(prefix.count)) : nil
            }
            parts.append(RoleTensors(role: role, source: tensors))
        }
        self.parts = parts
    }

    /// Tensors of a CLIP model outside its image encoder.
    static func isBesideImageEncoder(_ name: String) -> Bool {
        ["text_model.", "textual.", "text_projection.", "visual_projection.", "logit_scale", "log_scale"].contains(where: name.hasPrefix)
    }

    private static func holds(_ source: RenamedSource, _ role: CheckpointRole, prefix: String) -> Bool {
        role.marks.contains { $0.allSatisfy { source.shape(of: prefix + $0) != nil } }
    }

    /// The refusal of tensors that nothing is known about.
    static func unaccounted(_ path: String, _ names: [String]) -> SoradError {
        let rest = names.count > 3 ? " and \(names.count - 3) more" : ""
        return SoradError(
            .badInput, "\(path) has tensors that nothing is known about: \(names.prefix(3).joined(separator: ", "))\(rest)",
            hint: likeness(names).map { "it seems to be \($0), which cannot be converted" })
    }

    private static func unknown(_ source: any TensorSource) -> SoradError {
        let names = source.names.sorted()
        if let likeness = likeness(names) {
            return SoradError(
                .badInput, "\(source.path) seems to be \(likeness), and no transformer, text encoder or autoencoder that can be converted")
        }
        return SoradError(
            .badInput,
            "\(source.path) holds no transformer, text encoder or autoencoder that is known here; its tensors begin with "
                + names.prefix(3).joined(separator: ", "))
    }

    /// What tensors of these names belong to.
    static func likeness(_ names: [String]) -> String? {
        let kinds: [(piece: String, kind: String)] = [
            (".lora_", "a LoRA"), (".hada_w1", "a LoHa"), (".lokr_w", "a LoKr"), (".diff", "a LoRA"),
            ("vace_", "a VACE model with the configuration of another"), ("control_adapter.", "a Fun Control model with a camera"),
            ("ref_conv.", "a Fun Control model"),
            ("casual_audio_encoder.", "a speech-to-video model"), ("audio_proj.", "a speech-to-video model"),
            ("face_adapter.", "a Wan Animate model"), ("delta_embedder.", "an AnyFlow model"), ("fps_embedding.", "a SkyReels model"),
            ("local_attn.proj_l.", "a TurboDiffusion model with sparse linear attention"),
            ("img_emb.", "an image-to-video model with an image encoder"),
            ("image_embedder.", "an image-to-video model with an image encoder"),
            ("add_k_proj.", "an image-to-video model with an image encoder"), ("k_img.", "an image-to-video model with an image encoder"),
            ("visual.transformer.", "a CLIP image encoder"), ("vision_model.", "a CLIP image encoder"),
            ("decoder.upsamples.0.upsamples.", "the autoencoder of Wan 2.2"),
            ("decoder.up_blocks.0.upsampler.", "the autoencoder of Wan 2.2"),
            ("double_blocks.", "a HunyuanVideo or Flux model"), ("transformer_blocks.", "a model of another family"),
            ("dec.blk.", "a T5 model with its decoder"), ("decoder.block.", "a T5 model with its decoder"),
        ]
        return kinds.first { kind in names.contains { $0.contains(kind.piece) } }?.kind
    }
}

// The configuration of Wan's networks from the shapes of their tensors, for weights that come without one. What shapes cannot tell is the
// same in all published models of the family; the strict account of all tensors catches a wrong guess.
import SoradModelFile
import SoradSystem

enum WanShapes {
    /// Of an attention head in every published model.
    private static let headSize = 128

    /// Some files fold or flatten tensors, or leave out a leading 1: back to diffusers' shapes.
    /// - Parameter source: a transformer under diffusers' names.
    static func unfolded(_ source: RenamedSource) -> RenamedSource {
        var source = source
        guard let table = source.shape(of: "scale_shift_table"), let width = table.last, (1...65536).contains(width) else { return source }
        for name in source.names where name == "scale_shift_table" || name.hasSuffix(".scale_shift_table") {
            if let shape = source.shape(of: name), shape.count == 2 { source = source.reshaped(name, [1] + shape) }
        }
        for kernel in ["patch_embedding.weight", "vace_patch_embedding.weight"] {
            guard let shape = source.shape(of: kernel), let count = checkedProduct(shape), count % (4 * width) == 0 else { continue }
            // [in·D, 1, 2, 2] where formats have four dimensions at most; [D, in·4] where the embedding is a linear layer.
            let isFolded = shape.count == 4 && Array(shape.dropFirst()) == [1, 2, 2]
            let isLinear = shape.count == 2 && shape[0] == width
            if isFolded || isLinear { source = source.reshaped(kernel, [width, count / (4 * width), 1, 2, 2]) }
        }
        return source
    }

    /// Wan's own release has a leading 1 in front of CLIP's embeddings.
    /// - Parameter source: an image encoder under transformers' names.
    static func plainCLIP(_ source: RenamedSource) -> RenamedSource {
        var source = source
        for (name, rank) in [("embeddings.class_embedding", 1), ("embeddings.position_embedding.weight", 2)] {
            guard let shape = source.shape(of: name), shape.count > rank, shape.dropLast(rank).allSatisfy({ $0 == 1 }) else { continue }
            source = source.reshaped(name, Array(shape.suffix(rank)))
        }
        return source
    }

    /// - Parameter source: under diffusers' names, as in the following.
    static func transformer(_ source: any TensorSource) throws(SoradError) -> ConfigFile {
        let shapes = Shapes(source)
        let width = try shapes["scale_shift_table", 2, of: 3]
        guard width % headSize == 0 else {
            throw SoradError(
                .badInput, "\(source.path): the transformer is \(width) wide, which is no multiple of Wan's \(headSize) channels a head",
                hint: "give the folder with its config.json too")
        }
        let patch = try shapes.all("patch_embedding.weight", rank: 5)
        let outputs = try shapes["proj_out.weight", 0, of: 2]
        let patchVolume = checkedProduct(Array(patch[2...])) ?? 0
        let embedder = "condition_embedder.image_embedder."
        let pictures: (width: JSONValue, positions: JSONValue) = (
            source.shape(of: embedder + "norm1.weight") == nil ? .null : .integer(try shapes[embedder + "norm1.weight", 0, of: 1]),
            source.shape(of: embedder + "pos_embed") == nil ? .null : .integer(try shapes[embedder + "pos_embed", 1, of: 3])
        )
        return ConfigFile(
            adding(
                try control(shapes),
                to: [
                    "_class_name": "WanTransformer3DModel", "num_layers": .integer(shapes.count("blocks.", ".scale_shift_table")),
                    "num_attention_heads": .integer(width / headSize), "attention_head_dim": .integer(headSize),
                    "in_channels": .integer(patch[1]), "out_channels": .integer(outputs / max(1, patchVolume)),
                    "patch_size": .array(patch[2...].map { .integer($0) }),
                    "text_dim": .integer(try shapes["condition_embedder.text_embedder.linear_1.weight", 1, of: 2]),
                    "image_dim": pictures.width, "added_kv_proj_dim": pictures.width == .null ? .null : .integer(width),
                    "pos_embed_seq_len": pictures.positions,
                    "freq_dim": .integer(try shapes["condition_embedder.time_embedder.linear_1.weight", 1, of: 2]),
                    "ffn_dim": .integer(try shapes["blocks.0.ffn.net.0.proj.weight", 0, of: 2]), "qk_norm": "rms_norm_across_heads",
                    "cross_attn_norm": .bool(source.shape(of: "blocks.0.norm2.weight") != nil), "rope_max_seq_len": 1024, "eps": 1e-6,
                ]), name: "the shapes of \(source.path)")
    }

    /// A branch that follows a clip: its hints are spread evenly, as VACE's are, one for every second or fifth block.
    private static func control(_ shapes: Shapes) throws(SoradError) -> JSONObject {
        let (layers, hints) = (shapes.count("blocks.", ".scale_shift_table"), shapes.count("vace_blocks.", ".scale_shift_table"))
        guard hints > 0 else { return [:] }
        guard layers % hints == 0 else {
            throw SoradError(
                .badInput, "\(shapes.path): \(hints) VACE blocks do not say which of the \(layers) blocks they belong to",
                hint: "give the folder with its config.json too")
        }
        return [
            "_class_name": .string(WanTransformerLayout.controlClass),
            "vace_layers": .array((0..<hints).map { .integer($0 * (layers / hints)) }),
            "vace_in_channels": .integer(try shapes.all("vace_patch_embedding.weight", rank: 5)[1]),
        ]
    }

    /// CLIP as Wan uses it, ViT-H/14: 80 channels a head (OpenCLIP's xlm-roberta-large-vit-huge-14).
    static func imageEncoder(_ source: any TensorSource) throws(SoradError) -> ConfigFile {
        let shapes = Shapes(source)
        let width = try shapes["embeddings.class_embedding", 0, of: 1]
        let patch = try shapes["embeddings.patch_embedding.weight", 3, of: 4]
        let positions = try shapes["embeddings.position_embedding.weight", 0, of: 2]
        guard width % 80 == 0, width > 0, let side = (1...64).first(where: { $0 * $0 + 1 == positions }) else {
            throw SoradError(
                .badInput, "\(source.path): an image encoder of \(width) channels and \(positions) positions is not Wan's ViT-H/14",
                hint: "give the folder with its config.json too")
        }
        return ConfigFile(
            [
                "hidden_size": .integer(width), "num_attention_heads": .integer(width / 80), "patch_size": .integer(patch),
                "image_size": .integer(side * patch), "hidden_act": "gelu", "layer_norm_eps": 1e-5,
                "num_hidden_layers": .integer(shapes.count("encoder.layers.", ".layer_norm1.weight")),
                "intermediate_size": .integer(try shapes["encoder.layers.0.mlp.fc1.weight", 0, of: 2]),
            ], name: "the shapes of \(source.path)")
    }

    static func textEncoder(_ source: any TensorSource) throws(SoradError) -> ConfigFile {
        let shapes = Shapes(source)
        let attention = "encoder.block.0.layer.0.SelfAttention."
        let embedding = UMT5Layout.embeddings.first { source.shape(of: $0) != nil } ?? UMT5Layout.embeddings[0]
        let bias = try shapes.all(attention + "relative_attention_bias.weight", rank: 2)
        let inner = try shapes[attention + "q.weight", 0, of: 2]
        guard bias[1] > 0, inner % bias[1] == 0 else {
            throw SoradError(.badInput, "\(source.path): the text encoder has \(bias[1]) heads for \(inner) channels")
        }
        return ConfigFile(
            [
                "feed_forward_proj": "gated-gelu", "d_model": .integer(try shapes[embedding, 1, of: 2]),
                "vocab_size": .integer(try shapes[embedding, 0, of: 2]), "d_kv": .integer(inner / bias[1]), "num_heads": .integer(bias[1]),
                "d_ff": .integer(try shapes["encoder.block.0.layer.1.DenseReluDense.wi_0.weight", 0, of: 2]),
                "num_layers": .integer(shapes.count("encoder.block.", ".layer.0.layer_norm.weight")),
                "relative_attention_num_buckets": .integer(bias[0]),
                // No format notes it; all T5 models have this one.
                "relative_attention_max_distance": 128, "layer_norm_epsilon": 1e-6,
            ], name: "the shapes of \(source.path)")
    }

    static func autoencoder(_ source: any TensorSource) throws(SoradError) -> ConfigFile {
        isTinyAutoencoder(source) ? try tinyAutoencoder(source) : try wanAutoencoder(source)
    }

    static func isTinyAutoencoder(_ source: any TensorSource) -> Bool { source.shape(of: "decoder.conv_in.weight") == nil }

    private static func wanAutoencoder(_ source: any TensorSource) throws(SoradError) -> ConfigFile {
        let shapes = Shapes(source)
        let channels = try shapes["post_quant_conv.weight", 0, of: 5]
        let isResidual = source.shape(of: "decoder.up_blocks.0.upsampler.resample.1.weight") != nil
        let statistics = [(mean, deviation), (mean22, deviation22)].first { $0.0.count == channels }
        guard let (mean, deviation) = statistics, isResidual == (channels == mean22.count) else {
            throw SoradError(
                .badInput,
                "\(source.path): the autoencoder has \(channels) latent channels, and only those of Wan 2.1 with 16 and of Wan 2.2 with 48 are known",
                hint: CheckpointRoles.likeness(source.names).map { "it seems to be \($0)" })
        }
        let edition: JSONObject = isResidual ? ["is_residual": true, "patch_size": 2, "in_channels": 12, "out_channels": 12] : [:]
        return ConfigFile(
            adding(
                edition,
                to: [
                    "_class_name": "AutoencoderKLWan", "base_dim": .integer(try shapes["encoder.conv_in.weight", 0, of: 5]),
                    "decoder_base_dim": .integer(try shapes["decoder.norm_out.gamma", 0, of: 4]), "z_dim": .integer(channels),
                    "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_scales": [], "temperal_downsample": [false, true, true],
                    "latents_mean": .array(mean.map { .double($0) }), "latents_std": .array(deviation.map { .double($0) }),
                ]), name: "the shapes of \(source.path)")
    }

    private static func adding(_ more: JSONObject, to object: JSONObject) -> JSONObject {
        var object = object
        for member in more.members { object[member.key] = member.value }
        return object
    }

    /// LightX2V's lighttae has taew's names and shapes, and reads latents that are scaled as the full autoencoder's. Its authors, too, know it
    /// by the name of its file.
    static func takesScaledLatents(_ path: String) -> Bool {
        (path.split(separator: "/").last ?? "").lowercased().contains("lighttae")
    }

    /// TAEHV as it is published for Wan: three levels that grow in space, latents as the transformer has them.
    private static func tinyAutoencoder(_ source: any TensorSource) throws(SoradError) -> ConfigFile {
        let shapes = Shapes(source)
        let channels = try shapes["decoder.1.weight", 1, of: 4]
        let pixels = try shapes["decoder.22.weight", 0, of: 4]
        guard let patch = [1, 2].first(where: { 3 * $0 * $0 == pixels }) else {
            throw SoradError(.badInput, "\(source.path): the autoencoder gives \(pixels) channels, not 3 or 12")
        }
        let encoder = [0, 3, 8, 13].map { "encoder.\($0).weight" }
        let decoder = [1, 8, 14, 20].map { "decoder.\($0).weight" }
        func widths(_ names: [String]) throws(SoradError) -> JSONValue {
            var widths: [JSONValue] = []
            for name in names { widths.append(.integer(try shapes[name, 0, of: 4])) }
            return .array(widths)
        }
        // A 1×1 convolution of two frames joined, or to two frames, where time changes.
        func doubles(_ names: [String], axis: Int) throws(SoradError) -> JSONValue {
            var flags: [JSONValue] = []
            for name in names {
                let shape = try shapes.all(name, rank: 4)
                flags.append(.bool(shape[axis] > shape[1 - axis]))
            }
            return .array(flags)
        }
        var statistics = ([Double](repeating: 0, count: channels), [Double](repeating: 1, count: channels))
        if takesScaledLatents(source.path) {
            guard let known = [(mean, deviation), (mean22, deviation22)].first(where: { $0.0.count == channels }) else {
                throw SoradError(.badInput, "\(source.path): a lighttae has 16 or 48 latent channels, and this one \(channels)")
            }
            statistics = known
        }
        return ConfigFile(
            [
                "_class_name": "AutoencoderTAEHV", "image_channels": 3, "latent_channels": .integer(channels),
                "patch_size": .integer(patch),
                "encoder_channels": try widths(encoder), "decoder_channels": try widths(decoder),
                "encoder_time_downscale": try doubles([2, 7, 12].map { "encoder.\($0).conv.weight" }, axis: 1),
                "decoder_time_upscale": try doubles([7, 13, 19].map { "decoder.\($0).conv.weight" }, axis: 0),
                "decoder_space_upscale": [true, true, true], "encoder_padding": "back",
                "latents_mean": .array(statistics.0.map { .double($0) }), "latents_std": .array(statistics.1.map { .double($0) }),
            ], name: "the shapes of \(source.path)")
    }

    /// Of the latents of Wan 2.1's autoencoder (diffusers AutoencoderKLWan, Wan2.1 wan/modules/vae.py).
    private static let mean: [Double] = [
        -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503,
        -0.2921,
    ]
    private static let deviation: [Double] = [
        2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
    ]
    /// Likewise of Wan 2.2's (Wan2.2 wan/modules/vae2_2.py).
    private static let mean22: [Double] = [
        -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891, 0.1570, -0.0098, 0.0375,
        -0.1825,
        -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502, -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799,
        -0.1230,
        -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681,
        -0.0667,
    ]
    private static let deviation22: [Double] = [
        0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165, 0.8454, 0.4978,
        0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093,
        0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
    ]
}

/// Sizes out of shapes, with a sentence where one is not there.
private struct Shapes {
    private let source: any TensorSource
    var path: String { source.path }

    init(_ source: any TensorSource) { self.source = source }

    /// One dimension of a tensor of `rank` dimensions.
    subscript(name: String, axis: Int, of rank: Int) -> Int {
        get throws(SoradError) { try all(name, rank: rank)[axis] }
    }

    func all(_ name: String, rank: Int) throws(SoradError) -> [Int] {
        guard let shape = source.shape(of: name) else { throw SoradError(.badInput, "\(source.path) lacks the tensor \(name)") }
        guard shape.count == rank else {
            throw SoradError(.badInput, "\(source.path): the tensor \(name) has the shape \(shape), not \(rank) dimensions")
        }
        return shape
    }

    /// The number of tensors of this name with a number between.
    func count(_ start: String, _ end: String) -> Int {
        source.names.count { $0.hasPrefix(start) && $0.hasSuffix(end) && Int($0.dropFirst(start.count).dropLast(end.count)) != nil }
    }
}

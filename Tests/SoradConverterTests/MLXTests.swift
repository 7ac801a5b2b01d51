// FastVideo's checkpoints for MLX, and LightX2V's lightvae, from single files: the model file of a diffusers folder with the same numbers.
import SoradConverter
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct MLXTests {
    /// A text-to-video transformer, most of whose inputs divide into groups of 64.
    private static func config(channels: Int) -> JSONObject {
        [
            "_class_name": "WanTransformer3DModel", "num_layers": 2, "num_attention_heads": 1, "attention_head_dim": 128,
            "in_channels": .integer(channels), "out_channels": .integer(channels), "patch_size": [1, 2, 2], "text_dim": 44, "freq_dim": 64,
            "ffn_dim": 192, "qk_norm": "rms_norm_across_heads", "cross_attn_norm": true, "rope_max_seq_len": 1024, "eps": 1e-6,
        ]
    }

    private static func rules(_ config: JSONObject) throws -> [TensorRule] {
        let empty = ConfigFile([:], name: "none")
        return try WanCheckpoint().network(ConfigFile(config, name: "config"), lowNoise: nil, index: empty, own: nil).tensors
    }

    /// FastVideo's name of a tensor (fastvideo/mlx_runtime/fastwan.py).
    private static func mlxName(_ name: String) -> String {
        guard name.hasPrefix("blocks.") else { return name }
        var result = name
        for (ours, theirs) in [
            (".attn1.", "."), (".to_out.0.", ".to_out."), (".ffn.net.0.proj.", ".ffn.fc_in."), (".ffn.net.2.", ".ffn.fc_out."),
            (".norm2.", ".self_attn_residual_norm.norm."),
        ] {
            if let range = result.firstRange(of: ours) { result.replaceSubrange(range, with: theirs) }
        }
        return result
    }

    /// The same numbers as a diffusers folder and in MLX's form.
    private static func tensors(bits: Int, group: Int = 64) throws -> (diffusers: TypedTensors, mlx: TypedTensors, quantized: Int) {
        var (diffusers, mlx, quantized) = (TypedTensors(), TypedTensors(), 0)
        for (index, rule) in try rules(config(channels: 10)).enumerated() {
            let count = rule.shape.reduce(1, *)
            let name = mlxName(rule.source)
            var random = SplitMix64(seed: UInt64(index))
            let isMatrix = rule.shape.count == 2 && rule.source.hasSuffix(".weight") && rule.shape[1] % group == 0
            guard isMatrix else {
                let values = (0..<count).map { _ in Float(random.next() >> 40) / Float(1 << 24) - 0.5 }
                diffusers.add(rule.source, rule.shape, values)
                // The kernel is flat.
                mlx.add(name, rule.shape.count == 5 ? [rule.shape[0], rule.shape[1...].reduce(1, *)] : rule.shape, values)
                continue
            }
            quantized += 1
            let codes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) & UInt8(1 << bits - 1) }
            let scales = (0..<count / group).map { _ in 0.001 + Float(random.next() >> 40) / Float(1 << 30) }
            let biases = scales.map { -Float(1 << (bits - 1)) * $0 }
            let bytes =
                bits == 8 ? codes : stride(from: 0, to: count, by: 2).map { codes[$0] | codes[$0 + 1] << 4 }
            mlx.add(name, "U32", [rule.shape[0], rule.shape[1] * bits / 32], bytes)
            mlx.add(name + ".scales", [rule.shape[0], rule.shape[1] / group], scales)
            mlx.add(name + ".biases", [rule.shape[0], rule.shape[1] / group], biases)
            diffusers.add(rule.source, rule.shape, codes.indices.map { scales[$0 / group] * Float(codes[$0]) + biases[$0 / group] })
        }
        return (diffusers, mlx, quantized)
    }

    private static func checkpoint(_ folder: TemporaryFolder, _ config: JSONObject, _ transformer: TypedTensors) throws -> String {
        let path = try folder.copy("\(ConverterTests.fixtures)/t2v-experts", as: "checkpoint")
        for part in ["text_encoder", "tokenizer"] {
            _ = try folder.copy("\(ConverterTests.fixtures)/tiny/\(part)", as: "checkpoint/\(part)")
        }
        _ = try folder.copy("\(ConverterTests.fixtures)/wan-vae/plain", as: "checkpoint/vae")
        try removeDirectory("\(path)/transformer_2")
        _ = try folder.write("checkpoint/model_index.json", "{\"_class_name\": \"WanPipeline\"}")
        _ = try folder.write("checkpoint/transformer/config.json", JSONValue.object(config).text())
        _ = try transformer.write("checkpoint/transformer/diffusion_pytorch_model.safetensors", in: folder)
        return path
    }

    private static func manifest(_ bits: Int, _ group: Int, mode: String = "affine") -> String {
        "{\"format_version\": 1, \"config\": {}, \"quantization\": {\"mode\": \"\(mode)\", \"bits\": \(bits), \"group_size\": \(group)}}"
    }

    @Test(arguments: [(8, 64), (4, 64), (8, 32)]) func matricesOfMLXGiveTheFoldersModel(bits: Int, group: Int) throws {
        let folder = try TemporaryFolder()
        let (diffusers, mlx, quantized) = try Self.tensors(bits: bits, group: group)
        #expect(quantized >= 20)
        let path = try Self.checkpoint(folder, Self.config(channels: 10), diffusers)
        let expected = try SpellingTests.converted([], folder, checkpoint: path)
        for name in ["diffusion_pytorch_model.safetensors", "config.json"] { removeFile("\(path)/transformer/\(name)") }
        let file = try mlx.write("mlx_dit.safetensors", in: folder)
        _ = try folder.write("mlx_dit.json", Self.manifest(bits, group))
        let found = try SpellingTests.converted([file], folder, checkpoint: path)
        for (key, content) in expected { #expect(found[key] == content, "\(key)") }
        #expect(found.count == expected.count)
    }

    /// Parts of a matrix are parts of the whole, wherever they begin.
    @Test func rangesOfPackedValues() throws {
        let folder = try TemporaryFolder()
        for bits in [4, 8] {
            let (_, mlx, _) = try Self.tensors(bits: bits)
            let file = try mlx.write("mlx_dit.safetensors", in: folder)
            _ = try folder.write("mlx_dit.json", Self.manifest(bits, 64))
            let source = try CheckpointFile(file).source
            let name = "blocks.0.ffn.fc_out.weight"
            let whole = try #require(source[name]).floats()
            #expect(source.shape(of: name) == [128, 192] && whole.count == 128 * 192)
            for range in [0..<1, 1..<2, 63..<65, 191..<193, 1_001..<4_003, 24_575..<24_576, 7..<7] {
                #expect(try source.floats(of: name, in: range) == Array(whole[range]), "\(range)")
            }
        }
    }

    @Test func whatIsNotSaidOrDoesNotFitIsRefused() throws {
        let folder = try TemporaryFolder()
        let (_, mlx, _) = try Self.tensors(bits: 8)
        let file = try mlx.write("mlx_dit.safetensors", in: folder)
        func refusal(_ manifest: String?) throws -> String? {
            if let manifest { _ = try folder.write("mlx_dit.json", manifest) }
            return failure { _ = try CheckpointFile(file) }?.message
        }
        #expect(try refusal(nil)?.contains("is missing") == true)
        #expect(try refusal(Self.manifest(6, 64))?.contains("only affine") == true)
        #expect(try refusal(Self.manifest(8, 64, mode: "mxfp8"))?.contains("only affine") == true)
        #expect(try refusal("{}")?.contains("only affine") == true && refusal("[") != nil)
        // The same shapes could be these; the scales say that they are not.
        #expect(try refusal(Self.manifest(8, 128))?.contains("no scales and biases") == true)
        #expect(try refusal(Self.manifest(4, 64))?.contains("no scales and biases") == true)
        #expect(try refusal(Self.manifest(8, 64)) == nil)
    }

    // MARK: lightvae

    /// Of Wan 2.1's latents.
    private static let mean: [JSONValue] = [
        -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503,
        -0.2921,
    ]
    private static let deviation: [JSONValue] = [
        2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
    ]

    /// What Wan's own release calls a tensor of the autoencoder.
    private static func originalName(_ name: String) -> String {
        var parts = name.split(separator: ".").map(String.init)
        if parts[0] == "quant_conv" || parts[0] == "post_quant_conv" {
            return (parts[0] == "quant_conv" ? "conv1." : "conv2.") + parts[1]
        }
        let half = parts.removeFirst()
        var head: [String]
        switch (parts[0], parts.count > 2 ? parts[2] : "") {
        case ("conv_in", _): (head, parts) = (["conv1"], Array(parts.dropFirst()))
        case ("norm_out", _): (head, parts) = (["head", "0"], Array(parts.dropFirst()))
        case ("conv_out", _): (head, parts) = (["head", "2"], Array(parts.dropFirst()))
        case ("mid_block", let block):
            head = ["middle", parts[1] == "attentions" ? "1" : block == "0" ? "0" : "2"]
            parts = Array(parts.dropFirst(3))
        case ("down_blocks", _): (head, parts) = (["downsamples", parts[1]], Array(parts.dropFirst(2)))
        case ("up_blocks", let kind):
            let level = 4 * (Int(parts[1]) ?? 0)
            head = ["upsamples", "\(level + (kind == "resnets" ? Int(parts[3]) ?? 0 : 3))"]
            parts = Array(parts.dropFirst(4))
        default: head = []
        }
        if let inner = [
            "norm1": "residual.0", "conv1": "residual.2", "norm2": "residual.3", "conv2": "residual.6", "conv_shortcut": "shortcut",
        ][
            parts[0]]
        {
            parts[0] = inner
        }
        return ([half] + head + parts).joined(separator: ".")
    }

    /// A quarter of the full autoencoder's widths, under its names: nothing but shapes says so.
    @Test func theLightAutoencoderIsReadByItsShapes() throws {
        let folder = try TemporaryFolder()
        let transformer = Self.config(channels: 16)
        var weights = TypedTensors()
        for (index, rule) in try Self.rules(transformer).enumerated() {
            weights.add(rule.source, "BF16", rule.shape, (0..<2 * rule.shape.reduce(1, *)).map { $0 % 2 == 0 ? UInt8(index & 255) : 0x3C })
        }
        let path = try Self.checkpoint(folder, transformer, weights)
        let config: JSONObject = [
            "_class_name": "AutoencoderKLWan", "base_dim": 24, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2,
            "attn_scales": [],
            "temperal_downsample": [false, true, true], "latents_mean": .array(Self.mean), "latents_std": .array(Self.deviation),
        ]
        let layout = try CheckpointRegistry.standard.autoencoder(ConfigFile(config, name: "config"))
        var (diffusers, original) = (TypedTensors(), TypedTensors())
        for (index, rule) in layout.tensors.enumerated() {
            var bytes = [UInt8](repeating: 0x3B, count: 2 * rule.shape.reduce(1, *))
            for i in stride(from: 0, to: bytes.count, by: 2) { bytes[i] = UInt8(truncatingIfNeeded: index &* 31 &+ i) }
            diffusers.add(rule.source, "BF16", rule.shape, bytes)
            original.add(Self.originalName(rule.source), "BF16", rule.shape, bytes)
        }
        _ = try folder.write("checkpoint/vae/config.json", JSONValue.object(config).text())
        _ = try diffusers.write("checkpoint/vae/diffusion_pytorch_model.safetensors", in: folder)
        let expected = try SpellingTests.converted([], folder, checkpoint: path)
        for name in ["diffusion_pytorch_model.safetensors", "config.json"] { removeFile("\(path)/vae/\(name)") }
        let file = try original.write("lightvaew2_1.safetensors", in: folder)
        let found = try SpellingTests.converted([file], folder, checkpoint: path)
        for (key, content) in expected { #expect(found[key] == content, "\(key)") }
        #expect(found.count == expected.count)
    }
}

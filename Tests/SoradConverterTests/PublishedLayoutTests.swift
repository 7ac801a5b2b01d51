// Transformers of published models in a single file of Wan's own names, without a configuration: the model file of the diffusers folder.
// The tensors are random and small; heads are as wide as in the published models, by which a file's shapes are read.
import SoradConverter
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct PublishedLayoutTests {
    struct Kind: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let config: JSONObject
        /// The fixture whose folder it is put into.
        let folder: String
        /// Keys that only shapes tell.
        let keys: [String]
    }

    private static let common: JSONObject = [
        "num_layers": 4, "num_attention_heads": 1, "attention_head_dim": 128, "out_channels": 10, "patch_size": [1, 2, 2], "text_dim": 44,
        "freq_dim": 32, "ffn_dim": 48, "qk_norm": "rms_norm_across_heads", "cross_attn_norm": true, "rope_max_seq_len": 1024, "eps": 1e-6,
    ]

    private static func config(_ more: JSONObject) -> JSONObject {
        var object = common
        for member in more.members { object[member.key] = member.value }
        return object
    }

    static let kinds = [
        Kind(
            testDescription: "VACE",
            config: config([
                "_class_name": "WanVACETransformer3DModel", "in_channels": 10, "vace_layers": [0, 2], "vace_in_channels": 84,
            ]), folder: "vace-mask", keys: ["dit.vace_layers", "dit.vace_in_channels", "dit.vace_blocks.1.proj_out.weight"]),
        // Fun InP has a mask, a clip and CLIP's embeddings of one picture, as I2V 14B has, in the sizes of 1.3B.
        Kind(
            testDescription: "Fun InP",
            config: config([
                "_class_name": "WanTransformer3DModel", "in_channels": 24, "image_dim": 24, "added_kv_proj_dim": 128,
            ]), folder: "i2v-clip", keys: ["dit.image_dim", "dit.blocks.3.attn2.add_k_proj.weight"]),
        Kind(
            testDescription: "FLF2V",
            config: config([
                "_class_name": "WanTransformer3DModel", "in_channels": 24, "image_dim": 40, "added_kv_proj_dim": 128,
                "pos_embed_seq_len": 20,
            ]), folder: "flf2v-clip", keys: ["dit.pos_embed_seq_len"]),
    ]

    /// What Wan's own release calls a tensor.
    static func originalName(_ name: String) -> String {
        if name == "scale_shift_table" { return "head.modulation" }
        var result = name
        let embedder = "condition_embedder."
        for (ours, theirs) in [
            (embedder + "time_embedder.linear_1", "time_embedding.0"), (embedder + "time_embedder.linear_2", "time_embedding.2"),
            (embedder + "text_embedder.linear_1", "text_embedding.0"), (embedder + "text_embedder.linear_2", "text_embedding.2"),
            (embedder + "time_proj", "time_projection.1"), (embedder + "image_embedder.norm1", "img_emb.proj.0"),
            (embedder + "image_embedder.ff.net.0.proj", "img_emb.proj.1"), (embedder + "image_embedder.ff.net.2", "img_emb.proj.3"),
            (embedder + "image_embedder.norm2", "img_emb.proj.4"), (embedder + "image_embedder.pos_embed", "img_emb.emb_pos"),
            (".proj_out.", ".after_proj."), (".proj_in.", ".before_proj."), ("proj_out.", "head.head."), (".attn1.", ".self_attn."),
            (".attn2.", ".cross_attn."), (".to_q.", ".q."), (".to_k.", ".k."), (".to_v.", ".v."), (".to_out.0.", ".o."),
            (".add_k_proj.", ".k_img."), (".add_v_proj.", ".v_img."), (".norm_added_k.", ".norm_k_img."), (".ffn.net.0.proj.", ".ffn.0."),
            (".ffn.net.2.", ".ffn.2."), (".norm2.", ".norm3."), (".scale_shift_table", ".modulation"),
        ] {
            guard let range = result.firstRange(of: ours) else { continue }
            result.replaceSubrange(range, with: theirs)
        }
        return result
    }

    /// Random tensors of a configuration: under diffusers' names, and under the original ones.
    private static func tensors(_ config: JSONObject) throws -> (diffusers: TypedTensors, original: TypedTensors) {
        let empty = ConfigFile([:], name: "none")
        let layout = try WanCheckpoint().network(ConfigFile(config, name: "config"), lowNoise: nil, index: empty, own: nil)
        var (diffusers, original) = (TypedTensors(), TypedTensors())
        for (index, rule) in layout.tensors.enumerated() {
            let values = Tensor(Shape(rule.shape.reduce(1, *)))
            values.fillNormal(seed: 7, stream: UInt64(index))
            diffusers.add(rule.source, rule.shape, values.elements)
            original.add(originalName(rule.source), rule.shape, values.elements)
        }
        return (diffusers, original)
    }

    @Test(arguments: kinds) func aSingleFileGivesTheFoldersModel(kind: Kind) throws {
        let folder = try TemporaryFolder()
        let fixtures = ConverterTests.fixtures
        let (diffusers, original) = try Self.tensors(kind.config)
        let path = try folder.copy("\(fixtures)/\(kind.folder)", as: "checkpoint")
        for part in ["text_encoder", "tokenizer"] { _ = try folder.copy("\(fixtures)/tiny/\(part)", as: "checkpoint/\(part)") }
        _ = try folder.copy("\(fixtures)/wan-vae/plain", as: "checkpoint/vae")
        let place = "checkpoint/transformer/diffusion_pytorch_model.safetensors"
        _ = try diffusers.write(place, in: folder)
        _ = try folder.write("checkpoint/transformer/config.json", JSONValue.object(kind.config).text())
        let expected = try SpellingTests.converted([], folder, checkpoint: path)
        for key in kind.keys { #expect(expected[key] != nil, "\(key)") }
        // Nothing but the file says what the transformer is.
        removeFile(folder.path + "/" + place)
        removeFile("\(path)/transformer/config.json")
        for (spelling, prefix) in [("own", ""), ("repackaged", "model.diffusion_model.")] {
            let file = try original.prefixed(prefix).write("\(spelling).safetensors", in: folder)
            let found = try SpellingTests.converted([file], folder, checkpoint: path)
            for (key, content) in expected { #expect(found[key] == content, "\(spelling): \(key)") }
            #expect(found.count == expected.count, "\(spelling)")
        }
    }

    /// A number of hints that says nothing about their places.
    @Test func hintsThatAreNotSpreadEvenly() throws {
        let folder = try TemporaryFolder()
        var config = Self.kinds[0].config
        config["vace_layers"] = [0, 1, 2]
        let path = try folder.copy("\(ConverterTests.fixtures)/vace-mask", as: "checkpoint")
        removeFile("\(path)/transformer/config.json")
        let file = try Self.tensors(config).original.write("dit.safetensors", in: folder)
        let error = try #require(failure { _ = try SpellingTests.converted([file], folder, checkpoint: path) })
        #expect(error.kind == .badInput && error.message.contains("3 VACE blocks") && error.hint?.contains("config.json") == true)
    }

    @Test func configurationsThatCannotBe() throws {
        func refusal(_ change: (inout JSONObject) -> Void, index: JSONObject = [:]) -> String? {
            var config = Self.kinds[0].config
            change(&config)
            let error = failure {
                _ = try WanCheckpoint().network(
                    ConfigFile(config, name: "config"), lowNoise: nil, index: ConfigFile(index, name: "index"), own: nil)
            }
            return error.map(\.message)
        }
        #expect(refusal { _ in } == nil)
        #expect(refusal { $0["vace_layers"] = [1, 2] }?.contains("does not rise from 0") == true)
        #expect(refusal { $0["vace_layers"] = [0, 4] }?.contains("within 4 layers") == true)
        #expect(refusal { $0["vace_layers"] = [0, 2, 2] } != nil)
        #expect(refusal { $0["vace_layers"] = [] } != nil)
        #expect(refusal { $0["vace_in_channels"] = 20 }?.contains("20 channels") == true)
        #expect(
            refusal {
                $0["image_dim"] = 24; $0["added_kv_proj_dim"] = 128
            } != nil)
        #expect(refusal({ _ in }, index: ["expand_timesteps": true]) != nil)
    }
}

extension TypedTensors {
    /// The same behind a prefix.
    func prefixed(_ prefix: String) -> TypedTensors { renamed { prefix + $0 } }
}

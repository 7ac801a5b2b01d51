// The CLIP tower of I2V and FLF2V from a single file, as Wan's own release names it (open_clip's module, queries, keys and values in one
// matrix) and as repackaged `clip_vision_h` files do: the model file of the diffusers folder.
import SoradConverter
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct ImageEncoderSpellingTests {
    /// A whole diffusers folder with the transformer and image encoder of the fixture `name`.
    private static func checkpoint(_ name: String, in folder: TemporaryFolder) throws -> String {
        let path = try folder.copy(ConverterTests.fixtures + "/" + name, as: name)
        for part in ["text_encoder", "tokenizer"] { _ = try folder.copy("\(ConverterTests.fixtures)/tiny/\(part)", as: "\(name)/\(part)") }
        _ = try folder.copy("\(ConverterTests.fixtures)/wan-vae/plain", as: "\(name)/vae")
        return path
    }

    private static func originalName(_ name: String) -> String {
        var result = name
        for (ours, theirs) in [
            ("embeddings.class_embedding", "cls_embedding"), ("embeddings.position_embedding.weight", "pos_embedding"),
            ("embeddings.patch_embedding", "patch_embedding"), ("pre_layrnorm", "pre_norm"), ("post_layernorm", "post_norm"),
            ("encoder.layers.", "transformer."), (".layer_norm", ".norm"), (".self_attn.out_proj", ".attn.proj"), (".mlp.fc1", ".mlp.0"),
            (".mlp.fc2", ".mlp.2"),
        ] {
            guard let range = result.firstRange(of: ours) else { continue }
            result.replaceSubrange(range, with: theirs)
        }
        return "visual." + result
    }

    @Test(arguments: ["i2v-clip", "flf2v-clip"]) func bothSpellingsGiveTheFoldersModel(name: String) throws {
        let folder = try TemporaryFolder()
        let path = try Self.checkpoint(name, in: folder)
        let expected = try SpellingTests.converted([], folder, checkpoint: path)
        #expect(expected.keys.contains("ie.block.0.attn.q.weight"))
        let encoder = try SafetensorsFolder(opening: path + "/image_encoder")
        var original = TypedTensors()
        var repackaged = TypedTensors()
        var joined = 0
        let names = Set(try SafetensorsFile(opening: path + "/image_encoder/model.safetensors").tensors.map(\.name))
        for source in names.sorted() {
            let tensor = try #require(encoder[source])
            let values = try tensor.floats()
            repackaged.add("vision_model." + source, tensor.shape, values)
            if source.contains("_embedding"), !source.contains("patch") {
                let leading = [Int](repeating: 1, count: 3 - tensor.shape.count)
                original.add(Self.originalName(source), leading + tensor.shape, values)
            } else if source.contains(".q_proj.") {
                let all = try ["q", "k", "v"].map { part in
                    try #require(encoder[source.replacing(".q_proj.", with: ".\(part)_proj.")]).floats()
                }
                let target = Self.originalName(source).replacing(".self_attn.q_proj.", with: ".attn.to_qkv.")
                original.add(target, [3 * tensor.shape[0]] + tensor.shape.dropFirst(), all.flatMap { $0 })
                joined += 1
            } else if !source.contains(".k_proj."), !source.contains(".v_proj.") {
                original.add(Self.originalName(source), tensor.shape, values)
            }
        }
        #expect(joined >= 4)
        // What else such files hold, and nothing reads.
        original.add("visual.head", [4, 2], [Float](repeating: 1, count: 8))
        original.add("log_scale", [], [1])
        repackaged.add("visual_projection.weight", [2, 4], [Float](repeating: 1, count: 8))
        removeFile(path + "/image_encoder/model.safetensors")
        for (spelling, tensors) in [("open_clip", original), ("clip_vision_h", repackaged)] {
            let file = try tensors.write("\(name)-\(spelling).safetensors", in: folder)
            let found = try SpellingTests.converted([file], folder, checkpoint: path)
            for (key, content) in expected { #expect(found[key] == content, "\(spelling): \(key)") }
            #expect(found.count == expected.count)
        }
    }
}

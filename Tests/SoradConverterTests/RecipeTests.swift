// How clips are sampled: what a checkpoint says or proves, what the user names, and what is refused because neither does.
import SoradConverter
import SoradModelFile
import SoradSystem
import SoradTestSupport
import Testing

@Suite struct RecipeTests {
    private static let tiny = ConverterTests.fixtures + "/tiny"

    private static func change(_ folder: TemporaryFolder, _ name: String, _ change: (inout JSONObject) -> Void) throws {
        let path = "\(folder.path)/tiny/\(name)"
        var object = try #require(try JSONValue(parsing: read(path), name: path).object)
        change(&object)
        _ = try folder.write("tiny/\(name)", JSONValue.object(object).text())
    }

    private static func converted(_ folder: TemporaryFolder, _ checkpoint: String, recipe: String? = nil, files: [String] = []) throws -> (
        data: Metadata, notices: [String]
    ) {
        let path = folder.path + "/m.gguf"
        let report = try Converter.convert(checkpoint, files: files, recipe: recipe, to: path)
        return (try ModelFile(opening: path).metadata, report.notices)
    }

    @Test func theFoldersScheduleIsKept() throws {
        let folder = try TemporaryFolder()
        let euler = try Self.converted(folder, Self.tiny).data
        #expect(try euler.string("scheduler.type") == "flow_match_euler" && !euler.contains("scheduler.timesteps"))
        let copy = try folder.copy(Self.tiny, as: "tiny")
        try Self.change(folder, "scheduler/scheduler_config.json") { scheduler in
            scheduler["_class_name"] = "UniPCMultistepScheduler"
            scheduler["flow_shift"] = 4.5
        }
        let (data, notices) = try Self.converted(folder, copy)
        #expect(try data.string("scheduler.type") == "unipc" && data.float("scheduler.shift") == 4.5)
        // What is not read besides, but nothing about the scheduler.
        #expect(notices.allSatisfy { $0.contains("is not read") }, "\(notices)")
    }

    @Test func fastWanIsKnownByItsPipelineOrItsGates() throws {
        let folder = try TemporaryFolder()
        let copy = try folder.copy(Self.tiny, as: "tiny")
        try Self.change(folder, "model_index.json") { $0["_class_name"] = "WanDMDPipeline" }
        let (data, notices) = try Self.converted(folder, copy)
        #expect(try data.string("scheduler.type") == "renoise" && data.floats("scheduler.timesteps") == [1000, 757, 522])
        #expect(try data.integer("sorad.default.num_inference_steps") == 3 && data.float("sorad.default.guidance_scale") == 1)
        #expect(notices.contains { $0.hasPrefix("recipe fastwan2.1: 3 steps of renoise") }, "\(notices)")

        let weights = try CheckpointParts(diffusersFolder: Self.tiny).transformer.weights
        var file = TypedTensors()
        for name in weights.names.sorted() {
            let tensor = try #require(weights[name])
            file.add(name, tensor.shape, try tensor.floats())
        }
        file.add("blocks.0.to_gate_compress.weight", [2], [1, 2])
        let path = try file.write("fast.safetensors", in: folder)
        let (gated, told) = try Self.converted(folder, Self.tiny, files: [path])
        #expect(try gated.string("scheduler.type") == "renoise")
        #expect(told.contains { $0.contains("to_gate_compress") } && told.contains { $0.hasPrefix("recipe fastwan2.1") })
    }

    @Test func aNamedRecipeStandsAboveTheFolder() throws {
        let folder = try TemporaryFolder()
        for (name, _) in Converter.recipes {
            guard !name.hasSuffix("a14b") else {
                let error = failure { _ = try Self.converted(folder, Self.tiny, recipe: name) }
                #expect(error?.message.contains("second transformer") == true, "\(name) of one transformer")
                continue
            }
            let (data, notices) = try Self.converted(folder, Self.tiny, recipe: name)
            #expect(notices.contains { $0.hasPrefix("recipe \(name): ") })
            let steps = try data.integer("sorad.default.num_inference_steps")
            #expect(try data.contains("scheduler.timesteps") ? data.floats("scheduler.timesteps").count == steps : steps > 0, "\(name)")
        }
        let causal = try Self.converted(folder, Self.tiny, recipe: "self-forcing").notices
        #expect(causal.contains { $0.contains("attention in both directions") })
        let error = failure { _ = try Self.converted(folder, Self.tiny, recipe: "fastest") }
        #expect(error?.kind == .usage && error?.hint?.contains("wan2.1-t2v") == true)
    }

    @Test func anotherTransformerIsSampledAsTheFolderSaysAndThatIsTold() throws {
        let folder = try TemporaryFolder()
        let file = Self.tiny + "/transformer/diffusion_pytorch_model.safetensors"
        let told = try Self.converted(folder, Self.tiny, files: [file]).notices
        #expect(told.contains { $0.contains("--recipe") } && told.contains { $0.contains("the transformer is that of") }, "\(told)")
    }

    /// Files alone: every part must be there, and the way of sampling must be named.
    @Test func filesWithoutAFolder() throws {
        let folder = try TemporaryFolder()
        let width = 128
        let tokenizer = Self.tiny + "/tokenizer/spiece.model"
        let parts = try CheckpointParts(diffusersFolder: Self.tiny)
        var text = TypedTensors()
        for name in parts.textEncoder.weights.names.sorted() {
            let tensor = try #require(parts.textEncoder.weights[name])
            text.add(name, tensor.shape, try tensor.floats())
        }
        var random = SplitMix64(seed: 3)
        var transformer = TypedTensors()
        for (name, shape) in Self.transformer(width: width, textWidth: 44) {
            transformer.add(name, shape, random.normals(shape.reduce(1, *)).map { $0 * 0.05 })
        }
        let autoencoder = ConverterTests.fixtures + "/tiny-outliers/vae/diffusion_pytorch_model.safetensors"
        let files = [try transformer.write("Wan_T2V.safetensors", in: folder), try text.write("t5.safetensors", in: folder), autoencoder]
        func convert(_ files: [String], tokenizer: String?, recipe: String?) throws -> Metadata {
            let path = folder.path + "/m.gguf"
            _ = try Converter.convert(files[0], files: Array(files.dropFirst()), tokenizer: tokenizer, recipe: recipe, to: path)
            return try ModelFile(opening: path).metadata
        }
        let data = try convert(files, tokenizer: tokenizer, recipe: "lightx2v")
        #expect(try data.string("sorad.model.id") == "wan_t2v" && data.integer("dit.num_attention_heads") == 1)
        #expect(
            try data.integers("dit.patch_size") == [1, 2, 2] && data.integer("dit.ffn_dim") == 96 && data.integer("dit.in_channels") == 16)
        #expect(try data.integer("te.d_kv") == 12 && data.integer("te.vocab_size") == 323 && data.string("vae.type") == "taehv")
        #expect(try data.string("scheduler.type") == "euler" && data.strings("sorad.source.sha256").count == 4)
        for (words, tokenizer, recipe, sentence) in [
            (files, tokenizer, nil, "does not say how its clips are sampled"), (files, nil, "lightx2v", "no file holds the tokenizer"),
            ([files[0], autoencoder], tokenizer, "lightx2v", "no file holds the text encoder"),
        ] as [([String], String?, String?, String)] {
            let error = try #require(failure { _ = try convert(words, tokenizer: tokenizer, recipe: recipe) })
            #expect(error.kind == .usage && error.message.contains(sentence) && error.hint != nil, "\(error.message)")
        }
        // The same as a folder of Wan's own release.
        let release = folder.makeFolder("Wan2.1 T2V")
        for (name, path) in zip(["dit.safetensors", "t5.safetensors", "vae.safetensors"], files) {
            _ = try folder.write("Wan2.1 T2V/\(name)", try read(path))
        }
        _ = folder.makeFolder("Wan2.1 T2V/google")
        _ = folder.makeFolder("Wan2.1 T2V/google/umt5-xxl")
        _ = try folder.write("Wan2.1 T2V/google/umt5-xxl/spiece.model", try read(tokenizer))
        let released = try convert([release], tokenizer: nil, recipe: "lightx2v")
        #expect(try released.string("sorad.model.id") == "wan2.1-t2v" && released.integer("dit.ffn_dim") == 96)
        _ = folder.makeFolder("Wan2.1 T2V/high_noise_model")
        #expect(failure { _ = try convert([release], tokenizer: nil, recipe: "lightx2v") }?.message.contains("second transformer") == true)
    }

    /// Models that other loaders have taken for another: by their channels, their file's name, or what the file says of itself.
    @Test func filesThatLookLikeAnotherModel() throws {
        let folder = try TemporaryFolder()
        let width = 128
        let tokenizer = Self.tiny + "/tokenizer/spiece.model"
        let text = ConverterTests.fixtures + "/tiny/text_encoder/model.safetensors"
        let outliers = ConverterTests.fixtures + "/tiny-outliers/vae/diffusion_pytorch_model.safetensors"
        func file(_ name: String, channels: Int = 16, properties: JSONObject = [:], width: Int = width, oneBlock: Bool = true) throws
            -> String
        {
            var file = TypedTensors()
            file.properties = properties
            for (name, shape) in Self.transformer(width: width, textWidth: 44, channels: channels)
            where oneBlock || name.hasPrefix("head.m") {
                file.add(name, "F8_E4M3", shape, [UInt8](repeating: 0x20, count: shape.reduce(1, *)))
            }
            return try file.write(name, in: folder)
        }
        func convert(_ files: [String], notice: (String) -> Void = { _ in }) throws {
            _ = try Converter.convert(
                files[0], files: Array(files.dropFirst()), tokenizer: tokenizer, recipe: "lightx2v", to: folder.path + "/m.gguf",
                notice: notice)
        }
        // Image-to-video without an image encoder: 36 channels in, 16 out. An autoencoder of other latents.
        for (transformer, autoencoder, sentence) in [
            (try file("i2v.safetensors", channels: 36), outliers, "takes 36 and gives 16"),
            (try file("ti2v.safetensors", channels: 48), outliers, "takes 48 and gives 16"),
        ] {
            let error = try #require(failure { try convert([transformer, text, autoencoder]) })
            #expect(error.message.contains("16 latent channels") && error.message.contains(sentence), "\(error.message)")
        }
        // One of two experts, by its name or by what its file says.
        for (name, properties) in [
            ("wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors", [:]), ("Wan2_2-T2V-A14B-LOW.safetensors", [:]),
            ("model.safetensors", ["model_type": "Wan22-I2V-A14B-low"]),
        ] as [(String, JSONObject)] {
            let expert = try file(name, properties: properties, width: 5120, oneBlock: false)
            let error = try #require(failure { _ = try ReplacedParts([expert]) })
            #expect(error.kind == .badInput && error.message.contains("second transformer"), "\(name): \(error.message)")
        }
        let unsaid = try ReplacedParts([try file("wan2.1_t2v_14B.safetensors", width: 5120, oneBlock: false)])
        #expect(unsaid.notices.contains { $0.contains("nothing tells them apart") })
        // A tiny autoencoder that reads scaled latents, whose statistics are known for published channels alone.
        let light = try folder.write(
            "lighttaew2_1.safetensors", try read(ConverterTests.fixtures + "/tiny/vae/diffusion_pytorch_model.safetensors"))
        let parts = try ReplacedParts([light])
        #expect(parts.notices.contains { $0.contains("lighttae's latents") })
        #expect(failure { try parts.checkConfiguration(.autoencoder) }?.message.contains("16 or 48 latent channels") == true)
    }

    /// A tiny autoencoder in the place of Wan's own: the folder's configuration is of the other kind, and its shapes say what it is.
    @Test func anotherKindOfAutoencoderIsReadByItsShapes() throws {
        let folder = try TemporaryFolder()
        let copy = try folder.copy(Self.tiny, as: "tiny")
        try Self.change(folder, "vae/config.json") { $0["_class_name"] = "AutoencoderKLWan" }
        let file = ConverterTests.fixtures + "/taew2_2/taew2_2.safetensors"
        let error = try #require(failure { _ = try Self.converted(folder, copy, files: [file]) })
        #expect(error.message.contains("48 latent channels"), "\(error.message)")
    }

    /// A transformer of one block in Wan's own names.
    private static func transformer(width: Int, textWidth: Int, channels: Int = 16) -> [(String, [Int])] {
        var list: [(String, [Int])] = [
            ("patch_embedding.weight", [width, channels, 1, 2, 2]), ("patch_embedding.bias", [width]), ("head.modulation", [1, 2, width]),
            ("blocks.0.modulation", [1, 6, width]), ("blocks.0.norm3.weight", [width]), ("blocks.0.norm3.bias", [width]),
        ]
        func linear(_ name: String, _ outputs: Int, _ inputs: Int) {
            list += [("\(name).weight", [outputs, inputs]), ("\(name).bias", [outputs])]
        }
        linear("time_embedding.0", width, 256)
        linear("time_embedding.2", width, width)
        linear("time_projection.1", 6 * width, width)
        linear("text_embedding.0", width, textWidth)
        linear("text_embedding.2", width, width)
        for attention in ["self_attn", "cross_attn"] {
            for layer in ["q", "k", "v", "o"] { linear("blocks.0.\(attention).\(layer)", width, width) }
            list += ["norm_q", "norm_k"].map { ("blocks.0.\(attention).\($0).weight", [width]) }
        }
        linear("blocks.0.ffn.0", 96, width)
        linear("blocks.0.ffn.2", width, 96)
        linear("head.head", 64, width)
        return list
    }

    @Test func aModelIsNamedAfterItsRepositoryAndNotItsCommit() throws {
        let folder = try TemporaryFolder()
        for name in ["hub", "hub/models--Some-Org--Wan2.1-T2V", "hub/models--Some-Org--Wan2.1-T2V/snapshots"] {
            _ = folder.makeFolder(name)
        }
        let copy = try folder.copy(Self.tiny, as: "hub/models--Some-Org--Wan2.1-T2V/snapshots/0fad780a534b6463e45facd96134c9f345acfa5b")
        removeFile(copy + "/sorad.json")
        #expect(try Self.converted(folder, copy).data.string("sorad.model.id") == "wan2.1-t2v")
    }
}

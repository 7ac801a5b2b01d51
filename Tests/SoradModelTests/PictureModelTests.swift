// Models that start from pictures, and models of two transformers, against diffusers' own pipelines. The fixtures are written by
// quantization/reference/write_image_to_video.py.
import Glibc
import SoradCPU
import SoradConverter
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct PictureModelTests {
    private static let pictures = ["i2v-experts", "i2v-clip", "flf2v-clip"]
    private static let experts = ["t2v-experts", "i2v-experts"]
    private static let all = pictures + ["t2v-experts"]
    private static let (width, height, frames) = (48, 32, 9)

    /// The fixture's own parts, with the text encoder of `tiny` and the autoencoder `wan-vae/plain`.
    /// - Parameter change: takes a part out, or puts a file in.
    static func file(_ name: String, float: Bool = true, change: (String) throws -> Void = { _ in }) throws -> ModelFile {
        let folder = try temporaryFolder()
        defer { removeAll(folder) }
        for part in ["model_index.json", "sorad.json", "scheduler", "transformer", "transformer_2", "image_encoder", "image_processor"]
        where FilePlace("\(Fixture.folder)/\(name)/\(part)", followingLinks: true) != nil {
            unsafe symlink("\(Fixture.folder)/\(name)/\(part)", "\(folder)/\(part)")
        }
        for part in ["text_encoder", "tokenizer"] { unsafe symlink("\(Fixture.folder)/tiny/\(part)", "\(folder)/\(part)") }
        unsafe symlink("\(Fixture.folder)/wan-vae/plain", "\(folder)/vae")
        try change(folder)
        var options = ConversionOptions()
        options.created = 0
        options.float = float
        _ = try Converter.convert(folder, to: folder + "/model.gguf", options: options)
        return try ModelFile(opening: folder + "/model.gguf")
    }

    private static func removeAll(_ folder: String) {
        for name in (try? fileNames(in: folder)) ?? [] { unsafe _ = Glibc.remove(folder + "/" + name) }
        unsafe rmdir(folder)
    }

    private static func model(_ name: String, float: Bool = true, _ backend: (any ComputeBackend)? = nil) throws -> VideoModel {
        try VideoModel(file: file(name, float: float), backend: backend ?? CPUBackend(threads: 2))
    }

    private static func bytes(_ tensor: Tensor) -> [UInt8] { tensor.elements.map { UInt8($0) } }

    /// What the pipeline makes of the fixture's pictures.
    private static func clip(_ model: VideoModel, _ fixture: Fixture) throws -> ConditioningClip {
        let first = bytes(try fixture.tensor("first"))
        let last = fixture.reference["last"] == nil ? nil : bytes(try fixture.tensor("last"))
        let encoder = try model.latentEncoder(numFrames: frames, width: width, height: height)
        for index in 0..<frames {
            if index == 0 {
                encoder.append(first)
            } else if index == frames - 1, let last {
                encoder.append(last)
            } else {
                encoder.appendGrey()
            }
        }
        let seen = Array(([first] + (last.map { [$0] } ?? [])).prefix(model.configuration.picturesEncoded))
        return ConditioningClip(
            latents: encoder.finish(), isGiven: (0..<frames).map { $0 == 0 || $0 == frames - 1 && last != nil },
            pictures: try model.encodePictures(seen, width: width, height: height))
    }

    private static func sampled(_ model: VideoModel, _ fixture: Fixture, steps: Range<Int> = 0..<4) throws -> [Tensor] {
        let latent = model.backend.resident(try fixture.tensor("noise"))
        let shape = latent.shape
        let isI2V = fixture.reference["first"] != nil
        let denoiser = try model.denoiser(
            LatentSize(channels: shape[0], frames: shape[1], height: shape[2], width: shape[3]), prompt: try fixture.tensor("text"),
            negativePrompt: try fixture.tensor("negative"), guidanceScale: 4, steps: 4, shift: 3,
            clip: isI2V ? try clip(model, fixture) : nil)
        var states: [Tensor] = []
        for step in steps {
            denoiser.step(step, latent)
            states.append(latent.clone())
        }
        return states
    }

    /// Bicubic resampling, normalization and every layer but the last, as transformers has them.
    @Test(arguments: ["i2v-clip", "flf2v-clip"]) func embeddingsOfPicturesEqualTransformers(name: String) throws {
        let fixture = try Fixture(name)
        let model = try Self.model(name)
        let found = try #require(try Self.clip(model, fixture).pictures)
        let expected = try fixture.tensor("pictures")
        #expect(found.shape == expected.shape)
        let error = relativeError(found.elements, expected.elements)
        #expect(error < 1e-5, "\(error)")
    }

    /// Grey frames, and a mask that counts frames, not latent frames.
    @Test(arguments: pictures) func theClipNextToTheLatentsEqualsDiffusers(name: String) throws {
        let fixture = try Fixture(name)
        let model = try Self.model(name)
        let clip = try Self.clip(model, fixture)
        let expected = try fixture.tensor("condition")
        let size = LatentSize(channels: 10, frames: expected.shape[1], height: expected.shape[2], width: expected.shape[3])
        let mask = clip.mask(channels: 4, size).elements
        #expect(mask == Array(expected.elements.prefix(mask.count)))
        let error = relativeError(clip.latents.elements, Array(expected.elements.dropFirst(mask.count)))
        #expect(error < 1e-5, "\(error)")
    }

    /// Each transformer alone.
    @Test(arguments: all) func aPassEqualsDiffusers(name: String) throws {
        let fixture = try Fixture(name)
        let model = try Self.model(name)
        for (part, transformer) in try Self.transformers(model) {
            let error = relativeError(
                try Self.velocity(transformer, model, fixture), try fixture.tensor("\(part).output").elements)
            #expect(error < 1e-5, "\(part): \(error)")
        }
    }

    private static func transformers(_ model: VideoModel) throws -> [(part: String, WanTransformer)] {
        if let one = model.network as? WanTransformer { return [("transformer", one)] }
        let both = try #require(model.network as? WanExperts)
        return [("transformer", both.high), ("transformer_2", both.low)]
    }

    private static func velocity(_ transformer: WanTransformer, _ model: VideoModel, _ fixture: Fixture) throws -> [Float] {
        let noise = try fixture.tensor("noise")
        let condition = fixture.reference["condition"] == nil ? [] : try fixture.tensor("condition").elements
        let shape = noise.shape
        let channels = (noise.count + condition.count) / (noise.count / shape[0])
        let seen = Tensor(Shape(channels, shape[1], shape[2], shape[3]), noise.elements + condition)
        let grid = transformer.grid(LatentSize(channels: shape[0], frames: shape[1], height: shape[2], width: shape[3]))
        let prompt = transformer.prepare(try fixture.tensor("text"), textLength: model.configuration.textLength)
        let picture =
            fixture.reference["pictures"] == nil ? nil : transformer.prepare(picture: try fixture.tensor("pictures"), stop: {})
        let out = Tensor(shape)
        transformer.forward(
            seen, timesteps: [700.25], groups: ModulationGroups(all: grid.count), prompts: [prompt], picture: picture,
            workspace: transformer.workspace(grid, sequences: 1, timesteps: 1), into: [out], stop: {})
        return out.elements
    }

    /// From pictures and noise to latents: sampler, guidance of either transformer, the timestep at which the second takes over.
    @Test(arguments: all) func aClipEqualsDiffusersPipeline(name: String) throws {
        let fixture = try Fixture(name)
        let found = try Self.sampled(try Self.model(name), fixture)
        let error = relativeError(try #require(found.last).elements, try fixture.tensor("latents").elements)
        #expect(error < 1e-4, "\(error)")
    }

    /// Without the second transformer's own weights the clip would be another.
    @Test(arguments: experts) func bothTransformersHaveTheirSteps(name: String) throws {
        let fixture = try Fixture(name)
        let model = try Self.model(name)
        let timesteps = model.sampler(steps: 4, shift: 3).timesteps
        let boundary = try #require(model.network as? WanExperts).high.configuration
        #expect(boundary.latentChannels == 10)
        let limit: Float = name == "t2v-experts" ? 875 : 900
        #expect(timesteps.contains { $0 >= limit } && timesteps.contains { $0 < limit }, "\(timesteps)")
        // A run that continues at low noise asks the same transformer.
        let whole = try Self.sampled(model, fixture)
        let latent = whole[1].clone()
        let shape = latent.shape
        guard name == "t2v-experts" else { return }
        let denoiser = try model.denoiser(
            LatentSize(channels: shape[0], frames: shape[1], height: shape[2], width: shape[3]), prompt: try fixture.tensor("text"),
            negativePrompt: try fixture.tensor("negative"), guidanceScale: 4, steps: 4, shift: 3)
        for step in 2..<4 { denoiser.step(step, latent) }
        #expect(latent.elements == whole[3].elements)
    }

    /// That of the file by default, another where it is named, and none at 1, which is one pass a step.
    @Test func theSecondTransformerHasAGuidanceOfItsOwn() throws {
        let fixture = try Fixture("t2v-experts")
        let model = try Self.model("t2v-experts")
        let shape = try fixture.tensor("noise").shape
        func run(_ second: Float?) throws -> (latent: [Float], passes: Int) {
            let latent = model.backend.resident(try fixture.tensor("noise"))
            let denoiser = try model.denoiser(
                LatentSize(channels: shape[0], frames: shape[1], height: shape[2], width: shape[3]), prompt: try fixture.tensor("text"),
                negativePrompt: try fixture.tensor("negative"), settings: PassSettings(guidanceScale: 4, secondGuidanceScale: second),
                steps: 4, shift: 3)
            for step in 0..<4 { denoiser.step(step, latent) }
            return (latent.elements, denoiser.passes)
        }
        let low = model.sampler(steps: 4, shift: 3).timesteps.count { $0 < 875 }
        #expect((1...3).contains(low) && model.configuration.hasExperts)
        let network = try #require(model.network as? WanExperts)
        let byFile = try run(nil)
        let own = network.guidance(4, second: nil)
        #expect(try run(own).latent == byFile.latent && byFile.passes == 8)
        #expect(try run(own + 1).latent != byFile.latent)
        #expect(try run(1).passes == 8 - low)
    }

    @Test(arguments: all) func everyStepOfInt8KeepsItsDirection(name: String) throws {
        let fixture = try Fixture(name)
        let (exact, quantized) = try (Self.sampled(Self.model(name), fixture), Self.sampled(Self.model(name, float: false), fixture))
        let noise = try fixture.tensor("noise").elements
        let (a, b) = (zip(exact[3].elements, noise).map(-), zip(quantized[3].elements, noise).map(-))
        let similarity = cosine(a, b)
        #expect(similarity >= 0.999, "\(similarity)")
    }

    @Test(arguments: ["flf2v-clip", "i2v-experts"]) func everyBackendGivesTheSameBits(name: String) throws {
        let fixture = try Fixture(name)
        let file = try Self.file(name, float: false)
        let results = try everyBackend().map { backend in
            try #require(try Self.sampled(VideoModel(file: file, backend: backend), fixture).last).elements.map(\.bitPattern)
        }
        #expect(results.count > 2 && results.allSatisfy { $0 == results[0] })
    }

    @Test func modelsSayWhatTheyNeed() throws {
        let needs = try Self.all.map { name in
            let c = try Self.model(name).configuration
            return "\(name) \(c.picturesNeeded) \(c.picturesEncoded) \(c.takesConditioningClip) \(c.takesConditioningFrames)"
        }
        #expect(
            needs == ["i2v-experts 1 0 true true", "i2v-clip 1 1 true true", "flf2v-clip 2 2 true true", "t2v-experts 0 0 false false"])
        let fixture = try Fixture("i2v-clip")
        let model = try Self.model("i2v-clip")
        let size = LatentSize(channels: 10, frames: 3, height: 4, width: 6)
        let text = try fixture.tensor("text")
        func refused(_ known: ConditioningFrames?, _ clip: ConditioningClip?) -> String? {
            do throws(SoradError) {
                _ = try model.denoiser(
                    size, prompt: text, negativePrompt: text, guidanceScale: 1, steps: 4, shift: 3, known: known, clip: clip)
                return nil
            } catch { return error.message }
        }
        let clip = try Self.clip(model, fixture)
        #expect(refused(nil, nil)?.contains("starts from a picture") == true)
        #expect(refused(nil, ConditioningClip(latents: clip.latents, isGiven: clip.isGiven))?.contains("reads 1 pictures") == true)
        #expect(refused(ConditioningFrames(indices: [0], latents: Tensor(Shape(10, 1, 4, 6))), nil) != nil)
        #expect(refused(nil, clip) == nil)
    }

    /// What is missing or too much in a folder has its name in the answer, before any work.
    @Test func foldersThatAreHalfAModel() throws {
        func refusal(_ name: String, _ change: (String) throws -> Void) -> String? {
            do {
                _ = try Self.file(name, change: change)
                return nil
            } catch { return (error as? SoradError)?.message ?? "\(error)" }
        }
        let unlinked = { (part: String) in { (folder: String) in unsafe _ = unlink("\(folder)/\(part)") } }
        #expect(refusal("t2v-experts", unlinked("transformer_2"))?.contains("second transformer") == true)
        #expect(refusal("i2v-clip", unlinked("image_encoder"))?.contains("there is no image encoder") == true)
        let added = refusal("i2v-experts") { unsafe _ = symlink("\(Fixture.folder)/i2v-clip/image_encoder", "\($0)/image_encoder") }
        #expect(added?.contains("reads no embeddings") == true)
        let other = refusal("t2v-experts") { folder in
            unsafe _ = unlink("\(folder)/transformer_2")
            unsafe _ = symlink("\(Fixture.folder)/i2v-experts/transformer_2", "\(folder)/transformer_2")
        }
        #expect(other?.contains("other sizes") == true)
        let unsaid = refusal("t2v-experts") { folder in
            unsafe _ = unlink("\(folder)/model_index.json")
            unsafe _ = symlink("\(Fixture.folder)/tiny/model_index.json", "\(folder)/model_index.json")
        }
        #expect(unsaid?.contains("at which timestep") == true)
    }

    /// Keys of a file that contradict each other are a sentence, never a crash.
    @Test func hostileKeysAreRefused() throws {
        let original = try Self.file("flf2v-clip")
        let backend = try CPUBackend(threads: 1)
        for (key, value) in [
            ("dit.in_channels", .uint32(20)), ("dit.in_channels", .uint32(23)), ("dit.in_channels", .uint32(25)),
            ("dit.image_dim", .uint32(24)), ("dit.pos_embed_seq_len", .uint32(19)), ("dit.pos_embed_seq_len", .uint32(0)),
            ("ie.type", .string("vit")), ("ie.hidden_act", .string("relu")), ("ie.hidden_size", .uint32(39)),
            ("ie.image_size", .uint32(25)),
            ("ie.patch_size", .uint32(0)), ("ie.num_hidden_layers", .uint32(9)), ("ie.image_std", .float32s([1, 0, 1])),
            ("ie.image_mean", .float32s([1])), ("dit.expand_timesteps", .bool(true)), ("ie.intermediate_size", .uint32(37)),
        ] as [(String, MetadataValue)] {
            let error = try Self.loading(original, key, value, backend)
            #expect(error?.kind == .badInput, "\(key) = \(value): \(error.map { "\($0)" } ?? "loaded")")
        }
        #expect(try Self.loading(original, "", .bool(true), backend) == nil)
    }

    /// A copy of a model with one key changed; nil where it loads.
    static func loading(_ original: ModelFile, _ key: String, _ value: MetadataValue, _ backend: CPUBackend) throws -> SoradError? {
        let folder = try temporaryFolder()
        defer { removeAll(folder) }
        let own: Set = ["general.alignment", "sorad.integrity.sha256"]
        let metadata = original.metadata.entries.filter { !own.contains($0.key) }.map { ($0.key, $0.key == key ? value : $0.value) }
        var writer = try GGUFWriter(
            folder + "/changed.gguf", metadata: metadata,
            tensors: original.tensors.map { TensorDescription(name: $0.name, type: $0.type, dims: $0.dims) })
        for tensor in original.tensors {
            try tensor.bytes.withBytes { (bytes) throws(SoradError) in try writer.append(bytes, to: tensor.name) }
        }
        _ = try writer.finish()
        do throws(SoradError) {
            _ = try VideoModel(file: ModelFile(opening: folder + "/changed.gguf"), backend: backend)
            return nil
        } catch { return error }
    }
}

// A family is its folder and one row for each registry: everything else of a clip (text encoder, sampler, autoencoder, conversion, memory, previews) takes it as it is.
import SoradConverter
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct TinyFamilyTests {
    /// The row.
    private static let registry: ModelRegistry = {
        var registry = ModelRegistry.standard
        registry.families.append(TinyFamily())
        return registry
    }()

    private static let checkpoints: CheckpointRegistry = {
        var registry = CheckpointRegistry.standard
        registry.families.append(TinyCheckpoint())
        return registry
    }()

    /// A checkpoint with the fixture's text encoder, tokenizer and autoencoder, and the family's own two layers.
    private static func checkpoint(in folder: TemporaryFolder) throws -> CheckpointParts {
        let path = try folder.copy(Fixture.folder + "/tiny", as: "tiny-family")
        let original = try ModelConfiguration(Fixture("tiny").modelFile(.float))
        let (channels, textWidth) = (original.latentChannels, original.textWidth)
        _ = try folder.write("tiny-family/model_index.json", #"{"_class_name": "TinyPipeline"}"#)
        _ = try folder.write("tiny-family/sorad.json", #"{"name": "tiny-family"}"#)
        _ = try folder.write(
            "tiny-family/transformer/config.json",
            #"{"_class_name": "TinyTransformer", "channels": \#(channels), "text_width": \#(textWidth)}"#)
        var random = SplitMix64(seed: 7)
        var writer = SafetensorsWriter()
        for (name, inputs) in [("mix.weight", channels), ("gate.weight", textWidth)] {
            writer.add(name, shape: [channels, inputs], random.normals(channels * inputs).map { $0 * 0.3 })
        }
        try writer.write(to: path + "/transformer/diffusion_pytorch_model.safetensors")
        return try CheckpointParts(diffusersFolder: path)
    }

    private static func modelFile() throws -> ModelFile {
        let folder = try TemporaryFolder()
        let path = folder.path + "/tiny-family.gguf"
        _ = try Converter.convert(checkpoint(in: folder), to: path, options: ConversionOptions(), registry: checkpoints)
        return try ModelFile(opening: path)
    }

    private static func clip(_ model: VideoModel, _ ids: [Int32], known: ConditioningFrames? = nil) throws -> (
        latent: Tensor, frames: [[UInt8]]
    ) {
        let size = try model.configuration.latentSize(width: 64, height: 32, numFrames: 9)
        let latent = model.initialNoise(seed: 3, size)
        let denoiser = try model.denoiser(
            size, prompt: model.encodeText(ids), negativePrompt: model.encodeText([1]), guidanceScale: 2, steps: 3, shift: 3, known: known)
        for step in 0..<3 { denoiser.step(step, latent) }
        var frames: [[UInt8]] = []
        model.decode(latent) { frames.append($1) }
        return (latent, frames)
    }

    @Test func aSecondFamilyMakesClipsOnEveryBackend() throws {
        let file = try Self.modelFile()
        var first: [[UInt8]]?
        for backend in try everyBackend() {
            let model = try VideoModel(file: file, backend: backend, registry: Self.registry)
            let frames = try Self.clip(model, [20, 30, 1]).frames
            #expect(frames.count == 9 && Set(frames).count > 1)
            if first == nil { first = frames }
            #expect(frames == first, "\(backend.description)")
            #expect(try Self.clip(model, [40, 1]).frames != frames, "the prompt changes nothing")
        }
    }

    @Test func itIsConditionedAndMeasuredLikeAnyOther() throws {
        let model = try VideoModel(file: Self.modelFile(), backend: everyBackend()[0], registry: Self.registry)
        let picture = (0..<64 * 32 * 3).map { UInt8(truncatingIfNeeded: $0 / 5) }
        let known = try model.encodeVideo([picture], width: 64, height: 32)
        let latent = try Self.clip(model, [20, 1], known: ConditioningFrames([(0, known, 0)])).latent
        let plane = latent.shape[2] * latent.shape[3]
        #expect(Array(latent.elements[..<plane]) == Array(known.elements[..<plane]))
        let size = try model.configuration.latentSize(width: 64, height: 32, numFrames: 9)
        #expect(model.denoiseBytes(size, guided: true) > model.denoiseBytes(size, guided: false))
    }

    @Test func withoutTheRowItIsRefused() throws {
        let folder = try TemporaryFolder()
        let parts = try Self.checkpoint(in: folder)
        let refused = #expect(throws: SoradError.self) {
            try Converter.convert(parts, to: folder.path + "/m.gguf", options: ConversionOptions())
        }
        #expect(refused?.kind == .badInput && refused?.message.contains("TinyTransformer") == true)
        let file = try Self.modelFile()
        let error = #expect(throws: SoradError.self) { try VideoModel(file: file, backend: everyBackend()[0]) }
        #expect(error?.kind == .badInput && error?.message.contains("\"sorad-tiny\", and this program knows sorad-wan") == true)
    }
}

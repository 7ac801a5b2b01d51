// A family is its folder and one row: everything else of a clip (text encoder, sampler, autoencoder, memory, previews) takes it as it is.
import Glibc
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import Testing

@Suite struct TinyFamilyTests {
    /// The row.
    private static let registry: ModelRegistry = {
        var registry = ModelRegistry.standard
        registry.families.append(TinyFamily())
        return registry
    }()

    /// Text encoder, tokenizer and autoencoder of the fixture, and the family's own two layers.
    private static func modelFile() throws -> ModelFile {
        let original = try Fixture("tiny").modelFile(.float)
        let folder = try temporaryFolder()
        let path = folder + "/tiny-family.gguf"
        defer {
            unsafe unlink(path)
            unsafe rmdir(folder)
        }
        let channels = try original.metadata.integer("vae.latent_channels")
        let textWidth = try original.metadata.integer("te.d_model")
        var metadata: [(key: String, value: MetadataValue)] = []
        for entry in original.metadata.entries {
            let (key, value) = (entry.key, entry.value)
            if key == "general.architecture" { metadata.append((key, .string("sorad-tiny"))) }
            let isOwn = ["general.architecture", "general.alignment", "sorad.integrity.sha256"].contains(key)
            if !isOwn, !key.hasPrefix("dit.") { metadata.append((key, value)) }
        }
        metadata.append(("dit.channels", .uint32(UInt32(channels))))
        metadata.append(("dit.text_width", .uint32(UInt32(textWidth))))
        let kept = original.tensors.filter { !$0.name.hasPrefix("dit.") }
        let blocks = (channels + 15) / 16
        let own = [("dit.mix.weight", channels), ("dit.gate.weight", textWidth)]
        var writer = try GGUFWriter(
            path, metadata: metadata,
            tensors: kept.map { TensorDescription(name: $0.name, type: $0.type, dims: $0.dims) }
                + own.map { TensorDescription(name: $0.0, type: .f32, dims: [16, $0.1, blocks]) })
        for tensor in kept { try tensor.bytes.withBytes { (bytes) throws(SoradError) in try writer.append(bytes, to: tensor.name) } }
        for (index, (name, inputs)) in own.enumerated() {
            let values = Tensor(Shape(blocks, inputs, 16))
            values.fillNormal(seed: 7, stream: UInt64(index))
            values.withMutableElements { span in for i in span.indices { span[i] *= 0.3 } }
            try values.bytes.withBytes { (bytes) throws(SoradError) in try writer.append(bytes, to: name) }
        }
        _ = try writer.finish()
        return try ModelFile(opening: path)
    }

    private static func clip(_ model: VideoModel, _ ids: [Int32], known: KnownFrames? = nil) throws -> (latent: Tensor, frames: [[UInt8]]) {
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
        let latent = try Self.clip(model, [20, 1], known: KnownFrames([(0, known, 0)])).latent
        let plane = latent.shape[2] * latent.shape[3]
        #expect(Array(latent.elements[..<plane]) == Array(known.elements[..<plane]))
        let size = try model.configuration.latentSize(width: 64, height: 32, numFrames: 9)
        #expect(model.denoiseBytes(size, guided: true) > model.denoiseBytes(size, guided: false))
    }

    @Test func withoutTheRowTheFileIsRefused() throws {
        let file = try Self.modelFile()
        let error = #expect(throws: SoradError.self) { try VideoModel(file: file, backend: everyBackend()[0]) }
        #expect(error?.kind == .badInput && error?.message.contains("\"sorad-tiny\", and this program knows sorad-wan") == true)
    }
}

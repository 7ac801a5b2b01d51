// The tiny autoencoder of Wan 2.2 as it is published: one file in half precision without a configuration, 48 latent channels, patches of two
// pixels. The fixture is written by quantization/reference/write_taew22_fixture.py.
import Glibc
import SoradCPU
import SoradConverter
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct PublishedTinyAutoencoderTests {
    /// Converted from files alone: a transformer of zeros with 48 channels, the text encoder of `tiny`, the autoencoder.
    private static func model(int8Decoder: Bool = false, named name: String = "taew2_2.safetensors") throws -> VideoModel {
        let folder = try temporaryFolder()
        let files = ["transformer.safetensors", name, "model.gguf"].map { "\(folder)/\($0)" }
        defer {
            for file in files { unsafe unlink(file) }
            unsafe rmdir(folder)
        }
        try writeTransformer(files[0])
        unsafe symlink("\(Fixture.folder)/taew2_2/taew2_2.safetensors", files[1])
        var options = ConversionOptions()
        options.created = 0
        options.float = !int8Decoder
        options.int8Decoder = int8Decoder
        options.name = "ti2v"
        _ = try Converter.convert(
            files[0], files: ["\(Fixture.folder)/tiny/text_encoder/model.safetensors", files[1]],
            tokenizer: "\(Fixture.folder)/tiny/tokenizer/spiece.model", recipe: "ti2v-turbo", to: files[2], options: options)
        return try VideoModel(file: ModelFile(opening: files[2]), backend: CPUBackend(threads: 2))
    }

    private static func writeTransformer(_ path: String) throws {
        let (d, text, channels, wide) = (128, 44, 48, 64)
        var writer = SafetensorsWriter()
        func add(_ name: String, _ shape: [Int]) { writer.add(name, shape: shape, [Float](repeating: 0.01, count: shape.reduce(1, *))) }
        func linear(_ name: String, _ outputs: Int, _ inputs: Int) {
            add(name + ".weight", [outputs, inputs])
            add(name + ".bias", [outputs])
        }
        add("patch_embedding.weight", [d, channels, 1, 2, 2])
        add("patch_embedding.bias", [d])
        linear("condition_embedder.time_embedder.linear_1", d, 32)
        linear("condition_embedder.time_embedder.linear_2", d, d)
        linear("condition_embedder.time_proj", 6 * d, d)
        linear("condition_embedder.text_embedder.linear_1", d, text)
        linear("condition_embedder.text_embedder.linear_2", d, d)
        add("blocks.0.scale_shift_table", [1, 6, d])
        for attention in ["attn1", "attn2"] {
            for part in ["to_q", "to_k", "to_v", "to_out.0"] { linear("blocks.0.\(attention).\(part)", d, d) }
            for norm in ["norm_q", "norm_k"] { add("blocks.0.\(attention).\(norm).weight", [d]) }
        }
        add("blocks.0.norm2.weight", [d])
        add("blocks.0.norm2.bias", [d])
        linear("blocks.0.ffn.net.0.proj", wide, d)
        linear("blocks.0.ffn.net.2", d, wide)
        add("scale_shift_table", [1, 2, d])
        linear("proj_out", 4 * channels, d)
        try writer.write(to: path)
    }

    private static func reference(_ key: String) throws -> Tensor {
        let file = try SafetensorsFile(opening: "\(Fixture.folder)/taew2_2/reference.safetensors")
        guard let found = file[key], found.shape.count == 4 else { throw SoradError(.notFound, "no reference tensor \(key)") }
        return Tensor(Shape(found.shape[0], found.shape[1], found.shape[2], found.shape[3]), try found.floats())
    }

    private static func decoded(_ model: VideoModel, _ latent: Tensor) -> [Float] {
        var values: [Float] = []
        model.autoencoder.decodeValues(latent, stop: {}) { _, image in
            let pixels = image.elements
            for channel in 0..<3 { values += stride(from: channel, to: pixels.count, by: 3).map { pixels[$0] } }
        }
        return values
    }

    @Test(arguments: [1, 2]) func decodingEqualsTheReference(frames: Int) throws {
        let model = try Self.model()
        #expect(model.configuration.spatialScale == 16 && model.configuration.timeScale == 4 && model.configuration.latentChannels == 48)
        #expect(model.configuration.takesConditioningFrames)
        let error = relativeError(
            Self.decoded(model, try Self.reference("vae.\(frames).latent")), try Self.reference("vae.\(frames).frames").elements)
        #expect(error < 1e-5, "\(error)")
    }

    @Test func theInt8DecoderStaysClose() throws {
        let error = relativeError(
            Self.decoded(try Self.model(int8Decoder: true), try Self.reference("vae.2.latent")),
            try Self.reference("vae.2.frames").elements)
        #expect(error < 0.08 && error > 1e-5, "\(error)")
    }

    @Test(arguments: [1, 5]) func encodingEqualsTheReference(frames: Int) throws {
        let model = try Self.model()
        let clip = try Self.reference("vae.encode.\(frames).clip")
        let bytes = clip.elements.map { UInt8($0) }
        let size = bytes.count / frames
        let found = try model.encodeVideo(
            (0..<frames).map { Array(bytes[$0 * size..<($0 + 1) * size]) }, width: clip.shape[2], height: clip.shape[1])
        let expected = try Self.reference("vae.encode.\(frames).latent")
        #expect(found.shape == expected.shape)
        let error = relativeError(found.elements, expected.elements)
        #expect(error < 1e-5, "\(error)")
    }

    /// lighttae has the same names and shapes, and other latents: those of the full autoencoder, whose statistics are known.
    @Test func lighttaesLatentsAreScaled() throws {
        let (plain, light) = try (Self.model(), Self.model(named: "lighttaew2_2.safetensors"))
        let latent = try Self.reference("vae.1.latent")
        let (a, b) = (Self.decoded(plain, latent), Self.decoded(light, latent))
        #expect(relativeError(a, b) > 0.01)
    }
}

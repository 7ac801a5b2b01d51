// The frame-block autoencoder, streamed, against PyTorch. The fixture is written by quantization/reference/write_frame_blocks_fixture.py.
import Glibc
import SoradCPU
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct FrameBlocksTests {
    private static let folder = Fixture.folder + "/frame-blocks"

    private static func model(int8: Bool = false) throws -> VideoModel {
        try VideoModel(file: tinyModelFile(vae: folder, int8Decoder: int8), backend: CPUBackend(threads: 2))
    }

    private static func reference(_ key: String) throws -> Tensor {
        let tensors = try SafetensorsFile(opening: folder + "/reference.safetensors")
        guard let tensor = tensors[key], tensor.shape.count == 4 else { throw SoradError(.notFound, "no reference tensor \(key)") }
        return Tensor(Shape(tensor.shape[0], tensor.shape[1], tensor.shape[2], tensor.shape[3]), try tensor.floats())
    }

    /// All frames, [F, 3, H, W].
    private static func decoded(_ model: VideoModel, _ latent: Tensor) -> [Float] {
        var frames: [Float] = []
        model.autoencoder.decodeValues(latent, stop: {}) { _, image in
            let values = image.elements
            for channel in 0..<3 { frames += stride(from: channel, to: values.count, by: 3).map { values[$0] } }
        }
        return frames
    }

    @Test(arguments: [1, 5, 13]) func decodingEqualsPyTorch(frames: Int) throws {
        let expected = try Self.reference("\(frames).frames")
        let found = try Self.decoded(Self.model(), Self.reference("\(frames).latent"))
        let error = relativeError(found, expected.elements)
        #expect(error < 1e-5, "\(error)")
    }

    @Test(arguments: [1, 5, 13]) func encodingEqualsPyTorch(frames: Int) throws {
        let clip = try Self.reference("encode.\(frames).clip")
        let bytes = clip.elements.map { UInt8($0) }
        let size = bytes.count / frames
        let pictures = (0..<frames).map { Array(bytes[$0 * size..<($0 + 1) * size]) }
        let found = try Self.model().encodeVideo(pictures, width: clip.shape[2], height: clip.shape[1])
        let expected = try Self.reference("encode.\(frames).latent")
        #expect(found.shape == expected.shape)
        let error = relativeError(found.elements, expected.elements)
        #expect(error < 1e-5, "\(error)")
    }

    @Test func theInt8DecoderIsClose() throws {
        let found = try Self.decoded(Self.model(int8: true), Self.reference("13.latent"))
        let error = relativeError(found, try Self.reference("13.frames").elements)
        #expect(error > 0 && error < 0.05, "\(error)")
    }

    @Test(arguments: [false, true]) func aDecoderContinuesWithWhatAnotherRemembered(int8: Bool) throws {
        expectResumable(try Self.model(int8: int8), try Self.reference("13.latent"))
    }

    /// Each line of the description is checked before a tensor is asked for.
    @Test(arguments: [
        ("\"mem 12\"", "\"mem 13\"", "\"mem 13\" in the autoencoder's encoder follows 12 channels"),
        ("\"mem 12\"", "\"mem\"", "\"mem\" in the autoencoder's encoder is no block"),
        ("\"mem 12\"", "\"mem 99999999999999999999\"", "is no block"),
        ("\"mem 12\"", "\"mem -12\"", "is no block"),
        ("\"mem 12\"", "\"time_grow 12 12\"", "cannot stand in the autoencoder's encoder"),
        ("\"conv 18 10\"", "\"conv 18 11\"", "ends with 11 channels, and 10 are needed"),
        ("\"down 16 18\"", "\"conv 16 18\"", "change sides or time by different factors"),
        ("\"conv 12 14 relu\"", "\"conv 12 14 gelu\"", "is no block"),
    ])
    func aWrongDescriptionIsRefused(old: String, new: String, sentence: String) throws {
        let error = #expect(throws: SoradError.self) { try tinyModelFile(vae: Self.folder, changing: (old, new)) }
        #expect(error?.message.contains(sentence) == true, "\(error?.message ?? "no error")")
    }
}

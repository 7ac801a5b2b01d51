import SoradCPU
import SoradModel
// The streamed autoencoder against a PyTorch module that computes the whole clip at once.
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct AutoencoderTests {
    @Test(arguments: Fixture.names, [1, 2, 3]) func streamedDecodingEqualsTheWhole(name: String, frames: Int) throws {
        let fixture = try Fixture(name)
        let model = try fixture.model()
        let expected = try fixture.tensor("vae.\(frames).frames")
        let shape = expected.shape
        var found: [Float] = []
        var indices: [Int] = []
        model.autoencoder.decodeValues(try fixture.tensor("vae.\(frames).latent"), stop: {}) { index, image in
            #expect(image.shape == Shape(shape[2], shape[3], shape[1]))
            indices.append(index)
            found += Self.planar(image)
        }
        #expect(indices == Array(0..<shape[0]))
        let error = relativeError(found, expected.elements)
        #expect(error < 1e-5, "\(error)")
    }

    /// Int8 convolutions between the decoder's ends lose little: on random weights, which forgive less than trained ones.
    @Test(arguments: Fixture.names) func anInt8DecoderStaysClose(name: String) throws {
        let fixture = try Fixture(name)
        let model = try VideoModel(file: fixture.modelFile(.int8, int8Decoder: true), backend: CPUBackend(threads: 2))
        let expected = try fixture.tensor("vae.3.frames")
        var found: [Float] = []
        model.autoencoder.decodeValues(try fixture.tensor("vae.3.latent"), stop: {}) { found += Self.planar($1) }
        let error = relativeError(found, expected.elements)
        #expect(error < 0.08 && error > 1e-5, "\(error)")
    }

    /// Everything that is remembered passes through bytes, at every place of the clip.
    @Test(arguments: Fixture.names, [false, true]) func aDecoderGoesOnWithWhatAnotherRemembered(name: String, int8: Bool) throws {
        let fixture = try Fixture(name)
        let model =
            int8 ? try VideoModel(file: fixture.modelFile(.int8, int8Decoder: true), backend: CPUBackend(threads: 2)) : try fixture.model()
        let latent = Tensor(Shape(try fixture.tensor("vae.3.latent").shape[0], 6, 4, 5))
        latent.fillNormal(seed: 3, stream: 0)
        expectResumable(model, latent)
    }

    @Test(arguments: Fixture.names) func bytesAreRoundedFrames(name: String) throws {
        let fixture = try Fixture(name)
        let model = try fixture.model()
        let latent = try fixture.tensor("vae.2.latent")
        var values: [[Float]] = []
        var bytes: [[UInt8]] = []
        model.autoencoder.decodeValues(latent, stop: {}) { values.append($1.elements) }
        model.decode(latent) { bytes.append($1) }
        #expect(bytes == values.map { frame in frame.map { UInt8((min(max($0, 0), 1) * 255).rounded(.toNearestOrEven)) } })
    }

    /// Padding in front for one fixture, behind for the other.
    @Test(arguments: Fixture.names, [1, 5, 8]) func encodingEqualsTheWhole(name: String, frames: Int) throws {
        let fixture = try Fixture(name)
        let model = try fixture.model()
        let clip = try fixture.tensor("vae.encode.\(frames).clip")
        let shape = clip.shape
        let bytes = clip.elements.map { UInt8($0) }
        let size = shape[1] * shape[2] * 3
        let pictures = (0..<frames).map { Array(bytes[$0 * size..<($0 + 1) * size]) }
        let found = try model.encodeVideo(pictures, width: shape[2], height: shape[1])
        let expected = try fixture.tensor("vae.encode.\(frames).latent")
        #expect(found.shape == expected.shape)
        let error = relativeError(found.elements, expected.elements)
        #expect(error < 1e-5, "\(error)")
    }

    /// With the padding in front, the first latent frame is the first picture alone: what follows cannot change it.
    @Test func firstLatentIsTheFirstPicture() throws {
        let fixture = try Fixture("tiny")
        let model = try fixture.model()
        let clip = try fixture.tensor("vae.encode.5.clip")
        let shape = clip.shape
        let bytes = clip.elements.map { UInt8($0) }
        let size = shape[1] * shape[2] * 3
        let pictures = (0..<5).map { Array(bytes[$0 * size..<($0 + 1) * size]) }
        let alone = try model.encodeVideo([pictures[0]], width: shape[2], height: shape[1])
        let all = try model.encodeVideo(pictures, width: shape[2], height: shape[1])
        let plane = alone.shape[2] * alone.shape[3]
        let values = all.elements
        let first = (0..<all.shape[0]).flatMap { channel in values[channel * all.shape[1] * plane..<channel * all.shape[1] * plane + plane]
        }
        #expect(first == alone.elements)
    }

    @Test func framesThatDoNotFitAreRefused() throws {
        let model = try Fixture("tiny").model()
        #expect(throws: SoradError.self) { try model.encodeVideo([], width: 16, height: 16) }
        #expect(throws: SoradError.self) { try model.encodeVideo([[UInt8](repeating: 0, count: 17 * 16 * 3)], width: 17, height: 16) }
        #expect(throws: SoradError.self) { try model.encodeVideo([[UInt8](repeating: 0, count: 5)], width: 16, height: 16) }
        #expect(throws: SoradError.self) { try model.encodeVideo([[1]], width: 1 << 62, height: 1 << 62) }
    }

    @Test func decodingStopsWhenAsked() throws {
        struct Stop: Error {}
        let fixture = try Fixture("tiny")
        let model = try fixture.model()
        var frames = 0
        #expect(throws: Stop.self) {
            try model.decode(try fixture.tensor("vae.3.latent")) { index, _ in
                frames += 1
                if index == 2 { throw Stop() }
            }
        }
        #expect(frames == 3)
    }

    /// [H, W, 3] to [3, H, W].
    private static func planar(_ image: Tensor) -> [Float] {
        let values = image.elements
        let pixels = image.shape[0] * image.shape[1]
        return (0..<3).flatMap { channel in (0..<pixels).map { values[$0 * 3 + channel] } }
    }
}

/// A clip decoded by two decoders, the second of which gets the first one's counters and a copy of its memory after any group, has the
/// frames of one that is decoded at once.
func expectResumable(_ model: VideoModel, _ latent: Tensor) {
    var whole: [[UInt8]] = []
    model.decode(latent) { whole.append($1) }
    #expect(Set(whole.suffix(4)).count > 1, "frames that are all the same would show nothing")
    for groups in 0...latent.shape[1] {
        var frames: [[UInt8]] = []
        let first = model.decoder(latent)
        while first.groups < groups { first.next(stop: {}) { frames.append($1) } }
        let second = model.decoder(latent)
        for (old, new) in zip(first.memory, second.memory) {
            old.withBytes { source in
                new.withMutableBytes { target in
                    for index in 0..<source.byteCount {
                        unsafe target.storeBytes(
                            of: source.unsafeLoad(fromByteOffset: index, as: UInt8.self), toByteOffset: index, as: UInt8.self)
                    }
                }
            }
        }
        second.resume(first.counters)
        #expect(second.frames == frames.count && second.isUnfinished == (groups < latent.shape[1]))
        while second.isUnfinished { second.next(stop: {}) { frames.append($1) } }
        #expect(frames == whole, "after \(groups) groups")
    }
}

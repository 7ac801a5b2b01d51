// Starting from something given, against diffusers; made by quantization/reference/write_given_fixture.py.
import SoradCPU
import SoradModel
import SoradModelFile
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct ReferenceMediaTests {
    private static func given() throws -> [String: Tensor] {
        let file = try SafetensorsFile(opening: Fixture.folder + "/tiny/given.safetensors")
        return try file.tensors.reduce(into: [:]) { found, tensor in
            let s = tensor.shape
            found[tensor.name] = Tensor(Shape(s[0], s[1], s[2], s[3]), try tensor.floats())
        }
    }

    /// Denoises with 4 steps, from step 2 on when a source is mixed in.
    private static func sample(_ model: VideoModel, _ given: [String: Tensor], isKnown: Bool, isMixed: Bool) throws -> Tensor {
        let fixture = try Fixture("tiny")
        let latent = model.backend.resident(try fixture.tensor("transformer.latent"))
        let shape = latent.shape
        let known = try #require(given["known"])
        let denoiser = try model.denoiser(
            LatentSize(channels: shape[0], frames: shape[1], height: shape[2], width: shape[3]),
            prompt: try fixture.tensor("transformer.text"), negativePrompt: try fixture.tensor("transformer.negative_text"),
            guidanceScale: 4, steps: 4, shift: 3,
            known: isKnown ? ConditioningFrames([(0, known, 0), (shape[1] - 1, known, 1)]) : nil)
        let first = isMixed ? 2 : 0
        if isMixed { denoiser.schedule.mix(try #require(given["source"]), into: latent, atStep: first) }
        for step in first..<4 {
            denoiser.step(step, latent)
            if isKnown { try expectKnown(latent, known) }
        }
        return latent
    }

    /// The first and the last latent frame are the known ones, to the bit.
    private static func expectKnown(_ latent: Tensor, _ known: Tensor) throws {
        let (channels, frames, plane) = (latent.shape[0], latent.shape[1], latent.shape[2] * latent.shape[3])
        let values = latent.elements
        let expected = known.elements
        for channel in 0..<channels {
            for (place, frame) in [(0, 0), (1, frames - 1)] {
                let start = (channel * frames + frame) * plane
                let wanted = (channel * 2 + place) * plane
                #expect(Array(values[start..<start + plane]) == Array(expected[wanted..<wanted + plane]))
            }
        }
    }

    @Test(arguments: [("known_ends", true, false), ("mixed", false, true), ("both", true, true)])
    func samplerEqualsDiffusers(name: String, isKnown: Bool, isMixed: Bool) throws {
        let given = try Self.given()
        let latent = try Self.sample(try Fixture("tiny").model(), given, isKnown: isKnown, isMixed: isMixed)
        let error = relativeError(latent.elements, try #require(given[name]).elements)
        #expect(error < 1e-4, "\(error)")
    }

    @Test func everyInstructionSetAndThreadCountGivesTheSameBits() throws {
        let given = try Self.given()
        let file = try Fixture("tiny").modelFile(.int8)
        let results = try everyBackend().map { backend in
            try Self.sample(try VideoModel(file: file, backend: backend), given, isKnown: true, isMixed: true).elements.map(\.bitPattern)
        }
        #expect(results.count > 1 && results.allSatisfy { $0 == results[0] })
    }

    /// At the first step the noise level is 1: nothing of the source is left.
    @Test func aMixtureAtTheFirstStepIsNoise() throws {
        let schedule = FlowMatchSchedule(steps: 5, shift: 3)
        let noise = Tensor(Shape(1, 1, 2, 2), [1, -2, 3, -4])
        schedule.mix(Tensor(Shape(1, 1, 2, 2), [9, 9, 9, 9]), into: noise, atStep: 0)
        #expect(noise.elements == [1, -2, 3, -4])
    }

    @Test(arguments: Fixture.names, [1, 4, 5, 8]) func framesEncodedOneByOneEqualTheClip(name: String, frames: Int) throws {
        let model = try Fixture(name).model()
        let side = model.configuration.sizeMultiple
        let clip = (0..<frames).map { frame in (0..<side * side * 3).map { UInt8(truncatingIfNeeded: $0 * (frame + 3)) } }
        let encoder = try model.latentEncoder(numFrames: frames, width: side, height: side)
        for frame in clip { encoder.append(frame) }
        #expect(try encoder.finish().elements == model.encodeVideo(clip, width: side, height: side).elements)
    }
}

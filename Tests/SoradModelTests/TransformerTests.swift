import SoradCPU
import SoradModel
// The transformer and the sampler against diffusers.
import SoradModelFile
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct TransformerTests {
    /// Velocity for one prompt; `known` leading latent frames carry timestep 0.
    static func velocity(_ model: VideoModel, _ fixture: Fixture, known: Int = 0, prompts names: [String] = ["text"]) throws -> [Tensor] {
        let transformer = model.wan
        let latent = try fixture.tensor("transformer.latent")
        let timestep = try fixture.tensor("transformer.timestep").elements[0]
        let shape = latent.shape
        let grid = transformer.grid(LatentSize(channels: shape[0], frames: shape[1], height: shape[2], width: shape[3]))
        var groups = ModulationGroups()
        groups.append(known * grid.height * grid.width, group: 1)
        groups.append((grid.frames - known) * grid.height * grid.width, group: 0)
        let prompts = try names.map {
            try transformer.prepare(fixture.tensor("transformer.\($0)"), textLength: model.configuration.textLength)
        }
        let timesteps: [Float] = known > 0 ? [timestep, 0] : [timestep]
        let w = transformer.workspace(grid, sequences: names.count, timesteps: timesteps.count)
        let out = names.map { _ in Tensor(shape) }
        transformer.forward(latent, timesteps: timesteps, groups: groups, prompts: prompts, workspace: w, into: out, stop: {})
        return out
    }

    @Test(arguments: Fixture.names) func forwardEqualsDiffusers(name: String) throws {
        let fixture = try Fixture(name)
        let model = try fixture.model()
        let error = relativeError(try Self.velocity(model, fixture)[0].elements, try fixture.tensor("transformer.output").elements)
        #expect(error < 1e-5, "\(error)")
    }

    @Test(arguments: Fixture.names) func perTokenTimestepsEqualDiffusers(name: String) throws {
        let fixture = try Fixture(name)
        let model = try fixture.model()
        let error = relativeError(
            try Self.velocity(model, fixture, known: 1)[0].elements, try fixture.tensor("transformer.output_known").elements)
        #expect(error < 1e-5, "\(error)")
    }

    /// Two prompts in one pass give the bits of two passes.
    @Test(arguments: Precision.allCases) func sequencesTogetherEqualSequencesAlone(precision: Precision) throws {
        let fixture = try Fixture("tiny")
        let model = try fixture.model(precision)
        let together = try Self.velocity(model, fixture, known: 1, prompts: ["text", "negative_text"])
        for (index, name) in ["text", "negative_text"].enumerated() {
            #expect(try Self.velocity(model, fixture, known: 1, prompts: [name])[0].elements == together[index].elements)
        }
    }

    /// The converter's options are in the file, and the model does it.
    @Test func attentionProbs16AreWhatTheFileSays() throws {
        let fixture = try Fixture("tiny")
        let plain = try fixture.model(.int8)
        let fine = try VideoModel(file: fixture.modelFile(.int8, attentionProbs16: true), backend: CPUBackend(threads: 2))
        #expect(plain.wan.configuration.attentionPrecision == .int8)
        #expect(fine.wan.configuration.attentionPrecision == .int8Probs16)
        let (one, two) = (try Self.velocity(plain, fixture)[0].elements, try Self.velocity(fine, fixture)[0].elements)
        #expect(one != two)
        #expect(relativeError(two, one) < 0.02)
    }

    /// A prompt given with its padding as explicit rows of zeros is the same prompt.
    @Test func foldedPaddingEqualsExplicitPadding() throws {
        let fixture = try Fixture("tiny")
        let model = try fixture.model()
        let text = try fixture.tensor("transformer.text")
        let padded = Tensor(Shape(model.configuration.textLength, text.shape[1]))
        padded.rows(0..<text.shape[0]).copy(from: text)
        let size = try model.configuration.latentSize(width: 128, height: 64, numFrames: 13)
        var results: [[Float]] = []
        for prompt in [text, padded] {
            let latent = try fixture.tensor("transformer.latent")
            let denoiser = try model.denoiser(size, prompt: prompt, negativePrompt: prompt, guidanceScale: 1, steps: 1, shift: 3)
            denoiser.step(0, latent)
            results.append(latent.elements)
        }
        #expect(relativeError(results[0], results[1]) < 1e-6)
    }

    @Test(arguments: Fixture.names) func guidedSamplerEqualsDiffusers(name: String) throws {
        let fixture = try Fixture(name)
        let model = try fixture.model()
        let latent = try Self.sample(model, fixture, known: nil)
        let error = relativeError(latent.elements, try fixture.tensor("transformer.loop").elements)
        #expect(error < 1e-4, "\(error)")
    }

    @Test func samplerWithConditioningFramesEqualsDiffusers() throws {
        let fixture = try Fixture("tiny")
        let model = try fixture.model()
        let known = try fixture.tensor("transformer.known")
        let latent = try Self.sample(model, fixture, known: ConditioningFrames(indices: [0], latents: known))
        let error = relativeError(latent.elements, try fixture.tensor("transformer.loop_known").elements)
        #expect(error < 1e-4, "\(error)")
    }

    /// Any latent frame may be the known one; it comes out as it went in.
    @Test func conditioningFramesStayWherePut() throws {
        let fixture = try Fixture("tiny")
        let model = try fixture.model()
        let known = try fixture.tensor("transformer.known")
        let latent = try Self.sample(model, fixture, known: ConditioningFrames(indices: [2], latents: known))
        let shape = latent.shape
        let plane = shape[2] * shape[3]
        let values = latent.elements
        let expected = known.elements
        for channel in 0..<shape[0] {
            let start = (channel * shape[1] + 2) * plane
            #expect(Array(values[start..<start + plane]) == Array(expected[channel * plane..<(channel + 1) * plane]))
        }
    }

    static func sample(_ model: VideoModel, _ fixture: Fixture, known: ConditioningFrames?) throws -> Tensor {
        let latent = try fixture.tensor("transformer.latent")
        let shape = latent.shape
        let denoiser = try model.denoiser(
            LatentSize(channels: shape[0], frames: shape[1], height: shape[2], width: shape[3]),
            prompt: try fixture.tensor("transformer.text"),
            negativePrompt: try fixture.tensor("transformer.negative_text"), guidanceScale: 4, steps: 4, shift: 3, known: known)
        for step in 0..<4 { denoiser.step(step, latent) }
        return latent
    }
}

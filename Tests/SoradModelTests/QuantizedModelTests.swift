import SoradCPU
import SoradModel
// The int8 model against the float reference, outliers included, and its reproducibility.
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct QuantizedModelTests {
    @Test(arguments: Fixture.names) func oneStepKeepsItsDirection(name: String) throws {
        let fixture = try Fixture(name)
        let model = try fixture.model(.int8)
        let similarity = cosine(
            try TransformerTests.velocity(model, fixture)[0].elements, try fixture.tensor("transformer.output").elements)
        #expect(similarity >= 0.999, "\(similarity)")
    }

    @Test(arguments: Fixture.names) func everyLinearLayerIsWithinItsLimit(name: String) throws {
        let fixture = try Fixture(name)
        let model = try fixture.model(.int8)
        let backend = model.backend
        var quantized = 0
        var rotated = 0
        for (index, block) in model.wan.blocks.enumerated() {
            let layers: [(String, LinearWeights)] = [
                ("attn1.to_q", block.selfAttention.query), ("attn1.to_k", block.selfAttention.key),
                ("attn1.to_v", block.selfAttention.value), ("attn1.to_out.0", block.selfAttention.output),
                ("attn2.to_q", block.crossAttention.query), ("attn2.to_k", block.crossAttention.key),
                ("attn2.to_v", block.crossAttention.value), ("attn2.to_out.0", block.crossAttention.output),
                ("ffn.net.0.proj", block.up), ("ffn.net.2", block.down),
            ]
            for (layer, weights) in layers {
                let x = try fixture.linearInput("blocks.\(index).\(layer)")
                let expected = try fixture.tensor("linear.blocks.\(index).\(layer).output")
                let input = backend.make { $0.activations(capacity: x.shape[0], width: x.shape[1]) }
                let out = Tensor(expected.shape)
                input.overwrite(rows: x.shape[0]).copy(from: x)
                backend.linear(input, weights, into: out)
                let error = relativeError(out.elements, expected.elements)
                #expect(error <= 0.015, "blocks.\(index).\(layer): \(error)")
                if case .int8 = weights.precision { quantized += 1 }
                if weights.rotation != nil { rotated += 1 }
            }
        }
        #expect(quantized == 20, "only \(quantized) layers are int8")
        #expect(name == "tiny" ? rotated == 0 : rotated >= 8, "\(rotated) layers are rotated")
    }

    @Test(arguments: Precision.allCases) func everyThreadCountAndInstructionSetGivesTheSameFrames(precision: Precision) throws {
        let fixture = try Fixture("tiny")
        let file = try fixture.modelFile(precision)
        var clips: [[[UInt8]]] = []
        for backend in try everyBackend() {
            let model = try VideoModel(file: file, backend: backend)
            let size = try model.configuration.latentSize(width: 96, height: 64, numFrames: 9)
            let text = try model.encodeText([20, 30, 40, 1])
            let negative = try model.encodeText([1])
            let latent = model.initialNoise(seed: 3, size)
            let denoiser = try model.denoiser(size, prompt: text, negativePrompt: negative, guidanceScale: 3, steps: 2, shift: 3)
            for step in 0..<2 { denoiser.step(step, latent) }
            var frames: [[UInt8]] = []
            model.decode(latent) { frames.append($1) }
            clips.append(frames)
        }
        #expect(clips[0].count == 9 && clips[0].allSatisfy { $0.count == 96 * 64 * 3 })
        for (index, clip) in clips.enumerated() { #expect(clip == clips[0], "backend \(index)") }
    }

    /// A run stopped after any step and continued from its latents ends the same.
    @Test func aRunCanBeTakenUpAgain() throws {
        let fixture = try Fixture("tiny")
        let model = try fixture.model(.int8)
        let size = try model.configuration.latentSize(width: 96, height: 64, numFrames: 9)
        let text = try model.encodeText([20, 30, 40, 1])
        let negative = try model.encodeText([1])
        func denoiser() throws -> Denoiser {
            try model.denoiser(size, prompt: text, negativePrompt: negative, guidanceScale: 3, steps: 3, shift: 3)
        }
        let whole = model.initialNoise(seed: 3, size)
        let parts = model.initialNoise(seed: 3, size)
        let one = try denoiser()
        for step in 0..<3 { one.step(step, whole) }
        for step in 0..<3 {
            let stored = Tensor(parts.shape, parts.elements)
            try denoiser().step(step, stored)
            parts.copy(from: stored)
        }
        #expect(parts.elements == whole.elements)
    }

    @Test func impossibleRequestsAreRefused() throws {
        let fixture = try Fixture("tiny-outliers")
        let model = try fixture.model()
        let c = model.configuration
        for (width, height, frames) in [
            (0, 64, 9), (64, -16, 9), (50, 64, 9), (64, 64, 10), (64, 64, 0), (1 << 40, 64, 9), (64, 64, 1 << 40),
        ] {
            #expect(throws: SoradError.self) { try c.latentSize(width: width, height: height, numFrames: frames) }
        }
        let size = LatentSize(channels: 16, frames: 2, height: 6, width: 6)
        let text = try fixture.tensor("transformer.text")
        #expect(throws: SoradError.self) {
            try model.denoiser(
                size, prompt: text, negativePrompt: text, guidanceScale: 1, steps: 1, shift: 1,
                known: ConditioningFrames(indices: [0], latents: fixture.tensor("transformer.known")))
        }
        #expect(model.denoiseBytes(size, guided: true) > model.denoiseBytes(size, guided: false))
    }
}

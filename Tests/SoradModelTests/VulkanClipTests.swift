// Models on a Vulkan device: the golden clips, both families of autoencoders both ways, the counts of a step, and lies found within one.
import SoradCPU
import SoradModel
import SoradSystem
import SoradTensor
import SoradVulkan
import Testing

/// Nil where there is none.
private let device = try? VulkanBackend.devices().first { $0.missing.isEmpty }

@Suite(.enabled(if: device != nil, "no Vulkan device"), .serialized) struct VulkanClipTests {
    private static func backend(_ change: (inout VulkanOptions) -> Void = { _ in }) throws -> VulkanBackend {
        var options = VulkanOptions()
        (options.device, options.tier, options.cpuThreads, options.takesSamples) = (device!.index, .float64, 1, false)
        change(&options)
        return try VulkanBackend(options)
    }

    /// The text encoder stays on the CPU.
    private static func model(_ int8Decoder: Bool, _ backend: VulkanBackend) throws -> VideoModel {
        try VideoModel(
            file: Fixture("tiny").modelFile(.int8, int8Decoder: int8Decoder), backend: backend, textBackend: CPUBackend(threads: 1))
    }

    @Test(arguments: [false, true]) func theGoldenClipHasItsHash(int8Decoder: Bool) throws {
        let backend = try Self.backend { $0.validation = true }
        #expect(try GoldenClipTests.clip(Self.model(int8Decoder, backend)) == GoldenClipTests.golden(int8Decoder).frames)
        try backend.finish()
        #expect(VulkanBackend.validationReport.count == 0, "\(VulkanBackend.validationReport.first)")
    }

    /// The rows of every product shared with the CPU.
    @Test(arguments: [0.5, 0.1]) func sharedProductsGiveTheSameHash(share: Double) throws {
        let backend = try Self.backend { $0.cpuShare = share }
        #expect(try GoldenClipTests.clip(Self.model(true, backend)) == GoldenClipTests.golden(true).frames)
    }

    /// Between host and device pass, in a step, the latents once and a timestep's embedding; submissions stay below their limit.
    @Test func aStepMovesTheLatentsAndNothingElse() throws {
        let backend = try Self.backend { $0.submissionLimit = 4_000_000 }
        let model = try Self.model(false, backend)
        let size = try model.configuration.latentSize(width: 96, height: 64, numFrames: 9)
        let text = try model.encodeText([20, 30, 40, 1])
        let denoiser = try model.denoiser(size, prompt: text, negativePrompt: text, guidanceScale: 3, steps: 3, shift: 3)
        let latent = model.initialNoise(seed: 3, size)
        denoiser.step(0, latent)
        _ = latent.elements
        try backend.finish()
        let before = backend.counters
        denoiser.step(1, latent)
        _ = latent.elements
        let after = backend.counters
        #expect(after.bytesDownloaded - before.bytesDownloaded == latent.count * 4)
        #expect((4...4096).contains(after.bytesUploaded - before.bytesUploaded), "the timestep's embedding")
        #expect(after.allocations == before.allocations)
        let dispatches = after.dispatches - before.dispatches
        #expect((60...100).contains(dispatches), "\(dispatches) dispatches")
        #expect((2...40).contains(after.submissions - before.submissions), "\(after.submissions - before.submissions) submissions")
        #expect(after.longestSubmission <= after.submissionLimit)
        print("Vulkan: a step of the tiny model is \(dispatches) dispatches in \(after.submissions - before.submissions) submissions")
    }

    /// Conditioning frames, an encoder, and the picture of a preview.
    @Test func whatABranchComputesIsTheSame() throws {
        let file = try Fixture("tiny").modelFile(.int8, int8Decoder: true)
        let results = try [CPUBackend(threads: 1), Self.backend()].map { (backend: any ComputeBackend) in
            let model = try VideoModel(file: file, backend: backend)
            let size = try model.configuration.latentSize(width: 64, height: 32, numFrames: 9)
            let picture = (0..<64 * 32 * 3).map { UInt8(truncatingIfNeeded: $0 / 7) }
            let known = try model.encodeVideo([picture], width: 64, height: 32)
            let text = try model.encodeText([20, 30, 40, 1])
            let latent = model.initialNoise(seed: 3, size)
            let denoiser = try model.denoiser(
                size, prompt: text, negativePrompt: text, guidanceScale: 3, steps: 2, shift: 3,
                known: ConditioningFrames([(0, known, 0), (2, known, 0)]))
            denoiser.step(0, latent)
            let preview = denoiser.predictedFrame(1, of: latent, afterStep: 0)
            return [known.elements, text.elements, latent.elements, preview.elements].map { $0.map(\.bitPattern) }
        }
        #expect(results[0] == results[1])
    }

    /// Wan's causal autoencoder and frame blocks, float and int8, decoded and encoded.
    @Test(arguments: ["wan-vae/plain", "wan-vae/attention", "frame-blocks"], [false, true])
    func autoencodersHaveTheSameBits(name: String, int8: Bool) throws {
        let file = try tinyModelFile(vae: "\(Fixture.folder)/\(name)", int8Decoder: int8)
        let results = try [CPUBackend(threads: 1), Self.backend()].map { (backend: any ComputeBackend) in
            let model = try VideoModel(file: file, backend: backend, textBackend: CPUBackend(threads: 1))
            let size = try model.configuration.latentSize(
                width: model.configuration.sizeMultiple * 2, height: model.configuration.sizeMultiple, numFrames: 9)
            var frames: [[UInt8]] = []
            model.decode(model.initialNoise(seed: 5, size)) { frames.append($1) }
            let known = try model.encodeVideo(
                Array(frames.prefix(5)), width: model.configuration.sizeMultiple * 2, height: model.configuration.sizeMultiple)
            try backend.finish()
            return (frames, known.elements.map(\.bitPattern))
        }
        #expect(results[0].0 == results[1].0 && results[0].0.count == 9)
        #expect(results[0].1 == results[1].1)
    }

    /// A decoder continues on the CPU where one on the device stopped.
    @Test func aDecoderContinuesOnTheCPU() throws {
        let file = try Fixture("tiny").modelFile(.int8, int8Decoder: true)
        let models = try [Self.backend(), CPUBackend(threads: 1)].map { (backend: any ComputeBackend) in
            try VideoModel(file: file, backend: backend)
        }
        let size = try models[0].configuration.latentSize(width: 64, height: 32, numFrames: 13)
        let latents = models.map { $0.initialNoise(seed: 5, size) }
        var whole: [[UInt8]] = []
        models[1].decode(latents[1]) { whole.append($1) }
        var frames: [[UInt8]] = []
        let (first, second) = (models[0].decoder(latents[0]), models[1].decoder(latents[1]))
        while first.groups < 2 { first.next(stop: {}) { frames.append($1) } }
        for (old, new) in zip(first.memory, second.memory) { old.withBytes { new.buffer.upload($0, at: new.offset) } }
        second.resume(first.counters)
        while second.isUnfinished { second.next(stop: {}) { frames.append($1) } }
        #expect(frames == whole && frames.count == 13)
    }

    /// A device that lies in one operation is found by the samples within one step.
    @Test(arguments: [VulkanOperation.linearInt8, .layerNorm, .normAndRotate, .attendInt8, .guide, .unpatchify, .eulerStep])
    func aLieInAStepIsFoundWithinIt(operation: VulkanOperation) throws {
        let backend = try Self.backend {
            $0.takesSamples = true
            $0.faults.lyingOperation = operation
        }
        let model = try Self.model(false, backend)
        let size = try model.configuration.latentSize(width: 64, height: 32, numFrames: 5)
        let text = try model.encodeText([20, 1])
        let latent = model.initialNoise(seed: 3, size)
        let error = #expect(throws: SoradError.self) {
            let denoiser = try model.denoiser(size, prompt: text, negativePrompt: text, guidanceScale: 3, steps: 3, shift: 3)
            denoiser.step(0, latent)
            try backend.finish()
        }
        #expect(error?.code == SoradError.deviceFailed)
    }
}

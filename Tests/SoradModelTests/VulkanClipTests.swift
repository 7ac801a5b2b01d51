// Models on a Vulkan device: the golden clips, both families of autoencoders both ways, the counts of a step, and lies found within one.
import SoradCPU
import SoradModel
import SoradSystem
import SoradTensor
import SoradVulkan
import Synchronization
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
        let backend = try Self.backend { $0.shares = ProductShares(share) }
        #expect(try GoldenClipTests.clip(Self.model(true, backend)) == GoldenClipTests.golden(true).frames)
    }

    /// Weights that do not fit are streamed: all of them, or those of the last layers.
    @Test(arguments: [0, 60_000]) func streamedWeightsGiveTheSameHash(budget: Int) throws {
        let reports = Mutex<[String]>([])
        let backend = try Self.backend {
            $0.weightBudget = budget
            $0.validation = true
            $0.report = { sentence in reports.withLock { $0.append(sentence) } }
        }
        #expect(try GoldenClipTests.clip(Self.model(true, backend)) == GoldenClipTests.golden(true).frames)
        #expect(backend.streamedBytes > 0 && reports.withLock(\.count) == 1, "\(backend.streamedBytes) bytes")
        #expect(VulkanBackend.validationReport.count == 0, "\(VulkanBackend.validationReport.first)")
        print("Vulkan: with \(budget) bytes for weights \(backend.streamedBytes) are streamed")
    }

    /// What two steps behind the first one did, and the latents' size in bytes.
    private static func twoSteps(_ backend: VulkanBackend) throws -> (counts: [VulkanCounters], latents: Int, embedding: Int) {
        let model = try Self.model(false, backend)
        let size = try model.configuration.latentSize(width: 96, height: 64, numFrames: 9)
        let text = try model.encodeText([20, 30, 40, 1])
        let denoiser = try model.denoiser(size, prompt: text, negativePrompt: text, guidanceScale: 3, steps: 4, shift: 3)
        let latent = model.initialNoise(seed: 3, size)
        try backend.finish()
        var counts: [VulkanCounters] = []
        for step in 0..<3 {
            denoiser.step(step, latent)
            _ = latent.elements
            try backend.finish()
            counts.append(backend.counters)
        }
        return (counts, latent.count * 4, model.wan.configuration.frequencyWidth * 4)
    }

    /// Between host and device pass, in a step, the latents once, a timestep's embedding, the guidance and dt. Nothing is recorded any
    /// more, nothing allocated, and submissions stay below their limit.
    @Test func aStepMovesTheLatentsAndNothingElse() throws {
        let (counts, latents, embedding) = try Self.twoSteps(Self.backend { $0.submissionLimit = 4_000_000 })
        for (before, after) in zip(counts, counts.dropFirst()) {
            #expect(after.bytesDownloaded - before.bytesDownloaded == latents)
            // Two numbers for each of the two operations that have some.
            #expect(after.bytesUploaded - before.bytesUploaded == embedding + 2 * 8)
            #expect(after.allocations == before.allocations)
            #expect(after.recordings == before.recordings && after.replays > before.replays)
            let dispatches = after.dispatches - before.dispatches
            #expect((60...100).contains(dispatches), "\(dispatches) dispatches")
            #expect((2...40).contains(after.submissions - before.submissions), "\(after.submissions - before.submissions) submissions")
            #expect(after.longestSubmission <= after.submissionLimit)
        }
        let (before, after) = (counts[1], counts[2])
        print(
            "Vulkan: a step of the tiny model is \(after.dispatches - before.dispatches) dispatches in",
            "\(after.submissions - before.submissions) submissions of \(after.replays - before.replays) command buffers;",
            "\(after.bytesUploaded - before.bytesUploaded) bytes go to the device and \(latents) come back;",
            "the longest submission is \(after.longestSubmission) multiply-adds")
    }

    /// Samples look at results at random places: around these a few commands are recorded again, and the others are not.
    @Test func samplesLeaveTheRecordingAlone() throws {
        let plain = try Self.twoSteps(Self.backend()).counts
        let sampled = try Self.twoSteps(Self.backend { $0.takesSamples = true }).counts
        let (before, after) = (sampled[1], sampled[2])
        #expect(after.samples > before.samples && after.replays > before.replays)
        #expect(after.dispatches - before.dispatches == plain[2].dispatches - plain[1].dispatches)
    }

    /// Conditioning frames, an encoder, and the picture of a preview.
    @Test func whatABranchComputesIsTheSame() throws {
        let file = try Fixture("tiny").modelFile(.int8, int8Decoder: true)
        let backends: [any ComputeBackend] = [try CPUBackend(threads: 1), try Self.backend()]
        let results = try backends.map { try BackendComparison.branchBits(file, $0, width: 64, height: 32) }
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

    /// Steps that are left out are the same ones on the device.
    @Test func theSameStepsAreLeftOut() throws {
        let file = try Fixture("tiny").modelFile(.int8)
        let results = try [CPUBackend(threads: 1), Self.backend()].map { (backend: any ComputeBackend) in
            let model = try VideoModel(file: file, backend: backend, textBackend: CPUBackend(threads: 1))
            let size = try model.configuration.latentSize(width: 64, height: 32, numFrames: 5)
            let text = try model.encodeText([20, 30, 40, 1])
            let denoiser = try model.denoiser(
                size, prompt: text, negativePrompt: text, settings: PassSettings(guidanceScale: 3, cacheTolerance: 0.3), steps: 20, shift: 3
            )
            let latent = model.initialNoise(seed: 3, size)
            for step in 0..<20 { denoiser.step(step, latent) }
            try backend.finish()
            return (latent.elements.map(\.bitPattern), denoiser.passes)
        }
        #expect(results[0].0 == results[1].0 && results[0].1 == results[1].1 && results[0].1 < 40, "\(results[0].1), \(results[1].1)")
    }

    /// A decoder continues on the CPU where one on the device stopped.
    @Test func aDecoderContinuesOnTheCPU() throws {
        let file = try Fixture("tiny").modelFile(.int8, int8Decoder: true)
        let (parts, whole) = try BackendComparison.decodedInTwoParts(file, Self.backend(), CPUBackend(threads: 1))
        #expect(parts == whole && parts.count == 13)
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

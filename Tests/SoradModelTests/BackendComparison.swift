// What the tests of backends share: parts of a clip on some backend, to be compared with those of another one.
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor

enum BackendComparison {
    /// Bits of an encoded picture, a prompt, the latents after a step with conditioning frames, and a preview.
    static func branchBits(_ file: ModelFile, _ backend: any ComputeBackend, width: Int, height: Int) throws -> [[UInt32]] {
        let model = try VideoModel(file: file, backend: backend)
        let size = try model.configuration.latentSize(width: width, height: height, numFrames: 9)
        let picture = (0..<width * height * 3).map { UInt8(truncatingIfNeeded: $0 / 7) }
        let known = try model.encodeVideo([picture], width: width, height: height)
        let text = try model.encodeText([20, 30, 40, 1])
        let latent = model.initialNoise(seed: 3, size)
        let denoiser = try model.denoiser(
            size, prompt: text, negativePrompt: text, guidanceScale: 3, steps: 2, shift: 3,
            known: ConditioningFrames([(0, known, 0), (2, known, 0)]))
        denoiser.step(0, latent)
        let preview = denoiser.predictedFrame(1, of: latent, afterStep: 0)
        return [known.elements, text.elements, latent.elements, preview.elements].map { $0.map(\.bitPattern) }
    }

    /// Frames of a clip that was decoded on one backend and, after two groups, on the other; and those of the other one alone.
    static func decodedInTwoParts(
        _ file: ModelFile, _ first: any ComputeBackend, _ second: any ComputeBackend
    ) throws -> (parts: [[UInt8]], whole: [[UInt8]]) {
        let models = try [first, second].map { try VideoModel(file: file, backend: $0) }
        let size = try models[0].configuration.latentSize(width: 64, height: 32, numFrames: 13)
        let latents = models.map { $0.initialNoise(seed: 5, size) }
        var whole: [[UInt8]] = []
        models[1].decode(latents[1]) { whole.append($1) }
        var frames: [[UInt8]] = []
        let (earlier, later) = (models[0].decoder(latents[0]), models[1].decoder(latents[1]))
        while earlier.groups < 2 { earlier.next(stop: {}) { frames.append($1) } }
        for (old, new) in zip(earlier.memory, later.memory) { old.withBytes { new.buffer.upload($0, at: new.offset) } }
        later.resume(earlier.counters)
        while later.isUnfinished { later.next(stop: {}) { frames.append($1) } }
        return (frames, whole)
    }
}

// Owns the way from frames to latents, one frame at a time: a clip of any length needs the memory of a few frames and its latents.
// Invariant: what comes out depends on the frames alone, not on when they come. The missing frames of the first group are its first
// frame repeated in front, or the last one behind, as the model was trained.
import SoradSystem
public import SoradTensor

/// Encodes one clip. Used by one thread.
public final class LatentEncoder {
    public let width, height, numFrames: Int
    private let configuration: AutoencoderConfiguration
    private let network: FrameNetwork
    private let mean, std: Tensor
    /// [H, W, 3] and what the network reads, [H / patch, W / patch, 3·patch²].
    private let image, packed: Tensor
    /// [C, T, h, w]
    private let latent: Tensor
    private let missing: Int
    private var framesTaken = 0
    private var framesDone = 0

    /// - Throws: `.badInput` for no frames or sizes that do not fit.
    init(
        _ c: AutoencoderConfiguration, encoder: [FrameBlock], mean: Tensor, std: Tensor, numFrames: Int, width: Int, height: Int,
        _ backend: any ComputeBackend
    ) throws(SoradError) {
        let scale = c.patchSize << AutoencoderConfiguration.levels
        let (pixels, overflow) = width.multipliedReportingOverflow(by: height)
        guard (1...1 << 20).contains(numFrames), width > 0, height > 0, width % scale == 0, height % scale == 0, !overflow, pixels < 1 << 32
        else {
            throw SoradError(
                .badInput,
                "\(numFrames) frames of \(width)×\(height) cannot be encoded: at least one is needed, and sides that are multiples of \(scale)"
            )
        }
        configuration = c
        self.width = width
        self.height = height
        self.numFrames = numFrames
        self.mean = mean
        self.std = std
        let group = c.timeScale
        missing = (group - numFrames % group) % group
        image = Tensor(Shape(height, width, c.imageChannels))
        packed = Tensor(Shape(height / c.patchSize, width / c.patchSize, c.imageChannels * c.patchSize * c.patchSize))
        latent = Tensor(Shape(c.latentChannels, (numFrames + missing) / group, height / scale, width / scale))
        network = FrameNetwork(encoder, input: packed.shape, dropping: 0, backend)
    }

    /// Takes the next frame, [H, W, 3] RGB bytes.
    public func append(_ frame: [UInt8]) {
        precondition(framesTaken < numFrames && frame.count == width * height * 3, "frame \(framesTaken) of \(frame.count) bytes")
        image.set(from: frame.span)
        image.unshufflePixels(configuration.patchSize, into: packed)
        let copies = framesTaken == 0 && configuration.padsInFront ? 1 + missing : 1
        framesTaken += 1
        for _ in 0..<copies { push() }
        guard framesTaken == numFrames, !configuration.padsInFront else { return }
        for _ in 0..<missing { push() }
    }

    /// The latents [C, T, h, w]; every frame must have been appended.
    public func finish() -> Tensor {
        precondition(framesTaken == numFrames && framesDone == latent.shape[1], "\(framesTaken) of \(numFrames) frames")
        return latent
    }

    private func push() {
        network.push(packed, stop: {}) { encoded in
            latent.setNormalizedLatent(frame: framesDone, from: encoded, mean: mean, std: std)
            framesDone += 1
        }
    }
}

// Owns the way from frames to latents, one frame at a time: a clip of any length needs the memory of a few frames and its latents.
// Invariant: what comes out depends on the frames alone, not on when they come. Frames that are missing for whole groups are the first
// frame repeated in front, or the last one behind, as the model was trained.
import SoradSystem
public import SoradTensor

/// Encodes one clip. Used by one thread.
public final class LatentEncoder {
    /// Takes an image [H, W, 3] in [0, 1] and hands over the encoded frames [h, w, C] that are then complete.
    typealias Network = (_ image: Tensor, _ encoded: (Tensor) -> Void) -> Void

    public let numFrames: Int
    private let backend: any ComputeBackend
    private let network: Network
    private let mean, std: Tensor
    /// [H, W, 3]
    private let image: Tensor
    /// [C, T, h, w]
    private let shape: Shape
    /// All latents, or one latent frame of them where they are handed on.
    private lazy var latent = backend.tensor(take == nil ? shape : Shape(shape[0], 1, shape[2], shape[3]))
    private var take: ((_ index: Int, _ latent: Tensor) -> Void)?
    private let missing: Int
    private let padsInFront: Bool
    private var framesTaken = 0
    private var framesDone = 0

    /// - Throws: `.badInput` for no frames or sizes that are no multiples of `scale`.
    static func check(numFrames: Int, width: Int, height: Int, scale: Int) throws(SoradError) {
        let (pixels, overflow) = width.multipliedReportingOverflow(by: height)
        guard (1...1 << 20).contains(numFrames), width > 0, height > 0, width % scale == 0, height % scale == 0, !overflow, pixels < 1 << 32
        else {
            throw SoradError(
                .badInput,
                "\(numFrames) frames of \(width)×\(height) cannot be encoded: at least one is needed, and sides that are multiples of \(scale)"
            )
        }
    }

    /// - Parameters:
    ///   - image, latent: shapes [H, W, 3] and [C, T, h, w].
    ///   - missing: frames to be repeated.
    init(
        _ backend: any ComputeBackend, numFrames: Int, image: Shape, latent: Shape, missing: Int, padsInFront: Bool, mean: Tensor,
        std: Tensor, network: @escaping Network
    ) {
        self.backend = backend
        self.numFrames = numFrames
        self.image = backend.tensor(image)
        shape = latent
        self.missing = missing
        self.padsInFront = padsInFront
        self.mean = mean
        self.std = std
        self.network = network
    }

    /// Hands every latent frame on, [C, 1, h, w] in the host's memory and valid until the next, instead of collecting them all; before the
    /// first frame is appended.
    public func emit(_ take: @escaping (_ index: Int, _ latent: Tensor) -> Void) {
        precondition(framesTaken == 0, "\(framesTaken) frames are encoded already")
        self.take = take
    }

    /// Takes the next frame, [H, W, 3] RGB bytes.
    public func append(_ frame: [UInt8]) {
        precondition(frame.count == image.count, "frame \(framesTaken) of \(frame.count) bytes")
        image.set(from: frame.span)
        pushImage()
    }

    /// Takes the next frame, of middle grey all over: 0 in the −1…1 that autoencoders are trained with.
    public func appendGrey() {
        backend.fill(image, with: 0.5)
        pushImage()
    }

    /// Takes the next frame, [H, W, 3] RGB bytes, with middle grey where `isGrey` [H · W] says so.
    public func append(_ frame: [UInt8], isGrey: [Bool]) {
        precondition(frame.count == image.count && isGrey.count * 3 == image.count, "frame \(framesTaken) of \(frame.count) bytes")
        image.set(from: frame.span)
        image.withMutableElements { values in
            for pixel in isGrey.indices where isGrey[pixel] {
                for channel in 0..<3 { values[3 * pixel + channel] = 0.5 }
            }
        }
        pushImage()
    }

    private func pushImage() {
        precondition(framesTaken < numFrames, "frame \(framesTaken) of \(numFrames)")
        let copies = framesTaken == 0 && padsInFront ? 1 + missing : 1
        framesTaken += 1
        for _ in 0..<copies { push() }
        guard framesTaken == numFrames, !padsInFront else { return }
        for _ in 0..<missing { push() }
    }

    /// The latents [C, T, h, w], in the host's memory; every frame must have been appended.
    public func finish() -> Tensor {
        precondition(take == nil && framesTaken == numFrames && framesDone == shape[1], "\(framesTaken) of \(numFrames) frames")
        return latent.onHost
    }

    private func push() {
        network(image) { encoded in
            backend.normalize(encoded, mean: mean, std: std, into: latent, frame: take == nil ? framesDone : 0)
            take?(framesDone, latent.onHost)
            framesDone += 1
        }
    }
}

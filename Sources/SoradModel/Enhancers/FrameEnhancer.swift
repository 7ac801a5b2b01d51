// Owns the small networks that run on frames behind the decoder: one makes pictures of twice the sides, one makes the frame between two.
// Each adds to what plain arithmetic gives (quantization/training/sorad_mini/enhance.py): every pixel four times, or the mean of both frames.
// Invariant: a frame depends on the frames before it alone, so nothing waits and memory does not grow with the clip.
import SoradModelFile
import SoradSystem
package import SoradTensor

/// A network of one model file. Used by one thread at a time, as the tensors that it holds.
package final class FrameEnhancer: @unchecked Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        /// Twice the sides.
        case upscaler
        /// A frame between every two.
        case interpolator

        /// How often the sides are doubled.
        package var doublings: Int { self == .upscaler ? 1 : 0 }
    }

    package let kind: Kind
    private let patchSize: Int
    private let blocks: [FrameBlock]
    private let backend: any ComputeBackend

    /// - Returns: nil for a file that has no such network.
    /// - Throws: `.badInput` when its description is wrong, or a tensor is missing or has another shape or type.
    init?(_ kind: Kind, _ file: ModelFile, _ backend: any ComputeBackend) throws(SoradError) {
        let data = file.metadata
        let (name, key) = (kind.rawValue, "\(kind.rawValue).blocks")
        guard data.contains(key) else { return nil }
        let description = try EnhancerBlocks(
            try data.strings(key), patchSize: try data.integer("\(name).patch_size", in: 1...16), name: name, place: file.path)
        guard description.doublings == kind.doublings else {
            throw SoradError(
                .badInput, "\(file.path): the \(name) doubles the sides of a frame \(description.doublings) times, not \(kind.doublings)")
        }
        self.kind = kind
        self.backend = backend
        patchSize = description.patchSize
        blocks = try FrameBlock.read(description.lines, WeightReader(file: file, prefix: "\(name).", backend))
    }

    /// Width and height of frames are multiples of this, pixels.
    package var sizeMultiple: Int { patchSize }

    /// For the frames of one clip.
    package func run(width: Int, height: Int) -> EnhancerRun {
        precondition(width % patchSize == 0 && height % patchSize == 0, "\(width)×\(height) in patches of \(patchSize)")
        let packed = packedShape(width, height)
        return EnhancerRun(
            kind, backend, patchSize, FrameNetwork(blocks, input: packed, dropping: 0, backend), packed: packed,
            image: Shape(height, width, FrameGeometry.imageChannels))
    }

    /// Bytes that a run takes.
    package func byteCount(width: Int, height: Int) -> Int {
        let pixels = width * height * FrameGeometry.imageChannels
        // What enters, packed and as it was; the frame before; what is added; bytes on their way in and out.
        return FrameNetwork.byteCount(blocks, input: packedShape(width, height), backend) + pixels * (3 * 4 + 1)
            + (pixels << (2 * kind.doublings)) * (4 + 2)
    }

    private func packedShape(_ width: Int, _ height: Int) -> Shape {
        Shape(height / patchSize, width / patchSize, FrameGeometry.imageChannels * patchSize * patchSize)
    }
}

/// One clip on its way through a network.
package final class EnhancerRun {
    private let kind: FrameEnhancer.Kind
    private let backend: any ComputeBackend
    private let patchSize: Int
    private let network: FrameNetwork
    /// [H/p, W/p, 3·p²]
    private let packed: Tensor
    /// [H, W, 3] in [0, 1]: the frame, and the one before it.
    private let image, past: Tensor
    /// [G·H, G·W, 3]: what the network adds, and then the new frame.
    private let made: Tensor
    /// Frames that were taken.
    package private(set) var frames = 0

    fileprivate init(
        _ kind: FrameEnhancer.Kind, _ backend: any ComputeBackend, _ patchSize: Int, _ network: FrameNetwork, packed: Shape, image: Shape
    ) {
        self.kind = kind
        self.backend = backend
        self.patchSize = patchSize
        self.network = network
        self.packed = backend.tensor(packed)
        self.image = backend.tensor(image)
        past = backend.tensor(image)
        made = backend.tensor(Shape(image[0] << kind.doublings, image[1] << kind.doublings, image[2]))
    }

    /// Takes the next frame, [H, W, 3] bytes.
    /// - Returns: values [G·H, G·W, 3] of the new frame, not yet limited to [0, 1] and valid until the next; nil for the first frame of an
    ///   interpolator, before which none comes.
    package func push(_ frame: [UInt8]) -> Tensor? {
        precondition(frame.count == image.count, "a frame of \(frame.count) bytes")
        image.set(from: frame.span)
        backend.unshufflePixels(image, patchSize, into: packed)
        network.push(packed, stop: {}) { backend.shufflePixels($0, patchSize, into: made) }
        defer {
            past.copy(from: image)
            frames += 1
        }
        switch kind {
        case .upscaler: addEnlarged()
        case .interpolator:
            guard frames > 0 else { return nil }
            addMean()
        }
        return made
    }

    /// The last frame that was taken, [H, W, 3] in [0, 1].
    package var lastFrame: Tensor { past }

    private func addEnlarged() {
        let (height, width, channels) = (image.shape[0], image.shape[1], image.shape[2])
        image.withElements { image in
            made.withMutableElements { made in
                for y in 0..<2 * height {
                    for x in 0..<2 * width {
                        let (from, to) = ((y / 2 * width + x / 2) * channels, (y * 2 * width + x) * channels)
                        for channel in 0..<channels { made[to + channel] += image[from + channel] }
                    }
                }
            }
        }
    }

    private func addMean() {
        past.withElements { past in
            image.withElements { image in
                made.withMutableElements { made in
                    for i in made.indices { made[i] += 0.5 * (image[i] + past[i]) }
                }
            }
        }
    }

    /// As in `LatentDecoder`.
    package var counters: [UInt32] { [UInt32(frames)] + network.counters }
    package var memory: [ByteBuffer] { network.memory + [past.bytes] }

    /// Continues where the run was that had these counters and of which `memory` was filled.
    package func resume(_ counters: [UInt32]) {
        frames = Int(counters[0])
        network.counters = Array(counters[1...])
    }
}

// Owns the way between the two sizes of a cascade: latents of a finished clip at half the sides are enlarged, to be noised and denoised on,
// and given latents are made smaller. Each is one 3×3 convolution next to a pixel shuffle (quantization/training/sorad_mini/cascade.py).
// What they get wrong is far below the noise that follows.
import SoradModelFile
import SoradSystem
public import SoradTensor

/// Numbers of a cascade in one file, checked.
public struct CascadeConfiguration: Sendable, Equatable {
    /// The noise level σ at and below which a clip is denoised at the whole size.
    public let refineFrom: Double
    /// The shift of the half size's schedule.
    public let baseFlowShift: Float
    /// Pixels of the shortest side that the half size may have.
    public let leastSide: Int

    /// - Returns: nil for a file that has none.
    /// - Throws: `.badInput` naming the file and the key.
    init?(_ data: Metadata) throws(SoradError) {
        let key = "cascade.refine_from"
        guard data.contains(key) else { return nil }
        let level = try data.float(key)
        guard level > 0, level < 1 else { throw SoradError(.badInput, "\(data.path): \(key) is \(level), not between 0 and 1") }
        refineFrom = Double(level)
        baseFlowShift = try data.float("cascade.base_flow_shift")
        guard baseFlowShift >= 0.1, baseFlowShift <= 50 else {
            throw SoradError(.badInput, "\(data.path): cascade.base_flow_shift is \(baseFlowShift), not 0.1 to 50")
        }
        leastSide = try data.integer("cascade.least_side", in: 1...4096)
    }
}

/// The two maps of one model file. Used by one thread at a time.
public final class LatentCascade {
    private let channels: Int
    private let up, down: ConvolutionWeights
    private let backend: any ComputeBackend
    /// [C]: latents are neither scaled nor moved on their way.
    private let zeros, ones: Tensor

    /// - Throws: `.badInput` when a tensor is missing or has another shape or type.
    init(channels: Int, _ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) {
        self.channels = channels
        self.backend = backend
        up = try weights.convolution("up", outputs: 4 * channels, inputs: channels)
        down = try weights.convolution("down", outputs: channels, inputs: 4 * channels)
        zeros = backend.tensor(Shape(channels))
        ones = backend.tensor(Shape(channels))
        backend.fill(zeros, with: 0)
        backend.fill(ones, with: 1)
    }

    /// Latents [C, T, h, w] to [C, T, 2h, 2w], in the host's memory.
    public func enlarge(_ latents: Tensor) -> Tensor {
        let (height, width) = (latents.shape[2], latents.shape[3])
        let image = backend.tensor(Shape(height, width, channels))
        let apart = backend.tensor(Shape(height, width, 4 * channels))
        let large = backend.tensor(Shape(2 * height, 2 * width, channels))
        return mapped(latents, to: Shape(channels, latents.shape[1], 2 * height, 2 * width)) { latents, frame, result in
            backend.denormalize(latents, frame: frame, mean: zeros, std: ones, into: image)
            convolve(image, up, into: apart)
            backend.shufflePixels(apart, 2, into: large)
            backend.normalize(large, mean: zeros, std: ones, into: result, frame: frame)
        }
    }

    /// Latents [C, T, 2h, 2w] to [C, T, h, w], in the host's memory.
    public func reduce(_ latents: Tensor) -> Tensor {
        let (height, width) = (latents.shape[2] / 2, latents.shape[3] / 2)
        precondition(latents.shape[2] == 2 * height && latents.shape[3] == 2 * width, "half of latents \(latents.shape)")
        let large = backend.tensor(Shape(2 * height, 2 * width, channels))
        let apart = backend.tensor(Shape(height, width, 4 * channels))
        let image = backend.tensor(Shape(height, width, channels))
        return mapped(latents, to: Shape(channels, latents.shape[1], height, width)) { latents, frame, result in
            backend.denormalize(latents, frame: frame, mean: zeros, std: ones, into: large)
            backend.unshufflePixels(large, 2, into: apart)
            convolve(apart, down, into: image)
            backend.normalize(image, mean: zeros, std: ones, into: result, frame: frame)
        }
    }

    /// Bytes that either takes for latents that are `size` at the whole size, their result included.
    func byteCount(_ size: LatentSize) -> Int {
        let frame = size.channels * size.height * size.width * 4
        return 3 * frame + 2 * frame * size.frames
    }

    private func convolve(_ x: Tensor, _ weights: ConvolutionWeights, into out: Tensor) {
        backend.convolve(x, .none, weights, upsample: false, activation: .none, residual: nil, reluAtEnd: false, into: out)
    }

    private func mapped(_ latents: Tensor, to shape: Shape, _ body: (Tensor, Int, Tensor) -> Void) -> Tensor {
        precondition(latents.shape.rank == 4 && latents.shape[0] == channels, "latents \(latents.shape) of \(channels) channels")
        let (source, result) = (backend.resident(latents), backend.tensor(shape))
        for frame in 0..<shape[1] { body(source, frame, result) }
        return result.onHost
    }
}

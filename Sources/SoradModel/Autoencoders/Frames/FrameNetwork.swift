// Owns the running of a TAEHV stack frame by frame: each frame goes through all blocks before the next one enters, and a block keeps of
// the past only what it looks back at. Memory does not grow with the clip.
//
// Invariant: frames reach every block in their order of time, so a memory block's stored input is always that of the frame before.
// Images are channels-last: [height, width, channels].
import SoradTensor

/// One block of a stack.
enum FrameBlock {
    /// Keeps latents within (−3, 3).
    case softClamp
    case convolution(ConvolutionWeights, upsample: Bool, relu: Bool)
    /// relu(x + conv(relu(conv(relu(conv(x joined with the frame before))))))
    case memory(ConvolutionWeights, ConvolutionWeights, ConvolutionWeights)
    /// One frame becomes `stride`: the 1×1 convolution gives them behind each other along the channels.
    case grow(ConvolutionWeights, stride: Int)
    /// An image of twice the sides: the convolution gives its 2×2 pixels behind each other along the channels, as torch's pixel_shuffle.
    case growSpace(ConvolutionWeights)
    /// `stride` (1 or 2) frames, joined along the channels, become one.
    case pool(ConvolutionWeights, stride: Int)
}

final class FrameNetwork: StreamedNetwork {
    private struct Stage {
        let block: FrameBlock
        /// Written by this block, one per frame that it makes; read by the next.
        let outputs: [Tensor]
        /// The frame before (memory), or the frames collected so far (pool).
        let past: Tensor?
        /// Frames that leave the stack for one that enters here, and whether nothing from here on remembers a frame.
        let yield: Int
        let forgets: Bool
    }

    private let backend: any ComputeBackend
    private let stages: [Stage]
    /// Two images on the way through a block, of which one runs at a time.
    private let scratch: [Tensor]
    /// Frames that a stage has seen; decides what its `past` holds.
    private var seen: [Int]
    /// Frames at the start of the result that nobody wants.
    private var unwanted: Int

    /// - Parameters:
    ///   - input: shape of the images that enter.
    ///   - dropping: leading frames of the result to leave out.
    init(_ blocks: [FrameBlock], input: Shape, dropping: Int, _ backend: any ComputeBackend) {
        self.backend = backend
        (stages, scratch) = backend.make { arena in Self.workspace(blocks, input, arena) }
        seen = [Int](repeating: 0, count: blocks.count)
        unwanted = dropping
    }

    /// Bytes that a stack needs for images of this shape.
    static func byteCount(_ blocks: [FrameBlock], input: Shape, _ backend: any ComputeBackend) -> Int {
        var scratch = 0
        return backend.measure { arena in scratch = scratchBytes(workspace(blocks, input, arena).stages, input, backend) } + scratch
    }

    /// Bytes of the largest image that a convolution quantizes for itself.
    private static func scratchBytes(_ stages: [Stage], _ input: Shape, _ backend: any ComputeBackend) -> Int {
        var shape = input
        var most = 0
        for stage in stages {
            let weights: [ConvolutionWeights] =
                switch stage.block {
                case .softClamp: []
                case .convolution(let weights, _, _), .grow(let weights, _), .growSpace(let weights), .pool(let weights, _): [weights]
                case .memory(let first, let second, let third): [first, second, third]
                }
            for weights in weights { most = max(most, backend.scratchBytes(weights, image: shape)) }
            shape = stage.outputs[0].shape
        }
        return most
    }

    private static func workspace(_ blocks: [FrameBlock], _ input: Shape, _ arena: Arena) -> (stages: [Stage], scratch: [Tensor]) {
        var stages: [Stage] = []
        var shape = input
        var scratchFloats = [1, 1]
        for (index, block) in blocks.enumerated() {
            let later = blocks[index...]
            let yield = later.reduce(1) { if case .grow(_, let stride) = $1 { $0 * stride } else { $0 } }
            let forgets = later.allSatisfy { block in
                switch block {
                case .memory, .pool: false
                default: true
                }
            }
            let height = shape[0]
            let width = shape[1]
            let channels = shape[2]
            var outputs: [Tensor] = []
            var past: Tensor?
            switch block {
            case .softClamp: break
            case .convolution(let weights, let upsample, _):
                let scale = upsample ? 2 : 1
                shape = Shape(
                    (height * scale + weights.stride - 1) / weights.stride, (width * scale + weights.stride - 1) / weights.stride,
                    weights.outputs)
            case .memory(let first, _, _):
                shape = Shape(height, width, first.outputs)
                scratchFloats = scratchFloats.map { max($0, shape.count) }
                past = arena.tensor(Shape(height, width, channels))
            case .grow(let weights, let stride):
                scratchFloats[0] = max(scratchFloats[0], height * width * weights.outputs)
                outputs = (0..<stride).map { _ in arena.tensor(Shape(height, width, weights.outputs / stride)) }
                shape = Shape(height, width, weights.outputs / stride)
            case .growSpace(let weights):
                scratchFloats[0] = max(scratchFloats[0], height * width * weights.outputs)
                shape = Shape(2 * height, 2 * width, weights.outputs / 4)
            case .pool(let weights, let stride):
                past = stride > 1 ? arena.tensor(Shape(height, width, channels)) : nil
                shape = Shape(height, width, weights.outputs)
            }
            if outputs.isEmpty { outputs = [arena.tensor(shape)] }
            stages.append(Stage(block: block, outputs: outputs, past: past, yield: yield, forgets: forgets))
        }
        return (stages, scratchFloats.map { arena.tensor(Shape($0)) })
    }

    /// Frames that every stage has seen, and those still unwanted; with `memory` the whole state between two frames.
    var counters: [UInt32] {
        get { seen.map { UInt32($0) } + [UInt32(unwanted)] }
        set {
            precondition(newValue.count == seen.count + 1, "\(newValue.count) counters for \(seen.count) stages")
            seen = newValue.dropLast().map { Int($0) }
            unwanted = Int(newValue[seen.count])
        }
    }

    /// What the stages keep of frames that they have seen.
    var memory: [ByteBuffer] { stages.compactMap { $0.past?.bytes } }

    /// Sends one frame through; `emit` gets every frame that comes out, valid until the next. `stop` is called before every block; once
    /// it has thrown, the network is of no more use.
    func push<Failure: Error>(
        _ frame: Tensor, stop: () throws(Failure) -> Void, emit: (Tensor) throws(Failure) -> Void
    ) throws(Failure) {
        try push(frame, 0, stop, emit)
    }

    private func push<Failure: Error>(
        _ x: Tensor, _ index: Int, _ stop: () throws(Failure) -> Void, _ emit: (Tensor) throws(Failure) -> Void
    ) throws(Failure) {
        guard index < stages.count else {
            if unwanted > 0 { unwanted -= 1 } else { try emit(x) }
            return
        }
        let stage = stages[index]
        let out = stage.outputs[0]
        if stage.forgets, unwanted >= stage.yield {
            unwanted -= stage.yield
            return
        }
        try stop()
        seen[index] += 1
        switch stage.block {
        case .softClamp:
            backend.softClamp(x, into: out)
        case .convolution(let weights, let upsample, let relu):
            backend.convolve(
                x, .none, weights, upsample: upsample, activation: relu ? .relu : .none, residual: nil, reluAtEnd: false, into: out)
        case .memory(let first, let second, let third):
            remember(x, stage, seen: seen[index], first, second, third)
        case .grow(let weights, _):
            let wide = scratch[0].prefix(Shape(x.shape[0], x.shape[1], weights.outputs))
            backend.convolve(x, .none, weights, upsample: false, activation: .none, residual: nil, reluAtEnd: false, into: wide)
            // All at once: what follows writes over the wide image.
            for (part, image) in stage.outputs.enumerated() {
                let channels = image.shape[2]
                backend.copy(wide.channels(part * channels..<(part + 1) * channels), into: image.blocks(of: channels))
            }
            for image in stage.outputs { try push(image, index + 1, stop, emit) }
            return
        case .growSpace(let weights):
            let wide = scratch[0].prefix(Shape(x.shape[0], x.shape[1], weights.outputs))
            backend.convolve(x, .none, weights, upsample: false, activation: .none, residual: nil, reluAtEnd: false, into: wide)
            backend.shufflePixels(wide, 2, into: out)
        case .pool(let weights, let stride):
            if let past = stage.past, seen[index] % stride != 0 {
                backend.copy(x, into: past)
                return
            }
            let (earlier, later): (Tensor, ConvolutionPartner) = stage.past.map { ($0, .tensor(x)) } ?? (x, .none)
            backend.convolve(earlier, later, weights, upsample: false, activation: .none, residual: nil, reluAtEnd: false, into: out)
        }
        try push(out, index + 1, stop, emit)
    }

    private func remember(
        _ x: Tensor, _ stage: Stage, seen: Int, _ first: ConvolutionWeights, _ second: ConvolutionWeights, _ third: ConvolutionWeights
    ) {
        guard let past = stage.past else { preconditionFailure("a memory block without memory") }
        let before: ConvolutionPartner = seen == 1 ? .zeros(x.shape[2]) : .tensor(past)
        let (one, two) = (scratch[0].prefix(stage.outputs[0].shape), scratch[1].prefix(stage.outputs[0].shape))
        backend.convolve(x, before, first, upsample: false, activation: .relu, residual: nil, reluAtEnd: false, into: one)
        backend.convolve(one, .none, second, upsample: false, activation: .relu, residual: nil, reluAtEnd: false, into: two)
        backend.convolve(two, .none, third, upsample: false, activation: .none, residual: x, reluAtEnd: true, into: stage.outputs[0])
        backend.copy(x, into: past)
    }
}

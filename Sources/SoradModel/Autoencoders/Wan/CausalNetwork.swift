// Owns the running of a causal 3-D network (Wan's autoencoder) frame by frame: each frame goes through all blocks before the next one
// enters, and a convolution keeps the two frames of its input that came before. Memory does not grow with the clip, and no more than
// one group of frames (what one latent frame becomes) is ever on its way.
//
// A 3-D convolution is a sum of 2-D ones, the oldest frame's first; before the clip lies nothing, which adds nothing. So the sum of
// every output has one order, whatever computes it. An int8 one keeps its frames quantized when they came, each with
// its own scale: a frame is normed and rounded once for the three sums that read it.
//
// The first frame of a clip is doubled or halved in time by no one, and time doubling does not look back at it: that is how the published
// models were trained (diffusers' `feat_cache`).
//
// Invariant: a block may change the image that it is given, and is done with its own output when the push of it returns.
// Images are channels-last: [height, width, channels].
import SoradTensor

final class CausalNetwork: StreamedNetwork {
    /// The two frames that a convolution has read before; frame t lies at t mod 2.
    private final class History {
        /// Floats, or none.
        let frames: [Tensor]
        /// Codes, or none.
        private(set) var quantized: [any QuantizedImage]
        /// Where the next frame is quantized.
        let spare: Spare?
        var seen = 0

        init(_ shape: Shape, _ arena: Arena) {
            frames = [arena.tensor(shape), arena.tensor(shape)]
            quantized = []
            spare = nil
        }

        init(_ shape: Shape, _ spare: Spare, _ arena: Arena) {
            frames = []
            quantized = [arena.image(shape), arena.image(shape)]
            self.spare = spare
        }

        /// What it holds, in the order of the places.
        var memory: [ByteBuffer] { frames.map(\.bytes) + quantized.map(\.bytes) }

        /// The spare image becomes the newest frame, and the oldest frame's the spare ones.
        func remember() {
            if let spare { swap(&spare.image, &quantized[seen % 2]) }
            seen += 1
        }
    }

    /// One quantized image, shared by all histories of its shape.
    private final class Spare {
        var image: any QuantizedImage
        init(_ image: any QuantizedImage) { self.image = image }
    }

    private struct Stage {
        let block: CausalBlock
        let histories: [History]
        /// Empty where the block works in place.
        let outputs: [Tensor]
        let keys: (any PackedKeysValues)?
        /// Of the shortcut that begins or ends here.
        let shortcut: ShortcutMemory?
    }

    private let backend: any ComputeBackend
    private let stages: [Stage]
    /// Shared by the blocks, of which one runs at a time.
    private let scratch: Tensor

    /// - Parameter input: shape of the images that enter.
    init(_ blocks: [CausalBlock], input: Shape, _ backend: any ComputeBackend) {
        self.backend = backend
        (stages, scratch) = backend.make { arena in Self.workspace(blocks, input, arena) }
    }

    /// Bytes that a network needs for images of this shape.
    static func byteCount(_ blocks: [CausalBlock], input: Shape, _ backend: any ComputeBackend) -> Int {
        var scratchBytes = 0
        var shape = input
        for block in blocks {
            scratchBytes = max(scratchBytes, block.scratchBytes(shape, backend))
            shape = block.output(shape)
        }
        return backend.measure { workspace(blocks, input, $0) } + scratchBytes
    }

    private static func workspace(_ blocks: [CausalBlock], _ input: Shape, _ arena: Arena) -> ([Stage], Tensor) {
        var shape = input
        var most = 1
        var spares: [(shape: Shape, spare: Spare)] = []
        var open: [ShortcutMemory] = []
        func shortcut(_ block: CausalBlock, _ shape: Shape) -> ShortcutMemory? {
            switch block {
            case .shortcutBegins(let shortcut):
                open.append(ShortcutMemory(shortcut, input: shape, arena))
                return open.last
            case .shortcutEnds: return open.removeLast()
            default: return nil
            }
        }
        func history(_ shape: Shape, _ isInt8: Bool) -> History {
            guard isInt8 else { return History(shape, arena) }
            if let known = spares.first(where: { $0.shape == shape }) { return History(shape, known.spare, arena) }
            let spare = Spare(arena.image(shape))
            spares.append((shape, spare))
            return History(shape, spare, arena)
        }
        let stages = blocks.map { block in
            let entering = shape
            shape = block.output(entering)
            most = max(most, block.scratchFloats(entering))
            return Stage(
                block: block, histories: block.remembered(entering).map(history),
                outputs: (0..<block.outputCount).map { _ in arena.tensor(shape) },
                keys: block.isAttention
                    ? arena.keysValues(capacity: entering[0] * entering[1], heads: 1, headWidth: entering[2]) : nil,
                shortcut: shortcut(block, entering))
        }
        return (stages, arena.tensor(Shape(most)))
    }

    /// Frames that every history has seen; with `memory` the whole state between two frames.
    var counters: [UInt32] {
        get { histories.map { UInt32($0.seen) } + shortcuts.map { UInt32($0.count) } }
        set {
            let (histories, shortcuts) = (histories, shortcuts)
            precondition(newValue.count == histories.count + shortcuts.count, "\(newValue.count) counters for \(histories.count) histories")
            for (history, seen) in zip(histories, newValue) { history.seen = Int(seen) }
            for (shortcut, count) in zip(shortcuts, newValue.dropFirst(histories.count)) { shortcut.count = Int(count) }
        }
    }

    /// The frames that histories keep, of which those are read that were seen.
    var memory: [ByteBuffer] { histories.flatMap(\.memory) }

    private var histories: [History] { stages.flatMap(\.histories) }

    /// Each once. Between two latent frames a decoder's have nothing to remember but how many frames have passed.
    private var shortcuts: [ShortcutMemory] {
        stages.compactMap { if case .shortcutBegins = $0.block { $0.shortcut } else { nil } }
    }

    /// Sends one frame through, which may change it; `emit` gets every frame that comes out, valid until the next. `stop` is called
    /// before every block; once it has thrown, the network is of no more use.
    func push<Failure: Error>(
        _ frame: Tensor, stop: () throws(Failure) -> Void, emit: (Tensor) throws(Failure) -> Void
    ) throws(Failure) {
        try push(frame, 0, stop, emit)
    }

    private func push<Failure: Error>(
        _ x: Tensor, _ index: Int, _ stop: () throws(Failure) -> Void, _ emit: (Tensor) throws(Failure) -> Void
    ) throws(Failure) {
        guard index < stages.count else { return try emit(x) }
        try stop()
        let stage = stages[index]
        var results = stage.outputs.isEmpty ? [x] : stage.outputs
        switch stage.block {
        case .convolution(let weights):
            convolve(x, [weights], stage.histories.first, residual: nil, into: results)
        case .residual(let first, let second, let shortcut):
            if let shortcut { convolve(x, shortcut, into: results[0]) }
            let between = scratch.prefix(Shape(x.shape[0], x.shape[1], first.outputs))
            convolve(x, [first], stage.histories[0], residual: nil, into: [between])
            convolve(between, [second], stage.histories[1], residual: results[0], into: results)
        case .attention(let weights):
            guard let keys = stage.keys else { preconditionFailure("an attention without a buffer for keys") }
            attend(x, weights, keys)
        case .resize(let weights, let upsample):
            convolve(x, weights, upsample: upsample, into: results[0])
        case .shortcutBegins: stage.shortcut?.keep(x, backend)
        case .shortcutEnds: stage.shortcut?.add(to: x)
        case .temporalUpsample(let first, let second):
            // The first frame is neither doubled nor remembered.
            if stage.histories[0].seen == 0 {
                stage.histories[0].seen = 1
                results = [x]
            } else {
                convolve(x, [first, second], stage.histories[0], residual: nil, into: results, forgetting: 1)
            }
        case .temporalDownsample(let weights):
            let history = stage.histories[0]
            if history.seen == 0 || history.seen % 2 == 1 {
                backend.copy(x, into: history.frames[history.seen % 2])
                history.remember()
                if history.seen > 1 { return }
                results = [x]
            } else {
                convolve(x, [weights], history, residual: nil, into: results)
            }
        }
        for result in results { try push(result, index + 1, stop, emit) }
    }

    /// outs[i] = residual + convolutions[i] over the frames before and x, normed where the convolution says so. All convolutions read
    /// the same. `outs` may hold `residual`, but not `x`.
    /// - Parameter forgetting: frames at the start of the clip that count as nothing.
    private func convolve(
        _ x: Tensor, _ convolutions: [CausalConvolution], _ history: History?, residual: Tensor?, into outs: [Tensor], forgetting: Int = 0
    ) {
        var isFirst = true
        func add(_ frame: Tensor, tap: Int) {
            for (convolution, out) in zip(convolutions, outs) {
                backend.convolve(
                    frame, .none, convolution.frames[tap], upsample: false, activation: .none, residual: isFirst ? residual : out,
                    reluAtEnd: false, into: out)
            }
            isFirst = false
        }
        guard let history else { return add(x, tap: 0) }
        let seen = history.seen - forgetting
        if let spare = history.spare {
            let norm = convolutions[0].gamma.map { PixelNorm(weight: $0, epsilon: Self.epsilon) }
            backend.quantize(x, norm: norm, scale: convolutions[0].frames[0].inputScale, into: spare.image)
            let past = (0..<2).filter { seen >= 2 - $0 }.map { history.quantized[(history.seen + $0) % 2] }
            let images = past + [spare.image]
            for (convolution, out) in zip(convolutions, outs) {
                backend.convolve(images, convolution.frames.suffix(images.count), upsample: false, residual: residual, into: out)
            }
            return history.remember()
        }
        // The oldest frame is read first, and then gives its place to the newest.
        let place = history.frames[history.seen % 2]
        if seen >= 2 { add(place, tap: 0) }
        if let gamma = convolutions[0].gamma { normalize(x, gamma, silu: true, into: place) } else { backend.copy(x, into: place) }
        if seen >= 1 { add(history.frames[(history.seen + 1) % 2], tap: 1) }
        add(place, tap: 2)
        history.remember()
    }

    private func convolve(_ x: Tensor, _ weights: ConvolutionWeights, upsample: Bool = false, into out: Tensor) {
        backend.convolve(x, .none, weights, upsample: upsample, activation: .none, residual: nil, reluAtEnd: false, into: out)
    }

    /// Torch divides by the larger of the length and 1e-12, which only matters for zeros.
    private static let epsilon: Float = 1e-24

    private func normalize(_ x: Tensor, _ gamma: Parameter, silu: Bool, into out: Tensor) {
        let rows = Shape(x.shape[0] * x.shape[1], x.shape[2])
        backend.rmsNorm(x.reshaped(rows), epsilon: Self.epsilon, weight: gamma, into: out.reshaped(rows))
        if silu { backend.silu(out, into: out) }
    }

    /// x += proj(attention of every pixel to all of the frame), one head.
    private func attend(_ x: Tensor, _ weights: FrameAttention, _ keys: any PackedKeysValues) {
        let channels = x.shape[2]
        let images = scratch.prefix(Shape(4, x.shape[0], x.shape[1], channels))
        let normed = images.item(0)
        normalize(x, weights.gamma, silu: false, into: normed)
        let parts = (0..<3).map { part in
            let image = images.item(1 + part)
            convolve(normed, weights.queryKeyValue[part], into: image)
            return image.reshaped(Shape(x.shape[0] * x.shape[1], channels))
        }
        backend.pack(keys: parts[1], into: keys)
        backend.pack(values: parts[2], into: keys)
        backend.attend(queries: parts[0], to: keys, scale: 1 / Float(channels).squareRoot(), keyBias: nil, bias: nil, into: parts[0])
        backend.convolve(
            images.item(1), .none, weights.output, upsample: false, activation: .none, residual: x, reluAtEnd: false, into: x)
    }
}

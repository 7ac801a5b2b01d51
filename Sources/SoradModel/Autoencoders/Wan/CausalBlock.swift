// The blocks of a causal 3-D network and what each needs of memory; CausalNetwork.swift runs them.
import SoradTensor

/// A convolution over the frame and, with three of them, the two frames before.
struct CausalConvolution {
    /// The oldest frame's first; the bias is the last one's.
    let frames: [ConvolutionWeights]
    /// What is read is first normed, scaled by this and put through SiLU.
    var gamma: Parameter?

    var outputs: Int { frames[0].outputs }
    var isInt8: Bool { frames[0].isInt8 }
}

/// Attention within one frame: x + output(attention(norm(x))), a single head as wide as the image has channels.
struct FrameAttention {
    let gamma: Parameter
    /// Three 1×1 convolutions.
    let queryKeyValue: [ConvolutionWeights]
    let output: ConvolutionWeights
}

/// One block; shapes are [height, width, channels].
enum CausalBlock {
    case convolution(CausalConvolution)
    /// shortcut(x) + second(first(x)); without a shortcut x itself, in place.
    case residual(CausalConvolution, CausalConvolution, shortcut: ConvolutionWeights?)
    case attention(FrameAttention)
    /// One frame becomes two, one from each convolution; the first of the clip stays one.
    case temporalUpsample(CausalConvolution, CausalConvolution)
    /// Two frames become one; the first of the clip stays one.
    case temporalDownsample(CausalConvolution)
    /// Twice the sides, or, with a stride of 2, half of them.
    case resize(ConvolutionWeights, upsample: Bool)
    /// The image is kept, and what it becomes on the other side of the level is added where the shortcut ends.
    case shortcutBegins(LevelShortcut)
    case shortcutEnds

    /// Shape of an image that leaves for one of `input`.
    func output(_ input: Shape) -> Shape {
        switch self {
        case .convolution(let weights), .temporalUpsample(let weights, _), .temporalDownsample(let weights), .residual(_, let weights, _):
            Shape(input[0], input[1], weights.outputs)
        case .attention, .shortcutBegins, .shortcutEnds: input
        case .resize(let weights, true): Shape(2 * input[0], 2 * input[1], weights.outputs)
        case .resize(let weights, false): Shape(input[0] / 2, input[1] / 2, weights.outputs)
        }
    }

    /// Images of the output's shape that the block writes; none where it works in place.
    var outputCount: Int {
        switch self {
        case .attention, .residual(_, _, shortcut: nil), .shortcutBegins, .shortcutEnds: 0
        case .temporalUpsample: 2
        default: 1
        }
    }

    /// Shapes of which the block keeps the last two frames, as floats or quantized.
    func remembered(_ input: Shape) -> [(shape: Shape, isInt8: Bool)] {
        switch self {
        case .convolution(let weights): weights.frames.count > 1 ? [(input, weights.isInt8)] : []
        case .temporalUpsample(let weights, _), .temporalDownsample(let weights): [(input, weights.isInt8)]
        case .residual(let first, let second, _):
            [(input, first.isInt8), (Shape(input[0], input[1], first.outputs), second.isInt8)]
        case .attention, .resize, .shortcutBegins, .shortcutEnds: []
        }
    }

    /// Bytes of the largest image that a convolution quantizes for itself.
    func scratchBytes(_ input: Shape, _ backend: any ComputeBackend) -> Int {
        let weights: [ConvolutionWeights] =
            switch self {
            case .convolution(let weights): weights.frames.count == 1 ? weights.frames : []
            case .residual(_, _, let shortcut): shortcut.map { [$0] } ?? []
            case .attention(let weights): weights.queryKeyValue + [weights.output]
            case .resize(let weights, _): [weights]
            case .temporalUpsample, .temporalDownsample, .shortcutBegins, .shortcutEnds: []
            }
        return weights.map { backend.scratchBytes($0, image: input) }.max() ?? 0
    }

    /// Floats for results on the way.
    func scratchFloats(_ input: Shape) -> Int {
        switch self {
        case .residual(let first, _, _): input[0] * input[1] * first.outputs
        case .attention: 4 * input.count
        default: 0
        }
    }

    var isAttention: Bool { if case .attention = self { true } else { false } }
}

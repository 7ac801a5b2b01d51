// What the converter expects to find in a checkpoint, tensor by tensor, and what becomes of each. The three `…Layout` files build lists of
// these from the configuration; nothing else in the converter knows a model's names.

/// One tensor of the checkpoint with its shape and its destination.
struct SourceTensor {
    /// Where the numbers go.
    enum Form: Equatable {
        /// [N, K] of a linear layer that may become int8. `input` and `gain` say what its activations look like.
        case linear(input: LayerInput, gain: InputGain? = nil)
        /// [N, …] of a linear layer that stays float; the inputs are the remaining dimensions in their order.
        case floatLinear
        /// [N, Cin, kh, kw] of a convolution; with `input` it may become int8 where that is asked for.
        case convolution(input: LayerInput? = nil)
        /// [parts·N, Cin, kh, kw] or [parts·N, Cin, kt, kh, kw] of a convolution that is read as several of N outputs and one frame;
        /// with `input` it may become int8 where that is asked for. `gain` has an entry per channel.
        case frames(parts: Int, input: LayerInput? = nil, gain: InputGain? = nil)
        /// [N, 1, …] of a norm, as [N].
        case vector
        /// [rows, columns] of an embedding table: half precision.
        case table
        /// Anything else, float, as it is.
        case plain
    }

    /// Name in the checkpoint.
    let source: String
    /// Name in the model file.
    let name: String
    /// PyTorch order, slowest first.
    let shape: [Int]
    let form: Form

    init(_ source: String, as name: String, _ shape: [Int], _ form: Form) {
        self.source = source
        self.name = name
        self.shape = shape
        self.form = form
    }
}

/// The kind of activations that a linear layer reads; it decides how they are quantised and what stands in for them when none were captured.
package enum LayerInput: Equatable {
    /// Normed or attended values: about normal, symmetric.
    case normal
    /// Behind GELU: skewed, so quantised with a zero point.
    case afterGELU
    /// GELU of one projection times another (T5's gated feed-forward).
    case gatedGELU
    /// An image behind a ReLU: no value is below 0. Quantised with one scale for all of it.
    case imageAfterReLU
    /// An image whose pixels were normed and went through SiLU: hardly anything is below 0.
    case imageAfterSiLU
    /// An image as it comes, about normal, read in two planes of codes: its own rounding is not worth counting.
    case image

    /// Whether the activations are quantised with a zero point.
    var asymmetric: Bool { self != .normal && self != .gatedGELU }
}

/// Where the checkpoint says how large each input of a layer is: the tensor that multiplies it just before.
struct InputGain: Equatable {
    /// Name in the model file.
    let name: String
    /// Which row of the tensor, each as long as the layer's input.
    let row: Int
    /// Whether the inputs are multiplied by 1 + the value (modulation) rather than the value (norms).
    let addsOne: Bool

    static func norm(_ name: String) -> InputGain { InputGain(name: name, row: 0, addsOne: false) }
    static func modulation(_ name: String, row: Int) -> InputGain { InputGain(name: name, row: row, addsOne: true) }
}

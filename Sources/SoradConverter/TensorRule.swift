// The tensors that the converter expects in a checkpoint, and the form that each takes in the model file. The `…Layout` files build lists of
// these from the configuration; names are diffusers' (NameTable translates others).

/// One tensor of the checkpoint with its shape and its destination.
package struct TensorRule: Sendable {
    /// Where the numbers go.
    package enum Form: Equatable, Sendable {
        /// [N, K] of a linear layer that may become int8. `input` and `gain` say what its activations look like. `isDeep`: one of many
        /// whose errors add up, so that it gets 10 bits and float activations unless int8 is asked for.
        case linear(input: LayerInput, gain: InputGain? = nil, isDeep: Bool = false)
        /// [N, …] of a linear layer that stays float; the inputs are the remaining dimensions in their order.
        case floatLinear
        /// [N, Cin, kh, kw] of a convolution; with `input` it may become int8, where that is asked for or always.
        case convolution(input: LayerInput? = nil, always: Bool = false)
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

    /// Name in the checkpoint, as diffusers spells it.
    package let source: String
    /// Name in the model file.
    package let name: String
    /// PyTorch order, slowest first.
    package let shape: [Int]
    package let form: Form

    package init(_ source: String, as name: String, _ shape: [Int], _ form: Form) {
        self.source = source
        self.name = name
        self.shape = shape
        self.form = form
    }
}

/// The kind of activations that a linear layer reads. It decides how they are quantized and which synthetic ones replace captured ones.
package enum LayerInput: Equatable, Sendable {
    /// Normed or attended values: about normal, symmetric.
    case normal
    /// Behind GELU: skewed, so quantized with a zero point.
    case afterGELU
    /// GELU of one projection times another (T5's gated feed-forward).
    case gatedGELU
    /// An image behind a ReLU: no value is below 0. Quantized with one scale for all of it.
    case imageAfterReLU
    /// An image whose pixels were normed and went through SiLU: hardly anything is below 0.
    case imageAfterSiLU
    /// An image as it comes, about normal, quantized to 16 bits (high and low byte): its own rounding is not worth counting.
    case image

    /// Whether the activations are quantized with a zero point.
    var asymmetric: Bool { self != .normal && self != .gatedGELU }
}

/// The tensor of the checkpoint that multiplies a layer's inputs just before it, and so gives their sizes.
package struct InputGain: Equatable, Sendable {
    /// Name in the model file.
    let name: String
    /// Which row of the tensor, each as long as the layer's input.
    let row: Int
    /// Whether the inputs are multiplied by 1 + the value (modulation) rather than the value (norms).
    let addsOne: Bool

    package static func norm(_ name: String) -> InputGain { InputGain(name: name, row: 0, addsOne: false) }
    package static func modulation(_ name: String, row: Int) -> InputGain { InputGain(name: name, row: row, addsOne: true) }
}

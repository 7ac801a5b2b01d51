// What backends keep in a form of their own: models hand these from one operation to the next and never see inside. An operation traps
// on one that another backend has made.

/// Rows that linear layers read, as floats and in whatever form a backend's products take; layers that read the same rows share that
/// form. A layer norm may be pending: it is then taken by the first layer that reads the rows.
public protocol ActivationMatrix: AnyObject {
    /// Values of a row.
    var width: Int { get }
    /// The rows now held, [M, width].
    var values: Tensor { get }
    /// The rows, [M, width], to be written by the next operation; what was held is forgotten.
    func overwrite(rows: Int) -> Tensor
}

/// Keys and values of H heads, as attention reads them.
public protocol PackedKeysValues: AnyObject {
    var precision: AttentionPrecision { get }
    var heads: Int { get }
    var headWidth: Int { get }
    /// Keys that it can hold.
    var capacity: Int { get }
    /// Keys now held.
    var keys: Int { get }
}

/// An image [height, width, C] as int8 convolutions read it: quantized values with one scale and zero point.
public protocol QuantizedImage: AnyObject {
    var shape: Shape { get }
    /// All of it, to be kept in a file and brought back: scale (f32), zero point (i32), 56 bytes of no meaning, then the quantized values
    /// [height + 2, width + 2, C up to a multiple of 4] inside a border of zero points. The same on every backend.
    var bytes: ByteBuffer { get }
}

/// What a backend was handed as its own type; traps where another backend made it.
public func ownForm<Own: AnyObject>(_ form: any AnyObject) -> Own {
    guard let own = form as? Own else { preconditionFailure("\(type(of: form)), which another backend made, instead of \(Own.self)") }
    return own
}

/// What is done to the pixels of an image on their way to quantized values: their channels to mean square 1, times `weight`, then SiLU.
public struct PixelNorm {
    /// F32 [C]
    public let weight: Parameter
    public let epsilon: Float

    public init(weight: Parameter, epsilon: Float) {
        self.weight = weight
        self.epsilon = epsilon
    }
}

/// What the products of an attention are made of. Each gives the same bits on every machine; int8 is two to three times as fast.
public enum AttentionPrecision: Sendable {
    case float
    /// Keys, values and probabilities of 8 bits. Not for keys with a large bias, next to which the others' probabilities would vanish.
    case int8
    /// The same with probabilities of 16 bits (a high and a low byte), for where few keys take most of the weight and a byte is too
    /// coarse for the others.
    case int8Probs16

    /// The widest head that there is an attention for.
    public var widestHead: Int { self == .float ? 1024 : 256 }
}

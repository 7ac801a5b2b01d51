// Owns an image as int8 convolutions read it. `unsafe` here: numbers of other types lie in the memory of a tensor; sizes are checked first.

/// An image [height, width, C] as codes with one scale and zero point, inside a border of one pixel of zero points.
public struct QuantizedImage {
    /// Of the image, without the border.
    public let shape: Shape
    /// All of it, to be kept and brought back as it is: scale and zero point, room up to a cache line, then the codes
    /// [height + 2, width + 2, C up to a multiple of 4]. The same on every machine, and of no meaning as floats.
    public let memory: Tensor

    private static let headFloats = 16

    public init(_ shape: Shape, in arena: Arena) {
        self.init(shape, arena.tensor(Shape(Self.floatCount(shape))))
    }

    /// In the first floats of `room`.
    package init(_ shape: Shape, _ room: Tensor) {
        precondition(shape.rank == 3, "an image of \(shape)")
        self.shape = shape
        memory = room.prefix(Shape(Self.floatCount(shape)))
    }

    public static func floatCount(_ shape: Shape) -> Int {
        headFloats + (shape[0] + 2) * (shape[1] + 2) * ((shape[2] + 3) / 4)
    }

    package var scale: Float {
        get { unsafe memory.pointer()[0] }
        nonmutating set { unsafe memory.pointer()[0] = newValue }
    }

    package var zero: Int32 {
        get { unsafe Int32(bitPattern: memory.pointer()[1].bitPattern) }
        nonmutating set { unsafe memory.pointer()[1] = Float(bitPattern: UInt32(bitPattern: newValue)) }
    }

    @unsafe package func codes() -> UnsafeMutablePointer<Int8> {
        let start = unsafe UnsafeMutableRawPointer(memory.pointer() + Self.headFloats)
        return unsafe start.assumingMemoryBound(to: Int8.self)
    }
}

/// What is done to the pixels of an image on their way to codes: their channels to mean square 1, times `weight`, then SiLU.
public struct PixelNorm {
    /// F32 [C]
    public let weight: Parameter
    public let epsilon: Float

    public init(weight: Parameter, epsilon: Float) {
        self.weight = weight
        self.epsilon = epsilon
    }
}

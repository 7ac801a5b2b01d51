// Owns what the matrix operations need to know of their weights: sizes, layout, precision. docs/MODEL_FILE.md draws the layouts.
//
// Letters: N outputs, K inputs. Sizes are checked here once; operations rely on them.
// `unsafe` here: a kernel takes addresses of parameters whose sizes were checked.
internal import CSoradKernels

/// A linear layer y = x·Wᵀ + b.
public struct LinearWeights: Sendable {
    public enum Precision: Sendable {
        /// `values` I8 [N/16][K/4][16][4] zero-filled, `scale` F32 [N], `sum` I32 [N] over K of the values.
        case int8(values: Parameter, scale: Parameter, sum: Parameter)
        /// 10 bits with a scale per output and block of 32 inputs, read by float activations: `high` I8 [N/16][K/4][16][4] zero-filled,
        /// `low` I32 [N/16][K/16][16] with two bits for each of 16 inputs, `scale` F16 [N/16][K/32][16]; w = (4 · high + low) · scale.
        case int10(high: Parameter, low: Parameter, scale: Parameter)
        /// F32 [N/16][K][16] zero-filled.
        case float(Parameter)
    }
    public let outputs: Int
    public let inputs: Int
    public let precision: Precision
    /// F32 [N]
    public let bias: Parameter?
    /// Group size of the Hadamard rotation that the int8 values expect of their input.
    public let rotation: Int?
    /// The groups that backends rotate.
    public static let rotations = [4, 16, 64, 256]
    /// Inputs of a block of weights of 10 bits.
    public static let int10Block = 32
    /// int8 input with a zero point: for what comes out of a GELU or SiLU.
    public let asymmetricInput: Bool

    public init(
        outputs: Int, inputs: Int, precision: Precision, bias: Parameter? = nil, rotation: Int? = nil, asymmetricInput: Bool = false
    ) {
        let blocks = (outputs + 15) / 16
        switch precision {
        case .int8(let values, let scale, let sum):
            precondition(
                values.elementType == .i8 && values.count == blocks * 16 * ((inputs + 3) / 4 * 4),
                "\(values.count) values for \(outputs)×\(inputs)")
            precondition(
                scale.elementType == .f32 && scale.count == outputs && sum.elementType == .i32 && sum.count == outputs,
                "scales of \(outputs) outputs")
        case .int10(let high, let low, let scale):
            let scales = blocks * 16 * ((inputs + Self.int10Block - 1) / Self.int10Block)
            precondition(
                high.elementType == .i8 && high.count == blocks * 16 * ((inputs + 3) / 4 * 4),
                "\(high.count) values for \(outputs)×\(inputs)")
            precondition(
                low.elementType == .i32 && low.count == blocks * 16 * ((inputs + 15) / 16) && scale.elementType == .f16
                    && scale.count == scales,
                "\(low.count) low bits and \(scale.count) scales for \(outputs)×\(inputs)")
            precondition(rotation == nil && !asymmetricInput, "float activations are not rotated, and have no zero point")
        case .float(let values):
            precondition(
                values.elementType == .f32 && values.count == blocks * 16 * inputs, "\(values.count) weights for \(outputs)×\(inputs)")
        }
        if let bias { precondition(bias.elementType == .f32 && bias.count == outputs, "\(bias.count) biases for \(outputs) outputs") }
        if let rotation {
            precondition(Self.rotations.contains(rotation) && inputs % rotation == 0, "rotation \(rotation) of \(inputs) inputs")
        }
        self.outputs = outputs
        self.inputs = inputs
        self.precision = precision
        self.bias = bias
        self.rotation = rotation
        self.asymmetricInput = asymmetricInput
    }

    /// The same layer with weights of 10 bits as the floats that they stand for, four times the memory: for backends that cannot read them.
    /// A product has the same bits with both.
    public var withoutInt10: LinearWeights {
        guard case .int10(let high, let low, let scale) = precision else { return self }
        let panels = (outputs + 15) / 16
        var values = [Float](repeating: 0, count: panels * inputs * 16)
        unsafe values.withUnsafeMutableBufferPointer { values in
            var arguments = unsafe sorad_dequantize_args(
                high: high.pointer(Int8.self), low: low.pointer(UInt32.self), scale: scale.pointer(UInt16.self), k: inputs,
                out: values.baseAddress!, panel_begin: 0, panel_end: panels)
            unsafe sorad_kernels_for(SORAD_ISA_SCALAR)!.pointee.dequantize_qb10w_f32(&arguments)
        }
        return LinearWeights(outputs: outputs, inputs: inputs, precision: .float(Parameter(values)), bias: bias)
    }

    /// The same layer with every parameter replaced by its equal elsewhere.
    public func map(_ place: (Parameter) -> Parameter) -> LinearWeights {
        let moved: Precision =
            switch precision {
            case .int8(let values, let scale, let sum): .int8(values: place(values), scale: place(scale), sum: place(sum))
            case .int10(let high, let low, let scale): .int10(high: place(high), low: place(low), scale: place(scale))
            case .float(let values): .float(place(values))
            }
        return LinearWeights(
            outputs: outputs, inputs: inputs, precision: moved, bias: bias.map(place), rotation: rotation, asymmetricInput: asymmetricInput)
    }
}

/// A 2-D convolution, channels last, padded with zeros so that stride 1 keeps the size.
public struct ConvolutionWeights: Sendable {
    public enum Precision: Sendable {
        /// As of a linear layer whose K = (ky, kx, channel up to a multiple of 4); the input is quantized with a zero point and one scale
        /// for the whole image.
        case int8(values: Parameter, scale: Parameter, sum: Parameter)
        /// F32 [outputs/16][K][16] zero-filled, K in the order (ky, kx, channel).
        case float(Parameter)
    }
    public let outputs: Int
    public let inputs: Int
    /// 1 or 3, both directions.
    public let kernel: Int
    /// 1 or 2, both directions.
    public let stride: Int
    /// All the zeros are below and to the right, one row and one column, rather than all around: for stride 2.
    public let padsAtEnd: Bool
    public let precision: Precision
    /// F32 [outputs]
    public let bias: Parameter?
    /// F32 [inputs], what the channels of an int8 convolution's image are multiplied by before they are quantized, if not by 1.
    public let inputScale: Parameter?
    /// The image of an int8 convolution is quantized to 16 bits, a high and a low byte: the low one in steps of 1/254 of the high one's. For
    /// images whose channels differ too much in size for 8 bits.
    public let has16BitInput: Bool

    public var isInt8: Bool { if case .int8 = precision { true } else { false } }

    /// Channels of an int8 image: filled up to a multiple of 4.
    public var int8Inputs: Int { (inputs + 3) / 4 * 4 }

    public init(
        outputs: Int, inputs: Int, kernel: Int, stride: Int = 1, padsAtEnd: Bool = false, precision: Precision, bias: Parameter?,
        inputScale: Parameter? = nil, has16BitInput: Bool = false
    ) {
        precondition((kernel == 1 || kernel == 3) && (stride == 1 || stride == 2), "kernel \(kernel), stride \(stride)")
        precondition(!padsAtEnd || kernel == 3 && stride == 2, "zeros at the end of kernel \(kernel), stride \(stride)")
        let rows = (outputs + 15) / 16 * 16 * kernel * kernel
        switch precision {
        case .int8(let values, let scale, let sum):
            precondition(!padsAtEnd, "int8 convolutions have their zeros all around")
            let channels = (inputs + 3) / 4 * 4
            precondition(
                values.elementType == .i8 && values.count == rows * channels && kernel * kernel * channels <= Self.mostInt8Inputs,
                "\(values.count) values for \(outputs)×\(inputs)×\(kernel)²")
            precondition(
                scale.elementType == .f32 && scale.count == outputs && sum.elementType == .i32 && sum.count == outputs,
                "scales of \(outputs) outputs")
        case .float(let values):
            precondition(
                values.elementType == .f32 && values.count == rows * inputs, "\(values.count) weights for \(outputs)×\(inputs)×\(kernel)²")
        }
        if let bias { precondition(bias.elementType == .f32 && bias.count == outputs, "\(bias.count) biases for \(outputs) outputs") }
        self.outputs = outputs
        self.inputs = inputs
        self.kernel = kernel
        self.stride = stride
        self.padsAtEnd = padsAtEnd
        if let inputScale { precondition(inputScale.elementType == .f32 && inputScale.count == inputs, "scales of \(inputs) inputs") }
        self.inputScale = inputScale
        self.has16BitInput = has16BitInput
        self.precision = precision
        self.bias = bias
    }

    /// The same convolution with every parameter replaced by its equal elsewhere.
    public func map(_ place: (Parameter) -> Parameter) -> ConvolutionWeights {
        let moved: Precision =
            switch precision {
            case .int8(let values, let scale, let sum): .int8(values: place(values), scale: place(scale), sum: place(sum))
            case .float(let values): .float(place(values))
            }
        return ConvolutionWeights(
            outputs: outputs, inputs: inputs, kernel: kernel, stride: stride, padsAtEnd: padsAtEnd, precision: moved, bias: bias.map(place),
            inputScale: inputScale.map(place), has16BitInput: has16BitInput)
    }

    /// More products than this could overflow a 32-bit sum.
    public static let mostInt8Inputs = 65536
}

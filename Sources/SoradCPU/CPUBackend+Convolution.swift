// Convolutions on the CPU. A float one is one kernel call per task of the image. An int8 one first looks at the range of its input, which
// gives one scale and zero point for the whole image, then writes the quantized input inside a border, then multiplies; the quantized
// image may be kept and read by several convolutions.
//
// Invariant: a range is a minimum and a maximum, which no order changes, so the quantized values depend on no thread count.
// `unsafe` here: kernels take addresses in argument structures; shapes are checked at the head of the operation.
internal import CSoradKernels
@_spi(HostMemory) public import SoradTensor

extension CPUBackend {
    public func convolve(
        _ x: Tensor, _ x2: ConvolutionPartner, _ weights: ConvolutionWeights, upsample: Bool, activation: Activation, residual: Tensor?,
        reluAtEnd: Bool, into out: Tensor
    ) {
        OperationChecks.convolve(
            x, x2, weights, upsample: upsample, activation: activation, residual: residual, reluAtEnd: reluAtEnd, into: out)
        var image = unsafe sorad_quantize_image_args()
        unsafe (image.x0, image.c0) = (UnsafePointer(x.pointer()), x.shape[2])
        unsafe (image.height, image.width) = (x.shape[0], x.shape[1])
        var partner: Tensor?
        switch x2 {
        case .none: break
        case .zeros(let count): unsafe image.c1 = count
        case .tensor(let other):
            unsafe (image.x1, image.c1) = (UnsafePointer(other.pointer()), other.shape[2])
            partner = other
        }
        var epilogue = unsafe sorad_epilogue()
        unsafe epilogue.activation = activation.kernelValue
        unsafe epilogue.relu_at_end = reluAtEnd
        if let residual {
            unsafe epilogue.residual = UnsafePointer(residual.pointer())
            unsafe epilogue.residual_stride = weights.outputs
        }
        switch weights.precision {
        case .float(let values): unsafe convolve(image, weights, values, upsample: upsample, epilogue, out)
        case .int8:
            let shape = Shape(x.shape[0], x.shape[1], weights.inputs)
            let bytes = sharedImages(shape, count: weights.has16BitInput ? 2 : 1)
            if let scale = weights.inputScale {
                unsafe image.channel_scale = scale.pointer(Float.self)
                findRange(of: x, nil, scale)
            } else {
                findRange(of: [x, partner].compactMap(\.self))
            }
            unsafe encode(image, into: bytes[0], low: bytes.count > 1 ? bytes[1] : nil)
            unsafe convolve(bytes, bytes.count == 1 ? [weights] : [weights, weights.withoutBias], upsample: upsample, epilogue, out)
        }
    }

    @unsafe private func convolve(
        _ image: sorad_quantize_image_args, _ weights: ConvolutionWeights, _ values: Parameter, upsample: Bool, _ epilogue: sorad_epilogue,
        _ out: Tensor
    ) {
        var arguments = unsafe sorad_conv2d_args()
        unsafe (arguments.x0, arguments.c0, arguments.x1, arguments.c1) = (image.x0, image.c0, image.x1, image.c1)
        unsafe (arguments.height, arguments.width, arguments.upsample) = (image.height, image.width, upsample)
        unsafe (arguments.kernel, arguments.stride) = (weights.kernel, weights.stride)
        unsafe (arguments.padding, arguments.end_padding) = weights.padsAtEnd ? (0, 1) : (weights.kernel / 2, 0)
        unsafe arguments.w = values.pointer(Float.self)
        unsafe arguments.bias = weights.bias?.pointer(Float.self)
        unsafe arguments.c_out = weights.outputs
        unsafe (arguments.out, arguments.out_stride) = (out.pointer(), weights.outputs)
        unsafe arguments.epilogue = epilogue
        let kernels = kernels
        let template = unsafe arguments
        let cost = out.count * weights.inputs * weights.kernel * weights.kernel
        split(out.shape[0], step: grain(out.shape[0]), cost: cost) { range, _ in
            var task = unsafe template
            unsafe (task.row_begin, task.row_end) = (range.lowerBound, range.upperBound)
            unsafe kernels.conv2d_f32(&task)
        }
    }

    // MARK: Quantized images that are kept

    public func quantize(_ x: Tensor, norm: PixelNorm?, scale: Parameter?, into image: any QuantizedImage) {
        OperationChecks.quantize(x, norm: norm, scale: scale, into: image)
        var source = unsafe sorad_quantize_image_args()
        unsafe (source.x0, source.c0) = (UnsafePointer(x.pointer()), x.shape[2])
        unsafe (source.height, source.width) = (x.shape[0], x.shape[1])
        if norm == nil && scale == nil { findRange(of: [x]) } else { findRange(of: x, norm, scale) }
        unsafe source.channel_scale = scale?.pointer(Float.self)
        unsafe encode(source, norm, into: own(image))
    }

    public func convolve(
        _ images: [any QuantizedImage], _ weights: [ConvolutionWeights], upsample: Bool, residual: Tensor?, into out: Tensor
    ) {
        OperationChecks.convolve(images, weights, upsample: upsample, residual: residual, into: out)
        var epilogue = unsafe sorad_epilogue()
        if let residual {
            unsafe epilogue.residual = UnsafePointer(residual.pointer())
            unsafe epilogue.residual_stride = out.shape[2]
        }
        unsafe convolve(images.map(own), weights, upsample: upsample, epilogue, out)
    }

    /// The sum of int8 convolutions, of which the first adds what the epilogue says and each other to what is there already. One after the
    /// other over a few rows at a time, so that the sums stay in the cache.
    @unsafe private func convolve(
        _ images: [CPUImage], _ weights: [ConvolutionWeights], upsample: Bool, _ epilogue: sorad_epilogue, _ out: Tensor
    ) {
        let taps = unsafe zip(images, weights).enumerated().map { index, tap in
            let (image, weights) = tap
            guard case .int8(let values, let scale, let sum) = weights.precision else {
                preconditionFailure("an int8 convolution with float weights")
            }
            var arguments = unsafe sorad_conv2d_qt8_args()
            unsafe (arguments.x, arguments.channels) = (UnsafePointer(image.quantized()), weights.int8Inputs)
            unsafe (arguments.x_scale, arguments.x_zero) = (image.scale, image.zero)
            unsafe (arguments.height, arguments.width, arguments.upsample) = (image.shape[0], image.shape[1], upsample)
            unsafe (arguments.kernel, arguments.stride, arguments.padding) = (weights.kernel, weights.stride, weights.kernel / 2)
            unsafe (arguments.w, arguments.w_scale, arguments.w_sum) = (
                values.pointer(Int8.self), scale.pointer(Float.self), sum.pointer(Int32.self)
            )
            unsafe (arguments.bias, arguments.c_out) = (weights.bias?.pointer(Float.self), weights.outputs)
            unsafe (arguments.out, arguments.out_stride) = (out.pointer(), weights.outputs)
            unsafe arguments.epilogue = epilogue
            if index > 0 {
                unsafe arguments.epilogue.residual = UnsafePointer(out.pointer())
                unsafe arguments.epilogue.residual_stride = weights.outputs
            }
            return unsafe arguments
        }
        let kernels = kernels
        let (rows, width) = (out.shape[0], out.shape[1])
        let together = weights.count == 1 ? rows : max(1, Self.sumsTogether / (width * weights[0].outputs))
        let step = grain(rows, unit: weights.count == 1 ? 1 : min(rows, together))
        var largest = unsafe taps[0]
        unsafe largest.row_end = rows
        unsafe reserveScratch(kernels.conv2d_qt8_scratch_bytes(&largest))
        let scratch = unsafe scratchStarts
        let cost = unsafe out.count * taps[0].channels * taps[0].kernel * taps[0].kernel / 2 * taps.count
        split(rows, step: step, cost: cost) { range, thread in
            for first in stride(from: range.lowerBound, to: range.upperBound, by: together) {
                for tap in weights.indices {
                    var task = unsafe taps[tap]
                    unsafe (task.row_begin, task.row_end) = (first, min(first + together, range.upperBound))
                    unsafe task.scratch = scratch[thread]
                    unsafe kernels.conv2d_qt8_f32_qc8w(&task)
                }
            }
        }
    }

    /// Sums that wait in the second-level cache for the next convolution's.
    private static let sumsTogether = 96 * 1024

    // MARK: From floats to quantized images

    /// Images that no one keeps: the next convolution may write over them.
    private func sharedImages(_ shape: Shape, count: Int) -> [CPUImage] {
        let floats = CPUImage.floatCount(shape)
        if sharedImage.count < floats * count { sharedImage = Tensor(Shape(floats * count)) }
        let rooms = sharedImage.prefix(Shape(count, floats))
        return (0..<count).map { CPUImage(shape, rooms.rows($0..<$0 + 1).reshaped(Shape(floats))) }
    }

    /// The lowest and the highest value that each thread sees, of 0 and all of `tensors`, to `ranges`.
    private func findRange(of tensors: [Tensor]) {
        let (kernels, ranges) = (kernels, ranges)
        ranges.fill(0)
        for tensor in tensors {
            split(tensor.count, step: grain(tensor.count, unit: 1024, perThread: 1), cost: tensor.count * 5) { range, thread in
                unsafe kernels.minmax_f32(tensor.pointer() + range.lowerBound, range.count, ranges.pointer() + 2 * thread)
            }
        }
    }

    /// The same of normed or scaled pixels. What is looked at, some pixels that fit the first-level cache at a time, are the ends of each
    /// channel before SiLU and scale; then what these make of them.
    private func findRange(of x: Tensor, _ norm: PixelNorm?, _ scale: Parameter?) {
        let kernels = kernels
        let channels = x.shape[2]
        let pixels = x.shape[0] * x.shape[1]
        let together = max(1, 2048 / channels)
        // Least values of the channels and greatest ones, by thread.
        let ends = Tensor(Shape(pool.threadCount, 2, channels))
        reserveScratch(together * channels * 4)
        let (scratch, start) = unsafe (scratchStarts, x.pointer())
        let arguments = unsafe norm.map { unsafe self.arguments(of: $0, channels) }
        split(pixels, step: grain(pixels, unit: together), cost: x.count * 10) { range, thread in
            let buffer = unsafe scratch[thread].assumingMemoryBound(to: Float.self)
            let least = unsafe ends.pointer() + 2 * thread * channels
            for first in stride(from: range.lowerBound, to: range.upperBound, by: together) {
                let count = min(together, range.upperBound - first)
                var values = unsafe UnsafePointer(start + first * channels)
                if let arguments = unsafe arguments {
                    unsafe self.normalize(arguments, values, pixels: count, into: buffer)
                    unsafe values = UnsafePointer(buffer)
                }
                unsafe kernels.minmax_channels_f32(values, count, channels, least, least + channels)
            }
        }
        var low = [Float](repeating: 0, count: channels)
        var high = low
        ends.withElements { span in
            for thread in 0..<pool.threadCount {
                for c in 0..<channels {
                    low[c] = min(low[c], span[2 * thread * channels + c])
                    high[c] = max(high[c], span[(2 * thread + 1) * channels + c])
                }
            }
        }
        if norm != nil { unsafe applySiLU(&low, &high) }
        if let scale {
            let factors = unsafe scale.pointer(Float.self)
            for c in 0..<channels {
                let (one, other) = unsafe (finite(low[c] * factors[c]), finite(high[c] * factors[c]))
                (low[c], high[c]) = (min(one, other), max(one, other))
            }
        }
        ranges.fill(0)
        ranges.withMutableElements { span in
            span[0] = low.reduce(0, min)
            span[1] = high.reduce(0, max)
        }
    }

    /// What is quantized where a product is no number or too large.
    private func finite(_ x: Float) -> Float {
        x.isNaN ? 0 : min(max(x, -.greatestFiniteMagnitude), .greatestFiniteMagnitude)
    }

    /// SiLU falls to its only minimum and rises from there, so over a range its largest value is at an end, and 0 is always in the range.
    /// Where the range holds the place of the minimum, that is counted as the least value, whether a pixel has it or not.
    @unsafe private func applySiLU(_ low: inout [Float], _ high: inout [Float]) {
        let least = low
        unsafe kernels.silu_f32(least, &low, low.count)
        let greatest = high
        unsafe kernels.silu_f32(greatest, &high, high.count)
        for c in low.indices {
            low[c] = least[c] < Self.siluMinimum.x ? Self.siluMinimum.value : min(0, low[c])
            high[c] = max(0, high[c])
        }
    }

    private static let siluMinimum: (x: Float, value: Float) = (-1.278_464_5, -0.278_464_54)

    /// Of every pixel; input and output are missing.
    @unsafe private func arguments(of norm: PixelNorm, _ channels: Int) -> sorad_norm_args {
        var arguments = unsafe sorad_norm_args()
        unsafe (arguments.x_stride, arguments.out_stride, arguments.k, arguments.eps) = (channels, channels, channels, norm.epsilon)
        unsafe arguments.weight = norm.weight.pointer(Float.self)
        return unsafe arguments
    }

    @unsafe private func normalize(
        _ norm: sorad_norm_args, _ x: UnsafePointer<Float>, pixels: Int, into out: UnsafeMutablePointer<Float>
    ) {
        var arguments = unsafe norm
        unsafe (arguments.x, arguments.out, arguments.row_end) = (x, out, pixels)
        unsafe kernels.rms_norm_f32(&arguments)
    }

    /// What all threads have seen.
    private func wholeRange() -> (least: Float, greatest: Float) {
        ranges.withElements { span in
            var (least, greatest): (Float, Float) = (0, 0)
            for thread in 0..<span.count / 2 { (least, greatest) = (min(least, span[2 * thread]), max(greatest, span[2 * thread + 1])) }
            return (least, greatest)
        }
    }

    /// Quantizes with the range that `ranges` hold; a norm is computed again, a row at a time.
    @unsafe private func encode(
        _ source: sorad_quantize_image_args, _ norm: PixelNorm? = nil, into image: CPUImage, low: CPUImage? = nil
    ) {
        let (least, greatest) = wholeRange()
        var template = unsafe source
        var scale: Float = 0
        unsafe sorad_quantize_params([least, greatest], true, &scale, &template.inverse, &template.zero)
        image.scale = scale
        image.zero = unsafe template.zero
        unsafe template.q = image.quantized()
        if let low {
            low.scale = scale / 254
            low.zero = 0
            unsafe template.q_low = low.quantized()
        }
        let (kernels, rows) = unsafe (kernels, template.height + 2)
        let values = image.shape.count
        guard let norm else {
            let arguments = unsafe template
            split(rows, step: grain(rows), cost: values * 5) { range, _ in
                var task = unsafe arguments
                unsafe (task.row_begin, task.row_end) = (range.lowerBound, range.upperBound)
                unsafe kernels.quantize_f32_qt8(&task)
            }
            return
        }
        let lineValues = unsafe template.width * template.c0
        let lineBytes = unsafe (template.width + 2) * ((template.c0 + 3) / 4 * 4)
        reserveScratch(lineValues * 4)
        let (scratch, arguments) = unsafe (scratchStarts, template)
        let normArguments = unsafe self.arguments(of: norm, arguments.c0)
        split(rows, step: grain(rows), cost: values * 20) { range, thread in
            let line = unsafe scratch[thread].assumingMemoryBound(to: Float.self)
            for row in range {
                // An image of one line, of which this is the first or, at the border, the one above.
                var task = unsafe arguments
                unsafe (task.height, task.row_begin, task.row_end) = (1, 0, 1)
                unsafe task.q = arguments.q + row * lineBytes
                if row > 0 && row < rows - 1 {
                    unsafe self.normalize(
                        normArguments, arguments.x0 + (row - 1) * lineValues, pixels: arguments.width, into: line)
                    unsafe kernels.silu_f32(line, line, lineValues)
                    unsafe task.x0 = UnsafePointer(line)
                    unsafe (task.row_begin, task.row_end) = (1, 2)
                    unsafe task.q = arguments.q + (row - 1) * lineBytes
                }
                unsafe kernels.quantize_f32_qt8(&task)
            }
        }
    }
}

extension ConvolutionWeights {
    fileprivate var withoutBias: ConvolutionWeights {
        ConvolutionWeights(
            outputs: outputs, inputs: inputs, kernel: kernel, stride: stride, padsAtEnd: padsAtEnd, precision: precision, bias: nil)
    }
}

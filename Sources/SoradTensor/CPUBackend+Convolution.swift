// Convolutions on the CPU. A float one is one kernel call per piece of the image; an int8 one first looks at the range of its input, which
// gives one scale and zero point for the whole image, then writes the input as codes inside a border, then multiplies.
//
// Invariant: a range is a minimum and a maximum, which no order changes, so the codes depend on no thread count.
// `unsafe` here: kernels take addresses in argument structures; shapes are checked at the head of the operation.
internal import CSoradKernels

extension CPUBackend {
    public func convolve(
        _ x: Tensor, _ x2: ConvolutionPartner, _ weights: ConvolutionWeights, upsample: Bool, activation: Activation, residual: Tensor?,
        reluAtEnd: Bool, into out: Tensor
    ) {
        precondition(x.shape.rank == 3, "convolution of \(x.shape)")
        let scale = upsample ? 2 : 1
        let outHeight = (x.shape[0] * scale + weights.stride - 1) / weights.stride
        let outWidth = (x.shape[1] * scale + weights.stride - 1) / weights.stride
        precondition(out.shape == Shape(outHeight, outWidth, weights.outputs), "convolution of \(x.shape) into \(out.shape)")
        precondition(residual == nil || residual!.shape == out.shape, "residual of \(out.shape)")
        var image = unsafe sorad_quantize_image_args()
        unsafe (image.x0, image.c0) = (UnsafePointer(x.pointer()), x.shape[2])
        unsafe (image.height, image.width) = (x.shape[0], x.shape[1])
        var partner: Tensor?
        switch x2 {
        case .none: break
        case .zeros(let count): unsafe image.c1 = count
        case .tensor(let other):
            precondition(
                other.shape.rank == 3 && other.shape[0] == x.shape[0] && other.shape[1] == x.shape[1], "\(other.shape) beside \(x.shape)")
            unsafe (image.x1, image.c1) = (UnsafePointer(other.pointer()), other.shape[2])
            partner = other
        }
        precondition(unsafe image.c0 + image.c1 == weights.inputs, "\(unsafe image.c0 + image.c1) channels for \(weights.inputs)")
        var epilogue = unsafe sorad_epilogue()
        unsafe epilogue.activation = activation.kernelValue
        unsafe epilogue.relu_at_end = reluAtEnd
        if let residual {
            unsafe epilogue.residual = UnsafePointer(residual.pointer())
            unsafe epilogue.residual_stride = weights.outputs
        }
        switch weights.precision {
        case .float(let values): unsafe convolve(image, weights, values, upsample: upsample, epilogue, out)
        case .int8(let codes, let scale, let sum):
            unsafe quantize(&image, x, partner)
            var arguments = unsafe sorad_conv2d_int8_args()
            unsafe (arguments.x, arguments.channels) = (UnsafePointer(image.q), weights.int8Inputs)
            unsafe (arguments.x_scale, arguments.x_zero) = (imageScale, image.zero)
            unsafe (arguments.height, arguments.width, arguments.upsample) = (image.height, image.width, upsample)
            unsafe (arguments.kernel, arguments.stride, arguments.padding) = (weights.kernel, weights.stride, weights.kernel / 2)
            unsafe (arguments.w, arguments.w_scale, arguments.w_sum) = (
                codes.pointer(Int8.self), scale.pointer(Float.self), sum.pointer(Int32.self)
            )
            unsafe (arguments.bias, arguments.c_out) = (weights.bias?.pointer(Float.self), weights.outputs)
            unsafe (arguments.out, arguments.out_stride, arguments.row_end) = (out.pointer(), weights.outputs, outHeight)
            unsafe arguments.epilogue = epilogue
            let kernels = kernels
            unsafe reserveScratch(kernels.conv2d_int8_scratch_bytes(&arguments))
            let scratch = scratch
            let template = unsafe arguments
            let cost = out.count * weights.inputs * weights.kernel * weights.kernel / 2
            split(outHeight, step: share(outHeight), cost: cost) { range, thread in
                var piece = unsafe template
                unsafe (piece.row_begin, piece.row_end) = (range.lowerBound, range.upperBound)
                unsafe piece.scratch = scratch[thread].pointer()
                unsafe kernels.conv2d_int8(&piece)
            }
        }
    }

    @unsafe private func convolve(
        _ image: sorad_quantize_image_args, _ weights: ConvolutionWeights, _ values: Parameter, upsample: Bool, _ epilogue: sorad_epilogue,
        _ out: Tensor
    ) {
        var arguments = unsafe sorad_conv2d_args()
        unsafe (arguments.x0, arguments.c0, arguments.x1, arguments.c1) = (image.x0, image.c0, image.x1, image.c1)
        unsafe (arguments.height, arguments.width, arguments.upsample) = (image.height, image.width, upsample)
        unsafe (arguments.kernel, arguments.stride, arguments.padding) = (weights.kernel, weights.stride, weights.kernel / 2)
        unsafe arguments.w = values.pointer(Float.self)
        unsafe arguments.bias = weights.bias?.pointer(Float.self)
        unsafe arguments.c_out = weights.outputs
        unsafe (arguments.out, arguments.out_stride) = (out.pointer(), weights.outputs)
        unsafe arguments.epilogue = epilogue
        let kernels = kernels
        let template = unsafe arguments
        let cost = out.count * weights.inputs * weights.kernel * weights.kernel
        split(out.shape[0], step: share(out.shape[0]), cost: cost) { range, _ in
            var piece = unsafe template
            unsafe (piece.row_begin, piece.row_end) = (range.lowerBound, range.upperBound)
            unsafe kernels.conv2d(&piece)
        }
    }

    /// Writes `x` and, behind it, `partner` as codes; sets `imageScale` and the image's zero point and address.
    @unsafe private func quantize(_ image: inout sorad_quantize_image_args, _ x: Tensor, _ partner: Tensor?) {
        let kernels = kernels
        let ranges = ranges
        ranges.fill(0)
        for tensor in [x, partner].compactMap(\.self) {
            split(tensor.count, step: share(tensor.count, unit: 1024, perThread: 1), cost: tensor.count * 5) { range, thread in
                unsafe kernels.widen_range(tensor.pointer() + range.lowerBound, range.count, ranges.pointer() + 2 * thread)
            }
        }
        var whole: [Float] = [0, 0]
        ranges.withElements { span in
            for thread in 0..<span.count / 2 { whole = [min(whole[0], span[2 * thread]), max(whole[1], span[2 * thread + 1])] }
        }
        unsafe sorad_quantize_range(whole, true, &imageScale, &image.inverse, &image.zero)
        let channels = unsafe (image.c0 + image.c1 + 3) / 4 * 4
        let rows = unsafe image.height + 2
        let bytes = unsafe rows * (image.width + 2) * channels
        if codes.count < bytes { codes = ByteBuffer(count: bytes) }
        unsafe image.q = codes.pointer().assumingMemoryBound(to: Int8.self)
        let template = unsafe image
        split(rows, step: share(rows), cost: bytes * 5) { range, _ in
            var piece = unsafe template
            unsafe (piece.row_begin, piece.row_end) = (range.lowerBound, range.upperBound)
            unsafe kernels.quantize_image(&piece)
        }
    }
}

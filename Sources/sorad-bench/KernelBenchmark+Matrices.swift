// Measurements of GEMM, convolution and attention, on shapes of sorad-mini, Wan 2.1 1.3B and TAEHV.

import CSoradKernels

extension KernelBenchmark {
    func gemmInt8() -> [Measurement] {
        let mini = [80, 320].flatMap { m in
            [(256, 256), (256, 1024), (1024, 256), (384, 1536), (1536, 384), (512, 512)].map { (m, $0.0, $0.1) }
        }
        let wan = [(1280, 1536, 1536), (1280, 1536, 8960), (1280, 8960, 1536)]
        let plain = (mini + wan).map { m, k, n in
            Measurement(shape: "M=\(m) K=\(k) N=\(n)", peak: .int8) { int8Product(m: m, k: k, n: n) }
        }
        let gelu = [(80, 256, 1024), (320, 384, 1536), (1280, 1536, 8960)].map { m, k, n in
            Measurement(variant: " gelu", shape: "M=\(m) K=\(k) N=\(n)", peak: .int8) {
                int8Product(m: m, k: k, n: n, SORAD_ACTIVATION_GELU_TANH)
            }
        }
        return plain + gelu
    }

    func gemmFloat() -> [Measurement] {
        [(80, 256, 1024), (1, 256, 1536), (1280, 1536, 64)].map { m, k, n in
            Measurement(shape: "M=\(m) K=\(k) N=\(n)", peak: .float) { floatProduct(m: m, k: k, n: n) }
        }
    }

    func convolutionFloat() -> [Measurement] {
        convolutions.map { size, channels, outputs, upsample in
            Measurement(shape: shape(size, channels, outputs, upsample), peak: .float) {
                convolution(size: size, channels: channels, outputs: outputs, upsample: upsample)
            }
        }
    }

    func convolutionInt8() -> [Measurement] {
        convolutions.map { size, channels, outputs, upsample in
            Measurement(shape: shape(size, channels, outputs, upsample), peak: .int8) {
                int8Convolution(size: size, channels: channels, outputs: outputs, upsample: upsample)
            }
        }
    }

    /// Side of the image, channels of each of two inputs, outputs, upsampling.
    private var convolutions: [(Int, Int, Int, Bool)] {
        [
            (16, 128, 128, false), (32, 64, 64, false), (64, 64, 64, false), (64, 64, 32, true), (128, 32, 32, false), (128, 32, 16, false),
        ]
    }

    private func shape(_ size: Int, _ channels: Int, _ outputs: Int, _ upsample: Bool) -> String {
        "\(size)x\(size) 3x3 \(channels)+\(channels)->\(outputs)" + (upsample ? " x2" : "")
    }

    func attention(isInt8: Bool) -> [Measurement] {
        [(80, 4, 64), (320, 6, 64), (1280, 12, 128)].map { l, heads, d in
            Measurement(shape: "L=\(l) H=\(heads) D=\(d)", peak: isInt8 ? .int8 : .float) {
                attention(l: l, heads: heads, d: d, int8: isInt8)
            }
        }
    }

    /// Without the quantization of the rows, which several layers share; with the epilogue.
    private func int8Product(m: Int, k: Int, n: Int, _ activation: sorad_activation = SORAD_ACTIVATION_NONE) -> Rate {
        let x = Memory<Float>(m * k) { Float($0 &* 37 % 255 - 127) }
        let w = Memory<Int8>(n * k) { Int8(truncatingIfNeeded: $0 &* 91 % 255 - 127) }
        let columnScale = Memory<Float>(n) { _ in 1e-5 }
        let sums = Memory<Int32>(n) { _ in 1 }
        let bias = Memory<Float>(n) { _ in 0.5 }
        let out = Memory<Float>(m * n) { _ in 0 }
        let rowScale = Memory<Float>(m) { _ in 0 }
        let zero = Memory<Int32>(m) { _ in 0 }
        let a = unsafe Memory<Int8>(kernels.pointee.qd8_packed_bytes(m, k)) { _ in 0 }
        var quantize = unsafe sorad_quantize_rows_args()
        unsafe (quantize.x, quantize.x_stride, quantize.k, quantize.q) = (UnsafePointer(x.base), k, k, UnsafeMutableRawPointer(a.base))
        unsafe (quantize.rows, quantize.scale, quantize.zero, quantize.row_end) = (m, rowScale.base, zero.base, m)
        unsafe kernels.pointee.quantize_f32_qd8(&quantize)
        var args = unsafe sorad_gemm_qd8_args()
        unsafe (args.a, args.rows, args.a_scale, args.k) = (UnsafeRawPointer(a.base), m, UnsafePointer(rowScale.base), k)
        unsafe (args.w, args.w_scale, args.w_sum, args.bias) = (
            UnsafePointer(w.base), UnsafePointer(columnScale.base), UnsafePointer(sums.base), UnsafePointer(bias.base)
        )
        unsafe (args.out, args.out_stride, args.row_end, args.col_end) = (out.base, n, m, n)
        unsafe args.epilogue.activation = activation
        let scratch = unsafe Memory<Int8>(kernels.pointee.gemm_qd8_scratch_bytes(&args)) { _ in 0 }
        unsafe args.scratch = UnsafeMutableRawPointer(scratch.base)
        return Rate.measure(operations: 2 * Double(m) * Double(n) * Double(k)) { unsafe kernels.pointee.gemm_qd8_f32_qc8w(&args) }
    }

    private func floatProduct(m: Int, k: Int, n: Int) -> Rate {
        let a = Memory<Float>(m * k) { Float($0 % 17) }
        let w = Memory<Float>(n * k) { Float($0 % 13) }
        let out = Memory<Float>(m * n) { _ in 0 }
        var args = unsafe sorad_gemm_f32_args()
        unsafe (args.a, args.a_stride, args.w, args.k) = (UnsafePointer(a.base), k, UnsafePointer(w.base), k)
        unsafe (args.out, args.out_stride, args.row_end, args.col_end) = (out.base, n, m, n)
        return Rate.measure(operations: 2 * Double(m) * Double(n) * Double(k)) { unsafe kernels.pointee.gemm_f32(&args) }
    }

    /// Two inputs of `channels` each, as in TAEHV's MemBlock, then bias and ReLU.
    private func convolution(size: Int, channels: Int, outputs: Int, upsample: Bool) -> Rate {
        let k = 9 * 2 * channels
        let side = upsample ? 2 * size : size
        let x0 = Memory<Float>(size * size * channels) { Float($0 % 17) }
        let x1 = Memory<Float>(size * size * channels) { Float($0 % 11) }
        let w = Memory<Float>(k * outputs) { Float($0 % 13) }
        let bias = Memory<Float>(outputs) { _ in 1 }
        let out = Memory<Float>(side * side * outputs) { _ in 0 }
        var args = unsafe sorad_conv2d_args()
        unsafe (args.x0, args.c0, args.x1, args.c1) = (UnsafePointer(x0.base), channels, UnsafePointer(x1.base), channels)
        unsafe (args.height, args.width, args.upsample, args.kernel, args.stride, args.padding) = (size, size, upsample, 3, 1, 1)
        unsafe (args.w, args.bias, args.c_out, args.out, args.out_stride, args.row_end) = (
            UnsafePointer(w.base), UnsafePointer(bias.base), outputs, out.base, outputs, side
        )
        unsafe args.epilogue.activation = SORAD_ACTIVATION_RELU
        return Rate.measure(operations: 2 * Double(side * side * k * outputs)) { unsafe kernels.pointee.conv2d_f32(&args) }
    }

    /// The same with int8 products, including the quantization of the image.
    private func int8Convolution(size: Int, channels: Int, outputs: Int, upsample: Bool) -> Rate {
        let k = 9 * 2 * channels
        let side = upsample ? 2 * size : size
        let count = size * size * channels
        let x = Memory<Float>(2 * count) { Float($0 % 17) }
        let quantized = Memory<Int8>((size + 2) * (size + 2) * 2 * channels) { _ in 0 }
        let w = Memory<Int8>(k * outputs) { Int8(truncatingIfNeeded: $0 &* 91 % 255 - 127) }
        let scale = Memory<Float>(outputs) { _ in 0.01 }
        let sums = Memory<Int32>(outputs) { _ in 1 }
        let out = Memory<Float>(side * side * outputs) { _ in 0 }
        let range = Memory<Float>(2) { _ in 0 }
        var image = unsafe sorad_quantize_image_args()
        unsafe (image.x0, image.c0, image.x1, image.c1) = (UnsafePointer(x.base), channels, UnsafePointer(x.base + count), channels)
        unsafe (image.height, image.width, image.q, image.row_end) = (size, size, quantized.base, size + 2)
        var args = unsafe sorad_conv2d_qt8_args()
        unsafe (args.x, args.channels, args.height, args.width, args.upsample) = (
            UnsafePointer(quantized.base), 2 * channels, size, size, upsample
        )
        unsafe (args.kernel, args.stride, args.padding, args.row_end) = (3, 1, 1, side)
        unsafe (args.w, args.w_scale, args.w_sum, args.bias) = (
            UnsafePointer(w.base), UnsafePointer(scale.base), UnsafePointer(sums.base), UnsafePointer(scale.base)
        )
        unsafe (args.c_out, args.out, args.out_stride) = (outputs, out.base, outputs)
        unsafe args.epilogue.activation = SORAD_ACTIVATION_RELU
        let scratch = unsafe Memory<Int8>(kernels.pointee.conv2d_qt8_scratch_bytes(&args)) { _ in 0 }
        unsafe args.scratch = UnsafeMutableRawPointer(scratch.base)
        return Rate.measure(operations: 2 * Double(side * side * k * outputs)) {
            unsafe kernels.pointee.minmax_f32(x.base, 2 * count, range.base)
            unsafe sorad_quantize_params(range.base, true, &args.x_scale, &image.inverse, &image.zero)
            unsafe args.x_zero = image.zero
            unsafe kernels.pointee.quantize_f32_qt8(&image)
            unsafe kernels.pointee.conv2d_qt8_f32_qc8w(&args)
        }
    }

    /// Including the packing of keys and values.
    private func attention(l: Int, heads: Int, d: Int, int8: Bool) -> Rate {
        let width = heads * d
        let q = Memory<Float>(l * width) { Float($0 % 17) / 16 }
        let out = Memory<Float>(l * width) { _ in 0 }
        let floats = int8 ? sorad_attention_packed_floats_qd8kv(heads, l, d) : sorad_attention_packed_floats_f32(heads, l, d)
        let packed = Memory<Float>(floats) { _ in 0 }
        var pack = unsafe sorad_attention_pack_args()
        unsafe (pack.k, pack.k_stride, pack.v, pack.v_stride) = (UnsafePointer(q.base), width, UnsafePointer(q.base), width)
        unsafe (pack.lk, pack.head_dim, pack.packed, pack.head_end, pack.key_end) = (l, d, packed.base, heads, l)
        var args = unsafe sorad_attention_args()
        unsafe (args.q, args.q_stride, args.packed, args.lk, args.head_dim) = (
            UnsafePointer(q.base), width, UnsafePointer(packed.base), l, d
        )
        unsafe (args.scale, args.out, args.out_stride, args.head_end, args.query_end) = (0.125, out.base, width, heads, l)
        return Rate.measure(operations: 4 * Double(l * l * width)) {
            unsafe (int8 ? kernels.pointee.attention_pack_qd8kv : kernels.pointee.attention_pack_f32)(&pack)
            unsafe (int8 ? kernels.pointee.attention_f32_qd8kv : kernels.pointee.attention_f32)(&args)
        }
    }
}

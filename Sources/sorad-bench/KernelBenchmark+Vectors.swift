// Measurements of the kernels that move memory more than they multiply: norms, RoPE, Hadamard transform, quantization, elementwise. One
// operation is one element, so the figure is thousand millions of elements per second.

import CSoradKernels

extension KernelBenchmark {
    typealias Norm = @convention(c) (UnsafePointer<sorad_norm_args>) -> Void
    typealias Unary = @convention(c) (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
    typealias Binary = @convention(c) (UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
    typealias BinaryScaled = @convention(c) (UnsafePointer<Float>, UnsafePointer<Float>, Float, UnsafeMutablePointer<Float>, Int) -> Void

    /// Rows of sorad-mini and of Wan 2.1 1.3B.
    private var rows: [(m: Int, k: Int)] { [(320, 384), (1280, 1536)] }

    /// Elements that fit the second-level cache, and more than it holds.
    private var lengths: [Int] { [16 << 10, 1 << 20] }

    private func floats(_ count: Int) -> Memory<Float> { Memory<Float>(count) { Float($0 &* 37 % 255 - 127) / 64 } }

    func quantizeRows() -> [Measurement] {
        rows.map { m, k in
            Measurement(shape: "M=\(m) K=\(k)", peak: .none) {
                let (x, scale, zero) = (floats(m * k), floats(m), Memory<Int32>(m) { _ in 0 })
                let q = unsafe Memory<Int8>(kernels.pointee.qd8_packed_bytes(m, k)) { _ in 0 }
                var args = unsafe sorad_quantize_rows_args()
                unsafe (args.x, args.x_stride, args.k, args.q) = (UnsafePointer(x.base), k, k, UnsafeMutableRawPointer(q.base))
                unsafe (args.rows, args.scale, args.zero, args.row_end) = (m, scale.base, zero.base, m)
                return Rate.measure(operations: Double(m * k)) { unsafe kernels.pointee.quantize_f32_qd8(&args) }
            }
        }
    }

    func dequantize() -> [Measurement] {
        [(32, 4096), (16, 10240)].map { n, k in
            Measurement(shape: "N=\(n) K=\(k)", peak: .none) {
                let high = Memory<Int8>(n * k) { Int8(truncatingIfNeeded: $0 &* 37 % 255 - 127) }
                let low = Memory<UInt32>(n * k / 16) { UInt32(truncatingIfNeeded: $0 &* 2_654_435_761) }
                let scale = Memory<UInt16>(n * k / 32) { _ in 0x2000 }
                let out = floats(n * k)
                var args = unsafe sorad_dequantize_args()
                unsafe (args.high, args.low) = (UnsafePointer(high.base), UnsafePointer(low.base))
                unsafe (args.scale, args.k) = (UnsafePointer(scale.base), k)
                unsafe (args.out, args.panel_end) = (out.base, n / 16)
                return withExtendedLifetime((high, low, scale)) {
                    Rate.measure(operations: Double(n * k)) { unsafe kernels.pointee.dequantize_qb10w_f32(&args) }
                }
            }
        }
    }

    func norm(_ kernel: @escaping Norm) -> [Measurement] {
        rows.map { m, k in
            Measurement(shape: "M=\(m) K=\(k)", peak: .none) {
                let (x, out, weight) = (floats(m * k), floats(m * k), floats(k))
                var args = unsafe sorad_norm_args()
                unsafe (args.x, args.x_stride, args.out, args.out_stride) = (UnsafePointer(x.base), k, out.base, k)
                unsafe (args.k, args.eps, args.weight, args.row_end) = (k, 1e-6, UnsafePointer(weight.base), m)
                return withExtendedLifetime(weight) { Rate.measure(operations: Double(m * k)) { unsafe kernel(&args) } }
            }
        }
    }

    func rope() -> [Measurement] {
        [(320, 6, 64), (1280, 12, 128)].map { l, heads, d in
            Measurement(shape: "L=\(l) H=\(heads) D=\(d)", peak: .none) {
                let (x, cosines, sines) = (floats(l * heads * d), floats(l * d / 2), Memory<Float>(l * d / 2) { _ in 0.5 })
                var args = unsafe sorad_rope_args()
                unsafe (args.x, args.x_stride, args.cos, args.sin) = (
                    x.base, heads * d, UnsafePointer(cosines.base), UnsafePointer(sines.base)
                )
                unsafe (args.heads, args.head_dim, args.row_end) = (heads, d, l)
                return withExtendedLifetime((cosines, sines)) {
                    Rate.measure(operations: Double(l * heads * d)) { unsafe kernels.pointee.rope_f32(&args) }
                }
            }
        }
    }

    func hadamard() -> [Measurement] {
        rows.map { m, k in
            Measurement(shape: "M=\(m) K=\(k) group=64", peak: .none) {
                let (x, out) = (floats(m * k), floats(m * k))
                var args = unsafe sorad_hadamard_args()
                unsafe (args.x, args.x_stride, args.out, args.out_stride) = (UnsafePointer(x.base), k, out.base, k)
                unsafe (args.k, args.group, args.row_end) = (k, 64, m)
                return withExtendedLifetime((x, out)) {
                    Rate.measure(operations: Double(m * k)) { unsafe kernels.pointee.hadamard_f32(&args) }
                }
            }
        }
    }

    func minmax() -> [Measurement] {
        lengths.map { n in
            Measurement(shape: "n=\(n)", peak: .none) {
                let (x, range) = (floats(n), floats(2))
                return Rate.measure(operations: Double(n)) { unsafe kernels.pointee.minmax_f32(x.base, n, range.base) }
            }
        }
    }

    func minmaxChannels() -> [Measurement] {
        [(1024, 64), (16384, 32)].map { pixels, channels in
            Measurement(shape: "P=\(pixels) C=\(channels)", peak: .none) {
                let (x, low, high) = (floats(pixels * channels), floats(channels), floats(channels))
                return Rate.measure(operations: Double(pixels * channels)) {
                    unsafe kernels.pointee.minmax_channels_f32(x.base, pixels, channels, low.base, high.base)
                }
            }
        }
    }

    func quantizeImage() -> [Measurement] {
        [(32, 64), (128, 32)].map { size, channels in
            Measurement(shape: "\(size)x\(size) C=\(channels)", peak: .none) {
                let x = floats(size * size * channels)
                let q = Memory<Int8>((size + 2) * (size + 2) * channels) { _ in 0 }
                var args = unsafe sorad_quantize_image_args()
                unsafe (args.x0, args.c0, args.height, args.width) = (UnsafePointer(x.base), channels, size, size)
                unsafe (args.inverse, args.q, args.row_end) = (32, q.base, size + 2)
                return withExtendedLifetime((x, q)) {
                    Rate.measure(operations: Double(size * size * channels)) { unsafe kernels.pointee.quantize_f32_qt8(&args) }
                }
            }
        }
    }

    func unary(_ kernel: @escaping Unary) -> [Measurement] {
        lengths.map { n in
            Measurement(shape: "n=\(n)", peak: .none) {
                let (a, out) = (floats(n), floats(n))
                return Rate.measure(operations: Double(n)) { unsafe kernel(a.base, out.base, n) }
            }
        }
    }

    func binary(_ kernel: @escaping Binary) -> [Measurement] {
        lengths.map { n in
            Measurement(shape: "n=\(n)", peak: .none) {
                let (a, b, out) = (floats(n), floats(n), floats(n))
                return Rate.measure(operations: Double(n)) { unsafe kernel(a.base, b.base, out.base, n) }
            }
        }
    }

    func binaryScaled(_ kernel: @escaping BinaryScaled) -> [Measurement] {
        lengths.map { n in
            Measurement(shape: "n=\(n)", peak: .none) {
                let (a, b, out) = (floats(n), floats(n), floats(n))
                return Rate.measure(operations: Double(n)) { unsafe kernel(a.base, b.base, 0.5, out.base, n) }
            }
        }
    }
}

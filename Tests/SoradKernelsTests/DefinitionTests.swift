// The scalar definitions compute what they say: each against a naive formula in double.

import CSoradKernels
import Glibc
import SoradSystem
import Testing

@Suite struct DefinitionTests {
    private var table: Table { unsafe Isa.scalar.table }

    private func close(_ actual: [Float], _ expected: [Double], within tolerance: Double) -> Bool {
        let error = zip(actual, expected).reduce(0.0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
        let size = expected.reduce(0.0) { $0 + $1 * $1 }
        return actual.count == expected.count && (error / max(size, 1e-30)).squareRoot() < tolerance
    }
    private func normal(_ count: Int, stream: UInt64) -> Memory<Float> {
        let memory = Memory<Float>(count)
        unsafe sorad_philox_normal(1, stream, 0, count, memory.base)
        return memory
    }

    // MARK: Quantization and int8 products

    /// Quantized rows times quantized weights give back the float product, symmetric and asymmetric.
    @Test(arguments: [false, true]) func quantizedProductApproximatesTheFloatOne(_ asymmetric: Bool) {
        let (m, n, k) = (9, 20, 256)
        let x = normal(m * k, stream: 1)
        let weights = normal(n * k, stream: 2)
        let bias = normal(n, stream: 3)
        if asymmetric {
            let ones = Memory<Float>(Array(repeating: 1, count: m * k))
            unsafe table.pointee.gelu_tanh_mul_f32(x.base, ones.base, x.base, m * k)
        }
        let rows = unsafe packRows(table, x, stride: k, m: m, k: k, asymmetric: asymmetric)
        #expect(asymmetric == rows.zero.values.allSatisfy { $0 != 0 })

        let wScale = Memory<Float>(n)
        let plain = Memory<Int8>(n * k)
        let w = Memory<Int8>(32 * k)
        let wSum = Memory<Int32>(n)
        for row in 0..<n {
            let values = weights.values[row * k..<(row + 1) * k]
            let s = values.map(abs).max()! / 127
            unsafe wScale.base[row] = s
            for (i, v) in values.enumerated() { unsafe plain.base[row * k + i] = Int8((v / s).rounded(.toNearestOrEven)) }
        }
        unsafe sorad_pack_int8(plain.base, n, k, w.base, wSum.base)
        let out = Memory<Float>(m * n)
        var args = unsafe sorad_gemm_qd8_args()
        unsafe (args.a, args.rows, args.a_scale, args.a_zero, args.k) = (
            UnsafeRawPointer(rows.quantized.base), m, UnsafePointer(rows.scale.base), UnsafePointer(rows.zero.base), k
        )
        unsafe (args.w, args.w_scale, args.w_sum, args.bias) = (
            UnsafePointer(w.base), UnsafePointer(wScale.base), UnsafePointer(wSum.base), UnsafePointer(bias.base)
        )
        unsafe (args.out, args.out_stride, args.row_end, args.col_end) = (out.base, n, m, n)
        unsafe table.pointee.gemm_qd8_f32_qc8w(&args)
        let (a, b, c) = (x.values, weights.values, bias.values)
        let expected = (0..<m * n).map { i in
            (0..<k).reduce(Double(c[i % n])) { $0 + Double(a[i / n * k + $1]) * Double(b[i % n * k + $1]) }
        }
        #expect(close(out.values, expected, within: 0.015))
    }

    /// Weights of 10 bits: every value, tail and scale, the half-precision scales below the normal ones too.
    @Test(arguments: Isa.all) func tenBitsToFloats(_ isa: Isa) {
        let (panels, k) = (3, 71)
        var random = SplitMix64(seed: 11)
        let high = random.bytes(panels * 18 * 64)
        let low = Memory<UInt32>((0..<panels * 5 * 16).map { _ in UInt32(truncatingIfNeeded: random.next()) })
        let scales = (0..<panels * 3 * 16).map { Float16(bitPattern: UInt16($0 * 211 % 0x7C00)) }
        let halves = Memory<UInt16>(scales.map(\.bitPattern))
        let out = Memory<Float>(2 * k * 16)
        var args = unsafe sorad_dequantize_args()
        unsafe args.high = UnsafePointer(high.base)
        unsafe args.low = UnsafePointer(low.base)
        unsafe args.scale = UnsafePointer(halves.base)
        unsafe (args.k, args.out, args.panel_begin, args.panel_end) = (k, out.base, 1, 3)
        unsafe isa.table.pointee.dequantize_qb10w_f32(&args)
        let (bytes, words) = (high.values, low.values)
        var expected: [UInt32] = []
        for panel in 1..<3 {
            for input in 0..<k {
                for lane in 0..<16 {
                    let byte = Int(bytes[(panel * 18 + input / 4) * 64 + 4 * lane + input % 4])
                    let word = words[(panel * 5 + input / 16) * 16 + lane]
                    let low = Int((word >> UInt32(2 * (input % 16))) & 3)
                    let scale = Float(scales[(panel * 3 + input / 32) * 16 + lane])
                    expected.append((Float(4 * byte + low) * scale).bitPattern)
                }
            }
        }
        #expect(out.bits == expected)
    }

    @Test func quantizationOfOddRows() {
        let rows: [[Float]] = [
            [0, -0.0, 0, 0, 0], [.nan, 1, -2, .nan, 0.5], [.infinity, 1, 0, 0, 0], [1e-38, -1e-38, 0, 0, 0],
            [127, -127, 63.5, 0.5, 1.5], [3, 4, 5, 6, 7],
        ]
        let x = Memory<Float>(rows.flatMap { $0 })
        var quantized = unsafe packRows(table, x, stride: 5, m: 6, k: 5)
        var values = unsafe quantized.unpacked(table, m: 6, k: 5)
        let row = { (i: Int) in Array(values[i * 5..<i * 5 + 5]) }
        #expect(row(0) == [0, 0, 0, 0, 0] && quantized.scale.values[0] == 0)
        #expect(row(1) == [0, 64, -127, 0, 32])
        #expect(row(2) == [127, 0, 0, 0, 0] && quantized.scale.values[2].isFinite)
        #expect(row(3) == [0, 0, 0, 0, 0] && quantized.scale.values[3] == 0)
        #expect(row(4) == [127, -127, 64, 0, 2], "ties go to even")
        #expect(quantized.zero.values == Array(repeating: 0, count: 6))
        quantized = unsafe packRows(table, x, stride: 5, m: 6, k: 5, asymmetric: true)
        values = unsafe quantized.unpacked(table, m: 6, k: 5)
        #expect(quantized.zero.values[5] == -127 && row(5).last == 127, "0 lies at one end of the range, 7 at the other")
        #expect(row(0) == [0, 0, 0, 0, 0] && quantized.zero.values[0] == 0)
    }

    // MARK: Convolution

    /// Torch's conv2d after concatenation and nearest upsampling, written naively.
    @Test(arguments: [(3, 1, 1, false), (3, 2, 1, false), (3, 1, 1, true), (1, 1, 0, false), (1, 2, 0, false), (3, 1, 0, false)])
    func convolution(_ kernel: Int, _ stride: Int, _ padding: Int, _ upsample: Bool) {
        let (h, w, c0, c1, n) = (5, 6, 3, 2, 18)
        let c = 5
        let zoom = upsample ? 2 : 1
        let x0 = normal(h * w * c0, stream: 1)
        let x1 = normal(h * w * c1, stream: 2)
        let weights = normal(n * kernel * kernel * c, stream: 3)
        let bias = normal(n, stream: 4)
        let packed = Memory<Float>(32 * kernel * kernel * c)
        unsafe sorad_pack_f32(weights.base, n, kernel * kernel * c, packed.base)
        let (oh, ow) = ((h * zoom + 2 * padding - kernel) / stride + 1, (w * zoom + 2 * padding - kernel) / stride + 1)
        let out = Memory<Float>(oh * ow * n)
        var args = unsafe sorad_conv2d_args()
        unsafe (args.x0, args.c0, args.x1, args.c1, args.height, args.width) = (
            UnsafePointer(x0.base), c0, UnsafePointer(x1.base), c1, h, w
        )
        unsafe (args.upsample, args.kernel, args.stride, args.padding) = (upsample, kernel, stride, padding)
        unsafe (args.w, args.bias, args.c_out, args.out, args.out_stride, args.row_end) = (
            UnsafePointer(packed.base), UnsafePointer(bias.base), n, out.base, n, oh
        )
        unsafe args.epilogue.activation = SORAD_ACTIVATION_RELU
        for second in [true, false] {
            unsafe args.x1 = second ? UnsafePointer(x1.base) : nil
            unsafe table.pointee.conv2d_f32(&args)
            let (a, b, f, g) = (x0.values, x1.values, weights.values, bias.values)
            let expected = (0..<oh * ow * n).map { i -> Double in
                let (y, x, o) = (i / n / ow, i / n % ow, i % n)
                var sum = Double(g[o])
                for ky in 0..<kernel {
                    for kx in 0..<kernel {
                        let (iy, ix) = (y * stride + ky - padding, x * stride + kx - padding)
                        guard (0..<h * zoom).contains(iy), (0..<w * zoom).contains(ix) else { continue }
                        let pixel = iy / zoom * w + ix / zoom
                        for channel in 0..<c {
                            let value = channel < c0 ? a[pixel * c0 + channel] : second ? b[pixel * c1 + channel - c0] : 0
                            sum += Double(value) * Double(f[((o * kernel + ky) * kernel + kx) * c + channel])
                        }
                    }
                }
                return max(sum, 0)
            }
            #expect(close(out.values, expected, within: 1e-6))
        }
    }

    // MARK: Rows

    @Test(arguments: [false, true]) func norms(_ rms: Bool) {
        let (m, k) = (3, 50)
        let x = normal(m * k, stream: 1)
        let weight = normal(k, stream: 2)
        let bias = normal(k, stream: 3)
        let scale = normal(m * k, stream: 4)
        let shift = normal(m * k, stream: 5)
        let out = Memory<Float>(m * k)
        var args = unsafe sorad_norm_args()
        unsafe (args.x, args.x_stride, args.out, args.out_stride, args.k, args.eps) = (UnsafePointer(x.base), k, out.base, k, k, 1e-5)
        unsafe (args.weight, args.bias, args.scale, args.shift) = (
            UnsafePointer(weight.base), UnsafePointer(bias.base), UnsafePointer(scale.base), UnsafePointer(shift.base)
        )
        unsafe (args.modulation_stride, args.row_end) = (k, m)
        unsafe (rms ? table.pointee.rms_norm_f32 : table.pointee.layer_norm_f32)(&args)
        let (w, b, s, t) = (weight.values, bias.values, scale.values, shift.values)
        let expected = (0..<m).flatMap { row -> [Double] in
            let v = x.values[row * k..<(row + 1) * k].map(Double.init)
            let mean = rms ? 0 : v.reduce(0, +) / Double(k)
            let spread = (v.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(k) + 1e-5).squareRoot()
            return v.enumerated().map { i, value in
                let y = (value - mean) / spread * Double(w[i]) + Double(b[i])
                return y * (1 + Double(s[row * k + i])) + Double(t[row * k + i])
            }
        }
        #expect(close(out.values, expected, within: 1e-6))
    }

    @Test func ropeTurnsInterleavedPairs() {
        let x = Memory<Float>([1, 0, 0, 1])
        let angles: [Float] = [0.5, 2]
        let cosines = Memory<Float>(angles.map { cosf($0) })
        let sines = Memory<Float>(angles.map { sinf($0) })
        var args = unsafe sorad_rope_args()
        unsafe (args.x, args.x_stride, args.cos, args.sin, args.heads, args.head_dim, args.row_end) = (
            x.base, 4, UnsafePointer(cosines.base), UnsafePointer(sines.base), 1, 4, 1
        )
        unsafe table.pointee.rope_f32(&args)
        #expect(x.values == [cosf(0.5), sinf(0.5), -sinf(2), cosf(2)])
    }

    /// The rotation is its own inverse, keeps lengths, and spreads an outlier and a common offset evenly.
    @Test(arguments: [4, 16, 64, 256]) func hadamard(_ group: Int) {
        let x = normal(2 * group, stream: 1)
        let turned = Memory<Float>(2 * group)
        let back = Memory<Float>(2 * group)
        var args = unsafe sorad_hadamard_args()
        unsafe (args.x, args.x_stride, args.out, args.out_stride) = (UnsafePointer(x.base), 2 * group, turned.base, 2 * group)
        unsafe (args.k, args.group, args.row_end) = (2 * group, group, 1)
        unsafe table.pointee.hadamard_f32(&args)
        unsafe (args.x, args.out) = (UnsafePointer(turned.base), back.base)
        unsafe table.pointee.hadamard_f32(&args)
        #expect(close(back.values, x.values.map(Double.init), within: 1e-6))
        #expect(!close(turned.values, x.values.map(Double.init), within: 0.1))
        let spike = Memory<Float>((0..<2 * group).map { $0 == 1 ? 1 : 0 })
        let level = Memory<Float>(Array(repeating: 1, count: 2 * group))
        unsafe (args.x, args.out) = (UnsafePointer(spike.base), turned.base)
        unsafe table.pointee.hadamard_f32(&args)
        #expect(turned.values[..<group].allSatisfy { abs($0) == 1 / Float(group).squareRoot() })
        unsafe args.x = UnsafePointer(level.base)
        unsafe table.pointee.hadamard_f32(&args)
        #expect(turned.values.allSatisfy { abs($0) == 1 })
    }

    // MARK: Attention

    @Test func attentionIsSoftmaxOfScaledProducts() {
        let (heads, d, lq, lk) = (2, 12, 5, 150)
        let width = heads * d
        let q = normal(lq * width, stream: 1)
        let k = normal(lk * width, stream: 2)
        let v = normal(lk * width, stream: 3)
        let keyBias = normal(lk, stream: 4)
        let bias = normal(heads * lq * lk, stream: 5)
        let out = Memory<Float>(lq * width)
        let packed = Memory<Float>(sorad_attention_packed_floats_f32(heads, lk, d))
        var pack = unsafe sorad_attention_pack_args()
        unsafe (pack.k, pack.k_stride, pack.v, pack.v_stride) = (UnsafePointer(k.base), width, UnsafePointer(v.base), width)
        unsafe (pack.lk, pack.head_dim, pack.packed, pack.head_end, pack.key_end) = (lk, d, packed.base, heads, lk)
        unsafe table.pointee.attention_pack_f32(&pack)
        var args = unsafe sorad_attention_args()
        unsafe (args.q, args.q_stride, args.packed, args.lk, args.head_dim, args.scale) = (
            UnsafePointer(q.base), width, UnsafePointer(packed.base), lk, d, 0.3
        )
        unsafe (args.key_bias, args.bias, args.bias_head_stride, args.bias_query_stride) = (
            UnsafePointer(keyBias.base), UnsafePointer(bias.base), lq * lk, lk
        )
        unsafe (args.out, args.out_stride, args.head_end, args.query_end) = (out.base, width, heads, lq)
        unsafe table.pointee.attention_f32(&args)
        let (a, b, c, e, f) = (q.values, k.values, v.values, keyBias.values, bias.values)
        let expected = (0..<lq * width).map { at -> Double in
            let (i, h, column) = (at / width, at % width / d, at % width)
            let weights = (0..<lk).map { j in
                Glibc.exp(
                    0.3 * (0..<d).reduce(0.0) { $0 + Double(a[i * width + h * d + $1]) * Double(b[j * width + h * d + $1]) }
                        + Double(e[j]) + Double(f[(h * lq + i) * lk + j]))
            }
            return (0..<lk).reduce(0.0) { $0 + weights[$1] * Double(c[$1 * width + column]) } / weights.reduce(0, +)
        }
        #expect(close(out.values, expected, within: 1e-6))
    }

    /// A key of bias ln(n) stands for n equal keys, so that padding keys can be folded into one.
    @Test func equalKeysFoldIntoOne() {
        let d = 8
        let q = normal(d, stream: 1)
        let one = normal(2 * d, stream: 2)
        func attend(_ rows: [Float], keyBias: [Float]) -> [Float] {
            let lk = rows.count / d
            let k = Memory<Float>(rows)
            let bias = Memory<Float>(keyBias)
            let out = Memory<Float>(d)
            let packed = Memory<Float>(sorad_attention_packed_floats_f32(1, lk, d))
            var pack = unsafe sorad_attention_pack_args()
            unsafe (pack.k, pack.k_stride, pack.v, pack.v_stride) = (UnsafePointer(k.base), d, UnsafePointer(k.base), d)
            unsafe (pack.lk, pack.head_dim, pack.packed, pack.head_end, pack.key_end) = (lk, d, packed.base, 1, lk)
            unsafe table.pointee.attention_pack_f32(&pack)
            var args = unsafe sorad_attention_args()
            unsafe (args.q, args.q_stride, args.packed, args.lk, args.head_dim, args.scale) = (
                UnsafePointer(q.base), d, UnsafePointer(packed.base), lk, d, 0.5
            )
            unsafe (args.key_bias, args.out, args.out_stride, args.head_end, args.query_end) = (UnsafePointer(bias.base), out.base, d, 1, 1)
            unsafe table.pointee.attention_f32(&args)
            return out.values
        }
        let first = Array(one.values[..<d])
        let second = Array(one.values[d...])
        let many = attend(first + (0..<200).flatMap { _ in second }, keyBias: Array(repeating: 0, count: 201))
        let folded = attend(first + second, keyBias: [0, logf(200)])
        #expect(close(folded, many.map(Double.init), within: 1e-5))
    }

    /// Keys and values with common offsets, as trained models have them, in more than one block.
    @Test func int8AttentionIsCloseToFloat() {
        let (heads, d, lq, lk) = (2, 64, 20, 600)
        let width = heads * d
        let q = normal(lq * width, stream: 1)
        let k = normal(lk * width, stream: 2)
        let v = normal(lk * width, stream: 3)
        for i in 0..<lk * width {
            unsafe k.base[i] += Float(i % d % 7)
            unsafe v.base[i] += Float(i % d % 3)
        }
        var results: [[Float]] = []
        for int8 in [false, true] {
            let out = Memory<Float>(lq * width)
            let packed = Memory<Float>(
                int8 ? sorad_attention_packed_floats_qd8kv(heads, lk, d) : sorad_attention_packed_floats_f32(heads, lk, d))
            var pack = unsafe sorad_attention_pack_args()
            unsafe (pack.k, pack.k_stride, pack.v, pack.v_stride) = (UnsafePointer(k.base), width, UnsafePointer(v.base), width)
            unsafe (pack.lk, pack.head_dim, pack.packed, pack.head_end, pack.key_end) = (lk, d, packed.base, heads, lk)
            unsafe (int8 ? table.pointee.attention_pack_qd8kv : table.pointee.attention_pack_f32)(&pack)
            var args = unsafe sorad_attention_args()
            unsafe (args.q, args.q_stride, args.packed, args.lk, args.head_dim, args.scale) = (
                UnsafePointer(q.base), width, UnsafePointer(packed.base), lk, d, 0.25
            )
            unsafe (args.out, args.out_stride, args.head_end, args.query_end) = (out.base, width, heads, lq)
            unsafe (int8 ? table.pointee.attention_f32_qd8kv : table.pointee.attention_f32)(&args)
            results.append(out.values)
        }
        let error = zip(results[0], results[1]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let size = results[0].reduce(0) { $0 + $1 * $1 }
        #expect((error / size).squareRoot() < 0.01)
    }

    // MARK: Epilogue

    @Test func epilogueOrder() {
        let a = Memory<Float>([2])
        let w = Memory<Float>(16)
        let out = Memory<Float>([0])
        let gate = Memory<Float>([10])
        let residual = Memory<Float>([-100])
        for i in 0..<16 { unsafe w.base[i] = i == 0 ? 3 : 0 }
        let bias = Memory<Float>([-1])
        var args = unsafe sorad_gemm_f32_args()
        unsafe (args.a, args.a_stride, args.w, args.bias, args.k) = (
            UnsafePointer(a.base), 1, UnsafePointer(w.base), UnsafePointer(bias.base), 1
        )
        unsafe (args.out, args.out_stride, args.row_end, args.col_end) = (out.base, 1, 1, 1)
        func result() -> Float { unsafe table.pointee.gemm_f32(&args); return out.values[0] }
        #expect(result() == 5)
        unsafe args.epilogue.gate = UnsafePointer(gate.base)
        #expect(result() == 50)
        unsafe args.epilogue.residual = UnsafePointer(residual.base)
        #expect(result() == -50)
        unsafe args.epilogue.relu_at_end = true
        #expect(result() == 0)
        unsafe (args.epilogue.gate, args.epilogue.relu_at_end) = (nil, false)
        #expect(result() == -95)
    }

    @Test func elementwiseFormulas() {
        var out: [Float] = [0, 0]
        unsafe table.pointee.add_f32([2, 3], [1, 1], &out, 2)
        #expect(out == [3, 4])
        unsafe table.pointee.cfg_combine_f32([1, 2], [3, 2], 5, &out, 2)
        #expect(out == [11, 2])
        unsafe table.pointee.euler_step_f32([1, 2], [4, 8], -0.25, &out, 2)
        #expect(out == [0, 0])
    }
}

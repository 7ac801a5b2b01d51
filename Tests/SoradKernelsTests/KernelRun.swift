// Runs one kernel of one table on material made from a seed and returns all of its output, so that two tables can be
// compared bit for bit. Shapes are odd on purpose, pointers are aligned to their element only, and the output includes
// what lies outside the sub-range, which must stay as it was.

import CSoradKernels
import Testing

/// SplitMix64.
struct Random {
    var state: UInt64
    mutating func word() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
    mutating func between(_ low: Int, _ high: Int) -> Int { low + Int(word() % UInt64(high - low + 1)) }
    mutating func coin() -> Bool { word() & 1 == 1 }
    /// Mostly in (-2, 2), some zeros of both signs, some large and tiny.
    mutating func float() -> Float {
        let x = Float(Int32(truncatingIfNeeded: word())) * 0x1p-30
        switch word() % 32 {
        case 0: return 0
        case 1: return -0.0
        case 2: return x * 50
        case 3: return x * 0x1p-60
        default: return x
        }
    }
    mutating func floats(_ count: Int) -> Memory<Float> {
        let memory = Memory<Float>(count, skip: between(0, 5))
        for i in 0..<count { unsafe memory.base[i] = float() }
        return memory
    }
    mutating func bytes(_ count: Int) -> Memory<Int8> {
        let memory = Memory<Int8>(count, skip: between(0, 5))
        let extreme = between(0, 3) == 0
        for i in 0..<count { unsafe memory.base[i] = extreme ? (coin() ? 127 : -127) : Int8(between(-127, 127)) }
        return memory
    }
    mutating func range(_ count: Int, by step: Int = 1) -> Range<Int> {
        let blocks = (count + step - 1) / step
        let low = between(0, blocks - 1)
        let high = between(low, blocks)
        return coin() ? 0..<count : min(low * step, count)..<min(high * step, count)
    }
}

/// `count` elements starting `skip` elements into an allocation. Unsafe inside: kernels take raw pointers.
@safe final class Memory<Element: BitwiseCopyable> {
    private let block: UnsafeMutablePointer<Element>
    let base: UnsafeMutablePointer<Element>
    let count: Int

    init(_ count: Int, skip: Int = 0) {
        unsafe block = UnsafeMutablePointer.allocate(capacity: count + skip + 1)
        unsafe base = block + skip
        self.count = count
    }
    convenience init(_ values: [Element]) {
        self.init(values.count)
        for (i, value) in values.enumerated() { unsafe base[i] = value }
    }
    deinit { unsafe block.deallocate() }
    var values: [Element] { unsafe Array(UnsafeBufferPointer(start: base, count: count)) }
}

extension Memory<Float> {
    var bits: [UInt32] { values.map(\.bitPattern) }
}

typealias Table = UnsafePointer<sorad_kernels>

/// An instruction set, as a test argument.
struct Isa: Sendable, CustomTestStringConvertible {
    let id: UInt32
    var testDescription: String { unsafe String(cString: sorad_isa_name(sorad_isa(rawValue: id))) }
    var table: Table { unsafe sorad_kernels_for(sorad_isa(rawValue: id))! }

    static let scalar = Isa(id: SORAD_ISA_SCALAR.rawValue)
    /// What this CPU can run beyond the definition itself.
    static let fast = [SORAD_ISA_AVX2, SORAD_ISA_AVX512VL_VNNI, SORAD_ISA_AVX_VNNI, SORAD_ISA_AVX512_VNNI]
        .filter { sorad_isa_available($0) }.map { Isa(id: $0.rawValue) }
    static let all = [scalar] + fast
}

/// One row per kernel.
enum Kernel: String, CaseIterable, Sendable {
    case quantizeRows, gemmInt8, gemmInt8Sums, gemmFloat, conv2d, conv2dInt8, layerNorm, rmsNorm, rope, hadamard, attention, attentionInt8
    case add, mul, scaleAdd, cfgCombine, relu, silu, geluTanh, geluTanhMul, clampTanh, exp, tanh, eulerStep

    func run(_ table: Table, seed: Int) -> [UInt32] {
        var random = Random(state: UInt64(seed))
        switch self {
        case .quantizeRows: return unsafe runQuantizeRows(table, &random)
        case .gemmInt8: return unsafe runGemmInt8(table, &random, sums: false)
        case .gemmInt8Sums: return unsafe runGemmInt8(table, &random, sums: true)
        case .gemmFloat: return unsafe runGemmFloat(table, &random)
        case .conv2d: return unsafe runConv2d(table, &random)
        case .conv2dInt8: return unsafe runConv2dInt8(table, &random)
        case .layerNorm: return unsafe runNorm(table.pointee.layer_norm, &random)
        case .rmsNorm: return unsafe runNorm(table.pointee.rms_norm, &random)
        case .rope: return unsafe runRope(table, &random)
        case .hadamard: return unsafe runHadamard(table, &random)
        case .attention: return unsafe runAttention(table, &random, int8: false)
        case .attentionInt8: return unsafe runAttention(table, &random, int8: true)
        case .add: return unsafe elementwise(&random) { a, b, _, out, n in unsafe table.pointee.add(a, b, out, n) }
        case .mul: return unsafe elementwise(&random) { a, b, _, out, n in unsafe table.pointee.mul(a, b, out, n) }
        case .scaleAdd: return unsafe elementwise(&random) { a, b, s, out, n in unsafe table.pointee.scale_add(a, s, b, out, n) }
        case .cfgCombine: return unsafe elementwise(&random) { a, b, s, out, n in unsafe table.pointee.cfg_combine(a, b, s, out, n) }
        case .relu: return unsafe elementwise(&random) { a, _, _, out, n in unsafe table.pointee.relu(a, out, n) }
        case .silu: return unsafe elementwise(&random) { a, _, _, out, n in unsafe table.pointee.silu(a, out, n) }
        case .geluTanh: return unsafe elementwise(&random) { a, _, _, out, n in unsafe table.pointee.gelu_tanh(a, out, n) }
        case .geluTanhMul: return unsafe elementwise(&random) { a, b, _, out, n in unsafe table.pointee.gelu_tanh_mul(a, b, out, n) }
        case .clampTanh: return unsafe elementwise(&random) { a, _, _, out, n in unsafe table.pointee.clamp_tanh(a, out, n) }
        case .exp: return unsafe elementwise(&random) { a, _, _, out, n in unsafe table.pointee.exp(a, out, n) }
        case .tanh: return unsafe elementwise(&random) { a, _, _, out, n in unsafe table.pointee.tanh(a, out, n) }
        case .eulerStep: return unsafe elementwise(&random) { a, b, s, out, n in unsafe table.pointee.euler_step(a, b, s, out, n) }
        }
    }
}

private typealias ElementwiseBody = (UnsafePointer<Float>, UnsafePointer<Float>, Float, UnsafeMutablePointer<Float>, Int) -> Void

private func elementwise(_ random: inout Random, _ body: ElementwiseBody) -> [UInt32] {
    let n = random.between(1, 100)
    let a = random.floats(n)
    let b = random.floats(n)
    let out = random.floats(n)
    unsafe body(a.base, b.base, random.float(), out.base, n)
    return out.bits
}

/// Rows [M, K], row strides of x, packed for the table.
func packRows(_ table: Table, _ x: Memory<Float>, stride: Int, m: Int, k: Int, asymmetric: Bool = false) -> PackedRows {
    let packed = PackedRows(
        codes: unsafe Memory<Int8>(table.pointee.packed_rows_bytes(m, k), skip: 3), scale: Memory<Float>(Array(repeating: 7, count: m)),
        zero: Memory<Int32>(Array(repeating: 7, count: m)))
    var args = unsafe sorad_quantize_rows_args()
    unsafe (args.x, args.x_stride, args.k, args.rows) = (UnsafePointer(x.base), stride, k, m)
    unsafe (args.q, args.scale, args.zero) = (UnsafeMutableRawPointer(packed.codes.base), packed.scale.base, packed.zero.base)
    unsafe args.asymmetric = asymmetric
    // Piece by piece, as threads do.
    let unit = unsafe table.pointee.int8_tile_rows()
    for first in Swift.stride(from: 0, to: m, by: 2 * unit) {
        unsafe args.x = UnsafePointer(x.base + first * stride)
        unsafe (args.row_begin, args.row_end) = (first, min(first + 2 * unit, m))
        unsafe table.pointee.quantize_rows(&args)
    }
    return packed
}

struct PackedRows {
    let codes: Memory<Int8>
    let scale: Memory<Float>
    let zero: Memory<Int32>

    /// The codes [M, K], read by a product with the unit matrix.
    func unpacked(_ table: Table, m: Int, k: Int) -> [Int32] {
        let unit = Memory<Int8>((0..<k * k).map { $0 % (k + 1) == 0 ? 1 : 0 })
        let w = Memory<Int8>((k + 15) / 16 * 16 * ((k + 3) / 4 * 4))
        let sums = Memory<Int32>(k)
        unsafe sorad_pack_int8(unit.base, k, k, w.base, sums.base)
        var args = unsafe sorad_gemm_int8_args()
        unsafe (args.a, args.rows, args.k) = (UnsafeRawPointer(codes.base), m, k)
        unsafe (args.w, args.w_sum, args.row_end, args.col_end) = (UnsafePointer(w.base), UnsafePointer(sums.base), m, k)
        let scratch = unsafe Memory<Int8>(table.pointee.gemm_int8_scratch_bytes(&args))
        unsafe args.scratch = UnsafeMutableRawPointer(scratch.base)
        let out = Memory<Int32>(m * k)
        unsafe table.pointee.gemm_int8_i32(&args, out.base, k)
        return out.values
    }
}

private func runQuantizeRows(_ table: Table, _ random: inout Random) -> [UInt32] {
    let m = random.between(1, 30)
    let k = random.between(1, 90)
    let stride = k + random.between(0, 3)
    let x = random.floats(m * stride)
    switch random.between(0, 5) {
    case 0: for i in 0..<x.count { unsafe x.base[i] = random.coin() ? 0 : -0.0 }
    case 1: for i in 0..<x.count { unsafe x.base[i] *= 0x1p-100 }
    case 2: for i in 0..<x.count where i % 7 == 0 { unsafe x.base[i] = [Float.nan, .infinity, -.infinity][random.between(0, 2)] }
    default: break
    }
    let rows = unsafe packRows(table, x, stride: stride, m: m, k: k, asymmetric: random.coin())
    let codes = unsafe rows.unpacked(table, m: m, k: k)
    return rows.scale.bits + (rows.zero.values + codes).map { UInt32(bitPattern: $0) }
}

/// Random epilogue for an [m, n] result. The memory must outlive the call.
private func epilogue(_ random: inout Random, _ m: Int, _ n: Int) -> (sorad_epilogue, [Memory<Float>]) {
    var epilogue = unsafe sorad_epilogue()
    var memory: [Memory<Float>] = []
    unsafe epilogue.activation = sorad_activation(rawValue: UInt32(random.between(0, 3)))
    unsafe epilogue.relu_at_end = random.between(0, 3) == 0
    if random.coin() {
        let stride = random.coin() ? n + random.between(0, 3) : 0
        let gate = random.floats((m - 1) * stride + n)
        unsafe (epilogue.gate, epilogue.gate_stride) = (UnsafePointer(gate.base), stride)
        memory.append(gate)
    }
    if random.coin() {
        let stride = n + random.between(0, 3)
        let residual = random.floats((m - 1) * stride + n)
        unsafe (epilogue.residual, epilogue.residual_stride) = (UnsafePointer(residual.base), stride)
        memory.append(residual)
    }
    return unsafe (epilogue, memory)
}

private func runGemmInt8(_ table: Table, _ random: inout Random, sums: Bool) -> [UInt32] {
    let m = random.between(1, random.coin() ? 14 : 210)
    let n = random.between(1, 100)
    let k = random.between(1, random.coin() ? 40 : 300)
    let k4 = (k + 3) / 4 * 4
    let stride = k4 + random.between(0, 5)
    let outStride = n + random.between(0, 5)
    let plain = random.bytes(n * k)
    let w = Memory<Int8>((n + 15) / 16 * 16 * k4, skip: 3)
    let wSum = Memory<Int32>(n, skip: 1)
    unsafe sorad_pack_int8(plain.base, n, k, w.base, wSum.base)
    let x = random.floats(m * stride)
    let rows = unsafe packRows(table, x, stride: stride, m: m, k: k, asymmetric: random.coin())
    let wScale = random.floats(n)
    let bias = random.floats(n)
    let out = random.floats(m * outStride)
    var args = unsafe sorad_gemm_int8_args()
    unsafe (args.a, args.rows, args.a_scale, args.k) = (UnsafeRawPointer(rows.codes.base), m, UnsafePointer(rows.scale.base), k)
    unsafe args.a_zero = random.coin() ? UnsafePointer(rows.zero.base) : nil
    unsafe (args.w, args.w_scale, args.w_sum) = (UnsafePointer(w.base), UnsafePointer(wScale.base), UnsafePointer(wSum.base))
    unsafe args.bias = random.coin() ? UnsafePointer(bias.base) : nil
    let range = random.range(m)
    let columns = random.range(n, by: 16)
    unsafe (args.row_begin, args.row_end, args.col_begin, args.col_end) = (
        range.lowerBound, range.upperBound, columns.lowerBound, columns.upperBound
    )
    let (tail, memory) = unsafe epilogue(&random, m, n)
    unsafe (args.epilogue, args.out, args.out_stride) = (tail, out.base, outStride)
    let scratch = unsafe Memory<Int8>(table.pointee.gemm_int8_scratch_bytes(&args), skip: 5)
    unsafe args.scratch = UnsafeMutableRawPointer(scratch.base)
    return withExtendedLifetime((memory, rows)) {
        guard sums else {
            unsafe table.pointee.gemm_int8(&args)
            return out.bits
        }
        let integers = Memory<Int32>(Array(repeating: 5, count: out.count))
        unsafe table.pointee.gemm_int8_i32(&args, integers.base, outStride)
        return integers.values.map { UInt32(bitPattern: $0) }
    }
}

private func runGemmFloat(_ table: Table, _ random: inout Random) -> [UInt32] {
    let m = random.between(1, 40)
    let n = random.between(1, 70)
    let k = random.between(1, 90)
    let stride = k + random.between(0, 5)
    let outStride = n + random.between(0, 5)
    let plain = random.floats(n * k)
    let w = Memory<Float>((n + 15) / 16 * 16 * k, skip: 1)
    unsafe sorad_pack_f32(plain.base, n, k, w.base)
    let a = random.floats(m * stride)
    let bias = random.floats(n)
    let out = random.floats(m * outStride)
    var args = unsafe sorad_gemm_f32_args()
    unsafe (args.a, args.a_stride, args.w, args.k) = (UnsafePointer(a.base), stride, UnsafePointer(w.base), k)
    unsafe args.bias = random.coin() ? UnsafePointer(bias.base) : nil
    let rows = random.range(m)
    let columns = random.range(n, by: 16)
    unsafe (args.row_begin, args.row_end, args.col_begin, args.col_end) = (
        rows.lowerBound, rows.upperBound, columns.lowerBound, columns.upperBound
    )
    let (tail, memory) = unsafe epilogue(&random, m, n)
    unsafe (args.epilogue, args.out, args.out_stride) = (tail, out.base, outStride)
    return withExtendedLifetime(memory) {
        unsafe table.pointee.gemm_f32(&args)
        return out.bits
    }
}

private func runConv2d(_ table: Table, _ random: inout Random) -> [UInt32] {
    var args = unsafe sorad_conv2d_args()
    // Few outputs, as of a decoder's last convolution, are a case of their own.
    let few = random.between(0, 3) == 0
    let kernel = few || random.coin() ? 3 : 1
    let height = random.between(3, 9)
    let width = random.between(3, few ? 150 : 20)
    let c0 = random.between(1, random.between(0, 7) == 0 ? 300 : 20)
    let c1 = random.coin() ? random.between(1, 20) : 0
    let cOut = random.between(1, few ? 4 : 40)
    unsafe (args.kernel, args.stride, args.upsample, args.padding) = (
        kernel, few ? 1 : random.between(1, 2), !few && random.coin(), kernel == 3 ? random.between(0, 1) : 0
    )
    let zoom = unsafe args.upsample ? 2 : 1
    unsafe args.end_padding = few ? 0 : random.between(0, 1)
    let around = unsafe 2 * args.padding + args.end_padding
    let outHeight = unsafe (height * zoom + around - kernel) / args.stride + 1
    let outWidth = unsafe (width * zoom + around - kernel) / args.stride + 1
    let k = kernel * kernel * (c0 + c1)
    let outStride = cOut + random.between(0, 3)
    let plain = random.floats(cOut * k)
    let w = Memory<Float>((cOut + 15) / 16 * 16 * k, skip: 1)
    let bias = random.floats(cOut)
    unsafe sorad_pack_f32(plain.base, cOut, k, w.base)
    let x0 = random.floats(height * width * c0)
    let x1 = random.floats(height * width * c1)
    let out = random.floats(outHeight * outWidth * outStride)
    unsafe (args.x0, args.c0, args.c1, args.height, args.width) = (UnsafePointer(x0.base), c0, c1, height, width)
    unsafe args.x1 = c1 > 0 && random.coin() ? UnsafePointer(x1.base) : nil
    unsafe (args.w, args.bias, args.c_out) = (UnsafePointer(w.base), random.coin() ? UnsafePointer(bias.base) : nil, cOut)
    let rows = random.range(outHeight)
    let (tail, memory) = unsafe epilogue(&random, outHeight * outWidth, cOut)
    unsafe (args.epilogue, args.out, args.out_stride, args.row_begin, args.row_end) = (
        tail, out.base, outStride, rows.lowerBound, rows.upperBound
    )
    return withExtendedLifetime((memory, x1, bias)) {
        unsafe table.pointee.conv2d(&args)
        return out.bits
    }
}

/// An image to codes, and their convolution.
private func runConv2dInt8(_ table: Table, _ random: inout Random) -> [UInt32] {
    let kernel = random.coin() ? 3 : 1
    let (height, width) = (random.between(3, 9), random.between(3, 40))
    let c0 = random.between(1, random.between(0, 7) == 0 ? 300 : 40)
    let channels = (c0 + 3) / 4 * 4
    let cOut = random.between(1, 60)
    var args = unsafe sorad_conv2d_int8_args()
    unsafe (args.kernel, args.stride, args.upsample, args.padding) = (
        kernel, random.between(1, 2), random.coin(), kernel == 3 ? random.between(0, 1) : 0
    )
    unsafe (args.channels, args.height, args.width, args.c_out) = (channels, height, width, cOut)
    let zoom = unsafe args.upsample ? 2 : 1
    let outHeight = unsafe (height * zoom + 2 * args.padding - kernel) / args.stride + 1
    let outWidth = unsafe (width * zoom + 2 * args.padding - kernel) / args.stride + 1
    let k = kernel * kernel * channels
    let x = random.floats(height * width * c0)
    let codes = Memory<Int8>((height + 2) * (width + 2) * channels)
    var range: [Float] = [0, 0]
    unsafe table.pointee.widen_range(x.base, height * width * c0, &range)
    var image = unsafe sorad_quantize_image_args()
    unsafe sorad_quantize_range(&range, random.coin(), &args.x_scale, &image.inverse, &args.x_zero)
    unsafe (image.x0, image.c0, image.height, image.width, image.zero) = (UnsafePointer(x.base), c0, height, width, args.x_zero)
    unsafe (image.q, image.row_end) = (codes.base, height + 2)
    let fine = random.bytes((height + 2) * (width + 2) * channels)
    unsafe image.fine = random.coin() ? fine.base : nil
    let channelScale = random.floats(c0)
    unsafe image.channel_scale = random.coin() ? UnsafePointer(channelScale.base) : nil
    let (low, high) = (random.floats(c0), random.floats(c0))
    unsafe table.pointee.widen_channel_range(x.base, height * width, c0, low.base, high.base)
    unsafe table.pointee.quantize_image(&image)

    let plain = random.bytes(cOut * k)
    let w = Memory<Int8>((cOut + 15) / 16 * 16 * k)
    let wSum = Memory<Int32>(cOut)
    unsafe sorad_pack_int8(plain.base, cOut, k, w.base, wSum.base)
    let (wScale, bias) = (random.floats(cOut), random.floats(cOut))
    let out = random.floats(outHeight * outWidth * (cOut + 1))
    unsafe (args.x, args.w, args.w_scale, args.w_sum) = (
        UnsafePointer(codes.base), UnsafePointer(w.base), UnsafePointer(wScale.base), UnsafePointer(wSum.base)
    )
    unsafe args.bias = random.coin() ? UnsafePointer(bias.base) : nil
    let rows = random.range(outHeight)
    let (tail, memory) = unsafe epilogue(&random, outHeight * outWidth, cOut)
    unsafe (args.epilogue, args.out, args.out_stride, args.row_begin, args.row_end) = (
        tail, out.base, cOut + 1, rows.lowerBound, rows.upperBound
    )
    let scratch = unsafe Memory<Int8>(table.pointee.conv2d_int8_scratch_bytes(&args))
    unsafe args.scratch = UnsafeMutableRawPointer(scratch.base)
    return withExtendedLifetime((memory, bias, channelScale, fine)) {
        unsafe table.pointee.conv2d_int8(&args)
        return out.bits + low.bits + high.bits + (codes.values + fine.values).map { UInt32(bitPattern: Int32($0)) }
    }
}

private func runNorm(_ kernel: @convention(c) (UnsafePointer<sorad_norm_args>) -> Void, _ random: inout Random) -> [UInt32] {
    let m = random.between(1, 5)
    let k = random.between(1, 90)
    let stride = k + random.between(0, 3)
    let modulation = random.coin() ? k + 2 : 0
    let x = random.floats(m * stride)
    let out = random.floats(m * stride)
    let weight = random.floats(k)
    let bias = random.floats(k)
    let scale = random.floats(m * (k + 2))
    let shift = random.floats(m * (k + 2))
    let rows = random.range(m)
    var args = unsafe sorad_norm_args()
    unsafe (args.x, args.x_stride, args.out, args.out_stride, args.k, args.eps) = (UnsafePointer(x.base), stride, out.base, stride, k, 1e-6)
    if random.coin() { unsafe (args.weight, args.bias) = (UnsafePointer(weight.base), random.coin() ? UnsafePointer(bias.base) : nil) }
    if random.coin() { unsafe (args.scale, args.shift) = (UnsafePointer(scale.base), random.coin() ? UnsafePointer(shift.base) : nil) }
    unsafe (args.modulation_stride, args.row_begin, args.row_end) = (modulation, rows.lowerBound, rows.upperBound)
    return withExtendedLifetime((weight, bias, scale, shift)) {
        unsafe kernel(&args)
        return out.bits
    }
}

private func runRope(_ table: Table, _ random: inout Random) -> [UInt32] {
    let m = random.between(1, 5)
    let heads = random.between(1, 4)
    let d = 2 * random.between(1, 40)
    let stride = heads * d + random.between(0, 3)
    let x = random.floats(m * stride)
    let cosines = random.floats(m * d / 2)
    let sines = random.floats(m * d / 2)
    let rows = random.range(m)
    var args = unsafe sorad_rope_args()
    unsafe (args.x, args.x_stride, args.cos, args.sin) = (x.base, stride, UnsafePointer(cosines.base), UnsafePointer(sines.base))
    unsafe (args.heads, args.head_dim, args.row_begin, args.row_end) = (heads, d, rows.lowerBound, rows.upperBound)
    unsafe table.pointee.rope(&args)
    return x.bits
}

private func runHadamard(_ table: Table, _ random: inout Random) -> [UInt32] {
    let m = random.between(1, 4)
    let group = [4, 16, 64, 256][random.between(0, 3)]
    let k = group * random.between(1, 3)
    let stride = k + random.between(0, 3)
    let x = random.floats(m * stride)
    let out = random.floats(m * stride)
    let rows = random.range(m)
    var args = unsafe sorad_hadamard_args()
    unsafe (args.x, args.x_stride, args.out, args.out_stride) = (UnsafePointer(x.base), stride, out.base, stride)
    unsafe (args.k, args.group, args.row_begin, args.row_end) = (k, group, rows.lowerBound, rows.upperBound)
    unsafe table.pointee.hadamard(&args)
    return out.bits
}

private func runAttention(_ table: Table, _ random: inout Random, int8: Bool) -> [UInt32] {
    let heads = random.between(1, 3)
    let isWide = !int8 && random.between(0, 9) == 0
    let d = isWide ? random.between(SORAD_MAX_HEAD_DIM, SORAD_MAX_FLOAT_HEAD_DIM) : random.between(1, random.coin() ? 20 : 140)
    let lq = random.between(1, 70)
    let lk = random.between(1, int8 ? 600 : 200)
    let width = heads * d
    let q = random.floats(lq * (width + 3))
    let k = random.floats(lk * (width + 1))
    let v = random.floats(lk * (width + 2))
    let keyBias = random.floats(lk)
    let bias = random.floats(heads * lq * lk)
    let out = random.floats(lq * width)
    if random.coin() { for j in 0..<(lk - 1) where j < lk / 2 || random.coin() { unsafe keyBias.base[j] = -.infinity } }
    let floats = int8 ? sorad_attention_int8_packed_floats(heads, lk, d) : sorad_attention_packed_floats(heads, lk, d)
    let packed = Memory<Float>(floats, skip: 1)
    var pack = unsafe sorad_attention_pack_args()
    unsafe (pack.k, pack.k_stride, pack.v, pack.v_stride, pack.packed) = (
        UnsafePointer(k.base), width + 1, UnsafePointer(v.base), width + 2, packed.base
    )
    unsafe (pack.lk, pack.head_dim, pack.head_end) = (lk, d, heads)
    let split = int8 ? 0 : random.between(0, lk / 64) * 64
    for keys in [0..<split, split..<lk] where !keys.isEmpty {
        unsafe (pack.key_begin, pack.key_end) = (keys.lowerBound, keys.upperBound)
        unsafe (int8 ? table.pointee.attention_int8_pack : table.pointee.attention_pack)(&pack)
    }
    var args = unsafe sorad_attention_args()
    unsafe (args.q, args.q_stride, args.packed, args.lk, args.head_dim) = (
        UnsafePointer(q.base), width + 3, UnsafePointer(packed.base), lk, d
    )
    unsafe (args.scale, args.bias_head_stride, args.bias_query_stride) = (1 / Float(d).squareRoot(), lq * lk, lk)
    unsafe args.key_bias = random.coin() ? UnsafePointer(keyBias.base) : nil
    unsafe args.bias = random.coin() && !int8 ? UnsafePointer(bias.base) : nil
    let headRange = random.range(heads)
    let queries = random.range(lq)
    unsafe (args.head_begin, args.head_end, args.query_begin, args.query_end) = (
        headRange.lowerBound, headRange.upperBound, queries.lowerBound, queries.upperBound
    )
    unsafe (args.out, args.out_stride) = (out.base, width)
    return withExtendedLifetime((keyBias, bias)) {
        unsafe (int8 ? table.pointee.attention_int8 : table.pointee.attention)(&args)
        return out.bits
    }
}

// Material for the tests: random numbers, unaligned memory, the instruction sets, packed rows.
// (Tests/kernels-fuzz compares every kernel with its scalar definition.)

import CSoradKernels
import SoradSystem
import Testing

extension SplitMix64 {
    mutating func between(_ low: Int, _ high: Int) -> Int { low + Int(next() % UInt64(high - low + 1)) }
    mutating func coin() -> Bool { next() & 1 == 1 }
    /// Mostly in (-2, 2), some zeros of both signs, some large and tiny.
    mutating func float() -> Float {
        let x = Float(Int32(truncatingIfNeeded: next())) * 0x1p-30
        switch next() % 32 {
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
    /// Every instruction set of the list, whether this CPU has it or not.
    static let listed = (0..<sorad_isa_count()).map(sorad_isa_at)
    /// Those that this CPU can run, the scalar one first.
    static let all = listed.filter { unsafe sorad_isa_available($0) && sorad_kernels_for($0) != nil }.map { Isa(id: $0.rawValue) }
}

/// Rows [M, K], row strides of x, packed for the table.
func packRows(_ table: Table, _ x: Memory<Float>, stride: Int, m: Int, k: Int, asymmetric: Bool = false) -> PackedRows {
    let packed = PackedRows(
        quantized: unsafe Memory<Int8>(table.pointee.qd8_packed_bytes(m, k), skip: 3), scale: Memory<Float>(Array(repeating: 7, count: m)),
        zero: Memory<Int32>(Array(repeating: 7, count: m)))
    var args = unsafe sorad_quantize_rows_args()
    unsafe (args.x, args.x_stride, args.k, args.rows) = (UnsafePointer(x.base), stride, k, m)
    unsafe (args.q, args.scale, args.zero) = (UnsafeMutableRawPointer(packed.quantized.base), packed.scale.base, packed.zero.base)
    unsafe args.asymmetric = asymmetric
    // Piece by piece, as threads do.
    let unit = unsafe table.pointee.gemm_qd8_mr()
    for first in Swift.stride(from: 0, to: m, by: 2 * unit) {
        unsafe args.x = UnsafePointer(x.base + first * stride)
        unsafe (args.row_begin, args.row_end) = (first, min(first + 2 * unit, m))
        unsafe table.pointee.quantize_f32_qd8(&args)
    }
    return packed
}

struct PackedRows {
    let quantized: Memory<Int8>
    let scale: Memory<Float>
    let zero: Memory<Int32>

    /// The quantized values [M, K], read by a product with the unit matrix.
    func unpacked(_ table: Table, m: Int, k: Int) -> [Int32] {
        let unit = Memory<Int8>((0..<k * k).map { $0 % (k + 1) == 0 ? 1 : 0 })
        let w = Memory<Int8>((k + 15) / 16 * 16 * ((k + 3) / 4 * 4))
        let sums = Memory<Int32>(k)
        unsafe sorad_pack_int8(unit.base, k, k, w.base, sums.base)
        var args = unsafe sorad_gemm_qd8_args()
        unsafe (args.a, args.rows, args.k) = (UnsafeRawPointer(quantized.base), m, k)
        unsafe (args.w, args.w_sum, args.row_end, args.col_end) = (UnsafePointer(w.base), UnsafePointer(sums.base), m, k)
        let scratch = unsafe Memory<Int8>(table.pointee.gemm_qd8_scratch_bytes(&args))
        unsafe args.scratch = UnsafeMutableRawPointer(scratch.base)
        let out = Memory<Int32>(m * k)
        unsafe table.pointee.gemm_qd8_i32_qc8w(&args, out.base, k)
        return out.values
    }
}

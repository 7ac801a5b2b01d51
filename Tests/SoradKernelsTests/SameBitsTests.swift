// How a caller splits work never changes a bit. (Tests/kernels-fuzz compares every kernel with its scalar definition.)

import CSoradKernels
import SoradSystem
import Testing

@Suite struct SameBitsTests {
    /// Five rows and 16 columns at a time give the same bits as all at once.
    @Test(arguments: Isa.all) func splittingAProductChangesNothing(_ isa: Isa) {
        let (m, n, k) = (131, 77, 96)
        var random = SplitMix64(seed: 3)
        let plain = random.bytes(n * k)
        let w = Memory<Int8>(80 * k)
        let wSum = Memory<Int32>(n)
        unsafe sorad_pack_int8(plain.base, n, k, w.base, wSum.base)
        let table = unsafe isa.table
        let rows = unsafe packRows(table, random.floats(m * k), stride: k, m: m, k: k)
        let wScale = random.floats(n)
        let whole = Memory<Float>(m * n)
        let pieces = Memory<Float>(m * n)
        var args = unsafe sorad_gemm_qd8_args()
        unsafe (args.a, args.rows, args.a_scale, args.k) = (UnsafeRawPointer(rows.quantized.base), m, UnsafePointer(rows.scale.base), k)
        unsafe (args.w, args.w_scale, args.w_sum) = (UnsafePointer(w.base), UnsafePointer(wScale.base), UnsafePointer(wSum.base))
        unsafe (args.out, args.out_stride, args.row_end, args.col_end) = (whole.base, n, m, n)
        let scratch = unsafe Memory<Int8>(table.pointee.gemm_qd8_scratch_bytes(&args))
        unsafe args.scratch = UnsafeMutableRawPointer(scratch.base)
        unsafe table.pointee.gemm_qd8_f32_qc8w(&args)
        unsafe args.out = pieces.base
        for row in stride(from: 0, to: m, by: 5) {
            for column in stride(from: 0, to: n, by: 16) {
                unsafe (args.row_begin, args.row_end) = (row, min(row + 5, m))
                unsafe (args.col_begin, args.col_end) = (column, min(column + 16, n))
                unsafe table.pointee.gemm_qd8_f32_qc8w(&args)
            }
        }
        #expect(whole.bits == pieces.bits)
    }

    /// The list of kernels is the table: every row is a field of its own that is not null, and there are no other fields.
    @Test(arguments: Isa.all) func everyTableHasEveryKernel(_ isa: Isa) {
        let rows = (0..<sorad_kernel_count()).map { unsafe (String(cString: sorad_kernel_at($0).name), sorad_kernel_at($0).offset) }
        #expect(Set(rows.map(\.0)).count == rows.count)
        let pointer = MemoryLayout<Int>.size
        #expect(rows.map(\.1) == (0..<rows.count).map { pointer * ($0 + 1) }, "the first field is the instruction set")
        #expect(MemoryLayout<sorad_kernels>.size == pointer * (rows.count + 1))
        for (name, offset) in rows {
            let address = unsafe UnsafeRawPointer(isa.table).load(fromByteOffset: offset, as: Int.self)
            #expect(address != 0, "\(name)")
        }
    }
}

// Every kernel of every instruction set that this CPU has equals the scalar definition, bit for bit. (Instruction sets
// that it lacks are covered by Tests/kernels-fuzz through portable intrinsics.)

import CSoradKernels
import Testing

@Suite struct SameBitsTests {
    @Test(arguments: Kernel.allCases, Isa.fast)
    func kernelEqualsItsDefinition(_ kernel: Kernel, _ isa: Isa) {
        for seed in 0..<60 {
            let expected = unsafe kernel.run(Isa.scalar.table, seed: seed)
            let actual = unsafe kernel.run(isa.table, seed: seed)
            if expected != actual {
                let at = zip(expected, actual).enumerated().first { $1.0 != $1.1 }?.offset ?? -1
                Issue.record("\(kernel) on \(isa.testDescription) differs with seed \(seed), first at element \(at)")
                return
            }
        }
    }

    /// How work is cut never changes a bit: rows of a product one by one, columns in blocks of 16.
    @Test(arguments: Isa.all) func cuttingAProductChangesNothing(_ isa: Isa) {
        let (m, n, k) = (131, 77, 96)
        var random = Random(state: 3)
        let plain = random.bytes(n * k)
        let w = Memory<Int8>(80 * k)
        let wSum = Memory<Int32>(n)
        unsafe sorad_pack_int8(plain.base, n, k, w.base, wSum.base)
        let table = unsafe isa.table
        let rows = unsafe packRows(table, random.floats(m * k), stride: k, m: m, k: k)
        let wScale = random.floats(n)
        let whole = Memory<Float>(m * n)
        let pieces = Memory<Float>(m * n)
        var args = unsafe sorad_gemm_int8_args()
        unsafe (args.a, args.rows, args.a_scale, args.k) = (UnsafeRawPointer(rows.codes.base), m, UnsafePointer(rows.scale.base), k)
        unsafe (args.w, args.w_scale, args.w_sum) = (UnsafePointer(w.base), UnsafePointer(wScale.base), UnsafePointer(wSum.base))
        unsafe (args.out, args.out_stride, args.row_end, args.col_end) = (whole.base, n, m, n)
        let scratch = unsafe Memory<Int8>(table.pointee.gemm_int8_scratch_bytes(&args))
        unsafe args.scratch = UnsafeMutableRawPointer(scratch.base)
        unsafe table.pointee.gemm_int8(&args)
        unsafe args.out = pieces.base
        for row in stride(from: 0, to: m, by: 5) {
            for column in stride(from: 0, to: n, by: 16) {
                unsafe (args.row_begin, args.row_end) = (row, min(row + 5, m))
                unsafe (args.col_begin, args.col_end) = (column, min(column + 16, n))
                unsafe table.pointee.gemm_int8(&args)
            }
        }
        #expect(whole.bits == pieces.bits)
    }
}

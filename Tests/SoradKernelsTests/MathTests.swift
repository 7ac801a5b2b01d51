// Accuracy of the float and the double functions, against the C library in double. Each bound is the largest error measured over its
// range, rounded up. (Tests/kernels-fuzz does the same for exp and tanh, which only other kernels use.)

import CSoradKernels
import Glibc
import SoradSystem
import Testing

@Suite struct MathTests {
    private typealias Unary = (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void

    /// Largest error of `kernel` against `reference` over `inputs`, in units of the last place of the exact result.
    private func largestError(
        _ kernel: Unary, _ inputs: [Float], _ reference: (Double) -> Double
    ) -> Double {
        var out = [Float](repeating: 0, count: inputs.count)
        unsafe kernel(inputs, &out, inputs.count)
        return zip(inputs, out).reduce(0) { worst, pair in
            let exact = reference(Double(pair.0))
            let ulp = Double(Float(exact).ulp)
            return max(worst, abs(Double(pair.1) - exact) / ulp)
        }
    }
    private func spread(_ low: Float, _ high: Float) -> [Float] {
        (0..<400_001).map { low + (high - low) * (Float($0) / 400_000) }
    }

    @Test func softClamp() {
        let table = unsafe Isa.scalar.table
        #expect(unsafe largestError(table.pointee.clamp_tanh_f32, spread(-20, 20), { 3 * Glibc.tanh($0 / 3) }) < 4)
        var out: [Float] = [0, 0, 0]
        unsafe table.pointee.clamp_tanh_f32([.infinity, -.infinity, .nan], &out, 3)
        #expect(out[0] == 3 && out[1] == -3 && out[2].isNaN)
    }

    /// For large negative inputs the results vanish and the exponent's own rounding shows, so the bound is absolute there.
    @Test func activations() {
        let table = unsafe Isa.scalar.table
        let silu = { (x: Double) in x / (1 + Glibc.exp(-x)) }
        let gelu = { (x: Double) in 0.5 * x * (1 + Glibc.tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x))) }
        #expect(unsafe largestError(table.pointee.silu_f32, spread(-20, 30), silu) < 4)
        let geluTanh: Unary = { x, out, n in
            let ones = [Float](repeating: 1, count: n)
            unsafe table.pointee.gelu_tanh_mul_f32(x, ones, out, n)
        }
        #expect(unsafe largestError(geluTanh, spread(-1, 10), gelu) < 4)
        let inputs = spread(-10, -1)
        var out = [Float](repeating: 0, count: inputs.count)
        unsafe geluTanh(inputs, &out, inputs.count)
        for (x, y) in zip(inputs, out) where abs(Double(y) - gelu(Double(x))) > 1e-7 {
            Issue.record("gelu(\(x)) = \(y), not \(gelu(Double(x)))")
            return
        }
    }

    @Test func doubles() {
        var random = SplitMix64(seed: 1)
        var worst = (exp: 0.0, log: 0.0, sine: 0.0)
        for _ in 0..<200_000 {
            let unit = Double(random.next() >> 11) * 0x1p-53
            let x = (unit - 0.5) * 1400
            let y = Glibc.exp((unit - 0.5) * 1400)
            let angle = (unit - 0.5) * 2e6
            worst.exp = max(worst.exp, abs(sorad_exp(x) / Glibc.exp(x) - 1))
            let logarithm = Glibc.log(y)
            worst.log = max(worst.log, abs(sorad_log(y) - logarithm) / max(abs(logarithm), 1e-3))
            var sine = 0.0
            var cosine = 0.0
            unsafe sorad_sincos(angle, &sine, &cosine)
            worst.sine = max(worst.sine, abs(sine - Glibc.sin(angle)), abs(cosine - Glibc.cos(angle)))
        }
        #expect(worst.exp < 1e-15)
        #expect(worst.log < 1e-15)
        #expect(worst.sine < 1e-15)
        #expect(sorad_log(1) == 0 && sorad_exp(0) == 1)
    }

    @Test func ropeTable() {
        let (positions, dim) = (1024, 44)
        var cosines = [Float](repeating: 0, count: positions * dim / 2)
        var sines = cosines
        unsafe sorad_rope_table(positions, dim, 10000, &cosines, &sines, dim / 2)
        for p in [0, 1, 17, 1023] {
            for i in 0..<dim / 2 {
                let angle = Double(p) * Glibc.pow(10000, -2 * Double(i) / Double(dim))
                #expect(abs(Double(cosines[p * dim / 2 + i]) - Glibc.cos(angle)) < 1e-7)
                #expect(abs(Double(sines[p * dim / 2 + i]) - Glibc.sin(angle)) < 1e-7)
            }
        }
    }

    @Test func timestepEmbedding() {
        let timesteps: [Float] = [0, 1, 500.5, 1000]
        let dim = 33
        var out = [Float](repeating: 9, count: timesteps.count * dim)
        unsafe sorad_timestep_embedding(timesteps, timesteps.count, dim, &out)
        for (row, t) in timesteps.enumerated() {
            for i in 0..<16 {
                let angle = Double(t) * Glibc.exp(-Glibc.log(10000) * Double(i) / 16)
                #expect(abs(Double(out[row * dim + i]) - Glibc.cos(angle)) < 2e-4)
                #expect(abs(Double(out[row * dim + 16 + i]) - Glibc.sin(angle)) < 2e-4)
            }
            #expect(out[row * dim + 32] == 0)
        }
    }
}

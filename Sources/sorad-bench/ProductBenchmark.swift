// Speed of the int8 product in several threads, cut into pieces as a forward pass cuts it; beside the peak loop in as many threads, measured
// just before. Invariant: weights of one product are those of many matrices in turn, as layers come, more than the caches hold.

import SoradSystem
import SoradTensor

struct ProductBenchmark {
    let set: InstructionSet
    let threads: Int

    private static let sizes = [(1280, 1536, 1536), (1280, 1536, 8960), (1280, 8960, 1536)]
    private static let leastWeightBytes = 64 << 20

    func run(filter: String?) throws(SoradError) -> BenchmarkReport {
        var report = BenchmarkReport(isa: set.description, threads: threads)
        let backend = try CPUBackend(threads: threads, instructionSet: set)
        let loops = try KernelBenchmark(isaName: set.description)
        for (m, k, n) in Self.sizes {
            let (name, shape) = ("gemm_int8", "M=\(m) K=\(k) N=\(n)")
            guard filter.map({ name.contains($0) || shape.contains($0) }) ?? true else { continue }
            let peak = loops.peakRate(isInteger: true, threads: threads)
            report.rows.append(BenchmarkRow(name: name, shape: shape, rate: rate(backend, m, k, n), peak: peak))
        }
        return report
    }

    /// The best of some runs through all matrices. Rows are quantised once, before.
    private func rate(_ backend: CPUBackend, _ m: Int, _ k: Int, _ n: Int) -> Double {
        let matrices = (0..<max(2, Self.leastWeightBytes / (k * n))).map { _ in
            LinearWeights(
                outputs: n, inputs: k,
                precision: .int8(
                    codes: Parameter((0..<n * k).map { Int8(truncatingIfNeeded: $0 &* 91 % 255 - 127) }),
                    scale: Parameter([Float](repeating: 1e-5, count: n)), sum: Parameter([Int32](repeating: 1, count: n))),
                bias: Parameter([Float](repeating: 0.5, count: n)))
        }
        let input = Arena.make { LinearInput(capacity: m, width: k, in: $0) }
        input.overwrite(rows: m).fillNormal(seed: 1, stream: 0)
        let out = Tensor(Shape(m, n))
        var best = Double.infinity
        var total = 0.0
        while total < 1 {
            let start = ContinuousClock.now
            for weights in matrices { backend.linear(input, weights, into: out) }
            let seconds = (ContinuousClock.now - start).seconds
            best = min(best, seconds)
            total += seconds
        }
        return 2 * Double(m) * Double(k) * Double(n) * Double(matrices.count) / best * 1e-9
    }
}

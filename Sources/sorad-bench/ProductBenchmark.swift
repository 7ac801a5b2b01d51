// Speed of the int8 product in several threads, cut into tasks as a forward pass cuts it. Before each product the peak-throughput
// microbenchmark does as many operations in as many threads; figures are medians, the ratio that of the pairs.
// Invariant: weights of one product are those of many matrices in turn, as layers come, more than the caches hold.

import SoradCPU
import SoradSystem
import SoradTensor

struct ProductBenchmark {
    let set: InstructionSet
    let threads: Int

    private static let sizes = [(1280, 1536, 1536), (1280, 1536, 8960), (1280, 8960, 1536)]
    private static let leastWeightBytes = 64 << 20

    func run(filter: String?) throws(SoradError) -> BenchmarkReport {
        var report = BenchmarkReport(isa: set.description, threads: threads)
        let backend = try BackendFactory.cpu(threads: threads, instructionSet: set).make()
        let loop = PeakThroughput(set, isInteger: true, threads: threads)
        for (m, k, n) in Self.sizes {
            let (name, shape) = ("gemm_int8", "M=\(m) K=\(k) N=\(n)")
            guard filter.map({ name.contains($0) || shape.contains($0) }) ?? true else { continue }
            let found = measure(backend, loop, m, k, n)
            report.rows.append(BenchmarkRow(name: name, shape: shape, rate: found.rate, peak: found.peak, pairs: found.ratio))
        }
        return report
    }

    /// Products for two seconds. Rows are quantized once, before.
    private func measure(
        _ backend: any ComputeBackend, _ loop: PeakThroughput?, _ m: Int, _ k: Int, _ n: Int
    ) -> (rate: Double, peak: Double?, ratio: Double?) {
        let matrices = (0..<max(2, Self.leastWeightBytes / (k * n))).map { _ in
            LinearWeights(
                outputs: n, inputs: k,
                precision: .int8(
                    values: Parameter((0..<n * k).map { Int8(truncatingIfNeeded: $0 &* 91 % 255 - 127) }),
                    scale: Parameter([Float](repeating: 1e-5, count: n)), sum: Parameter([Int32](repeating: 1, count: n))),
                bias: Parameter([Float](repeating: 0.5, count: n)))
        }
        let input = backend.make { $0.activations(capacity: m, width: k) }
        input.overwrite(rows: m).fillNormal(seed: 1, stream: 0)
        let out = backend.tensor(Shape(m, n))
        let operations = 2 * Double(m) * Double(k) * Double(n)
        var rates: [Double] = []
        var peaks: [Double] = []
        var ratios: [Double] = []
        var total = 0.0
        for weights in matrices { backend.linear(input, weights, into: out) }
        while total < 2 {
            for weights in matrices {
                let peak = loop.map { loop in
                    let (seconds, operations) = loop.run(operations: operations)
                    return operations / seconds * 1e-9
                }
                let start = ContinuousClock.now
                backend.linear(input, weights, into: out)
                let seconds = (ContinuousClock.now - start).seconds
                total += seconds
                rates.append(operations / seconds * 1e-9)
                if let peak {
                    peaks.append(peak)
                    ratios.append(operations / seconds * 1e-9 / peak)
                }
            }
        }
        return (median(rates), peaks.isEmpty ? nil : median(peaks), ratios.isEmpty ? nil : median(ratios))
    }
}

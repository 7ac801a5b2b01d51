// Single-threaded speed of every kernel in the list (sorad_kernel_list.h), each next to the peak-throughput microbenchmark of the same
// instruction set, measured just before it.
// Invariant: each figure is the best of several short runs, so a busy machine lowers it as little as possible.

import CSoradKernels
import SoradSystem
import SoradTensor

@safe struct KernelBenchmark {
    private let isa: sorad_isa
    /// Lives as long as the process.
    let kernels: UnsafePointer<sorad_kernels>

    init(isaName: String?) throws(SoradError) {
        var isa = sorad_isa_best(sorad_isa_at(sorad_isa_count() - 1))
        if let isaName {
            guard unsafe sorad_isa_from_name(isaName, &isa) else {
                throw SoradError(.usage, "there is no instruction set named \"\(isaName)\"")
            }
        }
        guard let kernels = unsafe sorad_kernels_for(isa) else {
            throw SoradError(.unavailable, "this machine cannot run \(isaName ?? "")", hint: "leave --isa away")
        }
        self.isa = isa
        unsafe self.kernels = kernels
    }

    func run(filter: String?) -> BenchmarkReport {
        var report = unsafe BenchmarkReport(isa: String(cString: sorad_isa_name(isa)))
        for index in 0..<sorad_kernel_count() {
            let row = unsafe sorad_kernel_at(index)
            for measurement in unsafe measurements(of: row) {
                let name = unsafe String(cString: row.name) + measurement.variant
                guard filter.map({ name.contains($0) || measurement.shape.contains($0) }) ?? true else { continue }
                let peak = measurement.peak == .none ? nil : peakRate(isInteger: measurement.peak == .int8)
                report.rows.append(BenchmarkRow(name: name, shape: measurement.shape, rate: measurement.work().best, peak: peak))
            }
        }
        return report
    }

    /// One kernel on one shape.
    struct Measurement {
        enum Peak { case int8, float, none }

        /// What distinguishes it from others of the same kernel, appended to the name.
        var variant = ""
        let shape: String
        /// Which peak it is a share of; none where a kernel moves memory rather than multiplies.
        let peak: Peak
        let work: () -> Rate
    }

    /// Everything that is measured of a kernel, by the type of its function: a kernel of a new type needs a case here.
    @unsafe private func measurements(of row: sorad_kernel_row) -> [Measurement] {
        switch unsafe String(cString: row.type) {
        case "gemm_qd8": gemmInt8()
        case "gemm_f32": gemmFloat()
        case "dequantize": dequantize()
        case "quantize_rows": quantizeRows()
        case "conv2d_f32": convolutionFloat()
        case "conv2d_qt8": convolutionInt8()
        case "minmax": minmax()
        case "minmax_channels": minmaxChannels()
        case "quantize_image": quantizeImage()
        case "norm": unsafe norm(function(row))
        case "rope": rope()
        case "hadamard": hadamard()
        case "attention_pack": []  // measured with attention
        case "attention": unsafe attention(isInt8: row.offset == MemoryLayout<sorad_kernels>.offset(of: \.attention_f32_qd8kv))
        case "unary": unsafe unary(function(row))
        case "binary": unsafe binary(function(row))
        case "binary_scaled": unsafe binaryScaled(function(row))
        case "count", "packed_bytes", "gemm_qd8_scratch", "conv2d_qt8_scratch", "gemm_qd8_i32": []  // sizes, and sums for the tests
        case let type: preconditionFailure("no benchmark for kernels of type \(type)")
        }
    }

    /// The kernel of a row; the type must be that of the row.
    @unsafe private func function<Function>(_ row: sorad_kernel_row) -> Function {
        unsafe UnsafeRawPointer(kernels).load(fromByteOffset: row.offset, as: Function.self)
    }

    // MARK: Peak

    /// Of one thread, in operations per second; nil where the instruction set has none.
    func peakRate(isInteger: Bool) -> Double? {
        let iterations: UInt64 = 200_000
        guard (isInteger ? sorad_peak_int8(Int32(isa.rawValue), 1) : sorad_peak_f32(Int32(isa.rawValue), 1)) > 0 else { return nil }
        let operations = isInteger ? sorad_peak_int8(Int32(isa.rawValue), iterations) : sorad_peak_f32(Int32(isa.rawValue), iterations)
        return Rate.measure(operations: Double(operations)) {
            _ = isInteger ? sorad_peak_int8(Int32(isa.rawValue), iterations) : sorad_peak_f32(Int32(isa.rawValue), iterations)
        }.best
    }
}

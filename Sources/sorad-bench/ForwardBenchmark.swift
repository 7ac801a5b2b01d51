// Owns `sorad-bench layers` and `sorad-bench forward`: forward passes of a transformer of any size with synthetic weights, whole or
// operation by operation. Invariant: every weight is memory of its own, so that layers do not find each other's in the cache.
import CSoradKernels
import SoradCPU
import SoradModel
import SoradSystem
import SoradTensor

struct ForwardBenchmark {
    /// What can be asked for by name; each number can be changed by an option.
    struct Configuration {
        var layers, heads, headWidth, feedForward, textWidth, channels, textTokens: Int
        /// Of the latents.
        var frames, height, width: Int

        static let named: [(name: String, value: Configuration)] = [
            (
                "sorad-mini",
                Configuration(
                    layers: 8, heads: 4, headWidth: 64, feedForward: 1024, textWidth: 256, channels: 48, textTokens: 64, frames: 5,
                    height: 8, width: 8)
            ),
            (
                "wan-1.3b",
                Configuration(
                    layers: 30, heads: 12, headWidth: 128, feedForward: 8960, textWidth: 4096, channels: 16, textTokens: 512, frames: 5,
                    height: 32, width: 32)
            ),
        ]
    }

    var configuration = Configuration.named[0].value
    var threads: Int?
    var isa: String?
    /// As `makeBackend` takes it.
    var backend = "cpu"
    var json = false
    var profile = false
    /// One block instead of all, and a line per operation.
    var oneLayer = false

    func run() throws(SoradError) -> String {
        let c = configuration
        let set = if let isa { try InstructionSet(atMost: isa) } else { try InstructionSet.fromEnvironment() }
        let count = threads ?? ProcessorCount.usable()
        // A device works ahead, and rows go through several operations, unless each operation is to be timed.
        let backend = ProfilingBackend(
            try makeBackend(self.backend, threads: count, set), timesEach: profile || oneLayer)
        let transformer = try syntheticWan(
            layers: oneLayer ? 1 : c.layers, heads: c.heads, headWidth: c.headWidth, feedForward: c.feedForward,
            textWidth: c.textWidth, channels: c.channels, backend)
        resetMostMemory()
        let grid = transformer.grid(LatentSize(channels: c.channels, frames: c.frames, height: c.height, width: c.width))
        let workspace = transformer.workspace(grid, sequences: 1, timesteps: 1)
        let latent = backend.tensor(Shape(c.channels, c.frames, c.height, c.width))
        latent.fillNormal(seed: 1, stream: 0)
        let text = Tensor(Shape(min(20, c.textTokens), c.textWidth))
        text.fillNormal(seed: 1, stream: 1)
        let prompt = transformer.prepare(text, textLength: c.textTokens)
        let velocity = backend.tensor(latent.shape)
        let tokens = c.frames * c.height * c.width / 4
        func forward() throws(SoradError) -> Double {
            let start = ContinuousClock.now
            transformer.forward(
                latent, timesteps: [500], groups: ModulationGroups(all: tokens), prompts: [prompt], workspace: workspace, into: [velocity],
                stop: {})
            try backend.finish()
            return (ContinuousClock.now - start).seconds
        }
        // Peaks of as many threads at once, just before and just after.
        var report = ForwardReport(
            title:
                "\(backend.description), \(tokens) tokens, \(oneLayer ? 1 : c.layers) layers of \(c.heads)x\(c.headWidth), feed-forward \(c.feedForward)",
            peaks: PeakThroughput.rates(set, threads: count))
        _ = try forward()
        report.best = .infinity
        var total = 0.0
        while report.runs < 2 || total < 0.5 && report.runs < 100 {
            backend.forget()
            let seconds = try forward()
            if seconds < report.best { (report.best, report.entries) = (seconds, backend.entries) }
            total += seconds
            report.runs += 1
        }
        report.peaks = PeakThroughput.rates(set, threads: count, before: report.peaks)
        report.peakBytes = mostMemory()
        return json ? report.json(profile: profile || oneLayer) : report.table(profile: profile || oneLayer)
    }
}

/// The fastest of several forward passes or decodings.
struct ForwardReport {
    var what = "forward"
    let title: String
    /// Of all threads: int8, float.
    var peaks: [PeakThroughput.Rate?]
    var runs = 0
    var best = 0.0
    var entries: [ProfilingBackend.Entry] = []
    /// The most that the process has held in memory.
    var peakBytes: Int?
    /// Distance of decoded frames from those of another model file, in decibels.
    var psnr: (against: String, mean: Double, worst: Double)?

    private var operations: Double { entries.reduce(0) { $0 + $1.operations * Double($1.calls) } }

    /// Of the int8 peak, if that is what most of the work is.
    private var wholeRatio: Double? {
        let integer = entries.reduce(0) { $0 + ($1.isInteger ? $1.operations * Double($1.calls) : 0) }
        return integer * 2 > operations ? peaks[0].map { operations / best * 1e-9 / $0.typical } : nil
    }

    private func rate(_ entry: ProfilingBackend.Entry) -> Double { entry.operations * Double(entry.calls) / entry.seconds * 1e-9 }

    private func ratio(_ entry: ProfilingBackend.Entry) -> Double? {
        entry.operations == 0 ? nil : peaks[entry.isInteger ? 0 : 1].map { rate(entry) / $0.typical }
    }

    func table(profile: Bool) -> String {
        var lines = [title]
        let memory = peakBytes.map { "; at most \($0 >> 20) MiB in memory" } ?? ""
        let share = wholeRatio.map { ratio in
            ", \(fixed(ratio * 100, 1)) % of the int8 peak of \(fixed(peaks[0]?.typical ?? 0, 0)) (at best \(fixed(peaks[0]?.best ?? 0, 0)))"
        }
        let speed = fixed(operations / best * 1e-9, 1)
        lines.append("\(what) \(fixed(best * 1e3, 2)) ms, best of \(runs); \(speed) GOP/s\(share ?? "")\(memory)")
        if let psnr {
            lines.append(
                "against \(psnr.against): PSNR \(fixed(psnr.mean, 2)) dB in the mean of \(runs) clips, \(fixed(psnr.worst, 2)) dB in the worst"
            )
        }
        guard profile else { return lines.joined(separator: "\n") }
        lines.append(columns("operation", "shape", "calls", "ms", "share", "GOP/s", "of peak"))
        for entry in entries.sorted(by: { $0.seconds > $1.seconds }) {
            lines.append(
                columns(
                    entry.name, entry.shape, "\(entry.calls)", fixed(entry.seconds * 1e3, 3), fixed(entry.seconds / best * 100, 1) + " %",
                    entry.operations == 0 ? "-" : fixed(rate(entry), 1), ratio(entry).map { fixed($0 * 100, 1) + " %" } ?? "-"))
        }
        let known = entries.reduce(0) { $0 + $1.seconds }
        lines.append("these operations are \(fixed(known / best * 100, 1)) % of the time")
        return lines.joined(separator: "\n")
    }

    /// Names and shapes are our own ASCII without quotes, so nothing needs escaping.
    func json(profile: Bool) -> String {
        let rows = entries.map { entry in
            """
            {"operation": "\(entry.name)", "shape": "\(entry.shape)", "calls": \(entry.calls), "seconds": \(fixed(entry.seconds, 9)), \
            "gops": \(entry.operations == 0 ? "null" : fixed(rate(entry), 3)), "ratio": \(ratio(entry).map { fixed($0, 4) } ?? "null")}
            """
        }
        let head = """
            {"title": "\(title)", "seconds": \(fixed(best, 9)), "runs": \(runs), "operations": \(fixed(operations, 0)), \
            "peak_int8_gops": \(peaks[0].map { fixed($0.typical, 3) } ?? "null"), \
            "best_peak_int8_gops": \(peaks[0].map { fixed($0.best, 3) } ?? "null"), \
            "peak_f32_gops": \(peaks[1].map { fixed($0.typical, 3) } ?? "null"), \
            "peak_bytes": \(peakBytes.map(String.init) ?? "null")\(psnr.map { ", \"psnr_mean\": \(fixed($0.mean, 3)), \"psnr_worst\": \(fixed($0.worst, 3))" } ?? "")
            """
        return profile ? head + ", \"rows\": [\n  " + rows.joined(separator: ",\n  ") + "\n]}" : head + "}"
    }

    private func columns(_ name: String, _ shape: String, _ figures: String...) -> String {
        func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.count)) }
        return padded(name, 16) + padded(shape, 34)
            + figures.map { String(repeating: " ", count: max(1, 10 - $0.count)) + $0 }.joined()
    }
}

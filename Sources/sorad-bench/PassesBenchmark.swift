// Owns `sorad-bench passes`: what fewer passes through the network save and cost. The same clips are made with all passes, with steps left
// out at several tolerances, and with guidance in an interval; their frames are compared with those of all passes.
import SoradCPU
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor

struct PassesBenchmark {
    let path: String
    var threads: Int?
    var isa: String?
    var clips = 4
    var steps: Int?
    var json = false

    private static let rows: [(name: String, tolerance: Float?, interval: ClosedRange<Float>)] = [
        ("all", nil, 0...1), ("cache 0.02", 0.02, 0...1), ("cache 0.05", 0.05, 0...1), ("cache 0.1", 0.1, 0...1), ("cache 0.2", 0.2, 0...1),
        ("guidance at 0.3 to 0.95", nil, 0.3...0.95), ("guidance at 0.3 to 0.95, cache 0.05", 0.05, 0.3...0.95),
    ]

    private struct Clip {
        let frames: [UInt8]
        let passes: Int
        let seconds: Double
    }

    func run() throws(SoradError) -> String {
        let set = if let isa { try InstructionSet(atMost: isa) } else { try InstructionSet.fromEnvironment() }
        let backend = try BackendFactory.cpu(threads: threads, instructionSet: set).make()
        let model = try VideoModel(file: ModelFile(opening: path), backend: backend)
        let steps = steps ?? model.configuration.defaults.numInferenceSteps
        let title = "\(path): \(clips) clips of \(steps) steps, \(backend.description)"
        var lines = [title, "| passes | made | denoising | PSNR, mean | worst |", "|---|---|---|---|---|"]
        var found: [JSONValue] = []
        var whole: [Clip] = []
        for row in Self.rows {
            let settings = PassSettings(
                guidanceScale: model.configuration.defaults.guidanceScale, guidanceInterval: row.interval, cacheTolerance: row.tolerance)
            let made = try (1...clips).map { seed throws(SoradError) in try clip(model, seed: seed, steps: steps, settings) }
            if whole.isEmpty { whole = made }
            let ratios = zip(made, whole).map { signalToNoise($0.frames, $1.frames) }
            func mean(_ value: (Clip) -> Double) -> Double { made.reduce(0) { $0 + value($1) } / Double(clips) }
            let (passes, seconds) = (mean { Double($0.passes) }, mean(\.seconds))
            let (average, worst) = (ratios.reduce(0, +) / Double(clips), ratios.min() ?? 0)
            lines.append(
                "| \(row.name) | \(fixed(passes, 1)) | \(fixed(seconds, 2)) s | \(fixed(average, 1)) dB | \(fixed(worst, 1)) dB |")
            found.append([
                "name": .string(row.name), "passes": .double(passes), "seconds": .double(seconds), "psnr_mean": .double(average),
                "psnr_worst": .double(worst),
            ])
        }
        if json { return JSONValue.object(["title": .string(title), "rows": .array(found)]).text() }
        return lines.joined(separator: "\n")
    }

    private func clip(_ model: VideoModel, seed: Int, steps: Int, _ settings: PassSettings) throws(SoradError) -> Clip {
        // The prompt is some tokens, another for every seed.
        let text = try model.encodeText((0..<20).map { 2 + ($0 * 13 + Int32(seed) * 37) % 300 } + [1])
        var (passes, seconds) = (0, 0.0)
        let latent = try ClipDenoising(model, steps: steps, settings: settings).run(
            prompt: text, negative: model.encodeText([1]), seed: UInt64(seed)
        ) {
        } done: { part in
            passes += part.passes
            seconds += part.denoising
        }
        var frames: [UInt8] = []
        model.decode(latent) { frames += $1 }
        return Clip(frames: frames, passes: passes, seconds: seconds)
    }
}

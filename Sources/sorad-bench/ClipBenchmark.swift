// Owns `sorad-bench clip`: one whole clip of a model file, without the daemon, with the time of every stage.
import Glibc
import SoradCPU
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor

struct ClipBenchmark {
    let path: String
    var threads: Int?
    var isa: String?
    var steps: Int?
    /// As `makeBackend` takes it.
    var backend = "cpu"
    var json = false

    /// The same clip made by a worker process.
    var throughWorker: WorkerBenchmark { WorkerBenchmark(modelPath: path, threads: threads, isa: isa, steps: steps, backend: backend) }

    /// Seconds of one stage, and its arithmetic where that is what the time goes to.
    struct Stage {
        let name: String
        let seconds: Double
        /// Multiplies and adds; 0 where nothing is computed.
        var operations = 0.0
        var note = ""
    }

    struct Report {
        let title: String
        /// Thousand millions of int8 operations per second of all threads, measured just before.
        let peak: Double?
        var stages: [Stage] = []
        /// The most that the process has held in memory, and the sum of the stages.
        var peakBytes: Int?
        var worker: WorkerBenchmark.Report?

        var seconds: Double { stages.reduce(0) { $0 + $1.seconds } }

        private func ratio(_ stage: Stage) -> Double? {
            stage.operations == 0 ? nil : peak.map { stage.operations / stage.seconds * 1e-9 / $0 }
        }

        var table: String {
            var lines = [title]
            for stage in stages {
                let share = ratio(stage).map { "\(fixed($0 * 100, 1)) % of the int8 peak; " } ?? ""
                lines.append(row(stage.name, stage.seconds, share + stage.note))
            }
            lines.append(row("clip", seconds, peakBytes.map { "at most \($0 >> 20) MiB in memory" } ?? ""))
            return lines.joined(separator: "\n") + (worker.map { "\n" + $0.table } ?? "")
        }

        private func row(_ name: String, _ seconds: Double, _ note: String) -> String {
            name + String(repeating: " ", count: max(1, 18 - name.count)) + fixed(seconds * 1e3, 1) + " ms  " + note
        }

        var json: JSONValue {
            var object: JSONObject = [
                "title": .string(title), "seconds": .double(seconds),
                "stages": .array(
                    stages.map { stage in
                        var object: JSONObject = ["name": .string(stage.name), "seconds": .double(stage.seconds)]
                        if stage.operations > 0 { object["operations"] = .double(stage.operations) }
                        object["ratio"] = ratio(stage).map { .double($0) }
                        return .object(object)
                    }),
            ]
            object["peak_int8_gops"] = peak.map { .double($0) }
            object["peak_bytes"] = peakBytes.map { .integer($0) }
            object["worker"] = worker?.json
            return .object(object)
        }
    }

    func run() throws(SoradError) -> Report {
        var stages: [Stage] = []
        let set = if let isa { try InstructionSet(atMost: isa) } else { try InstructionSet.fromEnvironment() }
        let count = threads ?? ProcessorCount.usable()
        let peak = PeakThroughput(set, isInteger: true, threads: count)?.rate().typical
        var clock = Stopwatch()
        let isOnCPU = self.backend == "cpu"
        let backend = ProfilingBackend(try makeBackend(self.backend, threads: count, set), timesEach: false)
        let text = try isOnCPU ? nil : makeBackend("cpu", threads: count, set)
        let file = try ModelFile(opening: path)
        let checked = clock.lap()
        let model = try VideoModel(file: file, backend: backend, textBackend: text)
        let d = model.configuration.defaults
        stages.append(Stage(name: "verify the file", seconds: checked))
        stages.append(Stage(name: "load", seconds: clock.lap()))
        let prompt = try model.encodeText((0..<20).map { 300 + $0 } + [1])
        let negative = try model.encodeText([1])
        stages.append(Stage(name: "encode text", seconds: clock.lap(), note: "21 tokens"))
        let scale = model.configuration.spatialScale
        let latent = try ClipDenoising(model, steps: steps).run(prompt: prompt, negative: negative, seed: 1) {
            backend.forget()
        } done: { part in
            let each = Int(part.denoising / Double(part.steps) * 1e6)
            let isBase = part.size.width * scale < d.width
            stages.append(Stage(name: "prepare prompts", seconds: part.preparing))
            stages.append(
                Stage(
                    name: isBase ? "denoise, half" : "denoise", seconds: part.denoising, operations: backend.operations,
                    note: "\(part.steps) steps, \(each) µs each, guidance \(d.guidanceScale)"))
        }
        _ = clock.lap()
        backend.forget()
        var frames = 0
        var hash = SHA256()
        model.decode(latent) { _, rgb in
            hash.update(rgb)
            frames += 1
        }
        stages.append(
            Stage(
                name: "decode", seconds: clock.lap(), operations: backend.operations,
                note: "\(frames) frames of \(d.width)×\(d.height), sha256 \(SHA256.hexadecimal(hash.finalize()).prefix(16))…"))
        return Report(title: "\(path), \(backend.description)", peak: peak, stages: stages, peakBytes: mostMemory())
    }
}

/// Wall-clock time since the last look.
private struct Stopwatch {
    private var last = ContinuousClock.now

    mutating func lap() -> Double {
        let now = ContinuousClock.now
        let passed = now - last
        last = now
        return Double(passed.components.seconds) + Double(passed.components.attoseconds) * 1e-18
    }
}

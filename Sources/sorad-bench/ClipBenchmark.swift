// Owns `sorad-bench clip`: one whole clip of a model file, without the daemon, with the time of every stage.
import Glibc
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor

struct ClipBenchmark {
    let path: String
    var threads: Int?
    var isa: String?
    var steps: Int?

    /// The same clip made by a worker process.
    var throughWorker: WorkerBenchmark { WorkerBenchmark(modelPath: path, threads: threads, isa: isa, steps: steps) }

    /// Seconds of one stage.
    struct Stage {
        let name: String
        let seconds: Double
        var note = ""
    }

    func run() throws(SoradError) -> [Stage] {
        var stages: [Stage] = []
        var clock = Stopwatch()
        let set = if let isa { try InstructionSet(atMost: isa) } else { try InstructionSet.fromEnvironment() }
        let backend = try CPUBackend(threads: threads, instructionSet: set)
        let file = try ModelFile(opening: path)
        let checked = clock.lap()
        let model = try VideoModel(file: file, backend: backend)
        let c = model.configuration
        let d = c.defaults
        stages.append(Stage(name: "verify the file", seconds: checked))
        stages.append(Stage(name: "load", seconds: clock.lap(), note: backend.description))
        let size = try c.latentSize(width: d.width, height: d.height, numFrames: d.numFrames)
        let text = try model.encodeText((0..<20).map { 300 + $0 } + [1])
        let negative = try model.encodeText([1])
        stages.append(Stage(name: "encode text", seconds: clock.lap(), note: "21 tokens"))
        let latent = model.initialNoise(seed: 1, size)
        let steps = steps ?? d.numInferenceSteps
        let denoiser = try model.denoiser(
            size, prompt: text, negativePrompt: negative, guidanceScale: d.guidanceScale, steps: steps, shift: d.flowShift)
        stages.append(Stage(name: "prepare prompts", seconds: clock.lap()))
        for step in 0..<steps { denoiser.step(step, latent) }
        let denoise = clock.lap()
        stages.append(
            Stage(
                name: "denoise", seconds: denoise,
                note: "\(steps) steps, \(Int(denoise / Double(steps) * 1e6)) µs each, guidance \(d.guidanceScale)"))
        var frames = 0
        var hash = SHA256()
        model.decode(latent) { _, rgb in
            hash.update(rgb)
            frames += 1
        }
        stages.append(
            Stage(
                name: "decode", seconds: clock.lap(),
                note: "\(frames) frames of \(d.width)×\(d.height), sha256 \(SHA256.hexadecimal(hash.finalize()).prefix(16))…"))
        stages.append(Stage(name: "clip", seconds: stages.reduce(0) { $0 + $1.seconds }))
        return stages
    }

    static func table(_ stages: [Stage]) -> String {
        stages.map { stage in
            let name = stage.name + String(repeating: " ", count: max(0, 18 - stage.name.count))
            let milliseconds = (stage.seconds * 1e4).rounded() / 10
            return "\(name)\(milliseconds) ms  \(stage.note)"
        }.joined(separator: "\n")
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

// Owns `sorad-bench steps`: how far the direction of each denoise step is from that of a reference model, usually the float one of the same
// checkpoint. Both take every step from the latents of the reference's own run, so no step inherits the error of the one before.
import Glibc
import SoradCPU
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor

struct StepsBenchmark {
    let path: String
    /// The model whose steps are the reference.
    let against: String
    var threads: Int?
    var isa: String?
    var clips = 4
    var steps: Int?
    var json = false

    func run() throws(SoradError) -> String {
        let set = if let isa { try InstructionSet(atMost: isa) } else { try InstructionSet.fromEnvironment() }
        let models = try [path, against].map { path throws(SoradError) in
            try VideoModel(file: ModelFile(opening: path), backend: BackendFactory.cpu(threads: threads, instructionSet: set).make())
        }
        let d = models[0].configuration.defaults
        let size = try models[0].configuration.latentSize(width: d.width, height: d.height, numFrames: d.numFrames)
        let steps = steps ?? d.numInferenceSteps
        let title = "\(path) against \(against): \(clips) clips of \(steps) steps, \(models[0].backend.description)"
        var lines = [title]
        var rows: [JSONValue] = []
        for guidanceScale in d.guidanceScale == 1 ? [1] : [1, d.guidanceScale] {
            var found: [(cosine: Double, error: Double)] = []
            for seed in 1...clips { found += try compare(models, size, seed: seed, steps: steps, guidanceScale: guidanceScale) }
            let mean = found.reduce(0) { $0 + $1.cosine } / Double(found.count)
            let worst = found.min { $0.cosine < $1.cosine } ?? (1, 0)
            rows.append([
                "guidance_scale": .double(Double(guidanceScale)), "cosine_mean": .double(mean), "cosine_worst": .double(worst.cosine),
                "error_worst": .double(worst.error),
            ])
            lines.append(
                "guidance \(fixed(Double(guidanceScale), 1)): step cosine \(fixed(mean, 5)) in the mean, \(fixed(worst.cosine, 5)) at the worst step "
                    + "(relative error \(fixed(worst.error * 100, 2)) %)")
        }
        if json { return JSONValue.object(["title": .string(title), "rows": .array(rows)]).text() }
        return lines.joined(separator: "\n")
    }

    /// Cosine and relative error of each step's change.
    private func compare(
        _ models: [VideoModel], _ size: LatentSize, seed: Int, steps: Int, guidanceScale: Float
    ) throws(SoradError) -> [(cosine: Double, error: Double)] {
        // The prompt is some tokens, another for every seed. Both denoise for the reference's embeddings.
        let text = try models[1].encodeText((0..<20).map { 2 + ($0 * 13 + Int32(seed) * 37) % 300 } + [1])
        let negative = try models[1].encodeText([1])
        let shift = models[0].configuration.defaults.flowShift
        let denoisers = try models.map { model throws(SoradError) in
            try model.denoiser(
                size, prompt: text, negativePrompt: negative, guidanceScale: guidanceScale, steps: steps, shift: shift)
        }
        let latent = models[0].initialNoise(seed: UInt64(seed), size)
        return (0..<steps).map { step in
            let before = latent.elements
            let other = latent.clone()
            denoisers[0].step(step, other)
            denoisers[1].step(step, latent)
            return StepsBenchmark.distance(other.elements, latent.elements, from: before)
        }
    }

    private static func distance(_ a: [Float], _ b: [Float], from start: [Float]) -> (cosine: Double, error: Double) {
        var (product, squareA, squareB, squares) = (0.0, 0.0, 0.0, 0.0)
        for index in start.indices {
            let (x, y) = (Double(a[index] - start[index]), Double(b[index] - start[index]))
            product += x * y
            squareA += x * x
            squareB += y * y
            squares += (x - y) * (x - y)
        }
        return (product / (squareA * squareB).squareRoot(), (squares / squareB).squareRoot())
    }
}

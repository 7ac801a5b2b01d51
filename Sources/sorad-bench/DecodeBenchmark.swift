// Owns `sorad-bench decode`: the video decoder alone, on latents that the model itself made; and, against another model file, how far apart
// the two decoders' frames are. Both files must hold the same transformer, or the comparison is of clips and not of decoders.
import Glibc
import SoradCPU
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor

struct DecodeBenchmark {
    let path: String
    /// The model whose decoder is the reference, usually the float one.
    var against: String?
    var threads: Int?
    var isa: String?
    var clips = 4
    var profile = false
    var json = false

    func run() throws(SoradError) -> String {
        let set = if let isa { try InstructionSet(atMost: isa) } else { try InstructionSet.fromEnvironment() }
        let factory = BackendFactory.cpu(threads: threads, instructionSet: set)
        let backend = ProfilingBackend(try factory.make())
        let model = try VideoModel(file: ModelFile(opening: path), backend: backend)
        var reference: VideoModel?
        if let against {
            reference = try VideoModel(file: ModelFile(opening: against), backend: factory.make())
        }
        let d = model.configuration.defaults
        var report = ForwardReport(
            what: "decode", title: "\(path): \(d.numFrames) frames of \(d.width)×\(d.height), \(backend.description)",
            peaks: PeakThroughput.rates(set, threads: threads ?? ProcessorCount.usable()))
        report.best = .infinity
        var decibels: [Double] = []
        for seed in 1...clips {
            let latent = try makeLatent(model, seed: UInt64(seed))
            backend.forget()
            let start = ContinuousClock.now
            let frames = decoded(latent, model)
            let seconds = (ContinuousClock.now - start).seconds
            if seconds < report.best { (report.best, report.entries) = (seconds, backend.entries) }
            report.runs += 1
            if let reference { decibels.append(signalToNoise(frames, decoded(latent, reference))) }
        }
        report.peakBytes = mostMemory()
        if let against, let worst = decibels.min() {
            report.psnr = (against, decibels.reduce(0, +) / Double(decibels.count), worst)
        }
        return json ? report.json(profile: profile) : report.table(profile: profile)
    }

    /// A clip's latents, by the model's own defaults; the prompt is some tokens, another for every seed.
    private func makeLatent(_ model: VideoModel, seed: UInt64) throws(SoradError) -> Tensor {
        let text = try model.encodeText((0..<20).map { 2 + ($0 * 13 + Int32(seed) * 37) % 300 } + [1])
        return try ClipDenoising(model).run(prompt: text, negative: model.encodeText([1]), seed: seed)
    }

    private func decoded(_ latent: Tensor, _ model: VideoModel) -> [UInt8] {
        var frames: [UInt8] = []
        model.decode(latent) { frames += $1 }
        return frames
    }
}

/// Peak signal to noise of two clips, in decibels; 99 where nothing differs.
func signalToNoise(_ a: [UInt8], _ b: [UInt8]) -> Double {
    precondition(a.count == b.count, "clips of \(a.count) and \(b.count) bytes")
    var squares = 0
    for (x, y) in zip(a, b) { squares += (Int(x) - Int(y)) * (Int(x) - Int(y)) }
    return squares == 0 ? 99 : min(99, 10 * log10(255 * 255 * Double(a.count) / Double(squares)))
}

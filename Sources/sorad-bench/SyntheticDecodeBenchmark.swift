// Owns `sorad-bench decode-wan` and `decode-taehv`: a whole clip decoded by Wan's causal autoencoder or by TAEHV with synthetic weights of the
// published sizes, int8 where a converted file's may be. Invariant: every weight is memory of its own, as in a model file.
import Glibc
import SoradCPU
import SoradModel
import SoradSystem
import SoradTensor

struct SyntheticDecodeBenchmark {
    enum Family: String {
        case wan, taehv
    }

    let family: Family
    /// Pixels, multiples of 8; frames, 1 plus a multiple of 4.
    var width = 256
    var height = 256
    var frames = 17
    /// Channels of the finest level of Wan's: 96 in Wan 2.1.
    var baseWidth = 96
    var runs = 1
    var threads: Int?
    var isa: String?
    var json = false
    var profile = false

    func run() throws(SoradError) -> String {
        let set = if let isa { try InstructionSet(atMost: isa) } else { try InstructionSet.fromEnvironment() }
        let count = threads ?? ProcessorCount.usable()
        let backend = ProfilingBackend(try BackendFactory.cpu(threads: count, instructionSet: set).make())
        let autoencoder: any Autoencoder =
            switch family {
            case .wan: try syntheticWanAutoencoder(baseWidth: baseWidth, backend)
            case .taehv: try syntheticTAEHV(backend)
            }
        resetMostMemory()
        let latent = backend.tensor(Shape(16, (frames - 1) / 4 + 1, height / 8, width / 8))
        latent.fillNormal(seed: 1, stream: 0)
        let workspace = autoencoder.decodeBytes(
            LatentSize(channels: 16, frames: latent.shape[1], height: latent.shape[2], width: latent.shape[3]))
        var report = ForwardReport(
            what: "decode-\(family)",
            title:
                "\(backend.description), \(family == .wan ? "Wan autoencoder of base width \(baseWidth)" : "TAEHV"), \(width)x\(height), \(frames) frames, \(workspace >> 20) MiB of workspace",
            peaks: PeakThroughput.rates(set, threads: count))
        report.best = .infinity
        for _ in 0..<runs {
            backend.forget()
            var made = 0
            let start = ContinuousClock.now
            autoencoder.decodeValues(latent, stop: {}) { _, _ in made += 1 }
            try backend.finish()
            let seconds = (ContinuousClock.now - start).seconds
            precondition(made == frames, "\(made) frames of \(frames)")
            if seconds < report.best { (report.best, report.entries) = (seconds, backend.entries) }
            report.runs += 1
        }
        report.peakBytes = mostMemory()
        return json ? report.json(profile: profile) : report.table(profile: profile)
    }
}

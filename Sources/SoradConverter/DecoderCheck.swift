// Decodes the same latents with the checkpoint's video decoder in float and with its inner convolutions in int8: whether int8 is good enough,
// which its layers one by one do not tell.
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor

/// What int8 costs the frames of a decoder.
public struct DecoderDeviation: Sendable {
    /// Peak signal to noise of the frames against float's, of 255 levels.
    public let decibels: Double
    /// Whether the model file's decoder is int8.
    public internal(set) var isInt8 = false

    /// Frames are no worse than this where int8 is taken unasked: what H.264 makes of them in the clip's file changes them more.
    static let least = 38.0

    var sentence: String {
        let tenths = Int((decibels * 10).rounded())
        let text = "\(tenths / 10).\(tenths % 10) dB"
        return isInt8
            ? "the video decoder's inner convolutions are int8, its frames \(text) from float's (--float-decoder keeps float)"
            : "the video decoder stays float: int8 frames would be \(text) from float's, and \(Int(Self.least)) are wanted (--int8-decoder takes int8)"
    }
}

enum DecoderCheck {
    /// Latent frames and their sides: the first frame of a clip is decoded otherwise than the rest.
    private static let latent = (frames: 2, side: 16)

    /// - Parameter source: what errors call the checkpoint.
    /// - Returns: nil for a decoder of which nothing may be int8.
    static func run(
        _ checkpoint: Checkpoint, of source: String, _ options: ConversionOptions, _ backend: any ComputeBackend
    ) throws(SoradError) -> DecoderDeviation? {
        var int8 = options
        int8.int8Decoder = true
        var float = options
        float.float = true
        let plans = try plans(checkpoint, int8)
        guard plans.contains(where: { $0.row.bits == 8 }) else { return nil }
        let found = try frames(checkpoint, plans, source, backend)
        let exact = try frames(checkpoint, try Self.plans(checkpoint, float), source, backend)
        var squares = 0
        for (a, b) in zip(found, exact) { squares += (Int(a) - Int(b)) * (Int(a) - Int(b)) }
        let ratio = 255 * 255 * Double(exact.count) / Double(max(1, squares))
        return DecoderDeviation(decibels: squares == 0 ? 99 : min(99, 10 * naturalLogarithm(ratio) / naturalLogarithm(10)))
    }

    private static func plans(_ checkpoint: Checkpoint, _ options: ConversionOptions) throws(SoradError) -> [TensorPlan] {
        let planner = try TensorPlanner(options, checkpoint)
        let matched = checkpoint.tensors.filter { $0.rule.name.hasPrefix("vae.") }
        let largest = matched.reduce(0) { max($0, $1.tensor.elementCount) }
        var plans: [TensorPlan] = []
        try ParallelWork.run(matched.count, threads: ParallelWork<Never>.threads(itemBytes: 24 * largest)) { index throws(SoradError) in
            try planner.plan(matched[index].rule, matched[index].tensor)
        } take: { (_, plan) throws(SoradError) in
            plans.append(plan)
        }
        return plans
    }

    /// Bytes of the frames that a decoder of these tensors makes of normal latents.
    private static func frames(
        _ checkpoint: Checkpoint, _ plans: [TensorPlan], _ source: String, _ backend: any ComputeBackend
    ) throws(SoradError) -> [UInt8] {
        let data = Metadata(path: source, entries: checkpoint.autoencoder.metadata)
        let configuration = try ModelRegistry.standard.autoencoders.part(try data.string("vae.type"), "\(source): vae.type")(data)
        let autoencoder = try configuration.autoencoder(WeightReader(PlannedWeights(plans, path: source), "vae.", backend), backend)
        let latents = Tensor(Shape(configuration.latentChannels, latent.frames, latent.side, latent.side))
        latents.fillNormal(seed: 1, stream: 0)
        var bytes: [UInt8] = []
        autoencoder.decodeValues(latents, stop: {}) { _, frame in frame.appendBytes(to: &bytes) }
        try backend.finish()
        return bytes
    }
}

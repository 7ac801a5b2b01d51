// The clip that will be made: every value is set, so that the same plan always means the same frames.

/// The effective parameters of one clip. Made by the daemon from a client's `ClipRequest` and the model's defaults, stored with the job,
/// handed to the worker.
public struct ClipPlan: Sendable, Equatable {
    /// Ranges that hold for every model. The daemon refuses a request outside, and the worker checks its plan again.
    public static let numInferenceStepsRange = 1...1000
    public static let guidanceScaleRange = 0.0...50.0
    public static let flowShiftRange = 0.1...50.0
    public static let fpsRange = 1...60
    /// Of the noise levels that a request may name: 1 is pure noise, and the end of every run is 0.
    public static let sigmaRange = 1e-4...1.0
    public static let guidanceIntervalRange = 0.0...1.0
    /// Of the tolerance for steps that are left out, and the least number of steps of a clip some of which may be.
    public static let cacheRange = 0.001...0.5
    public static let cacheSteps = 20

    public var model: String
    public var prompt: String
    public var negativePrompt: String
    /// Pixels.
    public var width: Int
    public var height: Int
    /// Frames of the clip: 1 + a multiple of the model's `frameMultiple`.
    public var numFrames: Int
    /// Frames per second of playback.
    public var fps: Int
    public var seed: UInt64
    public var numInferenceSteps: Int
    /// 1 means no classifier-free guidance (one forward a step instead of two).
    public var guidanceScale: Double
    /// That of the second of two experts, for low noise; nil means what the model file says.
    public var secondGuidanceScale: Double?
    /// Noise levels σ of the steps that are guided; nil means all.
    public var guidanceInterval: ClosedRange<Double>?
    /// Estimated relative change of the velocity below which a step takes that of the last computed one; nil means that all are
    /// computed.
    public var cache: Double?
    public var flowShift: Double
    /// The noise levels of the steps, falling, where the request names them; the schedule of the model otherwise. The 0 at the end is not
    /// among them. Their number is `numInferenceSteps`, and `flowShift` has no say.
    public var sigmas: [Double] = []
    /// The two sizes in which it is denoised; nil for one.
    public var cascade: CascadePlan?
    /// Pictures and clips that the new one is made from; nil for text alone.
    public var given: ReferenceMedia?
    /// How the clip is denoised; none for a clip that is one window.
    public var windows: [ClipWindow] = []
    /// How many times the sides and the rate of what the decoder makes the finished clip has: 1, 2 or 4; 1 or 2.
    public var upscale = 1
    public var interpolate = 1
    /// The prompts of a storyboard; none where `prompt` is the whole clip's.
    public var scenes: [ClipScene] = []

    // The following is the daemon's own: it is not part of the JSON.

    /// For the answer.
    public var notes = RequestNotes()
    /// `MediaFacts.heldPixels` of the largest given file; 0 for none.
    public var referencePixels = 0
    /// Bytes that worker and ffmpeg take at their highest; 0 where that is not known.
    public var memory = 0

    public init(
        model: String, prompt: String, negativePrompt: String, width: Int, height: Int, numFrames: Int, fps: Int, seed: UInt64,
        numInferenceSteps: Int, guidanceScale: Double, flowShift: Double, given: ReferenceMedia? = nil
    ) {
        self.model = model
        self.prompt = prompt
        self.negativePrompt = negativePrompt
        self.width = width
        self.height = height
        self.numFrames = numFrames
        self.fps = fps
        self.seed = seed
        self.numInferenceSteps = numInferenceSteps
        self.guidanceScale = guidanceScale
        self.flowShift = flowShift
        self.given = given
    }
}

extension ClipPlan {
    public static let upscaleFactors = [2, 4]
    public static let interpolateFactors = [2]

    /// Of the finished clip, behind all stages. Interpolation shows the last frame twice, so that the playing time stays.
    public var shownWidth: Int { width * upscale }
    public var shownHeight: Int { height * upscale }
    public var shownFrames: Int { clipFrames * interpolate }
    public var shownRate: Int { fps * interpolate }

    /// Playing time of the finished clip.
    public var durationSeconds: Double { ClipPlan.duration(ofFrames: clipFrames, fps: fps) }

    /// Seconds that `frames` are on the screen.
    public static func duration(ofFrames frames: Int, fps: Int) -> Double { Double(frames) / Double(max(1, fps)) }

    /// A length as the hosted API writes it: whole seconds as text, so that clients which call `int()` survive; the nearest, at least "1".
    public static func wholeSeconds(_ duration: Double) -> String { "\(max(1, Int(duration.rounded())))" }

    /// Bytes that worker and ffmpeg take for the clip at their highest; nil where the model has no plan of its memory.
    public func memory(of model: ModelInfo?) -> Int? { model?.memory?.bytes(for: self, referencePixels: referencePixels) }
}

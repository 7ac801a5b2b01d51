// A request after validation: every value is set, so that the same request always means the same clip.

/// The effective parameters of one clip. Made by the daemon from what the client sent and the model's defaults; stored with the job;
/// handed to the worker unchanged.
public struct GenerationRequest: Sendable, Equatable {
    /// What any model may be asked for. The daemon refuses a request outside, and the worker checks again what it is handed.
    public static let numInferenceStepsRange = 1...1000
    public static let guidanceScaleRange = 0.0...50.0
    public static let flowShiftRange = 0.1...50.0

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
    public var flowShift: Double
    /// Pictures and clips that the new one is made from; nil for text alone.
    public var given: GivenFrames?

    public init(
        model: String, prompt: String, negativePrompt: String, width: Int, height: Int, numFrames: Int, fps: Int, seed: UInt64,
        numInferenceSteps: Int, guidanceScale: Double, flowShift: Double, given: GivenFrames? = nil
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

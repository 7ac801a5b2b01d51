// Sizes, limits and defaults of a model: the worker describes them, and the daemon checks requests with them.
public import SoradSystem

/// Facts about one installed model. Sent by the worker (`sorad-worker --describe` prints it as JSON) and kept by the daemon, which
/// links no engine code and so knows sizes and limits only from here.
public struct ModelInfo: Sendable, Equatable {
    /// Public name, e.g. "sorad-mini".
    public var id: String
    /// SHA-256 of the model file, 64 lower-case hexadecimal digits.
    public var sha256: String
    /// Unix time in seconds.
    public var created: Int
    public var license: String
    /// Native size in pixels and frames: the default of requests.
    public var defaultWidth: Int
    public var defaultHeight: Int
    public var defaultNumFrames: Int
    /// Frames per second of playback.
    public var fps: Int
    /// Width and height must be multiples of this (pixels).
    public var sizeMultiple: Int
    /// num_frames is rounded up to 1 + a multiple of this.
    public var frameMultiple: Int
    public var maxWidth: Int
    public var maxHeight: Int
    public var maxNumFrames: Int
    /// Upper bound of width × height × num_frames.
    public var maxPixels: Int
    public var defaultNumInferenceSteps: Int
    public var defaultGuidanceScale: Double
    public var defaultFlowShift: Double
    /// Some frames may be given: first and last frame, a clip to continue.
    public var takesConditioningFrames: Bool
    /// Two networks share the steps, each with a guidance scale of its own.
    public var hasExperts = false
    /// Pictures without which it makes no clip: 1 for that of the beginning, 2 for that of the end too.
    public var picturesNeeded = 0
    /// It follows a given clip, with a mask and reference pictures.
    public var takesControl = false
    /// Tokens of a prompt that the model reads at most, the end mark included; nil where nobody said.
    public var textLength: Int?
    /// Frames that are denoised together at most: a longer clip is made in windows. nil for a model that makes every clip at once.
    public var windowFrames: Int?
    /// The sizes that the model file declares, and then the only ones; none for a model with any size within its limits.
    public var declaredSizes: [PictureSize] = []
    /// How it makes clips in two sizes; nil for a model that does not.
    public var cascade: ModelCascade?
    /// The file has a network for the stage.
    public var upscales = false
    public var interpolates = false
    /// nil where it was not planned, as in the message of a running worker.
    public var memory: ModelMemory?
    /// Likewise.
    public var time: ModelTime?

    public init(
        id: String, sha256: String, created: Int, license: String, defaultWidth: Int, defaultHeight: Int, defaultNumFrames: Int,
        fps: Int, sizeMultiple: Int, frameMultiple: Int, maxWidth: Int, maxHeight: Int, maxNumFrames: Int, maxPixels: Int,
        defaultNumInferenceSteps: Int, defaultGuidanceScale: Double, defaultFlowShift: Double, takesConditioningFrames: Bool = false,
        textLength: Int? = nil, memory: ModelMemory? = nil
    ) {
        self.id = id
        self.sha256 = sha256
        self.created = created
        self.license = license
        self.defaultWidth = defaultWidth
        self.defaultHeight = defaultHeight
        self.defaultNumFrames = defaultNumFrames
        self.fps = fps
        self.sizeMultiple = sizeMultiple
        self.frameMultiple = frameMultiple
        self.maxWidth = maxWidth
        self.maxHeight = maxHeight
        self.maxNumFrames = maxNumFrames
        self.maxPixels = maxPixels
        self.defaultNumInferenceSteps = defaultNumInferenceSteps
        self.defaultGuidanceScale = defaultGuidanceScale
        self.defaultFlowShift = defaultFlowShift
        self.takesConditioningFrames = takesConditioningFrames
        self.textLength = textLength
        self.memory = memory
    }
}

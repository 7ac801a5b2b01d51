// A client's request, and the way from there to a plan in which every value is set. Pure; every refusal names the field and the values
// that are allowed.
public import SoradSystem

/// The fields of a request, each of the right type and range on its own; nil where the client sent none.
public struct ClipRequest: Sendable, Equatable {
    public static let promptLimit = 4_000
    public static let dimensionRange = 1...16_384
    public static let frameRange = 1...100_000
    public static let fpsRange = ClipPlan.fpsRange
    public static let secondsRange = 0.05...3_600.0
    /// Timesteps of training, of which 1000 are pure noise: all models that can be converted have as many.
    public static let timestepRange = 0.1...1_000.0

    public static let sceneLimit = 100

    /// One scene of a storyboard; one of its lengths is set.
    public struct Scene: Sendable, Equatable {
        public var prompt: String
        public var seconds: Double?
        public var numFrames: Int?

        public init(prompt: String, seconds: Double? = nil, numFrames: Int? = nil) {
            self.prompt = prompt
            self.seconds = seconds
            self.numFrames = numFrames
        }
    }

    /// The model's name.
    public var model: String?
    public var prompt = ""
    /// Scenes with prompts of their own, before each of which `prompt` is put; none for a clip of one prompt.
    public var storyboard: [Scene] = []
    public var negativePrompt: String?
    /// "WIDTHxHEIGHT"
    public var size: String?
    public var width: Int?
    public var height: Int?
    /// With `numFrames`, it must mean the same length.
    public var seconds: Double?
    public var numFrames: Int?
    public var fps: Int?
    public var seed: UInt64?
    public var numInferenceSteps: Int?
    public var guidanceScale: Double?
    public var secondGuidanceScale: Double?
    /// Noise levels of the guided steps, the lower one first; none for all.
    public var guidanceInterval: [Double] = []
    /// `ClipPlan.cache`.
    public var cache: Double?
    public var flowShift: Double?
    /// Noise levels of the steps, or the same in timesteps of training, 0 to `ClipRequest.timestepRange`'s end; one of the two.
    public var sigmas: [Double] = []
    public var timesteps: [Double] = []
    /// How much of a given picture or clip is replaced.
    public var strength: Double?
    /// How closely a given clip, pictures and references are followed, by models that do.
    public var conditioningScale: Double?
    /// Stages behind the decoder.
    public var upscale: Int?
    public var interpolate: Int?
    public var priority = 0
    /// A finished clip of the same plan will do.
    public var mayReuse = false
    /// What is done about a size or a length that the model does not make.
    public var sizePolicy = SizePolicy.refuse
    /// Fields that came with the request and have no effect.
    public var ignored: [String] = []

    public init() {}

    /// The plan for `model`. `randomSeed` is used when no seed was asked for.
    public func plan(for model: ModelInfo, randomSeed: UInt64) throws(SoradError) -> ClipPlan {
        var asked = self
        try model.checkPictures(nil)
        let scenes = try plannedScenes(model, fps: fps ?? model.fps, alone: 1)
        if !scenes.isEmpty { asked.numFrames = scenes.reduce(0) { $0 + $1.numFrames } }
        var plan = try asked.unwindowed(for: model, randomSeed: randomSeed)
        plan.given = try following(model, ReferenceMedia(), references: 0)
        return asked.windowed(plan, scenes, model)
    }

    /// The plan of a clip that is denoised at once, whatever its length.
    func unwindowed(for model: ModelInfo, randomSeed: UInt64) throws(SoradError) -> ClipPlan {
        try check(prompt, "prompt")
        if isBlank(prompt), storyboard.isEmpty { throw refused("prompt", "the prompt is empty; describe the clip in a sentence") }
        try check(negativePrompt ?? "", "negative_prompt")
        var notes = RequestNotes()
        notes.ignored = ignored
        let (width, height) = sizePolicy.size(try plannedSize(model), model, &notes)
        let fps = fps ?? model.fps
        let frames = sizePolicy.frames(plannedFrames(model, fps: fps), fps, (width, height), model, &notes)
        try checkLengths(fps: fps) { wanted in ClipRequest.grouped(wanted, model) }
        do throws(SoradError) { try model.sizes.check(width: width, height: height, numFrames: frames, fps: fps) } catch {
            throw refused(askedField(error.param), error.message)
        }
        var plan = ClipPlan(
            model: model.id, prompt: prompt, negativePrompt: negativePrompt ?? "", width: width, height: height, numFrames: frames,
            fps: fps, seed: seed ?? randomSeed, numInferenceSteps: numInferenceSteps ?? model.defaultNumInferenceSteps,
            guidanceScale: guidanceScale ?? model.defaultGuidanceScale, flowShift: flowShift ?? model.defaultFlowShift)
        plan.upscale = upscale ?? 1
        plan.interpolate = interpolate ?? 1
        plan.notes = notes
        try setSchedule(&plan)
        plan.cascade = plan.cascade(of: model)
        try setPasses(&plan, model)
        // Without classifier-free guidance nothing reads it.
        if plan.guidanceScale == 1, !plan.negativePrompt.isEmpty { plan.notes.ignored.append("negative_prompt") }
        return plan
    }

    /// Takes over the noise levels that were asked for.
    private func setSchedule(_ plan: inout ClipPlan) throws(SoradError) {
        guard sigmas.isEmpty || timesteps.isEmpty else {
            throw refused("timesteps", "timesteps and sigmas say the same twice; send one of them")
        }
        let (field, levels) = sigmas.isEmpty ? ("timesteps", timesteps) : ("sigmas", sigmas)
        guard !levels.isEmpty else { return }
        if let place = levels.indices.dropFirst().first(where: { levels[$0] >= levels[$0 - 1] }) {
            throw refused(
                field, "\(field) must fall, and \(decimalText(levels[place - 1])) is followed by \(decimalText(levels[place]))")
        }
        if let steps = numInferenceSteps, steps != levels.count {
            throw refused(
                "num_inference_steps",
                "num_inference_steps is \(steps), and \(field) has \(levels.count) values; leave num_inference_steps out")
        }
        plan.sigmas = sigmas.isEmpty ? timesteps.map { $0 / ClipRequest.timestepRange.upperBound } : sigmas
        plan.numInferenceSteps = levels.count
        // The levels are taken as they are.
        if flowShift != nil { plan.notes.ignored.append("flow_shift") }
    }

    /// Takes over which steps are guided, and which may be left out.
    private func setPasses(_ plan: inout ClipPlan, _ model: ModelInfo) throws(SoradError) {
        let isGuided = plan.guidanceScale != 1
        if let second = secondGuidanceScale {
            guard model.hasExperts else {
                throw refused("guidance_scale_2", "the model \(model.id) has no second expert; leave guidance_scale_2 out")
            }
            if isGuided { plan.secondGuidanceScale = second } else { plan.notes.ignored.append("guidance_scale_2") }
        }
        if !guidanceInterval.isEmpty {
            guard guidanceInterval.count == 2, guidanceInterval[0] <= guidanceInterval[1] else {
                throw refused(
                    "guidance_interval", "guidance_interval must be two noise levels from 0 to 1, the lower one first, e.g. [0.2, 0.9]")
            }
            if isGuided {
                plan.guidanceInterval = guidanceInterval[0]...guidanceInterval[1]
            } else {
                plan.notes.ignored.append("guidance_interval")
            }
        }
        // Few steps go too far each for one to stand for two.
        if cache != nil, plan.numInferenceSteps < ClipPlan.cacheSteps { plan.notes.ignored.append("cache") } else { plan.cache = cache }
    }

    /// The field with which the client asked for a size or a length.
    private func askedField(_ field: String?) -> String {
        if field == "num_frames" { return numFrames != nil ? "num_frames" : seconds != nil ? "seconds" : "size" }
        return size != nil ? "size" : width != nil ? "width" : height != nil ? "height" : "size"
    }

    func check(_ text: String, _ field: String) throws(SoradError) {
        // Bytes first: counting characters of a huge text is work.
        let isLong = text.utf8.count > 8 * ClipRequest.promptLimit || text.count > ClipRequest.promptLimit
        if isLong { throw refused(field, "the \(field) is too long; at most \(ClipRequest.promptLimit) characters are allowed") }
    }

    private func plannedSize(_ model: ModelInfo) throws(SoradError) -> (Int, Int) {
        guard let size else { return (width ?? model.defaultWidth, height ?? model.defaultHeight) }
        guard let numbers = PictureSize(size) else {
            throw refused("size", "the size \"\(size.prefix(32))\" is not WIDTHxHEIGHT in pixels, e.g. \(model.nativeSize)")
        }
        if width ?? numbers.width != numbers.width || height ?? numbers.height != numbers.height {
            throw refused("size", "the size \(size) contradicts width and height; send one of them")
        }
        return (numbers.width, numbers.height)
    }

    private func plannedFrames(_ model: ModelInfo, fps: Int) -> Int {
        ClipRequest.grouped(wantedFrames(fps: fps) ?? model.defaultNumFrames, model)
    }

    /// Rounded up to 1 + whole groups.
    private static func grouped(_ frames: Int, _ model: ModelInfo) -> Int {
        1 + (max(frames, 1) - 1 + model.frameMultiple - 1) / model.frameMultiple * model.frameMultiple
    }

    /// The length that was asked for, in frames; nil for none.
    func wantedFrames(fps: Int) -> Int? { numFrames ?? seconds.map { ClipRequest.frames($0, fps: fps) } }

    private static func frames(_ seconds: Double, fps: Int) -> Int {
        // The subtraction forgives the last bit of, say, 1.1 × 10.
        Int((seconds * Double(fps) - 1e-6).rounded(.up))
    }

    /// Refuses `seconds` and `numFrames` that are not the same length: not the same after rounding, nor what the answer says of that many
    /// frames, in whole seconds.
    /// - Parameter rounded: the frames that are made of the wanted ones.
    func checkLengths(fps: Int, rounded: (Int) -> Int) throws(SoradError) {
        guard let seconds, let numFrames else { return }
        let (bySeconds, byFrames) = (ClipRequest.frames(seconds, fps: fps), rounded(numFrames))
        let isEcho = decimalText(seconds) == ClipPlan.wholeSeconds(ClipPlan.duration(ofFrames: byFrames, fps: fps))
        guard rounded(bySeconds) != byFrames, !isEcho else { return }
        throw refused(
            "seconds",
            "the field \"seconds\" contradicts num_frames: \(decimalText(seconds)) seconds at \(fps) frames per second are \(bySeconds) "
                + "frames, not \(numFrames); send one of them")
    }

    func refused(_ field: String, _ message: String) -> SoradError { SoradError(.badInput, message, param: field) }
}

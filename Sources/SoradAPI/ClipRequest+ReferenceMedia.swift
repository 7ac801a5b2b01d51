// The way from a request to a plan that starts from pictures or clips. Pure; every refusal names the field and the values that are allowed.
//
// Lengths, with `g` for the frames of one group (the model's frame multiple): the model makes 1 + a multiple of g frames. Of a clip that is
// continued it sees the last 1 + g (or the last one), of a clip that is led up to the first 1 + 2g (or 1 + g); they count into what it
// makes. The first frame of a clip that is led up to ends the last group of new ones, so that the groups that are known begin behind it.
public import SoradSystem

/// A clip to start from: a finished job's, or one that came with the request.
public struct SourceClip: Sendable, Equatable {
    /// Pixels; nil for a clip that came with the request, which is fitted to the size that is asked for.
    public var size: (width: Int, height: Int)?
    public var numFrames: Int
    public var fps: Int
    /// Playing time.
    public var microseconds: Int
    /// The job that it comes from.
    public var videoID: String?

    public init(_ facts: MediaFacts) {
        numFrames = facts.numFrames
        fps = facts.fps
        microseconds = facts.microseconds
    }

    /// A clip that was made of `plan`.
    public init(_ plan: ClipPlan, videoID: String) {
        size = (plan.width, plan.height)
        numFrames = plan.clipFrames
        fps = plan.fps
        microseconds = numFrames * 1_000_000 / fps
        self.videoID = videoID
    }

    /// The clip at another rate: its playing time is kept, frames are repeated or left out.
    func resampled(_ rate: Int?, _ field: String = "video") throws(SoradError) -> SourceClip {
        var result = self
        if let rate, rate != fps {
            result.fps = rate
            result.numFrames = frameCount(microseconds: microseconds, fps: rate)
        }
        guard result.numFrames <= ClipRequest.clipFrameLimit else {
            let most = ClipRequest.clipFrameLimit * 1_000_000 / microseconds
            let remedy = most > 0 ? "cut it first, or send fps with \(most) at most" : "cut it first"
            throw SoradError(
                .badInput,
                "the video has \(result.numFrames) frames at \(result.fps) a second, and \(ClipRequest.clipFrameLimit) are the limit; \(remedy)",
                param: field)
        }
        return result
    }

    public static func == (left: SourceClip, right: SourceClip) -> Bool {
        left.size?.width == right.size?.width && left.size?.height == right.size?.height && left.numFrames == right.numFrames
            && left.fps == right.fps && left.videoID == right.videoID
    }
}

extension ClipRequest {
    public static let strengthRange = 0.01...1.0
    public static let conditioningScaleRange = 0.0...4.0
    /// Enough to change the things in the clip and keep their places.
    public static let defaultStrength = 0.7
    /// Frames of a finished clip.
    public static let clipFrameLimit = 3_000

    /// How a clip is made longer.
    public enum Extension: Sendable, Equatable {
        case forwards, backwards
        /// From the clip's end to its own beginning.
        case loop
        /// From the clip's end to the beginning of another.
        case join(SourceClip)
    }

    /// A clip whose first or last frame is a picture.
    /// - Parameter references: how many pictures there are of what shall be seen.
    public func plan(
        for model: ModelInfo, randomSeed: UInt64, hasFirstFrame: Bool, hasLastFrame: Bool, references: Int = 0
    ) throws(SoradError) -> ClipPlan {
        var given = ReferenceMedia()
        given.hasFirstFrame = hasFirstFrame
        given.hasLastFrame = hasLastFrame
        given.strength = strength
        try model.checkPictures(given)
        var result = try unwindowed(for: model, randomSeed: randomSeed)
        let scenes = try plannedScenes(model, fps: result.fps, alone: 1)
        if !scenes.isEmpty {
            var asked = self
            asked.numFrames = scenes.reduce(0) { $0 + $1.numFrames }
            result = try asked.unwindowed(for: model, randomSeed: randomSeed)
        }
        guard hasFirstFrame || strength == nil else {
            throw refused("strength", "the strength says how much of a picture or clip is replaced; send it with an input_reference")
        }
        result.given = try following(model, given, references: references)
        guard hasFirstFrame || hasLastFrame else { return windowed(result, scenes, model) }
        try requireConditioning(model, hasFirstFrame ? "input_reference" : "end_image")
        guard !(hasFirstFrame && hasLastFrame && result.numFrames == 1) else {
            throw refused("end_image", "a clip of one frame cannot begin with one picture and end on another; ask for more frames")
        }
        result.given = result.given ?? given
        return windowed(result, scenes, model)
    }

    /// What a model that follows a clip gets, whatever else is given; nil for another model.
    /// - Parameter references: how many pictures there are of what shall be seen.
    func following(_ model: ModelInfo, _ given: ReferenceMedia, references: Int) throws(SoradError) -> ReferenceMedia? {
        guard model.takesControl else {
            guard references == 0 else {
                throw refused(
                    "reference_images",
                    "the model \(model.id) takes no reference pictures; to begin with a picture, send it as input_reference")
            }
            guard conditioningScale == nil else {
                throw refused("conditioning_scale", "the model \(model.id) follows no clip; leave conditioning_scale out")
            }
            return nil
        }
        guard references <= ReferenceFile.references.count else {
            throw refused("reference_images", "there are \(references) reference pictures; \(ReferenceFile.references.count) are the limit")
        }
        guard references == 0 || strength == nil else {
            throw refused("strength", "a strength does not go with reference pictures; leave one of them out")
        }
        var given = given
        given.conditioningScale = conditioningScale
        return given
    }

    /// The same clip for another prompt: it is mixed with noise and denoised again, or followed by a model that does that.
    public func remake(
        of source: SourceClip, for model: ModelInfo, randomSeed: UInt64, isRemix: Bool, hasMask: Bool = false, references: Int = 0
    ) throws(SoradError) -> ClipPlan {
        var given = ReferenceMedia()
        given.source = ReferenceClip(numFrames: source.numFrames, contextFrames: source.numFrames)
        try model.checkPictures(given)
        var asked = fitted(to: source)
        let source = try source.resampled(asked.fps)
        let usable = 1 + (source.numFrames - 1) / model.frameMultiple * model.frameMultiple
        let takesAll = numFrames == nil && seconds == nil
        if takesAll { asked.numFrames = usable }
        var plan: ClipPlan
        do throws(SoradError) {
            plan = try asked.unwindowed(for: model, randomSeed: randomSeed)
        } catch {
            throw takesAll && error.param == "num_frames" ? refused("video", error.message) : error
        }
        guard plan.numFrames <= usable else {
            throw refused(
                numFrames == nil ? "seconds" : "num_frames",
                "the video has \(source.numFrames) frames, of which \(usable) can be replaced; \(plan.numFrames) are too many")
        }
        given.source = ReferenceClip(numFrames: source.numFrames, contextFrames: plan.numFrames)
        given.strength = strength ?? (model.takesControl ? nil : ClipRequest.defaultStrength)
        given.videoID = source.videoID
        given.isRemix = isRemix
        given.hasMask = hasMask
        plan.given = try following(model, given, references: references) ?? given
        return windowed(plan, [], model)
    }

    /// A clip with new frames behind, before, or between; `seconds` or `numFrames` of this say how many are new, rounded up.
    public func extending(
        _ source: SourceClip, _ how: Extension, for model: ModelInfo, randomSeed: UInt64
    ) throws(SoradError) -> ClipPlan {
        try requireConditioning(model, "video")
        if model.takesControl {
            throw refused("video", "the model \(model.id) follows clips and makes none longer; send the clip to edits")
        }
        if model.picturesNeeded > 0 { throw refused("video", "the model \(model.id) starts from pictures alone; it makes no clip longer") }
        let group = model.frameMultiple
        var asked = fitted(to: source)
        let source = try source.resampled(asked.fps)
        let fps = asked.fps ?? model.fps
        var scenes = try plannedScenes(model, fps: fps, alone: how == .backwards ? 1 : 0)
        let wanted = wantedFrames(fps: fps) ?? 1
        var given = ReferenceMedia()
        given.videoID = source.videoID
        given.isLoop = how == .loop
        if how != .backwards {
            given.before = ReferenceClip(numFrames: source.numFrames, contextFrames: source.numFrames > group ? 1 + group : 1)
        }
        switch how {
        case .forwards: break
        case .backwards, .loop: given.after = try ledUpTo(source, group, "video")
        case .join(let next): given.after = try ledUpTo(next.resampled(asked.fps, "end_video"), group, "end_video")
        }
        // The last group of new frames has the first frame of the clip that it leads up to; the first latent frame is the new frames' own
        // where none are before them.
        let missing = given.before == nil || given.after == nil ? 0 : 1
        func grouped(_ frames: Int) -> Int { (max(frames, 1) + missing + group - 1) / group * group - missing }
        if given.after != nil, let last = scenes.last {
            scenes[scenes.count - 1].numFrames += last.numFrames > 1 ? -1 : group - 1
        }
        try checkLengths(fps: fps, rounded: grouped)
        let added = scenes.isEmpty ? grouped(wanted) : scenes.reduce(0) { $0 + $1.numFrames }
        asked.seconds = nil
        asked.numFrames = added + (given.before?.contextFrames ?? 0) + (given.after?.contextFrames ?? 0)
        var plan: ClipPlan
        do throws(SoradError) {
            plan = try asked.unwindowed(for: model, randomSeed: randomSeed)
        } catch {
            guard error.param == "num_frames" else { throw error }
            throw refused(
                numFrames == nil ? "seconds" : "num_frames",
                "\(error.message); the frames next to the new ones, which the model sees, count into that")
        }
        plan.given = given
        guard plan.clipFrames <= ClipRequest.clipFrameLimit else {
            throw refused(
                "video", "the clip would have \(plan.clipFrames) frames, and \(ClipRequest.clipFrameLimit) are the limit")
        }
        return windowed(plan, scenes, model)
    }

    /// Size and speed are the source's where nothing else was asked for.
    private func fitted(to source: SourceClip) -> ClipRequest {
        var asked = self
        if let size = source.size, self.size == nil, width == nil, height == nil {
            asked.width = size.width
            asked.height = size.height
        }
        asked.fps = fps ?? source.fps
        return asked
    }

    private func ledUpTo(_ clip: SourceClip, _ group: Int, _ field: String) throws(SoradError) -> ReferenceClip {
        guard clip.numFrames > group else {
            throw refused(field, "the video has \(clip.numFrames) frames; at least \(1 + group) are needed to lead up to it")
        }
        return ReferenceClip(numFrames: clip.numFrames, contextFrames: clip.numFrames > 2 * group ? 1 + 2 * group : 1 + group)
    }

    private func requireConditioning(_ model: ModelInfo, _ field: String) throws(SoradError) {
        guard model.takesConditioningFrames else {
            throw refused(
                field, "the model \(model.id) cannot start from given frames; it makes clips from text, and remixes and edits of clips")
        }
    }
}

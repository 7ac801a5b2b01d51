// The reference media of a clip: pictures and clips whose frames condition it, or that the noise is mixed into.
// Invariant: nothing here is a path. A file is named by its role and lies in the job's own directory, where the daemon put it.

/// The part that a given file plays; its raw value is the file's name in the job's directory.
public enum ReferenceFile: String, Sendable, CaseIterable {
    /// A picture that is the first frame.
    case firstFrame = "given-first-frame"
    /// A picture that is the last frame.
    case lastFrame = "given-last-frame"
    /// A clip that is continued.
    case before = "given-before"
    /// A clip that is led up to.
    case after = "given-after"
    /// A clip that is mixed with noise and denoised again.
    case source = "given-source"
}

/// A given clip as far as a job uses it.
public struct ReferenceClip: Sendable, Equatable {
    /// Frames that it has.
    public var numFrames: Int
    /// How many of them, next to the new frames, the model sees, 1…numFrames. For a `source`: all that are used.
    public var contextFrames: Int

    static let limit = 100_000

    public init(numFrames: Int, contextFrames: Int) {
        precondition(
            contextFrames >= 1 && contextFrames <= numFrames && numFrames <= ReferenceClip.limit, "\(contextFrames) of \(numFrames) frames")
        self.numFrames = numFrames
        self.contextFrames = contextFrames
    }
}

/// Which frames are given. The model makes `numFrames` of the request; the known ones at its ends are replaced by the given clips.
public struct ReferenceMedia: Sendable, Equatable {
    public var hasFirstFrame = false
    public var hasLastFrame = false
    public var before: ReferenceClip?
    public var after: ReferenceClip?
    public var source: ReferenceClip?
    /// `after` is the beginning of `before` and is not shown a second time.
    public var isLoop = false
    /// How much of the source is noise at the start, above 0; 1 starts from nothing but noise.
    public var strength: Double?
    /// The job whose clip is used.
    public var videoID: String?
    /// True for a remix of `videoID`.
    public var isRemix = false

    public init() {}
}

extension ClipPlan {
    /// Frames of the finished clip: those of the given clips and the new ones.
    public var clipFrames: Int { (given?.before?.numFrames ?? 0) + newFrames.count + (isAfterShown ? given?.after?.numFrames ?? 0 : 0) }

    /// Those frames that the model makes and the clip shows.
    public var newFrames: Range<Int> {
        let start = given?.before?.contextFrames ?? 0
        return start..<max(start, numFrames - (given?.after?.contextFrames ?? 0))
    }

    public var isAfterShown: Bool { given?.after != nil && given?.isLoop == false }

    /// The denoise step to begin with: a noised source enters where the noise is `strength` of the way.
    public var firstStep: Int {
        // A strength that is none, NaN included, is refused where the request is checked.
        guard let strength = given?.strength, strength > 0, strength < 1, numInferenceSteps > 0 else { return 0 }
        let steps = Double(numInferenceSteps)
        return min(Int(steps - steps * strength), numInferenceSteps - 1)
    }

    public var stepsToRun: Int { numInferenceSteps - firstStep }
}

/// The facts of a picture or clip.
public struct MediaFacts: Sendable, Equatable {
    public enum Format: String, Sendable, CaseIterable { case png, jpeg, webp, mp4 }

    public var format: Format
    /// Pixels.
    public var width: Int
    public var height: Int
    public var numFrames: Int
    /// Frames a second, rounded; 0 for a picture.
    public var fps: Int

    public init(format: Format, width: Int, height: Int, numFrames: Int, fps: Int) {
        self.format = format
        self.width = width
        self.height = height
        self.numFrames = numFrames
        self.fps = fps
    }

    public var isPicture: Bool { format != .mp4 }

    /// Pixels that a decoder holds, as those of a clip: it keeps up to 16 frames to look back at, a picture none.
    public var heldPixels: Int { width * height / (isPicture ? 8 : 1) }
}

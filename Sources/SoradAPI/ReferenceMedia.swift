// The reference media of a clip: pictures and clips whose frames condition it, or that the noise is mixed into.
// Invariant: nothing here is a path. A file is named by its role and lies in the job's own directory, where the daemon put it.
public import SoradSystem

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
    /// A picture, or a clip, whose white parts are those of the source that change.
    case mask = "given-mask"
    /// Pictures of what shall be seen in the clip, none of whose frames they are.
    case reference1 = "given-reference-1"
    case reference2 = "given-reference-2"
    case reference3 = "given-reference-3"
    case reference4 = "given-reference-4"

    /// Those of reference pictures, in their order.
    public static let references: [ReferenceFile] = [.reference1, .reference2, .reference3, .reference4]
    /// Whether what plays the part is a picture; nil where it may be either.
    public var isPicture: Bool? {
        switch self {
        case .firstFrame, .lastFrame, .reference1, .reference2, .reference3, .reference4: true
        case .before, .after, .source: false
        case .mask: nil
        }
    }
}

/// A given clip as far as a job uses it.
public struct ReferenceClip: Sendable, Equatable {
    /// Frames that it has.
    public var numFrames: Int
    /// How many of them, next to the new frames, the model sees, 1…numFrames. For a `source`: all that are used.
    public var contextFrames: Int
    /// What it consists of; none for an MP4 file. Their frames together are `numFrames`.
    public var parts: [ClipPart] = []

    static let limit = 100_000

    public init(numFrames: Int, contextFrames: Int, parts: [ClipPart] = []) {
        self.parts = parts
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
    /// Only a part of the source's picture changes.
    public var hasMask = false
    /// The mask is a clip: another part changes in each frame.
    public var maskIsClip = false
    /// Sizes, as they are shown, of pictures of what shall be seen; for models that follow a clip.
    public var references: [PictureSize] = []
    /// How closely a model that follows a clip follows it; nil means 1.
    public var conditioningScale: Double?
    /// `after` is the beginning of `before` and is not shown a second time.
    public var isLoop = false
    /// How much of the source is noise at the start, above 0; 1 starts from nothing but noise.
    public var strength: Double?
    /// The job whose clip is used.
    public var videoID: String?
    /// True for a remix of `videoID`.
    public var isRemix = false

    public init() {}

    /// The fields of the request that these came in.
    public var fieldNames: [String] {
        var names: [String] = []
        if hasFirstFrame { names.append("input_reference") }
        if hasLastFrame { names.append("end_image") }
        if before != nil || after != nil || source != nil { names.append("video") }
        if before != nil, after != nil, !isLoop { names.append("end_video") }
        if hasMask { names.append("mask") }
        if !references.isEmpty { names.append("reference_images") }
        return names
    }
}

extension ClipPlan {
    /// Takes a clip as the mask.
    /// - Throws: `.badInput` for one that is shorter than the clip.
    public mutating func setMask(_ facts: MediaFacts) throws(SoradError) {
        let frames = frameCount(microseconds: facts.microseconds, fps: fps)
        guard frames >= numFrames else {
            throw SoradError(.badInput, "the mask has \(frames) frames at \(fps) a second, and the clip \(numFrames)", param: "mask")
        }
        given?.maskIsClip = true
    }

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

    /// Denoise steps of all windows.
    public var stepsToRun: Int { stepsPerWindow * windowCount }
}

/// The facts of a picture or clip.
public struct MediaFacts: Sendable, Equatable {
    public enum Format: String, Sendable, CaseIterable { case png, jpeg, webp, gif, bmp, tiff, jpegXL, avif, mp4, quickTime, matroska }

    public var format: Format
    /// Pixels as they are shown: turned as the file says, and square.
    public var width: Int
    public var height: Int
    /// Frames at `fps`.
    public var numFrames: Int
    /// Frames a second, rounded, 1…60: on average, or of the quicker quarter where frames are unevenly spaced; 0 for a picture.
    public var fps: Int
    /// Playing time; 0 for a picture.
    public var microseconds: Int
    /// Pixels, `FrameReader.memory` each, that cover the memory of decoding.
    public var heldPixels: Int

    /// - Parameters:
    ///   - microseconds: nil: that of the frames.
    ///   - heldPixels: nil: those of 16 frames to look back at in a clip, of a picture an eighth.
    public init(
        format: Format, width: Int, height: Int, numFrames: Int, fps: Int, microseconds: Int? = nil, heldPixels: Int? = nil
    ) {
        self.format = format
        self.width = width
        self.height = height
        self.numFrames = numFrames
        self.fps = fps
        self.microseconds = microseconds ?? (fps > 0 ? numFrames * 1_000_000 / fps : 0)
        self.heldPixels = heldPixels ?? width * height / (fps == 0 ? 8 : 1)
    }

    public var isPicture: Bool { fps == 0 }

    /// `heldPixels` of a clip that this program made.
    public static func heldPixels(ofClip width: Int, _ height: Int) -> Int { 2 * width * height + 1 << 20 }

    /// Longest playing time that is told apart: a day.
    public static let longest = 86_400_000_000
}

/// Frames of a clip of `microseconds` at a constant rate, so that its playing time is kept within half a frame.
public func frameCount(microseconds: Int, fps: Int) -> Int {
    max(1, (min(microseconds, MediaFacts.longest) * fps + 500_000) / 1_000_000)
}

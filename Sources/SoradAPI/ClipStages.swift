// Owns the stages of a clip: the one ordered list that progress, estimates, hang limits and memory are keyed by.
// Invariant: the list follows from the request alone, so daemon and worker have the same one without telling each other.

/// The name of a stage, as it goes over the sockets and stands in the store, e.g. "denoising".
public struct JobPhase: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: String

    /// nil unless the name has 1 to 32 characters of a to z and "_".
    public init?(rawValue: String) {
        let isName = rawValue.utf8.allSatisfy { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || $0 == UInt8(ascii: "_") }
        guard isName, (1...32).contains(rawValue.utf8.count) else { return nil }
        self.rawValue = rawValue
    }

    private init(_ name: StaticString) { rawValue = name.description }

    public var description: String { rawValue }

    public static let loading = JobPhase("loading")
    public static let encodingText = JobPhase("encoding_text")
    public static let encodingFrames = JobPhase("encoding_frames")
    public static let denoising = JobPhase("denoising")
    public static let decoding = JobPhase("decoding")
    public static let interpolating = JobPhase("interpolating")
    public static let upscaling = JobPhase("upscaling")
    public static let writing = JobPhase("writing")
}

/// One stage of one clip.
public struct ClipStage: Sendable, Equatable {
    public let phase: JobPhase
    /// Units of work: denoise steps, frames; 1 for what is done in one go.
    public let units: Int
    /// Clips of one shape (`timeShape`) may have different numbers of units, so the stage's time is compared unit by unit.
    public let unitsVary: Bool

    public init(_ phase: JobPhase, units: Int = 1, unitsVary: Bool = false) {
        self.phase = phase
        self.units = units
        self.unitsVary = unitsVary
    }
}

extension ClipPlan {
    /// The stages of the clip, in their order, after the model is loaded. To add a stage is to add a row here.
    public var stages: [ClipStage] {
        [
            ClipStage(.encodingText),
            given == nil ? nil : ClipStage(.encodingFrames),
            ClipStage(.denoising, units: stepsToRun, unitsVary: true),
            ClipStage(.decoding, units: shownFrames),
            ClipStage(.writing),
        ].compactMap { $0 }
    }

    /// How far a job is, whatever the time that took: 0 before the first stage; each start of a stage and each finished unit adds 1.
    public func place(of progress: JobProgress) -> Int {
        var place = 1
        for stage in stages {
            if stage.phase == progress.phase { return place + min(max(progress.done, 0), stage.units) }
            place += stage.units + 1
        }
        return 0
    }
}

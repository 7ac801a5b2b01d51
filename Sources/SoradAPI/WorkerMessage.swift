// The messages between daemon and worker on their socketpair.
// Framing: a 4-byte little-endian length (1…1,048,576), then that many bytes of JSON, one message.

/// The worker's end of the socketpair in the child process.
public let workerSocketDescriptor: Int32 = 3
/// A longer frame is a protocol error on either side.
public let workerFrameLimit = 1 << 20

/// The files from which another worker resumes a job, next to `ClipPlan.latentsName`: the latents of a window after the last steps and
/// the decoder after the last frames, each in files that are written in turn, the frames, the encoded prompts and source. The daemon removes them once the job's result is recorded.
public enum CheckpointName {
    public static let latents = (0..<4).map { "checkpoint-\($0)" }
    public static let prompts = "checkpoint-prompts"
    public static let decoder = (0..<3).map { "checkpoint-decoder-\($0)" }
    public static let frames = "checkpoint-frames"
    public static let source = "checkpoint-source"
    public static let all = latents + [prompts] + decoder + [frames, source]
}

/// Daemon to worker. Closing the socket tells the worker to exit.
public enum WorkerCommand: Sendable, Equatable {
    /// Make one clip. `directory` exists, holds the given files under their roles' names and perhaps the job's own earlier files, and
    /// receives the results. `expectedSeconds`: the times of clips like this one on this machine, by phase name; empty when there are none.
    /// `embeddings`: where encoded prompts of the same user are kept; nil for nowhere.
    case generate(job: String, plan: ClipPlan, directory: String, expectedSeconds: [String: Double] = [:], embeddings: String? = nil)
    /// Stop that job at the next chance; answered with `.failed` and code "cancelled".
    case cancel(job: String)
}

/// Worker to daemon.
public enum WorkerEvent: Sendable, Equatable {
    /// Sent once, when the model is loaded.
    case ready(model: ModelInfo)
    /// Heartbeat of the thread that loads or computes: at least once a second while it works.
    case alive
    /// What computes its clips, and why: a sentence for the operator. Sent once it is known, and when it changes.
    case backend(String)
    case progress(job: String, progress: JobProgress)
    case finished(job: String, result: ClipResult)
    case failed(job: String, error: JobError)
}

public struct JobProgress: Sendable, Equatable {
    public var phase: JobPhase
    /// Denoise steps done and to do.
    public var step: Int
    public var steps: Int
    /// Frames decoded, while they are; else 0.
    public var frame: Int
    /// Whole job, 0…100, never falling.
    public var percent: Int
    /// nil while nothing is known that it could follow from.
    public var etaSeconds: Double?
    /// Now and then, while denoising.
    public var preview: JobPreview?

    /// Units of the phase that are finished: steps while denoising, frames while decoding; else 0.
    public var done: Int { phase == .denoising ? step : phase == .decoding ? frame : 0 }

    public init(phase: JobPhase, step: Int, steps: Int, frame: Int = 0, percent: Int, etaSeconds: Double? = nil, preview: JobPreview? = nil)
    {
        self.phase = phase
        self.step = step
        self.steps = steps
        self.frame = frame
        self.percent = percent
        self.etaSeconds = etaSeconds
        self.preview = preview
    }
}

/// A finished clip. File names are relative to the job's directory.
public struct ClipResult: Sendable, Equatable {
    /// SHA-256 of the raw frames: numFrames × height × width × RGB bytes, row by row; 64 lower-case hexadecimal digits.
    public var sha256: String
    public var video: String
    public var thumbnail: String
    public var spritesheet: String
    /// Seconds spent by phase name.
    public var timings: [String: Double]
    /// Denoise steps that an earlier worker had done; `timings` are without them.
    public var resumedStep: Int
    /// Decoded frames that an earlier worker had left.
    public var resumedFrames: Int
    /// SHA-256 of the file `video`, as the daemon found it; 64 lower-case hexadecimal digits.
    public var videoSHA256: String?
    /// The file of the clip's latents, from which other clips take its frames without loss; nil where they are not kept.
    public var latents: String?
    /// SHA-256 of the model file that can decode them.
    public var modelSHA256: String?

    /// Passes through the network; nil where the worker did not say.
    public var passes: Int?

    /// Units of a phase that an earlier worker had done.
    public func resumed(in phase: JobPhase) -> Int { phase == .denoising ? resumedStep : phase == .decoding ? resumedFrames : 0 }

    /// Far more than there are phases.
    static let timingsLimit = 64

    public init(
        sha256: String, video: String, thumbnail: String, spritesheet: String, timings: [String: Double], resumedStep: Int = 0,
        resumedFrames: Int = 0,
        videoSHA256: String? = nil, latents: String? = nil, modelSHA256: String? = nil
    ) {
        self.sha256 = sha256
        self.video = video
        self.thumbnail = thumbnail
        self.spritesheet = spritesheet
        self.timings = timings
        self.resumedStep = resumedStep
        self.resumedFrames = resumedFrames
        self.videoSHA256 = videoSHA256
        self.latents = latents
        self.modelSHA256 = modelSHA256
    }
}

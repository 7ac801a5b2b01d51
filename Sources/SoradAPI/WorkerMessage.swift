// What daemon and worker say to each other over their socketpair.
// Framing: a 4-byte little-endian length (1…1,048,576), then that many bytes of JSON, one message.

/// The worker's end of the socketpair in the child process.
public let workerSocketDescriptor: Int32 = 3
/// A longer frame is a protocol error on either side.
public let workerFrameLimit = 1 << 20

/// What a worker leaves in a job's directory for the worker that takes the job up again: the latents after the last steps and the decoder
/// after the last frames, in files that are written in turn, the frames, and the encoded prompts. The daemon removes them once the job's
/// result is recorded.
public enum CheckpointName {
    public static let latents = (0..<4).map { "checkpoint-\($0)" }
    public static let prompts = "checkpoint-prompts"
    public static let decoder = (0..<3).map { "checkpoint-decoder-\($0)" }
    public static let frames = "checkpoint-frames"
    public static let all = latents + [prompts] + decoder + [frames]
}

/// Daemon to worker. Closing the socket tells the worker to exit.
public enum WorkerCommand: Codable, Sendable, Equatable {
    /// Make one clip. `directory` exists, holds the given files under their roles' names and perhaps the job's own earlier
    /// files, and receives the results. `expectedSeconds`: what clips like this one took here, by phase name; empty when none was made.
    case generate(job: String, request: GenerationRequest, directory: String, expectedSeconds: [String: Double] = [:])
    /// Stop that job at the next chance; answered with `.failed` and code "cancelled".
    case cancel(job: String)
}

/// Worker to daemon.
public enum WorkerEvent: Codable, Sendable, Equatable {
    /// Sent once, when the model is loaded.
    case ready(model: ModelInfo)
    /// Nothing new, but the thread that loads or computes has come by; at least once a second as long as it does.
    case alive
    case progress(job: String, progress: JobProgress)
    case finished(job: String, result: ClipResult)
    case failed(job: String, error: JobError)
}

public enum JobPhase: String, Codable, Sendable, CaseIterable {
    case loading, encodingText = "encoding_text", encodingFrames = "encoding_frames", denoising, decoding, writing
}

public struct JobProgress: Codable, Sendable, Equatable {
    public var phase: JobPhase
    /// Denoise steps done and to do.
    public var step: Int
    public var steps: Int
    /// Frames decoded, while they are; else 0.
    public var frame: Int
    /// Whole job, 0…100, never falling.
    public var percent: Int
    /// nil while nothing is known that it could be told from.
    public var etaSeconds: Double?
    /// Now and then, while denoising.
    public var preview: JobPreview?

    /// Grows on the way of a job: it says how far it has come, whatever the time that took.
    public var place: Int {
        (JobPhase.allCases.firstIndex(of: phase) ?? 0) << 40 + min(max(step, 0), 1 << 32) + min(max(frame, 0), 1 << 32)
    }

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
public struct ClipResult: Codable, Sendable, Equatable {
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

    /// Far more than there are phases.
    static let timingsLimit = 64

    public init(
        sha256: String, video: String, thumbnail: String, spritesheet: String, timings: [String: Double], resumedStep: Int = 0,
        resumedFrames: Int = 0,
        videoSHA256: String? = nil
    ) {
        self.sha256 = sha256
        self.video = video
        self.thumbnail = thumbnail
        self.spritesheet = spritesheet
        self.timings = timings
        self.resumedStep = resumedStep
        self.resumedFrames = resumedFrames
        self.videoSHA256 = videoSHA256
    }
}

public struct JobError: Codable, Sendable, Equatable, Error {
    /// The code of a job that found no room on the disk: it may be tried again when there is some.
    public static let insufficientStorage = "insufficient_storage"
    /// The code of a job whose files could not be written or read, or whose encoder failed: it is tried once more, since a disk may fail once.
    public static let mediaFailed = "media_failed"

    /// Machine-readable: "cancelled", "out_of_memory", "model_invalid", "worker_died", `mediaFailed`, `insufficientStorage`, "internal_error", …
    public var code: String
    /// One plain sentence.
    public var message: String

    public init(code: String, message: String) {
        self.code = code
        self.message = message
    }
}

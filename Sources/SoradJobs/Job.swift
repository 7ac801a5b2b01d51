// One job as daemon and store know it.
public import SoradAPI

public struct Job: Sendable, Equatable {
    public let id: JobIdentifier
    /// The user who asked for it; nobody else but root may know of it.
    public let owner: UInt32
    public let request: GenerationRequest
    /// The length of the clip as the answer says it: decimal text.
    public let seconds: String
    /// Unix time in seconds, like the others here.
    public let createdAt: Int
    public var startedAt: Int?
    public var completedAt: Int?
    public var status: Video.Status
    /// The whole job, 0…100, never falling, whatever is done again.
    public var percent: Int
    /// How many workers have died on it.
    public var workerDeaths: Int
    /// Set when `status` is `.failed`.
    public var error: JobError?
    /// Set when `status` is `.completed`.
    public var result: ClipResult?
    /// What the worker said last; only in memory.
    public var progress: JobProgress?
    /// Why it waits, when it waits for something else than its turn; only in memory.
    public var note: String?

    public init(id: JobIdentifier, owner: UInt32, request: GenerationRequest, seconds: String, createdAt: Int) {
        self.id = id
        self.owner = owner
        self.request = request
        self.seconds = seconds
        self.createdAt = createdAt
        status = .queued
        percent = 0
        workerDeaths = 0
    }

    public var isOver: Bool { status == .completed || status == .failed }

    /// As a client sees it.
    public var video: Video {
        var details = VideoDetails(request: request)
        if status == .inProgress, let progress {
            details.phase = progress.phase
            details.step = progress.step
            details.steps = progress.steps
            details.etaSeconds = progress.etaSeconds
        }
        if status == .queued { details.note = note }
        details.sha256 = result?.sha256
        details.timings = result?.timings
        return Video(
            id: id.text, model: request.model, status: status, progress: percent, createdAt: createdAt, completedAt: completedAt,
            prompt: request.prompt, size: "\(request.width)x\(request.height)", seconds: seconds,
            remixedFromVideoID: request.given?.isRemix == true ? request.given?.videoID : nil, error: error, details: details)
    }
}

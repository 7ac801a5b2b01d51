// One job as daemon and store know it.
public import SoradAPI

public struct Job: Sendable, Equatable {
    public let id: JobIdentifier
    /// The user who asked for it; nobody else but root may know of it.
    public let owner: UInt32
    public let plan: ClipPlan
    /// Unix time in seconds, like the others here.
    public let createdAt: Int
    public var startedAt: Int?
    public var completedAt: Int?
    public var status: Video.Status
    /// The whole job, 0…100, never falling, whatever is done again.
    public var percent: Int
    /// How often it was stopped by a fault at `diedAt` since it last got further than ever before.
    public var workerDeaths: Int
    /// `ClipPlan.place(of:)` where that happened last.
    public var diedAt = 0
    /// Seconds for which faults of the machine have held it since it last got further, as far as a daemon ran.
    public var heldSeconds = 0
    /// Set when `status` is `.failed`.
    public var error: JobError?
    /// Set when `status` is `.completed`.
    public var result: ClipResult?
    /// Bytes of its files once it is completed.
    public var bytes = 0
    /// When a finished job is removed; nil for never.
    public var expiresAt: Int?
    /// A higher one goes first; 0 unless somebody said otherwise.
    public var priority = 0
    /// The same only for requests whose clips are the same.
    public var digest: String?
    /// The worker's last report; only in memory.
    public var progress: JobProgress?
    /// Seconds until it will be done, where known, while it waits; only in answers to clients.
    public var etaSeconds: Double?
    /// Why it waits, when it waits for something else than its turn; only in answers to clients.
    public var note: String?
    /// The machine of a pool that makes it; only in answers to clients.
    public var box: String?

    public init(id: JobIdentifier, owner: UInt32, plan: ClipPlan, createdAt: Int) {
        self.id = id
        self.owner = owner
        self.plan = plan
        self.createdAt = createdAt
        status = .queued
        percent = 0
        workerDeaths = 0
    }

    /// Whether a job that failed counts among the clips that its owner asked for: it was begun, and it was they who ended it.
    var hasUsedTime: Bool { startedAt != nil && error?.code == JobError.cancelled }

    public var isOver: Bool { status == .completed || status == .failed }

    /// As a client sees it.
    public var video: Video {
        var details = VideoDetails(plan: plan)
        if status == .inProgress, let progress {
            details.phase = progress.phase
            details.step = progress.step
            details.steps = progress.steps
            if progress.phase == .decoding { details.frame = progress.frame }
            details.etaSeconds = progress.etaSeconds
        }
        if !isOver {
            details.note = note
            details.box = box
        }
        if status == .queued {
            details.etaSeconds = etaSeconds
        }
        details.priority = priority == 0 ? nil : priority
        details.sha256 = result?.sha256
        details.timings = result?.timings
        details.passes = result?.passes
        return Video(
            id: id.text, model: plan.model, status: status, progress: percent, createdAt: createdAt, completedAt: completedAt,
            expiresAt: expiresAt, prompt: plan.prompt, size: "\(plan.shownWidth)x\(plan.shownHeight)",
            seconds: ClipPlan.wholeSeconds(plan.durationSeconds),
            remixedFromVideoID: plan.given?.isRemix == true ? plan.given?.videoID : nil, error: error, details: details)
    }
}

// The events that have a number of their own in the journal (MESSAGE_ID), so that programs find them whatever the sentence says.
// docs/ADMIN.md has the same table. A number stays with its meaning for ever; to add an event, add a row with a new one: uuidgen.

public enum LogEvent: String, Sendable, CaseIterable {
    case started = "8c9f0e73fcf14abe83692b0524ef1d3f"
    case stopping = "946e35c1bef04c6e93c544716bd39f29"
    case reloaded = "5294b2030fad4e8bb5b10dc1c16f1b93"
    case reloadRefused = "4bb24ec62c8545b0aed9b496b3750ba8"
    case jobAccepted = "c57f6e266f054ecdbe420bb1eb5844c0"
    case jobCompleted = "fd8c565d53f34cd9b0159bbc268166be"
    case jobFailed = "25b4ac3dc834448ba2f1f1e851b26284"
    case jobCancelled = "c4704d141adf4630ad9c3f56668bab2b"
    case jobHeld = "05b7050e2c1b42f59e002ca14220e8ed"
    case jobLostWorker = "57c593784f8e4452aa78b67ee9796c11"
    case jobContinued = "55d90d99f8fd43d88f10974ee4af2dfb"
    case workerStarted = "3a5e8223e62245228223568c4171736b"
    case workerEnded = "125c7840922f48efb2f960d2cda30cc3"
    case workerNotStarted = "d788963d6fda4a769e24e42a3b7d19d8"
    case modelFound = "ae1746ab5aeb41f39ac0290e2ad3d7aa"
    case modelUnusable = "9dd4a1367c724119bc55b1415ae83bfd"
    case diskFull = "160b9cb7bccf420e80301b71a9af4de8"
    case diskFree = "c3f0788a43b9450e98e13af19dd6a881"
    case storeFailed = "4685a5afa7c64f54af50e4419f81d786"
    case storeMended = "3e21ca73a6564d1eb3ca31adf1619d00"
    case drained = "c20e82e6c27b45cab3d707417523dd37"
    case paused = "62f27719ccfd421bab30352654af5323"
    case resumed = "581d3d179eed4114b64e0a6fe88b6be4"
    case keyMade = "04f7c831bae44b9f809a8848ad5b2514"
    case keyRemoved = "46940045f8a0410ea5eba5393f7745f7"

    /// 32 lower-case hexadecimal digits.
    public var messageID: String { rawValue }
}

/// What a line of the log is about, besides its sentence. Only the journal keeps it.
public struct LogFields: Sendable, Equatable {
    public var event: LogEvent?
    /// The job's id.
    public var job: String?
    /// The user whose job it is, or who asked for it.
    public var user: UInt32?
    /// The model's name.
    public var model: String?

    public init(_ event: LogEvent? = nil, job: String? = nil, user: UInt32? = nil, model: String? = nil) {
        self.event = event
        self.job = job
        self.user = user
        self.model = model
    }

    /// Names and values as the journal has them.
    var members: [(name: String, value: String)] {
        [
            ("MESSAGE_ID", event?.messageID), ("SORAD_JOB", job), ("SORAD_USER", user.map { "\($0)" }), ("SORAD_MODEL", model),
        ].compactMap { name, value in value.map { (name, $0) } }
    }
}

// Why a job failed: the code and the sentence that a client finds in `error` of its Video.
// Invariant: the code is decided where the fault happened. A fault that names its own code (`SoradError.code`) keeps it up to the client;
// every other one gets the code of its kind.
public import SoradSystem

public struct JobError: Sendable, Equatable, Error {
    public static let cancelled = "cancelled"
    /// The request, or a file that came with it, cannot be used.
    public static let invalidRequest = "invalid_request"
    /// The disk is full. The job continues from its last checkpoint when there is free space.
    public static let insufficientStorage = "insufficient_storage"
    /// The machine refused a process, a thread, a descriptor or memory. The job waits and continues.
    public static let machineFault = "machine_fault"
    /// The clip's files could not be written or read, or ffmpeg failed. The job is tried again, because the machine may be at fault.
    public static let mediaFailed = "media_failed"
    /// The model file is not, or no longer, what it was when it was opened.
    public static let modelInvalid = "model_invalid"
    /// A file, program or right that the installation lacks.
    public static let configuration = "configuration_error"
    public static let workerDied = "worker_died"
    /// Faults of the machine held the job for longer than the administrator lets jobs wait.
    public static let heldTooLong = "held_too_long"
    /// Not a fault: whoever runs the worker asked it to stop at a checkpoint.
    public static let putDown = "put_down"
    public static let internalError = "internal_error"

    /// Machine-readable: one of the constants above.
    public var code: String
    /// One plain sentence.
    public var message: String

    public init(code: String, message: String) {
        self.code = code
        self.message = message
    }

    public init(_ error: SoradError) {
        let code =
            switch error.kind {
            case .cancelled: JobError.cancelled
            case .badInput: JobError.invalidRequest
            case .storageFull: JobError.insufficientStorage
            case .cannotWrite, .cannotCreate: JobError.mediaFailed
            case .configuration, .permission: JobError.configuration
            case .unavailable, .busy, .timedOut: JobError.machineFault
            default: JobError.internalError
            }
        self.init(code: error.code ?? code, message: error.message + (error.hint.map { " (\($0))" } ?? ""))
    }
}

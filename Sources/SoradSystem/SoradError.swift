// The one error type for faults that an operator or a client can cause: bad input, a bad environment, a refused request.
// One form for all sentences: lower case, no full stop, the advice apart in `hint`.
// A broken invariant of our own is a `precondition`, never a SoradError.

/// An error that is meant to be read: `message` gives the failure and its cause, `hint` the remedy.
public struct SoradError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The class of the failure; decides the exit code of a program and the HTTP status of an answer.
    public enum Kind: String, Sendable, CaseIterable {
        case jobFailed, cancelled, usage, badInput, notFound, unavailable, internalFault, busy, permission, configuration,
            timedOut
        case cannotCreate, cannotWrite, interrupted, storageFull, conflict
    }

    public let kind: Kind
    /// One plain sentence: lower case, no full stop.
    public let message: String
    /// The remedy, if there is one.
    public let hint: String?
    /// The request field or setting at fault, if one is.
    public let param: String?
    /// Machine-readable, where the kind alone does not tell, e.g. "quota_exceeded".
    public let code: String?
    /// Seconds after which trying again is worth it, where that is known.
    public let retryAfter: Int?

    public init(
        _ kind: Kind, _ message: String, hint: String? = nil, param: String? = nil, code: String? = nil, retryAfter: Int? = nil
    ) {
        self.kind = kind
        self.message = message
        self.hint = hint
        self.param = param
        self.code = code
        self.retryAfter = retryAfter
    }

    public var description: String {
        guard let hint else { return message }
        return message + "\nhint: " + hint
    }

    /// Process exit status, from sysexits(3) where one fits.
    public var exitCode: Int32 { kind.exitStatus.code }

    /// The exit statuses of every program here, for its help.
    public static let exitStatusHelp: String = {
        let rows = Set(Kind.allCases.map { ExitStatus($0.exitStatus) }).sorted { $0.code < $1.code }
        return "Exit status: 0 done, " + rows.map { "\($0.code) \($0.meaning)" }.joined(separator: ", ") + "."
    }()
}

private struct ExitStatus: Hashable {
    let code: Int32
    let meaning: String

    init(_ row: (code: Int32, meaning: String)) { (code, meaning) = row }
}

extension SoradError.Kind {
    fileprivate var exitStatus: (code: Int32, meaning: String) {
        switch self {
        case .jobFailed: (1, "the job failed")
        case .cancelled: (2, "it was cancelled")
        case .usage: (64, "wrong usage")
        case .badInput, .conflict: (65, "bad input")
        case .notFound: (66, "no such job or file")
        case .unavailable: (69, "the daemon or something that it needs is not there")
        case .internalFault: (70, "a fault of sorad")
        case .cannotCreate: (73, "a file cannot be made")
        case .cannotWrite, .storageFull: (74, "a file cannot be written")
        case .busy: (75, "busy: try again later")
        case .permission: (77, "no permission")
        case .configuration: (78, "wrong settings")
        case .timedOut: (124, "waited too long")
        case .interrupted: (130, "interrupted")
        }
    }
}

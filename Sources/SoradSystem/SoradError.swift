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
    public var exitCode: Int32 {
        switch kind {
        case .jobFailed: 1
        case .cancelled: 2
        case .usage: 64
        case .badInput, .conflict: 65
        case .notFound: 66
        case .unavailable: 69
        case .internalFault: 70
        case .cannotCreate: 73
        case .cannotWrite, .storageFull: 74
        case .busy: 75
        case .permission: 77
        case .configuration: 78
        case .timedOut: 124
        case .interrupted: 130
        }
    }
}

// Refusals: from an error to status, JSON envelope and headers, in one place.
public import SoradAPI
public import SoradSystem

/// A refusal with its status. Handlers throw it; the codec throws it too.
public struct APIError: Error, Sendable, Equatable, CustomStringConvertible {
    public var status: Status
    public var envelope: ErrorEnvelope
    /// Further header fields, e.g. `retry-after`, `allow`.
    public var headers: Headers

    /// `type` defaults to the status's class of error, and a status that no retry can mend gets `x-should-retry: false`.
    public init(
        _ status: Status, _ message: String, type: String? = nil, param: String? = nil, code: String? = nil, headers: Headers = Headers()
    ) {
        self.status = status
        envelope = ErrorEnvelope(message: message, type: type ?? APIError.type(of: status), param: param, code: code)
        self.headers = headers
        let canBeMended = [408, 429, 503].contains(status.code) || headers["retry-after"] != nil
        if !canBeMended { self.headers["x-should-retry"] = headers["x-should-retry"] ?? "false" }
    }

    /// 409 that a client must not repeat at once, e.g. content that is not ready.
    public static func conflict(_ message: String, code: String) -> APIError { APIError(.conflict, message, code: code) }

    /// 404 for an object that does not exist or is not the caller's.
    public static func notFound(_ message: String, code: String = "not_found", param: String? = nil) -> APIError {
        APIError(.notFound, message, param: param, code: code)
    }

    /// 429, worth a retry in `retryAfter` whole seconds.
    public static func busy(_ message: String, code: String = "queue_full", retryAfter: Int) -> APIError {
        APIError(.tooManyRequests, message, code: code, headers: ["retry-after": String(retryAfter)])
    }

    /// 503, worth a retry in `retryAfter` whole seconds.
    public static func unavailable(_ message: String, code: String = "unavailable", retryAfter: Int) -> APIError {
        APIError(.serviceUnavailable, message, code: code, headers: ["retry-after": String(retryAfter)])
    }

    /// The status that fits the kind of `error`; its hint goes into the message.
    public init(_ error: SoradError) {
        let message = error.hint.map { "\(error.message) (\($0))" } ?? error.message
        switch error.kind {
        case .badInput, .usage: self.init(.badRequest, message, param: error.param, code: "invalid_value")
        case .notFound: self.init(.notFound, message, param: error.param, code: "not_found")
        case .permission: self.init(.forbidden, message, param: error.param, code: "permission_denied")
        case .cancelled: self.init(.conflict, message, param: error.param, code: "cancelled")
        case .busy: self.init(.tooManyRequests, message, param: error.param, code: "busy", headers: ["retry-after": "5"])
        case .conflict: self.init(.conflict, message, param: error.param, code: "conflict")
        case .storageFull: self.init(.insufficientStorage, message, param: error.param, code: "insufficient_storage")
        case .unavailable:
            self.init(.serviceUnavailable, message, param: error.param, code: "unavailable", headers: ["retry-after": "5"])
        case .timedOut: self.init(.serviceUnavailable, message, param: error.param, code: "timed_out", headers: ["retry-after": "5"])
        case .jobFailed: self.init(.internalServerError, message, param: error.param, code: "job_failed")
        case .configuration: self.init(.internalServerError, message, param: error.param, code: "configuration")
        default: self.init(.internalServerError, message, param: error.param, code: "internal_error")
        }
        envelope.code = error.code ?? envelope.code
        if let seconds = error.retryAfter {
            headers["retry-after"] = String(seconds)
            headers["x-should-retry"] = nil
        }
    }

    /// A handler's error as a refusal; an error of an unknown type becomes a 500 without details.
    public init(anything error: any Error) {
        switch error {
        case let error as APIError: self = error
        case let error as SoradError: self.init(error)
        default: self.init(.internalServerError, "the server failed to answer; its journal says why", code: "internal_error")
        }
    }

    public var response: Response {
        var response = Response.json(envelope, status: status)
        for field in headers.fields { response.headers.append(field.name, field.value) }
        return response
    }

    public var description: String { "\(status): \(envelope.message)" }

    private static func type(of status: Status) -> String {
        switch status.code {
        case 401: "authentication_error"
        case 403: "permission_error"
        case 429: "rate_limit_error"
        case 500...: "server_error"
        default: "invalid_request_error"
        }
    }
}

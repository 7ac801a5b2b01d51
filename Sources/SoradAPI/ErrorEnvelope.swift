// The one shape in which every refusal goes over HTTP.
public import SoradSystem

/// `{"error":{"message","type","param","code"}}`.
public struct ErrorEnvelope: JSONRepresentable, Equatable {
    /// One plain sentence: what, why, what to do.
    public var message: String
    /// The class of error, e.g. "invalid_request_error".
    public var type: String
    /// The request field at fault.
    public var param: String?
    /// Machine-readable, e.g. "video_not_ready".
    public var code: String?

    public init(message: String, type: String, param: String? = nil, code: String? = nil) {
        self.message = message
        self.type = type
        self.param = param
        self.code = code
    }

    public var json: JSONValue {
        ["error": ["message": .string(message), "type": .string(type), "param": .optional(param), "code": .optional(code)]]
    }

    public init(json: JSONValue) throws(JSONError) {
        guard let error = json["error"] else { throw JSONError("the error answer has no \"error\"") }
        let members = JSONMembers(error, of: "error")
        message = try members.string("message")
        type = error["type"]?.string ?? "unknown_error"
        param = error["param"]?.string
        code = error["code"]?.string
    }
}

// A small blocking client for one server on a Unix socket. One request at a time; the connection is kept between requests.
public import SoradAPI
public import SoradSystem

public struct ClientRequest: Sendable {
    public enum Body: Sendable {
        case none
        case json(JSONValue)
        case bytes([UInt8], contentType: String)
    }

    public var method: Method
    /// Origin form, already percent-encoded, e.g. "/v1/videos?limit=2"; see `percentEncoded`.
    public var target: String
    public var headers: Headers
    public var body: Body

    public init(_ method: Method, _ target: String, headers: Headers = Headers(), body: Body = .none) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
    }
}

public struct ClientResponse: Sendable {
    public var status: Int
    public var headers: Headers
    /// Empty when the body went to a file or a stream.
    public var body: [UInt8]

    public init(status: Int, headers: Headers, body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

public struct ClientSettings: Sendable {
    /// To connect, and for the head of the answer.
    public var timeout: Duration = .seconds(30)
    /// Longest silence within a body; a stream of events has none.
    public var bodySilence: Duration = .seconds(30)
    /// Longest body taken into memory, in bytes.
    public var bodyInMemory = 64 << 20

    public init() {}
}

/// Throws `.unavailable` (no socket, refused, broken), `.permission`, `.timedOut`, `.internalFault` (not HTTP); messages begin with
/// "cannot connect to PATH: …" where connecting failed. An answer of any status is an answer, not an error, unless said otherwise.
public final class HTTPClient {
    public let socketPath: String

    public init(socketPath: String, settings: ClientSettings = ClientSettings()) {
        self.socketPath = socketPath
    }

    /// The answer with its body in memory.
    public func send(_ request: ClientRequest) throws(SoradError) -> ClientResponse {
        fatalError()
    }

    /// The JSON of a 2xx answer; an error answer is thrown as the `SoradError` that fits its status, with the server's message and param.
    public func fetch<Value: JSONRepresentable>(_ request: ClientRequest, as: Value.Type = Value.self) throws(SoradError) -> Value {
        fatalError()
    }

    /// Writes the body of a 2xx answer to `file` as it comes; an error answer is thrown like in `fetch`.
    /// `progress` gets the bytes so far and, when the server says it, the total.
    @discardableResult
    public func download(
        _ request: ClientRequest, to file: borrowing FileDescriptor, progress: (Int, Int?) -> Void = { _, _ in }
    ) throws(SoradError) -> ClientResponse {
        fatalError()
    }

    /// Hands over the body of a 2xx answer piece by piece until it ends or `onBytes` returns false; an error answer is thrown.
    @discardableResult
    public func stream(_ request: ClientRequest, onBytes: (ArraySlice<UInt8>) -> Bool) throws(SoradError) -> ClientResponse {
        fatalError()
    }
}

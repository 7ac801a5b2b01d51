// A request as a handler gets it: parsed, limited, complete. Nothing in it is raw wire text any more.
public import SoradSystem

public struct Request: Sendable {
    /// Sent back as `x-request-id`; unique within this process.
    public var id: String
    /// The user whose request it is; nobody on routes that need no key.
    public var peer: Peer
    /// The name of the key that identified `peer`; nil where the kernel did.
    public var key: String?
    public var method: Method
    /// Percent-decoded once, segment by segment joined with "/"; begins with "/".
    public var path: String
    /// The matches of the route's `{name}` segments, decoded; 1…128 characters of A-Z a-z 0-9 _ . -, not beginning with ".".
    public var parameters: [String: String]
    /// The query string as text fields.
    public var query: Fields
    public var headers: Headers
    /// JSON object or multipart form, read in one way; empty when there was no body or the route takes none.
    public var fields: Fields
    /// Stopped when the client's connection has ended: nobody waits for the answer any more.
    public var gone = StopFlag()

    public init(
        id: String, peer: Peer, method: Method, path: String, parameters: [String: String] = [:], query: Fields = Fields(),
        headers: Headers = Headers(), fields: Fields = Fields()
    ) {
        self.id = id
        self.peer = peer
        self.method = method
        self.path = path
        self.parameters = parameters
        self.query = query
        self.headers = headers
        self.fields = fields
    }

    /// A parameter that the route's pattern names.
    public func parameter(_ name: String) -> String {
        guard let value = parameters[name] else { preconditionFailure("the route has no {\(name)}") }
        return value
    }
}

/// Answers one request. Exactly one `Reply` is sent per request, from any thread, at any time; one that is dropped unsent is a 500.
public typealias Handler = @Sendable (Request) throws -> Response
/// Like `Handler`, but may return before it answers.
public typealias DeferredHandler = @Sendable (Request, Reply) -> Void

/// The right to answer one request, once.
public final class Reply: Sendable {
    private let once: Once<@Sendable (Response) -> Void>

    /// `deliver` is called at most once, on the thread that sends.
    public init(_ deliver: @escaping @Sendable (Response) -> Void) { once = Once(deliver) }

    /// Sends `response`; a second call does nothing and returns false.
    @discardableResult
    public func send(_ response: Response) -> Bool {
        guard let deliver = once.take() else { return false }
        deliver(response)
        return true
    }

    deinit {
        guard let deliver = once.take() else { return }
        deliver(APIError(.internalServerError, "the server dropped the request without an answer; this is a fault of sorad").response)
    }
}

// A small blocking client for one server on a Unix socket. One request at a time; the connection is kept between requests.
import SoradAPI
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
    private let settings: ClientSettings
    private var connection: ClientConnection?

    public init(socketPath: String, settings: ClientSettings = ClientSettings()) {
        self.socketPath = socketPath
        self.settings = settings
    }

    /// The answer with its body in memory.
    public func send(_ request: ClientRequest) throws(SoradError) -> ClientResponse {
        var body: [UInt8] = []
        let limit = settings.bodyInMemory
        let head = try exchange(request, silence: settings.bodySilence) { (_, bytes) throws(SoradError) in
            guard bytes.count <= limit - body.count else {
                throw SoradError(.internalFault, "the daemon's answer has more than \(limit) bytes")
            }
            body += bytes
            return true
        }
        return ClientResponse(status: head.status, headers: head.headers, body: body)
    }

    /// The JSON of a 2xx answer; an error answer is thrown as the `SoradError` that fits its status, with the server's message and param.
    public func fetch<Value: JSONRepresentable>(_ request: ClientRequest, as: Value.Type = Value.self) throws(SoradError) -> Value {
        let response = try send(request)
        if let failure = response.failure { throw failure }
        do throws(JSONError) { return try Value(json: JSONValue(parsing: response.body)) } catch {
            throw SoradError(.internalFault, "the daemon's answer is not what was expected: \(error)")
        }
    }

    /// Writes the body of a 2xx answer to `file` as it comes; an error answer is thrown like in `fetch`.
    /// `progress` gets the bytes so far and, when the server says it, the total.
    @discardableResult
    public func download(
        _ request: ClientRequest, to file: borrowing FileDescriptor, progress: (Int, Int?) -> Void = { _, _ in }
    ) throws(SoradError) -> ClientResponse {
        var received = 0
        return try receive(request, silence: settings.bodySilence) { (head, bytes) throws(SoradError) in
            do throws(Errno) { try file.write(bytes) } catch {
                throw SoradError(.internalFault, "cannot write the download: \(error.reason)")
            }
            received += bytes.count
            if case .length(let total) = head.framing { progress(received, total) } else { progress(received, nil) }
            return true
        }
    }

    /// Hands over the body of a 2xx answer piece by piece until it ends or `onBytes` returns false; an error answer is thrown.
    @discardableResult
    public func stream(_ request: ClientRequest, onBytes: (ArraySlice<UInt8>) -> Bool) throws(SoradError) -> ClientResponse {
        try receive(request, silence: nil) { (_, bytes) throws(SoradError) in onBytes(bytes[...]) }
    }

    /// A 2xx body goes to `consume`, an error answer is collected and thrown.
    private func receive(
        _ request: ClientRequest, silence: Duration?, consume: (ResponseHead, [UInt8]) throws(SoradError) -> Bool
    ) throws(SoradError) -> ClientResponse {
        var errorBody: [UInt8] = []
        let head = try exchange(request, silence: silence) { (head, bytes) throws(SoradError) in
            if (200...299).contains(head.status) { return try consume(head, bytes) }
            errorBody += bytes.prefix(64 << 10 - errorBody.count)
            return true
        }
        let response = ClientResponse(status: head.status, headers: head.headers, body: errorBody)
        if let failure = response.failure { throw failure }
        return response
    }

    // MARK: one exchange

    /// `consume` gets the body piece by piece; when it returns false the rest is given up together with the connection.
    private func exchange(
        _ request: ClientRequest, silence: Duration?, consume: (ResponseHead, [UInt8]) throws(SoradError) -> Bool
    ) throws(SoradError) -> ResponseHead {
        // A kept connection may end just when the request is on its way; only a request that changes nothing is then sent again.
        if request.method == .post { connection = nil }
        while true {
            var current = try takeConnection()
            let whole = try current.send(encode(request), within: settings.timeout)
            var parser = ResponseParser(answersTo: request.method)
            guard let head = try readHead(&current, &parser) else {
                if current.isReused { continue }
                throw broken(whole ? "the daemon closed it without an answer" : "the daemon closed it while the request was being sent")
            }
            let finished = try readBody(&current, &parser, head, silence: silence, consume: consume)
            if finished && whole && head.keepAlive && !parser.hasInput {
                current.isReused = true
                connection = consume current
            }
            return head
        }
    }

    private func takeConnection() throws(SoradError) -> ClientConnection {
        if let kept = connection.take() { return kept }
        return try ClientConnection(path: socketPath, timeout: settings.timeout)
    }

    /// nil when the connection ended before the first byte of an answer.
    private func readHead(_ connection: inout ClientConnection, _ parser: inout ResponseParser) throws(SoradError) -> ResponseHead? {
        let deadline = MonotonicTime.now() + settings.timeout
        var isFirst = true
        while true {
            if let event = try event(&parser) {
                guard case .head(let head) = event else { preconditionFailure("a body before its head") }
                return head
            }
            guard let bytes = try connection.receive(within: max(.zero, deadline - MonotonicTime.now())) else {
                if isFirst { return nil }
                throw broken("the answer was cut short")
            }
            isFirst = false
            parser.append(bytes)
        }
    }

    /// True when the body came to its end and the connection may be kept.
    private func readBody(
        _ connection: inout ClientConnection, _ parser: inout ResponseParser, _ head: ResponseHead, silence: Duration?,
        consume: (ResponseHead, [UInt8]) throws(SoradError) -> Bool
    ) throws(SoradError) -> Bool {
        while true {
            while let event = try event(&parser) {
                switch event {
                case .head: preconditionFailure("two heads of one answer")
                case .body(let bytes): guard try consume(head, bytes) else { return false }
                case .end: return true
                }
            }
            guard let bytes = try connection.receive(within: silence) else {
                if parser.endsWithConnection { return false }
                throw broken("the answer was cut short")
            }
            parser.append(bytes)
        }
    }

    private func event(_ parser: inout ResponseParser) throws(SoradError) -> ResponseParser.Event? {
        do throws(WireError) { return try parser.next() } catch {
            throw SoradError(.internalFault, "\(socketPath): the answer is not valid HTTP: \(error.problem)")
        }
    }

    private func broken(_ reason: String) -> SoradError { SoradError(.unavailable, "\(socketPath): the connection broke: \(reason)") }

    private func encode(_ request: ClientRequest) -> [UInt8] {
        precondition(
            request.target.hasPrefix("/") && !request.target.utf8.contains { $0 <= 0x20 || $0 >= 0x7F }, "target \(request.target)")
        var text = "\(request.method.rawValue) \(request.target) HTTP/1.1\r\nhost: localhost\r\n"
        var body: [UInt8] = []
        switch request.body {
        case .none: if request.method == .post { text += "content-length: 0\r\n" }
        case .json(let value):
            body = value.bytes()
            text += "content-type: application/json\r\ncontent-length: \(body.count)\r\n"
        case .bytes(let bytes, let contentType):
            body = bytes
            text += "content-type: \(contentType)\r\ncontent-length: \(body.count)\r\n"
        }
        for field in request.headers.fields {
            precondition(!field.value.utf8.contains { $0 < 0x20 || $0 == 0x7F }, "a control character in header \(field.name)")
            text += "\(field.name): \(field.value)\r\n"
        }
        return Array((text + "\r\n").utf8) + body
    }
}

extension ClientResponse {
    /// The error that a status of 400 and above, or any other that is not 2xx or 304, stands for.
    public var failure: SoradError? {
        if (200...299).contains(status) || status == 304 { return nil }
        let envelope = (try? JSONValue(parsing: body)).flatMap { try? ErrorEnvelope(json: $0) }
        let message = envelope?.message ?? "the daemon answered with status \(status)"
        let hint = headers["retry-after"].map { "try again in \($0) s" }
        let kind: SoradError.Kind
        switch status {
        case 401, 403: kind = .permission
        case 404: kind = .notFound
        case 408: kind = .timedOut
        case 409: kind = envelope?.code == "cancelled" ? .cancelled : .busy
        case 429: kind = .busy
        case 507: kind = .storageFull
        case 400...499: kind = .badInput
        case 503: kind = hint == nil ? .unavailable : .busy  // it answers, and says when to come back
        default: kind = .internalFault
        }
        return SoradError(
            kind, message, hint: hint, param: envelope?.param, code: envelope?.code, retryAfter: headers["retry-after"].flatMap { Int($0) })
    }
}

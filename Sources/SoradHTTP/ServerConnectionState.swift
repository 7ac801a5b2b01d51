// One connection of the server as a pure state machine. Bytes, times and the fate of answers go in, actions come out.
// Invariants: requests are answered one at a time and in order; each is answered exactly once; input waits (unread, in the kernel)
// while an answer is under way; every phase but `handling` has a deadline that the client cannot push away by trickling bytes.
package import SoradSystem

package struct ServerConnectionState {
    package enum Phase: Equatable {
        /// Between requests.
        case idle
        case head
        /// A body that somebody wants.
        case body
        /// A body that nobody wants, read so that the connection can be kept.
        case discarding
        /// A handler has the request.
        case handling
        case responding
        /// The last answer is out; waiting for the client to read it.
        case lingering
        case closed
    }

    package enum Action {
        /// Tell the client to send its body.
        case sendContinue
        /// A request that has a route: make a receiver for its body.
        case begin(RequestHead, Route, parameters: [String: String])
        case body([UInt8])
        /// The body is whole: hand the request over.
        case complete
        /// Answer without a handler; `head` is nil when it could not be parsed.
        case refuse(APIError, head: RequestHead?)
        /// Shut down the sending side and discard incoming bytes.
        case finishSending
        case close
    }

    package private(set) var phase = Phase.idle
    package private(set) var deadline: MonotonicTime?
    /// Whether the connection ends after the answer that is due or under way.
    package private(set) var closesAfterAnswer = false

    /// Who has come with the request under way.
    package private(set) var admission: Admission

    private var parser: RequestParser
    private var door: Door
    /// The kernel's word about the client.
    private var peer: Peer
    private let routes: Routes
    private let settings: ServerSettings
    /// Too many connections: every request is refused.
    private let isShed: Bool

    private var head: RequestHead?
    private var bodyStart: MonotonicTime
    private var bodyBytes = 0
    private var pendingRefusal: APIError?
    private var pendingActions: [Action] = []
    private var inputEnded = false

    package init(
        routes: Routes, settings: ServerSettings, isShed: Bool, now: MonotonicTime, door: Door = Door(), peer: Peer = .nobody
    ) {
        self.door = door
        self.peer = peer
        admission = Admission(peer: peer)
        self.routes = routes
        self.settings = settings
        self.isShed = isShed
        parser = RequestParser(settings: settings)
        bodyStart = now
        deadline = now + (isShed ? settings.lingerTime : settings.idleTime)
    }

    /// Whether the socket should be read.
    package var wantsInput: Bool {
        switch phase {
        case .idle, .head, .body, .discarding: !inputEnded
        case .lingering: true
        case .handling, .responding, .closed: false
        }
    }

    // MARK: input

    package mutating func received(_ bytes: ArraySlice<UInt8>, now: MonotonicTime) {
        guard phase != .lingering && phase != .closed else { return }
        parser.append(bytes)
        beginHeadIfNeeded(now)
        guard phase == .body || phase == .discarding else { return }
        bodyBytes += bytes.count
        deadline = bodyStart + settings.bodyGrace + .nanoseconds(ServerConnectionState.time(bytes: bodyBytes, rate: settings.bodyRate))
    }

    /// The client has sent its last byte.
    package mutating func inputDidEnd() {
        inputEnded = true
        if phase == .lingering || phase == .idle { close() }
    }

    /// The deadline has passed.
    package mutating func expire(now: MonotonicTime) {
        guard let deadline, deadline <= now else { return }
        switch phase {
        case .head, .body, .discarding:
            let late = APIError(.requestTimeout, "the request did not arrive in time", code: "request_timeout")
            refuseAndClose(phase == .discarding ? pendingRefusal ?? late : late)
        case .idle, .responding, .lingering: close()
        case .handling, .closed: break
        }
    }

    /// The server stops: no further request on this connection.
    package mutating func stop() {
        closesAfterAnswer = true
        if phase == .idle { close() }
    }

    /// The answer's framing can only end with the connection.
    package mutating func closeAfterAnswer() { closesAfterAnswer = true }

    /// The client wants to be nobody from its next request on.
    package mutating func surrender(to door: Door) {
        self.door = door
        peer = .nobody
    }

    // MARK: actions

    /// The next action; nil when there is nothing to do before more input, an answer or a deadline.
    package mutating func next(now: MonotonicTime) -> Action? {
        if !pendingActions.isEmpty { return pendingActions.removeFirst() }
        guard [.head, .body, .discarding].contains(phase) else { return nil }
        do throws(WireError) {
            while let event = try parser.next() {
                if let action = take(event, now: now) { return action }
                guard [.head, .body, .discarding].contains(phase) else { break }
            }
        } catch {
            refuseAndClose(error.apiError)
        }
        if inputEnded, [.head, .body, .discarding].contains(phase) {
            refuseAndClose(WireError("it ends too early").apiError)
        }
        return pendingActions.isEmpty ? nil : pendingActions.removeFirst()
    }

    /// The request cannot be served: its body is refused, or no handler is free. Instead of `complete`'s answer or in the middle of a body.
    package mutating func refuse(_ error: APIError) {
        switch phase {
        case .body: discard(error, bytesLeft: nil)
        case .handling: pendingActions.append(.refuse(error, head: head))
        default: preconditionFailure("refusal while \(phase)")
        }
    }

    private mutating func take(_ event: RequestParser.Event, now: MonotonicTime) -> Action? {
        switch (event, phase) {
        case (.head(let head), .head): return begin(head, now: now)
        case (.body(let bytes), .body): return .body(bytes)
        case (.body, .discarding):
            if bodyBytes > settings.discardedBody { refuseAndClose(pendingRefusal) }
            return nil
        case (.end, .body):
            phase = .handling
            deadline = nil
            return .complete
        case (.end, .discarding):
            let refusal = pendingRefusal
            phase = .handling
            deadline = nil
            return refusal.map { .refuse($0, head: head) }
        default: preconditionFailure("\(event) while \(phase)")
        }
    }

    private mutating func begin(_ head: RequestHead, now: MonotonicTime) -> Action? {
        self.head = head
        if !head.keepAlive { closesAfterAnswer = true }
        phase = .body
        bodyStart = now
        bodyBytes = 0
        deadline = now + settings.bodyGrace
        if isShed {
            refuseAndClose(BodyReceiver.overloaded(settings))
            return nil
        }
        admission = door.admit(head, peer)
        // One guess at a key for each connection: a client without one has nothing more to ask, and the others have their turn.
        if let missing = missingKey(head) {
            refuseAndClose(missing)
            return nil
        }
        switch route(head) {
        case .failure(let error):
            discard(error, bytesLeft: head.framing)
            return nil
        case .success(let (route, parameters)):
            if head.expectation == .continue, head.framing != .none, !parser.hasInput { pendingActions.append(.sendContinue) }
            return .begin(head, route, parameters: parameters)
        }
    }

    private func route(_ head: RequestHead) -> Result<(Route, [String: String]), APIError> {
        if let refusal = admission.refusal { return .failure(refusal) }
        if admission.isPreflight { return .success((Door.preflight, [:])) }
        return match(head)
    }

    /// Set when the request needs a key and has no valid one.
    private func missingKey(_ head: RequestHead) -> APIError? {
        guard admission.refusal == nil, let missing = admission.missingKey else { return nil }
        if case .success(let (route, _)) = match(head), route.isOpen { return nil }
        return missing
    }

    private func match(_ head: RequestHead) -> Result<(Route, [String: String]), APIError> {
        if head.expectation == .unknown {
            return .failure(APIError(.expectationFailed, "the only expectation known here is 100-continue", code: "expectation_failed"))
        }
        guard let method = head.method else {
            return .failure(
                APIError(.notImplemented, "the method \(head.methodName.prefix(32)) is not known here", code: "method_not_implemented"))
        }
        if let advice = routes.advice(method, path: head.target.segments) {
            let path = head.target.path.prefix(128)
            return .failure(APIError(.notFound, "\(method.rawValue) \(path) is not served here; \(advice)", code: "unknown_path"))
        }
        switch routes.match(method, path: head.target.segments) {
        case .found(let route, let parameters): return .success((route, parameters))
        case .notFound:
            return .failure(APIError(.notFound, "there is nothing at \"\(head.target.path.prefix(128))\"", code: "unknown_path"))
        case .methodNotAllowed(let allowed):
            let names = allowed.map(\.rawValue).joined(separator: ", ")
            return .failure(
                APIError(
                    .methodNotAllowed, "\(head.target.path.prefix(128)) does not take \(method.rawValue); it takes \(names)",
                    code: "method_not_allowed", headers: ["allow": names]))
        }
    }

    /// Answers `error` after the rest of the body, if that is short enough to be worth keeping the connection; else at once.
    private mutating func discard(_ error: APIError, bytesLeft framing: BodyFraming?) {
        pendingActions.removeAll()
        // A client that waits for 100 may or may not send its body after a refusal: the connection cannot be kept.
        if head?.expectation != RequestHead.Expectation.none && head?.framing != BodyFraming.none { return refuseAndClose(error) }
        if case .length(let count) = framing ?? head?.framing, count > settings.discardedBody { return refuseAndClose(error) }
        // Bytes that have come already count: a client that stops here would wait for its answer until the deadline.
        if bodyBytes > settings.discardedBody { return refuseAndClose(error) }
        phase = .discarding
        pendingRefusal = error
    }

    private mutating func refuseAndClose(_ error: APIError?) {
        let error = error ?? BodyReceiver.overloaded(settings)
        pendingActions = [.refuse(error, head: head)]
        closesAfterAnswer = true
        phase = .handling
        deadline = nil
    }

    // MARK: answers

    /// An answer is being sent. `bytes`: all of it, or the piece of a stream that waits; nil when a stream has nothing to send.
    package mutating func responding(bytes: Int?, now: MonotonicTime) {
        precondition(phase == .handling || phase == .responding, "an answer while \(phase)")
        phase = .responding
        deadline = bytes.map { now + settings.writeGrace + .nanoseconds(ServerConnectionState.time(bytes: $0, rate: settings.writeRate)) }
    }

    /// The answer is out.
    package mutating func responded(now: MonotonicTime) {
        precondition(phase == .responding, "the end of an answer while \(phase)")
        head = nil
        pendingRefusal = nil
        if closesAfterAnswer {
            if inputEnded { return close() }
            phase = .lingering
            deadline = now + settings.lingerTime
            pendingActions = [.finishSending]
            return
        }
        phase = .idle
        deadline = now + settings.idleTime
        beginHeadIfNeeded(now)
        if inputEnded && phase == .idle { close() }
    }

    private mutating func beginHeadIfNeeded(_ now: MonotonicTime) {
        guard phase == .idle, parser.hasInput else { return }
        phase = .head
        deadline = now + (isShed ? settings.lingerTime : settings.headTime)
    }

    private mutating func close() {
        phase = .closed
        deadline = nil
        pendingActions = [.close]
    }

    /// Nanoseconds that `bytes` may take at `rate` bytes per second.
    private static func time(bytes: Int, rate: Int) -> Int64 {
        let (whole, rest) = bytes.quotientAndRemainder(dividingBy: rate)
        return Int64(whole) * 1_000_000_000 + Int64(rest) * 1_000_000_000 / Int64(rate)
    }
}

// One connection: a socket, its state machine, the body that is coming in and the answer that is going out. I/O thread only.
import SoradSystem

final class ServerConnection {
    /// The rest of the answer's body.
    private enum Outgoing {
        case nothing
        case file(FileRegion, sent: Int)
        case stream(BodyStream, chunked: Bool)
    }

    /// State that all connections of a server share.
    struct Environment {
        let routes: Routes
        let settings: ServerSettings
        let clock: TimeSource
        let memory: BodyMemory
        let handlers: HandlerThreads
        /// For requests with a large body, so that they hold up each other alone.
        let largeBodyHandlers: HandlerThreads
        let inbox: ServerInbox
        /// Of connections that have given up their identity.
        let surrendered: Door
        let observer: HTTPServer.Observer
    }

    let id: UInt64
    let socket: FileDescriptor
    /// The user of the request under way, or of the last one.
    private(set) var peer: Peer
    /// The name of the key that identified `peer`; nil where the kernel did.
    private(set) var key: String?
    /// The user whose connection this is, for the limits.
    private(set) var countedUser: UInt32
    private(set) var state: ServerConnectionState
    private let environment: Environment
    private let counts: ConnectionCounts

    // The request under way
    private var requests: UInt64 = 0
    private var requestID = ""
    private var head: RequestHead?
    private var route: Route?
    private var parameters: [String: String] = [:]
    private var receiver: BodyReceiver?
    private var memoryShare: BodyMemory.Share?
    private var began: MonotonicTime
    private var gone = StopFlag()

    // The answer under way
    private var buffer: [UInt8] = []
    private var bufferSent = 0
    private var outgoing = Outgoing.nothing
    private var answering = false
    private var surrenders = false
    private var answerStatus = 0
    private var answerBytes = 0
    private(set) var isClosed = false

    init(
        id: UInt64, socket: consuming FileDescriptor, peer: Peer, door: Door, isShed: Bool, counts: ConnectionCounts,
        environment: Environment
    ) {
        self.id = id
        self.socket = socket
        self.peer = peer
        self.counts = counts
        countedUser = peer.userID
        self.environment = environment
        let now = environment.clock.monotonic()
        began = now
        state = ServerConnectionState(
            routes: environment.routes, settings: environment.settings, isShed: isShed, now: now, door: door, peer: peer)
    }

    var wantsInput: Bool { state.wantsInput }
    /// Bytes wait for space in the socket's buffer.
    var wantsOutput: Bool {
        if bufferSent < buffer.count { return true }
        if case .file = outgoing { return true }
        return false
    }

    private var now: MonotonicTime { environment.clock.monotonic() }

    // MARK: events

    /// The socket can be read. `scratch` is the loop's.
    func readable(_ scratch: inout [UInt8]) {
        do throws(Errno) {
            switch try socket.receive(into: &scratch) {
            case nil: return
            case 0: state.inputDidEnd()
            case let count?: state.received(scratch[..<count], now: now)
            }
        } catch { return closeNow() }
        advance()
    }

    func writable() {
        flush()
        advance()
    }

    func expire() {
        state.expire(now: now)
        advance()
    }

    /// A handler has answered request number `request` of this connection.
    func answered(_ request: UInt64, _ response: Response) {
        guard request == requests, state.phase == .handling, !answering else { return ServerConnection.abandon(response) }
        begin(response)
        advance()
    }

    func streamHasBytes() {
        guard answering, case .stream = outgoing else { return }
        flush()
        advance()
    }

    func stop() {
        state.stop()
        advance()
    }

    /// Ends the connection at once.
    func closeNow() {
        guard !isClosed else { return }
        isClosed = true
        gone.stop()
        if case .stream(let stream, _) = outgoing { stream.detach() }
        if answering { report() }
        outgoing = .nothing
        buffer = []
        receiver = nil
        memoryShare = nil
    }

    // MARK: actions

    private func advance() {
        while !isClosed, let action = state.next(now: now) {
            switch action {
            case .sendContinue:
                buffer += ResponseEncoder.continueHead
                flush()
            case .begin(let head, let route, let parameters): beginRequest(head, route, parameters)
            case .body(let bytes): receive(bytes)
            case .complete: dispatch()
            case .refuse(let error, let head):
                receiver = nil
                if requestID.isEmpty { newRequest() }
                self.head = head
                begin(error.response)
            case .finishSending: socket.finishSending()
            case .close: closeNow()
            }
        }
    }

    private func newRequest() {
        requests += 1
        requestID = "req_\(environment.inbox.instance)-\(id)-\(requests)"
        began = now
        gone = StopFlag()
    }

    private func beginRequest(_ head: RequestHead, _ route: Route, _ parameters: [String: String]) {
        newRequest()
        self.head = head
        self.route = route
        self.parameters = parameters
        do throws(APIError) {
            try takeOver(state.admission)
            let receiver = try BodyReceiver(
                head: head, kind: route.body, settings: environment.settings, memory: environment.memory, user: peer.userID)
            memoryShare = receiver.share
            self.receiver = receiver
        } catch { state.refuse(error) }
    }

    /// From here on the request is that user's.
    private func takeOver(_ admission: Admission) throws(APIError) {
        peer = admission.peer
        key = admission.key
        guard let owner = admission.keyOwner, owner != countedUser else { return }
        guard counts.move(from: countedUser, to: owner) else { throw BodyReceiver.overloaded(environment.settings) }
        countedUser = owner
    }

    private func receive(_ bytes: [UInt8]) {
        guard var current = receiver else { preconditionFailure("a body without a receiver") }
        receiver = nil
        do throws(APIError) {
            try current.append(bytes)
            receiver = current
        } catch { state.refuse(error) }
    }

    private func dispatch() {
        guard let head, let route, let current = receiver else { preconditionFailure("a request without a head") }
        // A browser's OPTIONS has none.
        let method = head.method ?? .get
        receiver = nil
        do throws(APIError) {
            var request = Request(
                id: requestID, peer: peer, method: method, path: head.target.path, parameters: parameters,
                query: try Fields(query: head.target.query), headers: head.headers)
            request.key = key
            request.gone = gone
            let (inbox, connection, number, handler) = (environment.inbox, id, requests, route.handler)
            let reply = Reply { response in inbox.post(.answer(connection: connection, request: number, response)) }
            let body = current.whole()
            let isLarge = body.count > environment.settings.largeBody
            let threads = isLarge ? environment.largeBodyHandlers : environment.handlers
            let isTaken = threads.submit { [request] in
                do throws(APIError) {
                    var request = request
                    request.fields = try body.fields()
                    handler(request, reply)
                } catch { reply.send(error.response) }
            }
            guard isTaken else { throw BodyReceiver.overloaded(environment.settings) }
        } catch { state.refuse(error) }
    }

    // MARK: sending

    private func begin(_ response: Response) {
        var response = response
        if head != nil { for field in state.admission.headers.fields { response.headers.append(field.name, field.value) } }
        var context = ResponseEncoder.Context(
            requestID: requestID, method: head?.method, minorVersion: head?.minorVersion ?? 1, closes: state.closesAfterAnswer,
            unixSeconds: environment.clock.unixSeconds())
        if ResponseEncoder.needsClose(response, context) {
            state.closeAfterAnswer()
            context.closes = true
        }
        answering = true
        surrenders = response.surrendersIdentity
        answerStatus = response.status.code
        answerBytes = 0
        buffer += ResponseEncoder.head(response, context)
        var size: Int? = buffer.count
        if ResponseEncoder.sendsBody(response, context) {
            switch response.body {
            case .bytes(let bytes):
                buffer += bytes
                answerBytes = bytes.count
                size = buffer.count
            case .file(let region):
                outgoing = .file(region, sent: 0)
                size = buffer.count + region.length
            case .stream(let stream):
                outgoing = .stream(stream, chunked: context.minorVersion >= 1)
                let (inbox, connection) = (environment.inbox, id)
                stream.attach { inbox.post(.stream(connection: connection)) }
            }
        } else {
            ServerConnection.abandon(response)
        }
        state.responding(bytes: size, now: now)
        flush()
    }

    /// Sends as much as fits, and ends the answer when all of it is out.
    private func flush() {
        do throws(Errno) {
            while true {
                guard try flushBuffer() else { return }
                switch outgoing {
                case .nothing:
                    if answering { finishAnswer() }
                    return
                case .file(let region, let sent): guard try send(region, sent: sent) else { return }
                case .stream(let stream, let chunked): guard take(from: stream, chunked: chunked) else { return }
                }
            }
        } catch { closeNow() }
    }

    /// True when the buffer is empty.
    private func flushBuffer() throws(Errno) -> Bool {
        while bufferSent < buffer.count {
            guard let count = try socket.send(buffer, from: bufferSent) else { return false }
            bufferSent += count
        }
        buffer = []
        bufferSent = 0
        return true
    }

    /// False when the socket is full or the connection has ended.
    private func send(_ region: FileRegion, sent: Int) throws(Errno) -> Bool {
        guard sent < region.length else {
            outgoing = .nothing
            return true
        }
        let left = region.length - sent
        guard let count = try socket.send(file: region.file.descriptor, offset: region.offset + sent, count: left) else { return false }
        if count == 0 {
            environment.observer(.fault("a file became shorter while it was being sent; the connection was cut"))
            closeNow()
            return false
        }
        answerBytes += count
        outgoing = .file(region, sent: sent + count)
        return true
    }

    /// False when the stream has nothing now, or the connection has ended.
    private func take(from stream: BodyStream, chunked: Bool) -> Bool {
        switch stream.take() {
        case .nothingYet:
            state.responding(bytes: nil, now: now)
            return false
        case .overrun:
            closeNow()
            return false
        case .bytes(let bytes):
            answerBytes += bytes.count
            buffer = chunked ? ResponseEncoder.chunk(bytes) : bytes
            state.responding(bytes: buffer.count, now: now)
        case .finished:
            if chunked { buffer = ResponseEncoder.lastChunk }
            state.responding(bytes: buffer.count, now: now)
            stream.detach()
            outgoing = .nothing
        }
        return true
    }

    private func finishAnswer() {
        report()
        answering = false
        requestID = ""
        head = nil
        route = nil
        memoryShare = nil
        if surrenders {
            (peer, key) = (.nobody, nil)
            state.surrender(to: environment.surrendered)
        }
        state.responded(now: now)
    }

    private func report() {
        environment.observer(
            .answered(
                id: requestID, peer: peer, method: head?.methodName ?? "-", path: head?.target.path ?? "-", status: answerStatus,
                bytes: answerBytes, duration: now - began))
    }

    /// Tells the producer of a stream that will never be sent.
    static func abandon(_ response: Response) {
        if case .stream(let stream) = response.body { stream.detach() }
    }
}

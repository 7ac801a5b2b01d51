// Drives the server's pure parts without a socket: what a client would see of a connection, from bytes and a clock moved by hand.
import SoradAPI
import SoradHTTP
import SoradSystem

/// One connection to a server with the test routes. Every request that gets through is answered with 200 at once.
struct Conversation {
    /// Statuses of the answers so far.
    private(set) var statuses: [Int] = []
    /// Error answers' codes, in order.
    private(set) var errorCodes: [String?] = []
    private(set) var errors: [APIError] = []
    private(set) var continues = 0
    /// Fields of the requests that got through.
    private(set) var received: [Fields] = []
    private(set) var heads: [RequestHead] = []
    private(set) var isClosed = false
    var state: ServerConnectionState
    private var receiver: BodyReceiver?
    private let settings: ServerSettings
    private let memory: BodyMemory
    /// Answers stay under way until `finishAnswer` when set.
    var holdsAnswers = false

    init(settings: ServerSettings = ServerSettings(), isShed: Bool = false) {
        self.settings = settings
        memory = BodyMemory(limit: settings.bodyMemory)
        state = ServerConnectionState(routes: Conversation.routes, settings: settings, isShed: isShed, now: .zero)
    }

    static let routes: Routes = {
        var routes = Routes()
        let ok: Handler = { _ in Response() }
        routes.on(.get, "/ping", ok)
        routes.on(.get, "/v1/videos", ok)
        routes.on(.post, "/v1/videos", body: .fields, ok)
        routes.on(.post, "/v1/videos/edits", body: .fields, ok)
        routes.on(.get, "/v1/videos/{id}", ok)
        routes.on(.delete, "/v1/videos/{id}", ok)
        routes.on(.post, "/v1/videos/{id}/cancel", ok)
        return routes
    }()

    mutating func send(_ bytes: [UInt8], at now: MonotonicTime = .zero) {
        state.received(bytes[...], now: now)
        act(now)
    }

    mutating func send(_ text: String, at now: MonotonicTime = .zero) { send(Array(text.utf8), at: now) }

    mutating func end(at now: MonotonicTime = .zero) {
        state.inputDidEnd()
        act(now)
    }

    mutating func expire(at now: MonotonicTime) {
        state.expire(now: now)
        act(now)
    }

    mutating func finishAnswer(at now: MonotonicTime) {
        state.responded(now: now)
        act(now)
    }

    /// What a client can see of the connection: no further request will be served.
    var isOver: Bool { isClosed || state.phase == .lingering }

    private mutating func act(_ now: MonotonicTime) {
        while let action = state.next(now: now) {
            switch action {
            case .sendContinue: continues += 1
            case .begin(let head, let route, _):
                heads.append(head)
                do throws(APIError) {
                    receiver = try BodyReceiver(head: head, kind: route.body, settings: settings, memory: memory)
                } catch { state.refuse(error) }
            case .body(let bytes):
                do throws(APIError) { try receiver?.append(bytes) } catch { state.refuse(error) }
            case .complete: complete(now)
            case .refuse(let error, _):
                errors.append(error)
                errorCodes.append(error.envelope.code)
                answer(error.status.code, now)
            case .finishSending: break
            case .close: isClosed = true
            }
        }
    }

    private mutating func complete(_ now: MonotonicTime) {
        guard let finished = receiver else { preconditionFailure("complete without a receiver") }
        receiver = nil
        do throws(APIError) {
            received.append(try finished.finish())
            answer(200, now)
        } catch { state.refuse(error) }
    }

    private mutating func answer(_ status: Int, _ now: MonotonicTime) {
        statuses.append(status)
        state.responding(bytes: 100, now: now)
        if !holdsAnswers { state.responded(now: now) }
    }
}

extension MonotonicTime {
    static let zero = MonotonicTime(nanoseconds: 0)
    /// Seconds after the start of a test.
    static func at(_ seconds: Double) -> MonotonicTime { MonotonicTime(nanoseconds: Int64(seconds * 1e9)) }
}

/// A request as text: start line, header lines, body.
func request(_ startLine: String, _ lines: [String] = ["Host: x"], body: String = "") -> String {
    ([startLine] + lines).map { $0 + "\r\n" }.joined() + "\r\n" + body
}

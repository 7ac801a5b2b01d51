// A connection without a socket: bytes go through the server's own state machine and body receivers, every request is answered at once.
import SoradAPI
import SoradHTTP
import SoradSystem

struct ConnectionReplay {
    /// One line for each answer: status, error code or digest of the fields.
    private(set) var answers: [String] = []
    private(set) var complaint: String?
    private var state: ServerConnectionState
    private var receiver: BodyReceiver?
    private var isOver = false
    private let settings: ServerSettings
    private let memory = BodyMemory(limit: 1 << 20)
    private let door: Door
    /// A port that needs keys, and has one.
    static let guarded: Door = {
        var door = Door()
        door.hosts = ["localhost", "[::1]"]
        door.origins = ["https://app.example"]
        door.needsKey = true
        door.credentials = OneKey()
        return door
    }()

    private struct OneKey: Credentials {
        func owner(ofKey key: String) -> KeyOwner? { key == "key" ? KeyOwner(name: "one", user: 7) : nil }
        func isTrustedProxy(_ peer: Peer, key: String?) -> Bool { key == "one" }
        func user(named name: String) -> UInt32? { UInt32(name) }
    }

    private static let now = MonotonicTime(nanoseconds: 0)

    private static let routes: Routes = {
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

    init(_ pieces: [ArraySlice<UInt8>], _ settings: ServerSettings, door: Door = Door()) {
        self.settings = settings
        self.door = door
        state = ServerConnectionState(
            routes: ConnectionReplay.routes, settings: settings, isShed: false, now: ConnectionReplay.now, door: door)
        for piece in pieces {
            state.received(piece, now: ConnectionReplay.now)
            act()
        }
        state.inputDidEnd()
        act()
        if !isOver { complaint = complaint ?? "the connection is still open after the client's end" }
    }

    /// What is wrong with this one, or with the same bytes in other pieces.
    func compare(_ other: ConnectionReplay) -> String? {
        complaint ?? other.complaint
            ?? (answers == other.answers ? nil : "the answers depend on how the bytes were cut: \(answers), \(other.answers)")
    }

    private mutating func act() {
        while let action = state.next(now: ConnectionReplay.now) {
            if isOver { complaint = "something is done after the end" }
            switch action {
            case .begin(let head, let route, _):
                if door.needsKey { checkAdmission(of: head) }
                do throws(APIError) {
                    receiver = try BodyReceiver(head: head, kind: route.body, settings: settings, memory: memory)
                } catch { state.refuse(error) }
            case .body(let bytes): receive(bytes)
            case .complete: complete()
            case .refuse(let error, _): refuse(error)
            case .sendContinue, .finishSending: break
            case .close: isOver = true
            }
        }
    }

    /// Nothing begins for nobody but a browser's question.
    private mutating func checkAdmission(of head: RequestHead) {
        let admission = state.admission
        if admission.peer == .nobody && !admission.isPreflight { complaint = complaint ?? "a request without a key begins" }
        if !head.headers.all("authorization").contains(where: { $0.hasSuffix("key") }) && !admission.isPreflight {
            complaint = complaint ?? "a request with another key begins"
        }
        if [0, Peer.nobody.userID].contains(admission.peer.userID) && !admission.isPreflight {
            complaint = complaint ?? "a request begins for user \(admission.peer.userID)"
        }
    }

    private mutating func receive(_ bytes: [UInt8]) {
        guard var current = receiver.take() else { preconditionFailure("a body without a receiver") }
        do throws(APIError) {
            try current.append(bytes)
            receiver = current
        } catch { state.refuse(error) }
    }

    private mutating func complete() {
        guard let current = receiver.take() else { preconditionFailure("a request without a receiver") }
        do throws(APIError) {
            let fields = try current.finish()
            complaint = complaint ?? fieldsComplaint(fields)
            answer("200 \((try? fields.fingerprint(of: "")) ?? "unreadable")")
        } catch { state.refuse(error) }
    }

    private mutating func refuse(_ error: APIError) {
        receiver = nil
        complaint = complaint ?? errorComplaint(error)
        answer("\(error.status.code) \(error.envelope.code ?? "no code")")
    }

    private mutating func answer(_ text: String) {
        answers.append(text)
        state.responding(bytes: 100, now: ConnectionReplay.now)
        state.responded(now: ConnectionReplay.now)
    }
}

/// A refusal is one sentence in an envelope that a client can read.
func errorComplaint(_ error: APIError) -> String? {
    let text = error.envelope.json.bytes()
    guard let value = try? JSONValue(parsing: text), let read = try? ErrorEnvelope(json: value), read == error.envelope else {
        return "the envelope of \(error) cannot be read"
    }
    guard !error.envelope.message.hasSuffix("."), error.envelope.code != nil, error.status.code >= 400 else {
        return "\(error) is no sentence with a code"
    }
    return nil
}

/// Every way to ask for a field ends in a value or in a sentence that names the field.
func fieldsComplaint(_ fields: Fields) -> String? {
    let questions: [(String) throws -> Void] = [
        { _ = try fields.text($0, maxBytes: 64) },
        { _ = try fields.integer($0, in: -5...255) },
        { _ = try fields.integer($0, in: 0...UInt64.max) },
        { _ = try fields.number($0, in: -1e9...1e9) },
        { _ = try fields.bool($0) },
        { _ = try fields.choice($0, of: ["a", "b"]) },
        { _ = try fields.object($0) },
        { _ = try fields.list($0) },
        { _ = try fields.file($0) },
    ]
    for name in fields.names.prefix(8) {
        for question in questions {
            do { try question(name) } catch {
                guard let error = error as? APIError, error.envelope.param == name else { return "the refusal of \(name) says \(error)" }
                if let complaint = errorComplaint(error) { return complaint }
            }
        }
    }
    return nil
}

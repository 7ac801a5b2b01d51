// A real server on a real socket in a temporary directory, and a client that writes raw bytes.
import SoradAPI
import SoradHTTP
import SoradSystem
import Synchronization

/// What a server told its observer.
final class Notices: Sendable {
    private let all = Mutex<[ServerNotice]>([])
    func add(_ notice: ServerNotice) { all.withLock { $0.append(notice) } }

    var answered: [(status: Int, bytes: Int)] {
        all.withLock { notices in
            notices.compactMap { if case .answered(_, _, _, _, let status, let bytes, _) = $0 { (status, bytes) } else { nil } }
        }
    }
}

struct TestServer {
    let path: String
    let directory: String
    let server: HTTPServer
    let notices: Notices
}

/// Runs `body` with a server, and stops it afterwards.
func withServer<Result>(
    _ settings: ServerSettings = ServerSettings(), routes: (inout Routes, String) -> Void, _ body: (TestServer) throws -> Result
) throws -> Result {
    try withTemporaryDirectory { directory in
        var table = Routes()
        table.on(.get, "/ping") { _ in .text("pong") }
        routes(&table, directory)
        let path = "\(directory)/s.sock"
        let notices = Notices()
        var settings = settings
        settings.uploadDirectory = directory
        let server = try HTTPServer(
            listener: try FileDescriptor(listeningAt: path), routes: table, settings: settings, observer: { notices.add($0) })
        defer { server.stop(grace: .seconds(1)) }
        return try body(TestServer(path: path, directory: directory, server: server, notices: notices))
    }
}

/// A connection that sends what it gets, right or wrong.
final class RawClient {
    private let socket: FileDescriptor
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)
    private var parser: ResponseParser

    init(_ path: String, method: Method = .get) throws {
        socket = try FileDescriptor(connectedTo: path, timeout: .seconds(10))
        parser = ResponseParser(answersTo: method)
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            if let count = try socket.send(bytes, from: sent) {
                sent += count
            } else {
                _ = try waitUntilReady(PollEntry(writing: socket.rawValue), timeout: .seconds(10))
            }
        }
    }

    func finish() { socket.finishSending() }

    struct TimedOut: Error {}

    /// What arrives next; nil at the end of the connection.
    func receive(within timeout: Duration = .seconds(20)) throws -> [UInt8]? {
        while true {
            if let count = try socket.receive(into: &buffer) { return count == 0 ? nil : Array(buffer[..<count]) }
            guard try waitUntilReady(PollEntry(reading: socket.rawValue), timeout: timeout) else { throw TimedOut() }
        }
    }

    /// The next whole answer; nil when the connection ended before it began.
    func answer(within timeout: Duration = .seconds(20)) throws -> ClientResponse? {
        var head: ResponseHead?
        var body: [UInt8] = []
        while true {
            while let event = try parser.next() {
                switch event {
                case .head(let value): head = value
                case .body(let bytes): body += bytes
                case .end:
                    parser = parser.following()
                    return ClientResponse(status: head?.status ?? 0, headers: head?.headers ?? Headers(), body: body)
                }
            }
            guard let bytes = try receive(within: timeout) else { return nil }
            parser.append(bytes[...])
        }
    }

    /// Everything up to the end of the connection.
    func rest() throws -> String {
        var bytes: [UInt8] = []
        while let more = try receive() { bytes += more }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Waits until `condition` holds; false after ten seconds.
func eventually(_ condition: () throws -> Bool) throws -> Bool {
    let deadline = MonotonicTime.now() + .seconds(10)
    while MonotonicTime.now() < deadline {
        if try condition() { return true }
        pause(.milliseconds(5))
    }
    return false
}

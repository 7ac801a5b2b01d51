// The client against missing, unwilling and lying servers.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct ClientTests {
    /// Accepts connections one after another, reads each one's request and sends one of `answers` to it, then closes.
    private func withLiar<Result>(_ answers: [String], _ body: (String) throws -> Result) throws -> Result {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/s.sock"
            let listener = try SharedListener(FileDescriptor(listeningAt: path))
            let thread = try SystemThread(name: "liar") {
                for answer in answers {
                    guard (try? waitUntilReady(PollEntry(reading: listener.descriptor.rawValue), timeout: .seconds(10))) == true,
                        let connection = try? listener.descriptor.acceptConnection()
                    else { return }
                    _ = try? waitUntilReady(PollEntry(reading: connection.rawValue), timeout: .seconds(10))
                    var buffer = [UInt8](repeating: 0, count: 4096)
                    _ = try? connection.receive(into: &buffer)
                    _ = try? connection.send(Array(answer.utf8), from: 0)
                }
            }
            defer { thread.join() }
            return try body(path)
        }
    }

    private final class SharedListener: Sendable {
        let descriptor: FileDescriptor
        init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }
    }

    private func failure(_ body: () throws -> Void) -> SoradError? {
        do {
            try body()
            return nil
        } catch { return error as? SoradError }
    }

    @Test func saysWhyItCannotConnect() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/s.sock"
            let connect = { _ = try HTTPClient(socketPath: path).send(ClientRequest(.get, "/ping")) }
            #expect(failure(connect)?.message == "cannot connect to \(path): no such socket")
            #expect(failure(connect)?.kind == .unavailable)
            do { _ = try FileDescriptor(listeningAt: path) }
            #expect(failure(connect)?.message == "cannot connect to \(path): connection refused, nothing listens there")
            #expect(failure(connect)?.hint?.contains("systemctl") == true)
            removeFile(path)
            try write([], to: path)
            #expect(failure(connect)?.kind == .unavailable)
            let long = "/tmp/" + String(repeating: "a", count: 200)
            #expect(failure { _ = try HTTPClient(socketPath: long).send(ClientRequest(.get, "/")) }?.kind == .usage)
        }
    }

    @Test func saysWhenItIsNotPermittedAndWhoLetsIn() throws {
        let error = permissionDenied(path: "/nowhere/sorad.sock")
        #expect(error.kind == .permission)
        #expect(error.message == "cannot connect to /nowhere/sorad.sock: permission denied")
        #expect(error.hint == "ask who may enter the folder: namei -l /nowhere/sorad.sock")
        // The way in is by the group that the socket has: one for clients, another for administrators.
        let socket = "/tmp/sorad-way-in-" + randomBytes(6).map { String($0, radix: 16) }.joined()
        let listener = try FileDescriptor(listeningAt: socket, mode: 0o660)
        defer { removeFile(socket) }
        var groups = [try #require(FilePlace(socket, followingLinks: false)?.group)]
        if isRoot() { groups.append(1) }
        for group in groups {
            if isRoot() { try giveToGroup(socket, group) }
            guard let name = groupName(group) else { continue }
            let alone = "it is for the user \(userName(effectiveUser()) ?? "") alone"
            #expect(permissionDenied(path: socket).hint == (group == 0 ? alone : "sudo usermod -aG \(name) $USER, then log in again"))
        }
        unsafe #expect(chmod(socket, 0o600) == 0)
        #expect(permissionDenied(path: socket).hint == "it is for the user \(userName(effectiveUser()) ?? "") alone")
        #expect(listener.rawValue >= 0)
    }

    @Test(arguments: [
        ("", "the connection broke: the daemon closed it without an answer"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "the connection broke: the answer was cut short"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "the connection broke: the answer was cut short"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "the connection broke: the answer was cut short"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "the answer is not valid HTTP: a chunk's size is not a number"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "the answer is not valid HTTP: it has more than one Content-Length"
        ),
        ("220 smtp ready\r\n", "the answer is not valid HTTP: its first line is not \"HTTP/1.1 status reason\""),
        ("HTTP/2.0 200 OK\r\n\r\n", "the answer is not valid HTTP: its first line is not \"HTTP/1.1 status reason\""),
        ("HTTP/1.1 99 Low\r\n\r\n", "the answer is not valid HTTP: its first line is not \"HTTP/1.1 status reason\""),
    ]) func lies(_ answer: String, _ message: String) throws {
        try withLiar([answer]) { path in
            #expect(failure { _ = try HTTPClient(socketPath: path).send(ClientRequest(.get, "/ping")) }?.message == "\(path): \(message)")
        }
    }

    @Test func takesInterimAnswersAndBodiesUpToTheEnd() throws {
        try withLiar(["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall of it"]) { path in
            let answer = try HTTPClient(socketPath: path).send(ClientRequest(.get, "/ping"))
            #expect(String(decoding: answer.body, as: UTF8.self) == "all of it")
        }
    }

    @Test func givesUpOnASilentServer() throws {
        try withTemporaryDirectory { directory in
            let listener = try FileDescriptor(listeningAt: "\(directory)/s.sock")
            var settings = ClientSettings()
            settings.timeout = .milliseconds(50)
            #expect(
                failure { _ = try HTTPClient(socketPath: "\(directory)/s.sock", settings: settings).send(ClientRequest(.get, "/")) }?.kind
                    == .timedOut)
            _ = listener.rawValue
        }
    }

    @Test func repeatsWhatChangesNothingWhenAKeptConnectionHasEnded() throws {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
        try withLiar([answer + "1", answer + "2", answer + "3"]) { path in
            let client = HTTPClient(socketPath: path)
            for (method, body) in [(Method.get, "1"), (.get, "2"), (.post, "3")] {
                let response = try client.send(ClientRequest(method, "/"))
                #expect(response.body == Array(body.utf8))
            }
        }
    }

    @Test func errorAnswersBecomeErrors() throws {
        let kinds: [(Int, SoradError.Kind)] = [
            (400, .badInput), (403, .permission), (404, .notFound), (408, .timedOut), (409, .busy), (413, .badInput), (415, .badInput),
            (429, .busy),
            (500, .internalFault), (503, .busy),
        ]
        for (status, kind) in kinds {
            let body = ErrorEnvelope(message: "It failed.", type: "t", param: "size", code: "c").json.bytes()
            let error = try #require(ClientResponse(status: status, headers: ["retry-after": "3"], body: body).failure)
            #expect(error == SoradError(kind, "It failed.", hint: "try again in 3 s", param: "size", code: "c", retryAfter: 3))
        }
        #expect(ClientResponse(status: 503, headers: [:], body: []).failure?.kind == .unavailable)
        #expect(ClientResponse(status: 200, headers: [:], body: []).failure == nil)
        #expect(
            ClientResponse(status: 502, headers: [:], body: Array("<html>".utf8)).failure?.message == "the daemon answered with status 502")
    }

    @Test func downloadsWithProgress() throws {
        let content = [UInt8](repeating: 9, count: 1_000_000)
        try withServer(routes: { routes, _ in
            routes.on(.get, "/content") { _ in Response(body: .bytes(content)) }
        }) { server in
            let target = "\(server.directory)/download"
            let file = try FileDescriptor(creating: target)
            var seen: [Int] = []
            let answer = try HTTPClient(socketPath: server.path).download(ClientRequest(.get, "/content"), to: file) { received, total in
                #expect(total == content.count)
                seen.append(received)
            }
            #expect(answer.status == 200)
            #expect(seen.last == content.count)
            #expect(seen == seen.sorted())
            #expect(try file.read(at: 0, count: content.count + 1) == content)
            let error = failure { try HTTPClient(socketPath: server.path).download(ClientRequest(.get, "/none"), to: file) }
            #expect(error?.kind == .notFound)
            #expect(try file.regularFileSize() == content.count, "an error answer is not written to the file")
        }
    }

    @Test func largeRequestsThatAreRefusedEarlyGetTheirAnswer() throws {
        var settings = ServerSettings()
        settings.jsonBody = 1000
        settings.discardedBody = 1000
        try withServer(settings, routes: { routes, _ in routes.on(.post, "/p", body: .fields) { _ in .text("ok") } }) { server in
            let body = ClientRequest.Body.bytes([UInt8](repeating: 0x20, count: 8 << 20), contentType: "application/json")
            let response = try HTTPClient(socketPath: server.path).send(ClientRequest(.post, "/p", body: body))
            #expect(response.status == 413)
        }
    }

    @Test func targetsAreEncoded() { #expect(percentEncoded("a b/ü?&") == "a%20b%2F%C3%BC%3F%26") }
}

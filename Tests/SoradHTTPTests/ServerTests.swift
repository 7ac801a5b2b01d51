// The server on real sockets: what only shows with threads, files and several clients.
import SoradAPI
import SoradHTTP
import SoradSystem
import Synchronization
import Testing

@Suite struct ServerTests {
    private let ping = request("GET /ping HTTP/1.1")

    @Test func answersWithTheHeadersThatEveryAnswerHas() throws {
        try withServer(routes: { _, _ in }) { server in
            let client = try RawClient(server.path)
            try client.send(ping + ping)
            let first = try #require(try client.answer())
            let second = try #require(try client.answer())
            #expect(first.status == 200)
            #expect(String(decoding: first.body, as: UTF8.self) == "pong")
            #expect(first.headers["content-type"] == "text/plain; charset=utf-8")
            #expect(first.headers["content-length"] == "4")
            #expect(first.headers["connection"] == nil)
            #expect(first.headers["date"]?.hasSuffix(" GMT") == true)
            let identifiers = [first, second].compactMap { $0.headers["x-request-id"] }
            #expect(Set(identifiers).count == 2)
            #expect(identifiers.allSatisfy { $0.hasPrefix("req_") })
        }
    }

    @Test func theWholeTableOfRefusalsOverASocket() throws {
        try withServer(routes: { routes, _ in
            let ok: Handler = { _ in Response() }
            routes.on(.get, "/v1/videos", ok)
            routes.on(.post, "/v1/videos", body: .fields, ok)
            routes.on(.post, "/v1/videos/edits", body: .fields, ok)
            routes.on(.get, "/v1/videos/{id}", ok)
            routes.on(.delete, "/v1/videos/{id}", ok)
            routes.on(.post, "/v1/videos/{id}/cancel", ok)
        }) { server in
            for refused in allRequestCases {
                let client = try RawClient(server.path)
                try client.send(refused.bytes + Array(ping.utf8))
                if refused.ends || !refused.keeps { client.finish() }
                let answer = try #require(try client.answer(), "\(refused.name)")
                #expect(answer.status == (refused.ends ? answer.status : refused.statuses[0]), "\(refused.name)")
                if !refused.ends {
                    let envelope = try ErrorEnvelope(json: JSONValue(parsing: answer.body))
                    #expect(envelope.code != nil && answer.headers["content-type"] == "application/json", "\(refused.name)")
                    #expect((answer.headers["connection"] == "close") == !refused.keeps, "\(refused.name)")
                }
                if refused.keeps {
                    #expect(try client.answer()?.status == 200, "\(refused.name)")
                } else if !refused.ends {
                    #expect(try client.answer() == nil, "\(refused.name)")
                }
            }
        }
    }

    @Test func requestsReachTheirHandlerWhole() throws {
        let seen = Mutex<Request?>(nil)
        try withServer(routes: { routes, _ in
            routes.on(.post, "/v1/videos/{id}/remix", body: .fields) { request in
                seen.withLock { $0 = request }
                return .json(["prompt": .string(try request.fields.requiredText("prompt"))] as JSONValue)
            }
            routes.on(.get, "/v1/videos") { request in
                .json(["limit": .integer(try request.query.integer("limit", in: 1...100) ?? 20)] as JSONValue)
            }
        }) { server in
            let client = HTTPClient(socketPath: server.path)
            let answer = try client.fetch(
                ClientRequest(.post, "/v1/videos/video_1/remix?a=b%20c", body: .json(["prompt": "bluer"])), as: JSONValue.self)
            #expect(answer == ["prompt": "bluer"])
            let request = try #require(seen.withLock { $0 })
            #expect(request.parameter("id") == "video_1")
            #expect(request.path == "/v1/videos/video_1/remix")
            #expect(try request.query.text("a") == "b c")
            #expect(request.headers["host"] == "localhost")
            #expect(request.peer.processID == processIdentifier())
            #expect(request.peer.userID == userIdentifier())
            #expect(try client.fetch(ClientRequest(.get, "/v1/videos?limit=7"), as: JSONValue.self)["limit"]?.integer == 7)
            for target in ["/v1/videos?limit=0", "/v1/videos?limit=1&limit=2", "/v1/videos?limit=a"] {
                #expect { try client.fetch(ClientRequest(.get, target), as: JSONValue.self) } throws: {
                    ($0 as? SoradError)?.kind == .badInput && ($0 as? SoradError)?.param == "limit"
                }
            }
            #expect { try client.fetch(ClientRequest(.post, "/v1/videos/v/remix", body: .json([:])), as: JSONValue.self) } throws: {
                ($0 as? SoradError)?.message == "the field \"prompt\" is missing"
            }
        }
    }

    @Test func failingHandlersAnswerOnce() throws {
        struct Unknown: Error {}
        try withServer(routes: { routes, _ in
            routes.on(.get, "/unknown") { _ in throw Unknown() }
            routes.on(.get, "/full") { _ in throw APIError.busy("the queue is full", retryAfter: 7) }
            routes.on(.get, "/permission") { _ in throw SoradError(.permission, "Not yours.") }
            routes.onDeferred(.get, "/dropped") { _, _ in }
            routes.onDeferred(.get, "/twice") { _, reply in
                #expect(reply.send(.text("one")))
                #expect(!reply.send(.text("two")))
            }
        }) { server in
            let client = try RawClient(server.path)
            for (path, status) in [("unknown", 500), ("full", 429), ("permission", 403), ("dropped", 500), ("twice", 200), ("ping", 200)] {
                try client.send(request("GET /\(path) HTTP/1.1"))
                let answer = try #require(try client.answer())
                #expect(answer.status == status)
                if path == "full" { #expect(answer.headers["retry-after"] == "7") }
                if path == "unknown" { #expect(!String(decoding: answer.body, as: UTF8.self).contains("Unknown")) }
            }
        }
    }

    @Test func aLaterAnswerHoldsUpNobody() throws {
        let waiting = Mutex<Reply?>(nil)
        var settings = ServerSettings()
        settings.handlerThreads = 1
        try withServer(
            settings,
            routes: { routes, _ in
                routes.onDeferred(.get, "/later") { _, reply in waiting.withLock { $0 = reply } }
            }
        ) { server in
            let patient = try RawClient(server.path)
            try patient.send(request("GET /later HTTP/1.1") + ping)
            #expect(try eventually { waiting.withLock { $0 != nil } })
            let other = try RawClient(server.path)
            try other.send(ping)
            #expect(try other.answer()?.status == 200)
            #expect(throws: RawClient.TimedOut.self) { try patient.answer(within: .milliseconds(50)) }
            waiting.withLock { $0.take() }?.send(.text("now"))
            #expect(try patient.answer()?.body == Array("now".utf8))
            #expect(try patient.answer()?.body == Array("pong".utf8))
        }
    }

    @Test func fileBodiesRangesAndHead() throws {
        let content = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
        try withServer(routes: { routes, directory in
            routes.on(.get, "/content") { request in
                .file(try OpenFile(path: "\(directory)/clip"), contentType: "video/mp4", entityTag: "e1", for: request)
            }
        }) { server in
            try write(content, to: "\(server.directory)/clip")
            let client = HTTPClient(socketPath: server.path)
            let whole = try client.send(ClientRequest(.get, "/content"))
            #expect(whole.body == content)
            #expect(whole.headers["content-length"] == "3000000")
            let part = try client.send(ClientRequest(.get, "/content", headers: ["range": "bytes=1000000-1999999"]))
            #expect(part.status == 206)
            #expect(part.body == Array(content[1_000_000..<2_000_000]))
            let head = try client.send(ClientRequest(.head, "/content"))
            #expect(head.status == 200)
            #expect(head.headers["content-length"] == "3000000")
            #expect(head.body.isEmpty)
            let unchanged = try client.send(ClientRequest(.get, "/content", headers: ["if-none-match": "\"e1\""]))
            #expect(unchanged.status == 304)
            #expect(unchanged.body.isEmpty)
            let outside = try client.send(ClientRequest(.get, "/content", headers: ["range": "bytes=3000000-"]))
            #expect(outside.status == 416)
            #expect(outside.headers["content-range"] == "bytes */3000000")
            #expect(server.server.connectionCount == 1, "every answer came over one connection")
            withExtendedLifetime(client) {}
        }
    }

    @Test func aFileThatShrinksCutsTheConnection() throws {
        try withServer(routes: { routes, directory in
            routes.on(.get, "/content") { _ in
                let file = try OpenFile(path: "\(directory)/clip")
                try FileDescriptor(opening: "\(directory)/clip", flags: openForWritingAndTruncate).write([1, 2, 3])
                return Response(body: .file(FileRegion(file, offset: 0, length: file.size)))
            }
        }) { server in
            try write([UInt8](repeating: 1, count: 100_000), to: "\(server.directory)/clip")
            #expect { try HTTPClient(socketPath: server.path).send(ClientRequest(.get, "/content")) } throws: {
                ($0 as? SoradError)?.message.hasSuffix("the answer was cut short") == true
            }
            let after = try HTTPClient(socketPath: server.path).send(ClientRequest(.get, "/ping"))
            #expect(after.status == 200)
        }
    }

    @Test func uploadsArriveWhole() throws {
        let content = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ $0 >> 7) }
        try withServer(routes: { routes, directory in
            routes.on(.post, "/upload", body: .fields) { request in
                guard let upload = try request.fields.file("file") else { throw request.fields.missing("file") }
                try upload.move(to: "\(directory)/arrived")
                return .json(JSONValue.integer(upload.size))
            }
        }) { server in
            let body =
                Array("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n".utf8) + content
                + Array("\r\n--b--\r\n".utf8)
            let client = HTTPClient(socketPath: server.path)
            let size = try client.fetch(
                ClientRequest(.post, "/upload", body: .bytes(body, contentType: "multipart/form-data; boundary=b")), as: JSONValue.self)
            #expect(size.integer == content.count)
            let arrived = try FileDescriptor(openingForReading: "\(server.directory)/arrived")
            #expect(try arrived.read(at: 0, count: content.count + 1) == content)
            #expect(try fileNames(in: server.directory).sorted() == ["arrived", "s.sock"])
        }
    }

    @Test func continueComesBeforeTheBody() throws {
        try withServer(routes: { routes, _ in routes.on(.post, "/p", body: .fields) { _ in .text("ok") } }) { server in
            let client = try RawClient(server.path, method: .post)
            try client.send(
                request("POST /p HTTP/1.1", ["Host: x", "Content-Type: application/json", "Content-Length: 2", "Expect: 100-continue"]))
            #expect(try client.receive() == Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
            try client.send("{}")
            #expect(try client.answer()?.status == 200)
        }
    }

    @Test func eventsArriveAsTheyAreWritten() throws {
        let stream = BodyStream()
        let closed = Atomic<Bool>(false)
        let endless = BodyStream()
        endless.onClose { closed.store(true, ordering: .relaxed) }
        try withServer(routes: { routes, _ in
            routes.on(.get, "/events") { _ in .events(stream) }
            routes.on(.get, "/endless") { _ in .events(endless) }
        }) { server in
            var received = ""
            stream.write(ServerSentEvent(data: "1").bytes)
            let answer = try HTTPClient(socketPath: server.path).stream(ClientRequest(.get, "/events")) { bytes in
                received += String(decoding: bytes, as: UTF8.self)
                if received == "data: 1\n\n" { stream.write(ServerSentEvent(data: "2").bytes) }
                if received.hasSuffix("data: 2\n\n") { stream.finish() }
                return true
            }
            #expect(received == "data: 1\n\ndata: 2\n\n")
            #expect(answer.headers["content-type"] == "text/event-stream")
            #expect(answer.headers["transfer-encoding"] == "chunked")
            endless.write(ServerSentEvent(data: "x").bytes)
            try HTTPClient(socketPath: server.path).stream(ClientRequest(.get, "/endless")) { _ in false }
            #expect(try eventually { closed.load(ordering: .relaxed) }, "the producer hears of a client that left")
            #expect(!endless.write([1]))
        }
    }

    @Test func twoHundredClientsAtOnce() throws {
        let total = 200
        try withServer(routes: { routes, _ in
            routes.on(.post, "/echo", body: .fields) { request in .json(JSONValue.string(try request.fields.requiredText("text"))) }
        }) { server in
            let clients = try (0..<total).map { _ in try RawClient(server.path, method: .post) }
            #expect(try eventually { server.server.connectionCount == total })
            for round in 0..<3 {
                for (index, client) in clients.enumerated() {
                    let body = "{\"text\":\"\(index)-\(round)\"}"
                    try client.send(
                        request(
                            "POST /echo HTTP/1.1", ["Host: x", "Content-Type: application/json", "Content-Length: \(body.utf8.count)"],
                            body: body))
                }
                for (index, client) in clients.enumerated() {
                    let answer = try #require(try client.answer())
                    #expect(answer.status == 200)
                    #expect(answer.body == Array("\"\(index)-\(round)\"".utf8))
                }
            }
        }
    }

    @Test func slowSendersAreCutWhileOthersAreServed() throws {
        var settings = ServerSettings()
        settings.headTime = .milliseconds(300)
        settings.bodyGrace = .milliseconds(300)
        settings.lingerTime = .milliseconds(200)
        try withServer(settings, routes: { routes, _ in routes.on(.post, "/p", body: .fields) { _ in .text("ok") } }) { server in
            let slow = try (0..<20).map { _ in try RawClient(server.path) }
            for client in slow { try client.send("GET /ping HTT") }
            let slowBody = try RawClient(server.path, method: .post)
            try slowBody.send(
                request("POST /p HTTP/1.1", ["Host: x", "Content-Type: application/json", "Content-Length: 1000"], body: "{"))
            let honest = try RawClient(server.path)
            for _ in 0..<20 {
                try honest.send(ping)
                #expect(try honest.answer()?.status == 200)
            }
            for client in slow + [slowBody] {
                #expect(try client.answer()?.status == 408)
                #expect(try client.answer() == nil)
            }
            #expect(try eventually { server.server.connectionCount == 1 })
            withExtendedLifetime((slow, slowBody, honest)) {}
        }
    }

    @Test func aClientThatNeverReadsIsCut() throws {
        var settings = ServerSettings()
        settings.writeGrace = .milliseconds(200)
        settings.writeRate = 1 << 30
        try withServer(
            settings,
            routes: { routes, _ in
                routes.on(.get, "/big") { _ in Response(body: .bytes([UInt8](repeating: 7, count: 8 << 20))) }
            }
        ) { server in
            let client = try RawClient(server.path)
            try client.send(request("GET /big HTTP/1.1"))
            #expect(try eventually { server.server.connectionCount == 1 })
            #expect(try eventually { server.server.connectionCount == 0 })
            withExtendedLifetime(client) {}
        }
    }

    @Test func surplusConnectionsAreToldSoAndThenCut() throws {
        var settings = ServerSettings()
        settings.connectionsPerUser = 3
        settings.shedConnections = 4
        settings.lingerTime = .milliseconds(300)
        try withServer(settings, routes: { _, _ in }) { server in
            let served = try (0..<3).map { _ in try RawClient(server.path) }
            #expect(try eventually { server.server.connectionCount == 3 })
            let shed = try (0..<2).map { _ in try RawClient(server.path) }
            for client in shed {
                try client.send(ping)
                let answer = try #require(try client.answer())
                #expect(answer.status == 503)
                #expect(answer.headers["retry-after"] == "1")
            }
            #expect(try (try RawClient(server.path)).receive() == nil, "beyond the surplus a connection just ends")
            for client in served {
                try client.send(ping)
                #expect(try client.answer()?.status == 200)
            }
            #expect(try eventually { server.server.connectionCount == 3 }, "the surplus is gone, the others stay")
            withExtendedLifetime(served) {}
            withExtendedLifetime(shed) {}
        }
    }

    @Test func stoppingFinishesWhatWasBegun() throws {
        let waiting = Mutex<Reply?>(nil)
        try withTemporaryDirectory { directory in
            let path = "\(directory)/s.sock"
            var routes = Routes()
            routes.onDeferred(.get, "/later") { _, reply in waiting.withLock { $0 = reply } }
            let server = try HTTPServer(listener: try FileDescriptor(listeningAt: path), routes: routes)
            let busy = try RawClient(path)
            let idle = try RawClient(path)
            try busy.send(request("GET /later HTTP/1.1"))
            #expect(try eventually { waiting.withLock { $0 != nil } })
            let stopper = try SystemThread(name: "stopper") { server.stop(grace: .seconds(10)) }
            #expect(try idle.receive() == nil)
            waiting.withLock { $0.take() }?.send(.text("done"))
            let answer = try #require(try busy.answer())
            #expect(answer.status == 200)
            #expect(answer.headers["connection"] == nil || answer.headers["connection"] == "close")
            #expect(try busy.receive() == nil)
            stopper.join()
            #expect { try HTTPClient(socketPath: path).send(ClientRequest(.get, "/ping")) } throws: {
                ($0 as? SoradError)?.kind == .unavailable
            }
        }
    }

    @Test func leftoversOfAnEarlierRunAreRemoved() throws {
        try withTemporaryDirectory { directory in
            try write([1], to: "\(directory)/upload-1-2-3")
            try write([1], to: "\(directory)/other")
            var settings = ServerSettings()
            settings.uploadDirectory = directory
            let server = try HTTPServer(
                listener: try FileDescriptor(listeningAt: "\(directory)/s.sock"), routes: Routes(), settings: settings)
            server.stop()
            #expect(try fileNames(in: directory).sorted() == ["other", "s.sock"])
        }
    }
}

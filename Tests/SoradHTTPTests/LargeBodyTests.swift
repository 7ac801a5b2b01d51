// Requests with large bodies: they run on threads of their own, and their bytes count until the last of them is done with.
import SoradAPI
import SoradHTTP
import SoradSystem
import Synchronization
import Testing

/// Holds a handler until the test releases it.
private final class Gate: Sendable {
    private let isOpen = Atomic<Bool>(false)
    let entered = Atomic<Int>(0)

    func pass() {
        entered.wrappingAdd(1, ordering: .relaxed)
        while !isOpen.load(ordering: .relaxed) { pause(.milliseconds(1)) }
    }

    func open() { isOpen.store(true, ordering: .relaxed) }
}

@Suite struct LargeBodyTests {
    private static func post(_ bytes: Int) -> [UInt8] {
        let body = "{\"text\": \"\(String(repeating: "x", count: bytes))\"}"
        return Array(
            "POST /text HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    }

    private static var settings: ServerSettings {
        var settings = ServerSettings()
        settings.handlerThreads = 1
        settings.largeBodyThreads = 1
        settings.queuedLargeBodies = 1
        return settings
    }

    private func withGate(_ settings: ServerSettings, _ body: (TestServer, Gate) throws -> Void) throws {
        let gate = Gate()
        try withServer(
            settings,
            routes: { routes, _ in
                routes.on(.post, "/text", body: .fields) { request in
                    gate.pass()
                    return .text("\(try request.fields.text("text", maxBytes: 1 << 20)?.utf8.count ?? 0)")
                }
            }
        ) { server in
            defer { gate.open() }
            try body(server, gate)
        }
    }

    @Test func theyHoldUpEachOtherAlone() throws {
        try withGate(Self.settings) { server, gate in
            let large = [try RawClient(server.path), try RawClient(server.path), try RawClient(server.path)]
            try large[0].send(Self.post(200_000))
            #expect(try eventually { gate.entered.load(ordering: .relaxed) == 1 })
            // The next waits, and the one after that is too many.
            try large[1].send(Self.post(100_000))
            let small = try RawClient(server.path)
            try small.send(request("GET /ping HTTP/1.1"))
            #expect(try small.answer()?.status == 200)
            try large[2].send(Self.post(100_000))
            let refused = try #require(try large[2].answer())
            #expect(refused.status == 503 && refused.headers["retry-after"] == "1")
            gate.open()
            #expect(try large[0].answer().map { String(decoding: $0.body, as: UTF8.self) } == "200000")
            #expect(try large[1].answer().map { String(decoding: $0.body, as: UTF8.self) } == "100000")
        }
    }

    @Test func theirBytesCountWhenTheClientIsGone() throws {
        var settings = Self.settings
        settings.queuedLargeBodies = 10
        settings.bodyMemory = 250_000
        try withGate(settings) { server, gate in
            do {
                let gone = try RawClient(server.path)
                try gone.send(Self.post(200_000))
                #expect(try eventually { gate.entered.load(ordering: .relaxed) == 1 })
            }
            #expect(try eventually { server.server.connectionCount == 0 })
            let next = try RawClient(server.path)
            try next.send(Self.post(100_000))
            #expect(try next.answer()?.status == 503)
            gate.open()
            #expect(
                try eventually {
                    let client = try RawClient(server.path)
                    try client.send(Self.post(100_000))
                    return try client.answer()?.status == 200
                })
        }
    }

    @Test func whatCannotBeReadIsRefusedFromThere() throws {
        try withGate(Self.settings) { server, gate in
            gate.open()
            let client = try RawClient(server.path)
            var bad = Self.post(100_000)
            bad[bad.count - 1] = UInt8(ascii: "]")
            try client.send(bad + Array(request("GET /ping HTTP/1.1").utf8))
            let refused = try #require(try client.answer())
            #expect(refused.status == 400)
            #expect(try ErrorEnvelope(json: JSONValue(parsing: refused.body)).code == "malformed_json")
            #expect(refused.headers["x-should-retry"] == "false")
            // The body was read to its end, so the connection stays open.
            #expect(try client.answer()?.status == 200)
        }
    }
}

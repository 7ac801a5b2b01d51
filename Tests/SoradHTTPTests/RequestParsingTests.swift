// Requests as bytes: what is refused and how, what is taken, and that it does not matter how the bytes were cut.
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct RequestParsingTests {
    private static let probe = request("GET /ping HTTP/1.1")

    private func play(_ refused: RequestCase, pieces: Int) -> Conversation {
        var conversation = Conversation()
        let probe = refused.keeps ? Array(RequestParsingTests.probe.utf8) : []
        let bytes = refused.bytes + probe
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            conversation.send(Array(bytes[start..<min(bytes.count, start + pieces)]))
        }
        if refused.ends { conversation.end() }
        return conversation
    }

    @Test(arguments: allRequestCases) func refusal(_ refused: RequestCase) {
        let conversation = play(refused, pieces: 64 << 10)
        #expect(conversation.statuses == refused.statuses + (refused.keeps ? [200] : []))
        #expect(conversation.isOver == !refused.keeps)
        #expect(conversation.errors.count == 1)
        #expect(
            conversation.errors.allSatisfy {
                !$0.envelope.message.hasSuffix(".") && $0.envelope.message.first?.isUppercase == false && $0.envelope.code != nil
            })
    }

    @Test(arguments: allRequestCases) func cutsDoNotMatter(_ refused: RequestCase) {
        let whole = play(refused, pieces: 64 << 10)
        for pieces in [1, 2, 7, 1000] {
            let cut = play(refused, pieces: pieces)
            #expect(cut.statuses == whole.statuses, "pieces of \(pieces)")
            #expect(cut.errorCodes == whole.errorCodes, "pieces of \(pieces)")
            #expect(cut.isOver == whole.isOver, "pieces of \(pieces)")
        }
    }

    @Test func thereAreEnoughCases() {
        #expect(allRequestCases.count >= 150)
        #expect(Set(allRequestCases.map(\.name)).count == allRequestCases.count)
    }

    @Test(arguments: [
        request("GET /ping HTTP/1.1"),
        request("GET /ping HTTP/1.1", ["hOST:x"]),
        request("GET /ping HTTP/1.1", ["Host:"]),
        request("GET /ping HTTP/1.1", ["Host: [::1]:80"]),
        request("GET /ping HTTP/1.1", ["Host: \t x \t"]),
        request("GET /ping HTTP/1.2"),
        request("GET http://other/ping HTTP/1.1"),
        request("GET HTTP://other:80/ping HTTP/1.1"),
        "\r\n" + request("GET /ping HTTP/1.1"),
        request("HEAD /ping HTTP/1.1"),
        request("GET /%70ing HTTP/1.1"),
        request("GET /v1/videos?after=a%20b&limit=3 HTTP/1.1"),
        request("GET /ping HTTP/1.1", ["Host: x", "Content-Length: 3"], body: "abc"),
        request("GET /ping HTTP/1.1", ["Host: x", "Transfer-Encoding: ChUnKeD"], body: "3;a=\"b\"\r\nabc\r\n0\r\nT: v\r\n\r\n"),
        request("DELETE /v1/videos/video_1 HTTP/1.1", ["Host: x", "Content-Type: application/json"]),
        request("POST /v1/videos HTTP/1.1", ["Host: x", "Content-Type: application/json", "Content-Length: 2"], body: "{}"),
        request(
            "POST /v1/videos HTTP/1.1", ["Host: x", "Content-Type: application/json", "Content-Length: 2", "Expect: 100-continue"],
            body: "{}"),
        request("POST /v1/videos/v/cancel HTTP/1.1"),
    ]) func accepted(_ text: String) {
        var conversation = Conversation()
        conversation.send(text + RequestParsingTests.probe)
        #expect(conversation.statuses == [200, 200])
        #expect(!conversation.isOver)
    }

    @Test func closesWhenAsked() {
        for text in [request("GET /ping HTTP/1.1", ["Host: x", "Connection: Close"]), request("GET /ping HTTP/1.0", [])] {
            var conversation = Conversation()
            conversation.send(text + RequestParsingTests.probe)
            #expect(conversation.statuses == [200])
            #expect(conversation.isOver)
        }
    }

    @Test func decodesTheTargetOnce() throws {
        var parser = RequestParser(settings: ServerSettings())
        parser.append(Array(request("GET /a%2Fb/%25/c?x=1%262&y+z=%2B&flag HTTP/1.1").utf8)[...])
        guard case .head(let head)? = try parser.next() else { return #expect(Bool(false), "no head") }
        #expect(head.target.segments == ["a/b", "%", "c"])
        #expect(head.target.query.map(\.name) == ["x", "y z", "flag"])
        #expect(head.target.query.map(\.value) == ["1&2", "+", ""])
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() {
        var conversation = Conversation()
        conversation.holdsAnswers = true
        let post = request(
            "POST /v1/videos HTTP/1.1", ["Host: x", "Content-Type: application/json", "Content-Length: 9"], body: "{\"a\":\"b\"}")
        conversation.send(RequestParsingTests.probe + post + request("GET /nowhere HTTP/1.1"))
        #expect(conversation.statuses == [200])
        #expect(!conversation.state.wantsInput)
        conversation.finishAnswer(at: .zero)
        #expect(conversation.statuses == [200, 200])
        conversation.finishAnswer(at: .zero)
        #expect(conversation.statuses == [200, 200, 404])
        conversation.finishAnswer(at: .zero)
        #expect(conversation.state.wantsInput)
    }

    @Test func continueIsSentOnlyToThoseWhoWait() {
        let head = request(
            "POST /v1/videos HTTP/1.1", ["Host: x", "Content-Type: application/json", "Content-Length: 2", "Expect: 100-continue"])
        var waiting = Conversation()
        waiting.send(head)
        #expect(waiting.continues == 1)
        waiting.send("{}")
        #expect(waiting.statuses == [200])
        var eager = Conversation()
        eager.send(head + "{}")
        #expect(eager.continues == 0)
        #expect(eager.statuses == [200])
    }

    /// Random damage to good requests: nothing traps, and the cuts of the bytes still do not matter.
    @Test func damagedRequestsNeverTrap() throws {
        var random = SplitMix64(seed: 20_260_101)
        let good =
            try ["create", "create_with_picture", "edit", "remix", "list", "delete"].map { try fixture("http/\($0).request") }
            + allRequestCases.map(\.bytes).filter { $0.count < 3000 }
        for _ in 0..<4000 {
            var bytes = good[Int(random.next() % UInt64(good.count))]
            for _ in 0...random.next() % 4 { random.damage(&bytes, with: good) }
            var whole = Conversation()
            whole.send(bytes)
            whole.end()
            var cut = Conversation()
            var start = 0
            while start < bytes.count {
                let end = min(bytes.count, start + 1 + Int(random.next() % 50))
                cut.send(Array(bytes[start..<end]))
                start = end
            }
            cut.end()
            #expect(cut.statuses == whole.statuses && cut.isOver && whole.isOver, "\(String(decoding: bytes, as: UTF8.self))")
        }
    }

    @Test func aLongUnwantedBodyEndsTheConnectionEvenInChunks() {
        var conversation = Conversation()
        conversation.send(request("POST /nowhere HTTP/1.1", ["Host: x", "Transfer-Encoding: chunked"]))
        let chunk = "10000\r\n" + String(repeating: "a", count: 65536) + "\r\n"
        for _ in 0..<20 { conversation.send(chunk) }
        #expect(conversation.statuses == [404])
        #expect(conversation.isOver)
    }

    @Test func aClientThatEndsItsSideStillGetsItsAnswer() {
        var conversation = Conversation()
        conversation.holdsAnswers = true
        conversation.send(RequestParsingTests.probe)
        conversation.end()
        #expect(!conversation.isClosed)
        conversation.finishAnswer(at: .zero)
        #expect(conversation.statuses == [200])
        #expect(conversation.isClosed)
    }
}

extension SplitMix64 {
    /// One change: a byte, a cut, a doubled stretch, or a piece of another request.
    fileprivate mutating func damage(_ bytes: inout [UInt8], with others: [[UInt8]]) {
        guard !bytes.isEmpty else { return }
        let position = Int(next() % UInt64(bytes.count))
        let length = min(bytes.count - position, Int(next() % 40))
        switch next() % 5 {
        case 0: bytes[position] = UInt8(truncatingIfNeeded: next())
        case 1: bytes.removeSubrange(position..<position + length)
        case 2: bytes.insert(contentsOf: bytes[position..<position + length], at: position)
        case 3: bytes[position] ^= 1 << (next() % 8)
        default:
            let other = others[Int(next() % UInt64(others.count))]
            bytes.insert(contentsOf: other.prefix(length), at: position)
        }
    }
}

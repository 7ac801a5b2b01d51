// Deadlines of a connection, with a clock moved by hand. No client can hold a connection by sending slowly.
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct DeadlineTests {
    private let post = request("POST /v1/videos HTTP/1.1", ["Host: x", "Content-Type: application/json", "Content-Length: 1000000"])

    @Test func anIdleConnectionIsClosedWithoutAWord() {
        var conversation = Conversation()
        #expect(conversation.state.deadline == .at(60))
        conversation.expire(at: .at(59.9))
        #expect(!conversation.isClosed)
        conversation.expire(at: .at(60))
        #expect(conversation.isClosed)
        #expect(conversation.statuses.isEmpty)
    }

    @Test func trickledHeadersAreCutTenSecondsAfterTheirFirstByte() {
        var conversation = Conversation()
        for (index, byte) in request("GET /ping HTTP/1.1").utf8.prefix(30).enumerated() {
            conversation.send([byte], at: .at(5 + Double(index) * 0.3))
        }
        #expect(conversation.state.deadline == .at(15))
        conversation.expire(at: .at(15))
        #expect(conversation.statuses == [408])
        #expect(conversation.isOver)
    }

    @Test func aSlowBodyIsCutAtTheMinimumRate() {
        var conversation = Conversation()
        conversation.send(post, at: .at(1))
        #expect(conversation.state.deadline == .at(11))
        // 16 KiB earn one second.
        conversation.send(String(repeating: " ", count: 16 << 10), at: .at(9))
        #expect(conversation.state.deadline == .at(12))
        conversation.send(" ", at: .at(11.9))
        conversation.expire(at: .at(12.001))
        #expect(conversation.statuses == [408])
        #expect(conversation.isOver)
    }

    @Test func aBodyAtASufficientRateMayTakeLong() {
        var conversation = Conversation()
        conversation.send(post, at: .zero)
        for second in 1...60 {
            conversation.send(String(repeating: " ", count: 16_600), at: .at(Double(second)))
            conversation.expire(at: .at(Double(second)))
        }
        #expect(conversation.statuses.isEmpty)
        conversation.send("{}" + String(repeating: " ", count: 1_000_000 - 60 * 16_600 - 2), at: .at(61))
        #expect(conversation.statuses == [200])
    }

    @Test func aHandlerMayTakeItsTime() {
        var conversation = Conversation()
        conversation.holdsAnswers = true
        conversation.send(request("GET /ping HTTP/1.1"), at: .zero)
        // The harness answers at once: 100 bytes may take the grace of 20 s and their own time.
        #expect(conversation.state.deadline == MonotonicTime.at(20) + .nanoseconds(6_103_515))
        conversation.state.responding(bytes: nil, now: .at(1))
        #expect(conversation.state.deadline == nil)
    }

    @Test func aClientThatDoesNotReadIsCut() {
        var conversation = Conversation()
        conversation.holdsAnswers = true
        conversation.send(request("GET /ping HTTP/1.1"), at: .zero)
        conversation.expire(at: .at(21))
        #expect(conversation.isClosed)
    }

    @Test func lingeringIsShort() {
        var conversation = Conversation()
        conversation.send("nonsense\r\n", at: .at(3))
        #expect(conversation.statuses == [400])
        #expect(!conversation.isClosed)
        conversation.send("more nonsense", at: .at(4))
        #expect(conversation.state.deadline == .at(5))
        conversation.expire(at: .at(5))
        #expect(conversation.isClosed)
        #expect(conversation.statuses == [400])
    }

    @Test func theNextRequestHasADeadlineOfItsOwn() {
        var conversation = Conversation()
        conversation.send(request("GET /ping HTTP/1.1") + "GET /pi", at: .at(7))
        #expect(conversation.statuses == [200])
        #expect(conversation.state.deadline == .at(17))
    }

    @Test func shedConnectionsAreToldSo() {
        var conversation = Conversation(isShed: true)
        #expect(conversation.state.deadline == .at(2))
        conversation.send(request("GET /ping HTTP/1.1"))
        #expect(conversation.statuses == [503])
        #expect(conversation.errors.first?.headers["retry-after"] == "1")
        #expect(conversation.errors.first?.headers["x-should-retry"] == nil)
        #expect(conversation.isOver)
    }

    @Test func stoppingEndsIdleConnectionsAndLetsOthersFinish() {
        var idle = Conversation()
        idle.state.stop()
        idle.expire(at: .zero)
        #expect(idle.isClosed)
        var busy = Conversation()
        busy.send("GET /ping HTTP/1.1\r\nHo")
        busy.state.stop()
        busy.send("st: x\r\n\r\n" + request("GET /ping HTTP/1.1"))
        #expect(busy.statuses == [200])
        #expect(busy.isOver)
    }
}

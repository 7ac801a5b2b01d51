// Bodies that pass a limit while they come: the answer is sent at once when reading on is not worth it.
import SoradHTTP
import Testing

@Suite struct BodyLimitTests {
    private static let settings: ServerSettings = {
        var settings = ServerSettings()
        settings.jsonBody = 100
        settings.discardedBody = 50
        return settings
    }()

    private let head = request("POST /v1/videos HTTP/1.1", ["Host: x", "Content-Type: application/json", "Transfer-Encoding: chunked"])

    @Test func aClientThatStopsBeyondTheLimitNeedNotWait() {
        var conversation = Conversation(settings: BodyLimitTests.settings)
        conversation.send(head)
        conversation.send("64\r\n\(String(repeating: " ", count: 100))\r\n")
        #expect(conversation.statuses == [])
        conversation.send("1\r\n ")
        #expect(conversation.statuses == [413])
        #expect(conversation.isOver)
    }

    @Test func aShortRestIsReadAndTheConnectionKept() {
        var settings = BodyLimitTests.settings
        settings.discardedBody = 200
        var conversation = Conversation(settings: settings)
        conversation.send(head)
        conversation.send("65\r\n\(String(repeating: " ", count: 101))\r\n")
        #expect(conversation.statuses == [])
        conversation.send("0\r\n\r\n")
        #expect(conversation.statuses == [413])
        #expect(!conversation.isOver)
    }
}

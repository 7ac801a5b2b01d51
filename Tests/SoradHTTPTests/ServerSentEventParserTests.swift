import SoradHTTP
import SoradSystem
import Testing

@Suite struct ServerSentEventParserTests {
    private func events(_ text: String, piece: Int = .max) throws -> [ServerSentEvent] {
        var parser = ServerSentEventParser()
        let bytes = Array(text.utf8)
        var events: [ServerSentEvent] = []
        var index = 0
        while index < bytes.count {
            let end = index + min(piece, bytes.count - index)
            events += try parser.append(bytes[index..<end])
            index = end
        }
        return events
    }

    @Test(arguments: [1, 2, 3, 7, Int.max]) func whatIsWrittenIsReadHoweverItComes(piece: Int) throws {
        let sent = [
            ServerSentEvent(event: "video", id: "a-1", data: "{\"a\":1}"), ServerSentEvent(data: "two\nlines"),
            ServerSentEvent(id: "x", data: ": no comment"), ServerSentEvent(data: ""),
        ]
        let bytes = sent.flatMap { ServerSentEvent.keepAlive + $0.bytes }
        #expect(try events(String(decoding: bytes, as: UTF8.self), piece: piece) == sent)
    }

    @Test(arguments: ["\n", "\r", "\r\n"]) func eachLineEndCounts(end: String) throws {
        let text = ["retry: 10", "", ": hello", "event:e", "id: 7", "data:a", "data:  b", "unknown: z", "data", "", "data: cut off"]
            .joined(separator: end)
        #expect(try events(text, piece: 1) == [ServerSentEvent(event: "e", id: "7", data: "a\n b\n")])
    }

    @Test func memoryIsBounded() throws {
        var parser = ServerSentEventParser(limit: 100)
        for _ in 0..<50 { _ = try parser.append("data: short\n\n: comment\n\n".utf8) }
        #expect(throws: SoradError.self) { try parser.append([UInt8](repeating: 65, count: 101)) }
    }
}

// Two small grammars at the border: the host that a request names, and what follows a chunk's size.
import SoradHTTP
import SoradSystem
import Testing

@Suite struct StrictSyntaxTests {
    private func status(_ text: String) -> Int? {
        var conversation = Conversation()
        conversation.send(text)
        return conversation.statuses.count == 1 ? conversation.statuses[0] : nil
    }

    @Test(arguments: ["", "x", "x:", "x:80", "a.b-c_~!$&'()*+,;=", "%41%5a", "127.0.0.1:65535", "[::1]", "[::1]:80", "[fe80::1.2.3.4]"])
    func hostsThatAreTaken(_ host: String) {
        #expect(status(request("GET /ping HTTP/1.1", ["Host: \(host)"])) == 200)
    }

    @Test(arguments: [
        "a b", "a/b", "a?b", "a#b", "me@x", "x:y", "x:80:80", "x:123456", "x:-1", "x: 80", "[::1", "::1", "[]", "[x]", "[::1]x", "[::1]:y",
        "a%zz", "a%4",
        "a\\b", "a^b", "a`b", "a|b", "\"a\"", "<a>",
    ])
    func hostsThatAreRefused(_ host: String) {
        #expect(status(request("GET /ping HTTP/1.1", ["Host: \(host)"])) == 400)
    }

    @Test func anAbsoluteTargetNamesAHost() {
        #expect(status(request("GET http://x:80/ping HTTP/1.1")) == 200)
        #expect(status(request("GET http://:80/ping HTTP/1.1")) == 400)
        #expect(status(request("GET http://x:y/ping HTTP/1.1")) == 400)
    }

    private func chunked(_ line: String) -> Int? {
        status(
            request(
                "POST /v1/videos HTTP/1.1", ["Host: x", "Content-Type: application/json", "Transfer-Encoding: chunked"],
                body: "\(line)\r\n{}\r\n0\r\n\r\n"))
    }

    @Test(arguments: ["2", "02", "2;a", "2;a=b", "2 ; a = b", "2;a=\"b;\\\" \u{E9}\"", "2;a;b=c;d=\"\"", "2\t;\ta"])
    func chunkLinesThatAreTaken(_ line: String) {
        #expect(chunked(line) == 200)
    }

    @Test(arguments: [
        "2 ", "2;", "2;;a", "2; ", "2;=b", "2;a=", "2;a b", "2;a=b c", "2;a=\"b", "2;a=\"b\\", "2;a=\"b\"c", "2;a@b", "2;a ", "2 a",
        "2;a=\"\u{1}\"", "2;\u{E9}",
    ])
    func chunkLinesThatAreRefused(_ line: String) {
        #expect(chunked(line) == 400)
    }

    @Test func aQueryHasFewFields() {
        let many = { (count: Int) in (0..<count).map { "a\($0)=1" }.joined(separator: "&") }
        for (count, isTaken) in [(64, true), (65, false)] {
            var parser = RequestParser(settings: ServerSettings())
            parser.append(Array(request("GET /ping?\(many(count)) HTTP/1.1").utf8)[...])
            guard case .head(let head)? = try? parser.next() else { return #expect(Bool(false), "no head") }
            #expect(((try? Fields(query: head.target.query)) != nil) == isTaken, "\(count) fields")
        }
    }
}

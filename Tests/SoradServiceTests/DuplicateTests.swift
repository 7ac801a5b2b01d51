// Requests that come twice.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct DuplicateTests {
    private func post(_ daemon: DaemonUnderTest, _ body: JSONValue, _ headers: Headers = Headers()) throws -> ClientResponse {
        try daemon.send(.post, "/v1/videos", headers: headers, body: .json(body))
    }

    private func id(_ response: ClientResponse) throws -> String {
        try #require(response.status == 200, "\(String(decoding: response.body, as: UTF8.self))")
        return try Video(json: JSONValue(parsing: response.body)).id
    }

    @Test func aKeyNamesOneJob() throws {
        let daemon = try DaemonUnderTest()
        let first = try id(post(daemon, ["prompt": "a red ball"], ["idempotency-key": "k 1"]))
        #expect(try id(post(daemon, ["prompt": "a red ball"], ["idempotency-key": "k 1"])) == first)
        #expect(try id(post(daemon, ["prompt": "a red ball"], ["idempotency-key": "k 2"])) != first)
        #expect(try id(post(daemon, ["prompt": "a red ball"])) != first)
        let other = try post(daemon, ["prompt": "a blue ball"], ["idempotency-key": "k 1"])
        #expect(other.status == 409 && other.headers["x-should-retry"] == "false")
        #expect(
            try daemon.refusal(other).message
                == "this Idempotency-Key was used for a request with other fields; use a new key for a new request")
        #expect(try VideoList(json: JSONValue(parsing: daemon.send(.get, "/v1/videos").body)).data.count == 3)
    }

    @Test func aKeyOutlivesTheDaemonAndGoesWithItsJob() throws {
        let daemon = try DaemonUnderTest()
        let first = try id(post(daemon, ["prompt": "x"], ["idempotency-key": "k"]))
        _ = try daemon.finished(first)
        _ = daemon.end(SIGKILL)
        try daemon.restart()
        let again = try post(daemon, ["prompt": "x"], ["idempotency-key": "k"])
        #expect(try id(again) == first)
        #expect(try Video(json: JSONValue(parsing: again.body)).status == .completed)
        #expect(try daemon.send(.delete, "/v1/videos/\(first)").status == 200)
        #expect(try id(post(daemon, ["prompt": "y"], ["idempotency-key": "k"])) != first)
    }

    @Test(arguments: ["", String(repeating: "k", count: 256), "k\u{e9}"]) func aKeyThatIsNoneIsRefused(key: String) throws {
        let daemon = try DaemonUnderTest()
        let response = try post(daemon, ["prompt": "x"], ["idempotency-key": key])
        #expect(response.status == 400)
        #expect(try VideoList(json: JSONValue(parsing: daemon.send(.get, "/v1/videos").body)).data.isEmpty)
    }

    @Test func aRetryIsTheRequestBefore() throws {
        let daemon = try DaemonUnderTest()
        let first = try id(post(daemon, ["prompt": "a red ball", "seconds": "1"], ["x-stainless-retry-count": "0"]))
        #expect(try id(post(daemon, ["seconds": "1", "prompt": "a red ball"], ["x-stainless-retry-count": "1"])) == first)
        #expect(try id(post(daemon, ["prompt": "a red ball", "seconds": "1"], ["x-stainless-retry-count": "2"])) == first)
        // Other fields, or no retry: a job of its own.
        #expect(try id(post(daemon, ["prompt": "a red ball", "seconds": "2"], ["x-stainless-retry-count": "1"])) != first)
        let second = try id(post(daemon, ["prompt": "a red ball", "seconds": "1"], ["x-stainless-retry-count": "0"]))
        #expect(second != first)
        #expect(try id(post(daemon, ["prompt": "a red ball", "seconds": "1"], ["x-stainless-retry-count": "1"])) == second)
        #expect(try id(post(daemon, ["prompt": "new"], ["x-stainless-retry-count": "x"])) != first)
    }

    @Test func aFormsBoundaryAndFileNamesDoNotMatterAndItsFilesDo() throws {
        let daemon = try DaemonUnderTest()
        func post(_ boundary: String, _ content: String, _ name: String) throws -> String {
            let parts = [
                "content-disposition: form-data; name=\"prompt\"\r\n\r\nx",
                "content-disposition: form-data; name=\"extra\"; filename=\"\(name)\"\r\n\r\n\(content)",
            ]
            let text = parts.map { "--\(boundary)\r\n\($0)\r\n" }.joined() + "--\(boundary)--\r\n"
            return try id(
                daemon.send(
                    .post, "/v1/videos", headers: ["x-stainless-retry-count": "1"],
                    body: .bytes(Array(text.utf8), contentType: "multipart/form-data; boundary=\(boundary)")))
        }
        let first = try post("one", "abc", "a.png")
        #expect(try post("two", "abc", "b.png") == first)
        #expect(try post("two", "abd", "a.png") != first)
    }

    @Test func aRetryIsNotRefusedByAQueueThatItsFirstRequestFilled() throws {
        let daemon = try DaemonUnderTest(["--queue-limit", "1"])
        _ = try daemon.create("steps=1000")
        let waiting = try id(post(daemon, ["prompt": "waits"]))
        #expect(try id(post(daemon, ["prompt": "waits"], ["x-stainless-retry-count": "1"])) == waiting)
        #expect(try post(daemon, ["prompt": "waits"]).status == 429)
    }
}

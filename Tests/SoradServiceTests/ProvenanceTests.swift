// POST /v1/content_provenance_checks: the real daemon, a worker that says what a file says in its last line.
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct ProvenanceTests {
    private func check(_ daemon: DaemonUnderTest, _ bytes: [UInt8]) throws -> ClientResponse {
        let head = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.mp4\"\r\n\r\n"
        let form = Array(head.utf8) + bytes + Array("\r\n--b--\r\n".utf8)
        return try daemon.send(
            .post, "/v1/content_provenance_checks", body: .bytes(form, contentType: "multipart/form-data; boundary=b"))
    }

    private func result(_ response: ClientResponse) throws -> JSONValue {
        let json = try JSONValue(parsing: response.body)
        try #require(response.status == 200, "\(json.text())")
        #expect(json["object"] == "content_provenance_check" && json["created_at"]?.integer != nil)
        #expect(json["results"]?.array?.count == 1)
        return try #require(json["results"]?.array?.first)
    }

    private func clip(_ mark: ProvenanceMark) -> [UInt8] {
        [0, 0, 0, 24] + Array("ftypisom".utf8) + [UInt8](repeating: 1, count: 300) + Array("\n\(mark.json.text())".utf8)
    }

    @Test func aClipThatWasMadeHereIsKnownEvenWhenItsJobIsGone() throws {
        let daemon = try DaemonUnderTest()
        let id = try daemon.finished(try daemon.create("x").id).id
        let clip = try daemon.send(.get, "/v1/videos/\(id)/content").body
        let made = try result(try check(daemon, clip))
        #expect(made["outcome"] == "detected" && made["validation_state"] == "trusted" && made["origin"] == "this_sorad")
        #expect(made["model"] == "mini" && made["video_id"]?.string == id)
        let date = try #require(made["generated_at"]?.string)
        #expect(date.count == 20 && date.hasPrefix("20") && date.hasSuffix("Z"))
        let url = "data:video/mp4;base64," + base64Encoded(clip)
        let asText = try daemon.send(.post, "/v1/content_provenance_checks", body: .json(["file": .string(url)]))
        #expect(try result(asText) == made)
        _ = try daemon.send(.delete, "/v1/videos/\(id)")
        let gone = try result(try check(daemon, clip))
        #expect(gone["validation_state"] == "trusted" && gone["video_id"] == .null)
        // One byte more, and it is another file.
        #expect(try result(try check(daemon, clip + Array("\n{\"state\":\"unmarked\",\"evidence\":[]}".utf8)))["origin"] == "none")
    }

    @Test func whatAFileSaysOfItselfIsToldApart() throws {
        let daemon = try DaemonUnderTest()
        let cases: [(ProvenanceMark, outcome: String, state: String, origin: String)] = [
            (ProvenanceMark(state: .marked, program: "sorad 9", model: "m", evidence: ["xmp"]), "detected", "valid", "another_sorad"),
            (ProvenanceMark(state: .marked, program: "Other", evidence: ["xmp", "comment"]), "detected", "valid", "another_program"),
            (ProvenanceMark(state: .marked, evidence: ["c2pa"]), "detected", "valid", "another_program"),
            (ProvenanceMark(state: .unmarked), "not_detected", "not_present", "none"),
            (ProvenanceMark(state: .unreadable, evidence: ["xmp"]), "not_detected", "invalid", "unknown"),
        ]
        for (mark, outcome, state, origin) in cases {
            let found = try result(try check(daemon, clip(mark)))
            #expect(found["outcome"]?.string == outcome && found["validation_state"]?.string == state && found["origin"]?.string == origin)
            #expect(found["issuer"]?.string == mark.program && found["model"]?.string == mark.model)
            #expect(found["generated_at"] == .null)
        }
        #expect(daemon.spool.isEmpty, "what was looked at is gone")
    }

    @Test func whatIsNoClipIsRefused() throws {
        let daemon = try DaemonUnderTest()
        for bytes in [Array("hello".utf8), []] {
            let response = try check(daemon, bytes)
            #expect(response.status == 400)
            let refusal = try daemon.refusal(response)
            #expect(
                refusal.param == "file" && refusal.code == "invalid_file" && !refusal.message.hasSuffix(".")
                    && refusal.message.hasPrefix("the field"))
        }
        let bodies: [(JSONObject, String)] = [
            ([:], "missing_required_parameter"), (["file": "hello"], "invalid_value"), (["file": 7], "invalid_type"),
        ]
        for (body, code) in bodies {
            let response = try daemon.send(.post, "/v1/content_provenance_checks", body: .json(.object(body)))
            #expect(response.status == 400)
            #expect(try daemon.refusal(response).code == code)
        }
        #expect(daemon.spool.isEmpty)
    }
}

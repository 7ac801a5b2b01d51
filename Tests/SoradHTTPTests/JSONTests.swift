// The JSON parser and writer: the letter of RFC 8259, limits, and exact numbers.
import SoradAPI
import SoradSystem
import Testing

@Suite struct JSONTests {
    private func parse(_ text: String) throws(JSONError) -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }

    @Test func readsEveryKindOfValue() throws {
        let value = try parse(
            " {\"a\": [1, -2.5e3, true, false, null], \"b\": {\"c\": \"d\\n\\u00e9\\ud83d\\ude00\\/\"}, \"\": {}, \"e\": []} ")
        #expect(value["a"]?.array?.count == 5)
        #expect(value["a"]?.array?[1].double == -2500)
        #expect(value["b"]?["c"]?.string == "d\né😀/")
        #expect(value["b"]?["x"] == nil)
        #expect(value.text() == "{\"a\":[1,-2.5e3,true,false,null],\"b\":{\"c\":\"d\\né😀/\"},\"\":{},\"e\":[]}")
    }

    @Test func keepsWholeNumbersExact() throws {
        #expect(try parse("18446744073709551615").unsigned == .max)
        #expect(try parse("18446744073709551616").unsigned == nil)
        #expect(try parse("9223372036854775807").integer == .max)
        #expect(try parse("-1").unsigned == nil)
        #expect(try parse("17.0").integer == 17)
        #expect(try parse("17.5").integer == nil)
        #expect(try parse("1e2").integer == 100)
        #expect(try parse("1e400").double == nil)
        #expect(try parse("9007199254740993.0").integer == nil)
    }

    @Test(arguments: [
        "", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}", "{\"a\":1 \"b\":2}", "[1 2]",
        "1 2", "01", "-", "+1",
        ".5", "1.", "1e", "1e+", "0x10", "NaN", "Infinity", "tru", "nul", "\"", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"",
        "\"\\ud800\"", "\"\\ud800\\u0041\"",
        "\"\\udc00\"", "\"a\nb\"", "\"\t\"", "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "\u{FEFF}{}", "// x\n1", "]", "}",
    ]) func refuses(_ text: String) {
        #expect(throws: JSONError.self) { try parse(text) }
    }

    @Test func refusesBytesThatAreNotUTF8() {
        for bytes: [UInt8] in [
            [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xF5, 0x80, 0x80, 0x80, 0x22],
        ] {
            #expect(throws: JSONError.self) { try JSONValue(parsing: bytes) }
        }
    }

    @Test func holdsItsLimits() throws {
        _ = try parse(String(repeating: "[", count: 32) + String(repeating: "]", count: 32))
        #expect(throws: JSONError.self) { try parse(String(repeating: "[", count: 33) + String(repeating: "]", count: 33)) }
        #expect(throws: JSONError.self) { try parse(String(repeating: "[", count: 1_000_000)) }
        #expect(throws: JSONError.self) { try parse(String(repeating: "1", count: 65)) }
        var few = JSONLimits()
        few.values = 4
        _ = try JSONValue(parsing: Array("[1,2,3]".utf8), limits: few)
        #expect(throws: JSONError.self) { try JSONValue(parsing: Array("[1,2,3,4]".utf8), limits: few) }
        few.bytes = 4
        #expect(throws: JSONError.self) { try JSONValue(parsing: Array("[1,2]".utf8), limits: few) }
    }

    @Test func errorsSayWhere() {
        #expect { try parse("{\"a\": 1, \"a\": 2}") } throws: { "\($0)" == "the key \"a\" appears twice at byte 9" }
    }

    @Test func writesWhatItReads() throws {
        let text = "{\"quote\":\"\\\"\\\\\",\"control\":\"\\u0001\\u007f\\t\",\"big\":18446744073709551615,\"list\":[],\"null\":null}"
        let value = try parse(text)
        #expect(value.text() == text)
        #expect(try parse(value.text(pretty: true)) == value)
        #expect(JSONValue.double(0.1).text() == "0.1")
    }

    @Test func videoHasEveryMemberAndComesBack() throws {
        let request = ClipPlan(
            model: "sorad-mini", prompt: "a \"red\" ball", negativePrompt: "", width: 128, height: 128, numFrames: 17, fps: 8, seed: .max,
            numInferenceSteps: 8, guidanceScale: 2.5, flowShift: 3)
        var video = Video(
            id: "video_1", model: "sorad-mini", status: .inProgress, progress: 40, createdAt: 1, prompt: request.prompt, size: "128x128",
            seconds: "2", details: VideoDetails(plan: request))
        let text = video.json.text()
        for member in ["completed_at", "expires_at", "remixed_from_video_id", "error"] { #expect(text.contains("\"\(member)\":null")) }
        #expect(
            text.hasPrefix("{\"id\":\"video_1\",\"object\":\"video\",\"model\":\"sorad-mini\",\"status\":\"in_progress\",\"progress\":40,"))
        #expect(text.contains("\"seed\":18446744073709551615"))
        #expect(try Video(json: parse(text)) == video)
        video.status = .failed
        video.error = JobError(code: "cancelled", message: "Cancelled by its owner.")
        video.details.timings = ["denoising": 1.5, "decoding": 0.5]
        video.details.phase = .denoising
        #expect(try Video(json: parse(video.json.text())) == video)
        let list = VideoList(data: [video], hasMore: true)
        #expect(list.json["last_id"]?.string == "video_1")
        #expect(try VideoList(json: list.json) == list)
        #expect(VideoList(data: [], hasMore: false).json["first_id"] == .null)
        #expect(throws: JSONError.self) { try Video(json: ["object": "list"]) }
        #expect(try DeletedVideo(json: DeletedVideo(id: "a").json) == DeletedVideo(id: "a"))
        let model = Model(id: "m", created: 1, ownedBy: "sorad", details: ["fps": 8])
        #expect(try ModelList(json: ModelList(data: [model]).json) == ModelList(data: [model]))
    }
}

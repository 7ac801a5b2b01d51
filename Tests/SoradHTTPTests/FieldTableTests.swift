// What becomes of fields that a route does not know: a refusal with the name to use, or a place in the list of those without effect.
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct FieldTableTests {
    private static let table = FieldTable(
        ["seconds", "num_frames", "input_reference", "n"], members: ["input_reference": FieldTable(["image_url"])],
        foreign: [
            "duration": .name("seconds"), "init_image": .name("input_reference"), "source_clip": .name("video"),
            "video": .misplaced("belongs to /v1/videos/edits"), "loras": .unsupported("LoRA adapters"), "second": .harmless,
            "last_image": .name("end_image"), "codec": .unsupported("AV1", instead: "take H.264", fine: ["h264"]),
        ])

    /// The names without effect, or the refusal.
    private func outcome(_ text: String) throws -> String {
        guard let object = try JSONValue(parsing: Array(text.utf8)).object else { return "no object" }
        do throws(APIError) {
            return try Fields(json: object).unused(by: Self.table).joined(separator: ",")
        } catch {
            #expect(error.status == .badRequest && error.envelope.code?.hasSuffix("_parameter") == true)
            return "\(error.envelope.param ?? "-"): \(error.envelope.message)"
        }
    }

    @Test(arguments: [
        (#"{"seconds":4,"n":1}"#, ""),
        (#"{"duration":4}"#, #"duration: the field "duration" is unknown here; the name is "seconds""#),
        (#"{"Duration":4}"#, #"Duration: the field "Duration" is unknown here; the name is "seconds""#),
        (#"{"initImage":"x"}"#, #"initImage: the field "initImage" is unknown here; the name is "input_reference""#),
        (#"{"Seconds":4}"#, #"Seconds: the field "Seconds" is unknown here; the name is "seconds""#),
        (#"{"num_frame":4}"#, #"num_frame: the field "num_frame" is unknown here; the name is "num_frames""#),
        (#"{"durations":4}"#, #"durations: the field "durations" is unknown here; the name is "seconds""#),
        (#"{"seconds":4,"duration":4}"#, "duration"), (#"{"seconds":"4","duration":4.0}"#, "duration"),
        (#"{"seconds":4,"duration":5}"#, #"duration: the field "duration" is unknown here; the name is "seconds""#),
        (#"{"video":"x"}"#, #"video: the field "video" belongs to /v1/videos/edits"#),
        (#"{"source_clip":"x"}"#, #"source_clip: the field "source_clip" belongs to /v1/videos/edits"#),
        (#"{"loras":["x"]}"#, #"loras: the field "loras" asks for LoRA adapters, which is not supported here; leave it out"#),
        (#"{"lora":["x"]}"#, "lora"), (#"{"loras":[]}"#, "loras"), (#"{"loras":false}"#, "loras"), (#"{"loras":"none"}"#, "loras"),
        // Another word in front is another thing, not a slip.
        (#"{"mask_image":"x"}"#, "mask_image"),
        (#"{"codec":"av1"}"#, #"codec: the field "codec" asks for AV1, which is not supported here; take H.264"#),
        (#"{"codec":"H264"}"#, "codec"),
        (#"{"second":1}"#, "second"), (#"{"user":"me","metadata":{},"duration":null}"#, "metadata,user"),
        (#"{"input_reference":{"image_url":"x","detail":"low"}}"#, "input_reference.detail"),
        (
            #"{"input_reference":{"imageUrl":"x"}}"#,
            #"input_reference.imageUrl: the field "input_reference.imageUrl" is unknown here; the name is "image_url""#
        ),
        (#"{"input_reference":"x"}"#, ""),
    ])
    func noFieldIsDroppedInSilence(body: String, expected: String) throws {
        #expect(try outcome(body) == expected)
    }

    @Test func theListIsBounded() throws {
        let many = (0..<1000).map { "\"unheard_of_\($0)\":1" }.joined(separator: ",")
        #expect(try outcome("{\(many)}").split(separator: ",").count == 32)
        #expect(try outcome("{\"\(String(repeating: "x", count: 5000))\":1}").utf8.count == 64)
    }
}

// What the answer says of the prompt: its length for the model, and the words that mean nothing to it.
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct PromptReadingTests {
    private static func model(_ more: [String: JSONValue]) throws -> String {
        guard var object = try JSONValue(parsing: Array(DaemonUnderTest.modelText().utf8)).object else { return "" }
        for (key, value) in more { object[key] = value }
        return JSONValue.object(object).text()
    }

    @Test func theAnswerSaysWhatTheModelReads() throws {
        let daemon = try DaemonUnderTest(models: ["mini.gguf": try Self.model(["textLength": 8])])
        func json(_ fields: JSONObject) throws -> JSONValue {
            let response = try daemon.send(.post, "/v1/videos", body: .json(.object(fields)))
            #expect(response.status == 200, "\(String(decoding: response.body, as: UTF8.self))")
            return try JSONValue(parsing: response.body)
        }
        let short = try json(["prompt": "a zzcat on seven words of grass"])
        #expect(short["prompt_tokens"] == 8 && short["prompt_truncated"] == false && short["unknown_words"] == ["zzcat"])
        #expect(short["negative_prompt_tokens"] == nil && short["ignored"] == nil)
        let long = try json(["prompt": "a cat on eight words of green grass", "negative_prompt": "one two", "guidance_scale": 2])
        #expect(long["prompt_tokens"] == 9 && long["prompt_truncated"] == true && long["unknown_words"] == [])
        #expect(long["negative_prompt_tokens"] == 3 && long["negative_prompt_truncated"] == false)
        // The remark stays with the job, over a restart too, and is the same for the same prompt.
        let id = try #require(long["id"]?.string)
        #expect(try json(["prompt": "a cat on eight words of green grass"])["prompt_tokens"] == 9)
        #expect(daemon.end() == .exited(0))
        try daemon.restart()
        let later = try JSONValue(parsing: try daemon.send(.get, "/v1/videos/\(id)").body)
        #expect(later["prompt_truncated"] == true && later["negative_prompt_tokens"] == 3)
        let models = try ModelList(json: JSONValue(parsing: try daemon.send(.get, "/v1/models").body))
        #expect(models.data.first?.details["text_length"] == 8)
    }

    /// A remark costs no request.
    @Test func aPromptThatNobodyCouldReadIsTaken() throws {
        let daemon = try DaemonUnderTest(models: ["mini.gguf": try Self.model(["readsNothing": true])])
        let video = try daemon.create("a red ball")
        #expect(video.details.notes.prompt == nil)
        #expect(try daemon.finished(video.id).status == .completed)
        #expect(daemon.log.contains("it is not known how mini reads a prompt"))
    }
}

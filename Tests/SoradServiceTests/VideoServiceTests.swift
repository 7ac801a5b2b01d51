// The Videos API as a client meets it: the real daemon, a worker without an engine.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct VideoServiceTests {
    @Test func aSentenceBecomesAClip() throws {
        let daemon = try DaemonUnderTest()
        let response = try daemon.send(.post, "/v1/videos", body: .json(["prompt": "a red ball", "seconds": "1", "seed": .unsigned(.max)]))
        #expect(response.status == 200)
        #expect(response.headers["openai-poll-after-ms"].flatMap { Int($0) } != nil)
        #expect(response.headers["x-request-id"] != nil)
        let made = try Video(json: JSONValue(parsing: response.body))
        #expect(made.size == "128x128" && made.seconds == "1" && made.model == "mini")
        #expect(made.details.numFrames == 17 && made.details.fps == 16)
        let done = try daemon.finished(made.id)
        #expect(done.status == .completed && done.progress == 100 && done.error == nil)
        #expect(done.completedAt != nil)
        #expect(done.details.sha256?.count == 64)
        for (variant, type) in [
            ("", "video/mp4"), ("?variant=video", "video/mp4"), ("?variant=thumbnail", "image/webp"),
            ("?variant=spritesheet", "image/jpeg"),
        ] {
            let content = try daemon.send(.get, "/v1/videos/\(made.id)/content\(variant)")
            #expect(content.status == 200)
            #expect(content.headers["content-type"] == type)
            #expect(content.headers["etag"] != nil)
            #expect(!content.body.isEmpty)
        }
        let part = try daemon.send(.get, "/v1/videos/\(made.id)/content", headers: ["range": "bytes=4-7"])
        #expect(part.status == 206)
        #expect(part.body == Array("ftyp".utf8))
        #expect(try daemon.send(.get, "/v1/videos/\(made.id)/content?variant=sound").status == 400)
    }

    @Test func effectiveValuesAreEchoed() throws {
        let daemon = try DaemonUnderTest()
        let video = try daemon.create(
            "x",
            [
                "size": "64x32", "num_frames": 18, "fps": 8, "seed": 42, "negative_prompt": "dull", "num_inference_steps": 7,
                "guidance_scale": 1.5, "flow_shift": 5,
            ])
        #expect(video.size == "64x32" && video.seconds == "3" && video.details.durationSeconds == 2.625)
        #expect(
            video.details.numFrames == 21 && video.details.fps == 8 && video.details.seed == 42 && video.details.negativePrompt == "dull")
        #expect(video.details.numInferenceSteps == 7 && video.details.guidanceScale == 1.5 && video.details.flowShift == 5)
    }

    @Test(
        arguments: [
            ("{", nil), ("[]", nil), ("{}", "prompt"), (#"{"prompt":""}"#, "prompt"), (#"{"prompt":7}"#, "prompt"),
            (#"{"prompt":"x","size":"17x9999"}"#, "size"), (#"{"prompt":"x","size":"0x0"}"#, "size"),
            (#"{"prompt":"x","size":"abc"}"#, "size"),
            (#"{"prompt":"x","width":0}"#, "width"), (#"{"prompt":"x","width":-1}"#, "width"), (#"{"prompt":"x","width":"abc"}"#, "width"),
            (#"{"prompt":"x","height":99999999999999999999}"#, "height"), (#"{"prompt":"x","seconds":"-4"}"#, "seconds"),
            (#"{"prompt":"x","seconds":"nan"}"#, "seconds"), (#"{"prompt":"x","seconds":3000}"#, "seconds"),
            (#"{"prompt":"x","num_frames":0}"#, "num_frames"),
            (#"{"prompt":"x","seed":-2}"#, "seed"), (#"{"prompt":"x","model":"sora-2"}"#, "model"),
            (#"{"prompt":"x","guidance_scale":1e400}"#, "guidance_scale"),
            (#"{"prompt":"x","input_reference":{"image_url":"data:"}}"#, "input_reference"), (#"{"prompt":"x","n":2}"#, "n"),
            (#"{"prompt":"x","fps":0}"#, "fps"), (#"{"prompt":"x","num_inference_steps":1001}"#, "num_inference_steps"),
        ] as [(String, String?)])
    func badInputIsRefusedWithItsField(body: String, param: String?) throws {
        let daemon = try DaemonUnderTest()
        let response = try daemon.send(.post, "/v1/videos", body: .bytes(Array(body.utf8), contentType: "application/json"))
        #expect(response.status == 400)
        #expect(response.headers["x-should-retry"] == "false")
        let refusal = try daemon.refusal(response)
        #expect(refusal.param == param)
        #expect(refusal.message.count > 10)
        #expect(try daemon.send(.get, "/v1/videos").body.count < 100)
    }

    @Test func aHugePromptIsRefusedAndUnknownFieldsAreNot() throws {
        let daemon = try DaemonUnderTest()
        let long = try daemon.send(.post, "/v1/videos", body: .json(["prompt": .string(String(repeating: "a", count: 100_000))]))
        #expect(long.status == 400)
        #expect(try daemon.refusal(long).message == "the prompt is too long; at most 4000 characters are allowed")
        #expect(try daemon.create("x", ["quality": "best"]).details.notes.ignored == ["quality"])
    }

    @Test func listsComeInPages() throws {
        let daemon = try DaemonUnderTest()
        let ids = try (0..<5).map { try daemon.create("clip \($0)").id }
        func page(_ query: String) throws -> VideoList {
            try VideoList(json: JSONValue(parsing: try daemon.send(.get, "/v1/videos" + query).body))
        }
        #expect(try page("").data.map(\.id) == ids.reversed())
        let first = try page("?limit=2&order=asc")
        #expect(first.data.map(\.id) == Array(ids[0..<2]) && first.hasMore)
        #expect(try daemon.send(.delete, "/v1/videos/\(ids[1])").status == 200)
        let second = try page("?limit=3&order=asc&after=\(ids[1])")
        #expect(second.data.map(\.id) == Array(ids[2..<5]) && !second.hasMore)
        for query in ["?limit=0", "?limit=101", "?limit=x", "?order=up", "?after=nobody"] {
            #expect(try daemon.send(.get, "/v1/videos" + query).status == 400)
        }
    }

    @Test func contentThatIsNotReadyIsAConflictNotWorthARetry() throws {
        let daemon = try DaemonUnderTest()
        let id = try daemon.create("steps=1000").id
        let response = try daemon.send(.get, "/v1/videos/\(id)/content")
        #expect(response.status == 409)
        #expect(response.headers["x-should-retry"] == "false")
        #expect(try daemon.refusal(response).code == "video_not_ready")
    }

    @Test(arguments: ["queued", "running"])
    func cancelledJobsAreOverAtOnce(which: String) throws {
        let daemon = try DaemonUnderTest()
        let running = try daemon.create("steps=2000").id
        try eventually("progress") { try daemon.video(running).details.step ?? 0 > 0 }
        let queued = try daemon.create("another").id
        let victim = which == "queued" ? queued : running
        let answer = try daemon.send(.post, "/v1/videos/\(victim)/cancel")
        #expect(answer.status == 200)
        let video = try Video(json: JSONValue(parsing: answer.body))
        #expect(video.status == .failed && video.error?.code == "cancelled")
        #expect(try daemon.send(.post, "/v1/videos/\(victim)/cancel").status == 200)
        if which == "running" {
            #expect(try daemon.finished(queued).status == .completed)
            // The worker stopped by itself and did the next one.
            #expect(daemon.workerLog.split(separator: "\n").count == 1)
            #expect(!daemon.spool.contains(running))
            #expect(try daemon.send(.post, "/v1/videos/\(queued)/cancel").status == 409)
        }
    }

    @Test func aWorkerThatIgnoresACancelIsReplaced() throws {
        let daemon = try DaemonUnderTest(["--cancel-grace", "1"])
        let id = try daemon.create("hang").id
        try eventually("progress") { try daemon.video(id).details.step ?? 0 > 0 }
        #expect(try daemon.send(.delete, "/v1/videos/\(id)").status == 200)
        #expect(try daemon.send(.get, "/v1/videos/\(id)").status == 404)
        let next = try daemon.create("next").id
        #expect(try daemon.finished(next).status == .completed)
        #expect(daemon.workerLog.split(separator: "\n").count == 2)
        try eventually("no files of the deleted job") { daemon.spool == [next] }
    }

    @Test func deletingRemovesRecordAndFiles() throws {
        let daemon = try DaemonUnderTest()
        let id = try daemon.create("x").id
        _ = try daemon.finished(id)
        #expect(daemon.spool == [id])
        let answer = try daemon.send(.delete, "/v1/videos/\(id)", headers: ["content-type": "application/json"])
        #expect(try DeletedVideo(json: JSONValue(parsing: answer.body)).id == id)
        #expect(daemon.spool == [])
        for (method, path) in [(.get, ""), (.delete, ""), (.get, "/content"), (.post, "/cancel")] as [(SoradHTTP.Method, String)] {
            #expect(try daemon.send(method, "/v1/videos/\(id)\(path)").status == 404)
        }
        for id in ["nobody", "video_..%2f..%2fjobs.sqlite", "..%2f..%2fetc"] {
            #expect(try [400, 404].contains(daemon.send(.get, "/v1/videos/\(id)").status))
        }
    }

    @Test func modelsAreListedAndABrokenOneDoesNotStopTheOthers() throws {
        let daemon = try DaemonUnderTest(models: [
            "a.gguf": #"{"broken": "the file is cut off after 100 bytes"}"#, "b.gguf": DaemonUnderTest.modelText(), "c.gguf": "not JSON",
            "d.txt": "",
        ])
        let models = try ModelList(json: JSONValue(parsing: try daemon.send(.get, "/v1/models").body))
        #expect(models.data.map(\.id) == ["mini"])
        #expect(try daemon.send(.get, "/v1/models/mini").status == 200)
        #expect(try daemon.send(.get, "/v1/models/other").status == 404)
        #expect(daemon.log.contains("a.gguf cannot be used: the file is cut off after 100 bytes"))
        #expect(try daemon.finished(daemon.create("x").id).status == .completed)
    }

    @Test func withoutAModelARequestIsRefusedClearly() throws {
        let daemon = try DaemonUnderTest(models: [:])
        let response = try daemon.send(.post, "/v1/videos", body: .json(["prompt": "x"]))
        #expect(response.status == 503 && response.headers["x-should-retry"] == "false")
        #expect(try daemon.refusal(response).code == "no_model")
    }

    @Test func aFullQueueIsSaidSo() throws {
        let daemon = try DaemonUnderTest(["--queue-limit", "1"])
        _ = try daemon.create("steps=1000")
        _ = try daemon.create("waits")
        let response = try daemon.send(.post, "/v1/videos", body: .json(["prompt": "too many"]))
        #expect(response.status == 429)
        #expect(response.headers["retry-after"] != nil)
    }

    @Test(.enabled(if: isRoot()))
    func jobsOfOneUserAreNobodyElsesButRoots() throws {
        let daemon = try DaemonUnderTest()
        for path in [daemon.directory, daemon.socket] { _ = unsafe chmod(path, 0o777) }
        func asUser(_ user: Int, _ arguments: String...) throws -> String {
            let command = [
                "--reuid=\(user)", "--regid=\(user)", "--clear-groups", "curl", "-s", "-m", "10", "--unix-socket", daemon.socket,
            ]
            let output = try captureOutput(of: .init("/usr/bin/setpriv", command + arguments), timeout: .seconds(15), limit: 1 << 20)
            return String(decoding: output.standardOutput, as: UTF8.self)
        }
        let theirs = try Video(json: JSONValue(parsing: Array(try asUser(4001, "http://x/v1/videos", "-F", "prompt=mine").utf8)))
        #expect(try daemon.finished(theirs.id).status == .completed)
        #expect(try asUser(4001, "http://x/v1/videos").contains(theirs.id))
        #expect(try !asUser(4002, "http://x/v1/videos").contains(theirs.id))
        for arguments in [
            ["http://x/v1/videos/\(theirs.id)"], ["http://x/v1/videos/\(theirs.id)/content"],
            ["-X", "DELETE", "http://x/v1/videos/\(theirs.id)"], ["-X", "POST", "http://x/v1/videos/\(theirs.id)/cancel"],
        ] {
            #expect(
                try asUser(4002, arguments[0], arguments.count > 1 ? arguments[1] : "-g", arguments.count > 2 ? arguments[2] : "-g")
                    .contains("video_not_found"))
        }
        #expect(try asUser(4001, "-X", "DELETE", "http://x/v1/videos/\(theirs.id)").contains("video.deleted"))
    }
}

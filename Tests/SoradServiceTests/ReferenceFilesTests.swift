// Pictures and clips in requests, as a client meets them: the real daemon, a worker without an engine.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct ReferenceFilesTests {
    private static let png: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + [UInt8](repeating: 7, count: 100_000)
    private static let mp4: [UInt8] = [0, 0, 0, 24] + Array("ftypisom".utf8) + [UInt8](repeating: 1, count: 300)

    /// A form of text fields and files.
    private func form(_ fields: [(String, String)], files: [(String, [UInt8])] = []) -> ClientRequest.Body {
        var body: [UInt8] = []
        for (name, value) in fields {
            body += Array("--b\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n".utf8)
        }
        for (name, bytes) in files {
            body += Array("--b\r\nContent-Disposition: form-data; name=\"\(name)\"; filename=\"../../x.png\"\r\n\r\n".utf8) + bytes
            body += Array("\r\n".utf8)
        }
        return .bytes(body + Array("--b--\r\n".utf8), contentType: "multipart/form-data; boundary=b")
    }

    private func video(_ response: ClientResponse) throws -> Video {
        try #require(response.status == 200, "\(String(decoding: response.body, as: UTF8.self))")
        return try Video(json: JSONValue(parsing: response.body))
    }

    private func finishedClip(_ daemon: DaemonUnderTest, _ more: JSONObject = [:]) throws -> Video {
        try daemon.finished(daemon.create("source", more).id)
    }

    @Test func picturesReachTheWorkerUnderTheirRoles() throws {
        let daemon = try DaemonUnderTest()
        let files = [("input_reference", Self.png), ("end_image", Self.png)]
        let made = try video(daemon.send(.post, "/v1/videos", body: form([("prompt", "x"), ("strength", "0.5")], files: files)))
        #expect(made.details.strength == 0.5)
        #expect(try daemon.finished(made.id).status == .completed)
        #expect(daemon.workerLog.contains("given given-first-frame given-last-frame"))
        let url = "data:image/png;base64," + base64Encoded(Self.png)
        let bodies: [ClientRequest.Body] = [
            .json(["prompt": "x", "input_reference": ["image_url": .string(url)]]),
            .json(["prompt": "x", "input_reference": .string(url)]),
            form([("prompt", "x"), ("input_reference[image_url]", url)]), form([("prompt", "x")], files: [("input_reference[]", Self.png)]),
        ]
        for body in bodies {
            let id = try video(daemon.send(.post, "/v1/videos", body: body)).id
            #expect(try daemon.finished(id).status == .completed)
            #expect(daemon.text(of: daemon.directory + "/state/spool/\(id)/given-first-frame").utf8.count > 1_000)
            #expect(try daemon.send(.delete, "/v1/videos/\(id)").status == 200)
            #expect(!daemon.spool.contains(id))
        }
    }

    @Test func refusalsNameTheFieldAndLeaveNothingBehind() throws {
        let daemon = try DaemonUnderTest()
        let text = Array("just text".utf8)
        let cases: [(ClientRequest.Body, String, String)] = [
            (form([("prompt", "x")], files: [("input_reference", text)]), "input_reference", "is text"),
            (form([("prompt", "x")], files: [("input_reference", [])]), "input_reference", "empty"),
            (form([("prompt", "x")], files: [("input_reference", Self.mp4)]), "input_reference", "is a clip"),
            (form([("prompt", "x")], files: [("end_image", text)]), "end_image", "is text"),
            (
                form([("prompt", "x")], files: [("input_reference[]", Self.png), ("input_reference[]", Self.png)]), "input_reference",
                "one picture"
            ),
            (.json(["prompt": "x", "input_reference": ["file_id": "file_1"]]), "input_reference", "keeps no files"),
            (.json(["prompt": "x", "input_reference": ["image_url": "https://example.com/a.png"]]), "input_reference", "no outgoing"),
            (.json(["prompt": "x", "input_reference": ["image_url": "data:image/png;base64,@@@"]]), "input_reference", "data:image"),
            (.json(["prompt": "x", "input_reference": ["image_url": "file:///etc/passwd"]]), "input_reference", "data:image"),
            (.json(["prompt": "x", "input_reference": [:]]), "input_reference.image_url", "missing"),
            (.json(["prompt": "x", "input_reference": 7]), "input_reference", "one picture"),
            (.json(["prompt": "x", "strength": 0.5]), "strength", "input_reference"),
            (form([("prompt", "x"), ("strength", "0")], files: [("input_reference", Self.png)]), "strength", "0.01"),
            (.json(["prompt": "x", "video": ["id": "y"]]), "video", "edits"),
        ]
        for (body, param, words) in cases {
            let response = try daemon.send(.post, "/v1/videos", body: body)
            let refusal = try daemon.refusal(response)
            #expect(response.status == 400 && refusal.param == param && refusal.message.contains(words), "\(refusal)")
        }
        #expect(daemon.spool == [])
        // An upload goes with its request, a moment after the answer.
        try eventually("uploads are gone") { try directoryEntries(daemon.directory + "/state/uploads") == [] }
    }

    @Test func aModelWithoutConditioningSaysSo() throws {
        let daemon = try DaemonUnderTest(models: ["mini.gguf": DaemonUnderTest.modelText(takesConditioningFrames: false)])
        let response = try daemon.send(.post, "/v1/videos", body: form([("prompt", "x")], files: [("input_reference", Self.png)]))
        #expect(response.status == 400)
        #expect(try daemon.refusal(response).message.contains("clips from text, and remixes and edits"))
        let source = try finishedClip(daemon)
        let extended = try daemon.send(
            .post, "/v1/videos/extensions", body: .json(["prompt": "x", "seconds": "1", "video": ["id": .string(source.id)]]))
        #expect(extended.status == 400)
        #expect(
            try video(daemon.send(.post, "/v1/videos/\(source.id)/remix", body: .json(["prompt": "x"]))).remixedFromVideoID == source.id)
    }

    @Test func aRemixIsLikeItsSource() throws {
        let daemon = try DaemonUnderTest()
        let source = try finishedClip(daemon, ["size": "64x32", "num_frames": 9, "fps": 8])
        let remix = try video(daemon.send(.post, "/v1/videos/\(source.id)/remix", body: .json(["prompt": "blue"])))
        #expect(
            remix.remixedFromVideoID == source.id && remix.prompt == "blue" && remix.size == "64x32"
                && remix.details.durationSeconds == 1.125)
        #expect(remix.details.numFrames == 9 && remix.details.fps == 8 && remix.details.strength == 0.7)
        // It needs its source no more.
        #expect(try daemon.send(.delete, "/v1/videos/\(source.id)").status == 200)
        #expect(try daemon.finished(remix.id).status == .completed)
        #expect(daemon.workerLog.contains("given given-source "))
    }

    @Test func editsTakeAnIdOrAFile() throws {
        let daemon = try DaemonUnderTest()
        let source = try finishedClip(daemon)
        for body: ClientRequest.Body in [
            .json(["prompt": "x", "video": ["id": .string(source.id)], "strength": 0.25]),
            form([("prompt", "x"), ("video[id]", source.id), ("strength", "0.25")]),
        ] {
            let edit = try video(daemon.send(.post, "/v1/videos/edits", body: body))
            #expect(edit.details.sourceVideoID == source.id && edit.remixedFromVideoID == nil && edit.details.strength == 0.25)
            #expect(try daemon.finished(edit.id).status == .completed)
        }
        let edit = try video(daemon.send(.post, "/v1/videos/edits", body: form([("prompt", "x")], files: [("video", Self.mp4)])))
        // 20 frames, of which 17 are a whole number of groups; at the clip's own speed and the model's size.
        #expect(edit.details.numFrames == 17 && edit.details.fps == 8 && edit.size == "128x128")
        for (body, param) in [
            (form([("prompt", "x")], files: [("video", Self.png)]), "video"), (.json(["prompt": "x"]), "video"),
            (.json(["video": ["id": .string(source.id)]]), "prompt"),
            (form([("prompt", "x"), ("num_frames", "40")], files: [("video", Self.mp4)]), "num_frames"),
            (form([("prompt", "x")], files: [("video", Self.mp4), ("input_reference", Self.png)]), "input_reference"),
        ] as [(ClientRequest.Body, String)] {
            let response = try daemon.send(.post, "/v1/videos/edits", body: body)
            #expect(try response.status == 400 && daemon.refusal(response).param == param)
        }
    }

    @Test func extensionsAreTheWholeClip() throws {
        let daemon = try DaemonUnderTest()
        let source = try finishedClip(daemon, ["num_frames": 17, "fps": 8])
        let cases: [(JSONObject, frames: Int, seconds: Double, files: String)] = [
            (["seconds": "1"], 17 + 8, 3.125, "given-before"),
            (["seconds": 1, "direction": "forwards"], 17 + 8, 3.125, "given-before"),
            (["seconds": "1.1"], 17 + 12, 3.625, "given-before"),
            (["seconds": "1", "direction": "backwards"], 8 + 17, 3.125, "given-after"),
            (["seconds": "0.5", "loop": true], 17 + 7, 3, "given-after given-before"),
            (["seconds": "0.5", "end_video": ["id": .string(source.id)]], 17 + 7 + 17, 5.125, "given-after given-before"),
        ]
        for (more, frames, seconds, files) in cases {
            var body: JSONObject = ["prompt": "on and on", "video": ["id": .string(source.id)]]
            for member in more.members { body[member.key] = member.value }
            let longer = try video(daemon.send(.post, "/v1/videos/extensions", body: .json(.object(body))))
            #expect(longer.details.numFrames == frames && longer.details.durationSeconds == seconds, "\(more)")
            #expect(try daemon.finished(longer.id).status == .completed)
            #expect(daemon.workerLog.split(separator: "\n").last?.hasPrefix("given \(files) {") == true)
            #expect(try daemon.send(.delete, "/v1/videos/\(longer.id)").status == 200)
        }
        for (more, param) in [
            ([:], "seconds"), (["seconds": "60"], "seconds"), (["seconds": "1", "direction": "up"], "direction"),
            (["seconds": "1", "loop": true, "direction": "backwards"], "loop"), (["seconds": "1", "strength": 0.5], "strength"),
        ] as [(JSONObject, String)] {
            var body: JSONObject = ["prompt": "x", "video": ["id": .string(source.id)]]
            for member in more.members { body[member.key] = member.value }
            let response = try daemon.send(.post, "/v1/videos/extensions", body: .json(.object(body)))
            #expect(try response.status == 400 && daemon.refusal(response).param == param, "\(more)")
        }
        #expect(daemon.spool == [source.id])
    }

    @Test func sourcesThatAreNotThereOrNotReady() throws {
        let daemon = try DaemonUnderTest()
        let running = try daemon.create("steps=2000").id
        let failed = try daemon.create("fail").id
        #expect(try daemon.send(.post, "/v1/videos/\(failed)/cancel").status == 200)
        let nobody = "video_" + String(repeating: "0", count: 32)
        for (id, status, code) in [
            (running, 409, "video_not_ready"), (failed, 409, "video_failed"), (nobody, 404, "video_not_found"),
            ("x", 404, "video_not_found"),
        ] {
            let source: JSONValue = ["prompt": "x", "seconds": "1", "video": ["id": .string(id)]]
            for path in ["/v1/videos/\(id)/remix", "/v1/videos/edits", "/v1/videos/extensions"] {
                let body: JSONValue = path.hasSuffix("remix") ? ["prompt": "x"] : source
                let response = try daemon.send(.post, path, body: .json(body))
                #expect(response.status == status && response.headers["x-should-retry"] == "false", "\(path)")
                #expect(try daemon.refusal(response).code == code)
            }
        }
        #expect(try daemon.send(.get, "/v1/videos/edits").status == 405)
        #expect(try daemon.send(.post, "/v1/videos/characters").status == 400)
        #expect(daemon.spool.filter { $0 != running } == [])
    }

    @Test func referenceFilesSurviveARestart() throws {
        let daemon = try DaemonUnderTest()
        _ = try daemon.create("steps=2000")
        let made = try video(daemon.send(.post, "/v1/videos", body: form([("prompt", "x")], files: [("input_reference", Self.png)])))
        _ = daemon.end(SIGKILL)
        // What a daemon that died had not accepted yet.
        try makeDirectories(daemon.directory + "/state/spool/video_" + String(repeating: "f", count: 32))
        try daemon.restart()
        #expect(daemon.spool.contains(made.id) && !daemon.spool.contains("video_" + String(repeating: "f", count: 32)))
        let waiting = try VideoList(json: JSONValue(parsing: try daemon.send(.get, "/v1/videos").body)).data
        for video in waiting where video.id != made.id { _ = try daemon.send(.delete, "/v1/videos/\(video.id)") }
        #expect(try daemon.finished(made.id).status == .completed)
        #expect(daemon.workerLog.contains("given given-first-frame "))
    }
}

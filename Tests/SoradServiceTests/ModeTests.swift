// Long clips, storyboards, masks, and clips from clips that were made here, as a client meets them: the real daemon, a worker without an
// engine.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct ModeTests {
    private static let png: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + [UInt8](repeating: 7, count: 1_000)

    private func daemon() throws -> DaemonUnderTest {
        try DaemonUnderTest(models: ["mini.gguf": DaemonUnderTest.modelText(windows: true)])
    }

    private func video(_ response: ClientResponse) throws -> Video {
        try #require(response.status == 200, "\(String(decoding: response.body, as: UTF8.self))")
        return try Video(json: JSONValue(parsing: response.body))
    }

    private func refused(_ daemon: DaemonUnderTest, _ path: String, _ body: JSONObject, _ param: String) throws {
        let response = try daemon.send(.post, path, body: .json(.object(body)))
        let refusal = try daemon.refusal(response)
        #expect(response.status == 400 && refusal.param == param, "\(refusal)")
    }

    @Test func aMinuteInOneRequest() throws {
        let daemon = try daemon()
        let long = try video(daemon.send(.post, "/v1/videos", body: .json(["prompt": "x", "seconds": "60"])))
        #expect(long.seconds == "60" && long.details.numFrames == 961)
        #expect(try daemon.finished(long.id).status == .completed)
        try refused(daemon, "/v1/videos", ["prompt": "x", "seconds": "61"], "seconds")
        let model = try JSONValue(parsing: daemon.send(.get, "/v1/models/mini").body)
        #expect(model["window_frames"]?.integer == 17 && model["max_num_frames"]?.integer == 961)
    }

    @Test func aStoryboardInJSONAndInAForm() throws {
        let daemon = try daemon()
        let scenes: JSONValue = [["prompt": "rolls", "seconds": "1"], ["prompt": "bounces", "num_frames": 12]]
        let text = "--b\r\nContent-Disposition: form-data; name=\"storyboard\"\r\n\r\n\(scenes.text())\r\n--b--\r\n"
        for body: ClientRequest.Body in [
            .json(["prompt": "a ball", "storyboard": scenes]),
            .bytes(Array(text.utf8), contentType: "multipart/form-data; boundary=b"),
        ] {
            let made = try video(daemon.send(.post, "/v1/videos", body: body))
            #expect(made.details.numFrames == 29 && made.details.storyboard?.map(\.numFrames) == [17, 12])
            #expect(try daemon.finished(made.id).details.storyboard == made.details.storyboard)
        }
        let json = try JSONValue(parsing: daemon.send(.post, "/v1/videos", body: .json(["storyboard": scenes])).body)
        #expect(json["prompt"]?.string == "rolls / bounces" && json["storyboard"]?.array?[0]["seconds"]?.double == 1.0625)
        let cases: [(JSONObject, String)] = [
            (["storyboard": scenes, "seconds": 2], "seconds"), (["storyboard": [["prompt": "x"]]], "storyboard[0].seconds"),
            (["storyboard": [["seconds": 1]]], "storyboard[0].prompt"), (["storyboard": ["x"]], "storyboard[0]"),
            (["storyboard": [["prompt": "x", "seconds": 1, "size": 2]]], "storyboard[0].size"), (["storyboard": "x"], "storyboard"),
            (["storyboard": [["prompt": " ", "seconds": 1]]], "storyboard[0].prompt"), (["storyboard": []], "prompt"),
            (["storyboard": [["prompt": "x", "seconds": 0]]], "storyboard[0].seconds"),
        ]
        for (body, param) in cases { try refused(daemon, "/v1/videos", body, param) }
    }

    @Test func aMaskReachesTheWorker() throws {
        let daemon = try daemon()
        let source = try daemon.finished(daemon.create("source").id)
        let url: JSONValue = .string("data:image/png;base64," + base64Encoded(Self.png))
        for path in ["/v1/videos/edits", "/v1/videos/\(source.id)/remix"] {
            var body: JSONObject = ["prompt": "x", "mask": ["image_url": url]]
            if path.hasSuffix("edits") { body["video"] = ["id": .string(source.id)] }
            let edit = try video(daemon.send(.post, path, body: .json(.object(body))))
            #expect(try daemon.finished(edit.id).status == .completed)
            #expect(daemon.workerLog.split(separator: "\n").last?.hasPrefix("given given-mask given-source {") == true)
        }
        try refused(daemon, "/v1/videos", ["prompt": "x", "mask": ["image_url": url]], "mask")
        try refused(daemon, "/v1/videos/edits", ["prompt": "x", "video": .string(source.id), "mask": "data:,x"], "mask")
        try refused(
            daemon, "/v1/videos/extensions", ["prompt": "x", "video": .string(source.id), "seconds": 1, "mask": ["image_url": url]], "mask")
        try refused(daemon, "/v1/videos/\(source.id)/remix", ["prompt": "x", "storyboard": [["prompt": "x", "seconds": 1]]], "storyboard")
    }

    /// An extension of a clip made here gets its latents, an extension of that one those of both; another size gets the MP4 file.
    @Test func clipsMadeHereAreTakenFromTheirLatents() throws {
        let daemon = try daemon()
        let source = try daemon.finished(daemon.create("latents", ["num_frames": 17, "fps": 8]).id)
        func longer(_ id: String, _ more: JSONObject = [:]) throws -> (video: Video, files: String) {
            var body: JSONObject = ["prompt": "latents", "seconds": 1, "video": ["id": .string(id)]]
            for member in more.members { body[member.key] = member.value }
            let made = try video(daemon.send(.post, "/v1/videos/extensions", body: .json(.object(body))))
            #expect(try daemon.finished(made.id).status == .completed)
            let line = daemon.workerLog.split(separator: "\n").last ?? ""
            return (made, String(line.prefix { $0 != "{" }))
        }
        let once = try longer(source.id)
        #expect(once.files == "given given-before-0 " && once.video.details.numFrames == 25)
        #expect(try daemon.send(.delete, "/v1/videos/\(source.id)").status == 200)
        let twice = try longer(once.video.id)
        #expect(twice.files == "given given-before-0 given-before-1 " && twice.video.details.numFrames == 33)
        let spool = daemon.directory + "/state/spool/\(twice.video.id)/"
        #expect(daemon.text(of: spool + "given-before-0") == "SORADLT1 of \(source.id)")
        #expect(daemon.text(of: spool + "given-before-1") == "SORADLT1 of \(once.video.id)")
        #expect(try longer(once.video.id, ["direction": "backwards"]).files == "given given-after-0 given-after-1 ")
        #expect(try longer(once.video.id, ["loop": true]).files == "given given-after-0 given-after-1 given-before-0 given-before-1 ")
        #expect(try longer(once.video.id, ["size": "64x64"]).files == "given given-before ")
        let remix = try video(daemon.send(.post, "/v1/videos/\(once.video.id)/remix", body: .json(["prompt": "x"])))
        #expect(try daemon.finished(remix.id).status == .completed)
        #expect(daemon.workerLog.split(separator: "\n").last?.hasPrefix("given given-source-0 given-source-1 {") == true)
    }

    /// Two pictures and five frames: no group lies between them, and it is made all the same.
    @Test func fiveFramesBetweenTwoPictures() throws {
        let daemon = try daemon()
        let url: JSONValue = .string("data:image/png;base64," + base64Encoded(Self.png))
        let body: JSONObject = ["prompt": "x", "num_frames": 5, "input_reference": ["image_url": url], "end_image": ["image_url": url]]
        let made = try video(daemon.send(.post, "/v1/videos", body: .json(.object(body))))
        #expect(try daemon.finished(made.id).status == .completed)
    }
}

// What the daemon says of itself: whether it lives, is ready, is drained or paused, and whose limits hold.
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct DaemonStateTests {
    @Test func theStateSaysWhatIsMissing() throws {
        func health(_ daemon: DaemonUnderTest) throws -> JSONValue { try JSONValue(parsing: daemon.send(.get, "/healthz").body) }
        let slow = try DaemonUnderTest(models: ["mini.gguf": DaemonUnderTest.modelText().dropLast() + #","describeDelay":1}"#])
        #expect(try health(slow)["status"] == "starting" && health(slow)["models"] == 0)
        try eventually("the models") { try health(slow)["status"] == "ok" }
        #expect(try health(slow)["trouble"] == .null && health(slow)["intake"] == "open" && health(slow)["processing"] == "running")
        let none = try DaemonUnderTest(models: ["a.gguf": #"{"broken": "the file is cut off after 100 bytes"}"#])
        try eventually("trouble") { try health(none)["status"] == "degraded" }
        #expect(try health(none)["trouble"]?.string?.contains("no model is installed that sorad can use: ") == true)
        let bare = try DaemonUnderTest(
            ["--default-model", "nobody"], environment: ["PATH": "/nowhere"], models: ["mini.gguf": DaemonUnderTest.modelText()])
        try eventually("trouble") { try health(bare)["status"] == "degraded" }
        #expect(try health(bare)["trouble"]?.string?.contains("ffmpeg is not installed") == true)
        try eventually("warnings") { bare.log.contains("warning: ffmpeg is not installed") }
        // The socket for administrators says the same.
        let status = try HTTPClient(socketPath: bare.directory + "/admin.sock").send(ClientRequest(.get, "/admin/status"))
        #expect(try JSONValue(parsing: status.body)["trouble"]?.string?.contains("ffmpeg is not installed") == true)
    }

    @Test func livingAndReadyAreTwoQuestions() throws {
        let slow = try DaemonUnderTest(models: ["mini.gguf": DaemonUnderTest.modelText().dropLast() + #","describeDelay":1}"#])
        let early = try slow.send(.get, "/readyz")
        #expect(try early.status == 503 && slow.refusal(early).code == "starting")
        #expect(try slow.send(.get, "/livez").status == 200)
        try eventually("ready") { try slow.send(.get, "/readyz").status == 200 }
        let admin = HTTPClient(socketPath: slow.directory + "/admin.sock")
        #expect(try admin.send(ClientRequest(.post, "/admin/drain")).status == 200)
        let drained = try slow.send(.get, "/readyz")
        #expect(try drained.status == 503 && slow.refusal(drained).code == "draining")
        #expect(try admin.send(ClientRequest(.post, "/admin/resume")).status == 200)
        #expect(try slow.send(.get, "/readyz").status == 200)
        let none = try DaemonUnderTest(models: [:])
        try eventually("degraded") { try none.refusal(none.send(.get, "/readyz")).code == "degraded" }
        #expect(try none.refusal(none.send(.get, "/readyz")).message.contains("no model is installed"))
        #expect(try none.send(.get, "/livez").status == 200 && none.send(.get, "/healthz").status == 200)
    }

    @Test func drainAndPauseShow() throws {
        let daemon = try DaemonUnderTest()
        func administer(_ verb: String) throws {
            let answer = try HTTPClient(socketPath: daemon.directory + "/admin.sock").send(ClientRequest(.post, "/admin/\(verb)"))
            #expect(answer.status == 200)
        }
        func health(_ name: String) throws -> JSONValue? { try JSONValue(parsing: daemon.send(.get, "/healthz").body)[name] }
        try administer("pause")
        #expect(try health("processing") == "paused" && health("intake") == "open")
        let id = try daemon.create("x").id
        #expect(try daemon.video(id).details.note == "an administrator has paused the queue; the job begins when it is resumed")
        try administer("drain")
        #expect(try health("intake") == "draining")
        try administer("resume")
        #expect(try health("processing") == "running" && health("intake") == "open")
        #expect(try daemon.finished(id).details.note == nil)
    }

    /// Users see their own limits; administrators see whose each job is.
    @Test func quotasAndOwnersAreShown() throws {
        let daemon = try DaemonUnderTest()
        let video = try daemon.create("x", ["num_frames": 33])
        let quota = try JSONValue(parsing: daemon.send(.get, "/v1/quota").body)
        #expect(quota["object"] == "quota" && quota["user"] == .integer(Int(effectiveUser())))
        #expect(quota["used"]?["seconds_per_day"]?.double == 2.062)
        if isRoot() {
            #expect(quota["limits"]?["jobs"] == .null)
            #expect(video.details.owner == 0)
            #expect(try daemon.video(video.id).details.owner == 0)
        } else {
            #expect(quota["limits"]?["jobs"] == 50 && video.details.owner == nil)
        }
    }
}

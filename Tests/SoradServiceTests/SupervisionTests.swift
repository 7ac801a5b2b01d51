// What happens when a worker or the daemon dies, hangs or talks nonsense, and how the daemon gets on with a service manager.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct SupervisionTests {
    @Test func aJobSurvivesOneDeathOfItsWorker() throws {
        let daemon = try DaemonUnderTest()
        #expect(try daemon.finished(daemon.create("die-once").id).status == .completed)
        #expect(daemon.workerLog.split(separator: "\n").count == 2)
    }

    @Test(arguments: [
        ("die", "was killed by signal 9"), ("garbage", "broke the protocol"), ("badlength", "a frame of 4294967295 bytes"),
        ("hangup", "closed its connection"),
    ])
    func aJobThatKillsItsWorkersIsGivenUpAndTheNextRuns(prompt: String, reason: String) throws {
        let daemon = try DaemonUnderTest(["--cancel-grace", "1"])
        let bad = try daemon.create(prompt).id
        let good = try daemon.create("good").id
        let failed = try daemon.finished(bad)
        #expect(failed.status == .failed && failed.error?.code == "worker_died")
        #expect(failed.error?.message.contains(reason) == true, "\(failed.error?.message ?? "")")
        #expect(try daemon.finished(good).status == .completed)
        #expect(daemon.spool == [good])
    }

    /// The text as it stands in the model file's JSON; what the job's error says of it.
    static let lastWords: [(text: String, sentence: String)] = [
        (#"sorad-worker: there is no stone.\nhint: buy one\n"#, "there is no stone"),
        (#"first\nsorad-worker: a \u001b[31mred\u0007\u202e stone"#, "a \u{FFFD}[31mred\u{FFFD}\u{FFFD} stone"),
        (#"\u0000\r\n\n"#, ""),
        (String(repeating: "é", count: 100_000), String(repeating: "é", count: 300) + "…"),
    ]

    @Test(arguments: lastWords.indices)
    func aWorkerThatCannotStartSaysWhyAndCostsNoJob(index: Int) throws {
        let (text, sentence) = Self.lastWords[index]
        let model = "{\"startFailure\": \"\(text)\", " + DaemonUnderTest.modelText().dropFirst()
        let daemon = try DaemonUnderTest(["--retry-wait", "1"], models: ["mini.gguf": model])
        let id = try daemon.create("x").id
        // "has started" follows a held job between two attempts.
        try eventually("a note; log:\n\(daemon.log)") { try daemon.video(id).details.note != nil }
        let note = try #require(try eventuallyNote(daemon, id))
        let reason = sentence.isEmpty ? "" : ", saying: \(sentence)"
        if index < 3 {
            #expect(note.contains("the worker exited with status 78\(reason); it is started again"), "\(note)")
        } else {
            // The end of a flood, bounded; where its last line begins depends on how it arrived.
            #expect(note.contains(", saying: é") && note.count < 600, "\(note)")
        }
        if index == 0 { #expect(daemon.log.contains("hint: buy one")) }
        try writeDurably(Array(DaemonUnderTest.modelText().utf8), named: "mini.gguf", in: daemon.directory + "/models")
        #expect(try daemon.finished(id).status == .completed)
    }

    private func eventuallyNote(_ daemon: DaemonUnderTest, _ id: String) throws -> String? {
        var note: String?
        try eventually("a note") {
            note = try daemon.video(id).details.note
            return note != nil
        }
        return note
    }

    @Test func standardErrorExplainsOnlyItsOwnJob() throws {
        let daemon = try DaemonUnderTest()
        let own = try daemon.finished(daemon.create("complain die").id)
        #expect(own.error?.message.contains("was killed by signal 9 (Killed), saying: the disk smells of smoke; the job") == true)
        #expect(try daemon.finished(daemon.create("complain").id).status == .completed)
        #expect(try daemon.finished(daemon.create("die").id).error?.message.contains("smoke") == false)
    }

    @Test func twoClipsAreMadeAtOnceAndADeathIsOfOneSlot() throws {
        let daemon = try DaemonUnderTest(["--workers", "2"])
        let steady = try daemon.create("steps=60 pause=0.05").id
        let dying = try daemon.create("die-once steps=10 pause=0.05").id
        try eventually("both run") { try [steady, dying].allSatisfy { try daemon.video($0).status == .inProgress } }
        let health = try JSONValue(parsing: daemon.send(.get, "/healthz").body)
        #expect(health["running"] == 2 && health["workers"] == 2 && health["worker"] == true)
        #expect(health["version"] == .string(soradVersion))
        #expect(try daemon.finished(dying).status == .completed)
        #expect(try daemon.video(steady).status == .inProgress)
        #expect(try daemon.finished(steady).status == .completed)
        #expect(daemon.workerLog.split(separator: "\n").count == 3)
        #expect(daemon.end() == .exited(0))
    }

    @Test func aSilentWorkerIsKilled() throws {
        let daemon = try DaemonUnderTest(["--worker-silence-timeout", "1"])
        let video = try daemon.finished(daemon.create("hang").id)
        #expect(video.error?.message.hasPrefix("the worker said nothing for 1 s;") == true)
    }

    @Test func aWorkerThatHangsOnceCostsNoJobAndItsHistorySaysWhenItHangs() throws {
        let daemon = try DaemonUnderTest(["--worker-silence-timeout", "600", "--worker-silence-floor", "1"])
        // A clip whose steps are known to take a tenth of a second.
        #expect(try daemon.finished(daemon.create("first").id).status == .completed)
        let start = MonotonicTime.now()
        #expect(try daemon.finished(daemon.create("hang-once").id).status == .completed)
        #expect(MonotonicTime.now() - start < .seconds(15))
        #expect(daemon.log.contains("the worker said nothing for 1 s and is killed"))
    }

    @Test(arguments: [true, false]) func aStoppedWorkerIsKilledOnlyAfterItsTime(goesOn: Bool) throws {
        let daemon = try DaemonUnderTest(["--worker-silence-timeout", "3"])
        let id = try daemon.create("steps=20 pause=0.05").id
        try eventually("the worker is at work") { try daemon.video(id).progress > 0 }
        let worker = try #require(Int32(daemon.workerLog.split(separator: " ")[1]))
        kill(worker, SIGSTOP)
        if goesOn {
            usleep(1_000_000)
            kill(worker, SIGCONT)
        }
        #expect(try daemon.finished(id).status == .completed)
        #expect(daemon.workerLog.split(separator: "\n").count == (goesOn ? 1 : 2))
    }

    @Test func aSlowWorkerThatGivesSignsOfLifeIsLeftAlone() throws {
        let daemon = try DaemonUnderTest(["--worker-silence-timeout", "2"])
        #expect(try daemon.finished(daemon.create("steps=1 pause=5 alive").id).status == .completed)
        #expect(daemon.workerLog.split(separator: "\n").count == 1)
    }

    @Test(arguments: [JobPhase.loading, .encodingText, .encodingFrames, .denoising, .decoding, .writing])
    func aCancelIsOverAtOnceInEveryPhaseAndTheNextJobIsMade(phase: JobPhase) throws {
        let slow = "{\"startDelay\": 3, " + DaemonUnderTest.modelText().dropFirst()
        let daemon = try DaemonUnderTest(models: ["mini.gguf": phase == .loading ? slow : DaemonUnderTest.modelText()])
        let id = try daemon.create("phase=\(phase.rawValue) steps=1000 pause=0.05").id
        let next = try daemon.create("next").id
        try eventually("\(phase)") { try daemon.video(id).details.phase == phase }
        let answer = try daemon.send(.post, "/v1/videos/\(id)/cancel")
        let video = try Video(json: JSONValue(parsing: answer.body))
        #expect(answer.status == 200 && video.status == .failed && video.error?.code == "cancelled")
        #expect(try daemon.finished(next).status == .completed)
        #expect(daemon.spool == [next])
        // Nobody had to be killed for it.
        #expect(daemon.workerLog.split(separator: "\n").count == 1)
    }

    @Test func aWorkersErrorAndAWorkersLiesFailTheJob() throws {
        let daemon = try DaemonUnderTest()
        let failed = try daemon.finished(daemon.create("fail").id)
        #expect(
            failed.error
                == JobError(code: "media_failed", message: "the encoder said no; the job was tried 3 times and is given up"))
        #expect(try daemon.finished(daemon.create("fail-once").id).status == .completed)
        #expect(try daemon.finished(daemon.create("empty-once").id).status == .completed)
        #expect(try daemon.finished(daemon.create("escape").id).error?.code == "internal_error")
    }

    @Test func progressNeverFalls() throws {
        let daemon = try DaemonUnderTest()
        let id = try daemon.create("backwards steps=40 pause=0.02").id
        var last = 0
        try eventually("the end") {
            let video = try daemon.video(id)
            #expect(video.progress >= last)
            last = video.progress
            return video.status == .completed
        }
        #expect(last == 100)
    }

    @Test func anIdleWorkerGivesItsMemoryBack() throws {
        let daemon = try DaemonUnderTest(["--worker-idle-timeout", "0"])
        _ = try daemon.finished(daemon.create("x").id)
        try eventually("no worker") { try JSONValue(parsing: daemon.send(.get, "/healthz").body)["worker"]?.bool == false }
        try eventually("the news") { daemon.log.contains("exited with status 0") }
    }

    @Test func theWorkerGetsOnlyItsOwnDescriptors() throws {
        let daemon = try DaemonUnderTest()
        _ = try daemon.finished(daemon.create("x").id)
        // 4 is the directory that the worker lists them with.
        #expect(daemon.workerLog.hasSuffix("[0, 1, 2, 3, 4]\n"))
    }

    @Test(arguments: [SIGTERM, SIGKILL])
    func jobsGoOnAfterARestart(signal: Int32) throws {
        // The model takes a while to describe: after the restart the jobs are there before it is.
        let slow = "{\"describeDelay\": 0.5, " + DaemonUnderTest.modelText().dropFirst()
        let daemon = try DaemonUnderTest(models: ["mini.gguf": slow])
        let running = try daemon.create("steps=30 pause=0.05").id
        try eventually("progress") { try daemon.video(running).progress > 0 }
        let waiting = try daemon.create("waits").id
        let before = try daemon.video(running).progress
        let ending = daemon.end(signal)
        #expect(ending == (signal == SIGTERM ? .exited(0) : .killed(signal: SIGKILL)))
        let worker = Int32(daemon.workerLog.split(separator: " ")[1])!
        try eventually("the worker is gone too") { kill(worker, 0) == -1 }
        try daemon.restart()
        // A percentage is recorded once a second, so a killed daemon may know an older one.
        if signal == SIGTERM { #expect(try daemon.video(running).progress >= before) }
        #expect(try daemon.finished(running).status == .completed)
        #expect(try daemon.finished(waiting).status == .completed)
    }

    @Test func whatIsDoneIsStillThereAfterAKill() throws {
        let daemon = try DaemonUnderTest()
        let done = try daemon.finished(daemon.create("x").id)
        try makeDirectories(daemon.directory + "/state/spool/video_0123456789abcdef0123456789abcdef")
        _ = daemon.end(SIGKILL)
        try daemon.restart()
        #expect(try daemon.video(done.id) == done)
        #expect(try daemon.send(.get, "/v1/videos/\(done.id)/content").status == 200)
        #expect(daemon.spool == [done.id])
    }

    @Test func stoppingIsQuickWhateverTheWorkerDoes() throws {
        let daemon = try DaemonUnderTest(["--cancel-grace", "1"])
        let id = try daemon.create("hang").id
        try eventually("progress") { try daemon.video(id).progress > 0 }
        let start = MonotonicTime.now()
        #expect(daemon.end() == .exited(0))
        #expect(MonotonicTime.now() - start < .seconds(6))
        #expect(unsafe access(daemon.socket, F_OK) == -1)
    }

    @Test func aSecondDaemonOnTheSameStateIsRefused() throws {
        let daemon = try DaemonUnderTest()
        let second = try captureOutput(
            of: .init(DaemonUnderTest.program, DaemonUnderTest.arguments(daemon.directory, []), environment: [:]), timeout: .seconds(15),
            limit: 1 << 16)
        #expect(second.ending == .exited(78))
        #expect(String(decoding: second.standardError, as: UTF8.self).contains("another sorad uses the state directory"))
        #expect(try daemon.send(.get, "/healthz").status == 200)
        let other = try captureOutput(
            of: .init(
                DaemonUnderTest.program, DaemonUnderTest.arguments(daemon.directory, ["--state-dir", daemon.directory + "/other"]),
                environment: [:]),
            timeout: .seconds(15), limit: 1 << 16)
        #expect(other.ending == .exited(69))
        #expect(String(decoding: other.standardError, as: UTF8.self).contains("another program listens there"))
    }

    @Test func aReloadChangesTheLogLevelAndFindsNewModels() throws {
        let daemon = try DaemonUnderTest()
        #expect(!daemon.log.contains("GET /healthz"))
        try writeDurably(Array(DaemonUnderTest.modelText(id: "second").utf8), named: "second.gguf", in: daemon.directory + "/models")
        daemon.process.kill(SIGHUP)
        try eventually("the second model") { try daemon.send(.get, "/v1/models/second").status == 200 }
        #expect(try daemon.finished(daemon.create("x", ["model": "second"]).id).model == "second")
    }

    /// Whoever asks for a reload learns what is wrong, and nothing is changed.
    @Test func aReloadWithWrongSettingsFails() throws {
        let file = "/tmp/sorad-config-" + randomBytes(6).map { String($0, radix: 16) }.joined()
        defer { removeFile(file) }
        try FileDescriptor(creating: file).write(Array("log-level = info\n".utf8))
        let daemon = try DaemonUnderTest(["--config", file])
        func reload(_ text: String) throws -> ClientResponse {
            removeFile(file)
            try FileDescriptor(creating: file).write(Array(text.utf8))
            return try HTTPClient(socketPath: daemon.directory + "/admin.sock").send(ClientRequest(.post, "/admin/reload"))
        }
        let wrong = try reload("log-level = loud\n")
        #expect(try wrong.status == 409 && daemon.refusal(wrong).message.contains("kept as they were: the setting log-level must be"))
        let odd = try reload("log-level = debug\nkeep-day = 3\n")
        #expect(try odd.status == 409 && daemon.refusal(odd).message.contains("did you mean \"keep-days\"?"))
        let missing = try reload("log-level = debug\nmodel = /nowhere.gguf\n")
        #expect(try missing.status == 409 && daemon.refusal(missing).message.contains("no file is there"))
        #expect(!daemon.log.contains("reloaded log level") && !daemon.log.contains("GET /healthz"))
        let right = try reload("log-level = debug\nkeep-days = 3\nqueue-limit = 7\n")
        #expect(try JSONValue(parsing: right.body)["waiting"] == ["queue-limit", "keep-days"])
        try eventually("the new level") {
            daemon.log.contains("reloaded log level, keys and models; these settings wait for a restart: queue-limit, keep-days")
        }
        // A key file that others may read changes nothing either, the level of the log included.
        let keys = daemon.directory + "/state/keys"
        try FileDescriptor(creating: keys).write([])
        #expect(unsafe chmod(keys, 0o644) == 0)
        let open = try reload("log-level = info\n")
        #expect(try open.status == 409 && daemon.refusal(open).message.contains("the key file"))
        daemon.process.kill(SIGHUP)
        try eventually("the refusal") { daemon.log.contains("the settings are kept as they were: the key file") }
        let level = try HTTPClient(socketPath: daemon.directory + "/admin.sock").send(ClientRequest(.get, "/admin/log-level"))
        #expect(try JSONValue(parsing: level.body)["log_level"] == "debug")
    }

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

    /// Whoever may write there could replace the keys.
    @Test func aStateDirectoryThatEverybodyMayWriteIsRefused() throws {
        let state = "/tmp/sorad-open-" + randomBytes(6).map { String($0, radix: 16) }.joined()
        try makeDirectories(state)
        defer { try? removeDirectory(state, depth: 5) }
        func start() throws -> CapturedOutput {
            try captureOutput(
                of: .init(
                    DaemonUnderTest.program, ["--socket", state + "/s", "--state-dir", state], environment: ["PATH": "/usr/bin:/bin"]),
                timeout: .seconds(2), limit: 1 << 16)
        }
        #expect(unsafe chmod(state, 0o777) == 0)
        let refused = try start()
        #expect(refused.ending == .exited(78))
        #expect(String(decoding: refused.standardError, as: UTF8.self).contains("everybody may write to the state directory"))
        #expect(unsafe chmod(state, 0o770) == 0)
        #expect(String(decoding: try start().standardError, as: UTF8.self).contains("warning: a group may write to the state directory"))
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

    /// Under a service manager the last words of a daemon that cannot start are an error of the journal.
    @Test func wrongSettingsAreAnErrorInTheJournal() throws {
        let pipe = try Pipe()
        let reader = pipe.readEnd
        let writer = pipe.writeEnd
        var status = stat()
        #expect(unsafe fstat(writer.rawValue, &status) == 0)
        let child = try ChildProcess(
            .init(
                DaemonUnderTest.program, ["--log-level", "loud"], environment: ["JOURNAL_STREAM": "\(status.st_dev):\(status.st_ino)"],
                descriptors: [2: writer.rawValue]))
        #expect(child.wait(timeout: .seconds(15)) == .exited(78))
        #expect(String(decoding: try reader.read(upTo: 4096), as: UTF8.self).hasPrefix("<3>the setting log-level must be"))
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

    @Test func wrongArgumentsAndSettingsStopTheStart() throws {
        func run(_ arguments: [String], _ environment: [String: String] = [:]) throws -> (Int32, String) {
            let output = try captureOutput(
                of: .init(DaemonUnderTest.program, arguments, environment: environment), timeout: .seconds(15), limit: 1 << 16)
            guard case .exited(let status)? = output.ending else { return (-1, "") }
            return (status, String(decoding: output.standardError + output.standardOutput, as: UTF8.self))
        }
        #expect(try run(["--nonsense"]).0 == 64)
        #expect(
            try run(["--log-level", "loud"]) == (
                78, "sorad: the setting log-level must be one of error, warning, notice, info, debug, not \"loud\" (--log-level)\n"
            ))
        #expect(try run([], ["SORAD_QUEUE_LIMIT": "-1"]).1.contains("(SORAD_QUEUE_LIMIT)"))
        #expect(try run(["--config", "/nonexistent.conf"]).0 == 78)
        // Everything at once, and nothing else than that.
        let file = "/tmp/sorad-config-" + randomBytes(6).map { String($0, radix: 16) }.joined()
        defer { removeFile(file) }
        func check(_ text: String, _ arguments: [String] = [], _ environment: [String: String] = [:]) throws -> (Int32, String) {
            removeFile(file)
            try FileDescriptor(creating: file).write(Array(text.utf8))
            return try run(
                ["--check-config", "--config", file, "--state-dir", "/tmp", "--socket", "/x", "--worker", DaemonUnderTest.worker]
                    + arguments, environment)
        }
        #expect(try check("keep-days = 3\n") == (0, "the settings are right\n"))
        let wrong = try check(
            "keep-day = 3\nqueue-limit = 0\nnonsense\n", ["--workers", "many"], ["SORAD_KEEP_DAY": "3", "SORAD_ISA": "avx2"])
        #expect(wrong.0 == 78)
        for words in [
            ":1: the setting \"keep-day\" is unknown; the line is ignored; did you mean \"keep-days\"?", "the setting queue-limit must be",
            ":3: \"nonsense\" is not \"name = value\"", "the setting workers must be",
            "the variable SORAD_KEEP_DAY is unknown and has no effect; did you mean SORAD_KEEP_DAYS?", "5 settings are wrong",
        ] { #expect(wrong.1.contains(words), "\(wrong.1)") }
        #expect(!wrong.1.contains("SORAD_ISA"))
        for (option, value, words) in [
            ("--worker", "/nowhere/worker", "is not a program"), ("--admin-group", "no-such-group", "there is no such group"),
            ("--model", "/nowhere/a.gguf", "no file is there"),
        ] {
            let missing = try check("", [option, value])
            #expect(missing.0 == 78 && missing.1.contains(words) && missing.1.contains("one setting is wrong"), "\(missing.1)")
        }
        let three = try check("backend = abacus\nmodel = /nowhere/a.gguf\nkeep-days = -1\n")
        for words in ["the setting backend must be", "no file is there", "the setting keep-days must be", "3 settings are wrong"] {
            #expect(three.0 == 78 && three.1.contains(words), "\(three.1)")
        }
        let help = try run(["--help"])
        #expect(help.0 == 0 && help.1.contains("--worker-idle-timeout SECONDS"))
        #expect(try run(["--version"]).1.hasPrefix("sorad "))
    }
}

@Suite struct ServiceManagerTests {
    /// A bound datagram socket, as a service manager has one.
    private func notifySocket(_ path: String) throws -> FileDescriptor {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        let descriptor = FileDescriptor(owning: socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0))
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(descriptor.rawValue, $0, size) }
        }
        try #require(result == 0)
        return descriptor
    }

    private func nextMessage(_ descriptor: borrowing FileDescriptor) throws -> String {
        try #require(try waitUntilReady(PollEntry(reading: descriptor.rawValue), timeout: .seconds(15)))
        return String(decoding: try descriptor.read(upTo: 4096), as: UTF8.self)
    }

    @Test func theManagerHearsOfStartReloadWatchdogAndStop() throws {
        let path = "/tmp/sorad-notify-" + randomBytes(6).map { String($0, radix: 16) }.joined()
        let manager = try notifySocket(path)
        defer { removeFile(path) }
        let daemon = try DaemonUnderTest(environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"])
        // The state changes when the models have been looked at.
        let states = ["STATUS=idle", "STATUS=looking at the models"]
        func next(but skipped: [String]) throws -> String {
            var message = try nextMessage(manager)
            while skipped.contains(message) { message = try nextMessage(manager) }
            return message
        }
        #expect(try nextMessage(manager).hasPrefix("READY=1\nSTATUS="))
        #expect(try next(but: states) == "WATCHDOG=1")
        daemon.process.kill(SIGHUP)
        #expect(try next(but: ["WATCHDOG=1"] + states).hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
        #expect(try next(but: states) == "READY=1")
        daemon.process.kill(SIGTERM)
        #expect(try next(but: ["WATCHDOG=1"] + states).hasPrefix("STOPPING=1"))
        #expect(daemon.process.wait(timeout: .seconds(10)) == .exited(0))
    }

    /// What systemctl status shows: drain, pause, and what keeps clips from being made.
    @Test func theManagerIsToldWhyNothingHappens() throws {
        let path = "/tmp/sorad-notify-" + randomBytes(6).map { String($0, radix: 16) }.joined()
        let manager = try notifySocket(path)
        defer { removeFile(path) }
        let daemon = try DaemonUnderTest(["--default-model", "nobody"], environment: ["NOTIFY_SOCKET": path])
        func status(with words: String) throws {
            var message = ""
            while !message.contains(words) { message = try nextMessage(manager) }
            #expect(!message.contains("\u{1B}"))
        }
        try status(with: "the default model \"nobody\" is not installed, and requests that name none get mini")
        func administer(_ verb: String) throws {
            let answer = try HTTPClient(socketPath: daemon.directory + "/admin.sock").send(ClientRequest(.post, "/admin/\(verb)"))
            #expect(answer.status == 200)
        }
        try administer("drain")
        try status(with: "; drained")
        try administer("pause")
        try status(with: "; drained; paused")
    }

    @Test func aSocketHandedOverIsServedAndOutlivesTheDaemon() throws {
        let daemon = try DaemonUnderTest()
        let path = daemon.directory + "/activated.sock"
        let listener = try FileDescriptor(listeningAt: path)
        let arguments = DaemonUnderTest.arguments(
            daemon.directory, ["--state-dir", daemon.directory + "/other", "--socket", "/nonexistent/unused"])
        for _ in 0..<2 {
            // LISTEN_PID must be the daemon's own, which only the process itself knows before it starts.
            let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\""
            let child = try ChildProcess(
                .init(
                    "/bin/sh", ["-c", script, DaemonUnderTest.program] + arguments, environment: ["PATH": "/usr/bin:/bin"],
                    descriptors: [3: listener.rawValue]))
            #expect(try HTTPClient(socketPath: path).send(ClientRequest(.get, "/healthz")).status == 200)
            child.kill(SIGTERM)
            #expect(child.wait(timeout: .seconds(10)) == .exited(0))
        }
    }

    @Test func aFileHandedOverInsteadOfASocketIsRefused() throws {
        let file = try FileDescriptor(opening: "/dev/null", flags: O_RDONLY)
        let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" --state-dir /nonexistent"
        let output = try captureOutput(
            of: .init(
                "/bin/sh", ["-c", script, DaemonUnderTest.program],
                environment: ["PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "XDG_RUNTIME_DIR": "/nonexistent"],
                descriptors: [3: file.rawValue]),
            timeout: .seconds(10), limit: 1 << 16)
        #expect(output.ending == .exited(78))
    }
}

// A worker that dies, hangs, lies, is slow or has to stop: what becomes of its job, and of the next one.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct WorkerSupervisionTests {
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
}

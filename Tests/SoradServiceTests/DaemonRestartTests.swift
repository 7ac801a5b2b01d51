// A daemon that is killed, stopped or started twice: the jobs that it had, and its sockets.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct DaemonRestartTests {
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
}

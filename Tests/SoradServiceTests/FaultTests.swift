// A fault of the machine costs no accepted job and refuses no good request (docs/FAULTS.md): the real daemon, a worker without an engine.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct FaultTests {
    private static func png(_ end: String) -> [UInt8] { [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 0] + Array(end.utf8) }

    private func form(_ picture: [UInt8]) -> ClientRequest.Body {
        let head =
            "--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nx\r\n"
            + "--b\r\nContent-Disposition: form-data; name=\"input_reference\"; filename=\"x.png\"\r\n\r\n"
        return .bytes(Array(head.utf8) + picture + Array("\r\n--b--\r\n".utf8), contentType: "multipart/form-data; boundary=b")
    }

    @Test func anInspectionThatDiesOnceCostsNothing() throws {
        let daemon = try DaemonUnderTest()
        let answer = try daemon.send(.post, "/v1/videos", body: form(Self.png("die-once")))
        #expect(answer.status == 200)
    }

    @Test func anInspectionThatAlwaysDiesIsWorthARetry() throws {
        let daemon = try DaemonUnderTest()
        let answer = try daemon.send(.post, "/v1/videos", body: form(Self.png("die")))
        #expect(answer.status == 503 && answer.headers["retry-after"] != nil && answer.headers["x-should-retry"] != "false")
        #expect(try daemon.refusal(answer).message.contains("killed by signal 9"))
        #expect(daemon.spool == [])
    }

    /// The process id that an inspection wrote down.
    private func inspector(_ daemon: DaemonUnderTest) throws -> Int32 {
        var pid: Int32?
        try eventually("an inspection") {
            pid = daemon.workerLog.split(separator: "\n").last { $0.hasPrefix("inspects ") }.flatMap { Int32($0.dropFirst(9)) }
            return pid != nil
        }
        return try #require(pid)
    }

    @Test func anInspectionEndsWithItsClient() throws {
        let daemon = try DaemonUnderTest()
        do {
            let client = try FileDescriptor(connectedTo: daemon.socket, timeout: .seconds(5))
            let body =
                Array("--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nx\r\n".utf8)
                + Array("--b\r\nContent-Disposition: form-data; name=\"input_reference\"; filename=\"x\"\r\n\r\n".utf8)
                + Self.png("sleep") + Array("\r\n--b--\r\n".utf8)
            let head =
                "POST /v1/videos HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                + "Content-Length: \(body.count)\r\n\r\n"
            try client.write(Array(head.utf8) + body)
            let pid = try inspector(daemon)
            #expect(kill(pid, 0) == 0)
        }
        let pid = try inspector(daemon)
        try eventually("the inspection has ended") { kill(pid, 0) != 0 }
        try eventually("its file is gone") { daemon.spool == [] }
    }

    @Test func anInspectionEndsWithTheDaemon() throws {
        let daemon = try DaemonUnderTest()
        let socket = daemon.socket
        let request = ClientRequest(.post, "/v1/videos", body: form(Self.png("sleep")))
        let client = try SystemThread(name: "client") { _ = try? HTTPClient(socketPath: socket).send(request) }
        let pid = try inspector(daemon)
        _ = daemon.end(SIGKILL)
        client.join()
        try eventually("the inspection has ended") { kill(pid, 0) != 0 }
    }

    /// What an update does: program and model are away for a moment.
    @Test(arguments: [true, false]) func whatIsAwayForAMomentIsWaitedFor(isModel: Bool) throws {
        let worker = "/tmp/sorad-worker-" + randomBytes(6).map { String($0, radix: 16) }.joined()
        let script = "#!/bin/sh\nexec \(DaemonUnderTest.worker) \"$@\"\n"
        try writeDurably(Array(script.utf8), named: String(worker.dropFirst(5)), in: "/tmp")
        _ = unsafe chmod(worker, 0o755)
        defer { removeFile(worker) }
        let daemon = try DaemonUnderTest(["--retry-wait", "1", "--worker", worker])
        try eventually("the model is known") { try daemon.send(.get, "/v1/models/mini").status == 200 }
        let path = isModel ? daemon.directory + "/models/mini.gguf" : worker
        _ = unsafe rename(path, path + ".away")
        let ids = try (0..<3).map { try daemon.create("job \($0)").id }
        try eventually("a note; log:\n\(daemon.log)") {
            try ids.allSatisfy { try daemon.video($0).details.note?.contains("the worker ") ?? false }
        }
        usleep(1_200_000)
        #expect(try ids.allSatisfy { try ![.failed, .completed].contains(daemon.video($0).status) })
        _ = unsafe rename(path + ".away", path)
        for id in ids { #expect(try daemon.finished(id).status == .completed) }
    }

    @Test func withoutDescriptorsForWorkersJobsWait() throws {
        let daemon = try DaemonUnderTest(["--retry-wait", "1", "--worker-idle-timeout", "0"])
        _ = try daemon.finished(daemon.create("first").id)
        try eventually("the worker is gone") { daemon.log.contains("exited with status 0") }
        // Three are free: enough for a connection, too few for the sockets and pipes of a worker.
        let used = Set(try directoryEntries("/proc/\(daemon.process.pid)/fd").compactMap { Int($0) })
        var (few, free) = (0, 0)
        while free < 3 {
            if !used.contains(few) { free += 1 }
            few += 1
        }
        let before = try limit(daemon, few)
        let id = try daemon.create("second die-once").id
        try eventually("a note; log:\n\(daemon.log)") { try daemon.video(id).details.note?.contains("Too many open files") ?? false }
        usleep(1_000_000)
        #expect(try ![.failed, .completed].contains(daemon.video(id).status), "\(daemon.log)")
        _ = try limit(daemon, before)
        #expect(try daemon.finished(id).status == .completed)
    }

    /// Sets the soft limit of the daemon's descriptors; what it was.
    private func limit(_ daemon: DaemonUnderTest, _ value: Int) throws -> Int {
        let output = try captureOutput(
            of: .init("/usr/bin/prlimit", ["--pid", "\(daemon.process.pid)", "--nofile", "--raw", "--noheadings", "--output", "SOFT"]),
            timeout: .seconds(5), limit: 1000)
        let set = try captureOutput(
            of: .init("/usr/bin/prlimit", ["--pid", "\(daemon.process.pid)", "--nofile=\(value):"]), timeout: .seconds(5), limit: 1000)
        #expect(set.ending == .exited(0))
        return try #require(Int(String(decoding: output.standardOutput, as: UTF8.self).split(separator: "\n").first ?? ""))
    }

    /// The default of systemd, with a hard limit as low, so that it cannot be raised, and without.
    @Test(arguments: ["1024:1024", "1024:"]) func aThousandIdleConnectionsLockOutNobody(limits: String) throws {
        let daemon = try DaemonUnderTest(["--admin-group", "0"], limits: limits)
        var idle: [IdleConnection] = []
        for _ in 0..<1000 {
            guard let one = try? IdleConnection(daemon.socket) else { break }
            idle.append(one)
        }
        // Somebody else, and the administrator; both are this user, so that it takes what is kept for others.
        let admin = HTTPClient(socketPath: daemon.directory + "/admin.sock")
        #expect(try admin.send(ClientRequest(.get, "/admin/status")).status != 503)
        idle.removeAll()
        // The daemon reads of a thousand ends one after the other; until it has, this user has too many connections.
        try daemon.waitUntilAnswering()
        let id = try daemon.create("x").id
        #expect(try daemon.finished(id).status == .completed, "\(daemon.log)")
        #expect(!daemon.log.contains("could not be accepted"), "\(daemon.log)")
        #expect(!daemon.log.contains("Too many open files"), "\(daemon.log)")
    }

    private final class IdleConnection {
        private let socket: FileDescriptor
        init(_ path: String) throws { socket = try FileDescriptor(connectedTo: path, timeout: .milliseconds(200)) }
    }

    @Test func theStateMayLieBehindASymbolicLink() throws {
        let place = "/tmp/sorad-link-" + randomBytes(6).map { String($0, radix: 16) }.joined()
        try makeDirectories(place + "/real")
        defer { try? removeDirectory(place, depth: 6) }
        _ = unsafe symlink(place + "/real", place + "/link")
        let daemon = try DaemonUnderTest(["--state-dir", place + "/link"])
        #expect(try daemon.finished(daemon.create("x").id).status == .completed)
        #expect(try directoryEntries(place + "/real").contains("jobs.sqlite"))
        _ = daemon.end()
        // One that leads nowhere is said to.
        _ = unsafe symlink(place + "/nothing", place + "/dangling")
        let output = try captureOutput(
            of: .init(DaemonUnderTest.program, DaemonUnderTest.arguments(daemon.directory, ["--state-dir", place + "/dangling"])),
            timeout: .seconds(10), limit: 1 << 16)
        #expect(output.ending == .exited(69))
        #expect(output.sentence(of: "sorad").hasPrefix("cannot use the state directory \(place)/dangling: "))
    }

    @Test func whatTheDaemonMakesIsItsUsersAlone() throws {
        let before = umask(0o022)
        defer { umask(before) }
        let daemon = try DaemonUnderTest()
        let id = try daemon.create("x").id
        #expect(try daemon.finished(id).status == .completed)
        let state = daemon.directory + "/state"
        let spool = "\(state)/spool/\(id)"
        for name in try directoryEntries(state).map({ "\(state)/\($0)" }) + directoryEntries(spool).map({ "\(spool)/\($0)" }) {
            var status = stat()
            #expect(unsafe stat(name, &status) == 0 && status.st_mode & 0o077 == 0, "\(name) \(String(status.st_mode, radix: 8))")
        }
        var status = stat()
        #expect(unsafe stat(daemon.socket, &status) == 0 && status.st_mode & 0o777 == 0o660)
    }

    @Test func progressDoesNotFallWhenTheDaemonIsKilled() throws {
        let daemon = try DaemonUnderTest()
        let id = try daemon.create("steps=60 pause=0.03").id
        var last = 0
        for _ in 0..<4 {
            let told = last
            try eventually("more progress") {
                let now = try daemon.video(id).progress
                #expect(now >= last)
                last = max(last, now)
                return now > told + 3
            }
            // In the middle of whatever it does.
            _ = daemon.end(SIGKILL)
            try daemon.restart()
            let after = try daemon.video(id).progress
            #expect(after >= last, "\(after) after \(last)")
            last = max(last, after)
        }
        #expect(try daemon.finished(id).progress == 100)
    }
}

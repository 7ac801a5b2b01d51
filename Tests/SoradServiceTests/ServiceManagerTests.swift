// How the daemon gets on with a service manager: notifications, status lines, sockets that are handed over.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

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

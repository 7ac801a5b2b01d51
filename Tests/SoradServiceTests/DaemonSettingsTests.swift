// Settings at the start and at a reload: wrong ones are named, all of them, and change nothing.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct DaemonSettingsTests {
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

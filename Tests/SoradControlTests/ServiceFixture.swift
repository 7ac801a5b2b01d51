// A real daemon with a real worker on a small random model, for the tests of the command line; and a way to run sorad-ctl.
import FoundationEssentials
import Glibc
import SoradAPI
import SoradConverter
import SoradSystem

enum Fixture {
    /// Where the programs lie: next to this test.
    static let programs: String = {
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return program.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }
    }()

    /// The small random checkpoint.
    static let checkpoint = "/\(#filePath.split(separator: "/").dropLast(2).joined(separator: "/"))/Fixtures/models/tiny"

    /// The same as a model file; made once for the whole run.
    static let model: String = {
        let path = scratch() + "/tiny.gguf"
        do throws(SoradError) {
            _ = try Converter.convert(checkpoint, to: path)
        } catch { fatalError("the fixture cannot be converted: \(error)") }
        return path
    }()

    /// Where all scratch directories of this process lie; removed when it ends.
    private static let scratchRoot: String = {
        atexit { try? FileManager.default.removeItem(atPath: "/tmp/sorad-ctl-\(getpid())") }
        return "/tmp/sorad-ctl-\(getpid())"
    }()

    /// A new empty directory, short enough for a socket's path.
    static func scratch() -> String {
        let path = "\(scratchRoot)/\(UInt32.random(in: 0..<UInt32.max))"
        do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
            fatalError("\(path): \(error)")
        }
        return path
    }

    static func bytes(_ path: String) throws -> [UInt8] {
        let file = try FileDescriptor(opening: path, flags: O_RDONLY)
        var bytes: [UInt8] = []
        while true {
            let piece = try file.read(upTo: 1 << 20)
            if piece.isEmpty { return bytes }
            bytes += piece
        }
    }
}

/// One sorad-ctl that runs; its streams go to files.
final class Control {
    let process: ChildProcess
    private let directory: String

    init(_ arguments: [String], environment: [String: String] = [:], directory: String = Fixture.scratch(), input: String = "") throws {
        self.directory = directory
        let standardInput = try FileDescriptor(opening: directory + "/.input", flags: O_RDWR | O_CREAT)
        try standardInput.write(Array(input.utf8))
        _ = lseek(standardInput.rawValue, 0, SEEK_SET)
        let output = try FileDescriptor(opening: directory + "/.output", flags: O_WRONLY | O_CREAT | O_TRUNC)
        let errors = try FileDescriptor(opening: directory + "/.errors", flags: O_WRONLY | O_CREAT | O_TRUNC)
        process = try ChildProcess(
            ChildProcess.Command(
                Fixture.programs + "/sorad-ctl", arguments, environment: environment, workingDirectory: directory,
                descriptors: [0: standardInput.rawValue, 1: output.rawValue, 2: errors.rawValue]))
    }

    var output: [UInt8] { (try? Fixture.bytes(directory + "/.output")) ?? [] }
    var text: String { String(decoding: output, as: UTF8.self) }
    var lines: [String] { text.split(separator: "\n").map(String.init) }
    var errors: String { (try? Fixture.bytes(directory + "/.errors")).map { String(decoding: $0, as: UTF8.self) } ?? "" }

    /// Waits for its end: the exit status, or nil when a signal or the time ended it.
    func status() -> Int32? {
        guard case .exited(let status) = process.wait(timeout: .seconds(120)) else { return nil }
        return status
    }
}

/// A daemon of its own for one test.
final class Service {
    let directory = Fixture.scratch()
    private(set) var process: ChildProcess
    private let environment: [String: String]
    private let worker: String
    private let options: [String]
    var socket: String { directory + "/s" }

    /// - Parameters:
    ///   - workerOptions: what the worker gets besides what the daemon gives it.
    ///   - hasModel: the small random one; else `options` say where models are.
    init(environment: [String: String] = [:], workerOptions: String = "", options: [String] = [], hasModel: Bool = true) throws {
        self.options = (hasModel ? ["--model", Fixture.model] : []) + options
        self.environment = ChildProcess.currentEnvironment().merging(environment) { $1 }
        if workerOptions.isEmpty {
            worker = Fixture.programs + "/sorad-worker"
        } else {
            worker = directory + "/worker"
            let script = "#!/bin/sh\nexec '\(Fixture.programs)/sorad-worker' \"$@\" \(workerOptions)\n"
            try FileDescriptor(opening: worker, flags: O_WRONLY | O_CREAT, mode: 0o700).write(Array(script.utf8))
        }
        process = try Service.start(directory, self.environment, worker, self.options)
        try waitUntilReady()
    }

    /// Kills the daemon, and with it its worker, and starts another on the same state.
    func killAndRestart() throws {
        process.kill(SIGKILL)
        _ = process.wait(timeout: .seconds(10))
        process = try Service.start(directory, environment, worker, options)
        try waitUntilReady()
    }

    private static func start(_ directory: String, _ environment: [String: String], _ worker: String, _ options: [String]) throws
        -> ChildProcess
    {
        let log = try FileDescriptor(opening: directory + "/log", flags: O_WRONLY | O_CREAT | O_APPEND)
        return try ChildProcess(
            ChildProcess.Command(
                Fixture.programs + "/sorad",
                ["--socket", directory + "/s", "--state-dir", directory + "/state", "--worker", worker] + options,
                environment: environment, descriptors: [1: log.rawValue, 2: log.rawValue]))
    }

    /// Ready when its list of models has ours, or it says why not: the daemon looks at model files while it already serves.
    private func waitUntilReady() throws {
        for _ in 0..<600 {
            let models = try control(["models", "--json"])
            if models.status() == 0, models.text.contains("tiny") { return }
            let status = try control(["status", "--json"])
            if status.status() == 0, status.text.contains("tiny.gguf") || status.text.contains("no model is installed") { return }
            usleep(100_000)
        }
        throw SoradError(
            .unavailable, "the daemon did not start: \(String(decoding: try Fixture.bytes(directory + "/log"), as: UTF8.self))")
    }

    deinit {
        process.kill(SIGTERM)
        _ = process.wait(timeout: .seconds(10))
    }

    func control(_ arguments: [String], directory: String = Fixture.scratch(), input: String = "") throws -> Control {
        let environment = [
            "SORAD_SOCKET": socket, "PATH": ChildProcess.currentEnvironment()["PATH"] ?? "", "HOME": self.directory,
            "XDG_RUNTIME_DIR": self.directory,
        ]
        return try Control(arguments, environment: environment, directory: directory, input: input)
    }
}

func json(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }

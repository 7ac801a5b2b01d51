// Starts the built `sorad` with a worker that has no engine, in a directory of its own, and talks to it.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

/// One daemon process. It is killed, and its directory removed, with the last reference.
final class DaemonUnderTest {
    let directory: String
    let socket: String
    private(set) var process: ChildProcess
    private let options: [String]
    private let environment: [String: String]
    /// Of descriptors, as prlimit(1) writes it; nil for this process's own.
    private let limits: String?

    static let program = executableDirectory() + "/sorad"
    static let worker = String(#filePath.split(separator: "/").dropLast(2).reduce("") { $0 + "/" + $1 }) + "/fakes/test-worker.py"

    /// - Parameter windows: makes clips of up to a minute in windows of 17 frames.
    static func modelText(id: String = "mini", takesConditioningFrames: Bool = true, windows: Bool = false) -> String {
        var info = ModelInfo(
            id: id, sha256: String(repeating: "0", count: 64), created: 1, license: "Apache-2.0", defaultWidth: 128, defaultHeight: 128,
            defaultNumFrames: 17, fps: 16, sizeMultiple: 16, frameMultiple: 4, maxWidth: 256, maxHeight: 256, maxNumFrames: 81,
            maxPixels: 256 * 256 * 81, defaultNumInferenceSteps: 20, defaultGuidanceScale: 4, defaultFlowShift: 3,
            takesConditioningFrames: takesConditioningFrames)
        if windows { (info.windowFrames, info.maxNumFrames) = (17, 961) }
        return info.json.text()
    }

    /// - Parameters:
    ///   - models: file name to content; by default one good model.
    ///   - limits: soft and hard limit of its descriptors, as prlimit(1) takes them.
    init(
        _ options: [String] = [], environment: [String: String] = [:],
        models: [String: String] = ["mini.gguf": DaemonUnderTest.modelText()],
        isReadyWhenAnswering: Bool = true, limits: String? = nil
    ) throws {
        directory = "/tmp/sorad-service-" + randomBytes(8).map { String($0, radix: 16) }.joined()
        socket = directory + "/sorad.sock"
        try makeDirectories(directory + "/models")
        for (name, text) in models { try writeDurably(Array(text.utf8), named: name, in: directory + "/models") }
        self.options = options
        self.limits = limits
        self.environment = environment.merging(["PATH": "/usr/bin:/bin", "TEST_WORKER_LOG": directory + "/workers"]) { first, _ in first }
        process = try DaemonUnderTest.start(directory, options, self.environment, limits)
        if isReadyWhenAnswering { try waitUntilAnswering() }
    }

    deinit {
        process.kill(SIGKILL)
        _ = process.wait()
        try? removeDirectory(directory, depth: 5)
    }

    static func arguments(_ directory: String, _ options: [String]) -> [String] {
        let standard = [
            ("--socket", directory + "/sorad.sock"), ("--state-dir", directory + "/state"), ("--model-dir", directory + "/models"),
            ("--worker", worker), ("--retry-wait", "0"), ("--retry-attempts", "3"),
        ]
        return standard.filter { !options.contains($0.0) }.flatMap { [$0.0, $0.1] } + options
    }

    private static func start(
        _ directory: String, _ options: [String], _ environment: [String: String], _ limits: String?
    ) throws -> ChildProcess {
        let log = try FileDescriptor(opening: directory + "/log", flags: O_WRONLY | O_CREAT | O_APPEND)
        let own = arguments(directory, options)
        let (executable, arguments) = limits.map { ("/usr/bin/prlimit", ["--nofile=\($0)", program] + own) } ?? (program, own)
        return try ChildProcess(.init(executable, arguments, environment: environment, descriptors: [2: log.rawValue]))
    }

    func restart() throws {
        process = try DaemonUnderTest.start(directory, options, environment, limits)
        try waitUntilAnswering()
    }

    /// Ends the process with `signal`; how it ended.
    func end(_ signal: Int32 = SIGTERM) -> ChildProcess.Ending? {
        process.kill(signal)
        return process.wait(timeout: .seconds(15))
    }

    func waitUntilAnswering() throws {
        try eventually("the daemon answers; its log:\n\(log)") { (try? self.send(.get, "/healthz").status) == 200 }
    }

    var log: String { text(of: directory + "/log") }
    var workerLog: String { text(of: directory + "/workers") }

    func text(of path: String) -> String {
        guard let file = try? FileDescriptor(openingForReading: path), let bytes = try? file.read(at: 0, count: 1 << 20) else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: talking to it

    func send(_ method: SoradHTTP.Method, _ target: String, headers: Headers = Headers(), body: ClientRequest.Body = .none) throws
        -> ClientResponse
    {
        var settings = ClientSettings()
        settings.timeout = .seconds(30)
        return try HTTPClient(socketPath: socket, settings: settings).send(ClientRequest(method, target, headers: headers, body: body))
    }

    func create(_ prompt: String, _ more: JSONObject = [:]) throws -> Video {
        var object: JSONObject = ["prompt": .string(prompt)]
        for member in more.members { object[member.key] = member.value }
        let response = try send(.post, "/v1/videos", body: .json(.object(object)))
        try #require(response.status == 200, "\(String(decoding: response.body, as: UTF8.self))")
        return try Video(json: JSONValue(parsing: response.body))
    }

    func video(_ id: String) throws -> Video { try Video(json: JSONValue(parsing: try send(.get, "/v1/videos/\(id)").body)) }

    /// Waits until the job has ended.
    func finished(_ id: String) throws -> Video {
        try eventually("\(id) has ended; log:\n\(log)") { [.completed, .failed].contains(try self.video(id).status) }
        return try video(id)
    }

    func refusal(_ response: ClientResponse) throws -> ErrorEnvelope { try ErrorEnvelope(json: JSONValue(parsing: response.body)) }

    var spool: [String] { (try? directoryEntries(directory + "/state/spool")) ?? [] }
}

/// Tries until it is so; fails after twenty seconds.
func eventually(_ what: @autoclosure () -> String, _ condition: () throws -> Bool) throws {
    let deadline = MonotonicTime.now() + .seconds(20)
    while try !condition() {
        try #require(MonotonicTime.now() < deadline, "not in time: \(what())")
        usleep(10_000)
    }
}

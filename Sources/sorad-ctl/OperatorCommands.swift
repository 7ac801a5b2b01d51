// The commands for whoever runs the daemon: config, logs, bugreport. They read this machine and its journal; none changes anything.
import Glibc
import SoradAPI
import SoradSystem

// MARK: config

/// What the daemon's program says about its settings, in the environment and for the user of this command.
func showConfig(_ arguments: Arguments) throws(SoradError) {
    let output = try runDaemonProgram(["--show-config"], arguments)
    guard output.ending == .exited(0), let answer = try? JSONValue(parsing: output.standardOutput) else {
        throw SoradError(.configuration, output.sentence(of: "sorad"))
    }
    if arguments.has("json") {
        var object: JSONObject = ["schema": "sorad.config/1"]
        for member in answer.object?.members ?? [] { object[member.key] = member.value }
        return try Console.print(JSONValue.object(object).text())
    }
    let files = answer["files"]?.array?.compactMap(\.string) ?? []
    Console.note(files.isEmpty ? "No settings file is there.\n" : "Read: \(files.joined(separator: ", "))\n")
    let rows = (answer["settings"]?.array ?? []).map { setting in
        let values = setting["values"]?.array?.compactMap(\.string).joined(separator: ", ") ?? ""
        let origin = setting["origin"]?.string
        return [Span(setting["name"]?.string ?? "?", .bold), Span(values), Span(origin ?? "default", origin == nil ? .dim : .green)]
    }
    try Console.print(Table(headings: ["SETTING", "VALUE", "FROM"], rows: rows), arguments)
}

func checkConfig(_ arguments: Arguments) throws(SoradError) {
    let output = try runDaemonProgram(["--check-config"], arguments)
    let lines = String(decoding: output.standardError, as: UTF8.self).split(separator: "\n").map { line in
        line.hasPrefix("sorad: ") ? String(line.dropFirst(7)) : String(line)
    }
    let isRight = output.ending == .exited(0)
    let problems = isRight ? [] : Array(lines.dropLast(lines.count > 1 ? 1 : 0))
    if arguments.has("json") {
        let json: JSONObject = [
            "schema": "sorad.config-check/1", "right": .bool(isRight), "problems": .array(problems.map { .string($0) }),
        ]
        try Console.print(JSONValue.object(json).text())
        if !isRight { exit(SoradError(.configuration, "").exitCode) }
        return
    }
    guard isRight else {
        for problem in problems.dropLast() { Console.note("sorad-ctl: \(problem)\n") }
        throw SoradError(.configuration, problems.last ?? "the settings are wrong", hint: "mend them, then sorad-ctl reload")
    }
    try Console.print("the settings are right")
}

/// Runs the daemon's program for a word about its settings.
func runDaemonProgram(_ words: [String], _ arguments: Arguments) throws(SoradError) -> CapturedOutput {
    guard let program = soradProgram("sorad") else {
        throw SoradError(.unavailable, "the program sorad is not next to this one nor in PATH", hint: "install the whole package")
    }
    let file = arguments["config"].map { ["--config", $0] } ?? []
    var environment = ChildProcess.currentEnvironment()
    if !isRoot(), environment["SORAD_CONFIG"] == nil, fileExists("/etc/sorad/sorad.conf"), !arguments.has("user") {
        // The environment of the system's unit, whoever asks.
        environment.merge(
            [
                "SORAD_CONFIG": "/etc/sorad/sorad.conf", "SORAD_STATE_DIR": "/var/lib/sorad", "SORAD_SOCKET": "/run/sorad/sorad.sock",
            ]
        ) { given, _ in given }
    }
    do throws(Errno) {
        return try captureOutput(of: .init(program, words + file, environment: environment), timeout: .seconds(10), limit: 1 << 20)
    } catch { throw SoradError(.unavailable, "\(program) cannot be started: \(error.reason)") }
}

// MARK: logs

/// The daemon's lines of the journal, or those about one job.
func showLogs(_ arguments: Arguments) throws(SoradError) {
    guard let journal = ChildProcess.executablePath(of: "journalctl") else {
        throw SoradError(
            .unavailable, "this machine has no journal; the daemon writes its log to its standard error",
            hint: "look where its output goes: the terminal or the file that it was started with")
    }
    var id: String?
    if let word = arguments.words.first {
        // The log outlives the job and the daemon, so an id that nobody knows any more is looked for as it is.
        if let daemon = try? DaemonConnection(arguments), let known = try? daemon.identifier(word) { id = known } else { id = word }
    }
    var words = ["--no-pager", "--quiet", "-o", arguments.has("json") ? "json" : "short-iso"]
    words += isUsersOwn(arguments) ? ["--user-unit", "sorad.service"] : ["-u", "sorad.service"]
    words += arguments.has("follow") ? ["--follow"] : []
    words += ["--lines", arguments["lines"] ?? (id == nil ? "100" : "all")]
    // Entries about a job have its whole id as a field; for a part of one, the lines are looked through.
    if let whole = id, whole.utf8.count == wholeIdentifierBytes {
        words.append("SORAD_JOB=\(whole)")
        id = nil
    }
    try passLines(of: .init(journal, words), containing: id, isJSON: arguments.has("json"))
}

/// "video_" and 32 digits.
private let wholeIdentifierBytes = 38

/// A daemon of the user's own has its socket in their runtime folder.
private func isUsersOwn(_ arguments: Arguments) -> Bool {
    let environment = ChildProcess.currentEnvironment()
    guard let runtime = environment["XDG_RUNTIME_DIR"], !runtime.isEmpty else { return false }
    return (try? chosenSocket(arguments["socket"], environment: environment))?.hasPrefix(runtime + "/") ?? false
}

/// Writes the lines of a program's output as they come, those with `part` alone.
private func passLines(of command: ChildProcess.Command, containing part: String?, isJSON: Bool) throws(SoradError) {
    let interrupt = try Interrupt()
    var lines = 0
    do throws(Errno) {
        let pipe = try Pipe()
        let readEnd = pipe.readEnd
        var command = command
        let child: ChildProcess
        do {
            let writeEnd = pipe.writeEnd
            command.descriptors[1] = writeEnd.rawValue
            child = try ChildProcess(command)
        }
        var rest: [UInt8] = []
        while true {
            if interrupt.wait(forReadable: readEnd.rawValue) { return }
            let piece = try readEnd.read(upTo: 65_536)
            if piece.isEmpty { break }
            rest += piece
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: rest[..<end], as: UTF8.self)
                rest.removeSubrange(...end)
                guard part.map({ line.range(of: $0) != nil }) ?? true else { continue }
                lines += 1
                try StandardStream.output.write(line + "\n")
            }
        }
        _ = child.wait()
    } catch {
        throw SoradError(.cannotWrite, "cannot read the journal: \(error.reason)")
    }
    if lines == 0, !isJSON {
        Console.note(
            "The journal that you may read has no such lines; members of systemd-journal and root read all: sudo sorad-ctl logs\n")
    }
}

// MARK: bugreport

/// Everything about this machine and its sorad that helps to find a fault: no prompts, no names of users, no clips.
func bugReport(_ arguments: Arguments) throws(SoradError) {
    var text = "sorad bug report, \(timeWords(time(nil)))\n"
    func section(_ title: String, _ body: String) { text += "\n== \(title)\n\(body.hasSuffix("\n") ? body : body + "\n")" }
    section("versions", "sorad-ctl \(soradVersion)\n" + firstLine(of: "ffmpeg", ["-version"]) + "\n" + firstLine(of: "uname", ["-srm"]))
    let release = (try? textFile("/etc/os-release"))?.split(separator: "\n").first { $0.hasPrefix("PRETTY_NAME=") } ?? "unknown system"
    let processor = (try? textFile("/proc/cpuinfo")) ?? ""
    let model = processor.split(separator: "\n").first { $0.hasPrefix("model name") || $0.hasPrefix("CPU part") } ?? "unknown CPU"
    let memory = ((try? textFile("/proc/meminfo")) ?? "").split(separator: "\n").prefix(3).joined(separator: "\n")
    section("machine", "\(release)\n\(model)\n\(ProcessorCount.usable()) CPUs usable\n\(memory)")
    section("doctor", diagnose(arguments).map { "\($0.state.rawValue) \($0.check): \($0.text)" }.joined(separator: "\n"))
    if let daemon = try? DaemonConnection(arguments) {
        if let health = try? daemon.health() { section("status", health.text(pretty: true)) }
        if let models = try? daemon.models() { section("models", models.json.text(pretty: true)) }
        if let jobs = try? daemon.jobs(limit: 200).jobs { section("jobs", jobs.map(bugLine).joined(separator: "\n")) }
    }
    if let metrics = try? metricsText(arguments) { section("metrics", metrics) }
    if let output = try? runDaemonProgram(["--show-config"], arguments), output.ending == .exited(0) {
        section("settings", String(decoding: output.standardOutput, as: UTF8.self))
    }
    if let journal = ChildProcess.executablePath(of: "journalctl"),
        let output = try? captureOutput(
            of: .init(journal, ["--no-pager", "-q", "-u", "sorad.service", "-n", "300", "-o", "short-iso", "--no-hostname"]),
            timeout: .seconds(20), limit: 4 << 20)
    {
        section("journal", String(decoding: output.standardOutput, as: UTF8.self))
    }
    let report = withoutNames(text)
    guard let path = arguments["output"] else { return try Console.print(String(report.dropLast())) }
    var output = try OutputFile(path, isClip: false)
    try output.write(Array(report.utf8))
    try output.finish()
    Console.note("sorad-ctl: wrote \(path); look through it before you send it\n")
}

/// A job without its prompt and its owner.
private func bugLine(_ video: Video) -> String {
    let details = video.details
    let error = video.error.map { " \($0.code): \($0.message)" } ?? ""
    let note = details.note.map { " waits: \($0)" } ?? ""
    return "\(video.id) \(video.status.rawValue) \(video.progress)% \(video.model) \(video.size) \(details.numFrames ?? 0) frames"
        + " \(details.numInferenceSteps ?? 0) steps\(error)\(note)"
}

/// Home folders and the user's name become placeholders.
private func withoutNames(_ text: String) -> String {
    var text = text
    if let home = ChildProcess.currentEnvironment()["HOME"], home.count > 1, home != "/root" { text = replaced(home, in: text, by: "~") }
    return text
}

private func replaced(_ part: String, in text: String, by other: String) -> String {
    var result = ""
    var rest = text[...]
    while let range = rest.range(of: part) {
        result += rest[..<range.lowerBound] + other
        rest = rest[range.upperBound...]
    }
    return result + rest
}

private func firstLine(of program: String, _ words: [String]) -> String {
    guard let path = ChildProcess.executablePath(of: program),
        let output = try? captureOutput(of: .init(path, words), timeout: .seconds(10), limit: 1 << 20)
    else { return "\(program) is not installed" }
    return String(decoding: output.standardOutput, as: UTF8.self).split(separator: "\n").first.map(String.init) ?? "\(program) says nothing"
}

// The commands about models: list, show, verify, import, rm. The daemon finds model files in its folders; these commands look at the files
// themselves, and only administrators see where they lie.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem

func listModels(_ arguments: Arguments) throws(SoradError) {
    let daemon = try DaemonConnection(arguments)
    try daemon.waitForModels()
    let models = try daemon.models().data
    if arguments.has("json") {
        return try Console.print(JSONValue.object(["schema": "sorad.models/1", "data": .array(models.map(\.json))]).text())
    }
    if models.isEmpty { return Console.note("There are no models; sorad-ctl doctor says why.\n") }
    let rows = models.map { model in
        let number = { (key: String) in model.details[key]?.integer.map(String.init) ?? "?" }
        return [
            Span(model.id, .bold), Span("\(number("default_width"))x\(number("default_height"))"),
            Span("\(number("default_num_frames")) at \(number("fps"))/s"),
            Span("\(number("max_width"))x\(number("max_height")), \(number("max_num_frames")) frames"),
            Span(model.details["license"]?.string ?? "?"),
        ]
    }
    try Console.print(Table(headings: ["MODEL", "SIZE", "FRAMES", "LIMITS", "LICENSE"], rows: rows), arguments)
}

func showModel(_ arguments: Arguments) throws(SoradError) {
    let asked = [
        ("size", "size"), ("seconds", "seconds"), ("frames", "num_frames"), ("steps", "num_inference_steps"),
        ("guidance", "guidance_scale"),
    ]
    let query = asked.compactMap { option, field in arguments[option].map { "\(field)=\(percentEncoded($0))" } }.joined(separator: "&")
    let daemon = try DaemonConnection(arguments)
    try daemon.waitForModels()
    let model: Model
    do throws(SoradError) { model = try daemon.model(arguments.words[0], query) } catch { throw error.inFlags }
    if arguments.has("json") {
        var object: JSONObject = ["schema": "sorad.model/1"]
        for member in model.json.object?.members ?? [] { object[member.key] = member.value }
        return try Console.print(JSONValue.object(object).text())
    }
    let rows = model.json.object?.members.filter { $0.key != "object" && $0.key != "estimate" }.map { member in
        (spaced(member.key), member.key == "created" ? timeWords(member.value.integer ?? 0) : member.value.string ?? member.value.text())
    }
    try Console.print(facts((rows ?? []) + (model.details["estimate"].map(estimateRows) ?? [])), arguments)
}

/// What a clip takes of this machine, in two columns.
private func estimateRows(_ json: JSONValue) -> [(String, String)] {
    guard let estimate = try? ClipEstimate(json: json) else { return [] }
    let clip =
        "\(json["size"]?.string ?? "?"), \(json["num_frames"]?.integer ?? 0) frames, \(json["num_inference_steps"]?.integer ?? 0) steps"
    var rows = [("a clip of", clip)]
    if let words = estimate.timeWords { rows.append(("takes", words)) }
    rows.append(("memory needed", byteWords(estimate.memory)))
    rows.append(
        (
            "memory wanted",
            byteWords(estimate.wantedMemory) + (estimate.isMemoryShort ? ", more than is free: weights are read again and again" : "")
        ))
    return rows
}

extension ClipEstimate {
    /// E.g. "about 12 min, by clips like it"; nil where nothing is known.
    var timeWords: String? {
        guard let seconds, let basis else { return nil }
        return "about \(spanWords(seconds)), by "
            + (basis == .history ? "clips like it that were made here" : "what was measured of the model here")
    }
}

/// Reads model files whole: their SHA-256 against what the daemon found when it opened them, and whether the engine still opens them.
func verifyModels(_ arguments: Arguments) throws(SoradError) {
    let models = try installedModels(arguments)
    var wanted = models.files
    if !arguments.words.isEmpty {
        wanted = []
        for name in arguments.words {
            if let file = models.files.first(where: { $0.id == name || $0.path == name }) {
                wanted.append(file)
            } else if fileExists(name) {
                wanted.append(ModelFile(id: name, path: name, sha256: nil))
            } else {
                throw SoradError(.notFound, "there is no model and no file \"\(name)\"", hint: "sorad-ctl models lists them")
            }
        }
    }
    var failed: [String] = []
    for file in wanted {
        let problem = problem(of: file)
        if problem != nil { failed.append(file.id) }
        if arguments.has("json") {
            let json: JSONObject = [
                "schema": "sorad.model-check/1", "id": .string(file.id), "path": .string(file.path), "sound": .bool(problem == nil),
                "problem": .optional(problem),
            ]
            try Console.print(JSONValue.object(json).text())
        } else {
            let verdict = problem.map { Span($0, .red) } ?? Span("sound", .green)
            try Console.print([[Span("\(file.id): ", .bold), verdict, Span(" (\(file.path))", .dim)]], arguments)
        }
    }
    for broken in models.broken where arguments.words.isEmpty {
        failed.append(broken)
        Console.note("sorad-ctl: \(printable(broken))\n")
    }
    guard failed.isEmpty else {
        throw SoradError(
            .badInput, "\(counted(failed.count, "model file")) cannot be used", hint: "put a whole copy in its place, then sorad-ctl reload"
        )
    }
}

/// Copies a model file into the daemon's folder, or makes one of a published checkpoint there, and has the daemon look.
func importModel(_ arguments: Arguments) throws(SoradError) {
    let source = arguments.words[0]
    guard let place = FilePlace(source, followingLinks: true) else { throw SoradError(.notFound, "there is no \(source)") }
    let installed = try installedModels(arguments)
    let folder = try modelFolder(installed)
    let name = arguments["name"] ?? lastName(of: source)
    guard !name.isEmpty, !name.contains("/"), !name.hasPrefix(".") else {
        throw SoradError(.usage, "--name must be a name without a slash, not \"\(name)\"", hint: "sorad-ctl help models import")
    }
    let target = "\(folder)/\(name).gguf"
    guard !fileExists(target) || arguments.has("force") else {
        throw SoradError(.conflict, "\(target) is there already", hint: "give another --name, or replace it with --force")
    }
    let isConverted = place.kind == .directory || !source.hasSuffix(".gguf")
    // A name that is asked for is judged before minutes of work.
    if isConverted, let name = arguments["name"] { try checkFree(name, installed.files, besides: target, isConverted) }
    // The daemon takes no file whose name begins with a dot.
    let new = "\(folder)/.\(name).new.gguf"
    defer { removeFile(new) }
    if isConverted { try convert(source, to: new, named: arguments["name"]) }
    let model: (id: String, sha256: String?)
    do throws(SoradError) { model = try describe(isConverted ? new : source) } catch {
        throw SoradError(error.kind, "\(source): \(error.message)", hint: error.hint)
    }
    try checkFree(model.id, installed.files, besides: target, isConverted)
    if isConverted {
        do throws(Errno) { try systemCall("rename \(target)") { unsafe rename(new, target) } } catch {
            throw SoradError(.cannotCreate, "cannot put the model file at \(target): \(error.reason)")
        }
    } else {
        try copy(source, to: target)
    }
    // The daemon's user must read it, whatever the umask of root is.
    if isRoot() { unsafe _ = chmod(target, 0o644) }
    let _: JSONValue = try adminClient(arguments).fetch(ClientRequest(.post, "/admin/reload"))
    var blindLooks = 0
    try waitForDaemon(arguments) { models throws(SoradError) in
        if models.files.contains(where: { $0.path == target && $0.sha256 == model.sha256 }) { return true }
        guard models.scans > installed.scans, !models.isScanning else { return false }
        if let broken = models.broken.first(where: { $0.hasPrefix(target + ": ") }) {
            throw SoradError(.badInput, "the daemon does not take the file: \(broken)", hint: "sorad-ctl logs says more")
        }
        // A look that had begun before may have missed it; the next one follows within a second.
        blindLooks += 1
        guard blindLooks < 100 else {
            throw SoradError(
                .permission, "the daemon looked into \(folder) and did not find the file there",
                hint: "its user must be able to read the folder: sudo ls -ld \(folder)")
        }
        return false
    }
    try tellModel("sorad.model-import/1", model.id, target, arguments, "is installed in \(printable(target))")
}

/// - Throws: `.conflict` when another file has the model `id`: of two, the daemon takes one.
private func checkFree(_ id: String, _ files: [ModelFile], besides target: String, _ isConverted: Bool) throws(SoradError) {
    guard let other = files.first(where: { $0.id == id && $0.path != target }) else { return }
    throw SoradError(
        .conflict, "the model name \(id) is taken by \(other.path)",
        hint: (isConverted ? "give another --name, or remove that one" : "remove that one") + ": sudo sorad-ctl models rm \(id)")
}

private func convert(_ source: String, to target: String, named name: String?) throws(SoradError) {
    guard let converter = soradProgram("sorad-quantize") else {
        throw SoradError(.unavailable, "sorad-quantize, which makes model files of checkpoints, is not installed")
    }
    Console.note("sorad-ctl: converting; this takes minutes\n")
    let words = [source, "-o", target] + (name.map { ["--name", $0] } ?? [])
    let output: CapturedOutput
    do throws(Errno) {
        output = try captureOutput(of: .init(converter, words), timeout: .seconds(86_400), limit: 16 << 20)
    } catch { throw SoradError(.unavailable, "\(converter) cannot be started: \(error.reason)") }
    guard output.ending == .exited(0) else { throw SoradError(.badInput, output.sentence(of: "sorad-quantize")) }
}

/// Asks the daemon for its models until `isDone` says so: it looks at files in its own time, and reads new ones whole.
private func waitForDaemon(
    _ arguments: Arguments, until isDone: (InstalledModels) throws(SoradError) -> Bool
) throws(SoradError) {
    let interrupt = try Interrupt()
    let deadline = MonotonicTime.now() + .seconds(1_800)
    while try !isDone(installedModels(arguments)) {
        guard MonotonicTime.now() < deadline else {
            throw SoradError(.timedOut, "the daemon has not looked at the model files yet", hint: "sorad-ctl models lists them when it has")
        }
        guard !interrupt.wait(forKeyOn: nil, timeout: .milliseconds(50)) else {
            throw SoradError(.interrupted, "interrupted; the model files are as they should be, and the daemon looks at them")
        }
    }
}

/// Removes a model file from the daemon's folders, and has the daemon look.
func removeModel(_ arguments: Arguments) throws(SoradError) {
    let models = try installedModels(arguments)
    let name = arguments.words[0]
    guard let path = models.files.first(where: { $0.id == name || $0.path == name })?.path ?? models.file(named: name) else {
        throw SoradError(.notFound, "there is no model and no model file \"\(name)\"", hint: "sorad-ctl models lists them")
    }
    if !arguments.has("yes") {
        guard StandardStream.input.isTerminal else {
            throw SoradError(.usage, "to remove \(path) without being asked needs --yes", hint: "sorad-ctl help models rm")
        }
        guard try Console.confirm("remove \(printable(path))?") else {
            throw SoradError(.cancelled, "nothing was done: you did not say yes")
        }
    }
    do throws(Errno) {
        try systemCall("unlink") { unsafe unlink(path) }
    } catch { throw SoradError(.permission, "cannot remove \(path): \(error.reason)", hint: "sudo sorad-ctl models rm \(name)") }
    let _: JSONValue = try adminClient(arguments).fetch(ClientRequest(.post, "/admin/reload"))
    try waitForDaemon(arguments) { models in !models.files.contains { $0.path == path } }
    try tellModel("sorad.model-removal/1", name, path, arguments, "was removed")
}

private func tellModel(_ schema: String, _ name: String, _ path: String, _ arguments: Arguments, _ words: String) throws(SoradError) {
    let json: JSONObject = ["schema": .string(schema), "id": .string(name), "path": .string(path)]
    try Console.print(arguments.has("json") ? JSONValue.object(json).text() : "\(printable(name)) \(words)")
}

// MARK: the daemon's files

private struct ModelFile {
    let id: String
    let path: String
    /// As the daemon found it; nil where it was not asked.
    let sha256: String?
}

/// What the daemon knows of model files.
private struct InstalledModels {
    let files: [ModelFile]
    /// "PATH: REASON"
    let broken: [String]
    let folders: [String]
    /// How often the daemon has looked, and whether it does now.
    let scans: Int
    let isScanning: Bool

    /// The path of a file in the daemon's folders, by its path or its name, with or without ending: what cannot be used has no id.
    func file(named name: String) -> String? {
        for folder in folders {
            for path in [name, "\(folder)/\(name)", "\(folder)/\(name).gguf"] where fileExists(path) {
                let parts = path.utf8.count > folder.utf8.count && path.hasPrefix(folder + "/") ? path.dropFirst(folder.count + 1) : ""
                if parts.hasSuffix(".gguf"), !parts.hasPrefix("."), !parts.contains("/") { return path }
            }
        }
        return nil
    }
}

private func installedModels(_ arguments: Arguments) throws(SoradError) -> InstalledModels {
    let answer: JSONValue = try adminClient(arguments).fetch(ClientRequest(.get, "/admin/models"))
    let files = answer["data"]?.array?.compactMap { file in
        file["id"]?.string.flatMap { id in
            file["path"]?.string.map { ModelFile(id: id, path: $0, sha256: file["sha256"]?.string) }
        }
    }
    let texts = { (key: String) in answer[key]?.array?.compactMap(\.string) ?? [] }
    return InstalledModels(
        files: files ?? [], broken: texts("broken_models"), folders: texts("directories"), scans: answer["scans"]?.integer ?? 0,
        isScanning: answer["scanning"]?.bool ?? false)
}

/// The daemon's own folder, which is the last one; it is made when it is missing, so that the daemon's user can read it.
private func modelFolder(_ models: InstalledModels) throws(SoradError) -> String {
    guard let folder = models.folders.last else {
        throw SoradError(
            .configuration, "the daemon's settings name its model files one by one, so there is no folder for others",
            hint: "add the file as model = PATH and restart sorad")
    }
    do throws(Errno) { try makeDirectories(folder, mode: 0o755) } catch {
        throw SoradError(.permission, "cannot make \(folder): \(error.reason)", hint: "sudo sorad-ctl models import …")
    }
    guard mayWrite(folder) else {
        throw SoradError(.permission, "\(folder) may not be written by you", hint: "sudo sorad-ctl models import …")
    }
    return folder
}

/// The name and the SHA-256 of a model file; the engine reads it whole.
/// - Throws: why it cannot be used, in the engine's words.
private func describe(_ path: String) throws(SoradError) -> (id: String, sha256: String?) {
    guard let worker = soradProgram("sorad-worker") else {
        throw SoradError(.unavailable, "sorad-worker, which reads model files, is not installed")
    }
    guard let output = try? captureOutput(of: .init(worker, ["--model", path, "--describe"]), timeout: .seconds(600), limit: 4 << 20)
    else { throw SoradError(.unavailable, "\(worker) cannot be started") }
    guard output.ending == .exited(0) else {
        let sentence = output.sentence(of: "sorad-worker")
        throw SoradError(.badInput, sentence.isEmpty ? "the engine does not open it" : sentence)
    }
    let json = try? JSONValue(parsing: output.standardOutput)
    guard let id = json?["id"]?.string else { throw SoradError(.badInput, "the engine's description of it cannot be read") }
    return (id, json?["sha256"]?.string)
}

/// Why a model file cannot be used; nil when it is sound.
private func problem(of file: ModelFile) -> String? {
    do throws(SoradError) {
        let found = try describe(file.path).sha256
        guard let expected = file.sha256, let found, found != expected else { return nil }
        return "its SHA-256 is \(found), and it was \(expected) when the daemon opened it"
    } catch { return error.message }
}

/// The file's name without folders and ending.
private func lastName(of path: String) -> String {
    let name = path.split(separator: "/").last.map(String.init) ?? path
    return name.hasSuffix(".gguf") ? String(name.dropLast(5)) : name
}

private func copy(_ source: String, to target: String) throws(SoradError) {
    var file = try AtomicFile(target)
    do {
        let input = try FileDescriptor(opening: source, flags: O_RDONLY)
        while true {
            let piece = try input.read(upTo: 1 << 20)
            if piece.isEmpty { break }
            try file.write(piece)
        }
    } catch let error as SoradError { throw error } catch {
        throw SoradError(.notFound, "cannot read \(source): \((error as? Errno)?.reason ?? "\(error)")")
    }
    try file.commit()
}

extension DaemonConnection {
    fileprivate func model(_ id: String, _ query: String) throws(SoradError) -> Model {
        try client.fetch(ClientRequest(.get, "/v1/models/\(percentEncoded(id))" + (query.isEmpty ? "" : "?\(query)")))
    }
}

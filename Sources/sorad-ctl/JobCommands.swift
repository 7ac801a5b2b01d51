// The commands about jobs that exist: show, watch, wait, get, cancel, delete. JobList.swift has jobs.
import Glibc
import SoradAPI
import SoradSystem

/// The user's name, or their number.
func ownerWords(_ user: UInt32) -> String { userName(user).map { printable($0) } ?? "\(user)" }

func showJob(_ arguments: Arguments) throws(SoradError) {
    let daemon = try DaemonConnection(arguments)
    try forEach(try arguments.words.map { word throws(SoradError) in try daemon.identifier(word) }, arguments) { id throws(SoradError) in
        try present(try daemon.video(id), arguments)
    }
}

func watchJob(_ arguments: Arguments) throws(SoradError) {
    let daemon = try DaemonConnection(arguments)
    let interrupt = try Interrupt()
    let id = try daemon.identifier(arguments.words.first ?? "latest")
    let video = try JobWatch(daemon, arguments, interrupt, .anyJob).wait(for: try daemon.video(id))
    try tellState(video, arguments)
}

/// Waits for all of several jobs, whatever becomes of each.
func waitForJobs(_ arguments: Arguments) throws(SoradError) {
    let daemon = try DaemonConnection(arguments)
    let interrupt = try Interrupt()
    let ids = try arguments.words.map { word throws(SoradError) in try daemon.identifier(word) }
    try forEach(ids, arguments) { id throws(SoradError) in
        let video = try JobWatch(daemon, arguments, interrupt, .anyJob, isSilent: true).wait(for: try daemon.video(id))
        try tellState(video, arguments)
    }
}

func tellState(_ video: Video, _ arguments: Arguments) throws(SoradError) {
    if arguments.has("json") { return try Console.print(jobJSON(video).text()) }
    try Console.print([[Span("\(video.id) "), statusSpan(video)]], arguments)
}

func cancelJobs(_ arguments: Arguments) throws(SoradError) {
    let daemon = try DaemonConnection(arguments)
    let ids = try daemon.selected(arguments, standard: "active", verb: "cancel")
    try confirm("cancel", ids, arguments)
    try forEach(ids, arguments) { id throws(SoradError) in try tellState(try daemon.cancel(id), arguments) }
}

func deleteJobs(_ arguments: Arguments) throws(SoradError) {
    let daemon = try DaemonConnection(arguments)
    let ids = try daemon.selected(arguments, standard: "finished", verb: "delete")
    try confirm("delete", ids, arguments)
    try forEach(ids, arguments) { id throws(SoradError) in
        let deleted = try daemon.delete(id)
        let json: JSONObject = ["schema": "sorad.deleted/1", "id": .string(deleted.id), "deleted": true]
        try Console.print(arguments.has("json") ? JSONValue.object(json).text() : "\(deleted.id) deleted")
    }
}

/// Asks before jobs that nobody named go.
private func confirm(_ verb: String, _ ids: [String], _ arguments: Arguments) throws(SoradError) {
    guard arguments.words.isEmpty else { return }
    if ids.isEmpty { return Console.note("There are no such jobs.\n") }
    guard !arguments.has("yes") else { return }
    guard StandardStream.input.isTerminal, StandardStream.errors.isTerminal else {
        throw SoradError(.usage, "to \(verb) \(counted(ids.count, "job")) without being asked needs --yes", hint: "sorad-ctl help \(verb)")
    }
    guard try Console.confirm("\(verb) \(counted(ids.count, "job"))?") else {
        throw SoradError(.cancelled, "nothing was done: you did not say yes")
    }
}

/// E.g. "1 job", "3 jobs".
func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

/// Does the same to each; one that fails is said so and does not stop the others.
/// - Throws: the first failure; the others are written to standard error.
private func forEach(_ ids: [String], _ arguments: Arguments, _ body: (String) throws(SoradError) -> Void) throws(SoradError) {
    var first: SoradError?
    for id in ids {
        do throws(SoradError) { try body(id) } catch {
            // An interrupt, or a daemon that has gone, is the same for all.
            if error.kind == .interrupted || error.kind == .unavailable || ids.count == 1 { throw error }
            if first != nil { error.note(arguments) }
            first = first ?? error
        }
    }
    if let first { throw first }
}

func getContent(_ arguments: Arguments) throws(SoradError) {
    let variant = arguments["variant"] ?? "video"
    let named = try OutputFile.named(arguments, isClip: variant == "video")
    let daemon = try DaemonConnection(arguments)
    let id = try daemon.identifier(arguments.words.first ?? "latest")
    let video = try daemon.video(id)
    switch video.status {
    case .completed: break
    case .failed: throw failure(of: video)
    case .queued, .inProgress:
        throw SoradError(.busy, "\(id) is not finished yet: \(statusWords(video))", hint: "try again later; sorad-ctl show \(id)")
    }
    let output = if let named { named } else { try OutputFile(video.id + fileEnding(variant), isClip: false) }
    let path = output.path
    let size = try daemon.save(video.id, variant: variant, to: output)
    if arguments.has("json") {
        let json: JSONObject = [
            "schema": "sorad.file/1", "id": .string(video.id), "variant": .string(variant), "file": .string(path), "bytes": .integer(size),
        ]
        try Console.print(JSONValue.object(json).text())
    } else if path != "-" {
        try Console.print(path)
    }
}

private func fileEnding(_ variant: String) -> String {
    switch variant {
    case "thumbnail": ".webp"
    case "spritesheet": ".jpg"
    default: ".mp4"
    }
}

/// A job with its schema name.
func jobJSON(_ video: Video) -> JSONValue {
    var object: JSONObject = ["schema": "sorad.job/1"]
    for member in video.json.object?.members ?? [] { object[member.key] = member.value }
    return .object(object)
}

/// E.g. "2.125 s, 17 frames".
private func lengthWords(_ video: Video) -> String {
    let seconds = video.details.durationSeconds.map { "\(($0 * 1000).rounded() / 1000)" } ?? video.seconds
    return "\(seconds) s" + (video.details.numFrames.map { ", \($0) frames" } ?? "")
}

func present(_ video: Video, _ arguments: Arguments) throws(SoradError) {
    if arguments.has("json") { return try Console.print(jobJSON(video).text()) }
    let details = video.details
    var rows = [("id", video.id), ("status", statusWords(video)), ("prompt", printable(video.prompt))]
    if let owner = details.owner { rows.append(("user", ownerWords(owner))) }
    if let note = details.note { rows.append(("waits because", printable(note))) }
    if let negative = details.negativePrompt, !negative.isEmpty { rows.append(("negative", printable(negative))) }
    rows += [
        ("model", printable(video.model)), ("size", video.size), ("length", lengthWords(video)),
    ]
    if let seed = details.seed { rows.append(("seed", "\(seed)")) }
    if let steps = details.numInferenceSteps { rows.append(("steps", "\(steps)")) }
    if let guidance = details.guidanceScale {
        let second = details.secondGuidanceScale.map { ", then \($0)" } ?? ""
        let interval = details.guidanceInterval.map { " at noise levels from \($0.lowerBound) to \($0.upperBound)" } ?? ""
        rows.append(("guidance", "\(guidance)\(second)\(interval)"))
    }
    if let cache = details.cache { rows.append(("cache", "\(cache)")) }
    if let passes = details.passes { rows.append(("passes", "\(passes)")) }
    if let phase = details.phase {
        let steps = details.steps.map { ", step \(details.step ?? 0) of \($0)" } ?? ""
        let frames = details.frame.map { ", frame \($0)" + (details.numFrames.map { " of \($0)" } ?? "") } ?? ""
        rows.append(("now", spaced(phase.rawValue) + (phase == .denoising ? steps : frames)))
    }
    if let words = details.notes.estimate?.timeWords, video.status != .completed { rows.append(("takes", words)) }
    rows.append(("created", "\(timeWords(video.createdAt)), \(ageWords(video.createdAt)) ago"))
    if let expires = video.expiresAt { rows.append(("kept until", timeWords(expires))) }
    if let completed = video.completedAt { rows.append(("completed", timeWords(completed))) }
    if let error = video.error { rows.append(("error", "\(printable(error.message)) (\(error.code))")) }
    if let sha256 = details.sha256 { rows.append(("frames sha256", sha256)) }
    for (phase, seconds) in (details.timings ?? [:]).sorted(by: { $0.key < $1.key }) {
        rows.append((spaced(phase), "\((seconds * 1000).rounded() / 1000) s"))
    }
    try Console.print(facts(rows), arguments)
}

/// Names and values in two columns.
func facts(_ rows: [(String, String)]) -> [Line] {
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { [Span(padded($0.0, to: width) + "  ", .dim), Span($0.1)] }
}

/// A JSON name as words.
func spaced(_ name: String) -> String { name.split(separator: "_").joined(separator: " ") }

/// E.g. "in progress, 42%, 3 s left".
func statusWords(_ video: Video) -> String {
    let left = video.details.etaSeconds.map { ", \(duration($0)) left" } ?? ""
    return switch video.status {
    case .queued: "queued" + left
    case .inProgress: "in progress, \(video.progress)%" + left
    case .completed: "completed"
    case .failed: video.error?.code == "cancelled" ? "cancelled" : "failed"
    }
}

/// Local time, e.g. "2026-03-01 14:05".
func timeWords(_ unixSeconds: Int) -> String {
    var seconds = time_t(unixSeconds)
    var parts = unsafe tm()
    guard unsafe localtime_r(&seconds, &parts) != nil else { return "\(unixSeconds)" }
    func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return unsafe "\(Int(parts.tm_year) + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) \(two(parts.tm_hour)):\(two(parts.tm_min))"
}

/// E.g. "3 s", "5 min", "2 h", "12 d": how long ago that was.
func ageWords(_ unixSeconds: Int) -> String { spanWords(Double(max(0, time(nil) - unixSeconds))) }

/// The same of a number of seconds.
func spanWords(_ span: Double) -> String {
    let seconds = Int(min(max(0, span), 1e12).rounded())
    if seconds < 60 { return "\(seconds) s" }
    if seconds < 3600 { return "\(seconds / 60) min" }
    if seconds < 172_800 { return "\(seconds / 3600) h" }
    return "\(seconds / 86_400) d"
}

/// The state of a job, colored.
func statusSpan(_ video: Video) -> Span {
    switch video.status {
    case .queued: Span(statusWords(video), .yellow)
    case .inProgress: Span(statusWords(video), .cyan)
    case .completed: Span(statusWords(video), .green)
    case .failed: Span(statusWords(video), video.error?.code == "cancelled" ? .dim : .red)
    }
}

// The commands about jobs that exist: jobs, show, watch, get, cancel, delete.
import Glibc
import SoradAPI
import SoradSystem

/// Pages of the list are never asked for longer than this.
private let pageLimit = 100

func listJobs(_ arguments: Arguments) throws(SoradError) {
    guard let limit = Int(arguments["limit"] ?? "20"), limit > 0 else {
        throw SoradError(.usage, "--limit must be 1 or more", hint: "sorad-ctl help jobs")
    }
    let daemon = try DaemonConnection(arguments)
    var videos: [Video] = []
    var hasMore = true
    while hasMore, videos.count < limit {
        let page = try daemon.videos(after: videos.last?.id, limit: min(pageLimit, limit - videos.count))
        videos += page.data
        hasMore = page.hasMore && !page.data.isEmpty
    }
    if arguments.has("json") {
        try Console.print(
            JSONValue.object(["schema": "sorad.jobs/1", "data": .array(videos.map(\.json)), "has_more": .bool(hasMore)]).text())
        return
    }
    if videos.isEmpty { return Console.note("There are no jobs.\n") }
    // Administrators see everybody's, and so whose each is.
    let hasOwners = videos.contains { $0.details.owner != nil }
    let rows = videos.map { video in
        [video.id] + (hasOwners ? [video.details.owner.map(ownerWords) ?? "?"] : [])
            + [statusWords(video), timeWords(video.createdAt), video.size, printable(video.prompt)]
    }
    try Console.print(table(["ID"] + (hasOwners ? ["OWNER"] : []) + ["STATUS", "CREATED", "SIZE", "PROMPT"], rows))
}

/// The user's name, or their number.
private func ownerWords(_ user: UInt32) -> String { userName(user).map { printable($0) } ?? "\(user)" }

func showJob(_ arguments: Arguments) throws(SoradError) {
    try present(try DaemonConnection(arguments).video(arguments.words[0]), arguments)
}

func watchJob(_ arguments: Arguments) throws(SoradError) {
    let daemon = try DaemonConnection(arguments)
    let interrupt = try Interrupt()
    let video = try JobWatch(daemon, arguments, interrupt, .anyJob).wait(for: try daemon.video(arguments.words[0]))
    try Console.print(arguments.has("json") ? jobJSON(video).text() : "\(video.id) \(statusWords(video))")
}

func cancelJob(_ arguments: Arguments) throws(SoradError) {
    let video = try DaemonConnection(arguments).cancel(arguments.words[0])
    try Console.print(arguments.has("json") ? jobJSON(video).text() : "\(video.id) \(statusWords(video))")
}

func deleteJob(_ arguments: Arguments) throws(SoradError) {
    let deleted = try DaemonConnection(arguments).delete(arguments.words[0])
    let json: JSONObject = ["schema": "sorad.deleted/1", "id": .string(deleted.id), "deleted": true]
    try Console.print(arguments.has("json") ? JSONValue.object(json).text() : "\(deleted.id) deleted")
}

func getContent(_ arguments: Arguments) throws(SoradError) {
    let variant = arguments["variant"] ?? "video"
    let id = arguments.words[0]
    let named = try OutputFile.named(arguments)
    let daemon = try DaemonConnection(arguments)
    let video = try daemon.video(id)
    switch video.status {
    case .completed: break
    case .failed: throw failure(of: video)
    case .queued, .inProgress:
        throw SoradError(.busy, "\(id) is not finished yet: \(statusWords(video))", hint: "try again later; sorad-ctl show \(id)")
    }
    let output = if let named { named } else { try OutputFile(video.id + fileEnding(variant)) }
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

private func present(_ video: Video, _ arguments: Arguments) throws(SoradError) {
    if arguments.has("json") { return try Console.print(jobJSON(video).text()) }
    let details = video.details
    var rows = [("id", video.id), ("status", statusWords(video)), ("prompt", printable(video.prompt))]
    if let owner = details.owner { rows.append(("owner", ownerWords(owner))) }
    if let note = details.note { rows.append(("waits because", printable(note))) }
    if let negative = details.negativePrompt, !negative.isEmpty { rows.append(("negative", printable(negative))) }
    rows += [
        ("model", printable(video.model)), ("size", video.size), ("length", lengthWords(video)),
    ]
    if let seed = details.seed { rows.append(("seed", "\(seed)")) }
    if let steps = details.numInferenceSteps { rows.append(("steps", "\(steps)")) }
    if let guidance = details.guidanceScale { rows.append(("guidance", "\(guidance)")) }
    if let phase = details.phase {
        let steps = details.steps.map { ", step \(details.step ?? 0) of \($0)" } ?? ""
        let frames = details.frame.map { ", frame \($0)" + (details.numFrames.map { " of \($0)" } ?? "") } ?? ""
        rows.append(("now", spaced(phase.rawValue) + (phase == .denoising ? steps : frames)))
    }
    rows.append(("created", timeWords(video.createdAt)))
    if let completed = video.completedAt { rows.append(("completed", timeWords(completed))) }
    if let error = video.error { rows.append(("error", "\(printable(error.message)) (\(error.code))")) }
    if let sha256 = details.sha256 { rows.append(("frames sha256", sha256)) }
    for (phase, seconds) in (details.timings ?? [:]).sorted(by: { $0.key < $1.key }) {
        rows.append((spaced(phase), "\((seconds * 1000).rounded() / 1000) s"))
    }
    let width = rows.map(\.0.count).max() ?? 0
    try Console.print(rows.map { "\(padded($0.0, to: width))  \($0.1)" }.joined(separator: "\n"))
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

/// Columns under their headings; the last one is left as it is.
func table(_ headings: [String], _ rows: [[String]]) -> String {
    let widths = headings.indices.map { column in ([headings] + rows).map { $0[column].count }.max() ?? 0 }
    return ([headings] + rows).map { row in
        row.enumerated().map { $0 == row.count - 1 ? $1 : padded($1, to: widths[$0]) }.joined(separator: "  ")
    }.joined(separator: "\n")
}

// `sorad-ctl jobs`: the jobs in a table that fits the terminal. In a file or a pipe every id and prompt is whole.
import SoradAPI
import SoradSystem

func listJobs(_ arguments: Arguments) throws(SoradError) {
    guard let limit = Int(arguments["limit"] ?? "20"), limit > 0 else {
        throw SoradError(.usage, "--limit must be 1 or more", hint: "sorad-ctl help jobs")
    }
    let filter = try JobFilter(arguments)
    let daemon = try DaemonConnection(arguments)
    if arguments.has("watch") { return try watchJobs(daemon, filter, limit, arguments) }
    let (jobs, hasMore) = try daemon.jobs(limit: limit) { filter.fits($0) }
    if arguments.has("json") {
        let json: JSONObject = ["schema": "sorad.jobs/1", "data": .array(jobs.map(\.json)), "has_more": .bool(hasMore)]
        return try Console.print(JSONValue.object(json).text())
    }
    if jobs.isEmpty { return Console.note("There are no jobs.\n") }
    try Console.print(jobTable(jobs, width: StandardStream.output.columns).lines(width: StandardStream.output.columns), arguments)
    if hasMore, StandardStream.output.isTerminal { Console.note("There are more: --limit N shows them.\n") }
}

/// Redraws the table once a second until an interrupt.
private func watchJobs(_ daemon: DaemonConnection, _ filter: JobFilter, _ limit: Int, _ arguments: Arguments) throws(SoradError) {
    guard StandardStream.output.isTerminal, !arguments.has("json") else {
        throw SoradError(.usage, "--watch redraws a terminal, and standard output is none", hint: "sorad-ctl watch ID follows one job")
    }
    let interrupt = try Interrupt()
    let screen = FullScreen()
    try screen.begin()
    defer { screen.end() }
    while true {
        let rows = StandardStream.output.rows ?? 24
        let (jobs, _) = try daemon.jobs(limit: min(limit, max(1, rows - 2))) { filter.fits($0) }
        let lines = jobTable(jobs, width: StandardStream.output.columns).lines(width: StandardStream.output.columns)
        try screen.show(lines + [["Ctrl-C ends this"]], isColored: Console.isColored(arguments))
        if interrupt.wait(timeout: .seconds(1)) { return }
    }
}

/// The columns that have space: under 100 an id is its end, which commands take too; under 60 there is no size.
/// - Parameter width: of the terminal; nil: no limit.
func jobTable(_ jobs: [Video], width: Int?) -> Table {
    // Administrators see everybody's, and so whose each is.
    let hasOwners = jobs.contains { $0.details.owner != nil }
    // Only where a pool makes clips.
    let hasBoxes = jobs.contains { $0.details.box != nil }
    let isNarrow = (width ?? .max) < 100
    let hasSize = (width ?? .max) >= 60
    let headings =
        ["ID"] + (hasOwners ? ["USER"] : []) + ["STATUS"] + (hasBoxes ? ["BOX"] : []) + ["AGE"] + (hasSize ? ["SIZE"] : []) + ["PROMPT"]
    let rows = jobs.map { video in
        var row = [Span(isNarrow ? shortIdentifier(video.id) : video.id, .bold)]
        if hasOwners { row.append(Span(video.details.owner.map(ownerWords) ?? "?")) }
        row += [isNarrow ? Span(shortStatus(video), statusSpan(video).style) : statusSpan(video)]
        if hasBoxes { row.append(Span(video.details.box ?? "")) }
        row.append(Span(ageWords(video.createdAt)))
        if hasSize { row.append(Span(video.size)) }
        return row + [Span(video.prompt)]
    }
    return Table(headings: headings, rows: rows)
}

/// The end of an id, which is random; its beginning is the time.
func shortIdentifier(_ id: String) -> String { String(id.suffix(8)) }

/// E.g. "42%", "queued".
private func shortStatus(_ video: Video) -> String {
    switch video.status {
    case .inProgress: "\(video.progress)%"
    case .failed where video.error?.code == "cancelled": "cancelled"
    case .completed: "done"
    default: video.status.rawValue
    }
}

// `sorad-ctl status` and `top`: the state of the service in sentences, with what would help; and the same redrawn, with the jobs.
import SoradAPI
import SoradSystem

func showStatus(_ arguments: Arguments) throws(SoradError) {
    let daemon = try DaemonConnection(arguments)
    let health = try daemon.health()
    if arguments.has("json") {
        var object: JSONObject = ["schema": "sorad.status/1", "socket": .string(daemon.socketPath)]
        for member in health.object?.members ?? [] { object[member.key] = member.value }
        return try Console.print(JSONValue.object(object).text())
    }
    try Console.print(statusLines(health, socket: daemon.socketPath), arguments)
}

/// One sentence a line; what is wrong comes with its remedy.
func statusLines(_ health: JSONValue, socket: String) -> [Line] {
    let text = { (key: String) in health[key]?.string ?? "?" }
    let number = { (key: String) in health[key]?.integer ?? 0 }
    var lines: [Line] = []
    let (isDrained, isPaused) = (text("intake") == "draining", text("processing") == "paused")
    let state: Span =
        switch text("status") {
        case "ok": isDrained || isPaused ? Span("up", .yellow) : Span("up", .green)
        case "starting": Span("starting", .yellow)
        default: Span("degraded", .red)
        }
    lines.append(["sorad \(text("version")) is ", state, Span(" at \(socket)")])
    if text("status") == "starting" { lines.append(["It is looking at the model files; requests wait for that."]) }
    if isDrained {
        lines.append([Span("Drained", .yellow), "; no new jobs are taken, and the waiting ones are done. It lasts until sorad-ctl resume."])
    }
    if isPaused {
        lines.append([Span("Paused", .yellow), "; no job is begun, and running ones continue. It lasts until sorad-ctl resume."])
    }
    if let trouble = health["trouble"]?.string { lines.append([Span("Trouble: ", .red), Span("\(trouble).")]) }
    for file in health["broken_models"]?.array?.compactMap(\.string) ?? [] {
        lines.append([Span("A model file cannot be used: ", .red), Span("\(file).")])
    }
    lines.append([
        "\(counted(number("running"), "job")) running, \(number("queued")) waiting; \(workerWords(number("workers"), number("slots")))."
    ])
    if let model = health["default_model"]?.string {
        let others = number("models") - 1
        lines.append([Span("The model is \(model)" + (others > 0 ? "; \(counted(others, "other")) installed" : "") + ".")])
    }
    for sentence in health["backends"]?.array?.compactMap(\.string) ?? [] { lines.append(["\(sentence)."]) }
    if let free = health["disk_free_bytes"]?.integer {
        lines.append([Span("Free space: \(byteWords(free)).", free < 500_000_000 ? .red : nil)])
    }
    if text("status") == "degraded" { lines.append([Span("sorad-ctl doctor names the remedies.", .bold)]) }
    return lines
}

/// A worker is started for a job and stopped when idle.
private func workerWords(_ workers: Int, _ slots: Int) -> String {
    workers == 0 ? "no worker is loaded" : "\(workers) of \(counted(max(slots, workers), "worker")) loaded"
}

// MARK: top

/// Redraws status and jobs until q or an interrupt. Elsewhere than in a terminal it prints them once.
func showTop(_ arguments: Arguments) throws(SoradError) {
    let daemon = try DaemonConnection(arguments)
    guard StandardStream.output.isTerminal, !arguments.has("json") else { return try showOnce(daemon, arguments) }
    let raw = RawMode(StandardStream.input.rawValue, keepsSignals: true)
    let interrupt = try Interrupt()
    let screen = FullScreen()
    try screen.begin()
    defer { screen.end() }
    try withRaw(raw) { () throws(SoradError) in
        while true {
            try screen.show(try topLines(daemon) + [[""], [Span("q or Ctrl-C ends this", .dim)]], isColored: Console.isColored(arguments))
            if interrupt.wait(forKeyOn: raw == nil ? nil : StandardStream.input, timeout: .seconds(1)) { return }
        }
    }
}

private func withRaw(_ raw: RawMode?, _ body: () throws(SoradError) -> Void) throws(SoradError) {
    try body()
    withExtendedLifetime(raw) {}
}

private func showOnce(_ daemon: DaemonConnection, _ arguments: Arguments) throws(SoradError) {
    guard arguments.has("json") else { return try Console.print(try topLines(daemon), arguments) }
    let health = try daemon.health()
    let active = try daemon.jobs(limit: 100) { $0.status == .queued || $0.status == .inProgress }.jobs
    let json: JSONObject = ["schema": "sorad.top/1", "service": health, "jobs": .array(active.map(\.json))]
    try Console.print(JSONValue.object(json).text())
}

private func topLines(_ daemon: DaemonConnection) throws(SoradError) -> [Line] {
    let health = try daemon.health()
    let width = StandardStream.output.columns ?? 80
    let active = try daemon.jobs(limit: 100) { $0.status == .queued || $0.status == .inProgress }.jobs
    // Running jobs first, then those that wait, in the order in which they came.
    let ordered = active.filter { $0.status == .inProgress } + active.filter { $0.status == .queued }.reversed()
    var lines = statusLines(health, socket: daemon.socketPath) + [[""]]
    for video in ordered {
        let owner = video.details.owner.map { " " + ownerWords($0) } ?? ""
        lines.append([
            Span(shortIdentifier(video.id), .bold), Span(owner + "  "), Span(ProgressSnapshot(video).words, statusSpan(video).style),
        ])
        if video.status == .inProgress {
            let cells = max(5, min(width - 4, 40))
            let full = cells * min(max(video.progress, 0), 100) / 100
            lines.append([Span("  " + String(repeating: "█", count: full) + String(repeating: "░", count: cells - full), .cyan)])
        }
        lines.append([Span("  " + video.prompt, .dim)])
    }
    if ordered.isEmpty { lines.append(["No job runs or waits."]) }
    return lines
}

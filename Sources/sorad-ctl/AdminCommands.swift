// The commands for administrators: they speak to the admin socket, which lets in root and the admin group.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem

let adminCommands: [Command] = [
    Command(
        name: "drain", flags: adminFlags, summary: "take no new jobs; those that wait are done",
        details: "Kept over restarts until resume. " + stateDetails,
        run: { invocation throws(SoradError) in try control("drain", invocation) }),
    Command(
        name: "pause", flags: adminFlags, summary: "begin no job; the one that runs goes on to its end",
        details: "Kept over restarts until resume. " + stateDetails,
        run: { invocation throws(SoradError) in try control("pause", invocation) }),
    Command(
        name: "resume", flags: adminFlags, summary: "take and begin jobs again, after drain and pause", details: stateDetails,
        run: { invocation throws(SoradError) in try control("resume", invocation) }),
    Command(
        name: "reload", flags: adminFlags, summary: "have the daemon read its log level and look for models anew",
        details: "With --json: one object of schema sorad.reload/1.", run: reloadDaemon),
    Command(
        name: "log-level",
        arguments: [
            Argument(name: "LEVEL", summary: "error, warning, notice, info or debug; without it, the present one", isOptional: true)
        ],
        flags: adminFlags, summary: "show or set how much the daemon writes to its log",
        details: "Lasts until the daemon is started or reloaded. With --json: one object of schema sorad.log-level/1.", run: logLevel),
    Command(
        name: "priority",
        arguments: [
            Argument(name: "ID", summary: "a job that is not over"),
            Argument(name: "PRIORITY", summary: "-100 to 100; a higher one goes first (put -- before a negative one)"),
        ],
        flags: adminFlags, summary: "move a job forwards or backwards in the queue",
        details: "With --json: one object of schema sorad.job/1.", examples: ["sorad-ctl priority video_… 10"], run: setPriority),
    Command(
        name: "quota",
        arguments: [Argument(name: "USER", summary: "a name, a number, or default; without it, all are shown", isOptional: true)],
        flags: [
            Flag(name: "--jobs", value: .text("N"), summary: "jobs that may wait or run; none for no limit"),
            Flag(name: "--seconds-per-day", value: .text("N"), summary: "seconds of clip within a day; none for no limit"),
            Flag(name: "--bytes", value: .text("N"), summary: "bytes of finished clips; none for no limit"),
            Flag(name: "--remove", summary: "let the default apply to this user"),
        ] + adminFlags, summary: "show or set how much users may ask for",
        details: "What is not named stays as it is. With --json: one object of schema sorad.quotas/1.",
        examples: ["sorad-ctl quota", "sorad-ctl quota alice --jobs 5 --seconds-per-day 600", "sorad-ctl quota default --bytes none"],
        run: quota),
    Command(
        name: "metrics", flags: adminFlags, summary: "print the daemon's metrics in the text format of Prometheus",
        details: "--json changes nothing here.", run: printMetrics),
]

private let stateDetails = "With --json: one object of schema sorad.admin/1."
private let adminFlags = [
    Flag(
        name: "--admin-socket", value: .text("PATH"), summary: "the daemon's admin socket (default: admin.sock beside the daemon's socket)",
        environment: "SORAD_ADMIN_SOCKET")
]

/// - Throws: `.unavailable` when no admin socket is there.
private func adminClient(_ invocation: Invocation) throws(SoradError) -> HTTPClient {
    var settings = ClientSettings()
    settings.timeout = .seconds(10)
    let path: String
    if let named = invocation["--admin-socket"] {
        path = named
    } else {
        let socket = try chosenSocket(invocation["--socket"], environment: ChildProcess.currentEnvironment())
        path = (socket.lastIndex(of: "/").map { String(socket[...$0]) } ?? "") + "admin.sock"
    }
    return HTTPClient(socketPath: path, settings: settings)
}

private func control(_ verb: String, _ invocation: Invocation) throws(SoradError) {
    let status: JSONValue = try adminClient(invocation).fetch(ClientRequest(.post, "/admin/\(verb)"))
    if invocation.has("--json") { return try printJSON("sorad.admin/1", status) }
    let (intake, processing) = (status["intake"]?.string ?? "?", status["processing"]?.string ?? "?")
    try Console.print(
        "intake \(intake), processing \(processing), \(status["queued"]?.integer ?? 0) queued, \(status["running"]?.integer ?? 0) running")
}

private func reloadDaemon(_ invocation: Invocation) throws(SoradError) {
    let answer: JSONValue = try adminClient(invocation).fetch(ClientRequest(.post, "/admin/reload"))
    if invocation.has("--json") { return try printJSON("sorad.reload/1", answer) }
    try Console.print("reloading")
}

private func logLevel(_ invocation: Invocation) throws(SoradError) {
    let client = try adminClient(invocation)
    let answer: JSONValue
    if let level = invocation.arguments.first {
        answer = try client.fetch(ClientRequest(.post, "/admin/log-level", body: .json(["level": .string(level)])))
    } else {
        answer = try client.fetch(ClientRequest(.get, "/admin/log-level"))
    }
    if invocation.has("--json") { return try printJSON("sorad.log-level/1", answer) }
    try Console.print(answer["log_level"]?.string ?? "?")
}

private func setPriority(_ invocation: Invocation) throws(SoradError) {
    guard let priority = Int(invocation.arguments[1]) else {
        throw SoradError(.usage, "PRIORITY must be a whole number, not \"\(invocation.arguments[1])\"", hint: "sorad-ctl help priority")
    }
    let path = "/admin/jobs/\(percentEncoded(invocation.arguments[0]))/priority"
    let video: Video = try adminClient(invocation).fetch(ClientRequest(.post, path, body: .json(["priority": .integer(priority)])))
    try Console.print(invocation.has("--json") ? jobJSON(video).text() : "\(video.id) has priority \(priority)")
}

private func quota(_ invocation: Invocation) throws(SoradError) {
    let client = try adminClient(invocation)
    var limits = JSONObject()
    for (flag, name) in [("--jobs", "jobs"), ("--seconds-per-day", "seconds_per_day"), ("--bytes", "bytes")] {
        guard let text = invocation[flag] else { continue }
        guard text == "none" || Int(text) != nil else {
            throw SoradError(.usage, "\(flag) must be a whole number or none, not \"\(text)\"", hint: "sorad-ctl help quota")
        }
        limits[name] = Int(text).map { .integer($0) } ?? .null
    }
    let answer: JSONValue
    if let user = invocation.arguments.first, invocation.has("--remove") || !limits.members.isEmpty {
        guard !invocation.has("--remove") || limits.members.isEmpty else {
            throw SoradError(.usage, "--remove and a limit contradict each other", hint: "sorad-ctl help quota")
        }
        let path = "/admin/quotas/\(percentEncoded(user))"
        answer = try client.fetch(
            invocation.has("--remove") ? ClientRequest(.delete, path) : ClientRequest(.post, path, body: .json(.object(limits))))
    } else {
        guard limits.members.isEmpty, !invocation.has("--remove") else {
            throw SoradError(.usage, "whose quota? name a USER, or default", hint: "sorad-ctl help quota")
        }
        answer = try client.fetch(ClientRequest(.get, "/admin/quotas"))
    }
    if invocation.has("--json") { return try printJSON("sorad.quotas/1", answer) }
    func row(_ name: String, _ quota: JSONValue) -> [String] {
        [name] + ["jobs", "seconds_per_day", "bytes"].map { quota[$0]?.integer.map(String.init) ?? "none" }
    }
    var rows = [row("default", answer["default"] ?? .null)]
    for member in answer["users"]?.object?.members ?? [] { rows.append(row(member.key, member.value)) }
    try Console.print(table(["USER", "JOBS", "SECONDS/DAY", "BYTES"], rows))
}

private func printMetrics(_ invocation: Invocation) throws(SoradError) {
    let response = try adminClient(invocation).send(ClientRequest(.get, "/metrics"))
    if let failure = response.failure { throw failure }
    try Console.write(response.body)
}

private func printJSON(_ schema: String, _ value: JSONValue) throws(SoradError) {
    var object: JSONObject = ["schema": .string(schema)]
    for member in value.object?.members ?? [] { object[member.key] = member.value }
    try Console.print(JSONValue.object(object).text())
}

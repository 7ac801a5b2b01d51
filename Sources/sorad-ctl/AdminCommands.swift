// The commands for administrators: they speak to the admin socket, which lets in root and the admin group.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem

let adminCommands: [Command] = [
    Command(
        "sorad-ctl drain", options: adminOptions, summary: "take no new jobs; finish the waiting ones",
        details: "Stays in effect over restarts, until resume.", schemas: ["sorad.admin/1"],
        run: { arguments throws(SoradError) in try control("drain", arguments) }),
    Command(
        "sorad-ctl pause", options: adminOptions, summary: "begin no job; running jobs continue to their end",
        details: "Stays in effect over restarts, until resume.", schemas: ["sorad.admin/1"],
        run: { arguments throws(SoradError) in try control("pause", arguments) }),
    Command(
        "sorad-ctl resume", options: adminOptions, summary: "take and begin jobs again, after drain and pause",
        schemas: ["sorad.admin/1"], run: { arguments throws(SoradError) in try control("resume", arguments) }),
    Command(
        "sorad-ctl reload", options: adminOptions, summary: "make the daemon read its log level and keys, and look for models again",
        details: """
            Everything is checked first: where something is wrong in the settings, nothing changes and the exit status is 78. Settings \
            that differ and need a restart are named.
            """, schemas: ["sorad.reload/2"], run: reloadDaemon),
    Command(
        "sorad-ctl log-level",
        [Argument("LEVEL", isOptional: true, "error, warning, notice, info or debug; without it, the present one")],
        options: adminOptions, summary: "show or set how much the daemon writes to its log",
        details: "Lasts until the daemon is started or reloaded.", schemas: ["sorad.log-level/1"], run: logLevel),
    Command(
        "sorad-ctl priority",
        [
            Argument("ID", "a queued or running job"),
            Argument("PRIORITY", "-100 to 100, higher first"),
        ],
        options: adminOptions, summary: "move a job forwards or backwards in the queue",
        examples: ["sorad-ctl priority video_… 10", "sorad-ctl priority latest -5"], schemas: ["sorad.job/1"], run: setPriority),
    Command(
        "sorad-ctl quota", [Argument("USER", isOptional: true, "a name, a number, or default; without it, you")],
        options: [
            Option("all", "show the limits of all users"),
            Option("jobs", .text("N"), "queued and running jobs; none for no limit"),
            Option("seconds-per-day", .text("N"), "seconds of clips within a day; none for no limit"),
            Option("bytes", .text("N"), "bytes of finished clips; none for no limit"),
            Option("remove", "remove the limits of this user, so that the default applies"),
        ] + adminOptions, summary: "show your own quota, or show and set those of users",
        details: "Without USER: your own limits and what is used of them; the rest is for administrators. Limits that are not named stay.",
        examples: [
            "sorad-ctl quota", "sorad-ctl quota --all", "sorad-ctl quota alice --jobs 5 --seconds-per-day 600",
            "sorad-ctl quota default --bytes none",
        ],
        aliases: ["usage"], schemas: ["sorad.usage/1", "sorad.quotas/1"], schemaNote: "sorad.usage/1 of yourself, sorad.quotas/1 of users",
        run: quota),
    fleetCommand,
    Command(
        "sorad-ctl metrics", options: adminOptions, summary: "print the daemon's metrics in the text format of Prometheus",
        details: "--json changes nothing here.", run: printMetrics),
]

let adminOptions = [
    Option(
        "admin-socket", .text("PATH"), default: "admin.sock in the folder of the daemon's socket", variable: "SORAD_ADMIN_SOCKET",
        "the daemon's socket for administrators")
]

/// - Throws: `.unavailable` when no admin socket is there.
func adminClient(_ arguments: Arguments) throws(SoradError) -> HTTPClient {
    var settings = ClientSettings()
    settings.timeout = .seconds(10)
    let path: String
    if let named = arguments["admin-socket"] {
        path = named
    } else {
        let socket = try chosenSocket(arguments["socket"], environment: ChildProcess.currentEnvironment())
        path = (socket.lastIndex(of: "/").map { String(socket[...$0]) } ?? "") + "admin.sock"
    }
    return HTTPClient(socketPath: path, settings: settings)
}

private func control(_ verb: String, _ arguments: Arguments) throws(SoradError) {
    let status: JSONValue = try adminClient(arguments).fetch(ClientRequest(.post, "/admin/\(verb)"))
    if arguments.has("json") { return try printJSON("sorad.admin/1", status) }
    let (intake, processing) = (status["intake"]?.string ?? "?", status["processing"]?.string ?? "?")
    try Console.print(
        "intake \(intake), processing \(processing), \(status["queued"]?.integer ?? 0) queued, \(status["running"]?.integer ?? 0) running")
}

private func reloadDaemon(_ arguments: Arguments) throws(SoradError) {
    let client = try adminClient(arguments)
    let response = try client.send(ClientRequest(.post, "/admin/reload"))
    if response.status == 409, let failure = response.failure {
        throw SoradError(
            .configuration, failure.message, hint: "mend the settings and reload again; sorad --check-config names all mistakes")
    }
    if let failure = response.failure { throw failure }
    let answer: JSONValue = (try? JSONValue(parsing: response.body)) ?? .null
    if arguments.has("json") { return try printJSON("sorad.reload/2", answer) }
    let waiting = answer["waiting"]?.array?.compactMap(\.string) ?? []
    if !waiting.isEmpty { Console.note("sorad-ctl: these settings wait for a restart: \(printable(waiting.joined(separator: ", ")))\n") }
    try Console.print("reloading")
}

private func logLevel(_ arguments: Arguments) throws(SoradError) {
    let client = try adminClient(arguments)
    let answer: JSONValue
    if let level = arguments.words.first {
        answer = try client.fetch(ClientRequest(.post, "/admin/log-level", body: .json(["level": .string(level)])))
    } else {
        answer = try client.fetch(ClientRequest(.get, "/admin/log-level"))
    }
    if arguments.has("json") { return try printJSON("sorad.log-level/1", answer) }
    try Console.print(answer["log_level"]?.string ?? "?")
}

private func setPriority(_ arguments: Arguments) throws(SoradError) {
    guard let priority = Int(arguments.words[1]) else {
        throw SoradError(.usage, "PRIORITY must be a whole number, not \"\(arguments.words[1])\"", hint: "sorad-ctl help priority")
    }
    let id = try DaemonConnection(arguments).identifier(arguments.words[0])
    let path = "/admin/jobs/\(percentEncoded(id))/priority"
    let video: Video = try adminClient(arguments).fetch(ClientRequest(.post, path, body: .json(["priority": .integer(priority)])))
    try Console.print(arguments.has("json") ? jobJSON(video).text() : "\(video.id) has priority \(priority)")
}

private func quota(_ arguments: Arguments) throws(SoradError) {
    let isOwn = arguments.words.isEmpty && !["all", "remove", "jobs", "seconds-per-day", "bytes"].contains { arguments.has($0) }
    if isOwn { return try showUsage(arguments) }
    let client = try adminClient(arguments)
    var limits = JSONObject()
    for (flag, name) in [("jobs", "jobs"), ("seconds-per-day", "seconds_per_day"), ("bytes", "bytes")] {
        guard let text = arguments[flag] else { continue }
        guard text == "none" || Int(text) != nil else {
            throw SoradError(.usage, "--\(flag) must be a whole number or none, not \"\(text)\"", hint: "sorad-ctl help quota")
        }
        limits[name] = Int(text).map { .integer($0) } ?? .null
    }
    let answer: JSONValue
    if let user = arguments.words.first, arguments.has("remove") || !limits.members.isEmpty {
        guard !arguments.has("remove") || limits.members.isEmpty else {
            throw SoradError(.usage, "--remove and a limit contradict each other", hint: "sorad-ctl help quota")
        }
        let path = "/admin/quotas/\(percentEncoded(user))"
        answer = try client.fetch(
            arguments.has("remove") ? ClientRequest(.delete, path) : ClientRequest(.post, path, body: .json(.object(limits))))
    } else {
        guard limits.members.isEmpty, !arguments.has("remove") else {
            throw SoradError(.usage, "no user is named; give a USER, or default", hint: "sorad-ctl help quota")
        }
        answer = try client.fetch(ClientRequest(.get, "/admin/quotas"))
    }
    if arguments.has("json") { return try printJSON("sorad.quotas/1", answer) }
    let only = arguments.words.first.flatMap { userIdentifier($0) }.map(String.init)
    func row(_ name: String, _ quota: JSONValue) -> [String] {
        [UInt32(name).map(ownerWords) ?? printable(name)]
            + ["jobs", "seconds_per_day", "bytes"].map { quota[$0]?.integer.map(String.init) ?? "none" }
    }
    var rows = [row("default", answer["default"] ?? .null)]
    for member in answer["users"]?.object?.members ?? [] where only == nil || member.key == only {
        rows.append(row(member.key, member.value))
    }
    try Console.print(Table(headings: ["USER", "JOBS", "SECONDS/DAY", "BYTES"], rows: rows.map { $0.map { Span($0) } }), arguments)
}

/// - Throws: also for everybody who is no administrator.
func metricsText(_ arguments: Arguments) throws(SoradError) -> String {
    let response = try adminClient(arguments).send(ClientRequest(.get, "/metrics"))
    if let failure = response.failure { throw failure }
    return String(decoding: response.body, as: UTF8.self)
}

private func printMetrics(_ arguments: Arguments) throws(SoradError) {
    let text = try metricsText(arguments)
    try Console.print(text.hasSuffix("\n") ? String(text.dropLast()) : text)
}

func printJSON(_ schema: String, _ value: JSONValue) throws(SoradError) {
    var object: JSONObject = ["schema": .string(schema)]
    for member in value.object?.members ?? [] { object[member.key] = member.value }
    try Console.print(JSONValue.object(object).text())
}

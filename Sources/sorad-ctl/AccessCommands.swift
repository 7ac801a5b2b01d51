// The commands that let others in: keys for clients by TCP, and the page in a browser.
import SoradAPI
import SoradHTTP
import SoradSystem

let accessCommands: [Command] = [
    Command(
        "sorad-ctl key add", [keyName],
        options: [Option("user", .text("USER"), "the user whose jobs and quota the key has; needed")] + adminOptions,
        summary: "make a key for a client that comes by TCP, and print it once",
        details: """
            The daemon keeps its SHA-256 alone, so the key is not shown again. Its holder is that user: sees the user's jobs and \
            uses the user's quota.
            """,
        examples: ["sorad-ctl key add n8n --user alice"], schemas: ["sorad.key/1"], run: addKey),
    Command(
        "sorad-ctl key list", options: adminOptions, summary: "list the keys, whose they are and when they were made", aliases: ["ls"],
        schemas: ["sorad.keys/1"], run: listKeys),
    Command(
        "sorad-ctl key revoke", [keyName], options: adminOptions, summary: "remove a key",
        details: "Works at once, and ends what runs with the key.", examples: ["sorad-ctl key revoke n8n"], aliases: ["rm", "remove"],
        schemas: ["sorad.key/1"], run: removeKey),
    Command(
        "sorad-ctl open",
        options: [
            Option("port", .integer("N", 0...65_535), default: "a free one", "port on this machine that leads to the page"),
            Option("no-browser", "print the address and start no browser"),
        ],
        summary: "open the page in a browser, on this machine or over ssh",
        details: """
            Prints an address with a key of yours that is valid for twelve hours, and starts a browser where there is a desktop.
            Where the daemon has no port of its own, this command carries the browser's connections to the socket until Ctrl-C.
            With --json: one object of schema sorad.open/1.
            """,
        examples: ["sorad-ctl open", "sorad-ctl open --port 8791 --no-browser   # then: ssh -L 8791:127.0.0.1:8791 box"], run: openPage),
]

private let keyName = Argument("NAME", "of the key, like laptop or n8n")

private func addKey(_ arguments: Arguments) throws(SoradError) {
    let name = arguments.words[0]
    guard let user = arguments["user"] else {
        throw SoradError(.usage, "no user is named", hint: "say whose jobs and quota the key has: --user USER")
    }
    let answer: JSONValue = try adminClient(arguments).fetch(
        ClientRequest(.post, "/admin/keys", body: .json(["name": .string(name), "user": .string(user)])))
    if arguments.has("json") { return try printJSON("sorad.key/1", answer) }
    Console.note("the key of \(name), for user \(printable(user)); it is not shown again\n")
    try Console.print(answer["key"]?.string ?? "?")
}

private func listKeys(_ arguments: Arguments) throws(SoradError) {
    let answer: JSONValue = try adminClient(arguments).fetch(ClientRequest(.get, "/admin/keys"))
    if arguments.has("json") { return try printJSON("sorad.keys/1", answer) }
    let rows = (answer["data"]?.array ?? []).map { key in
        [
            Span(key["name"]?.string ?? "?", .bold), Span(key["user_name"]?.string ?? key["user"]?.text() ?? "?"),
            Span(key["created_at"]?.integer.map(rfc3339Date) ?? "?"),
        ]
    }
    guard !rows.isEmpty else { return Console.note("there are no keys; sorad-ctl key add NAME --user USER makes one\n") }
    try Console.print(Table(headings: ["KEY", "USER", "MADE"], rows: rows), arguments)
}

private func removeKey(_ arguments: Arguments) throws(SoradError) {
    let name = arguments.words[0]
    let answer: JSONValue = try adminClient(arguments).fetch(ClientRequest(.delete, "/admin/keys/\(percentEncoded(name))"))
    if arguments.has("json") { return try printJSON("sorad.key/1", answer) }
    try Console.print("\(printable(name)) is removed")
}

private func openPage(_ arguments: Arguments) throws(SoradError) {
    let environment = ChildProcess.currentEnvironment()
    let interrupt = try Interrupt()
    var settings = ClientSettings()
    settings.timeout = .seconds(10)
    let socket = try chosenSocket(arguments["socket"], environment: environment)
    let session: JSONValue = try HTTPClient(socketPath: socket, settings: settings).fetch(ClientRequest(.post, "/v1/browser_sessions"))
    guard let key = session["key"]?.string else { throw SoradError(.internalFault, "the daemon gave no key") }
    let own = session["addresses"]?.array?.compactMap(\.string) ?? []
    var forwarder: Forwarder?
    let base: String
    if let address = own.first(where: { $0.contains("127.0.0.1") }) ?? own.first, !arguments.has("port") {
        base = address
    } else {
        let port = arguments["port"].flatMap { UInt16($0) } ?? 0
        guard let address = NetworkAddress("127.0.0.1:\(port)") else { preconditionFailure("an address of two numbers") }
        let listener = try ListeningSocket(listeningAt: address)
        base = "http://\(listener.address ?? address)"
        forwarder = try Forwarder(from: listener, to: socket)
    }
    try show("\(base)/#key=\(key)", base, arguments, environment, staysOpen: forwarder != nil)
    guard let forwarder else { return }
    _ = interrupt.wait(timeout: nil)
    withExtendedLifetime(forwarder) {}
}

private func show(
    _ url: String, _ base: String, _ arguments: Arguments, _ environment: [String: String], staysOpen: Bool
) throws(SoradError) {
    if arguments.has("json") {
        try printJSON("sorad.open/1", ["url": .string(url)])
    } else {
        try Console.print(url)
    }
    if let port = base.split(separator: ":").last, environment["SSH_CONNECTION"] != nil {
        Console.note("from the machine where you sit: ssh -L \(port):127.0.0.1:\(port) THIS-MACHINE, and open the address there\n")
    } else if !arguments.has("no-browser"), environment["DISPLAY"] != nil || environment["WAYLAND_DISPLAY"] != nil {
        startBrowser(url, environment)
    }
    if staysOpen { Console.note("Ctrl-C ends it\n") }
}

/// The address is on standard output already, so a desktop without a browser is no error.
private func startBrowser(_ url: String, _ environment: [String: String]) {
    guard let program = ChildProcess.executablePath(of: "xdg-open") else { return }
    guard let child = try? ChildProcess(.init(program, [url], environment: environment)) else { return }
    _ = child.wait(timeout: .seconds(5))
}

// `sorad-ctl run`: a sentence, the clip as it comes, the next sentence. Lines that begin with "/" change what follows.
// Invariant: a mistake never ends it; an interrupt ends the job that is watched, and the loop goes back to its prompt.
import Glibc
import SoradAPI
import SoradSystem

func runLoop(_ arguments: Arguments) throws(SoradError) {
    var loop = try PromptLoop(arguments)
    try loop.run()
}

private struct PromptLoop {
    private let arguments: Arguments
    private let daemon: DaemonConnection
    private let interrupt: Interrupt
    private var fields: JSONObject
    private var editor = LineEditor()
    private var lastPrompt: String?
    private var lastVideo: Video?
    /// Whoever pipes prompts in learns by the exit status that one of them made nothing.
    private var firstError: SoradError?

    /// What is set with "/NAME VALUE", and the field that it becomes.
    private static let settings: [(name: String, field: String, help: String)] = [
        ("seed", "seed", "N, or nothing for a random one each time"), ("size", "size", "WxH"), ("seconds", "seconds", "S"),
        ("steps", "num_inference_steps", "N"), ("guidance", "guidance_scale", "G"), ("negative", "negative_prompt", "TEXT"),
        ("model", "model", "NAME"),
    ]

    init(_ arguments: Arguments) throws(SoradError) {
        self.arguments = arguments
        daemon = try DaemonConnection(arguments)
        interrupt = try Interrupt()
        fields = requestFields(prompt: "", flags: arguments)
    }

    mutating func run() throws(SoradError) {
        if StandardStream.input.isTerminal {
            let model = try daemon.health()["default_model"]?.string ?? "no model"
            Console.note("sorad, \(arguments["model"] ?? model). A sentence makes a clip; /help lists the rest, Ctrl-D ends this.\n")
        }
        if let prompt = arguments.words.first { try take(prompt) }
        // Without a terminal the signals that are held back are noticed here.
        while StandardStream.input.isTerminal || !interrupt.wait(forReadable: StandardStream.input.rawValue),
            let line = try editor.read(prompt: "> ")
        {
            let text = trimmed(line)
            if text == "/quit" || text == "/exit" || text == "/bye" { break }
            if !text.isEmpty { try take(text) }
        }
        // It was said where it happened.
        if let firstError, !StandardStream.input.isTerminal { exit(firstError.exitCode) }
    }

    /// Does one line. An error is said, and ends the loop only where there is no daemon any more.
    private mutating func take(_ line: String) throws(SoradError) {
        do throws(SoradError) {
            if line.hasPrefix("/") { try command(line) } else { try make(line) }
        } catch {
            let said = error.inFlags
            said.note(arguments)
            firstError = firstError ?? said
            if error.kind == .cannotWrite { throw error }
        }
    }

    private mutating func make(_ prompt: String) throws(SoradError) {
        lastPrompt = prompt
        fields["prompt"] = .string(prompt)
        try daemon.waitForModels(interrupt)
        let created = try daemon.create(fields)
        for remark in remarks(created) { Console.note("\(remark)\n") }
        let video = try JobWatch(daemon, arguments, interrupt).wait(for: created)
        lastVideo = video
        if arguments.has("json") { return try Console.print(jobJSON(video).text()) }
        let seed = video.details.seed.map { ", seed \($0)" } ?? ""
        try Console.print([[Span("\(video.id)", .bold), Span(seed)]], arguments)
    }

    private mutating func command(_ line: String) throws(SoradError) {
        let parts = line.dropFirst().split(separator: " ", maxSplits: 1).map(String.init)
        let name = parts.first ?? ""
        let value = parts.count > 1 ? trimmed(parts[1]) : nil
        if let setting = PromptLoop.settings.first(where: { $0.name == name }) { return try set(setting.field, name, value) }
        switch name {
        case "again":
            guard let lastPrompt else { throw SoradError(.usage, "there is no sentence yet to make again") }
            try make(lastPrompt)
        case "save": try save(value)
        case "show", "info":
            guard let lastVideo else { throw SoradError(.usage, "there is no clip yet to show") }
            try present(try daemon.video(lastVideo.id), arguments)
        case "jobs", "ls":
            let jobs = try daemon.jobs(limit: 10).jobs
            try Console.print(jobTable(jobs, width: StandardStream.output.columns), arguments)
        case "help", "?": try Console.print(PromptLoop.help)
        default:
            let names = PromptLoop.settings.map(\.name) + ["again", "save", "show", "jobs", "help", "quit"]
            let nearest = nearestName(to: name, among: names).map { ", did you mean /\($0)?" } ?? ""
            throw SoradError(.usage, "there is no /\(name)\(nearest)", hint: "/help lists them")
        }
    }

    private static let help =
        (["SENTENCE             make a clip of it"]
        + settings.map {
            "\(padded("/\($0.name) \($0.help.prefix { $0 != "," })", to: 20)) \($0.name) of the next clips; without a value, the default"
        } + [
            "/again               make the last sentence again, with another seed unless one is set",
            "/save [FILE]         save the last clip; .gif, .webp and .png are converted",
            "/show                show everything about the last clip",
            "/jobs                list the newest jobs", "/quit                end this, as Ctrl-D does",
        ]).joined(separator: "\n")

    private mutating func set(_ field: String, _ name: String, _ value: String?) throws(SoradError) {
        guard let value, value != "random", value != "default" else {
            fields[field] = nil
            return Console.note("\(name): the default\n")
        }
        // The forms are those of the options of the same names.
        guard let option = requestOptions.first(where: { $0.name == name }) else { preconditionFailure("no option --\(name)") }
        if let wanted = option.form.requirement(unmetBy: value) { throw SoradError(.usage, "/\(name) must be \(wanted), not \"\(value)\"") }
        switch option.form {
        case .wholeNumber: fields[field] = UInt64(value).map { .unsigned($0) } ?? Int(value).map { .integer($0) }
        case .number where name != "seconds": fields[field] = Double(value).map { .double($0) }
        default: fields[field] = .string(value)
        }
        Console.note("\(name): \(printable(value))\n")
    }

    private func save(_ path: String?) throws(SoradError) {
        guard let lastVideo else { throw SoradError(.usage, "there is no clip yet to save") }
        let output = try OutputFile(path ?? lastVideo.id + ".mp4")
        let place = output.path
        _ = try daemon.save(lastVideo.id, variant: "video", to: output)
        Console.note("saved \(place)\n")
    }
}

private func trimmed(_ text: String) -> String {
    var text = text[...]
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
}

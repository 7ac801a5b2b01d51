// A program of several commands: which one is meant, and the overview. Adding a command means adding a row.

public struct CommandTable: Sendable {
    public let program: String
    /// One line.
    public let summary: String
    public let commands: [Command]
    /// Options of every command.
    public let common: [Option]
    /// Paragraphs under the overview.
    public let notes: String

    /// A command named `help` is added.
    public init(_ program: String, summary: String, _ commands: [Command], common: [Option] = [], notes: String = "") {
        self.program = program
        self.summary = summary
        self.common = common
        self.notes = notes
        let topic = Argument("COMMAND", isOptional: true, "the command to explain")
        let help = Command("\(program) help", [topic], summary: "explain the program or one command") { _ in }
        self.commands = (commands + [help]).map { $0.adding(common) }
    }

    /// Runs the command that `words` name.
    /// - Throws: `.usage` that names the word at fault, and the command's errors.
    public func main(_ words: [String], environment: [String: String] = [:]) throws(SoradError) {
        guard let name = words.first else { throw usage("no command given") }
        let rest = Array(words.dropFirst())
        switch name {
        case "--version": printOut("\(program) \(soradVersion)\n")
        case "help" where rest.first?.hasPrefix("-") != true, "--help", "-h":
            guard let topic = rest.first else { return printOut(help) }
            guard let command = command(topic) else { throw usage("there is no command \"\(topic)\"") }
            printOut(command.help)
        default:
            guard let command = command(name) else { throw usage(unknown("command", name, among: commands.map(\.lastName))) }
            try command.main(rest, environment: environment)
        }
    }

    private func command(_ name: String) -> Command? { commands.first { $0.lastName == name } }

    private func usage(_ message: String) -> SoradError { SoradError(.usage, message, hint: "see \(program) help") }
}

extension Command {
    fileprivate func adding(_ more: [Option]) -> Command {
        Command(
            name, arguments, options: options + more, summary: summary, details: details, examples: examples, areSettings: areSettings,
            run: run)
    }
}

// A program of several commands: which one is meant, and the overview. Adding a command means adding a row.
// Help, parser, completions and the reference in the documents are all made from this value.

public struct CommandTable: Sendable {
    /// Commands of one kind under a heading of the overview.
    public struct Section: Sendable {
        public let heading: String
        public let commands: [Command]

        public init(_ heading: String, _ commands: [Command]) {
            self.heading = heading
            self.commands = commands
        }
    }

    public let program: String
    /// One line.
    public let summary: String
    public let sections: [Section]
    /// Options of every command.
    public let common: [Option]
    /// Paragraphs under the overview.
    public let notes: String

    public var commands: [Command] { sections.flatMap(\.commands) }

    /// A command named `help` is added to the last section.
    public init(_ program: String, summary: String, _ sections: [Section], common: [Option] = [], notes: String = "") {
        self.program = program
        self.summary = summary
        self.common = common
        self.notes = notes
        let topic = Argument("COMMAND", isOptional: true, isRepeated: true, "the command to explain")
        let help = Command("\(program) help", [topic], summary: "explain the program or one command") { _ in }
        self.sections = sections.enumerated().map { index, section in
            Section(section.heading, (section.commands + (index == sections.count - 1 ? [help] : [])).map { $0.adding(common) })
        }
    }

    public init(_ program: String, summary: String, _ commands: [Command], common: [Option] = [], notes: String = "") {
        self.init(program, summary: summary, [Section("Commands", commands)], common: common, notes: notes)
    }

    /// Runs the command that `words` name; prints the overview when there are none. Options of every command may stand before it.
    /// - Throws: `.usage` that names the word at fault, and the command's errors.
    public func main(_ words: [String], environment: [String: String] = [:]) throws(SoradError) {
        guard !words.isEmpty else { return printOut(help(width: helpWidth())) }
        let (leading, rest) = try leadingOptions(words)
        if leading.contains("--version") { return printOut("\(program) \(soradVersion)\n") }
        let asksHelp = leading.contains("--help") || leading.contains("-h")
        guard !rest.isEmpty else {
            if asksHelp { return printOut(help(width: helpWidth())) }
            throw usage("no command given after \(leading.joined(separator: " "))")
        }
        let asksHere = asksHelp || rest.contains("--help") || rest.contains("-h")
        if asksHere, let text = familyHelp(rest.filter { !$0.hasPrefix("-") }) { return printOut(text) }
        let (command, others) = try command(rest)
        if command.lastName == "help", !others.contains("--help"), !others.contains("-h") {
            return try explain(others.filter { !$0.hasPrefix("-") })
        }
        if asksHelp { return try explain(rest.filter { !$0.hasPrefix("-") }.prefix(2).map { $0 }, isStrict: false) }
        try command.main(leading + others, environment: environment)
    }

    /// Prints the help of the command that `words` name, or the overview.
    private func explain(_ words: [String], isStrict: Bool = true) throws(SoradError) {
        guard !words.isEmpty else { return printOut(help(width: helpWidth())) }
        if let text = familyHelp(words) { return printOut(text) }
        let (command, others) = try command(words)
        // An alias stands for further words, which nobody typed.
        let added = command.aliases.first { $0.name == words[0] }?.words.count ?? 0
        guard others.count == added || !isStrict else { throw usage("there is no command \"\(words.joined(separator: " "))\"") }
        printOut(command.help(width: helpWidth()))
        // A family whose name alone is a command: its other members are named too.
        let members = commands.filter { $0.isSubcommand && $0.family == command.path }
        if !members.isEmpty { printOut("\nSee also: " + members.map { "\(program) help \($0.path)" }.joined(separator: ", ") + "\n") }
    }

    /// The overview of a family that is named alone and has no command of that name; nil for other words.
    private func familyHelp(_ words: [String]) -> String? {
        let families = Set(commands.map(\.family))
        guard words.count == 1, !commands.contains(where: { !$0.isSubcommand && $0.aliases.contains { $0.name == words[0] } }) else {
            return nil
        }
        let meant = families.contains(words[0]) ? [words[0]] : families.filter { $0.hasPrefix(words[0]) }
        guard meant.count == 1, !commands.contains(where: { $0.path == meant[0] }) else { return nil }
        return help(family: meant[0], width: helpWidth())
    }

    /// Options in front of the command, with their values.
    private func leadingOptions(_ words: [String]) throws(SoradError) -> (options: [String], rest: [String]) {
        var rest = words[...]
        var leading: [String] = []
        while let word = rest.first, word.hasPrefix("-"), word != "--" {
            rest = rest.dropFirst()
            leading.append(word)
            let name = word.split(separator: "=", maxSplits: 1).first.map(String.init) ?? word
            let known = common + [Option.help, Option.version]
            guard let option = known.first(where: { "--\($0.name)" == name || $0.short.map { "-\($0)" } == name }) else {
                throw usage(unknown("option", name, among: known.map { "--\($0.name)" }))
            }
            if option.form.placeholder != nil, name == word, let value = rest.popFirst() { leading.append(value) }
        }
        return (leading, Array(rest))
    }

    // MARK: names

    /// The command that the first words name, by its name, an alias or a unique beginning of one, and the words after it.
    public func command(_ words: [String]) throws(SoradError) -> (command: Command, rest: [String]) {
        let families = Set(commands.map(\.family))
        let aliases = commands.filter { !$0.isSubcommand }.flatMap { command in command.aliases.map { (alias: $0, command: command) } }
        if let found = aliases.first(where: { $0.alias.name == words[0] }) {
            return (found.command, found.alias.words + words.dropFirst())
        }
        var family = words[0]
        if !families.contains(family) {
            let meant = families.filter { $0.hasPrefix(family) }.sorted()
            guard !meant.isEmpty, !family.isEmpty else {
                throw usage(unknown("command", family, among: families.sorted() + aliases.map(\.alias.name)))
            }
            guard meant.count == 1 else {
                throw usage("\"\(family)\" is short for several commands: \(meant.joined(separator: ", "))")
            }
            family = meant[0]
        }
        return try member(of: family, Array(words.dropFirst()))
    }

    /// The command of a family that the next word names, or the one that has the family's name alone.
    private func member(of family: String, _ words: [String]) throws(SoradError) -> (command: Command, rest: [String]) {
        let base = commands.first { $0.path == family }
        // Without a command of the family's own name, options of every command may stand before the member too.
        if base == nil, words.first?.hasPrefix("-") == true {
            let (leading, rest) = try leadingOptions(words)
            guard !rest.isEmpty else { return try member(of: family, []) }
            let (command, others) = try member(of: family, rest)
            return (command, leading + others)
        }
        let members = commands.filter { $0.family == family && $0.isSubcommand }
        if let word = words.first, !word.hasPrefix("-"), !members.isEmpty {
            if let found = members.first(where: { $0.aliases.contains { $0.name == word } }) { return (found, Array(words.dropFirst())) }
            let names = members.map(\.lastName)
            let meant = names.contains(word) ? [word] : names.filter { $0.hasPrefix(word) && !word.isEmpty }
            if meant.count == 1, let found = members.first(where: { $0.lastName == meant[0] }) { return (found, Array(words.dropFirst())) }
            if meant.count > 1 { throw usage("\"\(family) \(word)\" is short for several commands: \(meant.joined(separator: ", "))") }
            if base?.arguments.isEmpty != false { throw usage(unknown("command", "\(family) \(word)", among: members.map(\.path))) }
        }
        if let base { return (base, words) }
        throw SoradError(
            .usage, "\(family) needs one of \(members.map(\.lastName).joined(separator: ", "))", hint: "see \(program) \(family) --help")
    }

    private func usage(_ message: String) -> SoradError { SoradError(.usage, message, hint: "see \(program) help") }
}

extension Command {
    fileprivate func adding(_ more: [Option]) -> Command {
        Command(
            name, arguments, options: options + more, summary: summary, details: details, examples: examples, aliases: aliases,
            schemas: schemas, schemaNote: schemaNote, areSettings: areSettings, run: run)
    }
}

// A command: its arguments, its options and its action. Parser and help are made from this value. Pure but for `run`.

public struct Command: Sendable {
    /// Another name of a command, and the words that it stands for besides.
    public struct Alias: Sendable, Equatable, ExpressibleByStringLiteral {
        public let name: String
        public let words: [String]

        public init(_ name: String, _ words: [String]) {
            self.name = name
            self.words = words
        }

        public init(stringLiteral name: String) { self.init(name, []) }
    }

    /// As it is called: "sorad-worker", or "sorad-ctl generate" within a table of commands.
    public let name: String
    public let arguments: [Argument]
    public let options: [Option]
    /// One line for an overview.
    public let summary: String
    /// Paragraphs for its own help.
    public let details: String
    public let examples: [String]
    /// Other names of it, e.g. "ls" for jobs.
    public let aliases: [Alias]
    /// What `--json` prints: names of schemas, e.g. "sorad.jobs/1"; the last is that of the result.
    public let schemas: [String]
    /// Where it is not that one, which is printed when.
    public let schemaNote: String?
    /// Its options are settings, which have other sources too: the last value counts, and a `SettingsTable` checks those of all sources.
    public let areSettings: Bool
    public let run: @Sendable (Arguments) throws(SoradError) -> Void

    public init(
        _ name: String, _ arguments: [Argument] = [], options: [Option] = [], summary: String, details: String = "",
        examples: [String] = [], aliases: [Alias] = [], schemas: [String] = [], schemaNote: String? = nil, areSettings: Bool = false,
        run: @escaping @Sendable (Arguments) throws(SoradError) -> Void
    ) {
        precondition(Set(options.map(\.name)).count == options.count, "\(name) has an option twice")
        self.name = name
        self.arguments = arguments
        self.options = options
        self.summary = summary
        self.details = details
        self.examples = examples
        self.aliases = aliases
        self.schemas = schemas
        self.schemaNote = schemaNote
        self.areSettings = areSettings
        self.run = run
    }

    /// Parses `words`, answers `--help` and `--version`, and runs the command.
    /// - Throws: `.usage` that names the word at fault.
    public func main(_ words: [String], environment: [String: String] = [:]) throws(SoradError) {
        let arguments = try parse(words, environment: environment)
        if arguments.has(Option.help.name) { return printOut(help(width: helpWidth())) }
        if arguments.has(Option.version.name) { return printOut("\(name) \(soradVersion)\n") }
        try run(arguments)
    }

    /// - Parameters:
    ///   - words: the command line without the name. Options may stand anywhere; `--` ends them.
    ///   - environment: stands in for absent options that name a variable.
    /// - Throws: `.usage` that names the word at fault.
    public func parse(_ words: [String], environment: [String: String] = [:]) throws(SoradError) -> Arguments {
        var result = Arguments()
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--" {
                result.words += rest
                break
            }
            guard isOption(word) else {
                result.words.append(word)
                continue
            }
            let word = separated(word, &rest)
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let option = try lookUp(parts[0])
            guard option.isList || areSettings || !result.has(option.name) else { throw usage("--\(option.name) is given twice") }
            result.values[option.name, default: []].append(try value(of: option, parts.count == 2 ? parts[1] : nil, &rest))
        }
        if result.has(Option.help.name) || result.has(Option.version.name) { return result }
        try check(result.words)
        for option in options {
            guard !result.has(option.name), let value = option.variable.flatMap({ environment[$0] }), !value.isEmpty else { continue }
            result.values[option.name] = [value]
        }
        return result
    }

    /// A negative number is a word.
    private func isOption(_ word: String) -> Bool {
        guard word.hasPrefix("-"), word != "-" else { return false }
        return Int(word) == nil || options.contains { $0.short.map { "-\($0)" } == word.prefix(2) }
    }

    /// The first option of letters in one word, "-q" of "-qo": what follows it goes back to `rest`, or is its value as in "-oFILE".
    private func separated(_ word: String, _ rest: inout ArraySlice<String>) -> String {
        guard !word.hasPrefix("--"), word.count > 2, word.dropFirst(2).first != "=" else { return word }
        let letter = String(word.prefix(2))
        guard let option = (options + [Option.help]).first(where: { $0.short.map { "-\($0)" } == letter }) else { return word }
        if option.form.placeholder != nil { return letter + "=" + word.dropFirst(2) }
        rest = ["-" + word.dropFirst(2)] + rest
        return letter
    }

    private func lookUp(_ word: String) throws(SoradError) -> Option {
        let known = options + [Option.help, Option.version]
        if let option = known.first(where: { "--\($0.name)" == word || $0.short.map { "-\($0)" } == word }) { return option }
        // Settings have other spellings in files and variables, so theirs are whole everywhere.
        let meant = areSettings || !word.hasPrefix("--") ? [] : known.filter { "--\($0.name)".hasPrefix(word) }
        if meant.count == 1 { return meant[0] }
        if meant.count > 1 { throw usage("\(word) is short for several options: \(meant.map { "--\($0.name)" }.joined(separator: ", "))") }
        throw usage(unknown("option", word, among: known.map { "--\($0.name)" }))
    }

    private func value(of option: Option, _ inline: String?, _ rest: inout ArraySlice<String>) throws(SoradError) -> String {
        guard let placeholder = option.form.placeholder else {
            guard inline == nil else { throw usage("--\(option.name) takes no value") }
            return ""
        }
        guard let text = inline ?? rest.popFirst() else { throw usage("--\(option.name) needs a value: --\(option.name) \(placeholder)") }
        guard !areSettings, let wanted = option.form.requirement(unmetBy: text) else { return text }
        throw usage("--\(option.name) must be \(wanted), not \"\(text)\"")
    }

    private func check(_ words: [String]) throws(SoradError) {
        let required = arguments.count { !$0.isOptional }
        if words.count < required { throw usage("\(lastName) needs \(arguments[words.count].name)") }
        guard words.count > arguments.count, arguments.last?.isRepeated != true else { return }
        let hint = arguments.contains { $0.name == "PROMPT" } ? "put the whole prompt in quotes" : nil
        throw usage("\"\(words[arguments.count])\" is one word too many for \(lastName)", hint: hint)
    }

    /// A refusal of this command's arguments, with the way to its help.
    public func usage(_ message: String, hint: String? = nil) -> SoradError {
        SoradError(.usage, message, hint: hint ?? "see \(name) --help")
    }

    /// "generate" of "sorad-ctl generate".
    public var lastName: String { name.split(separator: " ").last.map(String.init) ?? name }
    /// "models show" of "sorad-ctl models show".
    public var path: String { name.split(separator: " ").dropFirst().joined(separator: " ") }
    /// "models" of "sorad-ctl models show".
    var family: String { path.split(separator: " ").first.map(String.init) ?? name }
    var isSubcommand: Bool { path.contains(" ") }
}

/// A refusal of a word that is not known, with the known one that it looks like a slip of the finger for.
func unknown(_ kind: String, _ word: String, among known: [String]) -> String {
    guard let nearest = nearestName(to: word, among: known) else { return "unknown \(kind) \"\(word)\"" }
    return "unknown \(kind) \"\(word)\", did you mean \"\(nearest)\"?"
}

// Turns words into an `Invocation` by the command table. Pure: no output, no environment other than the one passed in.
import SoradSystem

struct CommandLineParser {
    let commands: [Command]
    /// Stands in for absent flags that name a variable.
    let environment: [String: String]

    /// - Parameter words: the command line without the program's name.
    /// - Throws: `.usage` naming the word at fault.
    func parse(_ words: [String]) throws(SoradError) -> Invocation {
        var words = words
        if let first = words.first, first == "--help" || first == "-h" { words[0] = "help" }
        if words.first == "--version" { words[0] = "version" }
        guard let name = words.first else { throw usage("no command given", hint: "sorad-ctl help") }
        guard let command = commands.first(where: { $0.name == name }) else {
            throw unknown("command", name, among: commands.map(\.name), hint: "sorad-ctl help")
        }
        let (arguments, flags) = try split(Array(words.dropFirst()), for: command)
        if flags["--help"] != nil { return Invocation(command: "help", arguments: [command.name], flags: [:]) }
        try check(arguments, for: command)
        return Invocation(command: command.name, arguments: arguments, flags: withEnvironment(flags, for: command))
    }

    private func split(_ words: [String], for command: Command) throws(SoradError) -> (arguments: [String], flags: [String: String]) {
        var arguments: [String] = []
        var flags: [String: String] = [:]
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--" {
                arguments += rest
                break
            }
            guard word.hasPrefix("-"), word != "-" else {
                arguments.append(word)
                continue
            }
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let flag = try lookUp(parts[0], for: command)
            guard flags[flag.name] == nil else { throw usage("\(flag.name) is given twice", hint: helpFor(command)) }
            flags[flag.name] = try value(of: flag, inline: parts.count == 2 ? parts[1] : nil, rest: &rest, for: command)
        }
        return (arguments, flags)
    }

    private func lookUp(_ word: String, for command: Command) throws(SoradError) -> Flag {
        let match = command.allFlags.first { $0.name == word || $0.short.map { "-\($0)" } == word }
        guard let match else { throw unknown("option", word, among: command.allFlags.map(\.name), hint: helpFor(command)) }
        return match
    }

    private func value(
        of flag: Flag, inline: String?, rest: inout ArraySlice<String>, for command: Command
    ) throws(SoradError) -> String {
        guard let placeholder = flag.value.placeholder else {
            guard inline == nil else { throw usage("\(flag.name) takes no value", hint: helpFor(command)) }
            return ""
        }
        guard let text = inline ?? rest.popFirst() else {
            throw usage("\(flag.name) needs a value: \(flag.name) \(placeholder)", hint: helpFor(command))
        }
        guard let wanted = complaint(about: text, as: flag.value) else { return text }
        throw usage("\(flag.name) must be \(wanted), not \"\(text)\"", hint: helpFor(command))
    }

    private func check(_ arguments: [String], for command: Command) throws(SoradError) {
        let required = command.arguments.filter { !$0.isOptional }.count
        if arguments.count < required {
            throw usage("\(command.name) needs \(command.arguments[arguments.count].name)", hint: helpFor(command))
        }
        guard arguments.count > command.arguments.count else { return }
        let extra = arguments[command.arguments.count]
        let hint = command.arguments.contains { $0.name == "PROMPT" } ? "Put the whole prompt in quotes." : helpFor(command)
        throw usage("\"\(extra)\" is one word too many for \(command.name)", hint: hint)
    }

    private func withEnvironment(_ flags: [String: String], for command: Command) -> [String: String] {
        var flags = flags
        for flag in command.allFlags {
            guard flags[flag.name] == nil, let variable = flag.environment, let value = environment[variable], !value.isEmpty else {
                continue
            }
            flags[flag.name] = value
        }
        return flags
    }
}

/// What `text` should have been, or nil if it is fine.
private func complaint(about text: String, as value: FlagValue) -> String? {
    switch value {
    case .none: nil
    case .text: text.isEmpty ? "not empty" : nil
    case .integer: Int64(text) == nil && UInt64(text) == nil ? "a whole number" : nil
    case .number: Double(text).map(\.isFinite) == true ? nil : "a number"
    case .choice(let values): values.contains(text) ? nil : "one of " + values.joined(separator: ", ")
    case .size: isSize(text) ? nil : "WIDTHxHEIGHT in pixels, like 128x128"
    }
}

private func isSize(_ text: String) -> Bool {
    let parts = text.split(separator: "x", omittingEmptySubsequences: false)
    return parts.count == 2 && parts.allSatisfy { Int($0) != nil }
}

private func helpFor(_ command: Command) -> String { "sorad-ctl help \(command.name)" }

private func usage(_ message: String, hint: String) -> SoradError { SoradError(.usage, message, hint: hint) }

/// An unknown word, with the known one nearest to it if it looks like a slip of the finger.
private func unknown(_ kind: String, _ word: String, among known: [String], hint: String) -> SoradError {
    let nearest = known.map { (name: $0, distance: editDistance(word, $0)) }.min { $0.distance < $1.distance }
    guard let nearest, nearest.distance <= 2 else { return usage("unknown \(kind) \"\(word)\"", hint: hint) }
    return usage("unknown \(kind) \"\(word)\", did you mean \"\(nearest.name)\"?", hint: hint)
}

/// Levenshtein distance over characters.
func editDistance(_ first: String, _ second: String) -> Int {
    let second = Array(second)
    var row = Array(0...second.count)
    for (i, a) in first.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, b) in second.enumerated() {
            let next = min(diagonal + (a == b ? 0 : 1), row[j] + 1, row[j + 1] + 1)
            diagonal = row[j + 1]
            row[j + 1] = next
        }
    }
    return row[second.count]
}

// Help made from the tables of options and commands. Pure text; lines of at most 100 columns where the words allow it.

extension CommandTable {
    /// The overview, at most `width` columns wide where the words allow it.
    public func help(width: Int = 100) -> String {
        let lists = sections.map { section in
            "\(section.heading):\n" + columns(section.commands.map { ($0.path.isEmpty ? $0.lastName : $0.path, $0.overview) }, width)
        }
        let texts = [
            fitted("\(program): \(summary)", width),
            fitted("Usage: \(program) COMMAND [ARGUMENT…] [OPTION…]", width),
            lists.joined(separator: "\n\n"),
            common.isEmpty ? "" : "Options of every command:\n" + columns(common.map { ($0.left, $0.right) }, width),
            fitted("`\(program) COMMAND --help` explains a command.", width),
            fitted(notes, width),
        ]
        return texts.filter { !$0.isEmpty }.joined(separator: "\n\n") + "\n"
    }

    /// The commands that share a first word.
    func help(family: String, width: Int) -> String {
        let members = commands.filter { $0.isSubcommand && $0.family == family }
        return [
            fitted("\(program) \(family): \(members.map(\.lastName).joined(separator: ", "))", width),
            fitted("Usage: \(program) \(family) COMMAND [ARGUMENT…] [OPTION…]", width),
            "Commands:\n" + columns(members.map { ($0.lastName, $0.overview) }, width),
            fitted("`\(program) \(family) COMMAND --help` explains a command.", width),
        ].joined(separator: "\n\n") + "\n"
    }
}

extension Command {
    /// The summary, and the other names.
    var overview: String { summary + (aliases.isEmpty ? "" : " (also: \(aliases.map(\.name).joined(separator: ", ")))") }

    /// "sorad-ctl show ID [OPTION…]"
    var usageLine: String {
        let words = arguments.map { argument in
            let name = argument.name + (argument.isRepeated ? "…" : "")
            return argument.isOptional ? " [\(name)]" : " \(name)"
        }.joined()
        return "\(name)\(words) [OPTION…]"
    }

    /// The meaning of `--json`, where it has one.
    var schemaSentence: String? {
        if let schemaNote { return "With --json: an object of schema \(schemaNote)." }
        guard let result = schemas.last else { return nil }
        let before = schemas.dropLast()
        if before.isEmpty { return "With --json: an object of schema \(result)." }
        return "With --json, one object a line: \(before.joined(separator: ", ")) on the way, \(result) at the end."
    }

    /// The whole explanation, at most `width` columns wide where the words allow it.
    public func help(width: Int = 100) -> String {
        var sections = [fitted("\(name): \(overview)", width), fitted("Usage: \(usageLine)", width)]
        let paragraphs = [details, schemaSentence ?? ""].filter { !$0.isEmpty }
        if !paragraphs.isEmpty { sections.append(fitted(paragraphs.joined(separator: "\n"), width)) }
        if !arguments.isEmpty { sections.append("Arguments:\n" + columns(arguments.map { ($0.name, $0.summary) }, width)) }
        sections.append("Options:\n" + columns((options + [Option.help]).map { ($0.left, $0.right) }, width))
        if !examples.isEmpty { sections.append("Examples:\n" + examples.map { "  \($0)" }.joined(separator: "\n")) }
        // Programs of one command have it in their details.
        if !details.contains("Exit status:") { sections.append(fitted(SoradError.exitStatusHelp, width)) }
        return sections.joined(separator: "\n\n") + "\n"
    }
}

/// Columns of help on standard output.
func helpWidth() -> Int { min(100, max(20, StandardStream.output.columns ?? 100)) }

/// `text` with its lines, those that are too long cut between words.
private func fitted(_ text: String, _ width: Int) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
        line.count <= width ? String(line) : wrapped(String(line), to: width).joined(separator: "\n")
    }.joined(separator: "\n")
}

extension Option {
    /// "-o, --output FILE"
    var left: String {
        (short.map { "-\($0), " } ?? "    ") + "--\(name)" + (form.placeholder.map { " \($0)" } ?? "")
    }

    var right: String {
        summary + (isList ? "; may be repeated" : "") + (defaultText.map { " [default: \($0)]" } ?? "")
            + (variable.map { " [$\($0)]" } ?? "")
    }
}

/// Two columns; long text on the right is wrapped, and text that is too long on the left has a line of its own.
private func columns(_ rows: [(left: String, right: String)], _ total: Int) -> String {
    let width = min(rows.map(\.left.count).max() ?? 0, total < 60 ? 10 : 30)
    return rows.map { left, right in
        var lines = wrapped(right, to: max(10, total - width - 4))
        let first = left.count <= width ? "  \(padded(left, to: width))  \(lines.removeFirst())" : choices(left, total)
        return ([first] + lines.map { String(repeating: " ", count: width + 4) + $0 }).joined(separator: "\n")
    }.joined(separator: "\n")
}

/// An option on a line of its own, or on several where the words of its value do not fit one.
private func choices(_ left: String, _ total: Int) -> String {
    var lines = ["  "]
    for (index, part) in left.split(separator: "|", omittingEmptySubsequences: false).enumerated() {
        let text = (index > 0 ? "|" : "") + part
        if index > 0, lines[lines.count - 1].count + text.count > total { lines.append("        ") }
        lines[lines.count - 1] += text
    }
    return lines.joined(separator: "\n")
}

/// Lines of at most `width` columns, cut between words; at least one.
func wrapped(_ text: String, to width: Int) -> [String] {
    var lines = [""]
    for word in text.split(separator: " ") {
        let line = lines[lines.count - 1]
        if line.isEmpty {
            lines[lines.count - 1] = String(word)
        } else if line.count + 1 + word.count <= width {
            lines[lines.count - 1] += " " + word
        } else {
            lines.append(String(word))
        }
    }
    return lines
}

/// Left-aligned in `width` columns.
public func padded(_ text: String, to width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }

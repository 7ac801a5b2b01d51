// Help made from the tables of options and commands. Pure text; lines of at most 100 columns where the words allow it.

extension CommandTable {
    /// The overview.
    public var help: String {
        let sections = [
            "\(program): \(summary)",
            "Usage: \(program) COMMAND [ARGUMENT…] [OPTION…]",
            "Commands:\n" + columns(commands.map { ($0.lastName, $0.summary) }),
            common.isEmpty ? "" : "Options of every command:\n" + columns(common.map { ($0.left, $0.right) }),
            "`\(program) COMMAND --help` explains a command.",
            notes,
        ]
        return sections.filter { !$0.isEmpty }.joined(separator: "\n\n") + "\n"
    }
}

extension Command {
    /// The whole explanation.
    public var help: String {
        let words = arguments.map { argument in
            let name = argument.name + (argument.isRepeated ? "…" : "")
            return argument.isOptional ? " [\(name)]" : " \(name)"
        }.joined()
        var sections = ["\(name): \(summary)", "Usage: \(name)\(words) [OPTION…]"]
        if !details.isEmpty { sections.append(details) }
        if !arguments.isEmpty { sections.append("Arguments:\n" + columns(arguments.map { ($0.name, $0.summary) })) }
        sections.append("Options:\n" + columns((options + [Option.help]).map { ($0.left, $0.right) }))
        if !examples.isEmpty { sections.append("Examples:\n" + examples.map { "  \($0)" }.joined(separator: "\n")) }
        return sections.joined(separator: "\n\n") + "\n"
    }
}

extension Option {
    /// "-o, --output FILE"
    fileprivate var left: String {
        (short.map { "-\($0), " } ?? "    ") + "--\(name)" + (form.placeholder.map { " \($0)" } ?? "")
    }

    fileprivate var right: String {
        summary + (isList ? "; may be repeated" : "") + (defaultText.map { " [default: \($0)]" } ?? "")
            + (variable.map { " [$\($0)]" } ?? "")
    }
}

/// Two columns; long text on the right is wrapped, and text that is too long on the left has a line of its own.
private func columns(_ rows: [(left: String, right: String)]) -> String {
    let width = min(rows.map(\.left.count).max() ?? 0, 30)
    return rows.map { left, right in
        var lines = wrapped(right, to: 100 - width - 4)
        let first = left.count <= width ? "  \(padded(left, to: width))  \(lines.removeFirst())" : "  \(left)"
        return ([first] + lines.map { String(repeating: " ", count: width + 4) + $0 }).joined(separator: "\n")
    }.joined(separator: "\n")
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

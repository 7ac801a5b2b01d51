// The reference of a program's commands as Markdown, made from the table, so that the documents say what the help says. Pure text.

extension CommandTable {
    /// Every command with its usage, options and examples, under headings of level 2 and 3.
    public var markdown: String {
        var text = ""
        for section in sections {
            text += "## \(section.heading)\n"
            for command in section.commands { text += "\n" + command.markdown(without: Set(common.map(\.name))) }
            text += "\n"
        }
        text += "## Options of every command\n\(Self.list(common))\n"
        return text
    }

    fileprivate static func list(_ options: [Option]) -> String {
        (["| option | meaning |", "|---|---|"] + options.map { "| `\(cell($0.trimmedLeft))` | \(cell($0.right)) |" })
            .joined(separator: "\n") + "\n"
    }

    /// Text within a cell of a table.
    fileprivate static func cell(_ text: String) -> String {
        text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
    }
}

extension Command {
    fileprivate func markdown(without common: Set<String>) -> String {
        var text = "### \(path)\n`\(usageLine)`\n\n"
        let paragraph =
            overview.prefix(1).uppercased() + overview.dropFirst() + ". " + details.split(separator: "\n").joined(separator: " ")
        text += wrapped(paragraph, to: 100).joined(separator: "\n") + "\n"
        if let schemaSentence { text += wrapped(schemaSentence, to: 100).joined(separator: "\n") + "\n" }
        let own = options.filter { !common.contains($0.name) }
        if !arguments.isEmpty || !own.isEmpty {
            let rows = arguments.map { "| `\($0.name)` | \(CommandTable.cell($0.summary)) |" }
            let lines = CommandTable.list(own).split(separator: "\n").map(String.init)
            text += "\n" + (lines.prefix(2) + rows + lines.dropFirst(2)).joined(separator: "\n") + "\n"
        }
        if !examples.isEmpty { text += "\n```sh\n\(examples.joined(separator: "\n"))\n```\n" }
        return text
    }
}

extension Option {
    fileprivate var trimmedLeft: String { String(left.drop { $0 == " " }) }
}

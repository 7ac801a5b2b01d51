// The help, made from the command table. Pure text, 80 columns where the words allow it.

/// The overview that `sorad-ctl help` prints.
func overviewHelp(of commands: [Command]) -> String {
    let width = commands.map(\.name.count).max() ?? 0
    let lines = commands.map { "  \(padded($0.name, to: width))  \($0.summary)" }
    return """
        sorad-ctl: make short videos from text with the sorad daemon on this machine

        Usage: sorad-ctl COMMAND [ARGUMENT…] [OPTION…]

        Commands:
        \(lines.joined(separator: "\n"))

        Options of every command:
        \(flagLines(commonFlags))

        Data go to standard output, progress and errors to standard error.
        Exit status: \(exitStatusHelp)

        """
}

/// What `sorad-ctl help COMMAND` prints.
func help(for command: Command) -> String {
    let arguments = command.arguments.map { $0.isOptional ? " [\($0.name)]" : " \($0.name)" }.joined()
    var sections = ["sorad-ctl \(command.name): \(command.summary)", "Usage: sorad-ctl \(command.name)\(arguments) [OPTION…]"]
    if !command.details.isEmpty { sections.append(command.details) }
    if !command.arguments.isEmpty {
        let width = command.arguments.map(\.name.count).max() ?? 0
        sections.append("Arguments:\n" + command.arguments.map { "  \(padded($0.name, to: width))  \($0.summary)" }.joined(separator: "\n"))
    }
    sections.append("Options:\n" + flagLines(command.allFlags))
    if !command.examples.isEmpty { sections.append("Examples:\n" + command.examples.map { "  \($0)" }.joined(separator: "\n")) }
    return sections.joined(separator: "\n\n") + "\n"
}

private let exitStatusHelp = """
    0 done, 1 the job failed, 2 it was cancelled, 64 wrong usage, 65 bad input, 66 no such job or file,
      69 no daemon, 70 internal error, 75 busy: try again later, 77 no permission, 124 waited too long, 130 interrupted.
    """

private func flagLines(_ flags: [Flag]) -> String {
    let left = flags.map { flag in
        let short = flag.short.map { "-\($0), " } ?? "    "
        return short + flag.name + (flag.value.placeholder.map { " \($0)" } ?? "")
    }
    let width = min(left.map(\.count).max() ?? 0, 34)
    return zip(left, flags).map { name, flag in
        let variable = flag.environment.map { " [$\($0)]" } ?? ""
        return "  \(padded(name, to: width))  \(flag.summary)\(variable)"
    }.joined(separator: "\n")
}

/// Left-aligned in `width` columns.
func padded(_ text: String, to width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
}

// Completions for shells, made from the table of commands. Pure text. Ids of jobs are asked of the program itself when they are needed.

public enum Shell: String, Sendable, CaseIterable {
    case bash, zsh, fish
}

extension CommandTable {
    /// A script that makes `shell` complete this program's commands, options and the values of options that are words.
    public func completions(for shell: Shell) -> String {
        switch shell {
        case .bash: bash
        // A file of zsh's own folder is run by the first completion, which has to be answered too.
        case .zsh:
            "#compdef \(program)\nautoload -U +X bashcompinit && bashcompinit\n" + bash
                + "[[ ${funcstack[1]} == _\(program) ]] && _bash_complete -o filenames -F \(function)\n"
        case .fish: fish
        }
    }

    private var names: [String] { commands.filter { !$0.isSubcommand }.map(\.path) + families.filter { base($0) == nil } }
    private var families: [String] {
        commands.filter(\.isSubcommand).map(\.family).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }
    private func base(_ family: String) -> Command? { commands.first { $0.path == family } }
    private func members(_ family: String) -> [Command] { commands.filter { $0.isSubcommand && $0.family == family } }
    private var function: String { "_" + program.map { $0 == "-" ? "_" : String($0) }.joined() }

    private var bash: String {
        var cases = ""
        for command in commands {
            let names = [command.path] + command.aliases.map(\.name)
            cases += "    \(names.map { "\"\($0)\"" }.joined(separator: "|"))) options=\"\(command.optionWords.joined(separator: " "))\""
            if let kind = command.arguments.last?.completion { cases += " words=\(kind)" }
            cases += " ;;\n"
        }
        var values = ""
        for option in Set(commands.flatMap(\.options).filter { $0.form.words != nil }.map { "--\($0.name)" }).sorted() {
            let words = commands.flatMap(\.options).first { "--\($0.name)" == option }?.form.words ?? []
            values += "    \(option)) COMPREPLY=($(compgen -W \"\(words.joined(separator: " "))\" -- \"$current\")); return ;;\n"
        }
        let files = Set(commands.flatMap(\.options).filter(\.takesFile).flatMap(\.spellings)).sorted().joined(separator: "|")
        var second = ""
        for family in families {
            second += "    \(family)) [[ $COMP_CWORD -eq 2 ]] && sub=\"\(members(family).map(\.lastName).joined(separator: " "))\" ;;\n"
        }
        return """
            # Completions of \(program) for bash and zsh; made by `\(program) completion`.
            \(function)() {
              local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" options="" words="" sub=""
              COMPREPLY=()
              if [[ $COMP_CWORD -eq 1 ]]; then
                COMPREPLY=($(compgen -W "\(names.joined(separator: " "))" -- "$current"))
                return
              fi
              case "$previous" in
            \(values)    \(files)) COMPREPLY=($(compgen -f -- "$current")); return ;;
              esac
              local path="${COMP_WORDS[1]}"
              case "$path" in
            \(second)    *) ;;
              esac
              case "$path ${COMP_WORDS[2]}" in
            \(families.flatMap { members($0) }.map { "    \"\($0.path)\") path=\"\($0.path)\" ;;\n" }.joined())    *) ;;
              esac
              case "$path" in
            \(cases)    *) ;;
              esac
              if [[ $current == -* ]]; then
                COMPREPLY=($(compgen -W "$options" -- "$current"))
              elif [[ -n $sub ]]; then
                COMPREPLY=($(compgen -W "$sub" -- "$current"))
              elif [[ $words == jobs ]]; then
                COMPREPLY=($(compgen -W "latest $(\(program) jobs --limit 50 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$current"))
              elif [[ $words == files ]]; then
                COMPREPLY=($(compgen -f -- "$current"))
              fi
            }
            complete -o filenames -F \(function) \(program)

            """
    }

    private var fish: String {
        var lines = ["# Completions of \(program) for fish; made by `\(program) completion fish`.", "complete -c \(program) -f"]
        func quoted(_ text: String) -> String { "'" + text.map { $0 == "'" ? "\\'" : $0 == "\\" ? "\\\\" : String($0) }.joined() + "'" }
        for name in names {
            let summary = base(name)?.summary ?? members(name).map(\.lastName).joined(separator: ", ")
            lines.append("complete -c \(program) -n __fish_use_subcommand -a \(name) -d \(quoted(summary))")
        }
        for family in families {
            for member in members(family) {
                lines.append(
                    "complete -c \(program) -n '__fish_seen_subcommand_from \(family)' -a \(member.lastName) -d \(quoted(member.summary))")
            }
        }
        for command in commands {
            let names = ([command.lastName] + command.aliases.map(\.name)).joined(separator: " ")
            let condition = "-n '__fish_seen_subcommand_from \(names)'"
            for option in command.options {
                var line = "complete -c \(program) \(condition) -l \(option.name)"
                if let short = option.short { line += " -s \(short)" }
                if option.form.placeholder != nil { line += option.takesFile ? " -r -F" : " -x" }
                if let words = option.form.words { line += " -a \(quoted(words.joined(separator: " ")))" }
                lines.append(line + " -d \(quoted(option.summary))")
            }
            switch command.arguments.last?.completion {
            case "jobs"?:
                lines.append(
                    "complete -c \(program) \(condition) -a 'latest (\(program) jobs --limit 50 2>/dev/null | awk \"NR > 1 { print \\$1 }\")'"
                )
            case "files"?: lines.append("complete -c \(program) \(condition) -F")
            default: break
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension Command {
    fileprivate var optionWords: [String] { (options + [Option.help]).flatMap(\.spellings) }
}

extension Argument {
    /// What a shell offers for it.
    fileprivate var completion: String? {
        switch name {
        case "ID": "jobs"
        case "FILE", "FOLDER", "FILE|FOLDER": "files"
        default: nil
        }
    }
}

extension Option {
    fileprivate var spellings: [String] { ["--\(name)"] + (short.map { ["-\($0)"] } ?? []) }
    fileprivate var takesFile: Bool { ["FILE", "PATH", "FOLDER", "DIR"].contains(form.placeholder ?? "") }
}

extension Option.Form {
    fileprivate var words: [String]? { if case .choice(let words) = self { words } else { nil } }
}

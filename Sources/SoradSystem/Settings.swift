// Where a setting's value comes from, strongest first: flags, SORAD_* variables, the files of the .conf.d directory in order, the main
// file, the default. One table names every setting once; the parser, the file reader and the help text are made from it.
import Glibc

/// One setting: `--name VALUE`, `SORAD_NAME`, `name = value`.
public struct SettingDefinition: Sendable {
    public let name: String
    /// What stands for the value in the help, e.g. "PATH".
    public let placeholder: String
    public let help: String
    /// Shown in the help; what it means in values is up to the program.
    public let defaultText: String
    /// May be given several times; the variable separates values with ":".
    public let isList: Bool

    public init(_ name: String, _ placeholder: String, default defaultText: String, _ help: String, isList: Bool = false) {
        self.name = name
        self.placeholder = placeholder
        self.help = help
        self.defaultText = defaultText
        self.isList = isList
    }

    var variable: String { "SORAD_" + name.uppercased().map { $0 == "-" ? "_" : $0 } }
}

/// The values that were given, with where each came from.
public struct Settings: Sendable {
    public struct Source: Sendable, Equatable {
        public let values: [String]
        /// For messages, e.g. "--socket" or "/etc/sorad/sorad.conf".
        public let origin: String
    }

    private var sources: [String: Source] = [:]
    /// Things that were ignored and that the operator should hear of.
    public private(set) var warnings: [String] = []

    public init() {}

    /// The last value given; nil when none was.
    public func text(_ name: String) -> String? { sources[name]?.values.last }

    public func list(_ name: String) -> [String] { sources[name]?.values ?? [] }

    /// A whole number in `range`, or `standard` when none was given.
    public func integer(_ name: String, in range: ClosedRange<Int>, default standard: Int) throws(SoradError) -> Int {
        guard let source = sources[name], let text = source.values.last else { return standard }
        guard let value = Int(text), range.contains(value) else {
            throw SoradError(
                .configuration,
                "The setting \(name) must be a whole number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\" (\(source.origin)).",
                param: name)
        }
        return value
    }

    /// One of a list of words.
    public func choice(_ name: String, of choices: [String], default standard: String) throws(SoradError) -> String {
        guard let source = sources[name], let text = source.values.last else { return standard }
        guard choices.contains(text) else {
            throw SoradError(
                .configuration,
                "The setting \(name) must be one of \(choices.joined(separator: ", ")), not \"\(text)\" (\(source.origin)).",
                param: name)
        }
        return text
    }

    mutating func give(_ name: String, _ values: [String], from origin: String) {
        if sources[name] == nil { sources[name] = Source(values: values, origin: origin) }
    }

    mutating func warn(_ text: String) { warnings.append(text) }
}

public struct SettingsTable: Sendable {
    /// What the command line asked for.
    public struct CommandLine: Sendable {
        public var wantsHelp = false
        public var wantsVersion = false
        var values: [String: [String]] = [:]

        /// The last value of a flag, e.g. to find the file to read first.
        public func text(_ name: String) -> String? { values[name]?.last }
    }

    public let definitions: [SettingDefinition]

    public init(_ definitions: [SettingDefinition]) {
        precondition(Set(definitions.map(\.name)).count == definitions.count, "a setting is defined twice")
        self.definitions = definitions
    }

    /// `--name VALUE` and `--name=VALUE`, `--help`, `--version`. Anything else is an error.
    public func parse(arguments: [String]) throws(SoradError) -> CommandLine {
        var result = CommandLine()
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--help" || argument == "-h" { result.wantsHelp = true; continue }
            if argument == "--version" { result.wantsVersion = true; continue }
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard argument.hasPrefix("--"), let definition = definition(String(parts[0].dropFirst(2))) else {
                throw SoradError(.usage, "The argument \"\(argument)\" is unknown.", hint: "see --help")
            }
            guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else {
                throw SoradError(.usage, "\(argument) needs a value: \(definition.placeholder).", hint: "see --help")
            }
            result.values[definition.name, default: []].append(value)
        }
        return result
    }

    /// Puts all sources together. `files`: (path, text) in order of growing strength.
    public func settings(_ commandLine: CommandLine, environment: [String: String], files: [(path: String, text: String)]) -> Settings {
        var settings = Settings()
        for definition in definitions {
            if let values = commandLine.values[definition.name] { settings.give(definition.name, values, from: "--\(definition.name)") }
            if let value = environment[definition.variable], !value.isEmpty {
                let values = definition.isList ? value.split(separator: ":").map(String.init) : [value]
                settings.give(definition.name, values, from: definition.variable)
            }
        }
        for file in files.reversed() {
            for (name, values) in read(file.text, path: file.path, warn: { settings.warn($0) }) {
                settings.give(name, values, from: file.path)
            }
        }
        return settings
    }

    /// `key = value` lines; `#` and `;` begin a comment line, `[section]` lines are allowed and mean nothing. An empty value takes back
    /// what the file said before.
    private func read(_ text: String, path: String, warn: (String) -> Void) -> [String: [String]] {
        var values: [String: [String]] = [:]
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = trim(line)
            guard let first = line.first, first != "#", first != ";", !(first == "[" && line.last == "]") else { continue }
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                warn("\(path):\(index + 1): \"\(line.prefix(64))\" is not \"name = value\"; the line is ignored")
                continue
            }
            let (name, value) = (String(trim(parts[0])), String(trim(parts[1])))
            guard let definition = definition(name) else {
                warn("\(path):\(index + 1): the setting \"\(name.prefix(64))\" is unknown; the line is ignored")
                continue
            }
            if value.isEmpty {
                values[name] = nil
            } else if definition.isList {
                values[name, default: []].append(value)
            } else {
                values[name] = [value]
            }
        }
        return values
    }

    private func definition(_ name: String) -> SettingDefinition? { definitions.first { $0.name == name } }

    private func trim(_ text: Substring) -> Substring {
        var text = text
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }

    /// One paragraph per setting.
    public var help: String {
        definitions.map { definition in
            let more = definition.isList ? " (may be repeated)" : ""
            return
                "  --\(definition.name) \(definition.placeholder)\(more)\n        \(definition.help)\n        [default: \(definition.defaultText)]\n"
        }.joined()
    }
}

/// A settings file and the `*.conf` files of the directory beside it (`path` + ".d"), in order of growing strength. Missing ones are
/// left out unless `isRequired`.
public func settingsFiles(at path: String, isRequired: Bool) throws(SoradError) -> [(path: String, text: String)] {
    let directory = path + ".d"
    let names = ((try? directoryEntries(directory)) ?? []).filter { $0.hasSuffix(".conf") }
    var files: [(path: String, text: String)] = []
    for file in [path] + names.map({ "\(directory)/\($0)" }) {
        do throws(Errno) {
            let descriptor = try FileDescriptor(opening: file, flags: 0)
            let size = try descriptor.regularFileSize()
            guard size <= 1 << 20 else { throw Errno(code: EFBIG, call: "read") }
            files.append((file, String(decoding: try descriptor.read(at: 0, count: size), as: UTF8.self)))
        } catch {
            if error.isNoSuchFile && !(isRequired && file == path) { continue }
            throw SoradError(.configuration, "Cannot read the settings in \(file): \(error.reason).")
        }
    }
    return files
}

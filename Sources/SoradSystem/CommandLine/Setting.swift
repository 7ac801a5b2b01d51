// The settings of a program: one typed row each, from which the command line, the settings file, the help and the documents are made.
// Adding one means adding a row; the property that it sets holds the default.

/// One setting: `--name VALUE`, and where the program reads them the variable `SORAD_NAME` and a line `name = VALUE` of a file.
public struct Setting<Values: Sendable>: Sendable {
    public let option: Option
    /// Takes over values that have the form of the option; at least one.
    let set: @Sendable (inout Values, [String]) -> Void
    /// The default as text; nil for none.
    let standard: @Sendable (Values) -> String?

    public init(
        _ option: Option, standard: @escaping @Sendable (Values) -> String? = { _ in nil },
        set: @escaping @Sendable (inout Values, [String]) -> Void
    ) {
        self.option = option
        self.standard = standard
        self.set = set
    }

    /// A whole number in `range`; `unit` stands for it in the help.
    public init(
        _ name: String, _ range: ClosedRange<Int>, _ place: any WritableKeyPath<Values, Int> & Sendable, unit: String = "N",
        _ summary: String
    ) {
        self.init(Option(name, .integer(unit, range), summary)) {
            "\($0[keyPath: place])"
        } set: {
            $0[keyPath: place] = Int($1[$1.count - 1]) ?? range.lowerBound
        }
    }

    /// A whole number in `range` that may be left open.
    public init(
        _ name: String, _ range: ClosedRange<Int>, _ place: any WritableKeyPath<Values, Int?> & Sendable, unit: String = "N",
        default text: String? = nil, _ summary: String
    ) {
        self.init(Option(name, .integer(unit, range), default: text, summary)) { $0[keyPath: place] = Int($1[$1.count - 1]) }
    }

    /// A time in whole seconds.
    public init(
        _ name: String, seconds range: ClosedRange<Int>, _ place: any WritableKeyPath<Values, Duration> & Sendable, _ summary: String
    ) {
        self.init(Option(name, .integer("SECONDS", range), summary)) {
            "\($0[keyPath: place].components.seconds)"
        } set: {
            $0[keyPath: place] = .seconds(Int($1[$1.count - 1]) ?? range.lowerBound)
        }
    }

    /// Text; `placeholder` stands for it in the help. `default`: words for a default that depends on the machine.
    public init(
        _ name: String, short: Character? = nil, _ place: any WritableKeyPath<Values, String> & Sendable, _ placeholder: String,
        default text: String? = nil, _ summary: String
    ) {
        self.init(Option(name, short: short, .text(placeholder), default: text, summary)) {
            $0[keyPath: place].isEmpty ? nil : $0[keyPath: place]
        } set: {
            $0[keyPath: place] = $1[$1.count - 1]
        }
    }

    public init(
        _ name: String, short: Character? = nil, _ place: any WritableKeyPath<Values, String?> & Sendable, _ placeholder: String,
        default text: String? = nil, _ summary: String
    ) {
        self.init(Option(name, short: short, .text(placeholder), default: text, summary)) { $0[keyPath: place] = $1[$1.count - 1] }
    }

    /// Texts: given several times, or with commas between them in a variable.
    public init(
        _ name: String, _ place: any WritableKeyPath<Values, [String]> & Sendable, _ placeholder: String, default text: String? = nil,
        readsColons: Bool = false, _ summary: String
    ) {
        self.init(Option(name, .text(placeholder), default: text, isList: true, readsColons: readsColons, summary)) {
            $0[keyPath: place] = $1
        }
    }

    /// Off unless it is given.
    public init(_ name: String, _ place: any WritableKeyPath<Values, Bool> & Sendable, _ summary: String) {
        self.init(Option(name, summary)) { values, _ in values[keyPath: place] = true }
    }

    /// One of the words that the type's cases are called.
    public init<Choice: CaseIterable & Sendable>(
        _ name: String, _ place: any WritableKeyPath<Values, Choice> & Sendable, _ summary: String
    ) {
        self.init(Option(name, .choice(Choice.allCases.map { "\($0)" }), summary)) {
            "\($0[keyPath: place])"
        } set: { values, texts in
            if let choice = Choice.allCases.first(where: { "\($0)" == texts[texts.count - 1] }) { values[keyPath: place] = choice }
        }
    }
}

/// Lets a table's rows be written one below the other; each is type-checked alone.
@resultBuilder public enum SettingsBuilder<Values: Sendable> {
    public static func buildExpression(_ setting: Setting<Values>) -> Setting<Values> { setting }
    public static func buildBlock(_ settings: Setting<Values>...) -> [Setting<Values>] { settings }
}

/// All settings of a program.
public struct SettingsTable<Values: Sendable>: Sendable {
    public let settings: [Setting<Values>]
    /// The values before anything is given.
    public let initial: Values

    public init(_ initial: Values, @SettingsBuilder<Values> _ settings: () -> [Setting<Values>]) {
        self.initial = initial
        self.settings = settings()
    }

    /// The options with their defaults, for a `Command`.
    public var options: [Option] {
        settings.map { setting in
            let option = setting.option
            return Option(
                option.name, short: option.short, option.form, default: option.defaultText ?? setting.standard(initial),
                isList: option.isList, readsColons: option.readsColons, option.summary)
        }
    }

    /// The values of a command line whose form is checked already.
    public func values(_ arguments: Arguments, from start: Values? = nil) -> Values {
        var values = start ?? initial
        for setting in settings where arguments.has(setting.option.name) { setting.set(&values, arguments.all(setting.option.name)) }
        return values
    }

    /// The values of all sources, strongest first: the command line, variables, the files from the last to the first, the defaults.
    /// - Returns: also warnings about lines and variables that were ignored.
    /// - Throws: `.configuration` that names the setting, its value and where it came from.
    public func values(
        _ arguments: Arguments, environment: [String: String], files: [SettingsFile]
    ) throws(SoradError) -> (values: Values, warnings: [String]) {
        let read = read(arguments, environment: environment, files: files)
        if let wrong = read.wrong.first { throw wrong }
        return (read.values, read.warnings)
    }

    /// Everything that is wrong in these sources, in sentences: values that are refused, lines and variables that are ignored.
    /// - Returns: also the values, those that are refused left out, so that others can be judged too.
    public func examined(
        _ arguments: Arguments, environment: [String: String], files: [SettingsFile]
    ) -> (values: Values, problems: [String]) {
        let read = read(arguments, environment: environment, files: files)
        return (read.values, read.wrong.map(\.message) + read.warnings)
    }

    /// One setting as it is in effect: its value as text, and the source that it came from.
    public struct Effective: Sendable, Equatable {
        public let name: String
        public let values: [String]
        /// "--NAME", a variable, a file's path; nil for the default.
        public let origin: String?
    }

    /// Every setting with the value that counts, in the order of the table. Values are not checked here.
    public func effective(_ arguments: Arguments, environment: [String: String], files: [SettingsFile]) -> [Effective] {
        var ignored: [String] = []
        let read = files.map { ($0.path, $0.values(settings.map(\.option), &ignored)) }
        return zip(settings, options).map { setting, option in
            if let given = given(setting.option, arguments, environment, read) {
                return Effective(name: option.name, values: given.texts, origin: given.origin)
            }
            return Effective(name: option.name, values: option.defaultText.map { [$0] } ?? [], origin: nil)
        }
    }

    /// The strongest source of an option.
    private func given(
        _ option: Option, _ arguments: Arguments, _ environment: [String: String], _ files: [(path: String, values: [String: [String]])]
    ) -> (texts: [String], origin: String)? {
        if arguments.has(option.name) { return (arguments.all(option.name), "--\(option.name)") }
        if let text = environment[option.settingVariable], !text.isEmpty {
            return (option.values(ofVariable: text), option.settingVariable)
        }
        return files.last { $0.values[option.name] != nil }.map { ($0.values[option.name] ?? [], $0.path) }
    }

    private func read(
        _ arguments: Arguments, environment: [String: String], files: [SettingsFile]
    ) -> (values: Values, wrong: [SoradError], warnings: [String]) {
        var values = initial
        var wrong: [SoradError] = []
        var warnings: [String] = []
        let read = files.map { ($0.path, $0.values(settings.map(\.option), &warnings)) }
        warnings += unknownVariables(environment)
        for setting in settings {
            let option = setting.option
            guard let given = given(option, arguments, environment, read) else { continue }
            let refused = given.texts.compactMap { text in
                option.form.requirement(unmetBy: text).map { wanted in
                    SoradError(
                        .configuration, "the setting \(option.name) must be \(wanted), not \"\(text)\" (\(given.origin))",
                        param: option.name)
                }
            }
            wrong += refused
            if refused.isEmpty, !given.texts.isEmpty { setting.set(&values, given.texts) }
        }
        return (values, wrong, warnings)
    }

    /// Variables that look like settings and are none: a slip in a name must not be a setting that has no effect.
    private func unknownVariables(_ environment: [String: String]) -> [String] {
        let known = settings.map(\.option.settingVariable)
        return environment.keys.sorted().compactMap { name in
            guard name.hasPrefix("SORAD_"), !known.contains(name), let meant = nearestName(to: name, among: known) else { return nil }
            return "the variable \(name) is unknown and has no effect; did you mean \(meant)?"
        }
    }
}

extension Option {
    /// "SORAD_KEEP_DAYS" of `keep-days`.
    var settingVariable: String { "SORAD_" + name.uppercased().map { $0 == "-" ? "_" : $0 } }

    /// The values in the text of a variable. An address in brackets has colons of its own.
    func values(ofVariable text: String) -> [String] {
        guard isList else { return [text] }
        let separator: Character = readsColons && !text.contains(",") && !text.contains("[") ? ":" : ","
        return text.split(separator: separator).map { String(SettingsFile.trim($0)) }.filter { !$0.isEmpty }
    }
}

// One option of a program: its name, the form of its value, its meaning. The parser, the help, the settings file and the documents are
// made from it.

public struct Option: Sendable, Equatable {
    /// The form of a value. The meaning of a value that has the right form is for the program to judge.
    public enum Form: Sendable, Equatable {
        /// No value: the option is there or not.
        case flag
        /// Any text but the empty one; the word stands for it in the help, e.g. "PATH".
        case text(String)
        /// A whole number of this range.
        case integer(String, ClosedRange<Int>)
        /// Any whole number of 64 bits, with or without a sign.
        case wholeNumber(String)
        /// Any finite number.
        case number(String)
        /// WIDTHxHEIGHT in pixels.
        case size
        /// One of these words.
        case choice([String])

        /// The placeholder of the value in the help; nil for a flag.
        public var placeholder: String? {
            switch self {
            case .flag: nil
            case .text(let name), .integer(let name, _), .wholeNumber(let name), .number(let name): name
            case .size: "WxH"
            case .choice(let words): words.joined(separator: "|")
            }
        }

        /// The rule that `text` breaks, as it follows "must be"; nil if it has this form.
        public func requirement(unmetBy text: String) -> String? {
            switch self {
            case .flag: nil
            case .text: text.isEmpty ? "not empty" : nil
            case .integer(_, let range):
                Int(text).map { range.contains($0) } == true ? nil : "a whole number from \(range.lowerBound) to \(range.upperBound)"
            case .wholeNumber: Int64(text) == nil && UInt64(text) == nil ? "a whole number" : nil
            case .number: Double(text)?.isFinite == true ? nil : "a number"
            case .size: Form.isSize(text) ? nil : "WIDTHxHEIGHT in pixels, like 128x128"
            case .choice(let words): words.contains(text) ? nil : "one of " + words.joined(separator: ", ")
            }
        }

        private static func isSize(_ text: String) -> Bool {
            let parts = text.split(separator: "x", omittingEmptySubsequences: false)
            return parts.count == 2 && parts.allSatisfy { Int($0) != nil }
        }
    }

    /// Without dashes, e.g. "output" for `--output`.
    public let name: String
    /// One letter, e.g. "o" for `-o`.
    public let short: Character?
    public let form: Form
    /// Its meaning in a clause: lower case, no full stop.
    public let summary: String
    /// The default as the help shows it; nil where there is none to show.
    public let defaultText: String?
    /// May be given several times.
    public let isList: Bool
    /// A list in a variable has commas between its values. Where there is none, this one is split at colons, as in earlier versions.
    public let readsColons: Bool
    /// The environment variable that stands in when the option is absent.
    public let variable: String?

    public init(
        _ name: String, short: Character? = nil, _ form: Form, default defaultText: String? = nil, isList: Bool = false,
        readsColons: Bool = false, variable: String? = nil, _ summary: String
    ) {
        self.readsColons = readsColons
        self.name = name
        self.short = short
        self.form = form
        self.summary = summary
        self.defaultText = defaultText
        self.isList = isList
        self.variable = variable
    }

    /// A flag.
    public init(_ name: String, short: Character? = nil, _ summary: String) { self.init(name, short: short, .flag, summary) }

    /// Every program has these two.
    public static let help = Option("help", short: "h", "print this help")
    public static let version = Option("version", "print the version")
}

/// A word without dashes that a command needs or takes.
public struct Argument: Sendable, Equatable {
    /// As the help prints it, e.g. "PROMPT".
    public let name: String
    public let summary: String
    public let isOptional: Bool
    /// Whether it may be given several times; only the last argument of a command.
    public let isRepeated: Bool

    public init(_ name: String, isOptional: Bool = false, isRepeated: Bool = false, _ summary: String) {
        self.name = name
        self.summary = summary
        self.isOptional = isOptional
        self.isRepeated = isRepeated
    }
}

/// A parsed command line: words, and the values of options.
public struct Arguments: Sendable, Equatable {
    public internal(set) var words: [String]
    /// By option name; a flag has one empty value.
    var values: [String: [String]]

    public init(words: [String] = [], values: [String: [String]] = [:]) {
        self.words = words
        self.values = values
    }

    /// The last value of an option; nil when it was not given.
    public subscript(_ name: String) -> String? { values[name]?.last }
    /// All values of an option.
    public func all(_ name: String) -> [String] { values[name] ?? [] }
    public func has(_ name: String) -> Bool { values[name] != nil }
    /// The options that were given, by name.
    public var names: [String] { values.keys.sorted() }
}
